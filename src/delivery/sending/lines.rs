//! Batches and lanes as they are being sent: what of them is held in memory, what is still to be
//! read, and who must wait.

use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::{
    Action, BYTES_MAX, DUE_MAX, Gate, Item, LANE_BYTES, LANE_MESSAGES_MAX, Lane, LaneNo, Now,
    Passage, READS_MAX, Read, Readings, SOON, STILL_LOOK, SenderNo, Sending, Subject, Wake,
};
use crate::batch::{BatchId, Message, Moment, TenantName};
use crate::delivery::window;

/// A batch that is being sent.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) id: BatchId,
    pub(super) tenant: TenantName,
    /// How many messages are left.
    pub(super) left: u64,
    /// Where its first chunk begins.
    pub(super) first: Option<u64>,
    pub(super) lanes: Vec<LaneLine>,
    by_lane: HashMap<Lane, u32>,
    /// When the earliest message that waits for another try is due.
    pub(super) next_due: Option<Moment>,
    pub(super) is_reading_due: bool,
    /// Messages that waited and are held here, by index.
    pub(super) in_hand: HashSet<u64>,
    /// Messages whose moment is near.
    pub(super) soon: BinaryHeap<Soon>,
    /// Messages with a permit.
    pub(super) in_flight: usize,
    /// Which they are: what has begun may look untouched in the store until that is on disk.
    pub(super) begun: HashSet<u64>,
    /// Messages of which it is being written that they have expired.
    pub(super) expiring: usize,
    pub(super) is_finishing: bool,
    is_cancelled: bool,
}

/// A message whose moment is near: the nearest is the greatest.
#[derive(Debug)]
pub(super) struct Soon {
    pub(super) at: Moment,
    pub(super) lane: u32,
    pub(super) item: Item,
}

impl PartialEq for Soon {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Soon {}

impl PartialOrd for Soon {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Soon {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let key = |soon: &Self| (soon.at, soon.item.message.index);
        key(other).cmp(&key(self))
    }
}

/// A lane of a batch that is being sent.
#[derive(Debug)]
pub(super) struct LaneLine {
    pub(super) lane: Lane,
    /// The breakers that stand before it.
    pub(super) gates: Arc<[Gate]>,
    /// `None` if the tenant has no such number any more.
    pub(super) sender: Option<SenderNo>,
    /// What may go.
    pub(super) ready: VecDeque<Item>,
    pub(super) bytes: usize,
    /// Where to read on; `None` at the end.
    pub(super) cursor: Option<u64>,
    pub(super) is_reading: bool,
    pub(super) is_wanting: bool,
    /// When messages that were passed by may go.
    pub(super) back_at: Option<Moment>,
    /// How many of its messages are held until their moment.
    pub(super) soon: usize,
    pub(super) is_offered: bool,
    /// Until when its hours are known to be open.
    pub(super) open_until: Option<Moment>,
    /// When it is looked at again, whatever happens.
    pub(super) wakes_at: Option<Moment>,
    /// Until when its first message waits for a file, unless the file comes before.
    pub(super) file_until: Option<Moment>,
}

impl LaneLine {
    pub(super) fn new(
        (lane, gates): (Lane, Arc<[Gate]>),
        sender: Option<SenderNo>,
        first: Option<u64>,
    ) -> Self {
        Self {
            lane,
            gates,
            sender,
            ready: VecDeque::new(),
            bytes: 0,
            cursor: first,
            is_reading: false,
            is_wanting: false,
            back_at: None,
            soon: 0,
            is_offered: false,
            open_until: None,
            wakes_at: None,
            file_until: None,
        }
    }

    /// Whether nothing of it is held or still to be read.
    pub(super) fn is_idle(&self) -> bool {
        self.ready.is_empty()
            && self.cursor.is_none()
            && !self.is_reading
            && self.back_at.is_none()
            && self.soon == 0
    }

    pub(super) fn push(&mut self, item: Item) {
        self.bytes += item.bytes;
        self.ready.push_back(item);
    }

