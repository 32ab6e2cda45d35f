//! The world around the decisions: time, the loop that drives them, and what happens when. It does
//! what the loop of the service does, in the same order; between any two of its steps something
//! else may happen.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::plan::{Course, Happening, once_in};
use super::provider::Provider;
use super::store::{Kept, Stage, Store};
use super::truth::{self, Truth};
use super::{
    Action, Attempt, Bar, Barred, BatchId, By, EPOCH, Going, Item, Now, Outcome, Pause, Pauses,
    Phone, Read, Readings, Record, Rng, Sending, State, Step, Subject, TenantName, Verdict,
};
use crate::batch::Content;

/// How long an upload takes at most, in microseconds, and how long a lane waits that does not hear
/// of it.
const FILE_US: u64 = 5_000_000;
const FILE_WAIT_MS: i64 = 3_000;

/// How long the loop takes from one beat to the next.
const BEAT: Duration = Duration::from_micros(200);

/// How long a new start takes. The record of what left is lost with the process, so that a start
/// within the same second could exceed the rate.
const START: Duration = Duration::from_millis(1_100);

/// How long the loop may sleep through a step of the wall clock.
const LOOP_LOOKS: Duration = Duration::from_millis(500);

/// Events told of when something is wrong.
const TOLD: usize = 60;

/// Beats without anything to hear or to do, one right after the other.
const IDLE_BEATS_MAX: u32 = 200;

/// The last events, for whoever must find out what went wrong.
pub(super) type Told = Rc<RefCell<VecDeque<String>>>;

#[derive(Debug)]
enum Event {
    Happens(usize),
    Starts,
    Beat,
    Reads(Read),
    ReadsDue(BatchId, usize),
    Commits(Write),
    Hears(Box<Heard>),
    Leaves(Leaving),
    Comes(Leaving, Now),
}

#[derive(Debug)]
enum Write {
    Begin(Vec<Going>),
    Record(Vec<Verdict>, Vec<End>),
    Expire(BatchId, Vec<Attempt>),
    Finish(BatchId),
    Cancel(usize),
    Hasten(Subject),
}

#[derive(Debug)]
enum Heard {
    Read(Read, Option<Readings>),
    Due(BatchId, Option<(Vec<Item>, Option<super::Moment>)>),
    Answered(Leaving, Vec<Outcome>, Now),
    Recorded(Vec<End>),
    Expired(BatchId, Vec<u64>),
    Finished(BatchId, bool),
    Cancelled(BatchId),
    Retried(Subject),
    FileCame(TenantName),
}

/// A request on its way; the first `begun` of its messages have begun.
#[derive(Debug)]
struct Leaving {
    going: Going,
    begun: usize,
}

#[derive(Debug)]
struct End {
    going: Going,
    again: Vec<super::Moment>,
    closed: usize,
}

pub(super) struct World {
    pub(super) course: Rc<Course>,
    pub(super) store: Store,
    pub(super) sending: Sending,
    pub(super) truth: Truth,
    pub(super) steady: Duration,
    pub(super) is_healed: bool,
    rng: Rng,
    ahead_ms: i64,
    queue: BTreeMap<(Duration, u64), (u32, Event)>,
    events: u64,
    /// How often the service was started.
    life: u32,
    is_up: bool,
    has_room: bool,
    heard: Vec<Heard>,
    beat_at: Option<Duration>,
    idle_beats: u32,
    committed_at: Duration,
    provider: Provider,
    records: HashMap<Phone, Record>,
    pauses: Vec<Pause>,
    /// The bars in the store.
    barred: BTreeMap<Bar, Barred>,
    told: Option<Told>,
}

