//! `dropcast config check` and `dropcast config show`.

use std::io;
use std::path::Path;

use super::{EXIT_CONFIG, EXIT_DONE, complain, say};
use crate::batch::Moment;
use crate::clock;
use crate::config::{self, Config};

/// How settings are shown.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// As they could stand in the files, one tenant after the other.
    Toml,
    /// For programs.
    Json,
}

/// Says everything that is wrong with the settings, or that they are good.
pub(super) fn check(path: &Path) -> io::Result<u8> {
    let Some(config) = load(path) else {
        return Ok(EXIT_CONFIG);
    };
    for note in &config.notes {
        say(&format_args!("note: {note}"))?;
    }
    for note in expired_keys(&config, clock::now()) {
        say(&format_args!("note: {note}"))?;
    }
    let logins = config.tenants.iter().map(|t| t.logins.len()).sum();
    let senders = config.tenants.iter().map(|t| t.senders.len()).sum();
    say(&format_args!(
        "{} is good: {}, {}, {}",
        path.display(),
        counted(config.tenants.len(), "tenant"),
        counted(logins, "login"),
        counted(senders, "sender"),
    ))?;
    Ok(EXIT_DONE)
}

/// The keys that have ceased to open anything, each in a sentence.
fn expired_keys(config: &Config, now: Moment) -> Vec<String> {
    let mut notes = Vec::new();
    for login in config.tenants.iter().flat_map(|tenant| &tenant.logins) {
        for key in &login.authorized_keys {
            if let Some(at) = key.expires_at().filter(|at| *at <= now) {
                let (key, user) = (key.shown("…"), &login.user);
                notes.push(format!("the key `{key}` of `{user}` has expired at {at}"));
            }
        }
    }
    notes
}

/// Shows the settings that hold.
pub(super) fn show(path: &Path, form: Form) -> io::Result<u8> {
    let Some(config) = load(path) else {
        return Ok(EXIT_CONFIG);
    };
    let shown = config.shown();
    let text = match form {
        Form::Toml => toml::to_string(&shown).map_err(io::Error::other)?,
        Form::Json => serde_json::to_string_pretty(&shown)?,
    };
    say(&text.trim_end())?;
    Ok(EXIT_DONE)
}

/// The settings; when there are none to be had, the reasons have been written out.
fn load(path: &Path) -> Option<Config> {
    match config::load(path) {
        Ok(config) => Some(config),
        Err(error) => {
            for line in error.lines() {
                complain(&line);
            }
            complain(&error);
            None
        }
    }
}

fn counted(count: usize, noun: &str) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An operator who looks for the reason why a job cannot log in any more must find it here.
    #[test]
    fn expired_keys_are_named() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let copy = |name: &str, from: &str, to: &str| {
            let text = std::fs::read_to_string(example.join(name)).expect("read");
            assert!(text.contains(from), "{name} has `{from}`");
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, text.replace(from, to)).expect("written");
        };
        std::fs::create_dir(folder.path().join("templates")).expect("made");
        copy("dropcast.toml", "data_dir", "data_dir");
        let dated = "['expiry-time=\"20270101\" ssh-ed25519";
        copy("tenants.d/acme.toml", "[\"ssh-ed25519", dated);
        let path = folder.path().join("tenants.d/acme.toml");
        let text = std::fs::read_to_string(&path).expect("read");
        std::fs::write(&path, text.replace("cron@erp\"]", "cron@erp']")).expect("written");
        let config = config::load(&folder.path().join("dropcast.toml")).expect("good");
        let at = Moment::parse("2027-01-01T00:00:00Z").expect("a moment");
        assert_eq!(expired_keys(&config, at.plus_ms(-1)), [""; 0]);
        assert_eq!(
            expired_keys(&config, at),
            [
                "the key `expiry-time=\"20270101\" ssh-ed25519 … cron@erp` of `acme` has expired at \
              2027-01-01T00:00:00.000Z"
            ]
        );
    }
}
