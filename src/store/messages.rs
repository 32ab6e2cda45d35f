//! Claim what is to be sent, begin an attempt, record its outcome, and read it all back.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::arrivals::{from_json, seq, to_json};
use super::chunk::unpack;
use super::{Error, Store};
use crate::batch::{BatchId, Message, Moment};
use crate::delivery::standing::{MessageStanding, Note};
use crate::delivery::{self, Policy, Reason, State, Step, Tried, UnknownPolicy};

/// One try at one message, as the store needs to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The batch.
    pub batch: BatchId,
    /// The message's index in it.
    pub index: u64,
    /// Which try it is, from 1.
    pub attempt: u32,
    /// After this moment the message is not sent.
    pub expires_at: Moment,
    /// Whether an earlier attempt may have gone out.
    pub possible_duplicate: bool,
}

impl Attempt {
    /// The attempt as `delivery` judges it.
    pub fn tried(&self) -> Tried {
        Tried {
            attempt: self.attempt,
            expires_at: self.expires_at,
            possible_duplicate: self.possible_duplicate,
        }
    }
}

/// Untried messages of one chunk.
#[derive(Clone, Debug)]
pub struct ChunkOfMessages {
    /// Where to look for the next chunk.
    pub next_from: u64,
    /// The messages in the order of the file.
    pub messages: Vec<Message>,
}

/// Messages whose wait is over.
#[derive(Clone, Debug, Default)]
pub struct Due {
    /// The messages with what is needed for their next attempt.
    pub messages: Vec<(Message, Attempt)>,
    /// When the next of those that still wait is due.
    pub next_at: Option<Moment>,
}

impl Store {
    /// The untried messages of the first chunk that has any, at or after `from_index`.
    pub async fn next_chunk(
        &self,
        batch: BatchId,
        from_index: u64,
    ) -> Result<Option<ChunkOfMessages>, Error> {
        self.read(move |connection| {
            let seq = seq(connection, &batch)?;
            let sql = "-- next_chunk
                SELECT first_index FROM chunks INDEXED BY chunks_untouched
                WHERE batch = ?1 AND first_index >= ?2 AND untouched > 0
                ORDER BY first_index LIMIT 1";
            let mut statement = connection.prepare_cached(sql)?;
            let found = statement
                .query_row([seq, from_index as i64], |row| row.get(0))
                .optional()?;
            let Some(first_index) = found else {
                return Ok(None);
            };
            let mut messages = chunk(connection, seq, first_index)?;
            let last_index = messages
                .last()
                .map_or(first_index as u64, |message| message.index);
            let sql = "-- next_chunk: touched
                SELECT idx FROM messages WHERE batch = ?1 AND idx BETWEEN ?2 AND ?3 ORDER BY idx";
            let mut statement = connection.prepare_cached(sql)?;
            let range = [seq, first_index, last_index as i64];
            let touched = statement.query_map(range, |row| row.get::<_, i64>(0))?;
            let touched: Vec<i64> = touched.collect::<rusqlite::Result<_>>()?;
            messages.retain(|message| touched.binary_search(&(message.index as i64)).is_err());
            Ok(Some(ChunkOfMessages {
                next_from: last_index + 1,
                messages,
            }))
        })
        .await
    }

    /// Up to `limit` messages of a batch whose wait is over at `now`: those that are longest due,
    /// in the order of the file.
    pub async fn due(&self, batch: BatchId, now: Moment, limit: u32) -> Result<Due, Error> {
        self.read(move |connection| {
            let seq = seq(connection, &batch)?;
            let sql = "-- due
                SELECT idx, attempts, expires_at, possible_duplicate, due_at
                FROM messages INDEXED BY messages_due
                WHERE batch = ?1 AND state = 'waiting' ORDER BY due_at LIMIT ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(params![seq, limit + 1])?;
            let mut due = Due::default();
            let mut attempts = Vec::new();
            while let Some(row) = rows.next()? {
                let due_at = Moment::from_millis(row.get(4)?);
                if due_at > now || attempts.len() == limit as usize {
                    due.next_at = Some(due_at);
                    break;
                }
                attempts.push(Attempt {
                    batch: batch.clone(),
                    index: row.get::<_, i64>(0)? as u64,
                    attempt: row.get::<_, u32>(1)? + 1,
                    expires_at: Moment::from_millis(row.get(2)?),
                    possible_duplicate: row.get(3)?,
                });
            }
            // In the order of the file, each chunk is read once.
            attempts.sort_unstable_by_key(|attempt| attempt.index);
            let mut chunks = Chunks::new(connection, seq);
            for attempt in attempts {
                if let Some(message) = chunks.message(attempt.index)? {
                    due.messages.push((message, attempt));
                }
            }
            Ok(due)
        })
        .await
    }

