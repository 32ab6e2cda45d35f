//! store → provider → delivery → store: the loop that sends.
//!
//! What goes next, and what an outcome means, is [`Sending`]'s to decide; this loop does what it
//! says and tells it how that went. A request leaves once its intents are on disk, and gives its
//! permits back once its outcomes are: what a crash leaves open is never more than the permits that
//! were out. `handing` lets a request leave, `telling` says to others how it stands.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::outlet::{Outlet, steady_since};
use super::sight::Sight;
use super::steering::Steering;
use super::uploading::{Readiness, Uploading};
use super::{Alarm, journal};
use crate::admin::Figures;
use crate::batch::content::MediaFile;
use crate::batch::{BatchId, Moment, Phone, TenantName};
use crate::clock;
use crate::crash;
use crate::delivery::breaker::Gate;
use crate::delivery::sending::{Action, Going, Item, Now, PERMITS, Read, Sending, Verdict};
use crate::delivery::steering::Subject;
use crate::delivery::{Attempt, Outcome, Step};
use crate::store::{Age, Error, Finish, Looked, MediaKey, Store};
use handing::{Sender, outcome_word};

mod handing;
mod telling;

/// How long the loop sleeps when nothing nudges it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often it is told why batches stand still, and what senders have learned is kept.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// What goes through all batches rests so many times as long as it took: a hundred thousand of them
/// must not keep the loop from sending.
const RESTS: u32 = 20;

/// What may have ended the last run is tried again in a run that has lived so long.
const CALM: Duration = Duration::from_secs(2);

/// How long a lane waits for its files before it is looked whether they have come unheard.
const FILES_LOOK_MS: i64 = 3_000;

/// Messages behind one that waits for a file whose own files are uploaded with it.
const FILES_AHEAD: usize = 16;

/// How long attempts under way may take to end when the daemon stops. With the last reports after
/// it, a stop stays within ten seconds.
const DRAIN_MAX: Duration = Duration::from_millis(7_500);

/// Events that wait for the loop. Whoever has one more waits.
const EVENTS_MAX: usize = 4_096;

/// Outcomes wait for others to be recorded with them: so long, up to so many, and only while more
/// messages than this are in flight.
const GATHERED_FOR: Duration = Duration::from_millis(2);
const GATHERED_MAX: usize = 512;
const GATHERED_FROM: usize = 64;

/// Batches that are held at once; others wait until one of these has ended.
const BATCHES_MAX: usize = 5_000;

/// Why batches stand still, for whoever writes their status.
pub(super) type Held = Arc<Mutex<HashMap<BatchId, String>>>;

/// The sending loop and what it needs.
#[derive(Debug)]
pub(super) struct Dispatch {
    pub(super) store: Store,
    pub(super) steering: Arc<Steering>,
    pub(super) sight: Arc<Sight>,
    pub(super) outlets: BTreeMap<TenantName, Arc<Outlet>>,
    pub(super) uploading: Uploading,
    pub(super) figures: Arc<Figures>,
    /// Nudged when a batch was admitted.
    pub(super) admitted: Arc<Notify>,
    /// Nudges the reports.
    pub(super) changed: Arc<Notify>,
    /// Told why batches stand still.
    pub(super) held: Held,
    pub(super) alarm: Alarm,
    pub(super) stop: CancellationToken,
}

/// What happened to something that the loop had begun.
enum Event {
    Looked(Read, Result<Looked, Error>),
    LookedDue(BatchId, Result<(Vec<Item>, Option<Moment>), Error>),
    Answered(Box<Answered>),
    /// These are on disk, or were never begun.
    Recorded(Vec<Recorded>),
    Expired(BatchId, Vec<u64>),
    Finished(BatchId, bool),
    /// It is not being sent any more.
    Gone(BatchId),
    /// What waited of it is due.
    Hastened(Subject),
    /// A file of this tenant's is at the provider, or will not be.
    FileCame(TenantName),
    Failed(Error),
}

/// A request whose answer came, or will not.
struct Answered {
    going: Going,
    /// Which of its messages had begun.
    begun: Vec<bool>,
    outcomes: Vec<Outcome>,
    left_at: Now,
}

/// A request that has come to its end.
struct Recorded {
    going: Going,
    /// When messages of it are tried again.
    again: Vec<Moment>,
    /// How many of it have come to their end.
    closed: usize,
}

