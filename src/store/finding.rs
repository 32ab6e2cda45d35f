//! Find batches: by what they are, by part of an id, by the name of their file.

use rusqlite::{Connection, OptionalExtension, params};

use super::arrivals::{SELECT_BATCH, batch_standing};
use super::{Error, Store};
use crate::batch::{BatchId, Moment, TenantName};
use crate::delivery::standing::{BatchStanding, BatchState};

/// Batches that are listed at once, at most.
pub const LISTED_MAX: u32 = 1_000;

/// The shortest part of an id by which a batch is found.
const PART_MIN: usize = 3;

/// Batches that are named when a name does not say which, at most.
const NAMED_MAX: u32 = 5;

/// Which batches are looked for; what is empty fits all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchQuery {
    /// Of this tenant.
    pub tenant: Option<TenantName>,
    /// In one of these states; empty for any.
    pub states: Vec<BatchState>,
    /// With this file name.
    pub name: Option<String>,
    /// With this content.
    pub sha256: Option<String>,
    /// Received at or after this moment.
    pub since: Option<Moment>,
    /// At most so many, and never more than [`LISTED_MAX`].
    pub limit: u32,
}

/// What was found for a name that a person gave.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// The one batch that is meant.
    One(Box<BatchStanding>),
    /// Several fit, the newest first; not all of them may be named.
    Several(Vec<BatchStanding>),
    /// None fits.
    None,
}

impl Store {
    /// The batches that fit, newest first.
    pub async fn batches(&self, query: BatchQuery) -> Result<Vec<BatchStanding>, Error> {
        self.read(move |connection| {
            let states: Vec<&str> = query.states.iter().map(|state| state.as_str()).collect();
            let sql = format!(
                "-- batches\n{SELECT_BATCH}
                WHERE (?1 IS NULL OR tenant = ?1)
                    AND (?2 = '[]' OR state IN (SELECT value FROM json_each(?2)))
                    AND (?3 IS NULL OR name = ?3) AND (?4 IS NULL OR sha256 = ?4)
                    AND received_at >= ?5
                ORDER BY seq DESC LIMIT ?6"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let wanted = params![
                query.tenant.as_ref().map(TenantName::as_str),
                super::arrivals::to_json(&states),
                query.name,
                query.sha256,
                query.since.map_or(i64::MIN, Moment::as_millis),
                query.limit.min(LISTED_MAX),
            ];
            let rows = statement.query_map(wanted, batch_standing)?;
            rows.collect()
        })
        .await
    }

    /// The batch that a person means by `text`: its id, the beginning or the end of an id, or the
    /// name of its file, which means the newest of that name.
    pub async fn find(&self, text: String) -> Result<Found, Error> {
        self.read(move |connection| {
            if BatchId::parse(&text).is_some() {
                let sql = format!("-- find\n{SELECT_BATCH} WHERE id = ?1");
                let mut statement = connection.prepare_cached(&sql)?;
                let found = statement.query_row([&text], batch_standing).optional()?;
                return Ok(found.map_or(Found::None, |one| Found::One(Box::new(one))));
            }
            // A name is taken at its word before it is taken for a part of an id.
            let mut found = newest_of_name(connection, &text)?;
            if found.is_empty() {
                found = by_part(connection, &text)?;
            }
            Ok(match found.len() {
                0 => Found::None,
                1 => found
                    .pop()
                    .map_or(Found::None, |one| Found::One(Box::new(one))),
                _ => Found::Several(found),
            })
        })
        .await
    }
}

/// Of each tenant with a file of this name, its newest.
fn newest_of_name(connection: &Connection, name: &str) -> rusqlite::Result<Vec<BatchStanding>> {
    let sql = format!(
        "-- find: name\n{SELECT_BATCH} WHERE seq IN
            (SELECT MAX(seq) FROM batches WHERE name = ?1 GROUP BY tenant)
        ORDER BY seq DESC LIMIT ?2"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params![name, NAMED_MAX], batch_standing)?;
    rows.collect()
}

fn by_part(connection: &Connection, part: &str) -> rusqlite::Result<Vec<BatchStanding>> {
    if part.len() < PART_MIN || part.len() >= BatchId::LENGTH {
        return Ok(Vec::new());
    }
    let sql = format!(
        "-- find: part\n{SELECT_BATCH} WHERE id IN
            (SELECT id FROM batches
             WHERE substr(id, 1, length(?1)) = ?1 OR substr(id, -length(?1)) = ?1)
        ORDER BY seq DESC LIMIT ?2"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params![part, NAMED_MAX], batch_standing)?;
    rows.collect()
}
