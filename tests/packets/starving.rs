//! Clients that ask and never read. What is kept for them is bounded, whoever asks for too much
//! loses the channel, and the others do not notice.

use std::fs;

use super::packet::{
    CREATE, FAILURE, NEW, OK, READ, WRITE, ask, close, init, one, open, read, write,
};
use super::wire::Line;
use crate::world::batches::good_file;
use crate::world::provider::Script;
use crate::world::{SOON, World, wait_for};

/// How much the daemon may grow by one client that reads nothing.
const GROWTH_KIB_MAX: u64 = 64 << 10;
/// The most data of one READ.
const DATA_BYTES_MAX: u32 = 255 << 10;
/// How many requests may wait for their answers on one channel.
const WAITING_MAX: usize = 128 << 10;
/// How many requests are sent together.
const TOGETHER: usize = 512;
/// A window that closes with its first byte and is never opened again.
const CLOSED: u32 = 1;

/// What the daemon has in memory, in KiB.
fn resident_kib(world: &World) -> u64 {
    let text = fs::read_to_string(world.process("status")).expect("a running daemon");
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number.expect("a number of KiB").parse().expect("digits")
}

/// How many files the daemon has open.
fn open_files(world: &World) -> usize {
    let entries = fs::read_dir(world.process("fd"));
    entries.expect("a running daemon").count()
}

fn assert_grown_little(world: &World, before: u64) {
    let grown = resident_kib(world).saturating_sub(before);
    assert!(grown < GROWTH_KIB_MAX, "the daemon grew by {grown} KiB");
}

/// The others go on: a client that reads its answers uploads, and its messages are sent.
fn assert_others_go_on(world: &mut World, name: &str) {
    world.drop_file(name, good_file(1));
    world.ended(name);
}

/// A megabyte in a file, and the handle that a channel's first open gives: one that hears nothing
/// cannot be told.
fn prepare(world: &World) -> Vec<u8> {
    let line = Line::new(world, "acme");
    let mut wire = line.sftp();
    let handle = wire.open(b"/whatsapp/large.bin", NEW);
    let piece = vec![b'x'; 200 << 10];
    for number in 0..5 {
        let at = number * piece.len() as u64;
        assert_eq!(wire.status(&write(&handle, at, &piece)), OK);
    }
    assert_eq!(wire.status(&close(&handle)), OK);
    let first = line.sftp().open(b"/whatsapp/large.bin", READ);
    assert_eq!(line.sftp().open(b"/whatsapp/large.bin", READ), first);
    first
}

/// Some clients ask for a whole file at once and then go to sleep; its answers must wait on the
/// disk, not in memory, and must all be there when the client wakes up.
#[test]
fn reads_behind_a_closed_window_take_no_memory() {
    const READS: usize = 3_000;
    const READ_LAST: usize = 40;
    const WINDOW: u32 = 64 << 10;
    let (mut world, _provider) = World::start(Script::accepting());
    prepare(&world);
    let line = Line::with_window(&world, "acme", WINDOW);
    let mut wire = line.sftp();
    let handle = wire.open(b"/whatsapp/large.bin", READ);
    assert_others_go_on(&mut world, "before.json");
    let before = resident_kib(&world);
    line.go_deaf();
    let first = wire.send_packet(&read(&handle, 0, DATA_BYTES_MAX));
    for number in 1..READS {
        wire.send_packet(&read(&handle, number as u64, DATA_BYTES_MAX));
    }
    assert_others_go_on(&mut world, "meanwhile.json");
    assert_grown_little(&world, before);
    line.listen();
    for number in 0..READ_LAST {
        let reply = wire.reply();
        assert_eq!(reply.id, first + number as u32);
        assert_eq!(reply.data().len(), DATA_BYTES_MAX as usize);
    }
    assert_grown_little(&world, before);
    line.cut();
}

/// Whoever floods the door with READs loses the channel at a bound that is stated, and only that
/// channel.
#[test]
fn a_flood_of_reads_ends_the_channel() {
    let (mut world, _provider) = World::start(Script::accepting());
    let handle = prepare(&world);
    let line = Line::with_window(&world, "acme", CLOSED);
    let wire = line.channel().expect("room for a channel");
    let before = resident_kib(&world);
    wire.send(&init(3));
    wire.send(&open(b"/whatsapp/large.bin", READ).bytes(1));
    let together = |_| read(&handle, 0, DATA_BYTES_MAX).bytes(2);
    let together = (0..TOGETHER).map(together).collect::<Vec<_>>().concat();
    let mut sent = 0;
    while sent + 2 * TOGETHER < WAITING_MAX {
        wire.send(&together);
        sent += TOGETHER;
    }
    line.settle();
    assert!(!wire.is_over(), "ended after {sent} requests");
    assert_others_go_on(&mut world, "meanwhile.json");
    assert_grown_little(&world, before);
    for _ in 0..4 {
        wire.send(&together);
    }
    wire.wait_for_end();
    assert!(wire.unread_bytes() <= 1);
    line.settle();
    assert!(!line.is_gone(), "the connection goes on");
    assert_grown_little(&world, before);
}

