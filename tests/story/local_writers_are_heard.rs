//! A job on the server itself may put files into the drop folder: each is sent once, when it is
//! whole, and nothing that its writer does to the file or its name changes what is sent.
//!
//! Promises 1 and 3 of the README.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use serde_json::Value;

use crate::world::batches::{good_file, good_file_from};
use crate::world::folder::TenantFolder;
#[cfg(feature = "fail-points")]
use crate::world::provider::Reserved;
use crate::world::provider::{Provider, Script};
use crate::world::{SOON, TenantPlan, World};

/// A tenant whose local files settle fast.
fn plan() -> TenantPlan {
    TenantPlan {
        more: "[policy]\nsettle_ms = 200\n",
        ..TenantPlan::new("acme")
    }
}

fn start(messages_per_second: f64) -> (World, Provider) {
    World::start_with(&[plan().rate(messages_per_second)], Script::accepting())
}

/// A path in the drop folder of `acme`.
fn dropped(world: &World, name: &str) -> PathBuf {
    world.folder("acme").path("whatsapp").join(name)
}

/// The status of a name once its newest batch is being sent.
fn sending(world: &mut World, name: &str) -> Value {
    let folder = world.folder("acme");
    world.wait_for("batch that is being sent", SOON, || {
        folder
            .status(name)
            .filter(|status| status["state"] == "sending")
    })
}

fn assert_no_trace(folder: &TenantFolder, names: &[&str]) {
    let left = folder.names("whatsapp");
    for name in names {
        assert!(!left.contains(&(*name).to_owned()), "{name} is still there");
    }
}

/// An export that writes into the folder is answered like an upload.
#[test]
fn a_file_that_was_closed_is_sent_once() {
    let (mut world, provider) = start(500.0);
    fs::write(dropped(&world, "orders.json"), good_file(20)).expect("written");
    let status = world.ended("orders.json");
    assert_eq!(status["counts"]["accepted"], 20, "{status:#}");
    let folder = world.folder("acme");
    assert_eq!(folder.results(&status).len(), 20);
    folder.assert_files_are_there(&status);
    let kept = fs::read(folder.of_batch("processed", &status, "")).expect("kept");
    assert_eq!(kept, good_file(20).as_bytes());
    assert_no_trace(&folder, &["orders.json"]);
    assert_eq!(provider.seen_count(), 20);
}

/// Half of what a slow writer writes must not be sent, however long it takes over the rest.
#[test]
fn a_file_that_is_still_open_is_not_taken() {
    let (mut world, provider) = start(500.0);
    let text = good_file(40);
    let (first, rest) = text.split_at(text.len() / 2);
    let mut file = File::create(dropped(&world, "slow.json")).expect("made");
    file.write_all(first.as_bytes()).expect("written");
    // Another file that comes and goes meanwhile is the witness that there was time enough.
    fs::write(dropped(&world, "witness.json"), good_file_from(100, 1)).expect("written");
    world.ended("witness.json");
    assert!(world.folder("acme").status("slow.json").is_none());
    file.write_all(rest.as_bytes()).expect("written");
    drop(file);
    let status = world.ended("slow.json");
    assert_eq!(status["counts"]["accepted"], 40, "{status:#}");
    assert_eq!(provider.seen_count(), 41);
}

/// Jobs that write under a working name say with the rename that they are done.
#[test]
fn a_file_that_was_moved_in_is_taken_and_a_working_name_is_not() {
    let (mut world, provider) = start(500.0);
    let part = dropped(&world, "orders.json.part");
    fs::write(&part, good_file(10)).expect("written");
    fs::write(dropped(&world, "witness.json"), good_file_from(100, 1)).expect("written");
    world.ended("witness.json");
    assert_eq!(provider.seen_count(), 1, "only the witness was sent");
    fs::rename(&part, dropped(&world, "orders.json")).expect("renamed");
    let status = world.ended("orders.json");
    assert_eq!(status["counts"]["accepted"], 10, "{status:#}");

    // The rename may also come through the door.
    let local = dropped(&world, "later.json.part");
    fs::write(&local, good_file_from(200, 10)).expect("written");
    world
        .client("acme")
        .rename("whatsapp/later.json.part", "whatsapp/later.json")
        .expect_ok();
    let status = world.ended("later.json");
    assert_eq!(status["counts"]["accepted"], 10, "{status:#}");
    assert_eq!(provider.seen_count(), 21);
    assert_no_trace(&world.folder("acme"), &["orders.json", "later.json"]);
}

