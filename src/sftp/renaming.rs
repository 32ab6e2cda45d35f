//! Renames within the folders that a tenant writes to. A name that begins to count is an arrival,
//! just as a close is.

use std::fs::File;
use std::os::fd::OwnedFd;

use rustix::fs::{OFlags, RenameFlags, Stat, fstat, renameat, renameat_with};
use rustix::io::Errno;

use super::clock;
use super::files::{Tree, bytes_of, find, hidden, open_file, unlink_if_there};
use super::jail::{Folder, Place};
use super::refusal::{Refusal, unconfirmed};
use super::spooling::Points;
use super::uploads::Key;
use super::usage::Seen;
use crate::batch::name::DropFolder;
use crate::crash;

const POINTS: Points = Points {
    linked: "rename-linked",
    spool_synced: "rename-spool-synced",
    renamed: "rename-moved",
    shown: "rename-shown",
    folder_synced: "rename-folder-synced",
};

/// What a rename may find at its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Onto {
    /// Nothing, or it is refused.
    Nothing,
    /// A file, which it replaces.
    Anything,
}

/// One end of a rename.
struct End {
    key: Key,
    folder: OwnedFd,
    seen: Seen,
    partial: Option<Stat>,
    visible: Option<Stat>,
}

impl End {
    fn is_there(&self) -> bool {
        self.partial.is_some() || self.visible.is_some()
    }

    fn name(&self) -> &str {
        self.key.name.as_str()
    }

    fn hidden(&self) -> String {
        hidden(&self.key.name)
    }
}

impl Tree {
    /// Renames a file within the folders that its tenant writes to.
    pub(super) fn rename(&self, from: &Place, to: &Place, onto: Onto) -> Result<(), Refusal> {
        let (from, to) = (self.upload_key(from)?, self.upload_key(to)?);
        let _held = self.uploads.hold_both(&from, &to);
        let (from, to) = (self.end(from)?, self.end(to)?);
        if self.uploads.is_open(&from.key) || self.uploads.is_open(&to.key) {
            return Err(Refusal::failure("this file is still being written"));
        }
        let exists = || Err(Refusal::failure("a file of this name exists"));
        let (ghosts, now) = (&self.premises.ghosts, clock::steady());
        if !from.is_there() {
            // The batch of a ghost has ended, and no file may be lost for its name.
            if to.is_there() && ghosts.look(&from.key, now).is_some() {
                return exists();
            }
            if !ghosts.relabel(&from.key, &to.key, now) {
                return Err(Refusal::no_such_file());
            }
            return Ok(());
        }
        if from.key == to.key {
            return Ok(());
        }
        if onto == Onto::Nothing && to.is_there() {
            return exists();
        }
        if from.partial.is_some() {
            self.rename_partial(&from, &to)?;
        } else {
            self.rename_visible(&from, &to, onto)?;
        }
        ghosts.forget(&from.key, now);
        Ok(())
    }

    fn end(&self, key: Key) -> Result<End, Refusal> {
        let folder = self.folder(Folder::Inlet(key.folder))?;
        Ok(End {
            seen: self.premises.usage.seen(),
            partial: find(&folder, &hidden(&key.name))?,
            visible: find(&folder, key.name.as_str())?,
            folder,
            key,
        })
    }

    /// Renames an unfinished upload, which stays one.
    fn rename_partial(&self, from: &End, to: &End) -> Result<(), Refusal> {
        if to.key.counts().is_some() {
            return Err(Refusal::failure(
                "this upload was not finished; resume it or upload it again",
            ));
        }
        let usage = &self.premises.usage;
        if let Some(replaced) = &to.visible
            && unlink_if_there(&to.folder, to.name())?
        {
            usage.gone(to.seen, bytes_of(replaced));
        }
        renameat(&from.folder, from.hidden(), &to.folder, to.hidden())?;
        usage.moved(from.partial.as_ref().map_or(0, bytes_of));
        if let Some(replaced) = &to.partial {
            usage.gone(to.seen, bytes_of(replaced));
        }
        self.premises.ghosts.forget(&to.key, clock::steady());
        self.sync_ends(from, to).map_err(|_| unconfirmed())
    }

    fn rename_visible(&self, from: &End, to: &End, onto: Onto) -> Result<(), Refusal> {
        let found = from.visible.as_ref().ok_or_else(Refusal::no_such_file)?;
        let flags = match onto {
            Onto::Nothing => RenameFlags::NOREPLACE,
            Onto::Anything => RenameFlags::empty(),
        };
        let rename = || {
            renameat_with(&from.folder, from.name(), &to.folder, to.name(), flags)?;
            self.premises.usage.moved(bytes_of(found));
            if let Some(replaced) = &to.visible {
                self.premises.usage.gone(to.seen, bytes_of(replaced));
            }
            self.clear_partial(to)
        };
        let sync = || self.sync_ends(from, to);
        if let Some((file, folder)) = self.arriving(from, to)? {
            file.sync_all()?;
            crash::point("rename-synced");
            return self.take((&file, &to.key, folder), rename, sync, &POINTS);
        }
        rename()?;
        crash::point(POINTS.renamed);
        self.premises.ghosts.forget(&to.key, clock::steady());
        sync().map_err(|_| unconfirmed())?;
        crash::point(POINTS.folder_synced);
        self.tell_if_it_steers(&to.key);
        Ok(())
    }

    /// The file that this rename makes a batch, if it does. Not when the file is one already: its
    /// spool entry, or what became of it, is a further link. Not when it is empty. And only when
    /// the door has finished it: a local writer's file may be written on, and may have been taken
    /// by copy; the inbox hears of it and sees to it.
    fn arriving(&self, from: &End, to: &End) -> Result<Option<(File, DropFolder)>, Refusal> {
        let Some(folder) = to.key.counts().filter(|_| from.key.counts().is_none()) else {
            return Ok(None);
        };
        let file = open_file(&from.folder, from.name(), OFlags::RDONLY)?;
        let found = fstat(&file)?;
        let is_ours = self.premises.finished.has(&found);
        let arrives = is_ours && found.st_nlink == 1 && found.st_size > 0;
        Ok(arrives.then_some((file, folder)))
    }

    /// An abandoned upload to the target would hide the file that lies there.
    fn clear_partial(&self, to: &End) -> Result<(), Errno> {
        let Some(partial) = &to.partial else {
            return Ok(());
        };
        if unlink_if_there(&to.folder, &to.hidden())? {
            self.premises
                .usage
                .partial_gone(&to.key, to.seen, bytes_of(partial));
        }
        Ok(())
    }

    fn sync_ends(&self, from: &End, to: &End) -> Result<(), Errno> {
        self.sync_drop_folder(to.key.folder, &to.folder)?;
        if from.key.folder != to.key.folder {
            self.sync_drop_folder(from.key.folder, &from.folder)?;
        }
        Ok(())
    }
}
