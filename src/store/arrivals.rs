//! Receive an arrival, keep what was read of it, admit its batch or refuse the file, and end it.

use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

use super::companions::{Heard, hear};
use super::media::forget_uses;
use super::settling::ALL_CLOSED;
use super::{Error, Store, holding};
use crate::batch::name::DropFolder;
use crate::batch::origin::Origin;
use crate::batch::{Arrival, BatchId, Fault, Moment, TenantName};
use crate::delivery::UnknownPolicy;
use crate::delivery::settling::Hold;
use crate::delivery::standing::{BatchStanding, BatchState, Counts};

/// How many rows a reading may be ahead of what is kept of it: a row at which the daemon dies again
/// and again is known only as nearly as this.
pub const AHEAD_ROWS_MAX: i64 = 32_000;

/// When an arrival may be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At once.
    AtOnce,
    /// When its `.done` has come.
    WithDone,
}

/// What is known of a whole file that can be sent, or that was checked as a dry run.
#[derive(Clone, Debug)]
pub struct Admission {
    /// SHA-256 of the expanded bytes, in hexadecimal.
    pub sha256: String,
    /// The file's own key against duplicates; empty if it has none.
    pub batch_key: String,
    /// Whether the same content may be sent again.
    pub allow_duplicate: bool,
    /// Content seen at or after this moment counts as the same.
    pub seen_since: Moment,
    /// The way the file is written.
    pub dialect: String,
    /// The campaign's label.
    pub campaign_name: String,
    /// Odd things that stopped nothing.
    pub warnings: Vec<Fault>,
    /// How many faults were found.
    pub fault_count: u64,
    /// Whether nothing is to be sent.
    pub dry_run: bool,
    /// The companions that it was held against.
    pub heard: Vec<Heard>,
    /// The moment of admission.
    pub now: Moment,
}

/// What became of an admission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It is to be sent, or was a dry run.
    Whole,
    /// Its content, or its key, was sent before, by this batch.
    SentBefore(BatchId),
}

/// Why a file is refused.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The state it comes into: rejected or duplicate.
    pub state: BatchState,
    /// The fault that decided it.
    pub reason: Fault,
    /// Further faults for the report, in place of all kept before; `None` keeps those.
    pub faults: Option<Vec<Fault>>,
    /// How many faults were found.
    pub fault_count: u64,
    /// SHA-256 of the expanded bytes; empty if the file could not be read to its end.
    pub sha256: String,
    /// The dialect; empty if the file could not be read to its end.
    pub dialect: String,
    /// The campaign's label; empty if there is none, or none was read.
    pub campaign_name: String,
    /// Odd things that stopped nothing.
    pub warnings: Vec<Fault>,
    /// The companions that it was held against.
    pub heard: Vec<Heard>,
    /// The moment of refusal.
    pub now: Moment,
}

