//! What is old goes by itself, each kind at its own time, and nothing else does.
//!
//! It has failed when
//!
//! - something is still there long after its time, or gone before it;
//! - a daemon that is killed between two steps leaves something behind for ever;
//! - a batch that runs meanwhile loses a row, or a client that lists the folder meets an error.
//!
//! Promises 1, 2 and 6 of the README.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use crate::world::batches::{file_of, good_file, good_file_from, recipient, row};
use crate::world::provider::{Answer, Gate, Provider, Script};
use crate::world::{SOON, TenantPlan, World, wait_for};

/// Folders whose files go, beneath `whatsapp/`.
const FOLDERS: [&str; 3] = ["processed", "results", "errors"];

/// Steps by which what is old goes.
#[cfg(feature = "fail-points")]
const STEPS: [&str; 6] = [
    "purge-files-removed",
    "purge-files-noted",
    "purge-messages-step",
    "purge-notes-step",
    "purge-history-step",
    "purge-history-done",
];

/// Everything goes at once.
#[cfg(feature = "fail-points")]
const NOTHING_KEPT: &str =
    "[retention]\nprocessed = \"0s\"\nresults = \"0s\"\ncontent = \"0s\"\nhistory = \"0s\"";

fn plan(retention: &'static str) -> TenantPlan {
    TenantPlan {
        more: retention,
        ..TenantPlan::new("acme")
    }
}

fn start(retention: &'static str, script: Script) -> (World, Provider) {
    World::start_with(&[plan(retention)], script)
}

/// Everything that lies in the folders, hidden names too.
fn files(world: &World) -> Vec<PathBuf> {
    let folder = world.folder("acme");
    let each = FOLDERS.iter().flat_map(|part| {
        let entries = fs::read_dir(folder.path(&format!("whatsapp/{part}"))).expect("a folder");
        entries.map(|entry| entry.expect("an entry").path())
    });
    each.collect()
}

/// How many rows the store has about batches, their messages and their files.
#[cfg(feature = "fail-points")]
fn rows_at_rest(world: &World) -> i64 {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let path = world.data_dir().join("dropcast.db");
    let store = Connection::open_with_flags(path, flags).expect("the store is there");
    store.busy_timeout(SOON).expect("set");
    let tables = [
        "batches",
        "chunks",
        "chunk_contents",
        "messages",
        "faults",
        "publications",
        "lanes",
        "companions",
    ];
    let count = |table: &&str| {
        let sql = format!("SELECT COUNT(*) FROM {table}");
        store.query_row(&sql, (), |row| row.get::<_, i64>(0))
    };
    tables
        .iter()
        .map(|table| count(table).expect("counted"))
        .sum()
}

/// A file with a good row and a bad one.
fn mixed_file(first: u64) -> String {
    let mut rows: Vec<Value> = (first..first + 2).map(row).collect();
    rows[1]["to"] = "+1".into();
    file_of(&rows)
}

fn has_figure(world: &World, line: &str) -> bool {
    let (_, figures) = world.ask_admin("/metrics");
    figures.lines().any(|found| found == line)
}

/// A tenant's folder and the server's disk must not fill up with what nobody wants any more, and
/// what is kept for longer must stay.
#[test]
fn each_kind_goes_at_its_own_time() {
    let retention = "[retention]\nprocessed = \"0s\"\nresults = \"10d\"\ncontent = \"0s\"";
    let (mut world, _provider) = start(retention, Script::accepting());
    world.drop_file("orders.json", mixed_file(0));
    let status = world.ended("orders.json");
    for kind in ["processed", "content"] {
        let line = format!("dropcast_purged_total{{kind=\"{kind}\"}} 1");
        wait_for(&line, SOON, || has_figure(&world, &line).then_some(()));
    }
    let folder = world.folder("acme");
    assert!(!folder.of_batch("processed", &status, "").exists());
    let lines = folder.results(&status);
    assert_eq!((lines.len(), &lines[0]["status"]), (2, &"accepted".into()));
    assert_eq!(folder.faults(&status)["count"], 1);
    assert_eq!(folder.status("orders.json"), Some(status.clone()));
    let told = fs::read_to_string(folder.path("README.txt")).expect("a README");
    for line in [
        "  not at all   files in processed",
        "  10 days      files in results and errors",
        "  not at all   on the server: numbers",
        "  400 days     on the server: what became",
    ] {
        assert!(told.contains(line), "{line}\n{told}");
    }
    // No number and no text is in the store any more.
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let store = Connection::open_with_flags(world.data_dir().join("dropcast.db"), flags);
    let store = store.expect("the store is there");
    let count = |sql| {
        store
            .query_row(sql, (), |row| row.get::<_, i64>(0))
            .expect("counted")
    };
    assert_eq!(count("SELECT COUNT(*) FROM chunk_contents"), 0);
    assert_eq!(count("SELECT COUNT(*) FROM messages WHERE note <> ''"), 0);
    assert_eq!(count("SELECT COUNT(*) FROM messages"), 2);
    // What was sent is still known: the same file is refused.
    world.drop_file("orders.json", mixed_file(0));
    let again = world.ended_after("orders.json", &status);
    assert_eq!(again["state"], "duplicate");
}

