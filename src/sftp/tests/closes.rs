//! Closes from the inside: what goes on beside them, what waits for them, and what they answer when
//! the disk has no room or the spool cannot be reached.

use super::super::Steered;
use super::super::channel::Conversation;
use super::super::jail;
use super::super::packet::{self, Status};
use super::super::refusal::Refusal;
use super::super::replies;
use super::super::room::Reserve;
use super::super::uploads::{Unfit, Upload, key_of};
use super::*;
use crate::batch::name::DropFolder;

const NEW_FILE: packet::OpenFlags = packet::OpenFlags(
    packet::OpenFlags::WRITE | packet::OpenFlags::CREATE | packet::OpenFlags::TRUNCATE,
);

/// A tree without a door.
fn tree(home: &Path) -> Arc<Tree> {
    let tenant = TenantName::parse("acme").expect("a name");
    lay_out(&home.join("tenants/acme")).expect("laid out");
    let shared = Shared {
        uploads: Arc::new(Uploads::new(Disk::default())),
        arrived: Arc::default(),
        steered: Steered::default(),
        premises: Arc::default(),
    };
    let dirs = (home.join("tenants"), home.join("new"));
    let opened = Tree::open(
        (&dirs.0, &dirs.1),
        (tenant, "cron".to_owned()),
        Quota::default(),
        shared,
    );
    Arc::new(opened.expect("opened"))
}

fn request(kind: u8, id: u32, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let mut out = (body.len() as u32 + 5).to_be_bytes().to_vec();
    out.push(kind);
    out.extend(id.to_be_bytes());
    out.extend(body);
    out
}

fn text(bytes: &[u8]) -> Vec<u8> {
    let mut out = (bytes.len() as u32).to_be_bytes().to_vec();
    out.extend(bytes);
    out
}

fn open_packet(id: u32, path: &str) -> Vec<u8> {
    let flags = NEW_FILE.0.to_be_bytes();
    request(3, id, &[&text(path.as_bytes()), &flags, &[0; 4]])
}

fn write_packet(id: u32, handle: &str, bytes: &[u8]) -> Vec<u8> {
    let handle = text(handle.as_bytes());
    request(6, id, &[&handle, &[0; 8], &text(bytes)])
}

fn close_packet(id: u32, handle: &str) -> Vec<u8> {
    request(4, id, &[&text(handle.as_bytes())])
}

/// The ids that a batch of replies answers, each with its kind and, of a status, its number.
fn answers(mut bytes: &[u8]) -> Vec<(u32, u8, u32)> {
    let word = |at: &[u8]| u32::from_be_bytes(*at.first_chunk::<4>().expect("four bytes"));
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let length = word(bytes) as usize;
        found.push((word(&bytes[5..]), bytes[4], word(&bytes[9..])));
        bytes = &bytes[4 + length..];
    }
    found
}

/// A session with many files must not stand still for the syncs of one, and must still be told of
/// everything in the order in which it asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_holds_up_only_what_depends_on_it() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let tree = tree(home.path());
    let (outbox, mut outgoing) = replies::outbox(tree.premises.shares.waiting());
    let seats = Arc::new(Semaphore::new(8));
    let mut talk = Conversation::new(Arc::clone(&tree), seats, outbox);
    let init = [0, 0, 0, 5, 1, 0, 0, 0, 3];
    soon(talk.take(&init)).await.expect("begun");
    for (id, path) in [(1, "/whatsapp/a.json"), (2, "/whatsapp/b.json")] {
        soon(talk.take(&open_packet(id, path)))
            .await
            .expect("taken");
    }
    let (a, b) = ("00000000", "00000001");
    soon(talk.take(&write_packet(3, a, b"[1]")))
        .await
        .expect("taken");
    {
        // Whoever holds the name holds up its close.
        let (held, release) = std::sync::mpsc::channel::<()>();
        let (uploads, key) = (Arc::clone(&tree.uploads), key_of("a.json"));
        let (begun, holds) = std::sync::mpsc::channel();
        let holder = std::thread::spawn(move || {
            let _held = uploads.hold(&key);
            begun.send(()).expect("awaited");
            release.recv().expect("released");
        });
        holds.recv().expect("held");
        soon(talk.take(&close_packet(4, a))).await.expect("taken");
        soon(talk.take(&write_packet(5, b, b"[2]")))
            .await
            .expect("taken");
        soon(talk.take(&open_packet(6, "/whatsapp/c.json")))
            .await
            .expect("taken");
        let folder = home.path().join("tenants/acme/whatsapp");
        let written = std::fs::read(folder.join(".dropcast-up.b.json"));
        assert_eq!(written.expect("there"), b"[2]");
        assert!(!folder.join("a.json").exists());
        // What looks at names waits for the close.
        let stat = request(17, 7, &[&text(b"/whatsapp/a.json")]);
        let mut looks = Box::pin(talk.take(&stat));
        let early = tokio::time::timeout(Duration::ZERO, &mut looks).await;
        assert!(early.is_err(), "it is not answered before the close");
        held.send(()).expect("held until now");
        soon(looks).await.expect("taken");
        holder.join().expect("no panic");
    }
    soon(talk.take(&close_packet(8, b))).await.expect("taken");
    drop(talk);
    let mut told = Vec::new();
    while let Some(batch) = soon(outgoing.next_batch()).await {
        told.extend(answers(&batch));
    }
    let ids: Vec<u32> = told.iter().map(|(id, ..)| *id).collect();
    assert_eq!(ids, [3, 1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(told[4], (4, 101, Status::Ok as u32));
    assert_eq!((told[7].1, told[8]), (105, (8, 101, Status::Ok as u32)));
}

/// Clients put `~user` before a path, and know nobody but the user that they log in as.
#[test]
fn a_user_has_a_home() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let tree = tree(home.path());
    for path in ["~", "~cron", "~acme"] {
        assert_eq!(tree.expand(path.as_bytes()), Some(b"/".to_vec()), "{path}");
    }
    let inside = tree.expand(b"~cron/whatsapp");
    assert_eq!(inside, Some(b"/whatsapp".to_vec()));
    assert_eq!(tree.expand(b"~globex"), None);
}

