//! store → provider → delivery → store: the loop that sends.
//!
//! Each batch that is being sent has a feeder. It takes untried messages chunk by chunk and those
//! whose wait is over, waits for a permit and a turn of their sender, and starts an attempt. An
//! attempt commits its intent, lets the request leave, and commits the outcome before it gives its
//! permit back: what a crash leaves open is never more than the permits that were out.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::outlet::{Outlet, Turn};
use super::{Alarm, journal, lock};
use crate::admin::Figures;
use crate::batch::{BatchId, Message, Moment, TenantName};
use crate::clock;
use crate::delivery::{self, AttemptId, Outcome, Step};
use crate::store::{Attempt, Error, Store};

/// Messages whose wait is over, fetched at once.
const DUE_MAX: u32 = 256;

/// How long the loop sleeps when nothing nudges it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a batch is left alone that cannot be read from the store.
const STUCK_WAIT: Duration = Duration::from_secs(30);

/// How long a feeder leaves messages be whose sender is gone, before it looks at them again.
const MISSING_WAIT: Duration = Duration::from_mins(1);

/// How long attempts under way may take to end when the daemon stops. With the last reports after
/// it, a stop stays within ten seconds.
const DRAIN_MAX: Duration = Duration::from_millis(7_500);

/// The sending loop and what it needs.
#[derive(Debug)]
pub(super) struct Dispatch {
    pub(super) store: Store,
    pub(super) outlets: BTreeMap<TenantName, Arc<Outlet>>,
    pub(super) figures: Arc<Figures>,
    /// Nudged when a batch was admitted.
    pub(super) admitted: Arc<Notify>,
    /// Nudges the reports.
    pub(super) changed: Arc<Notify>,
    pub(super) alarm: Alarm,
    pub(super) stop: CancellationToken,
}

impl Dispatch {
    /// Sends until stopped, then waits for what is under way. Returns how many attempts had not
    /// ended by then.
    pub(super) async fn run(self) -> Result<usize, Error> {
        let this = Arc::new(self);
        let feeders = TaskTracker::new();
        let active: Arc<Mutex<HashSet<BatchId>>> = Arc::default();
        let under_way = Arc::new(AtomicUsize::new(0));
        let mut missing = HashSet::new();
        while !this.stop.is_cancelled() {
            for (batch, tenant) in this.store.sending().await? {
                let Some(outlet) = this.outlets.get(&tenant) else {
                    if missing.insert(tenant.clone()) {
                        journal::tenant_missing(&tenant);
                    }
                    continue;
                };
                if !lock(&active).insert(batch.clone()) {
                    continue;
                }
                let feeder = Feeder {
                    dispatch: Arc::clone(&this),
                    outlet: Arc::clone(outlet),
                    batch: batch.clone(),
                    progress: Arc::default(),
                    under_way: Arc::clone(&under_way),
                    told_missing: AtomicBool::new(false),
                    back_at: Mutex::default(),
                };
                let (active, alarm) = (Arc::clone(&active), this.alarm.clone());
                feeders.spawn(async move {
                    let _alarm = alarm;
                    // A writer that fails ends the daemon by itself; what cannot be read may be
                    // readable later.
                    if let Err(error) = feeder.run().await {
                        journal::batch_stuck(&batch, &super::chain(&error));
                        tokio::time::sleep(STUCK_WAIT).await;
                    }
                    lock(&active).remove(&batch);
                });
            }
            tokio::select! {
                () = this.stop.cancelled() => {}
                () = this.admitted.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
        feeders.close();
        let _ = tokio::time::timeout(DRAIN_MAX, feeders.wait()).await;
        Ok(under_way.load(Ordering::Acquire))
    }
}

/// What the attempts of one batch tell its feeder.
#[derive(Debug)]
struct Progress {
    /// When the earliest deferred message is due, in milliseconds; `i64::MAX` when none is.
    next_due: AtomicI64,
    /// Nudged when an attempt has ended.
    ended: Notify,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            // What waits from an earlier run is looked for at once.
            next_due: AtomicI64::new(0),
            ended: Notify::new(),
        }
    }
}

/// Takes one batch to its end.
#[derive(Debug)]
struct Feeder {
    dispatch: Arc<Dispatch>,
    outlet: Arc<Outlet>,
    batch: BatchId,
    progress: Arc<Progress>,
    under_way: Arc<AtomicUsize>,
    /// Whether it was said that a sender is missing.
    told_missing: AtomicBool,
    /// When messages that were passed by are looked at again.
    back_at: Mutex<Option<Instant>>,
}

