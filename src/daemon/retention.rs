//! store → disk and store: the loop by which what is old goes.
//!
//! What is due is decided by `delivery::retention` from the tenant's settings and a wall clock that
//! is believed only while it does not jump. Files go before their rows, and rows in steps that the
//! store does between its other work, so each step can be done again after a crash. A batch that
//! has not ended is never touched, and neither is one whose tenant has no settings.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::intake::Intake;
use super::publishing::{Office, on_disk};
use super::{Alarm, journal};
use crate::admin::Figures;
use crate::batch::{BatchId, Moment, TenantName};
use crate::delivery::retention::{Belief, Kept, Retention};
use crate::inbox::Inbox;
use crate::store::{Aged, Error, Store};
use crate::{clock, crash};

mod files;

use files::Strays;

/// Batches that are claimed at once.
const CLAIM_MAX: u32 = 64;

/// Batches that are passed by in one look, because something of theirs cannot be removed.
const PASSED_BY_MAX: usize = 1_000;

/// The bounds of the pause after a step, which otherwise is as long as the step was: everything
/// else has at least half of the store's time.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How far the kept belief in the clock may lag behind: no look needs a write of its own.
const BELIEF_LAG: Duration = Duration::from_mins(1);

/// Files without a batch are looked for after so many looks for batches.
const STRAYS_AFTER_LOOKS: u32 = 36;

/// Whose things are kept, and how long.
#[derive(Debug)]
pub(super) struct Household {
    pub(super) tenant: TenantName,
    pub(super) retention: Retention,
    pub(super) office: Arc<Office>,
}

/// The loop by which what is old goes, and what it needs.
#[derive(Debug)]
pub(super) struct Retiring {
    pub(super) store: Store,
    pub(super) inbox: Inbox,
    pub(super) households: Vec<Household>,
    pub(super) figures: Arc<Figures>,
    pub(super) alarm: Alarm,
    pub(super) stop: CancellationToken,
}

/// What the loop knows of the wall clock.
struct Watch {
    belief: Belief,
    kept: Belief,
    looked_at: Option<Instant>,
}

impl Retiring {
    /// The loop for nobody, with what it shares with this one.
    pub(super) fn beside(intake: &Intake) -> Self {
        Self {
            store: intake.store.clone(),
            inbox: intake.inbox.clone(),
            households: Vec::new(),
            figures: Arc::clone(&intake.figures),
            alarm: intake.alarm.clone(),
            stop: intake.stop.clone(),
        }
    }

    /// Lets go what is old until stopped.
    pub(super) async fn run(self) -> Result<(), Error> {
        let _alarm = self.alarm.clone();
        let every = self.households.iter().map(|it| it.retention.look_every());
        let Some(look_every) = every.min() else {
            self.stop.cancelled().await;
            return Ok(());
        };
        let belief = self.store.belief().await?;
        let mut watch = Watch {
            belief,
            kept: belief,
            looked_at: None,
        };
        let mut looks = 0;
        while self.waits(look_every).await {
            let Some(now) = self.believed_now(&mut watch).await? else {
                continue;
            };
            for household in &self.households {
                self.let_go(household, now).await?;
                if looks % strays_after(household.retention) == 0 {
                    self.let_strays_go(household, now).await?;
                    self.media_goes(household, now).await?;
                }
            }
            looks = looks.wrapping_add(1);
            while !self.stop.is_cancelled() && self.paced(self.store.shrink()).await? {}
        }
        Ok(())
    }

