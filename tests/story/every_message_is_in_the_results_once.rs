//! Every message of an accepted file is sent once and is in its results once, in the order of the
//! file, with the truth about it.
//!
//! Promises 2 and 3 of the README.

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::batches::{file_of, good_file, good_file_from, line_of, recipient, row};
use crate::world::provider::{Provider, Script};
use crate::world::{SENDER, TenantPlan, World};

/// Holds results against the file and the provider's own record, for a file of good rows only.
fn assert_all_accepted(world: &World, provider: &Provider, status: &Value, rows: u64) {
    let batch = status["batch"].as_str().expect("a batch id");
    assert_eq!(status["state"], "finished");
    assert_eq!(status["counts"]["total"], rows);
    assert_eq!(status["counts"]["accepted"], rows);
    let lines = world.folder("acme").results(status);
    let seen = provider.seen_of(batch);
    assert_eq!(lines.len() as u64, rows);
    for (index, line) in (0_u64..).zip(&lines) {
        let tries = &seen[&index];
        assert_eq!(
            tries.len(),
            1,
            "message {index} was sent {} times",
            tries.len()
        );
        assert_eq!(format!("+{}", tries[0].to), recipient(index));
        assert_eq!(tries[0].attempt, 1);
        let mut line = line.clone();
        let accepted_at = line["acceptedAt"].take();
        assert!(
            accepted_at.as_str() >= status["receivedAt"].as_str(),
            "{accepted_at}"
        );
        let expected = json!({
            "index": index, "line": line_of(index), "to": recipient(index),
            "reference": format!("order-{index}"), "callbackData": format!("data-{index}"),
            "status": "accepted", "messageId": tries[0].wamid, "attempts": 1, "acceptedAt": null,
        });
        assert_eq!(line, expected);
    }
    assert_eq!(seen.len() as u64, rows);
    provider.assert_understood();
}

/// The everyday case: when it breaks, nobody's messages go out, or somebody's go out twice.
#[test]
fn a_good_file_is_sent_once_and_answered_in_full() {
    let (mut world, provider) = World::start(Script::accepting());
    world.drop_file("orders.json", good_file(300));
    let status = world.ended("orders.json");
    assert_all_accepted(&world, &provider, &status, 300);
    let first = &provider.seen()[0];
    let index = first.index;
    assert_eq!(first.body["template"]["name"], "order_update");
    assert_eq!(first.body["template"]["language"]["code"], "en");
    let parameters = first.body["template"]["components"][0]["parameters"].as_array();
    let texts: Vec<&str> = parameters
        .expect("parameters of the body")
        .iter()
        .filter_map(|parameter| parameter["text"].as_str())
        .collect();
    assert_eq!(texts, [format!("Ana {index}"), format!("A-{index}")]);

    assert_eq!(status["campaignName"], "Dispatch run 12");
    assert_eq!(status["dialect"], "native");
    assert_eq!(status["file"], "orders.json");
    let folder = world.folder("acme");
    folder.assert_files_are_there(&status);
    let batch = status["batch"].as_str().expect("a batch id");
    assert_eq!(
        folder.names("whatsapp/processed"),
        [format!("{batch}.orders.json")]
    );
    let kept = std::fs::read_to_string(folder.of_batch("processed", &status, ""));
    assert_eq!(kept.expect("the file is kept"), good_file(300));
    assert!(
        !folder.path("whatsapp/orders.json").exists(),
        "the visible name is gone"
    );
    assert!(folder.names("whatsapp/errors").is_empty());

    // The sender of the file has nothing but SFTP: there it must look the same.
    let client = world.client("acme");
    let results = format!("whatsapp/results/{batch}.orders.json.results.jsonl");
    let over_sftp = String::from_utf8(client.get(&results)).expect("text");
    assert_eq!(over_sftp.lines().count(), 300);
    let names = client.list("whatsapp");
    assert!(!names.contains(&"orders.json".to_owned()), "{names:?}");
    let kept_status = client.get(&format!("whatsapp/results/{batch}.orders.json.status.json"));
    let kept_status: Value = serde_json::from_slice(&kept_status).expect("JSON");
    assert_eq!(kept_status, status);
}

/// Exports write keys in any order; rows that come before their template must not be lost.
#[test]
fn rows_may_stand_before_the_head() {
    let (mut world, provider) = World::start(Script::accepting());
    let rows: Vec<Value> = (0..5).map(row).collect();
    let file = json!({
        "data": rows, "placeholders": ["first", "ref"], "templateLanguage": "en",
        "from": SENDER, "campaignName": "Dispatch run 12", "templateName": "order_update",
    });
    world.drop_file("turned.json", file.to_string());
    let status = world.ended("turned.json");
    assert_eq!(status["counts"]["accepted"], 5);
    let seen = provider.seen();
    assert_eq!(seen.len(), 5);
    assert!(
        seen.iter()
            .all(|seen| seen.body["template"]["name"] == "order_update")
    );
    provider.assert_understood();
}

