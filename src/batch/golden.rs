//! The golden cases: each file in `tests/golden/batch` beside all that is said about it, word for
//! word. `UPDATE_EXPECT=1` rewrites what is said.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use serde_json::{Value as Json, json};

use super::fault::Code;
use super::media::{FileType, Files, Look};
use super::name::form_of;
use super::read::{
    Checker, Form, Limits, OnDuplicate, OnInvalid, PhoneCheck, Row, Rules, outline, rows,
};
use super::template::Templates;
use super::terms::{Asked, Common, Objection, Terms};
use super::{Message, Moment, Phone};

/// Codes that other rooms raise, whose words their stories show, and one whose case is too large to
/// be kept as a file.
const SHOWN_BY_STORIES: [Code; 15] = [
    Code::BatchHeadTooLong,
    Code::FileDuplicate,
    Code::FileExpansion,
    Code::FileQuarantined,
    Code::FileUnknownEnding,
    Code::FileAbandoned,
    Code::FileUnreadable,
    Code::FileSteeringUnknown,
    Code::FileSteeringDenied,
    Code::FileChecksumMismatch,
    Code::FileChecksumGarbled,
    Code::FileReplaced,
    Code::BatchTooManyInvalid,
    Code::BatchTooVaried,
    Code::BatchRejectedByRow,
];

pub(super) fn rules() -> Rules {
    Rules {
        senders: vec![Phone::from_e164("+15550001111").expect("a number")],
        ..Rules::default()
    }
}

pub(super) fn received_at() -> Moment {
    Moment::parse("2026-11-21T09:15:02.114Z").expect("a moment")
}

pub(super) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The templates of the examples and those made for the golden cases, read once: random tests ask
/// for them again and again.
pub(super) fn templates() -> Templates {
    static TEMPLATES: LazyLock<Templates> = LazyLock::new(read_templates);
    TEMPLATES.clone()
}

fn read_templates() -> Templates {
    let files: Vec<(String, Vec<u8>)> = [
        "examples/templates/order_update.json",
        "examples/templates/appointment_reminder.json",
        "examples/templates/parcel_photo.json",
        "tests/golden/batch/templates/templates.json",
        "tests/golden/templates/authentication.json",
        "tests/golden/templates/buttons.json",
        "tests/golden/templates/buttons_alone.json",
        "tests/golden/templates/carousel.json",
        "tests/golden/templates/header_media.json",
        "tests/golden/templates/header_place.json",
        "tests/golden/templates/header_text.json",
        "tests/golden/templates/infobip.json",
        "tests/golden/templates/offer.json",
    ]
    .map(|path| (path.into(), std::fs::read(root().join(path)).expect("read")))
    .into();
    let (templates, problems) = Templates::parse(&files);
    assert_eq!(problems, []);
    templates
}

/// The rules that the first word of a case's name asks for.
fn rules_of(case: &str) -> Rules {
    let mut rules = rules();
    match case.split('_').next().unwrap_or_default() {
        "nofiles" => rules.terms = Arc::new(NoFiles),
        "strict" => rules.strict = true,
        "lenient" => rules.phone_lenient = true,
        "inuse" => rules.phone_check = PhoneCheck::Valid,
        "senders" => rules
            .senders
            .push(Phone::from_e164("+15550002222").expect("a number")),
        "small" => {
            rules.limits = Limits {
                rows_max: 3,
                row_bytes_max: 100,
                depth_max: 4,
                expanded_bytes_max: 1000,
                ..Limits::default()
            }
        }
        _ => {}
    }
    rules
}

pub(super) fn form(path: &Path) -> Form {
    form_of(&path.to_string_lossy()).expect("a batch file")
}

/// A provider that takes no files.
#[derive(Debug)]
struct NoFiles;

impl Terms for NoFiles {
    fn provider(&self) -> &'static str {
        "sandbox"
    }

    fn honours(&self, asked: Asked) -> bool {
        Common.honours(asked)
    }

    fn objections(&self, message: &Message) -> Vec<Objection> {
        Common.objections(message)
    }
}

/// The files that the tenant of the cases has uploaded.
#[derive(Debug)]
struct Uploaded;

impl Files for Uploaded {
    fn look(&self, name: &str) -> Look {
        let (is, size_bytes) = match name {
            "shoe.jpg" => (Some(FileType::Jpeg), 48_213),
            "huge.png" => (Some(FileType::Png), (5 << 20) + 1),
            "film.mp4" => (Some(FileType::Mp4), 1 << 20),
            "bill.pdf" => (Some(FileType::Pdf), 90_000),
            "setup.exe" => (None, 90_000),
            "empty.jpg" => (None, 0),
            "folder" => return Look::Other,
            _ => return Look::Nothing,
        };
        let sha256 = "5e".repeat(32);
        Look::File {
            sha256,
            size_bytes,
            is,
        }
    }
}

