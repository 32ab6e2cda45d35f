//! Messages as they stand, for reports and for whoever asks.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row};

use super::arrivals::{from_json, seq};
use super::chunk::{Sized, unpack};
use super::steering::cancelled_reason;
use super::{Error, Store};
use crate::batch::{BatchId, Moment};
use crate::delivery::standing::{MessageStanding, Note};
use crate::delivery::{Reason, State};

impl Store {
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

    /// Messages `from_index` up to `from_index + limit`, in the order of the file, as they stand.
    pub async fn messages(
        &self,
        batch: BatchId,
        from_index: u64,
        limit: u64,
    ) -> Result<Vec<MessageStanding>, Error> {
        self.read(move |connection| {
            let seq = seq(connection, &batch)?;
            let rest = rest_of(connection, seq)?;
            let range = [
                seq,
                from_index as i64,
                from_index.saturating_add(limit) as i64,
            ];
            let sql = "-- messages
                SELECT idx, state, attempts - uncounted, changed_at, provider_id,
                    possible_duplicate, in_row, note FROM messages WHERE batch = ?1 AND idx >= ?2 AND idx < ?3 ORDER BY idx";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map(range, message_standing)?;
            let mut records: HashMap<u64, MessageStanding> = rows
                .map(|record| record.map(|record| (record.index, record)))
                .collect::<rusqlite::Result<_>>()?;
            let sql = "-- messages: chunks
                SELECT first_index FROM chunks
                WHERE batch = ?1 AND aside = 0 AND first_index < ?3 AND first_index >= COALESCE(
                    (SELECT MAX(first_index) FROM chunks WHERE batch = ?1 AND first_index <= ?2), 0)
                ORDER BY first_index";
            let mut statement = connection.prepare_cached(sql)?;
            let firsts = statement.query_map(range, |row| row.get(0))?;
            let firsts: Vec<i64> = firsts.collect::<rusqlite::Result<_>>()?;
            let wanted = from_index..from_index.saturating_add(limit);
            for first_index in firsts {
                for (message, _) in chunk(connection, seq, first_index)? {
                    if wanted.contains(&message.index) {
                        let untouched = || MessageStanding {
                            index: message.index,
                            ..rest.clone()
                        };
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

/// How the messages of a batch stand to which nothing has happened.
fn rest_of(connection: &Connection, seq: i64) -> rusqlite::Result<MessageStanding> {
    let sql = "-- rest_of
        SELECT CASE WHEN state IN ('cancelling', 'cancelled') THEN cancelled_at ELSE 0 END
        FROM batches WHERE seq = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let cancelled_at: i64 = statement.query_row([seq], |row| row.get(0))?;
    let waiting = MessageStanding::untouched(0);
    if cancelled_at == 0 {
        return Ok(waiting);
    }
    Ok(MessageStanding {
        state: State::Cancelled,
        changed_at: Some(Moment::from_millis(cancelled_at)),
        note: Some(Note::Reason(cancelled_reason())),
        ..waiting
    })
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

/// Messages looked up one by one, with the last chunk at hand.
pub(super) struct Chunks<'a> {
    connection: &'a Connection,
    seq: i64,
    first_index: i64,
    messages: Vec<Sized>,
}

impl<'a> Chunks<'a> {
    pub(super) fn new(connection: &'a Connection, seq: i64) -> Self {
        Self {
            connection,
            seq,
            first_index: -1,
            messages: Vec::new(),
        }
    }

    pub(super) fn message(&mut self, index: u64) -> rusqlite::Result<Option<Sized>> {
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
            .binary_search_by_key(&index, |(message, _)| message.index);
        Ok(at.ok().map(|at| self.messages[at].clone()))
    }
}

/// The messages of a chunk, with about how much memory each takes.
pub(super) fn chunk(
    connection: &Connection,
    seq: i64,
    first_index: i64,
) -> rusqlite::Result<Vec<Sized>> {
    let content = content(connection, seq, first_index)?;
    unpack(&content).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, Box::new(error))
    })
}

/// What is kept of a chunk.
pub(super) fn content(
    connection: &Connection,
    seq: i64,
    first_index: i64,
) -> rusqlite::Result<Vec<u8>> {
    let sql = "-- chunk\nSELECT content FROM chunk_contents WHERE batch = ?1 AND first_index = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_row([seq, first_index], |row| row.get(0))
}
