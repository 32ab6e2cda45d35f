//! A provider that takes messages, refuses them, throttles, is down, or does not answer; and that
//! knows what it has taken.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::plan::Peer;
use super::{Message, Outcome, Phone, Reason, Rng, Scope};
use crate::batch::Content;

/// How soon one recipient may get another message where the provider minds that.
const PAIR: Duration = Duration::from_secs(6);

/// After so long whoever waits for an answer gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// How the provider fails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// Too many messages to one recipient.
    Pair,
    /// It says that it cannot, and takes nothing.
    Unavailable,
    /// Nothing reaches it.
    Outage,
    /// It never answers, whether it takes a message or not.
    Hang,
    /// Its answer says nothing.
    Doubt,
    Refusal,
    TemplatePaused,
    Credential,
    SenderDown,
}

impl Kind {
    pub(super) const ALL: [Self; 9] = [
        Self::Pair,
        Self::Unavailable,
        Self::Outage,
        Self::Hang,
        Self::Doubt,
        Self::Refusal,
        Self::TemplatePaused,
        Self::Credential,
        Self::SenderDown,
    ];
}

/// Something that is wrong at the provider for a while.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    pub(super) tenant: usize,
    /// At this number only; `None` at all of the tenant's.
    pub(super) number: Option<Phone>,
    /// With this template only, where it is about templates.
    pub(super) template: String,
    pub(super) lasts: Duration,
    /// How many of the messages it meets.
    pub(super) share: f64,
    /// How long the provider asks to wait.
    pub(super) wait: Option<Duration>,
}

/// What becomes of a message at the provider.
pub(super) struct Answer {
    pub(super) outcome: Outcome,
    pub(super) is_taken: bool,
    /// How long the answer takes beyond the way.
    pub(super) after: Duration,
}

#[derive(Debug, Default)]
pub(super) struct Provider {
    faults: Vec<(Duration, Fault)>,
    /// What came in the last second from each number.
    came: HashMap<Phone, VecDeque<Duration>>,
    pairs: HashMap<(Phone, Phone), Duration>,
}

impl Provider {
    pub(super) fn fail(&mut self, fault: Fault, now: Duration) {
        self.faults.push((now + fault.lasts, fault));
    }

    pub(super) fn heal(&mut self) {
        self.faults.clear();
    }

    /// How many messages came from a number within the second before `now`, with `count` more.
    pub(super) fn comes(&mut self, from: &Phone, count: usize, now: Duration) -> usize {
        let came = self.came.entry(from.clone()).or_default();
        while came
            .front()
            .is_some_and(|at| *at + Duration::from_secs(1) <= now)
        {
            came.pop_front();
        }
        came.extend(std::iter::repeat_n(now, count));
        came.len()
    }

    pub(super) fn answer(
        &mut self,
        (no, peer): (usize, &Peer),
        message: &Message,
        is_over: bool,
        (now, rng): (Duration, &mut Rng),
    ) -> Answer {
        self.faults.retain(|(until, _)| *until > now);
        let meets = |fault: &Fault| {
            let template = match &message.content {
                Content::Template(filling) => filling.name == fault.template,
                _ => false,
            };
            fault.tenant == no
                && fault.number.as_ref().is_none_or(|at| *at == message.from)
                && (template || fault.kind != Kind::TemplatePaused)
        };
        for (_, fault) in &self.faults {
            if meets(fault) && rng.f64() < fault.share {
                let last = self.pairs.get(&(message.from.clone(), message.to.clone()));
                let is_soon = last.is_some_and(|last| *last + PAIR > now);
                if let Some(answer) = fails(fault, is_soon, rng) {
                    if answer.is_taken {
                        self.take(message, now);
                    }
                    return answer;
                }
            }
        }
        if is_over {
            let wait = peer.says_wait.then_some(Duration::from_secs(1));
            return answered(deferred(Scope::Rate, wait));
        }
        self.take(message, now);
        Answer {
            is_taken: true,
            ..answered(Outcome::Accepted {
                provider_id: String::new(),
            })
        }
    }

    fn take(&mut self, message: &Message, now: Duration) {
        let pair = (message.from.clone(), message.to.clone());
        self.pairs.insert(pair, now);
    }
}

fn fails(fault: &Fault, is_soon: bool, rng: &mut Rng) -> Option<Answer> {
    let wait = fault.wait;
    let scope = match fault.kind {
        Kind::Pair if is_soon => Scope::Recipient,
        Kind::Pair => return None,
        Kind::Unavailable => Scope::Message,
        Kind::Outage => return Some(answered(deferred(Scope::Endpoint, None))),
        Kind::TemplatePaused => Scope::Template,
        Kind::Credential => Scope::Credential,
        Kind::SenderDown => Scope::Sender,
        Kind::Refusal => {
            let (reason, in_row) = (reason(), rng.bool());
            return Some(answered(Outcome::Refused { reason, in_row }));
        }
        Kind::Hang | Kind::Doubt => {
            let outcome = Outcome::Unclear { reason: reason() };
            let is_hung = fault.kind == Kind::Hang;
            return Some(Answer {
                outcome,
                is_taken: rng.bool(),
                after: if is_hung { PATIENCE } else { Duration::ZERO },
            });
        }
    };
    Some(answered(deferred(scope, wait)))
}

fn answered(outcome: Outcome) -> Answer {
    Answer {
        outcome,
        is_taken: false,
        after: Duration::ZERO,
    }
}

fn deferred(scope: Scope, wait: Option<Duration>) -> Outcome {
    Outcome::Deferred {
        reason: reason(),
        wait,
        scope,
    }
}

fn reason() -> Reason {
    Reason::new("provider.simulated", "simulated")
}
