//! Read what is to be sent, begin attempts, record what became of them.
//!
//! Attempts of many batches are begun and recorded together: each message costs one row to be
//! written, each batch and chunk one counter.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use rusqlite::{Connection, OptionalExtension, params};

use super::arrivals::{from_json, seq, to_json};
use super::chunk::{Sized, goes_at};
use super::messages::{Chunks, content};
use super::steering::seq_if_sending;
use super::{Error, Store};
use super::{holding, settling};
use crate::batch::{BatchId, Moment, Phone, TenantName};
use crate::crash;
use crate::delivery::lane::Lane;
use crate::delivery::sending::{Item, Plan, Read, Readings, Verdict};
use crate::delivery::settling::{Hold, is_open};
use crate::delivery::standing::Note;
use crate::delivery::{self, Attempt, Policy, Reason, State, Step, Tried, UnknownPolicy};

/// A chunk whose reading was begun so often and never came to its end is taken to be what ended the
/// service.
const READINGS_MAX: i64 = 2;

/// How long the service has lived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// So short that what ended the last one may end it too.
    Young,
    /// Long enough to try what may have ended the last one.
    Calm,
}

/// What a look for messages came to.
#[derive(Debug)]
pub enum Looked {
    /// These are there.
    Found(Readings),
    /// The chunk cannot be read. It is looked for again, and set aside at the third try.
    Damaged,
    /// An earlier reading of the chunk did not come to its end, perhaps with the service: it is
    /// tried again in a calm one, so that a service that is killed again and again for other
    /// reasons does not blame the chunk.
    NotYet,
}

/// A chunk that may be read.
struct Candidate {
    seq: i64,
    first: i64,
    last: i64,
    /// Readings of it that did not come to their end.
    readings: i64,
    next: Option<i64>,
    passed_by: Option<Moment>,
    content: Option<Vec<u8>>,
    touched: Vec<i64>,
}

impl Store {
    /// What must be known of a batch to send it; `None` if it is not being sent.
    pub async fn plan(&self, batch: BatchId) -> Result<Option<Plan>, Error> {
        self.read(move |connection| {
            let sql = "-- plan
                SELECT seq, tenant, total - invalid - accepted - failed - expired - suppressed
                    - cancelled - unknown, (SELECT MIN(first_index) FROM chunks WHERE batch = seq)
                FROM batches WHERE id = ?1 AND state = 'sending'";
            let mut statement = connection.prepare_cached(sql)?;
            let found = statement.query_row([batch.as_str()], |row| {
                let tenant = TenantName::parse(row.get_ref(1)?.as_str()?);
                Ok(Plan {
                    batch: batch.clone(),
                    tenant: tenant.ok_or_else(|| super::arrivals::odd(1, "tenant"))?,
                    age: row.get::<_, i64>(0)? as u64,
                    left: row.get::<_, i64>(2)?.max(0) as u64,
                    lanes: Vec::new(),
                    first: row.get::<_, Option<i64>>(3)?.map(|first| first as u64),
                })
            });
            let Some(mut plan) = found.optional()? else {
                return Ok(None);
            };
            let sql = "-- plan: lanes\nSELECT content FROM lanes WHERE batch = ?1 ORDER BY lane";
            let mut statement = connection.prepare_cached(sql)?;
            let lanes = statement.query_map([plan.age as i64], |row| from_json::<Lane>(row, 0))?;
            plan.lanes = lanes.collect::<rusqlite::Result<_>>()?;
            Ok(Some(plan))
        })
        .await
    }

