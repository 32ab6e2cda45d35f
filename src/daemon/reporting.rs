//! store → report → disk: the loop that answers.
//!
//! Statuses follow how batches stand. When a batch has nothing left to do, its files are put in
//! place in a fixed order (results, retry file, the file itself, the visible name gone, last
//! status) and only then is it ended. Each step can be done again after a crash: what was put in
//! place is known by its publication.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::desk::OperatorDesk;
use super::dispatch::Held;
use super::publishing::{Error, Office, Publisher, on_disk};
use super::{Alarm, journal, lock};
use crate::batch::{BatchId, Moment, TenantName};
use crate::clock;
use crate::delivery::standing::{BatchStanding, BatchState, Counts};
use crate::delivery::view::Binding;
use crate::inbox::Inbox;
use crate::report::{self, Hindrance, Outlook};
use crate::store::{self, Store};
use crate::{crash, disk};

/// The least time between two statuses of a batch whose state has not changed.
const STATUS_EVERY: Duration = Duration::from_secs(2);

/// How long the loop sleeps at least between two looks, so that a busy batch does not keep it busy.
const LOOK_AT_MOST_EVERY: Duration = Duration::from_millis(200);

/// How long it sleeps when nothing nudges it.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Batches that are being closed at once; most of them wait.
const CLOSES_MAX: usize = 1_000;

/// Messages that wait for longer than this are told to stand still.
const STANDS_STILL: Duration = Duration::from_secs(5);

/// How long last files under way may take when the daemon stops; the next start begins them anew.
const STOP_MAX: Duration = Duration::from_millis(700);

/// How long a batch whose last files could not be written is left alone.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// The loop that answers, and what it needs.
#[derive(Debug)]
pub(super) struct Reporting {
    pub(super) store: Store,
    pub(super) inbox: Inbox,
    pub(super) offices: BTreeMap<TenantName, Arc<Office>>,
    pub(super) publisher: Publisher,
    /// Why batches stand still.
    pub(super) held: Held,
    pub(super) desk: Arc<OperatorDesk>,
    /// Nudged when something about a batch has changed.
    pub(super) changed: Arc<Notify>,
    pub(super) alarm: Alarm,
    pub(super) stop: CancellationToken,
}

/// The last status written for a batch.
#[derive(Clone, Debug)]
struct Told {
    state: &'static str,
    counts: Counts,
    held: String,
    warnings: usize,
    /// `None` to have it told again.
    at: Option<Instant>,
}

/// The batches whose last files are being written.
#[derive(Clone, Debug)]
struct Closing {
    batches: Arc<Mutex<HashSet<BatchId>>>,
    tasks: TaskTracker,
}

