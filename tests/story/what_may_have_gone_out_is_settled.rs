//! A message whose answer never came is settled by whatever can say what became of it: a receipt
//! that carries our own name of the attempt, or the provider when it is asked. What nothing says in
//! time is told as unknown, and nobody but the provider is believed.
//!
//! Promises 2 and 3 of the README.

use std::net::TcpListener;

use serde_json::Value;

use crate::world::batches::{file_of, good_file, recipient, row};
use crate::world::callbacks::{body, post, signature, status};
use crate::world::provider::{Answer, Provider, Reserved, Script, Seen};
use crate::world::sandbox::Sandbox;
use crate::world::{SOON, TenantPlan, World, wait_for};

const SECRET: &str = "the-app-secret-of-the-story";
const PATH: (&str, &str) = (
    "/receipts/meta-cloud",
    "/receipts/acme/b8f0e2d7c1a94e5f8a3b6c7d",
);

/// A daemon that takes callbacks which are signed, with this policy.
fn listening(policy: &'static str, script: Script) -> (World, Provider) {
    let secrets = "app_secret_file = \"acme.app-secret\"\n";
    listening_with(policy, secrets, script)
}

fn listening_with(policy: &'static str, secrets: &str, script: Script) -> (World, Provider) {
    let reserved = Reserved::new();
    let plan = TenantPlan {
        more: policy,
        ..TenantPlan::new("acme")
    };
    let mut world = World::prepare(&[plan], &reserved);
    take_callbacks(&world, "127.0.0.1:0", secrets);
    let provider = reserved.open(script, &world.path("provider.log"));
    world.run();
    (world, provider)
}

fn take_callbacks(world: &World, listen: &str, secrets: &str) {
    let receipts = format!("[receipts]\nlisten = \"{listen}\"\n\n[admin]");
    world.change_settings("dropcast.toml", "[admin]", &receipts);
    let provider = format!("[provider]\n{secrets}");
    world.change_settings("tenants.d/acme.toml", "[provider]\n", &provider);
    world.write("tenants.d/acme.app-secret", SECRET);
    let (_, in_path) = PATH.1.rsplit_once('/').expect("a path");
    world.write("tenants.d/acme.receipts-secret", in_path);
}

/// A script in which the first recipient's message is taken and its answer lost.
fn first_is_lost() -> Script {
    Script::accepting().to(&recipient(0), &[Answer::HangUp])
}

/// Posts statuses as the provider would.
fn call_back(world: &World, statuses: &[Value]) -> u16 {
    let body = body(statuses);
    let address = world.receipts_address();
    post((&address, PATH.0), &body, &signature(SECRET, &body))
}

/// Waits until everything of `orders.json` is answered but what is held; gives that status.
fn held(world: &mut World) -> Value {
    let folder = world.folder("acme");
    world.wait_for("status that says what is waited for", SOON, || {
        let status = folder.status("orders.json")?;
        let held = status["held"].as_str().unwrap_or_default();
        held.contains("may have gone out").then_some(status)
    })
}

/// The last request for the first row.
fn first_seen(provider: &Provider) -> Seen {
    let mut seen = provider.seen();
    seen.retain(|seen| seen.index == 0);
    seen.pop().expect("it was sent")
}

fn figure(world: &World, line: &str) -> bool {
    let (_, figures) = world.ask_admin("/metrics");
    figures.lines().any(|found| found == line)
}

/// A message that was delivered and is told as unknown makes its sender telephone, or send twice.
#[test]
fn a_receipt_settles_a_message_whose_answer_never_came() {
    let (mut world, provider) = listening("", first_is_lost());
    world.drop_file("orders.json", good_file(3));
    let before = held(&mut world);
    assert_eq!(
        (&before["state"], &before["final"]),
        (&"sending".into(), &false.into())
    );
    assert_eq!(
        (&before["counts"]["unknown"], &before["counts"]["accepted"]),
        (&1.into(), &2.into())
    );
    let seen = first_seen(&provider);
    // Receipts come in any order, several times, and for messages that need none.
    let of_another = provider.seen().into_iter().find(|seen| seen.index == 1);
    let statuses = [
        status(&of_another.expect("it was sent"), "failed"),
        status(&seen, "delivered"),
        status(&seen, "sent"),
        status(&seen, "delivered"),
    ];
    assert_eq!(call_back(&world, &statuses), 200);
    let ended = world.ended("orders.json");
    assert_eq!(ended["counts"]["accepted"], 3);
    let lines = world.folder("acme").results(&ended);
    assert_eq!(
        (&lines[0]["status"], &lines[0]["attempts"]),
        (&"accepted".into(), &1.into())
    );
    assert_eq!(lines[0]["messageId"], seen.wamid);
    assert_eq!(
        lines[1]["status"], "accepted",
        "results tell of the hand-over"
    );
    assert_eq!(provider.seen_count(), 3);
    assert_eq!(call_back(&world, &statuses), 200, "also when it has ended");
    assert!(figure(
        &world,
        r#"dropcast_settled_total{by="receipt",state="accepted"} 1"#
    ));
    assert!(figure(
        &world,
        r#"dropcast_receipts_total{says="delivered",effect="settled"} 1"#
    ));
}

