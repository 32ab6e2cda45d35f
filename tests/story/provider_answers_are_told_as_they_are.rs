//! Whatever a provider answers, or does not, a message is handed over once and its result says what
//! is known: accepted, refused, or unknown where nobody can say.
//!
//! Promises 2 and 3 of the README.

use std::time::Duration;

use serde_json::Value;

use crate::world::batches::{file_of, good_file, recipient, row};
use crate::world::commands;
use crate::world::provider::{Answer, Reserved, Script};
use crate::world::{SENDER, SOON, TenantPlan, World};

/// The adapter waits this long for an answer, plus what a busy machine adds.
const SILENCE_MAX: Duration = Duration::from_secs(50);

/// How the message to one recipient is answered, and what must become of it.
struct Case {
    what: &'static str,
    answers: Vec<Answer>,
    status: &'static str,
    provider_code: &'static str,
    /// Requests that reach the provider.
    requests: usize,
}

fn cases() -> Vec<Case> {
    let case = |what, answers, status, provider_code, requests| Case {
        what,
        answers,
        status,
        provider_code,
        requests,
    };
    let again = |first| vec![first, Answer::Accept];
    let error = Answer::error;
    let page = |status| Answer::Refuse(status, vec![], "<html>Bad gateway</html>".into());
    vec![
        case("taken", vec![Answer::Accept], "accepted", "", 1),
        case(
            "slow",
            vec![Answer::AcceptAfter(Duration::from_secs(2))],
            "accepted",
            "",
            1,
        ),
        case("throttled", again(Answer::throttled(1)), "accepted", "", 2),
        case(
            "down",
            again(error(500, 131_000, "(#131000) Something went wrong")),
            "accepted",
            "",
            2,
        ),
        case(
            "busy",
            again(error(500, 2, "Service temporarily unavailable")),
            "accepted",
            "",
            2,
        ),
        case(
            "refused",
            vec![error(400, 131_026, "(#131026) Message undeliverable")],
            "failed",
            "131026",
            1,
        ),
        case(
            "parameters",
            vec![error(400, 132_000, "(#132000) Number of parameters")],
            "failed",
            "132000",
            1,
        ),
        case("a page with 200", vec![Answer::Page], "unknown", "", 1),
        case("a page with 502", vec![page(502)], "unknown", "", 1),
        case("hung up", vec![Answer::HangUp], "unknown", "", 1),
        case("half an answer", vec![Answer::CutShort], "unknown", "", 1),
    ]
}

/// A message whose answer was misread is lost to its sender, or sent to its reader twice.
#[test]
fn every_answer_becomes_the_result_that_it_means() {
    let cases = cases();
    let script = cases
        .iter()
        .enumerate()
        .fold(Script::accepting(), |script, (index, case)| {
            script.to(&recipient(index as u64), &case.answers)
        });
    let (mut world, provider) = World::start(script);
    world.drop_file("orders.json", good_file(cases.len() as u64));
    let status = world.ended_of("acme", "orders.json", SILENCE_MAX);
    let lines = world.folder("acme").results(&status);
    assert_eq!(lines.len(), cases.len());
    let batch = status["batch"].as_str().expect("a batch id");
    let seen = provider.seen_of(batch);
    for (index, case) in cases.iter().enumerate() {
        let (line, what) = (&lines[index], case.what);
        assert_eq!(line["status"], case.status, "{what}: {line}");
        let tries = &seen[&(index as u64)];
        assert_eq!(tries.len(), case.requests, "{what}");
        assert_eq!(line["attempts"], case.requests, "{what}: {line}");
        let taken: Vec<&str> = tries
            .iter()
            .filter(|seen| seen.taken)
            .map(|seen| seen.wamid.as_str())
            .collect();
        assert!(taken.len() <= 1, "{what}: handed over twice");
        if case.status == "accepted" {
            assert_eq!(line["messageId"], taken[0], "{what}");
        } else {
            let code = line["error"]["code"].as_str().unwrap_or_default();
            assert!(code.starts_with("provider."), "{what}: {line}");
        }
        let provider_code = line["error"]["providerCode"].as_str().unwrap_or_default();
        assert_eq!(provider_code, case.provider_code, "{what}: {line}");
        let attempts: Vec<u32> = tries.iter().map(|seen| seen.attempt).collect();
        let distinct: Vec<u32> = (1..).take(tries.len()).collect();
        assert_eq!(attempts, distinct, "{what}: each try has a name of its own");
    }
    for word in ["accepted", "failed", "unknown"] {
        let expected = cases.iter().filter(|case| case.status == word).count();
        assert_eq!(status["counts"][word], expected, "{word}");
    }
    provider.assert_understood();
}

/// The wait that the provider asks for is a condition of its service, not a hint.
#[test]
fn a_throttled_sender_waits_as_long_as_it_was_asked() {
    let script = Script::accepting().to(&recipient(0), &[Answer::throttled(2), Answer::Accept]);
    let (mut world, provider) = World::start(script);
    world.drop_file("orders.json", good_file(1));
    let status = world.ended("orders.json");
    assert_eq!(status["counts"]["accepted"], 1);
    let seen = provider.seen();
    assert_eq!(seen.len(), 2);
    let waited = seen[1].at - seen[0].at;
    assert!(waited >= Duration::from_secs(2), "only {waited:?}");
}

