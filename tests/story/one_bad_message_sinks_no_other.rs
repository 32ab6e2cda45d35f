//! Infobip takes many templates in one request and refuses all of them for one: that one is told
//! apart, the others arrive, each once. And where a gateway loses the answer to a request that was
//! taken, Infobip is asked, and its messages are told as accepted.
//!
//! Promises 2 and 3 of the README.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::world::batches::{file_of, row};
use crate::world::provider::Reserved;
use crate::world::sandbox::Sandbox;
use crate::world::{TenantPlan, World};

/// Recipients of these rows are answered by a gateway, or too late for a story.
const LATE_OR_LOST: [u64; 2] = [408, 502];

/// The endings that are refused, and what Infobip says of them.
const REFUSED: [(&str, &str); 3] = [
    ("+31610000400", "BAD_REQUEST"),
    ("+31610000404", "52"),
    ("+31610000410", "14"),
];

/// A failed request must cost nobody a reminder but the one whose number is wrong, and an answer
/// that is lost must neither be guessed nor cost anybody a second message.
#[test]
fn a_bad_message_is_told_apart_and_a_lost_answer_is_asked_for() {
    let sandbox = Sandbox::start(&["--provider", "infobip"]);
    let plan = TenantPlan {
        more: "[policy]\nunknown_hold = \"20s\"",
        ..TenantPlan::new("acme").rate(100_000.0)
    };
    let mut world = World::prepare(&[plan], &Reserved::new());
    let provider = format!(
        "kind = \"infobip\"\nbase_url = \"{}\"\naccess_token_file = \"acme.token\"",
        sandbox.url
    );
    world.change_provider("acme", &provider, "[[senders]]");
    world.write("tenants.d/acme.token", "App \"an-api-key-of-infobip\"\n");
    world.run();

    // The last four digits of a recipient say what becomes of the message.
    let rows = (0..1_000).filter(|index| !LATE_OR_LOST.contains(index));
    let rows: Vec<Value> = rows.map(row).collect();
    world.drop_file("many.json", file_of(&rows));
    let status = world.ended("many.json");
    let batch = status["batch"].as_str().expect("an id");
    let results = world.folder("acme").results(&status);
    let mut words: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for (index, result) in results.iter().enumerate() {
        assert_eq!(result["index"], index, "every row, in order");
        let state = result["status"].as_str().expect("a status");
        words.entry(state).or_default().push(result);
    }
    let counts: Vec<_> = words.iter().map(|(word, all)| (*word, all.len())).collect();
    assert_eq!(counts, [("accepted", 995), ("failed", 3)]);
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let refused: Vec<_> = words["failed"]
        .iter()
        .map(|it| (text(&it["to"]), text(&it["error"]["providerCode"])))
        .collect();
    assert_eq!(refused, REFUSED.map(|(to, code)| (to.into(), code.into())));
    for result in &words["accepted"] {
        let own = format!("{batch}-{}-", result["index"]);
        let id = result["messageId"].as_str().expect("an id");
        assert!(id.starts_with(&own), "{result}");
    }

    world.stop();
    let account = sandbox.end();
    assert!(
        account.contains(": 995 accepted (995 different attempts, 0 messages repeated)"),
        "{account}"
    );
    let requests = account.split(' ').next().and_then(|it| it.parse().ok());
    let requests: u64 = requests.expect("a number of requests");
    assert!(requests < 500, "{account}: that is not in bulk");
}
