//! The second reading, a stretch at a time: rows that stand together become messages or faults.
//! Stretches know nothing of each other, so that several can be read at once; who reads them, and
//! puts what they say into its order again, is for others to know.

use std::io::{self, Read};

use memchr::memchr;

use super::dialect::{self, native};
use super::fault::{Code, Trouble};
use super::read::{Checker, Head, Layout, Row, too_deep};
use super::scan::{Place, RowPart, spaces_at_end};
use super::skip;
use super::slip;
use super::spot::{Pointer, Spot};
use super::syntax::{Event, Step, Syntax};

pub use super::spot::Warnings;

/// The most rows of a stretch: as many messages as are kept together.
pub const STRETCH_ROWS_MAX: u64 = 1_000;

/// The most bytes of a stretch of several rows: a file made of faults has one every few bytes, and
/// those of a stretch are held together.
const STRETCH_BYTES_MAX: u64 = 256 << 10;

/// Rows that stand together in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    start: Place,
    /// Bytes before it and in it.
    end: u64,
    first_index: u64,
    rows: u64,
    /// It is one row, which has more bytes than a row may have.
    too_long: bool,
}

impl Stretch {
    /// Reads the bytes that it is read from out of `source`, which stands at the byte `at`; returns
    /// where it stands then. There are none if its one row is too long to be read.
    pub fn take_bytes(
        &self,
        source: &mut impl Read,
        at: u64,
        bytes: &mut Vec<u8>,
    ) -> io::Result<u64> {
        let start = self.start.offset;
        io::copy(
            &mut source.by_ref().take(start.saturating_sub(at)),
            &mut io::sink(),
        )?;
        let length = if self.too_long { 0 } else { self.end - start };
        bytes.clear();
        source.by_ref().take(length).read_to_end(bytes)?;
        Ok(start + length)
    }

    /// How many rows it has.
    pub fn rows(&self) -> u64 {
        self.rows
    }
}

/// Cuts the rows of a file into stretches.
#[derive(Debug)]
pub(super) struct Stretches {
    list: Vec<Stretch>,
    rows_max: u64,
    next_index: u64,
}

impl Stretches {
    /// Stretches of at most so many rows.
    pub(super) fn of(rows_max: u64) -> Self {
        Self {
            list: Vec::new(),
            rows_max,
            next_index: 0,
        }
    }