    /// Waits so long; says whether to go on.
    async fn waits(&self, length: Duration) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(length) => true,
        }
    }

    /// What the wall clock says; `None` while that is doubted.
    async fn believed_now(&self, watch: &mut Watch) -> Result<Option<Moment>, Error> {
        let (now, steady) = (clock::now(), clock::steady());
        let passed = watch.looked_at.map(|at| steady.duration_since(at));
        watch.looked_at = Some(steady);
        let before = watch.belief;
        watch.belief = before.look(now, passed.unwrap_or_default());
        let is_doubted = watch.belief.is_doubted();
        if is_doubted != before.is_doubted() {
            match before.believed_at.filter(|_| is_doubted) {
                Some(believed_at) => journal::clock_doubted(believed_at, now),
                None => journal::clock_believed(),
            }
        }
        if is_doubted != watch.kept.is_doubted() || lags(watch.kept, watch.belief) {
            self.store.believe(watch.belief).await?;
            watch.kept = watch.belief;
        }
        Ok((!is_doubted).then_some(now))
    }

    /// Does one step, then leaves the store to others for as long.
    async fn paced<T>(&self, step: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let began = clock::steady();
        let done = step.await?;
        let took = clock::steady().duration_since(began);
        self.waits(took.clamp(PAUSE_MIN, PAUSE_MAX)).await;
        Ok(done)
    }

    /// Lets go everything of one tenant that is due, kind after kind.
    async fn let_go(&self, household: &Household, now: Moment) -> Result<(), Error> {
        for kept in Kept::ALL {
            let due = (kept, household.retention.due_until(kept, now));
            let mut passed_by: HashSet<BatchId> = HashSet::new();
            let mut gone = 0;
            while !self.stop.is_cancelled() && passed_by.len() < PASSED_BY_MAX {
                let limit = CLAIM_MAX + passed_by.len() as u32;
                let claimed = self
                    .store
                    .aged(household.tenant.clone(), due, limit)
                    .await?;
                let is_last = claimed.len() < limit as usize;
                let mut claimed = claimed;
                claimed.retain(|aged| !passed_by.contains(&aged.arrival.batch));
                if claimed.is_empty() {
                    break;
                }
                gone += match kept {
                    Kept::Processed | Kept::Results => {
                        self.files_go(household, kept, claimed, &mut passed_by)
                            .await?
                    }
                    Kept::Content => self.content_goes(claimed).await?,
                    Kept::History => self.history_goes(claimed).await?,
                };
                if is_last {
                    break;
                }
            }
            self.tell(&household.tenant, kept.as_str(), gone);
            if kept == Kept::Content && gone > 0 {
                self.media_goes(household, now).await?;
            }
        }
        Ok(())
    }

    fn tell(&self, tenant: &TenantName, what: &'static str, gone: u64) {
        if gone > 0 {
            journal::purged(tenant, what, gone);
            self.figures.purged(what, gone);
        }
    }

    /// Removes the files of these batches, then notes that they have gone. Batches of which a file
    /// stays are passed by. Returns how many files have gone.
    async fn files_go(
        &self,
        household: &Household,
        kept: Kept,
        claimed: Vec<Aged>,
        passed_by: &mut HashSet<BatchId>,
    ) -> Result<u64, Error> {
        let (office, inbox) = (Arc::clone(&household.office), self.inbox.clone());
        let batches: Vec<BatchId> = claimed.iter().map(|it| it.arrival.batch.clone()).collect();
        let removed = on_disk(move || files::remove(&office, &inbox, kept, &claimed)).await;
        let removed = match removed {
            Ok(removed) => removed,
            Err(error) => {
                journal::purge_failed(&household.tenant, &super::chain(&error));
                passed_by.extend(batches);
                return Ok(0);
            }
        };
        for (batch, error) in removed.stay {
            journal::purge_failed(&household.tenant, &super::chain(&error));
            passed_by.insert(batch);
        }
        crash::point("purge-files-removed");
        let mut gone = batches;
        gone.retain(|batch| !passed_by.contains(batch));
        self.paced(self.store.files_gone(gone, kept)).await?;
        crash::point("purge-files-noted");
        Ok(removed.files)
    }

    /// Returns of how many batches the content has gone.
    async fn content_goes(&self, claimed: Vec<Aged>) -> Result<u64, Error> {
        let mut gone = 0;
        for batch in claimed.into_iter().map(|aged| aged.arrival.batch) {
            while self.paced(self.store.purge_messages(batch.clone())).await? {
                crash::point("purge-messages-step");
                if self.stop.is_cancelled() {
                    return Ok(gone);
                }
            }
            let mut from = Some(0);
            while let Some(index) = from {
                from = self
                    .paced(self.store.purge_notes(batch.clone(), index))
                    .await?;
                crash::point("purge-notes-step");
                if self.stop.is_cancelled() {
                    return Ok(gone);
                }
            }
            gone += 1;
        }
        Ok(gone)
    }

    /// Removes the files that no batch of the tenant needs any more, uploads of such files that
    /// were given up, and ids that providers have forgotten.
    async fn media_goes(&self, household: &Household, now: Moment) -> Result<(), Error> {
        let tenant = household.tenant.clone();
        let office = Arc::clone(&household.office);
        let listed = on_disk(move || {
            files::remove_abandoned(&office, now)?;
            Ok(office.desk.media.begin_sweep(&tenant)?)
        });
        let tenant = &household.tenant;
        let failed = |error| journal::purge_failed(tenant, &super::chain(&error));
        let listed = listed.await.map_err(failed).unwrap_or_default();
        let mut gone = 0;
        for files in listed.chunks(CLAIM_MAX as usize) {
            if self.stop.is_cancelled() {
                return Ok(());
            }
            let mut files = files.to_vec();
            let needed = self.store.media_needed(tenant.clone(), files.clone());
            let needed = self.paced(needed).await?;
            files.retain(|file| !needed.contains(file));
            let (desk, whose) = (Arc::clone(&household.office.desk), tenant.clone());
            let removed = on_disk(move || Ok(desk.media.remove(&whose, &files)?));
            gone += removed.await.map_err(failed).unwrap_or_default();
        }
        self.tell(tenant, "media", gone);
        self.store.forget_old_media_ids(now).await
    }

    /// Returns how many batches nothing is known of any more.
    async fn history_goes(&self, claimed: Vec<Aged>) -> Result<u64, Error> {
        let mut gone = 0;
        for batch in claimed.into_iter().map(|aged| aged.arrival.batch) {
            while self.paced(self.store.purge_history(batch.clone())).await? {
                crash::point("purge-history-step");
                if self.stop.is_cancelled() {
                    return Ok(gone);
                }
            }
            crash::point("purge-history-done");
            gone += 1;
        }
        Ok(gone)
    }

    /// Removes old files that belong to no batch, by when they were written.
    async fn let_strays_go(&self, household: &Household, now: Moment) -> Result<(), Error> {
        for (kept, folder) in files::FOLDERS {
            if self.stop.is_cancelled() {
                return Ok(());
            }
            let until = household.retention.due_until(kept, now);
            let office = Arc::clone(&household.office);
            let found = on_disk(move || Strays::find(&office, folder, until)).await;
            let (tenant, office) = (&household.tenant, Arc::clone(&household.office));
            let mut strays = match found {
                Ok(strays) => strays,
                Err(error) => {
                    journal::purge_failed(tenant, &super::chain(&error));
                    continue;
                }
            };
            for batches in strays.batches().chunks(CLAIM_MAX as usize) {
                let known = self.store.with_files(batches.to_vec(), kept).await?;
                strays.spare(&known);
            }
            match on_disk(move || strays.remove(&office)).await {
                Ok(gone) => self.tell(tenant, kept.as_str(), gone),
                Err(error) => journal::purge_failed(tenant, &super::chain(&error)),
            }
        }
        Ok(())
    }
}

/// After how many looks for batches it is worth to look for files without one. To list long folders
/// takes a while; where things are kept for seconds, nobody has long folders.
fn strays_after(retention: Retention) -> u32 {
    if retention.look_every() <= PAUSE_MAX {
        1
    } else {
        STRAYS_AFTER_LOOKS
    }
}

/// Whether the kept belief is too far behind to be of use after a crash.
fn lags(kept: Belief, belief: Belief) -> bool {
    let apart = |one: Option<Moment>, other: Option<Moment>| {
        let millis = |moment: Option<Moment>| moment.map_or(0, Moment::as_millis);
        millis(one).abs_diff(millis(other)) > BELIEF_LAG.as_millis() as u64
    };
    apart(kept.believed_at, belief.believed_at) || apart(kept.doubted_at, belief.doubted_at)
}
