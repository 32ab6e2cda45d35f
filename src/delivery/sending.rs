//! Sending as a whole: which messages are read from the store, which leave next, and what an
//! outcome means for all others. Pure: it is told what happened and says what is to be done; the
//! loop does it and tells how it went. What is not on disk is forgotten here with the process, and
//! found again by reading the store from the beginning.
//!
//! A message is picked when its lane has a turn and nothing stands against it: no breaker, no
//! pause, no closed hours, no wait of its recipient. From then on it holds a permit, until its
//! outcome is on disk; so what a crash leaves open is never more than the permits.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::breaker::{Breakers, Gate, Passage};
use super::lane::Lane;
use super::pace::Pace;
use super::steering::{Pause, Pauses, Subject, Whose};
use super::turns::{LaneNo, SenderNo, TenantNo, Turn, Turns};
use super::window::QuietHours;
use super::{Attempt, Policy, Reason, Sender};
use crate::batch::{BatchId, Message, Moment, Phone, TenantName};

mod bars;
mod files;
mod holding;
mod judging;
mod lines;
#[cfg(test)]
mod simulation;
mod viewing;

pub use bars::{Bar, Barred};
pub use judging::{Notice, Verdict};
use lines::{Batch, LaneLine};
use viewing::Recent;

/// Messages in flight over all senders, at most.
pub const PERMITS: usize = 2_048;

/// Chunks that are read from the store at once; others wait, so that the store's other questions do
/// not.
const READS_MAX: usize = 2;

/// Bytes of messages that are held in all, before lanes have to do with less, and the least and the
/// most that one may hold.
const BYTES_MAX: usize = 32 << 20;
const LANE_BYTES: (usize, usize) = (8 << 10, 2 << 20);

/// Messages that a lane holds at most; below a quarter of what it holds more are read.
const LANE_MESSAGES_MAX: usize = 1_000;

/// Messages whose moment is no further away than this are held until it comes; others are passed by
/// and read again later.
const SOON: Duration = Duration::from_mins(1);

/// How often a lane that stands still is looked at for messages that have expired meanwhile.
const STILL_LOOK: Duration = Duration::from_secs(15);

/// By how many milliseconds the wall clock must leave the steady one at once to have been set, and
/// not only to be slow.
const SET_MS: i64 = 100;

/// Messages that waited are read again so many at a time.
const DUE_MAX: usize = 256;

/// Turns that are given at once; then it is looked whether something happened.
const TURNS_MAX: usize = 256;

/// Recipients whose wait is remembered; beyond it those whose wait is over are forgotten.
const PAIRS_MAX: usize = 10_000;

/// The present, on both clocks: a steady one for paces, the wall for everything that is kept.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// It never steps and starts anywhere.
    pub steady: Duration,
    /// What people read.
    pub wall: Moment,
}

/// A message that is to be sent.
#[derive(Clone, Debug)]
pub struct Item {
    /// The message.
    pub message: Message,
    /// Which try is next, from 1.
    pub attempt: u32,
    /// How many of the tries before do not count, because the provider never looked at them.
    pub uncounted: u32,
    /// Whether an earlier try may have gone out.
    pub possible_duplicate: bool,
    /// About how much memory it takes.
    pub bytes: usize,
}

/// Messages that leave in one request.
#[derive(Debug)]
pub struct Going {
    /// The batch.
    pub batch: BatchId,
    /// Whose it is.
    pub tenant: TenantName,
    /// The number they leave from.
    pub from: Phone,
    /// The messages.
    pub items: Vec<Item>,
    /// When the request leaves.
    pub at: Duration,
    /// Messages a second that may leave from this number.
    pub rate: f64,
    /// Whether its intent must not wait for others.
    pub is_urgent: bool,
    lane: LaneNo,
    sender: SenderNo,
    /// Breakers that it probes.
    probes: Vec<Gate>,
    /// Which probe it is.
    probe: u64,
}

/// What is to be done.
#[derive(Debug)]
pub enum Action {
    /// Read messages to which nothing has happened.
    Read(Read),
    /// Read messages whose wait is over.
    ReadDue {
        /// Of this batch.
        batch: BatchId,
        /// So many, the longest due first.
        limit: usize,
    },
    /// Commit the intents, and let the request leave.
    Begin(Going),
    /// Commit that their time is over.
    Expire(BatchId, Vec<Attempt>),
    /// Declare the batch done, if it is.
    Finish(BatchId),
}

