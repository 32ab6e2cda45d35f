//! What sends for one tenant: its adapter, its connections, and a record of what left from each of
//! its numbers. Which message goes next is for `dispatch` to know.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::lock;
use crate::batch::{Message, Phone, TenantName};
use crate::clock;
use crate::delivery::pace::Record;
use crate::delivery::receipt::Receipt;
use crate::delivery::sending::{Going, Item, Way};
use crate::delivery::window::QuietHours;
use crate::delivery::{AttemptId, Outcome, Policy, Reason, Sender};
use crate::provider::cause::Cause;
use crate::provider::http::Client;
use crate::provider::{Adapter, Load, Next, REQUESTS_MAX, Upload};

/// Everything that sends for one tenant.
#[derive(Debug)]
pub(super) struct Outlet {
    tenant: TenantName,
    adapter: Arc<dyn Adapter>,
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
        adapter: Arc<dyn Adapter>,
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

    /// What its provider writes and reads.
    pub(super) fn adapter(&self) -> &dyn Adapter {
        self.adapter.as_ref()
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
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
            session_bulk_max: self.adapter.session_bulk_max(),
            quiet_hours: Arc::clone(&self.quiet_hours),
            senders: self
                .doors
                .values()
                .map(|door| door.sender.clone())
                .collect(),
        }
    }

    /// Whether the number that these messages leave from is the tenant's.
    pub(super) fn has_door(&self, going: &Going) -> bool {
        self.doors.contains_key(&going.from)
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

    /// Asks the provider what became of these attempts.
    pub(super) async fn ask(&self, ids: &[AttemptId]) -> Vec<Receipt> {
        match self.adapter.ask(ids) {
            Some(request) => self.adapter.told(&self.client.send(&request).await),
            None => Vec::new(),
        }
    }

    /// Hands messages over, the first request once it may leave: what became of each. Nothing is
    /// handed over from a number that is not the tenant's.
    /// Uploads a file for messages from `number`: its id, and for how long these may name it.
    pub(super) async fn upload(
        &self,
        number: &Phone,
        file: &Upload<'_>,
    ) -> Result<(String, Duration), Box<Outcome>> {
        let door = self.doors.get(number);
        let Some(request) = door.and_then(|door| self.adapter.upload(&door.sender, file)) else {
            let detail = "files cannot be uploaded to it from this number";
            return Err(Box::new(Outcome::Refused {
                reason: Cause::Media.reason(detail, String::new()),
                in_row: false,
            }));
        };
        self.adapter.uploaded(&self.client.send(&request).await)
    }

    /// Whether a message was refused because the provider does not know its file any more.
    pub(super) fn has_lost_file(&self, reason: &Reason) -> bool {
        self.adapter.has_lost_file(reason)
    }

    /// Hands messages over, the first request once it may leave: what became of each. They are
    /// those of `going`, with the ids of their files. Nothing is handed over from a number that is
    /// not the tenant's.
    pub(super) async fn send(
        &self,
        going: &Going,
        messages: &[Cow<'_, Message>],
        may_leave: impl Future<Output = ()>,
    ) -> Vec<Outcome> {
        let Some(door) = self.doors.get(&going.from) else {
            return Vec::new();
        };
        let messages: Vec<_> = messages.iter().map(AsRef::as_ref).collect();
        let ids: Vec<_> = ids(going).collect();
        let load = Load {
            sender: &door.sender,
            ids: &ids,
            messages: &messages,
            at: clock::now(),
        };
        let mut may_leave = Some(may_leave);
        let mut replies = Vec::new();
        loop {
            let request = match self.adapter.next(&load, &replies) {
                Next::Done(outcomes) => return outcomes,
                // A bound on a fault of ours: no adapter needs so many.
                Next::Send(_) | Next::Wait(..) if replies.len() >= REQUESTS_MAX => {
                    return unended(&load);
                }
                Next::Send(request) => request,
                Next::Wait(wait, request) => {
                    tokio::time::sleep(wait).await;
                    request
                }
            };
            replies.push(match may_leave.take() {
                Some(may_leave) => self.client.send_when(&request, may_leave).await,
                None => self.client.send(&request).await,
            });
        }
    }
}

/// What became of messages whose exchange found no end.
fn unended(load: &Load<'_>) -> Vec<Outcome> {
    let unclear = Outcome::Unclear {
        reason: Cause::NoAnswer.reason("the exchange found no end", String::new()),
    };
    vec![unclear; load.messages.len()]
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
