//! Tells JSON from what only looks like it, one piece of bytes at a time.
//!
//! A strict reading of RFC 8259 and of UTF-8 that keeps nothing but its state, so that a file of
//! any size is checked in constant memory. It reports where watched values begin and end, and the
//! first slip at the very byte. What the values mean is for others to know.

/// Nesting beyond this is never followed, whatever the settings say: trees are read by recursion.
pub(super) const DEPTH_CEILING: usize = 128;

/// What [`Syntax::advance`] stopped at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// All bytes are used up.
    More,
    /// A watched thing; the bytes before it are used up.
    Event(Event),
    /// The byte after those used up is wrong.
    Slip(Slip),
}

/// A place in the text that the reader waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The quote that begins a watched key is next.
    KeyStart,
    /// A watched key has ended.
    KeyEnd,
    /// This first byte of a watched value is next.
    ValueStart(u8),
    /// A watched value has ended.
    ValueEnd,
    /// The container that holds the watched values has ended.
    Close,
    /// The bracket just used up is deeper than allowed; its content is only skipped.
    TooDeep,
}

/// What is wrong with a text that is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slip {
    /// The text ends too early.
    Truncated,
    /// A byte that is not UTF-8.
    Encoding,
    /// A zero byte beside the first character: most likely UTF-16 or UTF-32.
    WideEncoding,
    /// A zero byte anywhere else.
    ZeroByte,
    /// `<`: HTML or XML.
    Markup,
    /// The text begins with something that JSON never begins with.
    NotJson,
    /// The first byte of a byte-order mark that is not at the start, or of a full-width character.
    ByteOrderMark,
    /// The first byte of a no-break space or of a mark like it.
    NoBreakSpace,
    /// A comma before a closing bracket.
    TrailingComma,
    /// A value or key follows without a comma.
    MissingComma,
    /// A comma where a value or key belongs.
    ExtraComma,
    /// A semicolon in place of a comma.
    Semicolon,
    /// A closing brace too many.
    StrayBrace,
    /// A closing bracket too many.
    StrayBracket,
    /// An object ends with `]`.
    UnclosedObject,
    /// An array of texts ends with `}`.
    UnclosedArray,
    /// No colon after a key.
    MissingColon,
    /// `=` in place of a colon.
    Equals,
    /// A colon after a value.
    StrayColon,
    /// A colon after a text in an array.
    KeyInArray,
    /// No value after a colon.
    MissingValue,
    /// `'` instead of `"`.
    SingleQuote,
    /// Words right after a closing quotation mark.
    InnerQuote,
    /// A typographic quotation mark or another character outside of a text.
    Typographic,
    /// `//`, `/*` or `#`.
    Comment,
    /// `NaN`, `None`, `NULL` or `Infinity`.
    NotANumber,
    /// `undefined`.
    Undefined,
    /// `True` or `False`, or another word in capitals.
    Capital,
    /// A leading plus sign.
    PlusSign,
    /// A number without digits before its point.
    LeadingPoint,
    /// A number with a zero in front.
    LeadingZero,
    /// A number without digits where they belong, as `1.` and `-`.
    BadNumber,
    /// A number such as `0x1F`.
    Hexadecimal,
    /// A number that goes on with letters or marks.
    NumberAndMore,
    /// A word without quotation marks.
    BareWord,
    /// A key without quotation marks.
    BareKey,
    /// A line break inside a text.
    LineBreak,
    /// A tab inside a text.
    Tab,
    /// Another control character, wherever it stands.
    Control,
    /// A backslash followed by something that JSON does not know.
    BadEscape,
    /// A backslash before an apostrophe.
    EscapedApostrophe,
    /// Fewer than four hexadecimal digits after `\u`.
    BadHexadecimal,
    /// Half of a surrogate pair.
    HalfPair,
    /// A second JSON text follows.
    SecondText,
    /// A comma follows the end.
    CommaAfterEnd,
    /// Something else follows the end.
    AfterEnd,
}

