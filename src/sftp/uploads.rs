//! Uploads in progress: who writes to which name, and what has been written. How an upload begins
//! and what makes it whole on disk is for `files` to know.
//!
//! Two rules keep half a file from being taken for a whole one. A name has one writer: a newer open
//! takes the name over, and the older writer's next write or close fails. And whoever changes what
//! a name stands for holds the name while doing it.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::extents::Extents;
use super::jail::Name;
use super::refusal::{Refusal, superseded, taken};
use super::room::Disk;
use super::usage::{Charge, Full};
use super::{Quota, lock};
use crate::batch::TenantName;
use crate::batch::name::DropFolder;

/// How many locks all names share. Two names seldom meet on one, and when they do, one waits.
const LOCKS: usize = 1024;

/// A name in a drop folder of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) tenant: TenantName,
    pub(super) folder: DropFolder,
    pub(super) name: Name,
}

/// The uploads of all sessions; as many entries as there are open handles, at most.
#[derive(Debug)]
pub(super) struct Uploads {
    locks: [Mutex<()>; LOCKS],
    hasher: RandomState,
    open: Mutex<HashMap<Key, Weak<Upload>>>,
    /// The disk that all of them go to.
    pub(super) disk: Disk,
}

impl Uploads {
    pub(super) fn new(disk: Disk) -> Self {
        Self {
            locks: std::array::from_fn(|_| Mutex::new(())),
            hasher: RandomState::new(),
            open: Mutex::new(HashMap::new()),
            disk,
        }
    }

    /// Holds a name: until the guard is dropped nobody else changes what it stands for.
    pub(super) fn hold(&self, key: &Key) -> MutexGuard<'_, ()> {
        lock(&self.locks[self.slot(key)])
    }

    /// Holds two names, which may be one and the same.
    pub(super) fn hold_both(
        &self,
        one: &Key,
        other: &Key,
    ) -> (MutexGuard<'_, ()>, Option<MutexGuard<'_, ()>>) {
        // Always the lower lock first, so that two renames never wait for each other.
        let (one, other) = (self.slot(one), self.slot(other));
        let first = lock(&self.locks[one.min(other)]);
        let second = (one != other).then(|| lock(&self.locks[one.max(other)]));
        (first, second)
    }

    /// Whether somebody is writing to the name.
    pub(super) fn is_open(&self, key: &Key) -> bool {
        lock(&self.open)
            .get(key)
            .is_some_and(|upload| upload.strong_count() > 0)
    }

    /// Ends whatever is being written to the name, and says what of it is there. The caller holds
    /// the name.
    pub(super) fn supersede(&self, key: &Key) -> Option<Extents> {
        let upload = lock(&self.open).remove(key)?.upgrade()?;
        let mut progress = lock(&upload.progress);
        progress.standing = Standing::Superseded;
        Some(progress.extents.clone())
    }

    /// Makes `file` the one that is being written to the charge's name. The caller holds the name
    /// and has ended any other upload to it.
    pub(super) fn begin(
        self: &Arc<Self>,
        (file, written): (File, Extents),
        charge: Charge,
        terms: Terms,
    ) -> io::Result<Arc<Upload>> {
        // Not the end of what is written: a client may have set the size before it writes.
        let size = file.metadata()?.len();
        charge.set(size);
        let key = charge.key().clone();
        let upload = Arc::new(Upload {
            key: key.clone(),
            terms,
            charge,
            progress: Mutex::new(Progress {
                standing: Standing::Open,
                size,
                extents: written,
                end_given: false,
                placing: Placing::ByOffset,
                lacks_bytes: None,
            }),
            file: Arc::new(file),
            uploads: Arc::clone(self),
        });
        lock(&self.open).insert(key, Arc::downgrade(&upload));
        Ok(upload)
    }

    fn slot(&self, key: &Key) -> usize {
        self.hasher.hash_one(key) as usize % LOCKS
    }
}

