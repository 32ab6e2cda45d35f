//! Names that no sound client gives, and requests that would change more than a file. A name is
//! bytes: it comes back as it went, or is refused.

use std::fs;
use std::os::unix::ffi::OsStrExt;

use super::packet::{
    CREATE, DENIED, EXCLUSIVE, FAILURE, NEW, NO_SUCH_FILE, OK, Packet, READ, WRITE, ask, close,
    extended, framed, one, open, set, size, two, write,
};
use super::wire::{Line, Wire};
use crate::world::World;
use crate::world::batches::{good_file, good_file_from};
use crate::world::provider::Script;

/// The longest name that a file may have.
const NAME_BYTES_MAX: usize = 200;

fn in_drop(name: &[u8]) -> Vec<u8> {
    [b"/whatsapp/", name].concat()
}

/// What a listing of a folder shows, in the order it is shown.
fn listed(wire: &mut Wire, folder: &[u8]) -> Vec<Vec<u8>> {
    let handle = wire.ask(&one(ask::OPENDIR, folder)).handle();
    let mut names = Vec::new();
    loop {
        let reply = wire.ask(&one(ask::READDIR, &handle));
        if reply.kind == super::packet::say::STATUS {
            assert_eq!(reply.status(), super::packet::EOF);
            break;
        }
        names.extend(reply.names());
    }
    assert_eq!(wire.status(&close(&handle)), OK);
    names
}

/// A name that nobody could type, list or print must be refused in words, and leave nothing
/// behind anywhere.
#[test]
fn names_that_are_none_are_refused() {
    let (world, _provider) = World::start(Script::accepting());
    let line = Line::new(&world, "acme");
    let mut wire = line.sftp();
    let long = |length: usize| vec![b'n'; length];
    let bad = [
        b"a\0.json".to_vec(),
        b"\0".to_vec(),
        b"a\nb.json".to_vec(),
        b"a\r".to_vec(),
        b"\x1b[2Jb.json".to_vec(),
        b"a\x7f.json".to_vec(),
        "a\u{85}.json".into(),
        b"a\xff.json".to_vec(),
        b"a\xfe.json".to_vec(),
        b"\xc0\xaf.json".to_vec(),
        b"\xed\xa0\x80.json".to_vec(),
        b".dropcast-up.x".to_vec(),
        b".dropcast-up.x.json".to_vec(),
        b".dropcast-draft.1".to_vec(),
        long(NAME_BYTES_MAX + 1),
        long(255),
        long(256),
    ];
    for name in &bad {
        let path = in_drop(name);
        for flags in [NEW, WRITE, WRITE | CREATE | EXCLUSIVE] {
            assert_eq!(wire.status(&open(&path, flags)), DENIED, "{name:?}");
        }
        assert_eq!(wire.status(&open(&path, READ)), NO_SUCH_FILE, "{name:?}");
        for kind in [ask::STAT, ask::LSTAT, ask::OPENDIR, ask::READLINK] {
            assert_eq!(wire.status(&one(kind, &path)), NO_SUCH_FILE, "{name:?}");
        }
        assert_ne!(wire.status(&one(ask::REMOVE, &path)), OK);
        assert_ne!(wire.status(&set(ask::SETSTAT, &path, &size(0))), OK);
    }
    // What names a folder, or nothing.
    for path in [
        &b""[..],
        b"/",
        b".",
        b"..",
        b"/whatsapp/..",
        b"/whatsapp/.",
        b"/whatsapp/",
        b"/whatsapp/results",
        b"/whatsapp/results/",
        b"/whatsapp/dry-run",
        b"/whatsapp/templates/new.json",
        b"/whatsapp/results/new.json",
        b"/whatsapp/processed/a/b",
        b"/new.json",
        b"/README.txt",
        b"/../../etc/cron.d/new",
        b"/whatsapp/new/new.json",
        &in_drop(&long(4_096)),
        &in_drop(&long(5_000)),
    ] {
        let told = wire.ask(&open(path, NEW)).status();
        assert!([DENIED, NO_SUCH_FILE].contains(&told), "{path:?}");
    }
    let before: [&[u8]; 6] = [
        b"dry-run",
        b"results",
        b"errors",
        b"media",
        b"processed",
        b"templates",
    ];
    let mut found = listed(&mut wire, b"/whatsapp");
    found.sort();
    let mut wanted: Vec<_> = before.map(<[u8]>::to_vec).into();
    wanted.sort();
    assert_eq!(found, wanted);
    assert_eq!(hidden_names(&world), 0);
}

