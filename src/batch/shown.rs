//! What is shown to customers is held against the code: the schema of batch files against the
//! examples, the manual of faults against the codes.

use serde_json::Value as Json;

use super::fault::Code;
use super::golden::{root, rules, said, templates};
use super::read::Form;

fn json(path: &str) -> Json {
    let bytes = std::fs::read(root().join(path)).expect("read");
    serde_json::from_slice(&bytes).expect("JSON")
}

fn each_property<'a>(schema: &'a Json, at: &str, found: &mut Vec<(String, &'a Json)>) {
    match schema {
        Json::Object(map) => {
            if let Some(Json::Object(properties)) = map.get("properties") {
                for (name, property) in properties {
                    found.push((format!("{at}/{name}"), property));
                }
            }
            for (key, value) in map {
                each_property(value, &format!("{at}/{key}"), found);
            }
        }
        Json::Array(list) => {
            for (place, value) in list.iter().enumerate() {
                each_property(value, &format!("{at}/{place}"), found);
            }
        }
        _ => {}
    }
}

/// Customers validate their exports with the schema before they upload them: it must take what the
/// reader takes and refuse the plain mistakes.
#[test]
fn the_schema_says_what_the_reader_does() {
    let schema = json("schemas/batch.v1.json");
    let validator = jsonschema::draft202012::new(&schema).expect("a schema");
    for good in [
        "examples/batches/session_text.json",
        "examples/batches/positional.json",
        "tests/golden/batch/native_aliases.json",
        "tests/golden/batch/native_head_options.json",
        "tests/golden/batch/native_defaults.json",
        "tests/golden/batch/native_data_first.json",
        "tests/golden/batch/native_message_equal.json",
        "tests/golden/batch/batch_numbers.json",
        "tests/golden/batch/native_parts.json",
        "tests/golden/batch/native_parts_head.json",
        "tests/golden/batch/native_window.json",
        "examples/batches/parcel_photo.json",
    ] {
        let errors: Vec<String> = validator
            .iter_errors(&json(good))
            .map(|error| format!("{} at {}", error.masked(), error.instance_path()))
            .filter(|error| !good.ends_with("batch_numbers.json") || !error.contains("/data/2"))
            .collect();
        assert_eq!(errors, Vec::<String>::new(), "{good}");
    }
    for bad in [
        "batch_array",
        "batch_data_object",
        "batch_no_data",
        "batch_no_rows",
        "batch_head_kinds",
        "batch_head_values",
        "batch_window_head",
        "native_window_faults",
        "template_placeholders_twice",
    ] {
        let file = json(&format!("tests/golden/batch/{bad}.json"));
        assert!(!validator.is_valid(&file), "{bad}");
    }
    // The example of the demo is wrong on purpose in a dozen rows, and in nothing else.
    let example = json("examples/batches/order_update.json");
    for error in validator.iter_errors(&example) {
        let path = error.instance_path().to_string();
        assert!(path.starts_with("/data/"), "{} at {path}", error.masked());
    }
}

/// A property without words sends customers to guess.
#[test]
fn every_property_of_the_schemas_is_described() {
    let entries = std::fs::read_dir(root().join("schemas")).expect("the schemas");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
    names.retain(|name| {
        name.starts_with("batch.") || name.contains(".head.") || name.contains(".row.")
    });
    assert!(names.len() >= 7, "{names:?}");
    for name in names {
        let mut found = Vec::new();
        let schema = json(&format!("schemas/{name}"));
        each_property(&schema, "", &mut found);
        for (at, property) in found {
            // What stands in a condition is described where it belongs.
            if at.contains("/if/") {
                continue;
            }
            let text = property["description"].as_str().unwrap_or_default();
            assert!(text.ends_with('.'), "{name} {at}");
        }
    }
}

/// Customers validate their exports with the schemas: whatever the reader takes must pass them in
/// any validator, and what they refuse must be no good row.
#[test]
fn the_schemas_of_dialects_say_what_the_reader_does() {
    const FAULTS: &[&str] = &["faults_message", "faults_template"];
    for (dialect, key, good, bad) in [
        ("cloud-api", None, "templates", FAULTS),
        ("infobip", Some("messages"), "templates", FAULTS),
        ("bird", None, "templates", &["faults"]),
        (
            "webex-connect",
            Some("destination"),
            "image",
            &["row_faults"],
        ),
        ("botsquad", Some("users"), "parcel", &["faults"]),
    ] {
        let schema = json(&format!("schemas/{dialect}.row.v1.json"));
        let validator = jsonschema::draft202012::new(&schema).expect("a schema");
        for case in [good].iter().chain(bad) {
            let path = format!("tests/golden/dialect/{dialect}/{case}");
            let file = json(&format!("{path}.json"));
            let said = json(&format!("{path}.expected.json"));
            let rows = key.map_or(&file, |key| &file[key]);
            let bad = said["bad"].as_array().into_iter().flatten();
            let bad: Vec<u64> = bad.filter_map(|row| row["index"].as_u64()).collect();
            let refused = |row: &Json| {
                validator
                    .iter_errors(row)
                    .any(|error| !format!("{:?}", error.kind()).starts_with("AdditionalProperties"))
            };
            let mut count = 0;
            for (index, row) in rows.as_array().expect("rows").iter().enumerate() {
                if refused(row) {
                    assert!(bad.contains(&(index as u64)), "{case} {index}");
                    count += 1;
                }
            }
            assert_eq!(count > 0, *case != good, "{dialect} {case}");
        }
    }
}

/// A code without its page leaves the sender of a file alone with it.
#[test]
fn the_manual_has_every_code_in_order() {
    let manual = std::fs::read_to_string(root().join("docs/faults.md")).expect("the manual");
    let headings: Vec<&str> = manual
        .lines()
        .filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'))
        .collect();
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(headings, codes);
    for section in manual.split("\n### ").skip(1) {
        let code = section.lines().next().unwrap_or_default();
        for word in ["\nCause: ", "\nCure: "] {
            assert!(section.contains(word), "{code} has no {}", word.trim());
        }
    }
}

/// Readers copy what the manual shows.
#[test]
fn the_files_in_the_manual_are_good_batches() {
    let manual = std::fs::read_to_string(root().join("docs/formats.md")).expect("the manual");
    let mut shown = 0;
    for (fence, form) in [("```json\n", Form::Json), ("```jsonl\n", Form::Lines)] {
        for block in manual.split(fence).skip(1) {
            let text = block.split("```").next().unwrap_or_default();
            let said = said(text.as_bytes(), form, &rules(), &templates());
            assert_eq!(said["rows"].as_u64(), Some(1), "{text}{said:#}");
            assert!(
                said["bad"].is_null() && said["headWarnings"].is_null(),
                "{text}{said:#}"
            );
            shown += 1;
        }
    }
    assert!(shown >= 8, "{shown}");
}