/// Everything that is said about `bytes`.
pub(super) fn said(bytes: &[u8], form: Form, rules: &Rules, templates: &Templates) -> Json {
    let checker = Checker {
        rules,
        templates,
        files: &Uploaded,
        received_at: received_at(),
    };
    let outline = outline(bytes, form, checker).expect("memory does not fail");
    let mut said = json!({});
    if !outline.warnings.is_empty() {
        said["headWarnings"] = json!(outline.warnings);
    }
    if !outline.faults.is_empty() {
        said["refused"] = json!(outline.faults);
        return said;
    }
    let head = &outline.head;
    said["campaignName"] = json!(head.campaign_name);
    for (key, value) in [
        ("batchKey", json!(head.batch_key)),
        ("allowDuplicate", json!(head.allow_duplicate)),
        ("dryRun", json!(head.dry_run)),
        ("reject", json!(head.on_invalid == OnInvalid::Reject)),
        (
            "skipRecipients",
            json!(head.on_duplicate_recipient == OnDuplicate::Skip),
        ),
        (
            "skipReferences",
            json!(head.on_duplicate_reference == OnDuplicate::Skip),
        ),
    ] {
        if value != json!(false) && value != json!("") {
            said[key] = value;
        }
    }
    said["rows"] = json!(outline.rows);
    let (mut messages, mut bad) = (Vec::new(), Vec::new());
    let warnings = rows(bytes, &outline, checker, &mut |row, own| {
        match row {
            Row::Good(message) => {
                assert!(!own.is_empty());
                messages.push(json!(message));
            }
            Row::Bad(row) => bad.push(json!({
                "index": row.index,
                "line": row.line,
                "to": row.to,
                "reference": row.reference,
                "callbackData": row.callback_data,
                "ownBytes": own.len(),
                "faults": row.faults,
            })),
        }
        Ok(())
    })
    .expect("memory does not fail");
    assert_eq!((messages.len() + bad.len()) as u64, outline.rows);
    if !warnings.is_empty() {
        said["rowWarnings"] = json!(warnings);
    }
    if !bad.is_empty() {
        said["bad"] = json!(bad);
    }
    said["messages"] = json!(messages);
    said
}

/// Tenants write programs against codes and places, and read the words: neither may change unseen.
#[test]
fn each_case_is_told_as_it_was() {
    let folder = root().join("tests/golden/batch");
    let templates = templates();
    let mut cases = 0;
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("the folder of cases")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file() && !path.to_string_lossy().ends_with(".expected.json"))
        .collect();
    paths.sort();
    for path in paths {
        let case = path
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let bytes = std::fs::read(&path).expect("read");
        let said = said(&bytes, form(&path), &rules_of(&case), &templates);
        let text = serde_json::to_string_pretty(&said).expect("JSON") + "\n";
        expect_test::expect_file![folder.join(format!("{case}.expected.json"))].assert_eq(&text);
        cases += 1;
    }
    assert!(cases >= 40, "{cases} cases");
}

/// All that is said in the golden cases of this house, at any depth below `folder`.
fn said_below(folder: &Path, said: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder of cases") {
        let path = entry.expect("an entry").path();
        let name = path.to_string_lossy();
        if path.is_dir() {
            said_below(&path, said);
        } else if name.ends_with(".expected.json") || name.ends_with(".txt") {
            said.push_str(&std::fs::read_to_string(&path).expect("UTF-8"));
        }
    }
}

/// Words that nobody has read in their place are not known to be of any help.
#[test]
fn each_code_is_seen_in_a_case() {
    let mut said = String::new();
    said_below(&root().join("tests/golden"), &mut said);
    let words: BTreeSet<&str> = said
        .split(|c: char| !(c.is_ascii_lowercase() || c == '.' || c == '_'))
        .collect();
    for code in Code::ALL {
        let elsewhere = SHOWN_BY_STORIES.contains(code);
        assert_eq!(words.contains(code.as_str()), !elsewhere, "{code}");
    }
}

/// The demo shows these files; they must do what the README says of them.
#[test]
fn the_examples_do_what_is_said_of_them() {
    let templates = templates();
    for (name, messages, bad) in [
        ("order_update.json", 988, 12),
        ("session_text.json", 2, 0),
        ("positional.json", 3, 0),
        ("parcel_photo.json", 3, 0),
        ("lines.jsonl", 2, 0),
    ] {
        let path = root().join("examples/batches").join(name);
        let bytes = std::fs::read(&path).expect("read");
        let said = said(&bytes, form(&path), &rules(), &templates);
        assert_eq!(said["refused"], json!(null), "{name}");
        assert_eq!(
            said["messages"].as_array().map_or(0, Vec::len),
            messages,
            "{name}"
        );
        assert_eq!(said["bad"].as_array().map_or(0, Vec::len), bad, "{name}");
    }
}

/// What lies in the tenant's folder as an example must be taken when it is dropped.
#[test]
fn the_example_of_each_template_is_a_good_batch() {
    let templates = templates();
    let from = rules().senders.remove(0);
    for template in templates.usable() {
        let batch = template.example_batch(&from).to_string();
        let said = said(batch.as_bytes(), Form::Json, &rules(), &templates);
        let messages = said["messages"].as_array().map_or(0, Vec::len);
        assert_eq!(messages, 1, "{} {said:#}", template.name());
    }
}
