//! What the sending tells of itself: how senders and batches stand.

use std::time::Duration;

use super::lines::{Batch, LaneLine, Soon};
use super::{Bar, Gate, Now, Passage, Pause, SenderNo, Sending};
use crate::batch::{Moment, Phone, TenantName};
use crate::delivery::view::{BatchView, Hold, Reach, SenderView, Views};

/// Over how many seconds it is told how fast a sender goes.
const SECONDS: usize = 10;

/// What the oldest batch at a sender gets while smaller ones slip in, and what those do.
const SHARE_OLDEST: f64 = 0.8;
const SHARE_OTHERS: f64 = 0.2;

/// How much was sent in each of the last seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Recent {
    second: u64,
    counts: [usize; SECONDS],
}

impl Recent {
    pub(super) fn add(&mut self, now: Duration, count: usize) {
        self.go_to(now);
        self.counts[self.second as usize % SECONDS] += count;
    }

    /// Messages a second.
    fn rate(mut self, now: Duration) -> f64 {
        self.go_to(now);
        self.counts.iter().sum::<usize>() as f64 / SECONDS as f64
    }

    fn go_to(&mut self, now: Duration) {
        let second = now.as_secs();
        let gone = second.saturating_sub(self.second).min(SECONDS as u64);
        for past in 0..gone {
            self.counts[(second - past) as usize % SECONDS] = 0;
        }
        self.second = second;
    }
}

impl Sending {
    /// How everything stands.
    pub fn views(&self, now: Now) -> Views {
        let senders = self.tenants.iter().flat_map(|(name, tenant)| {
            let senders = tenant.senders.iter();
            senders.map(move |(number, no)| {
                (
                    (name.clone(), number.clone()),
                    self.sender_view((name, number), *no, now),
                )
            })
        });
        let batches = self.batches.iter();
        Views {
            senders: senders.collect(),
            batches: batches
                .map(|(age, batch)| (batch.id.clone(), self.batch_view(*age, batch, now)))
                .collect(),
            bars: self.standing_bars(now),
            is_disk_full: !self.has_room,
        }
    }

    /// What nothing passes at this moment.
    fn standing_bars(&self, now: Now) -> Vec<Bar> {
        let shut = |(gate, _): &(&Gate, _)| {
            matches!(self.breakers.passage(gate, now.wall), Passage::Shut(_))
        };
        let breakers = self.breakers.all_open().filter(shut);
        let breakers = breakers.map(|(gate, _)| Bar::Breaker(gate.clone()));
        let rests = self.tenants.iter().flat_map(|(name, tenant)| {
            let rests = |no| {
                self.rests
                    .get(no)
                    .is_some_and(|(until, _)| *until > now.wall)
            };
            let resting = tenant.senders.iter().filter(move |(_, no)| rests(*no));
            resting.map(|(number, _)| Bar::Rest(name.clone(), number.clone()))
        });
        breakers.chain(rests).collect()
    }

    fn sender_view(
        &self,
        (tenant, number): (&TenantName, &Phone),
        no: SenderNo,
        now: Now,
    ) -> SenderView {
        let pace = self.turns.pace(no);
        let (in_flight, permits) = self.turns.in_flight_at(no);
        let recent = self.recent.get(&no).map(|recent| recent.rate(now.steady));
        let rest = self.rests.get(&no).filter(|(until, _)| *until > now.wall);
        let rest = rest.map(|(until, reason)| Hold {
            reach: Reach::Throttle,
            until: *until,
            reason: reason.clone(),
        });
        let gates = self.gates_before(tenant, number);
        SenderView {
            tenant: tenant.clone(),
            number: number.clone(),
            configured_rate: pace.limit(),
            learned_rate: (pace.rate() < pace.limit()).then(|| pace.rate()),
            operators_rate: None,
            recent_rate: recent,
            in_flight,
            permits,
            hold: gates.iter().find_map(|gate| self.hold(gate, now)).or(rest),
        }
    }

