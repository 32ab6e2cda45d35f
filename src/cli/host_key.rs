//! `dropcast host-key show` and `rotate`: the keys by which clients know the door. Both work on
//! files only, beside a daemon that runs or does not.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{EXIT_CONFIG, EXIT_DONE, EXIT_NO, complain, say};
use crate::config::{self, Config};
use crate::daemon;
use crate::sftp::host_keys::{self, Shown};

/// What stands for the name by which clients know the machine, when it is not given.
const HOST: &str = "HOST";
/// The port that `known_hosts` does not write out.
const SSH_PORT: u16 = 22;

/// How keys are shown.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// A table, and lines for `known_hosts`.
    Text,
    /// For programs.
    Json,
}

/// Which step of a replacement to take.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// The next keys are made.
    Prepare,
    /// They take the place of the present ones.
    Finish,
}

/// A key as it is shown.
#[derive(Serialize)]
struct Line {
    state: &'static str,
    file: PathBuf,
    algorithm: String,
    fingerprint: String,
    known_hosts: String,
}

/// Shows the keys in force and the next ones, without their secrets.
pub(super) fn show(path: &Path, host: Option<&str>, form: Form) -> io::Result<u8> {
    let Some(config) = load(path) else {
        return Ok(EXIT_CONFIG);
    };
    let folder = folder(&config);
    let next = host_keys::next_folder(&folder);
    let host = known_name(&config, host);
    let mut lines = Vec::new();
    for (state, folder) in [("present", &folder), ("next", &next)] {
        match host_keys::show(folder) {
            Ok(keys) => lines.extend(keys.into_iter().map(|key| line(state, key, &host))),
            Err(error) => {
                complain(&daemon::chain(&error));
                return Ok(EXIT_NO);
            }
        }
    }
    if lines.is_empty() {
        let folder = folder.display();
        complain(&format_args!(
            "there are no host keys in `{folder}`; the first start makes them"
        ));
        return Ok(EXIT_NO);
    }
    match form {
        Form::Json => say(&serde_json::to_string_pretty(&lines)?)?,
        Form::Text => write_table(&lines)?,
    }
    Ok(EXIT_DONE)
}

/// Takes a step of the replacement.
pub(super) fn rotate(path: &Path, step: Step) -> io::Result<u8> {
    let Some(config) = load(path) else {
        return Ok(EXIT_CONFIG);
    };
    let folder = folder(&config);
    let (outcome, words) = match step {
        Step::Prepare => (
            host_keys::prepare(&folder),
            "the next host keys are made and not in force: let every client add their lines to \
             known_hosts (dropcast host-key show lists them), then run dropcast host-key rotate \
             --finish",
        ),
        Step::Finish => (
            host_keys::finish(&folder),
            "the next host keys are in force from the next start on; the former ones are kept as \
             *.old",
        ),
    };
    match outcome {
        Ok(()) => {
            say(&words)?;
            Ok(EXIT_DONE)
        }
        Err(error) => {
            complain(&daemon::chain(&error));
            Ok(EXIT_NO)
        }
    }
}

fn load(path: &Path) -> Option<Config> {
    match config::load(path) {
        Ok(config) => Some(config),
        Err(error) => {
            error.lines().iter().for_each(|line| complain(line));
            None
        }
    }
}

fn folder(config: &Config) -> PathBuf {
    config.data_dir.join("host-keys")
}

/// The name of the host as `known_hosts` writes it.
fn known_name(config: &Config, host: Option<&str>) -> String {
    let listen = config.sftp_listen;
    let name = match host {
        Some(host) => host.to_owned(),
        None if listen.ip().is_unspecified() => HOST.to_owned(),
        None => listen.ip().to_string(),
    };
    match listen.port() {
        SSH_PORT => name,
        port => format!("[{name}]:{port}"),
    }
}

fn line(state: &'static str, key: Shown, host: &str) -> Line {
    Line {
        state,
        file: key.path,
        algorithm: key.algorithm,
        fingerprint: key.fingerprint,
        known_hosts: format!("{host} {}", key.line),
    }
}

fn write_table(lines: &[Line]) -> io::Result<()> {
    let wide = lines.iter().map(|line| line.algorithm.len()).max();
    let wide = wide.unwrap_or_default();
    for line in lines {
        let (state, file) = (line.state, line.file.display());
        let (algorithm, fingerprint) = (&line.algorithm, &line.fingerprint);
        say(&format_args!(
            "{state:<7}  {algorithm:<wide$}  {fingerprint}  {file}"
        ))?;
    }
    say(&"")?;
    say(&"# lines for known_hosts, with the name by which clients know this machine")?;
    lines.iter().try_for_each(|line| say(&line.known_hosts))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line with the wrong name is taken by `known_hosts` and never looked at.
    #[test]
    fn the_host_is_named_as_known_hosts_names_it() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/dropcast.toml");
        let mut config = config::load(&example).expect("the example is good");
        for (listen, host, name) in [
            ("0.0.0.0:2022", None, "[HOST]:2022"),
            ("0.0.0.0:22", Some("files.example.com"), "files.example.com"),
            (
                "[::]:2022",
                Some("files.example.com"),
                "[files.example.com]:2022",
            ),
            ("192.0.2.7:22", None, "192.0.2.7"),
        ] {
            config.sftp_listen = listen.parse().expect("an address");
            assert_eq!(known_name(&config, host), name);
        }
    }
}