/// A file that came with a name must be found under the very bytes of it, beside others that look
/// the same.
#[test]
fn names_are_kept_byte_by_byte() {
    let (world, _provider) = World::start(Script::accepting());
    let line = Line::new(&world, "acme");
    let mut wire = line.sftp();
    let names: Vec<Vec<u8>> = vec![
        "caf\u{e9}.txt".into(),
        "cafe\u{301}.txt".into(),
        "\u{202e}txt.exe".into(),
        "a\u{200b}b".into(),
        b"same.txt".to_vec(),
        b"SAME.txt".to_vec(),
        b"Results".to_vec(),
        b"results.".to_vec(),
        b"results ".to_vec(),
        b" ".to_vec(),
        b"...".to_vec(),
        b"a\\b".to_vec(),
        b"*?[a]".to_vec(),
        b"-rf".to_vec(),
        b"$(id)".to_vec(),
        b"%n%s".to_vec(),
        b".dropcas".to_vec(),
        vec![b'n'; NAME_BYTES_MAX],
        "\u{1f4e6}".repeat(NAME_BYTES_MAX / 4).into(),
    ];
    for name in &names {
        assert_eq!(wire.put(&in_drop(name), name), OK, "{name:?}");
    }
    let found = listed(&mut wire, b"/whatsapp");
    let on_disk = world.folder("acme").path("whatsapp");
    for name in &names {
        let path = in_drop(name);
        let handle = wire.open(&path, READ);
        let there = wire.ask(&super::packet::read(&handle, 0, 1 << 20));
        assert_eq!(there.data(), name);
        assert_eq!(wire.status(&close(&handle)), OK);
        let count = found.iter().filter(|it| *it == name).count();
        assert_eq!(count, 1, "{name:?} in {found:?}");
        let disk = on_disk.join(std::ffi::OsStr::from_bytes(name));
        assert_eq!(fs::read(disk).expect("there"), *name);
    }
    // In `dry-run` the names of the other folders are names like any other.
    assert_eq!(wire.put(b"/whatsapp/dry-run/results", b"x"), OK);
    // Ways round that lead to the same file.
    for path in [
        &b"whatsapp/same.txt"[..],
        b"//whatsapp///same.txt",
        b"/whatsapp/./same.txt",
        b"/whatsapp/none/../same.txt",
        b"/../whatsapp/same.txt",
        b"/whatsapp/same.txt/",
    ] {
        let path = path.to_vec();
        assert_eq!(wire.ask(&one(ask::STAT, &path)).size(), 8, "{path:?}");
        let real = wire.ask(&one(ask::REALPATH, &path)).names();
        assert_eq!(real, [b"/whatsapp/same.txt".to_vec()]);
    }
}

/// Two names that a careless server turns into one must not overwrite each other: they are not
/// text, so neither is taken.
#[test]
fn names_that_are_not_text_never_become_one_file() {
    let (world, _provider) = World::start(Script::accepting());
    let line = Line::new(&world, "acme");
    let mut wire = line.sftp();
    let lossy = "a\u{fffd}.txt".as_bytes();
    assert_eq!(wire.put(&in_drop(lossy), b"it is there"), OK);
    for name in [&b"a\xff.txt"[..], b"a\xfe.txt"] {
        let path = in_drop(name);
        assert_eq!(wire.status(&open(&path, NEW)), DENIED);
        assert_eq!(wire.status(&one(ask::STAT, &path)), NO_SUCH_FILE);
        for kind in [ask::RENAME, ask::SYMLINK] {
            assert_ne!(wire.status(&two(kind, &in_drop(lossy), &path)), OK);
        }
        // A path is told as it was asked, byte by byte.
        let real = wire.ask(&one(ask::REALPATH, &path)).names();
        assert_eq!(real, [path]);
    }
    assert_eq!(wire.ask(&one(ask::STAT, &in_drop(lossy))).size(), 11);
}

