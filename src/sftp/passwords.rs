//! Passwords against their hashes. Each try costs memory and time by design, so few are computed
//! at once, and of one address one: guesses from there wait for each other, not others for them.
//! How many may wait is bounded by how many strangers there may be.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use argon2::Argon2;
use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::crowd::Source;
use super::lock;

/// Each password costs tens of megabytes and of milliseconds; more at a time would starve uploads.
const HASHES_AT_ONCE_MAX: usize = 2;
const HASHES_OF_A_SOURCE_MAX: usize = 1;

/// Where passwords are verified.
#[derive(Debug)]
pub(super) struct Passwords {
    hashing: Arc<Semaphore>,
    lanes: Mutex<HashMap<Source, Lane>>,
}

/// Where the passwords from one address wait for each other.
#[derive(Debug)]
struct Lane {
    turns: Arc<Semaphore>,
    /// How many are in it, the one whose turn it is included.
    count: usize,
}

/// A place in a lane, given back when it goes.
#[derive(Debug)]
struct InLane<'a> {
    passwords: &'a Passwords,
    source: Source,
}

impl Drop for InLane<'_> {
    fn drop(&mut self) {
        let mut lanes = self.passwords.lanes();
        if let Some(lane) = lanes.get_mut(&self.source) {
            lane.count -= 1;
            if lane.count == 0 {
                lanes.remove(&self.source);
            }
        }
    }
}

/// A password's turn among all, and before that among those of its address; the next one of its
/// address comes when it goes.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    /// Given back with the last hash that was begun in it.
    among_all: Arc<OwnedSemaphorePermit>,
    // The first goes first: a lane must be there for as long as somebody has its turn in it.
    _in_lane: (Option<OwnedSemaphorePermit>, Option<InLane<'a>>),
}

impl Passwords {
    pub(super) fn new() -> Self {
        Self {
            hashing: Arc::new(Semaphore::new(HASHES_AT_ONCE_MAX)),
            lanes: Mutex::default(),
        }
    }

    /// Waits for the turn of a password. Those from an address that many clients share, which has
    /// no `source`, wait for all others.
    pub(super) async fn turn(&self, source: Option<Source>) -> Turn<'_> {
        let lane = source.map(|source| self.join_lane(source));
        let (lane, turns) = lane.unzip();
        let turn = match turns {
            Some(turns) => Some(turns.acquire_owned().await.expect("lanes are never closed")),
            None => None,
        };
        let hashing = Arc::clone(&self.hashing).acquire_owned().await;
        Turn {
            among_all: Arc::new(hashing.expect("it is never closed")),
            _in_lane: (turn, lane),
        }
    }

    fn join_lane(&self, source: Source) -> (InLane<'_>, Arc<Semaphore>) {
        let mut lanes = self.lanes();
        let lane = lanes.entry(source).or_insert_with(|| Lane {
            turns: Arc::new(Semaphore::new(HASHES_OF_A_SOURCE_MAX)),
            count: 0,
        });
        lane.count += 1;
        let turns = Arc::clone(&lane.turns);
        let place = InLane {
            passwords: self,
            source,
        };
        (place, turns)
    }

    fn lanes(&self) -> MutexGuard<'_, HashMap<Source, Lane>> {
        lock(&self.lanes)
    }
}

impl Turn<'_> {
    /// Whether this is the password of that hash.
    pub(super) async fn verify(&mut self, password: &str, hash: &str) -> bool {
        let (password, hash) = (password.to_owned(), hash.to_owned());
        let among_all = Arc::clone(&self.among_all);
        let verified = tokio::task::spawn_blocking(move || {
            // A client that goes away does not stop what it has begun.
            let _among_all = among_all;
            PasswordHash::new(&hash).is_ok_and(|hash| {
                Argon2::default()
                    .verify_password(password.as_bytes(), &hash)
                    .is_ok()
            })
        });
        verified.await.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::{Pin, pin};
    use std::task::Poll;

    use super::*;

    async fn is_waiting<T>(mut work: Pin<&mut impl Future<Output = T>>) -> bool {
        poll_fn(|context| Poll::Ready(work.as_mut().poll(context).is_pending())).await
    }

    /// A flood of guesses from one address must not make the passwords of others wait, and no
    /// right password may be refused for lack of room.
    #[tokio::test]
    async fn passwords_of_one_address_wait_for_each_other() {
        let passwords = Passwords::new();
        let source = |last: u8| Some(Source::of([192, 0, 2, last].into()));
        let first = passwords.turn(source(1)).await;
        let mut second = pin!(passwords.turn(source(1)));
        let mut third = pin!(passwords.turn(source(1)));
        assert!(is_waiting(second.as_mut()).await);
        assert!(is_waiting(third.as_mut()).await);
        let other = passwords.turn(source(2)).await;
        let mut all_busy = pin!(passwords.turn(None));
        assert!(is_waiting(all_busy.as_mut()).await, "two at a time");
        drop(other);
        drop(all_busy.await);
        drop(first);
        drop(second.await);
        drop(third.await);
        assert!(passwords.lanes().is_empty());
    }
}
