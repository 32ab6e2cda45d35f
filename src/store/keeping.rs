//! Pieces of one file on their way to the disk. Several are under way at once, so that whoever
//! reads the file does not wait for each sync of the writer's; they are kept in the order of the
//! file.

use std::collections::{HashMap, VecDeque};

use rusqlite::{Connection, params};
use tokio::sync::oneshot;

use super::arrivals::{keep_faults, seq, to_json};
use super::chunk::Chunk;
use super::media::keep_uses;
use super::{Error, Store};
use crate::batch::read::BadRow;
use crate::batch::{BatchId, Fault, Message};
use crate::delivery::lane::Lane;
use crate::delivery::standing::Note;
use crate::delivery::{Reason, State};

/// Pieces under way at most.
pub const UNDER_WAY_MAX: usize = 8;

/// Faults in the pieces under way at most, before none is added; each takes some hundred bytes.
const FAULTS_UNDER_WAY_MAX: usize = 50_000;

/// A part of a file that was read: kept before the rest is.
#[derive(Clone, Debug, Default)]
pub struct Piece {
    /// The messages, in the order of the file.
    pub chunks: Vec<Chunk>,
    /// Messages of the chunks that are left out, and why.
    pub suppressed: Vec<(u64, Reason)>,
    /// Rows that cannot be sent.
    pub bad: Vec<BadRow>,
    /// Faults for the report, continuing those kept before.
    pub faults: Vec<Fault>,
}

impl Piece {
    /// How many faults it holds, of rows and for the report.
    fn weight(&self) -> usize {
        let rows = self.bad.iter().map(|row| row.faults.len());
        self.faults.len() + rows.sum::<usize>()
    }
}

/// Pieces of one file on their way to the disk.
#[derive(Debug)]
pub struct Keeping {
    store: Store,
    batch: BatchId,
    /// The numbers of the file's lanes.
    lanes: HashMap<Lane, u32>,
    /// What the writer will answer, and how many faults each piece has.
    under_way: VecDeque<(oneshot::Receiver<()>, usize)>,
}

impl Keeping {
    /// Keeps the next piece. Returns when there is room for another one, which may be before this
    /// one is on disk; an `Err` is that of any piece before.
    pub async fn keep(&mut self, piece: Piece) -> Result<(), Error> {
        let weight = piece.weight();
        while self.is_full(weight) {
            self.oldest().await?;
        }
        let numbered = number(&mut self.lanes, piece);
        let answer = self.store.begin_keep(self.batch.clone(), numbered).await?;
        self.under_way.push_back((answer, weight));
        Ok(())
    }

    /// Returns once all pieces are on disk.
    pub async fn finish(mut self) -> Result<(), Error> {
        while !self.under_way.is_empty() {
            self.oldest().await?;
        }
        Ok(())
    }

    fn is_full(&self, weight: usize) -> bool {
        let faults: usize = self.under_way.iter().map(|(_, weight)| weight).sum();
        !self.under_way.is_empty()
            && (self.under_way.len() >= UNDER_WAY_MAX || faults + weight > FAULTS_UNDER_WAY_MAX)
    }

    async fn oldest(&mut self) -> Result<(), Error> {
        match self.under_way.pop_front() {
            Some((answer, _)) => answer.await.map_err(|_| self.store.stopped()),
            None => Ok(()),
        }
    }
}

impl Store {
    /// Begins to keep the pieces of a file that is being read.
    pub fn keeping(&self, batch: BatchId) -> Keeping {
        Keeping {
            store: self.clone(),
            batch,
            lanes: HashMap::new(),
            under_way: VecDeque::new(),
        }
    }

    async fn begin_keep(
        &self,
        batch: BatchId,
        Numbered {
            piece,
            lanes,
            of_chunks,
        }: Numbered,
    ) -> Result<oneshot::Receiver<()>, Error> {
        self.begin_write(move |connection| {
            let seq = seq(connection, &batch)?;
            keep_lanes(connection, seq, &lanes)?;
            let suppressed = piece.suppressed.len() as i64;
            for (chunk, lanes) in piece.chunks.iter().zip(&of_chunks) {
                let indices = chunk.first_index..=chunk.last_index;
                let touched = piece.suppressed.iter();
                let touched = touched.filter(|(index, _)| indices.contains(index)).count();
                keep_chunk(connection, seq, (chunk, lanes), touched as i64)?;
            }
            let files = piece.chunks.iter().flat_map(|chunk| &chunk.files);
            keep_uses(connection, seq, files)?;
            keep_suppressed(connection, seq, &piece.suppressed)?;
            keep_bad_rows(connection, seq, &piece.bad)?;
            keep_faults(connection, seq, &piece.faults)?;
            let next_at = piece
                .chunks
                .iter()
                .map(|chunk| chunk.next_at.as_millis())
                .min();
            let valid: u64 = piece.chunks.iter().map(|chunk| chunk.message_count).sum();
            let valid = valid as i64;
            let bad = piece.bad.len() as i64;
            let sql = "-- keep: counts
                UPDATE batches SET total = total + ?2 + ?3, invalid = invalid + ?3,
                    suppressed = suppressed + ?4, scheduled_at = CASE total - invalid
                        WHEN 0 THEN COALESCE(?5, 0)
                        ELSE MIN(scheduled_at, COALESCE(?5, scheduled_at)) END WHERE seq = ?1";
            connection
                .prepare_cached(sql)?
                .execute(params![seq, valid, bad, suppressed, next_at])?;
            Ok(())
        })
        .await
    }
}

/// A piece whose lanes have their numbers.
struct Numbered {
    piece: Piece,
    /// The lanes that the file had not shown before.
    lanes: Vec<(u32, Lane)>,
    /// The lanes of each chunk, a bit for each.
    of_chunks: Vec<Vec<u8>>,
}

