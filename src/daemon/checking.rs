//! One file checked: what intake and the offline check share. What is kept of it, and where, is for
//! the caller to say.

use std::io::{self, BufRead, Read};

use aws_lc_rs::digest;

use crate::batch::name::Container;
use crate::batch::read::{self, Checker, Form, OnInvalid, Outline, Row};
use crate::batch::{Code, Fault};
use crate::disk;
use crate::inbox::unpack::{self, Content};
use crate::store::Piece;

/// Messages that are kept together.
const PIECE_MESSAGES: usize = 1_000;

/// What became of checking one file.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The head, unless the file broke before it was understood.
    pub outline: Option<Outline>,
    /// SHA-256 of the expanded bytes; empty if the file was not read to its end.
    pub sha256: String,
    /// The fault that refuses the whole file.
    pub refusal: Option<Fault>,
    /// The faults to report when no row was read, because the file was refused before.
    pub faults: Vec<Fault>,
    /// Odd things that stop nothing.
    pub warnings: Vec<Fault>,
    /// How many faults were found, in all.
    pub fault_count: u64,
    /// How many rows there are.
    pub total: u64,
    /// How many of them cannot be sent.
    pub invalid: u64,
}

impl Checked {
    /// Nothing was read, nothing was found.
    pub fn nothing() -> Self {
        Self::refused(Vec::new())
    }

    /// The file is refused for the first of these faults.
    pub fn refused(faults: Vec<Fault>) -> Self {
        Self {
            outline: None,
            sha256: String::new(),
            refusal: faults.first().cloned(),
            fault_count: faults.len() as u64,
            faults,
            warnings: Vec::new(),
            total: 0,
            invalid: 0,
        }
    }
}

/// Checks one file of `size_bytes`. `open` gives its expanded bytes from the beginning, each time
/// it is called; `keep` takes what was read, a piece at a time. An `Err` is a failure of the disk
/// or of `keep`, never of what the file says.
pub fn check(
    open: &dyn Fn() -> io::Result<Result<Content, Fault>>,
    size_bytes: u64,
    container: Container,
    checker: Checker<'_>,
    keep: &mut dyn FnMut(Piece) -> io::Result<()>,
) -> io::Result<Checked> {
    if size_bytes > checker.rules.limits.bytes_max {
        let expected = format!("at most {} bytes", checker.rules.limits.bytes_max);
        let fault = Fault::whole(Code::FileTooLarge, expected, format!("{size_bytes} bytes"));
        return Ok(Checked::refused(vec![fault.hint("split the file")]));
    }
    let (content, form) = match open()? {
        Ok(content) => content,
        Err(fault) => return Ok(Checked::refused(vec![fault])),
    };
    let mut content = Hashing {
        inner: content,
        hash: digest::Context::new(&digest::SHA256),
    };
    let damaged = |error: io::Error| {
        let packed = container != Container::Plain && unpack::is_damage(&error);
        if packed {
            Ok(Checked::refused(vec![unpack::damaged()]))
        } else {
            Err(error)
        }
    };
    let outline = match read::outline(&mut content, form, checker) {
        Ok(outline) => outline,
        Err(error) => return damaged(error),
    };
    if !outline.faults.is_empty() {
        let faults = outline.faults.clone();
        return Ok(Checked {
            outline: Some(outline),
            ..Checked::refused(faults)
        });
    }
    if let Err(error) = io::copy(&mut content, &mut io::sink()) {
        return damaged(error);
    }
    let sha256 = disk::hexadecimal(content.hash.finish().as_ref());
    let second = match open()? {
        Ok((second, _)) => second,
        Err(fault) => return Ok(Checked::refused(vec![fault])),
    };
    let all = check_rows(second, form, &outline, checker, keep)?;
    Ok(Checked {
        sha256,
        outline: Some(outline),
        ..all
    })
}