/// Whether the client must say where the file ends before it closes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndWanted {
    No,
    /// It opened a taken file without saying that it writes a new one. A client that goes on to set
    /// the size did write all of it; any other may have meant to change a part.
    Yes,
}

/// What an upload is held to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) end_wanted: EndWanted,
    pub(super) quota: Quota,
}

/// Why bytes are not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// There is no room for them by the last count of the tenant's folders.
    Full(Full),
    /// Whatever is counted.
    Refused(Refusal),
}

impl From<Full> for Unfit {
    fn from(full: Full) -> Self {
        Self::Full(full)
    }
}

impl From<Refusal> for Unfit {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Unfit> for Refusal {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Full(full) => full.into(),
            Unfit::Refused(refusal) => refusal,
        }
    }
}

/// A file that is being written.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) key: Key,
    pub(super) file: Arc<File>,
    terms: Terms,
    /// What it takes up of the tenant's folders.
    pub(super) charge: Charge,
    progress: Mutex<Progress>,
    uploads: Arc<Uploads>,
}

#[derive(Debug)]
struct Progress {
    standing: Standing,
    extents: Extents,
    size: u64,
    end_given: bool,
    placing: Placing,
    /// Why bytes that the client sent are not in the file, if some are not. Some clients close it
    /// all the same, as if it were whole.
    lacks_bytes: Option<Refusal>,
}

/// Where bytes go that a client writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placing {
    /// Where it says.
    ByOffset,
    /// It opened the file to append and may yet show that it leaves the place to us.
    Appending,
    /// At the end, whatever it says.
    AtEnd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It is being written.
    Open,
    /// It is closed, and on its way to its visible name.
    Sealed,
    /// The name belongs to a newer upload, or to none.
    Superseded,
}

impl Upload {
    /// From here on writes may leave it to us where the end is.
    pub(super) fn append(&self) {
        lock(&self.progress).placing = Placing::Appending;
    }

    /// Where a write of `length` bytes at `offset` goes, if there is room for it, which it takes.
    ///
    /// Most clients that opened the file to append name the offset all the same, and where it is
    /// not the end their offset is what they mean: going by the end instead would double bytes that
    /// came in after they asked for the size. Some rely on the flag and begin at nought again and
    /// again; nobody else does so behind the first byte.
    pub(super) fn takes(&self, offset: u64, length: u32) -> Result<u64, Unfit> {
        let at = self.place(offset);
        let quota = self.terms.quota;
        let end = at.checked_add(u64::from(length));
        let end = end.filter(|end| *end <= quota.upload_bytes_max);
        let end = end.ok_or_else(too_large)?;
        let disk = &self.uploads.disk;
        disk.look_after(u64::from(length), &self.file)?;
        self.charge.grow(end, quota)?;
        Ok(at)
    }

    fn place(&self, offset: u64) -> u64 {
        let mut progress = lock(&self.progress);
        if progress.placing == Placing::Appending && offset == 0 && progress.size > 0 {
            progress.placing = Placing::AtEnd;
        }
        match progress.placing {
            Placing::AtEnd => progress.size,
            Placing::ByOffset | Placing::Appending => offset,
        }
    }

    /// Bytes that the client sent are not taken, so the file will never be whole.
    pub(super) fn lacks_bytes(&self, refusal: &Refusal) {
        lock(&self.progress).lacks_bytes = Some(refusal.clone());
    }

    /// Writes bytes; `takes` has checked where.
    pub(super) fn write(&self, at: u64, bytes: &[u8]) -> Result<(), Refusal> {
        let mut progress = self.writable()?;
        let end = at + bytes.len() as u64;
        if progress.extents.add(at, end).is_err() {
            let refusal = Refusal::failure("this file is written in too many separate pieces");
            progress.lacks_bytes = Some(refusal.clone());
            return Err(refusal);
        }
        if let Err(error) = self.file.write_all_at(bytes, at) {
            // How much of it went out is unknown, so none of it counts.
            progress.extents.cut(at);
            progress.lacks_bytes = Some(Refusal::failure(
                "a part of this file could not be written; resume it or upload it again",
            ));
            return Err(error.into());
        }
        progress.size = progress.size.max(end);
        Ok(())
    }

