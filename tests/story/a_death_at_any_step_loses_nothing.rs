//! A file is sent once and answered once though the daemon dies between any two steps.
//!
//! The sources name the steps (`crash::point`); each is died at the first time it is passed, the
//! second time, and so on, until a whole run no longer passes it that often. After each death the
//! daemon starts again and whoever dropped the file does what a cron job does: what was not
//! answered `OK` is dropped again. It has failed when
//!
//! - a file whose drop was answered is not sent;
//! - the provider saw a message twice, or a message is `accepted` that it did not see;
//! - a row is missing from the results or is there twice;
//! - more than one batch was sent, or one that was refused was sent;
//! - something is left in the spool, or the dropped name or a hidden one stays in the folder;
//! - a step is named in the sources and no story passes it.
//!
//! Promises 1, 2, 3 and 6 of the README.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::world::batches::{file_of, row};
use crate::world::provider::{Provider, Reserved, Script};
use crate::world::{SOON, TenantPlan, World, steps, wait_for};

/// Rows of the file, of which the last cannot be sent.
const ROWS: u64 = 4;
/// A step that a run passes more often than this is walked no further.
const PASSES_MAX: usize = 16;
const NAME: &str = "orders.json";

/// Steps of commands, which have nothing to do with a file, those by which what is old goes, at
/// which `what_is_old_goes` dies, and those of files that steer, at which
/// `the_tenant_steers_by_file` does.
const ELSEWHERE: [&str; 5] = ["host-key", "purge-", "steering-", "companion-", "media-"];
/// A daemon that starts need not wait long for local files to settle.
const HURRY: &str = "wait-unclosed=return(200);wait-sweep=return(200)";

/// How the file gets into the folder.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Uploaded under its own name.
    Put,
    /// Uploaded under a working name and renamed.
    Renamed,
    /// Written by a local job.
    Local,
    /// Uploaded, and nothing that could be sent.
    Refused,
}

/// A client that was not answered must be able to drop its file again and have it sent once.
#[test]
fn a_death_while_a_file_is_closed() {
    walk("close-", Way::Put);
}

/// The same for clients that rename when they are done.
#[test]
fn a_death_while_a_file_is_renamed() {
    walk("rename-", Way::Renamed);
}

/// A local job is gone when the daemon dies: nobody drops the file again.
#[test]
fn a_death_while_a_local_file_is_taken() {
    walk("local-", Way::Local);
}

/// A death over a bad file must neither send it nor lose the answer.
#[test]
fn a_death_while_a_file_is_refused() {
    walk("refused", Way::Refused);
}

/// What was answered must be checked, kept and admitted once.
#[test]
fn a_death_while_a_file_is_taken_in() {
    for step in [
        "received",
        "held",
        "check-begun",
        "kept",
        "admitted",
        "chunk-begun",
    ] {
        walk(step, Way::Put);
    }
}

/// Reports must be written once, and the file go once they are there.
#[test]
fn a_death_while_a_batch_is_answered() {
    for step in ["report-", "file-linked"] {
        walk(step, Way::Put);
    }
}

/// A name must go with its batch and no sooner.
#[test]
fn a_death_while_a_batch_ends() {
    for step in ["name-", "status-final", "ended", "released"] {
        walk(step, Way::Put);
    }
}

/// A message must be sent once whatever was on disk about it.
#[test]
fn a_death_while_messages_are_sent() {
    walk("send-", Way::Put);
}

/// What one commit holds and the next lacks must be made good, also while a start commits.
#[test]
fn a_death_before_each_commit() {
    walk("store-commit-before", Way::Put);
}

/// What was committed and told to nobody must not be done again.
#[test]
fn a_death_after_each_commit() {
    walk("store-committed", Way::Put);
}

/// Half a report must not be read, nor a whole one be missing.
#[test]
fn a_death_while_a_file_is_written() {
    walk("draft-", Way::Put);
}

/// A start that dies while it finishes what another death has cut off leaves it to the next.
#[test]
fn a_death_while_a_start_repairs() {
    for (first, then) in [
        ("close-spool-synced", "repair-renamed"),
        ("close-renamed", "repair-shown"),
    ] {
        assert!(dies_at(&[first, then], 0, Way::Put), "{then} is not passed");
    }
}

/// A step that nobody dies at is a step that nobody has tried.
#[test]
fn every_step_is_walked() {
    let walked = [
        "close-",
        "rename-",
        "local-",
        "repair-",
        "send-",
        "store-",
        "draft-",
        "refused",
        "received",
        "held",
        "check-begun",
        "kept",
        "admitted",
        "chunk-begun",
        "report-",
        "file-linked",
        "name-",
        "status-final",
        "ended",
        "released",
    ];
    let steps = steps();
    for step in &steps {
        assert!(
            walked.iter().any(|prefix| step.starts_with(prefix)),
            "{step}"
        );
    }
    for prefix in walked {
        assert!(
            steps.iter().any(|step| step.starts_with(prefix)),
            "{prefix}"
        );
    }
}

/// The points of the sources that a file passes.
fn steps() -> BTreeSet<String> {
    let mut steps = steps::points();
    steps.retain(|step| !ELSEWHERE.iter().any(|prefix| step.starts_with(prefix)));
    steps
}

/// Dies at each step whose name begins so, at each time that a run passes it.
fn walk(prefix: &str, way: Way) {
    let steps = steps();
    let named: Vec<_> = steps
        .iter()
        .filter(|step| step.starts_with(prefix))
        .collect();
    assert!(!named.is_empty(), "no step is called {prefix}");
    for step in named {
        let passes = (0..PASSES_MAX)
            .take_while(|passed| dies_at(&[step], *passed, way))
            .count();
        assert!(
            passes > 0,
            "a file that comes as {way:?} never passes {step}"
        );
        eprintln!("{step}: died {passes} times");
    }
}

