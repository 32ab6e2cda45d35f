//! The native form: a campaign file as Messangi's users write it, plus optional keys.
//!
//! `head` reads what stands once for all rows, `row` one row against it, `saying` which of a row's
//! keys are its content, `hours` when it may go, `asked` what its provider is asked for besides.
//! Where parts of the file begin and end is found by `scan`.

use std::sync::Arc;

use crate::batch::fault::{Code, Fault, Misfit, Trouble};
use crate::batch::read::{PhoneCheck, Rules};
use crate::batch::session::Session;
use crate::batch::spot::{Spot, Warnings};
use crate::batch::template::{HeadParts, Template, Templates};
use crate::batch::terms::Asked;
use crate::batch::tree::{Node, Value};
use crate::batch::{Moment, Options, Phone, Priority, SendWindow};

mod asked;
mod files;
mod head;
mod hours;
mod keys;
mod row;
mod saying;

pub(in crate::batch) use head::{Told, head_too_long, read_head};
pub(super) use keys::{deciding, names_content, resembled_deciding};
pub(in crate::batch) use row::{bad_row, read_row, with_faults};

/// How far ahead an expiry may lie.
const VALIDITY_DAYS_MAX: i64 = 35;
/// The longest `reference`, in characters.
const REFERENCE_CHARS_MAX: usize = 512;
/// The longest id of a provider's, in characters.
const ID_CHARS_MAX: usize = 512;
/// The longest `callbackData`, in characters.
const CALLBACK_DATA_CHARS_MAX: usize = 4096;

/// The most faults told of one row, so that one row cannot fill the report.
pub(super) const ROW_FAULTS_MAX: usize = 100;

/// Each is held against all that there are, and one row must not make that endless.
const UNKNOWN_KEYS_MAX: usize = 1_000;

const VALIDITY_MS_MAX: i64 = VALIDITY_DAYS_MAX * 24 * 60 * 60 * 1000;

/// What the head says for rows that do not say it themselves.
#[derive(Clone, Debug, Default)]
pub(in crate::batch) struct Defaults {
    from: Option<Phone>,
    template_name: Option<String>,
    template_language: Option<String>,
    template_id: Option<String>,
    template: Option<Arc<Template>>,
    /// The names of placeholders, as declared.
    declared: Vec<String>,
    /// What rows that say nothing themselves say to their template.
    parts: HeadParts,
    /// What is said without a template.
    session: Session,
    reference: Option<String>,
    reference_rank: Option<u8>,
    callback_data: Option<String>,
    scheduled_at: Option<Moment>,
    expires_at: Option<Moment>,
    validity_ms: Option<i64>,
    send_window: Option<SendWindow>,
    priority: Option<Priority>,
    ignore_quiet_hours: Option<bool>,
    options: Options,
}

/// Faults and warnings of one piece of the file.
pub(super) struct Notes<'a> {
    spot: Spot<'a>,
    faults: Vec<Fault>,
    warnings: &'a mut Warnings,
    /// Keys that nobody knows.
    unknown: usize,
}

impl<'a> Notes<'a> {
    /// Nothing noted yet about the piece at `spot`.
    pub(super) fn new(spot: Spot<'a>, warnings: &'a mut Warnings) -> Self {
        Self {
            spot,
            faults: Vec::new(),
            warnings,
            unknown: 0,
        }
    }

    /// The faults that were noted.
    pub(super) fn into_faults(self) -> Vec<Fault> {
        self.faults
    }

    /// Notes a fault at the byte `at` of the piece.
    pub(super) fn fault(&mut self, trouble: Trouble, at: usize) {
        if self.faults.len() >= ROW_FAULTS_MAX {
            return;
        }
        let fault = self.spot.fault(trouble, at);
        self.faults.push(fault);
    }

    /// Notes a warning about `key` at the byte `at` of the piece.
    pub(super) fn warn(&mut self, trouble: Trouble, key: &str, at: usize) {
        let Self { spot, warnings, .. } = self;
        warnings.add(trouble.code, key, || spot.fault(trouble, at));
    }

