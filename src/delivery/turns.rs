//! Whose turn it is. Lanes with something to send stand in line at their sender; senders that may
//! go stand in line by priority and tenant. Nothing here knows messages: a lane is a number, and
//! what it sends is its owner's to know.
//!
//! - Priorities are strict, but every twentieth turn is the lowest's that waits.
//! - Tenants take turns by how many messages they have had, their senders one after the other.
//! - At a sender the oldest batch goes first, and each four messages of it earn one for smaller
//!   batches, which slip in between: it is slowed down by a quarter at most.
//! - A tenant may have as many messages in flight as there are permits left, so that one whose
//!   provider hangs never has all.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::pace::{AHEAD, Pace};

/// Priorities there are; 0 goes first.
pub const CLASSES: usize = 3;

/// One turn in so many belongs to the lowest priority that waits.
const FLOOR_EVERY: u64 = 20;

/// What a message of the oldest batch earns for smaller ones.
const EARNED: f64 = 0.25;

/// No more is saved up for them.
const EARNED_MAX: f64 = 1_000.0;

/// Permits for which messages may be in flight at one sender, at most and at least, and for how
/// many seconds' worth of its rate between.
const SENDER_PERMITS: (usize, usize) = (16, 512);
const SENDER_PERMITS_SECONDS: f64 = 10.0;

/// A lane: the age of its batch (the smaller, the older) and its number in it.
pub type LaneNo = (u64, u32);

/// A tenant, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantNo(usize);

/// A sender, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SenderNo(usize);

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// This lane may send.
    Yours {
        /// From here.
        sender: SenderNo,
        /// The lane.
        lane: LaneNo,
        /// How many messages at once, at most.
        most: usize,
    },
    /// Nobody's before then, unless something happens.
    Later(Duration),
    /// Nobody's until something happens.
    Nobody,
}

#[derive(Debug, Default)]
struct Tenant {
    /// Messages it has had, for the fair share.
    served: u64,
    in_flight: usize,
    ready: [VecDeque<SenderNo>; CLASSES],
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Nowhere,
    /// It has a slot at this time.
    Timed(Duration),
    Ready(usize),
}

#[derive(Debug)]
struct Sender {
    tenant: TenantNo,
    pace: Pace,
    permits: usize,
    in_flight: usize,
    turns: u64,
    lines: [Line; CLASSES],
    place: Place,
}

/// The lanes of one priority at one sender.
#[derive(Debug, Default)]
struct Line {
    /// By age, with the size class of each.
    lanes: BTreeMap<LaneNo, u32>,
    by_size: BTreeSet<(u32, LaneNo)>,
    earned: f64,
}

impl Line {
    fn next(&self) -> Option<LaneNo> {
        let (oldest, _) = self.lanes.first_key_value()?;
        let (_, smallest) = self.by_size.first()?;
        Some(if self.earned >= 1.0 {
            *smallest
        } else {
            *oldest
        })
    }

    fn took(&mut self, lane: LaneNo, count: usize) {
        let is_oldest = self
            .lanes
            .keys()
            .next()
            .is_none_or(|oldest| oldest.0 == lane.0);
        let change = if is_oldest { EARNED } else { -1.0 };
        self.earned = (self.earned + change * count as f64).clamp(0.0, EARNED_MAX);
    }
}

/// All that stand in line.
#[derive(Debug)]
pub struct Turns {
    tenants: Vec<Tenant>,
    senders: Vec<Sender>,
    /// Tenants with a sender that may go, by how much they have had.
    ready: [BTreeSet<(u64, TenantNo)>; CLASSES],
    timers: BTreeSet<(Duration, SenderNo)>,
    /// Tenants that have as much in flight as they may.
    crowded: BTreeSet<TenantNo>,
    permits: usize,
    in_flight: usize,
    /// How many turns were given.
    given: u64,
}

impl Turns {
    /// Nobody in line, with so many permits for messages in flight.
    pub fn new(permits: usize) -> Self {
        Self {
            tenants: Vec::new(),
            senders: Vec::new(),
            ready: Default::default(),
            timers: BTreeSet::new(),
            crowded: BTreeSet::new(),
            permits,
            in_flight: 0,
            given: 0,
        }
    }

    /// Adds a tenant.
    pub fn add_tenant(&mut self) -> TenantNo {
        self.tenants.push(Tenant::default());
        TenantNo(self.tenants.len() - 1)
    }

