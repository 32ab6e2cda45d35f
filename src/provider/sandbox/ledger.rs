//! What the stand-in remembers: counts, which attempts it accepted, and how fast each number sends.
//! All of it is bounded.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Ending;
use crate::batch::Moment;

/// How many accepted attempts are remembered, some 20 bytes each.
const ATTEMPTS_MAX: usize = 4 << 20;

/// How many messages are remembered that had their trouble. Beyond it the memory starts afresh, and
/// a message may have its trouble again.
const TROUBLES_MAX: usize = 64 << 10;

/// How many uploaded files are known. Beyond it all are forgotten, as the API does after a month.
const MEDIA_MAX: usize = 64 << 10;

/// How many phone number ids have a rate of their own. Beyond it all rates start afresh.
const SENDERS_MAX: usize = 4096;

/// What a stand-in saw in its life.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Seen {
    /// Requests to send messages.
    pub requests: u64,
    /// Messages accepted, counting each time.
    pub accepted: u64,
    /// Messages, and whole requests, refused or failed.
    pub refused: u64,
    /// Different ids of attempts that were accepted.
    pub attempts: u64,
    /// Messages (attempt ids without the number of the attempt) accepted once more after they had
    /// been accepted already.
    pub repeated: u64,
    /// Accepted attempts that were not looked at for repeats, because the memory was full.
    pub overlooked: u64,
    /// How the answers ended, those to requests of any kind.
    pub endings: BTreeMap<Ending, u64>,
    /// Statuses that were called back and answered.
    pub told: u64,
    /// Statuses that were given up, because nobody answered them or too many waited.
    pub untold: u64,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests: {} accepted ({} different attempts, {} messages repeated), {} refused",
            self.requests, self.accepted, self.attempts, self.repeated, self.refused
        )?;
        if self.overlooked > 0 {
            write!(f, "; {} not checked for repeats", self.overlooked)?;
        }
        if self.told + self.untold > 0 {
            write!(
                f,
                "; {} statuses called back, {} given up",
                self.told, self.untold
            )?;
        }
        for (ending, count) in &self.endings {
            write!(f, "\n  {count} {ending}")?;
        }
        Ok(())
    }
}

#[derive(Debug)]
pub(super) struct Ledger {
    first_id: u64,
    began_at: Moment,
    requests: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
    ids: AtomicU64,
    hasher: RandomState,
    memory: Mutex<Memory>,
    endings: Mutex<BTreeMap<Ending, u64>>,
    paces: Mutex<HashMap<String, Instant>>,
    media: Mutex<HashSet<String>>,
}

// Texts are kept as hashes of 64 bits: among four million a false match is a matter of one in a
// million, and a stand-in may be wrong that often.
#[derive(Debug, Default)]
struct Memory {
    attempts: HashMap<u64, Accepted>,
    messages: HashSet<u64>,
    troubled: HashSet<u64>,
    repeated: u64,
    overlooked: u64,
}

/// An attempt that was accepted: the number of its message, and when.
#[derive(Clone, Copy, Debug)]
struct Accepted {
    number: u32,
    /// Seconds since the stand-in began.
    after: u32,
}

impl Ledger {
    /// An empty ledger; `first_id` keeps its message ids apart from those of other lives.
    pub(super) fn new(first_id: u64, began_at: Moment) -> Self {
        Self {
            first_id,
            began_at,
            requests: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            ids: AtomicU64::new(0),
            hasher: RandomState::new(),
            memory: Mutex::default(),
            endings: Mutex::default(),
            paces: Mutex::default(),
            media: Mutex::default(),
        }
    }

