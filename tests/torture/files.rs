//! The files of a run, drawn from its seed: what they say, in which dialect, and what the provider
//! does about each recipient.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use fastrand::Rng;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::history::{Content, Row};
use crate::world::batches::recipient;
use crate::world::provider::{Answer, Script};

/// A tenant of a run, and one of its numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct From {
    /// What it is called in a verdict.
    pub(crate) sender: &'static str,
    pub(crate) tenant: &'static str,
    pub(crate) number: &'static str,
}

/// How a file is written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Dialect {
    Native,
    Packed,
    Lines,
    CloudLines,
    Infobip,
}

impl Dialect {
    /// Those of which large files can be written come first.
    const ALL: [Dialect; 5] = [
        Dialect::Native,
        Dialect::Lines,
        Dialect::CloudLines,
        Dialect::Infobip,
        Dialect::Packed,
    ];
    const LARGE: usize = 2;

    /// Any of them.
    pub(crate) fn any(random: &mut Rng) -> Self {
        Self::ALL[random.usize(..Self::ALL.len())]
    }

    /// Any of those of which [`Drawer::large_file`] can be written.
    pub(crate) fn any_large(random: &mut Rng) -> Self {
        Self::ALL[random.usize(..Self::LARGE)]
    }

    /// What the name of a file must end in.
    pub(crate) fn ending(self) -> &'static str {
        match self {
            Dialect::Native | Dialect::Infobip => ".json",
            Dialect::Packed => ".json.gz",
            Dialect::Lines | Dialect::CloudLines => ".jsonl",
        }
    }
}

/// What answers a run has besides those that take a message at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answers {
    /// Only such as are over soon.
    Quick,
    /// Also silence, which holds a message until its time for an answer is over.
    Any,
}

/// Draws files; every recipient is drawn once only.
#[derive(Debug)]
pub(crate) struct Drawer {
    random: Rng,
    pub(crate) script: Script,
    answers: Answers,
    drawn: u64,
    throttles_left: usize,
}

/// Rows of a hundred that are wrong, and of which the provider does not simply take the message.
const WRONG: u32 = 3;
const TROUBLED: u32 = 7;

/// Rows of a large file, and bytes of each that nobody reads.
const LARGE_ROWS: usize = 200;
const LARGE_ROW_BYTES: usize = 4_000;

/// Throttles hold up a sender for a second each; so many are enough.
const THROTTLES: usize = 3;

impl Drawer {
    pub(crate) fn new(random: Rng, answers: Answers) -> Self {
        Self {
            random,
            script: Script::accepting().latency_ms(2, 40),
            answers,
            drawn: 0,
            throttles_left: THROTTLES,
        }
    }

    /// A file of so many rows, of which the first is good.
    pub(crate) fn file(&mut self, from: From, dialect: Dialect, rows: usize) -> Content {
        self.written(from, dialect, (rows, ""))
    }

    /// A file of far more than half a million bytes: a client that is held to a rate sends one
    /// whole packet, of up to a quarter of that, before it heeds the rate.
    pub(crate) fn large_file(&mut self, from: From, dialect: Dialect) -> Content {
        self.written(from, dialect, (LARGE_ROWS, &"x".repeat(LARGE_ROW_BYTES)))
    }

    fn written(&mut self, from: From, dialect: Dialect, (rows, data): (usize, &str)) -> Content {
        let rows: Vec<(u64, Option<String>)> = (0..rows).map(|at| self.recipient(at)).collect();
        let (text, first_line) = written(dialect, from, (&rows, data));
        let bytes = match dialect {
            Dialect::Packed => packed(&text),
            _ => text.into_bytes(),
        };
        let row = |(line, (number, to)): (u64, (u64, Option<String>))| Row {
            line,
            to,
            reference: reference(number),
        };
        Content {
            tenant: from.tenant,
            sender: from.sender,
            bytes,
            is_good: true,
            rows: (first_line..).zip(rows).map(row).collect(),
        }
    }

    /// A file that must be refused whole: one that was cut off, also by a client that closes it
    /// nevertheless, or that is none.
    pub(crate) fn bad_file(&mut self, from: From, dialect: Dialect, rows: usize) -> Content {
        let mut content = self.file(from, dialect, rows);
        content.is_good = false;
        if self.random.bool() {
            content.bytes.truncate(content.bytes.len() - 9);
        } else {
            content.bytes = format!("this is no batch: {}", self.random.u64(..)).into_bytes();
        }
        content
    }