/// Outcomes that wait to be recorded, and since when.
#[derive(Default)]
struct Gathered {
    verdicts: Vec<Verdict>,
    ends: Vec<Recorded>,
    since: Option<Instant>,
}

impl Gathered {
    /// How much longer they may wait; `None` if there are none.
    fn wait(&self, in_flight: usize) -> Option<Duration> {
        let since = self.since?;
        let is_urgent = self.ends.iter().any(|end| end.going.is_urgent);
        if is_urgent || self.verdicts.len() >= GATHERED_MAX || in_flight <= GATHERED_FROM {
            return Some(Duration::ZERO);
        }
        let waited = clock::steady().duration_since(since);
        Some(GATHERED_FOR.saturating_sub(waited))
    }
}

/// When something that goes through all batches is next done.
struct Round {
    /// How long it rests at least.
    least: Duration,
    again_at: Instant,
}

impl Round {
    fn new(least: Duration) -> Self {
        let again_at = clock::steady();
        Self { least, again_at }
    }

    fn is_due(&self) -> bool {
        clock::steady() >= self.again_at
    }

    /// How long it is until then.
    fn wait(&self) -> Duration {
        self.again_at.saturating_duration_since(clock::steady())
    }

    /// It was done, begun at this moment.
    fn done(&mut self, begun: Instant) {
        let now = clock::steady();
        let took = now.duration_since(begun);
        self.again_at = now + self.least.max(took.saturating_mul(RESTS));
    }
}

/// The loop while it runs.
struct Desk {
    dispatch: Arc<Dispatch>,
    sending: Sending,
    events: mpsc::Sender<Event>,
    tasks: TaskTracker,
    under_way: Arc<AtomicUsize>,
    epoch: Instant,
    missing: HashSet<TenantName>,
    without_sender: HashSet<BatchId>,
    rates: HashMap<(TenantName, Phone), f64>,
    /// Outcomes that are to be recorded together.
    gathered: Gathered,
    /// The steering that is in force here.
    steered: u64,
    /// Senders that the operator has made slower.
    limited: HashSet<(TenantName, Phone)>,
    /// The state of templates that is in force here, and those that are withheld for it.
    approved: u64,
    withheld: BTreeSet<Gate>,
}

impl Dispatch {
    /// What is to be heard of a batch of which nothing could begin, if it is not being sent any
    /// more: it may have been cancelled.
    async fn gone(&self, batch: BatchId) -> Option<Event> {
        match self.store.plan(batch.clone()).await {
            Ok(Some(_)) => None,
            Ok(None) => Some(Event::Gone(batch)),
            Err(error) => Some(Event::Failed(error)),
        }
    }

    /// Sends until stopped, then waits for what is under way. Returns how many attempts had not
    /// ended by then.
    pub(super) async fn run(self) -> Result<usize, Error> {
        let this = Arc::new(self);
        let (events, mut heard) = mpsc::channel(EVENTS_MAX);
        let mut desk = Desk::new(Arc::clone(&this), events);
        desk.open().await?;
        let mut batch_of_events = Vec::new();
        let (mut looks, mut tells) = (Round::new(Duration::ZERO), Round::new(TELL_EVERY));
        let mut look = false;
        desk.look_for_batches(&mut looks).await?;
        // Whoever asks at once after the start is told what holds.
        desk.tell(&mut tells).await?;
        while !this.stop.is_cancelled() {
            desk.sending.heed_room(this.store.has_room());
            desk.steer();
            desk.keep_bars().await?;
            desk.heed_approvals();
            let again = desk.work();
            if tells.is_due() {
                desk.tell(&mut tells).await?;
            }
            let gathered = desk.record_gathered();
            let wait = again.map_or(LOOK_EVERY, |at| at.saturating_sub(desk.now().steady));
            let wait = gathered.map_or(wait, |gathered| wait.min(gathered));
            let is_idle = wait >= TELL_EVERY;
            let wait = if look { wait.min(looks.wait()) } else { wait };
            tokio::select! {
                biased;
                () = this.stop.cancelled() => {}
                _ = heard.recv_many(&mut batch_of_events, EVENTS_MAX) => {}
                () = this.admitted.notified() => look = true,
                () = tokio::time::sleep(wait.min(TELL_EVERY)) => look |= is_idle,
            }
            desk.hear(&mut batch_of_events).await?;
            if look && looks.is_due() {
                look = false;
                desk.look_for_batches(&mut looks).await?;
            }
        }
        desk.sending.heed_room(false);
        let deadline = clock::steady() + DRAIN_MAX;
        while desk.sending.in_flight() > 0 {
            let waiting = heard.recv_many(&mut batch_of_events, EVENTS_MAX);
            let left = deadline.saturating_duration_since(clock::steady());
            if tokio::time::timeout(left, waiting).await.is_err() {
                break;
            }
            desk.hear(&mut batch_of_events).await?;
        }
        Ok(desk.under_way.load(Ordering::Acquire))
    }
}

