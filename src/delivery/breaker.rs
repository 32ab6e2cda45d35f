//! Breakers: what keeps messages from a way out that is known not to work. One stands for a
//! provider's address, one for each credential, template and sender. An open breaker lets nothing
//! pass until its time has come, then a single message as a probe; what becomes of that opens the
//! breaker again, for longer, or closes it.

use std::collections::HashMap;
use std::time::Duration;

use super::steering::Subject;
use super::{Reason, retry};
use crate::batch::{Moment, Phone, TenantName};

/// No breaker stays open for longer without another probe.
const OPEN_MAX: Duration = Duration::from_hours(1);

/// So many messages in a row whose fate is unclear open the breaker of their address: what does not
/// answer must not be fed a whole batch.
const DOUBTS_MAX: u32 = 50;

/// A breaker that opened because of doubts stays so no longer: each probe costs one more message at
/// most, and what answers again is to be found soon.
const DOUBT_WAIT_MAX: Duration = Duration::from_secs(5);

/// So many messages in a row that found no way to an address open its breaker.
const LOST_MAX: u32 = 3;

/// A probe that has not come back after this time does not keep others from trying.
const PROBE_MAX: Duration = Duration::from_mins(2);

/// What a breaker stands before.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Gate {
    /// The address of a provider, which several tenants may share.
    Endpoint(String),
    /// A tenant's credential at its provider.
    Credential(TenantName),
    /// A number of a tenant.
    Sender(TenantName, Phone),
    /// A template of a tenant, by name and language.
    Template(TenantName, String, String),
}

impl Gate {
    /// Every kind.
    pub const KINDS: [&'static str; 4] = ["endpoint", "credential", "sender", "template"];

    /// The word for its kind in the journal, in figures and for people.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Endpoint(_) => Self::KINDS[0],
            Self::Credential(_) => Self::KINDS[1],
            Self::Sender(..) => Self::KINDS[2],
            Self::Template(..) => Self::KINDS[3],
        }
    }

    /// The tenant whose it is; an address is nobody's own.
    pub const fn tenant(&self) -> Option<&TenantName> {
        match self {
            Self::Endpoint(_) => None,
            Self::Credential(tenant) | Self::Sender(tenant, _) | Self::Template(tenant, ..) => {
                Some(tenant)
            }
        }
    }

    /// Whether it stands before something of a subject, and before nothing of others.
    pub fn is_of(&self, subject: &Subject) -> bool {
        match (self, subject) {
            (
                Self::Credential(whose) | Self::Sender(whose, _) | Self::Template(whose, ..),
                Subject::Tenant { tenant },
            ) => whose == tenant,
            (Self::Sender(whose, other), Subject::Sender { tenant, number }) => {
                whose == tenant && other == number
            }
            (
                Self::Template(whose, other, in_other),
                Subject::Template {
                    tenant,
                    name,
                    language,
                },
            ) => {
                let is_language = language.as_ref().is_none_or(|one| one == in_other);
                whose == tenant && other == name && is_language
            }
            _ => false,
        }
    }
}

/// Whether messages may pass a breaker.
#[derive(Clone, Debug, PartialEq)]
pub enum Passage {
    /// They may.
    Free,
    /// One may, to see whether the others can follow.
    Probe,
    /// None may until then; when a probe is under way, that is when it must have come back.
    Shut(Moment),
}

/// A breaker that is not closed, for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Open {
    /// When the next probe leaves.
    pub until: Moment,
    /// Why it opened.
    pub reason: Reason,
    /// How often in a row it has opened.
    pub strikes: u32,
}

#[derive(Clone, Debug, Default)]
struct Breaker {
    open: Option<Open>,
    /// Since when a probe is under way, and which.
    probing: Option<(Moment, u64)>,
    doubts: u32,
}

/// All breakers. One that nobody has tripped takes no room.
#[derive(Clone, Debug, Default)]
pub struct Breakers(HashMap<Gate, Breaker>);

impl Breakers {
    /// Whether messages may pass `gate` at `now`.
    pub fn passage(&self, gate: &Gate, now: Moment) -> Passage {
        let Some(breaker) = self.0.get(gate) else {
            return Passage::Free;
        };
        let Some(open) = &breaker.open else {
            return Passage::Free;
        };
        if now < open.until {
            return Passage::Shut(open.until);
        }
        match breaker.probing.map(|(since, _)| plus(since, PROBE_MAX)) {
            Some(back) if now < back => Passage::Shut(back),
            _ => Passage::Probe,
        }
    }

    /// A probe with this number passes `gate`.
    pub fn probe(&mut self, gate: &Gate, no: u64, now: Moment) {
        if let Some(breaker) = self.0.get_mut(gate) {
            breaker.probing = Some((now, no));
        }
    }

    /// A probe has come to its end, and may have told nothing about `gate`. Another one that is
    /// under way stays so.
    pub fn probe_ended(&mut self, gate: &Gate, no: u64) {
        if let Some(breaker) = self.0.get_mut(gate) {
            breaker.probing = breaker.probing.filter(|(_, other)| *other != no);
        }
    }