    /// The untried messages of the first chunk that has any of the lane asked for.
    pub async fn readings(&self, asked: Read, age: Age) -> Result<Looked, Error> {
        let batch = asked.batch.clone();
        let found = self.candidate(asked).await?;
        let Some(content) = found.content else {
            return Ok(Looked::Found(Readings {
                passed_by: found.passed_by,
                ..Readings::default()
            }));
        };
        if found.readings > 0 && age == Age::Young {
            return Ok(Looked::NotYet);
        }
        let begun = self.begin_reading(found.seq, found.first).await?;
        if begun > READINGS_MAX {
            self.set_aside(batch, (found.first, found.last)).await?;
            return Ok(Looked::Damaged);
        }
        crash::point("chunk-begun");
        let Ok(mut messages) = unpack_apart(content).await else {
            return Ok(Looked::Damaged);
        };
        let is_touched = |index: u64| found.touched.binary_search(&(index as i64)).is_ok();
        messages.retain(|(message, _)| !is_touched(message.index));
        let moments = messages.iter().map(|(message, _)| goes_at(message));
        self.end_reading((found.seq, found.first), moments.min())
            .await?;
        Ok(Looked::Found(Readings {
            first: found.first as u64,
            messages,
            next: found.next.map(|next| next as u64),
            passed_by: found.passed_by,
        }))
    }

    async fn candidate(&self, asked: Read) -> Result<Candidate, Error> {
        self.read(move |connection| {
            let seq = seq(connection, &asked.batch)?;
            let mut found = Candidate {
                seq,
                first: 0,
                last: 0,
                readings: 0,
                next: None,
                passed_by: None,
                content: None,
                touched: Vec::new(),
            };
            let sql = "-- readings
                SELECT first_index, last_index, next_at, lanes, readings
                FROM chunks INDEXED BY chunks_untouched
                WHERE batch = ?1 AND last_index >= ?2 AND untouched > 0 AND aside = 0
                    AND first_index >= COALESCE((SELECT MAX(first_index) FROM chunks
                        WHERE batch = ?1 AND first_index <= ?2), 0)
                ORDER BY first_index";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query([seq, asked.from as i64])?;
            loop {
                let Some(row) = rows.next()? else {
                    return Ok(found);
                };
                if !has_lane(row.get_ref(3)?.as_blob()?, asked.lane) {
                    continue;
                }
                let next_at = Moment::from_millis(row.get(2)?);
                if next_at <= asked.ready_by {
                    (found.first, found.last) = (row.get(0)?, row.get(1)?);
                    found.readings = row.get(4)?;
                    break;
                }
                let passed_by = found.passed_by.map_or(next_at, |other| other.min(next_at));
                found.passed_by = Some(passed_by);
            }
            drop(rows);
            found.content = Some(content(connection, seq, found.first)?);
            let sql = "-- readings: touched
                SELECT idx FROM messages WHERE batch = ?1 AND idx BETWEEN ?2 AND ?3 ORDER BY idx";
            let mut statement = connection.prepare_cached(sql)?;
            let touched = statement.query_map([seq, found.first, found.last], |row| row.get(0))?;
            found.touched = touched.collect::<rusqlite::Result<_>>()?;
            let sql = "-- readings: next
                SELECT MIN(first_index) FROM chunks WHERE batch = ?1 AND first_index > ?2";
            let mut statement = connection.prepare_cached(sql)?;
            found.next = statement.query_row([seq, found.first], |row| row.get(0))?;
            Ok(found)
        })
        .await
    }

    async fn begin_reading(&self, seq: i64, first: i64) -> Result<i64, Error> {
        self.write(move |connection| {
            let sql = "-- begin_reading
                UPDATE chunks SET readings = readings + 1 WHERE batch = ?1 AND first_index = ?2
                RETURNING readings";
            let mut statement = connection.prepare_cached(sql)?;
            statement.query_row([seq, first], |row| row.get(0))
        })
        .await
    }

    /// A chunk was read, and nothing untouched of it may go before `next_at`: until then it is
    /// passed by, whatever of it went sooner.
    async fn end_reading(
        &self,
        (seq, first): (i64, i64),
        next_at: Option<Moment>,
    ) -> Result<(), Error> {
        self.write(move |connection| {
            let sql = "-- end_reading
                UPDATE chunks SET readings = 0, next_at = COALESCE(?3, next_at)
                WHERE batch = ?1 AND first_index = ?2";
            let row = params![seq, first, next_at.map(Moment::as_millis)];
            connection.prepare_cached(sql)?.execute(row)?;
            Ok(())
        })
        .await
    }

