//! Whatever lies in the drop folder is answered: what cannot be a batch is refused with its reason,
//! kept in `errors/`, and never silently left.
//!
//! The waits of these stories are shortened, which only a build with fail points can.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::world::batches::good_file;
use crate::world::provider::Reserved;
use crate::world::{SOON, TenantPlan, World};

const WAITS: &str = "wait-unclosed=return(300);wait-refused=return(400);\
                     wait-abandoned=return(1500);wait-sweep=return(200)";

const SETTLES: &str = "[policy]\nsettle_ms = 100\n\n[limits]\nbytes_max = \"100 KiB\"\n";

fn start() -> (World, Reserved) {
    let reserved = Reserved::new();
    let mut world = World::prepare(&[plan()], &reserved);
    world.run_with(WAITS);
    (world, reserved)
}

fn plan() -> TenantPlan {
    TenantPlan {
        more: SETTLES,
        ..TenantPlan::new("acme")
    }
}

/// What became of a file, once everything about it is written.
fn refused(world: &mut World, name: &str, code: &str) -> Value {
    let status = world.ended(name);
    assert_eq!(status["state"], "rejected", "{status:#}");
    assert_eq!(status["reason"]["code"], code, "{status:#}");
    let folder = world.folder("acme");
    let faults = folder.faults(&status);
    assert_eq!(faults["verdict"], "refused");
    assert_eq!(faults["faults"][0]["code"], code);
    folder.assert_files_are_there(&status);
    let left = folder.path("whatsapp").join(name);
    assert!(!left.exists(), "{name} is still there");
    status
}

/// Who uploads a file that can never be a batch must learn so, and have the file back.
#[test]
fn files_that_cannot_be_batches_are_refused_with_a_reason() {
    let (mut world, _provider) = start();
    let folder = world.folder("acme");
    let csv = world.local("orders.csv", "to;text\n");
    let client = world.client("acme");
    client.put(&csv, "whatsapp/orders.csv").expect_ok();
    fs::write(folder.path("whatsapp/orders.json.gpg"), b"\x85").expect("written");
    fs::write(folder.path("whatsapp/empty.json"), b"").expect("written");
    fs::write(folder.path("whatsapp/dry-run/huge.json"), good_file(2_000)).expect("written");
    let size = fs::metadata(folder.path("whatsapp/dry-run/huge.json"))
        .expect("there")
        .len();

    let status = refused(&mut world, "orders.csv", "file.unknown_ending");
    let kept = fs::read_to_string(folder.of_batch("errors", &status, "")).expect("kept");
    assert_eq!(kept, "to;text\n");
    let expected = status["reason"]["expected"].as_str().expect("words");
    assert!(expected.contains(".jsonl"), "{expected}");
    refused(&mut world, "orders.json.gpg", "file.encrypted");
    let status = refused(&mut world, "empty.json", "file.empty");
    assert_eq!(status["bytes"], 0);
    let status = refused(&mut world, "huge.json", "file.too_large");
    assert_eq!(status["bytes"], size);
    let kept = fs::metadata(folder.of_batch("errors", &status, "")).expect("kept");
    assert_eq!(kept.len(), size);
}

/// Someone who believes a batch is cancelled while it is being sent has to be told at once.
#[test]
fn a_wish_for_no_batch_is_refused_in_plain_words() {
    let (mut world, _provider) = start();
    let local = world.local("orders.json.cancel", "");
    let client = world.client("acme");
    client
        .put(&local, "whatsapp/orders.json.cancel")
        .expect_ok();
    let status = refused(&mut world, "orders.json.cancel", "file.steering_unknown");
    let hint = status["reason"]["hint"].as_str().expect("words");
    assert!(hint.contains("nothing was changed"), "{hint}");
}

/// A working name that nobody renames, and a companion whose file never comes, are an upload that
/// failed: its sender must hear of it. Half an upload of the door's own goes without a word.
#[test]
fn what_is_abandoned_is_refused_or_removed() {
    let (mut world, _provider) = start();
    let folder = world.folder("acme");
    fs::write(folder.path("whatsapp/orders.json.part"), good_file(3)).expect("written");
    fs::write(folder.path("whatsapp/never.json.md5"), "0".repeat(32)).expect("written");
    fs::write(folder.path("whatsapp/never.json.done"), "").expect("written");
    let partial = folder.path("whatsapp/.dropcast-up.half.json");
    fs::write(&partial, b"{").expect("written");
    refused(&mut world, "orders.json.part", "file.abandoned");
    refused(&mut world, "never.json.md5", "file.abandoned");
    refused(&mut world, "never.json.done", "file.abandoned");
    world.wait_for("removal of half an upload", SOON, || {
        (!partial.exists()).then_some(())
    });
    assert!(folder.status("half.json").is_none());
}

/// A file that is refused unread is moved, not copied: what its writer adds while it is refused is
/// a file of its own, and nothing is lost.
#[test]
fn a_kill_while_a_file_is_refused_refuses_it_once() {
    const POINTS: [&str; 7] = [
        "local-spooled",
        "received",
        "refused",
        "report-done",
        "name-aside",
        "name-removed",
        "ended",
    ];
    let (mut world, _provider) = start();
    world.kill();
    let folder = world.folder("acme");
    for (at, point) in POINTS.iter().enumerate() {
        world.run_with(&format!("{WAITS};{point}=return"));
        let name = format!("{at}.csv");
        fs::write(folder.path("whatsapp").join(&name), b"a;b\n").expect("written");
        world.died();
        world.run_with(WAITS);
        let status = refused(&mut world, &name, "file.unknown_ending");
        let kept = fs::read(folder.of_batch("errors", &status, "")).expect("kept");
        assert_eq!(kept, b"a;b\n", "{point}");
        let names = folder.names("whatsapp/errors");
        assert_eq!(names.len(), 2 * (at + 1), "{point}: {names:?}");
        world.kill();
    }
}

/// A job that forgets the mode of its files has to learn why they are not sent.
#[test]
fn a_file_that_may_not_be_read_is_refused() {
    let reserved = Reserved::new();
    let mut world = World::prepare(&[plan()], &reserved);
    world.run_bound_by_modes(WAITS);
    let path = world.folder("acme").path("whatsapp/orders.json.tmp");
    fs::write(&path, good_file(1)).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).expect("set");
    fs::rename(&path, path.with_extension("")).expect("renamed");
    refused(&mut world, "orders.json", "file.unreadable");
}
