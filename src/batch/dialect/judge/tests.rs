//! A judge says what its schema says, whatever else stands in a row.

use serde_json::{Value as Json, json};

use super::*;
use crate::batch::dialect::Dialect;
use crate::batch::dialect::guest::guest;
use crate::batch::dialect::saying::templates;
use crate::batch::golden::{root, rules, said};
use crate::batch::read::{Form, Layout};

fn read(path: &str) -> Json {
    let bytes = std::fs::read(root().join(path)).expect("read");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// A row of each dialect, or a file of one row, with a fault in it that would send a message to
/// the wrong people or at the wrong time; `{}` stands where further keys go.
const WRONG: [(&str, &str); 5] = [
    (
        "batch.bad_value",
        r#"[{"messaging_product": "whatsapp", "recipient_type": "group", "to": "+31612345001",
            "type": "template", "template": {"name": "shop_open", "language": {"code": "en"}}{}}]"#,
    ),
    (
        "batch.bad_value",
        r#"[{"receiver": {"contacts": [{"identifierValue": "+31612345001"},
            {"identifierValue": "+31612345002"}]},
            "template": {"name": "shop_open", "locale": "en"}{}}]"#,
    ),
    (
        "batch.misspelt_key",
        r#"{"messages": [{"from": "+15550001111", "to": "+31612345001", "content": {
            "templateName": "shop_open", "language": "en",
            "templateData": {"body": {"placeholders": []}, "headr": {}}}{}}]}"#,
    ),
    (
        "batch.bad_value",
        r#"{"deliverychannel": "whatsapp", "appid": "a", "message": {"template": "910001"},
            "destination": [{"waid": ["31612345001", "31612345002"]{}}]}"#,
    ),
    (
        "batch.wrong_kind",
        r#"{"template": {"name": "shop_open", "language": "en"},
            "users": [{"phone": "+31612345001", "params": {"n": true}{}}]}"#,
    ),
];

/// An export with very many columns must not switch off the checks of the others.
#[test]
fn however_many_keys_are_unknown_what_is_wrong_is_found() {
    for count in [0, 110, 3000] {
        let keys: Vec<String> = (0..count).map(|at| format!(r#", "zzq{at}": 0"#)).collect();
        let keys = keys.concat();
        for (code, file) in WRONG {
            let (before, after) = file.rsplit_once("{}}").expect("a place for keys");
            let file = format!("{before}{keys}}}{after}");
            let said = said(file.as_bytes(), Form::Json, &rules(), &templates());
            let faults = said["bad"][0]["faults"].as_array();
            let codes = faults.into_iter().flatten().map(|fault| &fault["code"]);
            let codes: Vec<&Json> = codes.collect();
            assert!(codes.contains(&&json!(code)), "{count} {codes:?} {said:#}");
        }
    }
}

/// What is misspelt or decides what is sent is a fault, though nothing else is wrong with the row.
#[test]
fn keys_of_ones_own_are_told_from_those_that_decide() {
    let guest = guest(Dialect::CloudApi).expect("a guest");
    let (judge, _) = guest.rows(Layout::Lines);
    let row = |keys: &str| {
        format!(
            r#"{{"messaging_product": "whatsapp", "to": "+31612345001", "type": "text",
            "text": {{"body": "x"}}{keys}}}"#
        )
    };
    for (keys, wrong, unknown) in [
        ("", 0, 0),
        (r#", "department": 1, "owner": {"dryRun": true}"#, 0, 2),
        (r#", "dryRun": true, "frequencyCap": {"perDay": 1}"#, 2, 0),
        (
            r#", "dryRun": false, "rows": null, "frequencyCap": {}"#,
            0,
            3,
        ),
        (r#", "dryrun": true, "recipienttype": "group""#, 2, 0),
    ] {
        let row = row(keys);
        let node = Node::parse(row.as_bytes()).expect("JSON");
        let found = judge.judge(&node);
        let counts = (found.misfits.len(), found.unknown.len());
        assert_eq!(counts, (wrong, unknown), "{keys} {found:?}");
    }
}

/// Customers hold their exports against the schemas as they are published: a judge that took less
/// or more would make them lie.
#[test]
fn a_judge_refuses_what_the_published_schema_refuses() {
    let mut counts = [0, 0];
    for (dialect, key) in [
        (Dialect::CloudApi, None),
        (Dialect::Bird, None),
        (Dialect::Infobip, Some("messages")),
        (Dialect::WebexConnect, Some("destination")),
        (Dialect::Botsquad, Some("users")),
    ] {
        let schema = read(&format!("schemas/{dialect}.row.v1.json"));
        let schema = jsonschema::draft202012::new(&schema).expect("a schema");
        let judge = &guest(dialect).expect("a guest").row;
        let folder = root().join(format!("tests/golden/dialect/{dialect}"));
        for entry in std::fs::read_dir(folder).expect("cases") {
            let path = entry.expect("an entry").path();
            let name = path.to_string_lossy();
            if !name.ends_with(".json") || name.ends_with(".expected.json") {
                continue;
            }
            let file: Json =
                serde_json::from_slice(&std::fs::read(&path).expect("read")).expect("JSON");
            let rows = key.map_or(&file, |key| &file[key]);
            for row in rows.as_array().into_iter().flatten() {
                let text = row.to_string();
                let node = Node::parse(text.as_bytes()).expect("JSON");
                let found = judge.judge(&node);
                let is_silent = found.misfits.is_empty() && found.unknown.is_empty();
                let is_valid = schema.is_valid(row);
                assert_eq!(is_silent, is_valid, "{name} {text} {found:?}");
                counts[usize::from(is_valid)] += 1;
            }
        }
    }
    assert!(counts.iter().all(|count| *count > 50), "{counts:?}");
}
