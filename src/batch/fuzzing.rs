//! What must hold of the reading of batches for any input at all. `fuzz/` feeds these functions
//! with what its engine makes up; the tests below with the inputs that are kept there. They panic
//! when something does not hold, and say nothing otherwise.

use std::fmt::Write as _;
use std::io::BufReader;
use std::sync::LazyLock;

use super::dialect::Dialect;
use super::media::NoFiles;
use super::read::{self, Checker, Form, Limits, Outline, Row, Rules};
use super::template::Templates;
use super::{Moment, Phone};

/// The templates that the inputs may use.
static TEMPLATES: LazyLock<Templates> = LazyLock::new(|| {
    let native = include_bytes!("../../tests/golden/batch/templates/templates.json");
    let guests = include_bytes!("../../tests/golden/dialect/templates.json");
    let files = [
        ("guests.json".into(), guests.to_vec()),
        ("native.json".into(), native.to_vec()),
    ];
    Templates::parse(&files).0
});

static RULES: LazyLock<Rules> = LazyLock::new(rules);

/// A whole file: the first byte says how it is cut into pieces, the rest is its text. It is read in
/// both forms, and says the same however it comes in.
pub fn reader(input: &[u8]) {
    let Some((&piece, text)) = input.split_first() else {
        return;
    };
    for form in [Form::Json, Form::Lines] {
        let whole = said(text, form, text.len().max(1));
        assert_eq!(said(text, form, usize::from(piece) + 1), whole, "pieces");
    }
}

/// One row or request of a dialect, in the envelope that it belongs in, between two sound ones of
/// the same text: whatever it is, those beside it say what they would without it.
pub fn dialect(dialect: Dialect, input: &[u8]) {
    // What is no JSON ends a file; the reader's own target has that.
    if serde_json::from_slice::<serde::de::IgnoredAny>(input).is_err() {
        return;
    }
    for (before, after) in envelopes(dialect) {
        let file = |rows: &[&[u8]]| [before, &rows.join(&b',')[..], after].concat();
        let alone = rows_of(&file(&[input]));
        let twice = rows_of(&file(&[input, input]));
        let (Some(alone), Some(twice)) = (alone, twice) else {
            continue;
        };
        assert_eq!((alone.len(), twice.len()), (1, 2), "each row has an answer");
        assert_eq!(twice[0], alone[0], "a row changes with those after it");
        assert_eq!(twice[1].1, alone[0].1, "a row changes with those before it");
    }
}

/// A definitions file. Whatever is in it, templates that can be used have a schema, and an example
/// that is a good batch.
pub fn templates(input: &[u8]) {
    let (templates, _) = Templates::parse(&[("t.json".into(), input.to_vec())]);
    let from = Phone::from_e164("+15550001111").expect("a number");
    for template in templates.usable() {
        assert!(template.schema().is_object());
        let file = template.example_batch(&from).to_string();
        let outline = outline(file.as_bytes(), &templates);
        assert!(outline.faults.is_empty(), "{:?} {file}", outline.faults);
    }
}

/// How files of a dialect begin and end around their rows.
fn envelopes(dialect: Dialect) -> Vec<(&'static [u8], &'static [u8])> {
    match dialect {
        Dialect::Native => vec![
            (br#"{"message": "Hello [[a]]", "data": ["#, b"]}"),
            (
                br#"{"templateName": "order_update", "templateLanguage": "en_US", "data": ["#,
                b"]}",
            ),
            (br#"{"data": ["#, b"]}"),
        ],
        Dialect::Infobip => vec![(br#"{"messages": ["#, b"]}")],
        Dialect::CloudApi | Dialect::Bird => vec![(b"[", b"]")],
        Dialect::WebexConnect => vec![
            (b"[", b"]"),
            (
                br#"{"deliverychannel": "whatsapp", "appid": "a_1", "message": {"template": "1", "parameters": {}}, "destination": ["#,
                b"]}",
            ),
        ],
        Dialect::Botsquad => vec![(
            br#"{"template": {"name": "order_update", "language": "en_US", "components": [{"type": "body", "parameters": [{"type": "text", "text": "{{ a }}"}]}]}, "params": {"a": "x"}, "users": ["#,
            b"]}",
        )],
    }
}

fn rules() -> Rules {
    Rules {
        any_sender: false,
        senders: vec![Phone::from_e164("+15550001111").expect("a number")],
        limits: Limits {
            rows_max: 1_000,
            ..Limits::default()
        },
        ..Rules::default()
    }
}

fn checker(templates: &Templates) -> Checker<'_> {
    Checker {
        rules: &RULES,
        templates,
        files: &NoFiles,
        received_at: Moment::from_millis(1_795_252_502_114),
    }
}

fn outline(text: &[u8], templates: &Templates) -> Outline {
    read::outline(text, Form::Json, checker(templates)).expect("memory does not fail")
}

/// All that is said about a file that comes in pieces of this length.
fn said(text: &[u8], form: Form, piece: usize) -> String {
    let checker = checker(&TEMPLATES);
    let source = || BufReader::with_capacity(piece, text);
    let outline = read::outline(source(), form, checker).expect("memory does not fail");
    let mut said = format!(
        "{:?} {:?} {}",
        outline.faults, outline.warnings, outline.rows
    );
    if outline.faults.is_empty() {
        let mut rows = 0;
        let warnings = read::rows(source(), &outline, checker, &mut |row, _| {
            rows += 1;
            let _ = write!(said, "{row:?}");
            Ok(())
        });
        let _ = write!(said, "{:?}", warnings.expect("memory does not fail"));
        assert_eq!(rows, outline.rows, "each row has an answer");
    }
    said
}

/// What is said about each row, without its place; `None` if the file is refused as a whole.
fn rows_of(text: &[u8]) -> Option<Vec<(u64, String)>> {
    let outline = outline(text, &TEMPLATES);
    if !outline.faults.is_empty() {
        return None;
    }
    let mut rows = Vec::new();
    read::rows(text, &outline, checker(&TEMPLATES), &mut |row, _| {
        rows.push(match row {
            Row::Good(message) => (
                message.index,
                format!("{:?}", (message.to, message.content)),
            ),
            Row::Bad(bad) => {
                let faults: Vec<_> = bad.faults.iter().map(|it| (it.code, &it.found)).collect();
                (bad.index, format!("{:?} {faults:?}", bad.to))
            }
        });
        Ok(())
    })
    .expect("memory does not fail");
    Some(rows)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn each_kept(target: &str, check: impl Fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/corpus")
            .join(target);
        let mut kept = 0;
        for entry in std::fs::read_dir(&folder).expect("the folder of inputs") {
            check(&std::fs::read(entry.expect("an entry").path()).expect("read"));
            kept += 1;
        }
        assert!(kept >= 5, "{target} has {kept} inputs");
    }

    /// What once stopped the reader, or nearly did, must not do it again.
    #[test]
    fn every_kept_input_is_read() {
        each_kept("reader", reader);
        each_kept("templates", templates);
        for it in Dialect::ALL {
            each_kept(&it.as_str().replace('-', "_"), |input| dialect(it, input));
        }
    }
}