impl Desk {
    fn new(dispatch: Arc<Dispatch>, events: mpsc::Sender<Event>) -> Self {
        let mut sending = Sending::new(PERMITS);
        for (tenant, outlet) in &dispatch.outlets {
            sending.add_tenant(tenant.clone(), outlet.way());
        }
        Self {
            dispatch,
            sending,
            events,
            tasks: TaskTracker::new(),
            under_way: Arc::default(),
            epoch: clock::steady(),
            missing: HashSet::new(),
            without_sender: HashSet::new(),
            rates: HashMap::new(),
            gathered: Gathered::default(),
            steered: 0,
            limited: HashSet::new(),
            approved: 0,
            withheld: BTreeSet::new(),
        }
    }

    fn now(&self) -> Now {
        Now {
            steady: steady_since(self.epoch),
            wall: clock::now(),
        }
    }

    /// Goes on with what an earlier run has left and learned.
    async fn open(&mut self) -> Result<(), Error> {
        let now = self.now();
        for (tenant, number, rate) in self.dispatch.store.learned_rates().await? {
            self.sending.with_pace((&tenant, &number), now, |pace| {
                pace.relearn(rate, now.steady);
            });
            self.rates.insert((tenant, number), rate);
        }
        for barred in self.dispatch.store.bars().await? {
            self.sending.restore(barred, now);
        }
        Ok(())
    }

    /// Keeps what stands against sending, before the outcomes are recorded that it follows from: a
    /// start in between must not try it all anew. The loop waits for it, so that the store has it
    /// in the order in which it happened.
    async fn keep_bars(&mut self) -> Result<(), Error> {
        let bars = self.sending.bars();
        if bars.is_empty() {
            return Ok(());
        }
        self.dispatch.store.keep_bars(bars, clock::now()).await
    }

    /// Takes up batches that may be sent and are not held yet.
    async fn look_for_batches(&mut self, looks: &mut Round) -> Result<(), Error> {
        let begun = clock::steady();
        let dispatch = Arc::clone(&self.dispatch);
        for (batch, tenant) in dispatch.store.sending().await? {
            if self.sending.knows(&batch) {
                continue;
            }
            if !dispatch.outlets.contains_key(&tenant) {
                if self.missing.insert(tenant.clone()) {
                    journal::tenant_missing(&tenant);
                }
                continue;
            }
            if self.sending.batches() >= BATCHES_MAX {
                break;
            }
            if let Some(plan) = dispatch.store.plan(batch).await? {
                let now = self.now();
                self.sending.admit(plan, now);
            }
        }
        looks.done(begun);
        Ok(())
    }

    /// Puts in force what was steered since the last look.
    fn steer(&mut self) {
        let steering = &self.dispatch.steering;
        let version = steering.version();
        if std::mem::replace(&mut self.steered, version) == version {
            return;
        }
        let now = self.now();
        self.sending.heed_pauses(steering.pauses());
        for batch in self.sending.batch_ids() {
            if steering.is_cancelled(&batch) {
                self.sending.cancel(&batch, now);
            }
        }
        for subject in steering.take_retries() {
            self.sending.retry(&subject, now);
        }
        let limits = steering.limits();
        let limited: HashSet<_> = limits.keys().cloned().collect();
        for (tenant, number) in self.limited.union(&limited) {
            let outlet = self.dispatch.outlets.get(tenant);
            let Some(set) = outlet.and_then(|outlet| outlet.rate(number)) else {
                continue;
            };
            let limit = limits.get(&(tenant.clone(), number.clone()));
            let rate = limit.map_or(set, |limit| limit.min(set));
            let sender = (tenant, number);
            self.sending
                .with_pace(sender, now, |pace| pace.set_limit(rate));
        }
        self.limited = limited;
    }

