//! The native form: a campaign file as Messangi's users write it, plus optional keys.
//!
//! `head` reads what stands once for all rows, `row` one row against it, `content` what the
//! recipient will read. Where parts of the file begin and end is found by `scan`.

use std::sync::Arc;

use crate::batch::fault::{Code, Fault, Trouble};
use crate::batch::marks::{Brackets, Piece, has_mark, pieces};
use crate::batch::read::{PhoneCheck, Rules};
use crate::batch::spot::{Spot, Warnings};
use crate::batch::template::Template;
use crate::batch::tree::{Node, Value};
use crate::batch::{Moment, Phone};

mod content;
mod head;
mod keys;
mod row;

pub(in crate::batch) use head::{HeadMember, head_too_long, read_head};
pub(in crate::batch) use keys::FOREIGN;
pub(in crate::batch) use row::{bad_row, read_row};

/// The longest session text after substitution, in characters. Messangi's own pages say 1024; the
/// Cloud API takes this many, and it is what decides.
const SESSION_CHARS_MAX: usize = 4096;
/// How far ahead an expiry may lie.
const VALIDITY_DAYS_MAX: i64 = 35;
/// The longest `reference`, in characters.
const REFERENCE_CHARS_MAX: usize = 512;
/// The longest `callbackData`, in characters.
const CALLBACK_DATA_CHARS_MAX: usize = 4096;

/// The most placeholders that a text can have, and the most values that a row can give: each is
/// compared with each.
const PLACEHOLDERS_MAX: usize = 256;
/// The most faults told of one row, so that one row cannot fill the report.
const ROW_FAULTS_MAX: usize = 100;

const VALIDITY_MS_MAX: i64 = VALIDITY_DAYS_MAX * 24 * 60 * 60 * 1000;

/// What the head says for rows that do not say it themselves.
#[derive(Clone, Debug, Default)]
pub(in crate::batch) struct Defaults {
    /// Whether the first line is the head and no row.
    pub(in crate::batch) first_line: bool,
    from: Option<Phone>,
    template_name: Option<String>,
    template_language: Option<String>,
    template: Option<Arc<Template>>,
    /// The names of placeholders, as declared.
    declared: Vec<String>,
    /// Values for rows that give none.
    values: Vec<(String, Node<'static>)>,
    message: Option<SessionText>,
    preview_url: bool,
    reference: Option<String>,
    reference_rank: Option<u8>,
    callback_data: Option<String>,
    expires_at: Option<Moment>,
    validity_ms: Option<i64>,
}

/// A session text, cut at its marks.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SessionText {
    segments: Vec<Segment>,
    /// The names in its marks, each once, in their order.
    names: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Words(String),
    Mark(usize),
}

impl SessionText {
    fn read(text: &str) -> Result<Self, Trouble> {
        if has_mark(text, Brackets::Curly) {
            return Err(Trouble::new(
                Code::SessionMarks,
                "marks such as `[[name]]` in a session text",
                "marks such as `{{name}}`",
            )
            .hint("write `[[name]]`; `{{name}}` belongs in approved templates"));
        }
        let mut names: Vec<String> = Vec::new();
        let mut segments = Vec::new();
        let pieces = pieces(text, Brackets::Square);
        if pieces.len() > 2 * PLACEHOLDERS_MAX {
            return Err(too_many(pieces.len() / 2));
        }
        for piece in pieces {
            segments.push(match piece {
                Piece::Words(words) => Segment::Words(words.into()),
                Piece::Mark(name) => {
                    let at = names.iter().position(|known| known == name);
                    Segment::Mark(at.unwrap_or_else(|| {
                        names.push(name.into());
                        names.len() - 1
                    }))
                }
            });
        }
        let read = Self { segments, names };
        if read.names.is_empty() {
            length(text)?;
        }
        Ok(read)
    }

