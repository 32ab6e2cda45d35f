//! Where a provider takes many messages in one request, each is still a message of its own: one
//! that is refused takes no other with it, none goes out twice, and each is told as it is.
//!
//! Promises 2 and 3 of the README.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::world::batches::{file_of, row};
use crate::world::provider::Reserved;
use crate::world::sandbox::Sandbox;
use crate::world::{TenantPlan, World};

/// The recipients of these rows are answered later than anybody waits, or the answer is lost.
const LATE_OR_LOST: [u64; 3] = [408, 504, 505];

/// A bulk call that answers for all of its messages at once would fail ninety-nine people for one,
/// or hand them the same message again.
#[test]
fn a_refused_message_takes_no_other_with_it() {
    let sandbox = Sandbox::start(&[]);
    let plan = TenantPlan {
        more: "[policy]\nunknown_hold = \"0s\"",
        ..TenantPlan::new("acme").rate(100_000.0)
    };
    let mut world = World::prepare(&[plan], &Reserved::new());
    let provider = format!(
        "kind = \"sandbox\"\nbase_url = \"{}\"\nbulk_max = 100",
        sandbox.url
    );
    world.change_provider("acme", &provider, "[[senders]]");
    world.run();

    // The last four digits of a recipient say what becomes of the message.
    let rows = (0..1_000).filter(|index| !LATE_OR_LOST.contains(index));
    let rows: Vec<Value> = rows.map(row).collect();
    world.drop_file("many.json", file_of(&rows));
    let status = world.ended("many.json");
    let results = world.folder("acme").results(&status);
    let mut words: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for (index, result) in results.iter().enumerate() {
        assert_eq!(result["index"], index, "every row, in order");
        let state = result["status"].as_str().expect("a status");
        words.entry(state).or_default().push(result);
    }
    let counts: Vec<_> = words.iter().map(|(word, all)| (*word, all.len())).collect();
    assert_eq!(counts, [("accepted", 994), ("failed", 2), ("unknown", 1)]);
    let refused: Vec<_> = words["failed"]
        .iter()
        .map(|result| {
            (
                result["to"].as_str(),
                result["error"]["providerCode"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        refused,
        [
            (Some("+31610000404"), Some("131026")),
            (Some("+31610000410"), Some("131050"))
        ]
    );
    assert_eq!(words["unknown"][0]["to"], "+31610000502");
    let ids = words["accepted"].iter().map(|result| &result["messageId"]);
    let mut ids: Vec<_> = ids.map(|id| id.as_str().expect("an id")).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 994, "each has the id of its own answer");

    world.stop();
    let account = sandbox.end();
    assert!(
        account.contains(": 994 accepted (994 different attempts, 0 messages repeated)"),
        "{account}"
    );
    let requests = account.split(' ').next().and_then(|it| it.parse().ok());
    let requests: u64 = requests.expect("a number of requests");
    assert!(requests < 500, "{account}: that is not in bulk");
}
