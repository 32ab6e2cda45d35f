//! Whoever asks for it sends each recipient, or each reference, one message of a file.

use serde_json::{Value, json};

use crate::world::World;
use crate::world::batches::{file_of, recipient, row};
use crate::world::provider::Script;

/// A customer who is on a list twice must not get two messages, and its sender must see why.
#[test]
fn the_first_row_of_a_recipient_is_sent_and_the_rest_is_told() {
    let (mut world, provider) = World::start(Script::accepting());
    let mut rows: Vec<Value> = (0..5).map(row).collect();
    rows[2]["to"] = json!(recipient(0));
    rows[3]["reference"] = rows[1]["reference"].clone();
    rows[4]["to"] = json!("+3");
    // The row before with its recipient is left out for its reference: this one is sent.
    rows.push(row(3));
    let mut file: Value = serde_json::from_str(&file_of(&rows)).expect("JSON");
    file["onDuplicateRecipient"] = json!("skip");
    file["onDuplicateReference"] = json!("skip");
    world.drop_file("list.json", file.to_string());
    let status = world.ended("list.json");
    let counts = &status["counts"];
    assert_eq!(counts["suppressed"], 2, "{status:#}");
    assert_eq!(
        (&counts["accepted"], &counts["invalid"]),
        (&json!(3), &json!(1))
    );
    let lines = world.folder("acme").results(&status);
    let said: Vec<(&Value, &Value)> = lines
        .iter()
        .map(|line| (&line["status"], &line["error"]["code"]))
        .collect();
    let (accepted, suppressed) = (&json!("accepted"), &json!("suppressed"));
    let expected = [
        (accepted, &Value::Null),
        (accepted, &Value::Null),
        (suppressed, &json!("policy.duplicate_recipient")),
        (suppressed, &json!("policy.duplicate_reference")),
        (&json!("invalid"), &Value::Null),
        (accepted, &Value::Null),
    ];
    assert_eq!(said, expected);
    assert_eq!(lines[2]["to"], recipient(0));
    assert_eq!(provider.seen_count(), 3);
    // What was left out on purpose must not come back with the rows to be mended.
    let retry = world.folder("acme").retry(&status, "retry.json");
    let retry: Value = serde_json::from_slice(&retry).expect("JSON");
    assert_eq!(retry["data"].as_array().map(Vec::len), Some(1), "{retry:#}");
}
