//! What replies mean alike for all providers: those that never came, those in nobody's words, and
//! what follows from a code once an adapter's table has told its class.

use std::time::Duration;

use super::Reply;
use super::cause::Cause;
use crate::batch::Message;
use crate::batch::terms::{Objection, Terms, Weight};
use crate::delivery::{Outcome, Reason, Scope};

/// The longest `Retry-After` that is believed.
pub const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);

/// The longest id of a message that is kept, in bytes; those seen have fewer than a hundred.
pub const PROVIDER_ID_BYTES_MAX: usize = 1024;

/// How often we look whether a wrong address or token was mended.
const ADDRESS_WAIT: Option<Duration> = Some(Duration::from_mins(1));

/// A whole answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer<'a> {
    /// The HTTP status.
    pub(super) status: u16,
    /// How long the provider asks to be left alone, within reason.
    pub(super) retry_after: Option<Duration>,
    /// The body.
    pub(super) body: &'a [u8],
}

impl Answer<'_> {
    /// Whether the status says that it went well.
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// What follows from an answer of a provider, in its own words.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Class {
    /// Not taken now; later it may be.
    Later {
        /// What else must wait.
        scope: Scope,
        /// How long, where the documentation or good sense says so; `None` leaves it to the
        /// sender's own growing delays.
        wait: Option<Duration>,
    },
    /// Never, and the fault is in the row.
    BadRow,
    /// Never, and no change of the row would help.
    Never,
    /// It may have been taken.
    Open,
}

impl Class {
    /// Later, with everything in this scope, after `wait`.
    pub(super) const fn later(scope: Scope, wait: Duration) -> Self {
        let wait = Some(wait);
        Self::Later { scope, wait }
    }

    /// What becomes of the message. What the provider asks for goes before our own waits.
    pub(super) fn outcome(self, reason: Reason, retry_after: Option<Duration>) -> Outcome {
        match self {
            Self::Later { scope, wait } => Outcome::Deferred {
                reason,
                wait: retry_after.or(wait),
                scope,
            },
            Self::BadRow => Outcome::Refused {
                reason,
                in_row: true,
            },
            Self::Never => Outcome::Refused {
                reason,
                in_row: false,
            },
            Self::Open => Outcome::Unclear { reason },
        }
    }
}

/// The answer that a reply is, or what it means that there is none.
pub(super) fn answer(reply: &Reply) -> Result<Answer<'_>, Box<Outcome>> {
    match reply {
        Reply::Answer {
            status,
            retry_after,
            body,
        } => Ok(Answer {
            status: *status,
            retry_after: retry_after.map(|wait| wait.min(RETRY_AFTER_MAX)),
            body,
        }),
        Reply::NeverLeft { why } => Err(Box::new(Outcome::Deferred {
            reason: Cause::Unreachable.reason(why, String::new()),
            wait: None,
            // Whoever cannot be reached with one message cannot be with the next.
            scope: Scope::Endpoint,
        })),
        Reply::NoAnswer { why } => Err(Box::new(Outcome::Unclear {
            reason: Cause::NoAnswer.reason(why, String::new()),
        })),
    }
}

/// An answer without the provider's words: from whatever stands between here and its API, or from
/// something else altogether. A status that says that the request was not let in, or that there is
/// no such API, holds everything that goes the same way: failing a whole batch because of a wrong
/// address helps nobody. Of any other status nobody can say what became of the message, 4xx
/// included, for those who stand between write them too after having passed a request on.
pub(super) fn wordless(answer: &Answer<'_>) -> Outcome {
    let status = answer.status;
    let (scope, wait, cause) = match status {
        429 => (Scope::Rate, None, Cause::Throttled),
        401 | 403 | 407 => (Scope::Credential, ADDRESS_WAIT, Cause::Credentials),
        300..=399 | 404 | 405 | 410 => (Scope::Credential, ADDRESS_WAIT, Cause::Address),
        _ => return unreadable(status),
    };
    Outcome::Deferred {
        reason: cause.reason(&format!("HTTP {status}"), String::new()),
        wait: answer.retry_after.or(wait),
        scope,
    }
}

/// What becomes of a message that the provider does not take. Files are held against the same terms
/// when they are checked; this is for those that were checked for another provider.
pub(super) fn not_taken(terms: &dyn Terms, message: &Message) -> Option<Outcome> {
    let objections = terms.objections(message).into_iter();
    let mut faults = objections.filter(|it| it.weight == Weight::Fault);
    let Objection { expected, .. } = faults.next()?;
    Some(Outcome::Refused {
        reason: Cause::MessageType.reason(&format!("expected {expected}"), String::new()),
        in_row: true,
    })
}

/// What an answer means that cannot be read, or is not there, in a reply with this status.
pub(super) fn unreadable(status: u16) -> Outcome {
    Outcome::Unclear {
        reason: Cause::UnreadableAnswer.reason(&format!("HTTP {status}"), String::new()),
    }
}

/// Why something that is no message did not go well. What went well has no reason.
pub(super) fn reason(outcome: Outcome) -> Reason {
    match outcome {
        Outcome::Refused { reason, .. }
        | Outcome::Deferred { reason, .. }
        | Outcome::Unclear { reason } => reason,
        Outcome::Accepted { .. } => Cause::UnreadableAnswer.reason("", String::new()),
    }
}

/// An id of the provider's, if the text is one that can be kept.
pub(super) fn provider_id(text: &str) -> Option<String> {
    let good = !text.trim().is_empty()
        && text.len() <= PROVIDER_ID_BYTES_MAX
        && !text.chars().any(char::is_control);
    good.then(|| text.to_owned())
}