/// What the provider says has failed is mended by its sender, not guessed at; and a provider that
/// signs nothing is known by the path that only it knows.
#[test]
fn a_receipt_by_a_secret_path_says_that_a_message_failed() {
    let secrets = "receipts_secret_file = \"acme.receipts-secret\"\n";
    let (mut world, provider) = listening_with("", secrets, first_is_lost());
    world.drop_file("orders.json", good_file(2));
    held(&mut world);
    let body = body(&[status(&first_seen(&provider), "failed")]);
    let address = world.receipts_address();
    let mistyped = PATH.1.replace("b8", "b9");
    for path in [
        PATH.0,
        &mistyped,
        "/receipts/bravo/b8f0e2d7c1a94e5f8a3b6c7d",
    ] {
        assert_eq!(post((&address, path), &body, ""), 404, "{path}");
    }
    assert_eq!(post((&address, PATH.1), &body, ""), 200);
    let ended = world.ended("orders.json");
    let lines = world.folder("acme").results(&ended);
    assert_eq!(lines[0]["status"], "failed");
    assert_eq!(lines[0]["error"]["code"], "provider.recipient");
    assert_eq!(lines[0]["error"]["providerCode"], "131026");
    let retry = world.folder("acme").retry(&ended, "retry.json");
    let retry: Value = serde_json::from_slice(&retry).expect("JSON");
    assert_eq!(retry["data"].as_array().map(Vec::len), Some(1));
}

/// Whoever can reach the address must not be able to say what became of a message.
#[test]
fn a_forged_callback_changes_nothing() {
    let secrets = "app_secret_file = \"acme.app-secret\"\n\
                   receipts_secret_file = \"acme.receipts-secret\"\n";
    let (mut world, provider) = listening_with("", secrets, first_is_lost());
    world.drop_file("orders.json", good_file(2));
    held(&mut world);
    let address = world.receipts_address();
    let body = body(&[status(&first_seen(&provider), "failed")]);
    let by_another = signature("another-secret", &body);
    let of_another = signature(SECRET, "{}");
    for path in [PATH.0, PATH.1] {
        for signature in ["", "sha256=", &by_another, &of_another] {
            assert_eq!(
                post((&address, path), &body, signature),
                401,
                "{path} {signature}"
            );
        }
    }
    assert!(figure(
        &world,
        r#"dropcast_callbacks_refused_total{reason="signature"} 8"#
    ));
    assert_eq!(held(&mut world)["counts"]["unknown"], 1);
    let log = std::fs::read_to_string(world.path("daemon-1.log")).expect("the log is text");
    assert!(
        !log.contains("131026"),
        "what is not believed is not told either"
    );
    assert_eq!(
        call_back(&world, &[status(&first_seen(&provider), "sent")]),
        200
    );
    assert_eq!(world.ended("orders.json")["counts"]["accepted"], 2);
}

/// A batch must end, also if nobody ever says what became of a message.
#[test]
fn what_nothing_settles_is_told_as_unknown() {
    let (mut world, provider) = listening("[policy]\nunknown_hold = \"3s\"", first_is_lost());
    world.drop_file("orders.json", good_file(2));
    held(&mut world);
    let ended = world.ended("orders.json");
    assert_eq!(
        (&ended["state"], &ended["counts"]["unknown"]),
        (&"finished".into(), &1.into())
    );
    let lines = world.folder("acme").results(&ended);
    assert_eq!(lines[0]["status"], "unknown");
    assert_eq!(lines[0]["error"]["code"], "provider.no_answer");
    assert_eq!(provider.seen_count(), 2, "it is not sent again");
    assert!(figure(
        &world,
        r#"dropcast_settled_total{by="hold",state="unknown"} 1"#
    ));
}

/// The one honest doubt after a power cut is cleared up as soon as the provider has spoken.
#[test]
fn what_was_in_flight_at_a_crash_is_settled_after_the_restart() {
    let script = Script::accepting().to(&recipient(0), &[Answer::Silence]);
    let (mut world, provider) = listening("", script);
    world.drop_file("orders.json", good_file(1));
    provider.wait_for_requests(1, SOON);
    world.kill();
    world.run();
    assert_eq!(held(&mut world)["counts"]["unknown"], 1);
    // A second death in the middle of the wait changes nothing.
    world.kill();
    world.run();
    assert_eq!(held(&mut world)["counts"]["unknown"], 1);
    assert_eq!(
        call_back(&world, &[status(&first_seen(&provider), "read")]),
        200
    );
    let ended = world.ended("orders.json");
    assert_eq!(ended["counts"]["accepted"], 1);
    assert_eq!(provider.seen_count(), 1);
}

