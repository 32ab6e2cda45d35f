//! Messages that may have gone out are settled by receipts, and batches finished of which nothing
//! is left. What settles what is for `delivery::settling` to say, how long that is waited for is
//! `holding`'s.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::arrivals::{odd, to_json};
use super::sending::Tally;
use super::{Error, Store};
use crate::batch::{BatchId, Moment, TenantName};
use crate::delivery::receipt::Receipt;
use crate::delivery::settling::{self, Open, Settled};
use crate::delivery::standing::Note;
use crate::delivery::{State, Step};

/// Nothing of a batch is left to send, nor in flight.
pub(super) const ALL_CLOSED: &str =
    "total = invalid + accepted + failed + expired + suppressed + cancelled + unknown";

/// Whether a batch has come to the end of its sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It is finished by this.
    Finished,
    /// Nothing of it is left to send: messages are only held, or it has ended otherwise.
    Elsewhere,
    /// Something is left to send.
    NotYet,
}

/// What became of a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heeded {
    /// Its message has come into this state by it.
    Settled(State),
    /// It counts if the answer to the try under way never comes.
    Kept,
    /// It said nothing that was not known.
    Known,
    /// It is about no message of these tenants, or does not say which.
    Strange,
}

impl Store {
    /// Declares a batch finished if nothing of it is left to send, and nothing may yet be settled.
    pub async fn finish(&self, batch: BatchId, now: Moment) -> Result<Finish, Error> {
        self.write(move |connection| {
            let sql = "-- finish\nSELECT seq FROM batches WHERE id = ?1 AND state = 'sending'";
            let mut statement = connection.prepare_cached(sql)?;
            let found = statement.query_row([batch.as_str()], |row| row.get(0));
            let Some(seq) = found.optional()? else {
                return Ok(Finish::Elsewhere);
            };
            if finish_closed(connection, seq, now)?.is_some() {
                return Ok(Finish::Finished);
            }
            let sql = format!("-- finish: held\nSELECT {ALL_CLOSED} FROM batches WHERE seq = ?1");
            let mut statement = connection.prepare_cached(&sql)?;
            let is_only_held = statement.query_row([seq], |row| row.get(0))?;
            Ok(if is_only_held {
                Finish::Elsewhere
            } else {
                Finish::NotYet
            })
        })
        .await
    }

    /// Has receipts settle what they can of the messages of these tenants. Says what became of each
    /// receipt, and which batches are finished by them. Most receipts change nothing and cost only
    /// a look; what they change is on disk when this returns.
    pub async fn settle(
        &self,
        receipts: Vec<Receipt>,
        tenants: Vec<TenantName>,
        now: Moment,
    ) -> Result<(Vec<Heeded>, Vec<BatchId>), Error> {
        let (receipts, tenants, looked) = self
            .read(move |connection| {
                let mut batches = Batches::default();
                let looked = receipts.iter().map(|receipt| {
                    let found = find(connection, &mut batches, receipt, &tenants)?;
                    Ok(found.heeded(receipt))
                });
                let looked: Vec<Heeded> = looked.collect::<rusqlite::Result<_>>()?;
                Ok((receipts, tenants, looked))
            })
            .await?;
        let changes = |heeded: &Heeded| matches!(heeded, Heeded::Settled(_) | Heeded::Kept);
        if !looked.iter().any(changes) {
            return Ok((looked, Vec::new()));
        }
        self.write_outcome(move |connection| settle(connection, &receipts, &tenants, now))
            .await
    }
}

/// The step that a receipt makes which came before a try had ended; `None` if none did.
pub(super) fn kept_step(
    connection: &Connection,
    (seq, index): (i64, u64),
) -> rusqlite::Result<Option<Step>> {
    let sql = "-- kept_step
        SELECT attempts, receipt FROM messages WHERE batch = ?1 AND idx = ?2 AND receipt <> ''";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_row([seq, index as i64], |row| {
        let receipt: Receipt = super::arrivals::from_json(row, 1)?;
        Ok(settling::instead(row.get(0)?, &receipt))
    });
    Ok(found.optional()?.flatten())
}

/// Batches that receipts name: their short keys, and whether they are being cancelled; `None` for
/// one of which nothing can be settled.
#[derive(Default)]
struct Batches(BTreeMap<BatchId, Option<Known>>);

#[derive(Clone)]
struct Known {
    seq: i64,
    tenant: String,
    is_under_way: bool,
    is_cancelling: bool,
}

impl Batches {
    fn find(&mut self, connection: &Connection, id: &BatchId) -> rusqlite::Result<Option<Known>> {
        if let Some(found) = self.0.get(id) {
            return Ok(found.clone());
        }
        let sql = "-- settle: batch
            SELECT seq, tenant, state IN ('sending', 'cancelling'), state = 'cancelling'
            FROM batches WHERE id = ?1";
        let known = |row: &Row<'_>| {
            Ok(Known {
                seq: row.get(0)?,
                tenant: row.get(1)?,
                is_under_way: row.get(2)?,
                is_cancelling: row.get(3)?,
            })
        };
        let mut statement = connection.prepare_cached(sql)?;
        let found = statement.query_row([id.as_str()], known).optional()?;
        self.0.insert(id.clone(), found.clone());
        Ok(found)
    }
}

/// What a receipt is about.
enum Found {
    Nothing,
    /// A message of a batch whose results are written already.
    Over,
    Message {
        batch: Known,
        index: i64,
        open: Open,
        is_held: bool,
    },
}

