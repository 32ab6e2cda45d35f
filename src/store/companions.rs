//! Companions of files: which have been heard, about which batch, and what waits for its `.done`.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::arrivals::{SELECT_BATCH, batch_standing, keep_faults, odd, to_json};
use super::{Error, Store};
use crate::batch::name::{Companion, DropFolder};
use crate::batch::origin::Identity;
use crate::batch::{BatchId, Fault, Moment, TenantName};
use crate::delivery::standing::{BatchStanding, BatchState};

/// A companion that says something about one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// What it says.
    pub kind: Companion,
    /// Its name.
    pub name: String,
    /// By what it is told from others of its name.
    pub identity: Identity,
}

/// A file of a tenant, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileName {
    /// Whose it is.
    pub tenant: TenantName,
    /// Where it was dropped.
    pub folder: DropFolder,
    /// Its name there.
    pub name: String,
}

/// The newest batch of a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Newest {
    /// How it stands.
    pub standing: BatchStanding,
    /// The kinds of companions that have been heard about it.
    pub heard: Vec<Companion>,
    /// When it ended; `None` if it has not.
    pub ended_at: Option<Moment>,
}

impl Newest {
    /// Whether it had ended at this moment, in nanoseconds since 1970.
    pub fn ended_before(&self, moment_ns: i64) -> bool {
        let moment = Moment::from_millis(moment_ns / 1_000_000);
        self.ended_at.is_some_and(|ended_at| ended_at < moment)
    }
}

/// What a `.done` has brought about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Started {
    /// The batch that is to be checked; `None` if none was waiting.
    pub batch: Option<BatchId>,
    /// Older files of that name, which it was not meant for and which are refused.
    pub replaced: Vec<BatchId>,
}

impl Store {
    /// The newest batch of a name; `None` if there never was one.
    pub async fn newest(&self, file: FileName) -> Result<Option<Newest>, Error> {
        self.read(move |connection| {
            let sql = format!(
                "-- newest\n{SELECT_BATCH} WHERE tenant = ?1 AND folder = ?2 AND name = ?3
                    ORDER BY seq DESC LIMIT 1"
            );
            let name = params![file.tenant.as_str(), file.folder.path(), file.name];
            let mut statement = connection.prepare_cached(&sql)?;
            let Some(standing) = statement.query_row(name, batch_standing).optional()? else {
                return Ok(None);
            };
            let sql = "-- newest: heard
                SELECT kind FROM companions
                WHERE batch = (SELECT seq FROM batches WHERE id = ?1)";
            let mut statement = connection.prepare_cached(sql)?;
            let kinds =
                statement.query_map([standing.arrival.batch.as_str()], |row| kind(row, 0))?;
            let heard = kinds.collect::<rusqlite::Result<_>>()?;
            let sql = "-- newest: ended\n SELECT ended_at FROM batches WHERE id = ?1";
            let mut statement = connection.prepare_cached(sql)?;
            let ended_at =
                statement.query_row([standing.arrival.batch.as_str()], |row| row.get(0))?;
            Ok(Some(Newest {
                standing,
                heard,
                ended_at: Some(Moment::from_millis(ended_at)).filter(|at| at.as_millis() > 0),
            }))
        })
        .await
    }

