//! The program is tortured from outside: real clients, a provider that writes down before it
//! answers, and an oracle that joins what was dropped, what the provider saw and what came back.
//!
//! A run follows a plan that is drawn from a seed. The seed is printed and can be given as
//! `DROPCAST_SEED`. `make torture` runs plans that are much larger, from ever new seeds, for
//! `TORTURE_SECONDS`, against the binary that `DROPCAST_BIN` names; one of them comes again by its
//! seed and `TORTURE_SECONDS=1`.

use std::env;
use std::time::{Duration, Instant};

use self::oracle::Breach;
#[cfg(feature = "fail-points")]
use self::oracle::Condition;
use self::plan::{Direction, Disk, LONG, Plan, SHORT, Size};
use self::run::{Run, Tally};

mod errands;
mod files;
mod history;
mod oracle;
mod plan;
mod record;
mod run;
mod small_disk;
mod wire;

/// Breaches of one run that are shown.
const SHOWN_MAX: usize = 20;

/// A file whose rename was answered by a life that has ended since is taken as a local job's, which
/// need not lie still for long here.
const HURRY: &str = "wait-unclosed=return(500);wait-sweep=return(500)";

/// A number that the environment gives.
fn given(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a number")),
    )
}

/// Carries a plan out and panics when the oracle finds anything.
fn torture(what: &str, plan: &Plan) -> Tally {
    eprintln!("{what}");
    let (breaches, tally) = Run::carry_out(plan, HURRY);
    eprintln!("{tally:#?}");
    let shown: Vec<String> = breaches
        .iter()
        .take(SHOWN_MAX)
        .map(|Breach { condition, words }| format!("{condition:?}: {words}"))
        .collect();
    let count = breaches.len();
    assert!(
        breaches.is_empty(),
        "{what}: {count} breaches\n{}",
        shown.join("\n")
    );
    tally
}

fn torture_by(seed: u64, size: Size) -> Tally {
    torture(&format!("DROPCAST_SEED={seed}"), &Plan::draw(seed, size))
}

/// Whoever trusts the service with a reminder must get one, whatever befalls the machine.
#[test]
fn nothing_is_lost_or_doubled() {
    let tally = torture_by(2, SHORT.on(Disk::Large));
    assert!(tally.kills > 0 && tally.stops > 0, "{tally:?}");
}

/// The same where the disk is full at times, which only root can bring about.
#[test]
fn nothing_is_lost_or_doubled_on_a_small_disk() {
    let tally = torture_by(17, SHORT.on(Disk::Small));
    let may_mount = rustix::process::geteuid().is_root();
    assert!(tally.full_disks > 0 || !may_mount, "{tally:?}");
}

/// Nobody has thought of every order in which things can go wrong.
#[test]
fn nothing_is_lost_or_doubled_whatever_is_drawn() {
    let first = given("DROPCAST_SEED").unwrap_or_else(|| fastrand::u64(..));
    let Some(seconds) = given("TORTURE_SECONDS") else {
        torture_by(first, SHORT);
        return;
    };
    let begun = Instant::now();
    let mut all = Tally::default();
    let mut seed = first;
    while begun.elapsed() < Duration::from_secs(seconds) {
        all.add(&torture_by(seed, LONG));
        seed = fastrand::u64(..);
    }
    eprintln!("in {:?}: {all:#?}", begun.elapsed());
}

/// A connection may break after any byte of a request and of its answer; wherever it does, the
/// message is told as what it is.
#[test]
fn a_connection_may_break_at_each_byte() {
    const REQUEST_BYTES: u64 = 900;
    const ANSWER_BYTES: u64 = 260;
    // Beside each that breaks there is one that lasts for a whole answer: where nothing works,
    // nothing is tried but now and then.
    let mut plan = Plan::calm(5, 3 * (REQUEST_BYTES + ANSWER_BYTES) as usize);
    let each = |way, bytes| (0..bytes).map(move |byte| (way, byte));
    let to = each(Direction::ToProvider, REQUEST_BYTES);
    let all = to.chain(each(Direction::FromProvider, ANSWER_BYTES));
    plan.broken = all
        .flat_map(|broken| [broken, (Direction::FromProvider, 2 * ANSWER_BYTES)])
        .collect();
    let tally = torture("each byte", &plan);
    let most = plan.broken.len();
    assert!(tally.broken_connections > most / 2, "{tally:?} of {most}");
    assert!(tally.unknown > 0, "{tally:?}");
}

/// What the oracle says of a calm run with this fault.
#[cfg(feature = "fail-points")]
fn found_with(fault: &str) -> Vec<Condition> {
    let (breaches, _) = Run::carry_out(&Plan::calm(11, 100), fault);
    breaches.iter().map(|breach| breach.condition).collect()
}

/// An oracle that never finds anything may be blind.
#[cfg(feature = "fail-points")]
#[test]
fn a_file_that_is_answered_and_not_kept_is_found() {
    assert_eq!(found_with("close-unlinked=return"), [Condition::FileLost]);
    assert_eq!(found_with(""), []);
}

/// The same for results that say more than the provider did.
#[cfg(feature = "fail-points")]
#[test]
fn an_outcome_that_is_recorded_before_the_answer_is_found() {
    let found = found_with("outcome-early=return");
    assert!(found.contains(&Condition::AcceptedUntaken), "{found:?}");
}