    /// The message of a batch that waits for the earliest next attempt: when that is due, and why
    /// it waits. `None` when none waits for a moment.
    pub async fn next_try(&self, batch: BatchId) -> Result<Option<(Moment, Reason)>, Error> {
        self.read(move |connection| {
            let seq = seq(connection, &batch)?;
            let sql = "-- next_try
                SELECT due_at, note FROM messages INDEXED BY messages_due
                WHERE batch = ?1 AND state = 'waiting' ORDER BY due_at LIMIT 1";
            let mut statement = connection.prepare_cached(sql)?;
            let found = statement.query_row([seq], |row| {
                let note: Note = from_json(row, 1)?;
                Ok((Moment::from_millis(row.get(0)?), note))
            });
            Ok(match found.optional()? {
                Some((due_at, Note::Reason(reason))) => Some((due_at, reason)),
                _ => None,
            })
        })
        .await
    }

    /// Begins an attempt. Only after this has returned `true` may its request leave; `false` means
    /// that the message is not there to be sent any more.
    pub async fn begin(&self, attempt: Attempt, now: Moment) -> Result<bool, Error> {
        self.write(move |connection| {
            let seq = seq(connection, &attempt.batch)?;
            let sql = "-- begin
                INSERT INTO messages (batch, idx, state, attempts, due_at, changed_at, expires_at,
                    possible_duplicate, in_row, provider_id, note)
                VALUES (?1, ?2, 'inFlight', ?3, 0, ?4, ?5, ?6, 0, '', '')
                ON CONFLICT (batch, idx) DO UPDATE SET state = 'inFlight', due_at = 0,
                    attempts = excluded.attempts, changed_at = excluded.changed_at
                WHERE messages.state = 'waiting' AND messages.attempts = excluded.attempts - 1";
            let changed = connection.prepare_cached(sql)?.execute(params![
                seq,
                attempt.index as i64,
                attempt.attempt,
                now.as_millis(),
                attempt.expires_at.as_millis(),
                attempt.possible_duplicate,
            ])?;
            if changed == 0 {
                return Ok(false);
            }
            if attempt.attempt == 1 {
                touch(connection, seq, attempt.index)?;
            }
            let sql =
                "-- begin: count\nUPDATE batches SET in_flight = in_flight + 1 WHERE seq = ?1";
            connection.prepare_cached(sql)?.execute([seq])?;
            Ok(true)
        })
        .await
    }

    /// Records where a message stands after an attempt.
    pub async fn record(&self, attempt: Attempt, step: Step, now: Moment) -> Result<(), Error> {
        self.write(move |connection| {
            let seq = seq(connection, &attempt.batch)?;
            take_step(connection, seq, attempt.index, &step, now)
        })
        .await
    }

