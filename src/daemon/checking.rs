//! One file checked: what intake and the offline check share. What is kept of it, and where, is for
//! the caller to say.
//!
//! The file is read twice. `ahead` reads it on a thread of its own while the first look at it is
//! taken; then a `crew` looks at all its rows at once, and what they find is kept in the order of
//! the file.

use std::collections::HashSet;
use std::io::{self, Read};

use crate::batch::name::Container;
use crate::batch::read::{self, Checker, Head, Layout, OnInvalid, Outline};
use crate::batch::repeats::{Marker, Repeat, Repeats};
use crate::batch::rows::Warnings;
use crate::batch::{Code, Fault};
use crate::delivery::Reason;
use crate::delivery::lane::Lane;
use crate::inbox::unpack::{self, Content};
use crate::store::{Chunk, Piece};

mod ahead;
mod crew;

use ahead::{Summing, read_ahead};
use crew::{Crew, Found};

pub use crew::Wanted;

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

    /// The head; `None` for a file that was not read to its end, which may say anything.
    pub fn head(&self) -> Option<&Head> {
        let outline = self.outline.as_ref()?;
        (!self.sha256.is_empty()).then_some(&outline.head)
    }

    /// The faults to report on a file that is refused for `reason`, and how many there are. `None`
    /// stands for those that were kept while its rows were read.
    pub fn told(&self, reason: &Fault) -> (Option<Vec<Fault>>, u64) {
        if !self.faults.is_empty() {
            (Some(self.faults.clone()), self.fault_count)
        } else if self.fault_count == 0 {
            (Some(vec![reason.clone()]), 1)
        } else {
            (None, self.fault_count)
        }
    }
}

/// What becomes of what was read.
pub struct Keep<'a> {
    /// Whether good messages are asked for at all.
    pub wanted: Wanted,
    /// Takes what was read, a piece at a time, in the order of the file.
    pub piece: &'a mut dyn FnMut(Piece) -> io::Result<()>,
}

/// Checks one file of `size_bytes`. `open` gives its expanded bytes from the beginning, each time
/// it is called. An `Err` is a failure of the disk or of `keep`, never of what the file says.
pub fn check(
    open: &dyn Fn() -> io::Result<Result<Content, Fault>>,
    size_bytes: u64,
    container: Container,
    checker: Checker<'_>,
    keep: &mut Keep<'_>,
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
    let packed = container != Container::Plain;
    let looked = read_ahead(content, |content| {
        let outline = read::outline(&mut *content, form, checker)?;
        // The sums are those of all bytes. And what is wrong in a container that turns out to be
        // damaged is nothing that its sender wrote.
        if outline
            .faults
            .first()
            .is_none_or(|fault| packed && may_be_damage(fault.code))
        {
            let most = checker.rules.limits.expanded_bytes_max;
            io::copy(&mut content.take(most), &mut io::sink())?;
        }
        Ok(outline)
    });
    let (outline, sums) = match looked {
        Ok(looked) => looked,
        Err(error) => {
            return match unpack::fault_of(&error).filter(|_| packed) {
                Some(fault) => Ok(Checked::refused(vec![fault])),
                None => Err(error),
            };
        }
    };
    if !outline.faults.is_empty() {
        let faults = outline.faults.clone();
        return Ok(Checked {
            fault_count: outline.fault_count,
            outline: Some(outline),
            ..Checked::refused(faults)
        });
    }
    let sums = sums.ok_or_else(changed)?;
    let (second, _) = match open()? {
        Ok(second) => second,
        Err(fault) => return Ok(Checked::refused(vec![fault])),
    };
    let crew = Crew {
        outline: &outline,
        checker,
        wanted: keep.wanted,
        marker: Marker::of(&outline.head, fastrand::u64(..)),
        threads: crew::threads(),
    };
    let (all, quick) = check_rows(Summing::new(second), crew, keep.piece)?;
    if quick != sums.quick {
        return Err(changed());
    }
    Ok(Checked {
        sha256: sums.sha256,
        outline: Some(outline),
        ..all
    })
}

/// Nothing of a file is sent that was not seen by both readings.
fn changed() -> io::Error {
    // A number of the system's, so that nobody takes it for damage to the file.
    rustix::io::Errno::STALE.into()
}