/// The folder must not be a way to have other files of the machine sent or the service held up.
#[test]
fn links_and_pipes_are_left_alone() {
    let (mut world, provider) = start(500.0);
    let secret = world.local("secret.json", good_file(3));
    symlink(&secret, dropped(&world, "link.json")).expect("linked");
    let pipe = dropped(&world, "pipe.json");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo runs").success());
    fs::write(dropped(&world, "witness.json"), good_file_from(100, 1)).expect("written");
    world.ended("witness.json");
    assert_eq!(provider.seen_count(), 1, "only the witness was sent");
    assert!(dropped(&world, "link.json").is_symlink());
    assert!(pipe.exists());
}

/// A job that writes the name anew while its batch is being sent means a new batch.
#[test]
fn a_newer_file_of_the_name_stays_and_is_the_next_batch() {
    let (mut world, provider) = start(4.0);
    fs::write(dropped(&world, "orders.json"), good_file(8)).expect("written");
    let first = sending(&mut world, "orders.json");
    let next = dropped(&world, "next.tmp");
    fs::write(&next, good_file_from(100, 2)).expect("written");
    fs::rename(&next, dropped(&world, "orders.json")).expect("renamed");
    let folder = world.folder("acme");
    let second = world.wait_for("end of the second batch", SOON, || {
        folder
            .status("orders.json")
            .filter(|status| status["final"] == true && status["batch"] != first["batch"])
    });
    assert_eq!(second["counts"]["accepted"], 2, "{second:#}");
    let kept = folder.of_batch("results", &first, "status.json");
    world.wait_for("end of the first batch", SOON, || {
        kept.is_file().then_some(())
    });
    assert_eq!(folder.results(&first).len(), 8);
    assert_no_trace(&folder, &["orders.json"]);
    assert_eq!(provider.seen_count(), 10);
}

/// Renaming a file that is being sent must not send it again, neither at once nor once its batch
/// has ended and its kept copy is deleted.
#[test]
fn a_file_that_is_renamed_while_it_is_sent_is_sent_once() {
    let (mut world, provider) = start(5.0);
    fs::write(dropped(&world, "local.json"), good_file(6)).expect("written");
    world.drop_file("door.json", good_file_from(100, 6));
    sending(&mut world, "local.json");
    sending(&mut world, "door.json");
    for (from, to) in [("local.json", "a.json"), ("door.json", "dry-run/b.json")] {
        fs::rename(dropped(&world, from), dropped(&world, to)).expect("renamed");
    }
    let ends = ["local.json", "door.json"].map(|name| world.ended(name));
    let folder = world.folder("acme");
    for status in &ends {
        assert_eq!(status["counts"]["accepted"], 6, "{status:#}");
        fs::remove_file(folder.of_batch("processed", status, "")).expect("removed");
    }
    assert_no_trace(&folder, &["a.json", "local.json", "door.json"]);
    assert!(folder.names("whatsapp/dry-run").is_empty());
    fs::write(dropped(&world, "witness.json"), good_file_from(200, 1)).expect("written");
    world.ended("witness.json");
    assert!(folder.status("a.json").is_none() && folder.status("b.json").is_none());
    assert_eq!(provider.seen_count(), 13);
}

/// A client that renames a taken file away and back, which some do to mark it, must not have it
/// sent again, also where the tenant allows the same content twice.
#[test]
fn a_taken_file_that_is_renamed_through_the_door_is_sent_once() {
    let (mut world, provider) = start(5.0);
    let text = good_file(6).replacen('{', "{\"allowDuplicate\": true,", 1);
    fs::write(dropped(&world, "orders.json"), text).expect("written");
    sending(&mut world, "orders.json");
    let client = world.client("acme");
    for (from, to) in [
        ("orders.json", "orders.json.part"),
        ("orders.json.part", "back.json"),
    ] {
        let (from, to) = (format!("whatsapp/{from}"), format!("whatsapp/{to}"));
        client.rename(&from, &to).expect_ok();
    }
    let status = world.ended("orders.json");
    assert_eq!(status["counts"]["accepted"], 6, "{status:#}");
    fs::write(dropped(&world, "witness.json"), good_file_from(200, 1)).expect("written");
    world.ended("witness.json");
    let folder = world.folder("acme");
    assert!(
        folder.status("back.json").is_none(),
        "it is no file of its own"
    );
    assert_no_trace(&folder, &["back.json", "orders.json.part"]);
    assert_eq!(provider.seen_count(), 7);
}