    /// Withholds what is sent with templates that their providers would refuse.
    fn heed_approvals(&mut self) {
        let dispatch = Arc::clone(&self.dispatch);
        let approvals = dispatch.steering.approvals();
        let version = approvals.version();
        if std::mem::replace(&mut self.approved, version) == version {
            return;
        }
        let now = clock::now();
        let gates = self.sending.template_gates();
        for gate in gates.union(&self.withheld.clone()) {
            match (gate, approvals.obstacle(gate)) {
                (Gate::Template(tenant, ..), Some((reason, lasts))) => {
                    let lasts_ms = i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX);
                    let until = now.plus_ms(lasts_ms);
                    self.sending.withhold(tenant, gate, &reason, until);
                    self.withheld.insert(gate.clone());
                }
                _ if self.withheld.remove(gate) => self.sending.release(gate),
                // An answer has shut it, and the provider says otherwise since.
                _ if approvals.knows(gate) => self.sending.probe_soon(gate, self.now()),
                _ => {}
            }
        }
    }

    /// Does all that is to be done, and says when there is more to do.
    fn work(&mut self) -> Option<Duration> {
        let (actions, again) = self.sending.poll(self.now());
        let (mut begins, mut waits) = (Vec::new(), Vec::new());
        for action in actions {
            match action {
                Action::Begin(going) => match self.dispatch.uploading.look(&going, clock::now()) {
                    Readiness::Ready => begins.push(going),
                    Readiness::Waits(files) => waits.push((going, files)),
                    Readiness::Ended(outcomes) => self.end_unsent(going, outcomes),
                },
                Action::Read(read) => self.read(read),
                Action::ReadDue { batch, limit } => self.read_due(batch, limit),
                Action::Expire(batch, attempts) => self.expire(batch, attempts),
                Action::Finish(batch) => self.finish(batch),
            }
        }
        if !begins.is_empty() {
            self.begin(begins);
        }
        // Permits are free again: it is looked at once who else may have them.
        let again = if waits.is_empty() {
            again
        } else {
            Some(self.now().steady)
        };
        // Those that were first go back last, to be first again.
        for (going, files) in waits.into_iter().rev() {
            self.wait_for_files(going, files);
        }
        for notice in self.sending.notices() {
            self.note(&notice);
        }
        again
    }

    /// Has the files of a request uploaded, with some of those that come after it, and puts it
    /// back until then.
    fn wait_for_files(&mut self, going: Going, mut files: Vec<MediaFile>) {
        let behind = self.sending.behind_going(&going, FILES_AHEAD);
        files.extend(behind.flat_map(|message| message.content.files().cloned()));
        for file in files {
            let whose = (&going.tenant, &going.from);
            if let Some(key) = self.dispatch.uploading.begin(whose, &file) {
                self.bring(key, file);
            }
        }
        let now = self.now();
        let until = now.wall.plus_ms(FILES_LOOK_MS);
        self.sending.put_back(going, until, now);
    }

    fn bring(&self, key: MediaKey, file: MediaFile) {
        let dispatch = Arc::clone(&self.dispatch);
        self.task(async move {
            let tenant = key.tenant.clone();
            let outlet = dispatch.outlets.get(&tenant).map(AsRef::as_ref);
            match dispatch.uploading.bring(outlet, key, file).await {
                Ok(()) => Event::FileCame(tenant),
                Err(error) => Event::Failed(error),
            }
        });
    }

    /// Records what becomes of a request that cannot leave because of its files: it begins and ends
    /// in one, so that nobody takes it for sent in between.
    fn end_unsent(&mut self, going: Going, outcomes: Vec<Outcome>) {
        let now = self.now();
        let mut verdicts = Vec::new();
        for (item, outcome) in going.items.iter().zip(outcomes) {
            let figures = &self.dispatch.figures;
            figures.outcome(&going.tenant, outcome_word(&outcome));
            let (times, share) = ((now, now), fastrand::f64());
            verdicts.push(self.sending.judge(&going, item, outcome, times, share));
        }
        let mut end = Recorded {
            going,
            again: Vec::new(),
            closed: 0,
        };
        let (dispatch, events) = (Arc::clone(&self.dispatch), self.events.clone());
        let alarm = self.dispatch.alarm.clone();
        self.tasks.spawn(async move {
            let _alarm = alarm;
            let steps: Vec<Step> = verdicts.iter().map(|it| it.step.clone()).collect();
            let ended = dispatch.store.end_unsent(verdicts, clock::now()).await;
            let begun = match ended {
                Ok(begun) => begun,
                Err(error) => return drop(events.send(Event::Failed(error)).await),
            };
            for (step, _) in steps.iter().zip(&begun).filter(|(_, begun)| **begun) {
                match step {
                    Step::Again { not_before, .. } => end.again.push(*not_before),
                    Step::Done { .. } => end.closed += 1,
                }
            }
            dispatch.changed.notify_one();
            let batch = end.going.batch.clone();
            drop(events.send(Event::Recorded(vec![end])).await);
            if !begun.contains(&true)
                && let Some(gone) = dispatch.gone(batch).await
            {
                drop(events.send(gone).await);
            }
        });
    }

    fn read(&self, read: Read) {
        let lived = steady_since(self.epoch);
        let age = if lived < CALM { Age::Young } else { Age::Calm };
        let store = self.dispatch.store.clone();
        self.task(async move {
            let looked = store.readings(read.clone(), age).await;
            Event::Looked(read, looked)
        });
    }

    fn read_due(&self, batch: BatchId, limit: usize) {
        let store = self.dispatch.store.clone();
        self.task(async move {
            let looked = store.due(batch.clone(), clock::now(), limit).await;
            Event::LookedDue(batch, looked)
        });
    }

    fn expire(&self, batch: BatchId, attempts: Vec<Attempt>) {
        let dispatch = Arc::clone(&self.dispatch);
        self.task(async move {
            let indices: Vec<u64> = attempts.iter().map(|attempt| attempt.index).collect();
            match dispatch.store.expire(attempts, clock::now()).await {
                Ok(()) => {
                    dispatch.changed.notify_one();
                    Event::Expired(batch, indices)
                }
                Err(error) => Event::Failed(error),
            }
        });
    }

    fn finish(&self, batch: BatchId) {
        let dispatch = Arc::clone(&self.dispatch);
        self.task(async move {
            match dispatch.store.finish(batch.clone(), clock::now()).await {
                Ok(finish) => {
                    if finish == Finish::Finished {
                        journal::finished(&batch);
                    }
                    dispatch.changed.notify_one();
                    // What is only held of a batch is none of the sending's.
                    Event::Finished(batch, finish != Finish::NotYet)
                }
                Err(error) => Event::Failed(error),
            }
        });
    }

    /// What waited because of a breaker waits no longer, now that it is closed.
    fn hasten(&self, subjects: Vec<Subject>) {
        for subject in subjects {
            let store = self.dispatch.store.clone();
            self.task(async move {
                match store.retry(subject.clone(), clock::now()).await {
                    Ok(_) => Event::Hastened(subject),
                    Err(error) => Event::Failed(error),
                }
            });
        }
    }

    /// Does something beside the loop, and lets it hear how that ended.
    fn task(&self, work: impl Future<Output = Event> + Send + 'static) {
        let (events, alarm) = (self.events.clone(), self.dispatch.alarm.clone());
        self.tasks.spawn(async move {
            let _alarm = alarm;
            // A loop that is gone has stopped.
            let _ = events.send(work.await).await;
        });
    }

    /// Commits the intents of requests together, and lets each leave after.
    fn begin(&self, begins: Vec<Going>) {
        let count: usize = begins.iter().map(|going| going.items.len()).sum();
        self.under_way.fetch_add(count, Ordering::AcqRel);
        let sender = Sender {
            dispatch: Arc::clone(&self.dispatch),
            events: self.events.clone(),
            under_way: Arc::clone(&self.under_way),
            epoch: self.epoch,
        };
        let (tasks, alarm) = (self.tasks.clone(), self.dispatch.alarm.clone());
        self.tasks.spawn(async move {
            let _alarm = alarm.clone();
            let attempts = begins.iter().flat_map(Going::attempts).collect();
            let begun = sender.dispatch.store.begin(attempts, clock::now()).await;
            let mut begun = match begun {
                Ok(begun) => begun.into_iter(),
                // The attempts may be on disk as begun, which is the truth as far as it is known.
                Err(error) => return drop(sender.events.send(Event::Failed(error)).await),
            };
            crash::point("send-intended");
            for going in begins {
                let begun: Vec<bool> = begun.by_ref().take(going.items.len()).collect();
                let (sender, alarm) = (sender.clone(), alarm.clone());
                tasks.spawn(async move {
                    let _alarm = alarm;
                    sender.send(going, begun).await;
                });
            }
        });
    }

    /// Hears what has happened. Verdicts that come together are recorded together.
    async fn hear(&mut self, events: &mut Vec<Event>) -> Result<(), Error> {
        for event in events.drain(..) {
            let now = self.now();
            match event {
                Event::Looked(read, looked) => self.looked(&read, looked, now)?,
                Event::LookedDue(batch, looked) => {
                    let found = match looked {
                        Ok(found) => Some(found),
                        Err(error) => {
                            told(&batch, error)?;
                            None
                        }
                    };
                    self.sending.take_due(&batch, found, now);
                }
                Event::Answered(answered) => {
                    let end = self.judge(*answered, now);
                    self.gathered.ends.push(end);
                    self.gathered.since.get_or_insert_with(clock::steady);
                }
                Event::Recorded(ends) => {
                    for end in ends {
                        self.sending
                            .recorded(&end.going, &end.again, end.closed, now);
                    }
                }
                Event::Expired(batch, indices) => self.sending.expired(&batch, &indices),
                Event::Finished(batch, is_done) => self.sending.finished(&batch, is_done, now),
                Event::Gone(batch) => {
                    self.sending.cancel(&batch, now);
                    self.sending.finished(&batch, true, now);
                }
                Event::Hastened(subject) => self.sending.hasten(&subject, now),
                Event::FileCame(tenant) => self.sending.files_came(&tenant),
                Event::Failed(error) => return Err(error),
            }
        }
        self.keep_bars().await?;
        self.record_gathered();
        Ok(())
    }

    /// Has outcomes recorded that have waited long enough. Says how much longer others wait.
    fn record_gathered(&mut self) -> Option<Duration> {
        let wait = self.gathered.wait(self.sending.in_flight())?;
        if !wait.is_zero() && !self.dispatch.stop.is_cancelled() {
            return Some(wait);
        }
        let gathered = std::mem::take(&mut self.gathered);
        self.record(gathered.verdicts, gathered.ends);
        None
    }

    fn looked(
        &mut self,
        read: &Read,
        looked: Result<Looked, Error>,
        now: Now,
    ) -> Result<(), Error> {
        let found = match looked {
            Ok(Looked::Found(found)) => Some(found),
            Ok(Looked::NotYet) => None,
            Ok(Looked::Damaged) => {
                journal::chunk_damaged(&read.batch);
                None
            }
            Err(error) => {
                told(&read.batch, error)?;
                None
            }
        };
        self.sending.take_reading(read, found, now);
        Ok(())
    }

    fn judge(&mut self, answered: Answered, now: Now) -> Recorded {
        let Answered {
            going,
            begun,
            outcomes,
            left_at,
        } = answered;
        let mut end = Recorded {
            again: Vec::new(),
            closed: 0,
            going,
        };
        let going = &end.going;
        let begun = going.items.iter().zip(begun).filter(|(_, begun)| *begun);
        for ((item, _), outcome) in begun.zip(outcomes) {
            let share = fastrand::f64();
            let verdict = self
                .sending
                .judge(going, item, outcome, (left_at, now), share);
            match &verdict.step {
                Step::Again { not_before, .. } => end.again.push(*not_before),
                Step::Done { .. } => end.closed += 1,
            }
            self.gathered.verdicts.push(verdict);
        }
        end
    }

    fn record(&self, verdicts: Vec<Verdict>, ends: Vec<Recorded>) {
        let dispatch = Arc::clone(&self.dispatch);
        let under_way = Arc::clone(&self.under_way);
        self.task(async move {
            if !verdicts.is_empty()
                && let Err(error) = dispatch.store.record(verdicts, clock::now()).await
            {
                return Event::Failed(error);
            }
            crash::point("send-recorded");
            let count = ends.iter().map(|end| end.going.items.len()).sum();
            under_way.fetch_sub(count, Ordering::AcqRel);
            dispatch.changed.notify_one();
            Event::Recorded(ends)
        });
    }
}

/// What cannot be read from the store may be readable later; a writer that failed ends the daemon
/// by itself.
fn told(batch: &BatchId, error: Error) -> Result<(), Error> {
    if matches!(error, Error::Read(_)) {
        journal::batch_stuck(batch, &super::chain(&error));
        return Ok(());
    }
    Err(error)
}
