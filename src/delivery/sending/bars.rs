//! What stands against sending for a while was learned from what was sent: it outlives the process,
//! or each start would try it all anew with a burst.

use super::lines::plus;
use super::{Gate, Now, Sending, Subject};
use crate::batch::{Moment, Phone, TenantName};
use crate::delivery::breaker::Open;
use crate::delivery::retry;

/// What stands against sending for a while.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bar {
    /// A breaker.
    Breaker(Gate),
    /// A number of a tenant rests, because it was throttled.
    Rest(TenantName, Phone),
}

impl Bar {
    /// Whether it stands before something of a subject, and before nothing of others.
    pub fn is_of(&self, subject: &Subject) -> bool {
        match (self, subject) {
            (Self::Breaker(gate), subject) => gate.is_of(subject),
            (Self::Rest(whose, _), Subject::Tenant { tenant }) => whose == tenant,
            (Self::Rest(whose, other), Subject::Sender { tenant, number }) => {
                whose == tenant && other == number
            }
            (Self::Rest(..), Subject::Batch { .. } | Subject::Template { .. }) => false,
        }
    }
}

/// A bar as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Barred {
    /// Which.
    pub bar: Bar,
    /// When it was kept so.
    pub since: Moment,
    /// How it stood then. Of a rest, strikes are none.
    pub open: Open,
}

impl Barred {
    /// Until when it bars: as long as was left when it was kept, whatever the wall clock was set
    /// to meanwhile.
    fn until(&self, now: Moment) -> Moment {
        let whole_ms = self.open.until.as_millis() - self.since.as_millis();
        let left_ms = self.open.until.as_millis() - now.as_millis();
        now.plus_ms(left_ms.min(whole_ms).max(0))
    }
}

impl Sending {
    /// The bars that have changed since this was asked last: how each stands, `None` if it is gone.
    pub fn bars(&mut self) -> Vec<(Bar, Option<Open>)> {
        let changed = std::mem::take(&mut self.bars);
        let standing = |bar: Bar| {
            let open = match &bar {
                Bar::Breaker(gate) => self.breakers.open(gate).cloned(),
                Bar::Rest(tenant, number) => self.rest(tenant, number),
            };
            (bar, open)
        };
        changed.into_iter().map(standing).collect()
    }

    fn rest(&self, tenant: &TenantName, number: &Phone) -> Option<Open> {
        let (until, reason) = self.rests.get(&self.sender(tenant, number)?)?;
        Some(Open {
            until: *until,
            reason: reason.clone(),
            strikes: 0,
        })
    }

    /// Takes up a bar that an earlier run has left. One before what is not in the settings any more
    /// bars nothing.
    pub fn restore(&mut self, barred: Barred, now: Now) {
        let until = barred.until(now.wall);
        match barred.bar {
            Bar::Breaker(gate) => {
                if self.is_known(&gate) {
                    let open = Open {
                        until,
                        ..barred.open
                    };
                    self.breakers.restore(gate, open, now.wall);
                }
            }
            Bar::Rest(tenant, number) => {
                let until = until.min(plus(now.wall, retry::ASKED_MAX));
                let left_ms = until.as_millis() - now.wall.as_millis();
                let Some(sender) = self.sender(&tenant, &number).filter(|_| left_ms > 0) else {
                    return;
                };
                // The wall clock is coarser than the steady one.
                let rest = std::time::Duration::from_millis(left_ms.unsigned_abs() + 1);
                self.turns.with_pace(sender, now.steady, |pace| {
                    pace.hold(now.steady + rest);
                });
                self.rests.insert(sender, (until, barred.open.reason));
            }
        }
    }

    fn is_known(&self, gate: &Gate) -> bool {
        match gate {
            Gate::Endpoint(address) => {
                let mut tenants = self.tenants.values();
                tenants.any(|tenant| tenant.way.endpoint == *address)
            }
            Gate::Sender(tenant, number) => self.sender(tenant, number).is_some(),
            Gate::Credential(tenant) | Gate::Template(tenant, ..) => {
                self.tenants.contains_key(tenant)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::Reason;

    /// The wall clock may be anything when the service starts: nobody may wait for a year because
    /// of it, and what was to wait a minute and has not is not tried a year too early either.
    #[test]
    fn no_step_of_the_clock_makes_a_bar_last_longer() {
        const KEPT: Moment = Moment::from_millis(1_800_000_000_000);
        const DAY_MS: i64 = 86_400_000;
        let barred = Barred {
            bar: Bar::Breaker(Gate::Endpoint("https://provider.example".into())),
            since: KEPT,
            open: Open {
                until: KEPT.plus_ms(60_000),
                reason: Reason::new("a", "b"),
                strikes: 1,
            },
        };
        for (passed_ms, left_ms) in [
            (0, 60_000),
            (20_000, 40_000),
            (60_000, 0),
            (DAY_MS, 0),
            (-1, 60_000),
            (-DAY_MS, 60_000),
        ] {
            let now = KEPT.plus_ms(passed_ms);
            assert_eq!(barred.until(now), now.plus_ms(left_ms), "{passed_ms}");
        }
    }
}
