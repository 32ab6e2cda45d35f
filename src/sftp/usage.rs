//! How full a tenant's drop folders are, without reading them at each open: they are counted once,
//! and from then on kept account of as the door writes, renames and removes.
//!
//! The daemon and local hands change the folders too, so before anything is refused they are
//! counted again, unless that was done a moment ago. What a count may miss because the door goes on
//! meanwhile is counted twice rather than not at all: the account is never too low by what came in
//! through the door. How a folder is read is for `files` to know.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::refusal::Refusal;
use super::uploads::Key;
use super::{Quota, clock, lock};

/// How old a count must be for another one before a refusal.
const DOUBTED_AFTER: Duration = Duration::from_secs(1);
/// How old a count may be at most when an upload begins: local hands may have added files.
const TRUSTED_FOR: Duration = Duration::from_mins(1);

/// Files and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

impl Amount {
    fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }

    fn take(&mut self, bytes: u64) {
        self.files = self.files.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// What is found in the folders.
#[derive(Debug, Default)]
pub(super) struct Count {
    resting: Amount,
    partials: Vec<(Key, u64)>,
}

impl Count {
    /// Counts a file that nobody can be writing.
    pub(super) fn add(&mut self, bytes: u64) {
        self.resting.add(bytes);
    }

    /// Counts an unfinished upload, which somebody may be writing.
    pub(super) fn add_partial(&mut self, key: Key, bytes: u64) {
        self.partials.push((key, bytes));
    }
}

/// There is no room for what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Full(String);

impl From<Full> for Refusal {
    fn from(full: Full) -> Self {
        let words = full.0;
        Self::failure(format!(
            "the folder is full: {words}; delete files or wait for batches to end"
        ))
    }
}

/// How an upload begins, as far as room is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// It goes on with a file that has so many bytes.
    Resumed(u64),
    /// It makes a file, in place of an unfinished one with so many bytes if there is one.
    New(Option<u64>),
}

/// The account of one tenant.
#[derive(Debug, Default)]
pub(super) struct Usage {
    /// One count at a time.
    turn: Mutex<()>,
    account: Mutex<Account>,
}

#[derive(Debug, Default)]
struct Account {
    counted_at: Option<Instant>,
    /// Files that nobody is writing.
    resting: Amount,
    /// Files that are being written, by the name that they will have.
    writing: HashMap<Key, Share>,
    writing_bytes: u64,
    /// What came to rest while a count was running, which may have missed it.
    come_meanwhile: Option<Amount>,
    last_owner: u64,
    /// How many counts have begun, and how many have ended, in one sum.
    counts: u64,
}

/// What had been counted when somebody looked at a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen(u64);

#[derive(Clone, Copy, Debug)]
struct Share {
    owner: u64,
    bytes: u64,
}

impl Usage {
    /// What there is, as far as is known.
    pub(super) fn total(&self) -> Amount {
        lock(&self.account).total()
    }

    /// Whether a count may be so old that an upload should not begin by it.
    pub(super) fn is_old(&self) -> bool {
        lock(&self.account).is_older_than(TRUSTED_FOR)
    }

    /// Whether a refusal by the last count would be in doubt.
    pub(super) fn is_doubtful(&self) -> bool {
        lock(&self.account).is_older_than(DOUBTED_AFTER)
    }

    /// Counts anew, unless somebody else has just done so. Takes as long as reading the folders.
    pub(super) fn count(
        &self,
        read: impl FnOnce() -> Result<Count, Refusal>,
    ) -> Result<(), Refusal> {
        let _turn = lock(&self.turn);
        if !self.is_doubtful() {
            return Ok(());
        }
        let began = clock::steady();
        {
            let mut account = lock(&self.account);
            account.come_meanwhile = Some(Amount::default());
            account.counts += 1;
        }
        let read = read();
        let mut account = lock(&self.account);
        let come = account.come_meanwhile.take().unwrap_or_default();
        account.counts += 1;
        let mut count = read?;
        for (key, bytes) in count.partials {
            if !account.writing.contains_key(&key) {
                count.resting.add(bytes);
            }
        }
        account.resting = Amount {
            files: count.resting.files + come.files,
            bytes: count.resting.bytes.saturating_add(come.bytes),
        };
        account.counted_at = Some(began);
        Ok(())
    }

