//! WRITE and READ where no file is: out of order, overlapping, with holes, past every end. What is
//! not whole is never taken, and a large number never becomes a large file.

use std::fs;
use std::os::unix::fs::MetadataExt;

use serde_json::Value;

use super::packet::{
    APPEND, CREATE, DENIED, EOF, FAILURE, NEW, OK, READ, WRITE, ask, close, one, open, read, set,
    size, write,
};
use super::wire::{Line, Wire};
use crate::world::batches::{good_file, good_file_from};
use crate::world::provider::Script;
use crate::world::{TenantPlan, World};

/// The longest data of one READ.
const DATA_BYTES_MAX: usize = 255 << 10;

/// Clients with several transfers at a time send their writes as they come: each byte must land in
/// its own file, in its own place.
#[test]
fn writes_to_several_files_in_any_order_are_each_whole() {
    const FILES: u64 = 8;
    const PIECE: usize = 97;
    let (mut world, provider) = World::start(Script::accepting());
    let line = Line::new(&world, "acme");
    let mut wire = line.sftp();
    let name = |file: u64| format!("mixed-{file}.json");
    let texts: Vec<String> = (0..FILES)
        .map(|file| good_file_from(file * 100, 5))
        .collect();
    let mut pieces = Vec::new();
    for (file, text) in texts.iter().enumerate() {
        let path = format!("/whatsapp/{}", name(file as u64));
        let handle = wire.open(path.as_bytes(), NEW);
        for start in (0..text.len()).step_by(PIECE) {
            // Each piece reaches into the next.
            let end = (start + PIECE + 13).min(text.len());
            pieces.push((handle.clone(), start, &text.as_bytes()[start..end]));
        }
    }
    fastrand::Rng::with_seed(5).shuffle(&mut pieces);
    let mut sent = Vec::new();
    for (handle, start, bytes) in &pieces {
        sent.push(wire.send_packet(&write(handle, *start as u64, bytes)));
        // Nothing at all, anywhere, changes nothing.
        sent.push(wire.send_packet(&write(handle, *start as u64 + 7, b"")));
    }
    for id in sent {
        let reply = wire.reply();
        assert_eq!((reply.id, reply.status()), (id, OK));
    }
    pieces.sort_by(|one, other| one.0.cmp(&other.0));
    pieces.dedup_by(|one, other| one.0 == other.0);
    assert_eq!(pieces.len() as u64, FILES);
    for (handle, ..) in &pieces {
        assert_eq!(wire.status(&close(handle)), OK);
    }
    for (file, text) in texts.iter().enumerate() {
        let status = world.ended(&name(file as u64));
        assert_eq!(status["bytes"], text.len(), "{status:#}");
        assert_eq!(status["counts"]["accepted"], 5, "{status:#}");
    }
    assert_eq!(provider.seen_count() as u64, FILES * 5);
}

/// A file with a byte missing is not the file that was sent, whatever its size says.
#[test]
fn a_hole_is_never_closed_over() {
    let (mut world, provider) = World::start(Script::accepting());
    let text = good_file(3);
    let bytes = text.as_bytes();
    let middle = bytes.len() / 2;
    let line = Line::new(&world, "acme");
    let mut wire = line.sftp();
    let tail = |at: usize| (at as u64, &bytes[at..]);
    for (case, (head, rest)) in [
        (&bytes[..middle], tail(middle + 1)),
        (&bytes[..0], tail(1)),
        (&bytes[..1], tail(2)),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/whatsapp/hole-{case}.json");
        let handle = wire.open(path.as_bytes(), NEW);
        assert_eq!(wire.status(&write(&handle, rest.0, rest.1)), OK);
        assert_eq!(wire.status(&write(&handle, 0, head)), OK);
        let reply = wire.ask(&close(&handle));
        assert_eq!(reply.status(), FAILURE);
        assert!(reply.words().contains("hole"), "{}", reply.words());
    }
    // A size that is set and never filled is a hole too, also the largest that is allowed.
    for bytes in [1, 2 << 30] {
        let handle = wire.open(b"/whatsapp/promised.json", NEW);
        let promise = set(ask::FSETSTAT, &handle, &size(bytes));
        assert_eq!(wire.status(&promise), OK);
        assert_eq!(wire.status(&close(&handle)), FAILURE);
    }
    assert_nothing_of(&world, "hole-");
    assert_nothing_of(&world, "promised");
    assert_eq!(wire.put(b"/whatsapp/hole-0.json", bytes), OK);
    assert_eq!(world.ended("hole-0.json")["counts"]["accepted"], 3);
    assert_eq!(provider.seen_count(), 3);
}