    /// What left at `left_at` showed that nothing can pass `gate`. `asked` is how long the provider
    /// asked to wait, `share` a random number from 0.0 up to 1.0. Gives the breaker if that opened
    /// it: the answers of requests that were under way together are one signal, not many.
    pub fn trip(&mut self, gate: &Gate, tripped: Tripped<'_>) -> Option<Open> {
        let breaker = self.0.entry(gate.clone()).or_default();
        if breaker.is_straggler(tripped.left_at) {
            return None;
        }
        breaker.probing = None;
        breaker.doubts = 0;
        let strikes = breaker.open.as_ref().map_or(0, |open| open.strikes) + 1;
        let wait = retry::wait(strikes, tripped.asked, tripped.share).min(OPEN_MAX);
        let open = Open {
            until: plus(tripped.now, wait),
            reason: tripped.reason.clone(),
            strikes,
        };
        breaker.open = Some(open.clone());
        Some(open)
    }

    /// Nobody can say what became of a message that passed `gate`. Gives the breaker if that was
    /// one too many.
    pub fn doubt(&mut self, gate: &Gate, tripped: Tripped<'_>) -> Option<Open> {
        let most = match gate {
            // One request that finds no way says little; and trying another costs nothing.
            Gate::Endpoint(_) => LOST_MAX,
            _ => DOUBTS_MAX,
        };
        let breaker = self.0.entry(gate.clone()).or_default();
        breaker.doubts += 1;
        if breaker.open.is_none() && breaker.doubts < most {
            return None;
        }
        let mut open = self.trip(gate, tripped)?;
        if !matches!(gate, Gate::Endpoint(_)) {
            open.until = open.until.min(plus(tripped.now, DOUBT_WAIT_MAX));
            if let Some(breaker) = self.0.get_mut(gate) {
                breaker.open = Some(open.clone());
            }
        }
        Some(open)
    }

    /// What left at `left_at` passed `gate`. Says whether the breaker was open.
    pub fn pass(&mut self, gate: &Gate, left_at: Moment) -> bool {
        let Some(breaker) = self.0.get_mut(gate) else {
            return false;
        };
        if breaker.is_straggler(left_at) {
            return false;
        }
        self.0
            .remove(gate)
            .is_some_and(|breaker| breaker.open.is_some())
    }

    /// Opens a breaker as an earlier run has left it: no longer than one may stay open.
    pub fn restore(&mut self, gate: Gate, open: Open, now: Moment) {
        let until = open.until.min(plus(now, OPEN_MAX));
        let breaker = Breaker {
            open: Some(Open { until, ..open }),
            ..Breaker::default()
        };
        self.0.insert(gate, breaker);
    }

    /// Nothing passes `gate` until then, for a reason that no message had to find out. Gives the
    /// breaker if that is news.
    pub fn shut(&mut self, gate: &Gate, reason: &Reason, until: Moment) -> Option<Open> {
        let breaker = self.0.entry(gate.clone()).or_default();
        let is_known = breaker
            .open
            .as_ref()
            .is_some_and(|open| open.reason == *reason);
        breaker.probing = None;
        let open = Open {
            until,
            reason: reason.clone(),
            strikes: breaker.open.as_ref().map_or(1, |open| open.strikes),
        };
        breaker.open = Some(open.clone());
        (!is_known).then_some(open)
    }

    /// What kept messages from passing `gate` does so no more. Says whether the breaker was open.
    pub fn reopen(&mut self, gate: &Gate) -> bool {
        let gone = self.0.remove(gate);
        gone.is_some_and(|breaker| breaker.open.is_some())
    }

    /// Lets a probe pass at once.
    pub fn retry(&mut self, gate: &Gate, now: Moment) {
        if let Some(open) = self
            .0
            .get_mut(gate)
            .and_then(|breaker| breaker.open.as_mut())
        {
            open.until = open.until.min(now);
        }
    }

    /// The wall clock was set by so many milliseconds: whoever was to wait a minute waits a minute.
    pub fn shift(&mut self, by_ms: i64) {
        for breaker in self.0.values_mut() {
            let until = breaker.open.as_mut().map(|open| &mut open.until);
            let probing = breaker.probing.as_mut().map(|(since, _)| since);
            let moments = until.into_iter().chain(probing);
            for moment in moments {
                *moment = moment.plus_ms(by_ms);
            }
        }
    }

    /// The breaker at `gate`, unless it is closed.
    pub fn open(&self, gate: &Gate) -> Option<&Open> {
        self.0.get(gate)?.open.as_ref()
    }

    /// The breaker at `gate` as it is told: while a probe is under way, until that must have come
    /// back.
    pub fn shown(&self, gate: &Gate, now: Moment) -> Option<Open> {
        let mut open = self.open(gate)?.clone();
        if let Passage::Shut(until) = self.passage(gate, now) {
            open.until = until;
        }
        Some(open)
    }

