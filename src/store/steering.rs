//! What somebody has paused, slowed down or cancelled, and what of it must survive a restart.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::arrivals::{odd, seq, to_json};
use super::messages::Chunks;
use super::{Error, Store, holding};
use crate::batch::{BatchId, Content, Message, Moment, Phone, TenantName};
use crate::delivery::Reason;
use crate::delivery::standing::{BatchState, Note};
use crate::delivery::steering::{By, Pause, Subject};

/// Messages that one step changes at most, so that no other verb waits long for it.
const STEP_MAX: i64 = 2_000;

/// A sender that the operator has made slower than its settings say.
#[derive(Clone, Debug, PartialEq)]
pub struct SenderLimit {
    /// The tenant.
    pub tenant: TenantName,
    /// Its number.
    pub number: Phone,
    /// Messages a second at most.
    pub per_second: f64,
}

/// What became of the wish to cancel a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// Nothing of it begins any more.
    Now {
        /// How many messages are not sent; 0 while its file is still being read.
        left: u64,
        /// How many had begun: they end as their answers say.
        in_flight: u64,
    },
    /// It had been cancelled before.
    Before,
    /// It had come to its end, as this state says.
    TooLate(BatchState),
    /// Nobody knows it.
    NoSuch,
}

/// How far a cancelled batch is from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settling {
    /// Nothing of it is in flight and nothing waits: it is `cancelled`.
    Done,
    /// Attempts that had begun have not ended.
    InFlight,
    /// Only messages are left that may have gone out, and that something may yet settle.
    Held,
    /// More messages wait than one step takes.
    More,
}

/// The reason that stands in the results of a message that was not sent.
pub(super) fn cancelled_reason() -> Reason {
    Reason::new(
        "policy.cancelled",
        "the batch was cancelled before the message was sent",
    )
}

impl Store {
    /// Pauses a subject, in place of an earlier pause of the same. A tenant's pause does not take
    /// the place of the operator's. Says whether this one counts.
    pub async fn pause(&self, pause: Pause) -> Result<bool, Error> {
        self.write(move |connection| keep_pause(connection, &pause))
            .await
    }

    /// Ends the pause of a subject; a tenant does not end the operator's. Says whether there was
    /// one to end.
    pub async fn resume(&self, subject: Subject, by: By) -> Result<bool, Error> {
        self.write(move |connection| end_pause(connection, &subject, by))
            .await
    }

    /// Every pause that is in force at `now`. Those that are over, and those of batches that have
    /// ended, are forgotten.
    pub async fn pauses(&self, now: Moment) -> Result<Vec<Pause>, Error> {
        self.write(move |connection| {
            let sql = "-- pauses: over
                DELETE FROM pauses WHERE until_at > 0 AND until_at <= ?1 OR scope = 'batch'
                    AND name IN (SELECT id FROM batches WHERE ended_at > 0)";
            connection.prepare_cached(sql)?.execute([now.as_millis()])?;
            let sql = "-- pauses
                SELECT scope, tenant, name, language, reason, paused_by, since_at, until_at
                FROM pauses ORDER BY since_at, scope, tenant, name, language";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map((), pause)?;
            rows.collect()
        })
        .await
    }

    /// Makes a sender slower than its settings say; `None` lets it be as they say.
    pub async fn limit(
        &self,
        tenant: TenantName,
        number: Phone,
        per_second: Option<f64>,
    ) -> Result<(), Error> {
        self.write(move |connection| {
            let (tenant, number) = (tenant.as_str(), number.as_str());
            let Some(per_second) = per_second else {
                let sql = "-- limit: none
                    DELETE FROM sender_limits WHERE tenant = ?1 AND number = ?2";
                connection
                    .prepare_cached(sql)?
                    .execute(params![tenant, number])?;
                return Ok(());
            };
            let sql = "-- limit
                INSERT INTO sender_limits (tenant, number, per_second) VALUES (?1, ?2, ?3)
                ON CONFLICT (tenant, number) DO UPDATE SET per_second = excluded.per_second";
            connection
                .prepare_cached(sql)?
                .execute(params![tenant, number, per_second])?;
            Ok(())
        })
        .await
    }