/// A tool that sets the times of what it wrote must not have it sent twice, not even a file that
/// may be sent again; one that writes it anew must have that sent too.
#[cfg(feature = "fail-points")]
#[test]
fn a_file_whose_times_are_set_is_sent_once_and_one_written_anew_twice() {
    let reserved = Reserved::new();
    let mut world = World::prepare(&[plan().rate(2.0)], &reserved);
    let provider = reserved.open(Script::accepting(), &world.path("provider.log"));
    let waits = "wait-unclosed=return(300);wait-sweep=return(100)";
    world.run_with(waits);
    let again =
        |first, count| good_file_from(first, count).replacen('{', "{\"allowDuplicate\": true,", 1);
    let path = dropped(&world, "orders.json");
    fs::write(&path, again(0, 8)).expect("written");
    sending(&mut world, "orders.json");
    let touch = |seconds| {
        let file = File::options().append(true).open(&path).expect("opened");
        let moment = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        file.set_modified(moment).expect("set");
    };
    touch(1_000_000_000);
    // What comes after is taken, so this one would have been.
    fs::write(dropped(&world, "witness.json"), again(100, 1)).expect("written");
    let folder = world.folder("acme");
    world.wait_for("witness that was taken", SOON, || {
        folder.status("witness.json")
    });
    touch(1_000_000_001);
    world.kill();
    world.run_with(waits);
    let first = world.ended("orders.json");
    assert_eq!(folder.results(&first).len(), 8);
    world.ended("witness.json");
    assert_no_trace(&folder, &["orders.json", "witness.json"]);
    let batches = folder.names("whatsapp/processed");
    assert_eq!(batches.len(), 2, "{batches:?}");

    fs::write(&path, again(20, 4)).expect("written");
    let status = world.wait_for("second batch", SOON, || {
        let status = folder.status("orders.json")?;
        (status["batch"] != first["batch"]).then_some(status)
    });
    fs::write(&path, again(30, 4)).expect("written");
    let last = world.wait_for("end of the third batch", SOON, || {
        let newest = folder.status("orders.json")?;
        let is_last = newest["final"] == true && newest["batch"] != status["batch"];
        is_last.then_some(newest)
    });
    assert_eq!(last["counts"]["accepted"], 4, "{last:#}");
    assert_no_trace(&folder, &["orders.json"]);
    assert!(provider.seen_count() <= 8 + 1 + 4 + 4);
}

/// What comes, is renamed or is half sent while the service is down is neither lost nor doubled.
#[cfg(feature = "fail-points")]
#[test]
fn files_that_come_while_the_service_is_down_are_taken() {
    let reserved = Reserved::new();
    let mut world = World::prepare(&[plan().rate(5.0)], &reserved);
    let provider = reserved.open(Script::accepting(), &world.path("provider.log"));
    world.run();
    fs::write(dropped(&world, "first.json"), good_file(6)).expect("written");
    sending(&mut world, "first.json");
    world.kill();
    fs::rename(dropped(&world, "first.json"), dropped(&world, "moved.json")).expect("renamed");
    fs::write(dropped(&world, "second.json"), good_file_from(100, 3)).expect("written");
    world.run_with("wait-unclosed=return(500)");
    let first = world.ended("first.json");
    let counts = &first["counts"];
    let told = counts["accepted"].as_u64().zip(counts["unknown"].as_u64());
    assert_eq!(told.map(|(sent, unknown)| sent + unknown), Some(6));
    let second = world.ended("second.json");
    assert_eq!(second["counts"]["accepted"], 3, "{second:#}");
    assert!(provider.seen_count() <= 9);
    let folder = world.folder("acme");
    assert!(folder.status("moved.json").is_none());
    assert_no_trace(&folder, &["first.json", "moved.json"]);
}

