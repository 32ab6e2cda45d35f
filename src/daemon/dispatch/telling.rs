//! What the loop tells others: why batches stand still, what senders have learned, how fast they
//! may go, and in the journal what opened, closed and was throttled.

use super::{Desk, Round};
use crate::batch::{Phone, TenantName};
use crate::clock;
use crate::daemon::{journal, lock};
use crate::delivery::breaker::Gate;
use crate::delivery::sending::{Bar, Notice};
use crate::delivery::view::Views;
use crate::store::Error;

impl Desk {
    /// Tells why batches stand still, and keeps what senders have learned.
    pub(super) async fn tell(&mut self, tells: &mut Round) -> Result<(), Error> {
        let begun = clock::steady();
        let now = self.now();
        *lock(&self.dispatch.held) = self.sending.held(now);
        let mut views = self.sending.views(now);
        self.name_limits(&mut views);
        self.count(&views);
        self.dispatch.sight.show(views);
        for batch in self.sending.without_sender() {
            if self.without_sender.insert(batch.clone()) {
                journal::sender_missing(&batch);
            }
        }
        for (tenant, number, rate) in self.sending.learned() {
            let key = (tenant.clone(), number.clone());
            if self.rates.get(&key).copied() != rate {
                match rate {
                    Some(rate) => drop(self.rates.insert(key, rate)),
                    None => drop(self.rates.remove(&key)),
                }
                self.dispatch.store.learn_rate(tenant, number, rate).await?;
            }
        }
        tells.done(begun);
        Ok(())
    }

    /// Counts what stands against sending, and what waits.
    fn count(&self, views: &Views) {
        let figures = &self.dispatch.figures;
        let breakers = |kind| {
            let is_it = |bar: &&Bar| match bar {
                Bar::Breaker(gate) => gate.kind() == kind,
                Bar::Rest(..) => false,
            };
            views.bars.iter().filter(is_it).count()
        };
        for kind in Gate::KINDS {
            figures.open(kind, breakers(kind));
        }
        let rests = |bar: &&Bar| matches!(bar, Bar::Rest(..));
        figures.resting(views.bars.iter().filter(rests).count());
        figures.waiting(self.sending.waiting());
    }

    /// Says which rates are whose: the loop knows only the lowest.
    fn name_limits(&self, views: &mut Views) {
        let limits = self.dispatch.steering.limits();
        for (sender, view) in &mut views.senders {
            let outlet = self.dispatch.outlets.get(&sender.0);
            if let Some(set) = outlet.and_then(|outlet| outlet.rate(&sender.1)) {
                view.configured_rate = set;
            }
            view.operators_rate = limits.get(sender).copied();
        }
    }

    pub(super) fn note(&self, notice: &Notice) {
        match notice {
            Notice::Opened(tenant, gate, open) => {
                let wait = open.until.as_millis() - clock::now().as_millis();
                let seconds = u64::try_from(wait / 1_000).unwrap_or(0);
                journal::held(tenant, &self.named(gate), &open.reason, seconds);
            }
            Notice::Closed(gate) => {
                let whose = gate.tenant().map(|tenant| format!("tenant {tenant}: "));
                let whose = whose.unwrap_or_default();
                journal::released(&format!("{whose}{}", self.named(gate)));
                self.hasten(self.sending.behind(gate));
            }
            Notice::Throttled {
                tenant,
                number,
                rate,
                rest,
                reason,
            } => {
                let scope = self.sender_named(tenant, number);
                journal::throttled(tenant, &scope, (*rate, rest.as_secs()), reason);
            }
        }
    }

    /// What a breaker stands before, as the journal may tell it: never a number.
    fn named(&self, gate: &Gate) -> String {
        match gate {
            Gate::Endpoint(address) => format!("endpoint {address}"),
            Gate::Template(_, name, language) => format!("template {name} ({language})"),
            Gate::Credential(_) => gate.kind().into(),
            Gate::Sender(tenant, number) => self.sender_named(tenant, number),
        }
    }

    fn sender_named(&self, tenant: &TenantName, number: &Phone) -> String {
        let outlet = self.dispatch.outlets.get(tenant);
        let name = outlet.and_then(|outlet| outlet.sender_named(number));
        name.unwrap_or_else(|| "a sender".into())
    }
}
