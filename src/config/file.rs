//! One settings file, read so that each value's place is known. Which settings there are is for
//! `keys` to know, and what they mean for `check` and `tenant`.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::Keys;
use super::measure;
use super::problem::{Findings, Place, either, why_unreadable};
use super::syntax;

/// The largest settings file, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// How many characters of a wrong value are shown.
const SHOWN_CHARS_MAX: usize = 60;

/// A settings file in memory.
#[derive(Debug)]
pub(super) struct File<'a> {
    path: &'a Path,
    text: String,
    keys: &'a Keys,
    findings: &'a Findings,
}

impl<'a> File<'a> {
    /// Reads the file. When that fails, the problem is noted and there is nothing to go on with.
    pub(super) fn open(path: &'a Path, keys: &'a Keys, findings: &'a Findings) -> Option<Self> {
        let mut bytes = Vec::new();
        let read = std::fs::File::open(path)
            .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
        let whole = Place::whole(path);
        if let Err(error) = read {
            let why = why_unreadable(&error);
            let cure = match error.kind() {
                io::ErrorKind::NotFound => "write it, or give its right path",
                _ => "it takes a text file that dropcast's user can read",
            };
            let text = format!("the settings file {why}; {cure}");
            findings.problem(whole, text);
            return None;
        }
        if bytes.len() as u64 > FILE_BYTES_MAX {
            let most = measure::bytes_text(FILE_BYTES_MAX);
            let text = format!("the settings file is longer than {most}; is it the right one?");
            findings.problem(whole, text);
            return None;
        }
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let good = error.utf8_error().valid_up_to();
                let start = String::from_utf8_lossy(&error.as_bytes()[..good]);
                let place = place_of(path, &start, good);
                let text = "this character is not UTF-8; save the file as UTF-8 text";
                findings.problem(place, text);
                return None;
            }
        };
        let text = match text.strip_prefix('\u{feff}') {
            Some(rest) => rest.to_owned(),
            None => text,
        };
        Some(Self {
            path,
            text,
            keys,
            findings,
        })
    }

    /// Takes the text apart. Of a text that is not TOML, only that is reported: what could be read
    /// is handed on, and `false` says that it is not the whole.
    pub(super) fn parse(&self) -> (Spanned<DeTable<'_>>, bool) {
        let (document, errors) = DeTable::parse_recoverable(&self.text);
        for (at, text) in syntax::sentences(&errors, &self.text) {
            self.problem(at, text);
        }
        if errors.is_empty() {
            self.keys.look_through(self, document.get_ref(), "");
        }
        (document, errors.is_empty())
    }

    /// The path of the file.
    pub(super) fn path(&self) -> &Path {
        self.path
    }

    /// Something is wrong at the byte `at`.
    pub(super) fn problem(&self, at: usize, text: impl Into<String>) {
        self.findings.problem(self.place(at), text);
    }

    /// The setting `name` at the byte `at` changes nothing in this version.
    pub(super) fn note_idle(&self, at: usize, name: &str, why: &str) {
        let place = self.place(at);
        let text = format!(
            "`{name}` in {} has no effect in this version: {why}",
            place.file_and_line()
        );
        self.findings.note(place, text);
    }

    /// Something that the operator should know about the file as a whole.
    pub(super) fn note_whole(&self, text: impl Into<String>) {
        self.findings.note(Place::whole(self.path), text);
    }

    fn place(&self, at: usize) -> Place {
        place_of(self.path, &self.text, at)
    }
}

fn place_of(path: &Path, text: &str, at: usize) -> Place {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Place {
        file: path.into(),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}

/// A section of a file, or the top of it. A section that is not there has no values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section<'a> {
    file: &'a File<'a>,
    name: &'static str,
    table: Option<&'a DeTable<'a>>,
    /// The byte where it begins; `None` for the top, and for a section that is not there.
    at: Option<usize>,
}

impl<'a> Section<'a> {
    /// The top of the file.
    pub(super) fn top(file: &'a File<'a>, document: &'a Spanned<DeTable<'a>>) -> Self {
        Self {
            file,
            name: "",
            table: Some(document.get_ref()),
            at: None,
        }
    }