    /// All that are not closed.
    pub fn all_open(&self) -> impl Iterator<Item = (&Gate, &Open)> {
        let open = |(gate, breaker)| Some((gate, Breaker::opened(breaker)?));
        self.0.iter().filter_map(open)
    }
}

impl Breaker {
    /// Whether what left then was on its way already when the breaker opened, so that it says
    /// nothing about it: only a probe leaves later, when the time of the breaker has come.
    fn is_straggler(&self, left_at: Moment) -> bool {
        self.open.as_ref().is_some_and(|open| left_at < open.until)
    }

    fn opened(&self) -> Option<&Open> {
        self.open.as_ref()
    }
}

/// What trips a breaker.
#[derive(Clone, Copy, Debug)]
pub struct Tripped<'a> {
    /// Why.
    pub reason: &'a Reason,
    /// How long the provider asked to wait.
    pub asked: Option<Duration>,
    /// When the message left that showed it.
    pub left_at: Moment,
    /// The present.
    pub now: Moment,
    /// A random number from 0.0 up to 1.0, for the jitter.
    pub share: f64,
}

fn plus(moment: Moment, span: Duration) -> Moment {
    moment.plus_ms(i64::try_from(span.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_millis(1_000_000);

    fn tripped(reason: &Reason, left_at: Moment, now: Moment) -> Tripped<'_> {
        Tripped {
            reason,
            asked: Some(Duration::from_mins(1)),
            left_at,
            now,
            share: 0.5,
        }
    }

    fn gate() -> Gate {
        Gate::Credential(TenantName::parse("acme").expect("a name"))
    }

    /// A dead provider must be asked by one message at a time, more and more seldom, and be used at
    /// once when it is back.
    #[test]
    fn a_breaker_opens_probes_and_closes() {
        let (mut breakers, gate, reason) = (Breakers::default(), gate(), Reason::new("a", "b"));
        assert_eq!(breakers.passage(&gate, NOW), Passage::Free);
        let open = breakers
            .trip(&gate, tripped(&reason, NOW, NOW))
            .expect("opened");
        assert!(open.until >= NOW.plus_ms(60_000));
        assert_eq!(breakers.passage(&gate, NOW), Passage::Shut(open.until));
        // What was under way with it is no further signal, neither bad nor good.
        assert!(
            breakers
                .trip(&gate, tripped(&reason, NOW, NOW.plus_ms(9)))
                .is_none()
        );
        assert!(!breakers.pass(&gate, NOW));
        assert_eq!(breakers.passage(&gate, open.until), Passage::Probe);
        breakers.probe(&gate, 1, open.until);
        assert!(matches!(
            breakers.passage(&gate, open.until),
            Passage::Shut(_)
        ));
        let later = open.until.plus_ms(50);
        let again = breakers
            .trip(&gate, tripped(&reason, open.until, later))
            .expect("again");
        assert_eq!(again.strikes, 2);
        breakers.retry(&gate, later);
        assert_eq!(breakers.passage(&gate, later), Passage::Probe);
        breakers.probe(&gate, 2, later.plus_ms(1));
        assert!(breakers.pass(&gate, later.plus_ms(1)));
        assert_eq!(breakers.passage(&gate, later), Passage::Free);
    }

    /// A provider that takes messages and never answers would make a whole batch unknown.
    #[test]
    fn doubt_after_doubt_opens_a_breaker() {
        let (mut breakers, gate, reason) = (Breakers::default(), gate(), Reason::new("a", "b"));
        let doubt = |breakers: &mut Breakers| breakers.doubt(&gate, tripped(&reason, NOW, NOW));
        for _ in 1..DOUBTS_MAX {
            assert!(doubt(&mut breakers).is_none());
        }
        breakers.pass(&gate, NOW);
        for _ in 1..DOUBTS_MAX {
            assert!(doubt(&mut breakers).is_none());
        }
        assert!(doubt(&mut breakers).is_some());
    }

    /// A probe that never comes back must not shut a way out for ever.
    #[test]
    fn a_lost_probe_is_followed_by_another() {
        let (mut breakers, gate, reason) = (Breakers::default(), gate(), Reason::new("a", "b"));
        let open = breakers
            .trip(&gate, tripped(&reason, NOW, NOW))
            .expect("opened");
        breakers.probe(&gate, 1, open.until);
        let back = plus(open.until, PROBE_MAX);
        assert_eq!(breakers.passage(&gate, open.until), Passage::Shut(back));
        assert_eq!(breakers.passage(&gate, back), Passage::Probe);
        // The end of an earlier one says nothing of the one that is under way.
        breakers.probe_ended(&gate, 0);
        assert_eq!(breakers.passage(&gate, open.until), Passage::Shut(back));
        breakers.probe_ended(&gate, 1);
        assert_eq!(breakers.passage(&gate, open.until), Passage::Probe);
    }
}
