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
fn every_property_of_the_schema_is_described() {
    let schema = json("schemas/batch.v1.json");
    let mut found = Vec::new();
    each_property(&schema, "", &mut found);
    assert!(found.len() > 40, "{}", found.len());
    for (at, property) in found {
        let text = property["description"].as_str().unwrap_or_default();
        assert!(text.ends_with('.'), "{at}");
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
    assert_eq!(shown, 3);
}