    pub(super) fn pop(&mut self) -> Option<Item> {
        let item = self.ready.pop_front()?;
        self.bytes -= item.bytes;
        Some(item)
    }

    fn clear(&mut self) {
        self.ready.clear();
        self.bytes = 0;
        self.cursor = None;
        self.back_at = None;
        self.soon = 0;
    }
}

impl Batch {
    pub(super) fn new(
        id: BatchId,
        tenant: TenantName,
        left: u64,
        first: Option<u64>,
        lanes: Vec<LaneLine>,
    ) -> Self {
        let by_lane = lanes
            .iter()
            .zip(0..)
            .map(|(line, no)| (line.lane.clone(), no));
        Self {
            id,
            tenant,
            left,
            first,
            by_lane: by_lane.collect(),
            lanes,
            next_due: None,
            is_reading_due: false,
            in_hand: HashSet::new(),
            soon: BinaryHeap::new(),
            in_flight: 0,
            begun: HashSet::new(),
            expiring: 0,
            is_finishing: false,
            is_cancelled: false,
        }
    }

    /// The lane of a message; `likely` is tried first.
    pub(super) fn lane_of(&self, message: &Message, likely: u32) -> Option<u32> {
        let holds = |no: u32| {
            self.lanes
                .get(no as usize)
                .is_some_and(|line| line.lane.holds(message))
        };
        if holds(likely) {
            return Some(likely);
        }
        self.by_lane.get(&Lane::of(message)).copied()
    }

    /// Forgets all that is held, for nothing of it is to begin any more.
    pub(super) fn cancel(&mut self) {
        self.is_cancelled = true;
        self.soon.clear();
        self.in_hand.clear();
        self.next_due = None;
        self.lanes.iter_mut().for_each(LaneLine::clear);
    }

    /// Forgets all moments of its own: what was held until then may be tried, and is held again if
    /// its moment is still to come.
    pub(super) fn forget_wakes(&mut self) {
        self.next_due = None;
        for Soon { lane, item, .. } in std::mem::take(&mut self.soon).into_sorted_vec() {
            let line = &mut self.lanes[lane as usize];
            line.soon = line.soon.saturating_sub(1);
            line.push(item);
        }
        for line in &mut self.lanes {
            line.wakes_at = None;
            line.file_until = None;
        }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.is_cancelled
    }

    /// The lanes that stand in line, and where.
    pub(super) fn offered(&mut self) -> impl Iterator<Item = ((SenderNo, usize), u32)> {
        self.lanes.iter_mut().zip(0..).filter_map(|(line, no)| {
            let offered = std::mem::take(&mut line.is_offered);
            let sender = line.sender.filter(|_| offered)?;
            Some(((sender, line.lane.class()), no))
        })
    }

