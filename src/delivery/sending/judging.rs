//! Turns become requests, and their outcomes a step for each message and what follows for others.

use std::sync::Arc;
use std::time::Duration;

use super::lines::{Soon, plus};
use super::{
    Action, Attempt, Bar, Gate, Going, Item, LaneNo, Now, PAIRS_MAX, Passage, SenderNo, Sending,
    TURNS_MAX, Turn, Wake,
};
use crate::batch::{BatchId, Moment, Phone, TenantName};
use crate::delivery::breaker::{Open, Tripped};
use crate::delivery::{Outcome, Reason, Scope, Step, retry};

/// How long a throttled sender rests if the provider does not say.
const REST: Duration = Duration::from_secs(1);

/// How long a recipient waits who got too many messages, if the provider does not say.
const PAIR_REST: Duration = Duration::from_secs(6);

/// How close to its end a message is tried again at the latest, where what it waits for may be over
/// sooner than thought.
const LAST_TRY_MS: i64 = 1_000;

/// What happened that the operator should know of.
#[derive(Clone, Debug)]
pub enum Notice {
    /// A breaker opened, because of a message of this tenant.
    Opened(TenantName, Gate, Open),
    /// A breaker closed.
    Closed(Gate),
    /// A sender was throttled: its rate, and how long it rests.
    Throttled {
        /// The tenant.
        tenant: TenantName,
        /// Its number.
        number: Phone,
        /// Messages a second from here on.
        rate: f64,
        /// How long it rests.
        rest: Duration,
        /// Why.
        reason: Reason,
    },
}

/// What became of one message of a request.
#[derive(Debug)]
pub struct Verdict {
    /// Which try at which message.
    pub attempt: Attempt,
    /// Where it stands now.
    pub step: Step,
}

impl Item {
    /// The next try at this message.
    pub fn attempt(&self, batch: &BatchId) -> Attempt {
        Attempt {
            batch: batch.clone(),
            index: self.message.index,
            attempt: self.attempt,
            uncounted: self.uncounted,
            expires_at: self.message.expires_at,
            possible_duplicate: self.possible_duplicate,
        }
    }
}

impl Going {
    /// The tries that it is made of.
    pub fn attempts(&self) -> Vec<Attempt> {
        self.items
            .iter()
            .map(|item| item.attempt(&self.batch))
            .collect()
    }
}

impl Sending {
    /// Gives turns as long as there are any. Says when the next one is.
    pub(super) fn give_turns(&mut self, now: Now) -> Option<Duration> {
        let bulk_max = self
            .tenants
            .values()
            .map(|tenant| tenant.way.bulk_max.max(tenant.way.session_bulk_max))
            .max()
            .unwrap_or(1);
        for _ in 0..TURNS_MAX {
            match self.turns.next(now.steady, bulk_max) {
                Turn::Yours { sender, lane, most } => self.take_turn(sender, lane, most, now),
                Turn::Later(at) => return Some(at),
                Turn::Nobody => return None,
            }
        }
        Some(now.steady)
    }

    fn take_turn(&mut self, sender: SenderNo, (age, no): LaneNo, most: usize, now: Now) {
        let Some(batch) = self.batches.get(&age) else {
            return;
        };
        let line = &batch.lanes[no as usize];
        let class = line.lane.class();
        let must_look = line.open_until.is_some_and(|until| now.wall >= until);
        let gates = Arc::clone(&line.gates);
        let mut probes = Vec::new();
        let mut is_shut = false;
        for gate in gates.iter() {
            match self.breakers.passage(gate, now.wall) {
                Passage::Free => {}
                Passage::Probe => probes.push(gate.clone()),
                Passage::Shut(_) => is_shut = true,
            }
        }
        if is_shut || must_look {
            // Looking at it takes it out of line until its time has come.
            self.turns.withdraw((sender, class), (age, no), now.steady);
            self.batches.get_mut(&age).expect("it was there").lanes[no as usize].is_offered = false;
            self.dirty.insert((age, no));
            self.look(now);
            return;
        }
        let bulk_max =
            self.tenants
                .get(&batch.tenant)
                .map_or(1, |tenant| match line.lane.template {
                    Some(_) => tenant.way.bulk_max,
                    None => tenant.way.session_bulk_max,
                });
        let most = if probes.is_empty() {
            most.min(bulk_max)
        } else {
            1
        };
        let items = self.pick(sender, (age, no), most, now);
        let batch = self.batches.get_mut(&age).expect("it was there");
        let line = &mut batch.lanes[no as usize];
        if line.ready.is_empty() {
            line.is_offered = false;
            self.turns.withdraw((sender, class), (age, no), now.steady);
            self.dirty.insert((age, no));
        }
        if items.is_empty() {
            return;
        }
        self.probes += 1;
        for gate in &probes {
            self.breakers.probe(gate, self.probes, now.wall);
        }
        batch.in_flight += items.len();
        batch
            .begun
            .extend(items.iter().map(|item| item.message.index));
        self.recent
            .entry(sender)
            .or_default()
            .add(now.steady, items.len());
        let at = self
            .turns
            .took((sender, class), (age, no), items.len(), now.steady);
        self.actions.push(Action::Begin(Going {
            batch: batch.id.clone(),
            tenant: batch.tenant.clone(),
            from: batch.lanes[no as usize].lane.from.clone(),
            items,
            at,
            rate: self.turns.pace(sender).rate(),
            is_urgent: class == 0,
            lane: (age, no),
            sender,
            probes,
            probe: self.probes,
        }));
        self.want_more((age, no));
    }

