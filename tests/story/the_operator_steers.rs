//! What the operator pauses stops within a second and stays stopped; what is cancelled never goes
//! out; and every command says what came of it.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::world::batches::{good_file, good_file_from, recipient};
use crate::world::commands::{done, told, typed};
use crate::world::daemon::dropcast;
use crate::world::provider::{Answer, Gate, Script};
use crate::world::{SOON, TenantPlan, World, pass};

/// How soon a command is in force.
const IN_FORCE: Duration = Duration::from_secs(1);

/// How long a pause is looked at before it is believed.
const BELIEVED: Duration = Duration::from_millis(2_500);

/// An operator who sees that a text is wrong has a second, not a million messages; and a restart
/// must not send on what was stopped.
#[test]
fn a_pause_is_in_force_within_a_second_and_survives_a_kill() {
    let tenants = [TenantPlan::new("acme").rate(50.0), TenantPlan::new("zorg")];
    let (mut world, provider) = World::start_with(&tenants, Script::accepting());
    world.drop_file("run.json", good_file(250));
    provider.wait_for_requests(20, SOON);
    let said = done(
        &world,
        &["batch", "pause", "run.json", "--reason", "a typing error"],
    );
    let paused_at = Instant::now();
    assert!(
        said.contains("is paused by the operator (a typing error)"),
        "{said}"
    );
    pass(BELIEVED);
    let seen = provider.seen();
    assert!(seen.len() < 250, "the whole batch went out");
    let late = seen.iter().filter(|seen| seen.at > paused_at + IN_FORCE);
    assert_eq!(late.count(), 0);
    let folder = world.folder("acme");
    let status = world.wait_for("status that says paused", SOON, || {
        folder
            .status("run.json")
            .filter(|status| status["state"] == "paused")
    });
    let held = status["held"].as_str().expect("why");
    assert!(held.contains("a typing error"), "{held}");
    let explained = told(&world, &["explain", "run.json"]);
    assert_eq!(explained["limit"], "paused", "{explained:#}");

    world.kill();
    let before = provider.seen_count();
    world.run();
    // Another tenant's batch goes through: the daemon sends.
    let local = world.local("other.json", good_file_from(500, 10));
    world
        .client("zorg")
        .put(&local, "whatsapp/other.json")
        .expect_ok();
    world.ended_of("zorg", "other.json", SOON);
    pass(IN_FORCE);
    assert_eq!(provider.seen_count(), before + 10, "it was paused");
    done(&world, &["batch", "resume", "run.json"]);
    let status = world.ended("run.json");
    assert_eq!(status["state"], "finished");
    let batch = status["batch"].as_str().expect("an id");
    let by_index = provider.seen_of(batch);
    assert_eq!(by_index.len(), 250);
    let again = typed(&world, &["batch", "resume", "run.json"]);
    assert_eq!(again.status.code(), Some(1), "{again:?}");
}

/// `--for` must end by itself: nobody remembers to resume at night.
#[test]
fn a_pause_for_a_while_ends_by_itself() {
    let (mut world, provider) = World::start(Script::accepting());
    let asked_at = Instant::now();
    done(&world, &["tenant", "pause", "acme", "--for", "3s"]);
    world.drop_file("run.json", good_file(10));
    let folder = world.folder("acme");
    world.wait_for("status that says paused", SOON, || {
        folder
            .status("run.json")
            .filter(|status| status["state"] == "paused")
    });
    let status = world.ended("run.json");
    assert_eq!(status["counts"]["accepted"], 10);
    let first = provider
        .seen()
        .iter()
        .map(|seen| seen.at)
        .min()
        .expect("sent");
    assert!(first >= asked_at + Duration::from_secs(3), "too early");
}