    /// The value, or the fault noted at its place.
    fn take<T>(&mut self, read: Result<T, Trouble>, at: usize) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(trouble) => {
                self.fault(trouble, at);
                None
            }
        }
    }

    /// Notes all of these.
    fn misfits(&mut self, misfits: Vec<Misfit>) {
        for misfit in misfits {
            self.fault(misfit.trouble, misfit.at);
        }
    }

    /// What is said about a key that nobody knows; `at` is where it stands.
    fn unknown_key(&mut self, key: &str, at: usize, strict: bool) {
        self.unknown += 1;
        if self.unknown > UNKNOWN_KEYS_MAX {
            if self.unknown == UNKNOWN_KEYS_MAX + 1 {
                let expected =
                    format!("at most {UNKNOWN_KEYS_MAX} keys that this format does not have");
                let trouble = Trouble::new(Code::BatchRowTooLong, expected, "more");
                self.fault(trouble.hint("leave out the columns that are not sent"), at);
            }
            return;
        }
        let near = self.warnings.resembled(key, || keys::resembled(key));
        if let Some(near) = near {
            let trouble = Trouble::new(
                Code::BatchMisspeltKey,
                "a key of this format",
                "a key that resembles one",
            )
            .hint(format!("did you mean `{near}`?"));
            self.fault(trouble, at);
            return;
        }
        self.nameless_key(key, at, strict);
    }

    /// What is said about a key that resembles none.
    pub(super) fn nameless_key(&mut self, key: &str, at: usize, strict: bool) {
        let trouble = Trouble::new(
            Code::BatchUnknownKey,
            "a key of this format",
            "a key that it does not have",
        );
        if strict {
            self.fault(trouble.hint("remove it"), at);
        } else {
            self.warn(trouble.hint("it was ignored"), key, at);
        }
    }

    /// What is said about a key that is known and cannot be honoured.
    fn unsupported_key(&mut self, manual: &str, at: usize) {
        let trouble = Trouble::new(
            Code::BatchUnsupportedKey,
            "keys that this version can honour",
            format!("`{manual}`"),
        );
        let hint = "it would change what is delivered or when, so it is not ignored: remove it";
        self.fault(trouble.hint(hint), at);
    }

    /// What is said about a key whose loss changes nothing that is delivered.
    pub(super) fn ignored_key(&mut self, manual: &str, at: usize) {
        let trouble = Trouble::new(
            Code::BatchUnsupportedKey,
            "keys that this version can honour",
            format!("`{manual}`"),
        );
        self.warn(trouble.hint("it was ignored"), manual, at);
    }

    /// What is said about a key that the tenant's provider does not honour.
    fn not_honoured(&mut self, asked: Asked, provider: &str, at: usize) {
        let key = asked.key();
        let expected = format!("keys that the provider {provider} honours");
        let trouble = Trouble::new(Code::BatchUnsupportedKey, expected, format!("`{key}`"));
        if asked.changes_delivery() {
            let hint = "it would change what is delivered or who pays, so it is not ignored: \
                        remove it";
            self.fault(trouble.hint(hint), at);
        } else {
            self.warn(trouble.hint("it was ignored"), key, at);
        }
    }

    /// Keys that mean the same at the top and in a row: those that nothing is done with.
    fn shared_key(&mut self, key: keys::Key, manual: &str, node: &Node<'_>, key_at: usize) {
        if key == keys::Key::Ignored && !node.is_hollow() {
            self.ignored_key(manual, key_at);
        }
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

/// A moment at which messages are sent, seen from the arrival of the file; `None` for at once.
fn schedule(node: &Node<'_>, received_at: Moment) -> Result<Option<Moment>, Trouble> {
    let scheduled_at = moment(node)?;
    if scheduled_at > received_at.plus_ms(VALIDITY_MS_MAX) {
        let expected = format!("a moment at most {VALIDITY_DAYS_MAX} days ahead");
        return Err(Trouble::new(Code::BatchBadValue, expected, "a later one"));
    }
    if scheduled_at < received_at.plus_ms(-VALIDITY_MS_MAX) {
        let expected = format!("a moment at most {VALIDITY_DAYS_MAX} days ago");
        let trouble = Trouble::new(Code::BatchBadValue, expected, "an earlier one");
        return Err(trouble.hint("look at the year; one that has just passed means at once"));
    }
    // An export that was late to be dropped is sent late, and not refused.
    Ok((scheduled_at > received_at).then_some(scheduled_at))
}

fn expires_before_its_time() -> Trouble {
    Trouble::new(
        Code::PolicyExpired,
        "an expiry after the moment at which it is sent",
        "one before it",
    )
    .hint("write a later `expiresAt`, or an earlier `scheduledAt`")
}

/// Keys that were meant for all rows, where they are for none.
fn defaults_elsewhere() -> Trouble {
    let expected = "`defaults` on the first line of JSON Lines alone";
    Trouble::new(Code::BatchShape, expected, "it elsewhere")
        .hint("in .json its keys stand beside `data`; two exports are two files")
}

/// A template that another would be sent for.
fn named_otherwise() -> Trouble {
    let found = "a key that resembles one";
    Trouble::new(Code::BatchMisspeltKey, "a key of this format", found)
        .hint("did you mean `templateName`?")
}

/// An id of the provider's.
fn id(node: &Node<'_>) -> Result<String, Trouble> {
    let text = word(node)?;
    let chars = text.chars().count();
    if chars > ID_CHARS_MAX || text.chars().any(char::is_whitespace) {
        let expected = format!("an id of at most {ID_CHARS_MAX} characters without spaces");
        let trouble = Trouble::new(Code::BatchBadValue, expected, "a text of another form");
        return Err(trouble);
    }
    Ok(text.to_owned())
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
        Value::Number(text) => (text.as_ref(), Numeral::Number),
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

/// A phone number, as text or as a JSON number.
fn phone(node: &Node<'_>, check: PhoneCheck, lenient: bool) -> Result<(Phone, Numeral), Trouble> {
    let (text, numeral) = match &node.value {
        Value::Text(text) => (text.as_ref(), Numeral::Text),
        Value::Number(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            (text.as_ref(), Numeral::Number)
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

/// What is said of a name and an id that mean two templates; `template` was found by one of them.
/// A definition without an id contradicts none but those of other templates.
fn disagreement(
    template: &Template,
    (name, id): (&str, &str),
    templates: &Templates,
) -> Option<Trouble> {
    let same_id = match template.id() {
        "" => templates.by_id(id).is_empty(),
        own => own == id,
    };
    if same_id && template.name() == name {
        return None;
    }
    let expected = "the id of the template that is named beside it, in its language";
    let trouble = Trouble::new(Code::BatchBadValue, expected, "another id");
    Some(trouble.hint("name the template or give its id; one of them is enough"))
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
    if rules.any_sender || rules.senders.contains(&phone) {
        return Ok((phone, numeral));
    }
    Err(Trouble::new(
        Code::BatchUnknownSender,
        "one of your own sender numbers",
        "another number",
    )
    .hint("ask your operator which numbers are yours"))
}
