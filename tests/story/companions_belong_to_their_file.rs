//! A checksum decides about the file that it was made for and about no other; a `.done` starts one
//! file, once.

use std::fs;

use serde_json::Value;

use crate::world::batches::{good_file, good_file_from};
use crate::world::provider::{Provider, Script};
use crate::world::{SOON, TenantPlan, World};

const SETTLES: &str = "[policy]\nsettle_ms = 200\n";

fn start_at(messages_per_second: f64) -> (World, Provider) {
    let plan = TenantPlan {
        more: SETTLES,
        ..TenantPlan::new("acme")
    };
    World::start_with(&[plan.rate(messages_per_second)], Script::accepting())
}

/// The sum of a file as the tools write it.
fn sum_of(world: &World, tool: &str, text: &str) -> String {
    let file = world.local("summed", text);
    let ran = std::process::Command::new(tool).arg(file).output();
    String::from_utf8(ran.expect("the tool runs").stdout).expect("text")
}

fn gone(world: &mut World, name: &str) {
    let path = world.folder("acme").path("whatsapp").join(name);
    world.wait_for("removal of a companion", SOON, || {
        (!path.exists()).then_some(())
    });
}

fn code(status: &Value) -> &str {
    status["reason"]["code"].as_str().unwrap_or_default()
}

/// A file that was cut or changed on its way must not be sent, and one that was not must be.
#[test]
fn a_checksum_that_came_first_decides() {
    let (mut world, provider) = start_at(500.0);
    let text = good_file(3);
    for (tool, end) in [("sha256sum", "sha256"), ("md5sum", "md5")] {
        let bad = format!("bad.json.{end}");
        world.drop_file(&bad, sum_of(&world, tool, "another file"));
        world.drop_file("bad.json", &text);
        let status = world.ended("bad.json");
        assert_eq!(code(&status), "file.checksum_mismatch", "{status:#}");
        gone(&mut world, &bad);
    }
    assert_eq!(provider.seen_count(), 0);

    // One that holds no sum stops its file, also if that comes at once.
    world.drop_file("hasty.json.md5", "no sum\n");
    world.drop_file("hasty.json", &text);
    let status = world.ended("hasty.json");
    assert_eq!(code(&status), "file.checksum_garbled", "{status:#}");
    gone(&mut world, "hasty.json.md5");

    world.drop_file("garbled.json.sha256", "no sum\n");
    // What was just written may be half written; it counts once it has lain still.
    world.drop_file("witness.json.sha256", sum_of(&world, "sha256sum", &text));
    fs::write(world.folder("acme").path("whatsapp/quiet.json"), "{}").expect("written");
    world.ended("quiet.json");
    world.drop_file("garbled.json", &text);
    let status = world.ended("garbled.json");
    assert_eq!(code(&status), "file.checksum_garbled", "{status:#}");

    world.drop_file("witness.json", &text);
    let status = world.ended("witness.json");
    assert_eq!(status["counts"]["accepted"], 3, "{status:#}");
    gone(&mut world, "witness.json.sha256");
    gone(&mut world, "garbled.json.sha256");

    // A checksum that was heard is of no concern to the next file of the name.
    world.drop_file("witness.json", good_file_from(10, 2));
    let status = world.ended_after("witness.json", &status);
    assert_eq!(status["counts"]["accepted"], 2, "{status:#}");
    assert_eq!(provider.seen_count(), 5);
}

/// A checksum of the file as it was uploaded says nothing of what it expands to.
#[test]
fn a_checksum_is_of_the_bytes_as_uploaded() {
    let (mut world, provider) = start_at(500.0);
    let text = world.local("orders.json", good_file(2));
    let packed = std::process::Command::new("gzip")
        .arg("-k")
        .arg(&text)
        .status();
    assert!(packed.expect("gzip runs").success());
    let packed = text.with_extension("json.gz");
    let ran = std::process::Command::new("sha256sum")
        .arg(&packed)
        .output();
    let sum = String::from_utf8(ran.expect("sha256sum runs").stdout).expect("text");
    world.drop_file("orders.json.gz.sha256", sum);
    let client = world.client("acme");
    client.put(&packed, "whatsapp/orders.json.gz").expect_ok();
    let status = world.ended("orders.json.gz");
    assert_eq!(status["counts"]["accepted"], 2, "{status:#}");
    assert_eq!(provider.seen_count(), 2);
}

