//! A file that is cut off by a crash on its way into the spool is either an upload to be resumed,
//! or a batch of which every message is sent once; whatever the step, its sender finds out which.
//!
//! Promises 1 and 3 of the README.

use crate::world::batches::good_file;
use crate::world::provider::Script;
use crate::world::{SOON, World};

/// Before these steps are done nothing is in the spool.
const BEFORE: [&str; 3] = ["close-sealed", "close-synced", "rename-synced"];
/// From these on the file is a batch.
const AFTER: [&str; 10] = [
    "close-linked",
    "close-spool-synced",
    "close-renamed",
    "close-shown",
    "close-folder-synced",
    "rename-linked",
    "rename-spool-synced",
    "rename-moved",
    "rename-shown",
    "rename-folder-synced",
];

/// Uploads a file to a daemon that dies at this point, and starts another.
fn die_at(world: &mut World, point: &str) {
    world.stop();
    world.run_with(&format!("{point}=return"));
    let (name, text) = (format!("{point}.json"), good_file_of(point));
    let local = world.local(&name, text);
    let client = world.client("acme");
    let whole = format!("whatsapp/{name}");
    if point.starts_with("close") {
        client.put(&local, &whole).expect_refused();
    } else {
        let part = format!("{whole}.part");
        client.put(&local, &part).expect_ok();
        client.rename(&part, &whole).expect_refused();
    }
    world.died();
    world.run();
}

/// A file that no other is the same as, so that none is refused as a duplicate.
fn good_file_of(point: &str) -> String {
    good_file(3).replace("Dispatch run 12", point)
}

/// A client whose close was not answered must find its file taken or whole enough to go on with,
/// and nobody may get a message twice.
#[test]
fn each_step_of_a_close_can_be_the_last() {
    let (mut world, provider) = World::start(Script::accepting());
    for point in AFTER {
        die_at(&mut world, point);
        let status = world.ended(&format!("{point}.json"));
        assert_eq!(status["counts"]["accepted"], 3, "{point} {status:#}");
        let left = world.folder("acme").names("whatsapp");
        assert!(
            left.iter().all(|name| !name.contains(point)),
            "{point} {left:?}"
        );
    }
    for point in BEFORE {
        die_at(&mut world, point);
        let name = format!("{point}.json");
        assert!(world.folder("acme").status(&name).is_none(), "{point}");
        let (client, whole) = (world.client("acme"), format!("whatsapp/{name}"));
        if point.starts_with("close") {
            let local = world.path(&format!("local/{name}"));
            client.put(&local, &whole).expect_ok();
        } else {
            client.rename(&format!("{whole}.part"), &whole).expect_ok();
        }
        let status = world.ended(&name);
        assert_eq!(status["counts"]["accepted"], 3, "{point} {status:#}");
    }
    provider.wait_for_requests(3 * (AFTER.len() + BEFORE.len()), SOON);
    assert_eq!(provider.seen_count(), 3 * (AFTER.len() + BEFORE.len()));
}