    /// Adds the next row.
    pub(super) fn add(&mut self, row: &RowPart) {
        let index = self.next_index;
        self.next_index += 1;
        if let Some(last) = self.list.last_mut()
            && last.rows < self.rows_max
            && row.end - last.start.offset <= STRETCH_BYTES_MAX
            && !last.too_long
            && !row.too_long
        {
            last.rows += 1;
            last.end = row.end;
            return;
        }
        self.list.push(Stretch {
            start: row.place,
            end: row.end,
            first_index: index,
            rows: 1,
            too_long: row.too_long,
        });
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> u64 {
        self.next_index
    }

    /// All of them.
    pub(super) fn into_list(self) -> Vec<Stretch> {
        self.list
    }
}

/// Reads the rows of a stretch, whose bytes are `bytes`, against the head of its file; gives each
/// to `each` with its own bytes, as [`rows`](super::read::rows) does. An `Err` is one of `each`, or
/// says that these are not the bytes that the first reading saw.
pub fn read_stretch(
    bytes: &[u8],
    stretch: &Stretch,
    head: &Head,
    checker: Checker<'_>,
    each: &mut dyn FnMut(Row, &[u8]) -> io::Result<()>,
) -> io::Result<Warnings> {
    let mut warnings = Warnings::default();
    let mut rows = Rows::new(bytes, stretch, head.layout, checker);
    for index in stretch.first_index..stretch.first_index + stretch.rows {
        let (part, own) = if stretch.too_long {
            (too_long(stretch), &[][..])
        } else {
            rows.next().ok_or_else(changed)?
        };
        let spot = Spot {
            bytes: own,
            place: part.place,
            pointer: Pointer::Row(head.layout, index),
        };
        match unreadable(&part, checker) {
            None => each(dialect::read_row(spot, head, checker, &mut warnings), own)?,
            Some((trouble, place)) => {
                let fault = spot.fault_at(trouble, &[], place);
                each(native::bad_row(spot, fault), own)?;
            }
        }
    }
    // Both readings must have seen the same rows, or one would have no answer.
    if !stretch.too_long && rows.next().is_some() {
        return Err(changed());
    }
    Ok(warnings)
}

fn too_long(stretch: &Stretch) -> RowPart {
    RowPart {
        place: stretch.start,
        end: stretch.end,
        too_long: true,
        too_deep: None,
        slip: None,
    }
}

fn changed() -> io::Error {
    io::Error::other("the file was changed while it was read")
}

/// Why a row is not even read, and where.
fn unreadable(part: &RowPart, checker: Checker<'_>) -> Option<(Trouble, Place)> {
    let limits = &checker.rules.limits;
    if let Some((slip, place)) = part.slip {
        return Some((slip::line_trouble(slip), place));
    }
    if part.too_long {
        let expected = format!("a row of at most {} bytes", limits.row_bytes_max);
        let trouble = Trouble::new(Code::BatchRowTooLong, expected, "a longer one");
        return Some((trouble, part.place));
    }
    part.too_deep.map(|place| (too_deep(limits), place))
}

/// The rows of a stretch, one after the other.
struct Rows<'a> {
    bytes: &'a [u8],
    /// Where the next row, or what stands between, begins.
    at: usize,
    place: Place,
    layout: Layout,
    /// Containers around each row.
    levels: usize,
    depth_max: usize,
    depth_left: usize,
}

impl<'a> Rows<'a> {
    fn new(bytes: &'a [u8], stretch: &Stretch, layout: Layout, checker: Checker<'_>) -> Self {
        let levels = match layout {
            Layout::Keyed(_) => 2,
            Layout::Array => 1,
            Layout::Single | Layout::Lines => 0,
        };
        let depth_max = checker.rules.limits.depth_max;
        Self {
            bytes,
            at: 0,
            place: stretch.start,
            layout,
            levels,
            depth_max,
            depth_left: Syntax::within(levels, depth_max).depth_left(),
        }
    }

    /// The next row and its bytes; `None` if there is none.
    fn next(&mut self) -> Option<(RowPart, &'a [u8])> {
        let is_between = |byte: &u8| match byte {
            b' ' | b'\n' | b'\r' | b'\t' => true,
            b',' => self.layout != Layout::Lines,
            _ => false,
        };
        let rest = &self.bytes[self.at..];
        let gap = rest.iter().position(|byte| !is_between(byte))?;
        let rest = &rest[gap..];
        let start = self.at + gap;
        let place = self.place.after(&self.bytes[self.at..start]);
        let mut part = RowPart {
            place,
            end: 0,
            too_long: false,
            too_deep: None,
            slip: None,
        };
        let length = if self.layout == Layout::Lines {
            // A value that goes on in the next line is two broken lines.
            let line = &rest[..memchr(b'\n', rest).unwrap_or(rest.len())];
            let line = &line[..line.len() - spaces_at_end(line)];
            if skip::value(line, self.depth_left) != Some(line.len()) {
                self.look_closely(line, &mut part);
            }
            line.len()
        } else {
            skip::value(rest, self.depth_left).unwrap_or_else(|| self.look_closely(rest, &mut part))
        };
        part.end = place.offset + length as u64;
        self.at = start + length;
        self.place = place.after(&rest[..length]);
        Some((part, &rest[..length]))
    }

