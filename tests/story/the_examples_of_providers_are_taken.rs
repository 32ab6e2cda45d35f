//! The examples that the providers print on their own pages, in the form in which they print them,
//! are taken by the stand-ins as they are: whoever tries a client against them that works against
//! the real thing must not be refused.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::world::sandbox::Sandbox;

const EXAMPLES: &str = include_str!("../golden/provider/examples.json");

/// What an answer says when it has taken what it was sent, by provider: the place and the value, or
/// only the place where the value is an id.
fn says_taken(provider: &str, answer: &Value) -> bool {
    let at = |pointer: &str| answer.pointer(pointer);
    match provider {
        "meta-cloud" => at("/messages/0/id").is_some_and(Value::is_string),
        "infobip" => at("/messages/0/status/groupName") == Some(&"PENDING".into()),
        "bird" => at("/status") == Some(&"accepted".into()),
        "webex-connect" => at("/response/0/code") == Some(&"1001".into()),
        "botsquad" => at("/id").is_some_and(Value::is_string),
        _ => false,
    }
}

/// A stand-in that is stricter than what it stands in for sends developers after faults that are
/// none.
#[test]
fn each_example_is_taken_as_it_is_printed() {
    let examples: Vec<Value> = serde_json::from_str(EXAMPLES).expect("JSON");
    let mut sandboxes: BTreeMap<&str, Sandbox> = BTreeMap::new();
    for example in &examples {
        let text = |key: &str| example[key].as_str().expect("text");
        let provider = text("provider");
        let sandbox = sandboxes
            .entry(provider)
            .or_insert_with(|| Sandbox::start(&["--provider", provider]));
        let (status, answer) = sandbox.post(text("path"), text("header"), &example["body"]);
        assert!(
            (200..300).contains(&status),
            "{example:#}\n{status} {answer:#}"
        );
        assert!(says_taken(provider, &answer), "{example:#}\n{answer:#}");
    }
    assert_eq!(sandboxes.len(), 5, "each provider has examples");
}
