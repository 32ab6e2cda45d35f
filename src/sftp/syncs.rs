//! Syncs of a folder that many uploads share.
//!
//! Whoever has made its change before a sync begins is served by that one sync, however many they
//! are: while one runs, the others gather for the next. Which folder it is, and what is to be done
//! about a sync that fails, is for those who call.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::io::Errno;

use super::lock;

/// The syncs of one folder.
#[derive(Debug, Default)]
pub(super) struct GroupSync {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_running: bool,
    /// The round that gathers.
    next: Arc<Round>,
}

/// Those who are served by one sync: how it went, once it has ended.
#[derive(Debug, Default)]
struct Round(OnceLock<Result<(), Errno>>);

impl GroupSync {
    /// Returns once a sync that began after this call has ended. `sync` is called by one of those
    /// who wait, for all of them.
    pub(super) fn run(&self, sync: impl FnOnce() -> Result<(), Errno>) -> Result<(), Errno> {
        let mut state = lock(&self.state);
        let round = Arc::clone(&state.next);
        loop {
            if let Some(outcome) = round.0.get() {
                return *outcome;
            }
            if !state.is_running {
                // Whoever waits and sees none running is of the round that gathers, and leads it.
                break;
            }
            state = self.wait(state);
        }
        state.is_running = true;
        state.next = Arc::default();
        drop(state);
        // A panic in the sync must reach the others as a failure, not leave them waiting.
        let mut lead = Lead {
            group: self,
            round: &round,
            outcome: Err(Errno::IO),
        };
        lead.outcome = sync();
        lead.outcome
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let woken = self.ended.wait(state);
        woken.unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn is_gathering(&self, count: usize) -> bool {
        // One more than those who wait holds it: the state itself.
        Arc::strong_count(&lock(&self.state).next) == count + 1
    }
}

/// The one who syncs for all; tells them how it went, whatever happens.
struct Lead<'a> {
    group: &'a GroupSync,
    round: &'a Round,
    outcome: Result<(), Errno>,
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.group.state);
        let _ = self.round.0.set(self.outcome);
        if self.outcome.is_err() {
            // Their changes may lie in the very block that was lost, and the system tells of a loss
            // only once: the next sync would succeed and mean nothing to them.
            let gathered = std::mem::take(&mut state.next);
            let _ = gathered.0.set(self.outcome);
        }
        state.is_running = false;
        self.group.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    /// Begins a sync that runs until it is told how it ends.
    fn running(group: &Arc<GroupSync>) -> mpsc::Sender<Result<(), Errno>> {
        let (end, ends) = mpsc::channel();
        let (begin, begins) = mpsc::channel();
        let group = Arc::clone(group);
        std::thread::spawn(move || {
            group.run(|| {
                begin.send(()).expect("awaited");
                ends.recv().expect("told how it ends")
            })
        });
        begins.recv().expect("begun");
        end
    }

    /// Those who come while a sync runs.
    fn gather(
        group: &Arc<GroupSync>,
        syncs: &Arc<AtomicUsize>,
    ) -> Vec<std::thread::JoinHandle<Result<(), Errno>>> {
        let one = |_| {
            let (group, syncs) = (Arc::clone(group), Arc::clone(syncs));
            std::thread::spawn(move || {
                group.run(|| {
                    syncs.fetch_add(1, Ordering::SeqCst);
                    Ok(())
                })
            })
        };
        let waiting: Vec<_> = (0..8).map(one).collect();
        while !group.is_gathering(8) {
            std::thread::yield_now();
        }
        waiting
    }

    /// An upload that was linked while a sync ran must not be answered by that sync, and eight of
    /// them must not cost eight syncs.
    #[test]
    fn who_comes_during_a_sync_shares_the_next() {
        let (group, syncs) = (Arc::default(), Arc::default());
        let end = running(&group);
        let waiting = gather(&group, &syncs);
        assert_eq!(syncs.load(Ordering::SeqCst), 0, "nobody is served by it");
        end.send(Ok(())).expect("running");
        for one in waiting {
            assert_eq!(one.join().expect("no panic"), Ok(()));
        }
        assert_eq!(syncs.load(Ordering::SeqCst), 1);
    }

    /// An upload must not be confirmed by a sync that failed, nor by the one after it.
    #[test]
    fn a_failure_reaches_everybody() {
        let (group, syncs) = (Arc::default(), Arc::default());
        let end = running(&group);
        let waiting = gather(&group, &syncs);
        end.send(Err(Errno::NOSPC)).expect("running");
        for one in waiting {
            assert_eq!(one.join().expect("no panic"), Err(Errno::NOSPC));
        }
        assert_eq!(syncs.load(Ordering::SeqCst), 0);
        assert_eq!(
            group.run(|| Ok(())),
            Ok(()),
            "whoever comes later tries anew"
        );
    }

    /// A panic in one session must not leave the uploads of the others waiting for ever.
    #[test]
    fn a_panic_in_a_sync_is_a_failure_to_the_others() {
        let (group, syncs) = (Arc::new(GroupSync::default()), Arc::default());
        let end = running(&group);
        let waiting = gather(&group, &syncs);
        // Without an answer the one who syncs panics.
        drop(end);
        for one in waiting {
            assert_eq!(one.join().expect("no panic"), Err(Errno::IO));
        }
        assert_eq!(group.run(|| Ok(())), Ok(()));
    }
}
