//! One request and what comes of it: it leaves once its intents are on disk, and the loop hears how
//! that ended.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::mpsc;

use super::{Answered, Dispatch, Event, Recorded};
use crate::clock;
use crate::crash;
use crate::daemon::outlet::{Outlet, steady_since};
use crate::daemon::uploading::Uploading;
use crate::daemon::{journal, lock};
use crate::delivery::sending::{Going, Item, Now, Verdict};
use crate::delivery::{Attempt, Outcome, State, Step};
use crate::store::Error;

/// Lets requests leave and brings their answers.
#[derive(Clone)]
pub(super) struct Sender {
    pub(super) dispatch: Arc<Dispatch>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) under_way: Arc<AtomicUsize>,
    pub(super) epoch: Instant,
}

impl Sender {
    fn now(&self) -> Now {
        Now {
            steady: steady_since(self.epoch),
            wall: clock::now(),
        }
    }

    /// Hands the messages of a request over with the ids of their files: what became of each, and
    /// in `leaves` when they left.
    async fn hand_over(
        &self,
        outlet: &Outlet,
        going: &Going,
        leaves: &Mutex<Now>,
    ) -> Result<Vec<Outcome>, Error> {
        let uploading = &self.dispatch.uploading;
        let Some(messages) = uploading.named(going) else {
            return Ok(Uploading::missing(going));
        };
        let may_leave = async {
            outlet.may_leave(going, || steady_since(self.epoch)).await;
            *lock(leaves) = self.now();
            crash::point("send-begun");
        };
        let outcomes = outlet.send(going, &messages, may_leave).await;
        uploading
            .heed_losses((outlet, going), &messages, outcomes)
            .await
    }

    pub(super) async fn send(self, mut going: Going, begun: Vec<bool>) {
        let outlet = self.dispatch.outlets.get(&going.tenant).map(Arc::clone);
        let all = going.items.len();
        let mut of_begun = begun.iter();
        let lost: Vec<Item> = going
            .items
            .extract_if(.., |_| !of_begun.next().copied().unwrap_or(false))
            .collect();
        let outlet = outlet.filter(|_| !going.items.is_empty());
        let Some(outlet) = outlet.filter(|outlet| outlet.has_door(&going)) else {
            let batch = going.batch.clone();
            going.items.extend(lost);
            self.under_way.fetch_sub(all, Ordering::AcqRel);
            let end = Recorded {
                going,
                again: Vec::new(),
                closed: 0,
            };
            drop(self.events.send(Event::Recorded(vec![end])).await);
            if let Some(gone) = self.dispatch.gone(batch).await {
                drop(self.events.send(gone).await);
            }
            return;
        };
        if crash::fault("outcome-early") {
            let accept = |attempt: Attempt| Verdict {
                step: Step::Done {
                    state: State::Accepted,
                    provider_id: attempt.id().to_string(),
                    reason: None,
                    in_row: false,
                },
                attempt,
            };
            let early = going.attempts().into_iter().map(accept).collect();
            drop(self.dispatch.store.record(early, clock::now()).await);
        }
        let figures = &self.dispatch.figures;
        figures.attempt_began(going.items.len());
        let leaves = Mutex::new(self.now());
        let outcomes = match self.hand_over(&outlet, &going, &leaves).await {
            Ok(outcomes) => outcomes,
            Err(error) => return drop(self.events.send(Event::Failed(error)).await),
        };
        let left_at = *lock(&leaves);
        let took = self.now().steady.saturating_sub(left_at.steady);
        figures.attempt_ended(going.items.len(), took);
        crash::point("send-answered");
        for (item, outcome) in going.items.iter().zip(&outcomes) {
            let word = outcome_word(outcome);
            figures.outcome(outlet.tenant(), word);
            if journal::tells_attempts() {
                journal::attempted(&item.attempt(&going.batch).id(), word);
            }
        }
        let mut begun = vec![true; going.items.len()];
        begun.extend(lost.iter().map(|_| false));
        going.items.extend(lost);
        let answered = Answered {
            going,
            begun,
            outcomes,
            left_at,
        };
        drop(self.events.send(Event::Answered(Box::new(answered))).await);
    }
}

pub(super) fn outcome_word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted { .. } => "accepted",
        Outcome::Refused { .. } => "refused",
        Outcome::Deferred { .. } => "deferred",
        Outcome::Unclear { .. } => "unclear",
    }
}