/// One tenant's large number must not fill the disk of all, nor a file past its limit be taken
/// because the client does not look at the answers.
#[test]
fn a_limit_is_kept_to_the_byte() {
    const LIMIT: usize = 4096;
    let plan = TenantPlan {
        more: "[limits]\nbytes_max = \"4 KiB\"",
        ..TenantPlan::new("acme")
    };
    let (mut world, _provider) = World::start_with(&[plan], Script::accepting());
    let mut text = good_file(3);
    text.extend(std::iter::repeat_n(' ', LIMIT - text.len()));
    let line = Line::new(&world, "acme");
    let mut wire = line.sftp();
    assert_eq!(wire.put(b"/whatsapp/full.json", text.as_bytes()), OK);
    let over: [(u64, &[u8]); 4] = [
        (LIMIT as u64, b" "),
        (LIMIT as u64 - 1, b"  "),
        (0, &[b' '; LIMIT + 1]),
        (1 << 40, b" "),
    ];
    for (offset, bytes) in over {
        let handle = wire.open(b"/whatsapp/over.json", NEW);
        assert_eq!(wire.status(&write(&handle, 0, text.as_bytes())), OK);
        assert_eq!(wire.status(&write(&handle, offset, bytes)), FAILURE);
        let grow = set(ask::FSETSTAT, &handle, &size(LIMIT as u64 + 1));
        assert_eq!(wire.status(&grow), FAILURE);
        assert!(wire.ask(&one(ask::FSTAT, &handle)).size() <= LIMIT as u64);
        assert_eq!(wire.status(&close(&handle)), FAILURE);
    }
    assert_nothing_of(&world, "over");
    let status: Value = world.ended("full.json");
    assert_eq!(status["bytes"], LIMIT);
}

/// An offset where no file ends must be refused before anything is made there.
#[test]
fn a_far_offset_makes_no_giant() {
    let (world, _provider) = World::start(Script::accepting());
    let line = Line::new(&world, "acme");
    let mut wire = line.sftp();
    let handle = wire.open(b"/whatsapp/far.json", NEW | READ);
    assert_eq!(wire.status(&write(&handle, 0, b"near")), OK);
    for offset in [
        1_u64 << 31,
        1 << 40,
        (1 << 63) - 1,
        1 << 63,
        u64::MAX - 3,
        u64::MAX,
    ] {
        for bytes in [&b"far!"[..], &[b'x'; 10_000]] {
            assert_eq!(wire.status(&write(&handle, offset, bytes)), FAILURE);
        }
        let grown = set(ask::FSETSTAT, &handle, &size(offset));
        let grown = wire.status(&grown);
        assert!(grown == FAILURE || offset == 1 << 31, "{offset}: {grown}");
        assert_eq!(wire.status(&set(ask::FSETSTAT, &handle, &size(4))), OK);
        assert_eq!(wire.status(&read(&handle, offset, u32::MAX)), EOF);
        assert_eq!(wire.ask(&one(ask::FSTAT, &handle)).size(), 4);
    }
    let hidden = world.folder("acme").path("whatsapp/.dropcast-up.far.json");
    let there = fs::metadata(hidden).expect("the file that is written");
    assert_eq!(there.size(), 4);
    assert!(there.blocks() <= 16, "{} blocks", there.blocks());
    assert_eq!(wire.status(&close(&handle)), FAILURE);
    assert_nothing_of(&world, "far.json");
}

/// A READ gives what is there: no more than one packet takes, and never beyond the end.
#[test]
fn a_read_is_cut_to_what_is_there() {
    let (world, _provider) = World::start(Script::accepting());
    let line = Line::new(&world, "acme");
    let mut wire = line.sftp();
    let mut bytes = vec![0; DATA_BYTES_MAX + 1000];
    fastrand::Rng::with_seed(6).fill(&mut bytes);
    assert_eq!(put_in_pieces(&mut wire, b"/whatsapp/r.bin", &bytes), OK);
    let handle = wire.open(b"/whatsapp/r.bin", READ);
    let whole = wire.ask(&read(&handle, 0, u32::MAX));
    assert_eq!(whole.data(), &bytes[..DATA_BYTES_MAX]);
    let rest = wire.ask(&read(&handle, DATA_BYTES_MAX as u64, u32::MAX));
    assert_eq!(rest.data(), &bytes[DATA_BYTES_MAX..]);
    let last = wire.ask(&read(&handle, bytes.len() as u64 - 1, 2));
    assert_eq!(last.data(), &bytes[bytes.len() - 1..]);
    for offset in [bytes.len() as u64, (1 << 63) - 1, 1 << 63, u64::MAX] {
        for length in [1, u32::MAX] {
            assert_eq!(wire.status(&read(&handle, offset, length)), EOF);
        }
    }
}

