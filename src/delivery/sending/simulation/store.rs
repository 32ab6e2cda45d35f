//! A store as the decisions see it: the verbs of the real one, on plain values. A verb takes effect
//! when the world commits it, all at once, or never.

use std::collections::BTreeMap;

use super::{Attempt, Policy, Step, Tried, Verdict};
use super::{BatchId, Item, Lane, Message, Moment, Read, Readings, State, Subject, TenantName};
use crate::batch::Content;
use crate::delivery;
use crate::delivery::sending::Plan;

/// What a message takes in memory, more or less.
const BYTES: usize = 500;

/// Where a batch stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stage {
    Sending,
    Cancelling,
    Cancelled,
    Finished,
}

/// A message to which something has happened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) state: State,
    pub(super) attempts: u32,
    pub(super) uncounted: u32,
    pub(super) due_at: Moment,
    pub(super) possible_duplicate: bool,
}

/// A batch at rest.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) id: BatchId,
    pub(super) tenant: TenantName,
    pub(super) stage: Stage,
    pub(super) messages: Vec<Message>,
    pub(super) rows: BTreeMap<u64, Row>,
    pub(super) in_flight: i64,
    pub(super) closed: BTreeMap<State, u64>,
    lanes: Vec<Lane>,
    chunks: Vec<Chunk>,
    chunk_size: u64,
}

#[derive(Debug)]
struct Chunk {
    untouched: i64,
    next_at: Moment,
    lanes: Vec<u32>,
}

impl Kept {
    pub(super) fn new(
        (id, tenant): (BatchId, TenantName),
        messages: Vec<Message>,
        chunk_size: u64,
    ) -> Self {
        let mut lanes: Vec<Lane> = Vec::new();
        let mut chunks = Vec::new();
        for part in messages.chunks(chunk_size as usize) {
            let mut of_chunk = Vec::new();
            for message in part {
                let no = lanes.iter().position(|lane| lane.holds(message));
                let no = no.unwrap_or_else(|| {
                    lanes.push(Lane::of(message));
                    lanes.len() - 1
                });
                if !of_chunk.contains(&(no as u32)) {
                    of_chunk.push(no as u32);
                }
            }
            chunks.push(Chunk {
                untouched: part.len() as i64,
                next_at: part
                    .iter()
                    .map(goes_at)
                    .min()
                    .expect("a chunk is not empty"),
                lanes: of_chunk,
            });
        }
        Self {
            id,
            tenant,
            stage: Stage::Sending,
            messages,
            rows: BTreeMap::new(),
            in_flight: 0,
            closed: BTreeMap::new(),
            lanes,
            chunks,
            chunk_size,
        }
    }

    fn left(&self) -> u64 {
        self.messages.len() as u64 - self.closed.values().sum::<u64>()
    }

    fn close(&mut self, state: State) {
        *self.closed.entry(state).or_default() += 1;
    }

    fn touch(&mut self, index: u64) {
        self.chunks[(index / self.chunk_size) as usize].untouched -= 1;
    }

    fn take_step(&mut self, index: u64, step: &Step) {
        let is_sending = self.stage == Stage::Sending;
        let row = self.rows.get_mut(&index).expect("it was begun");
        if row.state != State::InFlight {
            return;
        }
        row.state = match step {
            Step::Done { state, .. } => *state,
            Step::Again {
                not_before,
                possible_duplicate,
                counts,
                ..
            } => {
                row.due_at = *not_before;
                row.possible_duplicate |= *possible_duplicate;
                row.uncounted += u32::from(!counts);
                match (is_sending, *possible_duplicate) {
                    (true, _) => State::Waiting,
                    (false, true) => State::Unknown,
                    (false, false) => State::Cancelled,
                }
            }
        };
        let state = row.state;
        self.in_flight -= 1;
        if state.is_final() {
            self.close(state);
        }
        self.settle_cancelled();
    }

    /// What waits of a cancelled batch, and what nothing has happened to, comes to its end.
    fn settle_cancelled(&mut self) {
        if self.stage != Stage::Cancelling {
            return;
        }
        let mut unknown = 0;
        for row in self.rows.values_mut() {
            if row.state == State::Waiting && row.possible_duplicate {
                row.state = State::Unknown;
                unknown += 1;
            } else if row.state == State::Waiting {
                row.state = State::Cancelled;
            }
        }
        *self.closed.entry(State::Unknown).or_default() += unknown;
        self.closed.remove(&State::Cancelled);
        let cancelled = self.left() - self.in_flight as u64;
        self.closed.insert(State::Cancelled, cancelled);
        if self.in_flight == 0 {
            self.stage = Stage::Cancelled;
        }
    }