    /// The section `[name]`.
    pub(super) fn section(&self, name: &'static str) -> Self {
        let value = self.value(name);
        self.inner(name, value)
    }

    /// Every section `[[name]]`.
    pub(super) fn sections(&self, name: &'static str) -> Vec<Self> {
        let items = self
            .value(name)
            .and_then(|value| value.get_ref().as_array());
        items
            .into_iter()
            .flatten()
            .map(|item| self.inner(name, Some(item)))
            .collect()
    }

    /// The tables under `key`, where one may stand or a list of them; they are told by `name`.
    /// `None` when something else stands there.
    pub(super) fn tables(&self, key: &str, name: &'static str) -> Option<Vec<Self>> {
        let Some(value) = self.value(key) else {
            return Some(Vec::new());
        };
        let items = match value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            _ => vec![value],
        };
        let inner = |item| Some(self.inner(name, Some(item))).filter(|it| it.table.is_some());
        items.into_iter().map(inner).collect()
    }

    /// The names in it, each with the byte where it stands.
    pub(super) fn names(&self) -> Vec<(usize, &'a str)> {
        let names = self.table.into_iter().flat_map(DeTable::keys);
        names
            .map(|name| (name.span().start, name.get_ref().as_ref()))
            .collect()
    }

    fn inner(&self, name: &'static str, value: Option<&'a Spanned<DeValue<'a>>>) -> Self {
        Self {
            file: self.file,
            name,
            table: value.and_then(|value| value.get_ref().as_table()),
            at: value.map(|value| value.span().start),
        }
    }

    /// The file it stands in.
    pub(super) fn file(&self) -> &'a File<'a> {
        self.file
    }

    /// Whether `key` has a value, right or wrong.
    pub(super) fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    /// The key with its section, as in `sftp.listen`.
    pub(super) fn full(&self, key: &str) -> String {
        if self.name.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.name)
        }
    }

    /// Something is wrong with the value of `key`, or with its absence.
    pub(super) fn problem(&self, key: &str, text: impl Into<String>) {
        self.file.findings.problem(self.place(key), text);
    }

    /// Something about the value of `key` that the operator should know and that stops nothing.
    pub(super) fn note(&self, key: &str, text: impl Into<String>) {
        self.file.findings.note(self.place(key), text);
    }

    /// `key` must have a value; `cure` says how to give it one.
    pub(super) fn require(&self, key: &str, cure: &str) {
        if !self.has(key) {
            self.problem(key, format!("`{}` is missing; {cure}", self.full(key)));
        }
    }

    /// `key`, if it has a value, changes nothing: `why`.
    pub(super) fn note_idle(&self, key: &str, why: &str) {
        if let Some(value) = self.value(key) {
            self.file
                .note_idle(value.span().start, &self.full(key), why);
        }
    }

    /// Where the value of `key` stands; without one, where its section begins.
    pub(super) fn place(&self, key: &str) -> Place {
        let at = self.value(key).map(|value| value.span().start);
        match at.or(self.at) {
            Some(at) => self.file.place(at),
            None => Place::whole(self.file.path),
        }
    }

    /// A text, if it is one; nothing is reported.
    pub(super) fn peek(&self, key: &str) -> Option<&'a str> {
        self.value(key)?.get_ref().as_str()
    }

    /// A text whose value is never shown.
    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        let value = self.value(key)?.get_ref();
        let text = value.as_str();
        if text.is_none() {
            let kind = kind_of(value);
            self.wrong(key, kind, "text in quotes");
        }
        text
    }

    /// Several texts, each with the byte where it stands. Their values are never shown.
    pub(super) fn texts(&self, key: &str) -> Vec<(usize, &'a str)> {
        const TAKES: &str = "a list of texts, such as `[\"one\", \"two\"]`";
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let Some(items) = value.get_ref().as_array() else {
            self.wrong(key, kind_of(value.get_ref()), TAKES);
            return Vec::new();
        };
        let mut texts = Vec::new();
        for item in items {
            let at = item.span().start;
            if let Some(text) = item.get_ref().as_str() {
                texts.push((at, text));
            } else {
                let (full, kind) = (self.full(key), kind_of(item.get_ref()));
                let text = format!("`{full}` holds {kind}; it takes {TAKES}");
                self.file.problem(at, text);
            }
        }
        texts
    }

    /// An address to listen on.
    pub(super) fn address(&self, key: &str) -> Option<SocketAddr> {
        let takes = "an address and a port such as `0.0.0.0:2022`";
        self.read(key, takes, |value| value.as_str()?.parse().ok())
    }

    /// A path; a relative one is relative to this file.
    pub(super) fn path(&self, key: &str) -> Option<PathBuf> {
        let folder = self.file.path.parent().unwrap_or(Path::new(""));
        self.read(key, "a path in quotes", |value| {
            let text = value.as_str()?;
            let good = !text.is_empty() && !text.contains(char::is_control);
            good.then(|| folder.join(text))
        })
    }

    /// Yes or no.
    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        self.read(key, "`true` or `false`, without quotes", DeValue::as_bool)
    }

    /// A length of time.
    pub(super) fn duration(&self, key: &str, range: RangeInclusive<Duration>) -> Option<Duration> {
        let takes = format!(
            "a length of time from {} to {}, with its unit, such as `10min`, `48h` or `30d`",
            measure::duration_text(*range.start()),
            measure::duration_text(*range.end()),
        );
        self.read(key, &takes, |value| {
            measure::duration(value.as_str()?).filter(|duration| range.contains(duration))
        })
    }

    /// A whole number.
    pub(super) fn count(&self, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let takes = format!("a whole number from {} to {}", range.start(), range.end());
        self.read(key, &takes, |value| {
            integer(value).filter(|number| range.contains(number))
        })
    }

    /// A number of bytes.
    pub(super) fn bytes(&self, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let takes = format!(
            "a number of bytes from {} to {}, such as `65536` or `\"64 KiB\"`",
            measure::bytes_text(*range.start()),
            measure::bytes_text(*range.end()),
        );
        self.read(key, &takes, |value| {
            let bytes = match value {
                DeValue::String(text) => measure::bytes(text),
                other => integer(other),
            };
            bytes.filter(|bytes| range.contains(bytes))
        })
    }

    /// A number with a fraction, for which `good` holds; `takes` says which those are.
    pub(super) fn number(
        &self,
        key: &str,
        takes: &str,
        good: impl FnOnce(f64) -> bool,
    ) -> Option<f64> {
        self.read(key, takes, |value| {
            let number = match value {
                DeValue::Float(float) => float.as_str().parse().ok()?,
                other => integer(other)? as f64,
            };
            good(number).then_some(number)
        })
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Option<T> {
        let list: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        self.read(key, &either(&list), |value| {
            let text = value.as_str()?;
            let found = words.iter().find(|(word, _)| *word == text);
            found.map(|(_, meaning)| *meaning)
        })
    }

    /// Reads the value of `key`. What `parse` does not take is reported with the value itself.
    pub(super) fn read<T>(
        &self,
        key: &str,
        takes: &str,
        parse: impl FnOnce(&'a DeValue<'a>) -> Option<T>,
    ) -> Option<T> {
        let value = self.value(key)?.get_ref();
        let read = parse(value);
        if read.is_none() {
            self.wrong(key, &shown(value), takes);
        }
        read
    }

    fn wrong(&self, key: &str, found: &str, takes: &str) {
        let full = self.full(key);
        self.problem(key, format!("`{full}` is {found}; it takes {takes}"));
    }

    fn value(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table.and_then(|table| table.get(key))
    }
}

fn integer(value: &DeValue<'_>) -> Option<u64> {
    let integer = value.as_integer()?;
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// A value in a sentence.
pub(super) fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => shown_text(text),
        DeValue::Integer(number) => format!("`{number}`"),
        DeValue::Float(number) => format!("`{number}`"),
        DeValue::Boolean(flag) => format!("`{flag}`"),
        other => kind_of(other).to_owned(),
    }
}

/// A text in a sentence, shortened, on one line.
pub(super) fn shown_text(text: &str) -> String {
    if text.is_empty() {
        return "empty".into();
    }
    let mut short: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("`{}`", short.replace(char::is_control, " "))
}

fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a yes or no",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}
