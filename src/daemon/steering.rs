//! Steering: pauses, limits, retries and cancelled batches, in force as soon as they are on disk.
//!
//! A command is committed first, then takes effect in memory, and then the loops are nudged. What
//! the sending loop must act on beside pauses stands here to be looked up, never in a channel: a
//! nudge that is lost costs a moment, no command.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::pulling::Approvals;
use super::{journal, lock};
use crate::admin::Figures;
use crate::batch::{BatchId, Phone, TenantName};
use crate::delivery::steering::{By, Pause, Pauses, Subject};
use crate::store::{Cancelled, Error, Granted, Settling, Store, Wish};
use crate::{clock, crash};

/// How long the loop sleeps when nothing nudges it and no pause is about to end.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a cancelled batch is left alone in which something is still in flight.
const IN_FLIGHT_WAIT: Duration = Duration::from_millis(200);

/// Retries that the sending loop has not looked at yet, at most; of more the oldest are forgotten,
/// which leaves those messages to their own time.
const RETRIES_MAX: usize = 1_000;

/// How often the pauses of batches that have ended are forgotten.
const ENDED_EVERY: Duration = Duration::from_secs(30);

/// Whether a look at pauses also forgets those of batches that have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    LookedFor,
    Left,
}

/// Everything that is steered. Shared by all who must heed it.
#[derive(Debug)]
pub(super) struct Steering {
    store: Store,
    figures: Arc<Figures>,
    /// Nudges the sending.
    sending: Arc<Notify>,
    /// Nudges the reports.
    reporting: Arc<Notify>,
    /// Nudges this loop.
    wake: Notify,
    /// One command at a time, so that memory follows the disk in the same order.
    command: tokio::sync::Mutex<()>,
    standing: Mutex<Standing>,
    version: AtomicU64,
    /// Which templates the providers take.
    approvals: Approvals,
}

/// How everything stands.
#[derive(Debug, Default)]
struct Standing {
    by_subject: BTreeMap<Subject, Pause>,
    pauses: Arc<Pauses>,
    limits: Arc<Limits>,
    /// Batches of which nothing may begin any more, until their reports are in place: whoever is
    /// about to begin something of one must not miss that it was cancelled.
    cancelled: HashSet<BatchId>,
    /// Subjects whose holds the sending loop is to forget.
    retries: BTreeSet<Subject>,
}

impl Standing {
    fn rebuild(&mut self) {
        self.pauses = Arc::new(Pauses::new(self.by_subject.values().cloned()));
    }
}

/// The operator's lower rates, in messages a second.
pub(super) type Limits = HashMap<(TenantName, Phone), f64>;

impl Steering {
    /// Takes up what the last run left: pauses, limits, and batches that were being cancelled.
    pub(super) async fn load(
        store: Store,
        figures: Arc<Figures>,
        (sending, reporting): (Arc<Notify>, Arc<Notify>),
    ) -> Result<Self, Error> {
        let pauses = store.pauses(clock::now()).await?;
        let limits = store.limits().await?;
        let limits = limits
            .into_iter()
            .map(|limit| ((limit.tenant, limit.number), limit.per_second));
        let mut standing = Standing {
            by_subject: by_subject(pauses),
            limits: Arc::new(limits.collect()),
            cancelled: store.cancelling().await?.into_iter().collect(),
            ..Standing::default()
        };
        standing.rebuild();
        let this = Self {
            store,
            figures,
            sending,
            reporting,
            wake: Notify::new(),
            command: tokio::sync::Mutex::default(),
            standing: Mutex::new(standing),
            version: AtomicU64::new(1),
            approvals: Approvals::default(),
        };
        this.count();
        Ok(this)
    }

    /// Goes up with every change, so that a loop knows when to look again.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Which templates the providers take.
    pub(super) fn approvals(&self) -> &Approvals {
        &self.approvals
    }

    /// What is paused.
    pub(super) fn pauses(&self) -> Arc<Pauses> {
        Arc::clone(&lock(&self.standing).pauses)
    }

    /// The operator's lower rates.
    pub(super) fn limits(&self) -> Arc<Limits> {
        Arc::clone(&lock(&self.standing).limits)
    }

