//! Handles used as no sound client uses them. Each misuse is answered, none reaches another file,
//! and none is remembered past its close.

use std::fs;

use super::packet::{
    CREATE, DENIED, FAILURE, NEW, OK, Packet, READ, WRITE, ask, close, extended, framed, one, open,
    read, set, size, write,
};
use super::wire::{Line, Wire};
use crate::world::World;
use crate::world::batches::{good_file, good_file_from};
use crate::world::provider::Script;

/// How many handles a session may have.
const HANDLES_MAX: usize = 128;

/// Every request that names a handle.
fn every_use(handle: &[u8]) -> Vec<Packet> {
    vec![
        read(handle, 0, 10),
        write(handle, 0, b"x"),
        one(ask::FSTAT, handle),
        set(ask::FSETSTAT, handle, &size(0)),
        one(ask::READDIR, handle),
        extended(b"fsync@openssh.com", &framed(&[handle])),
        close(handle),
    ]
}

/// A handle that is closed, unknown or none at all must be refused in words, not taken for
/// another.
#[test]
fn a_handle_that_is_none_is_refused() {
    let (world, _provider) = World::start(Script::accepting());
    let line = Line::new(&world, "acme");
    let mut wire = line.sftp();
    let kept = wire.open(b"/whatsapp/kept.bin", NEW);
    assert_eq!(wire.status(&write(&kept, 0, b"kept")), OK);
    let closed = wire.open(b"/whatsapp/closed.bin", NEW);
    assert_eq!(wire.status(&close(&closed)), OK);
    let gone = wire.ask(&one(ask::OPENDIR, b"/")).handle();
    assert_eq!(wire.status(&close(&gone)), OK);
    let upper = kept.to_ascii_uppercase();
    let mut strange = vec![
        closed,
        gone,
        b"ffffffff".to_vec(),
        b"".to_vec(),
        b"0".to_vec(),
        [&kept[..], b"\0"].concat(),
        kept[..kept.len() - 1].to_vec(),
        [b"0", &kept[..]].concat(),
        b"\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        b"+0000000".to_vec(),
        b"-0000001".to_vec(),
        vec![b'0'; 256],
    ];
    if upper != kept {
        strange.push(upper);
    }
    for handle in &strange {
        for packet in every_use(handle) {
            assert_eq!(wire.status(&packet), FAILURE, "{packet:?}");
        }
    }
    // Longer than any handle may be: of a WRITE its end is not even looked for.
    for packet in every_use(&[b'0'; 257]) {
        assert_ne!(wire.status(&packet), OK, "{packet:?}");
    }
    assert_eq!(wire.ask(&one(ask::FSTAT, &kept)).size(), 4);
    assert_eq!(wire.status(&close(&kept)), OK);
    assert_eq!(wire.status(&close(&kept)), FAILURE);
}

/// A handle of one kind must not do what another kind does.
#[test]
fn a_handle_of_the_wrong_kind_is_refused() {
    let (world, _provider) = World::start(Script::accepting());
    let line = Line::new(&world, "acme");
    let mut wire = line.sftp();
    assert_eq!(wire.put(b"/whatsapp/a.bin", b"abc"), OK);
    let folder = wire.ask(&one(ask::OPENDIR, b"/whatsapp")).handle();
    let reading = wire.open(b"/whatsapp/a.bin", READ);
    let writing = wire.open(b"/whatsapp/b.bin", WRITE | CREATE);
    for (packet, code) in [
        (write(&reading, 0, b"xyz"), DENIED),
        (write(&reading, 0, b""), DENIED),
        (set(ask::FSETSTAT, &reading, &size(0)), DENIED),
        (one(ask::READDIR, &reading), FAILURE),
        (one(ask::READDIR, &writing), FAILURE),
        (read(&folder, 0, 10), FAILURE),
        (write(&folder, 0, b"x"), DENIED),
        (one(ask::FSTAT, &folder), FAILURE),
        (set(ask::FSETSTAT, &folder, &size(0)), DENIED),
        (open(b"/whatsapp", READ), FAILURE),
        (open(b"/whatsapp", NEW), DENIED),
        (one(ask::OPENDIR, b"/whatsapp/a.bin"), FAILURE),
    ] {
        assert_eq!(wire.status(&packet), code, "{packet:?}");
    }
    // They are still what they were.
    assert_eq!(wire.ask(&read(&reading, 0, 10)).data(), b"abc");
    assert!(!wire.ask(&one(ask::READDIR, &folder)).names().is_empty());
    for handle in [reading, writing, folder] {
        assert_eq!(wire.status(&close(&handle)), OK);
    }
}

