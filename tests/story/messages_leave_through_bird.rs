//! A tenant of Bird uploads the file that it always uploads: its messages leave as Bird wants them,
//! each result says what Bird said, and what Bird has no words for is told before anything is sent.
//!
//! Promises 2 and 3 of the README.

use std::path::Path;

use serde_json::{Value, json};

use crate::world::provider::Reserved;
use crate::world::sandbox::Sandbox;
use crate::world::{TenantPlan, World};

/// A project that the stand-in has, and what is called there as it is here.
const ORDERS: &str = "0d4b1f3c-2d0e-4c6a-9a77-0f5a8f2b9e10";

const PROVIDER: &str = "kind = \"bird\"\n\
    workspace_id = \"7c2f8f0a-41d5-4d0c-9a56-3b1f2f7e9d10\"\n";
const SENDER: &str = "channel_id = \"5b1c0c1e-3c44-4f0a-8a55-1f2e3d4c5b6a\"";

fn definition() -> Value {
    json!({
        "id": ORDERS, "name": "order_update", "language": "en", "status": "APPROVED",
        "category": "UTILITY", "variables": { "order": "body:2", "track": "button:0",
            "first_name": "body:1" },
        "components": [
            { "type": "BODY", "text": "Hello {{1}}, your order {{2}} is on its way." },
            { "type": "BUTTONS", "buttons": [
                { "type": "URL", "text": "Follow", "url": "https://harbour.example/t/{{1}}" },
            ] },
        ],
    })
}

/// A tenant of Bird with these definitions, and a stand-in that has the template of one of them.
fn tenant(definitions: &[Value]) -> (World, Sandbox) {
    let world = World::prepare(&[TenantPlan::new("acme")], &Reserved::new());
    let theirs = world.write("at-bird/order_update.json", definition().to_string());
    let theirs = theirs.parent().and_then(Path::to_str).expect("a path");
    let sandbox = Sandbox::start(&["--provider", "bird", "--templates", theirs]);
    let provider = format!("{PROVIDER}base_url = \"{}\"", sandbox.url);
    world.leave_by("acme", &provider, SENDER);
    let file = "tenants.d/acme-templates/order_update.json";
    world.write(file, json!(definitions).to_string());
    (world, sandbox)
}

fn order(to: &str) -> Value {
    json!({ "to": to, "placeholders": ["Ana", "PX-9"],
        "templateButtons": [{ "type": "url", "index": 0, "value": "px-9" }] })
}

/// A message that Bird refused and a result that says so late, or not at all, is a reminder that
/// nobody got.
#[test]
fn each_result_says_what_bird_said() {
    let (mut world, sandbox) = tenant(&[definition()]);
    world.run();
    let to = ["1", "0404", "0410", "0429", "0500", "0502"].map(|end| format!("+3161234{end:0>4}"));
    let rows: Vec<Value> = to.iter().map(|to| order(to)).collect();
    let head = json!({ "templateName": "order_update", "templateLanguage": "en", "data": rows });
    world.drop_file("orders.json", head.to_string());
    let status = world.ended("orders.json");
    let results = world.folder("acme").results(&status);
    let told: Vec<_> = results
        .iter()
        .map(|line| {
            let code = line["error"]["providerCode"].as_str();
            (line["status"].as_str().expect("a status"), code)
        })
        .collect();
    assert_eq!(
        told,
        [
            ("accepted", None),
            ("failed", Some("15005/whatsapp/131026")),
            ("failed", Some("14000/pre-processing")),
            ("accepted", None),
            ("accepted", None),
            ("unknown", None),
        ],
        "{results:#?}"
    );
    assert_eq!(results[1]["error"]["code"], "provider.recipient");
    for line in [&results[0], &results[3], &results[4]] {
        let id = line["messageId"].as_str().expect("an id");
        assert_eq!(id.len(), 36, "{line}");
    }
    world.stop();
    let account = sandbox.end();
    assert!(account.contains("0 messages repeated"), "{account}");
}

/// What cannot be said at Bird, and a place that its template has no name for, would fail for each
/// recipient; here it costs nothing.
#[test]
fn what_bird_has_no_words_for_is_told_before_anything_is_sent() {
    let mut unnamed = definition();
    unnamed["name"] = json!("unnamed");
    unnamed["variables"] = json!({ "first_name": "body:1" });
    let (mut world, sandbox) = tenant(&[definition(), unnamed]);
    world.run();
    let to = "+31612345678";
    let mut row = order(to);
    row["templateName"] = json!("unnamed");
    row["templateLanguage"] = json!("en");
    let reaction = json!({ "message_id": "wamid.1", "emoji": "👍" });
    let rows = json!({ "data": [
        { "to": to, "message": "Your parcel is here.", "tags": ["Parcels"] },
        { "to": to, "type": "reaction", "reaction": reaction },
        { "to": to, "message": "Hello", "shortLinks": { "enabled": true } },
        { "to": to, "message": "Hello", "frequencyCap": true },
        row,
    ] });
    world.drop_file("mixed.json", rows.to_string());
    let status = world.ended("mixed.json");
    assert_eq!(status["counts"]["accepted"], 1, "{status:#}");
    let faults = world.folder("acme").faults(&status);
    let faults = faults["faults"].as_array().expect("faults").clone();
    let told: Vec<_> = faults
        .iter()
        .map(|fault| {
            let text = |key: &str| fault[key].as_str().unwrap_or_default().to_owned();
            (fault["index"].as_u64(), text("code"), text("hint"))
        })
        .collect();
    let of_row = |row: u64| told.iter().filter(move |it| it.0 == Some(row));
    let codes = |row: u64| -> Vec<&str> { of_row(row).map(|it| it.1.as_str()).collect() };
    assert_eq!(codes(1), ["batch.unsupported_key"], "{told:#?}");
    assert_eq!(codes(2), ["batch.unsupported_key"], "{told:#?}");
    assert_eq!(codes(3), ["batch.bad_value"], "{told:#?}");
    assert_eq!(codes(4), ["template.unsupported"; 2], "{told:#?}");
    let hints: Vec<_> = of_row(4).map(|it| it.2.as_str()).collect();
    assert!(
        hints[0].contains("body:2") || hints[1].contains("body:2"),
        "{hints:?}"
    );
    world.stop();
    assert!(sandbox.end().contains("1 accepted"));
}