    /// How many bytes of `bytes` the row is that they begin with, read a byte at a time; `part` is
    /// told what is odd about it.
    fn look_closely(&self, bytes: &[u8], part: &mut RowPart) -> usize {
        let mut syntax = Syntax::within(self.levels, self.depth_max);
        let mut at = 0;
        while at < bytes.len() {
            let (used, step) = syntax.advance(&bytes[at..]);
            at += used;
            match step {
                Step::Event(Event::TooDeep) => {
                    let deep = part.place.after(&bytes[..at - 1]);
                    part.too_deep = part.too_deep.or(Some(deep));
                }
                Step::Event(_) if self.layout != Layout::Lines => return at,
                Step::More | Step::Event(_) => {}
                Step::Slip(slip) => {
                    let place = part.place.after(&bytes[..at]);
                    part.slip = Some((slip, place.before(syntax.begun_bytes())));
                    return bytes.len();
                }
            }
        }
        if self.layout == Layout::Lines
            && let Err(slip) = syntax.finish()
        {
            part.slip = Some((slip, part.place.after(bytes)));
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::golden;
    use super::super::media::NoFiles;
    use super::super::read::{Form, Limits, rows};
    use super::super::survey::Survey;
    use super::*;

    /// All that is said of the rows of `text`, read in stretches of so many rows.
    fn said(text: &str, form: Form, rows_max: u64) -> (Vec<String>, Vec<String>, usize) {
        let mut rules = golden::rules();
        rules.limits = Limits {
            row_bytes_max: 120,
            depth_max: 5,
            ..rules.limits
        };
        let templates = golden::templates();
        let checker = Checker {
            rules: &rules,
            templates: &templates,
            files: &NoFiles,
            received_at: golden::received_at(),
        };
        let mut survey = Survey::new(checker);
        survey.stretch_rows_max = rows_max;
        match form {
            Form::Json => survey.json(text.as_bytes()),
            Form::Lines => survey.lines(text.as_bytes()),
        }
        .expect("memory does not fail");
        let outline = survey.finish();
        assert_eq!(outline.faults, [], "{text}");
        let mut found = Vec::new();
        let each = &mut |row, own: &[u8]| {
            found.push(format!("{row:?} {own:?}"));
            Ok(())
        };
        let warnings = rows(text.as_bytes(), &outline, checker, each);
        let warnings = warnings.expect("memory does not fail");
        let warnings = warnings.iter().map(|warning| format!("{warning:?}"));
        (found, warnings.collect(), outline.stretches.len())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Where a stretch ends is our own affair: no fault, place or message may tell.
        #[test]
        fn stretches_change_nothing(
            kinds in prop::collection::vec(prop::sample::select(vec![
                r#"{"to": "+31612345678"}"#, r#" {"to": "+31612345679", "reference": 5}"#, "7", "null", "[]",
                r#"{"to": "x", "ä": "é"}"#, r#"{"to": "+31612345678", "note": [[[[[1]]]]]}"#,
                r#"{"to": "+31612345678", "note": "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"}"#,
                r#""\ud83d\ude00" "#, r#"{"to": "\u002b31612345678"}"#,
            ]), 2..12),
            between in prop::sample::select(vec![",", ", ", ",\n", "\n ,\r\n\t"]),
            broken in prop::collection::vec(prop::sample::select(vec!["{", "}", "[", "]", ",", "\x0c", "\x0c{}", "{} \x0b"]), 0..4),
            lines: bool,
        ) {
            let mut kinds = kinds;
            let (text, form) = if lines {
                // Lines that are one value together are a fault each.
                kinds.splice(1..1, broken);
                let rows = kinds.join(" \r\n");
                (format!("{{\"defaults\": {{\"message\": \"x\"}}}}\n{rows}\n"), Form::Lines)
            } else {
                let rows = kinds.join(between);
                (format!("{{\"message\": \"x\", \"data\": [ {rows} ] }}"), Form::Json)
            };
            let (whole, warnings, _) = said(&text, form, 1000);
            prop_assert_eq!(whole.len(), kinds.len());
            for rows_max in 1..4 {
                let (found, warned, count) = said(&text, form, rows_max);
                prop_assert!(count as u64 >= kinds.len() as u64 / rows_max);
                prop_assert_eq!(&found, &whole);
                prop_assert_eq!(&warned, &warnings);
            }
        }
    }
}