/// Whether a feeder goes on after a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GoesOn {
    Yes,
    /// It goes on with the next message.
    PassedBy,
    /// The daemon stops.
    No,
}

impl Feeder {
    async fn run(self) -> Result<(), Error> {
        let store = &self.dispatch.store;
        let stop = &self.dispatch.stop;
        // Attempts are waited for here, so that a batch is not fed twice.
        let attempts = TaskTracker::new();
        let mut from_index = Some(0);
        while !stop.is_cancelled() {
            self.feed_due(&attempts).await?;
            if let Some(from) = from_index {
                let chunk = store.next_chunk(self.batch.clone(), from).await?;
                from_index = chunk.as_ref().map(|chunk| chunk.next_from);
                for message in chunk.into_iter().flat_map(|chunk| chunk.messages) {
                    self.feed_due(&attempts).await?;
                    let attempt = Attempt {
                        batch: self.batch.clone(),
                        index: message.index,
                        attempt: 1,
                        expires_at: message.expires_at,
                        possible_duplicate: false,
                    };
                    if self.start(&attempts, message, attempt).await? == GoesOn::No {
                        break;
                    }
                }
                continue;
            }
            if store.finish(self.batch.clone(), clock::now()).await? {
                self.outlet.forget_batch(&self.batch);
                journal::finished(&self.batch);
                self.dispatch.changed.notify_one();
                break;
            }
            self.rest(stop).await;
            // Messages that were passed by are looked at again from the beginning.
            let back_at = *lock(&self.back_at);
            if back_at.is_some_and(|at| at <= clock::steady()) {
                *lock(&self.back_at) = None;
                from_index = Some(0);
            }
        }
        attempts.close();
        attempts.wait().await;
        Ok(())
    }

    /// Waits until an attempt has ended or a message is due.
    async fn rest(&self, stop: &CancellationToken) {
        let due_in = self.progress.next_due.load(Ordering::Acquire) - clock::now().as_millis();
        // The wall clock may step; a second look costs little.
        let wait = Duration::from_millis(due_in.clamp(1, LOOK_EVERY.as_millis() as i64) as u64);
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.progress.ended.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }

    /// Starts attempts for the messages whose wait is over, if there are any.
    async fn feed_due(&self, attempts: &TaskTracker) -> Result<(), Error> {
        let now = clock::now();
        if self.progress.next_due.load(Ordering::Acquire) > now.as_millis() {
            return Ok(());
        }
        // Set before looking: an attempt that ends meanwhile lowers it again.
        self.progress.next_due.store(i64::MAX, Ordering::Release);
        let due = self
            .dispatch
            .store
            .due(self.batch.clone(), now, DUE_MAX)
            .await?;
        if let Some(next_at) = due.next_at {
            self.progress
                .next_due
                .fetch_min(next_at.as_millis(), Ordering::AcqRel);
        }
        let any = !due.messages.is_empty();
        let mut started = false;
        for (message, attempt) in due.messages {
            match self.start(attempts, message, attempt).await? {
                GoesOn::Yes => started = true,
                GoesOn::PassedBy => {}
                GoesOn::No => break,
            }
        }
        if any && !started {
            // All of them wait for a sender: they are not asked for again at once.
            let later = now.plus_ms(LOOK_EVERY.as_millis() as i64).as_millis();
            self.progress.next_due.store(later, Ordering::Release);
        }
        Ok(())
    }

    /// Starts one attempt as soon as its sender may. A message whose sender is no longer among the
    /// tenant's stays as it is, until a start finds the sender again.
    async fn start(
        &self,
        attempts: &TaskTracker,
        message: Message,
        attempt: Attempt,
    ) -> Result<GoesOn, Error> {
        let stop = &self.dispatch.stop;
        if let Some(wait) = message.scheduled_at.and_then(|at| until(at, clock::now())) {
            return self.pass_by(attempt, wait).await;
        }
        let Some(lane) = self.outlet.lane(&message.from) else {
            if !self.told_missing.swap(true, Ordering::Relaxed) {
                journal::sender_missing(&self.batch);
            }
            self.outlet.lacks_sender(&self.batch, &message.from);
            return self.pass_by(attempt, MISSING_WAIT).await;
        };
        loop {
            let hold = self.outlet.batch_holds_for(&self.batch);
            if hold.is_zero() {
                break;
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(GoesOn::No),
                () = tokio::time::sleep(hold) => {}
            }
        }
        let permit = match self.outlet.turn(lane, &self.batch, stop).await {
            Turn::Yours(permit) => permit,
            Turn::Held(hold) => return self.pass_by(attempt, hold).await,
            Turn::Stopping => return Ok(GoesOn::No),
        };
        let try_one = TryOne {
            dispatch: Arc::clone(&self.dispatch),
            outlet: Arc::clone(&self.outlet),
            progress: Arc::clone(&self.progress),
            under_way: Arc::clone(&self.under_way),
            permit,
        };
        try_one.under_way.fetch_add(1, Ordering::AcqRel);
        attempts.spawn(try_one.run(message, attempt));
        Ok(GoesOn::Yes)
    }

