//! How an upload ends: what makes it whole on disk before its close is answered. How it reaches the
//! spool is for `spooling` to know.

use std::os::fd::OwnedFd;

use rustix::fs::{Stat, fstat, renameat};

use super::files::{Tree, bytes_of, find, hidden, unlink_if_there};
use super::jail::Folder;
use super::refusal::{Refusal, superseded, taken, unconfirmed};
use super::spooling::Points;
use super::uploads::{Key, Upload};
use crate::crash;

const POINTS: Points = Points {
    linked: "close-linked",
    spool_synced: "close-spool-synced",
    renamed: "close-renamed",
    shown: "close-shown",
    folder_synced: "close-folder-synced",
};

impl Tree {
    /// Closes an upload. When this returns without a refusal, the file is on disk under its name,
    /// and in the spool if its name counts and it holds anything.
    pub(super) fn finish_upload(&self, upload: &Upload) -> Result<(), Refusal> {
        if let Err(refusal) = upload.seal() {
            if refusal == taken() {
                // What was written is no beginning of anything that could be resumed.
                self.discard(upload)?;
            }
            return Err(refusal);
        }
        crash::point("close-sealed");
        let key = &upload.key;
        // Before the name is held, since this is what takes long.
        let synced = upload.file.sync_all();
        crash::point("close-synced");
        let _held = self.uploads.hold(key);
        let folder = self.folder(Folder::Inlet(key.folder))?;
        let hidden = hidden(&key.name);
        let ours = find(&folder, &hidden)?.filter(|it| is_same(it, upload));
        let Some(ours) = ours.filter(|_| upload.still_owns_its_name()) else {
            return Err(superseded());
        };
        if let Err(error) = synced {
            // A second sync would succeed and mean nothing: the bytes are not to be built upon.
            unlink_if_there(&folder, &hidden)?;
            upload.charge.end();
            return Err(error.into());
        }
        self.give_visible_name((upload, &ours), key, &folder)
    }

    fn give_visible_name(
        &self,
        (upload, ours): (&Upload, &Stat),
        key: &Key,
        folder: &OwnedFd,
    ) -> Result<(), Refusal> {
        let seen = self.premises.usage.seen();
        // Whatever else has this name would stop the rename, after the link is made.
        let replaced = find(folder, key.name.as_str())?;
        let rename = || {
            renameat(folder, hidden(&key.name), folder, key.name.as_str())?;
            upload.charge.rest(|| bytes_of(ours));
            if let Some(replaced) = &replaced {
                self.premises.usage.gone(seen, bytes_of(replaced));
            }
            Ok(())
        };
        let sync = || self.sync_drop_folder(key.folder, folder);
        if let Some(folder) = key.counts().filter(|_| ours.st_size > 0) {
            return self.take((&upload.file, key, folder), rename, sync, &POINTS);
        }
        rename()?;
        self.premises.finished.remember(ours);
        crash::point(POINTS.renamed);
        sync().map_err(|_| unconfirmed())?;
        crash::point(POINTS.folder_synced);
        self.tell_if_it_steers(key);
        Ok(())
    }

    fn discard(&self, upload: &Upload) -> Result<(), Refusal> {
        let key = &upload.key;
        let _held = self.uploads.hold(key);
        if upload.still_owns_its_name() {
            unlink_if_there(self.folder(Folder::Inlet(key.folder))?, &hidden(&key.name))?;
            upload.charge.end();
        }
        Ok(())
    }
}

fn is_same(found: &Stat, upload: &Upload) -> bool {
    fstat(&upload.file).is_ok_and(|open| (open.st_dev, open.st_ino) == (found.st_dev, found.st_ino))
}
