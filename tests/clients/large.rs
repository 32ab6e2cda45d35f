//! Large files both ways, with keys changed every 16 MiB where the client can be made to: nothing
//! may stall, and every byte must come through.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::access::{Deed, REKEY_BYTES};
use super::door::Door;
use super::{Client, Rekeying, libraries, openssh};
use crate::world::World;
use crate::world::provider::Script;

/// What every client moves: many windows, many exchanges of keys.
pub(super) const LARGE: u64 = 256 << 20;
/// What two of them move besides: one asks for the whole file at once, the other is the most used.
/// At this size the door itself wants new keys.
const HUGE: u64 = 1 << 30;

/// Far below what any client does on a busy machine; one that is slower hangs.
const SLOWEST_BYTES_PER_SECOND: u64 = 4 << 20;

const BLOCK_BYTES: usize = 1 << 20;

/// One at a time, also where all tests share a process: disk and memory are not theirs alone.
static TURN: Mutex<()> = Mutex::new(());

/// A client moves a file of this size there and back.
pub(super) fn moved_by(client: &Client, bytes: u64) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let door = Door::open(World::roomy(), Script::accepting());
    let local = door.world.path("large");
    fill(&local, bytes);
    // It does not count, so nobody checks it.
    let remote = "/whatsapp/large.bin.part";
    let there = door.folder().path("whatsapp/large.bin.part");
    if let Rekeying::Never(why) = client.rekeying {
        eprintln!("keys are not changed: {why}");
    }
    transfer(client, &door, Deed::Put(&local, remote), bytes);
    assert_same(&local, &there);
    fs::remove_file(&local).expect("removed, since disks are small");
    transfer(client, &door, Deed::Get(remote, &local), bytes);
    assert_same(&local, &there);
}

fn transfer(client: &Client, door: &Door, deed: Deed, bytes: u64) {
    let began = Instant::now();
    let limit = Duration::from_secs(30 + bytes / SLOWEST_BYTES_PER_SECOND);
    let ran = client.run(&door.access, deed, limit);
    let took = began.elapsed();
    assert!(ran.ok, "{deed:?} failed:\n{}\n{}", ran.out, ran.err);
    let rate = bytes as f64 / took.as_secs_f64() / f64::from(1 << 20);
    let mut exchanges = 0;
    if let Rekeying::Forced(mark) = client.rekeying {
        exchanges = ran.err.matches(mark).count();
        // What is under way when an exchange begins comes on top of the sixteen.
        let least = (bytes / REKEY_BYTES) as usize * 3 / 4;
        assert!(
            exchanges >= least,
            "{exchanges} exchanges of keys: {}",
            ran.err
        );
    }
    let verb = deed.verb();
    eprintln!("{verb}: {took:.1?}, {rate:.0} MiB/s, {exchanges} exchanges of keys");
}

/// Fills a file with bytes that neither compress nor repeat.
fn fill(path: &Path, bytes: u64) {
    let mut file = File::create(path).expect("made");
    let mut random = fastrand::Rng::with_seed(bytes);
    let mut block = vec![0; BLOCK_BYTES];
    for _ in 0..bytes / BLOCK_BYTES as u64 {
        random.fill(&mut block);
        file.write_all(&block).expect("written");
    }
}

/// Panics unless both files hold the same bytes.
fn assert_same(one: &Path, other: &Path) {
    let open = |path: &Path| {
        let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let size = file.metadata().expect("its size").len();
        (file, size)
    };
    let ((mut one, size), (mut other, other_size)) = (open(one), open(other));
    assert_eq!(size, other_size, "a transfer changed the size");
    let (mut here, mut there) = (vec![0; BLOCK_BYTES], vec![0; BLOCK_BYTES]);
    for block in 0..size / BLOCK_BYTES as u64 {
        one.read_exact(&mut here).expect("read");
        other.read_exact(&mut there).expect("read");
        assert!(here == there, "a transfer changed block {block}");
    }
}

/// It asks for 32 thousand pieces before it takes the first: a door that waits for it stands still.
#[test]
fn paramiko_moves_a_huge_file_both_ways() {
    moved_by(&libraries::PARAMIKO, HUGE);
}

/// The most used client of all, beyond the size at which the door itself wants new keys.
#[test]
fn openssh_moves_a_huge_file_both_ways() {
    moved_by(&openssh::SFTP, HUGE);
}