    /// Whether what is counted is what is there.
    pub(super) fn adds_up(&self) -> Result<(), String> {
        let in_flight = self.rows_in(State::InFlight);
        if in_flight as i64 != self.in_flight {
            return Err(format!("{in_flight} in flight, counted {}", self.in_flight));
        }
        for (state, count) in &self.closed {
            let rows = self.rows_in(*state) as u64;
            // Of what nothing had happened to when its batch was cancelled there are no rows.
            if rows != *count && (*state != State::Cancelled || rows > *count) {
                return Err(format!("{rows} rows {}, counted {count}", state.as_str()));
            }
        }
        let touched = self.rows.len() as i64;
        let untouched: i64 = self.chunks.iter().map(|chunk| chunk.untouched).sum();
        if touched + untouched != self.messages.len() as i64 {
            return Err(format!("{touched} rows and {untouched} untouched"));
        }
        if matches!(self.stage, Stage::Finished | Stage::Cancelled) && self.left() > 0 {
            return Err(format!("{} left at its end", self.left()));
        }
        Ok(())
    }

    pub(super) fn rows_in(&self, state: State) -> usize {
        let is_in = |row: &&Row| row.state == state;
        self.rows.values().filter(is_in).count()
    }
}

fn goes_at(message: &Message) -> Moment {
    message.scheduled_at.unwrap_or(Moment::from_millis(0))
}

/// All batches, the oldest first; the age of the first is 0.
#[derive(Debug, Default)]
pub(super) struct Store(pub(super) Vec<Kept>);

impl Store {
    pub(super) fn at(&self, batch: &BatchId) -> usize {
        let at = self.0.iter().position(|kept| kept.id == *batch);
        at.expect("it was admitted")
    }

    fn of(&mut self, batch: &BatchId) -> &mut Kept {
        let at = self.at(batch);
        &mut self.0[at]
    }

    pub(super) fn plans(&self) -> Vec<Plan> {
        let sending = self.0.iter().zip(0..);
        let sending = sending.filter(|(kept, _)| kept.stage == Stage::Sending);
        let plan = |(kept, age): (&Kept, u64)| Plan {
            batch: kept.id.clone(),
            tenant: kept.tenant.clone(),
            age,
            left: kept.left(),
            lanes: kept.lanes.clone(),
            first: Some(0),
        };
        sending.map(plan).collect()
    }

    pub(super) fn readings(&mut self, asked: &Read) -> Readings {
        let kept = self.of(&asked.batch);
        let mut found = Readings::default();
        let from = (asked.from / kept.chunk_size) as usize;
        for (no, chunk) in kept.chunks.iter_mut().enumerate().skip(from) {
            if chunk.untouched <= 0 || !chunk.lanes.contains(&asked.lane) {
                continue;
            }
            if chunk.next_at > asked.ready_by {
                let earlier = found.passed_by.map(|at: Moment| at.min(chunk.next_at));
                found.passed_by = Some(earlier.unwrap_or(chunk.next_at));
                continue;
            }
            found.first = no as u64 * kept.chunk_size;
            let next = found.first + kept.chunk_size;
            found.next = Some(next).filter(|next| *next < kept.messages.len() as u64);
            let end = found.next.unwrap_or(kept.messages.len() as u64);
            let untouched = (found.first..end).filter(|index| !kept.rows.contains_key(index));
            let sized = |index: u64| (kept.messages[index as usize].clone(), BYTES);
            found.messages = untouched.map(sized).collect();
            let moments = found.messages.iter().map(|(message, _)| goes_at(message));
            chunk.next_at = moments.min().unwrap_or(chunk.next_at);
            break;
        }
        found
    }

    pub(super) fn due(
        &self,
        batch: &BatchId,
        now: Moment,
        limit: usize,
    ) -> (Vec<Item>, Option<Moment>) {
        let kept = &self.0[self.at(batch)];
        let waits = |(_, row): &(&u64, &Row)| row.state == State::Waiting;
        let mut rows: Vec<_> = kept.rows.iter().filter(waits).collect();
        rows.sort_by_key(|(index, row)| (row.due_at, **index));
        let next = rows
            .iter()
            .enumerate()
            .find(|(at, (_, row))| row.due_at > now || *at == limit)
            .map(|(at, (_, row))| (at, row.due_at));
        rows.truncate(next.map_or(rows.len(), |(at, _)| at));
        rows.sort_by_key(|(index, _)| **index);
        let item = |(index, row): (&u64, &Row)| Item {
            message: kept.messages[*index as usize].clone(),
            attempt: row.attempts + 1,
            uncounted: row.uncounted,
            possible_duplicate: row.possible_duplicate,
            bytes: BYTES,
        };
        let items = rows.into_iter().map(item).collect();
        (items, next.map(|(_, due_at)| due_at))
    }

