//! How a whole file reaches the spool and its visible name, so that a power cut at any point leaves
//! either nothing in the spool or an entry whose renames `repair` finishes.
//!
//! The file is linked into the spool under a name that the daemon does not look at, the spool is
//! synced, the file gets its visible name, the spool entry gets its own, and the folder is synced.
//! An entry that the daemon saw before the file had its name could be a batch that has ended by
//! then, and nobody would take the name away any more.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use rustix::fs::{CWD, RenameFlags, fstat, renameat_with};
use rustix::io::Errno;

use super::clock;
use super::files::Tree;
use super::jail::Place;
use super::listing::shown_file;
use super::refusal::{Refusal, unconfirmed};
use super::uploads::Key;
use crate::batch::BatchId;
use crate::batch::name::{DropFolder, SpoolName};
use crate::{crash, disk};

/// How the name of a spool entry begins whose file has not got its visible name; its own follows.
pub(super) const LINK_PREFIX: &str = ".dropcast-link.";

/// Ids are random within a second; so many in a row are never all taken.
const ID_TRIES: usize = 16;

/// The points at which a test build dies, in their order.
pub(super) struct Points {
    pub(super) linked: &'static str,
    pub(super) spool_synced: &'static str,
    pub(super) renamed: &'static str,
    pub(super) shown: &'static str,
    pub(super) folder_synced: &'static str,
}

/// An entry of the spool that the daemon does not see yet.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) hidden: PathBuf,
    pub(super) name: PathBuf,
}

impl Tree {
    /// Puts a synced file into the spool and gives it its visible name; `sync` syncs the folders
    /// that `rename` has changed. The caller holds the name.
    pub(super) fn take(
        &self,
        (file, key, folder): (&File, &Key, DropFolder),
        rename: impl FnOnce() -> Result<(), Errno>,
        sync: impl FnOnce() -> Result<(), Errno>,
        points: &Points,
    ) -> Result<(), Refusal> {
        let place = Place::Upload(key.folder, key.name.clone());
        let attributes = shown_file(&place, &fstat(file)?);
        if crash::fault("close-unlinked") {
            rename()?;
            return sync().map_err(|_| unconfirmed());
        }
        let entry = self.link_into_spool(file, key, folder)?;
        crash::point(points.linked);
        let spool = &self.premises.spool_syncs;
        let synced = spool.run(|| disk::sync_folder(&self.spool).map_err(|error| errno(&error)));
        if let Err(error) = synced {
            tracing::debug!(%error, "failed to sync the spool");
            // Whether the link was on disk, and whether its removal will be, nobody can say.
            let _ = self.take_back(&entry);
            return Err(unconfirmed());
        }
        crash::point(points.spool_synced);
        if let Err(error) = rename() {
            let taken_back = self.take_back(&entry);
            return Err(taken_back.map_or_else(|_| unconfirmed(), |()| error.into()));
        }
        crash::point(points.renamed);
        // Before the daemon can know of it: a name may go before its close is answered.
        let ghosts = &self.premises.ghosts;
        ghosts.remember(key, attributes.clone(), clock::steady());
        if let Err(error) = entry.show() {
            tracing::debug!(%error, "failed to show a spool entry");
            self.premises.unshown.remember(entry);
            return Err(unconfirmed());
        }
        self.arrived.notify_one();
        crash::point(points.shown);
        sync().map_err(|error| {
            tracing::debug!(%error, "failed to sync a drop folder");
            unconfirmed()
        })?;
        crash::point(points.folder_synced);
        // The time that a ghost has begins with the answer.
        ghosts.remember(key, attributes, clock::steady());
        Ok(())
    }

    /// Links the inode into the spool under a new batch id.
    fn link_into_spool(
        &self,
        file: &File,
        key: &Key,
        folder: DropFolder,
    ) -> Result<Entry, Refusal> {
        disk::make_folder(&self.spool)?;
        for _ in 0..ID_TRIES {
            let name = SpoolName {
                batch: BatchId::new(clock::now(), fastrand::u64(..)),
                folder,
                name: key.name.as_str().to_owned(),
            };
            let entry = Entry {
                hidden: self.spool.join(format!("{LINK_PREFIX}{name}")),
                name: self.spool.join(name.to_string()),
            };
            if entry.name.exists() {
                continue;
            }
            match disk::link_open_file(file, &entry.hidden) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error.into()),
                Ok(()) => return Ok(entry),
            }
        }
        Err(Refusal::failure("no batch id was free; try again"))
    }

    /// Removes a link from the spool whose file did not get its name.
    fn take_back(&self, entry: &Entry) -> io::Result<()> {
        std::fs::remove_file(&entry.hidden)?;
        disk::sync_folder(&self.spool)
    }
}

impl Entry {
    /// Shows it to the daemon. This need not be on disk before the close is answered: a start shows
    /// whatever entry a crash has left hidden.
    pub(super) fn show(&self) -> Result<(), Errno> {
        renameat_with(CWD, &self.hidden, CWD, &self.name, RenameFlags::NOREPLACE)
    }
}

/// What the system said, as far as it was the system that said it.
fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
