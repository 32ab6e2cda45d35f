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
use super::jail::{Inlet, Name};
use super::refusal::{Refusal, superseded, taken};
use super::room::Disk;
use super::usage::{Charge, Full, Size};
use super::{Quota, lock};
use crate::batch::TenantName;
use crate::batch::name::DropFolder;

/// How many locks all names share. Two names seldom meet on one, and when they do, one waits.
const LOCKS: usize = 1024;

/// A name in a folder that a tenant writes to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) tenant: TenantName,
    pub(super) folder: Inlet,
    pub(super) name: Name,
}

impl Key {
    /// The drop folder that it is in, if a file of its name counts there.
    pub(super) fn counts(&self) -> Option<DropFolder> {
        self.folder.counts(self.name.as_str())
    }
}

/// The uploads of all sessions; as many entries as there are open handles, at most.
#[derive(Debug)]
pub(super) struct Uploads {
    locks: [Mutex<()>; LOCKS],
    hasher: RandomState,
    open: Mutex<HashMap<Key, Weak<Upload>>>,
    /// What is whole of uploads that were given up and are not cut to that yet.
    given_up: Mutex<HashMap<Key, (u64, Weak<File>)>>,
    /// The disk that all of them go to.
    pub(super) disk: Disk,
}

impl Uploads {
    pub(super) fn new(disk: Disk) -> Self {
        Self {
            locks: std::array::from_fn(|_| Mutex::new(())),
            hasher: RandomState::new(),
            open: Mutex::default(),
            given_up: Mutex::default(),
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

    /// Whether somebody is writing to the name, or its file has still to be cut.
    pub(super) fn is_open(&self, key: &Key) -> bool {
        if lock(&self.given_up).contains_key(key) {
            return true;
        }
        lock(&self.open)
            .get(key)
            .is_some_and(|upload| upload.strong_count() > 0)
    }

    /// Ends whatever is being written to the name, and says what of it is there. The caller holds
    /// the name.
    pub(super) fn supersede(&self, key: &Key) -> Option<Extents> {
        if let Some((whole, _)) = lock(&self.given_up).remove(key) {
            return Some(Extents::of(whole));
        }
        let upload = lock(&self.open).remove(key)?.upgrade()?;
        let mut progress = lock(&upload.progress);
        progress.standing = Standing::Superseded;
        Some(progress.lasting().clone())
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
                found: Some(written.whole_from_start()).filter(|whole| *whole > 0),
                cut_from: None,
                own: None,
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

/// What lay under the name before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// Nothing, or a part that was given up.
    Part,
    /// A file that was closed under a name that does not count: any part of it may be changed.
    Whole,
}

/// What an upload is held to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) end_wanted: EndWanted,
    pub(super) before: Before,
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
    /// How much was there when it was resumed, until the first write.
    found: Option<u64>,
    /// How long it has to become again, if its client began to write below its end: whoever changes
    /// a part of a file does not send the rest of it.
    cut_from: Option<u64>,
    /// What counts if this upload is given up and another file's end still lies behind it.
    own: Option<Extents>,
    /// Why bytes that the client sent are not in the file, if some are not. Some clients close it
    /// all the same, as if it were whole.
    lacks_bytes: Option<Refusal>,
}

impl Progress {
    /// What counts of an upload that is given up.
    fn lasting(&self) -> &Extents {
        self.own.as_ref().unwrap_or(&self.extents)
    }

    fn cut(&mut self, length: u64) {
        self.extents.cut(length);
        if let Some(own) = &mut self.own {
            own.cut(length);
        }
    }
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
        let end = end.ok_or_else(|| too_large(quota))?;
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

    /// Whether a first write at `at` begins below the end of what was there before.
    pub(super) fn overwrites(&self, at: u64) -> bool {
        lock(&self.progress).found.is_some_and(|found| at < found)
    }

    /// Makes ready for a first write below the end. What lies there is of another upload: if this
    /// one ended half-way, its beginning and the other's end would pass for a whole file. Of a file
    /// that was closed the end stays, and counts if this one is closed too.
    pub(super) fn cut_before(&self, at: u64) -> Result<(), Refusal> {
        let mut progress = self.writable()?;
        let Some(found) = progress.found.take() else {
            return Ok(());
        };
        if self.terms.before == Before::Whole {
            progress.own = Some(Extents::of(at));
            return Ok(());
        }
        // A size that was set ahead stays, with a hole that has to be filled.
        let size = if progress.end_given {
            progress.size
        } else {
            at
        };
        let cut = self.file.set_len(at).and_then(|()| self.file.set_len(size));
        progress.extents.cut(at);
        progress.size = size;
        progress.cut_from = Some(found);
        cut.map_err(|error| {
            let refusal = Refusal::from(error);
            progress.lacks_bytes = Some(refusal.clone());
            refusal
        })
    }

    /// Bytes that the client sent are not taken, so the file will never be whole.
    pub(super) fn lacks_bytes(&self, refusal: &Refusal) {
        lock(&self.progress).lacks_bytes = Some(refusal.clone());
    }

    /// Writes bytes; `takes` has checked where.
    pub(super) fn write(&self, at: u64, bytes: &[u8]) -> Result<(), Refusal> {
        let mut progress = self.writable()?;
        progress.found = None;
        let end = at + bytes.len() as u64;
        if progress.extents.add(at, end).is_err() {
            let refusal = Refusal::failure("this file is written in too many separate pieces");
            progress.lacks_bytes = Some(refusal.clone());
            return Err(refusal);
        }
        if let Err(error) = self.file.write_all_at(bytes, at) {
            // How much of it went out is unknown, so none of it counts.
            progress.cut(at);
            progress.lacks_bytes = Some(Refusal::failure(
                "a part of this file could not be written; resume it or upload it again",
            ));
            return Err(error.into());
        }
        if let Some(own) = &mut progress.own
            && own.add(at, end).is_err()
        {
            // It can still be closed; given up, it is worth what was there before.
            own.cut(at);
        }
        progress.size = progress.size.max(end);
        Ok(())
    }

    /// Cuts the file, or says how long it will be.
    pub(super) fn set_size(&self, size: u64) -> Result<(), Unfit> {
        let quota = self.terms.quota;
        if size > quota.upload_bytes_max {
            return Err(too_large(quota).into());
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
        progress.cut(size);
        progress.size = size;
        progress.found = progress.found.map(|found| found.min(size));
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
        let is_shorter = progress.cut_from.is_some_and(|found| progress.size < found);
        if is_shorter && !progress.end_given {
            return Err(Refusal::failure(
                "this file was written over from its middle or beginning, and is shorter than \
                 before: upload it again as a new file",
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
        let whole = progress.lasting().whole_from_start();
        let has_hole = whole < progress.size || progress.lacks_bytes.is_some();
        let is_given_up = progress.standing == Standing::Open && has_hole;
        let size = || self.file.metadata().map_or(0, |about| about.len());
        self.charge
            .rest(|| if is_given_up { whole } else { size() });
        {
            let mut open = lock(&self.uploads.open);
            let is_last = open
                .get(&self.key)
                .is_some_and(|upload| upload.strong_count() == 0);
            if !is_last {
                return;
            }
            if is_given_up {
                let left = (whole, Arc::downgrade(&self.file));
                lock(&self.uploads.given_up).insert(self.key.clone(), left);
            }
            open.remove(&self.key);
        }
        if is_given_up {
            let given_up = GivenUp {
                key: self.key.clone(),
                file: Arc::clone(&self.file),
                uploads: Arc::clone(&self.uploads),
            };
            // A session's end must not wait for the syncs of whoever holds the name, nor for the
            // disk. A runtime that is going down drops it at once, which cuts it too.
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn_blocking(move || drop(given_up));
            }
        }
    }
}

/// An upload that was given up half-way. When it goes it is cut to what is whole: whoever resumes
/// it goes by the size.
struct GivenUp {
    key: Key,
    file: Arc<File>,
    uploads: Arc<Uploads>,
}

impl Drop for GivenUp {
    fn drop(&mut self) {
        let _held = self.uploads.hold(&self.key);
        // Somebody who has taken the name over has seen to it.
        let whole = {
            let ours = Arc::downgrade(&self.file);
            let mut given_up = lock(&self.uploads.given_up);
            match given_up.get(&self.key) {
                Some((whole, file)) if file.ptr_eq(&ours) => {
                    let whole = *whole;
                    given_up.remove(&self.key);
                    whole
                }
                _ => return,
            }
        };
        if let Err(error) = self.file.set_len(whole) {
            tracing::debug!(%error, "failed to cut an abandoned upload at its first hole");
        }
    }
}

fn too_large(quota: Quota) -> Refusal {
    let most = Size(quota.upload_bytes_max);
    Refusal::failure(format!(
        "this file is too large: an upload has at most {most}"
    ))
}

#[cfg(test)]
pub(super) fn key_of(name: &str) -> Key {
    Key {
        tenant: TenantName::parse("acme").expect("a name"),
        folder: Inlet::Drop(DropFolder::Whatsapp),
        name: Name::parse(name.as_bytes()).expect("a name"),
    }
}
