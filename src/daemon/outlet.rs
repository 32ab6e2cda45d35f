//! What sends for one tenant: its adapter, its connections, and a lane for each of its numbers.
//! Which message goes next is for `dispatch` to know.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::{journal, lock};
use crate::batch::{BatchId, Message, Moment, Phone, TenantName};
use crate::clock;
use crate::delivery::pace::Pace;
use crate::delivery::{AttemptId, Outcome, Policy, Reason, Scope, Sender, retry};
use crate::provider::http::Client;
use crate::provider::{Adapter, Reply, Request};
use crate::store::Attempt;

/// Attempts of one sender that are under way at once, at most.
const IN_FLIGHT_MAX: usize = 512;

/// Attempts of one sender that may always be under way at once, however slow it is.
const IN_FLIGHT_MIN: usize = 8;

/// A hold that is longer than this does not keep a batch from its other senders.
const PATIENCE: Duration = Duration::from_secs(5);

/// No sender stands still for longer without another try.
const HOLD_MAX: Duration = Duration::from_hours(1);

/// Everything that sends for one tenant.
#[derive(Debug)]
pub(super) struct Outlet {
    tenant: TenantName,
    adapter: Adapter,
    client: Client,
    policy: Policy,
    lanes: HashMap<Phone, Lane>,
    /// What the batches that are being sent have met on their way.
    batches: Mutex<HashMap<BatchId, Met>>,
    /// Pace counts from here.
    epoch: Instant,
}

/// Why messages wait. Until when is kept twice: on the steady clock, which decides, and as people
/// read it.
#[derive(Clone, Debug)]
struct Hold {
    until: Duration,
    told_until: Moment,
    reason: Reason,
}

impl Hold {
    fn sentence(&self) -> String {
        let (title, code) = (&self.reason.title, &self.reason.code);
        format!("{title} ({code}); next try at {}", self.told_until)
    }
}

/// What one batch has met on its way.
#[derive(Clone, Debug, Default)]
struct Met {
    /// Its template cannot be used for a while.
    template: Option<Hold>,
    /// A sender that the tenant no longer has.
    no_sender: Option<Phone>,
    /// Senders that held when it needed them.
    senders: BTreeSet<Phone>,
}

/// What came of waiting for a turn.
#[derive(Debug)]
pub(super) enum Turn {
    /// A message may go; the permit is for as long as its attempt takes.
    Yours(OwnedSemaphorePermit),
    /// The sender holds for long, and other senders need not wait for it.
    Held(Duration),
    /// The daemon stops.
    Stopping,
}

/// One sender's way out.
#[derive(Debug)]
pub(super) struct Lane {
    sender: Sender,
    permits: Arc<Semaphore>,
    pace: Mutex<Pace>,
    standing: Mutex<LaneStanding>,
}

#[derive(Debug, Default)]
struct LaneStanding {
    /// Deferrals in a row that concerned more than their message.
    strikes: u32,
    hold: Option<Hold>,
}

impl Outlet {
    pub(super) fn new(
        tenant: TenantName,
        adapter: Adapter,
        client: Client,
        policy: Policy,
        senders: &[Sender],
    ) -> Self {
        let lane = |sender: &Sender| {
            let permits = (sender.messages_per_second as usize).clamp(IN_FLIGHT_MIN, IN_FLIGHT_MAX);
            let lane = Lane {
                sender: sender.clone(),
                permits: Arc::new(Semaphore::new(permits)),
                pace: Mutex::new(Pace::new(sender.messages_per_second)),
                standing: Mutex::default(),
            };
            (sender.number.clone(), lane)
        };
        let lanes = senders.iter().map(lane).collect();
        Self {
            tenant,
            adapter,
            client,
            policy,
            lanes,
            batches: Mutex::default(),
            epoch: clock::steady(),
        }
    }

    /// Why messages of `batch` wait, in a sentence; empty when they do not.
    pub(super) fn held(&self, batch: &BatchId) -> String {
        let now = self.steady();
        let met = lock(&self.batches).get(batch).cloned().unwrap_or_default();
        if let Some(hold) = met.template.filter(|hold| hold.until > now) {
            return hold.sentence();
        }
        let mut reasons = Vec::new();
        if let Some(number) = met.no_sender {
            let words = "is not among the senders any more; add it to the settings and restart";
            reasons.push(format!("{number} {words}"));
        }
        for number in &met.senders {
            let hold = self
                .lane(number)
                .and_then(|lane| lock(&lane.standing).hold.clone());
            match hold.filter(|hold| hold.until > now) {
                Some(hold) if self.lanes.len() == 1 => reasons.push(hold.sentence()),
                Some(hold) => reasons.push(format!("{number}: {}", hold.sentence())),
                None => {}
            }
        }
        reasons.join("; ")
    }

    /// Lets nothing of `batch` begin for `wait`.
    fn hold_batch(&self, batch: &BatchId, reason: &Reason, wait: Duration) {
        let hold = self.hold_for(reason, wait);
        self.met(batch, |met| met.template = Some(hold));
        journal::held(&self.tenant, "template", reason, wait.as_secs());
    }

