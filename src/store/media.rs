//! The files that batches need, and the ids under which providers know them. The files themselves
//! are not here.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, params};

use super::{Error, Store};
use crate::batch::content::MediaFile;
use crate::batch::{Moment, Phone, TenantName};

/// A file at the provider: ids hold for the messages of one number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MediaKey {
    /// Whose it is.
    pub tenant: TenantName,
    /// The number whose messages may name it.
    pub number: Phone,
    /// SHA-256 of its content, in hexadecimal.
    pub sha256: String,
    /// What the provider is told that it is.
    pub mime_type: String,
}

impl MediaKey {
    /// This file in messages from this number.
    pub fn of((tenant, number): (&TenantName, &Phone), file: &MediaFile) -> Self {
        Self {
            tenant: tenant.clone(),
            number: number.clone(),
            sha256: file.sha256.clone(),
            mime_type: file.mime_type.clone(),
        }
    }

    fn columns(&self) -> [&str; 4] {
        let number = self.number.as_str();
        [self.tenant.as_str(), number, &self.sha256, &self.mime_type]
    }
}

/// The id under which a provider knows a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaId {
    /// The id.
    pub provider_id: String,
    /// Until when messages may name it.
    pub until: Moment,
}

impl Store {
    /// The id of a file that messages may name at `now`.
    pub async fn media_id(&self, key: MediaKey, now: Moment) -> Result<Option<MediaId>, Error> {
        self.read(move |connection| {
            let sql = "-- media_id
                SELECT provider_id, until_at FROM media_ids
                WHERE tenant = ?1 AND number = ?2 AND sha256 = ?3 AND mime_type = ?4";
            let mut statement = connection.prepare_cached(sql)?;
            let found = statement.query_row(key.columns(), |row| {
                Ok(MediaId {
                    provider_id: row.get(0)?,
                    until: Moment::from_millis(row.get(1)?),
                })
            });
            Ok(found.optional()?.filter(|id| id.until > now))
        })
        .await
    }

    /// The provider has given a file this id.
    pub async fn keep_media_id(&self, key: MediaKey, id: MediaId) -> Result<(), Error> {
        self.write(move |connection| {
            let sql = "-- keep_media_id
                INSERT INTO media_ids (tenant, number, sha256, mime_type, provider_id, until_at)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                ON CONFLICT (tenant, number, sha256, mime_type) DO UPDATE
                SET provider_id = excluded.provider_id, until_at = excluded.until_at";
            let [tenant, number, sha256, mime_type] = key.columns();
            connection.prepare_cached(sql)?.execute(params![
                tenant,
                number,
                sha256,
                mime_type,
                id.provider_id,
                id.until.as_millis(),
            ])?;
            Ok(())
        })
        .await
    }

    /// The provider does not know this id any more.
    pub async fn forget_media_id(&self, key: MediaKey, provider_id: String) -> Result<(), Error> {
        self.write(move |connection| {
            let sql = "-- forget_media_id
                DELETE FROM media_ids WHERE tenant = ?1 AND number = ?2 AND sha256 = ?3
                    AND mime_type = ?4 AND provider_id = ?5";
            let [tenant, number, sha256, mime_type] = key.columns();
            let row = [tenant, number, sha256, mime_type, &provider_id];
            connection.prepare_cached(sql)?.execute(row)?;
            Ok(())
        })
        .await
    }

    /// Deletes ids whose time is over.
    pub async fn forget_old_media_ids(&self, now: Moment) -> Result<(), Error> {
        self.write(move |connection| {
            let sql = "-- forget_old_media_ids\nDELETE FROM media_ids WHERE until_at <= ?1";
            connection.prepare_cached(sql)?.execute([now.as_millis()])?;
            Ok(())
        })
        .await
    }

    /// Those of these files that a batch of the tenant still needs.
    pub async fn media_needed(
        &self,
        tenant: TenantName,
        files: Vec<String>,
    ) -> Result<HashSet<String>, Error> {
        self.read(move |connection| {
            let sql = "-- media_needed
                SELECT EXISTS (SELECT 1 FROM media_uses JOIN batches ON seq = batch
                    WHERE media_uses.sha256 = ?1 AND tenant = ?2)";
            let mut statement = connection.prepare_cached(sql)?;
            let mut needed = HashSet::new();
            for file in files {
                if statement.query_row([&file, tenant.as_str()], |row| row.get(0))? {
                    needed.insert(file);
                }
            }
            Ok(needed)
        })
        .await
    }
}

/// Notes that a batch needs these files.
pub(super) fn keep_uses<'a>(
    connection: &Connection,
    seq: i64,
    files: impl Iterator<Item = &'a String>,
) -> rusqlite::Result<()> {
    let sql = "-- keep: media\nINSERT OR IGNORE INTO media_uses (batch, sha256) VALUES (?1, ?2)";
    let mut statement = connection.prepare_cached(sql)?;
    for file in files {
        statement.execute(params![seq, file])?;
    }
    Ok(())
}

/// Notes that a batch needs no files any more.
pub(super) fn forget_uses(connection: &Connection, seq: i64) -> rusqlite::Result<()> {
    let sql = "-- forget_uses\nDELETE FROM media_uses WHERE batch = ?1";
    connection.prepare_cached(sql)?.execute([seq])?;
    Ok(())
}