/// Only what is named is paused: a template in one language, a sender of one tenant.
#[test]
fn a_template_and_a_sender_can_be_paused() {
    let tenants = [TenantPlan::new("acme"), TenantPlan::new("zorg")];
    let (mut world, provider) = World::start_with(&tenants, Script::accepting());
    let template = ["template", "pause", "order_update", "--language", "en"];
    let unsaid = typed(&world, &template);
    assert_eq!(unsaid.status.code(), Some(1), "whose? {unsaid:?}");
    let named: Vec<&str> = template.into_iter().chain(["--tenant", "acme"]).collect();
    done(&world, &named);
    let slip = ["template", "pause", "order_updat", "--tenant", "acme"];
    assert_eq!(typed(&world, &slip).status.code(), Some(1));
    world.drop_file("run.json", good_file(10));
    let local = world.local("other.json", good_file_from(500, 10));
    world
        .client("zorg")
        .put(&local, "whatsapp/other.json")
        .expect_ok();
    world.ended_of("zorg", "other.json", SOON);
    let folder = world.folder("acme");
    world.wait_for("status that says why", SOON, || {
        let status = folder.status("run.json")?;
        let held = status["held"].as_str()?;
        held.contains("template order_update (en)").then_some(())
    });
    assert_eq!(provider.seen_count(), 10);
    // Whoever leaves the language out learns which there are.
    let everywhere = ["template", "resume", "order_update", "--tenant", "acme"];
    let unsaid = typed(&world, &everywhere);
    assert_eq!(unsaid.status.code(), Some(1), "{unsaid:?}");
    let hint = String::from_utf8_lossy(&unsaid.stderr).into_owned();
    assert!(
        hint.contains("but in en: say which with --language"),
        "{hint}"
    );
    let sender = ["sender", "pause", crate::world::SENDER, "--tenant", "acme"];
    done(&world, &sender);
    let resumed = ["template", "resume", "order_update", "--language", "en"];
    let resumed: Vec<&str> = resumed.into_iter().chain(["--tenant", "acme"]).collect();
    done(&world, &resumed);
    pass(IN_FORCE);
    assert_eq!(provider.seen_count(), 10, "its sender is paused");
    let senders = told(&world, &["sender", "list"]);
    let held = senders[0]["held"].as_str().expect("held");
    assert!(held.contains("is paused by the operator"), "{senders:#}");
    done(&world, &["sender", "resume", crate::world::SENDER]);
    assert_eq!(world.ended("run.json")["counts"]["accepted"], 10);
}

/// What was cancelled must not go out after the answer, and each message must be told of once.
#[test]
fn a_cancelled_batch_stops_and_tells_of_every_message() {
    let (mut world, provider) =
        World::start_with(&[TenantPlan::new("acme").rate(50.0)], Script::accepting());
    world.drop_file("run.json", good_file(250));
    provider.wait_for_requests(20, SOON);
    let why = ["--reason", "a wrong price"];
    let cancel: Vec<&str> = ["batch", "cancel", "run.json"]
        .into_iter()
        .chain(why)
        .collect();
    let said = done(&world, &cancel);
    let cancelled_at = Instant::now();
    assert!(said.contains("messages are not sent"), "{said}");
    let status = world.ended("run.json");
    assert_eq!(status["state"], "cancelled", "{status:#}");
    assert_eq!(status["cancelReason"], "a wrong price", "{status:#}");
    let shown = done(&world, &["batch", "show", "run.json"]);
    assert!(shown.contains("a wrong price"), "{shown}");
    let counts = &status["counts"];
    let count = |word: &str| counts[word].as_u64().expect("a count");
    assert_eq!(count("accepted") + count("cancelled"), 250, "{counts:#}");
    assert_eq!(count("accepted"), provider.seen_count() as u64);
    let late = provider.seen().into_iter();
    let late = late.filter(|seen| seen.at > cancelled_at + IN_FORCE);
    assert_eq!(late.count(), 0, "began after the answer");
    let batch = status["batch"].as_str().expect("an id");
    let results = format!("whatsapp/results/{batch}.run.json.results.jsonl");
    let results_path = std::path::Path::new(&results);
    crate::world::schema::status().assert_takes(&status, results_path);
    let text = std::fs::read_to_string(world.folder("acme").path(&results)).expect("results");
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 250);
    for (index, line) in lines.iter().enumerate() {
        assert_eq!(line["index"], index);
        crate::world::schema::results().assert_takes(line, results_path);
        if line["status"] == "cancelled" {
            assert_eq!(line["error"]["code"], "policy.cancelled", "{line}");
        } else {
            assert_eq!(line["status"], "accepted", "{line}");
        }
    }
    let again = typed(&world, &["batch", "cancel", "run.json"]);
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    // A part of it was sent: the same content is a duplicate.
    world.drop_file("run.json", good_file(250));
    let after = world.ended_after("run.json", &status);
    assert_eq!(after["state"], "duplicate", "{after:#}");
}