    /// Takes up to `most` messages off a lane that may leave together.
    fn pick(&mut self, sender: SenderNo, (age, no): LaneNo, most: usize, now: Now) -> Vec<Item> {
        let batch = self.batches.get_mut(&age).expect("its turn came");
        let mut items = Vec::with_capacity(most);
        let mut over = Vec::new();
        while items.len() < most {
            let Some(item) = batch.lanes[no as usize].pop() else {
                break;
            };
            if now.wall >= item.message.expires_at {
                over.push(item);
                continue;
            }
            let pair = (sender, item.message.to.clone());
            let waited = self.pairs.get(&pair).copied();
            // Its own moment may be ahead again, if the clock was set back since it was read.
            match waited.max(item.message.scheduled_at) {
                Some(until) if until > now.wall => {
                    batch.lanes[no as usize].soon += 1;
                    batch.soon.push(Soon {
                        at: until,
                        lane: no,
                        item,
                    });
                    self.wakes.insert((until, Wake::Soon(age)));
                }
                _ => {
                    if waited.is_some() {
                        self.pairs.remove(&pair);
                    }
                    items.push(item);
                }
            }
        }
        if !over.is_empty() {
            self.expire(age, &over);
        }
        items
    }

    /// What follows from the outcome of a message that left at `left_at`, for itself and for
    /// others. `share` is a random number from 0.0 up to 1.0.
    pub fn judge(
        &mut self,
        going: &Going,
        item: &Item,
        outcome: Outcome,
        (left_at, now): (Now, Now),
        share: f64,
    ) -> Verdict {
        self.heed_clock(now);
        // When it left, by the wall clock as that is now.
        let under_way_ms = now.steady.saturating_sub(left_at.steady).as_millis();
        let left_at = Now {
            wall: now.wall.plus_ms(-(under_way_ms as i64)),
            ..left_at
        };
        let attempt = item.attempt(&going.batch);
        let policy = self
            .tenants
            .get(&going.tenant)
            .map(|tenant| tenant.way.policy);
        let policy = policy.unwrap_or_default();
        let until = self.heed(going, item, &outcome, (left_at, now), share);
        let step = match (&outcome, until) {
            (Outcome::Deferred { reason, scope, .. }, Some(until)) => {
                let last = attempt.expires_at.plus_ms(-LAST_TRY_MS);
                Step::Again {
                    not_before: until.min(last).max(now.wall),
                    reason: reason.clone(),
                    possible_duplicate: attempt.possible_duplicate,
                    counts: matches!(scope, Scope::Recipient | Scope::Rate),
                }
            }
            _ => crate::delivery::after(outcome, attempt.tried(), policy, now.wall, share),
        };
        Verdict { attempt, step }
    }