/// The pieces of an upload that are kept track of are bounded: a client that writes every other
/// byte is refused, and its file is not taken.
#[test]
fn a_file_in_crumbs_is_refused() {
    const CRUMBS: u64 = 2_000;
    let (world, _provider) = World::start(Script::accepting());
    let line = Line::new(&world, "acme");
    let mut wire = line.sftp();
    let handle = wire.open(b"/whatsapp/crumbs.json", NEW);
    for crumb in 0..CRUMBS {
        wire.send_packet(&write(&handle, crumb * 2, b"x"));
    }
    let told: Vec<u32> = (0..CRUMBS).map(|_| wire.reply().status()).collect();
    assert!(told.contains(&OK) && told.contains(&FAILURE));
    // All holes filled in the end: some of these bytes were refused, so it is not whole.
    let filled = write(&handle, 0, &[b'y'; CRUMBS as usize * 2]);
    assert_eq!(wire.status(&filled), OK);
    assert_eq!(wire.status(&close(&handle)), FAILURE);
    assert_nothing_of(&world, "crumbs");
}

/// A batch that is taken is never changed: no flag of an open, and no size, reaches it.
#[test]
fn a_taken_file_is_not_written_into() {
    // Slow enough for its name to be there all the while.
    let plan = TenantPlan::new("acme").rate(10.0);
    let (mut world, provider) = World::start_with(&[plan], Script::accepting());
    let line = Line::new(&world, "acme");
    let mut wire = line.sftp();
    // An unfinished name is no batch yet, and may be changed.
    assert_eq!(wire.put(b"/whatsapp/open.tmp", b"abc"), OK);
    let handle = wire.open(b"/whatsapp/open.tmp", WRITE);
    assert_eq!(wire.status(&write(&handle, 1, b"B")), OK);
    assert_eq!(wire.status(&close(&handle)), OK);
    let disk = world.folder("acme").path("whatsapp/open.tmp");
    assert_eq!(fs::read(disk).expect("there"), b"aBc");

    let text = good_file(30);
    let path = b"/whatsapp/taken.json";
    assert_eq!(put_in_pieces(&mut wire, path, text.as_bytes()), OK);
    for flags in [WRITE, WRITE | READ, WRITE | APPEND, WRITE | CREATE | APPEND] {
        assert_eq!(wire.status(&open(path, flags)), DENIED, "{flags}");
    }
    for bytes in [0, 1, 1 << 40] {
        assert_eq!(wire.status(&set(ask::SETSTAT, path, &size(bytes))), DENIED);
    }
    // What scp does, without the size that scp sets at the end.
    let handle = wire.open(path, WRITE | CREATE);
    assert_eq!(wire.status(&write(&handle, 0, b"x")), OK);
    assert_eq!(wire.status(&close(&handle)), DENIED);
    let status = world.ended("taken.json");
    assert_eq!(status["bytes"], text.len());
    assert_eq!(provider.seen_count(), 30);
}

fn put_in_pieces(wire: &mut Wire, path: &[u8], bytes: &[u8]) -> u32 {
    let handle = wire.open(path, NEW);
    for (number, piece) in bytes.chunks(30_000).enumerate() {
        let at = number as u64 * 30_000;
        assert_eq!(wire.status(&write(&handle, at, piece)), OK);
    }
    wire.status(&close(&handle))
}

/// Panics when a file whose name begins so has been taken or answered.
fn assert_nothing_of(world: &World, begins: &str) {
    let folder = world.folder("acme");
    for place in ["whatsapp", "whatsapp/results", "whatsapp/errors"] {
        let names = folder.names(place);
        let found: Vec<_> = names.iter().filter(|name| name.contains(begins)).collect();
        assert!(found.is_empty(), "{place}: {found:?}");
    }
}
