//! receipts → delivery → store: whose callback it is, and what its receipts settle.
//!
//! A callback is answered with 200 once what it settles is on disk. One that does not show that it
//! is the provider's is counted and forgotten: nothing of it is read or told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::outlet::Outlet;
use super::{journal, lock};
use crate::admin::Figures;
use crate::batch::{BatchId, TenantName};
use crate::clock;
use crate::config::Tenant;
use crate::delivery::receipt::{Callback, Receipt};
use crate::provider::{CallbackSecrets, Kind, Proof};
use crate::receipts::{Answer, Ear, Refused, Wants};
use crate::store::{Error, Finish, Heeded, Store};

/// Receipts that are settled together.
const TOGETHER_MAX: usize = 1_000;

/// Batches that are looked at again after something of them was settled. One that is not finishes
/// when the answer that is waited for has come, or when the service starts again.
const UNFINISHED_MAX: usize = 10_000;

/// A tenant as its provider's callbacks know it.
#[derive(Debug)]
struct Addressee {
    kind: Kind,
    outlet: Arc<Outlet>,
    secrets: CallbackSecrets,
}

/// Has receipts settle messages, whoever brought them.
#[derive(Clone, Debug)]
pub(super) struct Settler {
    pub(super) store: Store,
    pub(super) figures: Arc<Figures>,
    /// Nudges the reports.
    pub(super) changed: Arc<Notify>,
    /// Batches of which something was settled, and which are not known to be finished.
    unfinished: Arc<Mutex<BTreeSet<BatchId>>>,
}

impl Settler {
    pub(super) fn new(store: Store, figures: Arc<Figures>, changed: Arc<Notify>) -> Self {
        Self {
            store,
            figures,
            changed,
            unfinished: Arc::default(),
        }
    }

    /// Finishes batches of which a receipt has settled the last message that was in flight: whoever
    /// sends waits for its answer yet, which may come late or never.
    pub(super) async fn finish(&self) -> Result<(), Error> {
        let unfinished: Vec<BatchId> = lock(&self.unfinished).iter().cloned().collect();
        for batch in unfinished {
            let finish = self.store.finish(batch.clone(), clock::now()).await?;
            if finish == Finish::Finished {
                journal::finished(&batch);
                self.changed.notify_one();
            }
            if finish != Finish::NotYet {
                lock(&self.unfinished).remove(&batch);
            }
        }
        Ok(())
    }

    /// Has receipts settle what they can of the messages of these tenants.
    pub(super) async fn settle(
        &self,
        receipts: Vec<Receipt>,
        tenants: Vec<TenantName>,
        by: &'static str,
    ) -> Result<(), Error> {
        let mut left = receipts.into_iter();
        loop {
            let receipts: Vec<Receipt> = left.by_ref().take(TOGETHER_MAX).collect();
            if receipts.is_empty() {
                return Ok(());
            }
            let settled = self
                .store
                .settle(receipts.clone(), tenants.clone(), clock::now());
            let (heeded, finished) = settled.await?;
            for (receipt, heeded) in receipts.iter().zip(heeded) {
                self.tell(receipt, heeded, by);
                if let (Heeded::Settled(_), Some(attempt)) = (heeded, &receipt.attempt) {
                    let mut unfinished = lock(&self.unfinished);
                    if unfinished.len() < UNFINISHED_MAX {
                        unfinished.insert(attempt.batch.clone());
                    }
                }
            }
            for batch in &finished {
                journal::finished(batch);
            }
        }
    }

    fn tell(&self, receipt: &Receipt, heeded: Heeded, by: &'static str) {
        let effect = match heeded {
            Heeded::Settled(_) => "settled",
            Heeded::Kept => "kept",
            Heeded::Known => "none",
            Heeded::Strange => "unmatched",
        };
        let figures = self.figures.receiving();
        figures.receipt(receipt.says.as_str(), effect);
        if let Heeded::Settled(state) = heeded {
            figures.settled(by, state.as_str(), 1);
            self.changed.notify_one();
            if let Some(attempt) = receipt
                .attempt
                .as_ref()
                .filter(|_| journal::tells_attempts())
            {
                journal::settled(attempt, state.as_str(), by);
            }
        }
    }
}

/// Hears callbacks.
#[derive(Debug)]
pub(super) struct Receiving {
    settler: Settler,
    addressees: BTreeMap<TenantName, Addressee>,
}

