//! Several channels on a connection, several sessions of a tenant: how many there may be, and that
//! the end of one is not felt by another.

use std::thread;

use super::packet::{FAILURE, NEW, OK, ask, close, init, one, write};
use super::wire::Line;
use crate::world::batches::{good_file, good_file_from, recipient};
use crate::world::provider::Script;
use crate::world::{SOON, TenantPlan, World, wait_for};

/// How many channels a connection may have.
const CHANNELS_MAX: usize = 4;
/// How many sessions a tenant may have.
const SESSIONS_MAX: u64 = 64;

/// Clients open several channels to be faster; the one too many is refused, and those that end make
/// room.
#[test]
fn four_channels_work_side_by_side() {
    let (mut world, provider) = World::start(Script::accepting());
    let line = Line::new(&world, "acme");
    let mut wires: Vec<_> = (0..CHANNELS_MAX).map(|_| line.sftp()).collect();
    assert!(line.channel().is_none(), "one channel too many");
    // Uploads whose packets lie between each other's.
    let text = |number: usize| good_file_from(number as u64 * 10, 2).into_bytes();
    let mut handles = Vec::new();
    for (number, wire) in wires.iter_mut().enumerate() {
        handles.push(wire.open(format!("/whatsapp/{number}.json").as_bytes(), NEW));
    }
    let longest = (0..CHANNELS_MAX).map(|number| text(number).len()).max();
    for at in (0..longest.expect("some")).step_by(40) {
        for (number, wire) in wires.iter_mut().enumerate() {
            if let Some(rest) = text(number).get(at..) {
                let piece = &rest[..rest.len().min(40)];
                wire.send_packet(&write(&handles[number], at as u64, piece));
            }
        }
    }
    for (number, wire) in wires.iter_mut().enumerate() {
        for _ in 0..text(number).len().div_ceil(40) {
            assert_eq!(wire.reply().status(), OK);
        }
        assert_eq!(wire.status(&close(&handles[number])), OK);
    }
    for number in 0..CHANNELS_MAX {
        let status = world.ended(&format!("{number}.json"));
        assert_eq!(status["counts"]["accepted"], 2, "{status:#}");
    }
    assert_eq!(provider.seen_count(), 2 * CHANNELS_MAX);
    // Each way to end makes room: closed by the client, closed after EOF, ended for garbage.
    wires[0].close();
    wires[1].eof();
    wires[1].wait_for_end();
    wires[2].send(&[0; 4]);
    wires[2].wait_for_end();
    line.settle();
    let again: Vec<_> = (0..CHANNELS_MAX - 1).map(|_| line.sftp()).collect();
    assert!(line.channel().is_none(), "one channel too many");
    drop(again);
}

/// Each channel that the door closes first leaves a little behind in the transport: a client that
/// opens one after the other must come to an end, and begin anew.
#[test]
fn a_connection_has_its_share_of_channels() {
    const EVER_MAX: usize = 4_096;
    let (world, _provider) = World::start(Script::accepting());
    let line = Line::new(&world, "acme");
    let mut count = 0;
    while let Some(wire) = line.channel() {
        wire.send(&[0; 4]);
        wire.wait_for_end();
        count += 1;
        assert!(count <= EVER_MAX, "no end of channels");
    }
    assert_eq!(count, EVER_MAX);
    wait_for("end of the connection", SOON, || {
        line.is_gone().then_some(())
    });
    let mut wire = Line::new(&world, "acme").sftp();
    assert_eq!(wire.put(b"/whatsapp/a.bin", b"a"), OK);
}

/// EOF says that nothing more is sent, not that what came is whole; a close in the middle of a
/// WRITE says as little.
#[test]
fn the_end_of_a_channel_is_not_the_end_of_a_file() {
    let (mut world, provider) = World::start(Script::accepting());
    let line = Line::new(&world, "acme");
    let text = good_file(2);
    let mut other = line.sftp();
    for case in ["eof", "close", "eof-in-write", "close-in-write"] {
        let name = format!("{case}.json");
        let path = format!("/whatsapp/{name}").into_bytes();
        let mut wire = line.sftp();
        let handle = wire.open(&path, NEW);
        let put = write(&handle, 0, text.as_bytes());
        if case.ends_with("in-write") {
            let put = put.bytes(5);
            wire.send(&put[..put.len() / 2]);
        } else {
            assert_eq!(wire.status(&put), OK);
        }
        if case.starts_with("eof") {
            wire.eof();
            wire.wait_for_end();
        } else {
            wire.close();
        }
        line.settle();
        let shown = other.ask(&one(ask::STAT, &path)).size();
        assert!(shown <= text.len() as u64);
        assert!(world.folder("acme").status(&name).is_none());
        assert!(
            !world
                .folder("acme")
                .path(&format!("whatsapp/{name}"))
                .exists()
        );
    }
    assert_eq!(other.put(b"/whatsapp/witness.json", text.as_bytes()), OK);
    world.ended("witness.json");
    assert_eq!(provider.seen_count(), 2, "only the witness was sent");
}

