//! store → provider → delivery → store: the loop behind messages that may have gone out. It asks
//! providers that can be asked about them, and ends their hold when nothing has said in time what
//! became of them. Both go by the store alone, so a crash costs no more than one question.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::outlet::Outlet;
use super::receiving::Settler;
use super::{Alarm, journal};
use crate::batch::TenantName;
use crate::clock;
use crate::config::Tenant;
use crate::delivery::AttemptId;
use crate::delivery::settling::Hold;
use crate::provider::ASKED_MAX;
use crate::store::Error;

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Questions under way at once. While there are so many no others are begun, so that a provider
/// that does not answer is not asked ever more.
const QUESTIONS_MAX: usize = 16;

/// How long questions under way may take when the service stops; they are asked again.
const STOP_MAX: Duration = Duration::from_millis(500);

/// The loop, and what it needs.
#[derive(Debug)]
pub(super) struct Settling {
    pub(super) settler: Settler,
    pub(super) outlets: BTreeMap<TenantName, Arc<Outlet>>,
    pub(super) alarm: Alarm,
    pub(super) stop: CancellationToken,
}

/// How messages of a tenant are held that may have gone out: only where something can settle them.
pub(super) fn hold(tenant: &Tenant, outlet: &Outlet, is_listening: bool) -> Hold {
    let is_asked = outlet.adapter().can_be_asked();
    let can_be_settled = is_asked || is_listening && tenant.provider.callbacks.can_prove();
    Hold {
        length: if can_be_settled {
            tenant.unknown_hold
        } else {
            Duration::ZERO
        },
        is_asked,
    }
}

impl Settling {
    /// Asks and releases until stopped.
    pub(super) async fn run(self) -> Result<(), Error> {
        let questions = TaskTracker::new();
        while !self.stop.is_cancelled() {
            let is_more = self.release().await?;
            self.ask(&questions).await?;
            self.settler.finish().await?;
            let wait = if is_more { Duration::ZERO } else { LOOK_EVERY };
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        questions.close();
        let _ = tokio::time::timeout(STOP_MAX, questions.wait()).await;
        Ok(())
    }

    /// Ends holds that are over. Says whether there are more.
    async fn release(&self) -> Result<bool, Error> {
        let released = self.settler.store.release(clock::now()).await?;
        if released.messages > 0 {
            journal::released_unknown(released.messages);
            let figures = self.settler.figures.receiving();
            figures.settled("hold", "unknown", released.messages);
            self.settler.changed.notify_one();
        }
        for batch in &released.finished {
            journal::finished(batch);
        }
        Ok(released.is_more)
    }

    /// Asks about messages whose turn it is, each tenant's provider about its own.
    async fn ask(&self, questions: &TaskTracker) -> Result<(), Error> {
        let free = QUESTIONS_MAX.saturating_sub(questions.len());
        if free == 0 {
            return Ok(());
        }
        let due = self
            .settler
            .store
            .ask(clock::now(), free * ASKED_MAX)
            .await?;
        let mut by_tenant: BTreeMap<TenantName, Vec<AttemptId>> = BTreeMap::new();
        for questioned in due {
            let tries = by_tenant.entry(questioned.tenant).or_default();
            tries.extend(questioned.tries);
        }
        for (tenant, tries) in by_tenant {
            let Some(outlet) = self.outlets.get(&tenant) else {
                continue;
            };
            for ids in tries.chunks(ASKED_MAX) {
                let (settler, outlet) = (self.settler.clone(), Arc::clone(outlet));
                let (ids, tenant) = (ids.to_vec(), tenant.clone());
                let alarm = self.alarm.clone();
                questions.spawn(async move {
                    let _alarm = alarm;
                    let receipts = outlet.ask(&ids).await;
                    // A store that fails ends the daemon by itself.
                    let _ = settler.settle(receipts, vec![tenant], "asked").await;
                });
            }
        }
        Ok(())
    }
}
