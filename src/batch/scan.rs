//! Walks through a batch file of any size and hands out its parts: the members of the head and the
//! rows, each with its own bytes and its place. What the parts say is for the dialects to know.

use std::io::{self, BufRead};

use memchr::{memchr_iter, memrchr};

use super::read::{Layout, Limits};
use super::skip;
use super::syntax::{Event, Slip, Step, Syntax};

mod lines;

pub(super) use lines::{Lines, spaces_at_end};

/// All members of the head together may have this many bytes, with their keys.
pub(super) const HEAD_BYTES_MAX: usize = 1 << 20;

/// The keys under which one dialect or another keeps its rows.
pub(super) const ROWS_KEYS: [&str; 4] = ["data", "messages", "destination", "users"];

const BOM: [u8; 3] = [0xef, 0xbb, 0xbf];

/// A place in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Bytes before it.
    pub(super) offset: u64,
    /// Its line, from 1.
    pub(super) line: u64,
    /// Its column in characters, from 1.
    pub(super) column: u64,
}

impl Place {
    /// The start of a file.
    pub(super) const START: Self = Self {
        offset: 0,
        line: 1,
        column: 1,
    };

    /// The place after `bytes`.
    pub(super) fn after(mut self, bytes: &[u8]) -> Self {
        self.pass(bytes);
        self
    }

    /// The place of the character of which `bytes` bytes have been passed; the same if none.
    pub(super) fn before(mut self, bytes: u64) -> Self {
        self.offset -= bytes;
        self.column -= bytes.min(1);
        self
    }

    fn pass(&mut self, bytes: &[u8]) {
        self.offset += bytes.len() as u64;
        match memrchr(b'\n', bytes) {
            None => self.column += characters(bytes),
            Some(last) => {
                self.line += memchr_iter(b'\n', bytes).count() as u64;
                self.column = 1 + characters(&bytes[last + 1..]);
            }
        }
    }
}

fn characters(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|&&byte| byte & 0xc0 != 0x80).count() as u64
}

/// One part of a batch file.
#[derive(Debug)]
pub(super) enum Part {
    /// A member of the head; its value's bytes are in [`Walk::bytes`].
    Member(Member),
    /// A list of rows begins.
    List(List),
    /// A row. Its bytes are in [`Walk::bytes`] if it is the first one of a list, or while
    /// [`Walk::keep_rows`] asks for them.
    Row(RowPart),
    /// The text is not JSON from here on; nothing follows.
    Slip(Slip, Place),
    /// The JSON is neither an object nor an array; nothing follows.
    NotBatch(Place),
    /// There is nothing but space in the file.
    Empty,
    /// The file is larger than it may be; nothing follows.
    TooLarge,
    /// The file has ended.
    End,
}

/// A member of the head.
#[derive(Debug)]
pub(super) struct Member {
    /// Its key.
    pub(super) key: String,
    /// Where the key begins.
    pub(super) key_place: Place,
    /// Where the value begins.
    pub(super) place: Place,
    /// Whether even its key is missing because the head is too long.
    pub(super) key_too_long: bool,
    /// Whether its bytes are missing because the head is too long.
    pub(super) too_long: bool,
    /// Where it is nested too deeply.
    pub(super) too_deep: Option<Place>,
}

/// A list of rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    /// Its key; `None` when it is all that there is.
    pub(super) key: Option<&'static str>,
    /// Where its key begins.
    pub(super) key_place: Place,
    /// Where it begins itself.
    pub(super) place: Place,
}

/// A row.
#[derive(Debug)]
pub(super) struct RowPart {
    /// Where it begins.
    pub(super) place: Place,
    /// Bytes before it and in it.
    pub(super) end: u64,
    /// Whether it has too many bytes.
    pub(super) too_long: bool,
    /// Where it is nested too deeply.
    pub(super) too_deep: Option<Place>,
    /// What is wrong with its JSON, and where. Only in JSON Lines: elsewhere it ends the file.
    pub(super) slip: Option<(Slip, Place)>,
}

/// Bytes read so far, and those that are kept.
struct Text<R> {
    source: R,
    place: Place,
    syntax: Syntax,
    kept: Vec<u8>,
    keeping: Option<usize>,
    overflow: bool,
    too_deep: Option<Place>,
    bytes_max: u64,
}

enum Found {
    Event(Event),
    Slip(Slip),
    TooLarge,
    End,
}

impl<R: BufRead> Text<R> {
    fn new(source: R, limits: &Limits) -> Self {
        Self {
            source,
            place: Place::START,
            syntax: Syntax::new(limits.depth_max),
            kept: Vec::new(),
            keeping: None,
            overflow: false,
            too_deep: None,
            bytes_max: limits.expanded_bytes_max,
        }
    }

