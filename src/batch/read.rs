//! Bytes become a reading: messages and faults. It never fails, and finds every fault.
//!
//! A file is read twice, each time as a stream: [`outline`] finds the head, whatever place its keys
//! stand in, whether the whole is well-formed, and which rows stand together; [`rows`] then turns
//! each row into a message or into faults. Memory does not grow with the file.

use std::io::{self, BufRead};
use std::sync::Arc;
use std::time::Duration;

use super::dialect::{Dialect, native};
use super::fault::{Code, Trouble};
use super::media::Files;
use super::rows::{Stretch, read_stretch};
use super::scan::ROWS_KEYS;
use super::spot::Warnings;
use super::survey::Survey;
use super::template::Templates;
use super::terms::{self, Terms};
use super::tree::Node;
use super::window::Zone;
use super::{Fault, Message, Moment, Phone};

/// How one tenant's files are checked.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The tenant's sender numbers.
    pub senders: Vec<Phone>,
    /// Whether any other number may send as well, as where no tenant is known.
    pub any_sender: bool,
    /// How closely recipients are looked at.
    pub phone_check: PhoneCheck,
    /// Whether spaces, dots, dashes, brackets and a leading `00` are taken in numbers.
    pub phone_lenient: bool,
    /// Whether unknown keys are faults instead of warnings.
    pub strict: bool,
    /// The share of bad rows, 0.0 to 1.0, above which the file is refused.
    pub invalid_max: f64,
    /// How long a message without an expiry of its own may wait, from its arrival.
    pub default_validity: Duration,
    /// The same for authentication templates.
    pub default_validity_authentication: Duration,
    /// The zone of hours that a file gives without one.
    pub time_zone: Zone,
    /// What the provider takes.
    pub terms: Arc<dyn Terms>,
    /// Bounds on what is read.
    pub limits: Limits,
}

/// A tenant that has set nothing, and has no sender.
impl Default for Rules {
    fn default() -> Self {
        Self {
            senders: Vec::new(),
            any_sender: false,
            phone_check: PhoneCheck::default(),
            phone_lenient: false,
            strict: false,
            invalid_max: 1.0,
            default_validity: Duration::from_hours(48),
            default_validity_authentication: Duration::from_mins(10),
            time_zone: Zone::UTC,
            terms: Arc::new(terms::Common),
            limits: Limits::default(),
        }
    }
}

/// Bounds on what is read from one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes as uploaded.
    pub bytes_max: u64,
    /// Bytes after expansion.
    pub expanded_bytes_max: u64,
    /// Rows.
    pub rows_max: u64,
    /// Bytes of one row.
    pub row_bytes_max: usize,
    /// Nesting.
    pub depth_max: usize,
    /// How many faults are kept for the report; the rest is counted.
    pub faults_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes_max: 2 << 30,
            expanded_bytes_max: 8 << 30,
            rows_max: 10_000_000,
            row_bytes_max: 64 << 10,
            depth_max: 32,
            faults_max: 10_000,
        }
    }
}

/// How closely recipients are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PhoneCheck {
    /// Plus sign, digits, length.
    Format,
    /// Also a known country code and a possible length for it.
    #[default]
    Possible,
    /// Also a number range that is in use.
    Valid,
}

/// How the file is written: told by its name, once compression is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One JSON text (`.json`).
    Json,
    /// One JSON text a line (`.jsonl`, `.ndjson`).
    Lines,
}

/// Where the rows of a file stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// In the array under this key of the one object that the file is.
    Keyed(&'static str),
    /// In the one array that the file is.
    Array,
    /// The one object that the file is, is its only row.
    Single,
    /// Each on a line of its own.
    Lines,
}

/// What the first reading found.
#[derive(Clone, Debug)]
pub struct Outline {
    /// The head, understood; rows are read against it.
    pub head: Head,
    /// How many rows the file has.
    pub rows: u64,
    /// Faults that refuse the whole file; when there is one, the rows need not be read.
    pub faults: Vec<Fault>,
    /// How many there are, those included that are too many to be told.
    pub fault_count: u64,
    /// Odd things in the head that stop nothing.
    pub warnings: Vec<Fault>,
    /// All rows, cut into stretches, in the order of the file.
    pub stretches: Vec<Stretch>,
}

/// What the file says once for all of its rows.
#[derive(Clone, Debug)]
pub struct Head {
    /// The campaign's label; empty if none.
    pub campaign_name: String,
    /// Whether one bad row refuses the file.
    pub on_invalid: OnInvalid,
    /// The file's own key against duplicates; empty if none.
    pub batch_key: String,
    /// Whether the same content may be sent again.
    pub allow_duplicate: bool,
    /// Whether the file asks to be checked only.
    pub dry_run: bool,
    /// What becomes of a row whose recipient an earlier row has.
    pub on_duplicate_recipient: OnDuplicate,
    /// What becomes of a row whose reference an earlier row has.
    pub on_duplicate_reference: OnDuplicate,
    /// How the file is written.
    pub dialect: Dialect,
    /// Where its rows stand.
    pub layout: Layout,
    /// Whether the first line is the head and no row.
    pub(super) first_line: bool,
    /// What rows are read against.
    pub(super) native: native::Defaults,
    /// The head in its own dialect, for rows that are read together with it.
    pub(super) own: Node<'static>,
}

