//! Who gets a place at the door: how many connections there may be in all and from one address,
//! logged in or not, and whom the door refuses for a while. It is told the time and its luck.

use core::net::{IpAddr, Ipv6Addr};
use std::collections::HashMap;
use std::time::Instant;

use super::penalties::{Misdeed, Penalties};

/// The part of the strangers' places from which on newcomers are dropped by chance, and the chance
/// that begins with; it grows to certainty where all places are taken. So a flood from many
/// addresses cannot keep everybody else out.
const EARLY_DROP_FROM: f64 = 0.5;
const EARLY_DROP_CHANCE: f64 = 0.3;
/// How much of an IPv6 address tells one customer from another: a household has that much.
const IPV6_PREFIX_BITS: u32 = 64;

/// Where connections come from, as far as it matters: an IPv4 address, or an IPv6 network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Source(IpAddr);

impl Source {
    pub(super) fn of(peer: IpAddr) -> Self {
        match peer.to_canonical() {
            IpAddr::V6(address) => {
                let mask = u128::MAX << (128 - IPV6_PREFIX_BITS);
                Self(Ipv6Addr::from(u128::from(address) & mask).into())
            }
            address @ IpAddr::V4(_) => Self(address),
        }
    }
}

/// How many connections there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) connections: usize,
    /// How many of them may not have logged in yet.
    pub(super) strangers: usize,
    pub(super) connections_per_source: usize,
    pub(super) strangers_per_source: usize,
}

/// Why a connection gets no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnedAway {
    /// There are as many connections as there may be.
    Full,
    /// There are many that have not logged in, and this one had no luck.
    Crowded,
    /// There are too many from its own address.
    TooManyFromThere,
    /// Its address has failed too often.
    Penalised,
    /// The proxy in front did not say for whom it is.
    NoProxyHeader,
}

impl TurnedAway {
    /// The word for it in figures.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Crowded => "crowded",
            Self::TooManyFromThere => "too_many_from_there",
            Self::Penalised => "penalised",
            Self::NoProxyHeader => "no_proxy_header",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    connections: usize,
    strangers: usize,
}

impl Count {
    fn add_stranger(&mut self) {
        self.connections += 1;
        self.strangers += 1;
    }

    fn remove(&mut self, standing: Standing) {
        self.connections -= 1;
        if standing == Standing::Stranger {
            self.strangers -= 1;
        }
    }
}

/// Whether a connection has logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Stranger,
    Guest,
}

/// The connections that are there, by where they come from. Those from an address that many
/// clients share have no source, and count only among all.
#[derive(Debug)]
pub(super) struct Crowd {
    bounds: Bounds,
    all: Count,
    sources: HashMap<Source, Count>,
    penalties: Penalties,
}

impl Crowd {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            all: Count::default(),
            sources: HashMap::new(),
            penalties: Penalties::default(),
        }
    }

    /// Gives a stranger a place, or says why there is none; `luck` is from 0 to below 1.
    pub(super) fn take(
        &mut self,
        source: Option<Source>,
        now: Instant,
        luck: f64,
    ) -> Result<(), TurnedAway> {
        if source.is_some_and(|source| self.penalties.refuse(source, now)) {
            return Err(TurnedAway::Penalised);
        }
        let here = source.and_then(|source| self.sources.get(&source));
        let here = here.copied().unwrap_or_default();
        if source.is_some()
            && (here.connections >= self.bounds.connections_per_source
                || here.strangers >= self.bounds.strangers_per_source)
        {
            return Err(TurnedAway::TooManyFromThere);
        }
        if self.all.connections >= self.bounds.connections {
            return Err(TurnedAway::Full);
        }
        if luck < drop_chance(self.all.strangers, self.bounds.strangers) {
            return Err(TurnedAway::Crowded);
        }
        self.all.add_stranger();
        if let Some(source) = source {
            self.sources.entry(source).or_default().add_stranger();
        }
        Ok(())
    }

    /// A stranger has logged in.
    pub(super) fn enter(&mut self, source: Option<Source>) {
        self.all.strangers -= 1;
        if let Some(count) = source.and_then(|source| self.sources.get_mut(&source)) {
            count.strangers -= 1;
        }
    }

    /// A connection has ended.
    pub(super) fn leave(&mut self, source: Option<Source>, standing: Standing) {
        self.all.remove(standing);
        let Some(source) = source else {
            return;
        };
        if let Some(count) = self.sources.get_mut(&source) {
            count.remove(standing);
            if count.connections == 0 {
                self.sources.remove(&source);
            }
        }
    }

    /// A stranger from there did what nobody does by mere chance.
    pub(super) fn penalise(&mut self, source: Source, misdeed: Misdeed, now: Instant) {
        self.penalties.note(source, misdeed, now);
    }

    /// A stranger from there has logged in after what it did.
    pub(super) fn forgive(&mut self, source: Source, misdeed: Misdeed) {
        self.penalties.forgive(source, misdeed);
    }

    /// Whether strangers from there are not heard at present.
    pub(super) fn refuses(&self, source: Source, now: Instant) -> bool {
        self.penalties.refuse(source, now)
    }
}