impl Store {
    /// Gives an arrival its row. Doing it again changes nothing.
    pub async fn receive(&self, arrival: Arrival, start: Start) -> Result<(), Error> {
        self.write(move |connection| {
            let sql = "-- receive
                INSERT INTO batches (id, tenant, folder, name, size_bytes, received_at, seen_at,
                    state, origin, waits_for_done)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, 'received', ?7, ?8)
                ON CONFLICT (id) DO NOTHING";
            connection.prepare_cached(sql)?.execute(params![
                arrival.batch.as_str(),
                arrival.tenant.as_str(),
                arrival.folder.path(),
                arrival.name,
                arrival.size_bytes as i64,
                arrival.received_at.as_millis(),
                arrival.origin.to_string(),
                start == Start::WithDone,
            ])?;
            Ok(())
        })
        .await
    }

    /// Begins to read a file and forgets what an interrupted reading kept. Returns how many
    /// readings of it in a row have stopped together with the daemon at about the same row; `None`
    /// when it was read to its end before, which changes nothing.
    pub async fn begin_check(&self, batch: BatchId) -> Result<Option<u32>, Error> {
        self.write(move |connection| {
            let seq = seq(connection, &batch)?;
            let sql = "-- begin_check
                UPDATE batches SET state = 'checking', total = 0, invalid = 0, suppressed = 0,
                    scheduled_at = 0,
                    deaths = CASE WHEN state <> 'checking' THEN 0
                        WHEN died_at_row >= 0 AND ABS(total - died_at_row) <= ?2 THEN deaths + 1
                        ELSE 1 END,
                    died_at_row = CASE WHEN state <> 'checking' THEN -1 ELSE total END
                WHERE seq = ?1 AND state IN ('received', 'checking') RETURNING deaths";
            let deaths = connection
                .prepare_cached(sql)?
                .query_row([seq, AHEAD_ROWS_MAX], |row| row.get(0))
                .optional()?;
            if deaths.is_some() {
                forget_reading(connection, seq)?;
            }
            Ok(deaths)
        })
        .await
    }

    /// Puts a file back whose reading was given up in good order, as if it had not begun.
    pub async fn put_back(&self, batch: BatchId) -> Result<(), Error> {
        self.write(move |connection| {
            let seq = seq(connection, &batch)?;
            let sql = "-- put_back
                UPDATE batches SET state = 'received', total = 0, invalid = 0, suppressed = 0
                WHERE seq = ?1 AND state = 'checking'";
            if connection.prepare_cached(sql)?.execute([seq])? == 1 {
                forget_reading(connection, seq)?;
            }
            Ok(())
        })
        .await
    }

    /// Admits a batch whose file was read to its end and kept: from here on it may be sent. A
    /// content or key that was sent before is not admitted; that it was seen again is remembered.
    pub async fn admit(&self, batch: BatchId, admission: Admission) -> Result<Admitted, Error> {
        self.write(move |connection| {
            let seq = seq(connection, &batch)?;
            // A key of its own alone decides.
            let by_key = !admission.batch_key.is_empty();
            let looks_back = !admission.dry_run && (by_key || !admission.allow_duplicate);
            if looks_back && let Some(earlier) = sent_before(connection, seq, &admission)? {
                return Ok(Admitted::SentBefore(earlier));
            }
            let sql = "-- admit
                UPDATE batches SET sha256 = :sha256, batch_key = :batch_key, dialect = :dialect,
                    campaign_name = :campaign_name, warnings = :warnings,
                    fault_count = :fault_count, state = :state,
                    started_at = CASE :state WHEN 'sending' THEN :now ELSE 0 END,
                    finished_at = CASE :state WHEN 'sending' THEN 0 ELSE :now END,
                    cancelled = CASE :state WHEN 'cancelled' THEN total - invalid - suppressed
                        ELSE 0 END
                WHERE seq = :seq AND state = 'checking'";
            let state = if is_cancelled(connection, seq)? {
                BatchState::Cancelled
            } else if admission.dry_run {
                BatchState::Checked
            } else {
                BatchState::Sending
            };
            let changed = connection.prepare_cached(sql)?.execute(named_params! {
                ":sha256": admission.sha256,
                ":batch_key": admission.batch_key,
                ":dialect": admission.dialect,
                ":campaign_name": admission.campaign_name,
                ":warnings": with_earlier(connection, seq, &admission.warnings)?,
                ":fault_count": admission.fault_count as i64,
                ":state": state.as_str(),
                ":now": admission.now.as_millis(),
                ":seq": seq,
            })?;
            if changed != 1 {
                // Nobody was reading it: to admit it once more would be to send it once more.
                return Err(rusqlite::Error::StatementChangedRows(changed));
            }
            if state != BatchState::Sending {
                forget_uses(connection, seq)?;
            }
            hear(connection, seq, &admission.heard)?;
            Ok(Admitted::Whole)
        })
        .await
    }

    /// Refuses a file: none of its messages will be sent. Changes nothing when it was admitted or
    /// refused before.
    pub async fn refuse(&self, batch: BatchId, refusal: Refusal) -> Result<(), Error> {
        self.write(move |connection| {
            let seq = seq(connection, &batch)?;
            let sql = "-- refuse
                UPDATE batches SET state = ?2, refusal = ?3, fault_count = ?4, sha256 = ?5,
                    suppressed = 0, finished_at = ?6, dialect = ?7, campaign_name = ?8,
                    warnings = ?9 WHERE seq = ?1 AND state IN ('received', 'checking')";
            let warnings = with_earlier(connection, seq, &refusal.warnings)?;
            let changed = connection.prepare_cached(sql)?.execute(params![
                seq,
                refusal.state.as_str(),
                to_json(&refusal.reason),
                refusal.fault_count as i64,
                refusal.sha256,
                refusal.now.as_millis(),
                refusal.dialect,
                refusal.campaign_name,
                warnings,
            ])?;
            if changed == 0 {
                return Ok(());
            }
            if let Some(faults) = &refusal.faults {
                connection
                    .prepare_cached("-- refuse: faults\nDELETE FROM faults WHERE batch = ?1")?
                    .execute([seq])?;
                keep_faults(connection, seq, faults)?;
            }
            forget_messages(connection, seq)?;
            hear(connection, seq, &refusal.heard)?;
            Ok(())
        })
        .await
    }

    /// Ends a batch: all its reports are in place.
    pub async fn end(&self, batch: BatchId, now: Moment) -> Result<(), Error> {
        self.write(move |connection| {
            let sql = "-- end\nUPDATE batches SET ended_at = ?2 WHERE id = ?1";
            connection
                .prepare_cached(sql)?
                .execute(params![batch.as_str(), now.as_millis()])?;
            Ok(())
        })
        .await
    }

    /// Every batch that has not ended, oldest first.
    pub async fn open_batches(&self) -> Result<Vec<BatchStanding>, Error> {
        self.read(|connection| {
            let sql = format!("-- open_batches\n{SELECT_BATCH} WHERE ended_at = 0 ORDER BY seq");
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map((), batch_standing)?;
            rows.collect()
        })
        .await
    }

    /// The arrivals that may be read and that nobody has read to their end, oldest first, at most a
    /// thousand, and whether a reading of it was interrupted. Those that wait for their `.done` are
    /// not among them, so that however many there are, none that may be read waits behind them.
    pub async fn unchecked(
        &self,
        tenants: Vec<TenantName>,
    ) -> Result<Vec<(Arrival, BatchState)>, Error> {
        self.read(move |connection| {
            let sql = format!(
                "-- unchecked\n{SELECT_BATCH} WHERE ended_at = 0 AND waits_for_done = 0
                    AND state IN ('received', 'checking')
                    AND tenant IN (SELECT value FROM json_each(?1)) ORDER BY seq LIMIT 1000"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map([to_json(&tenants)], batch_standing)?;
            rows.map(|standing| standing.map(|standing| (standing.arrival, standing.state)))
                .collect()
        })
        .await
    }

    /// The batches that are being sent, oldest first, and whose they are. Those of which messages
    /// are only held are not among them.
    pub async fn sending(&self) -> Result<Vec<(BatchId, TenantName)>, Error> {
        self.read(|connection| {
            let sql = format!(
                "-- sending
                SELECT id, tenant FROM batches WHERE ended_at = 0 AND state = 'sending'
                    AND NOT (held > 0 AND {ALL_CLOSED}) ORDER BY seq"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map((), |row| {
                let batch =
                    BatchId::parse(row.get_ref(0)?.as_str()?).ok_or_else(|| odd(0, "id"))?;
                let tenant = TenantName::parse(row.get_ref(1)?.as_str()?);
                Ok((batch, tenant.ok_or_else(|| odd(1, "tenant"))?))
            })?;
            rows.collect()
        })
        .await
    }

    /// One batch; `None` if nobody knows it.
    pub async fn batch(&self, batch: BatchId) -> Result<Option<BatchStanding>, Error> {
        self.read(move |connection| {
            let sql = format!("-- batch\n{SELECT_BATCH} WHERE id = ?1");
            let mut statement = connection.prepare_cached(&sql)?;
            statement
                .query_row([batch.as_str()], batch_standing)
                .optional()
        })
        .await
    }

    /// Whether an arrival has its row and has ended, so that its spool entry is a left-over.
    pub async fn has_ended(&self, batch: BatchId) -> Result<bool, Error> {
        self.read(move |connection| {
            let sql = "-- has_ended\nSELECT ended_at > 0 FROM batches WHERE id = ?1";
            let mut statement = connection.prepare_cached(sql)?;
            Ok(statement
                .query_row([batch.as_str()], |row| row.get(0))
                .optional()?
                .unwrap_or(false))
        })
        .await
    }

    /// The faults kept for a batch, in the order of the file.
    pub async fn faults(&self, batch: BatchId) -> Result<Vec<Fault>, Error> {
        self.read(move |connection| {
            let seq = seq(connection, &batch)?;
            let sql = "-- faults\nSELECT fault FROM faults WHERE batch = ?1 ORDER BY place";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([seq], |row| from_json(row, 0))?;
            rows.collect()
        })
        .await
    }

    /// At a start, before anything is sent: what was in flight when the last run stopped has lost
    /// its answer. `policies` says what each tenant wants done, and how long what may have gone out
    /// is held from here on. Returns how many there were.
    pub async fn recover(
        &self,
        policies: Vec<(TenantName, UnknownPolicy, Hold)>,
        now: Moment,
    ) -> Result<u64, Error> {
        self.write_outcome(move |connection| {
            holding::set_holds(connection, &policies, now)?;
            let sql =
                "-- recover\nSELECT seq, tenant FROM batches WHERE ended_at = 0 AND in_flight > 0";
            let mut statement = connection.prepare(sql)?;
            let open = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?;
            let open: Vec<(i64, String)> = open.collect::<rusqlite::Result<_>>()?;
            let mut recovered = 0;
            for (seq, tenant) in open {
                let known = policies.iter().find(|(name, ..)| name.as_str() == tenant);
                let unknown = known.map_or(UnknownPolicy::Hold, |(_, policy, _)| *policy);
                recovered += super::sending::recover_batch(connection, seq, unknown, now)?;
            }
            Ok(recovered)
        })
        .await
    }
}

