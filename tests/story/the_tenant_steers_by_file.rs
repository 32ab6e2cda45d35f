//! A tenant that sees nothing but its folder stops what it has started: by a file beside the batch,
//! in force within a second, across a kill, and never on anybody else's batch or a later one.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::world::batches::{good_file, good_file_from};
use crate::world::commands::done;
use crate::world::provider::Script;
use crate::world::{SOON, TenantPlan, World, pass};

/// How soon a wish is in force after its close was answered.
const IN_FORCE: Duration = Duration::from_secs(1);

/// How long a pause is looked at before it is believed.
const BELIEVED: Duration = Duration::from_millis(2_500);

/// How soon whoever asks for something that cannot be done must be told.
const TOLD: Duration = Duration::from_secs(10);

/// A file waits for its `.done`, so that it can be steered before it is checked.
const WAITS: &str = "[policy]\ntrigger = \"done-file\"\n";

/// Files that make a look at a folder slow.
const MANY: usize = 6_000;

/// Waits until the status of a file of `acme` is as it should be.
fn told(world: &mut World, name: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let folder = world.folder("acme");
    let what = format!("status of `{name}` that says so");
    world.wait_for(&what, SOON, || folder.status(name).filter(|it| is_so(it)))
}

fn has_state(state: &'static str) -> impl Fn(&Value) -> bool {
    move |status| status["state"] == state
}

fn held_by(words: &'static str) -> impl Fn(&Value) -> bool {
    move |status| {
        let held = status["held"].as_str().unwrap_or_default();
        held.contains(words)
    }
}

/// Waits until a steering file of `acme` has gone from its folder.
fn gone(world: &mut World, name: &str) {
    let path = world.folder("acme").path("whatsapp").join(name);
    let what = format!("removal of `{name}`");
    world.wait_for(&what, SOON, || (!path.exists()).then_some(()));
}

/// The code of the fault by which a steering file was refused.
fn refused(world: &mut World, tenant: &str, name: &str) -> String {
    let dropped_at = Instant::now();
    let status = world.ended_of(tenant, name, SOON);
    assert!(dropped_at.elapsed() < TOLD, "{name} was told late");
    let folder = world.folder(tenant);
    let faults = folder.faults(&status);
    assert!(folder.of_batch("errors", &status, "").is_file());
    faults["faults"][0]["code"].as_str().expect("a code").into()
}

fn count(status: &Value, word: &str) -> u64 {
    status["counts"][word].as_u64().expect("a count")
}

/// Whoever sees a wrong text has a second, and must be able to let the rest go once it is right.
#[test]
fn a_pause_is_in_force_within_a_second_until_it_is_resumed() {
    let tenants = [TenantPlan::new("acme").rate(50.0)];
    let (mut world, provider) = World::start_with(&tenants, Script::accepting());
    world.drop_file("run.json", good_file(250));
    provider.wait_for_requests(20, SOON);
    world.drop_file("run.json.pause", "\r\n a typing \u{1b}error\r\nand more\n");
    let paused_at = Instant::now();
    let status = told(&mut world, "run.json", has_state("paused"));
    let held = status["held"].as_str().expect("why");
    assert!(held.contains("by its owner (a typing error)"), "{held}");
    pass(BELIEVED);
    let seen = provider.seen();
    assert!(seen.len() < 250, "the whole batch went out");
    let late = seen.iter().filter(|seen| seen.at > paused_at + IN_FORCE);
    assert_eq!(late.count(), 0, "began after the answer");
    gone(&mut world, "run.json.pause");

    // A local job steers as well, whatever the case of the ending.
    let local = world.folder("acme").path("whatsapp/run.json.RESUME");
    fs::write(local, "").expect("written");
    let status = world.ended("run.json");
    assert_eq!(status["state"], "finished");
    assert_eq!(count(&status, "accepted"), 250);
    let batch = status["batch"].as_str().expect("an id");
    assert_eq!(provider.seen_of(batch).len(), 250);
    gone(&mut world, "run.json.RESUME");
}