/// What is in flight at a cancel ends as it is answered, also across a kill, and nothing else
/// begins.
#[test]
fn what_is_in_flight_at_a_cancel_ends_as_its_answer_says() {
    let gate = Gate::default();
    let script = Script::accepting().to("+31610000000", &[Answer::AcceptBehind(gate.clone())]);
    let (mut world, provider) = World::start_with(&[TenantPlan::new("acme").rate(1.0)], script);
    world.drop_file("run.json", good_file(100));
    provider.wait_for_requests(1, SOON);
    done(&world, &["batch", "cancel", "run.json"]);
    let folder = world.folder("acme");
    world.wait_for("status that says cancelling", SOON, || {
        folder
            .status("run.json")
            .filter(|status| status["state"] == "cancelling")
    });
    gate.open();
    let status = world.ended("run.json");
    assert_eq!(status["state"], "cancelled");
    let first = provider.seen_count() as u64;
    assert!(first < 5, "{first}");
    assert_eq!(status["counts"]["accepted"], first, "{status:#}");
}

/// A kill while a batch is being cancelled must not bring it back, and what was in flight then is
/// unknown, not cancelled.
#[test]
fn a_kill_does_not_undo_a_cancel() {
    let gate = Gate::default();
    let script = Script::accepting().to("+31610000000", &[Answer::AcceptBehind(gate.clone())]);
    let (mut world, provider) = World::start_with(&[TenantPlan::new("acme").rate(1.0)], script);
    world.drop_file("run.json", good_file(100));
    provider.wait_for_requests(1, SOON);
    done(&world, &["batch", "cancel", "run.json"]);
    world.kill();
    let seen = provider.seen_count() as u64;
    world.run();
    let status = world.ended("run.json");
    assert_eq!(status["state"], "cancelled", "{status:#}");
    let counts = &status["counts"];
    assert!(counts["unknown"].as_u64() >= Some(1), "{counts:#}");
    assert_eq!(provider.seen_count() as u64, seen);
    gate.open();
}

/// A file that still waits for its `.done` can be taken back, and its rows are told of.
#[test]
fn a_file_that_was_not_read_can_be_cancelled() {
    let tenant = TenantPlan {
        more: "[policy]\ntrigger = \"done-file\"\n",
        ..TenantPlan::new("acme")
    };
    let (mut world, provider) = World::start_with(&[tenant], Script::accepting());
    world.drop_file("run.json", good_file(30));
    let folder = world.folder("acme");
    world.wait_for("status of a file that waits", SOON, || {
        folder
            .status("run.json")
            .filter(|status| status["held"].is_string())
    });
    let said = done(&world, &["batch", "cancel", "run.json"]);
    assert!(said.contains("nothing of it is sent"), "{said}");
    let status = world.ended("run.json");
    assert_eq!(status["state"], "cancelled", "{status:#}");
    assert_eq!(status["counts"]["cancelled"], 30);
    assert_eq!(provider.seen_count(), 0);
}

