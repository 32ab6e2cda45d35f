//! What is old goes: content, then history, in steps so small that nobody notices, and the pages
//! that this frees back to the disk. What is old is for `delivery::retention` to say, and files are
//! for `daemon` to remove. Nothing here touches a batch that has not ended, and each step can be
//! done again.

use std::collections::HashSet;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::arrivals::{SELECT_BATCH, batch_standing, to_json};
use super::media::forget_uses;
use super::{Error, Store};
use crate::batch::{Arrival, BatchId, Moment, TenantName};
use crate::delivery::retention::{Belief, Kept};

/// Rows that one step deletes or clears at most.
const STEP_ROWS: i64 = 1_000;

/// Bytes of content after which a step ends; the largest single content may come on top.
const STEP_BYTES: i64 = 512 << 10;

/// Pages that one step gives back to the disk: as many bytes.
const STEP_PAGES: i64 = 64;

/// Free pages that are kept for what comes next: 8 MiB. To give each page back and ask for it again
/// would be work for nothing.
const SPARE_PAGES: i64 = 1_024;

/// How SQLite says that a store can give pages back in steps.
const INCREMENTAL: i64 = 2;

/// A batch of which something is due to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aged {
    /// The file it came with.
    pub arrival: Arrival,
    /// The files in place for it, by their paths beneath `whatsapp/`.
    pub paths: Vec<String>,
}

impl Store {
    /// Batches of `tenant` whose `kept` is due: those that ended until this moment and still have
    /// it, at most `limit`, the oldest first. The history of a batch is due only once all else of
    /// it has gone, and counts from when its content or key was last seen, so that a file which a
    /// job uploads every night stays known.
    pub async fn aged(
        &self,
        tenant: TenantName,
        (kept, until): (Kept, Moment),
        limit: u32,
    ) -> Result<Vec<Aged>, Error> {
        self.read(move |connection| {
            let due = match kept {
                Kept::Processed => {
                    "INDEXED BY batches_with_processed WHERE tenant = ?1 AND ended_at > 0
                        AND processed_gone = 0 AND ended_at <= ?2 ORDER BY ended_at"
                }
                Kept::Results => {
                    "INDEXED BY batches_with_results WHERE tenant = ?1 AND ended_at > 0
                        AND results_gone = 0 AND ended_at <= ?2 ORDER BY ended_at"
                }
                Kept::Content => {
                    "INDEXED BY batches_with_content WHERE tenant = ?1 AND ended_at > 0
                        AND content_gone = 0 AND ended_at <= ?2 ORDER BY ended_at"
                }
                Kept::History => {
                    "INDEXED BY batches_bare WHERE tenant = ?1 AND ended_at > 0
                        AND processed_gone = 1 AND results_gone = 1 AND content_gone = 1
                        AND MAX(ended_at, seen_at) <= ?2 ORDER BY MAX(ended_at, seen_at)"
                }
            };
            let sql = format!("-- aged\n{SELECT_BATCH} {due} LIMIT ?3");
            let mut statement = connection.prepare_cached(&sql)?;
            let batches = params![tenant.as_str(), until.as_millis(), limit];
            let rows = statement.query_map(batches, batch_standing)?;
            let sql = "-- aged: paths
                SELECT path FROM publications
                WHERE batch = (SELECT seq FROM batches WHERE id = ?1) ORDER BY path";
            let mut statement = connection.prepare_cached(sql)?;
            rows.map(|standing| {
                let arrival = standing?.arrival;
                let paths = statement.query_map([arrival.batch.as_str()], |row| row.get(0))?;
                let paths = paths.collect::<rusqlite::Result<_>>()?;
                Ok(Aged { arrival, paths })
            })
            .collect()
        })
        .await
    }

    /// The files of these batches that are `kept` so long have gone.
    pub async fn files_gone(&self, batches: Vec<BatchId>, kept: Kept) -> Result<(), Error> {
        self.write(move |connection| {
            let sql = match kept {
                Kept::Processed => {
                    "-- files_gone\nUPDATE batches SET processed_gone = 1
                        WHERE ended_at > 0 AND id IN (SELECT value FROM json_each(?1))"
                }
                Kept::Results => {
                    "-- files_gone\nUPDATE batches SET results_gone = 1
                        WHERE ended_at > 0 AND id IN (SELECT value FROM json_each(?1))"
                }
                // They have no files.
                Kept::Content | Kept::History => return Ok(()),
            };
            connection
                .prepare_cached(sql)?
                .execute([to_json(&batches)])?;
            Ok(())
        })
        .await
    }

