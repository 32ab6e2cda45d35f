//! How a load is handed over: every broadcast of it is made, and then their states are asked for, a
//! round at a time, until nothing is open or the time for it is up.

use std::slice::Iter;
use std::time::Duration;

use super::reading::{States, made};
use super::wire::{Broadcast, broadcasts, create_path, status_path};
use super::{Botsquad, Takes};
use crate::delivery::{Outcome, Scope};
use crate::provider::cause::Cause;
use crate::provider::{Load, Next, REQUESTS_MAX, Reply, Request, meaning};

/// How long is waited before states are asked for the first time; half as long again each time
/// after that, up to the longest.
const POLL_FIRST: Duration = Duration::from_secs(5);
const POLL_LONGEST: Duration = Duration::from_mins(2);

/// A load on its way.
#[derive(Debug)]
pub(super) struct Exchange<'a> {
    adapter: &'a Botsquad,
    /// By the message's place in the load; `None` while it is open.
    outcomes: Vec<Option<Outcome>>,
    broadcasts: Vec<Broadcast>,
}

/// A broadcast that was made.
struct Made<'e> {
    id: String,
    broadcast: &'e Broadcast,
    states: States,
}

impl<'a> Exchange<'a> {
    /// The beginning.
    pub(super) fn new(adapter: &'a Botsquad, load: &Load<'_>) -> Self {
        let terms = Takes::new(&adapter.settings);
        let refused = |&message| meaning::not_taken(&terms, message);
        let outcomes: Vec<_> = load.messages.iter().map(refused).collect();
        let sent = load.messages.iter().copied().enumerate();
        let sent = sent.filter(|(place, _)| outcomes[*place].is_none());
        let broadcasts = broadcasts(sent, &adapter.settings);
        Self {
            adapter,
            outcomes,
            broadcasts,
        }
    }

    /// What comes next after these replies.
    pub(super) fn next(mut self, replies: &[Reply]) -> Next {
        let broadcasts = std::mem::take(&mut self.broadcasts);
        let mut replies = replies.iter();
        let mut made = match self.make(&broadcasts, &mut replies) {
            Ok(made) => made,
            Err(request) => return Next::Send(*request),
        };
        if let Some(next) = self.ask(&mut made, &mut replies, broadcasts.len()) {
            return next;
        }
        for Made {
            id,
            broadcast,
            states,
        } in &made
        {
            for user in &broadcast.users {
                let outcome = states.outcome(id, &user.digits, self.adapter);
                self.outcomes[user.place] = Some(outcome);
            }
        }
        let outcomes = self.outcomes.into_iter();
        let outcomes = outcomes.map(|it| it.expect("each message is refused or in a broadcast"));
        Next::Done(outcomes.collect())
    }

    /// The broadcasts that were made, or the request that makes the next one.
    fn make<'b>(
        &mut self,
        broadcasts: &'b [Broadcast],
        replies: &mut Iter<'_, Reply>,
    ) -> Result<Vec<Made<'b>>, Box<Request>> {
        let profile = &self.adapter.settings.profile;
        let mut found = Vec::new();
        let mut stopped = None;
        for broadcast in broadcasts {
            if let Some(outcome) = &stopped {
                self.ended(broadcast, outcome);
                continue;
            }
            let Some(reply) = replies.next() else {
                return Err(Box::new(self.request(broadcast)));
            };
            match made(reply, profile, &self.adapter.credential) {
                Ok(id) => found.push(Made {
                    id,
                    broadcast,
                    states: States::default(),
                }),
                Err(outcome) => {
                    self.ended(broadcast, &outcome);
                    stopped = for_the_rest(&outcome);
                }
            }
        }
        Ok(found)
    }

    /// All users of a broadcast have this outcome.
    fn ended(&mut self, broadcast: &Broadcast, outcome: &Outcome) {
        for user in &broadcast.users {
            self.outcomes[user.place] = Some(outcome.clone());
        }
    }

    fn request(&self, broadcast: &Broadcast) -> Request {
        let settings = &self.adapter.settings;
        let url = format!("{}{}", self.adapter.base_url, create_path(settings));
        Request::post(url, broadcast.body(settings), &self.adapter.credential)
    }

    /// The next question for states; `None` when they have all been taken in. `asked` requests
    /// were needed before.
    fn ask(
        &self,
        made: &mut [Made<'_>],
        replies: &mut Iter<'_, Reply>,
        asked: usize,
    ) -> Option<Next> {
        let settings = &self.adapter.settings;
        let mut questions = REQUESTS_MAX.saturating_sub(asked);
        let (mut waited, mut wait) = (Duration::ZERO, POLL_FIRST);
        while waited + wait <= settings.poll_max {
            let mut is_first = true;
            for one in made.iter_mut().filter(|one| one.is_open()) {
                questions = questions.checked_sub(1)?;
                let Some(reply) = replies.next() else {
                    let path = status_path(settings, &one.id);
                    let url = format!("{}{path}", self.adapter.base_url);
                    let request = Request::get(url, &self.adapter.credential);
                    return Some(if is_first {
                        Next::Wait(wait, request)
                    } else {
                        Next::Send(request)
                    });
                };
                one.states.take(reply, &settings.profile);
                is_first = false;
            }
            if is_first {
                return None;
            }
            waited += wait;
            wait = (wait * 3 / 2).min(POLL_LONGEST);
        }
        None
    }
}

impl Made<'_> {
    fn is_open(&self) -> bool {
        let users = self.broadcast.users.iter();
        self.states.is_open(users.map(|user| user.digits.as_str()))
    }
}

/// What becomes of broadcasts after one with this outcome, which then are not made. `None` where
/// it says nothing of them.
fn for_the_rest(outcome: &Outcome) -> Option<Outcome> {
    match outcome {
        Outcome::Deferred { scope, .. } if *scope != Scope::Message => Some(outcome.clone()),
        // Nobody knows what became of that one; no more are put at risk.
        Outcome::Unclear { .. } => {
            let why = "another broadcast was not answered as it should be";
            Some(Outcome::Deferred {
                reason: Cause::Unavailable.reason(why, String::new()),
                wait: None,
                scope: Scope::Message,
            })
        }
        _ => None,
    }
}
