//! Walks through a JSON Lines file.

use std::io::{self, BufRead};

use memchr::memchr;

use super::{HEAD_BYTES_MAX, Part, Place, RowPart, Stand, Text};
use crate::batch::read::Limits;
use crate::batch::syntax::{Slip, Step};

/// A JSON Lines file, walked through. Each line that is not blank is a row, the first one too.
pub(in crate::batch) struct Lines<R> {
    text: Text<R>,
    line_bytes_max: usize,
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
            stand: Stand::Start,
        }
    }

    /// From here on, lines are rows and have this many bytes at most.
    pub(in crate::batch) fn limit(&mut self, line_bytes_max: usize) {
        self.line_bytes_max = line_bytes_max;
    }

    /// The bytes of the row that was handed out last; none if it is too long.
    pub(in crate::batch) fn bytes(&self) -> &[u8] {
        self.text.kept.trim_ascii()
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

    /// Reads one line; `None` when it is blank.
    fn line(&mut self) -> io::Result<Option<Part>> {
        let text = &mut self.text;
        text.syntax.restart();
        text.keep(self.line_bytes_max);
        let mut start: Option<Place> = None;
        let mut slip: Option<(Slip, Place)> = None;
        loop {
            text.fill()?;
            let bytes = text.source.fill_buf()?;
            let newline = memchr(b'\n', bytes);
            let piece = &bytes[..newline.unwrap_or(bytes.len())];
            if start.is_none() {
                let blank = piece.len() - piece.trim_ascii_start().len();
                start = (blank < piece.len()).then(|| text.place.after(&piece[..blank]));
            }
            let mut read = 0;
            while slip.is_none() && read < piece.len() {
                let (used, step) = text.syntax.advance(&piece[read..]);
                read += used;
                match step {
                    Step::More => {}
                    Step::Slip(found) => slip = Some((found, text.place.after(&piece[..read]))),
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
            let used = piece.len() + usize::from(newline.is_some());
            let ended = bytes.is_empty();
            let before_newline = text.place.after(piece);
            text.place.pass(&bytes[..used]);
            text.source.consume(used);
            if text.place.offset > text.bytes_max {
                self.stand = Stand::Ended;
                return Ok(Some(Part::TooLarge));
            }
            if let Some((found @ (Slip::Encoding | Slip::ZeroByte), place)) = slip {
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
                    too_long: text.overflow,
                    too_deep: text.too_deep,
                    slip,
                })));
            }
        }
    }
}
