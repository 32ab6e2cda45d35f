//! Walks through a batch file of any size and hands out its parts: the members of the head and the
//! rows, each with its own bytes and its place. What the parts say is for the dialects to know.

use std::io::{self, BufRead};

use memchr::{memchr_iter, memrchr};

use super::read::Limits;
use super::syntax::{Event, Slip, Step, Syntax};

mod lines;

pub(super) use lines::Lines;

/// All members of the head together may have this many bytes, with their keys.
pub(super) const HEAD_BYTES_MAX: usize = 1 << 20;

/// The key of the rows.
pub(super) const ROWS_KEY: &str = "data";

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

/// Which parts are handed out with their bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// Members of the head.
    Head,
    /// Rows.
    Rows,
}

/// One part of a batch file.
#[derive(Debug)]
pub(super) enum Part {
    /// A member of the head; its value's bytes are in [`Walk::bytes`].
    Member(Member),
    /// A row; its bytes are in [`Walk::bytes`].
    Row(RowPart),
    /// The text is not JSON from here on; nothing follows.
    Slip(Slip, Place),
    /// The JSON is not an object; nothing follows.
    NotObject(Place, u8),
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
    /// Whether its bytes are missing because the head is too long.
    pub(super) too_long: bool,
    /// Where it is nested too deeply.
    pub(super) too_deep: Option<Place>,
}

/// A row.
#[derive(Debug)]
pub(super) struct RowPart {
    /// Where it begins.
    pub(super) place: Place,
    /// Whether its bytes are missing because there are too many.
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
                Some(0xfe | 0xff) if at == 0 => return Ok(Some(Slip::ZeroByte)),
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
                Step::Slip(slip) => return Ok(Found::Slip(slip)),
            }
        }
    }
}

/// A `.json` file, walked through.
pub(super) struct Walk<R> {
    text: Text<R>,
    keep: Keep,
    row_bytes_max: usize,
    head_bytes_left: usize,
    stand: Stand,
    in_rows: bool,
    rows_seen: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    Start,
    Within,
    Ended,
}

impl<R: BufRead> Walk<R> {
    /// Begins at the start of `source`.
    pub(super) fn new(source: R, limits: &Limits, keep: Keep) -> Self {
        Self {
            text: Text::new(source, limits),
            keep,
            row_bytes_max: limits.row_bytes_max,
            head_bytes_left: HEAD_BYTES_MAX,
            stand: Stand::Start,
            in_rows: false,
            rows_seen: false,
        }
    }

    /// The bytes of the part that was handed out last; none if they are not kept.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.text.kept
    }

    /// Whether the array of rows was met.
    pub(super) fn has_rows(&self) -> bool {
        self.rows_seen
    }

    /// The next part.
    pub(super) fn next(&mut self) -> io::Result<Part> {
        if self.stand == Stand::Start {
            self.stand = Stand::Within;
            if let Some(slip) = self.text.begin()? {
                return Ok(self.slip(slip));
            }
            match self.text.next()? {
                Found::Event(Event::ValueStart(b'{')) => self.text.syntax.watch(1),
                Found::Event(Event::ValueStart(byte)) => {
                    self.stand = Stand::Ended;
                    return Ok(Part::NotObject(self.text.place, byte));
                }
                Found::Slip(Slip::Truncated) => {
                    self.stand = Stand::Ended;
                    return Ok(Part::Empty);
                }
                other => return Ok(self.last(&other)),
            }
        }
        if self.stand == Stand::Ended {
            return Ok(Part::End);
        }
        if self.in_rows {
            return self.next_row();
        }
        match self.text.next()? {
            Found::Event(Event::KeyStart) => self.member(),
            Found::Event(_) => {
                // The outermost object has ended; nothing but space may follow.
                self.text.syntax.watch(usize::MAX);
                let found = self.text.next()?;
                Ok(self.last(&found))
            }
            other => Ok(self.last(&other)),
        }
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
        if key == ROWS_KEY && first == b'[' && !self.rows_seen {
            self.rows_seen = true;
            self.in_rows = true;
            self.text.syntax.watch(2);
            return self.next_row();
        }
        let place = self.text.place;
        if self.keep == Keep::Head && !key_too_long {
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
            too_long: key_too_long || self.text.overflow,
            too_deep: self.text.too_deep,
        }))
    }

    fn next_row(&mut self) -> io::Result<Part> {
        match self.text.next()? {
            Found::Event(Event::ValueStart(_)) => {}
            Found::Event(_) => {
                self.in_rows = false;
                self.text.syntax.watch(1);
                return self.next();
            }
            other => return Ok(self.last(&other)),
        }
        let place = self.text.place;
        match self.keep {
            Keep::Rows => self.text.keep(self.row_bytes_max),
            Keep::Head => self.text.note(),
        }
        match self.text.next()? {
            Found::Event(_) => Ok(Part::Row(RowPart {
                place,
                too_long: self.text.overflow,
                too_deep: self.text.too_deep,
                slip: None,
            })),
            other => Ok(self.last(&other)),
        }
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