    /// The text with `values`, one for each name, in place.
    fn fill(&self, values: &[&str]) -> Result<String, Trouble> {
        let text: String = self
            .segments
            .iter()
            .map(|segment| match segment {
                Segment::Words(words) => words.as_str(),
                Segment::Mark(at) => values.get(*at).copied().unwrap_or_default(),
            })
            .collect();
        length(&text)?;
        Ok(text)
    }
}

fn length(text: &str) -> Result<(), Trouble> {
    let chars = text.chars().count();
    let expected =
        format!("a text of 1 to {SESSION_CHARS_MAX} characters with all values in place");
    if text.trim().is_empty() {
        return Err(Trouble::new(Code::SessionLength, expected, "an empty text"));
    }
    if chars > SESSION_CHARS_MAX {
        let found = format!("{chars} characters");
        return Err(Trouble::new(Code::SessionLength, expected, found));
    }
    Ok(())
}

/// Faults and warnings of one piece of the file.
struct Notes<'a> {
    spot: Spot<'a>,
    faults: Vec<Fault>,
    warnings: &'a mut Warnings,
}

impl Notes<'_> {
    fn fault(&mut self, trouble: Trouble, tail: &[&str], at: usize) {
        if self.faults.len() >= ROW_FAULTS_MAX {
            return;
        }
        let fault = self.spot.fault(trouble, tail, at);
        self.faults.push(fault);
    }

    fn warn(&mut self, trouble: Trouble, key: &str, tail: &[&str], at: usize) {
        let Self { spot, warnings, .. } = self;
        warnings.add(trouble.code, key, || spot.fault(trouble, tail, at));
    }

    /// The value, or the fault noted at its place.
    fn take<T>(&mut self, read: Result<T, Trouble>, tail: &[&str], at: usize) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(trouble) => {
                self.fault(trouble, tail, at);
                None
            }
        }
    }

    /// What is said about a key that nobody knows. `tail` ends with it, and `at` is where it
    /// stands.
    fn unknown_key(&mut self, key: &str, tail: &[&str], at: usize, strict: bool) {
        let near = self.warnings.resembled(key, || keys::resembled(key));
        if let Some(near) = near {
            let trouble = Trouble::new(
                Code::BatchMisspeltKey,
                "a key of this format",
                "a key that resembles one",
            )
            .hint(format!("did you mean `{near}`?"));
            self.fault(trouble, tail, at);
            return;
        }
        let trouble = Trouble::new(
            Code::BatchUnknownKey,
            "a key of this format",
            "a key that it does not have",
        );
        if strict {
            self.fault(trouble.hint("remove it"), tail, at);
        } else {
            self.warn(trouble.hint("it was ignored"), key, tail, at);
        }
    }

    /// What is said about a key that is known and cannot be honoured.
    fn unsupported_key(&mut self, manual: &str, tail: &[&str], at: usize) {
        let trouble = Trouble::new(
            Code::BatchUnsupportedKey,
            "keys that this version can honour",
            format!("`{manual}`"),
        );
        let hint = "it would change what is delivered or when, so it is not ignored: remove it";
        self.fault(trouble.hint(hint), tail, at);
    }

    /// What is said about a key whose loss changes nothing that is delivered.
    fn ignored_key(&mut self, manual: &str, tail: &[&str], at: usize) {
        let trouble = Trouble::new(
            Code::BatchUnsupportedKey,
            "keys that this version can honour",
            format!("`{manual}`"),
        );
        self.warn(trouble.hint("it was ignored"), manual, tail, at);
    }

    /// Keys that mean the same at the top and in a row: those that cannot be honoured.
    fn shared_key(
        &mut self,
        key: keys::Key,
        manual: &str,
        node: &Node<'_>,
        place: (&[&str], usize),
    ) {
        let (tail, key_at) = place;
        match key {
            keys::Key::Unsupported if !is_hollow(node) => {
                self.unsupported_key(manual, tail, key_at);
            }
            keys::Key::Ignored if !is_hollow(node) => self.ignored_key(manual, tail, key_at),
            keys::Key::Type => match node.text() {
                Some("text" | "template") => {}
                _ => self.unsupported_key("type", tail, key_at),
            },
            keys::Key::OnDuplicate if node.text() != Some("send") => {
                self.unsupported_key(manual, tail, key_at);
            }
            keys::Key::IgnoreQuietHours if node.value != Value::Bool(true) => {
                self.unsupported_key(manual, tail, key_at);
            }
            keys::Key::Priority => match node.text() {
                Some("normal") => {}
                Some("high" | "low") => self.ignored_key(manual, tail, key_at),
                _ => {
                    let expected = "`high`, `normal` or `low`";
                    let trouble = Trouble::new(Code::BatchBadValue, expected, other(node));
                    self.fault(trouble, tail, node.at);
                }
            },
            _ => {}
        }
    }
}