impl Found {
    fn heeded(&self, receipt: &Receipt) -> Heeded {
        match self {
            Self::Nothing => Heeded::Strange,
            Self::Over => Heeded::Known,
            Self::Message { open, .. } => match settling::settle(*open, receipt) {
                Some(Settled::Accepted { .. }) => Heeded::Settled(State::Accepted),
                Some(Settled::Failed { .. }) => Heeded::Settled(State::Failed),
                Some(Settled::Kept) => Heeded::Kept,
                None => Heeded::Known,
            },
        }
    }
}

fn find(
    connection: &Connection,
    batches: &mut Batches,
    receipt: &Receipt,
    tenants: &[TenantName],
) -> rusqlite::Result<Found> {
    let Some(attempt) = &receipt.attempt else {
        return Ok(Found::Nothing);
    };
    let known = batches.find(connection, &attempt.batch)?;
    let is_theirs = |known: &Known| tenants.iter().any(|name| name.as_str() == known.tenant);
    let Some(batch) = known.filter(is_theirs) else {
        return Ok(Found::Nothing);
    };
    if !batch.is_under_way {
        return Ok(Found::Over);
    }
    let sql = "-- settle: message
        SELECT state, attempts, possible_duplicate, held_until > 0
        FROM messages WHERE batch = ?1 AND idx = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let index = i64::try_from(attempt.index).unwrap_or(i64::MAX);
    let found = statement.query_row([batch.seq, index], |row| {
        let state = State::parse(row.get_ref(0)?.as_str()?);
        let open = Open {
            state: state.ok_or_else(|| odd(0, "state"))?,
            attempts: row.get(1)?,
            possible_duplicate: row.get(2)?,
        };
        Ok((open, row.get(3)?))
    });
    Ok(match found.optional()? {
        Some((open, is_held)) => Found::Message {
            batch,
            index,
            open,
            is_held,
        },
        None => Found::Nothing,
    })
}

fn settle(
    connection: &Connection,
    receipts: &[Receipt],
    tenants: &[TenantName],
    now: Moment,
) -> rusqlite::Result<(Vec<Heeded>, Vec<BatchId>)> {
    let (mut batches, mut tally) = (Batches::default(), Tally::default());
    let (mut heeded, mut touched) = (Vec::with_capacity(receipts.len()), BTreeSet::new());
    for receipt in receipts {
        let found = find(connection, &mut batches, receipt, tenants)?;
        let what = found.heeded(receipt);
        if let Found::Message { batch, open, .. } = &found
            && let Some(settled) = settling::settle(*open, receipt)
        {
            take(connection, &mut tally, &found, (receipt, settled, now))?;
            touched.insert(batch.seq);
        }
        heeded.push(what);
    }
    tally.write(connection)?;
    let mut finished = Vec::new();
    for seq in touched {
        finished.extend(finish_closed(connection, seq, now)?);
    }
    Ok((heeded, finished))
}

/// Brings a message where a receipt says that it stands.
fn take(
    connection: &Connection,
    tally: &mut Tally,
    found: &Found,
    (receipt, settled, now): (&Receipt, Settled, Moment),
) -> rusqlite::Result<()> {
    let Found::Message {
        batch,
        index,
        open,
        is_held,
    } = found
    else {
        return Ok(());
    };
    let (state, provider_id, note, in_row, possible_duplicate) = match settled {
        Settled::Kept => {
            let sql = "-- settle: keep
                UPDATE messages SET receipt = ?3 WHERE batch = ?1 AND idx = ?2";
            let row = params![batch.seq, index, to_json(receipt)];
            connection.prepare_cached(sql)?.execute(row)?;
            return Ok(());
        }
        Settled::Accepted {
            provider_id,
            possible_duplicate,
        } => (
            State::Accepted,
            provider_id,
            String::new(),
            false,
            possible_duplicate,
        ),
        Settled::Failed { reason, in_row } => {
            let note = to_json(&Note::Reason(reason));
            (State::Failed, String::new(), note, in_row, false)
        }
    };
    let sql = "-- settle
        UPDATE messages SET state = ?3, due_at = 0, changed_at = ?4, provider_id = ?5, note = ?6,
            in_row = ?7, possible_duplicate = ?8, held_until = 0, ask_at = 0
        WHERE batch = ?1 AND idx = ?2";
    connection.prepare_cached(sql)?.execute(params![
        batch.seq,
        index,
        state.as_str(),
        now.as_millis(),
        provider_id,
        note,
        in_row,
        possible_duplicate,
    ])?;
    let counts = tally.counts(batch.seq);
    match open.state {
        State::InFlight => counts.in_flight -= 1,
        // What waits of a cancelled batch is counted as cancelled from the first.
        State::Waiting if batch.is_cancelling => counts.reopened(State::Cancelled),
        before => counts.reopened(before),
    }
    counts.held -= i64::from(*is_held);
    counts.closed(state);
    Ok(())
}

/// Finishes a batch of which nothing is left; gives its id if that was so.
pub(super) fn finish_closed(
    connection: &Connection,
    seq: i64,
    now: Moment,
) -> rusqlite::Result<Option<BatchId>> {
    let sql = format!(
        "-- finish_closed
        UPDATE batches SET state = 'finished', finished_at = ?2
        WHERE seq = ?1 AND state = 'sending' AND held = 0 AND {ALL_CLOSED} RETURNING id"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let id = statement.query_row([seq, now.as_millis()], |row| {
        BatchId::parse(row.get_ref(0)?.as_str()?).ok_or_else(|| odd(0, "id"))
    });
    id.optional()
}
