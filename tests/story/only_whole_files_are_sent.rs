//! A file counts when it is whole and not before: whatever the client and the line do, half of one
//! is never read, and nothing that was answered `OK` is lost.
//!
//! Promises 1 and 5 of the README.

use serde_json::Value;

use crate::world::batches::good_file;
use crate::world::folder::largest_file;
use crate::world::provider::Script;
use crate::world::{SOON, World};

/// An upload that was cut off after some hundred rows must not send these hundred, and its sender
/// must be able to go on with it.
#[test]
fn an_upload_that_is_cut_off_sends_nothing_until_it_is_resumed() {
    const SEEN_BYTES: u64 = 32 << 10;
    const KILOBITS: u32 = 2_000;
    let (mut world, provider) = World::start(Script::accepting());
    let file = good_file(4_000);
    assert!(
        file.len() as u64 > 8 * SEEN_BYTES,
        "long enough to be cut off"
    );
    let local = world.local("long.json", &file);
    let client = world.client("acme");
    let upload = client.begin_put(&local, "whatsapp/long.json", KILOBITS);
    let tenant = world.folder("acme").path("");
    world.wait_for("part of the upload on disk", SOON, || {
        (largest_file(&tenant) >= SEEN_BYTES).then_some(())
    });
    upload.cut();

    // A second file that goes all the way through is the witness that there was time enough.
    world.drop_file("witness.json", good_file(1));
    let witness = world.ended("witness.json");
    assert_eq!(witness["counts"]["accepted"], 1);
    assert_eq!(provider.seen_count(), 1, "only the witness was sent");
    let folder = world.folder("acme");
    assert!(
        folder.status("long.json").is_none(),
        "half a file has arrived"
    );
    let size = largest_file(&tenant);
    assert!(size < file.len() as u64, "the upload was not cut off");

    client.reput(&local, "whatsapp/long.json").expect_ok();
    let status = world.ended("long.json");
    assert_eq!(status["bytes"], file.len());
    assert_eq!(status["counts"]["total"], 4_000, "{status:#}");
    assert_eq!(status["counts"]["accepted"], 4_000, "{status:#}");
    assert_eq!(provider.seen_count(), 4_001);
}

/// Clients that are killed together with their job come again from the start.
#[test]
fn an_upload_that_is_cut_off_can_be_done_again() {
    const SEEN_BYTES: u64 = 64 << 10;
    let (mut world, provider) = World::start(Script::accepting());
    let file = good_file(4_000);
    let local = world.local("long.json", &file);
    let client = world.client("acme");
    let upload = client.begin_put(&local, "whatsapp/long.json", 2_000);
    let tenant = world.folder("acme").path("");
    world.wait_for("part of the upload on disk", SOON, || {
        (largest_file(&tenant) >= SEEN_BYTES).then_some(())
    });
    upload.cut();
    client.put(&local, "whatsapp/long.json").expect_ok();
    let status = world.ended("long.json");
    assert_eq!(status["counts"]["accepted"], 4_000, "{status:#}");
    assert_eq!(provider.seen_count(), 4_000);
}

/// Many clients upload under a working name; the file counts with its rename, once.
#[test]
fn a_working_name_waits_for_its_rename() {
    let (mut world, provider) = World::start(Script::accepting());
    let local = world.local("orders.json", good_file(20));
    let client = world.client("acme");
    client.put(&local, "whatsapp/orders.json.part").expect_ok();
    assert!(
        client
            .list("whatsapp")
            .contains(&"orders.json.part".to_owned())
    );
    world.drop_file("witness.json", good_file(1));
    world.ended("witness.json");
    assert_eq!(provider.seen_count(), 1, "only the witness was sent");

    client
        .rename("whatsapp/orders.json.part", "whatsapp/orders.json")
        .expect_ok();
    let status = world.ended("orders.json");
    assert_eq!(status["counts"]["accepted"], 20);
    assert_eq!(provider.seen_count(), 21);
    assert!(!client.list("whatsapp").contains(&"orders.json".to_owned()));
}

/// The close was answered: from here on the file is ours, whatever happens to the daemon.
#[test]
fn a_file_whose_close_was_answered_outlives_a_kill() {
    let (mut world, provider) = World::start(Script::accepting());
    let local = world.local("orders.json", good_file(50));
    world
        .client("acme")
        .put(&local, "whatsapp/orders.json")
        .expect_ok();
    world.kill();
    world.run();
    let status = world.ended("orders.json");
    let folder = world.folder("acme");
    let lines = folder.results(&status);
    assert_eq!(lines.len(), 50);
    for line in &lines {
        let index = line["index"].as_u64().expect("an index");
        let batch = status["batch"].as_str().expect("a batch id");
        let sent = provider.seen_of(batch).get(&index).map_or(0, Vec::len);
        assert!(sent <= 1, "message {index} was sent {sent} times");
    }
    let ended: Vec<Value> = folder.status("orders.json").into_iter().collect();
    assert_eq!(ended, [status]);
}