/// What was cancelled must not go out after the answer, and each message must be told of once.
#[test]
fn a_cancel_stops_a_batch_midway() {
    let tenants = [TenantPlan::new("acme").rate(50.0)];
    let (mut world, provider) = World::start_with(&tenants, Script::accepting());
    world.drop_file("run.json", good_file(250));
    provider.wait_for_requests(20, SOON);
    world.drop_file("run.json.cancel", "");
    let cancelled_at = Instant::now();
    let status = world.ended("run.json");
    assert_eq!(status["state"], "cancelled", "{status:#}");
    let (accepted, cancelled) = (count(&status, "accepted"), count(&status, "cancelled"));
    assert_eq!(accepted + cancelled, 250, "{status:#}");
    assert!(cancelled > 0, "{status:#}");
    pass(IN_FORCE);
    let seen = provider.seen();
    assert_eq!(seen.len() as u64, accepted);
    let late = seen.iter().filter(|seen| seen.at > cancelled_at + IN_FORCE);
    assert_eq!(late.count(), 0, "began after the answer");
    let lines = world.folder("acme").results(&status);
    assert_eq!(lines.len(), 250);
    let cancelled_lines = lines.iter().filter(|line| line["status"] == "cancelled");
    assert_eq!(cancelled_lines.count() as u64, cancelled);
    gone(&mut world, "run.json.cancel");
    assert!(world.folder("acme").status("run.json.cancel").is_none());
}

/// Who takes a file back in the next moment must not see a part of it sent.
#[test]
fn a_file_that_was_not_checked_can_be_cancelled_and_paused() {
    let tenant = TenantPlan {
        more: WAITS,
        ..TenantPlan::new("acme").rate(10.0)
    };
    let (mut world, provider) = World::start_with(&[tenant], Script::accepting());
    let waits = "lies beside it";
    world.drop_file("one.json", good_file(30));
    world.drop_file("one.json.cancel", "");
    let status = world.ended("one.json");
    assert_eq!(status["state"], "cancelled", "{status:#}");
    assert_eq!(count(&status, "cancelled"), 30);

    world.drop_file("two.json", good_file(30));
    world.drop_file("two.json.pause", "");
    let status = told(&mut world, "two.json", held_by("is paused by its owner"));
    assert_eq!(status["state"], "received");
    assert!(held_by(waits)(&status), "{status:#}");
    world.drop_file("two.json.done", "");
    told(&mut world, "two.json", has_state("paused"));
    pass(BELIEVED);
    assert_eq!(provider.seen_count(), 0);
    world.drop_file("two.json.resume", "");
    assert_eq!(world.ended("two.json")["counts"]["accepted"], 30);

    // In one breath, as a script does: the file has hardly its row.
    world.drop_file("three.json.done", "");
    let local = world.local("three.json", good_file_from(100, 30));
    let empty = world.local("empty", "");
    let put = |from: &std::path::Path, to: &str| format!("put \"{}\" \"{to}\"", from.display());
    let ran = world.client("acme").run(&[
        put(&local, "whatsapp/three.json"),
        put(&empty, "whatsapp/three.json.pause"),
    ]);
    assert!(ran.ok, "{ran:?}");
    told(&mut world, "three.json", held_by("is paused by its owner"));
    world.drop_file("three.json.cancel", "");
    assert_eq!(world.ended("three.json")["state"], "cancelled");
}