/// An upload written over a longer one that was given up must not count with the other's end,
/// however it ends, and one that goes on at the end must keep what is there.
#[test]
fn a_beginning_and_the_end_of_another_are_no_file() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let tree = tree(home.path());
    let place = jail::place(b"/whatsapp/a.json");
    let over = packet::OpenFlags(packet::OpenFlags::WRITE | packet::OpenFlags::CREATE);
    let size = || tree.stat(&place).expect("kept").size;
    let write = |upload: &Upload, at: u64, bytes: &[u8]| {
        upload.takes(at, bytes.len() as u32).expect("room");
        if upload.overwrites(at) {
            upload.cut_before(at).expect("cut");
        }
        upload.write(at, bytes).expect("written");
    };
    let old = tree.begin_upload(&place, NEW_FILE).expect("begun");
    write(&old, 0, b"[1,2,3,4");
    drop(old);

    let session = tree.begin_upload(&place, over).expect("begun");
    write(&session, 0, b"[9,");
    // What a killed daemon would leave.
    assert_eq!(size(), Some(3));
    let refused = tree.finish_upload(&session).expect_err("not the whole");
    assert!(refused.words.contains("shorter than before"));
    drop(session);
    assert_eq!(size(), Some(3));

    // The next one goes on at the end, then one writes all of it over and says how long it is.
    let session = tree.begin_upload(&place, over).expect("begun");
    write(&session, 3, b"8,7,6,5,4]");
    drop(session);
    assert_eq!(size(), Some(13));
    let session = tree.begin_upload(&place, over).expect("begun");
    write(&session, 0, b"[5]");
    session.set_size(3).expect("cut");
    tree.finish_upload(&session).expect("whole");
    assert_eq!(
        std::fs::read(home.path().join("tenants/acme/whatsapp/a.json")).expect("there"),
        b"[5]"
    );
}

/// A closed file with an unfinished name may be changed in its middle; a change that is given up
/// must not pass for done.
#[test]
fn a_change_that_is_given_up_keeps_no_end() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let tree = tree(home.path());
    let place = jail::place(b"/whatsapp/a.tmp");
    let upload = tree.begin_upload(&place, NEW_FILE).expect("begun");
    upload.write(0, b"abcdef").expect("written");
    tree.finish_upload(&upload).expect("closed");
    let change = packet::OpenFlags(packet::OpenFlags::WRITE);
    let begin = |bytes: &[u8]| {
        let upload = tree.begin_upload(&place, change).expect("begun");
        upload.cut_before(1).expect("ready");
        upload.write(1, bytes).expect("written");
        upload
    };
    tree.finish_upload(&begin(b"B")).expect("closed");
    let disk = home.path().join("tenants/acme/whatsapp/a.tmp");
    assert_eq!(std::fs::read(disk).expect("there"), b"aBcdef");
    drop(begin(b"xy"));
    assert_eq!(tree.stat(&place).expect("kept").size, Some(3));
}

/// A session's end must not wait for whoever holds the name, and the name not be shown longer than
/// what is whole by the time it can be taken again.
#[tokio::test]
async fn what_is_given_up_is_cut_elsewhere() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let tree = tree(home.path());
    let place = jail::place(b"/whatsapp/a.json");
    let upload = tree.begin_upload(&place, NEW_FILE).expect("begun");
    for at in [0, 10] {
        upload.takes(at, 3).expect("room");
        upload.write(at, b"abc").expect("written");
    }
    let key = key_of("a.json");
    let held = tree.uploads.hold(&key);
    // This would hang for ever if it waited.
    drop(upload);
    assert!(tree.uploads.is_open(&key));
    drop(held);
    let cut = async {
        while tree.uploads.is_open(&key) {
            tokio::task::yield_now().await;
        }
    };
    soon(cut).await;
    let _held = tree.uploads.hold(&key);
    assert_eq!(tree.stat(&place).expect("kept").size, Some(3));
}

