//! How an upload begins: which file is written to, and whether there is room for it. How it ends is
//! for `closing` to know.
//!
//! An upload is written under a hidden name in its own folder, so that nobody takes half a file for
//! a whole one.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, RenameFlags, SeekFrom, Stat, openat, renameat_with};

use super::clock;
use super::extents::Extents;
use super::files::{Tree, bytes_of, find, hidden, open_file, unlink_if_there};
use super::jail::{Folder, Place};
use super::packet::OpenFlags;
use super::refusal::{Refusal, taken};
use super::uploads::{Before, EndWanted, Key, Terms, Upload};
use super::usage::{Beginning, Charge};

/// What lies under the two names of an upload.
struct Found {
    partial: Option<Stat>,
    visible: Option<Stat>,
}

/// What is to be done with what was found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Course {
    Resume,
    New(EndWanted),
}

impl Tree {
    /// Opens a file to be written. Whoever was writing to the name before is cut off.
    pub(super) fn begin_upload(
        &self,
        place: &Place,
        flags: OpenFlags,
    ) -> Result<Arc<Upload>, Refusal> {
        let key = self.upload_key(place)?;
        self.count_if_old()?;
        let _held = self.uploads.hold(&key);
        let folder = self.folder(Folder::Inlet(key.folder))?;
        let found = Found {
            partial: find(&folder, &hidden(&key.name))?,
            visible: find(&folder, key.name.as_str())?,
        };
        let course = found.course(&key, flags)?;
        self.uploads.disk.look(&folder)?;
        let charge = self.charge(&key, &found, course)?;
        let begun = match self.file_to_write(&key, &folder, (&found, course)) {
            Ok(begun) => begun,
            Err(refusal) => {
                charge.end();
                self.premises.usage.doubt();
                return Err(refusal);
            }
        };
        // From here on the name stands for this upload.
        self.premises.ghosts.forget(&key, clock::steady());
        let terms = Terms {
            end_wanted: match course {
                Course::New(end_wanted) => end_wanted,
                Course::Resume => EndWanted::No,
            },
            before: match (&found.partial, &found.visible) {
                (None, Some(_)) if course == Course::Resume => Before::Whole,
                _ => Before::Part,
            },
            quota: self.quota,
        };
        let upload = self.uploads.begin(begun, charge, terms)?;
        if flags.has(OpenFlags::APPEND) {
            upload.append();
        }
        Ok(upload)
    }

    /// Takes room for the upload among the tenant's files.
    fn charge(&self, key: &Key, found: &Found, course: Course) -> Result<Charge, Refusal> {
        let partial = found.partial.as_ref().map(bytes_of);
        let visible = found.visible.as_ref().map(bytes_of);
        let beginning = match course {
            Course::Resume => Beginning::Resumed(partial.or(visible).unwrap_or_default()),
            Course::New(_) => Beginning::New(partial),
        };
        let usage = &self.premises.usage;
        self.with_room(|| Ok(usage.begin(key, beginning, self.quota)?))
    }

    /// The file to write to, and what of it is written.
    fn file_to_write(
        &self,
        key: &Key,
        folder: &OwnedFd,
        (found, course): (&Found, Course),
    ) -> Result<(File, Extents), Refusal> {
        let hidden = hidden(&key.name);
        let written_before = self.uploads.supersede(key);
        if course != Course::Resume {
            unlink_if_there(folder, &hidden)?;
            return Ok((create_file(folder, &hidden)?, Extents::default()));
        }
        if found.partial.is_none() {
            let name = key.name.as_str();
            renameat_with(folder, name, folder, &hidden, RenameFlags::NOREPLACE)?;
        }
        let file = open_file(folder, &hidden, OFlags::RDWR)?;
        let written = match written_before {
            // A client that comes back goes by the size it is shown, so that has to be what is
            // whole: neither a size that was set ahead nor what lies beyond a hole.
            Some(written) => cut_at(&file, written.whole_from_start())?,
            None => cut_at_first_hole(&file)?,
        };
        Ok((file, written))
    }
}

impl Found {
    fn course(&self, key: &Key, flags: OpenFlags) -> Result<Course, Refusal> {
        let is_there = self.partial.is_some() || self.visible.is_some();
        if !is_there && !flags.has(OpenFlags::CREATE) {
            return Err(Refusal::no_such_file());
        }
        if is_there && flags.has(OpenFlags::CREATE) && flags.has(OpenFlags::EXCLUSIVE) {
            return Err(Refusal::failure("a file of this name exists"));
        }
        if !is_there || flags.has(OpenFlags::TRUNCATE) {
            return Ok(Course::New(EndWanted::No));
        }
        match (&self.partial, &self.visible) {
            // A close that failed half-way left its link in the spool: these bytes stay as they
            // are.
            (Some(partial), _) if partial.st_nlink > 1 => Ok(Course::New(EndWanted::No)),
            (None, Some(visible)) if is_taken(key, visible) => {
                // scp writes whole files without asking for a new one; it sets the size at the end.
                if flags.0 != OpenFlags::WRITE | OpenFlags::CREATE {
                    return Err(taken());
                }
                Ok(Course::New(EndWanted::Yes))
            }
            _ => Ok(Course::Resume),
        }
    }
}

/// Whether the bytes under this visible name belong to a batch, or to one that will be. An empty
/// file is none: some clients make it first and write to it later.
fn is_taken(key: &Key, visible: &Stat) -> bool {
    visible.st_nlink > 1 || key.counts().is_some() && visible.st_size > 0
}

fn create_file(folder: impl AsFd, name: &str) -> Result<File, Refusal> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(folder, name, flags, Mode::from_raw_mode(0o640))?.into())
}

/// A partial file whose writer died with the daemon may have holes that nobody remembers.
fn cut_at_first_hole(file: &File) -> Result<Extents, Refusal> {
    let size = file.metadata()?.len();
    let whole = match rustix::fs::seek(file, SeekFrom::Hole(0)) {
        Ok(hole) => hole.min(size),
        // An empty file has no bytes at all to seek from, and some file systems tell no holes.
        Err(_) => size,
    };
    cut_at(file, whole)
}

fn cut_at(file: &File, whole: u64) -> Result<Extents, Refusal> {
    if whole < file.metadata()?.len() {
        file.set_len(whole)?;
    }
    Ok(Extents::of(whole))
}