    /// Sets a chunk aside that cannot be read: what of it was not sent never will be.
    async fn set_aside(&self, batch: BatchId, (first, last): (i64, i64)) -> Result<(), Error> {
        self.write(move |connection| {
            let Some(seq) = seq_if_sending(connection, &batch)? else {
                return Ok(());
            };
            let sql = "-- set_aside
                WITH RECURSIVE places (idx) AS (SELECT ?2 UNION ALL
                    SELECT idx + 1 FROM places WHERE idx < ?3)
                INSERT INTO messages (batch, idx, state, attempts, due_at, changed_at, expires_at,
                    possible_duplicate, in_row, provider_id, note)
                SELECT ?1, idx, 'failed', 0, 0, 0, 0, 0, 0, '', ?4 FROM places WHERE TRUE
                ON CONFLICT (batch, idx) DO NOTHING";
            let reason = Reason {
                hint: "send the row again in another file; the operator finds more in the journal"
                    .into(),
                ..Reason::new(
                    "store.damaged",
                    "the message could not be read back from the service's own store",
                )
            };
            let note = to_json(&Note::Reason(reason));
            let statement = &mut connection.prepare_cached(sql)?;
            let failed = statement.execute(params![seq, first, last, note])?;
            let sql = "-- set_aside: chunk
                UPDATE chunks SET aside = 1, untouched = 0 WHERE batch = ?1 AND first_index = ?2";
            connection.prepare_cached(sql)?.execute([seq, first])?;
            let sql = "-- set_aside: count\nUPDATE batches SET failed = failed + ?2 WHERE seq = ?1";
            connection
                .prepare_cached(sql)?
                .execute([seq, failed as i64])?;
            Ok(())
        })
        .await
    }

    /// Up to `limit` messages of a batch whose wait is over at `now`: those that are longest due,
    /// in the order of the file, and when the next of the others is due.
    pub async fn due(
        &self,
        batch: BatchId,
        now: Moment,
        limit: usize,
    ) -> Result<(Vec<Item>, Option<Moment>), Error> {
        self.read(move |connection| {
            let seq = seq(connection, &batch)?;
            let sql = "-- due
                SELECT idx, attempts, uncounted, possible_duplicate, due_at
                FROM messages INDEXED BY messages_due
                WHERE batch = ?1 AND state = 'waiting' ORDER BY due_at LIMIT ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(params![seq, limit as i64 + 1])?;
            let (mut waited, mut next_at) = (Vec::new(), None);
            while let Some(row) = rows.next()? {
                let due_at = Moment::from_millis(row.get(4)?);
                if due_at > now || waited.len() == limit {
                    next_at = Some(due_at);
                    break;
                }
                let index = row.get::<_, i64>(0)? as u64;
                waited.push((index, row.get::<_, u32>(1)?, row.get(2)?, row.get(3)?));
            }
            // In the order of the file, each chunk is read once.
            waited.sort_unstable_by_key(|(index, ..)| *index);
            let (mut items, mut chunks) = (Vec::new(), Chunks::new(connection, seq));
            for (index, attempts, uncounted, possible_duplicate) in waited {
                if let Some((message, bytes)) = chunks.message(index)? {
                    items.push(Item {
                        message,
                        attempt: attempts + 1,
                        uncounted,
                        possible_duplicate,
                        bytes,
                    });
                }
            }
            Ok((items, next_at))
        })
        .await
    }

    /// Begins attempts. Only after this has returned may the requests leave of those that are
    /// `true`; `false` means that the message is not there to be sent any more.
    pub async fn begin(&self, attempts: Vec<Attempt>, now: Moment) -> Result<Vec<bool>, Error> {
        self.write(move |connection| begin(connection, attempts.iter(), now))
            .await
    }