/// The chance, from 0 to 1, that a newcomer is dropped where there are `strangers` already.
fn drop_chance(strangers: usize, strangers_max: usize) -> f64 {
    let filled = strangers as f64 / strangers_max as f64;
    if filled < EARLY_DROP_FROM {
        return 0.0;
    }
    let beyond = ((filled - EARLY_DROP_FROM) / (1.0 - EARLY_DROP_FROM)).min(1.0);
    EARLY_DROP_CHANCE + (1.0 - EARLY_DROP_CHANCE) * beyond
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: Bounds = Bounds {
        connections: 20,
        strangers: 10,
        connections_per_source: 6,
        strangers_per_source: 3,
    };

    fn source(text: &str) -> Source {
        Source::of(text.parse().expect("an address"))
    }

    /// One household must be one source, and two customers two.
    #[test]
    fn a_source_is_an_address_or_a_network() {
        for (one, other, is_same) in [
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "::ffff:192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("2001:db8::1", "2001:db8::ffff:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
        ] {
            assert_eq!(source(one) == source(other), is_same, "{one} {other}");
        }
    }

    /// Idle connections from one address must leave the door open to all others.
    #[test]
    fn one_address_cannot_take_the_places_of_others() {
        let (mut crowd, now) = (Crowd::new(BOUNDS), crate::clock::steady());
        let (hostile, other) = (Some(source("192.0.2.1")), Some(source("192.0.2.2")));
        for _ in 0..3 {
            assert_eq!(crowd.take(hostile, now, 0.0), Ok(()));
        }
        let outcome = crowd.take(hostile, now, 0.99);
        assert_eq!(outcome, Err(TurnedAway::TooManyFromThere));
        assert_eq!(crowd.take(other, now, 0.0), Ok(()));
        crowd.enter(hostile);
        assert_eq!(crowd.take(hostile, now, 0.0), Ok(()));
        crowd.leave(hostile, Standing::Guest);
        let outcome = crowd.take(hostile, now, 0.99);
        assert_eq!(outcome, Err(TurnedAway::TooManyFromThere));
        for _ in 0..3 {
            crowd.leave(hostile, Standing::Stranger);
        }
        assert!(!crowd.sources.contains_key(&hostile.expect("a source")));
    }

    /// Sessions that are in must not be able to fill the house from one address either, and a
    /// shared address is bounded by the whole alone.
    #[test]
    fn sessions_are_bounded_too() {
        let (mut crowd, now) = (Crowd::new(BOUNDS), crate::clock::steady());
        let busy = Some(source("192.0.2.1"));
        for _ in 0..6 {
            crowd.take(busy, now, 0.99).expect("a place");
            crowd.enter(busy);
        }
        let outcome = crowd.take(busy, now, 0.99);
        assert_eq!(outcome, Err(TurnedAway::TooManyFromThere));
        for _ in 6..20 {
            crowd.take(None, now, 0.99).expect("a place");
            crowd.enter(None);
        }
        assert_eq!(crowd.take(None, now, 0.99), Err(TurnedAway::Full));
        let outcome = crowd.take(Some(source("192.0.2.2")), now, 0.99);
        assert_eq!(outcome, Err(TurnedAway::Full));
    }

    /// A flood from everywhere must leave some luck to those who only want to log in.
    #[test]
    fn newcomers_are_dropped_by_a_growing_chance() {
        for (strangers, chance) in [(0, 0.0), (4, 0.0), (5, 0.3), (10, 1.0), (11, 1.0)] {
            let got = drop_chance(strangers, 10);
            assert!((got - chance).abs() < 1e-9, "{strangers}: {got}");
        }
        let (mut crowd, now) = (Crowd::new(BOUNDS), crate::clock::steady());
        for last in 0..5_u8 {
            let from = Some(source(&format!("192.0.2.{last}")));
            crowd.take(from, now, 0.0).expect("a place");
        }
        let late = Some(source("192.0.2.9"));
        assert_eq!(crowd.take(late, now, 0.29), Err(TurnedAway::Crowded));
        assert_eq!(crowd.take(late, now, 0.3), Ok(()));
    }

    proptest! {
        /// Whatever comes and goes, the counts stay within their bounds and return to nought.
        #[test]
        fn the_counts_are_kept(
            steps in prop::collection::vec((0_u8..6, 0_u8..3, 0.0..1.0), 0..300),
        ) {
            let (mut crowd, now) = (Crowd::new(BOUNDS), crate::clock::steady());
            let mut here: Vec<(Option<Source>, Standing)> = Vec::new();
            for (from, what, luck) in steps {
                let from = (from > 0).then(|| Source::of([192, 0, 2, from].into()));
                let stranger = here.iter().position(|one| *one == (from, Standing::Stranger));
                match (what, stranger) {
                    (0, _) if crowd.take(from, now, luck).is_ok() => {
                        here.push((from, Standing::Stranger));
                    }
                    (1, Some(at)) => {
                        crowd.enter(from);
                        here[at].1 = Standing::Guest;
                    }
                    (2, _) if !here.is_empty() => {
                        let (source, standing) = here.remove(here.len() / 2);
                        crowd.leave(source, standing);
                    }
                    _ => {}
                }
                prop_assert_eq!(crowd.all.connections, here.len());
                prop_assert!(crowd.all.connections <= BOUNDS.connections);
                prop_assert!(crowd.all.strangers <= BOUNDS.strangers);
                for count in crowd.sources.values() {
                    prop_assert!(count.connections <= BOUNDS.connections_per_source);
                    prop_assert!(count.strangers <= BOUNDS.strangers_per_source);
                }
            }
            for (source, standing) in here {
                crowd.leave(source, standing);
            }
            prop_assert_eq!(crowd.all, Count::default());
            prop_assert!(crowd.sources.is_empty());
        }
    }
}