/// Where a message may be sent again, its sender must learn that it went out twice.
#[test]
fn a_receipt_for_either_try_settles_a_message_that_was_sent_again() {
    let script = Script::accepting().to(&recipient(0), &[Answer::HangUp]);
    let (mut world, provider) = listening("[policy]\nunknown = \"resend\"", script);
    world.drop_file("orders.json", good_file(1));
    held(&mut world);
    let mut seen = provider.seen();
    seen.truncate(1);
    let first = seen.pop().expect("it was sent");
    assert_eq!(provider.seen_count(), 2);
    assert_eq!(call_back(&world, &[status(&first, "failed")]), 200);
    assert_eq!(
        held(&mut world)["counts"]["unknown"],
        1,
        "the other may have gone out"
    );
    assert_eq!(call_back(&world, &[status(&first, "sent")]), 200);
    let ended = world.ended("orders.json");
    let line = &world.folder("acme").results(&ended)[0];
    assert_eq!(
        (&line["status"], &line["possibleDuplicate"]),
        (&"accepted".into(), &true.into())
    );
    assert_eq!(line["messageId"], first.wamid);
}

/// Has the tenant send through the stand-in at `url`.
fn through(world: &World, url: &str) {
    let path = world.path("tenants.d/acme.toml");
    let settings = std::fs::read_to_string(path).expect("settings");
    let base_url = settings.lines().find(|line| line.starts_with("base_url"));
    let base_url = base_url.expect("an address").to_owned();
    let name = "tenants.d/acme.toml";
    world.change_settings(name, &base_url, &format!("base_url = \"{url}\""));
    world.change_settings(name, "kind = \"meta-cloud\"", "kind = \"sandbox\"");
}

/// A provider that can be asked is asked: no receipt need ever come.
#[test]
fn a_provider_is_asked_about_a_message_whose_answer_was_lost() {
    let sandbox = Sandbox::start(&[]);
    let plan = TenantPlan {
        more: "[policy]\nunknown_hold = \"8s\"",
        ..TenantPlan::new("acme")
    };
    let mut world = World::prepare(&[plan], &Reserved::new());
    through(&world, &sandbox.url);
    world.run();
    // The answer for the first is lost although it was taken; the second never got there.
    let rows: Vec<Value> = [504, 502, 1].into_iter().map(row).collect();
    world.drop_file("orders.json", file_of(&rows));
    let ended = world.ended("orders.json");
    let lines = world.folder("acme").results(&ended);
    let words = lines.iter().map(|line| line["status"].as_str());
    let words: Vec<_> = words.flatten().collect();
    assert_eq!(words, ["accepted", "unknown", "accepted"]);
    let id = lines[0]["messageId"].as_str().unwrap_or_default();
    assert!(id.starts_with("wamid."), "{id}");
    assert!(figure(
        &world,
        r#"dropcast_settled_total{by="asked",state="accepted"} 1"#
    ));
    world.stop();
    sandbox.end();
}

/// What is tried out against the stand-in must go as it does with the real provider.
#[test]
fn the_stand_in_calls_back() {
    // Whoever is called back must be known before either of the two runs.
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let listen = free.local_addr().expect("bound").to_string();
    drop(free);
    let mut world = World::prepare(&[TenantPlan::new("acme")], &Reserved::new());
    take_callbacks(&world, &listen, "app_secret_file = \"acme.app-secret\"\n");
    let secret = world.path("tenants.d/acme.app-secret");
    let url = format!("http://{listen}/receipts/sandbox");
    let sandbox = Sandbox::start(&[
        "--callbacks",
        &url,
        "--app-secret-file",
        secret.to_str().expect("text"),
    ]);
    through(&world, &sandbox.url);
    world.run();
    // Late, lost, lost and failed, failed after it was accepted, and nothing odd.
    let rows: Vec<Value> = [408, 504, 505, 526, 1].into_iter().map(row).collect();
    world.drop_file("orders.json", file_of(&rows));
    let ended = world.ended("orders.json");
    let lines = world.folder("acme").results(&ended);
    let words = lines.iter().map(|line| line["status"].as_str());
    let words: Vec<_> = words.flatten().collect();
    assert_eq!(
        words,
        ["accepted", "accepted", "failed", "accepted", "accepted"]
    );
    assert_eq!(lines[2]["error"]["providerCode"], "131026");
    wait_for("word of every receipt", SOON, || {
        let (_, figures) = world.ask_admin("/metrics");
        let receipts = figures
            .lines()
            .filter(|line| line.starts_with("dropcast_receipts_total"));
        let counts = receipts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        (counts.sum::<u64>() == 11).then_some(())
    });
    world.stop();
    let account = sandbox.end();
    assert!(
        account.contains("11 statuses called back, 0 given up"),
        "{account}"
    );
}
