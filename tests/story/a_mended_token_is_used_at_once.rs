//! A token that the provider does not accept any more stops its tenant and costs no message; once
//! another stands in its file everything goes on by itself.
//!
//! Promise 6 of the README.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::world::batches::good_file;
use crate::world::provider::Script;
use crate::world::{SOON, World, wait_for};

/// What is held with a credential is looked at after a minute: less shows that nobody waited so
/// long.
const WITHIN: Duration = Duration::from_secs(20);

/// Tokens end at night. Nobody should have to restart a service, or to send a batch again, because
/// a new one was put in the place of the old.
#[test]
fn messages_go_on_once_the_file_of_the_token_is_mended() {
    let (mut world, provider) = World::start(Script::accepting().for_token("EAAG-the-next"));
    world.drop_file("orders.json", good_file(20));
    let folder = world.folder("acme");
    let is_held = |status: &Value| {
        let held = status["held"].as_str().unwrap_or_default();
        held.contains("access token")
    };
    wait_for("batch that is held", SOON, || {
        folder.status("orders.json").filter(is_held)
    });
    assert_eq!(provider.seen().len(), 0);
    // Whoever empties the file first takes nothing away.
    let token = world.path("tenants.d/acme.token");
    fs::write(&token, "").expect("emptied");
    fs::write(&token, "EAAG-the-next\n").expect("written");
    let status = world.ended_of("acme", "orders.json", WITHIN);
    assert_eq!(status["counts"]["accepted"], 20, "{status}");
    assert_eq!(provider.seen().len(), 20);
    for line in folder.results(&status) {
        assert!(
            line["attempts"].as_u64().is_some_and(|tries| tries <= 10),
            "{line}"
        );
    }
    let (code, _) = world.stop();
    assert_eq!(code, Some(0));
}