impl Default for Head {
    fn default() -> Self {
        Self {
            campaign_name: String::new(),
            on_invalid: OnInvalid::default(),
            batch_key: String::new(),
            allow_duplicate: false,
            dry_run: false,
            on_duplicate_recipient: OnDuplicate::Send,
            on_duplicate_reference: OnDuplicate::Send,
            dialect: Dialect::Native,
            layout: Layout::Keyed(ROWS_KEYS[0]),
            first_line: false,
            native: native::Defaults::default(),
            own: Node::nothing(),
        }
    }
}

/// What a bad row does to the rest of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnInvalid {
    /// Bad rows are reported, the rest goes.
    #[default]
    Skip,
    /// One bad row refuses the file.
    Reject,
}

/// What becomes of a row that repeats something of an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnDuplicate {
    /// It is sent like any other.
    #[default]
    Send,
    /// It is left out.
    Skip,
}

/// One row, read.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every row is a message, and a box for each would be paid by all of them"
)]
pub enum Row {
    /// A message that can be sent.
    Good(Message),
    /// A row that cannot be sent.
    Bad(BadRow),
}

/// A row that cannot be sent, and why.
#[derive(Clone, Debug)]
pub struct BadRow {
    /// Its place among the rows, from 0.
    pub index: u64,
    /// The line it starts on, from 1.
    pub line: u64,
    /// The recipient, if that much could be read.
    pub to: Option<Phone>,
    /// The tenant's own reference, if that much could be read.
    pub reference: Option<String>,
    /// The tenant's own data, if that much could be read.
    pub callback_data: Option<String>,
    /// What is wrong with it; never empty.
    pub faults: Vec<Fault>,
}

/// What rows are checked against.
#[derive(Clone, Copy, Debug)]
pub struct Checker<'a> {
    /// The tenant's rules.
    pub rules: &'a Rules,
    /// The tenant's templates.
    pub templates: &'a Templates,
    /// The files that the tenant has uploaded for its messages.
    pub files: &'a dyn Files,
    /// When the file arrived: expiry counts from here.
    pub received_at: Moment,
}

/// The first reading: the head, the number of rows, and faults that refuse the whole file.
/// An `Err` is a failure of `source` itself, never of what it says.
pub fn outline(source: impl BufRead, form: Form, checker: Checker<'_>) -> io::Result<Outline> {
    let mut survey = Survey::new(checker);
    match form {
        Form::Json => survey.json(source)?,
        Form::Lines => survey.lines(source)?,
    }
    Ok(survey.finish())
}

/// The second reading: each row in order, as a message or as faults, given to `each` with its own
/// bytes as they stand in the file; without bytes when the row cannot stand in a file for another
/// try, because it is too long or no JSON. Warnings (at most one of a kind) are returned.
pub fn rows(
    mut source: impl BufRead,
    outline: &Outline,
    checker: Checker<'_>,
    each: &mut dyn FnMut(Row, &[u8]) -> io::Result<()>,
) -> io::Result<Vec<Fault>> {
    let mut warnings = Warnings::default();
    let mut bytes = Vec::new();
    let mut at = 0;
    for stretch in &outline.stretches {
        at = stretch.take_bytes(&mut source, at, &mut bytes)?;
        let found = read_stretch(&bytes, stretch, &outline.head, checker, each)?;
        warnings.join(found);
    }
    Ok(warnings.into_list())
}

