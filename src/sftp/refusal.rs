//! Answers other than what was asked for, in words that the person at the other end can act on.

use std::borrow::Cow;
use std::io;

use rustix::io::Errno;

use super::packet::{self, Status};

/// An answer other than what was asked for: the status and the sentence that the client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: Status,
    pub(super) words: Cow<'static, str>,
}

impl Refusal {
    pub(super) fn new(status: Status, words: impl Into<Cow<'static, str>>) -> Self {
        let words = words.into();
        Self { status, words }
    }

    pub(super) fn failure(words: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Status::Failure, words)
    }

    pub(super) fn denied(words: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Status::PermissionDenied, words)
    }

    pub(super) fn no_such_file() -> Self {
        Self::new(Status::NoSuchFile, "no such file")
    }

    /// The reply that tells it.
    pub(super) fn reply(&self, id: u32) -> Vec<u8> {
        packet::status(id, self.status, &self.words)
    }
}

/// Why no folder can be made, renamed or removed, and nothing linked.
pub(super) fn fixed() -> Refusal {
    Refusal::denied("the folders are fixed: files only, and no links")
}

/// What a client hears that writes to a file which is a batch by now.
pub(super) fn taken() -> Refusal {
    Refusal::denied("this file has been taken; upload it again as a new file")
}

/// What a client hears whose name was taken over.
pub(super) fn superseded() -> Refusal {
    Refusal::failure("a newer upload of this name has taken over")
}

/// What a client hears when the disk failed after the file may have been taken. A bare failure
/// would make it upload again what is perhaps being sent.
pub(super) fn unconfirmed() -> Refusal {
    Refusal::failure(
        "the disk could not confirm this, and the file may have been taken: look at its status \
         before you send it again",
    )
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        if Errno::from_io_error(&error) == Some(Errno::LOOP) {
            return Self::denied("links are not followed");
        }
        match error.kind() {
            io::ErrorKind::NotFound => Self::no_such_file(),
            io::ErrorKind::PermissionDenied => Self::denied("permission denied"),
            io::ErrorKind::AlreadyExists => Self::failure("a file of this name exists"),
            io::ErrorKind::NotADirectory => Self::denied("this is not a folder"),
            io::ErrorKind::IsADirectory => Self::denied("this is a folder"),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::failure("no space left; try again later")
            }
            kind => {
                tracing::debug!(%error, "failed to serve a file");
                Self::failure(format!("the server could not do this: {kind}"))
            }
        }
    }
}

impl From<Errno> for Refusal {
    fn from(error: Errno) -> Self {
        io::Error::from(error).into()
    }
}