    /// Adds a sender of `tenant`.
    pub fn add_sender(&mut self, tenant: TenantNo, pace: Pace) -> SenderNo {
        self.senders.push(Sender {
            tenant,
            permits: permits_for(&pace),
            pace,
            in_flight: 0,
            turns: 0,
            lines: Default::default(),
            place: Place::Nowhere,
        });
        SenderNo(self.senders.len() - 1)
    }

    /// The pace of a sender.
    pub fn pace(&self, sender: SenderNo) -> &Pace {
        &self.senders[sender.0].pace
    }

    /// Changes the pace of a sender.
    pub fn with_pace<T>(
        &mut self,
        sender: SenderNo,
        now: Duration,
        change: impl FnOnce(&mut Pace) -> T,
    ) -> T {
        let changed = change(&mut self.senders[sender.0].pace);
        self.senders[sender.0].permits = permits_for(&self.senders[sender.0].pace);
        self.seat(sender, now);
        changed
    }

    /// A lane has something to send; `size` is how many messages its batch has left.
    pub fn offer(&mut self, at: (SenderNo, usize), lane: LaneNo, size: u64, now: Duration) {
        let (sender, class) = at;
        let queue = &mut self.senders[sender.0].lines[class];
        let size_class = u64::BITS - size.leading_zeros();
        if let Some(before) = queue.lanes.insert(lane, size_class) {
            queue.by_size.remove(&(before, lane));
        }
        queue.by_size.insert((size_class, lane));
        self.seat(sender, now);
    }

    /// A lane has nothing to send any more, or must not.
    pub fn withdraw(&mut self, at: (SenderNo, usize), lane: LaneNo, now: Duration) {
        let (sender, class) = at;
        let queue = &mut self.senders[sender.0].lines[class];
        if let Some(size) = queue.lanes.remove(&lane) {
            queue.by_size.remove(&(size, lane));
        }
        self.seat(sender, now);
    }

    /// How many lanes of older batches stand before `lane` at its sender.
    pub fn before(&self, sender: SenderNo, class: usize, lane: LaneNo) -> usize {
        let lines = &self.senders[sender.0].lines;
        let higher: usize = lines[..class].iter().map(|line| line.lanes.len()).sum();
        higher + lines[class].lanes.range(..(lane.0, 0)).count()
    }

    /// How many lanes stand in line at a sender.
    pub fn lanes_at(&self, sender: SenderNo) -> usize {
        self.senders[sender.0]
            .lines
            .iter()
            .map(|line| line.lanes.len())
            .sum()
    }

    /// Messages in flight: all, and at one sender with what it may have.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Messages in flight at one sender, and how many may be.
    pub fn in_flight_at(&self, sender: SenderNo) -> (usize, usize) {
        let sender = &self.senders[sender.0];
        (sender.in_flight, sender.permits)
    }

    /// Whether every permit is out.
    pub fn is_full(&self) -> bool {
        self.in_flight >= self.permits
    }

    /// Puts a sender in line where it belongs, after anything about it has changed.
    pub fn seat(&mut self, no: SenderNo, now: Duration) {
        let sender = &self.senders[no.0];
        let place = match sender.offered() {
            Some(class) if sender.in_flight < sender.permits => {
                let slot = sender.pace.next(now);
                if slot <= now + AHEAD {
                    Place::Ready(class)
                } else {
                    Place::Timed(slot.saturating_sub(AHEAD))
                }
            }
            _ => Place::Nowhere,
        };
        if place == sender.place {
            return;
        }
        self.unseat(no);
        let tenant = self.senders[no.0].tenant;
        match place {
            Place::Nowhere => {}
            Place::Timed(at) => drop(self.timers.insert((at, no))),
            Place::Ready(class) => {
                // Who comes to an empty line has saved nothing up for having been away.
                let least = self.ready[class].first().map_or(0, |(served, _)| *served);
                let served = self.tenants[tenant.0].served;
                let waits = self.tenants[tenant.0]
                    .ready
                    .iter()
                    .any(|line| !line.is_empty());
                if !waits && !self.crowded.contains(&tenant) {
                    self.tenants[tenant.0].served = served.max(least);
                }
                self.tenants[tenant.0].ready[class].push_back(no);
                self.line_up(tenant);
            }
        }
        self.senders[no.0].place = place;
    }