impl Reporting {
    /// Reports until stopped, and once more then.
    pub(super) async fn run(self) -> Result<(), store::Error> {
        let this = Arc::new(self);
        let mut told: HashMap<BatchId, Told> = HashMap::new();
        let closing = Closing {
            batches: Arc::default(),
            tasks: TaskTracker::new(),
        };
        while !this.stop.is_cancelled() {
            tokio::select! {
                () = this.stop.cancelled() => {}
                looked = this.look(&mut told, &closing) => looked?,
            }
            tokio::select! {
                () = this.stop.cancelled() => {}
                () = tokio::time::sleep(LOOK_AT_MOST_EVERY) => {}
            }
            tokio::select! {
                () = this.stop.cancelled() => {}
                () = this.changed.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
        // What the last statuses say must be how things stand.
        for told in told.values_mut() {
            told.at = None;
        }
        if let Ok(looked) = tokio::time::timeout(STOP_MAX, this.look(&mut told, &closing)).await {
            looked?;
        }
        closing.tasks.close();
        let _ = tokio::time::timeout(STOP_MAX, closing.tasks.wait()).await;
        Ok(())
    }

    /// Looks at every open batch once.
    async fn look(
        self: &Arc<Self>,
        told: &mut HashMap<BatchId, Told>,
        closing: &Closing,
    ) -> Result<(), store::Error> {
        let open = self.store.open_batches().await?;
        let ids: HashSet<&BatchId> = open
            .iter()
            .map(|standing| &standing.arrival.batch)
            .collect();
        told.retain(|batch, _| ids.contains(batch));
        for standing in &open {
            let Some(office) = self.offices.get(&standing.arrival.tenant) else {
                continue;
            };
            if standing.state.is_settled() {
                self.begin_close(office, standing, closing);
                continue;
            }
            let batch = &standing.arrival.batch;
            match self.report(office, standing, told.get(batch)).await {
                Ok(Some(new)) => drop(told.insert(batch.clone(), new)),
                Ok(None) => {}
                Err(Error::Store(error)) => return Err(error),
                Err(error) => journal::report_failed(batch, &super::chain(&error)),
            }
        }
        Ok(())
    }

    /// Writes what is due for a batch that goes on; returns what was told if a status was written.
    async fn report(
        &self,
        office: &Arc<Office>,
        standing: &BatchStanding,
        told: Option<&Told>,
    ) -> Result<Option<Told>, Error> {
        let sends = matches!(standing.state, BatchState::Sending | BatchState::Cancelling);
        if sends && standing.fault_count > 0 {
            self.publisher.errors(office, standing).await?;
        }
        let waits = || standing.waits_until(clock::now()).map(Hindrance::Scheduled);
        let (hindrance, held) = match self.desk.hindrance(standing) {
            Some((hindrance, why)) => (Some(hindrance), why),
            None => (waits(), self.held(standing).await?),
        };
        let state = report::state_word(standing, hindrance);
        let now = clock::steady();
        if let Some(told) = told {
            let same = told.counts == standing.counts
                && told.held == held
                && told.warnings == standing.warnings.len();
            let soon = told
                .at
                .is_some_and(|at| now.duration_since(at) < STATUS_EVERY);
            if told.state == state && (same || soon) {
                return Ok(None);
            }
        }
        let outlook = Outlook {
            is_final: false,
            // Nobody can say for how long what stands still will do so.
            estimated_end_at: estimate(standing, clock::now()).filter(|_| held.is_empty()),
            files: self.files(standing).await?,
            held: held.clone(),
            hindrance,
        };
        self.write_status(office, standing, &outlook).await?;
        let counts = standing.counts;
        Ok(Some(Told {
            state,
            counts,
            held,
            warnings: standing.warnings.len(),
            at: Some(now),
        }))
    }

    /// Why a batch does not go on, and until when, in a sentence; empty when it does.
    async fn held(&self, standing: &BatchStanding) -> Result<String, Error> {
        if matches!(standing.state, BatchState::Received | BatchState::Checking) {
            return Ok(self.desk.held_before_sending(standing));
        }
        if let Some((messages, until)) = standing.waits_for_receipts() {
            return Ok(Binding::Receipts(messages, until).to_string());
        }
        let batch = &standing.arrival.batch;
        let held = lock(&self.held).get(batch).cloned().unwrap_or_default();
        let stands_still = standing.state == BatchState::Sending
            && standing.counts.in_flight == 0
            && standing.counts.waiting() > 0;
        if !held.is_empty() || !stands_still {
            return Ok(held);
        }
        // Nothing is under way, and nothing holds the sender: the messages themselves wait.
        let Some((due_at, reason)) = self.store.next_try(batch.clone()).await? else {
            return Ok(held);
        };
        let far_ms = i64::try_from(STANDS_STILL.as_millis()).unwrap_or(i64::MAX);
        if due_at < clock::now().plus_ms(far_ms) {
            return Ok(held);
        }
        Ok(format!(
            "{} ({}); next try at {due_at}",
            reason.title, reason.code
        ))
    }

    /// Begins to write the last files of a batch, unless that is under way.
    fn begin_close(
        self: &Arc<Self>,
        office: &Arc<Office>,
        standing: &BatchStanding,
        closing: &Closing,
    ) {
        let batch = standing.arrival.batch.clone();
        {
            let mut batches = lock(&closing.batches);
            if batches.len() == CLOSES_MAX || !batches.insert(batch.clone()) {
                return;
            }
        }
        let (this, office, standing) = (Arc::clone(self), Arc::clone(office), standing.clone());
        let (batches, alarm) = (Arc::clone(&closing.batches), self.alarm.clone());
        closing.tasks.spawn(async move {
            let _alarm = alarm;
            match this.close(&office, &standing).await {
                // A store that fails ends the daemon by itself.
                Ok(()) | Err(Error::Store(_)) => {}
                Err(error) => {
                    journal::report_failed(&batch, &super::chain(&error));
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
            }
            lock(&batches).remove(&batch);
        });
    }

    /// Puts the last files of a batch in place and ends it.
    async fn close(&self, office: &Arc<Office>, standing: &BatchStanding) -> Result<(), Error> {
        let batch = &standing.arrival.batch;
        if self.store.has_ended(batch.clone()).await? {
            // Closed since the list was made that it stands in.
            return Ok(());
        }
        if standing.fault_count > 0 || standing.refusal.is_some() {
            self.publisher.errors(office, standing).await?;
        }
        let refused = matches!(standing.state, BatchState::Rejected | BatchState::Duplicate);
        {
            let _turn = self.publisher.turn().await?;
            if standing.state == BatchState::Checked {
                self.publisher.dry_run(office, standing).await?;
            } else if !refused {
                self.publisher.results(office, standing).await?;
                self.publisher.retry(office, standing).await?;
            }
        }
        let folder = if refused { "errors" } else { "processed" };
        self.publisher.file(office, standing, folder).await?;
        self.publisher
            .remove_visible_names(office, standing, folder)
            .await?;
        let mut files = self.files(standing).await?;
        files.push(kept_status(standing));
        let outlook = Outlook {
            is_final: true,
            files,
            ..Outlook::default()
        };
        // Writing long results takes a while, and the name may have a newer file by now.
        let standing = self
            .store
            .batch(batch.clone())
            .await?
            .unwrap_or_else(|| standing.clone());
        self.write_status(office, &standing, &outlook).await?;
        crash::point("status-final");
        self.store.end(batch.clone(), clock::now()).await?;
        crash::point("ended");
        journal::ended(&standing);
        let inbox = self.inbox.clone();
        on_disk(move || Ok(inbox.release(&standing.arrival)?)).await
    }

    async fn files(&self, standing: &BatchStanding) -> Result<Vec<String>, Error> {
        Ok(self
            .store
            .publications(standing.arrival.batch.clone())
            .await?)
    }

    /// Replaces the status of the name, unless a newer file has it; when the batch has ended, keeps
    /// it under the batch's own name too.
    async fn write_status(
        &self,
        office: &Arc<Office>,
        standing: &BatchStanding,
        outlook: &Outlook,
    ) -> Result<(), Error> {
        let text = report::status(standing, outlook);
        let mut names = Vec::new();
        if outlook.is_final {
            names.push(kept_status(standing));
        }
        if !standing.superseded {
            names.push(format!("results/{}.status.json", standing.arrival.name));
        }
        let office = Arc::clone(office);
        on_disk(move || {
            let folder = &office.folder;
            let _others = office.statuses.read();
            names.iter().try_for_each(|name| {
                disk::write_whole(&folder.join(name), &text).map_err(|source| Error::Write {
                    path: folder.join(name),
                    source,
                })
            })
        })
        .await
    }
}

/// Where the last status of a batch is kept, beneath `whatsapp/`.
fn kept_status(standing: &BatchStanding) -> String {
    report::path(&standing.arrival, "results", ".status.json")
}

/// When the batch will probably have ended, by how fast it has gone until `now`.
fn estimate(standing: &BatchStanding, now: Moment) -> Option<Moment> {
    let counts = standing.counts;
    let sent = counts.closed().saturating_sub(counts.invalid);
    let started = standing.started_at.filter(|_| sent > 0)?;
    let spent_ms = now.as_millis().saturating_sub(started.as_millis()).max(1);
    let left = counts.waiting() + counts.in_flight;
    Some(now.plus_ms((spent_ms as f64 / sent as f64 * left as f64) as i64))
}