fn number(known: &mut HashMap<Lane, u32>, piece: Piece) -> Numbered {
    let mut lanes = Vec::new();
    let mut bits = |chunk: &Chunk| {
        let mut bits = Vec::new();
        for lane in &chunk.lanes {
            let next = known.len() as u32;
            let number = *known.entry(lane.clone()).or_insert_with(|| {
                lanes.push((next, lane.clone()));
                next
            });
            let at = number as usize / 8;
            bits.resize(bits.len().max(at + 1), 0);
            bits[at] |= 1 << (number % 8);
        }
        bits
    };
    let of_chunks = piece.chunks.iter().map(&mut bits).collect();
    Numbered {
        piece,
        lanes,
        of_chunks,
    }
}

/// Gives the chunks of batches that are being sent what an earlier version did not note.
pub(super) fn label_old_chunks(connection: &Connection) -> rusqlite::Result<()> {
    let sql = "-- label_old_chunks
        SELECT batch, first_index FROM chunks WHERE last_index < 0
            AND batch IN (SELECT seq FROM batches WHERE state = 'sending')
        ORDER BY batch, first_index";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let old: Vec<(i64, i64)> = rows.collect::<rusqlite::Result<_>>()?;
    let (mut of, mut known) = (0, HashMap::new());
    for (seq, first_index) in old {
        if std::mem::replace(&mut of, seq) != seq {
            known.clear();
        }
        let messages = super::messages::chunk(connection, seq, first_index)?;
        let messages: Vec<Message> = messages.into_iter().map(|(message, _)| message).collect();
        let piece = Piece {
            chunks: Chunk::of(&messages),
            ..Piece::default()
        };
        let Numbered {
            piece,
            lanes,
            of_chunks,
        } = number(&mut known, piece);
        keep_lanes(connection, seq, &lanes)?;
        let next_at = piece.chunks.iter().map(|chunk| chunk.next_at.as_millis());
        let last_index = messages
            .last()
            .map_or(first_index as u64, |last| last.index);
        // Long messages may be told in several parts: what one of them has the chunk has.
        let mut bits: Vec<u8> = Vec::new();
        for part in &of_chunks {
            bits.resize(bits.len().max(part.len()), 0);
            bits.iter_mut().zip(part).for_each(|(all, one)| *all |= one);
        }
        let sql = "-- label_old_chunks: label
            UPDATE chunks SET last_index = ?3, next_at = ?4, lanes = ?5
            WHERE batch = ?1 AND first_index = ?2";
        let next_at = next_at.min().unwrap_or(0);
        let row = params![seq, first_index, last_index as i64, next_at, bits];
        connection.prepare_cached(sql)?.execute(row)?;
    }
    Ok(())
}

fn keep_lanes(connection: &Connection, seq: i64, lanes: &[(u32, Lane)]) -> rusqlite::Result<()> {
    let sql = "-- keep: lanes\nINSERT INTO lanes (batch, lane, content) VALUES (?1, ?2, ?3)";
    let mut statement = connection.prepare_cached(sql)?;
    for (number, lane) in lanes {
        statement.execute(params![seq, number, to_json(lane)])?;
    }
    Ok(())
}

fn keep_chunk(
    connection: &Connection,
    seq: i64,
    (chunk, lanes): (&Chunk, &[u8]),
    touched: i64,
) -> rusqlite::Result<()> {
    let first_index = chunk.first_index as i64;
    let count = chunk.message_count as i64;
    let sql = "-- keep: chunk
        INSERT INTO chunks (batch, first_index, last_index, message_count, untouched, next_at,
            lanes)
        VALUES (?1, ?2, ?3, ?4, ?4 - ?5, ?6, ?7)";
    let next_at = chunk.next_at.as_millis();
    let last_index = chunk.last_index as i64;
    let row = params![seq, first_index, last_index, count, touched, next_at, lanes];
    connection.prepare_cached(sql)?.execute(row)?;
    let sql = "-- keep: messages
        INSERT INTO chunk_contents (batch, first_index, content) VALUES (?1, ?2, ?3)";
    let row = params![seq, first_index, chunk.content];
    connection.prepare_cached(sql)?.execute(row)?;
    Ok(())
}

fn keep_suppressed(
    connection: &Connection,
    seq: i64,
    suppressed: &[(u64, Reason)],
) -> rusqlite::Result<()> {
    let sql = "-- keep: suppressed
        INSERT INTO messages (batch, idx, state, attempts, due_at, changed_at, expires_at,
            possible_duplicate, in_row, provider_id, note)
        VALUES (?1, ?2, ?3, 0, 0, 0, 0, 0, 0, '', ?4)";
    let mut statement = connection.prepare_cached(sql)?;
    for (index, reason) in suppressed {
        let note = to_json(&Note::Reason(reason.clone()));
        let state = State::Suppressed.as_str();
        statement.execute(params![seq, *index as i64, state, note])?;
    }
    Ok(())
}

fn keep_bad_rows(connection: &Connection, seq: i64, bad: &[BadRow]) -> rusqlite::Result<()> {
    let sql = "-- keep: bad rows
        INSERT INTO messages (batch, idx, state, attempts, due_at, changed_at, expires_at,
            possible_duplicate, in_row, provider_id, note)
        VALUES (?1, ?2, ?3, 0, 0, 0, 0, 0, 1, '', ?4)";
    let mut statement = connection.prepare_cached(sql)?;
    for row in bad {
        let note = to_json(&Note::of_bad_row(row));
        let state = State::Invalid.as_str();
        statement.execute(params![seq, row.index as i64, state, note])?;
    }
    Ok(())
}