pub(super) const SELECT_BATCH: &str =
    "SELECT tenant, id, folder, name, size_bytes, received_at, state, sha256,
    dialect, campaign_name, refusal, warnings, fault_count, started_at, finished_at, total, invalid,
    in_flight, accepted, failed, expired, suppressed, cancelled, unknown,
    EXISTS (SELECT 1 FROM batches AS newer WHERE newer.tenant = batches.tenant
        AND newer.name = batches.name AND newer.seq > batches.seq),
    origin, waits_for_done, cancelled_at, scheduled_at, cancel_reason, held,
    CASE WHEN held > 0 THEN COALESCE((SELECT MAX(held_until) FROM messages
        INDEXED BY messages_held_of WHERE batch = seq AND held_until > 0), 0) ELSE 0 END
    FROM batches";

pub(super) fn batch_standing(row: &Row<'_>) -> rusqlite::Result<BatchStanding> {
    let count = |at: usize| row.get::<_, i64>(at).map(|n| n.max(0) as u64);
    let moment = |at: usize| {
        let millis: i64 = row.get(at)?;
        Ok::<_, rusqlite::Error>((millis != 0).then(|| Moment::from_millis(millis)))
    };
    let text = |at: usize| row.get::<_, String>(at);
    let folder = text(2)?;
    let state = text(6)?;
    let refusal = text(10)?;
    Ok(BatchStanding {
        arrival: Arrival {
            tenant: TenantName::parse(&text(0)?).ok_or_else(|| odd(0, "tenant"))?,
            batch: BatchId::parse(&text(1)?).ok_or_else(|| odd(1, "id"))?,
            folder: DropFolder::ALL
                .into_iter()
                .find(|known| known.path() == folder)
                .ok_or_else(|| odd(2, "folder"))?,
            name: text(3)?,
            size_bytes: count(4)?,
            received_at: Moment::from_millis(row.get(5)?),
            origin: Origin::parse(row.get_ref(25)?.as_str()?).ok_or_else(|| odd(25, "origin"))?,
        },
        state: BatchState::ALL
            .into_iter()
            .find(|known| known.as_str() == state)
            .ok_or_else(|| odd(6, "state"))?,
        sha256: text(7)?,
        dialect: text(8)?,
        campaign_name: text(9)?,
        refusal: if refusal.is_empty() {
            None
        } else {
            Some(from_json(row, 10)?)
        },
        warnings: from_json(row, 11)?,
        fault_count: count(12)?,
        started_at: moment(13)?,
        finished_at: moment(14)?,
        counts: Counts {
            total: count(15)?,
            invalid: count(16)?,
            in_flight: count(17)?,
            accepted: count(18)?,
            failed: count(19)?,
            expired: count(20)?,
            suppressed: count(21)?,
            cancelled: count(22)?,
            unknown: count(23)?,
        },
        superseded: row.get(24)?,
        waits_for_done: row.get(26)?,
        cancelled_at: moment(27)?,
        scheduled_at: moment(28)?,
        cancel_reason: text(29)?,
        held: count(30)?,
        held_until: moment(31)?,
    })
}

