//! Nothing is sent before its time, and what has no time of its own does not wait for others.

use serde_json::{Value, json};

use crate::world::World;
use crate::world::batches::{file_of, row};
use crate::world::provider::Script;

/// A reminder that comes a day early is worse than none.
#[test]
fn a_row_is_sent_at_its_time_and_not_before() {
    let (mut world, provider) = World::start(Script::accepting());
    let due_at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(4);
    let mut later = row(1);
    later["scheduledAt"] = json!(due_at.to_string());
    world.drop_file("timed.json", file_of(&[row(0), later, row(2)]));
    let status = world.ended("timed.json");
    assert_eq!(status["counts"]["accepted"], 3, "{status:#}");
    let batch = status["batch"].as_str().expect("an id");
    let results = world.folder("acme").path(&format!(
        "whatsapp/results/{batch}.timed.json.results.jsonl"
    ));
    let results = std::fs::read_to_string(results).expect("results");
    let accepted: Vec<jiff::Timestamp> = results
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).expect("JSON");
            let at = line["acceptedAt"].as_str().expect("a moment");
            at.parse().expect("a moment")
        })
        .collect();
    assert!(accepted[1] >= due_at, "{accepted:?} {due_at}");
    assert!(accepted[0] < due_at && accepted[2] < due_at, "{accepted:?}");
    assert_eq!(provider.seen_count(), 3);
}