    /// Of these batches those whose files are still kept for their own time: they have a row, and
    /// nobody has noted that the files have gone.
    pub async fn with_files(
        &self,
        batches: Vec<BatchId>,
        kept: Kept,
    ) -> Result<HashSet<BatchId>, Error> {
        self.read(move |connection| {
            let sql = match kept {
                Kept::Processed => {
                    "-- with_files\nSELECT id FROM batches WHERE processed_gone = 0
                        AND id IN (SELECT value FROM json_each(?1))"
                }
                Kept::Results | Kept::Content | Kept::History => {
                    "-- with_files\nSELECT id FROM batches WHERE results_gone = 0
                        AND id IN (SELECT value FROM json_each(?1))"
                }
            };
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([to_json(&batches)], |row| row.get::<_, String>(0))?;
            rows.map(|id| Ok(BatchId::parse(&id?)))
                .filter_map(Result::transpose)
                .collect()
        })
        .await
    }

    /// Deletes some of the messages of an ended batch. Says whether there are more.
    pub async fn purge_messages(&self, batch: BatchId) -> Result<bool, Error> {
        self.write(move |connection| {
            let Some(seq) = ended(connection, &batch)? else {
                return Ok(false);
            };
            let sql = "-- purge_messages: step
                SELECT first_index, LENGTH(content) FROM chunk_contents
                WHERE batch = ?1 ORDER BY first_index LIMIT ?2";
            let Some(last) = step(connection, sql, [seq, STEP_ROWS])? else {
                return Ok(false);
            };
            for sql in [
                "-- purge_messages\nDELETE FROM chunk_contents
                    WHERE batch = ?1 AND first_index <= ?2",
                "-- purge_messages\nDELETE FROM chunks WHERE batch = ?1 AND first_index <= ?2",
            ] {
                connection.prepare_cached(sql)?.execute([seq, last])?;
            }
            Ok(true)
        })
        .await
    }

    /// Clears what the rows of an ended batch say of a person, some rows from the one of this index
    /// on: what could be read of a bad row, and a provider's own words. Returns where to go on;
    /// `None` when none is left, and then it is noted that all content of the batch has gone.
    pub async fn purge_notes(&self, batch: BatchId, from_index: u64) -> Result<Option<u64>, Error> {
        self.write(move |connection| {
            let Some(seq) = ended(connection, &batch)? else {
                return Ok(None);
            };
            let from = from_index as i64;
            let sql = "-- purge_notes: step
                SELECT idx, OCTET_LENGTH(note) FROM messages
                WHERE batch = ?1 AND idx >= ?3 ORDER BY idx LIMIT ?2";
            let Some(last) = step(connection, sql, [seq, STEP_ROWS, from])? else {
                let sql = "-- purge_notes: done
                    UPDATE batches SET content_gone = 1 WHERE seq = ?1";
                connection.prepare_cached(sql)?.execute([seq])?;
                forget_uses(connection, seq)?;
                return Ok(None);
            };
            // Codes, and the words that are our own, are history.
            let sql = "-- purge_notes
                UPDATE messages SET receipt = '', note = CASE WHEN state = 'invalid' OR note = ''
                    THEN '' ELSE json_remove(note, '$.reason.detail') END
                WHERE batch = ?1 AND idx BETWEEN ?2 AND ?3 AND (note <> '' OR receipt <> '')";
            connection.prepare_cached(sql)?.execute([seq, from, last])?;
            Ok(Some(last as u64 + 1))
        })
        .await
    }

    /// Deletes some of what is known of an ended batch whose files and content have gone; its own
    /// row goes last. Says whether there is more.
    pub async fn purge_history(&self, batch: BatchId) -> Result<bool, Error> {
        self.write(move |connection| {
            let sql = "-- purge_history
                SELECT seq FROM batches WHERE id = ?1 AND ended_at > 0 AND processed_gone = 1
                    AND results_gone = 1 AND content_gone = 1";
            let mut statement = connection.prepare_cached(sql)?;
            let found = statement.query_row([batch.as_str()], |row| row.get(0));
            let Some(seq) = found.optional()? else {
                return Ok(false);
            };
            let mut left = STEP_ROWS;
            for sql in [
                "-- purge_history\nDELETE FROM messages WHERE batch = ?1 AND idx IN
                    (SELECT idx FROM messages WHERE batch = ?1 ORDER BY idx LIMIT ?2)",
                "-- purge_history\nDELETE FROM faults WHERE batch = ?1 AND place IN
                    (SELECT place FROM faults WHERE batch = ?1 ORDER BY place LIMIT ?2)",
                "-- purge_history\nDELETE FROM publications WHERE batch = ?1 AND path IN
                    (SELECT path FROM publications WHERE batch = ?1 ORDER BY path LIMIT ?2)",
                "-- purge_history\nDELETE FROM lanes WHERE batch = ?1 AND lane IN
                    (SELECT lane FROM lanes WHERE batch = ?1 ORDER BY lane LIMIT ?2)",
                "-- purge_history\nDELETE FROM companions
                    WHERE batch = ?1 AND (name, identity) IN
                    (SELECT name, identity FROM companions WHERE batch = ?1
                    ORDER BY name, identity LIMIT ?2)",
            ] {
                left -= connection.prepare_cached(sql)?.execute([seq, left])? as i64;
                if left <= 0 {
                    return Ok(true);
                }
            }
            let sql = "-- purge_history: batch\nDELETE FROM batches WHERE seq = ?1";
            connection.prepare_cached(sql)?.execute([seq])?;
            Ok(false)
        })
        .await
    }

