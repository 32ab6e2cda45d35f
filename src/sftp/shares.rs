//! What the sessions of one tenant may hold together, so that they leave room for other tenants:
//! open files, and memory for READs that wait for their clients. What each session and channel may
//! hold by itself is for `channel` and `replies` to know.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many files and listings one tenant's sessions may have open.
const HANDLES_MAX: usize = 4096;
/// How much memory the waiting READs of one tenant may take. A dozen clients that each ask for a
/// file of four gigabytes at once stay below it.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// The shares of one tenant.
#[derive(Clone, Debug)]
pub(super) struct Shares {
    handles: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

impl Default for Shares {
    fn default() -> Self {
        Self {
            handles: Arc::new(Semaphore::new(HANDLES_MAX)),
            waiting: Arc::default(),
        }
    }
}

/// A place for an open file, among those of its session and of its tenant.
#[derive(Debug)]
pub(super) struct Seat {
    _of_session: OwnedSemaphorePermit,
    _of_tenant: OwnedSemaphorePermit,
}

impl Shares {
    /// A place for a file; `None` when the session or the tenant has too many open.
    pub(super) fn seat(&self, session: &Arc<Semaphore>) -> Option<Seat> {
        Some(Seat {
            _of_session: Arc::clone(session).try_acquire_owned().ok()?,
            _of_tenant: Arc::clone(&self.handles).try_acquire_owned().ok()?,
        })
    }

    /// Counts what waits in one channel.
    pub(super) fn waiting(&self) -> Waiting {
        Waiting {
            here: AtomicUsize::new(0),
            of_tenant: Arc::clone(&self.waiting),
        }
    }
}

/// The memory of what waits in one channel, given back when nobody counts any more.
#[derive(Debug)]
pub(super) struct Waiting {
    here: AtomicUsize,
    of_tenant: Arc<AtomicUsize>,
}

impl Waiting {
    /// Takes memory for one more; says whether the tenant has it.
    pub(super) fn take(&self, bytes: usize) -> bool {
        self.here.fetch_add(bytes, Ordering::Relaxed);
        self.of_tenant.fetch_add(bytes, Ordering::Relaxed) + bytes <= WAITING_BYTES_MAX
    }

    /// Gives it back.
    pub(super) fn give_back(&self, bytes: usize) {
        self.here.fetch_sub(bytes, Ordering::Relaxed);
        self.of_tenant.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.of_tenant
            .fetch_sub(*self.here.get_mut(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tenant with many sessions must not open the files, or hold the memory, of all others.
    #[test]
    fn sessions_share_what_their_tenant_has() {
        let shares = Shares::default();
        let session = || Arc::new(Semaphore::new(HANDLES_MAX));
        let (one, other) = (session(), session());
        let mut seats: Vec<Seat> = (0..HANDLES_MAX - 1)
            .map(|_| shares.seat(&one).expect("a seat"))
            .collect();
        seats.push(shares.seat(&other).expect("the last one"));
        assert!(shares.seat(&other).is_none());
        seats.clear();
        assert!(shares.seat(&other).is_some());
        assert!(shares.seat(&Arc::new(Semaphore::new(0))).is_none());

        let (first, second) = (shares.waiting(), shares.waiting());
        assert!(first.take(WAITING_BYTES_MAX - 1));
        assert!(second.take(1));
        assert!(!second.take(1));
        second.give_back(2);
        assert!(second.take(1));
        drop(first);
        assert!(
            second.take(WAITING_BYTES_MAX - 1),
            "a channel that ends gives back"
        );
    }
}
