//! Botsquad takes many messages as one broadcast and only says later what became of them. Each is
//! still a message of its own: one that fails takes no other with it, and a number that stands
//! twice in a file gets both of its messages.
//!
//! Promises 1 and 2 of the README.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::world::batches::{file_of, row};
use crate::world::provider::Reserved;
use crate::world::sandbox::Sandbox;
use crate::world::{TenantPlan, World};

/// A broadcast that answers for all of its users at once would call the opted-out reached.
#[test]
fn each_user_of_a_broadcast_is_told_apart() {
    let mut world = World::prepare(&[TenantPlan::new("acme")], &Reserved::new());
    let record = world.path("asked.jsonl");
    let templates = world.path("tenants.d/acme-templates");
    let sandbox = Sandbox::of("botsquad", &templates, &record);
    let provider = format!(
        "kind = \"botsquad\"\nbase_url = \"{}\"\nbot_id = \"b-1\"",
        sandbox.url
    );
    world.leave_by("acme", &provider, "");
    world.run();

    // The last four digits of a recipient say what becomes of the message.
    let mut rows: Vec<Value> = [1, 404, 410, 500, 1].into_iter().map(row).collect();
    rows[4]["reference"] = "order-again".into();
    world.drop_file("orders.json", file_of(&rows));
    let status = world.ended("orders.json");
    let results = world.folder("acme").results(&status);
    let told: Vec<_> = results
        .iter()
        .map(|line| {
            let code = line["error"]["code"].as_str().unwrap_or_default();
            (line["status"].as_str().expect("a status"), code)
        })
        .collect();
    let taken = ("accepted", "");
    let refused = ["provider.refused", "provider.recipient_opted_out"];
    let refused = refused.map(|code| ("failed", code));
    assert_eq!(told, [taken, refused[0], refused[1], taken, taken]);
    let ids: BTreeSet<&str> = results
        .iter()
        .filter_map(|line| line["messageId"].as_str())
        .collect();
    assert_eq!(ids.len(), 3, "{results:?}");
    assert!(ids.iter().all(|id| id.contains("/316")), "{ids:?}");

    world.stop();
    sandbox.end();
    let asked = std::fs::read_to_string(&record).expect("a record");
    let mut messages = 0;
    for line in asked.lines() {
        let request: Value = serde_json::from_str(line).expect("JSON");
        let users = request["body"]["users"].as_array();
        let phones: Vec<_> = users.into_iter().flatten().map(|it| &it["phone"]).collect();
        let distinct: BTreeSet<&str> = phones.iter().filter_map(|it| it.as_str()).collect();
        assert_eq!(distinct.len(), phones.len(), "no number twice: {line}");
        messages += phones.len();
    }
    assert_eq!(messages, 5, "{asked}");
}
