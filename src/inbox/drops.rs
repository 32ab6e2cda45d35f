//! A tenant's drop folders on disk, opened beneath its root and without following a link: what
//! lies there, and how it looks. What is done about it is for `sweep`, `take` and `leave`.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, statat};
use rustix::io::Errno;

use super::settle::Look;
use super::{Error, fault};
use crate::batch::name::{DropFolder, NAME_BYTES_MAX};
use crate::batch::origin::Identity;
use crate::disk::Root;

/// The drop folders of one tenant.
#[derive(Debug)]
pub struct Drops {
    root: Root,
    path: PathBuf,
}

/// What lies in a drop folder.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// The names that a file can be answered under.
    pub(super) names: Vec<String>,
    /// How many files have a name under which nothing can be answered.
    pub(super) unusable: usize,
}

impl Drops {
    /// The drop folders beneath a tenant's root.
    pub fn open(tenant_root: &Path) -> Result<Self, Error> {
        let root = Root::open(tenant_root).map_err(|error| fault("open", tenant_root, error))?;
        Ok(Self {
            root,
            path: tenant_root.into(),
        })
    }

    /// By what the file of this name is told from others; `None` when there is none.
    pub fn identity(&self, folder: DropFolder, name: &str) -> Result<Option<Identity>, Error> {
        Ok(find(self.folder(folder)?, name).map(|stat| look(&stat).identity))
    }

    /// A drop folder, opened.
    pub(super) fn folder(&self, folder: DropFolder) -> Result<OwnedFd, Error> {
        self.beneath(folder.path())
    }

    /// Any folder of the tenant, opened.
    pub(super) fn beneath(&self, path: &str) -> Result<OwnedFd, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        self.root
            .open_beneath(OsStr::new(path), flags, Mode::empty())
            .map_err(|error| fault("open", &self.path.join(path), error))
    }

    /// The path of a drop folder, for the words of an error.
    pub(super) fn path(&self, folder: DropFolder) -> PathBuf {
        self.path.join(folder.path())
    }

    /// The names in a drop folder.
    pub(super) fn list(&self, folder: DropFolder) -> Result<Listed, Error> {
        let opened = self.folder(folder)?;
        let failed = |error: Errno| fault("list", &self.path(folder), error.into());
        let mut listed = Listed::default();
        let mut entries = Dir::read_from(&opened).map_err(failed)?;
        while let Some(entry) = entries.read() {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type();
            if !matches!(kind, FileType::RegularFile | FileType::Unknown) {
                continue;
            }
            match entry.file_name().to_str() {
                Ok(name) if is_usable(name) => listed.names.push(name.to_owned()),
                _ => listed.unusable += 1,
            }
        }
        Ok(listed)
    }
}

/// Opens a regular file to be read. Without NONBLOCK a pipe would hold the reader for ever.
pub(super) fn open_file(folder: impl AsFd, name: &str) -> io::Result<std::fs::File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(folder, name, flags, Mode::empty())?;
    Ok(file.into())
}

/// The regular file of this name, as it is.
pub(super) fn find(folder: impl AsFd, name: &str) -> Option<Stat> {
    let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    (FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile).then_some(stat)
}

/// What changes of a file when somebody writes to it.
pub(super) fn look(stat: &Stat) -> Look {
    const SECOND_NS: i64 = 1_000_000_000;
    let ns = |seconds: i64, rest: i64| seconds.saturating_mul(SECOND_NS).saturating_add(rest);
    Look {
        identity: Identity {
            inode: stat.st_ino,
            modified_ns: ns(stat.st_mtime, stat.st_mtime_nsec as i64),
        },
        size_bytes: u64::try_from(stat.st_size).unwrap_or(0),
        changed_ns: ns(stat.st_ctime, stat.st_ctime_nsec as i64),
    }
}

/// Whether a file of this name can be answered: its name has to fit into longer ones.
fn is_usable(name: &str) -> bool {
    // The names of our own that are longer hold one that is not.
    let longest = NAME_BYTES_MAX + super::OWN_PREFIX_BYTES_MAX;
    let own = name.starts_with(crate::disk::HIDDEN_PREFIX);
    let most = if own { longest } else { NAME_BYTES_MAX };
    name.len() <= most && !name.chars().any(char::is_control)
}