    /// Enters an upload. Whoever wrote to the name before has nothing to do with it any more.
    pub(super) fn begin(
        self: &Arc<Self>,
        key: &Key,
        beginning: Beginning,
        quota: Quota,
    ) -> Result<Charge, Full> {
        let mut account = lock(&self.account);
        let before = account.writing.get(key).copied();
        if before.is_none() && beginning == Beginning::New(None) {
            account.has_room_for_a_file(quota)?;
        }
        account.leave(key);
        let bytes = match (beginning, before) {
            (Beginning::Resumed(bytes), Some(share)) => bytes.max(share.bytes),
            (Beginning::Resumed(bytes), None) => {
                account.resting.take(bytes);
                bytes
            }
            (Beginning::New(Some(replaced)), None) => {
                account.resting.take(replaced);
                0
            }
            (Beginning::New(_), _) => 0,
        };
        account.last_owner += 1;
        let owner = account.last_owner;
        account.writing.insert(key.clone(), Share { owner, bytes });
        account.writing_bytes = account.writing_bytes.saturating_add(bytes);
        Ok(Charge {
            usage: Arc::clone(self),
            key: key.clone(),
            owner,
        })
    }

    /// To be asked before a file is looked at that may go.
    pub(super) fn seen(&self) -> Seen {
        Seen(lock(&self.account).counts)
    }

    /// A file that nobody wrote to is gone.
    pub(super) fn gone(&self, seen: Seen, bytes: u64) {
        lock(&self.account).forget(seen, bytes);
    }

    /// An unfinished upload is gone, and whoever was writing to it writes to no file of the folder.
    pub(super) fn partial_gone(&self, key: &Key, seen: Seen, bytes: u64) {
        let mut account = lock(&self.account);
        if !account.leave(key) {
            account.forget(seen, bytes);
        }
    }

    /// A file that nobody writes to has another name; a count under way may have seen neither.
    pub(super) fn moved(&self, bytes: u64) {
        if let Some(come) = &mut lock(&self.account).come_meanwhile {
            come.add(bytes);
        }
    }

    /// Something went wrong half-way, so that the account may be too low.
    pub(super) fn doubt(&self) {
        lock(&self.account).counted_at = None;
    }
}

impl Account {
    fn total(&self) -> Amount {
        Amount {
            files: self.resting.files + self.writing.len() as u64,
            bytes: self.resting.bytes.saturating_add(self.writing_bytes),
        }
    }

    fn is_older_than(&self, age: Duration) -> bool {
        let now = clock::steady();
        self.counted_at
            .is_none_or(|at| now.duration_since(at) >= age)
    }

    /// Takes out a file that is gone, unless a count has begun or ended since it was looked at: it
    /// may have been missed already, since the daemon removes files too.
    fn forget(&mut self, seen: Seen, bytes: u64) {
        if self.counts == seen.0 {
            self.resting.take(bytes);
        } else {
            self.counted_at = None;
        }
    }

    fn has_room_for_a_file(&self, quota: Quota) -> Result<(), Full> {
        let files = self.total().files;
        if files < quota.files_max {
            return Ok(());
        }
        Err(Full(format!("{files} files, at most {}", quota.files_max)))
    }

    /// Takes out whoever writes to a name; says whether there was somebody.
    fn leave(&mut self, key: &Key) -> bool {
        let share = self.writing.remove(key);
        let bytes = share.map_or(0, |share| share.bytes);
        self.writing_bytes = self.writing_bytes.saturating_sub(bytes);
        share.is_some()
    }
}

/// What one upload takes up. When another has taken over its name, it means nothing any more.
#[derive(Debug)]
pub(super) struct Charge {
    usage: Arc<Usage>,
    key: Key,
    owner: u64,
}

