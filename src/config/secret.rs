//! Secrets, which stand in files of their own: found, kept from other users' eyes, trimmed. Who is
//! shown a secret is for its user to decide; nothing here says what one holds.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::file::Section;
use super::problem::why_unreadable;
use crate::provider::Secret;

/// The largest file taken for a secret or a certificate, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// What everybody on the machine could do to a file.
const OTHERS_MODE: u32 = 0o007;

/// The secret in the file that `key` names; `None` when there is none, or when it was reported.
pub(super) fn secret(section: &Section<'_>, key: &str) -> Option<Secret> {
    let path = section.path(key)?;
    let shown = path.display();
    let names = format!("`{}` names `{shown}`, which", section.full(key));
    let text = match read(&path) {
        Ok(text) => text,
        Err(error) => {
            let why = why_unreadable(&error);
            let takes = "a file that holds the secret and that only dropcast's user can read";
            section.problem(key, format!("{names} {why}; it takes {takes}"));
            return None;
        }
    };
    // Told and taken all the same: who may read it is for the operator to decide.
    if fs::metadata(&path).is_ok_and(|of| of.permissions().mode() & OTHERS_MODE != 0) {
        let text = format!("{names} is open to every user of this machine; run `chmod o= {shown}`");
        section.note(key, text);
    }
    match word(&text) {
        Ok(secret) => Some(secret),
        Err(why) => {
            section.problem(key, format!("{names} {why}"));
            None
        }
    }
}

/// The secret in a file, read again, or why there is none, said behind the file's name.
pub fn read_secret(path: &Path) -> Result<Secret, String> {
    let text = read(path).map_err(|error| why_unreadable(&error))?;
    word(&text).map_err(str::to_owned)
}

/// The one word of a text.
fn word(text: &str) -> Result<Secret, &'static str> {
    let secret = bare(text);
    if secret.is_empty() {
        return Err("is empty; write the secret into it");
    }
    if secret.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("holds more than one word; it takes the secret and nothing else");
    }
    Ok(Secret::new(secret))
}

/// The secret without what people copy with it: quotes, and the word that stands before it where
/// it is shown.
fn bare(text: &str) -> &str {
    const WORDS: [&str; 3] = ["App ", "Bearer ", "AccessKey "];
    let text = unquoted(text);
    let word = WORDS.iter().find_map(|word| text.strip_prefix(word));
    unquoted(word.unwrap_or(text))
}

fn unquoted(text: &str) -> &str {
    let text = text.trim();
    let inner = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(text).trim()
}

/// The certificate file that `key` names, checked to hold at least one.
pub(super) fn certificates(section: &Section<'_>, key: &str) -> Option<PathBuf> {
    let path = section.path(key)?;
    let names = format!("`{}` names `{}`, which", section.full(key), path.display());
    match read(&path) {
        Err(error) => {
            let why = why_unreadable(&error);
            section.problem(key, format!("{names} {why}; it takes a PEM file"));
        }
        Ok(text) if !text.contains("-----BEGIN CERTIFICATE-----") => {
            let text = format!("{names} holds no certificate in PEM form; convert it to PEM");
            section.problem(key, text);
        }
        Ok(_) => {}
    }
    Some(path)
}

fn read(path: &Path) -> io::Result<String> {
    // A pipe or device would be waited for, perhaps for ever.
    let of = fs::metadata(path)?;
    if of.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    } else if !of.is_file() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let mut text = String::new();
    let file = File::open(path)?;
    if file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)? as u64 > FILE_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// People copy more than the secret; a word too much would stop every message of the tenant.
    #[test]
    fn what_is_copied_with_a_secret_is_left_out() {
        for text in [
            "k-1",
            "k-1\n",
            "App k-1",
            "\"k-1\"",
            " 'App k-1'\n",
            "App \"k-1\"",
            "Bearer k-1",
            "AccessKey  k-1",
        ] {
            assert_eq!(bare(text), "k-1", "{text}");
        }
        for text in ["two words", "App", "\"", "it's"] {
            assert_eq!(bare(text), text);
        }
        assert_eq!(bare("''"), "");
    }
}
