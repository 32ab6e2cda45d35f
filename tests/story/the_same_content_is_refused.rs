//! The same content is not sent twice, whatever it is called and however it is packed.

use crate::world::World;
use crate::world::batches::good_file;
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