    /// Records that a message's time ran out before it could be sent. One that is in flight is left
    /// to its attempt.
    pub async fn expire(&self, attempt: Attempt, now: Moment) -> Result<(), Error> {
        self.write(move |connection| {
            let seq = seq(connection, &attempt.batch)?;
            let sql = "-- expire
                INSERT INTO messages (batch, idx, state, attempts, due_at, changed_at, expires_at,
                    possible_duplicate, in_row, provider_id, note)
                VALUES (?1, ?2, ?6, 0, 0, ?3, ?4, 0, 0, '', ?5)
                ON CONFLICT (batch, idx) DO UPDATE SET state = excluded.state, due_at = 0,
                    changed_at = excluded.changed_at,
                    note = CASE note WHEN '' THEN excluded.note ELSE note END
                WHERE messages.state = 'waiting'";
            let reason = Reason::new(
                "policy.expired",
                "the message expired before it could be sent",
            );
            // What may have gone out already is not reported as never sent.
            let state = if attempt.possible_duplicate {
                State::Unknown
            } else {
                State::Expired
            };
            let changed = connection.prepare_cached(sql)?.execute(params![
                seq,
                attempt.index as i64,
                now.as_millis(),
                attempt.expires_at.as_millis(),
                to_json(&Note::Reason(reason)),
                state.as_str(),
            ])?;
            if changed == 1 {
                if attempt.attempt == 1 {
                    touch(connection, seq, attempt.index)?;
                }
                count_closed(connection, seq, state)?;
            }
            Ok(())
        })
        .await
    }

    /// Messages `from_index` up to `from_index + limit`, in the order of the file, as they stand.
    pub async fn messages(
        &self,
        batch: BatchId,
        from_index: u64,
        limit: u64,
    ) -> Result<Vec<MessageStanding>, Error> {
        self.read(move |connection| {
            let seq = seq(connection, &batch)?;
            let range = [
                seq,
                from_index as i64,
                from_index.saturating_add(limit) as i64,
            ];
            let sql = "-- messages
                SELECT idx, state, attempts, changed_at, provider_id, possible_duplicate, in_row,
                    note FROM messages WHERE batch = ?1 AND idx >= ?2 AND idx < ?3 ORDER BY idx";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map(range, message_standing)?;
            let mut records: HashMap<u64, MessageStanding> = rows
                .map(|record| record.map(|record| (record.index, record)))
                .collect::<rusqlite::Result<_>>()?;
            let sql = "-- messages: chunks
                SELECT first_index FROM chunks
                WHERE batch = ?1 AND first_index < ?3 AND first_index >= COALESCE(
                    (SELECT MAX(first_index) FROM chunks WHERE batch = ?1 AND first_index <= ?2), 0)
                ORDER BY first_index";
            let mut statement = connection.prepare_cached(sql)?;
            let firsts = statement.query_map(range, |row| row.get(0))?;
            let firsts: Vec<i64> = firsts.collect::<rusqlite::Result<_>>()?;
            let wanted = from_index..from_index.saturating_add(limit);
            for first_index in firsts {
                for message in chunk(connection, seq, first_index)? {
                    if wanted.contains(&message.index) {
                        let untouched = || MessageStanding::untouched(message.index);
                        let record = records.entry(message.index).or_insert_with(untouched);
                        record.message = Some(message);
                    }
                }
            }
            let mut records: Vec<_> = records.into_values().collect();
            records.sort_unstable_by_key(|record| record.index);
            Ok(records)
        })
        .await
    }
}

fn message_standing(row: &Row<'_>) -> rusqlite::Result<MessageStanding> {
    let changed_at: i64 = row.get(3)?;
    let note = row.get_ref(7)?.as_str()?.is_empty();
    Ok(MessageStanding {
        index: row.get::<_, i64>(0)? as u64,
        message: None,
        state: State::parse(row.get_ref(1)?.as_str()?).unwrap_or(State::Unknown),
        attempts: row.get(2)?,
        changed_at: (changed_at != 0).then(|| Moment::from_millis(changed_at)),
        provider_id: row.get(4)?,
        possible_duplicate: row.get(5)?,
        in_row: row.get(6)?,
        note: if note { None } else { Some(from_json(row, 7)?) },
    })
}

/// What was in flight in one batch when the last run stopped; returns how many there were.
pub(super) fn recover_batch(
    connection: &Connection,
    seq: i64,
    unknown: UnknownPolicy,
    now: Moment,
) -> rusqlite::Result<u64> {
    let sql = "-- recover_batch
        SELECT idx, attempts, expires_at, possible_duplicate
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
    for (index, tried) in &in_flight {
        let step = delivery::after_crash(*tried, Policy { unknown }, now);
        take_step(connection, seq, *index, &step, now)?;
    }
    Ok(in_flight.len() as u64)
}