    pub(super) fn begin(&mut self, attempts: &[Attempt]) -> Vec<bool> {
        let begin = |attempt: &Attempt| {
            let kept = self.of(&attempt.batch);
            if kept.stage != Stage::Sending {
                return false;
            }
            if let Some(row) = kept.rows.get_mut(&attempt.index) {
                if row.state != State::Waiting || row.attempts + 1 != attempt.attempt {
                    return false;
                }
                row.state = State::InFlight;
                row.attempts = attempt.attempt;
            } else {
                let row = Row {
                    state: State::InFlight,
                    attempts: attempt.attempt,
                    uncounted: attempt.uncounted,
                    due_at: Moment::from_millis(0),
                    possible_duplicate: attempt.possible_duplicate,
                };
                kept.rows.insert(attempt.index, row);
            }
            kept.in_flight += 1;
            if attempt.attempt == 1 {
                kept.touch(attempt.index);
            }
            true
        };
        attempts.iter().map(begin).collect()
    }

    pub(super) fn record(&mut self, verdicts: &[Verdict]) {
        for Verdict { attempt, step } in verdicts {
            self.of(&attempt.batch).take_step(attempt.index, step);
        }
    }

    pub(super) fn expire(&mut self, attempts: &[Attempt]) {
        for attempt in attempts {
            let kept = self.of(&attempt.batch);
            let row = kept.rows.get(&attempt.index).copied();
            let waits = row.is_none_or(|row| row.state == State::Waiting);
            if kept.stage != Stage::Sending || !waits {
                continue;
            }
            let state = if attempt.possible_duplicate {
                State::Unknown
            } else {
                State::Expired
            };
            let begun = row.map_or(0, |row| row.attempts);
            let row = Row {
                state,
                attempts: begun,
                uncounted: 0,
                due_at: Moment::from_millis(0),
                possible_duplicate: attempt.possible_duplicate,
            };
            kept.rows.insert(attempt.index, row);
            if attempt.attempt == 1 {
                kept.touch(attempt.index);
            }
            kept.close(state);
        }
    }

    pub(super) fn finish(&mut self, batch: &BatchId) -> bool {
        let kept = self.of(batch);
        let is_done = kept.stage == Stage::Sending && kept.left() == 0;
        if is_done {
            kept.stage = Stage::Finished;
        }
        is_done
    }

    pub(super) fn cancel(&mut self, at: usize) {
        let kept = &mut self.0[at];
        if kept.stage == Stage::Sending {
            kept.stage = Stage::Cancelling;
            kept.settle_cancelled();
        }
    }

    /// Messages of a subject that wait are due.
    pub(super) fn hasten(&mut self, subject: &Subject, now: Moment) {
        for kept in &mut self.0 {
            if kept.stage != Stage::Sending {
                continue;
            }
            for (index, row) in &mut kept.rows {
                let message = &kept.messages[*index as usize];
                let belongs = match (subject, &message.content) {
                    (Subject::Batch { batch }, _) => *batch == kept.id,
                    (Subject::Tenant { tenant }, _) => *tenant == kept.tenant,
                    (Subject::Sender { tenant, number }, _) => {
                        *tenant == kept.tenant && *number == message.from
                    }
                    (Subject::Template { tenant, name, .. }, Content::Template(filling)) => {
                        *tenant == kept.tenant && *name == filling.name
                    }
                    (Subject::Template { .. }, _) => false,
                };
                if row.state == State::Waiting && belongs {
                    row.due_at = row.due_at.min(now);
                }
            }
        }
    }

    /// What was in flight when the last run stopped.
    pub(super) fn recover(&mut self, policies: &BTreeMap<TenantName, Policy>, now: Moment) {
        for kept in &mut self.0 {
            let policy = policies[&kept.tenant];
            let in_flight = |(index, row): (&u64, &Row)| {
                let tried = Tried {
                    attempt: row.attempts - row.uncounted,
                    expires_at: kept.messages[*index as usize].expires_at,
                    possible_duplicate: row.possible_duplicate,
                };
                (row.state == State::InFlight).then_some((*index, tried))
            };
            let open: Vec<_> = kept.rows.iter().filter_map(in_flight).collect();
            for (index, tried) in open {
                let step = delivery::after_crash(tried, policy, now);
                kept.take_step(index, &step);
            }
            kept.settle_cancelled();
        }
    }
}