impl Charge {
    /// The name that the upload will have.
    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    /// Takes as much more room as makes the file `bytes` long, if it is shorter.
    pub(super) fn grow(&self, bytes: u64, quota: Quota) -> Result<(), Full> {
        let mut account = lock(&self.usage.account);
        let total = account.total().bytes;
        let Some(share) = account.writing.get_mut(&self.key) else {
            return Ok(());
        };
        if share.owner != self.owner || bytes <= share.bytes {
            return Ok(());
        }
        let more = bytes - share.bytes;
        let most = quota.folder_bytes_max;
        if total.saturating_add(more) > most {
            let (total, most) = (Size(total), Size(most));
            return Err(Full(format!("{total} of files, at most {most}")));
        }
        share.bytes = bytes;
        account.writing_bytes += more;
        Ok(())
    }

    /// The file has been cut, or found to have this length.
    pub(super) fn set(&self, bytes: u64) {
        let mut account = lock(&self.usage.account);
        let owned = |share: &&mut Share| share.owner == self.owner;
        if let Some(share) = account.writing.get_mut(&self.key).filter(owned) {
            let before = std::mem::replace(&mut share.bytes, bytes);
            let others = account.writing_bytes.saturating_sub(before);
            account.writing_bytes = others.saturating_add(bytes);
        }
    }

    /// Nobody writes to the file any more, which lies there with `bytes`.
    pub(super) fn rest(&self, bytes: impl FnOnce() -> u64) {
        let mut account = lock(&self.usage.account);
        if self.leave(&mut account) {
            let bytes = bytes();
            account.resting.add(bytes);
            if let Some(come) = &mut account.come_meanwhile {
                come.add(bytes);
            }
        }
    }

    /// The file is gone.
    pub(super) fn end(&self) {
        self.leave(&mut lock(&self.usage.account));
    }

    fn leave(&self, account: &mut Account) -> bool {
        let share = account.writing.get(&self.key);
        share.is_some_and(|share| share.owner == self.owner) && account.leave(&self.key)
    }
}

