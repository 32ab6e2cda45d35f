//! Pieces of one file on their way to the disk. Several are under way at once, so that whoever
//! reads the file does not wait for each sync of the writer's; they are kept in the order of the
//! file.

use std::collections::VecDeque;

use rusqlite::{Connection, params};
use tokio::sync::oneshot;

use super::arrivals::{keep_faults, seq, to_json};
use super::chunk::Chunk;
use super::{Error, Store};
use crate::batch::read::BadRow;
use crate::batch::{BatchId, Fault};
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
        let answer = self.store.begin_keep(self.batch.clone(), piece).await?;
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
            under_way: VecDeque::new(),
        }
    }

    /// Keeps a part of a file that is being read.
    pub async fn keep(&self, batch: BatchId, piece: Piece) -> Result<(), Error> {
        let answer = self.begin_keep(batch, piece).await?;
        answer.await.map_err(|_| self.stopped())
    }

    async fn begin_keep(
        &self,
        batch: BatchId,
        piece: Piece,
    ) -> Result<oneshot::Receiver<()>, Error> {
        self.begin_write(move |connection| {
            let seq = seq(connection, &batch)?;
            let suppressed = piece.suppressed.len() as i64;
            for chunk in &piece.chunks {
                let indices = chunk.first_index..=chunk.last_index;
                let touched = piece.suppressed.iter();
                let touched = touched.filter(|(index, _)| indices.contains(index)).count();
                keep_chunk(connection, seq, chunk, touched as i64)?;
            }
            keep_suppressed(connection, seq, &piece.suppressed)?;
            keep_bad_rows(connection, seq, &piece.bad)?;
            keep_faults(connection, seq, &piece.faults)?;
            let valid: u64 = piece.chunks.iter().map(|chunk| chunk.message_count).sum();
            let valid = valid as i64;
            let bad = piece.bad.len() as i64;
            let sql = "-- keep: counts
                UPDATE batches SET total = total + ?2 + ?3, invalid = invalid + ?3,
                    suppressed = suppressed + ?4 WHERE seq = ?1";
            connection
                .prepare_cached(sql)?
                .execute([seq, valid, bad, suppressed])?;
            Ok(())
        })
        .await
    }
}

fn keep_chunk(
    connection: &Connection,
    seq: i64,
    chunk: &Chunk,
    touched: i64,
) -> rusqlite::Result<()> {
    let first_index = chunk.first_index as i64;
    let count = chunk.message_count as i64;
    let sql = "-- keep: chunk
        INSERT INTO chunks (batch, first_index, message_count, untouched)
        VALUES (?1, ?2, ?3, ?3 - ?4)";
    connection
        .prepare_cached(sql)?
        .execute([seq, first_index, count, touched])?;
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