/// Which messages are to be read.
#[derive(Clone, Debug)]
pub struct Read {
    /// Of this batch.
    pub batch: BatchId,
    /// Above all of this lane, by its number.
    pub lane: u32,
    /// At this index or after it.
    pub from: u64,
    /// Chunks with nothing to send until then are passed by.
    pub ready_by: Moment,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Readings {
    /// The index at which the chunk begins.
    pub first: u64,
    /// Untouched messages of the chunk, in the order of the file, whatever their lane.
    pub messages: Vec<(Message, usize)>,
    /// Where the next chunk begins; `None` if there is none.
    pub next: Option<u64>,
    /// When the earliest message of a chunk that was passed by may go.
    pub passed_by: Option<Moment>,
}

/// A batch that is to be sent.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The batch.
    pub batch: BatchId,
    /// Whose it is.
    pub tenant: TenantName,
    /// Its place among all: the smaller, the older.
    pub age: u64,
    /// How many messages are left.
    pub left: u64,
    /// Its lanes, by number.
    pub lanes: Vec<Lane>,
    /// Where its first chunk begins; `None` if it has none.
    pub first: Option<u64>,
}

/// How messages of one tenant leave.
#[derive(Clone, Debug)]
pub struct Way {
    /// The address of its provider.
    pub endpoint: String,
    /// What it wants where the right answer depends on its trade.
    pub policy: Policy,
    /// How many messages one request holds at most.
    pub bulk_max: usize,
    /// The same of messages without a template.
    pub session_bulk_max: usize,
    /// The hours in which nothing is sent.
    pub quiet_hours: Arc<[QuietHours]>,
    /// Its numbers.
    pub senders: Vec<Sender>,
}

#[derive(Debug)]
struct Tenant {
    way: Way,
    senders: HashMap<Phone, SenderNo>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wake {
    Lane(LaneNo),
    /// Messages of a batch whose moment is near.
    Soon(u64),
    /// Messages of a batch that waited.
    Due(u64),
}

/// Everything that is being sent.
#[derive(Debug)]
pub struct Sending {
    turns: Turns,
    breakers: Breakers,
    /// The number of the last request that may be a probe.
    probes: u64,
    pauses: Arc<Pauses>,
    tenants: BTreeMap<TenantName, Tenant>,
    batches: BTreeMap<u64, Batch>,
    ages: HashMap<BatchId, u64>,
    wakes: BTreeSet<(Moment, Wake)>,
    /// Lanes that must be looked at.
    dirty: BTreeSet<LaneNo>,
    /// Lanes that want to be read for, in this order.
    wanting: VecDeque<LaneNo>,
    reads: usize,
    lanes: usize,
    /// Recipients that wait, at their sender.
    pairs: HashMap<(SenderNo, Phone), Moment>,
    /// How much each sender has sent lately.
    recent: HashMap<SenderNo, Recent>,
    /// Senders that were throttled: until when they rest, and why.
    rests: HashMap<SenderNo, (Moment, Reason)>,
    /// Breakers and rests that have changed since somebody asked.
    bars: BTreeSet<Bar>,
    has_room: bool,
    /// By how many milliseconds the wall clock was ahead of the steady one.
    ahead_ms: Option<i64>,
    notices: Vec<Notice>,
    actions: Vec<Action>,
}

impl Sending {
    /// Nothing to send yet.
    pub fn new(permits: usize) -> Self {
        Self {
            turns: Turns::new(permits),
            breakers: Breakers::default(),
            probes: 0,
            pauses: Arc::default(),
            tenants: BTreeMap::new(),
            batches: BTreeMap::new(),
            ages: HashMap::new(),
            wakes: BTreeSet::new(),
            dirty: BTreeSet::new(),
            wanting: VecDeque::new(),
            reads: 0,
            lanes: 0,
            pairs: HashMap::new(),
            recent: HashMap::new(),
            rests: HashMap::new(),
            bars: BTreeSet::new(),
            has_room: true,
            ahead_ms: None,
            notices: Vec::new(),
            actions: Vec::new(),
        }
    }