pub(super) fn too_deep(limits: &Limits) -> Trouble {
    let expected = format!(
        "objects and arrays nested at most {} deep",
        limits.depth_max
    );
    Trouble::new(Code::JsonTooDeep, expected, "a deeper one")
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::prelude::*;

    use super::super::golden;
    use super::super::media::NoFiles;
    use super::*;

    /// All that two readings say, the bytes handed on in pieces of `piece`.
    fn read(bytes: &[u8], form: Form, piece: usize) -> (Outline, Vec<Row>) {
        let (rules, templates) = (golden::rules(), golden::templates());
        let checker = Checker {
            rules: &rules,
            templates: &templates,
            files: &NoFiles,
            received_at: golden::received_at(),
        };
        let source = || BufReader::with_capacity(piece, bytes);
        let outline = outline(source(), form, checker).expect("memory does not fail");
        let mut found = Vec::new();
        if outline.faults.is_empty() {
            rows(source(), &outline, checker, &mut |row, _| {
                found.push(row);
                Ok(())
            })
            .expect("memory does not fail");
            assert_eq!(found.len() as u64, outline.rows);
        }
        (outline, found)
    }

    fn row_text(number: usize) -> String {
        format!(
            r#"{{"to": "+3161234{number:04}", "placeholders": {{"first_name": "Zoë", "order_id": "A-{number}", "shop": "B", "day": "Monday", "hours": "9"}}}}"#
        )
    }

    const HEAD: [&str; 4] = [
        r#""campaignName": "x\u00e9""#,
        r#""templateName": "order_update""#,
        r#""templateLanguage": "en_US""#,
        r#""from": 15550001111"#,
    ];

    fn good(rows: &[Row]) -> Vec<Option<Message>> {
        rows.iter()
            .map(|row| match row {
                Row::Good(message) => Some(Message {
                    line: 0,
                    ..message.clone()
                }),
                Row::Bad(_) => None,
            })
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// No upload may stop the daemon, whatever is in it.
        #[test]
        fn no_bytes_cause_a_panic(bytes: Vec<u8>, piece in 1_usize..9) {
            read(&bytes, Form::Json, piece);
            read(&bytes, Form::Lines, piece);
        }

        /// Nor may a batch that was damaged on its way.
        #[test]
        fn no_damage_causes_a_panic(at in 0_usize..700, byte: u8, cut in 0_usize..700) {
            let text = format!("{{{}, \"data\": [\n{},\n{}]}}", HEAD.join(", "), row_text(1), row_text(2));
            let mut bytes = text.into_bytes();
            let at = at % bytes.len();
            bytes[at] = byte;
            read(&bytes, Form::Json, 7);
            read(&bytes, Form::Lines, 7);
            bytes.truncate(cut);
            read(&bytes, Form::Json, 7);
            read(&bytes, Form::Lines, 7);
        }

        /// Half a file must send nothing, wherever it was cut.
        #[test]
        fn a_file_that_was_cut_is_refused(cut in 1_usize..600) {
            let text = format!("{{{}, \"data\": [\n{},\n{}]}}", HEAD.join(", "), row_text(1), row_text(2));
            let cut = cut % text.len();
            let (outline, _) = read(&text.as_bytes()[..cut], Form::Json, 64);
            let codes: Vec<Code> = outline.faults.iter().map(|fault| fault.code).collect();
            prop_assert!(matches!(codes[..], [Code::JsonTruncated | Code::FileEmpty | Code::FileEncoding]), "{codes:?}");
        }

        /// One bad row costs one message, not those beside it.
        #[test]
        fn a_bad_row_leaves_its_neighbours_alone(
            bad in 0_usize..8,
            slip in prop::sample::select(vec![
                r#"{"to": 5}"#, "[]", "null", r#"{"To": "x"}"#, r#"{"to": "x", "to": "y"}"#,
                r#"{"to": "+31612345001", "placeholders": {"data": [{"to": "]}"}]}}"#,
            ]),
            lines: bool,
            piece in 1_usize..300,
        ) {
            let sound: Vec<String> = (0..8).map(row_text).collect();
            let mut broken = sound.clone();
            broken[bad] = slip.into();
            let file = |rows: &[String]| if lines {
                format!("{{\"defaults\": {{{}}}}}\n{}\n", HEAD.join(", "), rows.join("\n"))
            } else {
                format!("{{{}, \"data\": [\n{}\n]}}", HEAD.join(", "), rows.join(",\n"))
            };
            let form = if lines { Form::Lines } else { Form::Json };
            let mut expected = good(&read(file(&sound).as_bytes(), form, 64).1);
            prop_assert!(expected.iter().all(Option::is_some));
            expected[bad] = None;
            prop_assert_eq!(good(&read(file(&broken).as_bytes(), form, piece).1), expected);
        }

        /// Exports write keys in any order; the messages are the same.
        #[test]
        fn the_order_of_keys_at_the_top_does_not_matter(
            order in Just(vec![0_usize, 1, 2, 3, 4]).prop_shuffle(),
            piece in 1_usize..300,
        ) {
            let rows = format!("\"data\": [{},{}]", row_text(1), row_text(2));
            let parts = [HEAD[0], HEAD[1], HEAD[2], HEAD[3], &rows];
            let file = |order: &[usize]| {
                let parts: Vec<&str> = order.iter().map(|&at| parts[at]).collect();
                format!("{{{}}}", parts.join(", "))
            };
            let (outline, found) = read(file(&order).as_bytes(), Form::Json, piece);
            let (plain, expected) = read(file(&[0, 1, 2, 3, 4]).as_bytes(), Form::Json, 64);
            prop_assert_eq!(good(&found), good(&expected));
            prop_assert!(good(&found).iter().all(Option::is_some));
            prop_assert_eq!(outline.head.campaign_name, plain.head.campaign_name);
            prop_assert_eq!(outline.rows, 2);
        }
    }
}
