//! The connection dies after each packet of an upload, and within each. Before its close nothing is
//! read or sent; after it the file has arrived once or not at all; and what comes next, a resumed
//! upload or a whole new one, arrives once and is sent once.

use std::fs;

use super::packet::{
    CREATE, DENIED, NEW, OK, Packet, READ, WRITE, ask, close, init, one, open, set, write,
};
use super::wire::{Line, Wire};
use crate::world::World;
use crate::world::batches::{good_file_from, recipient};
use crate::world::provider::Script;

/// Rows of one file, and how far the numbers of two files' recipients lie apart.
const ROWS: u64 = 3;
/// Bytes in each WRITE but the last.
const PIECE: usize = 150;
/// Where within a packet its connection dies: in its length, type, id, handle, offset and data.
const PLACES: [usize; 6] = [1, 4, 7, 15, 23, 40];

/// What an upload says after its INIT and OPEN.
fn rest_of_upload(handle: &[u8], text: &[u8]) -> Vec<Packet> {
    let times = [&8_u32.to_be_bytes()[..], &[0x60; 8]].concat();
    let mut packets: Vec<Packet> = text
        .chunks(PIECE)
        .enumerate()
        .map(|(number, piece)| write(handle, (number * PIECE) as u64, piece))
        .collect();
    packets.push(set(ask::FSETSTAT, handle, &times));
    packets.push(close(handle));
    packets
}

/// How much of an upload goes out before its connection dies.
#[derive(Clone, Copy, Debug)]
struct Cut {
    /// Whole packets.
    packets: usize,
    /// Bytes of the one after them.
    bytes: usize,
}

/// Begins to upload and dies; gives whether the close went out.
fn upload_until(world: &World, cut: Cut, path: &[u8], text: &[u8]) -> bool {
    let line = Line::new(world, "acme");
    let mut wire = line.channel().expect("room for a channel");
    let first = |bytes: &[u8]| bytes[..cut.bytes.min(bytes.len() - 1)].to_vec();
    match cut.packets {
        0 => {
            wire.send(&first(&init(3)));
            line.settle();
            line.cut();
            return false;
        }
        1 => {
            wire.send(&init(3));
            wire.send(&first(&open(path, NEW).bytes(1)));
            line.settle();
            line.cut();
            return false;
        }
        _ => {}
    }
    wire.send(&init(3));
    wire.reply();
    let handle = wire.open(path, NEW);
    let rest = rest_of_upload(&handle, text);
    let whole = cut.packets - 2;
    for packet in &rest[..whole] {
        wire.send_packet(packet);
    }
    if let Some(next) = rest.get(whole) {
        wire.send(&first(&next.bytes(77)));
    }
    // Not for the answers: they may be lost with the connection.
    line.settle();
    line.cut();
    whole == rest.len()
}

/// Panics when anything of this name was taken, or anything at all sent to its first recipient.
fn assert_not_taken(world: &World, name: &str, text: &[u8]) {
    let folder = world.folder("acme");
    assert!(folder.status(name).is_none(), "{name} was read");
    assert!(!folder.path(&format!("whatsapp/{name}")).exists());
    let hidden = folder.path(&format!("whatsapp/.dropcast-up.{name}"));
    let there = fs::read(hidden).unwrap_or_default();
    assert_eq!(there, text[..there.len()], "{name}");
    for entry in spooled(world) {
        assert!(!entry.ends_with(name), "{entry} lies in the spool");
    }
}

fn spooled(world: &World) -> Vec<String> {
    let mut names = Vec::new();
    let mut folders = vec![world.data_dir().join("spool")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the spool") {
            let entry = entry.expect("an entry");
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
    }
    names
}

/// Goes on where the name is, as `reput` does; gives whether the file had been taken already.
fn resume(wire: &mut Wire, path: &[u8], text: &[u8]) -> bool {
    let shown = wire.ask(&one(ask::STAT, path));
    let opened = wire.ask(&open(path, WRITE | READ));
    if opened.kind == super::packet::say::STATUS {
        if opened.status() == DENIED {
            return true;
        }
        // Nothing had come through yet.
        assert_eq!(shown.status(), super::packet::NO_SUCH_FILE);
        let handle = wire.open(path, WRITE | CREATE);
        return finish(wire, &handle, text);
    }
    let handle = opened.handle();
    finish(wire, &handle, text)
}

fn finish(wire: &mut Wire, handle: &[u8], text: &[u8]) -> bool {
    let size = wire.ask(&one(ask::FSTAT, handle)).size() as usize;
    let missing = &text[size..];
    assert_eq!(wire.status(&write(handle, size as u64, missing)), OK);
    assert_eq!(wire.status(&close(handle)), OK);
    false
}

/// An upload that dies anywhere must be as if it had never begun, or as if nothing had happened;
/// whatever its sender does next, each of its messages is sent once.
#[test]
fn an_upload_that_dies_anywhere_arrives_once() {
    let (mut world, provider) = World::start(Script::accepting());
    let probe = good_file_from(0, ROWS);
    let packets = 2 + rest_of_upload(b"00000000", probe.as_bytes()).len();
    assert!(packets >= 8, "several WRITEs: {packets}");
    let mut cuts = Vec::new();
    for packets in 0..=packets {
        cuts.push(Cut { packets, bytes: 0 });
    }
    for packets in 0..packets {
        cuts.extend(PLACES.map(|bytes| Cut { packets, bytes }));
    }
    let line = Line::new(&world, "acme");
    let mut wire = line.sftp();
    let mut names = Vec::new();
    for (number, cut) in cuts.into_iter().enumerate() {
        for resumes in [false, true] {
            let first = (number as u64 * 2 + u64::from(resumes)) * ROWS;
            let name = format!("cut-{}-{}-{resumes}.json", cut.packets, cut.bytes);
            let path = format!("/whatsapp/{name}").into_bytes();
            let text = good_file_from(first, ROWS).into_bytes();
            let closed = upload_until(&world, cut, &path, &text);
            if !closed {
                assert_not_taken(&world, &name, &text);
            }
            if resumes {
                let was_taken = resume(&mut wire, &path, &text);
                assert!(closed || !was_taken, "{cut:?} was taken before its close");
            } else {
                assert_eq!(wire.put(&path, &text), OK);
            }
            names.push((name, first));
        }
    }
    assert_eq!(provider_count(&mut world, &names), names.len());
    for (name, first) in &names {
        for row in *first..first + ROWS {
            assert_eq!(provider.taken_for(&recipient(row)), 1, "{name}");
        }
    }
    assert_eq!(provider.seen_count() as u64, names.len() as u64 * ROWS);
}

/// Waits until all of them have ended; gives how many. A file that had arrived before its line died
/// and came again is refused as the same content.
fn provider_count(world: &mut World, names: &[(String, u64)]) -> usize {
    let mut ended = 0;
    for (name, _) in names {
        let status = world.ended(name);
        let state = status["state"].as_str().expect("a state");
        assert!(["finished", "duplicate"].contains(&state), "{status:#}");
        ended += 1;
    }
    ended
}