    /// Adds a tenant with its way out.
    pub fn add_tenant(&mut self, name: TenantName, way: Way) {
        let no: TenantNo = self.turns.add_tenant();
        let senders = way.senders.iter().map(|sender| {
            let pace = Pace::new(sender.messages_per_second);
            (sender.number.clone(), self.turns.add_sender(no, pace))
        });
        let senders = senders.collect();
        self.tenants.insert(name, Tenant { way, senders });
    }

    /// The pace of a number, to be looked at or changed.
    pub fn with_pace<T>(
        &mut self,
        (tenant, number): (&TenantName, &Phone),
        now: Now,
        change: impl FnOnce(&mut Pace) -> T,
    ) -> Option<T> {
        let sender = self.sender(tenant, number)?;
        Some(self.turns.with_pace(sender, now.steady, change))
    }

    /// A batch may be sent. One that is being sent already stays as it is.
    pub fn admit(&mut self, plan: Plan, now: Now) {
        if self.batches.contains_key(&plan.age) {
            return;
        }
        self.ages.insert(plan.batch.clone(), plan.age);
        let age = plan.age;
        let lanes: Vec<LaneLine> = plan
            .lanes
            .into_iter()
            .map(|lane| {
                let gates = self.gates(&plan.tenant, &lane).into();
                let sender = self.sender(&plan.tenant, &lane.from);
                LaneLine::new((lane, gates), sender, plan.first)
            })
            .collect();
        self.lanes += lanes.len();
        let batch = Batch::new(plan.batch, plan.tenant, plan.left, plan.first, lanes);
        self.dirty
            .extend((0..batch.lanes.len()).map(|lane| (age, lane as u32)));
        self.batches.insert(age, batch);
        // What waits from an earlier run is looked for at once.
        self.due_at(age, now.wall);
    }

    /// Whether a batch is being sent.
    pub fn knows(&self, batch: &BatchId) -> bool {
        self.ages.contains_key(batch)
    }

    /// What is paused has changed.
    pub fn heed_pauses(&mut self, pauses: Arc<Pauses>) {
        self.pauses = pauses;
        self.look_at_all();
    }

    /// A batch was cancelled: nothing of it begins any more.
    pub fn cancel(&mut self, batch: &BatchId, now: Now) {
        let Some(age) = self.ages.get(batch).copied() else {
            return;
        };
        let Some(batch) = self.batches.get_mut(&age) else {
            return;
        };
        batch.cancel();
        let seats: Vec<_> = batch.offered().collect();
        for (at, lane) in seats {
            self.turns.withdraw(at, (age, lane), now.steady);
        }
        self.finish_if_idle(age);
    }

    /// Waits of messages are over, and breakers let a probe pass at once.
    pub fn retry(&mut self, subject: &Subject, now: Now) {
        self.heed_clock(now);
        let open = self.breakers.all_open().map(|(gate, _)| gate);
        let gates: Vec<Gate> = open
            .filter(|gate| self.concerns(subject, gate))
            .cloned()
            .collect();
        for gate in &gates {
            self.breakers.retry(gate, now.wall);
            self.bars.insert(Bar::Breaker(gate.clone()));
        }
        self.release_paces(subject, now);
        self.hasten(subject, now);
        self.look_at_all();
    }

    /// The templates that are being sent, by their gates.
    pub fn template_gates(&self) -> BTreeSet<Gate> {
        let lines = self.batches.values().flat_map(|batch| &batch.lanes);
        let gates = lines.filter_map(|line| line.gates.get(3));
        gates.cloned().collect()
    }

    /// Nothing passes this gate until then: it is known that it would be refused.
    pub fn withhold(&mut self, tenant: &TenantName, gate: &Gate, reason: &Reason, until: Moment) {
        self.bars.insert(Bar::Breaker(gate.clone()));
        if let Some(open) = self.breakers.shut(gate, reason, until) {
            let notice = Notice::Opened(tenant.clone(), gate.clone(), open);
            self.notices.push(notice);
        }
        self.look_at_all();
    }

    /// Lets a probe pass this gate at once, if it is shut: what shut it is said to be over.
    pub fn probe_soon(&mut self, gate: &Gate, now: Now) {
        if self.breakers.open(gate).is_some() {
            self.breakers.retry(gate, now.wall);
            self.bars.insert(Bar::Breaker(gate.clone()));
            self.look_at_all();
        }
    }

    /// What was withheld at this gate goes again.
    pub fn release(&mut self, gate: &Gate) {
        if self.breakers.reopen(gate) {
            self.bars.insert(Bar::Breaker(gate.clone()));
            self.notices.push(Notice::Closed(gate.clone()));
            self.look_at_all();
        }
    }

