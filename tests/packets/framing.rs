//! Packets that are none, and how far they reach: a request that makes no sense is answered under
//! its own id, a stream that makes no sense ends its channel, and nothing ends the connection.

use super::packet::{
    BAD_MESSAGE, NEW, NO_SUCH_FILE, OK, OP_UNSUPPORTED, Packet, ask, close, extended, framed, init,
    one, open, read, set, size, two, write,
};
use super::wire::Line;
use crate::world::World;
use crate::world::batches::good_file;
use crate::world::provider::Script;

/// The longest packet that is taken, as `limits@openssh.com` says it.
const PACKET_BYTES_MAX: u32 = 256 << 10;

/// A tenant whose one job sends garbage must not lose the uploads of the others on the same line,
/// and garbage must not be waited for, nor stored.
#[test]
fn impossible_lengths_end_the_channel_and_nothing_else() {
    let (world, _provider) = World::start(Script::accepting());
    let line = Line::new(&world, "acme");
    let mut other = line.sftp();
    let kept = other.open(b"/whatsapp/kept.json", NEW);
    let length = |length: u32| length.to_be_bytes().to_vec();
    let bad = [
        length(2 << 30),
        length(u32::MAX),
        length(PACKET_BYTES_MAX + 1),
        length(0),
        // Too short for an id to answer under.
        framed(&[&[ask::STAT]]),
        framed(&[&[ask::STAT, 0, 0, 0]]),
        framed(&[&[ask::WRITE, 0, 0, 0]]),
        framed(&[&[42]]),
        // The version twice.
        init(3),
    ];
    for bad in bad {
        let wire = line.sftp();
        wire.send(&bad);
        wire.wait_for_end();
    }
    // Requests before the version.
    for early in [one(ask::STAT, b"/"), write(b"00000000", 0, b"x")] {
        let wire = line.channel().expect("room for a channel");
        wire.send(&early.bytes(1));
        wire.wait_for_end();
    }
    line.settle();
    let text = good_file(1);
    let put = write(&kept, 0, text.as_bytes());
    assert_eq!(other.status(&put), OK);
    assert_eq!(other.status(&close(&kept)), OK);
}

/// The longest packet that the door says it takes must be taken, and one cut off within a length
/// that is allowed must not be guessed at.
#[test]
fn the_longest_packet_is_taken() {
    let (world, _provider) = World::start(Script::accepting());
    let line = Line::new(&world, "acme");
    let mut wire = line.sftp();
    let handle = wire.open(b"/whatsapp/long.bin", NEW);
    let head = write(&handle, 0, b"").bytes(0).len() - 4;
    let longest = vec![b'x'; PACKET_BYTES_MAX as usize - head];
    assert_eq!(wire.status(&write(&handle, 0, &longest)), OK);
    let size = wire.ask(&one(ask::FSTAT, &handle)).size();
    assert_eq!(size, longest.len() as u64);
    let path = vec![b'/'; PACKET_BYTES_MAX as usize - 9];
    assert_eq!(wire.ask(&one(ask::LSTAT, &path)).status(), NO_SUCH_FILE);
    assert_eq!(wire.status(&close(&handle)), OK);
    let on_disk = world.folder("acme").path("whatsapp/long.bin");
    assert_eq!(std::fs::read(on_disk).expect("the file"), longest);
}

/// Every request that version 3 and our extensions know, well formed.
fn every_request() -> Vec<Packet> {
    let path = b"/whatsapp/a.bin";
    let handle = b"00000000";
    let mut attributes = 0x8000_000f_u32.to_be_bytes().to_vec();
    attributes.extend([0; 8 + 8 + 4 + 8]);
    attributes.extend(1_u32.to_be_bytes());
    attributes.extend(framed(&[b"name@example.com"]));
    attributes.extend(framed(&[b"value"]));
    let opened = [&framed(&[path])[..], &[0, 0, 0, 2], &attributes].concat();
    let mut requests = vec![
        Packet::new(ask::OPEN, &[&opened]),
        read(handle, 0, 10),
        write(handle, 0, b"some bytes"),
        set(ask::SETSTAT, path, &attributes),
        set(ask::FSETSTAT, handle, &size(1)),
        two(ask::RENAME, path, b"/whatsapp/b.bin"),
        extended(b"limits@openssh.com", b""),
    ];
    let of_path = [
        ask::LSTAT,
        ask::STAT,
        ask::OPENDIR,
        ask::REMOVE,
        ask::REALPATH,
        ask::READLINK,
    ];
    requests.extend(of_path.map(|kind| one(kind, path)));
    let of_handle = [ask::CLOSE, ask::FSTAT, ask::READDIR];
    requests.extend(of_handle.map(|kind| one(kind, handle)));
    let fields = [&framed(&[path])[..], &framed(&[b"/whatsapp/b"])].concat();
    requests.extend([
        extended(b"posix-rename@openssh.com", &fields),
        extended(b"fsync@openssh.com", &framed(&[handle])),
        extended(b"statvfs@openssh.com", &framed(&[path])),
        one(ask::MKDIR, path),
        one(ask::RMDIR, path),
    ]);
    requests
}

