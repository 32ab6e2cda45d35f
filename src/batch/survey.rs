//! The first reading of a file: its head, how many rows it has, and what refuses the whole of it.

use std::io::{self, BufRead};

use super::dialect::native::{self, HeadMember};
use super::fault::{Code, Fault, Trouble};
use super::read::{Checker, Head, Limits, Outline, too_deep};
use super::scan::{Keep, Lines, Member, Part, Place, ROWS_KEY, RowPart, Walk};
use super::slip;
use super::spot::{Pointer, Spot, Warnings, sort};
use super::tree::{Node, Value};

/// A head with more keys is not read: keys are compared with each other.
const HEAD_KEYS_MAX: usize = 1000;

/// The key of the head in JSON Lines.
const DEFAULTS_KEY: &str = "defaults";

/// The first reading under way.
pub(super) struct Survey<'a> {
    checker: Checker<'a>,
    outline: Outline,
    warnings: Warnings,
    /// How many rows the file says it has.
    row_count: Option<u64>,
    row_count_place: Place,
}

impl<'a> Survey<'a> {
    /// A survey of which nothing is read yet.
    pub(super) fn new(checker: Checker<'a>) -> Self {
        Self {
            checker,
            outline: Outline {
                head: Head::default(),
                rows: 0,
                faults: Vec::new(),
                warnings: Vec::new(),
            },
            warnings: Warnings::default(),
            row_count: None,
            row_count_place: Place::START,
        }
    }

    fn limits(&self) -> &Limits {
        &self.checker.rules.limits
    }

    fn fault(&mut self, trouble: Trouble, tail: &[&str], place: Place) {
        let spot = Spot {
            bytes: &[],
            place,
            pointer: Pointer::Head(&[]),
        };
        self.outline
            .faults
            .push(spot.fault_at(trouble, tail, place));
    }

    /// Reads a `.json` file.
    pub(super) fn json(&mut self, source: impl BufRead) -> io::Result<()> {
        let mut walk = Walk::new(source, self.limits(), Keep::Head);
        let mut members = Vec::new();
        let mut rows_found = false;
        loop {
            match walk.next()? {
                Part::Row(_) => {
                    rows_found = true;
                    if !self.count_row() {
                        return Ok(());
                    }
                }
                Part::Member(member) => {
                    if members.len() == HEAD_KEYS_MAX {
                        self.fault(native::head_too_long(), &[], member.key_place);
                        return Ok(());
                    }
                    if let Some(member) = self.member(member, &walk) {
                        members.push(member);
                    }
                }
                Part::End => break,
                other => {
                    self.unreadable(&other);
                    return Ok(());
                }
            }
        }
        rows_found |= walk.has_rows();
        self.head(&members, &[]);
        // A `null` counts as absent; anything else is told to be of the wrong kind.
        let misnamed = members.iter().any(|member| {
            member.key == ROWS_KEY && member.bytes.as_deref().is_none_or(|bytes| bytes != b"null")
        });
        if !rows_found && !misnamed {
            self.no_rows_key(&members);
        } else if rows_found && self.outline.rows == 0 {
            self.no_rows("`data` is empty");
        }
        Ok(())
    }