fn check_rows(
    content: Box<dyn BufRead>,
    form: Form,
    outline: &Outline,
    checker: Checker<'_>,
    keep: &mut dyn FnMut(Piece) -> io::Result<()>,
) -> io::Result<Checked> {
    let mut pieces = Pieces {
        piece: Piece::default(),
        kept_faults: 0,
        keep,
    };
    let (mut total, mut invalid, mut fault_count) = (0_u64, 0_u64, 0_u64);
    let mut broken = None;
    let faults_max = checker.rules.limits.faults_max;
    let warnings = read::rows(content, form, outline, checker, &mut |row, _| {
        total += 1;
        match row {
            Row::Good(message) => pieces.piece.messages.push(message),
            Row::Bad(bad) => {
                invalid += 1;
                fault_count += bad.faults.len() as u64;
                // In one JSON text a row that is not JSON means that the file is not.
                if form == Form::Json && broken.is_none() {
                    broken = bad
                        .faults
                        .iter()
                        .find(|fault| is_syntax(fault.code))
                        .cloned();
                }
                pieces.take_faults(&bad.faults, faults_max);
                pieces.piece.bad.push(bad);
            }
        }
        pieces.keep_when_full()
    })?;
    pieces.keep_rest()?;
    let refusal = broken.or_else(|| refusal(outline, checker, total, invalid));
    let mut all = outline.warnings.clone();
    all.extend(warnings);
    Ok(Checked {
        outline: None,
        sha256: String::new(),
        refusal,
        faults: Vec::new(),
        warnings: all,
        fault_count,
        total,
        invalid,
    })
}

fn is_syntax(code: Code) -> bool {
    matches!(code, Code::JsonSyntax | Code::JsonTruncated)
}

/// Whether the bad rows of a file refuse the whole of it.
fn refusal(outline: &Outline, checker: Checker<'_>, total: u64, invalid: u64) -> Option<Fault> {
    if invalid == 0 {
        return None;
    }
    let found = format!("{invalid} of {total} rows with faults");
    if outline.head.on_invalid == OnInvalid::Reject {
        let fault = Fault::whole(Code::BatchRejectedByRow, "no row with a fault", found);
        return Some(
            fault.hint("the file says `onInvalid`: `reject`; mend the rows and drop it again"),
        );
    }
    let allowed = checker.rules.invalid_max;
    let too_many = invalid as f64 > allowed * total as f64;
    if invalid < total && !too_many {
        return None;
    }
    let expected = if allowed < 1.0 {
        format!(
            "at most {}% of the rows with faults",
            (allowed * 100.0).floor()
        )
    } else {
        "at least one row without a fault".into()
    };
    let fault = Fault::whole(Code::BatchTooManyInvalid, expected, found);
    Some(fault.hint("nothing was sent; mend the rows and drop the file again"))
}

/// What was read and is not yet kept.
struct Pieces<'a> {
    piece: Piece,
    kept_faults: usize,
    keep: &'a mut dyn FnMut(Piece) -> io::Result<()>,
}

impl Pieces<'_> {
    fn take_faults(&mut self, faults: &[Fault], faults_max: usize) {
        let room = faults_max
            .saturating_sub(self.kept_faults)
            .min(faults.len());
        self.kept_faults += room;
        self.piece.faults.extend_from_slice(&faults[..room]);
    }

    fn keep_when_full(&mut self) -> io::Result<()> {
        if self.piece.messages.len() + self.piece.bad.len() < PIECE_MESSAGES {
            return Ok(());
        }
        self.keep_rest()
    }

    fn keep_rest(&mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.piece);
        if piece.messages.is_empty() && piece.bad.is_empty() {
            return Ok(());
        }
        (self.keep)(piece)
    }
}

/// A reader that hashes what passes through it.
struct Hashing {
    inner: Box<dyn BufRead>,
    hash: digest::Context,
}

impl Read for Hashing {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(into)?;
        self.hash.update(&into[..length]);
        Ok(length)
    }
}

impl BufRead for Hashing {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        // The buffer is full of what is about to be consumed, so this neither reads nor fails.
        if let Ok(buffer) = self.inner.fill_buf() {
            self.hash.update(&buffer[..amount]);
        }
        self.inner.consume(amount);
    }
}