impl World {
    pub(super) fn new(course: Course, seed: u64, told: Option<Told>) -> Self {
        let mut world = Self {
            sending: Sending::new(course.permits),
            course: Rc::new(course),
            store: Store::default(),
            truth: Truth::default(),
            steady: Duration::from_secs(5),
            is_healed: false,
            rng: Rng::with_seed(!seed),
            ahead_ms: 0,
            queue: BTreeMap::new(),
            events: 0,
            life: 0,
            is_up: false,
            has_room: true,
            heard: Vec::new(),
            beat_at: None,
            idle_beats: 0,
            committed_at: Duration::ZERO,
            provider: Provider::default(),
            records: HashMap::new(),
            pauses: Vec::new(),
            barred: BTreeMap::new(),
            told,
        };
        let begins = world.steady;
        for (no, (at, _)) in world.course.happenings.clone().iter().enumerate() {
            world.at(begins + *at, Event::Happens(no));
        }
        world.start();
        world
    }

    pub(super) fn now(&self) -> Now {
        Now {
            steady: self.steady,
            wall: EPOCH.plus_ms(self.steady.as_millis() as i64 + self.ahead_ms),
        }
    }

    /// Lets the next thing happen; says whether there was one.
    pub(super) fn step(&mut self) -> bool {
        let Some(((at, _), (life, event))) = self.queue.pop_first() else {
            return false;
        };
        self.steady = self.steady.max(at);
        let outlives = matches!(event, Event::Happens(_) | Event::Starts | Event::Comes(..));
        if life == self.life || outlives {
            self.happen(event);
        }
        true
    }

    /// Whether everything has come to its end.
    pub(super) fn is_over(&self) -> bool {
        let ended = |kept: &Kept| matches!(kept.stage, Stage::Cancelled | Stage::Finished);
        self.is_healed
            && self.is_up
            && self.store.0.len() == self.course.batches.len()
            && self.store.0.iter().all(ended)
            && self.sending.batches() == 0
            && self.sending.in_flight() == 0
    }

    fn tell(&self, what: impl FnOnce() -> String) {
        if let Some(told) = &self.told {
            let mut told = told.borrow_mut();
            if told.len() == TOLD {
                told.pop_front();
            }
            let now = self.now();
            let wall = now.wall.as_millis() - EPOCH.as_millis();
            told.push_back(format!("{:>12?} {wall:>8}: {}", now.steady, what()));
        }
    }

    fn at(&mut self, at: Duration, event: Event) {
        self.events += 1;
        let key = (at.max(self.steady), self.events);
        self.queue.insert(key, (self.life, event));
    }

    fn after(&mut self, (least, more): (u64, u64), event: Event) {
        let us = least + self.rng.u64(0..=more);
        self.at(self.steady + Duration::from_micros(us), event);
    }

    fn hears(&mut self, after_us: u64, heard: Heard) {
        self.after((after_us, 100), Event::Hears(Box::new(heard)));
    }

    fn beat_by(&mut self, at: Duration) {
        let at = at.max(self.steady + BEAT);
        if self.is_up && self.beat_at.is_none_or(|before| at < before) {
            self.beat_at = Some(at);
            self.at(at, Event::Beat);
        }
    }