/// Of many files with one name only the id says which; and nobody's id reaches another's batch.
#[test]
fn a_batch_is_steered_by_its_id_and_by_its_owner_only() {
    let tenants = [TenantPlan::new("acme").rate(20.0), TenantPlan::new("zorg")];
    let (mut world, provider) = World::start_with(&tenants, Script::accepting());
    world.drop_file("run.json", good_file(100));
    let status = told(&mut world, "run.json", has_state("sending"));
    let first = status["batch"].as_str().expect("an id").to_owned();
    world.drop_file("run.json", good_file_from(500, 60));
    let is_newer = |status: &Value| status["state"] == "sending" && status["batch"] != first;
    told(&mut world, "run.json", is_newer);

    for name in [format!("{first}.cancel"), "run.json.cancel".to_owned()] {
        let empty = world.local("empty", "");
        let remote = format!("whatsapp/{name}");
        world.client("zorg").put(&empty, &remote).expect_ok();
        let code = refused(&mut world, "zorg", &name);
        assert_eq!(code, "file.steering_unknown");
    }
    world.drop_file(&format!("{first}.run.json.pause"), "");
    gone(&mut world, &format!("{first}.run.json.pause"));
    world.drop_file(&format!("{first}.cancel"), "");
    let kept = format!("whatsapp/results/{first}.run.json.status.json");
    let path = world.folder("acme").path(&kept);
    world.wait_for("last status of the first", SOON, || {
        path.exists().then_some(())
    });
    let text = fs::read_to_string(&path).expect("a status");
    let status: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(status["state"], "cancelled", "{status:#}");
    let newer = world.ended("run.json");
    assert_eq!(newer["state"], "finished", "{newer:#}");
    assert_eq!(count(&newer, "accepted"), 60);
    provider.assert_understood();
}

/// A wish that does nothing must be told, and must do nothing to the batch of tomorrow.
#[test]
fn a_wish_for_nothing_is_told_and_stops_nothing_later() {
    // Slow enough that the wish is looked at again while the batch runs.
    let tenants = [TenantPlan::new("acme").rate(4.0)];
    let (mut world, provider) = World::start_with(&tenants, Script::accepting());
    let (cancel, empty) = ("later.json.cancel", world.local("empty", ""));
    world
        .client("acme")
        .put(&empty, &format!("whatsapp/{cancel}"))
        .expect_ok();
    // At once, while the wish still lies there.
    world.drop_file("later.json", good_file(20));
    assert_eq!(refused(&mut world, "acme", cancel), "file.steering_unknown");
    assert_eq!(world.ended("later.json")["counts"]["accepted"], 20);
    assert_eq!(provider.seen_count(), 20);
    gone(&mut world, cancel);

    // The batch has ended: there is nothing to stop.
    world.drop_file("later.json.pause", "");
    let code = refused(&mut world, "acme", "later.json.pause");
    assert_eq!(code, "file.steering_unknown");

    // What a local job has left while the service was down was for a batch of then.
    world.kill();
    let drop = world.folder("acme").path("whatsapp");
    fs::write(drop.join("next.json.cancel"), "").expect("written");
    world.run();
    world.drop_file("next.json", good_file_from(100, 15));
    assert_eq!(world.ended("next.json")["counts"]["accepted"], 15);
}

/// A tenant must not undo what the operator did, and must see why nothing happens.
#[test]
fn the_operators_pause_stays_and_the_status_says_so() {
    let tenants = [TenantPlan::new("acme").rate(20.0)];
    let (mut world, provider) = World::start_with(&tenants, Script::accepting());
    world.drop_file("run.json", good_file(100));
    provider.wait_for_requests(5, SOON);
    let pause = ["batch", "pause", "run.json", "--reason", "a doubt"];
    done(&world, &pause);
    told(&mut world, "run.json", has_state("paused"));
    for (times, verb) in [(1, "resume"), (2, "pause"), (2, "resume")] {
        let name = format!("run.json.{verb}");
        world.drop_file(&name, "mine");
        let denied = |status: &Value| {
            let warnings = status["warnings"].as_array().map_or(0, Vec::len);
            warnings == times && status["state"] == "paused"
        };
        let status = told(&mut world, "run.json", denied);
        for warning in status["warnings"].as_array().expect("warnings") {
            assert_eq!(warning["code"], "file.steering_denied");
        }
        assert!(held_by("by the operator (a doubt)")(&status), "{status:#}");
        gone(&mut world, &name);
    }
    let before = provider.seen_count();
    pass(IN_FORCE);
    assert_eq!(provider.seen_count(), before, "it went on");
    done(&world, &["batch", "resume", "run.json"]);
    assert_eq!(world.ended("run.json")["counts"]["accepted"], 100);
}

