//! What really happened, and what must hold whatever happens. Every failure ends in a panic that
//! says what was wrong; whoever runs the simulation adds the seed.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::plan::{Course, Happening};
use super::store::{Stage, Store};
use super::world::World;
use super::{
    Attempt, BatchId, Gate, Going, Notice, Now, Phone, Policy, Sending, State, TenantName,
    UnknownPolicy, Whose,
};
use crate::delivery::lane::Lane;

/// Permits that a sender has at least and at most, and for how many seconds of its rate.
const SENDER_PERMITS: (usize, usize) = (16, 512);
const SENDER_PERMITS_SECONDS: f64 = 10.0;

/// A probe that has not come back after so long does not count any more.
const PROBE: Duration = Duration::from_mins(2);

/// Wakes that are kept for a lane or a message that waits, on average.
const WAKES_EACH: usize = 8;
const WAKES_LEAST: usize = 600;

#[derive(Debug, Default)]
pub(super) struct Truth {
    taken: HashMap<(BatchId, u64), u32>,
    /// Batches of which nothing may begin any more.
    cancelled: HashSet<BatchId>,
    /// Messages with a permit, by sender.
    out: HashMap<(TenantName, Phone), usize>,
    probes: HashMap<Gate, Vec<Probe>>,
    /// Breakers that have opened and not closed, and until when nothing passes them.
    open: HashMap<Gate, Duration>,
    /// Until when throttled senders rest.
    rests: HashMap<(TenantName, Phone), Duration>,
}

#[derive(Debug, PartialEq)]
struct Probe {
    attempt: (BatchId, u64, u32),
    left_at: Duration,
}

impl Truth {
    /// The provider takes a message.
    pub(super) fn taken(&mut self, store: &Store, attempt: &Attempt, policy: Policy) {
        let key = (attempt.batch.clone(), attempt.index);
        let taken = self.taken.entry(key).or_default();
        *taken += 1;
        let may = attempt.possible_duplicate && policy.unknown == UnknownPolicy::Resend;
        assert!(
            *taken == 1 || (*taken == 2 && may),
            "{} is taken again ({taken})",
            attempt.id()
        );
        let kept = &store.0[store.at(&attempt.batch)];
        let row = kept.rows.get(&attempt.index);
        assert!(row.is_some(), "{} left before it was begun", attempt.id());
    }

    fn is_taken(&self, batch: &BatchId, index: u64) -> bool {
        self.taken.contains_key(&(batch.clone(), index))
    }

    pub(super) fn recorded<'a>(
        &self,
        store: &Store,
        messages: impl Iterator<Item = (&'a BatchId, u64)>,
    ) {
        for (batch, index) in messages {
            let kept = &store.0[store.at(batch)];
            let Some(row) = kept.rows.get(&index) else {
                continue;
            };
            self.is_true(batch, index, row.state);
        }
    }

    fn is_true(&self, batch: &BatchId, index: u64, state: State) {
        let is_taken = self.is_taken(batch, index);
        let good = match state {
            State::Accepted => is_taken,
            State::Failed | State::Expired | State::Cancelled => !is_taken,
            _ => true,
        };
        let word = state.as_str();
        assert!(
            good,
            "{batch}-{index} is told to be {word}, taken: {is_taken}"
        );
    }

    /// A request is to begin.
    pub(super) fn begins(&mut self, sending: &Sending, going: &Going, now: Now) {
        let id = &going.batch;
        assert!(!self.cancelled.contains(id), "{id} was cancelled");
        for item in &going.items {
            let message = &item.message;
            let index = message.index;
            assert!(now.wall < message.expires_at, "{id}-{index} has expired");
            let is_time = message.scheduled_at.is_none_or(|at| at <= now.wall);
            assert!(is_time, "{id}-{index} begins too soon");
            let lane = Lane::of(message);
            let template = lane.template.as_ref();
            let template = template.map(|(name, language)| (name.as_str(), language.as_str()));
            let whose = Whose {
                tenant: &going.tenant,
                batch: id,
                sender: &message.from,
            };
            let pause = sending.pauses.holds(whose, template, now.wall);
            assert!(pause.is_none(), "{id}-{index} is paused");
        }
        let from = (going.tenant.clone(), going.from.clone());
        let rests = self.rests.get(&from).is_some_and(|until| going.at < *until);
        assert!(!rests, "{} was throttled and does not rest", going.from);
        *self.out.entry(from).or_default() += going.items.len();
        let lane = Lane::of(&going.items[0].message);
        for gate in sending.gates(&going.tenant, &lane) {
            self.passes(sending, going, &gate, now);
        }
    }

    fn passes(&mut self, sending: &Sending, going: &Going, gate: &Gate, now: Now) {
        let until = self.open.get(gate);
        let Some(open) = sending.breakers.open(gate) else {
            assert!(until.is_none(), "{gate:?} was forgotten");
            return;
        };
        let is_shut = until.is_some_and(|until| now.steady < *until);
        assert!(!is_shut, "{gate:?} is passed before its time");
        assert!(going.items.len() == 1, "{gate:?} is passed by many");
        assert!(open.until <= now.wall, "{gate:?} is open");
        let probes = self.probes.entry(gate.clone()).or_default();
        let counts = |probe: &&Probe| now.steady.saturating_sub(probe.left_at) < PROBE;
        let other = probes.iter().find(counts);
        assert!(other.is_none(), "{gate:?} is probed twice: {other:?}");
        let item = &going.items[0];
        probes.push(Probe {
            attempt: (going.batch.clone(), item.message.index, item.attempt),
            left_at: now.steady,
        });
    }