    /// Begins attempts of which no request leaves, and records what became of them: nobody sees
    /// them under way. Says which of them were there to be sent.
    pub async fn end_unsent(
        &self,
        verdicts: Vec<Verdict>,
        now: Moment,
    ) -> Result<Vec<bool>, Error> {
        self.write(move |connection| {
            let attempts = verdicts.iter().map(|verdict| &verdict.attempt);
            let begun = begin(connection, attempts, now)?;
            let of_begun = verdicts.iter().zip(&begun);
            let of_begun = of_begun.filter(|(_, begun)| **begun);
            record(connection, of_begun.map(|(verdict, _)| verdict), now)?;
            Ok(begun)
        })
        .await
    }

    /// Records where messages stand after an attempt each.
    pub async fn record(&self, verdicts: Vec<Verdict>, now: Moment) -> Result<(), Error> {
        self.write_outcome(move |connection| record(connection, verdicts.iter(), now))
            .await
    }

    /// Records that the time of messages ran out before they could be sent. One that is in flight
    /// is left to its attempt.
    pub async fn expire(&self, attempts: Vec<Attempt>, now: Moment) -> Result<(), Error> {
        self.write(move |connection| {
            let mut tally = Tally::default();
            let sql = "-- expire
                INSERT INTO messages (batch, idx, state, attempts, due_at, changed_at, expires_at,
                    possible_duplicate, in_row, provider_id, note)
                VALUES (?1, ?2, ?6, 0, 0, ?3, ?4, 0, 0, '', ?5)
                ON CONFLICT (batch, idx) DO UPDATE SET state = excluded.state, due_at = 0,
                    changed_at = excluded.changed_at,
                    note = CASE note WHEN '' THEN excluded.note ELSE note END
                WHERE messages.state = 'waiting' RETURNING attempts";
            let reason = Reason::new(
                "policy.expired",
                "the message expired before it could be sent",
            );
            let note = to_json(&Note::Reason(reason));
            let mut statement = connection.prepare_cached(sql)?;
            for attempt in &attempts {
                let Some(seq) = tally.seq_if_sending(connection, &attempt.batch)? else {
                    continue;
                };
                // What may have gone out already is not reported as never sent.
                let state = if attempt.possible_duplicate {
                    State::Unknown
                } else {
                    State::Expired
                };
                let row = params![
                    seq,
                    attempt.index as i64,
                    now.as_millis(),
                    attempt.expires_at.as_millis(),
                    note,
                    state.as_str(),
                ];
                let attempts: Option<u32> =
                    statement.query_row(row, |row| row.get(0)).optional()?;
                if let Some(attempts) = attempts {
                    // One without attempts had no row before.
                    if attempts == 0 {
                        tally.touch(connection, seq, attempt.index)?;
                    }
                    tally.counts(seq).closed(state);
                    if state == State::Unknown {
                        holding::hold(connection, &mut tally, (seq, attempt.index), now)?;
                    }
                }
            }
            tally.write(connection)
        })
        .await
    }

    /// What senders have learned of their provider's limit.
    pub async fn learned_rates(&self) -> Result<Vec<(TenantName, Phone, f64)>, Error> {
        self.read(|connection| {
            let sql = "-- learned_rates\nSELECT tenant, number, per_second FROM learned_rates";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map((), |row| {
                let tenant = TenantName::parse(row.get_ref(0)?.as_str()?);
                let number = Phone::from_e164(row.get_ref(1)?.as_str()?);
                Ok(tenant
                    .zip(number)
                    .map(|(tenant, number)| (tenant, number, row.get(2))))
            })?;
            let mut rates = Vec::new();
            for row in rows {
                if let Some((tenant, number, rate)) = row? {
                    rates.push((tenant, number, rate?));
                }
            }
            Ok(rates)
        })
        .await
    }