/// One number in trouble must not stop the other, not even inside one file; and the file's status
/// says which of them it waits for.
#[test]
fn a_throttled_sender_does_not_keep_its_file_from_the_other() {
    const OTHER: &str = "+15550002222";
    let plan = TenantPlan {
        more: "[[senders]]\nnumber = \"+15550002222\"\nphone_number_id = \"106540352242933\"\n",
        ..TenantPlan::new("acme")
    };
    let script = Script::accepting().to(&recipient(0), &[Answer::throttled(15), Answer::Accept]);
    let (mut world, provider) = World::start_with(&[plan], script);
    let rows: Vec<Value> = (0..20)
        .map(|index| {
            let mut row = row(index);
            row["from"] = if index % 2 == 0 {
                SENDER.into()
            } else {
                OTHER.into()
            };
            row
        })
        .collect();
    world.drop_file("first.json", file_of(&rows[..1]));
    provider.wait_for_requests(1, SOON);
    world.drop_file("mixed.json", file_of(&rows[1..]));
    let folder = world.folder("acme");
    let told: Value = world.wait_for("ten messages of the other sender", SOON, || {
        let status = folder.status("mixed.json")?;
        let others = status["counts"]["accepted"] == 10 && status["held"].is_string();
        others.then_some(status)
    });
    let held = told["held"].as_str().expect("a sentence");
    assert!(held.starts_with(SENDER) && !held.contains(OTHER), "{held}");
    assert!(told["estimatedEndAt"].is_null(), "nobody can say: {told:#}");
    // Which ends last is told to whoever asks why, and in the journal without a number.
    let explained = commands::told(&world, &["explain", "mixed.json"]);
    assert_eq!(explained["limit"], "throttle", "{explained:#}");
    let (_, figures) = world.ask_admin("/metrics");
    assert!(
        figures.contains("dropcast_senders_resting 1\n"),
        "{figures}"
    );
    let journal = world.journal();
    let line = "tenant acme: sender 106540352242922 rests for 15 s";
    assert!(journal.contains(line), "{journal}");
    assert!(!journal.contains(SENDER), "{journal}");
    let status = world.ended_of("acme", "mixed.json", SILENCE_MAX);
    assert_eq!(status["counts"]["accepted"], 19, "{status:#}");
    // The message that was throttled is tried again beside them, sooner or later.
    world.ended_of("acme", "first.json", SILENCE_MAX);
    assert_eq!(provider.seen_count(), 21);
}

/// Silence is the hardest answer: a guess either way is wrong for somebody.
#[test]
fn a_message_that_is_never_answered_is_unknown_and_not_sent_again() {
    let script = Script::accepting().to(&recipient(1), &[Answer::Silence]);
    let (mut world, provider) = World::start(script);
    world.drop_file("orders.json", good_file(3));
    let status = world.ended_of("acme", "orders.json", SILENCE_MAX);
    let lines = world.folder("acme").results(&status);
    let words: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["status"].as_str())
        .collect();
    assert_eq!(words, ["accepted", "unknown", "accepted"]);
    assert_eq!(provider.taken_for(&recipient(1)), 1);
    assert_eq!(provider.seen_count(), 3);
}

/// Whoever would rather have a message twice than never gets it twice at most, and is told so.
#[test]
fn only_a_tenant_that_asked_for_it_has_a_message_handed_over_again() {
    let plan = TenantPlan {
        more: "\n[policy]\nunknown = \"resend\"\n",
        ..TenantPlan::new("acme")
    };
    let silent = [Answer::HangUp, Answer::HangUp];
    let script = Script::accepting()
        .to(&recipient(0), &[Answer::HangUp, Answer::Accept])
        .to(&recipient(1), &silent);
    let (mut world, provider) = World::start_with(&[plan], script);
    world.drop_file("orders.json", good_file(3));
    let status = world.ended_of("acme", "orders.json", SILENCE_MAX);
    let lines = world.folder("acme").results(&status);
    let told = |index: usize| (&lines[index]["status"], &lines[index]["possibleDuplicate"]);
    assert_eq!(told(0), (&"accepted".into(), &true.into()));
    assert_eq!(told(1), (&"unknown".into(), &true.into()));
    assert_eq!(told(2), (&"accepted".into(), &Value::Null));
    assert_eq!(provider.seen_count(), 5);
}

/// A provider that is down for the night must cost a night, not a message.
#[test]
fn a_provider_that_comes_up_late_gets_every_message_once() {
    let reserved = Reserved::new();
    let mut world = World::prepare(&[TenantPlan::new("acme")], &reserved);
    world.run();
    world.drop_file("orders.json", good_file(20));
    let folder = world.folder("acme");
    let told: Value = world.wait_for("status that says why it is held", SOON, || {
        let status = folder.status("orders.json")?;
        status["held"].is_string().then_some(status)
    });
    assert_eq!(told["counts"]["accepted"], 0);
    assert_eq!(
        told["counts"]["unknown"], 0,
        "what never left is not unknown"
    );
    let provider = reserved.open(Script::accepting(), &world.path("provider.log"));
    let status = world.ended_of("acme", "orders.json", SILENCE_MAX);
    assert_eq!(status["counts"]["accepted"], 20, "{status:#}");
    for index in 0..20 {
        assert_eq!(provider.taken_for(&recipient(index)), 1, "message {index}");
    }
    assert_eq!(provider.seen_count(), 20);
}