impl Slip {
    /// Whether the lines after it are not worth reading: the file is no JSON Lines at all.
    pub(super) fn ends_the_file(self) -> bool {
        matches!(
            self,
            Self::Encoding | Self::WideEncoding | Self::ZeroByte | Self::Markup
        )
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Value,
    FirstValueOrEnd,
    ValueAfterComma,
    FirstKeyOrEnd,
    KeyAfterComma,
    Colon,
    CommaOrEnd,
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    Nothing,
    Text(Text),
    Number(Number),
    /// The rest of `true`, `false` or `null`.
    Word(&'static [u8]),
    /// A container that is too deep: brackets and texts are all that is looked at.
    Skipped {
        levels: u64,
        text: bool,
        escaped: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    Plain,
    Escape,
    Hex {
        left: u8,
        value: u16,
    },
    /// The backslash, then the `u`, then the digits of the second half of a pair.
    SecondBackslash,
    SecondU,
    SecondHex {
        left: u8,
        value: u16,
    },
    /// How many bytes this character has had and has still, and the range of the next one.
    Character {
        begun: u8,
        left: u8,
        low: u8,
        high: u8,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Minus,
    Zero,
    Whole,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nest {
    Object,
    Array,
}

/// A JSON text under way.
#[derive(Clone, Debug)]
pub(super) struct Syntax {
    expect: Expect,
    inside: Inside,
    inside_key: bool,
    /// Whether the value that ended last is a text.
    after_text: bool,
    announced: bool,
    nest: Vec<Nest>,
    depth_max: usize,
    watch: usize,
}

impl Syntax {
    /// A text of which nothing is read yet. The whole of it is watched at first.
    pub(super) fn new(depth_max: usize) -> Self {
        Self {
            expect: Expect::Value,
            inside: Inside::Nothing,
            inside_key: false,
            after_text: false,
            announced: false,
            nest: Vec::new(),
            depth_max: depth_max.clamp(1, DEPTH_CEILING),
            watch: 0,
        }
    }

    /// A value inside of `levels` containers, of which nothing is read yet and which is watched.
    pub(super) fn within(levels: usize, depth_max: usize) -> Self {
        Self {
            nest: vec![Nest::Array; levels],
            watch: levels,
            announced: true,
            ..Self::new(depth_max)
        }
    }

    /// Begins another text; what is watched stays.
    pub(super) fn restart(&mut self) {
        self.expect = Expect::Value;
        self.inside = Inside::Nothing;
        self.inside_key = false;
        self.announced = false;
        self.nest.clear();
    }

    /// From here on, keys and values inside this many containers are reported.
    pub(super) fn watch(&mut self, containers: usize) {
        self.watch = containers;
    }

    /// How many more containers may be opened here.
    pub(super) fn depth_left(&self) -> usize {
        self.depth_max.saturating_sub(self.nest.len())
    }

    /// The value that was announced has been passed over and is sound.
    pub(super) fn passed(&mut self) {
        self.announced = false;
        self.end_value();
    }

    /// Reads on. Says how many bytes are used up, and why it stopped.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> (usize, Step) {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            let step = match self.inside {
                Inside::Text(Text::Plain) => {
                    at += plain_length(&bytes[at..]);
                    match bytes.get(at) {
                        None => break,
                        Some(&byte) => self.text_byte(Text::Plain, byte),
                    }
                }
                Inside::Nothing if matches!(byte, b' ' | b'\n' | b'\r' | b'\t') => Taken::Byte,
                Inside::Nothing => self.between(byte),
                Inside::Text(text) => self.text_byte(text, byte),
                Inside::Number(number) => self.number_byte(number, byte),
                Inside::Word(rest) => self.word_byte(rest, byte),
                Inside::Skipped {
                    levels,
                    text,
                    escaped,
                } => self.skipped_byte(levels, text, escaped, byte),
            };
            match step {
                Taken::Byte => at += 1,
                Taken::Nothing => {}
                Taken::ByteThen(event) => return (at + 1, Step::Event(event)),
                Taken::NothingThen(event) => return (at, Step::Event(event)),
                Taken::Wrong(slip) => return (at, Step::Slip(slip)),
            }
        }
        (bytes.len(), Step::More)
    }

    /// How many bytes before a slip belong to it: those of a character that turned out to be none.
    pub(super) fn begun_bytes(&self) -> u64 {
        match self.inside {
            Inside::Text(Text::Character { begun, .. }) => begun.into(),
            _ => 0,
        }
    }

    /// The text has ended. `Err` when it should have gone on.
    pub(super) fn finish(&mut self) -> Result<(), Slip> {
        if let Inside::Number(number) = self.inside {
            if !number.may_end() {
                return Err(Slip::Truncated);
            }
            self.end_value();
        }
        match (self.inside, self.expect) {
            (Inside::Nothing, Expect::Nothing) => Ok(()),
            _ => Err(Slip::Truncated),
        }
    }

    fn between(&mut self, byte: u8) -> Taken {
        match self.expect {
            Expect::Value | Expect::FirstValueOrEnd | Expect::ValueAfterComma => {
                self.before_value(byte)
            }
            Expect::FirstKeyOrEnd | Expect::KeyAfterComma => self.before_key(byte),
            Expect::Colon if byte == b':' => {
                self.expect = Expect::Value;
                Taken::Byte
            }
            Expect::Colon => Taken::Wrong(match byte {
                b'=' => Slip::Equals,
                _ => foreign(byte).unwrap_or(Slip::MissingColon),
            }),
            Expect::CommaOrEnd => self.after_value(byte),
            Expect::Nothing => Taken::Wrong(match byte {
                b'}' => Slip::StrayBrace,
                b']' => Slip::StrayBracket,
                b'{' | b'[' => Slip::SecondText,
                b',' => Slip::CommaAfterEnd,
                _ => foreign(byte).unwrap_or(Slip::AfterEnd),
            }),
        }
    }

    fn before_value(&mut self, byte: u8) -> Taken {
        let starts = matches!(
            byte,
            b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n'
        );
        if !starts {
            return self.no_value(byte);
        }
        if self.nest.len() == self.watch && !self.announced {
            self.announced = true;
            return Taken::NothingThen(Event::ValueStart(byte));
        }
        self.announced = false;
        match byte {
            b'{' => return self.open(Nest::Object),
            b'[' => return self.open(Nest::Array),
            b'"' => {
                self.inside_key = false;
                self.inside = Inside::Text(Text::Plain);
            }
            b'-' => self.inside = Inside::Number(Number::Minus),
            b'0' => self.inside = Inside::Number(Number::Zero),
            b't' => self.inside = Inside::Word(b"rue"),
            b'f' => self.inside = Inside::Word(b"alse"),
            b'n' => self.inside = Inside::Word(b"ull"),
            _ => self.inside = Inside::Number(Number::Whole),
        }
        Taken::Byte
    }

    fn no_value(&mut self, byte: u8) -> Taken {
        match (byte, self.expect, self.nest.last()) {
            (b']', Expect::FirstValueOrEnd, _) => self.close(),
            (b']', Expect::ValueAfterComma, _) => Taken::Wrong(Slip::TrailingComma),
            (b']' | b'}' | b',', Expect::Value, Some(_)) => Taken::Wrong(Slip::MissingValue),
            (b',', ..) => Taken::Wrong(Slip::ExtraComma),
            (b'}', ..) => Taken::Wrong(Slip::StrayBrace),
            (b']', ..) => Taken::Wrong(Slip::StrayBracket),
            // The second byte of UTF-16, or the first one when the high byte comes first.
            (0, Expect::FirstValueOrEnd, _) if self.nest.len() == 1 => {
                Taken::Wrong(Slip::WideEncoding)
            }
            (0, _, None) => Taken::Wrong(Slip::WideEncoding),
            _ => Taken::Wrong(foreign(byte).unwrap_or(match (byte, self.nest.last()) {
                (_, None) => Slip::NotJson,
                (b'N' | b'I', _) => Slip::NotANumber,
                (b'u', _) => Slip::Undefined,
                (b'A'..=b'Z', _) => Slip::Capital,
                (b'+', _) => Slip::PlusSign,
                (b'.', _) => Slip::LeadingPoint,
                _ => Slip::BareWord,
            })),
        }
    }

    fn before_key(&mut self, byte: u8) -> Taken {
        match byte {
            b'"' => {
                if self.nest.len() == self.watch && !self.announced {
                    self.announced = true;
                    return Taken::NothingThen(Event::KeyStart);
                }
                self.announced = false;
                self.inside_key = true;
                self.inside = Inside::Text(Text::Plain);
                Taken::Byte
            }
            b'}' if self.expect == Expect::FirstKeyOrEnd => self.close(),
            b'}' => Taken::Wrong(Slip::TrailingComma),
            b']' => Taken::Wrong(Slip::UnclosedObject),
            b',' => Taken::Wrong(Slip::ExtraComma),
            0 if self.expect == Expect::FirstKeyOrEnd && self.nest.len() == 1 => {
                Taken::Wrong(Slip::WideEncoding)
            }
            _ => Taken::Wrong(foreign(byte).unwrap_or(Slip::BareKey)),
        }
    }

    fn after_value(&mut self, byte: u8) -> Taken {
        let nest = self.nest.last();
        match (byte, nest) {
            (b',', Some(Nest::Object)) => {
                self.expect = Expect::KeyAfterComma;
                Taken::Byte
            }
            (b',', _) => {
                self.expect = Expect::ValueAfterComma;
                Taken::Byte
            }
            (b'}', Some(Nest::Object)) | (b']', Some(Nest::Array)) => self.close(),
            (b'}', Some(Nest::Array)) if self.after_text => Taken::Wrong(Slip::UnclosedArray),
            (b'}', _) => Taken::Wrong(Slip::StrayBrace),
            (b']', _) => Taken::Wrong(Slip::UnclosedObject),
            (b';', _) => Taken::Wrong(Slip::Semicolon),
            (b':', Some(Nest::Array)) if self.after_text => Taken::Wrong(Slip::KeyInArray),
            (b':', _) => Taken::Wrong(Slip::StrayColon),
            (b'a'..=b'z' | b'A'..=b'Z', _) if self.after_text => Taken::Wrong(Slip::InnerQuote),
            _ => Taken::Wrong(foreign(byte).unwrap_or(Slip::MissingComma)),
        }
    }

    fn open(&mut self, nest: Nest) -> Taken {
        if self.nest.len() >= self.depth_max {
            self.inside = Inside::Skipped {
                levels: 1,
                text: false,
                escaped: false,
            };
            return Taken::ByteThen(Event::TooDeep);
        }
        self.nest.push(nest);
        self.expect = match nest {
            Nest::Object => Expect::FirstKeyOrEnd,
            Nest::Array => Expect::FirstValueOrEnd,
        };
        Taken::Byte
    }

    fn close(&mut self) -> Taken {
        self.nest.pop();
        self.end_value()
    }

    fn end_value(&mut self) -> Taken {
        self.after_text = matches!(self.inside, Inside::Text(_));
        self.inside = Inside::Nothing;
        self.expect = if self.nest.is_empty() {
            Expect::Nothing
        } else {
            Expect::CommaOrEnd
        };
        if self.nest.len() == self.watch {
            Taken::ByteThen(Event::ValueEnd)
        } else if self.nest.len() + 1 == self.watch {
            Taken::ByteThen(Event::Close)
        } else {
            Taken::Byte
        }
    }

    fn text_byte(&mut self, text: Text, byte: u8) -> Taken {
        let next = match text {
            Text::Plain => match byte {
                b'"' => return self.end_text(),
                b'\\' => Ok(Text::Escape),
                b'\n' | b'\r' => Err(Slip::LineBreak),
                0 => Err(Slip::ZeroByte),
                b'\t' => Err(Slip::Tab),
                1..=0x1f => Err(Slip::Control),
                0x20..=0x7f => Ok(Text::Plain),
                0x80.. => character(byte).ok_or(Slip::Encoding),
            },
            Text::Escape => match byte {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(Text::Plain),
                b'u' => Ok(Text::Hex { left: 4, value: 0 }),
                b'\'' => Err(Slip::EscapedApostrophe),
                _ => Err(Slip::BadEscape),
            },
            Text::Hex { left, value } => match (hex(byte, value), left) {
                (None, _) => Err(Slip::BadHexadecimal),
                (Some(0xd800..=0xdbff), 1) => Ok(Text::SecondBackslash),
                (Some(0xdc00..=0xdfff), 1) => Err(Slip::HalfPair),
                (Some(_), 1) => Ok(Text::Plain),
                (Some(value), _) => Ok(Text::Hex {
                    left: left - 1,
                    value,
                }),
            },
            Text::SecondBackslash if byte == b'\\' => Ok(Text::SecondU),
            Text::SecondU if byte == b'u' => Ok(Text::SecondHex { left: 4, value: 0 }),
            Text::SecondBackslash | Text::SecondU => Err(Slip::HalfPair),
            Text::SecondHex { left, value } => match (hex(byte, value), left) {
                (None, _) => Err(Slip::BadHexadecimal),
                (Some(0xdc00..=0xdfff), 1) => Ok(Text::Plain),
                (Some(_), 1) => Err(Slip::HalfPair),
                (Some(value), _) => Ok(Text::SecondHex {
                    left: left - 1,
                    value,
                }),
            },
            Text::Character {
                begun,
                left,
                low,
                high,
            } => match byte {
                _ if byte < low || byte > high => Err(Slip::Encoding),
                _ if left == 1 => Ok(Text::Plain),
                _ => Ok(Text::Character {
                    begun: begun + 1,
                    left: left - 1,
                    low: 0x80,
                    high: 0xbf,
                }),
            },
        };
        match next {
            Ok(text) => {
                self.inside = Inside::Text(text);
                Taken::Byte
            }
            Err(slip) => Taken::Wrong(slip),
        }
    }

    fn end_text(&mut self) -> Taken {
        if !self.inside_key {
            return self.end_value();
        }
        self.inside = Inside::Nothing;
        self.expect = Expect::Colon;
        if self.nest.len() == self.watch {
            Taken::ByteThen(Event::KeyEnd)
        } else {
            Taken::Byte
        }
    }

    fn number_byte(&mut self, number: Number, byte: u8) -> Taken {
        let next = match (number, byte) {
            (Number::Minus, b'0') => Number::Zero,
            (Number::Minus, b'1'..=b'9') | (Number::Whole, b'0'..=b'9') => Number::Whole,
            (Number::Minus, b'I' | b'N') => return Taken::Wrong(Slip::NotANumber),
            (Number::Minus, b'.') => return Taken::Wrong(Slip::LeadingPoint),
            (Number::Zero | Number::Whole, b'.') => Number::Point,
            (Number::Zero | Number::Whole | Number::Fraction, b'e' | b'E') => Number::Exponent,
            (Number::Point | Number::Fraction, b'0'..=b'9') => Number::Fraction,
            (Number::Exponent, b'+' | b'-') => Number::ExponentSign,
            (Number::Exponent | Number::ExponentSign | Number::ExponentDigits, b'0'..=b'9') => {
                Number::ExponentDigits
            }
            (Number::Zero, b'0'..=b'9') => return Taken::Wrong(Slip::LeadingZero),
            (Number::Zero, b'x' | b'X') => return Taken::Wrong(Slip::Hexadecimal),
            (_, b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'-' | b'+' | b'.' | b'/')
                if number.may_end() =>
            {
                return Taken::Wrong(Slip::NumberAndMore);
            }
            _ if number.may_end() => {
                // The byte after a number is not part of it: it is looked at once more.
                return match self.end_value() {
                    Taken::ByteThen(event) => Taken::NothingThen(event),
                    _ => Taken::Nothing,
                };
            }
            _ => return Taken::Wrong(Slip::BadNumber),
        };
        self.inside = Inside::Number(next);
        Taken::Byte
    }

    fn word_byte(&mut self, rest: &'static [u8], byte: u8) -> Taken {
        match rest.split_first() {
            Some((&next, [])) if next == byte => self.end_value(),
            Some((&next, rest)) if next == byte => {
                self.inside = Inside::Word(rest);
                Taken::Byte
            }
            _ if self.nest.is_empty() => Taken::Wrong(Slip::NotJson),
            _ => Taken::Wrong(Slip::BareWord),
        }
    }

    fn skipped_byte(&mut self, levels: u64, text: bool, escaped: bool, byte: u8) -> Taken {
        let (levels, text, escaped) = match (text, byte) {
            (true, _) if escaped => (levels, true, false),
            (true, b'\\') => (levels, true, true),
            (true, b'"') => (levels, false, false),
            (false, b'"') => (levels, true, false),
            (false, b'{' | b'[') => (levels + 1, false, false),
            (false, b'}' | b']') if levels == 1 => return self.end_value(),
            (false, b'}' | b']') => (levels - 1, false, false),
            _ => (levels, text, false),
        };
        self.inside = Inside::Skipped {
            levels,
            text,
            escaped,
        };
        Taken::Byte
    }
}

impl Number {
    fn may_end(self) -> bool {
        matches!(
            self,
            Self::Zero | Self::Whole | Self::Fraction | Self::ExponentDigits
        )
    }
}

enum Taken {
    Byte,
    Nothing,
    ByteThen(Event),
    NothingThen(Event),
    Wrong(Slip),
}

/// Bytes that are wrong outside of texts wherever they stand.
fn foreign(byte: u8) -> Option<Slip> {
    match byte {
        b'\'' | b'`' => Some(Slip::SingleQuote),
        b'/' | b'#' => Some(Slip::Comment),
        0 => Some(Slip::ZeroByte),
        1..=0x1f => Some(Slip::Control),
        b'<' => Some(Slip::Markup),
        0xc2 => Some(Slip::NoBreakSpace),
        0xef => Some(Slip::ByteOrderMark),
        0x80.. => Some(match character(byte) {
            Some(_) => Slip::Typographic,
            None => Slip::Encoding,
        }),
        _ => None,
    }
}

/// The first byte of a character beyond ASCII: what must follow it.
fn character(byte: u8) -> Option<Text> {
    let (left, low, high) = match byte {
        0xc2..=0xdf => (1, 0x80, 0xbf),
        0xe0 => (2, 0xa0, 0xbf),
        0xe1..=0xec | 0xee | 0xef => (2, 0x80, 0xbf),
        0xed => (2, 0x80, 0x9f),
        0xf0 => (3, 0x90, 0xbf),
        0xf1..=0xf3 => (3, 0x80, 0xbf),
        0xf4 => (3, 0x80, 0x8f),
        _ => return None,
    };
    Some(Text::Character {
        begun: 1,
        left,
        low,
        high,
    })
}

fn hex(byte: u8, value: u16) -> Option<u16> {
    let digit = char::from(byte).to_digit(16)?;
    Some((value << 4) | digit as u16)
}

/// How many bytes from the start of `bytes` are plain characters of a text.
fn plain_length(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .position(|&byte| !PLAIN[usize::from(byte)])
        .unwrap_or(bytes.len())
}

const PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0x20;
    while byte < 0x80 {
        table[byte] = byte != b'"' as usize && byte != b'\\' as usize;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BATCH: &str = r#"{"message": "Zo\u00eb \ud83d\ude00 é", "rows": -1.5e+3,
 "allowDuplicate": true, "x": [null, false, 0, {}, []], "data": [{"to": "+31612345001"}]}"#;

    fn read(bytes: &[u8], piece: usize) -> Result<(), (usize, Slip)> {
        let mut syntax = Syntax::new(DEPTH_CEILING);
        let mut at = 0;
        for piece in bytes.chunks(piece) {
            let mut rest = piece;
            while !rest.is_empty() {
                let (used, step) = syntax.advance(rest);
                at += used;
                rest = &rest[used..];
                match step {
                    Step::More | Step::Event(_) => {}
                    Step::Slip(slip) => return Err((at - syntax.begun_bytes() as usize, slip)),
                }
            }
        }
        syntax.finish().map_err(|slip| (at, slip))
    }

    /// A sender must be told the slip that was made, at the byte where it was made.
    #[test]
    fn slips_are_told_apart_at_their_byte() {
        for (text, at, slip) in [
            ("", 0, Slip::Truncated),
            (r#"{"a":1"#, 6, Slip::Truncated),
            (r#"{"a":1,}"#, 7, Slip::TrailingComma),
            ("[1,]", 3, Slip::TrailingComma),
            (r#"{"a":1 "b":2}"#, 7, Slip::MissingComma),
            ("[1,,2]", 3, Slip::ExtraComma),
            (r#"{"data":[{"a":1}}]}"#, 16, Slip::StrayBrace),
            ("{}}", 2, Slip::StrayBrace),
            ("{}]", 2, Slip::StrayBracket),
            (r#"[{"a":1]"#, 7, Slip::UnclosedObject),
            (r#"{"a":["b"}"#, 9, Slip::UnclosedArray),
            (r#"{"a" 1}"#, 5, Slip::MissingColon),
            (r#"{"a":}"#, 5, Slip::MissingValue),
            ("{'a':1}", 1, Slip::SingleQuote),
            ("{\u{201c}a\u{201d}:1}", 1, Slip::Typographic),
            ("[1] // x", 4, Slip::Comment),
            ("[NaN]", 1, Slip::NotANumber),
            ("[-Infinity]", 2, Slip::NotANumber),
            ("[undefined]", 1, Slip::Undefined),
            ("[+1]", 1, Slip::PlusSign),
            ("[.5]", 1, Slip::LeadingPoint),
            ("[012]", 2, Slip::LeadingZero),
            ("[1.]", 3, Slip::BadNumber),
            ("[0x1F]", 2, Slip::Hexadecimal),
            ("[2026-11-21]", 5, Slip::NumberAndMore),
            ("[True]", 1, Slip::Capital),
            ("[yes]", 1, Slip::BareWord),
            ("{a:1}", 1, Slip::BareKey),
            (r#"["a": 1]"#, 4, Slip::KeyInArray),
            (r#"{"a": 1: 2}"#, 7, Slip::StrayColon),
            (r#"{"a" = 1}"#, 5, Slip::Equals),
            ("[1; 2]", 2, Slip::Semicolon),
            (r#"["say "hi""]"#, 7, Slip::InnerQuote),
            ("[\"a\nb\"]", 3, Slip::LineBreak),
            ("[\"a\tb\"]", 3, Slip::Tab),
            ("[\"a\u{b}b\"]", 3, Slip::Control),
            (r#"["\x"]"#, 3, Slip::BadEscape),
            (r#"["\'"]"#, 3, Slip::EscapedApostrophe),
            (r#"["\u12g4"]"#, 6, Slip::BadHexadecimal),
            ("<html>", 0, Slip::Markup),
            ("to;name", 1, Slip::NotJson),
            ("+31612345001;Ana", 0, Slip::NotJson),
            ("[1]\u{feff}", 3, Slip::ByteOrderMark),
            ("[1,\u{a0}2]", 3, Slip::NoBreakSpace),
            ("{\0\"\0", 1, Slip::WideEncoding),
            ("\0{", 0, Slip::WideEncoding),
            ("{}\0\0", 2, Slip::ZeroByte),
            ("{}, {}", 2, Slip::CommaAfterEnd),
            (r#"["\ud83d x"]"#, 8, Slip::HalfPair),
            (r#"["\udc00"]"#, 7, Slip::HalfPair),
            ("{}\n{}", 3, Slip::SecondText),
            ("{} x", 3, Slip::AfterEnd),
        ] {
            assert_eq!(read(text.as_bytes(), 64), Err((at, slip)), "{text}");
        }
        assert_eq!(read(b"[\"\xe9\"]", 64), Err((2, Slip::Encoding)));
        assert_eq!(read(b"[\"\xf0\x9f\x98\"]", 1), Err((2, Slip::Encoding)));
        assert_eq!(read(b"[\"\xff\"]", 64), Err((2, Slip::Encoding)));
    }

    proptest! {
        /// Were this reading laxer than the common one, a broken file would be sent; were it
        /// stricter, a sound one refused.
        #[test]
        fn the_common_parser_agrees(
            text in r#"([\[\]{},:" ]|"a"|"\\u00[0-9a-f]{2}"|-?[0-9]{1,3}|[.eE+-]|true|null|é|\\|\\n){0,24}"#,
            piece in 1_usize..9,
        ) {
            let theirs = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            // Numbers that are too large for a float are JSON all the same.
            let large = text.contains(['e', 'E']);
            let ours = read(text.as_bytes(), piece);
            prop_assert!(ours.is_ok() == theirs || (large && ours.is_ok()), "{text} {ours:?}");
            prop_assert_eq!(ours, read(text.as_bytes(), 1024));
        }

        /// Whoever looks at the place that is named must find the slip there: what stands before it
        /// could still become JSON, and with that byte it never can.
        #[test]
        fn the_place_is_the_first_byte_that_cannot_stand(
            at in 0..BATCH.len(), byte: u8, how in 0..3, piece in 1_usize..9,
        ) {
            let mut text = BATCH.as_bytes().to_vec();
            match how {
                0 => text[at] = byte,
                1 => text.insert(at, byte),
                _ => drop(text.remove(at)),
            }
            let theirs = serde_json::from_slice::<serde_json::Value>(&text);
            let Err((at, slip)) = read(&text, piece) else {
                prop_assert!(theirs.is_ok(), "{theirs:?}");
                return Ok(());
            };
            prop_assert!(theirs.is_err(), "{slip:?}");
            if slip == Slip::Encoding {
                let utf8 = std::str::from_utf8(&text).expect_err("it is not UTF-8");
                prop_assert_eq!(utf8.valid_up_to(), at);
                return Ok(());
            }
            let could_go_on = |text: &[u8]| {
                let read = serde_json::from_slice::<serde_json::Value>(text);
                read.map_or_else(|error| error.is_eof(), |_| true)
            };
            prop_assert!(could_go_on(&text[..at]), "{slip:?} at {at}");
            if slip != Slip::Truncated {
                // The common parser looks at the four digits of an escape at once.
                let with_it = [&text[..=at], b"000"].concat();
                prop_assert!(!could_go_on(&with_it), "{slip:?} at {at}");
            }
        }

        /// A text in any language must pass, and its bytes must not when one is lost.
        #[test]
        fn characters_are_told_from_broken_ones(text in "\\PC{1,8}", lost in 0_usize..32) {
            let whole = serde_json::to_string(&text).expect("texts are JSON");
            prop_assert_eq!(read(whole.as_bytes(), 3), Ok(()));
            let mut broken = whole.into_bytes();
            let lost = lost % broken.len();
            broken.remove(lost);
            let theirs = serde_json::from_slice::<String>(&broken).is_ok();
            prop_assert_eq!(read(&broken, 3).is_ok(), theirs);
        }

        /// No upload may stop the daemon.
        #[test]
        fn no_bytes_cause_a_panic(bytes: Vec<u8>, piece in 1_usize..9) {
            let _ = read(&bytes, piece);
        }
    }
}
