//! Old files of a tenant are removed: by their batch, or by when they were written if they belong
//! to none. Nothing is reached through a link, and no folder is removed.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::PoisonError;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::fs::{fsync, openat, statat, unlinkat};
use rustix::io::Errno;

use super::super::publishing::{Error, Office};
use crate::batch::{BatchId, Moment};
use crate::delivery::retention::Kept;
use crate::disk::{HIDDEN_PREFIX, Root, UPLOAD_PREFIX};
use crate::inbox::Inbox;
use crate::store::Aged;

/// The folders whose files go, beneath `whatsapp/`, and with what.
pub(super) const FOLDERS: [(Kept, &str); 3] = [
    (Kept::Processed, "processed"),
    (Kept::Results, "results"),
    (Kept::Results, "errors"),
];

/// How the name of a status ends.
const STATUS_END: &str = ".status.json";

/// A status is not longer.
const STATUS_BYTES_MAX: u64 = 16 << 20;

/// Old files of one folder that are looked at in one go; the others come with a later look.
const STRAYS_MAX: usize = 100_000;

/// The folder of files that messages name, beneath `whatsapp/`.
const MEDIA: &str = "media";

/// How long an upload there that nobody goes on with is kept, as in drop folders.
const ABANDONED_MS: i64 = 24 * 60 * 60 * 1_000;

/// What came of removing the files of some batches.
#[derive(Debug, Default)]
pub(super) struct Removed {
    /// How many files have gone.
    pub(super) files: u64,
    /// Batches of which a file stays, and why.
    pub(super) stay: Vec<(BatchId, Error)>,
}

/// One folder of a tenant, opened.
struct Folder {
    opened: OwnedFd,
    name: &'static str,
}

/// Removes uploads of files that messages name which nobody has gone on with for a day.
pub(super) fn remove_abandoned(office: &Office, now: Moment) -> Result<(), Error> {
    let folder = Folder::open(office, MEDIA)?;
    let until = now.plus_ms(-ABANDONED_MS).as_millis() / 1_000;
    let mut entries = Dir::read_from(&folder.opened).map_err(io::Error::from)?;
    while let Some(entry) = entries.read() {
        let entry = entry.map_err(io::Error::from)?;
        let name = entry.file_name().to_string_lossy();
        if !name.starts_with(UPLOAD_PREFIX) {
            continue;
        }
        let stat = statat(&folder.opened, &*name, AtFlags::SYMLINK_NOFOLLOW);
        if stat.is_ok_and(|stat| is_file(&stat) && stat.st_mtime < until) {
            folder.remove(&name)?;
        }
    }
    Ok(())
}