    /// Whether a batch was cancelled, so that nothing of it may begin.
    pub(super) fn is_cancelled(&self, batch: &BatchId) -> bool {
        lock(&self.standing).cancelled.contains(batch)
    }

    /// The subjects whose holds are to be forgotten, each told once.
    pub(super) fn take_retries(&self) -> BTreeSet<Subject> {
        std::mem::take(&mut lock(&self.standing).retries)
    }

    /// Every pause in force, for people.
    pub(super) fn listed(&self) -> Vec<Pause> {
        let now = clock::now();
        let standing = lock(&self.standing);
        let in_force = standing.by_subject.values();
        in_force
            .filter(|pause| pause.holds_at(now))
            .cloned()
            .collect()
    }

    /// Pauses a subject. Says whether this pause counts: a tenant's does not take the place of the
    /// operator's.
    pub(super) async fn pause(&self, pause: Pause) -> Result<bool, Error> {
        let _turn = self.command.lock().await;
        if !self.store.pause(pause.clone()).await? {
            return Ok(false);
        }
        self.paused(pause);
        Ok(true)
    }

    /// Ends the pause of a subject. Says whether there was one that `by` may end.
    pub(super) async fn resume(&self, subject: Subject, by: By) -> Result<bool, Error> {
        let _turn = self.command.lock().await;
        if !self.store.resume(subject.clone(), by).await? {
            return Ok(false);
        }
        self.resumed(&subject, by);
        Ok(true)
    }

    /// Cancels a batch, for a reason that may be empty. Once this has returned, nothing of it
    /// begins any more.
    pub(super) async fn cancel(&self, batch: BatchId, reason: String) -> Result<Cancelled, Error> {
        let _turn = self.command.lock().await;
        let cancelling = self.store.cancel(batch.clone(), reason, clock::now());
        let cancelled = cancelling.await?;
        self.cancelled(batch, cancelled);
        Ok(cancelled)
    }

    /// Does what a file of the tenant's asks for. Says whether its batch was still running.
    pub(super) async fn grant(&self, wish: Wish) -> Result<bool, Error> {
        let _turn = self.command.lock().await;
        let batch = wish.batch.clone();
        match self.store.grant(wish).await? {
            Granted::Paused(pause) => self.paused(pause),
            Granted::Resumed => self.resumed(&Subject::Batch { batch }, By::Tenant),
            Granted::Cancelled(cancelled) => self.cancelled(batch, cancelled),
            // Its status may have something to tell.
            Granted::Unchanged => self.changed(),
            Granted::TooLate => return Ok(false),
        }
        crash::point("steering-granted");
        Ok(true)
    }

    fn paused(&self, pause: Pause) {
        journal::paused(&pause);
        {
            let mut standing = lock(&self.standing);
            standing.by_subject.insert(pause.subject.clone(), pause);
            standing.rebuild();
        }
        self.changed();
    }

    fn resumed(&self, subject: &Subject, by: By) {
        journal::resumed(subject, &format!("the {}", by.as_str()));
        {
            let mut standing = lock(&self.standing);
            standing.by_subject.remove(subject);
            standing.rebuild();
        }
        self.changed();
    }

    fn cancelled(&self, batch: BatchId, cancelled: Cancelled) {
        if let Cancelled::Now { left, in_flight } = cancelled {
            journal::cancelled(&batch, left, in_flight);
            lock(&self.standing).cancelled.insert(batch);
            self.changed();
        }
    }

    /// Lets everything of a subject that waits for another try be tried at once. Returns how many
    /// messages did.
    pub(super) async fn retry(&self, subject: Subject) -> Result<u64, Error> {
        let _turn = self.command.lock().await;
        let messages = self.store.retry(subject.clone(), clock::now()).await?;
        journal::retried(&subject, messages);
        {
            let mut standing = lock(&self.standing);
            standing.retries.insert(subject);
            if standing.retries.len() > RETRIES_MAX {
                standing.retries.pop_first();
            }
        }
        self.changed();
        Ok(messages)
    }