/// Whether a value says as much as the absence of its key.
fn is_hollow(node: &Node<'_>) -> bool {
    match &node.value {
        Value::Null => true,
        Value::Text(text) => text.is_empty(),
        Value::List(nodes) => nodes.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// What stands where one of a few words belongs.
fn other(node: &Node<'_>) -> &'static str {
    match node.text() {
        Some(text) if !text.is_empty() => "another word",
        _ => node.kind(),
    }
}

fn wrong_kind(expected: &str, node: &Node<'_>) -> Trouble {
    Trouble::new(Code::BatchWrongKind, expected, node.kind())
}

/// A text that must say something.
fn word<'n>(node: &'n Node<'_>) -> Result<&'n str, Trouble> {
    match node.text() {
        Some(text) if !text.trim().is_empty() => Ok(text),
        Some(_) => Err(Trouble::new(Code::BatchBadValue, "a text", "an empty text")),
        None => Err(wrong_kind("a text", node)),
    }
}

fn flag(node: &Node<'_>) -> Result<bool, Trouble> {
    match &node.value {
        Value::Bool(it) => Ok(*it),
        Value::Text(text) if matches!(text.as_ref(), "true" | "false") => {
            let hint = "remove the quotation marks";
            Err(wrong_kind("`true` or `false`", node).hint(hint))
        }
        _ => Err(wrong_kind("`true` or `false`", node)),
    }
}

fn moment(node: &Node<'_>) -> Result<Moment, Trouble> {
    let expected = "a date and time with its offset, such as 2026-11-21T09:15:00Z";
    let text = node.text().ok_or_else(|| wrong_kind(expected, node))?;
    Moment::parse(text).ok_or_else(|| {
        let found = "a text of another form";
        Trouble::new(Code::BatchBadValue, expected, found).hint("the offset is `Z` or as in +01:00")
    })
}

/// A moment at which messages expire, seen from the arrival of the file.
fn expiry(node: &Node<'_>, received_at: Moment) -> Result<Moment, Trouble> {
    let expires_at = moment(node)?;
    if expires_at <= received_at {
        return Err(Trouble::new(
            Code::PolicyExpired,
            "a moment after the file's arrival",
            "a moment before it",
        )
        .hint("nothing is sent after its expiry; write a later one and upload it again"));
    }
    if expires_at > received_at.plus_ms(VALIDITY_MS_MAX) {
        let expected = format!("a moment at most {VALIDITY_DAYS_MAX} days ahead");
        return Err(Trouble::new(Code::BatchBadValue, expected, "a later one"));
    }
    Ok(expires_at)
}

fn validity_ms(node: &Node<'_>) -> Result<i64, Trouble> {
    let most = VALIDITY_MS_MAX / 1000;
    let expected = format!("a whole number of seconds from 1 to {most}");
    let Value::Number(text) = &node.value else {
        return Err(wrong_kind(&expected, node));
    };
    match text.parse::<i64>() {
        Ok(seconds) if (1..=most).contains(&seconds) => Ok(seconds * 1000),
        _ => Err(Trouble::new(
            Code::BatchBadValue,
            expected,
            "another number",
        )),
    }
}

/// A text of the tenant's own that comes back in results. A number is taken as it is written.
fn own_text<'n>(node: &'n Node<'_>, chars_max: usize) -> Result<(&'n str, Numeral), Trouble> {
    let (text, numeral) = match &node.value {
        Value::Text(text) => (text.as_ref(), Numeral::Text),
        Value::Number(text) => (*text, Numeral::Number),
        _ => return Err(wrong_kind("a text", node)),
    };
    let chars = text.chars().count();
    if chars > chars_max {
        return Err(Trouble::new(
            Code::BatchBadValue,
            format!("at most {chars_max} characters"),
            format!("{chars} characters"),
        ));
    }
    Ok((text, numeral))
}

/// How a text was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Numeral {
    Text,
    /// As a JSON number: taken, with a warning, since leading zeros are lost that way.
    Number,
}

fn too_many(found: usize) -> Trouble {
    Trouble::new(
        Code::ParameterCount,
        format!("at most {PLACEHOLDERS_MAX} placeholders"),
        found.to_string(),
    )
}

/// A phone number, as text or as a JSON number.
fn phone(node: &Node<'_>, check: PhoneCheck, lenient: bool) -> Result<(Phone, Numeral), Trouble> {
    let (text, numeral) = match &node.value {
        Value::Text(text) => (text.as_ref(), Numeral::Text),
        Value::Number(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            (*text, Numeral::Number)
        }
        Value::Number(_) => {
            return Err(Trouble::new(
                Code::PhoneWrongKind,
                "a phone number as text",
                "a number with a sign, a point or an exponent",
            )
            .hint("format the column as text before the export: spreadsheets round long numbers"));
        }
        Value::Null => {
            let found = "null";
            return Err(Trouble::new(Code::PhoneMissing, "a phone number", found));
        }
        _ => {
            let expected = "a phone number as text";
            return Err(Trouble::new(Code::PhoneWrongKind, expected, node.kind()));
        }
    };
    match Phone::parse(text, check, lenient) {
        Ok(phone) => Ok((phone, numeral)),
        Err(fault) => Err(Trouble::new(fault.code, fault.expected, fault.found).hint(fault.hint)),
    }
}

pub(in crate::batch) fn key_twice() -> Trouble {
    Trouble::new(Code::JsonDuplicateKey, "each key once", "a key given twice")
        .hint("remove one of the two")
}

fn number_for_text() -> Trouble {
    Trouble::new(
        Code::BatchNumberForText,
        "a text",
        "a number without quotation marks",
    )
    .hint("it was taken as it is written; put it in quotation marks to keep signs and zeros")
}

/// The sender, which must be one of the tenant's own.
fn sender(node: &Node<'_>, rules: &Rules) -> Result<(Phone, Numeral), Trouble> {
    // The tenant's own numbers decide; plans say nothing about test numbers and the like.
    let (phone, numeral) = phone(node, PhoneCheck::Format, rules.phone_lenient)?;
    if rules.senders.contains(&phone) {
        return Ok((phone, numeral));
    }
    Err(Trouble::new(
        Code::BatchUnknownSender,
        "one of your own sender numbers",
        "another number",
    )
    .hint("ask your operator which numbers are yours"))
}

/// Which of a list of names a key means: by name, by the file's own name for the placeholder in
/// this place, or by its number from 1.
fn resolve<'n>(key: &str, names: &'n [String], declared: &[String]) -> Option<&'n str> {
    let at = names
        .iter()
        .position(|name| name == key)
        .or_else(|| declared.iter().position(|name| name == key))
        .or_else(|| key.parse::<usize>().ok()?.checked_sub(1))?;
    names.get(at).map(String::as_str)
}
