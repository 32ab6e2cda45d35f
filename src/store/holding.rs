//! Messages that may have gone out are held for a while: until when, when their providers are asked
//! about them, and the end of it. How long and how often is for `delivery::settling` to say.

use std::collections::BTreeSet;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::arrivals::odd;
use super::sending::Tally;
use super::settling::finish_closed;
use super::{Error, Store};
use crate::batch::{BatchId, Moment, TenantName};
use crate::delivery::settling::{self, Hold};
use crate::delivery::{AttemptId, UnknownPolicy};

/// Messages whose hold ends in one step, so that no other verb waits long for it.
const RELEASED_MAX: u32 = 1_000;

/// Tries at one message that its provider is asked about, the last ones.
const ASKED_TRIES_MAX: u32 = 8;

/// Messages whose hold was over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Released {
    /// How many there were.
    pub messages: u64,
    /// Whether there may be more at this moment.
    pub is_more: bool,
    /// The batches that are finished by this.
    pub finished: Vec<BatchId>,
}

/// A message about which its provider is to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Questioned {
    /// Whose it is.
    pub tenant: TenantName,
    /// The tries that may have gone out, the last of them at the end.
    pub tries: Vec<AttemptId>,
}

impl Store {
    /// Ends holds that are over at `now`. What was held is unknown for good.
    pub async fn release(&self, now: Moment) -> Result<Released, Error> {
        let is_due: bool = self
            .read(move |connection| {
                let latest = latest_hold(connection, now)?;
                let sql = "-- release: due
                    SELECT EXISTS (SELECT 1 FROM messages INDEXED BY messages_held
                            WHERE held_until > 0 AND held_until <= ?1)
                        OR EXISTS (SELECT 1 FROM messages INDEXED BY messages_held
                            WHERE held_until > 0 AND held_until > ?2)";
                let mut statement = connection.prepare_cached(sql)?;
                statement.query_row([now.as_millis(), latest], |row| row.get(0))
            })
            .await?;
        if !is_due {
            return Ok(Released::default());
        }
        self.write(move |connection| release(connection, now)).await
    }

    /// Messages about which their providers are to be asked at `now`, at most `limit`. They are not
    /// named again before their next turn, whatever becomes of the question.
    pub async fn ask(&self, now: Moment, limit: usize) -> Result<Vec<Questioned>, Error> {
        let is_due: bool = self
            .read(move |connection| {
                let sql = "-- ask: due
                    SELECT EXISTS (SELECT 1 FROM messages INDEXED BY messages_to_ask
                        WHERE ask_at > 0 AND ask_at <= ?1)";
                let mut statement = connection.prepare_cached(sql)?;
                statement.query_row([now.as_millis()], |row| row.get(0))
            })
            .await?;
        if !is_due {
            return Ok(Vec::new());
        }
        self.write(move |connection| ask(connection, now, limit))
            .await
    }
}

/// How long messages of each tenant are held from here on. Where nothing settles them any more,
/// the holds of the last run are over.
pub(super) fn set_holds(
    connection: &Connection,
    policies: &[(TenantName, UnknownPolicy, Hold)],
    now: Moment,
) -> rusqlite::Result<()> {
    connection.execute("-- set_holds\nDELETE FROM holds", ())?;
    let sql = "-- set_holds\nINSERT INTO holds (tenant, hold_ms, is_asked) VALUES (?1, ?2, ?3)";
    let mut statement = connection.prepare(sql)?;
    for (tenant, _, hold) in policies {
        let hold_ms = hold.length.as_millis() as i64;
        statement.execute(params![tenant.as_str(), hold_ms, hold.is_asked])?;
    }
    let sql = "-- set_holds: over
        UPDATE messages INDEXED BY messages_held SET held_until = ?1, ask_at = 0
        WHERE held_until > 0 AND held_until > ?1 AND batch IN (SELECT seq FROM batches
            WHERE held > 0 AND tenant IN (SELECT tenant FROM holds WHERE hold_ms = 0))";
    connection.execute(sql, [now.as_millis()])?;
    Ok(())
}

/// How unknown messages of a batch are held.
pub(super) fn hold_of(connection: &Connection, seq: i64) -> rusqlite::Result<Hold> {
    let sql = "-- hold_of
        SELECT hold_ms, is_asked FROM holds
        WHERE tenant = (SELECT tenant FROM batches WHERE seq = ?1)";
    let hold = |row: &Row<'_>| {
        Ok(Hold {
            length: Duration::from_millis(row.get::<_, i64>(0)?.max(0) as u64),
            is_asked: row.get(1)?,
        })
    };
    let found = connection.prepare_cached(sql)?.query_row([seq], hold);
    Ok(found.optional()?.unwrap_or_default())
}