    /// Waits of messages are over in the store: those that are due are looked for.
    pub fn hasten(&mut self, subject: &Subject, now: Now) {
        let ages: Vec<u64> = self
            .batches
            .iter()
            .filter(|(_, batch)| batch.is_meant(subject))
            .map(|(age, _)| *age)
            .collect();
        for age in ages {
            self.due_at(age, now.wall);
        }
    }

    /// Whose messages stand behind a breaker.
    pub fn behind(&self, gate: &Gate) -> Vec<Subject> {
        match gate.clone() {
            Gate::Endpoint(address) => {
                let there = |tenant: &&Tenant| tenant.way.endpoint == address;
                let tenants = self.tenants.iter().filter(|(_, tenant)| there(tenant));
                let whole = |(name, _): (&TenantName, _)| Subject::Tenant {
                    tenant: name.clone(),
                };
                tenants.map(whole).collect()
            }
            Gate::Credential(tenant) => vec![Subject::Tenant { tenant }],
            Gate::Sender(tenant, number) => vec![Subject::Sender { tenant, number }],
            Gate::Template(tenant, name, language) => vec![Subject::Template {
                tenant,
                name,
                language: Some(language),
            }],
        }
    }

    /// Whether the disk has room for intents. Without it nothing begins.
    pub fn heed_room(&mut self, has_room: bool) {
        self.has_room = has_room;
    }

    /// What is to be done at `now`, and when to ask again if nothing happens before.
    pub fn poll(&mut self, now: Now) -> (Vec<Action>, Option<Duration>) {
        self.heed_clock(now);
        self.wake(now);
        self.look(now);
        let next = if self.has_room {
            self.give_turns(now)
        } else {
            None
        };
        self.look(now);
        self.ask_for_reads(now);
        let wake = self.wakes.first().map(|(moment, _)| {
            let ms = moment.as_millis().saturating_sub(now.wall.as_millis());
            now.steady + Duration::from_millis(u64::try_from(ms).unwrap_or(0))
        });
        let again = next.into_iter().chain(wake).min();
        (std::mem::take(&mut self.actions), again)
    }

    /// What happened that the operator should know of.
    pub fn notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// The batches that are being sent.
    pub fn batch_ids(&self) -> Vec<BatchId> {
        self.batches
            .values()
            .map(|batch| batch.id.clone())
            .collect()
    }

    /// How many batches are being sent.
    pub fn batches(&self) -> usize {
        self.batches.len()
    }

    /// The batches that need a number which their tenant does not have.
    pub fn without_sender(&self) -> Vec<BatchId> {
        let lacks = |batch: &&Batch| batch.lanes.iter().any(|line| line.sender.is_none());
        self.batches
            .values()
            .filter(lacks)
            .map(|batch| batch.id.clone())
            .collect()
    }

    /// What each sender has learned of its provider's limit; `None` if it goes as fast as is set.
    pub fn learned(&self) -> Vec<(TenantName, Phone, Option<f64>)> {
        let all = self.tenants.iter().flat_map(|(name, tenant)| {
            tenant
                .senders
                .iter()
                .map(move |(number, no)| (name, number, *no))
        });
        all.map(|(name, number, no)| {
            let pace = self.turns.pace(no);
            let rate = (pace.rate() < pace.limit()).then(|| pace.rate());
            (name.clone(), number.clone(), rate)
        })
        .collect()
    }

    /// Messages of the batches that are being sent that wait for something, be it their turn.
    pub fn waiting(&self) -> u64 {
        let left: u64 = self.batches.values().map(|batch| batch.left).sum();
        left.saturating_sub(self.in_flight() as u64)
    }

    /// Messages for which permits are out.
    pub fn in_flight(&self) -> usize {
        self.turns.in_flight()
    }

    fn sender(&self, tenant: &TenantName, number: &Phone) -> Option<SenderNo> {
        self.tenants.get(tenant)?.senders.get(number).copied()
    }

    fn look_at_all(&mut self) {
        for (age, batch) in &self.batches {
            self.dirty
                .extend((0..batch.lanes.len()).map(|lane| (*age, lane as u32)));
        }
    }

