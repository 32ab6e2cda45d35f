//! What providers say later about messages: a callback as it came in, and the receipts that it
//! holds. How a provider writes them is for its adapter to know; what follows from one is for
//! `settling`.

use serde::{Deserialize, Serialize};

use super::{AttemptId, Reason};
use crate::batch::Moment;

/// A request that a provider made of us, as it came in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Callback {
    /// Where it was sent, from the path on, with what follows a `?`.
    pub target: String,
    /// Names and values of its headers; those that are not text are left out.
    pub headers: Vec<(String, String)>,
    /// Its body, byte for byte, since that is what is signed.
    pub body: Vec<u8>,
}

impl Callback {
    /// The first header of this name, however that is written.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// What follows the `?`; empty if nothing does.
    pub fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }
}

/// What a provider says about one message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// Our own name of the attempt, where the provider echoes it.
    pub attempt: Option<AttemptId>,
    /// The provider's id of the message; empty if it does not say.
    pub provider_id: String,
    /// What it says.
    pub says: Says,
    /// When that happened, by the provider's clock.
    pub at: Moment,
}

/// What became of a message, by its receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Says {
    /// The provider has it, and has perhaps sent it on.
    Accepted,
    /// It reached the recipient's device.
    Delivered,
    /// The recipient has opened it.
    Read,
    /// It will not reach the recipient.
    #[serde(rename_all = "camelCase")]
    Failed {
        /// Why.
        reason: Reason,
        /// Whether the fault lies in the row, so that a mended row could be sent.
        in_row: bool,
    },
}

impl Says {
    /// The word for it in figures.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Failed { .. } => "failed",
        }
    }
}