fn is_file(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

impl Folder {
    fn open(office: &Office, name: &'static str) -> Result<Self, Error> {
        let opened = Root::open(&office.desk.root).and_then(|root| {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            let path = format!("whatsapp/{name}");
            root.open_beneath(OsStr::new(&path), flags, Mode::empty())
        });
        let opened = opened.map_err(|error| failed(office, name, error))?;
        Ok(Self { opened, name })
    }

    /// Removes a file; says whether there was one.
    fn remove(&self, name: &str) -> io::Result<bool> {
        match unlinkat(&self.opened, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes the status that tells of one of these batches. Nobody writes a status meanwhile, so
    /// that of a newer file of the name stays.
    fn remove_status(
        &self,
        office: &Office,
        (name, is_old): (&str, &dyn Fn(&BatchId) -> bool),
    ) -> io::Result<bool> {
        let alone = office.statuses.write();
        let _alone = alone.unwrap_or_else(PoisonError::into_inner);
        match told_batch(&self.opened, name)? {
            Some(batch) if is_old(&batch) => self.remove(name),
            _ => Ok(false),
        }
    }

    fn sync(&self, office: &Office) -> Result<(), Error> {
        fsync(&self.opened).map_err(|error| failed(office, self.name, error.into()))
    }
}

/// Removes the files of `kept` that these batches have.
pub(super) fn remove(
    office: &Office,
    inbox: &Inbox,
    kept: Kept,
    claimed: &[Aged],
) -> Result<Removed, Error> {
    let mut removed = Removed::default();
    let folders = FOLDERS.into_iter().filter(|(whose, _)| *whose == kept);
    let folders = folders.map(|(_, name)| Folder::open(office, name));
    let folders = folders.collect::<Result<Vec<_>, _>>()?;
    for aged in claimed {
        // The spool's link would keep the bytes, if the end of the batch had not removed it.
        let released = inbox.release(&aged.arrival).map_err(Error::from);
        let went = released.and_then(|()| {
            let each = folders.iter().map(|folder| {
                let gone = remove_of_batch(office, folder, aged);
                gone.map_err(|error| failed(office, folder.name, error))
            });
            each.sum::<Result<u64, Error>>()
        });
        match went {
            Ok(files) => removed.files += files,
            Err(error) => removed.stay.push((aged.arrival.batch.clone(), error)),
        }
    }
    // Before anybody notes that they have gone.
    folders.iter().try_for_each(|folder| folder.sync(office))?;
    Ok(removed)
}

fn remove_of_batch(office: &Office, folder: &Folder, aged: &Aged) -> io::Result<u64> {
    let mut gone = 0;
    for path in &aged.paths {
        if let Some((place, name)) = path.split_once('/')
            && place == folder.name
        {
            gone += u64::from(folder.remove(name)?);
        }
    }
    if folder.name == "results" {
        let (batch, name) = (&aged.arrival.batch, &aged.arrival.name);
        gone += u64::from(folder.remove(&format!("{batch}.{name}{STATUS_END}"))?);
        let of_name = format!("{name}{STATUS_END}");
        let is_old = |told: &BatchId| told == batch;
        gone += u64::from(folder.remove_status(office, (&of_name, &is_old))?);
    }
    Ok(gone)
}

/// Old files in one folder, with the batch that each says to belong to.
#[derive(Debug)]
pub(super) struct Strays {
    folder: &'static str,
    files: Vec<(String, Option<BatchId>)>,
}

impl Strays {
    /// The files that were last written to until this moment.
    pub(super) fn find(
        office: &Office,
        folder: &'static str,
        until: Moment,
    ) -> Result<Self, Error> {
        let opened = Folder::open(office, folder)?.opened;
        let failed = |error: Errno| failed(office, folder, error.into());
        let mut files = Vec::new();
        let mut entries = Dir::read_from(&opened).map_err(failed)?;
        while let Some(entry) = entries.read() {
            let entry = entry.map_err(failed)?;
            // Hidden names are somebody's work under way; names that are no text are not ours.
            let name = entry.file_name().to_str().unwrap_or(HIDDEN_PREFIX);
            if name.starts_with('.') || !is_old_file(&opened, name, until) {
                continue;
            }
            files.push((name.to_owned(), batch_of(&opened, name)));
            if files.len() == STRAYS_MAX {
                break;
            }
        }
        Ok(Self { folder, files })
    }

    /// The batches that they say to belong to.
    pub(super) fn batches(&self) -> Vec<BatchId> {
        let batches = self.files.iter().filter_map(|(_, batch)| batch.clone());
        let unique: HashSet<BatchId> = batches.collect();
        unique.into_iter().collect()
    }

    /// Leaves alone what belongs to these batches: it goes with them.
    pub(super) fn spare(&mut self, batches: &HashSet<BatchId>) {
        self.files
            .retain(|(_, batch)| batch.as_ref().is_none_or(|it| !batches.contains(it)));
    }

    /// Removes the rest; returns how many there were.
    pub(super) fn remove(self, office: &Office) -> Result<u64, Error> {
        let folder = Folder::open(office, self.folder)?;
        let mut gone = 0;
        for (name, batch) in &self.files {
            let removed = match batch {
                Some(batch) if name.ends_with(STATUS_END) => {
                    let is_old = |told: &BatchId| told == batch;
                    folder.remove_status(office, (name, &is_old))
                }
                _ => folder.remove(name),
            };
            gone += u64::from(removed.map_err(|error| failed(office, self.folder, error))?);
        }
        folder.sync(office)?;
        Ok(gone)
    }
}

fn is_old_file(folder: impl AsFd, name: &str, until: Moment) -> bool {
    let Ok(stat) = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else {
        return false;
    };
    let seconds_ms = stat.st_mtime.saturating_mul(1_000);
    let written_at = seconds_ms.saturating_add(stat.st_mtime_nsec as i64 / 1_000_000);
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
        && Moment::from_millis(written_at) <= until
}

/// The batch that a file belongs to: what a status says itself, for others their names.
fn batch_of(folder: impl AsFd, name: &str) -> Option<BatchId> {
    let named = || BatchId::parse(name.get(..BatchId::LENGTH)?);
    if name.ends_with(STATUS_END) {
        return told_batch(folder, name).ok().flatten().or_else(named);
    }
    named()
}

/// The batch that a status tells of; `None` if it cannot be told.
fn told_batch(folder: impl AsFd, name: &str) -> io::Result<Option<BatchId>> {
    #[derive(serde::Deserialize)]
    struct Told {
        batch: String,
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match openat(folder, name, flags, Mode::empty()) {
        Ok(file) => std::fs::File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut text = Vec::new();
    file.take(STATUS_BYTES_MAX).read_to_end(&mut text)?;
    let told: Option<Told> = serde_json::from_slice(&text).ok();
    Ok(told.and_then(|told| BatchId::parse(&told.batch)))
}

fn failed(office: &Office, folder: &str, source: io::Error) -> Error {
    let path = office.folder.join(Path::new(folder));
    Error::Remove { path, source }
}