    /// Cuts the file, or says how long it will be.
    pub(super) fn set_size(&self, size: u64) -> Result<(), Unfit> {
        let quota = self.terms.quota;
        if size > quota.upload_bytes_max {
            return Err(too_large().into());
        }
        let mut progress = self.writable()?;
        if size > progress.size {
            self.uploads.disk.look(&self.file)?;
        }
        self.charge.grow(size, quota)?;
        if let Err(error) = self.file.set_len(size) {
            // How long it is by now nobody knows.
            let refusal = Refusal::from(error);
            progress.lacks_bytes = Some(refusal.clone());
            return Err(refusal.into());
        }
        self.charge.set(size);
        progress.extents.cut(size);
        progress.size = size;
        progress.end_given = true;
        Ok(())
    }

    /// Returns once what was written is on disk; refused when some of it was not.
    pub(super) fn sync(&self) -> Result<(), Refusal> {
        if let Some(refusal) = &self.writable()?.lacks_bytes {
            return Err(refusal.clone());
        }
        self.file.sync_all().map_err(|error| {
            // A second sync would succeed and mean nothing, also that of the close.
            let refusal = Refusal::from(error);
            self.lacks_bytes(&refusal);
            refusal
        })
    }

    /// Ends the writing. Refused when the file is not whole, or not this upload's any more.
    pub(super) fn seal(&self) -> Result<(), Refusal> {
        let mut progress = self.writable()?;
        if let Some(refusal) = &progress.lacks_bytes {
            return Err(refusal.clone());
        }
        if progress.extents.whole_from_start() < progress.size {
            return Err(Refusal::failure(
                "this file has a hole: some of its bytes were never written",
            ));
        }
        if self.terms.end_wanted == EndWanted::Yes && !progress.end_given {
            return Err(taken());
        }
        progress.standing = Standing::Sealed;
        Ok(())
    }

    /// Whether the name is still this upload's. The caller holds the name, so that it stays so.
    pub(super) fn still_owns_its_name(&self) -> bool {
        lock(&self.progress).standing != Standing::Superseded
    }

    fn writable(&self) -> Result<MutexGuard<'_, Progress>, Refusal> {
        let progress = lock(&self.progress);
        match progress.standing {
            Standing::Open => Ok(progress),
            Standing::Sealed | Standing::Superseded => Err(superseded()),
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let progress = self
            .progress
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let whole = progress.extents.whole_from_start();
        let has_hole = whole < progress.size || progress.lacks_bytes.is_some();
        if progress.standing == Standing::Open && has_hole {
            // Whoever resumes goes by the size, so it has to say how much is whole. Superseded
            // uploads never come here: their last owner may be holding the name.
            let _held = self.uploads.hold(&self.key);
            if !self.uploads.is_open(&self.key)
                && let Err(error) = self.file.set_len(whole)
            {
                tracing::debug!(%error, "failed to cut an abandoned upload at its first hole");
            }
        }
        self.charge
            .rest(|| self.file.metadata().map_or(0, |about| about.len()));
        let mut open = lock(&self.uploads.open);
        if open
            .get(&self.key)
            .is_some_and(|upload| upload.strong_count() == 0)
        {
            open.remove(&self.key);
        }
    }
}

fn too_large() -> Refusal {
    Refusal::failure("this file is larger than an upload may be")
}

#[cfg(test)]
pub(super) fn key_of(name: &str) -> Key {
    Key {
        tenant: TenantName::parse("acme").expect("a name"),
        folder: DropFolder::Whatsapp,
        name: Name::parse(name.as_bytes()).expect("a name"),
    }
}