/// The same for requests whose answers are made at once: the answers that wait are bounded.
#[test]
fn a_flood_of_small_requests_ends_the_channel() {
    /// A STATUS is longer than this, and two MiB of answers may wait.
    const REQUESTS_MAX: usize = (2 << 20) / 20;
    let (mut world, _provider) = World::start(Script::accepting());
    let long = [&b"/whatsapp/"[..], &[b'n'; 4_000]].concat();
    for (case, packet) in [
        one(ask::STAT, b"/whatsapp/none"),
        one(ask::REALPATH, &long),
        write(b"ffffffff", 0, b"x"),
        close(b""),
    ]
    .into_iter()
    .enumerate()
    {
        let line = Line::with_window(&world, "acme", CLOSED);
        let wire = line.channel().expect("room for a channel");
        let before = resident_kib(&world);
        wire.send(&init(3));
        let together = (0..TOGETHER).map(|_| packet.bytes(7));
        let together = together.collect::<Vec<_>>().concat();
        let mut sent = 0;
        while !wire.is_over() {
            assert!(sent < REQUESTS_MAX, "{packet:?} has no bound");
            wire.send(&together);
            line.settle();
            sent += TOGETHER;
        }
        line.settle();
        assert_grown_little(&world, before);
        assert_others_go_on(&mut world, &format!("meanwhile-{case}.json"));
    }
}

/// A client whose machine reads nothing at all, not even from the network, holds up itself alone.
#[test]
fn a_deaf_client_holds_up_itself_alone() {
    let (mut world, _provider) = World::start(Script::accepting());
    let handle = prepare(&world);
    // A window that never closes: only the network holds the answers back.
    let line = Line::with_window(&world, "acme", u32::MAX);
    let mut wire = line.sftp();
    assert_eq!(wire.open(b"/whatsapp/large.bin", READ), handle);
    let before = resident_kib(&world);
    line.go_deaf();
    for number in 0..3_000 {
        wire.send_packet(&read(&handle, number, DATA_BYTES_MAX));
    }
    assert_others_go_on(&mut world, "meanwhile.json");
    assert_grown_little(&world, before);
    let with_it = open_files(&world);
    line.cut();
    // Its session ends with its connection, though it was waiting to be heard.
    wait_for("end of the deaf session", SOON, || {
        (open_files(&world) < with_it).then_some(())
    });
}

/// Files that are opened, asked for and closed again wait for the client too: it must not be able
/// to hold more of them than its share, or one tenant takes them all from everybody.
#[test]
fn files_of_waiting_reads_are_counted() {
    const ROUNDS: usize = 2_000;
    const FILES_MAX: usize = 300;
    let (mut world, _provider) = World::start(Script::accepting());
    prepare(&world);
    let before = open_files(&world);
    let line = Line::with_window(&world, "acme", CLOSED);
    let wire = line.channel().expect("room for a channel");
    wire.send(&init(3));
    for number in 0..ROUNDS {
        let handle = format!("{number:08x}");
        let round = [
            open(b"/whatsapp/large.bin", READ).bytes(1),
            read(handle.as_bytes(), 0, DATA_BYTES_MAX).bytes(2),
            close(handle.as_bytes()).bytes(3),
        ];
        wire.send(&round.concat());
    }
    line.settle();
    let held = open_files(&world) - before;
    assert!(held < FILES_MAX, "one session holds {held} files");
    assert_others_go_on(&mut world, "meanwhile.json");
}

/// A client that takes a byte at a time gets all of it.
#[test]
fn a_window_of_a_few_bytes_is_enough() {
    let (world, _provider) = World::start(Script::accepting());
    let line = Line::with_window(&world, "acme", 100);
    let mut wire = line.sftp();
    let bytes: Vec<u8> = (0..5_000_u32).map(|at| at as u8).collect();
    assert_eq!(wire.put(b"/whatsapp/a.bin", &bytes), OK);
    let handle = wire.open(b"/whatsapp/a.bin", READ);
    assert_eq!(wire.ask(&read(&handle, 0, 1 << 20)).data(), bytes);
    let odd = wire.open(b"/whatsapp/b.bin", WRITE | CREATE);
    assert_eq!(wire.status(&close(&handle)), OK);
    assert_eq!(wire.status(&close(&handle)), FAILURE);
    assert_eq!(wire.status(&close(&odd)), OK);
}