impl Receiving {
    pub(super) fn new(
        settler: Settler,
        tenants: &[Tenant],
        outlets: &BTreeMap<TenantName, Arc<Outlet>>,
    ) -> Self {
        let addressee = |tenant: &Tenant| {
            let addressee = Addressee {
                kind: tenant.provider.kind(),
                outlet: Arc::clone(&outlets[&tenant.name]),
                secrets: tenant.provider.callbacks.clone(),
            };
            (tenant.name.clone(), addressee)
        };
        Self {
            settler,
            addressees: tenants.iter().map(addressee).collect(),
        }
    }

    /// It, as the door for callbacks knows it.
    pub(super) fn ear(self) -> Ear {
        let this = Arc::new(self);
        let figures = Arc::clone(&this.settler.figures);
        Ear {
            hear: Arc::new(move |wants, callback| {
                let this = Arc::clone(&this);
                Box::pin(async move { this.hear(wants, callback).await })
            }),
            refused: Arc::new(move |why| figures.receiving().refused(why.as_str())),
        }
    }

    async fn hear(&self, wants: Wants, callback: Callback) -> Result<Answer, Refused> {
        if wants == Wants::Challenged {
            return self.challenged(&callback);
        }
        let (receipts, tenants) = self.read(&callback)?;
        let settled = self.settler.settle(receipts, tenants, "receipt").await;
        // A store that fails ends the service; the provider says it again.
        settled.map_err(|_| Refused::Unavailable)?;
        Ok(Answer::Taken)
    }

    fn challenged(&self, callback: &Callback) -> Result<Answer, Refused> {
        let called = self.called(callback)?;
        let mut answers = called.into_iter().filter_map(|(_, addressee)| {
            let adapter = addressee.outlet.adapter();
            adapter.challenge(callback, &addressee.secrets)
        });
        let answer = answers.next().map(Answer::Challenge);
        answer.ok_or(Refused::Unproven)
    }

    /// The receipts in a callback, and the tenants whose it shows that it is.
    fn read(&self, callback: &Callback) -> Result<(Vec<Receipt>, Vec<TenantName>), Refused> {
        let mut proven = self.called(callback)?;
        proven.retain(|(way, addressee)| addressee.is_proven(*way, callback));
        // Those of one kind read callbacks alike.
        let (_, first) = proven.first().ok_or(Refused::Unproven)?;
        let receipts = first.outlet.adapter().receipts(callback);
        let tenants = proven.iter();
        let tenants = tenants.map(|(_, addressee)| addressee.outlet.tenant().clone());
        Ok((receipts, tenants.collect()))
    }

    /// The tenants that a callback may be for, by where it was sent.
    fn called(&self, callback: &Callback) -> Result<Vec<(Way, &Addressee)>, Refused> {
        let path = callback.target.split('?').next().unwrap_or_default();
        let mut parts = path.trim_start_matches('/').split('/').skip(1);
        let (first, secret) = (parts.next().unwrap_or_default(), parts.next());
        let called: Vec<(Way, &Addressee)> = if let Some(secret) = secret {
            let tenant = TenantName::parse(first);
            let found = tenant.and_then(|tenant| self.addressees.get(&tenant));
            let found = found.filter(|addressee| addressee.secrets.path.is(secret));
            found.into_iter().map(|it| (Way::Secret, it)).collect()
        } else {
            let all = self.addressees.values();
            let of_kind = all.filter(|it| it.kind.as_str() == first && it.secrets.signs());
            of_kind.map(|it| (Way::Provider, it)).collect()
        };
        if called.is_empty() {
            return Err(Refused::NoSuch);
        }
        Ok(called)
    }
}

/// How a callback came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// By the path that all tenants of a provider share.
    Provider,
    /// By the path that only the tenant's provider knows.
    Secret,
}

impl Addressee {
    /// Whether a callback shows that it comes from this tenant's provider. Where callbacks are
    /// signed, knowing the path is not enough.
    fn is_proven(&self, way: Way, callback: &Callback) -> bool {
        match self.outlet.adapter().verify(callback, &self.secrets) {
            Proof::Signed => true,
            Proof::Unsigned => way == Way::Secret,
            Proof::Wrong => false,
        }
    }
}