    /// Every sender that is slower than its settings say.
    pub async fn limits(&self) -> Result<Vec<SenderLimit>, Error> {
        self.read(|connection| {
            let sql = "-- limits
                SELECT tenant, number, per_second FROM sender_limits ORDER BY tenant, number";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map((), |row| {
                Ok(SenderLimit {
                    tenant: tenant(row, 0)?,
                    number: number(row, 1)?,
                    per_second: row.get(2)?,
                })
            })?;
            rows.collect()
        })
        .await
    }

    /// Cancels a batch, for a reason that may be empty. Once this has returned nothing of it begins
    /// any more; what had begun ends as its answer says.
    pub async fn cancel(
        &self,
        batch: BatchId,
        reason: String,
        now: Moment,
    ) -> Result<Cancelled, Error> {
        self.write(move |connection| begin_cancel(connection, &batch, &reason, now))
            .await
    }

    /// The batches that were cancelled and in which something is left to end.
    pub async fn cancelling(&self) -> Result<Vec<BatchId>, Error> {
        self.read(|connection| {
            let sql = "-- cancelling
                SELECT id FROM batches INDEXED BY batches_cancelling
                WHERE state = 'cancelling' ORDER BY seq";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map((), |row| batch_id(row, 0))?;
            rows.collect()
        })
        .await
    }

    /// Takes a batch that was cancelled a step towards its end.
    pub async fn settle_cancelled(&self, batch: BatchId, now: Moment) -> Result<Settling, Error> {
        self.write(move |connection| {
            let sql = "-- settle_cancelled
                SELECT seq FROM batches WHERE id = ?1 AND state = 'cancelling'";
            let mut statement = connection.prepare_cached(sql)?;
            let found = statement
                .query_row([batch.as_str()], |row| row.get(0))
                .optional()?;
            match found {
                Some(seq) => step_towards_cancelled(connection, seq, now),
                None => Ok(Settling::Done),
            }
        })
        .await
    }

    /// Lets the messages of a subject that wait for another try be tried at once. Returns how many
    /// there were.
    pub async fn retry(&self, subject: Subject, now: Moment) -> Result<u64, Error> {
        let mut hastened = 0;
        for batch in self.steered_batches(subject.clone()).await? {
            let mut from = (now.as_millis(), i64::MAX);
            loop {
                let asked = (batch.clone(), subject.clone());
                let page = self.waiting_page(asked, from).await?;
                let Some(last) = page.last else { break };
                from = last;
                let batch = batch.clone();
                hastened += self.hasten(batch, page.indices, now).await?;
            }
        }
        Ok(hastened)
    }

    /// The batches that are being sent and that belong to a subject, as a whole or in part.
    async fn steered_batches(&self, subject: Subject) -> Result<Vec<BatchId>, Error> {
        self.read(move |connection| {
            let (batch, tenant) = match &subject {
                Subject::Batch { batch } => (batch.as_str(), ""),
                Subject::Sender { tenant, .. }
                | Subject::Tenant { tenant }
                | Subject::Template { tenant, .. } => ("", tenant.as_str()),
            };
            let sql = "-- retry: batches
                SELECT id FROM batches WHERE ended_at = 0 AND state = 'sending'
                    AND (id = ?1 OR tenant = ?2) ORDER BY seq";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([batch, tenant], |row| batch_id(row, 0))?;
            rows.collect()
        })
        .await
    }

    /// The messages after `from` that wait for a later moment, and those of them that belong to
    /// the subject.
    async fn waiting_page(
        &self,
        (batch, subject): (BatchId, Subject),
        from: (i64, i64),
    ) -> Result<WaitingPage, Error> {
        self.read(move |connection| {
            let seq = seq(connection, &batch)?;
            let sql = "-- retry: waiting
                SELECT due_at, idx FROM messages INDEXED BY messages_due
                WHERE batch = ?1 AND state = 'waiting' AND (due_at, idx) > (?2, ?3)
                ORDER BY due_at, idx LIMIT ?4";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([seq, from.0, from.1, STEP_MAX], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
            let found: Vec<(i64, i64)> = rows.collect::<rusqlite::Result<_>>()?;
            let last = found.last().copied();
            let mut indices: Vec<i64> = found.into_iter().map(|(_, index)| index).collect();
            // In the order of the file, each chunk is read once.
            indices.sort_unstable();
            if matches!(subject, Subject::Sender { .. } | Subject::Template { .. }) {
                let mut chunks = Chunks::new(connection, seq);
                let mut wanted = Vec::with_capacity(indices.len());
                for index in indices {
                    let message = chunks.message(index as u64)?;
                    if message.is_some_and(|(message, _)| belongs(&message, &subject)) {
                        wanted.push(index);
                    }
                }
                indices = wanted;
            }
            Ok(WaitingPage { last, indices })
        })
        .await
    }

    async fn hasten(&self, batch: BatchId, indices: Vec<i64>, now: Moment) -> Result<u64, Error> {
        self.write(move |connection| {
            let seq = seq(connection, &batch)?;
            let sql = "-- retry: hasten
                UPDATE messages SET due_at = ?3
                WHERE batch = ?1 AND idx = ?2 AND state = 'waiting' AND due_at > ?3";
            let mut statement = connection.prepare_cached(sql)?;
            let mut hastened = 0;
            for index in &indices {
                hastened += statement.execute([seq, *index, now.as_millis()])? as u64;
            }
            Ok(hastened)
        })
        .await
    }
}

