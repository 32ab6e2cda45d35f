//! Each message is sent at most once and reported exactly once though the daemon is killed again
//! and again.
//!
//! The moments of the kills follow a seed, which is printed and can be given as `DROPCAST_SEED`;
//! how the machine shares its time between processes is out of reach. At the end the file, the
//! provider's own record and the results are joined. It has failed when
//!
//! - a row of the file is missing from the results, is there twice, or stands in another place;
//! - the provider took a message twice, or saw one attempt twice;
//! - a message is `accepted` and the provider did not take it, or gave it another id;
//! - a message is `invalid`, `failed`, `expired`, `suppressed` or `cancelled`, which nothing here
//!   brings about;
//! - a message is `unknown` though the provider saw it more than once, or though it was not under
//!   way at a kill;
//! - one kill left more messages unknown than may be in flight at once;
//! - there is more than one status, one set of results or one kept file for the one upload;
//! - the batch does not end once it is left alone.
//!
//! It has not failed when a message that the provider took is `unknown`: that is the one honest
//! doubt, and its number is printed.
//!
//! Promises 1, 2, 3 and 6 of the README.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::world::batches::{good_file, line_of, recipient};
use crate::world::provider::{Script, Seen};
use crate::world::{SOON, TenantPlan, World, wait_for};

const ROWS: u64 = 5_000;
const MESSAGES_PER_SECOND: f64 = 400.0;
const KILLS: usize = 32;

/// Attempts of one sender that may be under way at once.
const IN_FLIGHT_MAX: usize = 512;

/// The span in which a kill falls, in milliseconds after the door has opened.
const LIFE_MS: (u64, u64) = (20, 400);

/// A request seen this long before a kill had its outcome on disk by then: the longest latency of
/// the provider, and room for the commit on a busy machine.
const UNDER_WAY_MAX: Duration = Duration::from_secs(2);

/// How long the rest of the batch may take when it is left alone.
const REST: Duration = Duration::from_secs(90);

fn seed() -> u64 {
    match env::var("DROPCAST_SEED") {
        Ok(text) => text.parse().expect("DROPCAST_SEED is a number"),
        Err(_) => fastrand::u64(..),
    }
}