    /// The bytes at hand, at least one unless the source has ended.
    fn fill(&mut self) -> io::Result<&[u8]> {
        loop {
            match self.source.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(_) => break,
            }
        }
        // What is buffered is given again without being read again.
        self.source.fill_buf()
    }

    /// Passes a mark of the byte order; tells what is surely not UTF-8.
    fn begin(&mut self) -> io::Result<Option<Slip>> {
        for (at, expected) in BOM.into_iter().enumerate() {
            match self.fill()?.first() {
                Some(&byte) if byte == expected => {
                    self.source.consume(1);
                    self.place.offset += 1;
                }
                Some(0xfe | 0xff) if at == 0 => return Ok(Some(Slip::WideEncoding)),
                _ if at == 0 => return Ok(None),
                _ => return Ok(Some(Slip::Encoding)),
            }
        }
        Ok(None)
    }

    fn keep(&mut self, bytes_max: usize) {
        self.kept.clear();
        self.keeping = Some(bytes_max);
        self.overflow = false;
        self.too_deep = None;
    }

    fn note(&mut self) {
        self.kept.clear();
        self.keeping = None;
        self.overflow = false;
        self.too_deep = None;
    }

    /// Passes the announced value if the whole of it is at hand and nothing about it is unusual.
    fn pass_value(&mut self) -> io::Result<bool> {
        let bytes = self.source.fill_buf()?;
        let Some(length) = skip::value(bytes, self.syntax.depth_left()) else {
            return Ok(false);
        };
        self.place.pass(&bytes[..length]);
        self.source.consume(length);
        self.syntax.passed();
        Ok(true)
    }

    fn next(&mut self) -> io::Result<Found> {
        loop {
            self.fill()?;
            let bytes = self.source.fill_buf()?;
            if bytes.is_empty() {
                return Ok(match self.syntax.finish() {
                    Ok(()) => Found::End,
                    Err(slip) => Found::Slip(slip),
                });
            }
            let (used, step) = self.syntax.advance(bytes);
            let bytes = &bytes[..used];
            if step == Step::Event(Event::TooDeep) && self.too_deep.is_none() {
                self.too_deep = Some(self.place.after(&bytes[..used - 1]));
            }
            if let Some(bytes_max) = self.keeping {
                if self.kept.len() + used <= bytes_max {
                    self.kept.extend_from_slice(bytes);
                } else {
                    self.overflow = true;
                    self.keeping = None;
                    self.kept.clear();
                }
            }
            self.place.pass(bytes);
            self.source.consume(used);
            if self.place.offset > self.bytes_max {
                return Ok(Found::TooLarge);
            }
            match step {
                Step::More | Step::Event(Event::TooDeep) => {}
                Step::Event(event) => return Ok(Found::Event(event)),
                Step::Slip(slip) => {
                    self.place = self.place.before(self.syntax.begun_bytes());
                    return Ok(Found::Slip(slip));
                }
            }
        }
    }
}

/// A `.json` file, walked through.
pub(super) struct Walk<R> {
    text: Text<R>,
    row_bytes_max: usize,
    head_bytes_left: usize,
    stand: Stand,
    /// Lists of rows that were met.
    lists: Vec<&'static str>,
    /// Rows of the present list that were met.
    rows: u64,
    /// Whether the bytes of rows are asked for.
    keeps_rows: bool,
    /// The row in which the text stopped being JSON, in its list.
    broken_row: Option<(Layout, u64)>,
    /// Where the outermost value begins, and where it ends once it has.
    whole: (Place, u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    Start,
    Within,
    /// In a list of rows.
    Rows,
    /// In a list of rows that is the whole of the file.
    Array,
    Ended,
}

impl<R: BufRead> Walk<R> {
    /// Begins at the start of `source`.
    pub(super) fn new(source: R, limits: &Limits) -> Self {
        Self {
            text: Text::new(source, limits),
            row_bytes_max: limits.row_bytes_max,
            head_bytes_left: HEAD_BYTES_MAX,
            stand: Stand::Start,
            lists: Vec::new(),
            rows: 0,
            keeps_rows: false,
            broken_row: None,
            whole: (Place::START, 0),
        }
    }

    /// The outermost value as the one row of its file, once it has ended.
    pub(super) fn whole(&self) -> RowPart {
        let (place, end) = self.whole;
        RowPart {
            place,
            end,
            too_long: end - place.offset > self.row_bytes_max as u64,
            too_deep: None,
            slip: None,
        }
    }

    /// The bytes of the part that was handed out last; none if they are not kept.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.text.kept
    }

    /// Whether the bytes of rows are handed out.
    pub(super) fn keeps_rows(&self) -> bool {
        self.keeps_rows
    }

    /// Whether the bytes of rows are handed out from here on, which is slow.
    pub(super) fn keep_rows(&mut self, keeps_rows: bool) {
        self.keeps_rows = keeps_rows;
    }

    /// The row in which the text stopped being JSON, and where it stands; `None` if it did so
    /// elsewhere, or is JSON.
    pub(super) fn broken_row(&self) -> Option<(Layout, u64)> {
        self.broken_row
    }