    fn due_at(&mut self, age: u64, moment: Moment) {
        if let Some(batch) = self.batches.get_mut(&age)
            && batch.next_due.is_none_or(|due| moment < due)
        {
            batch.next_due = Some(moment);
            self.wakes.insert((moment, Wake::Due(age)));
        }
    }

    /// The wall clock may have been set: what waits for as long as something takes still does, and
    /// all that goes by the clock is looked at anew.
    fn heed_clock(&mut self, now: Now) {
        let ahead_ms = now.wall.as_millis() - now.steady.as_millis() as i64;
        let before = self.ahead_ms.replace(ahead_ms).unwrap_or(ahead_ms);
        let by_ms = ahead_ms - before;
        if by_ms.abs() < SET_MS {
            return;
        }
        self.breakers.shift(by_ms);
        let rests = self.rests.values_mut().map(|(until, _)| until);
        for until in rests.chain(self.pairs.values_mut()) {
            *until = until.plus_ms(by_ms);
        }
        self.wakes.clear();
        for batch in self.batches.values_mut() {
            batch.forget_wakes();
        }
        let ages: Vec<u64> = self.batches.keys().copied().collect();
        for age in ages {
            self.due_at(age, now.wall);
        }
        self.look_at_all();
    }

    fn wake(&mut self, now: Now) {
        while let Some((moment, wake)) = self.wakes.first().copied() {
            if moment > now.wall {
                break;
            }
            self.wakes.pop_first();
            match wake {
                Wake::Lane(no) => self.woken(no, moment),
                Wake::Soon(age) => self.bring_soon(age, now),
                Wake::Due(age) => self.ask_for_due(age, now),
            }
        }
    }

    fn look(&mut self, now: Now) {
        while let Some(no) = self.dirty.pop_first() {
            self.look_at(no, now);
        }
    }

    /// Throttled senders rest no longer.
    fn release_paces(&mut self, subject: &Subject, now: Now) {
        for (name, tenant) in &self.tenants {
            for (number, no) in &tenant.senders {
                let is_meant = match subject {
                    Subject::Tenant { tenant } => tenant == name,
                    Subject::Sender {
                        tenant,
                        number: meant,
                    } => tenant == name && meant == number,
                    Subject::Batch { .. } | Subject::Template { .. } => false,
                };
                if is_meant && self.rests.remove(no).is_some() {
                    self.bars.insert(Bar::Rest(name.clone(), number.clone()));
                    self.turns
                        .with_pace(*no, now.steady, |pace| pace.release(now.steady));
                }
            }
        }
    }

    /// Whether a breaker stands before what `subject` names.
    fn concerns(&self, subject: &Subject, gate: &Gate) -> bool {
        let endpoint = |name: &TenantName| {
            self.tenants
                .get(name)
                .map(|tenant| tenant.way.endpoint.as_str())
        };
        match (subject, gate) {
            (Subject::Batch { batch }, gate) => {
                let batch = self.ages.get(batch).and_then(|age| self.batches.get(age));
                batch.is_some_and(|batch| batch.lanes.iter().any(|line| line.gates.contains(gate)))
            }
            (Subject::Tenant { tenant }, Gate::Endpoint(address)) => {
                endpoint(tenant) == Some(address)
            }
            (subject, gate) => gate.is_of(subject),
        }
    }

    /// The breakers that stand before a lane.
    fn gates(&self, tenant: &TenantName, lane: &Lane) -> Vec<Gate> {
        let endpoint = self
            .tenants
            .get(tenant)
            .map(|tenant| tenant.way.endpoint.clone());
        let mut gates: Vec<Gate> = endpoint.map(Gate::Endpoint).into_iter().collect();
        gates.push(Gate::Credential(tenant.clone()));
        gates.push(Gate::Sender(tenant.clone(), lane.from.clone()));
        if let Some((name, language)) = &lane.template {
            gates.push(Gate::Template(
                tenant.clone(),
                name.clone(),
                language.clone(),
            ));
        }
        gates
    }

    /// The pause that stands against a lane.
    fn pause(&self, batch: &Batch, lane: &Lane, now: Moment) -> Option<&Pause> {
        let template = lane.template.as_ref();
        let template = template.map(|(name, language)| (name.as_str(), language.as_str()));
        let whose = Whose {
            tenant: &batch.tenant,
            batch: &batch.id,
            sender: &lane.from,
        };
        self.pauses.holds(whose, template, now)
    }
}