    pub(super) fn is_meant(&self, subject: &Subject) -> bool {
        let has = |holds: &dyn Fn(&Lane) -> bool| self.lanes.iter().any(|line| holds(&line.lane));
        match subject {
            Subject::Batch { batch } => *batch == self.id,
            Subject::Tenant { tenant } => *tenant == self.tenant,
            Subject::Sender { tenant, number } => {
                *tenant == self.tenant && has(&|lane| lane.from == *number)
            }
            Subject::Template {
                tenant,
                name,
                language,
            } => {
                *tenant == self.tenant
                    && has(&|lane| {
                        lane.template.as_ref().is_some_and(|(other, in_other)| {
                            name == other && language.as_ref().is_none_or(|one| one == in_other)
                        })
                    })
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.in_flight == 0
            && self.expiring == 0
            && !self.is_reading_due
            && self.next_due.is_none()
            && self.in_hand.is_empty()
            && self.soon.is_empty()
            && self.lanes.iter().all(LaneLine::is_idle)
    }
}

impl Sending {
    /// Messages were read for a lane.
    pub fn take_reading(&mut self, asked: &Read, found: Option<Readings>, now: Now) {
        self.reads = self.reads.saturating_sub(1);
        let Some(age) = self.ages.get(&asked.batch).copied() else {
            return;
        };
        let Some(batch) = self.batches.get_mut(&age) else {
            return;
        };
        let asking = (age, asked.lane);
        batch.lanes[asked.lane as usize].is_reading = false;
        self.dirty.insert(asking);
        if batch.is_cancelled() {
            return self.finish_if_idle(age);
        }
        // Nothing was found out: it is asked for again.
        let Some(found) = found else {
            self.dirty.remove(&asking);
            return self.wake_lane(asking, plus(now.wall, READ_AGAIN));
        };
        // Other lanes share what was found. That nothing was is true of the lane asked for alone.
        let shared = Some(found.first).filter(|_| !found.messages.is_empty());
        let takes = |line: &LaneLine, no: u32| {
            no == asked.lane || (shared.is_some() && line.cursor == shared && !line.is_reading)
        };
        let room = lane_room(self.lanes);
        // Where each lane that takes reads on: at the next chunk, or at what it had no room for.
        let taking: Vec<bool> = batch
            .lanes
            .iter()
            .zip(0..)
            .map(|(line, no)| takes(line, no))
            .collect();
        let mut next: Vec<Option<u64>> = vec![found.next; taking.len()];
        let mut full = vec![false; taking.len()];
        let mut touched = BTreeSet::new();
        for (message, bytes) in found.messages {
            let Some(no) = batch.lane_of(&message, asked.lane) else {
                continue;
            };
            let at = no as usize;
            let is_before = batch.lanes[at]
                .cursor
                .is_none_or(|cursor| message.index < cursor);
            let has_begun = batch.begun.contains(&message.index);
            if !taking[at] || full[at] || is_before || has_begun {
                continue;
            }
            let line = &mut batch.lanes[at];
            if !line.ready.is_empty()
                && (line.bytes >= room || line.ready.len() >= LANE_MESSAGES_MAX)
            {
                full[at] = true;
                next[at] = Some(message.index);
                continue;
            }
            touched.insert(no);
            let item = Item {
                message,
                attempt: 1,
                uncounted: 0,
                possible_duplicate: false,
                bytes,
            };
            match item.message.scheduled_at.filter(|at| *at > now.wall) {
                None => line.push(item),
                Some(at) if at <= asked.ready_by => {
                    line.soon += 1;
                    batch.soon.push(Soon { at, lane: no, item });
                    self.wakes.insert((at, Wake::Soon(age)));
                }
                Some(at) => {
                    line.back_at = Some(line.back_at.map_or(at, |before| before.min(at)));
                }
            }
        }
        for (at, line) in batch.lanes.iter_mut().enumerate() {
            if taking[at] {
                line.cursor = next[at];
            }
        }
        let asked_for = &mut batch.lanes[asked.lane as usize];
        if let Some(moment) = found.passed_by {
            asked_for.back_at = Some(
                asked_for
                    .back_at
                    .map_or(moment, |before| before.min(moment)),
            );
        }
        self.dirty.extend(touched.into_iter().map(|no| (age, no)));
    }

    /// Messages were read whose wait is over.
    pub fn take_due(
        &mut self,
        batch: &BatchId,
        found: Option<(Vec<Item>, Option<Moment>)>,
        now: Now,
    ) {
        self.reads = self.reads.saturating_sub(1);
        let Some(age) = self.ages.get(batch).copied() else {
            return;
        };
        let Some(batch) = self.batches.get_mut(&age) else {
            return;
        };
        batch.is_reading_due = false;
        // It may have come while this was being read, and was passed by then.
        if let Some(moment) = batch.next_due {
            self.wakes.insert((moment, Wake::Due(age)));
        }
        if batch.is_cancelled() {
            return self.finish_if_idle(age);
        }
        let Some((items, next_at)) = found else {
            return self.due_at(age, plus(now.wall, STILL_LOOK));
        };
        let mut touched = BTreeSet::new();
        // The longest due go first, before what was never tried.
        for item in items.into_iter().rev() {
            let known = batch.lane_of(&item.message, 0);
            // Of one whose last try still holds its permit the end is still to be heard.
            let index = item.message.index;
            let is_free = !batch.begun.contains(&index);
            if let Some(no) = known.filter(|_| is_free && batch.in_hand.insert(index)) {
                let line = &mut batch.lanes[no as usize];
                line.bytes += item.bytes;
                line.ready.push_front(item);
                touched.insert((age, no));
            }
        }
        let is_idle = touched.is_empty();
        self.dirty.extend(touched);
        if let Some(moment) = next_at {
            // Those that are held already are among them, and come again as long as they are.
            let moment = if moment <= now.wall {
                plus(now.wall, DUE_AGAIN)
            } else {
                moment
            };
            self.due_at(age, moment);
        }
        if is_idle {
            self.finish_if_idle(age);
        }
    }

    /// Messages whose moment has come go into their lanes.
    pub(super) fn bring_soon(&mut self, age: u64, now: Now) {
        let Some(batch) = self.batches.get_mut(&age) else {
            return;
        };
        while batch.soon.peek().is_some_and(|soon| soon.at <= now.wall) {
            let Some(Soon { lane, item, .. }) = batch.soon.pop() else {
                break;
            };
            let line = &mut batch.lanes[lane as usize];
            line.soon = line.soon.saturating_sub(1);
            line.push(item);
            self.dirty.insert((age, lane));
        }
    }

    pub(super) fn ask_for_due(&mut self, age: u64, now: Now) {
        let Some(batch) = self.batches.get_mut(&age) else {
            return;
        };
        if batch.next_due.is_none_or(|due| due > now.wall) || batch.is_reading_due {
            return;
        }
        batch.next_due = None;
        if batch.in_hand.len() >= DUE_MAX {
            return self.due_at(age, plus(now.wall, DUE_AGAIN));
        }
        batch.is_reading_due = true;
        self.reads += 1;
        self.actions.push(Action::ReadDue {
            batch: batch.id.clone(),
            limit: batch.in_hand.len() + DUE_MAX,
        });
    }

    /// Asks for what lanes want to have read, as far as there are reads left.
    pub(super) fn ask_for_reads(&mut self, now: Now) {
        let mut later = Vec::new();
        while self.reads < READS_MAX {
            let Some((age, no)) = self.wanting.pop_front() else {
                break;
            };
            let Some(batch) = self.batches.get_mut(&age) else {
                continue;
            };
            // One chunk of a batch at a time: a reading that ends the service is told by what was
            // being read.
            if batch.lanes.iter().any(|line| line.is_reading) {
                later.push((age, no));
                continue;
            }
            let line = &mut batch.lanes[no as usize];
            line.is_wanting = false;
            let (Some(from), false) = (line.cursor, line.is_reading) else {
                continue;
            };
            if !wants_more(line, lane_room(self.lanes)) {
                continue;
            }
            line.is_reading = true;
            self.reads += 1;
            self.actions.push(Action::Read(Read {
                batch: batch.id.clone(),
                lane: no,
                from,
                ready_by: plus(now.wall, SOON),
            }));
        }
        for lane in later.into_iter().rev() {
            self.wanting.push_front(lane);
        }
    }

    /// Puts a lane in line or takes it out, asks for more of it, and looks for what has expired.
    pub(super) fn look_at(&mut self, (age, no): LaneNo, now: Now) {
        let Some(batch) = self.batches.get(&age) else {
            return;
        };
        if batch.is_cancelled() {
            return;
        }
        let line = &batch.lanes[no as usize];
        let still_until = self.still_until(batch, line, now);
        let open_until = self.hours(batch, &line.lane, now.wall).1;
        let batch = self.batches.get_mut(&age).expect("it was there");
        let left = batch.left;
        let line = &mut batch.lanes[no as usize];
        line.open_until = open_until;
        let mut soonest = still_until.map(|until| until.min(plus(now.wall, STILL_LOOK)));
        // What was passed by is looked for again once nothing that was read is left, for reading
        // from the beginning finds all that nothing has happened to.
        if line.back_at.is_some_and(|at| at <= plus(now.wall, SOON))
            && line.cursor.is_none()
            && line.ready.is_empty()
            && line.soon == 0
            && !line.is_reading
        {
            line.back_at = None;
            line.cursor = batch.first;
        } else if let Some(at) = line.back_at {
            let look_at = at
                .plus_ms(-(SOON.as_millis() as i64))
                .max(now.wall.plus_ms(1_000));
            soonest = Some(soonest.map_or(look_at, |other| other.min(look_at)));
        }
        let class = line.lane.class();
        if let Some(sender) = line.sender {
            let goes = still_until.is_none() && !line.ready.is_empty();
            if goes && !line.is_offered {
                self.turns
                    .offer((sender, class), (age, no), left, now.steady);
            } else if !goes && line.is_offered {
                self.turns.withdraw((sender, class), (age, no), now.steady);
            }
            line.is_offered = goes;
        }
        if let Some(at) = soonest {
            self.wake_lane((age, no), at);
        }
        if still_until.is_some() {
            self.expire_in((age, no), now);
        }
        self.want_more((age, no));
        self.finish_if_idle(age);
    }

    /// Has a lane looked at when that moment comes, unless it is looked at before.
    fn wake_lane(&mut self, (age, no): LaneNo, at: Moment) {
        let batch = self.batches.get_mut(&age);
        let Some(line) = batch.and_then(|batch| batch.lanes.get_mut(no as usize)) else {
            return;
        };
        if line.wakes_at.is_none_or(|before| at < before) {
            line.wakes_at = Some(at);
            self.wakes.insert((at, Wake::Lane((age, no))));
        }
    }

    /// The moment has come at which a lane is looked at.
    pub(super) fn woken(&mut self, (age, no): LaneNo, moment: Moment) {
        let batch = self.batches.get_mut(&age);
        let Some(line) = batch.and_then(|batch| batch.lanes.get_mut(no as usize)) else {
            return;
        };
        if line.wakes_at.is_some_and(|at| at <= moment) {
            line.wakes_at = None;
        }
        self.dirty.insert((age, no));
    }

    /// What of a lane that stands still has expired.
    fn expire_in(&mut self, (age, no): LaneNo, now: Now) {
        let Some(batch) = self.batches.get_mut(&age) else {
            return;
        };
        let line = &mut batch.lanes[no as usize];
        let is_over = |item: &Item| now.wall >= item.message.expires_at;
        if !line.ready.iter().any(is_over) {
            return;
        }
        let (over, rest): (Vec<Item>, Vec<Item>) = line.ready.drain(..).partition(is_over);
        line.ready = rest.into();
        line.bytes = line.ready.iter().map(|item| item.bytes).sum();
        self.expire(age, &over);
    }

    /// Has it written that the time of messages is over.
    pub(super) fn expire(&mut self, age: u64, over: &[Item]) {
        let Some(batch) = self.batches.get_mut(&age) else {
            return;
        };
        batch.expiring += over.len();
        let attempts = over.iter().map(|item| item.attempt(&batch.id)).collect();
        self.actions
            .push(Action::Expire(batch.id.clone(), attempts));
    }

    /// It is written that the time of these messages is over.
    pub fn expired(&mut self, batch: &BatchId, indices: &[u64]) {
        let Some(age) = self.ages.get(batch).copied() else {
            return;
        };
        if let Some(batch) = self.batches.get_mut(&age) {
            batch.expiring = batch.expiring.saturating_sub(indices.len());
            batch.left = batch.left.saturating_sub(indices.len() as u64);
            for index in indices {
                batch.in_hand.remove(index);
            }
        }
        self.finish_if_idle(age);
    }

    pub(super) fn want_more(&mut self, (age, no): LaneNo) {
        let room = lane_room(self.lanes);
        let Some(batch) = self.batches.get_mut(&age) else {
            return;
        };
        let line = &mut batch.lanes[no as usize];
        if line.is_wanting || line.is_reading || line.cursor.is_none() || !wants_more(line, room) {
            return;
        }
        line.is_wanting = true;
        if line.lane.class() == 0 || line.ready.is_empty() {
            self.wanting.push_front((age, no));
        } else {
            self.wanting.push_back((age, no));
        }
    }

    pub(super) fn finish_if_idle(&mut self, age: u64) {
        let Some(batch) = self.batches.get_mut(&age) else {
            return;
        };
        if !batch.is_finishing && batch.is_idle() {
            batch.is_finishing = true;
            self.actions.push(Action::Finish(batch.id.clone()));
        }
    }

    /// A batch is done, or turned out not to be: then it is read from the beginning once more. One
    /// that was cancelled is not held any more, for nothing of it begins again.
    pub fn finished(&mut self, batch: &BatchId, is_done: bool, now: Now) {
        let Some(age) = self.ages.get(batch).copied() else {
            return;
        };
        let held = self.batches.get(&age);
        if is_done || held.is_some_and(Batch::is_cancelled) {
            self.ages.remove(batch);
            let gone = self.batches.remove(&age);
            self.lanes -= gone.map_or(0, |batch| batch.lanes.len());
            return;
        }
        let Some(batch) = self.batches.get_mut(&age) else {
            return;
        };
        batch.is_finishing = false;
        for line in &mut batch.lanes {
            line.cursor = batch.first;
        }
        let look_at = plus(now.wall, STILL_LOOK);
        for no in 0..batch.lanes.len() {
            self.wake_lane((age, no as u32), look_at);
        }
        self.due_at(age, look_at);
    }

    /// Until when a lane stands still; `None` if it may go.
    pub(super) fn still_until(&self, batch: &Batch, line: &LaneLine, now: Now) -> Option<Moment> {
        const FAR: Moment = Moment::from_millis(i64::MAX);
        if line.sender.is_none() {
            return Some(FAR);
        }
        if let Some(pause) = self.pause(batch, &line.lane, now.wall) {
            return Some(pause.until.unwrap_or(FAR));
        }
        if let (Some(opens_at), _) = self.hours(batch, &line.lane, now.wall) {
            return Some(opens_at);
        }
        if let Some(until) = line.file_until.filter(|until| *until > now.wall) {
            return Some(until);
        }
        line.gates
            .iter()
            .find_map(|gate| match self.breakers.passage(gate, now.wall) {
                Passage::Shut(until) => Some(until),
                Passage::Free | Passage::Probe => None,
            })
    }

    /// When the hours of a lane open, if they are closed, and until when this answer holds; `None`
    /// if for ever.
    pub(super) fn hours(
        &self,
        batch: &Batch,
        lane: &Lane,
        now: Moment,
    ) -> (Option<Moment>, Option<Moment>) {
        const FAR: Moment = Moment::from_millis(i64::MAX);
        let tenant = self.tenants.get(&batch.tenant);
        let quiet = tenant.map_or(&[][..], |tenant| &tenant.way.quiet_hours);
        let hours = window::Gate::of(lane, quiet);
        if hours.is_always_open() {
            return (None, None);
        }
        match hours.opening(now) {
            Some(opening) if opening.opens_at <= now => (None, Some(opening.closes_at)),
            Some(opening) => (Some(opening.opens_at), Some(opening.opens_at)),
            None => (Some(FAR), None),
        }
    }
}

/// How soon a chunk is read again that could not be read.
const READ_AGAIN: Duration = Duration::from_secs(2);

/// How soon messages that waited are looked for again while many are held.
const DUE_AGAIN: Duration = Duration::from_millis(500);

/// How many bytes of messages a lane may hold.
fn lane_room(lanes: usize) -> usize {
    (BYTES_MAX / lanes.max(1)).clamp(LANE_BYTES.0, LANE_BYTES.1)
}

fn wants_more(line: &LaneLine, room: usize) -> bool {
    line.ready.len() < LANE_MESSAGES_MAX / 4 && line.bytes < room / 4
}

pub(super) fn plus(moment: Moment, span: Duration) -> Moment {
    moment.plus_ms(i64::try_from(span.as_millis()).unwrap_or(i64::MAX))
}
