//! The golden cases: each file in `tests/golden/batch` beside all that is said about it, word for
//! word. `UPDATE_EXPECT=1` rewrites what is said.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::fault::{Code, Fault};
use super::name::form_of;
use super::read::{Checker, Form, Limits, OnInvalid, PhoneCheck, Row, Rules, outline, rows};
use super::template::Templates;
use super::{Moment, Phone};

/// Codes that other rooms raise, and one whose case is too large to be kept as a file.
const SHOWN_ELSEWHERE: [Code; 14] = [
    Code::BatchHeadTooLong,
    Code::FileDuplicate,
    Code::FileContainer,
    Code::FileQuarantined,
    Code::FileUnknownEnding,
    Code::FileEncrypted,
    Code::FileAbandoned,
    Code::FileUnreadable,
    Code::FileSteering,
    Code::FileChecksumMismatch,
    Code::FileChecksumGarbled,
    Code::FileReplaced,
    Code::BatchTooManyInvalid,
    Code::BatchRejectedByRow,
];

pub(super) fn rules() -> Rules {
    Rules {
        senders: vec![Phone::from_e164("+15550001111").expect("a number")],
        phone_check: PhoneCheck::Possible,
        phone_lenient: false,
        strict: false,
        invalid_max: 1.0,
        default_validity: Duration::from_hours(48),
        default_validity_authentication: Duration::from_mins(10),
        limits: Limits::default(),
    }
}

pub(super) fn received_at() -> Moment {
    Moment::parse("2026-11-21T09:15:02.114Z").expect("a moment")
}

pub(super) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The templates of the examples and those made for the golden cases.
pub(super) fn templates() -> Templates {
    let files: Vec<(String, Vec<u8>)> = [
        "examples/templates/order_update.json",
        "examples/templates/appointment_reminder.json",
        "tests/golden/batch/templates/templates.json",
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

fn form(path: &Path) -> Form {
    form_of(&path.to_string_lossy()).expect("a batch file")
}

/// Everything that is said about `bytes`.
pub(super) fn said(bytes: &[u8], form: Form, rules: &Rules, templates: &Templates) -> Json {
    let checker = Checker {
        rules,
        templates,
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
    ] {
        if value != json!(false) && value != json!("") {
            said[key] = value;
        }
    }
    said["rows"] = json!(outline.rows);
    let (mut messages, mut bad) = (Vec::new(), Vec::new());
    let warnings = rows(bytes, form, &outline, checker, &mut |row, own| {
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

/// Tenants write programs against codes and places, and read the words: neither may change
/// unseen, and each code of this room must have been seen.
#[test]
fn each_case_is_told_as_it_was() {
    let folder = root().join("tests/golden/batch");
    let templates = templates();
    let mut codes: BTreeSet<String> = BTreeSet::new();
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
        collect(&said, &mut codes);
        let text = serde_json::to_string_pretty(&said).expect("JSON") + "\n";
        expect_test::expect_file![folder.join(format!("{case}.expected.json"))].assert_eq(&text);
        cases += 1;
    }
    assert!(cases >= 40, "{cases} cases");
    for code in Code::ALL {
        if !SHOWN_ELSEWHERE.contains(code) {
            assert!(codes.contains(code.as_str()), "no case has {code}");
        }
    }
}

fn collect(said: &Json, codes: &mut BTreeSet<String>) {
    match said {
        Json::Object(map) => {
            if let Ok(fault) = serde_json::from_value::<Fault>(said.clone()) {
                codes.insert(fault.code.to_string());
            }
            map.values().for_each(|value| collect(value, codes));
        }
        Json::Array(list) => list.iter().for_each(|value| collect(value, codes)),
        _ => {}
    }
}

/// A head without bound would fill the memory of every tenant.
#[test]
fn a_head_has_a_bound() {
    let long = "n".repeat(super::scan::HEAD_BYTES_MAX);
    for (key, refused) in [("campaignName", true), ("notes", false)] {
        let text =
            format!(r#"{{"{key}": "{long}", "message": "x", "data": [{{"to": "+31612345001"}}]}}"#);
        let said = said(text.as_bytes(), Form::Json, &rules(), &templates());
        let code = &said["refused"][0]["code"];
        assert_eq!(*code == json!(Code::BatchHeadTooLong), refused, "{key}");
        assert_eq!(said["headWarnings"][0]["code"].is_null(), refused, "{key}");
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