/// Holds a message that has become unknown, where something may settle it.
pub(super) fn hold(
    connection: &Connection,
    tally: &mut Tally,
    (seq, index): (i64, u64),
    now: Moment,
) -> rusqlite::Result<()> {
    let hold = match tally.holds.get(&seq) {
        Some(hold) => *hold,
        None => *tally.holds.entry(seq).or_insert(hold_of(connection, seq)?),
    };
    let Some(until) = hold.until(now) else {
        return Ok(());
    };
    let sql = "-- hold
        UPDATE messages SET held_until = ?3, ask_at = ?4 WHERE batch = ?1 AND idx = ?2";
    let ask_at = hold.first_ask(now).map_or(0, Moment::as_millis);
    let row = [seq, index as i64, until.as_millis(), ask_at];
    connection.prepare_cached(sql)?.execute(row)?;
    tally.counts(seq).held += 1;
    Ok(())
}

/// The latest moment until which anything can be held at `now`: what is held for longer was held by
/// a clock that was ahead.
fn latest_hold(connection: &Connection, now: Moment) -> rusqlite::Result<i64> {
    let sql = "-- latest_hold\nSELECT COALESCE(MAX(hold_ms), 0) FROM holds";
    let longest: i64 = connection
        .prepare_cached(sql)?
        .query_row((), |row| row.get(0))?;
    Ok(now.plus_ms(longest).as_millis())
}

fn release(connection: &Connection, now: Moment) -> rusqlite::Result<Released> {
    let sql = "-- release: clock
        UPDATE messages INDEXED BY messages_held SET held_until = ?1
        WHERE held_until > 0 AND held_until > ?1";
    let latest = latest_hold(connection, now)?;
    connection.prepare_cached(sql)?.execute([latest])?;
    let sql = "-- release: over
        SELECT batch, idx FROM messages INDEXED BY messages_held
        WHERE held_until > 0 AND held_until <= ?1 ORDER BY held_until LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![now.as_millis(), RELEASED_MAX], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    let over: Vec<(i64, i64)> = rows.collect::<rusqlite::Result<_>>()?;
    let sql = "-- release
        UPDATE messages SET held_until = 0, ask_at = 0 WHERE batch = ?1 AND idx = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let mut tally = Tally::default();
    for (seq, index) in &over {
        statement.execute([seq, index])?;
        tally.counts(*seq).held -= 1;
    }
    tally.write(connection)?;
    let touched: BTreeSet<i64> = over.iter().map(|(seq, _)| *seq).collect();
    let mut finished = Vec::new();
    for seq in touched {
        finished.extend(finish_closed(connection, seq, now)?);
    }
    Ok(Released {
        messages: over.len() as u64,
        is_more: over.len() == RELEASED_MAX as usize,
        finished,
    })
}

fn ask(connection: &Connection, now: Moment, limit: usize) -> rusqlite::Result<Vec<Questioned>> {
    let sql = "-- ask
        SELECT tenant, id, batch, idx, attempts, possible_duplicate, changed_at, held_until
        FROM messages INDEXED BY messages_to_ask JOIN batches ON seq = batch
        WHERE ask_at > 0 AND ask_at <= ?1 ORDER BY ask_at LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![now.as_millis(), limit as i64])?;
    let (mut asked, mut next) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let tenant = TenantName::parse(row.get_ref(0)?.as_str()?);
        let batch = BatchId::parse(row.get_ref(1)?.as_str()?).ok_or_else(|| odd(1, "id"))?;
        let (attempts, may_be_several): (u32, bool) = (row.get(4)?, row.get(5)?);
        let first = if may_be_several {
            attempts.saturating_sub(ASKED_TRIES_MAX - 1).max(1)
        } else {
            attempts
        };
        let index = row.get::<_, i64>(3)? as u64;
        let id = |attempt| AttemptId {
            batch: batch.clone(),
            index,
            attempt,
        };
        asked.push(Questioned {
            tenant: tenant.ok_or_else(|| odd(0, "tenant"))?,
            tries: (first..=attempts).map(id).collect(),
        });
        let [since, until] = [row.get(6)?, row.get(7)?].map(Moment::from_millis);
        let again = settling::next_ask(since, until, now).map_or(0, Moment::as_millis);
        next.push([row.get(2)?, row.get(3)?, again]);
    }
    let sql = "-- ask: next\nUPDATE messages SET ask_at = ?3 WHERE batch = ?1 AND idx = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    for row in next {
        statement.execute(row)?;
    }
    Ok(asked)
}