/// Exports of lines are what the bigger senders have; each line must become its message.
#[test]
fn a_file_of_lines_is_sent_like_any_other() {
    let (mut world, provider) = World::start(Script::accepting());
    let mut text =
        json!({"defaults": {"templateName": "order_update", "templateLanguage": "en"}}).to_string();
    for index in 0..5 {
        text.push('\n');
        text.push_str(&row(index).to_string());
    }
    text.push('\n');
    world.drop_file("orders.jsonl", text);
    let status = world.ended("orders.jsonl");
    assert_eq!(status["counts"]["accepted"], 5, "{status:#}");
    assert_eq!(provider.seen_count(), 5);
    let lines = world.folder("acme").results(&status);
    let line_numbers: Vec<u64> = lines
        .iter()
        .filter_map(|line| line["line"].as_u64())
        .collect();
    assert_eq!(line_numbers, [2, 3, 4, 5, 6]);
}

/// A reply within the session window is plain text; its marks must be filled in, not sent.
#[test]
fn a_session_text_reaches_its_reader_with_its_values() {
    let (mut world, provider) = World::start(Script::accepting());
    let file = json!({
        "campaignName": "Pharmacy pickup", "from": SENDER,
        "message": "Hello [[first]], order [[ref]] can be collected.",
        "placeholders": ["first", "ref"],
        "data": [{"to": recipient(1), "placeholders": {"first": "Ana", "ref": "A-1007"}}],
    });
    world.drop_file("session.json", file.to_string());
    let status = world.ended("session.json");
    assert_eq!(status["counts"]["accepted"], 1, "{status:#}");
    let seen = provider.seen();
    assert_eq!(seen[0].body["type"], "text");
    assert_eq!(
        seen[0].body["text"]["body"],
        "Hello Ana, order A-1007 can be collected."
    );
}

/// A dry run that sends one message is worse than none at all.
#[test]
fn a_dry_run_reports_and_sends_nothing() {
    let (mut world, provider) = World::start(Script::accepting());
    let mut rows: Vec<Value> = (0..3).map(row).collect();
    rows[1]["to"] = json!("12");
    let local = world.local("plan.json", file_of(&rows));
    let client = world.client("acme");
    client.put(&local, "whatsapp/dry-run/plan.json").expect_ok();
    let status = world.ended("plan.json");
    assert_eq!(status["state"], "checked");
    let lines = world.folder("acme").dry_run(&status);
    let words: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["status"].as_str())
        .collect();
    assert_eq!(words, ["valid", "invalid", "valid"]);
    assert_eq!(lines[2]["reads"], "Hello Ana 2, order A-2 is on its way.");
    // The same content is free to be sent in earnest afterwards, and only that is sent.
    world.drop_file("earnest.json", file_of(&rows));
    let earnest = world.ended("earnest.json");
    assert_eq!(earnest["counts"]["accepted"], 2, "{earnest:#}");
    let batches: Vec<String> = provider.seen().into_iter().map(|seen| seen.batch).collect();
    assert_eq!(batches, [earnest["batch"].as_str().expect("a batch id"); 2]);
}

/// An export that writes a file for each customer must have each of them sent once, however the
/// closes, checks and ends of hundreds of small batches fall together.
#[test]
fn each_of_many_small_files_is_sent_once() {
    const FILES: u64 = 400;
    let plan = TenantPlan::new("acme").rate(5_000.0);
    let (mut world, provider) = World::start_with(&[plan], Script::accepting());
    let puts: Vec<String> = (0..FILES)
        .map(|number| {
            let name = format!("customer-{number}.json");
            let local = world.local(&name, good_file_from(number, 1));
            format!("put \"{}\" whatsapp/{name}", local.display())
        })
        .collect();
    world.client("acme").run(&puts).expect_ok();
    let folder = world.folder("acme");
    world.wait_for("end of every batch", Duration::from_mins(1), || {
        let kept = folder.names("whatsapp/processed").len() as u64;
        (kept == FILES).then_some(())
    });
    for number in 0..FILES {
        let status = world.ended(&format!("customer-{number}.json"));
        assert_eq!(status["counts"]["accepted"], 1, "{status}");
        assert_eq!(provider.taken_for(&recipient(number)), 1, "{status}");
    }
    provider.assert_understood();
    assert!(folder.names("whatsapp/errors").is_empty());
}