    /// The writer commits one thing after the other.
    fn commit(&mut self, write: Write) {
        let (least, most) = self.course.store_us;
        let takes = Duration::from_micros(self.rng.u64(least..=most));
        self.committed_at = self.committed_at.max(self.steady) + takes;
        self.at(self.committed_at, Event::Commits(write));
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Happens(no) => {
                let happening = self.course.happenings[no].1.clone();
                self.tell(|| format!("{happening:?}"));
                self.world_happens(happening);
            }
            Event::Starts => self.start(),
            Event::Beat => self.beat(),
            Event::Reads(read) => {
                let fails = self.reading_fails();
                let found = (!fails).then(|| self.store.readings(&read));
                let took = self.course.store_us.0;
                self.hears(took, Heard::Read(read, found));
            }
            Event::ReadsDue(batch, limit) => {
                let fails = self.reading_fails();
                let wall = self.now().wall;
                let found = (!fails).then(|| self.store.due(&batch, wall, limit));
                let took = self.course.store_us.0;
                self.hears(took, Heard::Due(batch, found));
            }
            Event::Commits(write) => self.committed(write),
            Event::Hears(heard) => {
                self.heard.push(*heard);
                self.beat_by(self.steady);
            }
            Event::Leaves(leaving) => self.leaves(leaving),
            Event::Comes(leaving, left_at) => self.comes(leaving, left_at),
        }
    }

    fn reading_fails(&mut self) -> bool {
        self.has_trouble(self.course.fails_reading)
    }

    fn has_trouble(&mut self, n: u64) -> bool {
        n > 0 && !self.is_healed && once_in(&mut self.rng, n)
    }

    /// Puts requests back whose files have to be uploaded first. Not each upload is heard of.
    fn wait_for_files(&mut self, waits: Vec<Going>) {
        let now = self.now();
        for going in waits.into_iter().rev() {
            self.tell(|| format!("wait for a file with {}", shown(&going)));
            if self.rng.bool() {
                let came = Heard::FileCame(going.tenant.clone());
                self.after((1_000, FILE_US), Event::Hears(Box::new(came)));
            }
            let until = now.wall.plus_ms(FILE_WAIT_MS);
            self.sending.put_back(going, until, now);
            self.beat_by(self.steady);
        }
    }

    fn world_happens(&mut self, happening: Happening) {
        match happening {
            Happening::Arrives(no) => self.arrives(no),
            Happening::Crash => self.crash(),
            Happening::Step(ms) => {
                self.ahead_ms += ms;
                self.beat_by(self.steady + LOOP_LOOKS);
            }
            Happening::Pause(subject, span) => {
                let since = self.now().wall;
                let pause = Pause {
                    subject,
                    reason: String::new(),
                    by: By::Operator,
                    since,
                    until: span.map(|ms| since.plus_ms(ms)),
                };
                self.pauses.retain(|other| other.subject != pause.subject);
                self.pauses.push(pause);
                self.heed_pauses();
            }
            Happening::Resume(subject) => {
                self.pauses.retain(|pause| pause.subject != subject);
                self.heed_pauses();
            }
            Happening::Cancel(no) => {
                if no < self.store.0.len() {
                    self.commit(Write::Cancel(no));
                }
            }
            Happening::Retry(subject) => self.commit(Write::Hasten(subject)),
            Happening::Full => self.heed_room(Room::None),
            Happening::Room => self.heed_room(Room::Enough),
            Happening::Limit(tenant, number, limit) => {
                let (name, now) = (self.course.tenants[tenant].name.clone(), self.now());
                self.sending
                    .with_pace((&name, &number), now, |pace| pace.set_limit(limit));
                self.beat_by(self.steady);
            }
            Happening::Goes(fault) => self.provider.fail(fault, self.steady),
            Happening::Heal => self.heal(),
        }
    }

    fn heal(&mut self) {
        self.provider.heal();
        self.pauses.clear();
        self.heed_pauses();
        self.heed_room(Room::Enough);
        self.is_healed = true;
    }

    fn heed_pauses(&mut self) {
        let pauses = Arc::new(Pauses::new(self.pauses.iter().cloned()));
        self.sending.heed_pauses(pauses);
        self.beat_by(self.steady);
    }

    fn heed_room(&mut self, room: Room) {
        self.has_room = room == Room::Enough;
        self.sending.heed_room(self.has_room);
        self.beat_by(self.steady);
    }

    fn arrives(&mut self, no: usize) {
        let arriving = &self.course.batches[no];
        let tenant = self.course.tenants[arriving.tenant].name.clone();
        let whose = (arriving.id.clone(), tenant);
        let kept = Kept::new(whose, arriving.messages.clone(), arriving.chunk_size);
        self.store.0.push(kept);
        self.look_for_batches();
    }

    fn look_for_batches(&mut self) {
        if !self.is_up {
            return;
        }
        let now = self.now();
        for plan in self.store.plans() {
            if !self.sending.knows(&plan.batch) {
                self.sending.admit(plan, now);
            }
        }
        self.beat_by(self.steady);
    }

    fn crash(&mut self) {
        if !self.is_up {
            return;
        }
        self.truth.crashed(&self.course, &self.store, &self.sending);
        self.life += 1;
        self.is_up = false;
        self.beat_at = None;
        self.heard.clear();
        self.committed_at = self.steady;
        self.records.clear();
        self.sending = Sending::new(self.course.permits);
        let at = self.steady + START;
        self.at(at, Event::Starts);
    }

    fn start(&mut self) {
        if self.is_up {
            return;
        }
        let course = Rc::clone(&self.course);
        let now = self.now();
        let mut policies = BTreeMap::new();
        self.sending = Sending::new(course.permits);
        for peer in &course.tenants {
            self.sending.add_tenant(peer.name.clone(), peer.way.clone());
            policies.insert(peer.name.clone(), peer.way.policy);
        }
        for barred in self.barred.values() {
            self.sending.restore(barred.clone(), now);
        }
        self.store.recover(&policies, now.wall);
        self.is_up = true;
        self.heed_pauses();
        let room = if self.has_room {
            Room::Enough
        } else {
            Room::None
        };
        self.heed_room(room);
        self.look_for_batches();
    }

    fn beat(&mut self) {
        // A beat that an earlier one has made needless.
        if self.beat_at != Some(self.steady) {
            return;
        }
        self.beat_at = None;
        let heard = std::mem::take(&mut self.heard);
        let is_told = !heard.is_empty();
        self.hear(heard);
        self.keep_bars();
        let now = self.now();
        let (actions, again) = self.sending.poll(now);
        for notice in self.sending.notices() {
            self.truth.noticed(&notice, now);
        }
        let is_idle = !is_told && actions.is_empty();
        self.idle_beats = if is_idle { self.idle_beats + 1 } else { 0 };
        let is_soon = again.is_some_and(|at| at <= now.steady + BEAT);
        if !is_soon {
            self.idle_beats = 0;
        }
        assert!(self.idle_beats < IDLE_BEATS_MAX, "it spins");
        self.act(actions);
        truth::holds_little(&self.sending);
        if let Some(at) = again {
            self.beat_by(at);
        }
    }

    /// The loop waits until they are kept.
    fn keep_bars(&mut self) {
        let since = self.now().wall;
        for (bar, open) in self.sending.bars() {
            match open {
                Some(open) => {
                    let kept = Barred {
                        bar: bar.clone(),
                        since,
                        open,
                    };
                    self.barred.insert(bar, kept);
                }
                None => drop(self.barred.remove(&bar)),
            }
        }
    }

    fn act(&mut self, actions: Vec<Action>) {
        let store_us = self.course.store_us;
        let reading = (store_us.0, store_us.1 - store_us.0);
        let (mut begins, mut waits) = (Vec::new(), Vec::new());
        for action in actions {
            match action {
                Action::Begin(going) if self.has_trouble(self.course.waits_for_file) => {
                    waits.push(going);
                }
                Action::Begin(going) => begins.push(going),
                Action::Read(read) => self.after(reading, Event::Reads(read)),
                Action::ReadDue { batch, limit } => {
                    self.after(reading, Event::ReadsDue(batch, limit));
                }
                Action::Expire(batch, attempts) => {
                    self.tell(|| format!("expire {} of {batch}", attempts.len()));
                    self.commit(Write::Expire(batch, attempts));
                }
                Action::Finish(batch) => self.commit(Write::Finish(batch)),
            }
        }
        self.wait_for_files(waits);
        if begins.is_empty() {
            return;
        }
        assert!(self.has_room, "something begins though the disk is full");
        let now = self.now();
        for going in &begins {
            self.tell(|| format!("begin {}", shown(going)));
            self.truth.begins(&self.sending, going, now);
        }
        self.truth.keeps_permits(&self.course, &self.sending);
        self.commit(Write::Begin(begins));
    }

    fn hear(&mut self, heard: Vec<Heard>) {
        let (mut verdicts, mut ends) = (Vec::new(), Vec::new());
        let now = self.now();
        for one in heard {
            match one {
                Heard::Read(read, found) => {
                    self.tell(|| {
                        let found = found.as_ref().map(|found| found.messages.len());
                        format!("read {} lane {}: {found:?}", read.batch, read.lane)
                    });
                    self.sending.take_reading(&read, found, now);
                }
                Heard::Due(batch, found) => {
                    self.tell(|| {
                        let found = found.as_ref().map(|(items, at)| (items.len(), at));
                        format!("due {batch}: {found:?}")
                    });
                    self.sending.take_due(&batch, found, now);
                    truth::holds_once(&self.sending, &batch);
                }
                Heard::Answered(leaving, outcomes, left_at) => {
                    ends.push(self.judge(leaving, outcomes, (left_at, now), &mut verdicts));
                }
                Heard::Recorded(ended) => {
                    for End {
                        going,
                        again,
                        closed,
                    } in ended
                    {
                        self.truth.ends(&going);
                        self.sending.recorded(&going, &again, closed, now);
                    }
                }
                Heard::Expired(batch, indices) => self.sending.expired(&batch, &indices),
                Heard::Finished(batch, is_done) => {
                    self.tell(|| format!("finished {batch}: {is_done}"));
                    self.sending.finished(&batch, is_done, now);
                }
                Heard::Cancelled(batch) => {
                    self.truth.cancelled(&batch);
                    self.sending.cancel(&batch, now);
                }
                Heard::FileCame(tenant) => self.sending.files_came(&tenant),
                Heard::Retried(subject) => {
                    self.truth.retried();
                    self.sending.retry(&subject, now);
                }
            }
        }
        if !ends.is_empty() {
            self.commit(Write::Record(verdicts, ends));
        }
    }

    fn judge(
        &mut self,
        leaving: Leaving,
        outcomes: Vec<Outcome>,
        times: (Now, Now),
        verdicts: &mut Vec<Verdict>,
    ) -> End {
        let mut end = End {
            going: leaving.going,
            again: Vec::new(),
            closed: 0,
        };
        let begun = &end.going.items[..leaving.begun];
        for (item, outcome) in begun.iter().zip(outcomes) {
            let share = self.rng.f64();
            let told = self.told.is_some().then(|| format!("{outcome:?}"));
            let is_taken = matches!(outcome, Outcome::Accepted { .. });
            let verdict = self.sending.judge(&end.going, item, outcome, times, share);
            if is_taken {
                self.truth.accepted(&self.sending, &verdict.attempt);
            }
            if let Some(outcome) = told {
                self.tell(|| format!("{} {outcome} {:?}", verdict.attempt.id(), verdict.step));
            }
            match &verdict.step {
                Step::Again { not_before, .. } => end.again.push(*not_before),
                Step::Done { .. } => end.closed += 1,
            }
            verdicts.push(verdict);
        }
        end
    }

    fn committed(&mut self, write: Write) {
        match write {
            Write::Begin(goings) => {
                for going in goings {
                    self.begun(going);
                }
                truth::open_is_permitted(&self.store, &self.sending);
            }
            Write::Record(verdicts, ends) => {
                self.store.record(&verdicts);
                let ids = verdicts
                    .iter()
                    .map(|verdict| (&verdict.attempt.batch, verdict.attempt.index));
                self.truth.recorded(&self.store, ids);
                self.hears(10, Heard::Recorded(ends));
            }
            Write::Expire(batch, attempts) => {
                self.store.expire(&attempts);
                let indices: Vec<u64> = attempts.iter().map(|attempt| attempt.index).collect();
                let ids = indices.iter().map(|index| (&batch, *index));
                self.truth.recorded(&self.store, ids);
                self.hears(10, Heard::Expired(batch, indices));
            }
            Write::Finish(batch) => {
                let is_done = self.store.finish(&batch);
                self.hears(10, Heard::Finished(batch, is_done));
            }
            Write::Cancel(no) => {
                self.store.cancel(no);
                let batch = self.store.0[no].id.clone();
                self.hears(10, Heard::Cancelled(batch));
            }
            Write::Hasten(subject) => {
                let wall = self.now().wall;
                self.store.hasten(&subject, wall);
                self.hears(10, Heard::Retried(subject));
            }
        }
    }

    fn begun(&mut self, mut going: Going) {
        let begun = self.store.begin(&going.attempts());
        let mut of_begun = begun.iter();
        let lost: Vec<Item> = going
            .items
            .extract_if(.., |_| !of_begun.next().expect("one each"))
            .collect();
        let begun = going.items.len();
        if begun == 0 {
            going.items.extend(lost);
            let end = End {
                going,
                again: Vec::new(),
                closed: 0,
            };
            return self.hears(10, Heard::Recorded(vec![end]));
        }
        going.items.extend(lost);
        let late = Duration::from_micros(self.rng.u64(0..self.course.late_us));
        let at = going.at.max(self.steady) + late;
        self.at(at, Event::Leaves(Leaving { going, begun }));
    }

    fn leaves(&mut self, leaving: Leaving) {
        let record = self.records.entry(leaving.going.from.clone()).or_default();
        let rate = leaving.going.rate;
        if let Err(wait) = record.leave(self.steady, leaving.begun, rate) {
            assert!(!wait.is_zero(), "it waits for no time at all");
            let late = Duration::from_micros(self.rng.u64(0..self.course.late_us));
            return self.at(self.steady + wait + late, Event::Leaves(leaving));
        }
        let left_at = self.now();
        self.after(self.course.way_us, Event::Comes(leaving, left_at));
    }

    fn comes(&mut self, leaving: Leaving, left_at: Now) {
        let course = Rc::clone(&self.course);
        let going = &leaving.going;
        let no = course
            .tenants
            .iter()
            .position(|peer| peer.name == going.tenant);
        let no = no.expect("it is one of them");
        let peer = &course.tenants[no];
        let came = self.provider.comes(&going.from, leaving.begun, self.steady);
        let rate = peer.way.senders[0].messages_per_second;
        let most = (rate.ceil() as usize).max(peer.way.bulk_max);
        assert!(came <= most, "{came} messages within a second, not {rate}");
        let is_over = came as f64 > (rate * peer.true_share).ceil().max(1.0);
        let bulk_max = match &going.items[0].message.content {
            Content::Template(_) => peer.way.bulk_max,
            _ => peer.way.session_bulk_max,
        };
        assert!(going.items.len() <= bulk_max, "of one kind, {bulk_max}");
        let mut outcomes = Vec::new();
        let mut after = Duration::ZERO;
        for item in &going.items[..leaving.begun] {
            let now = (self.steady, &mut self.rng);
            let answer = self
                .provider
                .answer((no, peer), &item.message, is_over, now);
            if answer.is_taken {
                let attempt = item.attempt(&going.batch);
                self.truth.taken(&self.store, &attempt, peer.way.policy);
            }
            after = after.max(answer.after);
            outcomes.push(answer.outcome);
        }
        let (least, more) = course.way_us;
        let after = (least + after.as_micros() as u64, more);
        let heard = Heard::Answered(leaving, outcomes, left_at);
        if self.is_up {
            self.after(after, Event::Hears(Box::new(heard)));
        }
    }

    /// How many messages of a batch are known to be taken.
    pub(super) fn accepted(&self, batch: usize) -> usize {
        self.store
            .0
            .get(batch)
            .map_or(0, |kept| kept.rows_in(State::Accepted))
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Room {
    Enough,
    None,
}

fn shown(going: &Going) -> String {
    let ids: Vec<String> = going
        .attempts()
        .iter()
        .map(|attempt| format!("{}#{}", attempt.index, attempt.attempt))
        .collect();
    format!("{} {} at {:?}", going.batch, ids.join(" "), going.at)
}