fn check_rows(
    content: Summing,
    crew: Crew<'_>,
    keep: &mut dyn FnMut(Piece) -> io::Result<()>,
) -> io::Result<(Checked, u128)> {
    let (outline, checker) = (crew.outline, crew.checker);
    let mut tally = Tally {
        faults_max: checker.rules.limits.faults_max,
        kept_faults: 0,
        layout: outline.head.layout,
        repeats: Repeats::new(crew.marker, outline.rows),
        lanes: HashSet::new(),
        checked: Checked::nothing(),
        warnings: Warnings::default(),
    };
    let quick = crew.read(content, &mut |found| keep(tally.take(found)))?;
    let Tally {
        mut checked,
        warnings,
        ..
    } = tally;
    let (total, invalid) = (checked.total, checked.invalid);
    checked.refusal = checked
        .refusal
        .or_else(|| refusal(outline, checker, total, invalid));
    checked.warnings.clone_from(&outline.warnings);
    checked.warnings.extend(warnings.into_list());
    Ok((checked, quick))
}

/// Whether a fault of the whole file could come from bytes that were changed on their way.
fn may_be_damage(code: Code) -> bool {
    code != Code::FileTooLarge
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

/// Combinations of what messages may wait for together, in one file.
const LANES_MAX: usize = 10_000;

/// What was found so far.
struct Tally {
    faults_max: usize,
    kept_faults: usize,
    layout: Layout,
    repeats: Repeats,
    /// In how many ways messages go, each once.
    lanes: HashSet<Lane>,
    checked: Checked,
    warnings: Warnings,
}

impl Tally {
    /// Counts what was found in the next stretch; what is to be kept of it.
    fn take(&mut self, found: Found) -> Piece {
        let checked = &mut self.checked;
        checked.total += found.rows;
        checked.invalid += found.bad.len() as u64;
        self.warnings.join(found.warnings);
        let mut faults = Vec::new();
        for bad in &found.bad {
            checked.fault_count += bad.faults.len() as u64;
            // In one JSON text a row that is not JSON means that the file is not. Among lines a
            // second head means that the first was not for all of them.
            if checked.refusal.is_none() {
                let refuses = |fault: &&Fault| match self.layout {
                    Layout::Lines => fault.code == Code::BatchShape,
                    _ => is_syntax(fault.code),
                };
                checked.refusal = bad.faults.iter().find(refuses).cloned();
            }
            let room = self.faults_max.saturating_sub(self.kept_faults);
            let told = &bad.faults[..room.min(bad.faults.len())];
            self.kept_faults += told.len();
            faults.extend_from_slice(told);
        }
        if checked.refusal.is_none() && self.lanes.len() <= LANES_MAX {
            for lane in found.chunks.iter().flat_map(Chunk::lanes) {
                if !self.lanes.contains(lane) {
                    self.lanes.insert(lane.clone());
                }
            }
            if self.lanes.len() > LANES_MAX {
                checked.refusal = Some(too_many_ways());
            }
        }
        let repeats = &mut self.repeats;
        let suppressed = found.marks.iter().filter_map(|mark| {
            let repeat = repeats.look(mark)?;
            Some((mark.index, reason(repeat)))
        });
        Piece {
            suppressed: suppressed.collect(),
            chunks: found.chunks,
            bad: found.bad,
            faults,
        }
    }
}

/// A file whose messages go in so many ways that they cannot be told apart while they wait.
fn too_many_ways() -> Fault {
    let expected = format!(
        "at most {LANES_MAX} combinations of sender, template, priority and hours in a file"
    );
    Fault::whole(Code::BatchTooVaried, expected, "more than that")
        .hint("split the file, or write one `sendWindow` at its top instead of one in each row")
}

/// Why a message that repeats another is left out.
fn reason(repeat: Repeat) -> Reason {
    match repeat {
        Repeat::Recipient => Reason {
            hint: "the file says `onDuplicateRecipient`: `skip`".into(),
            ..Reason::new(
                "policy.duplicate_recipient",
                "an earlier row of the file has the same recipient",
            )
        },
        Repeat::Reference => Reason {
            hint: "the file says `onDuplicateReference`: `skip`".into(),
            ..Reason::new(
                "policy.duplicate_reference",
                "an earlier row of the file has the same reference",
            )
        },
    }
}

#[cfg(test)]
mod tests;