/// Files whose closes are under way at the same time must all be taken, however they share their
/// syncs.
#[test]
fn many_closes_at_once_are_all_taken() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let tree = tree(home.path());
    std::thread::scope(|scope| {
        for number in 0..16 {
            let tree = Arc::clone(&tree);
            scope.spawn(move || {
                for round in 0..5 {
                    let path = format!("/whatsapp/{number}-{round}.json");
                    let place = jail::place(path.as_bytes());
                    let upload = tree.begin_upload(&place, NEW_FILE).expect("begun");
                    upload.takes(0, 3).expect("room");
                    upload.write(0, b"[1]").expect("written");
                    tree.finish_upload(&upload).expect("closed");
                }
            });
        }
    });
    let entries = std::fs::read_dir(home.path().join("new/acme")).expect("a spool");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let shown = names.filter(|name| name.to_str().and_then(SpoolName::parse).is_some());
    assert_eq!(shown.count(), 80);
    let used = tree.premises.usage.total();
    assert_eq!((used.files, used.bytes), (80, 240));
}

/// While the disk is nearly full nothing may be begun, and nothing half written be taken for whole.
#[test]
fn a_nearly_full_disk_takes_no_uploads() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let tree = tree(home.path());
    let place = |path: &str| jail::place(path.as_bytes());
    let begin = |path: &str| tree.begin_upload(&place(path), NEW_FILE);
    let upload = begin("/whatsapp/a.json").expect("begun");
    upload.takes(0, 3).expect("room");
    upload.write(0, b"[1,").expect("written");
    let all = Reserve {
        bytes: u64::MAX,
        bytes_part: 1,
        ..Reserve::default()
    };
    tree.uploads.disk.keep(all);
    let full = Refusal::failure("the server's disk is nearly full; try again later");
    assert_eq!(begin("/whatsapp/b.json").map(drop), Err(full.clone()));
    assert_eq!(upload.takes(3, 2), Err(Unfit::Refused(full.clone())));
    assert_eq!(tree.with_room(|| upload.set_size(10)), Err(full.clone()));
    upload.lacks_bytes(&full);
    assert_eq!(upload.sync(), Err(full.clone()));
    assert_eq!(tree.finish_upload(&upload), Err(full));
    let room = tree.room().expect("shown");
    assert_eq!((room[3], room[4]), (0, 0));
    drop(upload);
    assert_eq!(
        tree.stat(&place("/whatsapp/a.json")).expect("kept").size,
        Some(3)
    );

    tree.uploads.disk.keep(Reserve::default());
    let resumed = packet::OpenFlags(packet::OpenFlags::WRITE);
    let upload = tree.begin_upload(&place("/whatsapp/a.json"), resumed);
    let upload = upload.expect("resumed");
    upload.takes(3, 2).expect("room");
    upload.write(3, b"2]").expect("written");
    tree.finish_upload(&upload).expect("closed");
    assert!(home.path().join("tenants/acme/whatsapp/a.json").exists());
}

/// A rename that cannot be done must leave nothing in the spool that could be sent.
#[test]
fn a_close_that_fails_leaves_nothing_in_the_spool() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let tree = tree(home.path());
    let place = jail::place(b"/whatsapp/a.json");
    let upload = tree.begin_upload(&place, NEW_FILE).expect("begun");
    upload.takes(0, 3).expect("room");
    upload.write(0, b"[1]").expect("written");
    upload.seal().expect("whole");
    upload.file.sync_all().expect("synced");
    let points = super::super::spooling::Points {
        linked: "test-linked",
        spool_synced: "test-spool-synced",
        renamed: "test-renamed",
        shown: "test-shown",
        folder_synced: "test-folder-synced",
    };
    let key = key_of("a.json");
    let spool = home.path().join("new/acme");
    let taken = tree.take(
        (&upload.file, &key, DropFolder::Whatsapp),
        || {
            // A daemon that saw it by now could end the batch before its file has a name to lose.
            let entries = std::fs::read_dir(&spool).expect("a spool");
            let names: Vec<_> = entries
                .map(|entry| entry.expect("an entry").file_name())
                .collect();
            assert_eq!(names.len(), 1);
            let name = names[0].to_str().expect("text");
            assert_eq!(SpoolName::parse(name), None, "{name}");
            Err(rustix::io::Errno::EXIST)
        },
        || Ok(()),
        &points,
    );
    assert_eq!(taken, Err(Refusal::failure("a file of this name exists")));
    assert_eq!(std::fs::read_dir(&spool).expect("a spool").count(), 0);
    // The file is in the spool when the folder's sync fails, so its client must not send it again
    // without a look.
    let taken = tree.take(
        (&upload.file, &key, DropFolder::Whatsapp),
        || Ok(()),
        || Err(rustix::io::Errno::IO),
        &points,
    );
    let told = taken.expect_err("not confirmed").words;
    assert!(
        told.contains("look at its status before you send it again"),
        "{told}"
    );
    assert_eq!(std::fs::read_dir(&spool).expect("a spool").count(), 1);
}