/// A column holds what this program never writes.
pub(super) fn odd(column: usize, name: &str) -> rusqlite::Error {
    let words = format!("the column `{name}` holds an unknown value");
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, words.into())
}

/// The short key of a batch that has a row.
pub(super) fn seq(connection: &Connection, batch: &BatchId) -> rusqlite::Result<i64> {
    let sql = "-- seq\nSELECT seq FROM batches WHERE id = ?1";
    connection
        .prepare_cached(sql)?
        .query_row([batch.as_str()], |row| row.get(0))
}

pub(super) fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("our own types serialise")
}

pub(super) fn from_json<T: serde::de::DeserializeOwned>(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error.into())
    })
}

fn forget_reading(connection: &Connection, seq: i64) -> rusqlite::Result<()> {
    forget_messages(connection, seq)?;
    connection
        .prepare_cached("-- forget_reading\nDELETE FROM faults WHERE batch = ?1")?
        .execute([seq])?;
    Ok(())
}

fn forget_messages(connection: &Connection, seq: i64) -> rusqlite::Result<()> {
    for sql in [
        "-- forget_messages\nDELETE FROM chunks WHERE batch = ?1",
        "-- forget_messages\nDELETE FROM chunk_contents WHERE batch = ?1",
        "-- forget_messages\nDELETE FROM lanes WHERE batch = ?1",
        "-- forget_messages\nDELETE FROM messages WHERE batch = ?1",
    ] {
        connection.prepare_cached(sql)?.execute([seq])?;
    }
    forget_uses(connection, seq)
}

