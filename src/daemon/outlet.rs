//! What sends for one tenant: its adapter, its connections, and a record of what left from each of
//! its numbers. Which message goes next is for `dispatch` to know.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::lock;
use crate::batch::{Phone, TenantName};
use crate::clock;
use crate::delivery::pace::Record;
use crate::delivery::sending::{Going, Item, Way};
use crate::delivery::window::QuietHours;
use crate::delivery::{AttemptId, Outcome, Policy, Sender};
use crate::provider::http::Client;
use crate::provider::{Adapter, Reply, Request};

/// Everything that sends for one tenant.
#[derive(Debug)]
pub(super) struct Outlet {
    tenant: TenantName,
    adapter: Adapter,
    client: Client,
    policy: Policy,
    quiet_hours: Arc<[QuietHours]>,
    doors: HashMap<Phone, Door>,
}

/// One sender's way out.
#[derive(Debug)]
struct Door {
    sender: Sender,
    /// Its place in the settings, from 1.
    place: usize,
    record: Mutex<Record>,
}

impl Outlet {
    pub(super) fn new(
        tenant: TenantName,
        adapter: Adapter,
        client: Client,
        (policy, quiet_hours): (Policy, Arc<[QuietHours]>),
        senders: &[Sender],
    ) -> Self {
        let door = |(place, sender): (usize, &Sender)| {
            let door = Door {
                sender: sender.clone(),
                place,
                record: Mutex::default(),
            };
            (sender.number.clone(), door)
        };
        Self {
            tenant,
            adapter,
            client,
            policy,
            quiet_hours,
            doors: (1..).zip(senders).map(door).collect(),
        }
    }

    pub(super) fn tenant(&self) -> &TenantName {
        &self.tenant
    }

    /// The rate that is set for a number; `None` if it is not the tenant's.
    pub(super) fn rate(&self, number: &Phone) -> Option<f64> {
        Some(self.doors.get(number)?.sender.messages_per_second)
    }

    /// A number as the journal may tell it, which no number may stand in: by the provider's own id
    /// for it, or by its place in the settings. `None` if it is not the tenant's.
    pub(super) fn sender_named(&self, number: &Phone) -> Option<String> {
        let door = self.doors.get(number)?;
        let id = &door.sender.provider_id;
        // Some providers know a number by itself.
        let is_number = id.trim_start_matches('+') == number.as_str().trim_start_matches('+');
        Some(if id.is_empty() || is_number {
            format!("sender no. {}", door.place)
        } else {
            format!("sender {id}")
        })
    }

    /// How its messages leave.
    pub(super) fn way(&self) -> Way {
        Way {
            endpoint: self.adapter.endpoint().to_owned(),
            policy: self.policy,
            bulk_max: self.adapter.bulk_max(),
            quiet_hours: Arc::clone(&self.quiet_hours),
            senders: self
                .doors
                .values()
                .map(|door| door.sender.clone())
                .collect(),
        }
    }

    /// The request that sends these messages; `None` if the number is not the tenant's.
    pub(super) fn request(&self, going: &Going) -> Option<Request> {
        let door = self.doors.get(&going.from)?;
        let messages: Vec<_> = going.items.iter().map(|item| &item.message).collect();
        let ids: Vec<_> = ids(going).collect();
        Some(self.adapter.request(&door.sender, &ids, &messages))
    }

    /// Waits until messages may leave: their slot has come, and the last second has room for them.
    /// `steady` tells the time on the clock of paces.
    pub(super) async fn may_leave(&self, going: &Going, steady: impl Fn() -> Duration) {
        let Some(door) = self.doors.get(&going.from) else {
            return;
        };
        let mut wait = going.at.saturating_sub(steady());
        loop {
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            let left = lock(&door.record).leave(steady(), going.items.len(), going.rate);
            match left {
                Ok(()) => return,
                Err(longer) => wait = longer,
            }
        }
    }

    /// Sends a request once it may leave.
    pub(super) async fn send(
        &self,
        request: &Request,
        may_leave: impl Future<Output = ()>,
    ) -> Reply {
        self.client.send_when(request, may_leave).await
    }

    /// What became of each of these messages.
    pub(super) fn outcomes(&self, reply: &Reply, going: &Going) -> Vec<Outcome> {
        self.adapter.outcomes(reply, ids(going))
    }
}

/// The names of these attempts at the provider.
fn ids(going: &Going) -> impl ExactSizeIterator<Item = AttemptId> {
    let id = move |item: &Item| item.attempt(&going.batch).id();
    going.items.iter().map(id)
}

/// The steady clock of paces: how long the service runs.
pub(super) fn steady_since(epoch: std::time::Instant) -> Duration {
    clock::steady().duration_since(epoch)
}