/// A client whose request was cut short must hear of that request, or it waits for ever; and what
/// it sends next must be read as if nothing had happened.
#[test]
fn a_truncated_request_is_answered_under_its_own_id() {
    let (world, _provider) = World::start(Script::accepting());
    let line = Line::new(&world, "acme");
    let mut wire = line.sftp();
    for request in every_request() {
        for count in 0..request.field_bytes() {
            let cut = request.cut(count);
            let reply = wire.ask(&cut);
            assert_eq!(reply.status(), BAD_MESSAGE, "{cut:?}");
        }
        // Whole, it is understood, whatever becomes of it.
        let reply = wire.ask(&request);
        let misread = reply.kind == super::packet::say::STATUS && reply.status() == BAD_MESSAGE;
        assert!(!misread, "{request:?}");
    }
    assert_eq!(world.folder("acme").names("whatsapp/b.bin"), [""; 0]);
}

/// A length inside a packet that reaches beyond it must not be believed.
#[test]
fn lengths_within_a_packet_are_not_believed() {
    let (world, _provider) = World::start(Script::accepting());
    let line = Line::new(&world, "acme");
    let mut wire = line.sftp();
    let huge = [0xff; 4];
    let offset = [0; 8];
    let name = framed(&[b"00000000"]);
    let bad = [
        Packet::new(ask::STAT, &[&huge]),
        Packet::new(ask::STAT, &[&huge, b"short"]),
        Packet::new(ask::STAT, &[&[0x7f, 0xff, 0xff, 0xff], b"short"]),
        Packet::new(ask::WRITE, &[&huge, &offset, &[0; 4]]),
        Packet::new(ask::WRITE, &[&name, &offset, &huge, b"less"]),
        Packet::new(ask::READ, &[&huge, &offset]),
        Packet::new(ask::RENAME, &[&name, &huge]),
        // A count of extended attributes that no packet could hold.
        set(
            ask::SETSTAT,
            b"/a",
            &[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
        ),
        extended(b"fsync@openssh.com", &huge),
        Packet::new(ask::EXTENDED, &[&huge]),
    ];
    for packet in bad {
        assert_eq!(wire.status(&packet), BAD_MESSAGE, "{packet:?}");
    }
}

/// A newer client that asks for what version 3 has not must be told so under the right id.
#[test]
fn unknown_requests_are_told_so() {
    let (world, _provider) = World::start(Script::accepting());
    let line = Line::new(&world, "acme");
    let mut wire = line.sftp();
    let known = |kind: u8| (ask::INIT..=ask::SYMLINK).contains(&kind) || kind == ask::EXTENDED;
    for kind in (0..=u8::MAX).filter(|kind| !known(*kind) || *kind == 2) {
        for fields in [&b""[..], b"\0\0\0\x01x"] {
            let packet = Packet::new(kind, &[fields]);
            assert_eq!(wire.status(&packet), OP_UNSUPPORTED, "{packet:?}");
        }
    }
    for name in [
        &b"copy-data"[..],
        b"check-file-name",
        b"hardlink-2@openssh.com",
        b"",
        b"\xff\xfe",
        &[b'x'; 5000],
    ] {
        let packet = extended(name, b"anything");
        assert_eq!(wire.status(&packet), OP_UNSUPPORTED, "{name:?}");
    }
}

/// The network cuts where it likes: a client behind a line that carries single bytes must get the
/// same answers, and its file must arrive.
#[test]
fn one_byte_at_a_time_still_works() {
    let (mut world, provider) = World::start(Script::accepting());
    let line = Line::new(&world, "acme");
    let wire = line.channel().expect("room for a channel");
    let text = good_file(2);
    let (first, second) = text.as_bytes().split_at(text.len() / 3);
    let mut stream = init(3);
    stream.extend(open(b"/whatsapp/slow.json", NEW).bytes(1));
    for byte in &stream {
        wire.send(std::slice::from_ref(byte));
    }
    wire.reply();
    let handle = wire.reply().handle();
    let mut stream = write(&handle, 0, first).bytes(2);
    // A request that makes no sense, in the middle of it all.
    stream.extend(Packet::new(ask::WRITE, &[&[0xff; 4]]).bytes(3));
    stream.extend(write(&handle, first.len() as u64, second).bytes(4));
    stream.extend(close(&handle).bytes(5));
    for byte in &stream {
        wire.send(std::slice::from_ref(byte));
    }
    let replies: Vec<_> = (0..4).map(|_| wire.reply()).collect();
    let told: Vec<_> = replies.iter().map(|it| (it.id, it.status())).collect();
    assert_eq!(told, [(2, OK), (3, BAD_MESSAGE), (4, OK), (5, OK)]);
    let status = world.ended("slow.json");
    assert_eq!(status["bytes"], text.len());
    assert_eq!(provider.seen_count(), 2);
}