    /// Lets an outcome take effect on others. Gives until when the message itself must wait
    /// because of it, if it is not for the message alone.
    fn heed(
        &mut self,
        going: &Going,
        item: &Item,
        outcome: &Outcome,
        (left_at, now): (Now, Now),
        share: f64,
    ) -> Option<Moment> {
        let tripped = |reason, asked| Tripped {
            reason,
            asked,
            left_at: left_at.wall,
            now: now.wall,
            share,
        };
        let gates = self.gates_of(going);
        match outcome {
            Outcome::Accepted { .. } => {
                self.pass(&gates, left_at.wall);
                None
            }
            Outcome::Refused { .. } => {
                // The provider looked at it: its address, the credential and the sender work.
                self.pass(&gates[..3.min(gates.len())], left_at.wall);
                None
            }
            Outcome::Unclear { reason } => {
                // A tenant's own way to the provider may be what does not answer: others need not
                // stand still with it.
                let gate = Gate::Credential(going.tenant.clone());
                let opened = self.breakers.doubt(&gate, tripped(reason, None));
                self.opened(going, gate, opened);
                None
            }
            Outcome::Deferred {
                reason,
                wait,
                scope,
            } => {
                let gate = match scope {
                    // A wait of its own says that it is about this message.
                    Scope::Message if wait.is_some() => return None,
                    Scope::Message => {
                        let gate = Gate::Sender(going.tenant.clone(), going.from.clone());
                        let opened = self.breakers.doubt(&gate, tripped(reason, *wait));
                        self.opened(going, gate, opened);
                        return None;
                    }
                    Scope::Recipient => {
                        self.pass(&gates, left_at.wall);
                        return Some(self.hold_pair(going, item, wait.unwrap_or(PAIR_REST), now));
                    }
                    Scope::Rate => {
                        self.pass(&gates[..2.min(gates.len())], left_at.wall);
                        return Some(self.throttle(going, reason, *wait, (left_at, now)));
                    }
                    Scope::Sender => Gate::Sender(going.tenant.clone(), going.from.clone()),
                    Scope::Credential => Gate::Credential(going.tenant.clone()),
                    Scope::Endpoint => gates.first().cloned()?,
                    Scope::Template => gates.get(3).cloned()?,
                };
                let opened = if *scope == Scope::Endpoint {
                    self.breakers.doubt(&gate, tripped(reason, *wait))
                } else {
                    self.breakers.trip(&gate, tripped(reason, *wait))
                };
                self.opened(going, gate.clone(), opened);
                let until = self.breakers.open(&gate).map(|open| open.until);
                let soon = plus(now.wall, retry::wait(1, None, share));
                Some(until.unwrap_or(soon))
            }
        }
    }

    fn gates_of(&self, going: &Going) -> Arc<[Gate]> {
        let batch = self.batches.get(&going.lane.0);
        let line = batch.and_then(|batch| batch.lanes.get(going.lane.1 as usize));
        line.map(|line| Arc::clone(&line.gates)).unwrap_or_default()
    }

    fn pass(&mut self, gates: &[Gate], left_at: Moment) {
        for gate in gates {
            if self.breakers.pass(gate, left_at) {
                self.bars.insert(Bar::Breaker(gate.clone()));
                self.notices.push(Notice::Closed(gate.clone()));
                self.look_at_all();
            }
        }
    }

    fn opened(&mut self, going: &Going, gate: Gate, opened: Option<Open>) {
        if let Some(open) = opened {
            self.bars.insert(Bar::Breaker(gate.clone()));
            self.notices
                .push(Notice::Opened(going.tenant.clone(), gate, open));
        }
    }

    fn hold_pair(&mut self, going: &Going, item: &Item, wait: Duration, now: Now) -> Moment {
        if self.pairs.len() >= PAIRS_MAX {
            self.pairs.retain(|_, until| *until > now.wall);
        }
        let until = plus(now.wall, wait);
        if self.pairs.len() < PAIRS_MAX {
            self.pairs
                .insert((going.sender, item.message.to.clone()), until);
        }
        until
    }

    fn throttle(
        &mut self,
        going: &Going,
        reason: &Reason,
        wait: Option<Duration>,
        (left_at, now): (Now, Now),
    ) -> Moment {
        let rest = wait.unwrap_or(REST).max(REST).min(retry::ASKED_MAX);
        let changed = self.turns.with_pace(going.sender, now.steady, |pace| {
            let changed = pace.throttled(left_at.steady, now.steady);
            if changed {
                pace.hold(now.steady + rest);
            }
            changed.then(|| pace.rate())
        });
        if let Some(rate) = changed {
            self.rests
                .insert(going.sender, (plus(now.wall, rest), reason.clone()));
            self.bars
                .insert(Bar::Rest(going.tenant.clone(), going.from.clone()));
            self.notices.push(Notice::Throttled {
                tenant: going.tenant.clone(),
                number: going.from.clone(),
                rate,
                rest,
                reason: reason.clone(),
            });
        }
        plus(now.wall, rest)
    }

    /// The outcomes of a request are on disk, or its intent was refused: its permits are free.
    /// `again` has the moments at which messages of it are tried again, `closed` how many have come
    /// to their end.
    pub fn recorded(&mut self, going: &Going, again: &[Moment], closed: usize, now: Now) {
        self.turns
            .ended(going.sender, going.items.len(), now.steady);
        for gate in &going.probes {
            self.breakers.probe_ended(gate, going.probe);
        }
        if !going.probes.is_empty() {
            self.look_at_all();
        }
        let age = going.lane.0;
        if let Some(batch) = self.batches.get_mut(&age) {
            batch.in_flight = batch.in_flight.saturating_sub(going.items.len());
            batch.left = batch.left.saturating_sub(closed as u64);
            for item in &going.items {
                batch.in_hand.remove(&item.message.index);
                batch.begun.remove(&item.message.index);
            }
            if batch.is_cancelled() {
                return self.finish_if_idle(age);
            }
        }
        if let Some(moment) = again.iter().min() {
            self.due_at(age, *moment);
        }
        self.finish_if_idle(age);
    }
}