pub(super) fn keep_faults(
    connection: &Connection,
    seq: i64,
    faults: &[Fault],
) -> rusqlite::Result<()> {
    if faults.is_empty() {
        return Ok(());
    }
    let sql =
        "-- keep_faults: next\nSELECT COALESCE(MAX(place) + 1, 0) FROM faults WHERE batch = ?1";
    let next: i64 = connection
        .prepare_cached(sql)?
        .query_row([seq], |row| row.get(0))?;
    let sql = "-- keep_faults\nINSERT INTO faults (batch, place, fault) VALUES (?1, ?2, ?3)";
    let mut statement = connection.prepare_cached(sql)?;
    for (place, fault) in (next..).zip(faults) {
        statement.execute(params![seq, place, to_json(fault)])?;
    }
    Ok(())
}

/// The warnings of a reading, in JSON, behind those that were told before it had ended.
fn with_earlier(connection: &Connection, seq: i64, warnings: &[Fault]) -> rusqlite::Result<String> {
    let sql = "-- with_earlier\nSELECT warnings FROM batches WHERE seq = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut all: Vec<Fault> = statement.query_row([seq], |row| from_json(row, 0))?;
    all.extend_from_slice(warnings);
    Ok(to_json(&all))
}

fn is_cancelled(connection: &Connection, seq: i64) -> rusqlite::Result<bool> {
    let sql = "-- is_cancelled\nSELECT cancelled_at > 0 FROM batches WHERE seq = ?1";
    connection
        .prepare_cached(sql)?
        .query_row([seq], |row| row.get(0))
}

/// The batch that sent this content, or has this key, if it counts; it is noted that the content
/// was seen again, so that a file uploaded every night is refused every night.
fn sent_before(
    connection: &Connection,
    seq: i64,
    admission: &Admission,
) -> rusqlite::Result<Option<BatchId>> {
    // A file that was refused or only checked, or of which nothing can have gone out, can be
    // dropped again.
    let by_key = "-- sent_before: key
        SELECT seq, id FROM batches INDEXED BY batches_by_key
        WHERE tenant = (SELECT tenant FROM batches WHERE seq = ?1) AND batch_key = ?2
            AND batch_key <> '' AND seq <> ?1
            AND (state IN ('sending', 'cancelling')
                OR state IN ('finished', 'cancelled') AND accepted + unknown > 0)
        ORDER BY seq DESC LIMIT 1";
    let by_content = "-- sent_before: content
        SELECT seq, id FROM batches INDEXED BY batches_by_content
        WHERE tenant = (SELECT tenant FROM batches WHERE seq = ?1) AND sha256 = ?2
            AND sha256 <> '' AND seq <> ?1
            AND (state IN ('sending', 'cancelling')
                OR state IN ('finished', 'cancelled') AND accepted + unknown > 0)
            AND (ended_at = 0 OR seen_at >= ?3)
        ORDER BY seq DESC LIMIT 1";
    let pair = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
    let found = if admission.batch_key.is_empty() {
        let since = admission.seen_since.as_millis();
        let mut statement = connection.prepare_cached(by_content)?;
        statement
            .query_row(params![seq, admission.sha256, since], pair)
            .optional()?
    } else {
        let mut statement = connection.prepare_cached(by_key)?;
        statement
            .query_row(params![seq, admission.batch_key], pair)
            .optional()?
    };
    let Some((earlier, id)) = found else {
        return Ok(None);
    };
    let sql = "-- sent_before: seen\nUPDATE batches SET seen_at = ?2 WHERE seq = ?1";
    connection
        .prepare_cached(sql)?
        .execute([earlier, admission.now.as_millis()])?;
    BatchId::parse(&id).map(Some).ok_or_else(|| odd(1, "id"))
}
