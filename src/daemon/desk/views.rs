//! How batches and senders stand, for people: what the store keeps, what is paused, and what the
//! sending tells of itself, put together.

use super::{BatchTold, CountsTold, Explained, Not, OperatorDesk, SenderTold, text, word};
use crate::batch::name::DropFolder;
use crate::batch::{Moment, Phone, TenantName};
use crate::clock;
use crate::delivery::standing::{BatchStanding, BatchState};
use crate::delivery::steering::{Pause, Pauses, Subject};
use crate::delivery::view::{self, BatchView, Binding, Facts, SenderView, Views};
use crate::report::Hindrance;

/// What is known of a batch that is being sent.
struct Sight {
    batch: BatchView,
    senders: Vec<SenderView>,
    pause: Option<Pause>,
    is_disk_full: bool,
}

impl Sight {
    /// Which limit binds, and the sender by which the batch will probably have ended last, with
    /// when that will be.
    fn judged(&self, standing: &BatchStanding) -> (Binding, Option<(Phone, Moment)>) {
        let senders: Vec<&SenderView> = self.senders.iter().collect();
        let facts = Facts {
            pause: self.pause.as_ref(),
            is_disk_full: self.is_disk_full,
            batch: &self.batch,
            senders: &senders,
            left: standing.counts.waiting() + standing.counts.in_flight,
            awaited: standing.waits_for_receipts(),
            now: clock::now(),
        };
        (view::binding(facts), view::last_sender(facts))
    }
}

impl OperatorDesk {
    /// A batch as it stands.
    pub(super) async fn told(&self, standing: &BatchStanding) -> Result<BatchTold, Not> {
        let batch = standing.arrival.batch.clone();
        let is_final = standing.state.is_settled() && self.store.has_ended(batch).await?;
        let sends = standing.state == BatchState::Sending;
        let mut told = BatchTold {
            batch: standing.arrival.batch.clone(),
            tenant: standing.arrival.tenant.clone(),
            file: standing.arrival.name.clone(),
            state: word(standing, None),
            is_final,
            counts: CountsTold::of(&standing.counts, standing.state.is_settled()),
            held: String::new(),
            campaign_name: standing.campaign_name.clone(),
            sha256: standing.sha256.clone(),
            refusal: standing
                .refusal
                .as_ref()
                .map(|fault| fault.code.to_string())
                .unwrap_or_default(),
            received_at: standing.arrival.received_at.to_string(),
            started_at: text(standing.started_at),
            cancelled_at: text(standing.cancelled_at),
            cancel_reason: standing.cancel_reason.clone(),
            finished_at: text(standing.finished_at),
            estimated_end_at: None,
        };
        if sends {
            let (binding, end) = self.sight_of(standing).judged(standing);
            told.estimated_end_at = text(end.map(|(_, at)| at));
            told.state = word(standing, hindrance(standing, &binding));
            told.held = held(&binding);
        } else if !standing.state.is_settled() {
            told.held = self.held_before_sending(standing);
        }
        Ok(told)
    }

    /// What keeps a batch of which nothing can be sent yet: from being checked, and from being sent
    /// when that is done. Empty when nothing does.
    pub(in crate::daemon) fn held_before_sending(&self, standing: &BatchStanding) -> String {
        let arrival = &standing.arrival;
        if standing.cancelled_at.is_some() {
            return String::new();
        }
        let waits = standing
            .waits_for_done
            .then(|| format!("it is checked once `{}.done` lies beside it", arrival.name));
        let pauses = self.steering.pauses();
        let pause = pauses.holds_batch(&arrival.tenant, &arrival.batch, clock::now());
        // What is only checked is not sent in any case.
        let is_sent = arrival.folder == DropFolder::Whatsapp;
        let stopped = pause.filter(|_| is_sent).map(Pause::sentence);
        let sentences: Vec<String> = waits.into_iter().chain(stopped).collect();
        sentences.join("; ")
    }

