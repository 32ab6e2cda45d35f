//! A client's path becomes a place inside its root, or nothing at all. What may be done there is
//! for `files` to know.
//!
//! Only the shapes of the tree that a tenant sees come out of here: no text of the client's ever
//! becomes a path, only a checked name becomes the last part of one.

use crate::batch::media;
use crate::batch::name::{DropFolder, NAME_BYTES_MAX, NameKind};
use crate::disk::HIDDEN_PREFIX;

/// The longest path looked at; a longer one names nothing.
pub(super) const PATH_BYTES_MAX: usize = 4096;

/// The longest name of a file that the daemon wrote: around the one that a tenant gave stand the
/// batch and an ending, and file systems take no more.
const WRITTEN_NAME_BYTES_MAX: usize = 255;

/// What lies at the root beside the drop folder.
pub(super) const README: &str = "README.txt";

/// A folder whose files the daemon writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tray {
    Results,
    Errors,
    Processed,
    Templates,
}

impl Tray {
    pub(super) const ALL: [Self; 4] = [
        Self::Results,
        Self::Errors,
        Self::Processed,
        Self::Templates,
    ];

    /// Its path beneath the tenant's root.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Results => "whatsapp/results",
            Self::Errors => "whatsapp/errors",
            Self::Processed => "whatsapp/processed",
            Self::Templates => "whatsapp/templates",
        }
    }

    /// Whether the tenant may clear away what lies there.
    pub(super) const fn may_be_cleared(self) -> bool {
        !matches!(self, Self::Templates)
    }
}

/// A folder that the tenant writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Inlet {
    /// What is put there is a batch, or says something about one.
    Drop(DropFolder),
    /// Files that messages name; nothing there is a batch.
    Media,
}

impl Inlet {
    pub(super) const ALL: [Self; 3] = [
        Self::Drop(DropFolder::Whatsapp),
        Self::Drop(DropFolder::DryRun),
        Self::Media,
    ];

    /// Its path beneath the tenant's root.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Drop(folder) => folder.path(),
            Self::Media => media::FOLDER,
        }
    }

    /// The drop folder that it is, if a file of this name counts there.
    pub(super) fn counts(self, name: &str) -> Option<DropFolder> {
        match self {
            Self::Drop(folder) => NameKind::of(name).counts().then_some(folder),
            Self::Media => None,
        }
    }
}

/// A folder of the tenant's tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Folder {
    Root,
    Inlet(Inlet),
    Tray(Tray),
}

/// The folder in which all others lie.
const MAIN: Folder = Folder::Inlet(Inlet::Drop(DropFolder::Whatsapp));

impl Folder {
    /// Its path beneath the tenant's root; empty for the root itself.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Root => "",
            Self::Inlet(inlet) => inlet.path(),
            Self::Tray(tray) => tray.path(),
        }
    }

    /// The folders shown in this one.
    pub(super) fn folders(self) -> Vec<Folder> {
        match self {
            Self::Root => vec![MAIN],
            MAIN => {
                let inlets = [Inlet::Drop(DropFolder::DryRun), Inlet::Media].map(Self::Inlet);
                let trays = Tray::ALL.map(Self::Tray);
                inlets.into_iter().chain(trays).collect()
            }
            Self::Inlet(_) | Self::Tray(_) => Vec::new(),
        }
    }

    /// The last part of its path.
    pub(super) fn own_name(self) -> &'static str {
        let path = self.path();
        path.rsplit_once('/').map_or(path, |(_, name)| name)
    }
}

/// The name of a file that a tenant may give and see.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name(String);