    /// Whose turn it is at `now`. Whoever gets it says with [`Self::took`] how much was sent, or
    /// withdraws.
    pub fn next(&mut self, now: Duration, most: usize) -> Turn {
        while let Some((at, no)) = self.timers.first().copied() {
            if at > now {
                break;
            }
            self.seat(no, now);
            if self.senders[no.0].place == Place::Timed(at) {
                break;
            }
        }
        let later = || {
            self.timers
                .first()
                .map_or(Turn::Nobody, |(at, _)| Turn::Later(*at))
        };
        if self.is_full() {
            return Turn::Nobody;
        }
        let waiting = |class: &usize| !self.ready[*class].is_empty();
        let is_floor = (self.given + 1).is_multiple_of(FLOOR_EVERY);
        let class = if is_floor {
            (0..CLASSES).rev().find(waiting)
        } else {
            (0..CLASSES).find(waiting)
        };
        let Some(class) = class else {
            return later();
        };
        let (_, tenant) = self.ready[class].first().copied().expect("it is not empty");
        let no = self.tenants[tenant.0].ready[class].front().copied();
        let no = no.expect("a tenant in line has a sender that may go");
        let sender = &self.senders[no.0];
        let lane = sender.lines[class]
            .next()
            .expect("a sender in line has a lane");
        let room = (self.permits - self.in_flight).min(sender.permits - sender.in_flight);
        Turn::Yours {
            sender: no,
            lane,
            most: sender.pace.slots(now, most.min(room)),
        }
    }

    /// A lane took its turn with `count` messages. Says when they leave.
    pub fn took(
        &mut self,
        (no, class): (SenderNo, usize),
        lane: LaneNo,
        count: usize,
        now: Duration,
    ) -> Duration {
        self.given += 1;
        self.in_flight += count;
        let sender = &mut self.senders[no.0];
        sender.turns += 1;
        sender.in_flight += count;
        sender.lines[class].took(lane, count);
        let slot = sender.pace.book(now, count);
        let tenant = sender.tenant;
        // It goes to the end of its line.
        self.unseat(no);
        self.out_of_line(tenant);
        self.tenants[tenant.0].served += count as u64;
        self.tenants[tenant.0].in_flight += count;
        self.line_up(tenant);
        self.seat(no, now);
        slot
    }

    /// Messages of a sender are not in flight any more.
    pub fn ended(&mut self, no: SenderNo, count: usize, now: Duration) {
        self.in_flight = self.in_flight.saturating_sub(count);
        let sender = &mut self.senders[no.0];
        sender.in_flight = sender.in_flight.saturating_sub(count);
        let tenant = sender.tenant;
        let tenants = &mut self.tenants[tenant.0];
        tenants.in_flight = tenants.in_flight.saturating_sub(count);
        for tenant in std::mem::take(&mut self.crowded) {
            self.line_up(tenant);
        }
        self.seat(no, now);
    }

    fn unseat(&mut self, no: SenderNo) {
        let tenant = self.senders[no.0].tenant;
        match std::mem::replace(&mut self.senders[no.0].place, Place::Nowhere) {
            Place::Nowhere => {}
            Place::Timed(at) => drop(self.timers.remove(&(at, no))),
            Place::Ready(class) => {
                let line = &mut self.tenants[tenant.0].ready[class];
                line.retain(|other| *other != no);
                if line.is_empty() {
                    let served = self.tenants[tenant.0].served;
                    self.ready[class].remove(&(served, tenant));
                }
            }
        }
    }

    fn out_of_line(&mut self, tenant: TenantNo) {
        let served = self.tenants[tenant.0].served;
        for line in &mut self.ready {
            line.remove(&(served, tenant));
        }
    }

    /// Puts a tenant in line wherever it has a sender that may go, unless it has its share in
    /// flight.
    fn line_up(&mut self, no: TenantNo) {
        let tenant = &self.tenants[no.0];
        let left = self.permits.saturating_sub(self.in_flight);
        let is_crowded = tenant.in_flight > left;
        let entry = (tenant.served, no);
        for (line, ready) in self.ready.iter_mut().zip(&tenant.ready) {
            if ready.is_empty() || is_crowded {
                line.remove(&entry);
            } else {
                line.insert(entry);
            }
        }
        if is_crowded {
            self.crowded.insert(no);
        }
    }
}

impl Sender {
    /// The priority that it would send next, if it has anything to send.
    fn offered(&self) -> Option<usize> {
        let waiting = |class: &usize| !self.lines[*class].lanes.is_empty();
        if (self.turns + 1).is_multiple_of(FLOOR_EVERY) {
            (0..CLASSES).rev().find(waiting)
        } else {
            (0..CLASSES).find(waiting)
        }
    }
}

fn permits_for(pace: &Pace) -> usize {
    let seconds = (pace.limit() * SENDER_PERMITS_SECONDS) as usize;
    seconds.clamp(SENDER_PERMITS.0, SENDER_PERMITS.1)
}