/// A file that is copied over and over by its owner's tool must not bring the service to read it
/// before it lies still, and what it holds then is what is sent.
#[test]
fn what_is_sent_is_what_the_file_held_when_it_lay_still() {
    let (mut world, provider) = start(500.0);
    let path = dropped(&world, "orders.json");
    for count in 1..=30 {
        fs::write(&path, good_file(count)).expect("written");
    }
    let status = world.ended("orders.json");
    assert_eq!(status["counts"]["accepted"], 30, "{status:#}");
    assert_eq!(provider.seen_count(), 30);
}

/// A job that links its finished file into place has written nothing under that name; its file
/// has two names, and both go when it has been sent.
#[cfg(feature = "fail-points")]
#[test]
fn a_file_that_was_linked_into_place_is_sent_once() {
    let reserved = Reserved::new();
    let mut world = World::prepare(&[plan()], &reserved);
    let provider = reserved.open(Script::accepting(), &world.path("provider.log"));
    world.run_with("wait-unclosed=return(500);wait-sweep=return(300)");
    let part = dropped(&world, "orders.json.tmp");
    fs::write(&part, good_file(4)).expect("written");
    fs::hard_link(&part, dropped(&world, "orders.json")).expect("linked");
    let status = world.ended("orders.json");
    assert_eq!(status["counts"]["accepted"], 4, "{status:#}");
    assert_no_trace(&world.folder("acme"), &["orders.json", "orders.json.tmp"]);
    assert_eq!(provider.seen_count(), 4);
}

/// A power cut at any step of a local file's way must not lose it, nor send it twice, nor leave a
/// trace of it where it was dropped.
#[cfg(feature = "fail-points")]
#[test]
fn a_kill_at_any_step_neither_loses_nor_doubles_a_local_file() {
    const POINTS: [&str; 20] = [
        "local-copied",
        "local-spooled",
        "received",
        "held",
        "check-begun",
        "kept",
        "admitted",
        "report-sealed",
        "report-announced",
        "report-revealed",
        "report-done",
        "file-linked",
        "name-aside",
        "name-removed",
        "status-final",
        "ended",
        "released",
        // At the second file of a start.
        "local-spooled=1*off->return",
        "held=1*off->return",
        "ended=1*off->return",
    ];
    let reserved = Reserved::new();
    let mut world = World::prepare(&[plan()], &reserved);
    let provider = reserved.open(Script::accepting(), &world.path("provider.log"));
    let waits = "wait-unclosed=return(300);wait-sweep=return(300)";
    let folder = world.folder("acme");
    for (at, point) in (0..).zip(POINTS) {
        let action = if point.contains('=') {
            point.to_owned()
        } else {
            format!("{point}=return")
        };
        world.run_with(&format!("{waits};{action}"));
        let names = [format!("{at}-a.json"), format!("{at}-b.json")];
        for (name, first) in names.iter().zip([at * 20, at * 20 + 10]) {
            let text = good_file_from(first, 2);
            fs::write(dropped(&world, name), text).expect("written");
        }
        world.died();
        world.run_with(waits);
        for name in &names {
            let status = world.ended(name);
            let lines = folder.results(&status);
            assert_eq!(lines.len(), 2, "{point}");
            let batch = status["batch"].as_str().expect("a batch id");
            let seen = provider.seen_of(batch);
            for line in &lines {
                let index = line["index"].as_u64().expect("an index");
                let sent = seen.get(&index).map_or(0, Vec::len);
                let told = line["status"] == "accepted" && sent == 1;
                // One that was under way at the kill is unknown, and never sent again.
                let doubt = line["status"] == "unknown" && sent <= 1;
                assert!(told || doubt, "{point}: sent {sent} times: {line}");
            }
            folder.assert_files_are_there(&status);
        }
        let spool = ["new", "held"].map(|part| world.path(&format!("data/spool/{part}/acme")));
        world.wait_for("empty spool", SOON, || {
            let empty = |path: &PathBuf| fs::read_dir(path).expect("a part").next().is_none();
            spool.iter().all(empty).then_some(())
        });
        let left: Vec<_> = fs::read_dir(folder.path("whatsapp"))
            .expect("listed")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.is_file())
            .collect();
        assert!(left.is_empty(), "{point}: {left:?}");
        let batches = folder.names("whatsapp/processed");
        assert_eq!(batches.len(), 2 * (at as usize + 1), "{point}: {batches:?}");
        world.kill();
    }
}
