//! What no file may do: fill the memory, lose a key, or let one row decide for others.

use serde_json::json;

use super::fault::Code;
use super::golden::{rules, said, templates};
use super::read::Form;

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

/// A key that is lost would be as if it had not been written: nothing would be held back.
#[test]
fn no_key_of_a_head_is_lost() {
    let room = super::scan::HEAD_BYTES_MAX - r#""message""x""data""junk""#.len();
    for spare in 0..20 {
        let junk = "j".repeat(room - 2 - spare);
        let text = format!(
            r#"{{"message": "x", "data": [{{"to": "+31612345001"}}], "junk": "{junk}", "dryRun": true}}"#
        );
        let said = said(text.as_bytes(), Form::Json, &rules(), &templates());
        let code = &said["refused"][0]["code"];
        let heard = said["dryRun"] == json!(true);
        assert_eq!(*code == json!(Code::BatchHeadTooLong), !heard, "{spare}");
        assert_eq!(heard, spare >= r#""dryRun"true"#.len(), "{spare}");
    }
}

/// Each member that is nested too deeply is a fault: a few bytes must not make one each for ever.
#[test]
fn faults_of_a_head_have_a_bound() {
    let deep = format!("\"\": {}{}, ", "[".repeat(40), "]".repeat(40));
    let text = format!(r#"{{{}"data": []}}"#, deep.repeat(3_000));
    let said = said(text.as_bytes(), Form::Json, &rules(), &templates());
    let faults = said["refused"].as_array().expect("faults");
    assert_eq!(faults.len(), 1_001);
    assert_eq!(faults[1_000]["code"], json!(Code::BatchHeadTooLong));
}

/// What one row says must not decide what is said of the next.
#[test]
fn a_row_of_many_keys_leaves_slips_of_others_to_be_found() {
    let keys = |count: usize| -> String {
        let keys = (0..count).map(|at| format!(r#""column_{at}": 1, "#));
        keys.collect()
    };
    for (columns, own) in [(900, None), (1_100, Some(Code::BatchRowTooLong))] {
        let text = format!(
            r#"{{"message": "x", "data": [{{{}"to": "+31612345001"}},
                {{"to": "+31612345002", "expireAt": "2026-12-01T10:00:00Z"}}]}}"#,
            keys(columns)
        );
        let said = said(text.as_bytes(), Form::Json, &rules(), &templates());
        let codes = |at: usize| said["bad"][at]["faults"][0]["code"].clone();
        let bad = usize::from(own.is_some());
        assert_eq!(codes(0) == json!(own), own.is_some(), "{columns}");
        assert_eq!(codes(bad), json!(Code::BatchMisspeltKey), "{columns}");
    }
}

/// Recipients in a second list would get nothing, and nobody would hear of it.
#[test]
fn a_file_has_one_list_of_rows() {
    let data = r#""data": [{"to": "+31612345001"}]"#;
    for (users, refused) in [(r#"[{"phone": "+31612345002"}]"#, true), ("[]", false)] {
        let text = format!(r#"{{"message": "x", {data}, "users": {users}}}"#);
        let said = said(text.as_bytes(), Form::Json, &rules(), &templates());
        let fault = &said["refused"][0];
        assert_eq!(fault["code"] == json!(Code::BatchShape), refused, "{text}");
        assert_eq!(fault["pointer"] == json!("/users"), refused, "{text}");
    }
}

/// The usual slip with JSON Lines: a file that was printed for people, under the wrong name.
#[test]
fn a_text_over_several_lines_is_told_to_be_one() {
    for text in [
        "{\n  \"message\": \"x\",\n  \"data\": [\n    {\"to\": \"+31612345001\"}\n  ]\n}\n",
        "[\n  {\"to\": \"+31612345001\"}\n]\n",
    ] {
        let said = said(text.as_bytes(), Form::Lines, &rules(), &templates());
        let fault = &said["refused"][0];
        assert_eq!(fault["hint"], "name the file .json");
        assert_eq!((&fault["line"], &fault["column"]), (&json!(1), &json!(1)));
    }
}

/// What was said for all rows must be heard for all, or nothing may be sent.
#[test]
fn a_head_that_is_not_heard_refuses_its_file() {
    let row = r#"{"to": "+31612345001"}"#;
    let head = r#"{"defaults": {"message": "x"}}"#;
    for text in [
        format!(
            "{{\"defaults\": {{\"message\": \"x\"}}, \"defaults\": {{\"dryRun\": true}}}}\n{row}\n"
        ),
        format!("{{'defaults': {{'message': 'x'}}}}\n{row}\n"),
        format!("{{defaults: {{\"message\": \"x\"}}}}\n{row}\n"),
    ] {
        let said = said(text.as_bytes(), Form::Lines, &rules(), &templates());
        assert!(said["refused"].is_array(), "{text}");
    }
    let late = format!("{head}\n{row}\n{head}\n{row}\n");
    let said = said(late.as_bytes(), Form::Lines, &rules(), &templates());
    let faults = said["bad"][0]["faults"].as_array().expect("faults");
    assert!(
        faults
            .iter()
            .any(|it| it["code"] == json!(Code::BatchShape))
    );
    assert_eq!(said["bad"][0]["index"], json!(1));
}

/// One broken row costs itself, also if it is the first.
#[test]
fn the_first_row_decides_nothing_for_others() {
    let row = r#"{"messaging_product": "whatsapp", "to": "+31612345001", "type": "text", "text": {"body": "x"}}"#;
    for broken in [
        "{}",
        "null",
        r#""x""#,
        "[]",
        "7",
        r#"{"zz": 1}"#,
        r#"{"to": 5, "type": "text"}"#,
    ] {
        let rows = [broken, row, row];
        for (text, form) in [
            (format!("[{}]", rows.join(",\n")), Form::Json),
            (rows.join("\n"), Form::Lines),
        ] {
            let said = said(text.as_bytes(), form, &rules(), &templates());
            let count = |key: &str| said[key].as_array().map_or(0, Vec::len);
            assert_eq!((count("messages"), count("bad")), (2, 1), "{text}");
        }
    }
}

/// What the head says to templates is kept with each message: a thousand rows of a megabyte each
/// would come out of one small file.
#[test]
fn what_a_head_says_to_templates_has_a_bound() {
    let half = "n".repeat(33 << 10);
    let flow = format!(r#""templateButtons": {{"0": {{"data": {{"x": "{half}"}}}}}}"#);
    let cards = format!(r#""templateCards": ["{half}"]"#);
    let template = r#""templateName": "visit_form", "templateLanguage": "en""#;
    for (head, row, refused) in [
        (format!("{template}, {flow}"), "", false),
        (format!("{template}, {flow}, {cards}"), "", true),
        (format!("{flow}, {cards}"), template, true),
        (
            format!(r#"{flow}, "placeholders": {{"1": "{half}"}}"#),
            template,
            true,
        ),
        (
            format!(r#""message": "x", "placeholders": {{"1": "{half}{half}"}}"#),
            "",
            true,
        ),
    ] {
        let comma = if row.is_empty() { "" } else { ", " };
        let text = format!(r#"{{{head}, "data": [{{"to": "+31612345001"{comma}{row}}}]}}"#);
        let said = said(text.as_bytes(), Form::Json, &rules(), &templates());
        let code = &said["refused"][0]["code"];
        assert_eq!(
            *code == json!(Code::BatchHeadTooLong),
            refused,
            "{head:.60}"
        );
    }
}