/// The status of a name goes with the newest batch of it; that of one that runs must stay, however
/// old the batches before it are. Files that belong to no batch go by their own time.
#[test]
fn a_running_batch_keeps_its_status_and_strays_go() {
    let gate = Gate::default();
    let script = Script::accepting().to(&recipient(10), &[Answer::AcceptBehind(gate.clone())]);
    let (mut world, _provider) =
        start("[retention]\nprocessed = \"10d\"\nresults = \"1s\"", script);
    let folder = world.folder("acme");
    world.drop_file("orders.json", mixed_file(0));
    let first = world.ended("orders.json");
    world.drop_file("orders.json", good_file_from(10, 1));
    wait_for("status of the newer batch", SOON, || {
        let status = folder.status("orders.json");
        status.filter(|status| status["state"] == "sending")
    });
    wait_for("results that are gone", SOON, || {
        let old = first["batch"].as_str().expect("an id");
        let is_old = |path: &PathBuf| path.to_string_lossy().contains(old);
        let left = files(&world).iter().filter(|path| is_old(path)).count();
        // What the client uploaded is kept for longer.
        (left == 1).then_some(())
    });
    let [fresh, old] = ["fresh.txt", "old.txt"].map(|name| {
        let path = folder.path(&format!("whatsapp/processed/{name}"));
        fs::write(&path, b"by hand").expect("written");
        path
    });
    let eleven_days_ago = SystemTime::now() - Duration::from_hours(11 * 24);
    let file = File::options().write(true).open(&old).expect("opened");
    file.set_modified(eleven_days_ago).expect("made old");
    wait_for("stray that is gone", SOON, || (!old.exists()).then_some(()));
    assert!(fresh.exists());
    let running = folder.status("orders.json").expect("a status");
    assert_eq!(
        (&running["state"], &running["final"]),
        (&"sending".into(), &false.into())
    );
    gate.open();
    wait_for("status that is gone", SOON, || {
        folder.names("whatsapp/results").is_empty().then_some(())
    });
    assert_eq!(folder.names("whatsapp/processed").len(), 3);
}

/// What goes beside a batch that runs must not cost it a row, nor a client that lists the folder an
/// error.
#[test]
fn a_running_batch_and_a_reader_notice_nothing() {
    const ROWS: u64 = 1_500;
    let retention = "[retention]\nprocessed = \"0s\"\nresults = \"8s\"\ncontent = \"0s\"";
    let (world, provider) = start(retention, Script::accepting());
    let client = world.client("acme");
    world.drop_file("big.json", good_file(ROWS));
    provider.wait_for_requests(1, SOON);
    let is_over = AtomicBool::new(false);
    let lines = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                client.list("whatsapp/results");
                client.list("whatsapp/processed");
            }
        });
        for small in 0..6 {
            let name = format!("small-{small}.json");
            world.drop_file(&name, mixed_file(10_000 + small * 10));
        }
        let folder = world.folder("acme");
        let lines = wait_for("results of the big batch", SOON, || {
            let status = folder.status("big.json").filter(|it| it["final"] == true)?;
            // They are there for a moment only.
            Some(folder.results(&status))
        });
        wait_for("empty folders", SOON, || {
            files(&world).is_empty().then_some(())
        });
        is_over.store(true, Ordering::Relaxed);
        reader.join().expect("the reader met no error");
        lines
    });
    assert_eq!(lines.len() as u64, ROWS);
    for (index, line) in (0_u64..).zip(&lines) {
        assert_eq!(
            (&line["index"], &line["status"]),
            (&index.into(), &"accepted".into())
        );
    }
    provider.assert_understood();
    assert_eq!(provider.seen_count() as u64, ROWS + 6);
}

/// A daemon that dies while it clears up must finish that, and must not clear up anything else.
#[cfg(feature = "fail-points")]
#[test]
fn a_death_while_it_goes_leaves_nothing_behind() {
    use crate::world::provider::Reserved;

    for step in STEPS {
        let reserved = Reserved::new();
        let mut world = World::prepare(&[plan(NOTHING_KEPT)], &reserved);
        let gate = Gate::default();
        let script = Script::accepting().to(&recipient(10), &[Answer::AcceptBehind(gate.clone())]);
        let provider = reserved.open(script, &world.path("provider.log"));
        // The history of a batch this large goes in more than one step.
        let rows = if step == "purge-history-step" {
            2_500
        } else {
            3
        };
        let mut bad: Vec<Value> = (20..20 + rows).map(row).collect();
        bad.iter_mut()
            .skip(1)
            .for_each(|row| row["to"] = "+1".into());
        world.run_with(&format!("{step}=return"));
        world.drop_file("running.json", good_file_from(10, 1));
        provider.wait_for_requests(1, SOON);
        world.drop_file("old.json", file_of(&bad));
        wait_for(&format!("death at {step}"), SOON, || {
            world.is_dead().then_some(())
        });
        world.died();
        world.run();
        gate.open();
        wait_for(
            &format!("nothing left after a death at {step}"),
            SOON,
            || (files(&world).is_empty() && rows_at_rest(&world) == 0).then_some(()),
        );
        let seen = provider.seen();
        assert_eq!(seen.len(), 2, "{step}: each was sent once");
        assert_eq!(world.stop().0, Some(0), "{step}");
    }
}

/// Each step that the sources name must be one that was died at.
#[cfg(feature = "fail-points")]
#[test]
fn every_step_is_known() {
    let source = include_str!("../../src/daemon/retention.rs");
    let named: Vec<&str> = source
        .split("crash::point(\"")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once('"')?.0))
        .collect();
    assert_eq!(named, STEPS);
}