    /// The companions of a tenant that have been heard and may still lie in a folder, by the batch
    /// that they were about.
    pub async fn heard(
        &self,
        tenant: TenantName,
    ) -> Result<Vec<(BatchId, DropFolder, Heard)>, Error> {
        self.read(move |connection| {
            let sql = "-- heard
                SELECT batches.id, batches.folder, companions.kind, companions.name,
                    companions.identity
                FROM companions JOIN batches ON batches.seq = companions.batch
                WHERE companions.removed = 0 AND batches.tenant = ?1";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([tenant.as_str()], |row| {
                let batch =
                    BatchId::parse(row.get_ref(0)?.as_str()?).ok_or_else(|| odd(0, "id"))?;
                let folder = row.get_ref(1)?.as_str()?;
                let folder = DropFolder::ALL.into_iter().find(|it| it.path() == folder);
                let identity = Identity::parse(row.get_ref(4)?.as_str()?);
                let heard = Heard {
                    kind: kind(row, 2)?,
                    name: row.get(3)?,
                    identity: identity.ok_or_else(|| odd(4, "identity"))?,
                };
                Ok((batch, folder.ok_or_else(|| odd(1, "folder"))?, heard))
            })?;
            rows.collect()
        })
        .await
    }

    /// A companion that was heard does not lie in its folder any more.
    pub async fn cleared(&self, batch: BatchId, heard: Heard) -> Result<(), Error> {
        self.write(move |connection| {
            let sql = "-- cleared
                UPDATE companions SET removed = 1
                WHERE batch = (SELECT seq FROM batches WHERE id = ?1) AND name = ?2
                    AND identity = ?3";
            let identity = heard.identity.to_string();
            connection.prepare_cached(sql)?.execute(params![
                batch.as_str(),
                heard.name,
                identity
            ])?;
            Ok(())
        })
        .await
    }

    /// A companion came after its file had been checked. `warning` says what is wrong, if anything
    /// is; a batch of which nothing is left to send cannot be warned about. Says whether it was
    /// heard.
    pub async fn hear_late(
        &self,
        batch: BatchId,
        heard: Heard,
        warning: Option<Fault>,
    ) -> Result<bool, Error> {
        self.write(move |connection| {
            let sql = "-- hear_late\nSELECT seq, finished_at = 0 FROM batches WHERE id = ?1";
            let found = connection
                .prepare_cached(sql)?
                .query_row([batch.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            // Its history may have gone since it was found.
            let Some((seq, goes_on)): Option<(i64, bool)> = found else {
                return Ok(false);
            };
            if let Some(warning) = &warning {
                if !goes_on {
                    return Ok(false);
                }
                let sql = "-- hear_late: warning
                    UPDATE batches SET warnings = json_insert(warnings, '$[#]', json(?2))
                    WHERE seq = ?1";
                connection
                    .prepare_cached(sql)?
                    .execute(params![seq, to_json(warning)])?;
            }
            hear(connection, seq, std::slice::from_ref(&heard))?;
            Ok(true)
        })
        .await
    }

    /// A `.done` lies beside a file: lets the newest batch of that name that waits for it begin.
    /// Older ones are refused for `reason`, since their file had been written anew before it came.
    pub async fn start(
        &self,
        file: FileName,
        done: Heard,
        (reason, now): (Fault, Moment),
    ) -> Result<Started, Error> {
        self.write(move |connection| {
            let mut started = Started::default();
            for (seq, id) in waiting(connection, &file)? {
                if started.batch.is_some() {
                    replace(connection, seq, &reason, now)?;
                    started.replaced.push(id);
                    continue;
                }
                let sql = "-- start\nUPDATE batches SET waits_for_done = 0 WHERE seq = ?1";
                connection.prepare_cached(sql)?.execute([seq])?;
                hear(connection, seq, std::slice::from_ref(&done))?;
                started.batch = Some(id);
            }
            Ok(started)
        })
        .await
    }
}

/// Notes that companions have been heard about a batch.
pub(super) fn hear(connection: &Connection, seq: i64, heard: &[Heard]) -> rusqlite::Result<()> {
    let sql = "-- hear
        INSERT INTO companions (batch, name, identity, kind) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (batch, name, identity) DO NOTHING";
    let mut statement = connection.prepare_cached(sql)?;
    for one in heard {
        let (identity, kind) = (one.identity.to_string(), one.kind.as_str());
        statement.execute(params![seq, one.name, identity, kind])?;
    }
    Ok(())
}

/// The batches of a name that wait for its `.done`, newest first.
fn waiting(connection: &Connection, file: &FileName) -> rusqlite::Result<Vec<(i64, BatchId)>> {
    let sql = "-- start: waiting
        SELECT seq, id FROM batches
        WHERE tenant = ?1 AND folder = ?2 AND name = ?3 AND waits_for_done = 1 AND ended_at = 0
        ORDER BY seq DESC";
    let mut statement = connection.prepare_cached(sql)?;
    let name = params![file.tenant.as_str(), file.folder.path(), file.name];
    let rows = statement.query_map(name, |row| {
        let batch = BatchId::parse(row.get_ref(1)?.as_str()?).ok_or_else(|| odd(1, "id"))?;
        Ok((row.get(0)?, batch))
    })?;
    rows.collect()
}

fn replace(connection: &Connection, seq: i64, reason: &Fault, now: Moment) -> rusqlite::Result<()> {
    keep_faults(connection, seq, std::slice::from_ref(reason))?;
    let sql = "-- start: replace
        UPDATE batches SET state = ?2, refusal = ?3, fault_count = 1, finished_at = ?4,
            waits_for_done = 0 WHERE seq = ?1";
    connection.prepare_cached(sql)?.execute(params![
        seq,
        BatchState::Rejected.as_str(),
        to_json(reason),
        now.as_millis(),
    ])?;
    Ok(())
}

fn kind(row: &Row<'_>, column: usize) -> rusqlite::Result<Companion> {
    let word = row.get_ref(column)?.as_str()?;
    Companion::ALL
        .into_iter()
        .find(|kind| kind.as_str() == word)
        .ok_or_else(|| odd(column, "kind"))
}
