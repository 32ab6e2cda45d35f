//! Webex Connect answers 200 whatever it says. Each message still ends as the provider meant: taken
//! with its id, taken at the second try, or refused with the reason; and what it cannot be given is
//! told before anything of it is sent.
//!
//! Promises 1 and 2 of the README.

use serde_json::{Value, json};

use crate::world::batches::{file_of, row};
use crate::world::provider::Reserved;
use crate::world::sandbox::Sandbox;
use crate::world::{TenantPlan, World};

/// A tenant who reads `accepted` where the provider said "no consent" calls nobody else.
#[test]
fn each_message_is_told_as_its_code_says() {
    let mut world = World::prepare(&[TenantPlan::new("acme")], &Reserved::new());
    let record = world.path("asked.jsonl");
    let templates = world.path("tenants.d/acme-templates");
    let sandbox = Sandbox::of("webex-connect", &templates, &record);
    let provider = format!("kind = \"webex-connect\"\nbase_url = \"{}\"", sandbox.url);
    world.leave_by("acme", &provider, "app_id = \"a_170000000000000001\"");
    world.run();

    // The last four digits of a recipient say what becomes of the message.
    let rows: Vec<Value> = [1, 404, 410, 429, 500].into_iter().map(row).collect();
    world.drop_file("orders.json", file_of(&rows));
    let status = world.ended("orders.json");
    let results = world.folder("acme").results(&status);
    let told: Vec<_> = results
        .iter()
        .map(|line| {
            let code = line["error"]["providerCode"].as_str().unwrap_or_default();
            (line["status"].as_str().expect("a status"), code)
        })
        .collect();
    let refused = [("failed", "7871"), ("failed", "9002")];
    let taken = ("accepted", "");
    assert_eq!(told, [taken, refused[0], refused[1], taken, taken]);
    let ids = results.iter().filter_map(|line| line["messageId"].as_str());
    assert!(ids.map(str::len).all(|length| length == 36), "{results:?}");
    assert_eq!(results[2]["error"]["code"], "provider.recipient_opted_out");

    let link = json!({
        "data": [{ "to": "+31612345678", "interactive": {
            "type": "cta_url", "body": { "text": "Pay" },
            "action": { "name": "cta_url", "parameters": {
                "display_text": "Pay", "url": "https://shop.example/pay" } },
        } }],
    });
    world.drop_file("link.json", link.to_string());
    let status = world.ended("link.json");
    assert_eq!(status["state"], "rejected", "{status:#}");

    world.stop();
    let account = sandbox.end();
    assert!(account.contains(" 0 messages repeated"), "{account}");
    let asked = std::fs::read_to_string(&record).expect("a record");
    assert_eq!(asked.lines().count(), 7, "{asked}");
    for line in asked.lines() {
        let request: Value = serde_json::from_str(line).expect("JSON");
        let message = &request["body"]["message"];
        assert_eq!(message["template"], "1627019861106475", "by its id");
        let ends = message["parameters"]["first"]
            .as_str()
            .expect("by its name");
        assert!(ends.starts_with("Ana "), "{line}");
    }
}
