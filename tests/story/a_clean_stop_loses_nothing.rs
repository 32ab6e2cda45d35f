//! A stop that was asked for finishes what is in hand, in time, and goes on after the restart.
//!
//! Promise 6 of the README.

use std::time::Duration;

use crate::world::batches::good_file;
use crate::world::provider::Script;
use crate::world::{SOON, TenantPlan, World};

/// The stop that is promised to service managers.
const STOP_MAX: Duration = Duration::from_secs(10);

/// Every deployment stops the daemon under load; each message left in doubt then is a question
/// that somebody must answer by hand.
#[test]
fn a_stop_under_load_leaves_nothing_in_doubt_and_goes_on() {
    const ROWS: u64 = 2_000;
    let plans = [TenantPlan::new("acme").rate(300.0)];
    let script = Script::accepting().latency_ms(50, 200);
    let (mut world, provider) = World::start_with(&plans, script);
    world.drop_file("orders.json", good_file(ROWS));
    let mut rest = 300;
    for _ in 0..3 {
        provider.wait_for_requests(rest, SOON);
        rest += 300;
        let (code, took) = world.stop();
        assert_eq!(code, Some(0));
        assert!(took < STOP_MAX, "stopping took {took:?}");
        let seen = provider.seen();
        assert!(
            (seen.len() as u64) < ROWS,
            "the stop came too late to be one under load"
        );
        let open = seen.iter().filter(|seen| !seen.answered).count();
        assert_eq!(open, 0, "requests were under way after the end");
        world.run();
    }
    let status = world.ended("orders.json");
    assert_eq!(status["counts"]["accepted"], ROWS, "{status:#}");
    let lines = world.folder("acme").results(&status);
    let batch = status["batch"].as_str().expect("a batch id");
    let seen = provider.seen_of(batch);
    for (index, line) in (0_u64..).zip(&lines) {
        assert_eq!(line["index"], index);
        assert_eq!(line["status"], "accepted", "{line}");
        assert_eq!(
            seen[&index].len(),
            1,
            "message {index} was handed over again"
        );
    }
    assert_eq!(lines.len() as u64, ROWS);
}

/// A provider that never answers must not hold up the stop; the doubt is told instead.
#[test]
fn a_stop_does_not_wait_for_an_answer_that_does_not_come() {
    use crate::world::batches::recipient;
    use crate::world::provider::Answer;

    let script = Script::accepting().to(&recipient(0), &[Answer::Silence]);
    let (mut world, provider) = World::start(script);
    world.drop_file("orders.json", good_file(2));
    provider.wait_for_requests(2, SOON);
    let (code, took) = world.stop();
    assert_eq!(code, Some(0));
    assert!(
        took < STOP_MAX + Duration::from_secs(1),
        "stopping took {took:?}"
    );
    world.run();
    let status = world.ended("orders.json");
    let lines = world.folder("acme").results(&status);
    assert_eq!(lines[0]["status"], "unknown");
    assert_eq!(lines[1]["status"], "accepted");
    assert_eq!(provider.seen_count(), 2, "nothing was handed over again");
}