impl Name {
    /// Checks a name that a tenant gives a file; the error says what is wrong with it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, BadName> {
        Self::parse_within(bytes, NAME_BYTES_MAX)
    }

    /// Checks the name of a file that the daemon wrote.
    pub(super) fn parse_written(bytes: &[u8]) -> Result<Self, BadName> {
        Self::parse_within(bytes, WRITTEN_NAME_BYTES_MAX)
    }

    fn parse_within(bytes: &[u8], bytes_max: usize) -> Result<Self, BadName> {
        if bytes.len() > bytes_max {
            return Err(BadName::TooLong);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| BadName::NotUtf8)?;
        if text.chars().any(char::is_control) {
            return Err(BadName::Control);
        }
        if text.starts_with(HIDDEN_PREFIX) {
            return Err(BadName::Reserved);
        }
        if matches!(text, "" | "." | "..") || text.contains('/') {
            return Err(BadName::NotAName);
        }
        Ok(Self(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is wrong with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadName {
    #[error("file names are at most {NAME_BYTES_MAX} bytes long")]
    TooLong,
    #[error("file names are written in UTF-8")]
    NotUtf8,
    #[error("file names hold no control characters")]
    Control,
    #[error("file names do not begin with {HIDDEN_PREFIX}")]
    Reserved,
    #[error("this is not the name of a file")]
    NotAName,
}

/// What a client's path means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A folder of the tree.
    Folder(Folder),
    /// The file that tells what the folders are.
    Readme,
    /// A file in a folder that the tenant writes to.
    Upload(Inlet, Name),
    /// A file that the daemon wrote.
    Written(Tray, Name),
    /// A name that no file may have, in a folder that takes files.
    Misnamed(BadName),
    /// Nothing: outside of the tree's shape, where nothing can be and nothing can be made.
    Nowhere,
}

/// Says what a path means. A relative path begins at the root, and `..` does not lead out of it.
pub(super) fn place(path: &[u8]) -> Place {
    if path.len() > PATH_BYTES_MAX {
        return Place::Nowhere;
    }
    match parts(path)[..] {
        [] => Place::Folder(Folder::Root),
        [b"README.txt"] => Place::Readme,
        [b"whatsapp"] => Place::Folder(MAIN),
        [b"whatsapp", name] => match folder(name) {
            Some(folder) => Place::Folder(folder),
            None => upload(Inlet::Drop(DropFolder::Whatsapp), name),
        },
        [b"whatsapp", parent, name] => match folder(parent) {
            Some(Folder::Inlet(inlet)) => upload(inlet, name),
            Some(Folder::Tray(tray)) => match Name::parse_written(name) {
                Ok(name) => Place::Written(tray, name),
                Err(_) => Place::Nowhere,
            },
            _ => Place::Nowhere,
        },
        _ => Place::Nowhere,
    }
}

/// The path without detours, from the root; it need not mean anything.
pub(super) fn real_path(path: &[u8]) -> Vec<u8> {
    let mut real = Vec::with_capacity(path.len() + 1);
    for part in parts(path) {
        real.push(b'/');
        real.extend_from_slice(part);
    }
    if real.is_empty() {
        real.push(b'/');
    }
    real
}

/// The path that one with `~` in front stands for, as a shell reads it: `~` and `~<own name>` are
/// the root. `None` for the home of somebody else.
pub(super) fn expand(path: &[u8], own_name: &str) -> Option<Vec<u8>> {
    let Some(rest) = path.strip_prefix(b"~") else {
        return Some(real_path(path));
    };
    let name_end = rest.iter().position(|&b| b == b'/').unwrap_or(rest.len());
    let (name, beneath) = rest.split_at(name_end);
    (name.is_empty() || name == own_name.as_bytes()).then(|| real_path(beneath))
}

/// The parts of a path after `.`, `..` and doubled slashes are gone.
fn parts(path: &[u8]) -> Vec<&[u8]> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|&b| b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts
}

/// The folder of this name in `/whatsapp`.
fn folder(name: &[u8]) -> Option<Folder> {
    MAIN.folders()
        .into_iter()
        .find(|folder| folder.own_name().as_bytes() == name)
}

fn upload(inlet: Inlet, name: &[u8]) -> Place {
    match Name::parse(name) {
        Ok(name) => Place::Upload(inlet, name),
        Err(bad) => Place::Misnamed(bad),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drop_file(folder: DropFolder, name: &str) -> Place {
        Place::Upload(Inlet::Drop(folder), Name(name.to_owned()))
    }

    /// A path that leads out of the tenant's tree, or to our own files, must lead nowhere.
    #[test]
    fn a_path_means_a_place_in_the_tree_or_nothing() {
        use DropFolder::{DryRun, Whatsapp};
        let name = |text: &str| Name(text.to_owned());
        let table: Vec<(&[u8], Place)> = vec![
            (b"", Place::Folder(Folder::Root)),
            (b".", Place::Folder(Folder::Root)),
            (b"/../..", Place::Folder(Folder::Root)),
            (b"/README.txt", Place::Readme),
            (b"/other.txt", Place::Nowhere),
            (b"/../../etc/passwd", Place::Nowhere),
            (b"whatsapp/", Place::Folder(MAIN)),
            (b"/whatsapp/a.json", drop_file(Whatsapp, "a.json")),
            (b"//whatsapp/./b/../a.json", drop_file(Whatsapp, "a.json")),
            (b"/whatsapp/../whatsapp/a", drop_file(Whatsapp, "a")),
            (b"/whatsapp/Results", drop_file(Whatsapp, "Results")),
            (
                b"/whatsapp/dry-run",
                Place::Folder(Folder::Inlet(Inlet::Drop(DryRun))),
            ),
            (
                b"/whatsapp/media",
                Place::Folder(Folder::Inlet(Inlet::Media)),
            ),
            (
                b"/whatsapp/media/a.json",
                Place::Upload(Inlet::Media, name("a.json")),
            ),
            (b"/whatsapp/media/a/b", Place::Nowhere),
            (b"/whatsapp/dry-run/a.json", drop_file(DryRun, "a.json")),
            (b"/whatsapp/dry-run/results", drop_file(DryRun, "results")),
            (b"/whatsapp/dry-run/a/b", Place::Nowhere),
            (b"/whatsapp/a/b", Place::Nowhere),
            (
                b"/whatsapp/results",
                Place::Folder(Folder::Tray(Tray::Results)),
            ),
            (
                b"/whatsapp/results/a.json.status.json",
                Place::Written(Tray::Results, name("a.json.status.json")),
            ),
            (
                b"/whatsapp/templates/t.schema.json",
                Place::Written(Tray::Templates, name("t.schema.json")),
            ),
            (b"/whatsapp/errors/.dropcast-draft.x", Place::Nowhere),
            (
                b"/whatsapp/.dropcast-up.a.json",
                Place::Misnamed(BadName::Reserved),
            ),
            (b"/whatsapp/a\xff.json", Place::Misnamed(BadName::NotUtf8)),
            (b"/whatsapp/a\nb.json", Place::Misnamed(BadName::Control)),
            (b"/whatsapp/a\0b.json", Place::Misnamed(BadName::Control)),
            (
                "/whatsapp/a\u{85}.json".as_bytes(),
                Place::Misnamed(BadName::Control),
            ),
        ];
        for (path, want) in table {
            assert_eq!(place(path), want, "{}", String::from_utf8_lossy(path));
        }
        let longest = format!("/whatsapp/{}", "n".repeat(NAME_BYTES_MAX));
        assert!(matches!(place(longest.as_bytes()), Place::Upload(..)));
        let longer = format!("{longest}n");
        assert_eq!(place(longer.as_bytes()), Place::Misnamed(BadName::TooLong));
        assert_eq!(place(&[b'/'; PATH_BYTES_MAX + 1]), Place::Nowhere);
    }

    /// People type `~` for their own folder, and must not be sent to a file of that name.
    #[test]
    fn a_tilde_is_the_root() {
        let table: [(&[u8], Option<&[u8]>); 8] = [
            (b"~", Some(b"/")),
            (b"~/", Some(b"/")),
            (b"~/whatsapp/../x", Some(b"/x")),
            (b"~acme", Some(b"/")),
            (b"~acme/whatsapp", Some(b"/whatsapp")),
            (b"~root", None),
            (b"~acme2/whatsapp", None),
            (b"whatsapp/~/b", Some(b"/whatsapp/~/b")),
        ];
        for (path, want) in table {
            assert_eq!(expand(path, "acme").as_deref(), want);
        }
    }

    /// Clients ask for the real path of what does not exist yet, before they upload it.
    #[test]
    fn every_path_has_a_real_path() {
        for (path, real) in [
            (&b""[..], &b"/"[..]),
            (b".", b"/"),
            (b"../../x", b"/x"),
            (b"/whatsapp//new.json", b"/whatsapp/new.json"),
            (b"a/./b/../\xff", b"/a/\xff"),
        ] {
            assert_eq!(real_path(path), real);
        }
    }
}