/// Most jobs upload the checksum after the file: it fits and goes, or the sender is warned.
#[cfg(feature = "fail-points")]
#[test]
fn a_checksum_that_came_late_fits_or_warns() {
    let (mut world, _provider) = start_at(2.0);
    world.kill();
    world.run_with("wait-refused=return(800);wait-sweep=return(200)");
    let text = good_file(20);
    world.drop_file("orders.json", &text);
    let folder = world.folder("acme");
    world.wait_for("batch that is being sent", SOON, || {
        folder
            .status("orders.json")
            .filter(|status| status["state"] == "sending")
    });
    world.drop_file("orders.json.md5", sum_of(&world, "md5sum", &text));
    gone(&mut world, "orders.json.md5");
    let warnings = |status: &Value| status["warnings"].as_array().map_or(0, Vec::len);
    assert_eq!(
        folder.status("orders.json").map(|it| warnings(&it)),
        Some(0)
    );
    world.drop_file("orders.json.sha256", sum_of(&world, "sha256sum", "another"));
    gone(&mut world, "orders.json.sha256");
    let status = world.ended("orders.json");
    assert_eq!(status["counts"]["accepted"], 20, "{status:#}");
    assert_eq!(warnings(&status), 1, "{status:#}");
    assert_eq!(status["warnings"][0]["code"], "file.checksum_mismatch");

    // A checksum of a kind that was heard is for the file that comes next.
    world.drop_file("orders.json.sha256", sum_of(&world, "sha256sum", "another"));
    world.drop_file("quick.json", good_file_from(200, 1));
    let quick = world.ended("quick.json");
    assert_eq!(quick["counts"]["accepted"], 1);
    world.drop_file("orders.json", good_file_from(100, 1));
    let status = world.ended_after("orders.json", &status);
    assert_eq!(code(&status), "file.checksum_mismatch", "{status:#}");

    // One that came while its file was sent, and is heard when that has ended, is answered itself.
    world.drop_file("slow.json", good_file_from(300, 2));
    world.drop_file("slow.json.md5", "not a sum");
    let status = world.ended("slow.json.md5");
    assert_eq!(code(&status), "file.checksum_garbled", "{status:#}");
}

/// A checksum that lies there long before its file must decide about that file, and not be used up
/// by yesterday's: the file is large, and its upload may be slow.
#[cfg(feature = "fail-points")]
#[test]
fn a_checksum_waits_for_todays_file() {
    let (mut world, provider) = start_at(500.0);
    world.kill();
    world.run_with("wait-refused=return(300);wait-sweep=return(100)");
    world.drop_file("orders.json", good_file(1));
    let mut status = world.ended("orders.json");
    // Blanks are of no concern to the check and take their time on the way.
    let slow = |first| good_file_from(first, 40) + &" ".repeat(600_000);
    let (right, damaged) = (slow(100), slow(600));
    let lies = |world: &World| {
        let folder = world.folder("acme").path("whatsapp");
        folder.join("orders.json.sha256").exists()
    };
    // The companion of another file, seen at the same time, is the witness that this one is ripe.
    let ripened = |world: &mut World, witness: &str| {
        world.drop_file(&format!("{witness}.csv"), "no batch");
        world.ended(&format!("{witness}.csv"));
        assert!(lies(world), "it was used up");
    };
    for (text, witness) in [(&damaged, "one"), (&right, "two")] {
        world.drop_file("orders.json.sha256", sum_of(&world, "sha256sum", &right));
        ripened(&mut world, witness);
        let local = world.local("large", text);
        let upload = world
            .client("acme")
            .begin_put(&local, "whatsapp/orders.json", 2_000);
        let partial = world
            .folder("acme")
            .path("whatsapp/.dropcast-up.orders.json");
        world.wait_for("begin of the upload", SOON, || {
            partial.exists().then_some(())
        });
        ripened(&mut world, &format!("{witness}-again"));
        status = world.ended_after("orders.json", &status);
        upload.cut();
        gone(&mut world, "orders.json.sha256");
        if text == &damaged {
            assert_eq!(code(&status), "file.checksum_mismatch", "{status:#}");
        }
    }
    assert_eq!(status["counts"]["accepted"], 40, "{status:#}");
    assert_eq!(provider.seen_count(), 41);
}

/// A checksum that came after the end of the newest file of its name belongs to none; its sender
/// learns of it after a day.
#[cfg(feature = "fail-points")]
#[test]
fn a_checksum_whose_file_never_comes_is_answered() {
    let (mut world, _provider) = start_at(500.0);
    world.kill();
    world.run_with("wait-refused=return(300);wait-sweep=return(100);wait-abandoned=return(1500)");
    world.drop_file("orders.json", good_file(1));
    world.ended("orders.json");
    world.drop_file("orders.json.sha256", "0".repeat(64));
    let status = world.ended("orders.json.sha256");
    assert_eq!(code(&status), "file.abandoned", "{status:#}");
}

