//! `dropcast config check` and `dropcast config show`.

use std::io;
use std::path::Path;

use super::{EXIT_CONFIG, EXIT_DONE, complain, say};
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
