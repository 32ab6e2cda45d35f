//! A file checked away from the service: what an upload of it would be told, without a door, a
//! store or a provider. What can only be known of a live service (whether the content was sent
//! before, a checksum beside the file) is left out.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::checking::{self, Checked, Keep, Wanted};
use super::media::Beside;
use crate::batch::name::{Companion, Container, DropFolder, NameKind};
use crate::batch::origin::{Origin, Unread};
use crate::batch::read::{Checker, Rules};
use crate::batch::template::Templates;
use crate::batch::{Arrival, BatchId, Fault, Moment, TenantName, verdict};
use crate::clock;
use crate::inbox::unpack;
use crate::store::Piece;

/// How many bytes are told at once: a row at a time would cost more than reading it.
const TOLD_BYTES: u64 = 256 << 10;

/// Is told of bytes as they are read.
pub type Watcher = Arc<dyn Fn(u64) + Send + Sync>;

/// What becomes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Everything in it is sent.
    Good,
    /// The wrong rows are left out and the others are sent.
    Partial,
    /// Nothing of it is sent.
    Refused,
}

/// All that is said of one file. The faults are those of its errors file.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The name that the file was checked under.
    pub file: String,
    /// What becomes of it.
    pub verdict: Verdict,
    /// How it is written; `None` when it was not read to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dialect: Option<&'static str>,
    /// How many rows were read.
    pub rows: u64,
    /// How many of them cannot be sent.
    pub invalid: u64,
    /// SHA-256 of the expanded bytes; empty when the file was not read to its end.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sha256: String,
    /// Why it is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Fault>,
    /// How many faults were found.
    pub count: u64,
    /// How many of them are not listed.
    #[serde(skip_serializing_if = "is_zero")]
    pub more: u64,
    /// The faults, up to the bound of the rules.
    pub faults: Vec<Fault>,
    /// Odd things that stop nothing.
    pub warnings: Vec<Fault>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the shape that serde asks for"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Whose uploads a file is checked as.
#[derive(Clone, Debug, Default)]
pub struct Desk {
    /// How its files are checked.
    pub rules: Rules,
    /// Its templates.
    pub templates: Templates,
}

/// Checks the file at `path` as if it were uploaded as `name`, and the files that its rows name as
/// if they had been before: they lie in `media`. An `Err` is a failure of the disk.
pub fn check(
    desk: &Desk,
    (path, name): (&Path, &str),
    media: &Path,
    watcher: &Watcher,
) -> io::Result<Answer> {
    let size_bytes = File::open(path)?.metadata()?.len();
    let received_at = clock::now();
    let (checked, kept) = match unread(name, size_bytes) {
        Ok(container) => {
            let mut kept = Vec::new();
            let open = || opened(path, name, watcher);
            let files = Beside::of(media);
            let checker = Checker {
                rules: &desk.rules,
                templates: &desk.templates,
                files: &files,
                received_at,
            };
            let mut keep = |piece: Piece| {
                kept.extend(piece.faults);
                Ok(())
            };
            let mut keep = Keep {
                wanted: Wanted::Faults,
                piece: &mut keep,
            };
            let done = checking::check(&open, size_bytes, container, checker, &mut keep)?;
            (done, kept)
        }
        Err(reason) => {
            let arrival = arrival(name, size_bytes, received_at);
            let fault = verdict::unread(&arrival, reason, desk.rules.limits.bytes_max);
            (Checked::refused(vec![fault]), Vec::new())
        }
    };
    Ok(answer(name, checked, kept))
}

/// How the file is compressed, or why an upload of that name and size would not be read.
fn unread(name: &str, size_bytes: u64) -> Result<Container, Unread> {
    match NameKind::of(name) {
        NameKind::Batch { .. } if size_bytes == 0 => Err(Unread::Empty),
        NameKind::Batch { container, .. } => Ok(container),
        NameKind::Encrypted => Err(Unread::Encrypted),
        NameKind::Companion(Companion::Steers(_)) => Err(Unread::Steering),
        NameKind::Unfinished | NameKind::Companion(_) => Err(Unread::Abandoned),
        NameKind::Other => Err(Unread::UnknownEnding),
    }
}

/// The file as it would have arrived.
fn arrival(name: &str, size_bytes: u64, received_at: Moment) -> Arrival {
    Arrival {
        tenant: TenantName::parse("offline").expect("a plain name"),
        batch: BatchId::new(received_at, 0),
        folder: DropFolder::DryRun,
        name: name.to_owned(),
        size_bytes,
        received_at,
        origin: Origin::Door,
    }
}

fn opened(
    path: &Path,
    name: &str,
    watcher: &Watcher,
) -> io::Result<Result<unpack::Content, Fault>> {
    let opened = unpack::open(File::open(path)?, name)?;
    Ok(opened.map(|(content, form)| {
        let watcher = Arc::clone(watcher);
        let content = Watched {
            content,
            watcher,
            unsaid: 0,
        };
        let content: Box<dyn BufRead + Send> = Box::new(content);
        (content, form)
    }))
}

fn answer(name: &str, checked: Checked, kept: Vec<Fault>) -> Answer {
    let (faults, count) = match &checked.refusal {
        Some(reason) => checked.told(reason),
        None => (None, checked.fault_count),
    };
    let faults = faults.unwrap_or(kept);
    let count = count.max(faults.len() as u64);
    let verdict = match (&checked.refusal, count) {
        (Some(_), _) => Verdict::Refused,
        (None, 0) => Verdict::Good,
        (None, _) => Verdict::Partial,
    };
    let dialect = checked.head().map(|head| head.dialect.as_str());
    Answer {
        file: name.to_owned(),
        verdict,
        dialect,
        rows: checked.total,
        invalid: checked.invalid,
        sha256: checked.sha256,
        reason: checked.refusal,
        count,
        more: count - faults.len() as u64,
        faults,
        warnings: checked.warnings,
    }
}

/// Content whose reading is told.
struct Watched {
    content: Box<dyn BufRead + Send>,
    watcher: Watcher,
    unsaid: u64,
}

impl Watched {
    fn tell(&mut self, bytes: usize) {
        self.unsaid += bytes as u64;
        if self.unsaid >= TOLD_BYTES {
            (self.watcher)(std::mem::take(&mut self.unsaid));
        }
    }
}

impl Read for Watched {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.content.read(into)?;
        self.tell(length);
        Ok(length)
    }
}

impl BufRead for Watched {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.content.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.tell(amount);
        self.content.consume(amount);
    }
}