    /// Gives some free pages back to the disk. Says whether there are more. A store that was made
    /// without being able to do so keeps them for what comes next.
    pub async fn shrink(&self) -> Result<bool, Error> {
        let is_worth_it = |connection: &Connection| {
            let number = |name| connection.pragma_query_value(None, name, |row| row.get(0));
            let (free, kind): (i64, i64) = (number("freelist_count")?, number("auto_vacuum")?);
            Ok(kind == INCREMENTAL && free > SPARE_PAGES)
        };
        if !self.read(is_worth_it).await? {
            return Ok(false);
        }
        self.write(move |connection| {
            // Each row of the answer is one page.
            let sql = format!("PRAGMA incremental_vacuum({STEP_PAGES})");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(())?;
            while rows.next()?.is_some() {}
            Ok(())
        })
        .await?;
        self.read(is_worth_it).await
    }

    /// What was last made of the wall clock.
    pub async fn belief(&self) -> Result<Belief, Error> {
        self.read(|connection| {
            let sql = "-- belief
                SELECT believed_at, doubted_at, waited_ms FROM retention_clock WHERE id = 1";
            let moment = |row: &Row<'_>, column| {
                let millis: i64 = row.get(column)?;
                Ok::<_, rusqlite::Error>((millis != 0).then(|| Moment::from_millis(millis)))
            };
            let belief = |row: &Row<'_>| {
                Ok(Belief {
                    believed_at: moment(row, 0)?,
                    doubted_at: moment(row, 1)?,
                    waited: Duration::from_millis(row.get::<_, i64>(2)?.max(0) as u64),
                })
            };
            let found = connection.prepare_cached(sql)?.query_row((), belief);
            Ok(found.optional()?.unwrap_or_default())
        })
        .await
    }

    /// Notes what is made of the wall clock.
    pub async fn believe(&self, belief: Belief) -> Result<(), Error> {
        self.write(move |connection| {
            let sql = "-- believe
                INSERT INTO retention_clock (id, believed_at, doubted_at, waited_ms)
                VALUES (1, ?1, ?2, ?3)
                ON CONFLICT (id) DO UPDATE SET believed_at = excluded.believed_at,
                    doubted_at = excluded.doubted_at, waited_ms = excluded.waited_ms";
            let millis = |moment: Option<Moment>| moment.map_or(0, Moment::as_millis);
            connection.prepare_cached(sql)?.execute(params![
                millis(belief.believed_at),
                millis(belief.doubted_at),
                belief.waited.as_millis() as i64,
            ])?;
            Ok(())
        })
        .await
    }
}

/// The short key of a batch that has ended; `None` if it has not, or is not known any more.
fn ended(connection: &Connection, batch: &BatchId) -> rusqlite::Result<Option<i64>> {
    let sql = "-- ended\nSELECT seq FROM batches WHERE id = ?1 AND ended_at > 0";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_row([batch.as_str()], |row| row.get(0));
    found.optional()
}

/// How far one step goes over the rows that `sql` gives, each with its place and its bytes: the
/// place of the last row; `None` if there is none.
fn step(
    connection: &Connection,
    sql: &str,
    asked: impl rusqlite::Params,
) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(asked)?;
    let (mut last, mut bytes) = (None, 0);
    while let Some(row) = rows.next()? {
        last = Some(row.get(0)?);
        bytes += row.get::<_, i64>(1)?;
        if bytes >= STEP_BYTES {
            break;
        }
    }
    Ok(last)
}

#[cfg(test)]
mod tests;