/// What is sent behind an EOF of its own is nothing, and what was asked before it is answered.
#[test]
fn answers_are_sent_before_the_goodbye() {
    let (world, _provider) = World::start(Script::accepting());
    let line = Line::new(&world, "acme");
    let wire = line.channel().expect("room for a channel");
    let mut stream = init(3);
    for id in 1..=500 {
        stream.extend(one(ask::STAT, b"/whatsapp").bytes(id));
    }
    stream.extend(close(b"none").bytes(501));
    wire.send(&stream);
    wire.eof();
    wire.reply();
    for id in 1..=500 {
        assert_eq!(wire.reply().id, id);
    }
    assert_eq!(wire.reply().status(), FAILURE);
    wire.wait_for_end();
    assert_eq!(wire.unread_bytes(), 0);
}

/// A night's jobs all start on the hour: as many sessions as a tenant may have upload at once, each
/// file arrives, and the session too many is turned away and hurts nobody.
#[test]
fn sixty_four_sessions_upload_at_once() {
    let plan = TenantPlan {
        more: "[limits]\nsessions_max = 64",
        ..TenantPlan::new("acme")
    };
    let (mut world, provider) = World::start_with(&[plan], Script::accepting());
    let lines: Vec<Line> = thread::scope(|scope| {
        let world = &world;
        let entering: Vec<_> = (0..SESSIONS_MAX)
            .map(|_| scope.spawn(move || Line::new(world, "acme")))
            .collect();
        let entered = entering.into_iter().map(thread::ScopedJoinHandle::join);
        entered.map(|line| line.expect("a session")).collect()
    });
    let refused = Line::try_new(&world, "acme", 1 << 20);
    wait_for("end of the session too many", SOON, || {
        refused.as_ref().is_none_or(Line::is_gone).then_some(())
    });
    thread::scope(|scope| {
        for (number, line) in lines.iter().enumerate() {
            scope.spawn(move || {
                let mut wire = line.sftp();
                let text = good_file_from(number as u64, 1);
                let path = format!("/whatsapp/job-{number}.json");
                assert_eq!(wire.put(path.as_bytes(), text.as_bytes()), OK);
            });
        }
    });
    for number in 0..SESSIONS_MAX {
        let status = world.ended(&format!("job-{number}.json"));
        assert_eq!(status["counts"]["accepted"], 1, "{status:#}");
        assert_eq!(provider.taken_for(&recipient(number)), 1);
    }
    // The places are free again once they are left.
    for line in lines {
        line.cut();
    }
    wait_for("place for a session", SOON, || {
        let line = Line::try_new(&world, "acme", 1 << 20)?;
        line.channel().map(drop)
    });
}

/// Sessions of one tenant that all write the same name: one of the contents arrives each time,
/// never a mixture.
#[test]
fn writers_of_one_name_never_mix() {
    const WRITERS: u64 = 8;
    let (mut world, provider) = World::start(Script::accepting());
    let lines: Vec<Line> = (0..WRITERS).map(|_| Line::new(&world, "acme")).collect();
    let closed: Vec<u32> = thread::scope(|scope| {
        let writing: Vec<_> = lines
            .iter()
            .enumerate()
            .map(|(number, line)| scope.spawn(move || write_slowly(line, number as u64)))
            .collect();
        let written = writing.into_iter().map(thread::ScopedJoinHandle::join);
        written.map(|it| it.expect("a code")).collect()
    });
    let taken: Vec<u64> = (0..WRITERS)
        .filter(|writer| closed[*writer as usize] == OK)
        .collect();
    assert!(!taken.is_empty(), "nobody won: {closed:?}");
    world.ended("same.json");
    let sent = |writer: u64| {
        let rows = writer * 10..writer * 10 + 3;
        rows.map(|row| provider.taken_for(&recipient(row)))
            .collect()
    };
    for writer in &taken {
        wait_for("all of a file that was closed", SOON, || {
            let sent: Vec<usize> = sent(*writer);
            (sent == [1; 3]).then_some(())
        });
    }
    assert_eq!(provider.seen_count(), taken.len() * 3);
}

fn write_slowly(line: &Line, writer: u64) -> u32 {
    let mut wire = line.sftp();
    let text = good_file_from(writer * 10, 3);
    let handle = wire.open(b"/whatsapp/same.json", NEW);
    for (number, piece) in text.as_bytes().chunks(25).enumerate() {
        let at = number as u64 * 25;
        if wire.status(&write(&handle, at, piece)) != OK {
            break;
        }
    }
    wire.status(&close(&handle))
}