    /// Makes a sender slower than its settings say; `None` lets it be as they say.
    pub(super) async fn limit(
        &self,
        tenant: TenantName,
        number: Phone,
        per_second: Option<f64>,
    ) -> Result<(), Error> {
        let _turn = self.command.lock().await;
        let (of, sender) = (tenant.clone(), number.clone());
        self.store.limit(of, sender, per_second).await?;
        journal::limited(&tenant, per_second);
        {
            let mut standing = lock(&self.standing);
            let limits = Arc::make_mut(&mut standing.limits);
            match per_second {
                Some(per_second) => drop(limits.insert((tenant, number), per_second)),
                None => drop(limits.remove(&(tenant, number))),
            }
        }
        self.changed();
        Ok(())
    }

    /// Ends pauses whose time is over, and takes cancelled batches to their end, until stopped.
    pub(super) async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), Error> {
        let mut looked_at = clock::steady();
        while !stop.is_cancelled() {
            let ended = if clock::steady().duration_since(looked_at) >= ENDED_EVERY {
                looked_at = clock::steady();
                Ended::LookedFor
            } else {
                Ended::Left
            };
            self.end_pauses(ended).await?;
            let wait = self.settle().await?.min(self.next_end());
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.wake.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        Ok(())
    }

    /// How long until the first pause ends, at most until the next look.
    fn next_end(&self) -> Duration {
        let now = clock::now();
        let standing = lock(&self.standing);
        let ends = standing.by_subject.values().filter_map(|pause| pause.until);
        let wait_ms = ends.min().map(|end| end.as_millis() - now.as_millis());
        let wait = wait_ms.map(|ms| Duration::from_millis(ms.max(1).unsigned_abs()));
        wait.unwrap_or(LOOK_EVERY).min(LOOK_EVERY)
    }

    /// Forgets pauses that are over, and now and then those of batches that have ended.
    async fn end_pauses(&self, ended: Ended) -> Result<(), Error> {
        let now = clock::now();
        let is_over = |pause: &&Pause| !pause.holds_at(now);
        let may_have_ended = |pause: &Pause| match pause.subject {
            Subject::Batch { .. } => ended == Ended::LookedFor,
            _ => false,
        };
        if !lock(&self.standing)
            .by_subject
            .values()
            .any(|pause| is_over(&pause) || may_have_ended(pause))
        {
            return Ok(());
        }
        let _turn = self.command.lock().await;
        let left = by_subject(self.store.pauses(now).await?);
        {
            let mut standing = lock(&self.standing);
            for pause in standing.by_subject.values().filter(is_over) {
                journal::resumed(&pause.subject, "its time");
            }
            standing.by_subject = left;
            standing.rebuild();
        }
        self.changed();
        Ok(())
    }

    /// Takes every cancelled batch a step further. Returns how long the next step may wait.
    async fn settle(&self) -> Result<Duration, Error> {
        if lock(&self.standing).cancelled.is_empty() {
            return Ok(LOOK_EVERY);
        }
        // One that was cancelled before its file was read is not among them: its check ends it.
        let cancelling = self.store.cancelling().await?;
        let mut wait = LOOK_EVERY;
        for batch in &cancelling {
            let settling = self.store.settle_cancelled(batch.clone(), clock::now());
            match settling.await? {
                Settling::Done => {
                    journal::finished(batch);
                    self.reporting.notify_one();
                }
                Settling::InFlight => wait = wait.min(IN_FLIGHT_WAIT),
                Settling::Held => {}
                Settling::More => wait = Duration::ZERO,
            }
        }
        let known: Vec<BatchId> = lock(&self.standing).cancelled.iter().cloned().collect();
        for batch in known {
            if self.store.has_ended(batch.clone()).await? {
                lock(&self.standing).cancelled.remove(&batch);
            }
        }
        Ok(wait)
    }

    fn changed(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
        self.count();
        self.wake.notify_one();
        self.sending.notify_one();
        self.reporting.notify_one();
    }

    fn count(&self) {
        let standing = lock(&self.standing);
        for scope in Subject::SCOPES {
            let subjects = standing.by_subject.keys();
            let paused = subjects.filter(|subject| subject.scope() == scope).count();
            self.figures.paused(scope, paused);
        }
    }
}

fn by_subject(pauses: Vec<Pause>) -> BTreeMap<Subject, Pause> {
    let pairs = pauses
        .into_iter()
        .map(|pause| (pause.subject.clone(), pause));
    pairs.collect()
}