    /// Keeps what a sender has learned; `None` if it goes as fast as is set. Told although the disk
    /// is full, for it has happened.
    pub async fn learn_rate(
        &self,
        tenant: TenantName,
        number: Phone,
        per_second: Option<f64>,
    ) -> Result<(), Error> {
        self.write_outcome(move |connection| {
            let (tenant, number) = (tenant.as_str(), number.as_str());
            let forget = "-- learn_rate: forget
                DELETE FROM learned_rates WHERE tenant = ?1 AND number = ?2";
            connection
                .prepare_cached(forget)?
                .execute([tenant, number])?;
            if let Some(per_second) = per_second {
                let sql = "-- learn_rate
                    INSERT INTO learned_rates (tenant, number, per_second) VALUES (?1, ?2, ?3)";
                connection
                    .prepare_cached(sql)?
                    .execute(params![tenant, number, per_second])?;
            }
            Ok(())
        })
        .await
    }
}

/// Begins attempts; says which of them were there to be sent.
fn begin<'a>(
    connection: &Connection,
    attempts: impl Iterator<Item = &'a Attempt>,
    now: Moment,
) -> rusqlite::Result<Vec<bool>> {
    let mut tally = Tally::default();
    let sql = "-- begin
        INSERT INTO messages (batch, idx, state, attempts, due_at, changed_at, expires_at,
            possible_duplicate, in_row, provider_id, note, uncounted)
        VALUES (?1, ?2, 'inFlight', ?3, 0, ?4, ?5, ?6, 0, '', '', ?7)
        ON CONFLICT (batch, idx) DO UPDATE SET state = 'inFlight', due_at = 0,
            attempts = excluded.attempts, changed_at = excluded.changed_at
        WHERE messages.state = 'waiting' AND messages.attempts = excluded.attempts - 1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut begun = Vec::new();
    for attempt in attempts {
        let Some(seq) = tally.seq_if_sending(connection, &attempt.batch)? else {
            begun.push(false);
            continue;
        };
        let changed = statement.execute(params![
            seq,
            attempt.index as i64,
            attempt.attempt,
            now.as_millis(),
            attempt.expires_at.as_millis(),
            attempt.possible_duplicate,
            attempt.uncounted,
        ])?;
        if changed == 1 {
            tally.counts(seq).in_flight += 1;
            if attempt.attempt == 1 {
                tally.touch(connection, seq, attempt.index)?;
            }
        }
        begun.push(changed == 1);
    }
    tally.write(connection)?;
    Ok(begun)
}

/// Records where messages stand after an attempt each.
fn record<'a>(
    connection: &Connection,
    verdicts: impl Iterator<Item = &'a Verdict>,
    now: Moment,
) -> rusqlite::Result<()> {
    let mut tally = Tally::default();
    for Verdict { attempt, step } in verdicts {
        let seq = tally.seq(connection, &attempt.batch)?;
        let is_sending = tally.seq_if_sending(connection, &attempt.batch)?.is_some();
        let cancelled = cancelled_instead(step, is_sending);
        let step = cancelled.as_ref().unwrap_or(step);
        take_step(connection, &mut tally, (seq, attempt.index), step, now)?;
    }
    tally.write(connection)
}

/// A cancelled batch has nobody wait.
fn cancelled_instead(step: &Step, is_sending: bool) -> Option<Step> {
    let Step::Again {
        possible_duplicate,
        reason,
        ..
    } = step
    else {
        return None;
    };
    if is_sending {
        return None;
    }
    let (state, reason) = if *possible_duplicate {
        (State::Unknown, reason.clone())
    } else {
        (State::Cancelled, super::steering::cancelled_reason())
    };
    Some(Step::Done {
        state,
        provider_id: String::new(),
        reason: Some(reason),
        in_row: false,
    })
}

async fn unpack_apart(content: Vec<u8>) -> std::io::Result<Vec<Sized>> {
    let unpacking = tokio::task::spawn_blocking(move || super::chunk::unpack(&content));
    unpacking.await.map_err(std::io::Error::other)?
}

fn has_lane(lanes: &[u8], lane: u32) -> bool {
    let byte = lanes.get(lane as usize / 8).copied().unwrap_or(0);
    byte & (1 << (lane % 8)) != 0
}