/// Runs a file through a daemon that dies when it has passed the first step that often, and at the
/// next step in the start after that; says whether it died as often.
fn dies_at(steps: &[&str], passed: usize, way: Way) -> bool {
    let reserved = Reserved::new();
    let plan = TenantPlan {
        more: "[policy]\nsettle_ms = 0",
        ..TenantPlan::new("acme")
    };
    let mut world = World::prepare(&[plan], &reserved);
    let provider = reserved.open(Script::accepting(), &world.path("provider.log"));
    let what = format!("{steps:?} passed {passed} times, dropped as {way:?}");

    let (mut answered, mut died) = (false, true);
    for step in steps {
        let points = format!("{HURRY};{step}={passed}*off->return");
        if world.try_run_with(&points).is_ok() {
            answered = answered || drop_as(&world, way);
            wait_for(&format!("end or death ({what})"), SOON, || {
                (world.is_dead() || has_ended(&world)).then_some(())
            });
            died &= world.stop().0 != Some(0);
        }
    }
    world.run_with(HURRY);
    if !answered {
        assert!(died, "{what}: not answered by a daemon that lives");
        assert!(drop_as(&world, way), "{what}: not answered after a start");
    }
    wait_for(&format!("end of every batch ({what})"), SOON, || {
        has_ended(&world).then_some(())
    });
    look(&world, &provider, way, &what);
    died
}

/// Drops the file; says whether that was answered `OK`.
fn drop_as(world: &World, way: Way) -> bool {
    let mut rows: Vec<Value> = (0..ROWS).map(row).collect();
    rows[ROWS as usize - 1]["to"] = "+1".into();
    let text = match way {
        Way::Refused => "this is no batch".to_owned(),
        Way::Put | Way::Renamed | Way::Local => file_of(&rows),
    };
    if let Way::Local = way {
        fs::write(world.folder("acme").path("whatsapp/orders.json"), text).expect("written");
        return true;
    }
    let local = world.local(NAME, text);
    let client = world.client("acme");
    let put = |remote: &str| format!("put \"{}\" \"{remote}\"", local.display());
    let ran = match way {
        Way::Renamed => client.run(&[
            put("whatsapp/orders.json.part"),
            "rename whatsapp/orders.json.part whatsapp/orders.json".to_owned(),
        ]),
        _ => client.run(&[put("whatsapp/orders.json")]),
    };
    ran.ok
}

/// Whether nothing is left to be done: the last word is said, and nothing waits anywhere.
fn has_ended(world: &World) -> bool {
    let folder = world.folder("acme");
    let is_final = folder
        .status(NAME)
        .is_some_and(|status| status["final"] == true);
    let waits = |path: &Path| {
        let entries = fs::read_dir(path).into_iter().flatten();
        entries.flatten().any(|entry| entry.path().is_file())
    };
    let spool = ["new", "held"].map(|part| world.data_dir().join("spool").join(part).join("acme"));
    is_final && !spool.iter().any(|part| waits(part)) && !waits(&folder.path("whatsapp"))
}

/// What the sender and the provider have seen in the end.
fn look(world: &World, provider: &Provider, way: Way, what: &str) {
    let folder = world.folder("acme");
    let statuses: Vec<Value> = folder
        .names("whatsapp/results")
        .iter()
        .filter(|name| name.ends_with(".orders.json.status.json"))
        .map(|name| fs::read(folder.path(&format!("whatsapp/results/{name}"))).expect("a status"))
        .map(|text| serde_json::from_slice(&text).expect("JSON"))
        .collect();
    let sent: Vec<&Value> = statuses
        .iter()
        .filter(|it| it["state"] == "finished")
        .collect();
    provider.assert_understood();
    for status in &statuses {
        assert_eq!(status["final"], true, "{what}");
        folder.assert_files_are_there(status);
    }
    if let Way::Refused = way {
        assert!(
            sent.is_empty() && !statuses.is_empty(),
            "{what}: {statuses:?}"
        );
        assert!(provider.seen().is_empty(), "{what}");
        return;
    }
    let [status] = sent[..] else {
        panic!("{what}: one batch is sent: {statuses:?}");
    };
    let requests = provider.seen_of(status["batch"].as_str().expect("an id"));
    let lines = folder.results(status);
    assert_eq!(lines.len() as u64, ROWS, "{what}: one line for each row");
    for (index, line) in (0_u64..).zip(&lines) {
        let tries = requests.get(&index).map_or(0, Vec::len);
        assert_eq!(line["index"], index, "{what}");
        match line["status"].as_str() {
            Some("accepted") => assert_eq!(tries, 1, "{what}: {line}"),
            // It was under way when the daemon died.
            Some("unknown") => assert!(tries <= 1, "{what}: {line}"),
            Some("invalid") => assert_eq!((index, tries), (ROWS - 1, 0), "{what}: {line}"),
            _ => panic!("{what}: {line}"),
        }
    }
    let batch = &status["batch"];
    assert!(
        provider.seen().iter().all(|seen| *batch == seen.batch),
        "{what}: one batch only"
    );
    let hidden = fs::read_dir(folder.path("whatsapp/results")).expect("results");
    let is_hidden = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with('.');
    let left = hidden.flatten().find(|entry| is_hidden(&entry.file_name()));
    assert!(left.is_none(), "{what}: {left:?}");
}
