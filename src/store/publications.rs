//! Files written for a tenant: announced with their hash before they are put in place, and done
//! once they are, so that a crash between the two is finished and a deleted file never comes back.

use rusqlite::{OptionalExtension, params};

use super::arrivals::seq;
use super::{Error, Store};
use crate::batch::BatchId;

/// How far a file for the tenant has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Publication {
    /// Nobody has announced it.
    Unknown,
    /// It may or may not be in place.
    Announced,
    /// It is in place, or was and has been deleted by the tenant.
    Done,
}

impl Store {
    /// How far the file at `path` (beneath `whatsapp/`) has come.
    pub async fn publication(&self, batch: BatchId, path: String) -> Result<Publication, Error> {
        self.read(move |connection| {
            let seq = seq(connection, &batch)?;
            let sql =
                "-- publication\nSELECT done FROM publications WHERE batch = ?1 AND path = ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let done: Option<bool> = statement
                .query_row(params![seq, path], |row| row.get(0))
                .optional()?;
            Ok(match done {
                None => Publication::Unknown,
                Some(false) => Publication::Announced,
                Some(true) => Publication::Done,
            })
        })
        .await
    }

    /// Announces that the file at `path` is about to be put in place.
    pub async fn announce(
        &self,
        batch: BatchId,
        path: String,
        sha256: String,
    ) -> Result<(), Error> {
        self.write(move |connection| {
            let seq = seq(connection, &batch)?;
            let sql = "-- announce
                INSERT INTO publications (batch, path, sha256, done) VALUES (?1, ?2, ?3, 0)
                ON CONFLICT (batch, path) DO UPDATE SET sha256 = excluded.sha256";
            connection
                .prepare_cached(sql)?
                .execute(params![seq, path, sha256])?;
            Ok(())
        })
        .await
    }

    /// Declares that the file at `path` is in place.
    pub async fn published(&self, batch: BatchId, path: String) -> Result<(), Error> {
        self.write(move |connection| {
            let seq = seq(connection, &batch)?;
            let sql =
                "-- published\nUPDATE publications SET done = 1 WHERE batch = ?1 AND path = ?2";
            connection
                .prepare_cached(sql)?
                .execute(params![seq, path])?;
            Ok(())
        })
        .await
    }

    /// The files in place for a batch, by path.
    pub async fn publications(&self, batch: BatchId) -> Result<Vec<String>, Error> {
        self.read(move |connection| {
            let seq = seq(connection, &batch)?;
            let sql = "-- publications
                SELECT path FROM publications WHERE batch = ?1 AND done = 1 ORDER BY path";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([seq], |row| row.get(0))?;
            rows.collect()
        })
        .await
    }
}