/// Moves a message from in flight to where `step` says.
fn take_step(
    connection: &Connection,
    seq: i64,
    index: u64,
    step: &Step,
    now: Moment,
) -> rusqlite::Result<()> {
    let sql = "-- take_step
        UPDATE messages SET state = ?3, due_at = ?4, changed_at = ?5, provider_id = ?6, note = ?7,
            in_row = ?8, possible_duplicate = MAX(possible_duplicate, ?9)
        WHERE batch = ?1 AND idx = ?2 AND state = 'inFlight'";
    let note = |reason: &Reason| to_json(&Note::Reason(reason.clone()));
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
        } => (
            State::Waiting,
            not_before.as_millis(),
            "",
            note(reason),
            false,
            *possible_duplicate,
        ),
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
    ])?;
    if changed == 1 {
        let sql =
            "-- take_step: count\nUPDATE batches SET in_flight = in_flight - 1 WHERE seq = ?1";
        connection.prepare_cached(sql)?.execute([seq])?;
        if state.is_final() {
            count_closed(connection, seq, state)?;
        }
    }
    Ok(())
}

fn count_closed(connection: &Connection, seq: i64, state: State) -> rusqlite::Result<()> {
    let sql = match state {
        State::Accepted => "-- count\nUPDATE batches SET accepted = accepted + 1 WHERE seq = ?1",
        State::Failed => "-- count\nUPDATE batches SET failed = failed + 1 WHERE seq = ?1",
        State::Expired => "-- count\nUPDATE batches SET expired = expired + 1 WHERE seq = ?1",
        State::Unknown => "-- count\nUPDATE batches SET unknown = unknown + 1 WHERE seq = ?1",
        State::Suppressed => {
            "-- count\nUPDATE batches SET suppressed = suppressed + 1 WHERE seq = ?1"
        }
        State::Cancelled => "-- count\nUPDATE batches SET cancelled = cancelled + 1 WHERE seq = ?1",
        State::Waiting | State::InFlight | State::Invalid => return Ok(()),
    };
    connection.prepare_cached(sql)?.execute([seq])?;
    Ok(())
}

/// One message less in its chunk that nothing has happened to.
fn touch(connection: &Connection, seq: i64, index: u64) -> rusqlite::Result<()> {
    let sql = "-- touch
        UPDATE chunks SET untouched = untouched - 1 WHERE batch = ?1 AND first_index =
            (SELECT MAX(first_index) FROM chunks WHERE batch = ?1 AND first_index <= ?2)";
    connection
        .prepare_cached(sql)?
        .execute([seq, index as i64])?;
    Ok(())
}

/// Messages looked up one by one, with the last chunk at hand.
struct Chunks<'a> {
    connection: &'a Connection,
    seq: i64,
    first_index: i64,
    messages: Vec<Message>,
}

impl<'a> Chunks<'a> {
    fn new(connection: &'a Connection, seq: i64) -> Self {
        Self {
            connection,
            seq,
            first_index: -1,
            messages: Vec::new(),
        }
    }

    fn message(&mut self, index: u64) -> rusqlite::Result<Option<Message>> {
        let sql = "-- due: chunk
            SELECT MAX(first_index) FROM chunks WHERE batch = ?1 AND first_index <= ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let found: Option<i64> = statement.query_row([self.seq, index as i64], |row| row.get(0))?;
        let Some(first_index) = found else {
            return Ok(None);
        };
        if first_index != self.first_index {
            self.messages = chunk(self.connection, self.seq, first_index)?;
            self.first_index = first_index;
        }
        let at = self
            .messages
            .binary_search_by_key(&index, |message| message.index);
        Ok(at.ok().map(|at| self.messages[at].clone()))
    }
}

fn chunk(connection: &Connection, seq: i64, first_index: i64) -> rusqlite::Result<Vec<Message>> {
    let sql = "-- chunk\nSELECT content FROM chunk_contents WHERE batch = ?1 AND first_index = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_row([seq, first_index], |row| {
        unpack(row.get_ref(0)?.as_blob()?).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(
                0,
                rusqlite::types::Type::Blob,
                Box::new(error),
            )
        })
    })
}
