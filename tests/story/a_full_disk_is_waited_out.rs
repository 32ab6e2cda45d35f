//! A full disk stops everything cleanly, and everything goes on by itself; a disk that fails ends
//! the service, which says so.
//!
//! It has failed when
//!
//! - a message is lost, sent twice or unknown because the disk was full;
//! - what the provider answered while the disk was full is not recorded until there is room;
//! - a message is begun on a full disk, or none is once there is room again;
//! - a full disk keeps the service from stopping;
//! - a service whose disk fails goes on, or ends without a word, or cannot start again.
//!
//! Promises 1, 2, 3 and 6 of the README.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use crate::world::batches::good_file;
use crate::world::provider::{Provider, Reserved, Script};
use crate::world::{SOON, TenantPlan, World, wait_for};

const ROWS: u64 = 2_000;
const MESSAGES_PER_SECOND: f64 = 400.0;

/// The stop that is promised to service managers.
const STOP_MAX: Duration = Duration::from_secs(10);

/// A disk of its own, in memory. It is there for as long as this lives.
struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// `None` for users who may not have one.
    fn mount(size: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("only root can try what a small disk does");
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "small"]);
        let mounted = mount.arg(folder.path()).status().expect("`mount` runs");
        if !mounted.success() {
            eprintln!("this root cannot mount a small disk");
            return None;
        }
        Some(Self { folder })
    }

    /// Takes all the room there is.
    fn fill(&self) -> PathBuf {
        let path = self.folder.path().join("filler");
        let mut filler = File::create(&path).expect("made");
        for size in [64 << 10, 4 << 10] {
            let block = vec![0_u8; size];
            loop {
                match filler.write_all(&block) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => panic!("the disk is filled: {error}"),
                }
            }
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount")
            .arg("-l")
            .arg(self.folder.path())
            .status();
        assert!(unmounted.is_ok_and(|status| status.success()), "unmounted");
    }
}

/// A world whose data lies on this disk, in the middle of a batch.
fn in_the_middle_of_a_batch(disk: &SmallDisk) -> (World, Provider) {
    let reserved = Reserved::new();
    let plan = TenantPlan::new("acme").rate(MESSAGES_PER_SECOND);
    let mut world = World::prepare(&[plan], &reserved);
    let script = Script::accepting().latency_ms(50, 400);
    let provider = reserved.open(script, &world.path("provider.log"));
    symlink(disk.folder.path(), world.data_dir()).expect("linked");
    world.run();
    world.drop_file("orders.json", good_file(ROWS));
    provider.wait_for_requests(200, SOON);
    (world, provider)
}

/// How many messages of the only batch are in flight, and how many were accepted.
fn counts(data_dir: &Path) -> (i64, i64) {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let store = Connection::open_with_flags(data_dir.join("dropcast.db"), flags);
    let store = store.expect("the store is there");
    let sql = "SELECT in_flight, accepted FROM batches";
    let counts = store.query_row(sql, (), |row| Ok((row.get(0)?, row.get(1)?)));
    counts.expect("one batch")
}

/// Waits until nothing is in flight any more although the disk is full; gives how many messages
/// were sent until then.
fn wait_for_outcomes(world: &World, provider: &Provider) -> usize {
    wait_for("word that the disk is full", SOON, || {
        let (status, text) = world.ask_admin("/readyz");
        (status == 503 && text == "the disk is full\n").then_some(())
    });
    wait_for("outcomes on a full disk", SOON, || {
        let (in_flight, accepted) = counts(&world.data_dir());
        let seen = provider.seen_count();
        (in_flight == 0 && accepted == seen as i64).then_some(seen)
    })
}

fn assert_each_was_sent_once(world: &mut World, provider: &Provider) {
    let status = world.ended("orders.json");
    let lines = world.folder("acme").results(&status);
    assert_eq!(lines.len() as u64, ROWS);
    let requests = provider.seen_of(status["batch"].as_str().expect("an id"));
    for (index, line) in (0_u64..).zip(&lines) {
        assert_eq!(
            (&line["index"], &line["status"]),
            (&index.into(), &"accepted".into())
        );
        assert_eq!(requests[&index].len(), 1, "{line}");
    }
    provider.assert_understood();
}

/// Whoever fills the disk of a service must cost nobody a message, nor the operator a night.
#[test]
fn a_batch_goes_on_by_itself_once_there_is_room() {
    let Some(disk) = SmallDisk::mount("64m") else {
        return;
    };
    let (mut world, provider) = in_the_middle_of_a_batch(&disk);
    let filler = disk.fill();
    let sent = wait_for_outcomes(&world, &provider);
    assert!((sent as u64) < ROWS, "the disk was filled in the middle");
    let refused = world.client("acme").put(
        &world.local("more.json", good_file(1)),
        "whatsapp/more.json",
    );
    assert!(!refused.ok, "an upload is refused");
    assert_eq!(provider.seen_count(), sent, "nothing is begun");
    fs::remove_file(filler).expect("room is made");
    assert_each_was_sent_once(&mut world, &provider);
    wait_for("readiness", SOON, || {
        (world.ask_admin("/readyz").0 == 200).then_some(())
    });
    let reserve = world.data_dir().join("reserve");
    assert!(reserve.metadata().expect("put aside").len() > 1 << 20);
    assert_eq!(world.stop().0, Some(0));
}

/// An operator who stops the service to make room must not have to kill it, and must find
/// everything where it was.
#[test]
fn a_stop_on_a_full_disk_is_clean() {
    let Some(disk) = SmallDisk::mount("64m") else {
        return;
    };
    let (mut world, provider) = in_the_middle_of_a_batch(&disk);
    let filler = disk.fill();
    wait_for_outcomes(&world, &provider);
    let (code, took) = world.stop();
    assert_eq!(code, Some(0));
    assert!(took < STOP_MAX, "{took:?}");
    fs::remove_file(filler).expect("room is made");
    world.run();
    assert_each_was_sent_once(&mut world, &provider);
}

/// A disk that does not sync what it took must not be trusted for a moment longer.
#[cfg(feature = "fail-points")]
#[test]
fn a_failed_sync_ends_the_service_which_says_so() {
    let reserved = Reserved::new();
    let plan = TenantPlan::new("acme").rate(MESSAGES_PER_SECOND);
    let mut world = World::prepare(&[plan], &reserved);
    let provider = reserved.open(Script::accepting(), &world.path("provider.log"));
    world.run_with("store-sync=50*off->return");
    world.drop_file("orders.json", good_file(ROWS));
    wait_for("end of the service", SOON, || world.is_dead().then_some(()));
    assert_eq!(world.stop().0, Some(1));
    let log = fs::read_to_string(world.path("daemon-1.log")).expect("a log");
    assert!(
        log.contains("the disk failed to take or to sync what was written"),
        "{log}"
    );
    world.run();
    let status = world.ended("orders.json");
    let lines = world.folder("acme").results(&status);
    assert_eq!(lines.len() as u64, ROWS);
    let requests = provider.seen_of(status["batch"].as_str().expect("an id"));
    for (index, line) in (0_u64..).zip(&lines) {
        let tries = requests.get(&index).map_or(0, Vec::len);
        match line["status"].as_str() {
            Some("accepted") => assert_eq!(tries, 1, "{line}"),
            // Its outcome was not on disk.
            Some("unknown") => assert!(tries <= 1, "{line}"),
            _ => panic!("{line}"),
        }
    }
}
