//! How messages that are handed over together become requests, one after the other. Templates go
//! in one; what is refused as a whole goes again in parts, so that one bad message sinks none of
//! its neighbours. Everything else has a call for one message only.

use std::collections::VecDeque;

use super::Infobip;
use super::answer::{Heard, heard};
use super::said::Said;
use crate::batch::fault::Code;
use crate::delivery::{AttemptId, Outcome, Scope};
use crate::provider::cause::Cause;
use crate::provider::{Load, Next, Reply, meaning};

/// The most requests that messages are handed over with; what is left then comes again later.
const REQUESTS_MAX: usize = 64;

/// What comes next after these replies.
pub(super) fn next(infobip: &Infobip, load: &Load<'_>, replies: &[Reply]) -> Next {
    let said: Vec<Said> = load.messages.iter().map(|it| Said::of(it)).collect();
    let mut exchange = Exchange::new(load, &said);
    for reply in replies {
        exchange.hear(infobip, reply);
    }
    if replies.len() >= REQUESTS_MAX {
        exchange.leave("too many of the messages beside it are refused");
    }
    match exchange.groups.front() {
        Some(group) => Next::Send(infobip.request(load, &said, group)),
        None => Next::Done(exchange.outcomes()),
    }
}

#[derive(Debug)]
struct Exchange<'a> {
    load: &'a Load<'a>,
    outcomes: Vec<Option<Outcome>>,
    /// What is still to be sent, each a request, by the places of its messages.
    groups: VecDeque<Vec<usize>>,
}

impl<'a> Exchange<'a> {
    fn new(load: &'a Load<'_>, said: &[Said]) -> Self {
        let outcomes: Vec<Option<Outcome>> = said.iter().map(unsayable).collect();
        let sayable = (0..said.len()).filter(|at| outcomes[*at].is_none());
        let (templates, others): (Vec<usize>, Vec<usize>) =
            sayable.partition(|at| said[*at].call == super::template::CALL);
        let mut groups = VecDeque::new();
        if !templates.is_empty() {
            groups.push_back(templates);
        }
        groups.extend(others.into_iter().map(|at| vec![at]));
        Self {
            load,
            outcomes,
            groups,
        }
    }

    /// Takes in the reply to the first group.
    fn hear(&mut self, infobip: &Infobip, reply: &Reply) {
        let Some(group) = self.groups.pop_front() else {
            return;
        };
        let ids: Vec<&AttemptId> = group.iter().map(|at| &self.load.ids[*at]).collect();
        let speaks = group.iter().any(|at| {
            let options = &self.load.messages[*at].options;
            options.entity_id.is_some() || options.application_id.is_some()
        });
        let heard = match meaning::answer(reply) {
            Ok(answer) => heard(&answer, &ids, speaks, &infobip.credential),
            Err(outcome) => Heard::All(*outcome),
        };
        match heard {
            Heard::Each(outcomes) => {
                for (at, outcome) in group.into_iter().zip(outcomes) {
                    self.heed(&outcome);
                    self.outcomes[at] = Some(outcome);
                }
            }
            Heard::All(outcome) => {
                self.heed(&outcome);
                for at in group {
                    self.outcomes[at] = Some(outcome.clone());
                }
            }
            Heard::OneIsBad(outcome, _) if group.len() == 1 => {
                self.outcomes[group[0]] = Some(outcome);
            }
            Heard::OneIsBad(_, mut named) if !named.is_empty() => {
                let mut good = Vec::with_capacity(group.len());
                for (place, at) in group.into_iter().enumerate() {
                    match named.remove(&place) {
                        Some(outcome) => self.outcomes[at] = Some(outcome),
                        None => good.push(at),
                    }
                }
                if !good.is_empty() {
                    self.groups.push_front(good);
                }
            }
            Heard::OneIsBad(..) => {
                let mut first = group;
                let second = first.split_off(first.len() / 2);
                self.groups.push_front(second);
                self.groups.push_front(first);
            }
        }
    }

    /// Lets go what is left where an outcome says that it would fare no better.
    fn heed(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Accepted { .. }
            | Outcome::Refused { .. }
            | Outcome::Deferred {
                scope: Scope::Message | Scope::Recipient,
                ..
            } => {}
            Outcome::Deferred { .. } => self.end(outcome),
            Outcome::Unclear { .. } => self.leave("the request before it had no clear answer"),
        }
    }

    /// What was not handed over comes again later.
    fn leave(&mut self, why: &str) {
        self.end(&Outcome::Deferred {
            reason: Cause::Unavailable.reason(why, String::new()),
            wait: None,
            scope: Scope::Message,
        });
    }

    fn end(&mut self, outcome: &Outcome) {
        for at in self.groups.drain(..).flatten() {
            self.outcomes[at] = Some(outcome.clone());
        }
    }

    fn outcomes(self) -> Vec<Outcome> {
        let each = self.outcomes.into_iter();
        each.map(|it| it.expect("every message is in a group until it has an outcome"))
            .collect()
    }
}

/// What becomes of a message that cannot be said: it was checked for another provider.
fn unsayable(said: &Said) -> Option<Outcome> {
    let fault = said.fault()?;
    let cause = match fault.code {
        Code::SessionType | Code::TemplateUnsupported => Cause::MessageType,
        _ => Cause::Parameter,
    };
    let words = format!("Infobip takes {}; found {}", fault.expected, fault.found);
    Some(Outcome::Refused {
        reason: cause.reason(&words, String::new()),
        in_row: true,
    })
}