    /// A request has come to its end.
    pub(super) fn ends(&mut self, going: &Going) {
        let from = (going.tenant.clone(), going.from.clone());
        let out = self.out.get_mut(&from).expect("it had begun");
        *out -= going.items.len();
        for item in &going.items {
            let id = (going.batch.clone(), item.message.index, item.attempt);
            for probes in self.probes.values_mut() {
                probes.retain(|probe| probe.attempt != id);
            }
        }
    }

    /// A breaker closed, or opened again: what passed it before is no probe of it any more.
    pub(super) fn noticed(&mut self, notice: &Notice, now: Now) {
        match notice {
            Notice::Opened(_, gate, open) => {
                self.probes.remove(gate);
                let wait_ms = open.until.as_millis() - now.wall.as_millis();
                let wait = Duration::from_millis(wait_ms.max(0).unsigned_abs());
                // The wall clock is coarser than the steady one.
                let until = (now.steady + wait).saturating_sub(Duration::from_millis(1));
                self.open.insert(gate.clone(), until);
            }
            Notice::Closed(gate) => {
                self.probes.remove(gate);
                self.open.remove(gate);
            }
            Notice::Throttled {
                tenant,
                number,
                rest,
                ..
            } => {
                let from = (tenant.clone(), number.clone());
                self.rests.insert(from, now.steady + *rest);
            }
        }
    }

    /// Somebody wants it tried again at once.
    pub(super) fn retried(&mut self) {
        self.rests.clear();
        self.open
            .values_mut()
            .for_each(|until| *until = Duration::ZERO);
    }

    /// The provider took what may have been a probe: what it passed is closed.
    pub(super) fn accepted(&self, sending: &Sending, attempt: &Attempt) {
        let id = (attempt.batch.clone(), attempt.index, attempt.attempt);
        for (gate, probes) in &self.probes {
            let is_probe = probes.iter().any(|probe| probe.attempt == id);
            let is_shut = is_probe && sending.breakers.open(gate).is_some();
            assert!(!is_shut, "{gate:?} stays shut behind its probe");
        }
    }

    pub(super) fn cancelled(&mut self, batch: &BatchId) {
        self.cancelled.insert(batch.clone());
    }

    pub(super) fn keeps_permits(&self, course: &Course, sending: &Sending) {
        let all: usize = self.out.values().sum();
        assert!(all <= course.permits, "{all} messages are in flight");
        assert_eq!(all, sending.in_flight(), "messages with a permit");
        for peer in &course.tenants {
            for sender in &peer.way.senders {
                let from = (peer.name.clone(), sender.number.clone());
                let out = self.out.get(&from).copied().unwrap_or(0);
                let seconds = sender.messages_per_second * SENDER_PERMITS_SECONDS;
                let most = (seconds as usize).clamp(SENDER_PERMITS.0, SENDER_PERMITS.1);
                assert!(out <= most, "{out} messages of {} are in flight", from.1);
            }
        }
    }

    /// What was found to stand against sending stands after a crash too; how long, nobody can say
    /// if the wall clock is set meanwhile.
    pub(super) fn crashed(&mut self, course: &Course, store: &Store, sending: &Sending) {
        open_is_permitted(store, sending);
        self.out.clear();
        self.probes.clear();
        let is_step = |(_, happening): &(_, Happening)| matches!(happening, Happening::Step(_));
        if course.happenings.iter().any(is_step) {
            self.retried();
        }
    }
}

/// What a crash would leave open is what has a permit.
pub(super) fn open_is_permitted(store: &Store, sending: &Sending) {
    let open: i64 = store.0.iter().map(|kept| kept.in_flight).sum();
    let permits = sending.in_flight();
    assert!(
        open as usize <= permits,
        "{open} are open with {permits} permits"
    );
}

/// No message of a batch is held twice, or it would be read and held again for as long as it waits.
pub(super) fn holds_once(sending: &Sending, id: &BatchId) {
    let age = sending.ages.get(id);
    let Some(batch) = age.and_then(|age| sending.batches.get(age)) else {
        return;
    };
    let soon = batch.soon.iter().map(|soon| &soon.item);
    let ready = batch.lanes.iter().flat_map(|line| &line.ready);
    let mut held = HashSet::new();
    for item in ready.chain(soon) {
        let index = item.message.index;
        assert!(held.insert(index), "{id}-{index} is held twice");
    }
}

/// What is remembered does not grow with time.
pub(super) fn holds_little(sending: &Sending) {
    let waiting = |batch: &super::Batch| batch.soon.len() + batch.lanes.len() + 1;
    let waiting: usize = sending.batches.values().map(waiting).sum();
    let wakes = sending.wakes.len();
    let most = WAKES_LEAST.max(waiting * WAKES_EACH);
    assert!(wakes <= most, "{wakes} wakes for {waiting} that wait");
}

/// Everything at the end.
pub(super) fn at_the_end(world: &World) {
    for kept in &world.store.0 {
        if let Err(what) = kept.adds_up() {
            panic!("{}: {what}", kept.id);
        }
        for index in 0..kept.messages.len() as u64 {
            let state = match kept.rows.get(&index) {
                Some(row) => row.state,
                None if kept.stage == Stage::Cancelled => State::Cancelled,
                None => panic!("{}-{index} was forgotten", kept.id),
            };
            assert!(state.is_final(), "{}-{index} has not ended", kept.id);
            world.truth.is_true(&kept.id, index, state);
        }
    }
}
