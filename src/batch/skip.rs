//! Passes over a sound JSON value as quickly as its bytes can be looked at. It takes nothing that
//! [`syntax`](super::syntax) would not take, and gives up on whatever is unusual: what is wrong
//! there, and where, is for that slower reading to say.

use super::syntax::DEPTH_CEILING;

const EVERY: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// How many bytes the value at the start of `bytes` has, if it is an object or an array, whole,
/// sound and nested at most `depth_max` deep.
pub(super) fn value(bytes: &[u8], depth_max: usize) -> Option<usize> {
    let mut skip = Skip {
        bytes,
        at: 0,
        high: 0,
    };
    matches!(bytes.first()?, b'{' | b'[').then_some(())?;
    skip.container(depth_max.min(DEPTH_CEILING))?;
    if skip.high & HIGH != 0 {
        // The bytes of a longer character are never taken for quotes or brackets, so that looking
        // at them last is soon enough.
        simdutf8::basic::from_utf8(&bytes[..skip.at]).ok()?;
    }
    Some(skip.at)
}

struct Skip<'a> {
    bytes: &'a [u8],
    at: usize,
    /// All bytes of texts, laid over each other: whether one is beyond ASCII.
    high: u64,
}

impl Skip<'_> {
    /// Passes from an opening bracket to behind the closing one.
    fn container(&mut self, depth_max: usize) -> Option<()> {
        // One bit for each open container, the innermost lowest: whether it is an object.
        let mut nest: u128 = 0;
        let mut depth = 0;
        loop {
            let opened = match self.byte()? {
                b'{' => Some(1),
                b'[' => Some(0),
                b'"' => {
                    self.text()?;
                    None
                }
                b't' => {
                    self.word(b"true")?;
                    None
                }
                b'f' => {
                    self.word(b"false")?;
                    None
                }
                b'n' => {
                    self.word(b"null")?;
                    None
                }
                _ => {
                    self.number()?;
                    None
                }
            };
            if let Some(object) = opened {
                (depth < depth_max).then_some(())?;
                depth += 1;
                nest = nest << 1 | object;
                self.at += 1;
                let closing = if object == 1 { b'}' } else { b']' };
                if self.byte()? != closing {
                    if object == 1 {
                        self.key()?;
                    }
                    continue;
                }
            }
            loop {
                if depth == 0 {
                    return None;
                }
                let object = nest & 1 == 1;
                match self.byte()? {
                    b',' => {
                        self.at += 1;
                        if object {
                            self.key()?;
                        }
                        break;
                    }
                    b'}' if object => self.at += 1,
                    b']' if !object => self.at += 1,
                    _ => return None,
                }
                nest >>= 1;
                depth -= 1;
                if depth == 0 {
                    return Some(());
                }
            }
        }
    }

    /// The next byte that is no space.
    fn byte(&mut self) -> Option<u8> {
        loop {
            match *self.bytes.get(self.at)? {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                byte => return Some(byte),
            }
        }
    }

    /// Passes a key and its colon.
    fn key(&mut self) -> Option<()> {
        (self.byte()? == b'"').then_some(())?;
        self.text()?;
        (self.byte()? == b':').then_some(())?;
        self.at += 1;
        Some(())
    }

    /// Passes a text from its opening quote to behind the closing one.
    fn text(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            self.plain();
            match *self.bytes.get(self.at)? {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                b'\\' => self.escape()?,
                0..=0x1f => return None,
                byte => {
                    self.high |= u64::from(byte);
                    self.at += 1;
                }
            }
        }
    }

    /// Passes plain characters, eight at a time; fewer than eight may be left.
    fn plain(&mut self) {
        while let Some(eight) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk) {
            let eight = u64::from_le_bytes(*eight);
            self.high |= eight;
            // The lowest mark is exact: a byte above it may be marked in error.
            let zero = |bytes: u64| bytes.wrapping_sub(EVERY) & !bytes;
            let control = eight.wrapping_sub(EVERY * 0x20) & !eight;
            let quote = zero(eight ^ (EVERY * u64::from(b'"')));
            let escape = zero(eight ^ (EVERY * u64::from(b'\\')));
            let marks = (control | quote | escape) & HIGH;
            if marks != 0 {
                self.at += marks.trailing_zeros() as usize / 8;
                return;
            }
            self.at += 8;
        }
    }

    /// Passes an escape. Halves of pairs are left to the slower reading.
    fn escape(&mut self) -> Option<()> {
        match self.bytes.get(self.at + 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 2,
            b'u' => {
                let digits = self.bytes.get(self.at + 2..self.at + 6)?;
                let half = matches!(
                    digits,
                    [b'd' | b'D', b'8' | b'9' | b'a'..=b'f' | b'A'..=b'F', ..]
                );
                let good = digits.iter().all(u8::is_ascii_hexdigit) && !half;
                good.then(|| self.at += 6)?;
            }
            _ => return None,
        }
        Some(())
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        let rest = self.bytes.get(self.at..)?;
        rest.starts_with(word).then(|| self.at += word.len())
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn number(&mut self) -> Option<()> {
        if self.bytes.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        if self.bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::syntax::{Event, Step, Syntax};
    use super::*;

    /// Where the slower reading says that the value ends; `None` if it finds anything wrong.
    fn slowly(bytes: &[u8], depth_max: usize) -> Option<usize> {
        let mut syntax = Syntax::within(0, depth_max);
        let mut at = 0;
        loop {
            let (used, step) = syntax.advance(&bytes[at..]);
            at += used;
            match step {
                Step::Event(Event::ValueEnd) => return Some(at),
                Step::Event(Event::TooDeep) | Step::Slip(_) | Step::More => return None,
                Step::Event(_) => {}
            }
        }
    }

    proptest! {
        /// What is passed over here is sent: were it laxer than the slower reading, a broken file
        /// would be, too.
        #[test]
        fn nothing_broken_is_passed_over(
            inner in r#"([\[\]{},:" ]|"a{0,20}":?|"\\u[0-9a-fA-F]{3,4}"|-?[0-9]{1,3}|[.eE+-]|true|null|é|\\|\\n|\n){0,24}"#,
            object: bool, depth_max in 1_usize..5,
        ) {
            let text = if object { format!("{{\"k\":[{inner}]}}") } else { format!("[{inner}]") };
            let passed = value(text.as_bytes(), depth_max);
            if passed.is_some() {
                prop_assert_eq!(passed, slowly(text.as_bytes(), depth_max), "{}", text);
            }
        }

        /// The same for bytes that are no UTF-8, and for control characters.
        #[test]
        fn no_broken_text_is_passed_over(text in "\\PC{0,20}", at in 0_usize..40, byte: u8) {
            let mut bytes = serde_json::to_vec(&[text]).expect("texts are JSON");
            let at = at % bytes.len();
            bytes[at] = byte;
            let passed = value(&bytes, 9);
            if passed.is_some() {
                prop_assert_eq!(passed, slowly(&bytes, 9), "{:?}", bytes);
            }
        }

        /// Rows that are in order must not be read slowly, or a large file takes minutes.
        #[test]
        fn sound_values_are_passed_over(
            values in prop::collection::vec(("\\PC{0,30}", any::<i32>(), any::<bool>()), 0..5),
            pretty: bool, more in "[ ,\\]]{0,9}",
        ) {
            let text = if pretty {
                serde_json::to_string_pretty(&values)
            } else {
                serde_json::to_string(&values)
            };
            let text = text.expect("it is JSON");
            prop_assert_eq!(value(format!("{text}{more}").as_bytes(), 2), Some(text.len()));
            if !values.is_empty() {
                prop_assert_eq!(value(text.as_bytes(), 1), None);
            }
        }
    }
}
