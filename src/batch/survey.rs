//! The first reading of a file: its head, how many rows it has, and what refuses the whole of it.

use std::io::{self, BufRead};

use super::dialect::{self, Dialect, Shape, Top, native};
use super::fault::{Code, Fault, Trouble};
use super::read::{Checker, Head, Layout, Limits, OnDuplicate, Outline, too_deep};
use super::repeats::REFERENCES_MAX;
use super::rows::{STRETCH_ROWS_MAX, Stretches};
use super::scan::{Lines, List, Member, Part, Place, ROWS_KEYS, RowPart, Walk};
use super::slip;
use super::spot::{HeadMember, Members, Pointer, Spot, Warnings, sort};
use super::syntax::Slip;
use super::tree::{Node, Value};

/// A head with more keys is not read: keys are compared with each other.
const HEAD_KEYS_MAX: usize = 1000;

/// Among this many rows there is one that shows the dialect of its file.
const UNCLEAR_ROWS_MAX: u64 = 1_000;

/// The key of the head in JSON Lines.
const DEFAULTS_KEY: &str = "defaults";

/// The first reading under way.
pub(super) struct Survey<'a> {
    checker: Checker<'a>,
    outline: Outline,
    warnings: Warnings,
    /// The most rows of a stretch.
    pub(super) stretch_rows_max: u64,
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
                fault_count: 0,
                warnings: Vec::new(),
                stretches: Vec::new(),
            },
            warnings: Warnings::default(),
            stretch_rows_max: STRETCH_ROWS_MAX,
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
        let mut walk = Walk::new(source, self.limits());
        let mut found = Found::default();
        let mut members = 0;
        loop {
            match walk.next()? {
                Part::List(list) => {
                    let stretches = Stretches::of(self.stretch_rows_max);
                    walk.keep_rows(list.key.is_none());
                    found.lists.push((list, stretches));
                }
                Part::Row(part) => {
                    let count = found.lists.last_mut().map_or(0, |(_, stretches)| {
                        stretches.add(&part);
                        stretches.rows()
                    });
                    if !self.has_room(count) {
                        return Ok(());
                    }
                    if part.too_deep.is_none() && (count == 1 || walk.keeps_rows()) {
                        let shows = dialect::shows_dialect(Top::Array, walk.bytes());
                        if count == 1 || shows {
                            found.first = walk.bytes().to_vec();
                        }
                        walk.keep_rows(walk.keeps_rows() && !shows && count < UNCLEAR_ROWS_MAX);
                    }
                }
                Part::Member(member) => {
                    // A key that there is no room for may be one that holds the messages back.
                    if members == HEAD_KEYS_MAX || member.key_too_long {
                        self.fault(native::head_too_long(), &[], member.key_place);
                        return Ok(());
                    }
                    members += 1;
                    let bytes = (!member.too_long).then(|| walk.bytes().to_vec());
                    if let Some(member) = self.member(member, bytes, &found) {
                        found.members.push(member);
                    }
                }
                Part::End => break,
                Part::Slip(slip, place) => {
                    let pointer = match walk.broken_row() {
                        Some((layout, index)) => Pointer::Row(layout, index),
                        None => Pointer::Head(&[]),
                    };
                    let spot = Spot {
                        bytes: &[],
                        place,
                        pointer,
                    };
                    let fault = spot.fault_at(slip::trouble(slip), &[], place);
                    self.outline.faults.push(fault);
                    return Ok(());
                }
                other => {
                    self.unreadable(&other);
                    return Ok(());
                }
            }
        }
        self.understand(found, &walk.whole());
        Ok(())
    }

    /// Tells the dialect of a `.json` file that was read to its end, and reads its head.
    fn understand(&mut self, mut found: Found, whole: &RowPart) {
        match dialect::recognise(&found.shape()) {
            Ok((dialect, layout)) => {
                let key = match layout {
                    Layout::Keyed(key) => Some(key),
                    Layout::Array | Layout::Single | Layout::Lines => None,
                };
                let rows = found.lists.iter_mut().find(|(list, _)| list.key == key);
                let mut stretches = Stretches::of(self.stretch_rows_max);
                match (layout, rows) {
                    (Layout::Single, _) => stretches.add(whole),
                    (_, Some((_, rows))) => std::mem::swap(rows, &mut stretches),
                    (_, None) => {}
                }
                self.outline.rows = stretches.rows();
                self.outline.stretches = stretches.into_list();
                // Lists that the dialect does not have are keys like any other, unless they could
                // be recipients who would get nothing.
                let others = found.lists.iter().filter(|(list, _)| list.key != key);
                let others: Vec<HeadMember> =
                    others.filter_map(|(list, _)| member_of(*list)).collect();
                let second = found.lists.iter().find(|(list, stretches)| {
                    key.is_some() && list.key != key && stretches.rows() > 0
                });
                if let (Some((list, _)), Some(key)) = (second, key) {
                    let expected = format!("one list of rows, `{key}`");
                    let trouble = Trouble::new(Code::BatchShape, expected, "two of them")
                        .hint("write a file for each; rename the list if it holds no rows");
                    let place = list.key_place;
                    self.fault(trouble, &[list.key.unwrap_or_default()], place);
                }
                found.members.extend(others);
                if key.is_some() {
                    self.head(dialect, &found.members, &[]);
                }
                self.outline.head.dialect = dialect;
                self.outline.head.layout = layout;
                if self.outline.rows == 0 {
                    self.no_rows(&match key {
                        Some(key) => format!("`{key}` is empty"),
                        None => "an empty array".into(),
                    });
                }
            }
            Err(trouble) if trouble.code == Code::BatchMissingKey => {
                self.head(Dialect::Native, &found.members, &[]);
                // A `null` counts as absent; anything else is told to be of the wrong kind.
                let misnamed = found.members.iter().any(|member| {
                    member.key == ROWS_KEYS[0]
                        && member.bytes.as_deref().is_none_or(|bytes| bytes != b"null")
                });
                if !misnamed {
                    self.whole(trouble);
                }
            }
            Err(trouble) => match found.lists.as_slice() {
                [
                    (
                        List {
                            key: None, place, ..
                        },
                        _,
                    ),
                ] => self.fault(trouble, &[], *place),
                _ => self.whole(trouble),
            },
        }
    }

    /// Reads JSON Lines.
    pub(super) fn lines(&mut self, source: impl BufRead) -> io::Result<()> {
        let mut lines = Lines::new(source, self.limits());
        let mut stretches = Stretches::of(self.stretch_rows_max);
        let mut last: Option<RowPart> = None;
        let mut first = true;
        let mut model: Option<Vec<u8>> = None;
        let mut has_head = false;
        let mut shown = false;
        let mut opened: Option<Place> = None;
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
            if first && let Some((Slip::Truncated, _)) = part.slip {
                opened = Some(part.place);
            }
            let is_head = first && self.first_line(&part, lines.bytes());
            has_head |= is_head;
            if !is_head && !shown && part.slip.is_none() && part.too_deep.is_none() {
                shown = dialect::shows_dialect(Top::Lines, lines.bytes());
                if shown || model.is_none() {
                    model = Some(lines.bytes().to_vec());
                }
            }
            first = false;
            // Only until a line has shown the dialect are their bytes of any use.
            let unclear = !shown && !has_head && self.outline.rows < UNCLEAR_ROWS_MAX;
            let kept = if unclear {
                self.limits().row_bytes_max
            } else {
                0
            };
            lines.limit(kept);
            if !is_head {
                stretches.add(&part);
                self.outline.rows = stretches.rows();
                if !self.has_room(self.outline.rows) {
                    return Ok(());
                }
            }
            last = Some(part);
        }
        self.outline.stretches = stretches.into_list();
        self.end_of_lines(last.as_ref(), opened);
        if !has_head {
            let shape = Shape {
                top: Top::Lines,
                keys: Vec::new(),
                lists: Vec::new(),
                first: model.as_deref().and_then(Node::parse),
            };
            match dialect::recognise(&shape) {
                Ok((dialect, _)) => self.outline.head.dialect = dialect,
                Err(trouble) => self.whole(trouble),
            }
        }
        self.outline.head.layout = Layout::Lines;
        Ok(())
    }

    /// What is said when the last line has been read.
    fn end_of_lines(&mut self, last: Option<&RowPart>, opened: Option<Place>) {
        match (last, opened) {
            (None, _) => self.unreadable(&Part::Empty),
            // The first line opens what the last one closes.
            (
                Some(RowPart {
                    slip: Some((Slip::StrayBrace | Slip::StrayBracket, _)),
                    ..
                }),
                Some(place),
            ) => {
                let expected = "one JSON text on each line";
                let trouble = Trouble::new(Code::BatchShape, expected, "one over several lines");
                self.fault(trouble.hint("name the file .json"), &[], place);
            }
            (
                Some(RowPart {
                    slip: Some((slip, place)),
                    ..
                }),
                _,
            ) => self.fault(slip::last_line_trouble(*slip), &[], *place),
            (Some(_), _) if self.outline.rows == 0 && self.outline.faults.is_empty() => {
                self.no_rows("only a line with `defaults`");
            }
            (Some(_), _) => {}
        }
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
        self.outline.head.first_line = true;
        let defaults = &entries[at];
        let mut twice = entries.iter().filter(|entry| entry.key == DEFAULTS_KEY);
        if let Some(second) = twice.nth(1) {
            let place = part.place.after(&bytes[..second.key_at]);
            self.fault(native::key_twice(), &[DEFAULTS_KEY], place);
        }
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
        self.head(Dialect::Native, &members, &[DEFAULTS_KEY]);
        self.outline.head.first_line = true;
        true
    }

    fn head(&mut self, dialect: Dialect, members: &[HeadMember], prefix: &[&str]) {
        let list = Members {
            list: members,
            prefix,
        };
        let (head, row_count, faults) =
            dialect::read_head(dialect, list, self.checker, &mut self.warnings);
        self.outline.head = head;
        self.outline.faults.extend(faults);
        self.row_count = row_count;
        if let Some(member) = members.iter().find(|member| member.key == "rows") {
            self.row_count_place = member.place;
        }
    }

    /// Whether there may be as many rows.
    fn has_room(&mut self, rows: u64) -> bool {
        let most = self.limits().rows_max;
        if rows <= most {
            return true;
        }
        let expected = format!("at most {most} rows");
        let fault = Fault::whole(Code::BatchTooManyRows, expected, "more")
            .hint("split the file into several");
        self.outline.faults.push(fault);
        false
    }

    /// The member for the head; `None` when it cannot be read at all.
    fn member(
        &mut self,
        member: Member,
        bytes: Option<Vec<u8>>,
        found: &Found,
    ) -> Option<HeadMember> {
        if let Some(place) = member.too_deep {
            let trouble = too_deep(self.limits());
            self.fault(trouble, &[&member.key], place);
            return None;
        }
        if found
            .lists
            .iter()
            .any(|(list, _)| list.key == Some(&member.key))
        {
            self.fault(native::key_twice(), &[&member.key], member.key_place);
            return None;
        }
        Some(HeadMember {
            bytes,
            key: member.key,
            key_place: member.key_place,
            place: member.place,
        })
    }

    fn whole(&mut self, trouble: Trouble) {
        let fault = Fault::whole(trouble.code, trouble.expected, trouble.found).hint(trouble.hint);
        self.outline.faults.push(fault);
    }

    /// Faults that end the reading.
    fn unreadable(&mut self, part: &Part) {
        match part {
            Part::Slip(slip, place) => self.fault(slip::trouble(*slip), &[], *place),
            Part::NotBatch(place) => {
                let found = "a single value";
                let trouble = Trouble::new(Code::BatchShape, "an object with `data`", found);
                let hint = "the whole file is one object; a table (CSV) is to be exported as JSON";
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
            Part::Member(_) | Part::List(_) | Part::Row(_) | Part::End => {}
        }
    }

    fn no_rows(&mut self, found: &str) {
        let fault = Fault::whole(Code::BatchNoRows, "at least one row", found)
            .hint("the export found nothing to send");
        self.outline.faults.push(fault);
    }

    /// References are told apart within a bound that is lower than that of rows.
    fn references_max(&mut self) {
        let asked = self.outline.head.on_duplicate_reference == OnDuplicate::Skip;
        if asked && self.outline.rows > REFERENCES_MAX && self.outline.faults.is_empty() {
            let expected =
                format!("at most {REFERENCES_MAX} rows with `onDuplicateReference`: `skip`");
            let fault = Fault::whole(Code::BatchTooManyRows, expected, "more")
                .hint("split the file into several, or leave the key out");
            self.outline.faults.push(fault);
        }
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
            let tail: &[&str] = if self.outline.head.first_line {
                &[DEFAULTS_KEY, "rows"]
            } else {
                &["rows"]
            };
            self.fault(trouble, tail, place);
        }
        self.references_max();
        sort(&mut self.outline.faults);
        let most = self.limits().faults_max;
        self.outline.fault_count = self.outline.faults.len() as u64;
        self.outline.faults.truncate(most);
        self.outline.warnings = self.warnings.into_list();
        self.outline
    }
}