    /// What keeps a batch from being sent where its status has a word for that, and why.
    pub(in crate::daemon) fn hindrance(
        &self,
        standing: &BatchStanding,
    ) -> Option<(Hindrance, String)> {
        if standing.state != BatchState::Sending {
            return None;
        }
        let whole = self.steering.pauses();
        let arrival = &standing.arrival;
        let whole = whole.holds_batch(&arrival.tenant, &arrival.batch, clock::now());
        // Before the sending has looked at it nobody knows which numbers it needs.
        if whole.is_none() && !self.sight.views().batches.contains_key(&arrival.batch) {
            return None;
        }
        let (binding, _) = self.sight_of(standing).judged(standing);
        let hindrance = hindrance(standing, &binding)?;
        Some((hindrance, binding.to_string()))
    }

    /// Why a batch is not faster.
    pub(super) async fn explained(&self, standing: &BatchStanding) -> Result<Explained, Not> {
        let batch = self.told(standing).await?;
        if standing.state != BatchState::Sending {
            let because = why_not_sending(standing);
            return Ok(Explained {
                batch,
                limit: "nothing".into(),
                because,
                until: None,
                position: None,
                ends_last: None,
                senders: Vec::new(),
            });
        }
        let sight = self.sight_of(standing);
        let (binding, last) = sight.judged(standing);
        let several = sight.senders.len() > 1;
        let pauses = self.steering.pauses();
        Ok(Explained {
            batch,
            limit: binding.as_str().into(),
            because: binding.to_string(),
            until: text(binding.until()),
            position: sight.batch.position,
            ends_last: last.map(|(number, _)| number).filter(|_| several),
            senders: sight
                .senders
                .iter()
                .map(|sender| sender_told(sender, &pauses))
                .collect(),
        })
    }

    /// Every sender, or those of one tenant.
    pub(super) fn senders(&self, of: Option<&TenantName>) -> Vec<SenderTold> {
        let pauses = self.steering.pauses();
        let views = self.sight.views();
        let tenants = self.tenants.iter();
        let wanted = tenants.filter(|(name, _)| of.is_none_or(|of| of == *name));
        let senders = wanted.flat_map(|(tenant, known)| {
            let numbers = known.senders.iter().map(|sender| &sender.number);
            numbers.filter_map(|number| self.sender_view(&views, tenant, number))
        });
        senders.map(|view| sender_told(&view, &pauses)).collect()
    }

    /// Whether something was found not to work that stands before the whole of a subject.
    pub(super) async fn is_held(&self, subject: &Subject) -> Result<bool, Not> {
        if let Subject::Batch { batch } = subject {
            let Some(standing) = self.store.batch(batch.clone()).await? else {
                return Ok(false);
            };
            let (binding, _) = self.sight_of(&standing).judged(&standing);
            return Ok(matches!(binding, Binding::Held(..)));
        }
        let (views, now) = (self.sight.views(), clock::now());
        // An address is nobody's own, but its messages wait for it.
        let of_tenant = |view: &SenderView| match subject {
            Subject::Tenant { tenant } => view.tenant == *tenant,
            _ => false,
        };
        let mut senders = views.senders.values();
        Ok(views.bars.iter().any(|bar| bar.is_of(subject))
            || senders.any(|view| of_tenant(view) && view.hold_at(now).is_some()))
    }

    /// What the sending said of a sender, with the operator's limit as it is now.
    fn sender_view(
        &self,
        views: &Views,
        tenant: &TenantName,
        number: &Phone,
    ) -> Option<SenderView> {
        let key = (tenant.clone(), number.clone());
        let settings = self.tenants.get(tenant)?.senders.iter();
        let mut settings = settings.filter(|sender| sender.number == *number);
        let sender = settings.next()?;
        let mut view = views.senders.get(&key).cloned().unwrap_or(SenderView {
            tenant: tenant.clone(),
            number: number.clone(),
            configured_rate: sender.messages_per_second,
            learned_rate: None,
            operators_rate: None,
            recent_rate: None,
            in_flight: 0,
            permits: 0,
            hold: None,
        });
        view.operators_rate = self.steering.limits().get(&key).copied();
        Some(view)
    }