/// What was in flight in one batch when the last run stopped; returns how many there were.
pub(super) fn recover_batch(
    connection: &Connection,
    seq: i64,
    unknown: UnknownPolicy,
    now: Moment,
) -> rusqlite::Result<u64> {
    let sql = "-- recover_batch
        SELECT idx, attempts - uncounted, expires_at, possible_duplicate
        FROM messages INDEXED BY messages_in_flight
        WHERE batch = ?1 AND state = 'inFlight'";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([seq], |row| {
        let tried = Tried {
            attempt: row.get(1)?,
            expires_at: Moment::from_millis(row.get(2)?),
            possible_duplicate: row.get(3)?,
        };
        Ok((row.get::<_, i64>(0)? as u64, tried))
    })?;
    let in_flight: Vec<(u64, Tried)> = rows.collect::<rusqlite::Result<_>>()?;
    let is_sending = "-- recover_batch: state
        SELECT state = 'sending' FROM batches WHERE seq = ?1";
    let is_sending = connection.query_row(is_sending, [seq], |row| row.get(0))?;
    let mut tally = Tally::default();
    for (index, tried) in &in_flight {
        let step = delivery::after_crash(*tried, Policy { unknown }, now);
        let step = cancelled_instead(&step, is_sending).unwrap_or(step);
        take_step(connection, &mut tally, (seq, *index), &step, now)?;
    }
    tally.write(connection)?;
    Ok(in_flight.len() as u64)
}

/// Moves a message from in flight to where `step` says, or to where a receipt says that came before
/// the end of a try nobody answered.
fn take_step(
    connection: &Connection,
    tally: &mut Tally,
    (seq, index): (i64, u64),
    step: &Step,
    now: Moment,
) -> rusqlite::Result<()> {
    let settled = if is_open(step) {
        settling::kept_step(connection, (seq, index))?
    } else {
        None
    };
    let step = settled.as_ref().unwrap_or(step);
    let sql = "-- take_step
        UPDATE messages SET state = ?3, due_at = ?4, changed_at = ?5, provider_id = ?6, note = ?7,
            in_row = ?8, possible_duplicate = MAX(possible_duplicate, ?9),
            uncounted = uncounted + ?10
        WHERE batch = ?1 AND idx = ?2 AND state = 'inFlight'";
    let note = |reason: &Reason| to_json(&Note::Reason(reason.clone()));
    let mut uncounted = false;
    let (state, due_at, provider_id, note, in_row, possible_duplicate) = match step {
        Step::Done {
            state,
            provider_id,
            reason,
            in_row,
        } => {
            let note = reason.as_ref().map(note).unwrap_or_default();
            (*state, 0, provider_id.as_str(), note, *in_row, false)
        }
        Step::Again {
            not_before,
            reason,
            possible_duplicate,
            counts,
        } => {
            uncounted = !counts;
            let due_at = not_before.as_millis();
            (
                State::Waiting,
                due_at,
                "",
                note(reason),
                false,
                *possible_duplicate,
            )
        }
    };
    let changed = connection.prepare_cached(sql)?.execute(params![
        seq,
        index as i64,
        state.as_str(),
        due_at,
        now.as_millis(),
        provider_id,
        note,
        in_row,
        possible_duplicate,
        uncounted,
    ])?;
    if changed == 1 {
        tally.counts(seq).in_flight -= 1;
        if state.is_final() {
            tally.counts(seq).closed(state);
        }
        if state == State::Unknown {
            holding::hold(connection, tally, (seq, index), now)?;
        }
    }
    Ok(())
}

/// Changes of counters, written once for all messages of a verb.
#[derive(Default)]
pub(super) struct Tally {
    /// The short keys of batches, and whether they are being sent.
    keys: BTreeMap<BatchId, (i64, bool)>,
    counts: BTreeMap<i64, Changes>,
    /// How many messages of a chunk are touched for the first time.
    touched: BTreeMap<(i64, i64), i64>,
    /// The chunk looked up last, with its last index.
    chunk: Option<(i64, i64, i64)>,
    /// How long unknown messages of batches are held.
    pub(super) holds: BTreeMap<i64, Hold>,
}

