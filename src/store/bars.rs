//! What stands against sending for a while, so that a start does not try anew what was found not to
//! work.

use rusqlite::{Connection, Row, params};

use super::arrivals::{from_json, odd, to_json};
use super::steering::{number, tenant};
use super::{Error, Store};
use crate::batch::Moment;
use crate::delivery::breaker::{Gate, Open};
use crate::delivery::sending::{Bar, Barred};

/// The word for a sender that rests, beside those for breakers.
const REST: &str = "rest";

impl Store {
    /// Keeps how bars stand; `None` forgets one. They are told although the disk is full, for they
    /// say what has happened.
    pub async fn keep_bars(
        &self,
        bars: Vec<(Bar, Option<Open>)>,
        now: Moment,
    ) -> Result<(), Error> {
        self.write_outcome(move |connection| {
            let mut bars = bars.iter();
            bars.try_for_each(|(bar, open)| keep(connection, bar, open.as_ref(), now))
        })
        .await
    }

    /// Every bar, as it was kept.
    pub async fn bars(&self) -> Result<Vec<Barred>, Error> {
        self.read(|connection| {
            let sql = "-- bars
                SELECT kind, tenant, name, language, since_at, until_at, strikes, reason FROM bars";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map((), barred)?;
            rows.collect()
        })
        .await
    }
}

fn keep(
    connection: &Connection,
    bar: &Bar,
    open: Option<&Open>,
    now: Moment,
) -> rusqlite::Result<()> {
    let (kind, tenant, name, language) = key(bar);
    let Some(open) = open else {
        let sql = "-- keep_bars: forget
            DELETE FROM bars WHERE kind = ?1 AND tenant = ?2 AND name = ?3 AND language = ?4";
        connection
            .prepare_cached(sql)?
            .execute([kind, tenant, name, language])?;
        return Ok(());
    };
    let sql = "-- keep_bars
        INSERT INTO bars (kind, tenant, name, language, since_at, until_at, strikes, reason)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
        ON CONFLICT (kind, tenant, name, language) DO UPDATE SET since_at = excluded.since_at,
            until_at = excluded.until_at, strikes = excluded.strikes, reason = excluded.reason";
    connection.prepare_cached(sql)?.execute(params![
        kind,
        tenant,
        name,
        language,
        now.as_millis(),
        open.until.as_millis(),
        open.strikes,
        to_json(&open.reason),
    ])?;
    Ok(())
}

/// What a bar is found by.
fn key(bar: &Bar) -> (&'static str, &str, &str, &str) {
    match bar {
        Bar::Rest(tenant, number) => (REST, tenant.as_str(), number.as_str(), ""),
        Bar::Breaker(gate) => {
            let (tenant, name, language) = match gate {
                Gate::Endpoint(address) => ("", address.as_str(), ""),
                Gate::Credential(tenant) => (tenant.as_str(), "", ""),
                Gate::Sender(tenant, number) => (tenant.as_str(), number.as_str(), ""),
                Gate::Template(tenant, name, language) => (tenant.as_str(), &**name, &**language),
            };
            (gate.kind(), tenant, name, language)
        }
    }
}

fn barred(row: &Row<'_>) -> rusqlite::Result<Barred> {
    let kind: String = row.get(0)?;
    let bar = match kind.as_str() {
        REST => Bar::Rest(tenant(row, 1)?, number(row, 2)?),
        "endpoint" => Bar::Breaker(Gate::Endpoint(row.get(2)?)),
        "credential" => Bar::Breaker(Gate::Credential(tenant(row, 1)?)),
        "sender" => Bar::Breaker(Gate::Sender(tenant(row, 1)?, number(row, 2)?)),
        "template" => Bar::Breaker(Gate::Template(tenant(row, 1)?, row.get(2)?, row.get(3)?)),
        _ => return Err(odd(0, "kind")),
    };
    Ok(Barred {
        bar,
        since: Moment::from_millis(row.get(4)?),
        open: Open {
            until: Moment::from_millis(row.get(5)?),
            strikes: row.get(6)?,
            reason: from_json(row, 7)?,
        },
    })
}