/// A crash must cost nobody a message and nobody a second one; what is in doubt must be told.
#[test]
fn each_message_is_sent_once_though_the_daemon_is_killed() {
    let seed = seed();
    eprintln!("DROPCAST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let plans = [TenantPlan::new("acme").rate(MESSAGES_PER_SECOND)];
    let (mut world, provider) = World::start_with(&plans, Script::accepting().latency_ms(5, 60));
    world.drop_file("orders.json", good_file(ROWS));

    // One kill falls into reading the file or just after; then the batch is let begin.
    let mut kills = vec![kill(&mut world, Duration::from_millis(random.u64(0..200)))];
    world.run();
    provider.wait_for_requests(1, SOON);
    while kills.len() < KILLS {
        let life = Duration::from_millis(random.u64(LIFE_MS.0..=LIFE_MS.1));
        kills.push(kill(&mut world, life));
        world.run();
    }
    let before_rest = provider.seen_count();
    let status = world.ended_of("acme", "orders.json", REST);
    let folder = world.folder("acme");
    let lines = folder.results(&status);
    let batch = status["batch"].as_str().expect("a batch id");
    let requests = provider.seen_of(batch);
    provider.assert_understood();

    assert_eq!(status["state"], "finished");
    assert_eq!(lines.len() as u64, ROWS, "one line for each row");
    assert!(
        provider.seen().iter().all(|seen| seen.batch == batch),
        "one batch only"
    );
    let mut unknown_by_kill = vec![0_usize; kills.len()];
    let mut unknown_seen = 0;
    let mut unknown = 0;
    for (index, line) in (0_u64..).zip(&lines) {
        assert_eq!(line["index"], index, "the order of the file");
        assert_eq!(line["line"], line_of(index));
        assert_eq!(line["to"], recipient(index));
        assert!(
            line.get("possibleDuplicate").is_none(),
            "nothing is sent again: {line}"
        );
        let tries = requests.get(&index).map_or(&[][..], Vec::as_slice);
        assert!(
            tries.len() <= 1,
            "seed {seed}: message {index} was handed over twice: {tries:?}"
        );
        match line["status"].as_str() {
            Some("accepted") => {
                assert_eq!(tries.len(), 1, "seed {seed}: never handed over: {line}");
                assert_eq!(line["messageId"], tries[0].wamid, "seed {seed}");
            }
            Some("unknown") => {
                unknown += 1;
                if let Some(only) = tries.first() {
                    unknown_seen += 1;
                    let kill = kill_after(&kills, only);
                    let kill = kill.unwrap_or_else(|| panic!("seed {seed}: no kill: {line}"));
                    unknown_by_kill[kill] += 1;
                }
            }
            _ => panic!("seed {seed}: nothing here does that: {line}"),
        }
    }
    let most = unknown_by_kill.iter().copied().max().unwrap_or(0);
    eprintln!(
        "{} kills, {before_rest} requests before the last; {unknown} of {ROWS} messages unknown, \
         {unknown_seen} of them taken by the provider, at most {most} of one kill",
        kills.len()
    );
    assert!(most <= IN_FLIGHT_MAX, "seed {seed}: {unknown_by_kill:?}");
    assert!(unknown <= IN_FLIGHT_MAX * kills.len(), "seed {seed}");
    assert_eq!(status["counts"]["unknown"], unknown);
    assert_eq!(status["counts"]["accepted"], ROWS - unknown as u64);
    assert!(
        before_rest > KILLS,
        "the kills did not fall into the sending"
    );

    let one = |folder_name: &str, end: &str| {
        let names = folder.names(folder_name);
        let count = names.iter().filter(|name| name.ends_with(end)).count();
        assert_eq!(count, 1, "{folder_name}: {names:?}");
    };
    one("whatsapp/results", ".results.jsonl");
    one("whatsapp/processed", ".orders.json");
    assert!(folder.names("whatsapp/errors").is_empty());
    assert!(!folder.path("whatsapp/orders.json").exists());
    folder.assert_files_are_there(&status);
    wait_for("empty spool", SOON, || {
        spool(&world).is_empty().then_some(())
    });
}

/// The files of the tenant in both parts of the spool.
fn spool(world: &World) -> Vec<PathBuf> {
    let parts = ["new", "held"].map(|part| world.path(&format!("data/spool/{part}/acme")));
    let entries = parts
        .iter()
        .flat_map(|part| fs::read_dir(part).expect("a part of the spool"));
    entries
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

/// What a kill cuts off after the end of a batch must not fill the disk for ever.
#[test]
fn what_a_kill_has_left_behind_goes_at_the_next_start() {
    let (mut world, _provider) = World::start(Script::accepting());
    world.drop_file("orders.json", good_file(2));
    let status = world.ended("orders.json");
    let batch = status["batch"].as_str().expect("a batch id").to_owned();
    wait_for("empty spool", SOON, || {
        spool(&world).is_empty().then_some(())
    });
    world.kill();
    let folder = world.folder("acme");
    let kept = folder.path(&format!("whatsapp/processed/{batch}.orders.json"));
    let entry = world.path(&format!("data/spool/held/acme/{batch}.w.orders.json"));
    fs::hard_link(kept, &entry).expect("linked");
    let draft = folder.path("whatsapp/results/.dropcast-draft.1.1");
    fs::write(&draft, b"half a report").expect("written");
    world.run();
    wait_for("clean start", SOON, || {
        (!entry.exists() && !draft.exists()).then_some(())
    });
}

/// Kills the daemon after it has lived for so long; gives the moment. The time is the story's own
/// draw, not a wait for something.
fn kill(world: &mut World, life: Duration) -> Instant {
    std::thread::sleep(life);
    let moment = Instant::now();
    world.kill();
    moment
}

/// The first kill after this request, if the request can have been under way then.
fn kill_after(kills: &[Instant], seen: &Seen) -> Option<usize> {
    // A request may be written down in the instant in which its sender dies.
    let dying = Duration::from_millis(500);
    let first = kills.iter().position(|kill| *kill + dying >= seen.at)?;
    let age = kills[first].saturating_duration_since(seen.at);
    (age <= UNDER_WAY_MAX).then_some(first)
}
