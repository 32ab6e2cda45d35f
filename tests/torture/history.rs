//! What was seen of a run from outside: the words of the oracle.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Everything that was seen of a run from outside. Moments count from its beginning.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) contents: Vec<Content>,
    pub(crate) drops: Vec<Dropped>,
    pub(crate) batches: Vec<Batch>,
    pub(crate) requests: Vec<Request>,
    pub(crate) deaths: Vec<Death>,
    /// Connections to the provider that were broken.
    pub(crate) cuts: usize,
    /// Tenants whose messages may be sent again when they are in doubt.
    pub(crate) resending: BTreeSet<&'static str>,
}

/// The bytes of a file, and what they say. No two contents are equal.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) tenant: &'static str,
    /// The number that all of its messages come from.
    pub(crate) sender: &'static str,
    pub(crate) bytes: Vec<u8>,
    /// Whether it can be sent; otherwise the whole file must be refused.
    pub(crate) is_good: bool,
    pub(crate) rows: Vec<Row>,
}

/// A row of a content.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The line that it stands on.
    pub(crate) line: u64,
    /// Its recipient; `None` when the row is wrong and must be `invalid`.
    pub(crate) to: Option<String>,
    pub(crate) reference: String,
}

/// One try of a client to have a content taken under a name.
#[derive(Clone, Debug)]
pub(crate) struct Dropped {
    /// Which content, by its place.
    pub(crate) content: usize,
    pub(crate) name: String,
    /// The earliest moment in which the client can have asked for the close or the rename.
    pub(crate) asked_at: Duration,
    pub(crate) answer: DropAnswer,
}

/// What the client heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DropAnswer {
    /// `OK`.
    Ok,
    /// A failure or nothing, after it may have asked.
    Doubtful,
    /// It never asked.
    Never,
}

/// What came back for one batch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Batch {
    pub(crate) tenant: &'static str,
    pub(crate) id: String,
    pub(crate) name: String,
    /// The state in its last status; empty when there is no last status.
    pub(crate) state: String,
    /// The code of the reason for it; empty when there is none.
    pub(crate) reason: String,
    pub(crate) counts: BTreeMap<String, u64>,
    /// The copies of the file, each with the folder that it lies in.
    pub(crate) kept: Vec<(&'static str, Vec<u8>)>,
    /// The lines of its results; `None` when there are none.
    pub(crate) lines: Option<Vec<Told>>,
}

/// A line of results.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    pub(crate) index: u64,
    pub(crate) line: u64,
    pub(crate) to: String,
    pub(crate) reference: String,
    pub(crate) status: String,
    pub(crate) message_id: String,
    /// Attempts that were begun, also those of which the provider never heard.
    pub(crate) attempts: u32,
    pub(crate) possible_duplicate: bool,
}

/// A request as the provider wrote it down before it answered.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) batch: String,
    pub(crate) index: u64,
    pub(crate) attempt: u32,
    pub(crate) to: String,
    pub(crate) at: Duration,
    /// The id that it gave to the message; `None` when it did not take it.
    pub(crate) taken: Option<String>,
    /// Whether its answer says what became of the message.
    pub(crate) clear: bool,
}

/// An end of the daemon that left open what was under way.
#[derive(Clone, Debug)]
pub(crate) struct Death {
    pub(crate) at: Duration,
    /// The earliest moment of a request whose outcome need not have been on disk by then.
    pub(crate) under_way_since: Duration,
}
