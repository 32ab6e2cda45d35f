//! A local job's file comes into the spool: as a copy, or as a note that it is refused. Whether it
//! is finished is for `settle` to know.
//!
//! A local file is never linked, because whoever owns it may write on. Its copy is synced under a
//! hidden name and gets its name in the spool only if the file looks the same after as before; that
//! name says of which file it is a copy, so that also after a crash nobody takes it again.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, RenameFlags, Stat, fstat, renameat_with};
use rustix::io::Errno;

use super::drops::{Drops, look, open_file};
use super::sweep::Found;
use super::{Error, Inbox, fault};
use crate::batch::name::SpoolName;
use crate::batch::origin::{Origin, SpoolEntry, Unread};
use crate::batch::{BatchId, TenantName};
use crate::{clock, crash, disk};

/// How the hidden name begins of a file that is on its way into the spool; its batch follows.
const COMING_PREFIX: &str = ".dropcast-copy.";

/// Ids are random within a second; so many in a row are never all taken.
const ID_TRIES: usize = 16;

/// What came of taking a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taking {
    /// It is in the spool, as this batch.
    Spooled(BatchId),
    /// It is not what was seen any more, or gone: it has to settle anew.
    Changed,
    /// It may not be read.
    Denied,
}

impl Inbox {
    /// Copies a file of a local job into the spool and returns once the copy is on disk.
    pub fn copy(&self, tenant: &TenantName, drops: &Drops, found: &Found) -> Result<Taking, Error> {
        let path = drops.path(found.folder).join(&found.name);
        let failed = |source| fault("read", &path, source);
        let file = match open_file(drops.folder(found.folder)?, &found.name) {
            Ok(file) => file,
            Err(error) => return denied(error).map_err(failed),
        };
        if !is_as_seen(&file, found).map_err(failed)? {
            return Ok(Taking::Changed);
        }
        let coming = Coming::begin(&self.new_folder().join(tenant.as_str()))?;
        // One byte more would show that it has grown, and a file that grows must not fill the disk.
        let mut bounded = (&file).take(found.look.size_bytes + 1);
        let copied = io::copy(&mut bounded, &mut (&coming.file))
            .map_err(|source| fault("copy", &path, source))?;
        coming.sync()?;
        crash::point("local-copied");
        let is_same =
            copied == found.look.size_bytes && is_as_seen(&file, found).map_err(failed)?;
        if !is_same {
            return Ok(Taking::Changed);
        }
        coming.arrive(found, Origin::Copied(found.look.identity))
    }

    /// Notes in the spool that a file is refused, and returns once that is on disk. The file stays
    /// where it is until its batch ends.
    pub fn refuse_unread(
        &self,
        tenant: &TenantName,
        found: &Found,
        reason: Unread,
    ) -> Result<Taking, Error> {
        let coming = Coming::begin(&self.new_folder().join(tenant.as_str()))?;
        write!(&coming.file, "{}", found.look.size_bytes)
            .map_err(|source| fault("write", &coming.path, source))?;
        coming.sync()?;
        coming.arrive(found, Origin::Unread(reason, found.look.identity))
    }
}

/// The size that a note of [`Inbox::refuse_unread`] tells.
pub(super) fn noted_size(path: &Path) -> io::Result<u64> {
    const DIGITS_MAX: u64 = 20;
    let mut text = String::new();
    File::open(path)?
        .take(DIGITS_MAX)
        .read_to_string(&mut text)?;
    Ok(text.parse().unwrap_or(0))
}

/// Removes what a crash left half-way into the spool; the files themselves lie where they were.
pub(super) fn remove_coming(folder: &Path) -> Result<(), Error> {
    let failed = |source| fault("clean", folder, source);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if name
            .as_encoded_bytes()
            .starts_with(COMING_PREFIX.as_bytes())
        {
            fs::remove_file(entry.path()).map_err(failed)?;
        }
    }
    Ok(())
}

/// A file on its way into the spool, under a hidden name that goes when it does not get there.
#[derive(Debug)]
struct Coming {
    batch: BatchId,
    path: PathBuf,
    file: File,
}

impl Coming {
    fn begin(folder: &Path) -> Result<Self, Error> {
        for _ in 0..ID_TRIES {
            let batch = BatchId::new(clock::now(), fastrand::u64(..));
            let path = folder.join(format!("{COMING_PREFIX}{batch}"));
            match File::create_new(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(fault("make", &path, source)),
                Ok(file) => return Ok(Self { batch, path, file }),
            }
        }
        let exists = io::ErrorKind::AlreadyExists.into();
        Err(fault("make a file with a free id in", folder, exists))
    }

    fn sync(&self) -> Result<(), Error> {
        self.file
            .sync_all()
            .map_err(|source| fault("sync", &self.path, source))
    }

    fn arrive(self, found: &Found, origin: Origin) -> Result<Taking, Error> {
        let name = SpoolName {
            batch: self.batch.clone(),
            folder: found.folder,
            name: found.name.clone(),
        };
        let entry = SpoolEntry { name, origin }.to_string();
        let failed = |source| fault("name", &self.path, source);
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let opened = File::open(folder).map_err(failed)?;
        let hidden = self.path.file_name().unwrap_or_default();
        let flags = RenameFlags::NOREPLACE;
        renameat_with(&opened, hidden, &opened, entry.as_str(), flags)
            .map_err(|error| failed(error.into()))?;
        disk::sync_folder(folder).map_err(failed)?;
        crash::point("local-spooled");
        Ok(Taking::Spooled(self.batch.clone()))
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        // What has arrived has nothing under this name any more.
        let _ = fs::remove_file(&self.path);
    }
}

fn is_as_seen(file: impl AsFd, found: &Found) -> io::Result<bool> {
    let stat: Stat = fstat(file)?;
    let is_regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    Ok(is_regular && look(&stat) == found.look)
}

/// What it means that a file could not be opened.
fn denied(error: io::Error) -> io::Result<Taking> {
    match Errno::from_io_error(&error) {
        Some(Errno::ACCESS | Errno::PERM) => Ok(Taking::Denied),
        // It is gone, or something else has its name by now.
        Some(Errno::NOENT | Errno::LOOP | Errno::NXIO | Errno::NODEV) => Ok(Taking::Changed),
        _ => Err(error),
    }
}