/// A number of bytes as people read it.
pub(super) struct Size(pub(super) u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
        let unit = units.iter().find(|(_, shift)| self.0 >> shift > 0);
        let Some((unit, shift)) = unit else {
            return write!(f, "{} bytes", self.0);
        };
        // Tenths, cut and not rounded: a folder that is not full must not read as if it were.
        let tenths = (u128::from(self.0) * 10) >> shift;
        match (tenths / 10, tenths % 10) {
            (whole, 0) => write!(f, "{whole} {unit}"),
            (whole, tenth) => write!(f, "{whole}.{tenth} {unit}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sftp::uploads::key_of;

    const QUOTA: Quota = Quota {
        upload_bytes_max: 1000,
        folder_bytes_max: 100,
        files_max: 3,
    };

    fn begin(usage: &Arc<Usage>, name: &str) -> Result<Charge, Full> {
        usage.begin(&key_of(name), Beginning::New(None), QUOTA)
    }

    fn total(usage: &Usage) -> (u64, u64) {
        let Amount { files, bytes } = usage.total();
        (files, bytes)
    }

    /// Uploads of several sessions must not fill together what none of them could alone.
    #[test]
    fn uploads_share_what_there_is() {
        let usage = Arc::new(Usage::default());
        let (one, other) = (
            begin(&usage, "a").expect("room"),
            begin(&usage, "b").expect("room"),
        );
        one.grow(60, QUOTA).expect("room");
        other.grow(40, QUOTA).expect("room");
        let full = Err(Full("100 bytes of files, at most 100 bytes".to_owned()));
        assert_eq!(one.grow(61, QUOTA), full);
        assert_eq!(other.grow(u64::MAX, QUOTA), full);
        one.grow(10, QUOTA).expect("no more than it has");
        one.rest(|| 50);
        one.rest(|| 50);
        assert_eq!(total(&usage), (2, 90));
        let third = begin(&usage, "c").expect("room");
        let full = Full("3 files, at most 3".to_owned());
        assert_eq!(begin(&usage, "d").map(drop), Err(full.clone()));
        // A name that is being written may be begun anew.
        let again = begin(&usage, "c").expect("no more files than before");
        third.end();
        assert_eq!(total(&usage), (3, 90), "it is not its own any more");
        again.end();
        other.set(5);
        usage.gone(usage.seen(), 50);
        assert_eq!(total(&usage), (1, 5));
        usage.partial_gone(&key_of("b"), usage.seen(), 5);
        assert_eq!(total(&usage), (0, 0));
        assert_eq!(
            Refusal::from(full).words,
            "the folder is full: 3 files, at most 3; delete files or wait for batches to end"
        );
    }

    /// A file that moves or comes to rest while the folders are read must not be missed.
    #[test]
    fn a_count_is_never_too_low() {
        let usage = Arc::new(Usage::default());
        let open = begin(&usage, "open").expect("room");
        open.grow(30, QUOTA).expect("room");
        let closed = begin(&usage, "closed").expect("room");
        let count = || {
            let mut count = Count::default();
            count.add(7);
            count.add_partial(key_of("open"), 10);
            count.add_partial(key_of("abandoned"), 5);
            closed.rest(|| 20);
            usage.moved(7);
            Ok(count)
        };
        usage.count(count).expect("counted");
        assert_eq!(total(&usage), (5, 7 + 5 + 20 + 7 + 30));
        usage.count(|| panic!("just done")).expect("left alone");
        usage.doubt();
        assert!(usage.is_old());
        let failed = usage.count(|| Err(Refusal::no_such_file()));
        assert_eq!(failed, Err(Refusal::no_such_file()));
        usage.count(|| Ok(Count::default())).expect("counted");
        assert_eq!(total(&usage), (1, 30));
    }

    /// A file that the daemon removes just when the door would replace it must not make room twice.
    #[test]
    fn what_a_count_has_missed_is_not_taken_out_again() {
        let usage = Arc::new(Usage::default());
        let count = || {
            let mut count = Count::default();
            count.add(40);
            Ok(count)
        };
        let seen = usage.seen();
        usage.count(count).expect("counted");
        usage.gone(seen, 30);
        assert_eq!(total(&usage), (1, 40));
        assert!(usage.is_old(), "or nobody would look whether it was there");
        usage.count(count).expect("counted");
        usage.partial_gone(&key_of("a"), seen, 30);
        assert_eq!(total(&usage), (1, 40));
        usage.gone(usage.seen(), 40);
        assert_eq!(total(&usage), (0, 0));
    }

    /// Who resumes an upload must be charged for what lies there, once.
    #[test]
    fn a_resumed_upload_is_charged_once() {
        let usage = Arc::new(Usage::default());
        let first = begin(&usage, "a").expect("room");
        first.grow(50, QUOTA).expect("room");
        let key = key_of("a");
        let second = usage.begin(&key, Beginning::Resumed(40), QUOTA);
        let second = second.expect("room");
        first.rest(|| 50);
        assert_eq!(total(&usage), (1, 50));
        second.rest(|| 45);
        assert_eq!(total(&usage), (1, 45));
        let third = usage.begin(&key, Beginning::Resumed(45), QUOTA);
        third.expect("room").grow(100, QUOTA).expect("room");
        assert_eq!(total(&usage), (1, 100));
        let fourth = usage.begin(&key, Beginning::New(Some(100)), QUOTA);
        fourth.expect("room").rest(|| 0);
        let fifth = usage.begin(&key, Beginning::New(Some(0)), QUOTA);
        fifth.expect("room").end();
        assert_eq!(total(&usage), (0, 0));
    }

    /// Somebody who reads how full a folder is must get a number to act on.
    #[test]
    fn sizes_read_well() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1 KiB"),
            ((100 << 20) - 1, "99.9 MiB"),
            (100 << 30, "100 GiB"),
            (u64::MAX, "17179869183.9 GiB"),
        ] {
            assert_eq!(Size(bytes).to_string(), text);
        }
    }
}
