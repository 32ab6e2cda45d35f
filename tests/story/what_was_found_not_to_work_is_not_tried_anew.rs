//! What a provider was found not to take holds over a crash: a start tries it with one message when
//! its time has come, not with all that may be under way.

use std::time::Duration;

use crate::world::batches::{good_file, good_file_from, recipient};
use crate::world::commands::{done, told};
use crate::world::provider::{Answer, Script};
use crate::world::{SOON, TenantPlan, World, pass};

/// How long nothing must be sent before it is believed that nothing is.
const BELIEVED: Duration = Duration::from_secs(2);

/// A refused credential is answered by locking the account if each restart tries it with a burst;
/// and an operator who has mended it must not wait for the next try.
#[test]
fn a_refused_credential_is_not_tried_with_a_burst_after_a_kill() {
    let refused = Answer::error(401, 190, "Access token has expired");
    let script = Script::accepting().to(&recipient(0), &[refused, Answer::Accept]);
    let (mut world, provider) =
        World::start_with(&[TenantPlan::new("acme"), TenantPlan::new("zorg")], script);
    world.drop_file("first.json", good_file(1));
    let folder = world.folder("acme");
    world.wait_for("status that says why", SOON, || {
        let status = folder.status("first.json")?;
        status["held"].is_string().then_some(())
    });
    world.drop_file("run.json", good_file_from(100, 50));
    world.wait_for("fifty messages that wait", SOON, || {
        let status = folder.status("run.json")?;
        (status["counts"]["waiting"] == 50).then_some(())
    });
    world.kill();
    world.run();
    let explained = told(&world, &["explain", "run.json"]);
    assert_eq!(explained["limit"], "credentialHeld", "{explained:#}");
    let senders = told(&world, &["sender", "list", "--tenant", "acme"]);
    let held = senders[0]["held"].as_str().expect("why");
    assert!(held.contains("credentials"), "{held}");
    pass(BELIEVED);
    assert_eq!(provider.seen_count(), 1, "it was tried anew");
    let (_, figures) = world.ask_admin("/metrics");
    for line in [
        r#"dropcast_breakers_open{kind="credential"} 1"#,
        r#"dropcast_breakers_open{kind="endpoint"} 0"#,
        "dropcast_senders_resting 0",
        "dropcast_waiting 51",
    ] {
        assert!(
            figures.lines().any(|found| found == line),
            "{line}\n{figures}"
        );
    }

    // Whose credential works is not held with it.
    let local = world.local("other.json", good_file_from(500, 3));
    world
        .client("zorg")
        .put(&local, "whatsapp/other.json")
        .expect_ok();
    world.ended_of("zorg", "other.json", SOON);

    let said = done(&world, &["tenant", "resume", "acme"]);
    assert!(said.contains("was not paused but held"), "{said}");
    for (name, count) in [("first.json", 1), ("run.json", 50)] {
        let status = world.ended(name);
        assert_eq!(status["counts"]["accepted"], count, "{status:#}");
    }
    // What has passed again holds no more, also after the next start.
    world.kill();
    world.run();
    world.drop_file("last.json", good_file_from(200, 5));
    assert_eq!(world.ended("last.json")["counts"]["accepted"], 5);
}

/// A provider that has asked for a rest counts requests within it against the sender.
#[test]
fn a_rest_that_was_asked_for_is_kept_over_a_kill() {
    const REST_S: u32 = 12;
    let script =
        Script::accepting().to(&recipient(0), &[Answer::throttled(REST_S), Answer::Accept]);
    let (mut world, provider) = World::start(script);
    world.drop_file("first.json", good_file(1));
    provider.wait_for_requests(1, SOON);
    let folder = world.folder("acme");
    world.wait_for("status that says why", SOON, || {
        let status = folder.status("first.json")?;
        status["held"].is_string().then_some(())
    });
    world.kill();
    world.run();
    let senders = told(&world, &["sender", "list"]);
    let held = senders[0]["held"].as_str().expect("why");
    assert!(held.contains("asked its sender to be slower"), "{held}");
    world.drop_file("run.json", good_file_from(100, 20));
    world.ended_of("acme", "run.json", Duration::from_mins(1));
    let seen = provider.seen();
    let rest = seen[1].at - seen[0].at;
    assert!(rest >= Duration::from_secs(REST_S.into()), "only {rest:?}");
}