    /// Notes that a batch needs a sender that the tenant does not have.
    pub(super) fn lacks_sender(&self, batch: &BatchId, number: &Phone) {
        self.met(batch, |met| met.no_sender = Some(number.clone()));
    }

    /// How much longer nothing of `batch` may begin.
    pub(super) fn batch_holds_for(&self, batch: &BatchId) -> Duration {
        let batches = lock(&self.batches);
        let hold = batches.get(batch).and_then(|met| met.template.as_ref());
        let until = hold.map(|hold| hold.until);
        until.unwrap_or_default().saturating_sub(self.steady())
    }

    /// Forgets a batch that has nothing left to send.
    pub(super) fn forget_batch(&self, batch: &BatchId) {
        lock(&self.batches).remove(batch);
    }

    fn met(&self, batch: &BatchId, note: impl FnOnce(&mut Met)) {
        note(lock(&self.batches).entry(batch.clone()).or_default());
    }

    fn meets_hold(&self, batch: &BatchId, lane: &Lane) {
        self.met(batch, |met| {
            met.senders.insert(lane.sender.number.clone());
        });
    }

    fn hold_for(&self, reason: &Reason, wait: Duration) -> Hold {
        let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        Hold {
            until: self.steady() + wait,
            told_until: clock::now().plus_ms(wait_ms),
            reason: reason.clone(),
        }
    }

    pub(super) fn tenant(&self) -> &TenantName {
        &self.tenant
    }

    pub(super) fn policy(&self) -> Policy {
        self.policy
    }

    /// The way out for messages from `number`; `None` if the tenant has no such number any more.
    pub(super) fn lane(&self, number: &Phone) -> Option<&Lane> {
        self.lanes.get(number)
    }

    pub(super) fn request(&self, lane: &Lane, id: &AttemptId, message: &Message) -> Request {
        self.adapter.request(&lane.sender, id, message)
    }

    pub(super) async fn send(&self, request: &Request) -> Reply {
        self.client.send(request).await
    }

    pub(super) fn outcome(&self, reply: &Reply) -> Outcome {
        self.adapter.outcome(reply)
    }

    fn steady(&self) -> Duration {
        clock::steady().duration_since(self.epoch)
    }

    /// Waits for a permit and then for a turn of `batch` at the sender's rate.
    pub(super) async fn turn(
        &self,
        lane: &Lane,
        batch: &BatchId,
        stop: &CancellationToken,
    ) -> Turn {
        let permit = tokio::select! {
            () = stop.cancelled() => return Turn::Stopping,
            permit = Arc::clone(&lane.permits).acquire_owned() => permit,
        };
        let permit = permit.expect("the semaphore is never closed");
        loop {
            let hold = lock(&lane.pace).held_until().saturating_sub(self.steady());
            if !hold.is_zero() {
                self.meets_hold(batch, lane);
                if hold > PATIENCE && self.lanes.len() > 1 {
                    return Turn::Held(hold);
                }
            }
            let slot = lock(&lane.pace).book(self.steady());
            let wait = slot.saturating_sub(self.steady());
            if !wait.is_zero() {
                tokio::select! {
                    () = stop.cancelled() => return Turn::Stopping,
                    () = tokio::time::sleep(wait) => {}
                }
            }
            // A hold that was imposed meanwhile counts for booked slots too.
            if lock(&lane.pace).held_until() <= self.steady() {
                return Turn::Yours(permit);
            }
        }
    }

    /// Lets an outcome that concerns more than its message take effect on the rest.
    pub(super) fn heed(&self, lane: &Lane, attempt: &Attempt, outcome: &Outcome) {
        let Outcome::Deferred {
            reason,
            wait,
            scope,
        } = outcome
        else {
            if matches!(outcome, Outcome::Accepted { .. } | Outcome::Refused { .. }) {
                lock(&lane.standing).strikes = 0;
            }
            return;
        };
        let (lanes, word): (Vec<&Lane>, _) = match scope {
            Scope::Message | Scope::Recipient => return,
            Scope::Template => {
                let wait = retry::wait(attempt.attempt, *wait, fastrand::f64());
                return self.hold_batch(&attempt.batch, reason, wait);
            }
            Scope::Sender => (vec![lane], "sender"),
            Scope::Credential => (self.lanes.values().collect(), "credential"),
        };
        self.meets_hold(&attempt.batch, lane);
        let share = fastrand::f64();
        for lane in lanes {
            let mut standing = lock(&lane.standing);
            // The answers of requests that were under way together are one signal, not many.
            let now = self.steady();
            if standing.hold.as_ref().is_some_and(|hold| hold.until > now) {
                continue;
            }
            standing.strikes = standing.strikes.saturating_add(1);
            let wait = retry::wait(standing.strikes, *wait, share).min(HOLD_MAX);
            let hold = self.hold_for(reason, wait);
            lock(&lane.pace).hold(hold.until);
            standing.hold = Some(hold);
            journal::held(&self.tenant, word, reason, wait.as_secs());
        }
    }
}
