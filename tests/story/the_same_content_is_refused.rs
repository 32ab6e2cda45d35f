//! The same content is not sent twice, whatever it is called and however it is packed.

use crate::world::World;
use crate::world::batches::{good_file, good_file_from};
use crate::world::provider::Script;

/// A sync job that uploads yesterday's file again would send every message again.
#[test]
fn the_same_content_again_is_refused_and_names_the_earlier_batch() {
    let (mut world, provider) = World::start(Script::accepting());
    world.drop_file("monday.json", good_file(5));
    let first = world.ended("monday.json");
    world.drop_file("tuesday.json", good_file(5));
    let second = world.ended("tuesday.json");
    assert_eq!(second["state"], "duplicate");
    assert_eq!(second["reason"]["code"], "file.duplicate");
    assert_eq!(second["sha256"], first["sha256"]);
    let earlier = first["batch"].as_str().expect("a batch id");
    let reason = second["reason"].to_string();
    assert!(reason.contains(earlier), "{reason}");
    let folder = world.folder("acme");
    let report = folder.faults(&second);
    assert_eq!(report["verdict"], "refused");
    assert_eq!(report["faults"][0]["code"], "file.duplicate");
    assert!(folder.of_batch("errors", &second, "").is_file());
    assert_eq!(provider.seen_count(), 5);
}

/// Who means it must be able to say so.
#[test]
fn the_same_content_goes_when_the_file_allows_it() {
    let (mut world, provider) = World::start(Script::accepting());
    let file = good_file(2).replacen('{', "{\"allowDuplicate\": true,", 1);
    world.drop_file("monday.json", &file);
    world.ended("monday.json");
    world.drop_file("tuesday.json", &file);
    let second = world.ended("tuesday.json");
    assert_eq!(second["counts"]["accepted"], 2, "{second:#}");
    assert_eq!(provider.seen_count(), 4);
}

/// Whoever mends a file, or only tried it, must be able to drop it; nothing of it has been sent.
#[test]
fn what_was_refused_or_only_checked_may_come_again() {
    let (mut world, provider) = World::start(Script::accepting());
    let file = good_file(2);
    world.drop_file("orders.json", format!("{file}}}"));
    let broken = world.ended("orders.json");
    assert_eq!(broken["state"], "rejected", "{broken:#}");
    let local = world.local("tried.json", &file);
    let client = world.client("acme");
    client
        .put(&local, "whatsapp/dry-run/tried.json")
        .expect_ok();
    assert_eq!(world.ended("tried.json")["state"], "checked");
    let again = format!("{file}}}");
    world.drop_file("again.json", again);
    assert_eq!(world.ended("again.json")["state"], "rejected");
    world.drop_file("orders.json", &file);
    let sent = world.ended_after("orders.json", &broken);
    assert_eq!(sent["counts"]["accepted"], 2, "{sent:#}");
    // Trying what was sent before is no second sending.
    client.put(&local, "whatsapp/dry-run/late.json").expect_ok();
    assert_eq!(world.ended("late.json")["state"], "checked");
    assert_eq!(provider.seen_count(), 2);
}

/// With a key of its own a file says itself what is the same: the key alone decides.
#[test]
fn the_key_alone_decides_where_a_file_has_one() {
    let (mut world, provider) = World::start(Script::accepting());
    let keyed = |first: u64, key: &str, more: &str| {
        let head = format!("{{\"batchKey\": \"{key}\",{more}");
        good_file_from(first, 1).replacen('{', &head, 1)
    };
    let mut state = |name: &str, text: String| {
        world.drop_file(name, text);
        world.ended(name)["state"].clone()
    };
    assert_eq!(state("a.json", keyed(0, "one", "")), "finished");
    assert_eq!(state("b.json", keyed(1, "one", "")), "duplicate");
    let allowed = keyed(2, "one", "\"allowDuplicate\": true,");
    assert_eq!(state("c.json", allowed), "duplicate");
    assert_eq!(state("d.json", keyed(0, "two", "")), "finished");
    assert_eq!(provider.seen_count(), 2);
}