/// Keeps a pause; says whether it counts.
pub(super) fn keep_pause(connection: &Connection, pause: &Pause) -> rusqlite::Result<bool> {
    let (scope, tenant, name, language) = key(&pause.subject);
    let sql = "-- pause
        INSERT INTO pauses (scope, tenant, name, language, reason, paused_by, since_at, until_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
        ON CONFLICT (scope, tenant, name, language) DO UPDATE SET
            reason = excluded.reason, paused_by = excluded.paused_by,
            since_at = excluded.since_at, until_at = excluded.until_at
        WHERE excluded.paused_by = 'operator' OR pauses.paused_by = 'tenant'
            OR pauses.until_at > 0 AND pauses.until_at <= excluded.since_at";
    let changed = connection.prepare_cached(sql)?.execute(params![
        scope,
        tenant,
        name,
        language,
        pause.reason,
        pause.by.as_str(),
        pause.since.as_millis(),
        pause.until.map_or(0, Moment::as_millis),
    ])?;
    Ok(changed == 1)
}

/// Ends a pause; says whether there was one that `by` may end.
pub(super) fn end_pause(
    connection: &Connection,
    subject: &Subject,
    by: By,
) -> rusqlite::Result<bool> {
    let (scope, tenant, name, language) = key(subject);
    let sql = "-- resume
        DELETE FROM pauses WHERE scope = ?1 AND tenant = ?2 AND name = ?3 AND language = ?4
            AND (?5 = 'operator' OR paused_by = 'tenant')";
    let changed = connection.prepare_cached(sql)?.execute(params![
        scope,
        tenant,
        name,
        language,
        by.as_str()
    ])?;
    Ok(changed == 1)
}

/// Cancels a batch, as far as that can be done at once.
pub(super) fn begin_cancel(
    connection: &Connection,
    batch: &BatchId,
    reason: &str,
    now: Moment,
) -> rusqlite::Result<Cancelled> {
    let sql = "-- cancel: standing\nSELECT seq, state, cancelled_at FROM batches WHERE id = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_row([batch.as_str()], |row| {
        Ok((row.get(0)?, state(row, 1)?, row.get::<_, i64>(2)?))
    });
    let Some((seq, state, cancelled_at)) = found.optional()? else {
        return Ok(Cancelled::NoSuch);
    };
    if state.is_settled() && state != BatchState::Cancelled {
        return Ok(Cancelled::TooLate(state));
    }
    if cancelled_at != 0 {
        return Ok(Cancelled::Before);
    }
    // A file that waits for its `.done` is read now: its rows are to be told of.
    let sql = "-- cancel
        UPDATE batches SET cancelled_at = ?2, cancel_reason = ?3, waits_for_done = 0,
            state = CASE state WHEN 'sending' THEN 'cancelling' ELSE state END
        WHERE seq = ?1";
    connection
        .prepare_cached(sql)?
        .execute(params![seq, now.as_millis(), reason])?;
    if state == BatchState::Sending {
        step_towards_cancelled(connection, seq, now)?;
    }
    let sql = "-- cancel: left\nSELECT cancelled, in_flight FROM batches WHERE seq = ?1";
    connection.prepare_cached(sql)?.query_row([seq], |row| {
        let count = |at: usize| row.get::<_, i64>(at).map(|n| n.max(0) as u64);
        Ok(Cancelled::Now {
            left: count(0)?,
            in_flight: count(1)?,
        })
    })
}

