//! Walks through a JSON Lines file.

use std::io::{self, BufRead};

use memchr::memchr;

use super::{HEAD_BYTES_MAX, Part, Place, RowPart, Stand, Text};
use crate::batch::read::Limits;
use crate::batch::skip;
use crate::batch::syntax::{Slip, Step};

/// A JSON Lines file, walked through. Each line that is not blank is a row, the first one too.
pub(in crate::batch) struct Lines<R> {
    text: Text<R>,
    line_bytes_max: usize,
    row_bytes_max: u64,
    stand: Stand,
}

impl<R: BufRead> Lines<R> {
    /// Begins at the start of `source`.
    pub(in crate::batch) fn new(source: R, limits: &Limits) -> Self {
        let mut text = Text::new(source, limits);
        text.syntax.watch(usize::MAX);
        Self {
            text,
            // The first line may be a head.
            line_bytes_max: limits.row_bytes_max.max(HEAD_BYTES_MAX),
            row_bytes_max: limits.row_bytes_max as u64,
            stand: Stand::Start,
        }
    }

    /// From here on, lines are rows, and are handed out with their bytes if these are no more.
    pub(in crate::batch) fn limit(&mut self, line_bytes_max: usize) {
        self.line_bytes_max = line_bytes_max;
    }

    /// The bytes of the row that was handed out last; none if they are not kept.
    pub(in crate::batch) fn bytes(&self) -> &[u8] {
        let line = &self.text.kept;
        let line = &line[spaces(line)..];
        &line[..line.len() - spaces_at_end(line)]
    }

    /// The next row; [`Part::Slip`] only for what makes the rest of the file unreadable.
    pub(in crate::batch) fn next(&mut self) -> io::Result<Part> {
        if self.stand == Stand::Start {
            self.stand = Stand::Within;
            if let Some(slip) = self.text.begin()? {
                self.stand = Stand::Ended;
                return Ok(Part::Slip(slip, self.text.place));
            }
        }
        while self.stand == Stand::Within {
            if let Some(part) = self.line()? {
                return Ok(part);
            }
        }
        Ok(Part::End)
    }

    /// Passes the next line if the whole of it is at hand, is not to be kept and is a sound row.
    fn pass_line(&mut self) -> io::Result<Option<RowPart>> {
        let text = &mut self.text;
        let bytes = text.source.fill_buf()?;
        let Some(newline) = (self.line_bytes_max == 0)
            .then(|| memchr(b'\n', bytes))
            .flatten()
        else {
            return Ok(None);
        };
        let line = &bytes[..newline];
        let blank = spaces(line);
        let row = &line[blank..];
        let row = &row[..row.len() - spaces_at_end(row)];
        if skip::value(row, text.syntax.depth_left()) != Some(row.len()) {
            return Ok(None);
        }
        let place = text.place.after(&line[..blank]);
        let length = row.len() as u64;
        text.place.offset += newline as u64 + 1;
        text.place.line += 1;
        text.place.column = 1;
        text.source.consume(newline + 1);
        Ok(Some(RowPart {
            place,
            end: place.offset + length,
            too_long: length > self.row_bytes_max,
            too_deep: None,
            slip: None,
        }))
    }

    /// Reads one line; `None` when it is blank.
    fn line(&mut self) -> io::Result<Option<Part>> {
        self.text.syntax.restart();
        if let Some(row) = self.pass_line()? {
            if self.text.place.offset > self.text.bytes_max {
                self.stand = Stand::Ended;
                return Ok(Some(Part::TooLarge));
            }
            return Ok(Some(Part::Row(row)));
        }
        let text = &mut self.text;
        text.keep(self.line_bytes_max);
        let mut start: Option<Place> = None;
        let mut slip: Option<(Slip, Place)> = None;
        let mut end = text.place.offset;
        loop {
            text.fill()?;
            let bytes = text.source.fill_buf()?;
            let newline = memchr(b'\n', bytes);
            let piece = &bytes[..newline.unwrap_or(bytes.len())];
            if start.is_none() {
                let blank = spaces(piece);
                start = (blank < piece.len()).then(|| text.place.after(&piece[..blank]));
            }
            let mut read = 0;
            while slip.is_none() && read < piece.len() {
                let (used, step) = text.syntax.advance(&piece[read..]);
                read += used;
                match step {
                    Step::More => {}
                    Step::Slip(found) => {
                        let place = text.place.after(&piece[..read]);
                        slip = Some((found, place.before(text.syntax.begun_bytes())));
                    }
                    Step::Event(_) => {
                        let deep = text.place.after(&piece[..read - 1]);
                        text.too_deep = text.too_deep.or(Some(deep));
                    }
                }
            }
            match text.keeping {
                Some(bytes_max) if text.kept.len() + piece.len() <= bytes_max => {
                    text.kept.extend_from_slice(piece);
                }
                Some(_) => {
                    text.overflow = true;
                    text.keeping = None;
                    text.kept.clear();
                }
                None => {}
            }
            let filled = piece.len() - spaces_at_end(piece);
            if filled > 0 {
                end = text.place.offset + filled as u64;
            }
            let used = piece.len() + usize::from(newline.is_some());
            let ended = bytes.is_empty();
            let before_newline = text.place.after(piece);
            text.place.pass(&bytes[..used]);
            text.source.consume(used);
            if text.place.offset > text.bytes_max {
                self.stand = Stand::Ended;
                return Ok(Some(Part::TooLarge));
            }
            if let Some((found, place)) = slip.filter(|(slip, _)| slip.ends_the_file()) {
                self.stand = Stand::Ended;
                return Ok(Some(Part::Slip(found, place)));
            }
            if ended {
                self.stand = Stand::Ended;
            }
            if ended || newline.is_some() {
                let Some(place) = start else {
                    return Ok(None);
                };
                if slip.is_none() {
                    slip = text
                        .syntax
                        .finish()
                        .err()
                        .map(|slip| (slip, before_newline));
                }
                return Ok(Some(Part::Row(RowPart {
                    place,
                    end,
                    too_long: end - place.offset > self.row_bytes_max,
                    too_deep: text.too_deep,
                    slip,
                })));
            }
        }
    }
}

/// How many spaces within a line `bytes` begin with.
fn spaces(bytes: &[u8]) -> usize {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r');
    bytes.iter().take_while(|byte| is_space(byte)).count()
}

/// How many they end with.
pub(in crate::batch) fn spaces_at_end(bytes: &[u8]) -> usize {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r');
    bytes.iter().rev().take_while(|byte| is_space(byte)).count()
}
