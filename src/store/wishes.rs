//! What a tenant wants done with a batch of its own: which batch is meant, and the deed, committed
//! together with the file that asked for it, so that none is done twice. When such a file counts is
//! for `daemon` to know.

use rusqlite::{Connection, OptionalExtension, params};

use super::arrivals::{SELECT_BATCH, batch_standing, to_json};
use super::companions::{FileName, Heard, hear};
use super::steering::{begin_cancel, end_pause, keep_pause};
use super::{Cancelled, Error, Store};
use crate::batch::name::batch_named;
use crate::batch::{BatchId, Fault, Moment};
use crate::delivery::standing::BatchStanding;
use crate::delivery::steering::{By, Pause, Subject};

/// What is to be done with a batch.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    /// Nothing of it begins any more.
    Cancel,
    /// Nothing of it begins until it is resumed; why, in its owner's words, may be empty.
    Pause(String),
    /// It goes on, as far as its owner has stopped it.
    Resume,
}

/// A deed that a file of the tenant's asks for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// With which batch.
    pub batch: BatchId,
    /// What.
    pub deed: Deed,
    /// The file that asks for it.
    pub heard: Heard,
    /// What its status tells if the operator's pause is in the way.
    pub denial: Fault,
    /// The moment.
    pub now: Moment,
}

/// What came of a wish.
#[derive(Clone, Debug, PartialEq)]
pub enum Granted {
    /// It is paused.
    Paused(Pause),
    /// Its owner's pause has ended.
    Resumed,
    /// It is cancelled, or was before.
    Cancelled(Cancelled),
    /// Nothing had to be done, or the operator's pause stands in the way and the status says so.
    Unchanged,
    /// It is not running any more.
    TooLate,
}

const RUNNING: &str = "ended_at = 0 AND state IN ('received', 'checking', 'sending', 'cancelling')";

impl Store {
    /// The newest running batch that a steering file of this name, without its ending, means: by
    /// the name of its file or by its own id, and only one that had come by `came_at`.
    pub async fn meant(
        &self,
        file: FileName,
        came_at: Moment,
    ) -> Result<Option<BatchStanding>, Error> {
        self.read(move |connection| {
            let (tenant, folder) = (file.tenant.as_str(), file.folder.path());
            let sql = format!(
                "-- meant: by name\n{SELECT_BATCH} WHERE tenant = ?1 AND folder = ?2 AND name = ?3
                    AND received_at <= ?4 AND {RUNNING} ORDER BY seq DESC LIMIT 1"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let name = params![tenant, folder, file.name, came_at.as_millis()];
            let found = statement.query_row(name, batch_standing).optional()?;
            let Some((batch, name)) = batch_named(&file.name).filter(|_| found.is_none()) else {
                return Ok(found);
            };
            let sql = format!(
                "-- meant: by id\n{SELECT_BATCH} WHERE id = ?1 AND tenant = ?2 AND folder = ?3
                    AND {RUNNING}"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let id = params![batch.as_str(), tenant, folder];
            let found = statement.query_row(id, batch_standing).optional()?;
            Ok(found.filter(|it| name.is_none_or(|name| it.arrival.name == name)))
        })
        .await
    }

    /// Does what a file asks for, and notes that the file was heard. Asked again by the same file
    /// it would do the same.
    pub async fn grant(&self, wish: Wish) -> Result<Granted, Error> {
        self.write(move |connection| {
            let batch = &wish.batch;
            let sql = format!(
                "-- grant\nSELECT seq, cancelled_at > 0 FROM batches WHERE id = ?1 AND {RUNNING}"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let found = statement.query_row([batch.as_str()], |row| Ok((row.get(0)?, row.get(1)?)));
            let Some((seq, is_cancelled)) = found.optional()? else {
                return Ok(Granted::TooLate);
            };
            hear(connection, seq, std::slice::from_ref(&wish.heard))?;
            let granted = match &wish.deed {
                Deed::Cancel => {
                    return begin_cancel(connection, batch, "", wish.now).map(Granted::Cancelled);
                }
                // There is nothing left to stop or to let go on, and its status says why.
                _ if is_cancelled => return Ok(Granted::Unchanged),
                Deed::Pause(reason) => {
                    let pause = Pause {
                        subject: subject(batch),
                        reason: reason.clone(),
                        by: By::Tenant,
                        since: wish.now,
                        until: None,
                    };
                    keep_pause(connection, &pause)?.then_some(Granted::Paused(pause))
                }
                Deed::Resume => {
                    let ended = end_pause(connection, &subject(batch), By::Tenant)?;
                    ended.then_some(Granted::Resumed)
                }
            };
            let is_pause = matches!(wish.deed, Deed::Pause(_));
            if !(is_pause && granted.is_some()) && operator_holds(connection, seq, wish.now)? {
                warn_once(connection, seq, &wish.denial)?;
            }
            Ok(granted.unwrap_or(Granted::Unchanged))
        })
        .await
    }
}

fn subject(batch: &BatchId) -> Subject {
    Subject::Batch {
        batch: batch.clone(),
    }
}

/// Whether the operator has paused a batch, or its tenant.
fn operator_holds(connection: &Connection, seq: i64, now: Moment) -> rusqlite::Result<bool> {
    let sql = "-- operator_holds
        SELECT EXISTS (SELECT 1 FROM pauses JOIN batches ON batches.seq = ?1
            WHERE paused_by = 'operator' AND (until_at = 0 OR until_at > ?2)
                AND (scope = 'batch' AND pauses.name = batches.id
                    OR scope = 'tenant' AND pauses.tenant = batches.tenant))";
    connection
        .prepare_cached(sql)?
        .query_row([seq, now.as_millis()], |row| row.get(0))
}

/// Adds a warning to the status of a batch, unless it has the same.
fn warn_once(connection: &Connection, seq: i64, warning: &Fault) -> rusqlite::Result<()> {
    let sql = "-- warn_once
        UPDATE batches SET warnings = json_insert(warnings, '$[#]', json(?2))
        WHERE seq = ?1 AND NOT EXISTS
            (SELECT 1 FROM json_each(warnings) WHERE json(value) = json(?2))";
    connection
        .prepare_cached(sql)?
        .execute(params![seq, to_json(warning)])?;
    Ok(())
}