/// A dry run sends nothing: it can be given up, and there is nothing to pause.
#[test]
fn a_dry_run_can_be_cancelled() {
    let tenant = TenantPlan {
        more: WAITS,
        ..TenantPlan::new("acme")
    };
    let (mut world, provider) = World::start_with(&[tenant], Script::accepting());
    let client = world.client("acme");
    let (text, empty) = (
        world.local("try.json", good_file(5)),
        world.local("empty", ""),
    );
    client.put(&text, "whatsapp/dry-run/try.json").expect_ok();
    let pause = "try.json.pause";
    let remote = format!("whatsapp/dry-run/{pause}");
    client.put(&empty, &remote).expect_ok();
    assert_eq!(refused(&mut world, "acme", pause), "file.steering_unknown");
    // The other folder has no such file.
    world.drop_file("try.json.cancel", "");
    let cancel = "try.json.cancel";
    assert_eq!(refused(&mut world, "acme", cancel), "file.steering_unknown");
    let remote = format!("whatsapp/dry-run/{cancel}");
    client.put(&empty, &remote).expect_ok();
    let status = world.ended("try.json");
    assert_eq!(status["state"], "cancelled", "{status:#}");
    assert_eq!(count(&status, "cancelled"), 5);
    assert_eq!(provider.seen_count(), 0);
}

/// A close that was answered is a promise: what it asks for holds whatever dies, before anything of
/// the batch goes out again.
#[test]
fn a_wish_that_came_before_a_kill_counts_after_it() {
    let tenants = [TenantPlan::new("acme").rate(200.0)];
    let (mut world, provider) = World::start_with(&tenants, Script::accepting());
    world.drop_file("run.json", good_file(3_000));
    provider.wait_for_requests(50, SOON);
    world.kill();
    let before = provider.seen_count();
    let drop = world.folder("acme").path("whatsapp");
    fs::write(drop.join("run.json.pause"), "").expect("written");
    // So much lies there that looking through it takes longer than to begin to send.
    for number in 0..MANY {
        fs::write(drop.join(format!("{number}.json.part")), "").expect("written");
    }
    world.run();
    told(&mut world, "run.json", has_state("paused"));
    pass(IN_FORCE);
    assert_eq!(provider.seen_count(), before, "something began");
    world.kill();
    // Both lie there: in the order in which they came the last one counts.
    fs::write(drop.join("run.json.resume"), "").expect("written");
    pass(Duration::from_millis(20));
    fs::write(drop.join("run.json.cancel"), "").expect("written");
    world.run();
    let status = world.ended("run.json");
    assert_eq!(status["state"], "cancelled", "{status:#}");
    assert_eq!(provider.seen_count(), before, "something began");
}

/// Between what is done and what is remembered of it no death may lose a wish, nor do it to a batch
/// that comes later.
#[cfg(feature = "fail-points")]
#[test]
fn a_death_at_any_step_loses_no_wish() {
    let steps = [
        "steering-granted",
        "companion-cleared",
        "name-aside",
        "name-removed",
        "store-commit-before",
        "store-committed",
    ];
    for step in steps {
        let tenants = [TenantPlan::new("acme").rate(10.0)];
        let (mut world, provider) = World::start_with(&tenants, Script::accepting());
        world.drop_file("run.json", good_file(100));
        provider.wait_for_requests(2, SOON);
        world.drop_file("run.json.pause", "");
        told(&mut world, "run.json", has_state("paused"));
        world.kill();
        let before = provider.seen_count();
        let drop = world.folder("acme").path("whatsapp");
        fs::write(drop.join("run.json.cancel"), "").expect("written");
        // Some die before the door is open.
        if world.try_run_with(&format!("{step}=return")).is_ok() {
            world.died();
        }
        assert_eq!(provider.seen_count(), before, "{step}: something began");
        world.run();
        let status = world.ended("run.json");
        assert_eq!(status["state"], "cancelled", "{step}: {status:#}");
        gone(&mut world, "run.json.cancel");
        world.drop_file("run.json", good_file_from(500, 5));
        let status = world.ended_after("run.json", &status);
        assert_eq!(status["state"], "finished", "{step}: {status:#}");
    }
}