/// What a `.json` file was found to hold.
#[derive(Debug, Default)]
struct Found {
    members: Vec<HeadMember>,
    /// Lists of rows, each cut into stretches.
    lists: Vec<(List, Stretches)>,
    /// The first row of the last of them.
    first: Vec<u8>,
}

impl Found {
    fn shape(&self) -> Shape<'_> {
        let is_array = matches!(self.lists.as_slice(), [(List { key: None, .. }, _)]);
        let lists: Vec<&'static str> = self.lists.iter().filter_map(|(list, _)| list.key).collect();
        let keys = self.members.iter().map(|member| member.key.as_str());
        Shape {
            top: if is_array { Top::Array } else { Top::Object },
            keys: keys.chain(lists.iter().copied()).collect(),
            lists,
            first: Node::parse(&self.first),
        }
    }
}

/// A list of rows as a member of the head; `None` when it is all that there is.
fn member_of(list: List) -> Option<HeadMember> {
    Some(HeadMember {
        key: list.key?.to_owned(),
        key_place: list.key_place,
        place: list.place,
        bytes: Some(b"[]".to_vec()),
    })
}

/// Whether a line that is no JSON was meant to be the head: without it every row would be wrong.
fn looks_like_head(bytes: &[u8]) -> bool {
    let is_word = |byte: &u8| !byte.is_ascii_whitespace() && !b"{'\"`".contains(byte);
    let word = bytes.iter().copied().filter(is_word);
    word.take(DEFAULTS_KEY.len()).eq(DEFAULTS_KEY.bytes())
}
