//! Single messages, found and shown: as their lines in the results would say at this moment.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Answer, MessagesTold, Not, OperatorDesk, digits, no};
use crate::batch::BatchId;
use crate::clock;
use crate::delivery::standing::{BatchStanding, MessageStanding, Note};
use crate::report;
use crate::store::{BatchQuery, LISTED_MAX};

/// Messages that are read from the store at once.
const PAGE: u64 = 1_000;

/// Messages that are told of, at most.
const FOUND_MAX: usize = 100;

/// How long is looked, at most.
const LOOK_TAKES: Duration = Duration::from_secs(20);

/// What a message is found by; what is empty fits all.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// The digits of the recipient's number.
    pub(super) to: Option<String>,
    /// The tenant's own reference.
    pub(super) reference: Option<String>,
}

impl Marks {
    fn fit(&self, standing: &MessageStanding) -> bool {
        let (to, reference) = match (&standing.message, &standing.note) {
            (Some(message), _) => (Some(&message.to), message.reference.as_deref()),
            (None, Some(Note::Row { to, reference, .. })) => (to.as_ref(), reference.as_deref()),
            (None, _) => (None, None),
        };
        let is_to = |wanted: &String| to.is_some_and(|to| digits(to.as_str()) == *wanted);
        self.to.as_ref().is_none_or(is_to)
            && (self.reference.is_none() || self.reference.as_deref() == reference)
    }
}

impl OperatorDesk {
    /// One message of a batch.
    pub(super) async fn message(&self, batch: String, index: u64) -> Result<Answer, Not> {
        let standing = self.find(batch).await?;
        let id = standing.arrival.batch.clone();
        match self.store.messages(id.clone(), index, 1).await?.first() {
            Some(message) => Ok(Answer::Message(told(&standing, message))),
            None => no(format!(
                "batch {id} has no message {index}, or its content is gone"
            )),
        }
    }

    /// The messages that fit, in the batch that is named or in all, the newest first.
    pub(super) async fn messages(
        &self,
        marks: Marks,
        batch: Option<String>,
    ) -> Result<Answer, Not> {
        if marks.to.is_none() && marks.reference.is_none() {
            return no("say what to look for: a recipient or a reference");
        }
        let standings = if let Some(batch) = batch {
            vec![self.find(batch).await?]
        } else {
            let query = BatchQuery {
                limit: LISTED_MAX,
                ..BatchQuery::default()
            };
            self.store.batches(query).await?
        };
        let begun = clock::steady();
        let mut found = MessagesTold {
            messages: Vec::new(),
            is_whole: standings.len() < LISTED_MAX as usize,
        };
        for standing in &standings {
            let batch: &BatchId = &standing.arrival.batch;
            for from in (0..standing.counts.total).step_by(PAGE as usize) {
                let spent = clock::steady().duration_since(begun);
                if found.messages.len() >= FOUND_MAX || spent > LOOK_TAKES {
                    found.is_whole = false;
                    return Ok(Answer::Messages(found));
                }
                let page = self.store.messages(batch.clone(), from, PAGE).await?;
                let fitting = page.iter().filter(|message| marks.fit(message));
                let left = FOUND_MAX - found.messages.len();
                found
                    .messages
                    .extend(fitting.take(left).map(|message| told(standing, message)));
            }
        }
        Ok(Answer::Messages(found))
    }
}

/// A message as its line in the results says it, with the batch that it is of.
fn told(batch: &BatchStanding, message: &MessageStanding) -> Value {
    let line: Value =
        serde_json::from_slice(&report::results_line(message)).expect("our own line is JSON");
    let arrival = &batch.arrival;
    let mut told = json!({
        "batch": arrival.batch,
        "tenant": arrival.tenant,
        "file": arrival.name,
    });
    if let (Some(told), Value::Object(line)) = (told.as_object_mut(), line) {
        told.extend(line);
    }
    told
}
