//! Nothing is sent before its time, and what has no time of its own does not wait for others.

use serde_json::{Value, json};

use crate::world::batches::{file_of, good_file_from, row};
use crate::world::provider::Script;
use crate::world::{SOON, TenantPlan, World};

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

/// Whoever plans a batch must see that it is understood, and until when it waits.
#[test]
fn a_batch_for_later_says_that_it_is_scheduled() {
    let (mut world, provider) = World::start(Script::accepting());
    let due_at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(5);
    let rows = [0, 1].map(|index| {
        let mut row = row(index);
        row["scheduledAt"] = json!(due_at.to_string());
        row
    });
    world.drop_file("planned.json", file_of(&rows));
    let folder = world.folder("acme");
    let status = world.wait_for("a scheduled batch", SOON, || {
        folder
            .status("planned.json")
            .filter(|status| status["state"] == "scheduled")
    });
    assert_eq!(provider.seen_count(), 0, "{status:#}");
    let told: jiff::Timestamp = status["scheduledAt"]
        .as_str()
        .and_then(|at| at.parse().ok())
        .expect("until when");
    assert!(due_at.duration_since(told).abs() < jiff::SignedDuration::from_secs(1));
    assert_eq!(world.ended("planned.json")["counts"]["accepted"], 2);
}

/// A window of the file and the quiet hours of the tenant keep what is outside of them, and nothing
/// else; and they say so.
#[test]
fn closed_hours_keep_what_they_are_for() {
    let clock = |minutes: i64| {
        let at = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(minutes);
        at.strftime("%H:%M").to_string()
    };
    let quiet = format!(
        "[policy]\nquiet_hours = {{ from = \"{}\", to = \"{}\" }}",
        clock(-120),
        clock(120)
    );
    let plan = TenantPlan {
        more: Box::leak(quiet.into_boxed_str()),
        ..TenantPlan::new("acme")
    };
    let (mut world, provider) = World::start_with(&[plan], Script::accepting());
    world.drop_file("quiet.json", good_file_from(0, 2));
    let mut loud = row(7);
    loud["ignoreQuietHours"] = json!(true);
    let mut closed = row(8);
    closed["ignoreQuietHours"] = json!(true);
    closed["sendWindow"] = json!({"from": clock(180), "to": clock(240)});
    world.drop_file("loud.json", file_of(&[loud, closed]));
    provider.wait_for_requests(1, SOON);
    let folder = world.folder("acme");
    for name in ["quiet.json", "loud.json"] {
        let status = world.wait_for("a batch that says why it waits", SOON, || {
            let is_held = |status: &Value| {
                let held = status["held"].as_str().unwrap_or_default();
                held.contains("hours")
            };
            folder.status(name).filter(is_held)
        });
        assert_ne!(status["final"], true, "{status:#}");
    }
    let seen: Vec<String> = provider.seen().into_iter().map(|seen| seen.to).collect();
    assert_eq!(
        seen,
        [crate::world::batches::recipient(7).trim_start_matches('+')]
    );
}

/// A code must not wait behind a campaign, however long that is.
#[test]
fn what_is_urgent_goes_before_what_is_not() {
    const ROWS: u64 = 300;
    let plan = TenantPlan::new("acme").rate(100.0);
    let (mut world, provider) = World::start_with(&[plan], Script::accepting());
    let with = |priority: &str, first: u64| {
        let file = good_file_from(first, ROWS);
        file.replacen('{', &format!("{{\n\"priority\": \"{priority}\","), 1)
    };
    world.drop_file("campaign.json", with("low", 0));
    provider.wait_for_requests(20, SOON);
    world.drop_file("codes.json", with("high", 1_000));
    let codes = world.ended("codes.json");
    let campaign = world.ended("campaign.json");
    assert_eq!(campaign["counts"]["accepted"], ROWS);
    let codes = codes["batch"].as_str().expect("an id");
    let seen = provider.seen();
    let last = seen.iter().rposition(|seen| seen.batch == codes);
    let last = last.expect("the codes were sent");
    let after = seen.len() - last;
    assert!(
        after > 100,
        "{after} of the campaign were sent after the codes"
    );
    // The lowest has its floor all the same.
    let first = seen.iter().position(|seen| seen.batch == codes);
    let between = &seen[first.expect("sent")..last];
    assert!(between.iter().any(|seen| seen.batch != codes), "a floor");
}