/// The answers to a file are files too, with longer names: their owner must be able to list, read
/// and clear away those of the longest name it may use.
#[test]
fn the_longest_name_gets_its_answers() {
    let (mut world, provider) = World::start(Script::accepting());
    let line = Line::new(&world, "acme");
    let mut wire = line.sftp();
    let name = format!("{}.json", "n".repeat(NAME_BYTES_MAX - 5));
    let text = good_file(2).replacen("+31610000000", "12", 1);
    assert_eq!(wire.put(&in_drop(name.as_bytes()), text.as_bytes()), OK);
    let status = world.ended(&name);
    assert_eq!(status["counts"]["accepted"], 1, "{status:#}");
    assert_eq!(provider.seen_count(), 1);
    for folder in ["results", "errors", "processed"] {
        let path = format!("/whatsapp/{folder}");
        let mut shown = listed(&mut wire, path.as_bytes());
        shown.sort();
        let there = world.folder("acme").names(&path[1..]);
        let there: Vec<_> = there.into_iter().map(String::into_bytes).collect();
        assert!(!there.is_empty(), "nothing in {folder}");
        assert_eq!(shown, there, "{folder}");
        for name in &there {
            let file = [path.as_bytes(), b"/", name].concat();
            let handle = wire.open(&file, READ);
            assert_eq!(wire.status(&close(&handle)), OK);
            assert_eq!(wire.status(&one(ask::REMOVE, &file)), OK);
        }
        assert!(listed(&mut wire, path.as_bytes()).is_empty());
    }
}

/// The tree is fixed: no client can make, move or remove a folder, or link to what is not its own.
#[test]
fn links_and_folders_are_refused() {
    let (world, _provider) = World::start(Script::accepting());
    let line = Line::new(&world, "acme");
    let mut wire = line.sftp();
    assert_eq!(wire.put(b"/whatsapp/a.txt", b"a"), OK);
    let pair = |one: &[u8], other: &[u8]| [framed(&[one]), framed(&[other])].concat();
    for packet in [
        two(ask::SYMLINK, b"/etc/passwd", b"/whatsapp/l.json"),
        two(ask::SYMLINK, b"/whatsapp/l.json", b"/etc/passwd"),
        extended(
            b"hardlink@openssh.com",
            &pair(b"/whatsapp/a.txt", b"/whatsapp/h"),
        ),
        Packet::new(ask::MKDIR, &[&framed(&[b"/whatsapp/new"]), &[0; 4]]),
        one(ask::RMDIR, b"/whatsapp/dry-run"),
        one(ask::RMDIR, b"/whatsapp"),
        one(ask::REMOVE, b"/whatsapp/results"),
        one(ask::REMOVE, b"/"),
        two(ask::RENAME, b"/whatsapp/results", b"/whatsapp/r"),
        two(ask::RENAME, b"/whatsapp/a.txt", b"/whatsapp/results"),
        two(ask::RENAME, b"/whatsapp/a.txt", b"/whatsapp/results/a.txt"),
        extended(
            b"posix-rename@openssh.com",
            &pair(b"/whatsapp/a.txt", b"/README.txt"),
        ),
        set(ask::SETSTAT, b"/whatsapp/results", &size(0)),
    ] {
        assert_eq!(wire.status(&packet), DENIED, "{packet:?}");
    }
    assert_eq!(
        wire.status(&one(ask::READLINK, b"/whatsapp/a.txt")),
        FAILURE
    );
    let folder = world.folder("acme");
    assert_eq!(folder.names(""), ["README.txt", "whatsapp"]);
    assert!(!folder.path("whatsapp/l.json").exists());
    assert!(folder.path("whatsapp/dry-run").is_dir());
}