    /// Counts a request.
    pub(super) fn heard(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    /// Counts an accepted message.
    pub(super) fn accepted(&self) {
        self.accepted.fetch_add(1, Relaxed);
    }

    /// Counts a refused message, or a request that was refused as a whole.
    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// Counts how an answer ended.
    pub(super) fn answered(&self, ending: Ending) {
        *lock(&self.endings).entry(ending).or_default() += 1;
    }

    /// A number that no other message has.
    pub(super) fn message_number(&self) -> u64 {
        self.ids.fetch_add(1, Relaxed)
    }

    /// The id of the message of this number.
    pub(super) fn message_id(&self, number: u64) -> String {
        format!("wamid.{:016X}{number:08X}", self.first_id)
    }

    /// A number of 19 digits that no other has.
    pub(super) fn digits(&self) -> String {
        let number = self.ids.fetch_add(1, Relaxed);
        format!("2{number:018}")
    }

    /// The id of the message that an attempt has become, and when, if it is remembered.
    pub(super) fn taken(&self, attempt: &str) -> Option<(String, Moment)> {
        let attempt = self.hash(attempt);
        let found = lock(&self.memory).attempts.get(&attempt).copied()?;
        let at = self.began_at.plus_ms(i64::from(found.after) * 1_000);
        Some((self.message_id(found.number.into()), at))
    }

    /// An id for an uploaded file, which is known from here on.
    pub(super) fn media_id(&self) -> String {
        let number = self.ids.fetch_add(1, Relaxed);
        let id = format!("{:010}{number:06}", self.first_id % 10_000_000_000);
        let mut media = lock(&self.media);
        if media.len() >= MEDIA_MAX {
            media.clear();
        }
        media.insert(id.clone());
        id
    }

    /// Whether a file was uploaded that has this id.
    pub(super) fn has_media(&self, id: &str) -> bool {
        lock(&self.media).contains(id)
    }

    /// Remembers an attempt that was accepted as the message of this number.
    pub(super) fn remember(&self, attempt: &str, number: u64, now: Moment) {
        let after = now.as_millis() - self.began_at.as_millis();
        let accepted = Accepted {
            number: u32::try_from(number).unwrap_or(u32::MAX),
            after: u32::try_from(after / 1_000).unwrap_or(0),
        };
        let (attempt, message) = (self.hash(attempt), self.hash(message_of(attempt)));
        let mut memory = lock(&self.memory);
        if memory.attempts.len() >= ATTEMPTS_MAX {
            memory.overlooked += 1;
            return;
        }
        memory.attempts.insert(attempt, accepted);
        if !memory.messages.insert(message) {
            memory.repeated += 1;
        }
    }

    /// Whether this attempt's message has its trouble still before it; from here on it has had it.
    pub(super) fn is_first_trouble(&self, attempt: &str) -> bool {
        let message = self.hash(message_of(attempt));
        let mut memory = lock(&self.memory);
        if memory.troubled.len() >= TROUBLES_MAX {
            memory.troubled.clear();
        }
        memory.troubled.insert(message)
    }

    /// Whether this sender may send one more message at `now`. A second's worth may come at once.
    pub(super) fn within(&self, rate: f64, phone_number_id: &str, now: Instant) -> bool {
        let Ok(step) = Duration::try_from_secs_f64(1.0 / rate) else {
            return false;
        };
        let mut paces = lock(&self.paces);
        if paces.len() >= SENDERS_MAX && !paces.contains_key(phone_number_id) {
            paces.clear();
        }
        // The moment at which all that was sent is paid for at one message a step.
        let paid = paces.entry(phone_number_id.to_owned()).or_insert(now);
        let next = (*paid).max(now) + step;
        let burst = step.max(Duration::from_secs(1));
        let within = next <= now + burst;
        if within {
            *paid = next;
        }
        within
    }

    /// What was seen so far.
    pub(super) fn seen(&self) -> Seen {
        let memory = lock(&self.memory);
        Seen {
            requests: self.requests.load(Relaxed),
            accepted: self.accepted.load(Relaxed),
            refused: self.refused.load(Relaxed),
            attempts: memory.attempts.len() as u64,
            repeated: memory.repeated,
            overlooked: memory.overlooked,
            endings: lock(&self.endings).clone(),
            told: 0,
            untold: 0,
        }
    }

    fn hash(&self, text: &str) -> u64 {
        self.hasher.hash_one(text)
    }
}

/// An attempt's id without the number of the attempt; any other text as it stands.
fn message_of(attempt: &str) -> &str {
    match attempt.rsplit_once('-') {
        Some((message, number)) if number.bytes().all(|b| b.is_ascii_digit()) => message,
        _ => attempt,
    }
}

/// Nothing is left half-done under these locks, so a panic elsewhere takes nothing from them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tests of "none twice" lean on this count.
    #[test]
    fn a_message_that_comes_again_is_counted() {
        let ledger = Ledger::new(7, Moment::from_millis(0));
        for attempt in ["b-0-1", "b-1-1", "b-1-2", "b-1-1", "b-11-1"] {
            ledger.remember(attempt, ledger.message_number(), Moment::from_millis(0));
        }
        let seen = ledger.seen();
        assert_eq!((seen.attempts, seen.repeated), (4, 2));
    }

    /// A benchmark against a limited sandbox must meet the limit that it set.
    #[test]
    fn a_number_sends_at_its_rate() {
        let ledger = Ledger::new(7, Moment::from_millis(0));
        let start = Instant::now();
        let mut sent = 0;
        for ms in 0..10_000 {
            let now = start + Duration::from_millis(ms);
            sent += u32::from(ledger.within(80.0, "1", now));
        }
        assert!((870..=880).contains(&sent), "{sent}");
        assert!(
            ledger.within(80.0, "2", start),
            "numbers do not share a rate"
        );
    }

    /// A sandbox left running must not grow.
    #[test]
    fn rates_of_many_numbers_stay_bounded() {
        let ledger = Ledger::new(7, Moment::from_millis(0));
        let now = Instant::now();
        for id in 0..=SENDERS_MAX * 2 {
            ledger.within(1.0, &id.to_string(), now);
        }
        assert!(lock(&ledger.paces).len() <= SENDERS_MAX);
    }
}