/// A look at messages that wait.
struct WaitingPage {
    /// Where the next look begins; `None` if there was nothing.
    last: Option<(i64, i64)>,
    indices: Vec<i64>,
}

fn belongs(message: &Message, subject: &Subject) -> bool {
    match (subject, &message.content) {
        (Subject::Sender { number, .. }, _) => message.from == *number,
        (Subject::Template { name, language, .. }, Content::Template(filling)) => {
            let in_language = |language: &String| *language == filling.language;
            *name == filling.name && language.as_ref().is_none_or(in_language)
        }
        (Subject::Template { .. }, _) => false,
        (Subject::Batch { .. } | Subject::Tenant { .. }, _) => true,
    }
}

/// The short key of a batch that is being sent; `None` if it is not, so that nothing of it may
/// begin and nothing of what is left be counted any more.
pub(super) fn seq_if_sending(
    connection: &Connection,
    batch: &BatchId,
) -> rusqlite::Result<Option<i64>> {
    let sql = "-- seq_if_sending\nSELECT seq FROM batches WHERE id = ?1 AND state = 'sending'";
    connection
        .prepare_cached(sql)?
        .query_row([batch.as_str()], |row| row.get(0))
        .optional()
}

/// Takes messages that wait to their end, a bounded number of them, and everything that has not
/// been touched at once: those have no row, so that counting them is enough. When nothing is left,
/// the batch is cancelled.
fn step_towards_cancelled(
    connection: &Connection,
    seq: i64,
    now: Moment,
) -> rusqlite::Result<Settling> {
    // What may have gone out already is not reported as never sent.
    let sql = "-- step_towards_cancelled
        UPDATE messages SET due_at = 0, changed_at = ?2,
            state = CASE possible_duplicate WHEN 1 THEN 'unknown' ELSE 'cancelled' END,
            note = CASE possible_duplicate WHEN 1 THEN note ELSE ?3 END,
            held_until = CASE possible_duplicate WHEN 1 THEN ?5 ELSE 0 END,
            ask_at = CASE possible_duplicate WHEN 1 THEN ?6 ELSE 0 END
        WHERE batch = ?1 AND idx IN (SELECT idx FROM messages INDEXED BY messages_due
            WHERE batch = ?1 AND state = 'waiting' ORDER BY due_at LIMIT ?4)
        RETURNING possible_duplicate";
    let note = to_json(&Note::Reason(cancelled_reason()));
    let hold = holding::hold_of(connection, seq)?;
    let millis = |moment: Option<Moment>| moment.map_or(0, Moment::as_millis);
    let (held_until, ask_at) = (millis(hold.until(now)), millis(hold.first_ask(now)));
    let mut statement = connection.prepare_cached(sql)?;
    let (mut changed, mut unknown) = (0, 0);
    let row = params![seq, now.as_millis(), note, STEP_MAX, held_until, ask_at];
    let mut rows = statement.query(row)?;
    while let Some(row) = rows.next()? {
        changed += 1;
        unknown += row.get::<_, i64>(0)?;
    }
    let newly_held = if held_until > 0 { unknown } else { 0 };
    let sql = "-- step_towards_cancelled: count
        UPDATE batches SET unknown = unknown + ?2, held = held + ?3, cancelled = total - invalid
            - in_flight - accepted - failed - expired - suppressed - unknown - ?2
        WHERE seq = ?1 AND (?2 > 0 OR cancelled <> total - invalid - in_flight - accepted
            - failed - expired - suppressed - unknown)";
    connection
        .prepare_cached(sql)?
        .execute([seq, unknown, newly_held])?;
    let sql = "-- step_towards_cancelled: left\nSELECT in_flight, held FROM batches WHERE seq = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let (in_flight, awaited): (i64, i64) =
        statement.query_row([seq], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if changed == STEP_MAX {
        return Ok(Settling::More);
    }
    if in_flight > 0 {
        return Ok(Settling::InFlight);
    }
    if awaited > 0 {
        return Ok(Settling::Held);
    }
    let sql = "-- step_towards_cancelled: end
        UPDATE batches SET state = 'cancelled', finished_at = ?2 WHERE seq = ?1";
    connection
        .prepare_cached(sql)?
        .execute([seq, now.as_millis()])?;
    Ok(Settling::Done)
}

/// What a pause is found by.
fn key(subject: &Subject) -> (&'static str, &str, &str, &str) {
    let (tenant, name, language) = match subject {
        Subject::Batch { batch } => ("", batch.as_str(), ""),
        Subject::Sender { tenant, number } => (tenant.as_str(), number.as_str(), ""),
        Subject::Tenant { tenant } => (tenant.as_str(), "", ""),
        Subject::Template {
            tenant,
            name,
            language,
        } => {
            let language = language.as_deref().unwrap_or_default();
            (tenant.as_str(), name.as_str(), language)
        }
    };
    (subject.scope(), tenant, name, language)
}

fn pause(row: &Row<'_>) -> rusqlite::Result<Pause> {
    let scope: String = row.get(0)?;
    let subject = match scope.as_str() {
        "batch" => Subject::Batch {
            batch: batch_id(row, 2)?,
        },
        "sender" => Subject::Sender {
            tenant: tenant(row, 1)?,
            number: number(row, 2)?,
        },
        "tenant" => Subject::Tenant {
            tenant: tenant(row, 1)?,
        },
        "template" => Subject::Template {
            tenant: tenant(row, 1)?,
            name: row.get(2)?,
            language: Some(row.get(3)?).filter(|language: &String| !language.is_empty()),
        },
        _ => return Err(odd(0, "scope")),
    };
    let by: String = row.get(5)?;
    let until: i64 = row.get(7)?;
    Ok(Pause {
        subject,
        reason: row.get(4)?,
        by: By::ALL
            .into_iter()
            .find(|known| known.as_str() == by)
            .ok_or_else(|| odd(5, "paused_by"))?,
        since: Moment::from_millis(row.get(6)?),
        until: (until != 0).then(|| Moment::from_millis(until)),
    })
}

fn batch_id(row: &Row<'_>, column: usize) -> rusqlite::Result<BatchId> {
    BatchId::parse(row.get_ref(column)?.as_str()?).ok_or_else(|| odd(column, "id"))
}

pub(super) fn tenant(row: &Row<'_>, column: usize) -> rusqlite::Result<TenantName> {
    TenantName::parse(row.get_ref(column)?.as_str()?).ok_or_else(|| odd(column, "tenant"))
}

pub(super) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<Phone> {
    let text: String = row.get(column)?;
    serde_json::from_value(text.into()).map_err(|_| odd(column, "number"))
}

fn state(row: &Row<'_>, column: usize) -> rusqlite::Result<BatchState> {
    let word: String = row.get(column)?;
    BatchState::ALL
        .into_iter()
        .find(|known| known.as_str() == word)
        .ok_or_else(|| odd(column, "state"))
}