/// Clients set owners, modes and times after an upload and take a refusal for a failed upload; a
/// size is a different matter, and nothing they set may open the file to others.
#[test]
fn every_attribute_is_taken_or_refused() {
    let (world, _provider) = World::start(Script::accepting());
    let line = Line::new(&world, "acme");
    let mut wire = line.sftp();
    assert_eq!(wire.put(b"/whatsapp/a.txt", b"abc"), OK);
    let handle = wire.open(b"/whatsapp/b.txt", NEW);
    assert_eq!(wire.status(&write(&handle, 0, b"abc")), OK);
    let be = |value: u32| value.to_be_bytes();
    let given = |flags: u32, fields: &[[u8; 4]]| [&be(flags)[..], &fields.concat()].concat();
    let pair = [&framed(&[b"a@b"])[..], &framed(&[b"\xff"])].concat();
    for attributes in [
        given(0, &[]),
        size(3),
        given(2, &[be(0), be(0)]),
        given(2, &[be(u32::MAX), be(u32::MAX)]),
        given(4, &[be(0o104_777)]),
        given(4, &[be(u32::MAX)]),
        given(8, &[be(0), be(u32::MAX)]),
        given(8, &[be(1_600_000_000), be(1_700_000_000)]),
        [given(0x8000_0000, &[be(1)]), pair].concat(),
        // Flags that version 3 does not know.
        given(0x7fff_fff0, &[]),
    ] {
        let by_name = set(ask::SETSTAT, b"/whatsapp/a.txt", &attributes);
        assert_eq!(wire.status(&by_name), OK, "{attributes:?}");
        let by_handle = set(ask::FSETSTAT, &handle, &attributes);
        assert_eq!(wire.status(&by_handle), OK, "{attributes:?}");
        let none = set(ask::SETSTAT, b"/whatsapp/none", &attributes);
        assert_eq!(wire.status(&none), NO_SUCH_FILE);
        let read_only = set(ask::SETSTAT, b"/README.txt", &attributes);
        assert_eq!(wire.status(&read_only), DENIED);
    }
    for bytes in [0, 2, 4, 1 << 40, u64::MAX] {
        let by_name = set(ask::SETSTAT, b"/whatsapp/a.txt", &size(bytes));
        assert_eq!(wire.status(&by_name), DENIED);
    }
    assert_eq!(wire.status(&close(&handle)), OK);
    for name in ["a.txt", "b.txt"] {
        use std::os::unix::fs::MetadataExt;
        let file = world.folder("acme").path(&format!("whatsapp/{name}"));
        let there = fs::metadata(file).expect("there");
        assert_eq!((there.size(), there.mtime()), (3, 1_700_000_000));
        assert_eq!(there.mode() & 0o7_137, 0, "{:o}", there.mode());
    }
}

/// Two tenants with the same names on the same daemon must never meet.
#[test]
fn tenants_do_not_see_each_other() {
    use crate::world::TenantPlan;
    let plans = [TenantPlan::new("acme"), TenantPlan::new("globex")];
    let (mut world, provider) = World::start_with(&plans, Script::accepting());
    let lines = ["acme", "globex"].map(|tenant| Line::new(&world, tenant));
    let [mut one_wire, mut other] = lines.each_ref().map(Line::sftp);
    assert_eq!(one_wire.put(b"/whatsapp/secret.txt", b"acme's"), OK);
    let held = one_wire.open(b"/whatsapp/same.json", NEW);
    for path in [
        &b"/whatsapp/secret.txt"[..],
        b"/../acme/whatsapp/secret.txt",
        b"/whatsapp/../../acme/whatsapp/secret.txt",
        b"../acme",
        b"/acme/whatsapp/secret.txt",
    ] {
        for packet in [
            one(ask::STAT, path),
            open(path, READ),
            one(ask::OPENDIR, path),
        ] {
            assert_eq!(other.status(&packet), NO_SUCH_FILE, "{path:?}");
        }
        assert_ne!(other.status(&one(ask::REMOVE, path)), OK);
    }
    assert!(!listed(&mut other, b"/whatsapp").contains(&b"secret.txt".to_vec()));
    // The handle of the one is nothing to the other, and neither takes the other's name over.
    assert_eq!(other.status(&write(&held, 0, b"x")), FAILURE);
    let (mine, yours) = (good_file_from(0, 1), good_file_from(50, 2));
    assert_eq!(other.put(b"/whatsapp/same.json", yours.as_bytes()), OK);
    assert_eq!(one_wire.status(&write(&held, 0, mine.as_bytes())), OK);
    assert_eq!(one_wire.status(&close(&held)), OK);
    let limit = crate::world::SOON;
    let total = |world: &mut World, tenant| {
        world.ended_of(tenant, "same.json", limit)["counts"]["accepted"].clone()
    };
    assert_eq!(total(&mut world, "acme"), 1);
    assert_eq!(total(&mut world, "globex"), 2);
    assert_eq!(provider.seen_count(), 3);
}

/// How many hidden files lie in the drop folder.
fn hidden_names(world: &World) -> usize {
    let folder = world.folder("acme").path("whatsapp");
    let entries = fs::read_dir(folder).expect("the drop folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    names
        .filter(|name| name.as_bytes().starts_with(b"."))
        .count()
}