#[derive(Clone, Copy, Default)]
pub(super) struct Changes {
    pub(super) in_flight: i64,
    pub(super) held: i64,
    accepted: i64,
    failed: i64,
    expired: i64,
    cancelled: i64,
    unknown: i64,
}

impl Changes {
    /// One more has come to its end in this state.
    pub(super) fn closed(&mut self, state: State) {
        self.change(state, 1);
    }

    /// One less: it was settled.
    pub(super) fn reopened(&mut self, state: State) {
        self.change(state, -1);
    }

    fn change(&mut self, state: State, by: i64) {
        let count = match state {
            State::Accepted => &mut self.accepted,
            State::Failed => &mut self.failed,
            State::Expired => &mut self.expired,
            State::Cancelled => &mut self.cancelled,
            State::Unknown => &mut self.unknown,
            State::Waiting | State::InFlight | State::Invalid | State::Suppressed => return,
        };
        count.add_assign(by);
    }
}

impl Tally {
    fn key(&mut self, connection: &Connection, batch: &BatchId) -> rusqlite::Result<(i64, bool)> {
        if let Some(key) = self.keys.get(batch) {
            return Ok(*key);
        }
        let key = (
            seq(connection, batch)?,
            seq_if_sending(connection, batch)?.is_some(),
        );
        self.keys.insert(batch.clone(), key);
        Ok(key)
    }

    fn seq(&mut self, connection: &Connection, batch: &BatchId) -> rusqlite::Result<i64> {
        Ok(self.key(connection, batch)?.0)
    }

    fn seq_if_sending(
        &mut self,
        connection: &Connection,
        batch: &BatchId,
    ) -> rusqlite::Result<Option<i64>> {
        let (seq, is_sending) = self.key(connection, batch)?;
        Ok(is_sending.then_some(seq))
    }

    pub(super) fn counts(&mut self, seq: i64) -> &mut Changes {
        self.counts.entry(seq).or_default()
    }

    /// One message less in its chunk that nothing has happened to.
    fn touch(&mut self, connection: &Connection, seq: i64, index: u64) -> rusqlite::Result<()> {
        let index = index as i64;
        let is_in =
            |(of, first, last): (i64, i64, i64)| of == seq && (first..=last).contains(&index);
        let (_, first, _) = if let Some(chunk) = self.chunk.filter(|chunk| is_in(*chunk)) {
            chunk
        } else {
            let sql = "-- touch: chunk
                    SELECT first_index, last_index FROM chunks
                    WHERE batch = ?1 AND first_index <= ?2 ORDER BY first_index DESC LIMIT 1";
            let mut statement = connection.prepare_cached(sql)?;
            let found =
                statement.query_row([seq, index], |row| Ok((seq, row.get(0)?, row.get(1)?)))?;
            *self.chunk.insert(found)
        };
        *self.touched.entry((seq, first)).or_default() += 1;
        Ok(())
    }

    pub(super) fn write(self, connection: &Connection) -> rusqlite::Result<()> {
        let sql = "-- touch
            UPDATE chunks SET untouched = untouched - ?3 WHERE batch = ?1 AND first_index = ?2";
        let mut statement = connection.prepare_cached(sql)?;
        for ((seq, first), count) in self.touched {
            statement.execute([seq, first, count])?;
        }
        let sql = "-- count
            UPDATE batches SET in_flight = in_flight + ?2, accepted = accepted + ?3,
                failed = failed + ?4, expired = expired + ?5, cancelled = cancelled + ?6,
                unknown = unknown + ?7, held = held + ?8 WHERE seq = ?1";
        let mut statement = connection.prepare_cached(sql)?;
        for (seq, changes) in self.counts {
            statement.execute([
                seq,
                changes.in_flight,
                changes.accepted,
                changes.failed,
                changes.expired,
                changes.cancelled,
                changes.unknown,
                changes.held,
            ])?;
        }
        Ok(())
    }
}
