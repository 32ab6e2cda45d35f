//! The published schemas, held against every file that the daemon writes in a story.

use std::path::Path;
use std::sync::OnceLock;

use serde_json::{Map, Value};

/// A schema, closed: what it does not describe must not be written.
pub(crate) struct Schema {
    validator: jsonschema::Validator,
}

impl Schema {
    fn read(text: &str) -> Self {
        let mut schema: Value = serde_json::from_str(text).expect("a schema is JSON");
        close(&mut schema);
        let validator = jsonschema::draft202012::options()
            .should_validate_formats(true)
            .build(&schema)
            .expect("a schema is a schema");
        Self { validator }
    }

    /// Panics with every difference between `value` and the schema.
    pub(crate) fn assert_takes(&self, value: &Value, path: &Path) {
        let differences: Vec<String> = self
            .validator
            .iter_errors(value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        let path = path.display();
        assert!(
            differences.is_empty(),
            "{path}: {differences:#?}\n{value:#}"
        );
    }
}

/// The schema of a results line.
pub(crate) fn results() -> &'static Schema {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    SCHEMA.get_or_init(|| Schema::read(include_str!("../../schemas/results.v1.json")))
}

/// The schema of a status file.
pub(crate) fn status() -> &'static Schema {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    SCHEMA.get_or_init(|| Schema::read(include_str!("../../schemas/status.v1.json")))
}

/// The schema of a faults file.
pub(crate) fn faults() -> &'static Schema {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    SCHEMA.get_or_init(|| Schema::read(include_str!("../../schemas/faults.v1.json")))
}

/// The schema of a line of `validate --json`.
pub(crate) fn validation() -> &'static Schema {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    SCHEMA.get_or_init(|| Schema::read(include_str!("../../schemas/validation.v1.json")))
}

/// The published schemas are open, since fields are only ever added; here a field that is written
/// and not described is a fault of ours. Conditions only repeat parts of an object and stay open.
fn close(schema: &mut Value) {
    const CONDITIONS: [&str; 4] = ["if", "then", "else", "allOf"];
    match schema {
        Value::Object(object) => {
            if object.get("properties").is_some_and(Value::is_object) {
                object.insert("additionalProperties".into(), Value::Bool(false));
            }
            for (key, value) in object.iter_mut() {
                if !CONDITIONS.contains(&key.as_str()) {
                    close(value);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(close),
        _ => {}
    }
}

/// Gives every object of properties beneath `schema`, with the place of each.
fn properties<'a>(
    schema: &'a Value,
    place: &str,
    found: &mut Vec<(String, &'a Map<String, Value>)>,
) {
    let Value::Object(object) = schema else {
        return;
    };
    if let Some(Value::Object(listed)) = object.get("properties") {
        found.push((place.to_owned(), listed));
        for (name, inner) in listed {
            properties(inner, &format!("{place}/{name}"), found);
        }
    }
    if let Some(items) = object.get("items") {
        properties(items, &format!("{place}/0"), found);
    }
    if let Some(Value::Object(definitions)) = object.get("$defs") {
        for (name, inner) in definitions {
            properties(inner, &format!("{place}/$defs/{name}"), found);
        }
    }
}

/// A customer reads the schema as the manual of the file: a field without words is a riddle.
#[test]
fn every_property_is_described() {
    for text in [
        include_str!("../../schemas/results.v1.json"),
        include_str!("../../schemas/status.v1.json"),
        include_str!("../../schemas/faults.v1.json"),
        include_str!("../../schemas/validation.v1.json"),
    ] {
        let schema: Value = serde_json::from_str(text).expect("a schema is JSON");
        let mut found = Vec::new();
        properties(&schema, "", &mut found);
        assert!(!found.is_empty());
        for (place, listed) in found {
            for (name, inner) in listed {
                let words = inner["description"].as_str().unwrap_or_default();
                let whole = words.len() > 10 && words.ends_with('.');
                assert!(whole, "{place}/{name}: {words}");
            }
        }
    }
}

/// The examples of the manual are the promise; the schemas must take them, and not just anything.
#[test]
fn the_schemas_take_the_examples_of_the_contract_and_nothing_else() {
    let takes = |schema: &Schema, value: &Value| schema.validator.is_valid(value);
    let status_text = include_str!("../golden/schema/status.json");
    let faults_text = include_str!("../golden/schema/faults.json");
    let good_status: Value = serde_json::from_str(status_text).expect("JSON");
    let good_faults: Value = serde_json::from_str(faults_text).expect("JSON");
    status().assert_takes(&good_status, Path::new("status.json"));
    faults().assert_takes(&good_faults, Path::new("faults.json"));
    for (pointer, bad) in [
        ("/state", Value::from("done")),
        ("/batch", Value::from("20261121")),
        ("/counts/waiting", Value::from(-1)),
        ("/receivedAt", Value::from("yesterday")),
        ("/final", Value::from("no")),
    ] {
        let mut status_of_bad = good_status.clone();
        *status_of_bad.pointer_mut(pointer).expect("in the example") = bad;
        assert!(!takes(status(), &status_of_bad), "{pointer}");
    }
    let mut more = good_status;
    more["surprise"] = Value::from(1);
    assert!(!takes(status(), &more), "a field without a description");
    for (pointer, bad) in [
        ("/verdict", Value::from("fine")),
        ("/faults/0/code", Value::from("Phone Too Short")),
        ("/faults/0/line", Value::from("16")),
    ] {
        let mut faults_of_bad = good_faults.clone();
        *faults_of_bad.pointer_mut(pointer).expect("in the example") = bad;
        assert!(!takes(faults(), &faults_of_bad), "{pointer}");
    }
    for (text, good) in [
        (
            r#"{"index":0,"line":4,"to":"+31612345678","status":"accepted",
            "messageId":"w","attempts":1,"acceptedAt":"2026-11-21T09:15:02.114Z",
            "reference":"A","callbackData":"B"}"#,
            true,
        ),
        (
            r#"{"index":1,"line":5,"status":"invalid","attempts":0,"faults":[{
            "code":"phone.missing","pointer":"/data/1/to","line":5,"column":3,"index":1,"expected":"a","found":"b"}]}"#,
            true,
        ),
        (
            r#"{"index":2,"line":6,"to":"+31612345678","status":"failed","attempts":2,
            "error":{"code":"provider.refused","title":"a","providerCode":"131026"}}"#,
            true,
        ),
        (
            r#"{"index":0,"line":4,"to":"+31612345678","status":"accepted","attempts":1}"#,
            false,
        ),
        (
            r#"{"index":1,"line":5,"status":"invalid","attempts":0}"#,
            false,
        ),
        (
            r#"{"index":2,"line":6,"to":"+31612345678","status":"failed","attempts":2}"#,
            false,
        ),
        (
            r#"{"index":2,"line":6,"to":"0612345678","status":"cancelled","attempts":0}"#,
            false,
        ),
        (
            r#"{"index":2,"line":6,"to":"+31612345678","status":"waiting","attempts":0}"#,
            false,
        ),
    ] {
        let line: Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(takes(results(), &line), good, "{text}");
    }
}