    /// The next part.
    pub(super) fn next(&mut self) -> io::Result<Part> {
        match self.stand {
            Stand::Start => self.begin(),
            Stand::Ended => Ok(Part::End),
            Stand::Rows | Stand::Array => self.next_row(),
            Stand::Within => match self.text.next()? {
                Found::Event(Event::KeyStart) => self.member(),
                Found::Event(_) => self.close(),
                other => Ok(self.last(&other)),
            },
        }
    }

    fn begin(&mut self) -> io::Result<Part> {
        self.stand = Stand::Within;
        if let Some(slip) = self.text.begin()? {
            return Ok(self.slip(slip));
        }
        match self.text.next()? {
            Found::Event(Event::ValueStart(b'{')) => {
                self.whole.0 = self.text.place;
                self.text.syntax.watch(1);
                self.next()
            }
            Found::Event(Event::ValueStart(b'[')) => {
                self.text.syntax.watch(1);
                self.stand = Stand::Array;
                Ok(Part::List(List {
                    key: None,
                    key_place: self.text.place,
                    place: self.text.place,
                }))
            }
            Found::Event(_) => {
                self.stand = Stand::Ended;
                Ok(Part::NotBatch(self.text.place))
            }
            Found::Slip(Slip::Truncated) => {
                self.stand = Stand::Ended;
                Ok(Part::Empty)
            }
            other => Ok(self.last(&other)),
        }
    }

    /// The outermost value has ended; nothing but space may follow.
    fn close(&mut self) -> io::Result<Part> {
        self.whole.1 = self.text.place.offset;
        self.text.syntax.watch(usize::MAX);
        let found = self.text.next()?;
        Ok(self.last(&found))
    }

    fn member(&mut self) -> io::Result<Part> {
        let key_place = self.text.place;
        self.text.keep(self.head_bytes_left);
        match self.text.next()? {
            Found::Event(Event::KeyEnd) => {}
            other => return Ok(self.last(&other)),
        }
        self.head_bytes_left -= self.text.kept.len();
        let key = serde_json::from_slice::<String>(&self.text.kept).unwrap_or_default();
        let key_too_long = self.text.overflow;
        self.text.note();
        let first = match self.text.next()? {
            Found::Event(Event::ValueStart(first)) => first,
            other => return Ok(self.last(&other)),
        };
        let place = self.text.place;
        let list = ROWS_KEYS.into_iter().find(|rows_key| *rows_key == key);
        let is_list = |key: &&'static str| first == b'[' && !self.lists.contains(key);
        if let Some(key) = list.filter(is_list) {
            self.lists.push(key);
            self.rows = 0;
            self.stand = Stand::Rows;
            self.text.syntax.watch(2);
            return Ok(Part::List(List {
                key: Some(key),
                key_place,
                place,
            }));
        }
        if !key_too_long {
            self.text.keep(self.head_bytes_left);
        }
        match self.text.next()? {
            Found::Event(Event::ValueEnd) => {}
            other => return Ok(self.last(&other)),
        }
        self.head_bytes_left -= self.text.kept.len();
        Ok(Part::Member(Member {
            key,
            key_place,
            place,
            key_too_long,
            too_long: key_too_long || self.text.overflow,
            too_deep: self.text.too_deep,
        }))
    }

    fn next_row(&mut self) -> io::Result<Part> {
        match self.text.next()? {
            Found::Event(Event::ValueStart(_)) => self.row(),
            Found::Event(_) if self.stand == Stand::Array => self.close(),
            Found::Event(_) => {
                self.stand = Stand::Within;
                self.text.syntax.watch(1);
                self.next()
            }
            other => Ok(self.last(&other)),
        }
    }

    fn row(&mut self) -> io::Result<Part> {
        let place = self.text.place;
        self.rows += 1;
        let keep = self.rows == 1 || self.keeps_rows;
        if keep {
            self.text.keep(self.row_bytes_max);
        } else {
            self.text.note();
        }
        if keep || !self.text.pass_value()? {
            match self.text.next()? {
                Found::Event(_) => {}
                other => {
                    let layout = match self.lists.last() {
                        Some(key) if self.stand == Stand::Rows => Layout::Keyed(key),
                        _ => Layout::Array,
                    };
                    self.broken_row = Some((layout, self.rows - 1));
                    return Ok(self.last(&other));
                }
            }
        }
        let end = self.text.place.offset;
        if end > self.text.bytes_max {
            return Ok(self.last(&Found::TooLarge));
        }
        Ok(Part::Row(RowPart {
            place,
            end,
            too_long: end - place.offset > self.row_bytes_max as u64,
            too_deep: self.text.too_deep,
            slip: None,
        }))
    }

    fn last(&mut self, found: &Found) -> Part {
        match *found {
            Found::Slip(slip) => self.slip(slip),
            Found::TooLarge => {
                self.stand = Stand::Ended;
                Part::TooLarge
            }
            Found::Event(_) | Found::End => {
                self.stand = Stand::Ended;
                Part::End
            }
        }
    }

    fn slip(&mut self, slip: Slip) -> Part {
        self.stand = Stand::Ended;
        Part::Slip(slip, self.text.place)
    }
}