/// A checksum that was heard must not be heard again after a kill, about the next file.
#[cfg(feature = "fail-points")]
#[test]
fn a_checksum_is_heard_once_though_the_service_is_killed() {
    // No companion settles before the end of the story, so none is removed before.
    let plan = TenantPlan {
        more: "[policy]\nsettle_ms = 600000\n",
        ..TenantPlan::new("acme")
    };
    let (mut world, provider) = World::start_with(&[plan], Script::accepting());
    world.kill();
    for (at, point) in (0_u64..).zip(["refused", "status-final", "name-aside"]) {
        let name = format!("orders-{at}.json");
        world.run_with(&format!("{point}=return"));
        world.drop_file(&format!("{name}.sha256"), "0".repeat(64));
        // The close may be answered just before the kill, or never.
        let local = world.local("text", good_file_from(at * 10, 2));
        drop(
            world
                .client("acme")
                .put(&local, &format!("whatsapp/{name}")),
        );
        world.died();
        world.run();
        let first = world.ended(&name);
        assert_eq!(code(&first), "file.checksum_mismatch", "{point}: {first:#}");
        world.drop_file(&name, good_file_from(100 + at * 10, 2));
        let second = world.ended_after(&name, &first);
        assert_eq!(second["counts"]["accepted"], 2, "{point}: {second:#}");
        let companion = world.folder("acme").path("whatsapp");
        let companion = companion.join(format!("{name}.sha256"));
        assert!(companion.exists(), "{point}: the story shows nothing");
        // A status is final just before its batch has ended, and the next daemon dies at an end.
        let held = world.path("data/spool/held/acme");
        world.wait_for("end of all batches", SOON, || {
            let mut left = fs::read_dir(&held).expect("listed");
            left.next().is_none().then_some(())
        });
        world.kill();
    }
    world.run_with("wait-unclosed=return(300)");
    for at in 0..3 {
        gone(&mut world, &format!("orders-{at}.json.sha256"));
    }
    assert_eq!(provider.seen_count(), 6);
}

/// A tenant whose files wait for their `.done` has each sent once it is there, and not before.
#[test]
fn a_file_waits_for_its_done() {
    let plan = TenantPlan {
        more: "[policy]\nsettle_ms = 200\ntrigger = \"done-file\"\n",
        ..TenantPlan::new("acme")
    };
    let (mut world, provider) = World::start_with(&[plan], Script::accepting());
    let folder = world.folder("acme");
    world.drop_file("after.json", good_file(2));
    let waits = world.wait_for("status that waits", SOON, || {
        folder
            .status("after.json")
            .filter(|it| it.get("held").is_some())
    });
    assert_eq!(waits["state"], "received", "{waits:#}");
    let held = waits["held"].as_str().expect("words");
    assert!(held.contains("after.json.done"), "{held}");

    // Before, after, and by a local job.
    world.drop_file("before.json.done", "");
    world.drop_file("before.json", good_file_from(10, 2));
    let status = world.ended("before.json");
    assert_eq!(status["counts"]["accepted"], 2, "{status:#}");
    gone(&mut world, "before.json.done");
    assert_eq!(provider.seen_count(), 2, "the other one waits");
    fs::write(folder.path("whatsapp/after.json.done"), "").expect("written");
    let status = world.ended("after.json");
    assert_eq!(status["counts"]["accepted"], 2, "{status:#}");
    gone(&mut world, "after.json.done");

    // The `.done` has been used up: the next file of the name waits for its own.
    world.drop_file("after.json", good_file_from(20, 1));
    world.drop_file("after.json", good_file_from(30, 1));
    world.drop_file("witness.json.done", "");
    world.drop_file("witness.json", good_file_from(40, 1));
    world.ended("witness.json");
    assert_eq!(provider.seen_count(), 5);
    world.kill();
    world.run();
    world.drop_file("after.json.done", "");
    let status = world.ended_after("after.json", &status);
    assert_eq!(status["counts"]["accepted"], 1, "{status:#}");
    assert_eq!(
        provider.taken_for("+31610000030"),
        1,
        "the newer of the two"
    );
    let errors = folder.names("whatsapp/errors");
    let replaced = errors.iter().find(|name| name.ends_with(".errors.json"));
    let replaced = replaced.expect("the older of the two is answered");
    let text = fs::read_to_string(folder.path("whatsapp/errors").join(replaced));
    assert!(text.expect("read").contains("file.replaced"));
}