    fn recipient(&mut self, at: usize) -> (u64, Option<String>) {
        let number = self.drawn;
        self.drawn += 1;
        let chance = self.random.u32(0..100);
        if at > 0 && chance < WRONG {
            return (number, None);
        }
        let to = recipient(number);
        if at > 0 && chance < WRONG + TROUBLED {
            let answers = self.troubled();
            let script = std::mem::take(&mut self.script);
            self.script = script.to(&to, &answers);
        }
        (number, Some(to))
    }

    /// Answers that do not simply take a message.
    fn troubled(&mut self) -> Vec<Answer> {
        let last = if self.random.u8(0..4) == 0 {
            refused()
        } else {
            Answer::Accept
        };
        let first = match self.random.u8(0..12) {
            0 | 1 => return vec![refused()],
            2 | 3 => {
                let slow = self.random.u64(200..2_000);
                return vec![Answer::AcceptAfter(Duration::from_millis(slow))];
            }
            4 => Answer::HangUp,
            5 => Answer::CutShort,
            6 => Answer::Page,
            7 => Answer::Refuse(503, vec![], "<html>no healthy upstream</html>".into()),
            8 => Answer::error(500, 131_000, "(#131000) Something went wrong"),
            9 => Answer::error(503, 131_016, "(#131016) Service unavailable"),
            10 if self.answers == Answers::Any => Answer::Silence,
            _ if self.throttles_left > 0 => {
                self.throttles_left -= 1;
                Answer::throttled(1)
            }
            _ => Answer::error(500, 2, "(#2) API Service"),
        };
        vec![first, last]
    }
}

fn refused() -> Answer {
    Answer::error(400, 131_026, "(#131026) Message undeliverable")
}

fn reference(number: u64) -> String {
    format!("order-{number}")
}

fn packed(text: &str) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(text.as_bytes()).expect("memory takes it");
    packer.finish().expect("memory takes it")
}

/// The text of a file, each row on a line of its own, and the line of the first.
fn written(
    dialect: Dialect,
    from: From,
    (rows, data): (&[(u64, Option<String>)], &str),
) -> (String, u64) {
    let wrong = || "+1".to_owned();
    let rows = rows
        .iter()
        .map(|(number, to)| (*number, to.clone().unwrap_or_else(wrong)));
    let from = from.number;
    let native = |(number, to): (u64, String)| {
        let mut row = json!({"to": to, "reference": reference(number),
            "placeholders": {"first": format!("Ana {number}"), "ref": format!("A-{number}")}});
        if !data.is_empty() {
            row["callbackData"] = data.into();
        }
        row
    };
    match dialect {
        Dialect::Native | Dialect::Packed => {
            let head = format!(
                "{{\"from\": \"{from}\", \"templateName\": \"order_update\",\n\
                 \"templateLanguage\": \"en\", \"placeholders\": [\"first\", \"ref\"],\n\
                 \"data\": [\n"
            );
            (listed(head, rows.map(native)), 4)
        }
        Dialect::Infobip => {
            let row = |(number, to): (u64, String)| {
                json!({"from": from, "to": to, "messageId": reference(number), "content": {
                    "templateName": "order_update", "language": "en",
                    "templateData": {"body": {"placeholders":
                        [format!("Ana {number}"), format!("A-{number}")]}}}})
            };
            (listed("{\"messages\": [\n".into(), rows.map(row)), 2)
        }
        Dialect::Lines => {
            let defaults = json!({"defaults": {"from": from, "templateName": "order_update",
                "templateLanguage": "en"}});
            (lined(format!("{defaults}\n"), rows.map(native)), 2)
        }
        Dialect::CloudLines => {
            let row = |(number, to): (u64, String)| {
                let text = |name: &str, text: String| {
                    let text = json!(text);
                    json!({"type": "text", "parameter_name": name, "text": text})
                };
                json!({"messaging_product": "whatsapp", "from": from, "to": to,
                    "reference": reference(number), "type": "template", "template": {
                    "name": "order_update", "language": {"code": "en"},
                    "components": [{"type": "body", "parameters": [
                        text("first", format!("Ana {number}")),
                        text("ref", format!("A-{number}"))]}]}})
            };
            (lined(String::new(), rows.map(row)), 1)
        }
    }
}

/// Rows of an array, after a head that opens it within an object.
fn listed(head: String, rows: impl Iterator<Item = Value>) -> String {
    let rows: Vec<String> = rows.map(|row| row.to_string()).collect();
    head + &rows.join(",\n") + "\n]}\n"
}

fn lined(mut text: String, rows: impl Iterator<Item = Value>) -> String {
    for row in rows {
        writeln!(text, "{row}").expect("a text takes text");
    }
    text
}