/// Whoever watches a batch must see it end, and be told how by the exit code.
#[test]
fn a_watch_ends_with_its_batch() {
    let (world, provider) =
        World::start_with(&[TenantPlan::new("acme").rate(40.0)], Script::accepting());
    for (name, verb, code) in [("one.json", None, 0), ("two.json", Some("cancel"), 1)] {
        let before = provider.seen_count();
        let first = if verb.is_none() { 0 } else { 500 };
        world.drop_file(name, good_file_from(first, 100));
        provider.wait_for_requests(before + 1, SOON);
        let mut watch = dropcast();
        watch.args(["batch", "watch", name, "--config"]);
        watch.arg(world.path("dropcast.toml"));
        watch.stdout(std::process::Stdio::piped());
        let watching = watch.spawn().expect("it starts");
        if let Some(verb) = verb {
            done(&world, &["batch", verb, name]);
        }
        let watched = watching.wait_with_output().expect("it ends");
        let lines = String::from_utf8(watched.stdout).expect("text");
        assert_eq!(watched.status.code(), Some(code), "{lines}");
        let last = lines.lines().last().expect("a line");
        let ended = if code == 0 { "finished" } else { "cancelled" };
        assert!(last.contains(ended), "{lines}");
        assert!(last.contains("100/100 done"), "{lines}");
    }
    let listed = done(&world, &["batch", "list"]);
    let rows: Vec<&str> = listed.lines().collect();
    assert!(
        rows[1].ends_with("two.json") && rows[2].ends_with("one.json"),
        "{listed}"
    );
    let found = told(
        &world,
        &["batch", "list", "--state", "finished", "--since", "1h"],
    );
    assert_eq!(found.as_array().expect("a list").len(), 1, "{found:#}");
    let id = found[0]["batch"].as_str().expect("an id");
    let shown = told(&world, &["batch", "show", &id[id.len() - 6..]]);
    assert_eq!(shown["counts"]["accepted"], 100, "{shown:#}");
    assert_eq!(shown["final"], true);
    let reference = ["message", "find", "--reference", "order-42"];
    let found = told(&world, &reference);
    assert_eq!(
        (&found["index"], &found["status"]),
        (&42.into(), &"accepted".into())
    );
    let found = done(&world, &["message", "find", "--to", &recipient(542)]);
    assert!(found.contains("order-542"), "{found}");
    let message = done(&world, &["message", "show", "one.json", "7"]);
    assert!(message.contains("\"order-7\""), "{message}");
    let nobody = typed(&world, &["message", "find", "--reference", "order-9999"]);
    assert_eq!(nobody.status.code(), Some(1), "{nobody:?}");
}

/// Scripts act on exit codes.
#[test]
fn exit_codes_say_what_came_of_it() {
    let (mut world, _provider) = World::start(Script::accepting());
    for words in [
        &["batch", "show", "20261121T091502Z-7kq2xm"][..],
        &["batch", "cancel", "nothing.json"],
        &["tenant", "pause", "zorg"],
        &["sender", "pause", "+15559999999"],
        &["sender", "limit", crate::world::SENDER, "5000"],
        &["sender", "limit", crate::world::SENDER, "0"],
    ] {
        let output = typed(&world, words);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {output:?}");
        assert!(!output.stderr.is_empty(), "{words:?} says why");
    }
    let wrong = typed(&world, &["sender", "limit", crate::world::SENDER, "fast"]);
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
    let wrong = typed(&world, &["batch", "list", "--state", "asleep"]);
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
    let states = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(
        states.contains("sending") && states.contains("paused"),
        "{states}"
    );
    let outcome = told(&world, &["tenant", "pause", "acme"]);
    assert_eq!(outcome["done"], true, "{outcome:#}");
    let outcome = told(&world, &["tenant", "resume", "acme"]);
    assert_eq!(outcome["message"], "tenant acme goes on", "{outcome:#}");
    let again = typed(&world, &["tenant", "resume", "acme", "--json"]);
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    let outcome: Value = serde_json::from_slice(&again.stdout).expect("JSON");
    assert_eq!(outcome["done"], false, "{outcome:#}");
    let limited = done(&world, &["sender", "limit", crate::world::SENDER, "5"]);
    assert!(limited.contains("is limited to 5 a second"), "{limited}");
    world.kill();
    let nobody = typed(&world, &["batch", "list"]);
    assert_eq!(nobody.status.code(), Some(69), "{nobody:?}");
    world.run();
    let senders = told(&world, &["sender", "list"]);
    assert_eq!(senders[0]["operatorsRate"], 5.0, "{senders:#}");
    // A tenant's file that is half written must not keep the operator from a running daemon.
    world.write("tenants.d/acme.toml", "[[logins]\n");
    done(&world, &["tenant", "pause", "acme"]);
    let (code, _) = world.stop();
    assert_eq!(code, Some(0));
    assert!(!world.data_dir().join("admin.sock").exists());
    let nobody = typed(&world, &["explain", "run.json"]);
    assert_eq!(nobody.status.code(), Some(69), "{nobody:?}");
}