    fn gates_before(&self, tenant: &TenantName, number: &Phone) -> Vec<Gate> {
        let endpoint = self
            .tenants
            .get(tenant)
            .map(|tenant| tenant.way.endpoint.clone());
        let mut gates: Vec<Gate> = endpoint.map(Gate::Endpoint).into_iter().collect();
        gates.push(Gate::Credential(tenant.clone()));
        gates.push(Gate::Sender(tenant.clone(), number.clone()));
        gates
    }

    fn hold(&self, gate: &Gate, now: Now) -> Option<Hold> {
        let open = self.breakers.shown(gate, now.wall)?;
        Some(Hold {
            reach: match gate {
                Gate::Endpoint(_) => Reach::Endpoint,
                Gate::Credential(_) => Reach::Credential,
                Gate::Sender(..) => Reach::Sender,
                Gate::Template(..) => Reach::Template,
            },
            until: open.until,
            reason: open.reason,
        })
    }

    fn batch_view(&self, age: u64, batch: &Batch, now: Now) -> BatchView {
        let mut lines: Vec<&LaneLine> = batch.lanes.iter().filter(|line| !line.is_idle()).collect();
        // What is left of it is on its way.
        if lines.is_empty() {
            lines = batch.lanes.iter().collect();
        }
        let mut senders: Vec<Phone> = lines.iter().map(|line| line.lane.from.clone()).collect();
        senders.sort_unstable();
        senders.dedup();
        let position = |line: &&LaneLine| {
            let held = line.ready.front().map(|item| item.message.index);
            held.into_iter().chain(line.cursor).min()
        };
        let pauses: Vec<Option<&Pause>> = lines
            .iter()
            .map(|line| self.pause(batch, &line.lane, now.wall))
            .collect();
        let template = lines
            .iter()
            .find_map(|line| self.hold(line.gates.get(3)?, now));
        let opens = lines
            .iter()
            .map(|line| self.hours(batch, &line.lane, now.wall).0);
        let opens: Option<Vec<Moment>> = opens.collect();
        // What is held may go now, so the batch does not wait for its time.
        let is_late = lines
            .iter()
            .all(|line| line.ready.is_empty() && line.cursor.is_none());
        // Others wait for their recipient.
        let is_planned = |soon: &&Soon| {
            soon.item
                .message
                .scheduled_at
                .is_some_and(|at| at > now.wall)
        };
        let nearest = batch.soon.peek().filter(is_planned).map(|soon| soon.at);
        let back = lines.iter().filter_map(|line| line.back_at).min();
        let (before, share) = self.standing_in_line(age, &lines);
        BatchView {
            senders,
            position: lines.iter().filter_map(position).min(),
            hold: template,
            paused_by: pauses
                .iter()
                .all(Option::is_some)
                .then(|| pauses.first().copied().flatten().cloned())
                .flatten(),
            lacks_sender: lines
                .iter()
                .find(|line| line.sender.is_none())
                .map(|line| line.lane.from.clone()),
            scheduled_at: nearest.into_iter().chain(back).min().filter(|_| is_late),
            window_opens_at: opens.and_then(|opens| opens.into_iter().min()),
            next_try_at: batch.next_due.filter(|due| is_late && *due > now.wall),
            before,
            share,
        }
    }

    /// How many lanes of other batches go before it, and its share.
    fn standing_in_line(&self, age: u64, lines: &[&LaneLine]) -> (usize, f64) {
        let before = lines
            .iter()
            .filter_map(|line| Some(self.turns.before(line.sender?, line.lane.class(), (age, 0))));
        let before = before.max().unwrap_or(0);
        let others = lines
            .iter()
            .filter_map(|line| Some(self.turns.lanes_at(line.sender?)));
        let others = others.max().unwrap_or(0).saturating_sub(lines.len().max(1));
        let share = match (before, others) {
            (0, 0) => 1.0,
            (0, _) => SHARE_OLDEST,
            (before, _) => SHARE_OTHERS / before as f64,
        };
        (before, share)
    }
}