    /// Leaves a message as it is, to be looked at again after `wait`; others need not wait for it.
    async fn pass_by(&self, attempt: Attempt, wait: Duration) -> Result<GoesOn, Error> {
        let now = clock::now();
        if now >= attempt.expires_at {
            self.dispatch.store.expire(attempt, now).await?;
            return Ok(GoesOn::PassedBy);
        }
        if attempt.attempt > 1 {
            let again = now.plus_ms(wait.as_millis() as i64).as_millis();
            self.progress.next_due.fetch_min(again, Ordering::AcqRel);
        } else {
            let at = clock::steady() + wait;
            let mut back_at = lock(&self.back_at);
            *back_at = Some(back_at.map_or(at, |earlier| earlier.min(at)));
        }
        Ok(GoesOn::PassedBy)
    }
}

/// How long to wait for a moment that is still to come; `None` when it is past. A wait is not
/// longer than the wall clock can be trusted to stand still.
fn until(at: Moment, now: Moment) -> Option<Duration> {
    const TRUSTED: Duration = Duration::from_mins(10);
    let wait = u64::try_from(at.as_millis() - now.as_millis()).ok()?;
    (wait > 0).then(|| Duration::from_millis(wait).min(TRUSTED))
}

/// One attempt at one message.
struct TryOne {
    dispatch: Arc<Dispatch>,
    outlet: Arc<Outlet>,
    progress: Arc<Progress>,
    under_way: Arc<AtomicUsize>,
    permit: OwnedSemaphorePermit,
}

impl TryOne {
    async fn run(self, message: Message, attempt: Attempt) {
        let _alarm = self.dispatch.alarm.clone();
        // A store that fails ends the daemon by itself; the attempt stays in flight on disk, which
        // is the truth as far as it is known.
        let _ = self.attempt(&message, attempt).await;
        self.under_way.fetch_sub(1, Ordering::AcqRel);
        drop(self.permit);
        self.progress.ended.notify_one();
        self.dispatch.changed.notify_one();
    }

    async fn attempt(&self, message: &Message, attempt: Attempt) -> Result<(), Error> {
        let store = &self.dispatch.store;
        let (outlet, figures) = (&self.outlet, &self.dispatch.figures);
        let now = clock::now();
        if now >= attempt.expires_at {
            store.expire(attempt, now).await?;
            figures.outcome(outlet.tenant(), "expired");
            return Ok(());
        }
        if !store.begin(attempt.clone(), now).await? {
            return Ok(());
        }
        let lane = outlet
            .lane(&message.from)
            .expect("its turn was given by this lane");
        let id = AttemptId {
            batch: attempt.batch.clone(),
            index: attempt.index,
            attempt: attempt.attempt,
        };
        let request = outlet.request(lane, &id, message);
        let began = clock::steady();
        figures.attempt_began();
        let reply = outlet.send(&request).await;
        figures.attempt_ended(clock::steady().duration_since(began));
        let outcome = outlet.outcome(&reply);
        outlet.heed(lane, &attempt, &outcome);
        let now = clock::now();
        let word = outcome_word(&outcome);
        figures.outcome(outlet.tenant(), word);
        journal::attempted(&id, word);
        let step = delivery::after(
            outcome,
            attempt.tried(),
            outlet.policy(),
            now,
            fastrand::f64(),
        );
        let due_at = match &step {
            Step::Again { not_before, .. } => Some(not_before.as_millis()),
            Step::Done { .. } => None,
        };
        store.record(attempt, step, now).await?;
        // Only once it is on disk, where the feeder will look for it.
        if let Some(due_at) = due_at {
            self.progress.next_due.fetch_min(due_at, Ordering::AcqRel);
        }
        Ok(())
    }
}

fn outcome_word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted { .. } => "accepted",
        Outcome::Refused { .. } => "refused",
        Outcome::Deferred { .. } => "deferred",
        Outcome::Unclear { .. } => "unclear",
    }
}