    fn sight_of(&self, standing: &BatchStanding) -> Sight {
        let views = self.sight.views();
        let arrival = &standing.arrival;
        let batch = views.batches.get(&arrival.batch).cloned();
        let batch = batch.unwrap_or_else(|| BatchView {
            share: 1.0,
            ..BatchView::default()
        });
        let all = self.tenants.get(&arrival.tenant);
        let numbers: Vec<Phone> = if batch.senders.is_empty() {
            let all = all.iter().flat_map(|known| &known.senders);
            all.map(|sender| sender.number.clone()).collect()
        } else {
            batch.senders.clone()
        };
        let senders: Vec<SenderView> = numbers
            .iter()
            .filter_map(|number| self.sender_view(&views, &arrival.tenant, number))
            .collect();
        let pauses = self.steering.pauses();
        Sight {
            pause: pause_of(&pauses, standing, &senders).or_else(|| batch.paused_by.clone()),
            batch,
            senders,
            is_disk_full: views.is_disk_full,
        }
    }
}

/// The pause that stops a batch: of it, of its tenant, or of every sender that it uses.
fn pause_of(pauses: &Pauses, standing: &BatchStanding, senders: &[SenderView]) -> Option<Pause> {
    let (arrival, now) = (&standing.arrival, clock::now());
    if let Some(whole) = pauses.holds_batch(&arrival.tenant, &arrival.batch, now) {
        return Some(whole.clone());
    }
    let parts = pauses.parts(&arrival.tenant, now);
    let of = |sender: &SenderView| {
        let subject = Subject::Sender {
            tenant: sender.tenant.clone(),
            number: sender.number.clone(),
        };
        parts.iter().copied().find(|pause| pause.subject == subject)
    };
    let all: Option<Vec<&Pause>> = senders.iter().map(of).collect();
    // Of several, the one that ends first lets some of it go on.
    let ends = |pause: &&Pause| pause.until.unwrap_or(Moment::from_millis(i64::MAX));
    all.and_then(|all| all.into_iter().min_by_key(ends))
        .cloned()
}

fn sender_told(view: &SenderView, pauses: &Pauses) -> SenderTold {
    let now = clock::now();
    let own = |pause: &&&Pause| match &pause.subject {
        Subject::Sender { number, .. } => *number == view.number,
        _ => false,
    };
    let parts = pauses.parts(&view.tenant, now);
    let stopped = parts.iter().find(own).map(|pause| pause.sentence());
    let why = stopped.or_else(|| view.hold_at(now).map(ToString::to_string));
    SenderTold {
        tenant: view.tenant.clone(),
        number: view.number.clone(),
        rate: view.rate().0,
        configured_rate: view.configured_rate,
        learned_rate: view.learned_rate,
        operators_rate: view.operators_rate,
        recent_rate: view.recent_rate,
        in_flight: view.in_flight,
        permits: view.permits,
        held: why.unwrap_or_default(),
    }
}

fn hindrance(standing: &BatchStanding, binding: &Binding) -> Option<Hindrance> {
    let begun = standing.counts.closed() > standing.counts.invalid + standing.counts.suppressed;
    match binding {
        Binding::Paused(_) => Some(Hindrance::Paused),
        Binding::Scheduled(at) if !begun && standing.counts.in_flight == 0 => {
            Some(Hindrance::Scheduled(*at))
        }
        _ => None,
    }
}

/// What stops a batch, in a sentence; empty when it goes on, however slowly.
fn held(binding: &Binding) -> String {
    match binding {
        Binding::Shared { .. } | Binding::Permits(_) | Binding::Rate { .. } | Binding::Nothing => {
            String::new()
        }
        stops => stops.to_string(),
    }
}

fn why_not_sending(standing: &BatchStanding) -> String {
    match standing.state {
        BatchState::Received if standing.waits_for_done => {
            "it waits for its `.done` before it is checked".into()
        }
        BatchState::Received => "it waits for its turn to be checked".into(),
        BatchState::Checking => "it is being checked; nothing is sent before that is done".into(),
        BatchState::Cancelling => {
            "it is cancelled; what was in flight ends as it is answered".into()
        }
        state => format!("it is {}: nothing is left to send", state.as_str()),
    }
}
