//! Files held against the checksums beside them, at their check and when a checksum comes late.

use tokio::runtime::Handle;

use super::intake::{Desk, Error};
use crate::batch::name::DropFolder;
use crate::batch::{Arrival, BatchId, Fault, verdict};
use crate::clock;
use crate::inbox::companion::{self, Checksum};
use crate::inbox::{Drops, Inbox};
use crate::store::{Heard, Store};

/// What the companions of a file say of it.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    /// Those that were heard.
    pub(super) heard: Vec<Heard>,
    /// Why the file cannot be what was meant to be sent.
    pub(super) fault: Option<Fault>,
}

/// Holds a file against the checksums that lie beside it as its check begins. A companion that was
/// heard about an earlier file of the name is of no concern to this one, also if it still lies
/// there: which have been heard is committed together with the verdict on their file.
pub(super) fn hear(
    store: &Store,
    inbox: &Inbox,
    arrival: &Arrival,
    desk: &Desk,
) -> Result<Hearing, Error> {
    let mut hearing = Hearing::default();
    let drops = Drops::open(&desk.root)?;
    let checksums = companion::checksums_of(&drops, arrival)?;
    if checksums.is_empty() {
        return Ok(hearing);
    }
    let earlier = Handle::current().block_on(store.heard(arrival.tenant.clone()))?;
    for checksum in checksums {
        let one = heard(&checksum);
        let was_heard = |(_, folder, other): &(BatchId, DropFolder, Heard)| {
            *folder == arrival.folder && *other == one
        };
        if earlier.iter().any(was_heard) {
            continue;
        }
        if is_coming(&checksum, desk) {
            // To go on without it would be to send what it may forbid.
            return Err(Error::Coming);
        }
        let fault = match &checksum.sum {
            None => Some(verdict::garbled()),
            Some(sum) => {
                let found = companion::sum_of(inbox.file(arrival)?, checksum.kind)?;
                (found != *sum).then(|| verdict::mismatch(checksum.kind, sum, &found))
            }
        };
        hearing.fault = hearing.fault.or(fault);
        hearing.heard.push(one);
    }
    Ok(hearing)
}

/// What is kept of a companion that was heard.
pub(super) fn heard(checksum: &Checksum) -> Heard {
    Heard {
        kind: checksum.kind,
        name: checksum.name.clone(),
        identity: checksum.identity,
    }
}

/// Whether a companion that holds no checksum may be one that is still being written: then its file
/// waits until it lies still.
fn is_coming(checksum: &Checksum, desk: &Desk) -> bool {
    let settle_ms = i64::try_from(desk.inbox.settle.as_millis()).unwrap_or(i64::MAX);
    let age_ms = clock::now().as_millis() - checksum.changed_ns / 1_000_000;
    checksum.sum.is_none() && age_ms < settle_ms
}