/// A client that never closes must be told so in words, and be served again once it closes.
#[test]
fn one_open_too_many_is_refused_in_words() {
    let (world, _provider) = World::start(Script::accepting());
    let line = Line::new(&world, "acme");
    let (mut wire, mut other) = (line.sftp(), line.sftp());
    assert_eq!(wire.put(b"/whatsapp/a.bin", b"abc"), OK);
    let mut handles = Vec::new();
    for number in 0..HANDLES_MAX {
        // Of every kind, and on two channels: they share one account.
        handles.push(match number % 4 {
            0 => (0, wire.open(b"/whatsapp/a.bin", READ)),
            1 => (0, wire.ask(&one(ask::OPENDIR, b"/")).handle()),
            2 => (1, other.open(b"/whatsapp/a.bin", READ)),
            _ => {
                let path = format!("/whatsapp/{number}.bin");
                (0, wire.open(path.as_bytes(), NEW))
            }
        });
    }
    for packet in [
        open(b"/whatsapp/a.bin", READ),
        open(b"/whatsapp/more.bin", NEW),
        one(ask::OPENDIR, b"/"),
    ] {
        for wire in [&mut wire, &mut other] {
            let reply = wire.ask(&packet);
            assert_eq!(reply.status(), FAILURE);
            assert!(reply.words().contains("too many"), "{}", reply.words());
        }
    }
    let (channel, handle) = handles.pop().expect("some are open");
    assert_eq!(channel, 0);
    assert_eq!(wire.status(&close(&handle)), OK);
    let again = wire.open(b"/whatsapp/more.bin", NEW);
    assert_eq!(wire.status(&close(&again)), OK);
    // A channel that ends gives back all that it had.
    other.close();
    line.settle();
    for _ in 0..HANDLES_MAX / 4 {
        wire.open(b"/whatsapp/a.bin", READ);
    }
}

/// A handle is good on its own channel and nowhere else.
#[test]
fn a_handle_of_another_channel_is_refused() {
    let (world, _provider) = World::start(Script::accepting());
    let line = Line::new(&world, "acme");
    let (mut wire, mut other) = (line.sftp(), line.sftp());
    // Three on one channel, so that its third has no namesake on the other.
    let handles = [b"/whatsapp/1", b"/whatsapp/2", b"/whatsapp/3"].map(|path| wire.open(path, NEW));
    for packet in every_use(&handles[2]) {
        assert_eq!(other.status(&packet), FAILURE, "{packet:?}");
    }
    assert_eq!(wire.status(&write(&handles[2], 0, b"mine")), OK);
    assert_eq!(wire.status(&close(&handles[2])), OK);
    let disk = world.folder("acme").path("whatsapp/3");
    assert_eq!(fs::read(disk).expect("there"), b"mine");
}

/// Whoever comes back while its dead connection still stands must win, and the dead one must not
/// add a byte, nor close the file as if it were whole.
#[test]
fn a_newer_open_ends_the_older_handle() {
    let (mut world, provider) = World::start(Script::accepting());
    let lines = [Line::new(&world, "acme"), Line::new(&world, "acme")];
    let [mut old, mut new] = lines.each_ref().map(Line::sftp);
    for (case, flags, from) in [("new", NEW, 0), ("resumed", WRITE, 10)] {
        let text = good_file_from(from, 2);
        let (first, second) = text.as_bytes().split_at(100);
        let path = format!("/whatsapp/{case}.json").into_bytes();
        let stale = old.open(&path, NEW);
        assert_eq!(old.status(&write(&stale, 0, first)), OK);
        // In the middle of a WRITE, which goes on after the name has been taken over.
        let late = write(&stale, first.len() as u64, second).bytes(9_999);
        let (begun, rest) = late.split_at(60);
        old.send(begun);
        lines[0].settle();
        let fresh = new.open(&path, flags);
        old.send(rest);
        let reply = old.reply();
        assert_eq!((reply.id, reply.status()), (9_999, FAILURE), "{case}");
        assert_eq!(old.status(&write(&stale, 0, b"XXXX")), FAILURE);
        assert_eq!(old.status(&set(ask::FSETSTAT, &stale, &size(1))), FAILURE);
        let there = new.ask(&one(ask::FSTAT, &fresh)).size() as usize;
        assert!(there <= text.len());
        assert_eq!(there == 0, flags == NEW, "{there} bytes are there");
        let missing = &text.as_bytes()[there..];
        assert_eq!(new.status(&write(&fresh, there as u64, missing)), OK);
        assert_eq!(old.status(&close(&stale)), FAILURE);
        finish(&mut new, &fresh);
    }
    for case in ["new.json", "resumed.json"] {
        let ended = world.ended(case);
        assert_eq!(ended["counts"]["accepted"], 2, "{ended:#}");
    }
    assert_eq!(provider.seen_count(), 4);
}

/// A client that had set the size ahead, or written out of order, and lost its connection goes by
/// the size it is shown when it comes back: that must be what is whole.
#[test]
fn the_size_that_is_taken_over_is_what_is_whole() {
    let (mut world, provider) = World::start(Script::accepting());
    let text = good_file(2);
    let bytes = text.as_bytes();
    let lines = [Line::new(&world, "acme"), Line::new(&world, "acme")];
    let [mut old, mut new] = lines.each_ref().map(Line::sftp);
    let stale = old.open(b"/whatsapp/back.json", NEW);
    let whole = set(ask::FSETSTAT, &stale, &size(bytes.len() as u64));
    assert_eq!(old.status(&whole), OK);
    assert_eq!(old.status(&write(&stale, 0, &bytes[..50])), OK);
    assert_eq!(old.status(&write(&stale, 70, &bytes[70..90])), OK);
    let fresh = new.open(b"/whatsapp/back.json", WRITE);
    assert_eq!(new.ask(&one(ask::FSTAT, &fresh)).size(), 50);
    assert_eq!(new.status(&write(&fresh, 50, &bytes[50..])), OK);
    finish(&mut new, &fresh);
    assert_eq!(world.ended("back.json")["counts"]["accepted"], 2);
    assert_eq!(provider.seen_count(), 2);
}

fn finish(wire: &mut Wire, handle: &[u8]) {
    assert_eq!(wire.status(&close(handle)), OK);
}
