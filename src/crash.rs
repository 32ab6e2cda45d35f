//! Named points at which a test build can be made to die, as a power cut would, and faults that it
//! can be told to have. Any other build has none of them. What is listed here is what there is.
//!
//! # Points
//!
//! In each line in the order in which they are passed.
//!
//! - an upload is closed: `close-sealed`, `close-synced`, `close-linked`, `close-spool-synced`,
//!   `close-renamed`, `close-shown`, `close-folder-synced`
//! - an upload is renamed: `rename-synced`, `rename-linked`, `rename-spool-synced`, `rename-moved`,
//!   `rename-shown`, `rename-folder-synced`
//! - a local job's file is taken: `local-copied`, `local-spooled`
//! - a start finishes what a death has cut off: `repair-renamed`, `repair-shown`
//! - a file is checked and kept: `received`, `held`, `check-begun`, `kept`, `admitted`, `refused`
//! - a chunk of messages is read: `chunk-begun`
//! - a file is uploaded for messages: `media-uploaded`, `media-kept`
//! - a message is sent: `send-intended`, `send-begun`, `send-answered`, `send-recorded`
//! - a group of verbs is committed: `store-commit-before`, `store-committed`
//! - a whole file is written: `draft-sealed`, `draft-renamed`
//! - a report is written: `report-sealed`, `report-announced`, `report-revealed`, `report-done`
//! - a batch ends: `file-linked`, `name-aside`, `name-removed`, `status-final`, `ended`, `released`
//! - what is old goes: `purge-files-removed`, `purge-files-noted`, `purge-messages-step`,
//!   `purge-notes-step`, `purge-history-step`, `purge-history-done`
//! - a file steers a batch: `steering-granted`, `companion-cleared`
//! - host keys change: `host-key-made`, `host-keys-next`, `host-key-aside`, `host-key-moved`
//!
//! # Faults
//!
//! - `close-unlinked`: a close is answered though nothing was linked into the spool
//! - `outcome-early`: a message is recorded as accepted before its request has left
//! - `store-sync`: a commit of the store fails as if the disk could not be synced
//!
//! # Waits
//!
//! - `wait-unclosed`, `wait-sweep`: until a local job's file counts as whole
//! - `wait-refused`: until a name that cannot be read is answered
//! - `wait-abandoned`: until an unfinished upload is removed

/// Kills the process here if the environment says so: `FAILPOINTS=close-linked=return` does it the
/// first time, `FAILPOINTS=close-linked=2*off->return` the third time.
pub fn point(name: &'static str) {
    #[cfg(feature = "fail-points")]
    if fail::eval(name, |_| ()).is_some() {
        std::process::abort();
    }
    #[cfg(not(feature = "fail-points"))]
    let _ = name;
}

/// Whether this fault was asked for, as `FAILPOINTS=outcome-early=return` does: by it the tests see
/// that they would notice.
pub fn fault(name: &'static str) -> bool {
    #[cfg(feature = "fail-points")]
    let asked_for = fail::eval(name, |_| ()).is_some();
    #[cfg(not(feature = "fail-points"))]
    let (asked_for, _) = (false, name);
    asked_for
}

/// How long to wait for `name`: `otherwise`, unless the environment of a test build says how many
/// milliseconds, as `FAILPOINTS=wait-abandoned=return(200)` does.
pub fn wait(name: &'static str, otherwise: std::time::Duration) -> std::time::Duration {
    #[cfg(feature = "fail-points")]
    {
        let said = |millis: Option<String>| millis.and_then(|millis| millis.parse().ok());
        if let Some(Some(millis)) = fail::eval(name, said) {
            return std::time::Duration::from_millis(millis);
        }
    }
    #[cfg(not(feature = "fail-points"))]
    let _ = name;
    otherwise
}

/// Reads which points the environment names; to be called before any of them is passed.
pub fn arm() {
    #[cfg(feature = "fail-points")]
    std::mem::forget(fail::FailScenario::setup());
}