    /// Reads JSON Lines.
    pub(super) fn lines(&mut self, source: impl BufRead) -> io::Result<()> {
        let mut lines = Lines::new(source, self.limits());
        let mut last: Option<RowPart> = None;
        let mut first = true;
        loop {
            let part = match lines.next()? {
                Part::Row(part) => part,
                Part::End => break,
                other => {
                    self.unreadable(&other);
                    return Ok(());
                }
            };
            if let (true, Some((slip, place))) = (first, part.slip)
                && looks_like_head(lines.bytes())
            {
                self.fault(slip::trouble(slip), &[], place);
                return Ok(());
            }
            let is_head = first && self.first_line(&part, lines.bytes());
            if first {
                first = false;
                lines.limit(0);
            }
            if !is_head && !self.count_row() {
                return Ok(());
            }
            last = Some(part);
        }
        match last {
            None => self.unreadable(&Part::Empty),
            Some(RowPart {
                slip: Some((_, place)),
                ..
            }) => {
                let trouble = Trouble::new(
                    Code::JsonTruncated,
                    "a last line that is whole",
                    "a last line that is not JSON",
                )
                .hint("the upload was cut off, most likely; export and upload it again");
                self.fault(trouble, &[], place);
            }
            Some(_) if self.outline.rows == 0 && self.outline.faults.is_empty() => {
                self.no_rows("only a line with `defaults`");
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Reads the first line of JSON Lines, if it is a head.
    fn first_line(&mut self, part: &RowPart, bytes: &[u8]) -> bool {
        if part.slip.is_some() || part.too_deep.is_some() {
            return false;
        }
        let node = Node::parse(bytes);
        let Some(Value::Object(entries)) = node.map(|node| node.value) else {
            return false;
        };
        let Some(at) = entries.iter().position(|entry| entry.key == DEFAULTS_KEY) else {
            return false;
        };
        self.outline.head.native.first_line = true;
        let defaults = &entries[at];
        if let Some(other) = entries.iter().find(|entry| entry.key != DEFAULTS_KEY) {
            let trouble = Trouble::new(
                Code::BatchShape,
                "nothing beside `defaults` on its line",
                "another key",
            )
            .hint("keys for all rows stand inside of `defaults`, rows on lines of their own");
            self.fault(trouble, &[], part.place.after(&bytes[..other.key_at]));
        }
        let Value::Object(members) = &defaults.node.value else {
            let kind = defaults.node.kind();
            let trouble = Trouble::new(Code::BatchWrongKind, "an object of keys", kind);
            let place = part.place.after(&bytes[..defaults.node.at]);
            self.fault(trouble, &[DEFAULTS_KEY], place);
            return true;
        };
        if members.len() > HEAD_KEYS_MAX {
            self.fault(native::head_too_long(), &[DEFAULTS_KEY], part.place);
            return true;
        }
        let members: Vec<HeadMember> = members
            .iter()
            .map(|entry| HeadMember {
                key: entry.key.to_string(),
                key_place: part.place.after(&bytes[..entry.key_at]),
                place: part.place.after(&bytes[..entry.node.at]),
                bytes: Some(bytes[entry.node.at..entry.node.end].to_vec()),
            })
            .collect();
        self.head(&members, &[DEFAULTS_KEY]);
        self.outline.head.native.first_line = true;
        true
    }

    fn head(&mut self, members: &[HeadMember], prefix: &[&str]) {
        let (head, row_count, faults) =
            native::read_head(members, prefix, self.checker, &mut self.warnings);
        self.outline.head = head;
        self.outline.faults.extend(faults);
        self.row_count = row_count;
        if let Some(member) = members.iter().find(|member| member.key == "rows") {
            self.row_count_place = member.place;
        }
    }

    /// Whether another row may follow.
    fn count_row(&mut self) -> bool {
        self.outline.rows += 1;
        let most = self.limits().rows_max;
        if self.outline.rows <= most {
            return true;
        }
        let expected = format!("at most {most} rows");
        let fault = Fault::whole(Code::BatchTooManyRows, expected, "more")
            .hint("split the file into several");
        self.outline.faults.push(fault);
        false
    }

    /// The member for the head; `None` when it cannot be read at all.
    fn member<R: BufRead>(&mut self, member: Member, walk: &Walk<R>) -> Option<HeadMember> {
        if let Some(place) = member.too_deep {
            let trouble = too_deep(self.limits());
            self.fault(trouble, &[&member.key], place);
            return None;
        }
        if member.key == ROWS_KEY && walk.has_rows() {
            self.fault(native::key_twice(), &[ROWS_KEY], member.key_place);
            return None;
        }
        Some(HeadMember {
            bytes: (!member.too_long).then(|| walk.bytes().to_vec()),
            key: member.key,
            key_place: member.key_place,
            place: member.place,
        })
    }

    /// Faults that end the reading.
    fn unreadable(&mut self, part: &Part) {
        match part {
            Part::Slip(slip, place) => self.fault(slip::trouble(*slip), &[], *place),
            Part::NotObject(place, first) => {
                let (found, hint) = match first {
                    b'[' => (
                        "an array",
                        "write { \"data\": [ … ] } around it, with the template beside `data`",
                    ),
                    _ => ("a single value", "the whole file is one object"),
                };
                let trouble = Trouble::new(Code::BatchShape, "an object with `data`", found);
                self.fault(trouble.hint(hint), &[], *place);
            }
            Part::Empty => {
                let fault = Fault::whole(Code::FileEmpty, "a batch", "an empty file")
                    .hint("the export wrote nothing, or the upload was cut off at once");
                self.outline.faults.push(fault);
            }
            Part::TooLarge => {
                let most = self.limits().expanded_bytes_max;
                let fault =
                    Fault::whole(Code::FileTooLarge, format!("at most {most} bytes"), "more")
                        .hint("split the file into several");
                self.outline.faults.push(fault);
            }
            Part::Member(_) | Part::Row(_) | Part::End => {}
        }
    }

    fn no_rows(&mut self, found: &str) {
        let fault = Fault::whole(Code::BatchNoRows, "at least one row", found)
            .hint("the export found nothing to send");
        self.outline.faults.push(fault);
    }

    fn no_rows_key(&mut self, members: &[HeadMember]) {
        let has = |key: &str| members.iter().any(|member| member.key == key);
        let foreign = native::FOREIGN.into_iter().any(has);
        let fault = if foreign {
            // Whatever else is wrong with it is wrong by the rules of a form that it is not in.
            self.outline.faults.clear();
            Fault::whole(
                Code::BatchShape,
                "an object with `data`",
                "another provider's form",
            )
            .hint("this version reads its own form only; see the folder `templates` for examples")
        } else {
            let hint = if has("to") {
                "write \"data\": [ { \"to\": … } ], also for one recipient"
            } else {
                "`data` is an array with one object for each recipient"
            };
            Fault::whole(
                Code::BatchMissingKey,
                "the key `data` with the rows",
                "none",
            )
            .hint(hint)
        };
        self.outline.faults.push(fault);
    }

    /// What was found.
    pub(super) fn finish(mut self) -> Outline {
        if let Some(row_count) = self.row_count
            && row_count != self.outline.rows
            && self.outline.faults.is_empty()
        {
            let trouble = Trouble::new(
                Code::BatchRowCount,
                "as many rows as `rows` says",
                match self.outline.rows {
                    1 => "1 row".into(),
                    rows => format!("{rows} rows"),
                },
            )
            .hint("the export is not whole, or its count is wrong");
            let place = self.row_count_place;
            let tail: &[&str] = if self.outline.head.native.first_line {
                &[DEFAULTS_KEY, "rows"]
            } else {
                &["rows"]
            };
            self.fault(trouble, tail, place);
        }
        sort(&mut self.outline.faults);
        let most = self.limits().faults_max;
        self.outline.faults.truncate(most);
        self.outline.warnings = self.warnings.into_list();
        self.outline
    }
}

/// Whether a line that is no JSON was meant to be the head: without it every row would be wrong.
fn looks_like_head(bytes: &[u8]) -> bool {
    let compact: Vec<u8> = bytes
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .take(DEFAULTS_KEY.len() + 3)
        .collect();
    compact == format!("{{\"{DEFAULTS_KEY}\"").as_bytes()
}
