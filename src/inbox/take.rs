//! A local job's file comes into the spool: as a copy, or as a note that it is refused. Whether it
//! is finished is for `settle` to know.
//!
//! Of the disk so much is kept free that what is in hand can be finished. A file that has had only
//! its times set since it was copied is still the file that was copied.
//!
//! A local file is never linked, because whoever owns it may write on. Its copy is synced under a
//! hidden name and gets its name in the spool only if the file looks the same after as before; that
//! name says of which file it is a copy, so that also after a crash nobody takes it again.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, RenameFlags, Stat, fstat, renameat_with};
use rustix::io::Errno;

use super::drops::{Drops, find, look, open_file};
use super::sweep::Found;
use super::taken::taken;
use super::{Error, Inbox, arrivals, fault};
use crate::batch::name::SpoolName;
use crate::batch::origin::{Origin, SpoolEntry, Unread};
use crate::batch::{BatchId, TenantName};
use crate::disk::room::Room;
use crate::{clock, crash, disk};

/// How the hidden name begins of a file that is on its way into the spool; its batch follows.
const COMING_PREFIX: &str = ".dropcast-copy.";

/// Ids are random within a second; so many in a row are never all taken.
const ID_TRIES: usize = 16;

/// The disk is looked at whenever so much has been copied.
const LOOK_BYTES: u64 = 4 << 20;

/// What is read at once of files that are compared.
const BLOCK_BYTES: usize = 128 << 10;

/// What came of taking a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taking {
    /// It is in the spool, as this batch.
    Spooled(BatchId),
    /// It is not what was seen any more, or gone: it has to settle anew.
    Changed,
    /// It was copied before, and only its times were set since.
    Known,
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
        let not_copied = |source| fault("copy", &path, source);
        let spool = self.new_folder().join(tenant.as_str());
        self.need_room(&file_in(&spool)?, found.look.size_bytes)
            .map_err(not_copied)?;
        let coming = Coming::begin(&spool)?;
        let copied = self
            .fill(&coming, &file, found.look.size_bytes)
            .map_err(not_copied)?;
        coming.sync()?;
        crash::point("local-copied");
        let is_same =
            copied == found.look.size_bytes && is_as_seen(&file, found).map_err(failed)?;
        if !is_same {
            return Ok(Taking::Changed);
        }
        coming.arrive(found, Origin::Copied(found.look.identity))
    }

    /// Whether a file of which the spool holds a copy is still that file: its owner has set its
    /// times and written nothing, or the same again.
    pub fn has_copy(
        &self,
        tenant: &TenantName,
        drops: &Drops,
        found: &Found,
    ) -> Result<bool, Error> {
        let path = drops.path(found.folder).join(&found.name);
        let failed = |source| fault("read", &path, source);
        let Ok(file) = open_file(drops.folder(found.folder)?, &found.name) else {
            return Ok(false);
        };
        // An entry goes from the first to the second.
        for part in [&self.new, &self.held] {
            for arrival in arrivals(part, tenant)? {
                let is_like = matches!(arrival.origin, Origin::Copied(identity)
                    if identity.inode == found.look.identity.inode)
                    && arrival.size_bytes == found.look.size_bytes;
                if is_like
                    && let Ok(copy) = self.file(&arrival)
                    && same_bytes(&file, &copy).map_err(failed)?
                {
                    return is_as_seen(&file, found).map_err(failed);
                }
            }
        }
        Ok(false)
    }

    /// Notes in the spool that a file is refused, and returns once that is on disk. The file stays
    /// where it is until its batch ends.
    pub fn refuse_unread(
        &self,
        tenant: &TenantName,
        drops: &Drops,
        (found, reason): (&Found, Unread),
    ) -> Result<Taking, Error> {
        let coming = Coming::begin(&self.new_folder().join(tenant.as_str()))?;
        write!(&coming.file, "{}", found.look.size_bytes)
            .map_err(|source| fault("write", &coming.path, source))?;
        coming.sync()?;
        // It may have waited for its turn, and its owner may have gone on with it through the
        // door, which puts a file into the spool before its new name is seen.
        let still = find(drops.folder(found.folder)?, &found.name).map(|stat| look(&stat));
        if still != Some(found.look) || taken(self, tenant)?.has(&found.look) {
            return Ok(Taking::Changed);
        }
        coming.arrive(found, Origin::Unread(reason, found.look.identity))
    }

    /// Copies a file up to one byte more than it had, which shows that it has grown: one that grows
    /// must not fill the disk. Others fill it at the same time, so it is looked at now and then.
    fn fill(&self, coming: &Coming, file: &File, size_bytes: u64) -> io::Result<u64> {
        let mut copied = 0;
        while copied <= size_bytes {
            let block = (size_bytes + 1 - copied).min(LOOK_BYTES);
            self.need_room(&coming.file, block.min(size_bytes - copied))?;
            let length = io::copy(&mut file.take(block), &mut (&coming.file))?;
            copied += length;
            if length < block {
                break;
            }
        }
        Ok(copied)
    }

    fn need_room(&self, file: &File, size_bytes: u64) -> io::Result<()> {
        let room = Room::on_disk_of(file, self.reserve)?;
        if room.bytes < size_bytes || room.files == 0 {
            let full = io::ErrorKind::StorageFull;
            return Err(io::Error::new(full, "the disk is nearly full"));
        }
        Ok(())
    }
}

/// Whether two files hold the same bytes. Neither is moved on, so that others may read them too.
pub(super) fn same_bytes(one: &File, other: &File) -> io::Result<bool> {
    let (mut here, mut there) = (vec![0; BLOCK_BYTES], vec![0; BLOCK_BYTES]);
    let mut at = 0;
    loop {
        let length = one.read_at(&mut here, at)?;
        if length == 0 {
            return Ok(other.read_at(&mut there[..1], at)? == 0);
        }
        match other.read_exact_at(&mut there[..length], at) {
            Ok(()) if here[..length] == there[..length] => at += length as u64,
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
            _ => return Ok(false),
        }
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

fn file_in(folder: &Path) -> Result<File, Error> {
    File::open(folder).map_err(|source| fault("open", folder, source))
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
