//! What clients may do in the tree: quotas, names that have gone, empty files, extensions, and what
//! local writers leave behind.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use russh_sftp::protocol::Packet;
use rustix::fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with};

use super::*;

const READ: OpenFlags = OpenFlags::READ;
const MISSING: Option<StatusCode> = Some(StatusCode::NoSuchFile);
const FAILED: Option<StatusCode> = Some(StatusCode::Failure);
const DENIED: Option<StatusCode> = Some(StatusCode::PermissionDenied);

fn small(folder_bytes_max: u64, files_max: u64) -> Quota {
    Quota {
        folder_bytes_max,
        files_max,
        ..Quota::default()
    }
}

/// What a client is told, in words.
fn words<T>(outcome: Result<T, russh_sftp::client::error::Error>) -> String {
    match outcome {
        Err(russh_sftp::client::error::Error::Status(status)) => status.error_message,
        Err(other) => panic!("{other}"),
        Ok(_) => String::new(),
    }
}

async fn put(sftp: &RawSftpSession, path: &str, bytes: &[u8]) {
    let handle = open_raw(sftp, path, NEW).await;
    if !bytes.is_empty() {
        let written = soon(sftp.write(&handle, 0, bytes.to_vec())).await;
        written.expect("written");
    }
    soon(sftp.close(handle)).await.expect("closed");
}

async fn size(sftp: &RawSftpSession, path: &str) -> Option<u64> {
    let stat = soon(sftp.stat(path)).await.ok()?;
    stat.attrs.size
}

fn text(bytes: &str) -> Vec<u8> {
    let mut out = (bytes.len() as u32).to_be_bytes().to_vec();
    out.extend(bytes.as_bytes());
    out
}

async fn extended(sftp: &RawSftpSession, name: &str, data: Vec<u8>) -> Packet {
    soon(sftp.extended(name, data)).await.expect("answered")
}

/// Clients choose what they send by what is advertised, so all of it must work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_advertised_is_served() {
    let world = World::with(small(1 << 20, 10)).await;
    let (_ssh, channel) = world.enter("acme").await;
    let sftp = RawSftpSession::new(channel.into_stream());
    let version = soon(sftp.init()).await.expect("a version");
    for (name, number) in [
        ("posix-rename@openssh.com", "1"),
        ("statvfs@openssh.com", "2"),
        ("fstatvfs@openssh.com", "2"),
        ("fsync@openssh.com", "1"),
        ("lsetstat@openssh.com", "1"),
        ("limits@openssh.com", "1"),
        ("expand-path@openssh.com", "1"),
    ] {
        let advertised = version.extensions.get(name).map(String::as_str);
        assert_eq!(advertised, Some(number), "{name}");
    }
    for (path, real) in [
        ("~", "/"),
        ("~acme/whatsapp", "/whatsapp"),
        ("a/../b", "/b"),
    ] {
        let expanded = soon(sftp.expand_path(path)).await.expect("expanded");
        assert_eq!(expanded.files[0].filename, real);
    }
    assert_eq!(status(soon(sftp.expand_path("~globex/x")).await), FAILED);

    put(&sftp, "/whatsapp/notes.txt", &[b'n'; 8192]).await;
    let times = [0_u32.to_be_bytes(), 77_u32.to_be_bytes()].concat();
    let flags = 8_u32.to_be_bytes().to_vec();
    let set = [text("/whatsapp/notes.txt"), flags, times].concat();
    let answer = extended(&sftp, "lsetstat@openssh.com", set).await;
    assert!(matches!(answer, Packet::Status(status) if status.status_code == StatusCode::Ok));
    let shown = soon(sftp.stat("/whatsapp/notes.txt")).await.expect("shown");
    assert_eq!(shown.attrs.mtime, Some(77));

    let handle = open_raw(&sftp, "/whatsapp/notes.txt", READ).await;
    soon(sftp.fsync(&handle)).await.expect("synced");
    let by_handle = extended(&sftp, "fstatvfs@openssh.com", text(&handle)).await;
    let by_path = extended(&sftp, "statvfs@openssh.com", text("/whatsapp")).await;
    let (Packet::ExtendedReply(by_handle), Packet::ExtendedReply(by_path)) = (by_handle, by_path)
    else {
        panic!("no numbers");
    };
    assert_eq!(by_handle.data, by_path.data);
    let number = |at: usize| {
        let field = by_path.data[at * 8..].first_chunk::<8>();
        u64::from_be_bytes(*field.expect("eleven numbers"))
    };
    let (block, total, free) = (number(1), number(2), number(4));
    assert_eq!((total * block, (total - free) * block), (1 << 20, 8192));
    assert_eq!((number(5), number(7), number(10)), (10, 9, 200));
    let shown = world.sftp("df -h /whatsapp\ndf -i\n").await.expect("shown");
    assert!(shown.contains("1.0MB") && shown.contains("10%"), "{shown}");
    world.end().await;
}

/// Sessions of one tenant must not fill together what its quota keeps from each, and what was
/// refused must never be taken for a whole file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_uploads_keep_to_the_quota() {
    let world = World::with(small(100_000, 5)).await;
    std::fs::write(world.file("dry-run/local.txt"), vec![b'l'; 20_000]).expect("written");
    let (_one, one) = world.raw("acme").await;
    let (_two, two) = world.raw("acme").await;
    let upload = async |sftp: &RawSftpSession, path: &str| {
        let handle = open_raw(sftp, path, NEW).await;
        let (mut taken, mut told) = (0, String::new());
        for at in 0..10 {
            let written = soon(sftp.write(&handle, at * 10_000, vec![b'x'; 10_000])).await;
            match words(written) {
                fine if fine.is_empty() => taken += 1,
                refused => told = refused,
            }
        }
        (taken, told, words(soon(sftp.close(handle)).await))
    };
    let (first, second) = tokio::join!(
        upload(&one, "/whatsapp/a.json"),
        upload(&two, "/whatsapp/dry-run/b.json")
    );
    assert_eq!(first.0 + second.0, 8, "{first:?} {second:?}");
    let full = "the folder is full: 97.6 KiB of files, at most 97.6 KiB; delete files or wait for \
                batches to end";
    for (_, told, closed) in [first, second] {
        assert_eq!((told.as_str(), closed.as_str()), (full, full));
    }
    assert_eq!(world.spooled(), []);
    // How they share what there is depends on who comes first; the one may get all of it.
    let mut stay = [0, 0];
    for (at, path) in ["/whatsapp/a.json", "/whatsapp/dry-run/b.json"]
        .iter()
        .enumerate()
    {
        stay[at] = size(&one, path).await.expect("resumable");
        assert_eq!(stay[at] % 10_000, 0, "{stay:?}");
    }
    assert_eq!(stay[0] + stay[1], 80_000);
    soon(one.remove("/whatsapp/a.json")).await.expect("removed");
    soon(one.remove("/whatsapp/dry-run/b.json"))
        .await
        .expect("removed");
    put(&one, "/whatsapp/c.json", &vec![b'1'; 80_000]).await;

    // Neither a far offset nor a size makes room out of nothing.
    let handle = open_raw(&two, "/whatsapp/d.json", NEW).await;
    let mut long = FileAttributes::empty();
    long.size = Some(50_000);
    assert_eq!(words(soon(two.fsetstat(&handle, long)).await), full);
    for offset in [50_000, i64::MAX as u64 - 1, u64::MAX] {
        let far = soon(two.write(&handle, offset, b"x".to_vec())).await;
        assert_eq!(status(far), FAILED, "{offset}");
    }
    assert_eq!(status(soon(two.fsync(&handle)).await), FAILED);
    assert_eq!(size(&two, "/whatsapp/d.json").await, Some(0));

    // The daemon takes names away when batches end, and nobody tells the door.
    std::fs::remove_file(world.file("c.json")).expect("removed");
    let again = open_raw(&one, "/whatsapp/e.json", NEW).await;
    soon(async {
        while !words(one.write(&again, 0, vec![b'1'; 60_000]).await).is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    world.end().await;
}

/// A tenant with too many files must be told so at the open, not after the upload.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_file_too_many_is_refused_at_its_open() {
    let world = World::with(small(1 << 20, 3)).await;
    std::fs::write(world.file(".dropcast-up.half.json"), b"half").expect("written");
    std::fs::write(world.file("dry-run/local.txt"), b"local").expect("written");
    let (_ssh, sftp) = world.raw("acme").await;
    put(&sftp, "/whatsapp/a.json", b"[1]").await;
    let open = async |path| soon(sftp.open(path, NEW, FileAttributes::empty())).await;
    let full = "the folder is full: 3 files, at most 3; delete files or wait for batches to end";
    assert_eq!(words(open("/whatsapp/b.json").await), full);
    // What is there already may be gone on with.
    let flags = OpenFlags::WRITE | OpenFlags::CREATE;
    let half = open_raw(&sftp, "/whatsapp/half.json", flags).await;
    soon(sftp.write(&half, 4, b" and half".to_vec()))
        .await
        .expect("written");
    soon(sftp.close(half)).await.expect("closed");
    assert_eq!(words(open("/whatsapp/b.json").await), full);
    soon(sftp.rename("/whatsapp/half.json", "/whatsapp/h.txt"))
        .await
        .expect("renamed");
    assert_eq!(words(open("/whatsapp/b.json").await), full);
    soon(sftp.remove("/whatsapp/h.txt")).await.expect("removed");
    open("/whatsapp/b.json").await.expect("opened");
    world.end().await;
}

/// A local job's file is known by its times while it is sent: a client that sets others through the
/// door must not make another file of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_times_of_a_local_jobs_file_stay() {
    let world = World::new().await;
    let (_one, sftp) = world.raw("acme").await;
    put(&sftp, "/whatsapp/door.json", b"{}").await;
    std::fs::write(world.file("local.json"), b"{}").expect("written");
    std::fs::write(world.file("local.txt"), b"{}").expect("written");
    for (name, is_set) in [
        ("local.json", false),
        ("local.txt", true),
        ("door.json", true),
    ] {
        let mut times = FileAttributes::empty();
        (times.atime, times.mtime) = (Some(5), Some(7));
        let path = format!("/whatsapp/{name}");
        soon(sftp.setstat(path, times)).await.expect("answered OK");
        let about = std::fs::metadata(world.file(name)).expect("there");
        let seven = std::time::UNIX_EPOCH + std::time::Duration::from_secs(7);
        assert_eq!(about.modified().expect("told") == seven, is_set, "{name}");
    }
    world.end().await;
}

/// A client that looks at its upload, sets its times or renames it must not fail because the batch
/// has ended meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_has_gone_is_answered_for() {
    let world = World::new().await;
    let (_one, sftp) = world.raw("acme").await;
    let (_two, pooled) = world.raw("acme").await;
    put(&sftp, "/whatsapp/a.json", b"[1, 2]").await;
    put(&sftp, "/whatsapp/b.json.part", b"[3]").await;
    let (part, whole) = ("/whatsapp/b.json.part", "/whatsapp/b.json");
    soon(sftp.rename(part, whole)).await.expect("renamed");
    // What the daemon does when a batch has ended.
    let end = |name: &str| std::fs::remove_file(world.file(name)).expect("removed");
    end("a.json");
    end("b.json");
    for (path, bytes) in [("/whatsapp/a.json", 6), (whole, 3)] {
        assert_eq!(size(&sftp, path).await, Some(bytes));
        let mut times = FileAttributes::empty();
        (times.atime, times.mtime) = (Some(5), Some(7));
        soon(pooled.setstat(path, times)).await.expect("set");
        let shown = soon(pooled.lstat(path)).await.expect("shown").attrs;
        assert_eq!((shown.size, shown.mtime), (Some(bytes), Some(7)));
        assert_eq!(
            status(soon(sftp.open(path, READ, FileAttributes::empty())).await),
            MISSING
        );
    }
    assert_eq!(status(soon(sftp.stat(part)).await), MISSING);
    let folder = soon(sftp.opendir("/whatsapp"))
        .await
        .expect("opened")
        .handle;
    let listed = soon(sftp.readdir(&folder)).await.expect("listed").files;
    assert!(listed.iter().all(|file| !file.filename.ends_with(".json")));

    soon(pooled.rename("/whatsapp/a.json", "/whatsapp/done/../a.done"))
        .await
        .expect("relabelled");
    assert_eq!(status(soon(sftp.stat("/whatsapp/a.json")).await), MISSING);
    assert_eq!(size(&sftp, "/whatsapp/a.done").await, Some(6));
    soon(sftp.remove("/whatsapp/a.done"))
        .await
        .expect("forgotten");
    for gone in ["/whatsapp/a.done", "/whatsapp/a.json", "/whatsapp/none"] {
        assert_eq!(status(soon(sftp.remove(gone)).await), MISSING);
    }
    // A file that is there is not lost for the name of one that is not.
    put(&sftp, "/whatsapp/kept.txt", b"kept").await;
    let onto = [text(whole), text("/whatsapp/kept.txt")].concat();
    let answer = extended(&sftp, "posix-rename@openssh.com", onto).await;
    assert!(matches!(answer, Packet::Status(status) if status.status_code == StatusCode::Failure));
    // The name is free for the next upload, which stands for it from its beginning.
    let handle = open_raw(&sftp, whole, NEW).await;
    assert_eq!(size(&pooled, whole).await, Some(0));
    soon(sftp.close(handle)).await.expect("closed");
    soon(sftp.remove(whole)).await.expect("removed");
    assert_eq!(status(soon(sftp.stat(whole)).await), MISSING);
    assert_eq!(world.spooled().len(), 2);
    world.end().await;
}

/// Some clients make an empty file first and write to it later; nobody may take it for a batch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_file_is_no_arrival() {
    let world = World::new().await;
    let (_ssh, sftp) = world.raw("acme").await;
    put(&sftp, "/whatsapp/a.json", b"").await;
    put(&sftp, "/whatsapp/b.tmp", b"").await;
    soon(sftp.rename("/whatsapp/b.tmp", "/whatsapp/b.json"))
        .await
        .expect("renamed");
    assert_eq!(world.spooled(), []);
    assert!(world.file("a.json").exists() && world.file("b.json").exists());
    for (name, flags) in [
        ("a.json", OpenFlags::WRITE),
        ("b.json", OpenFlags::WRITE | OpenFlags::APPEND),
    ] {
        let handle = open_raw(&sftp, &format!("/whatsapp/{name}"), flags).await;
        soon(sftp.write(&handle, 0, b"[1]".to_vec()))
            .await
            .expect("written");
        soon(sftp.close(handle)).await.expect("closed");
    }
    let arrival = |name: &str| (format!("whatsapp/{name}"), b"[1]".to_vec());
    assert_eq!(world.spooled(), [arrival("a.json"), arrival("b.json")]);
    world.end().await;
}

/// A local writer must not lead a tenant out of its folder, and what is no file must neither be
/// opened nor hold the session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_local_writers_leave_leads_nowhere() {
    let world = World::new().await;
    let secret = world.local("secret", b"secret");
    symlink(&secret, world.file("link.json")).expect("linked");
    symlink(&secret, world.file(".dropcast-up.partial.json")).expect("linked");
    symlink("/", world.file("results/top")).expect("linked");
    std::fs::remove_dir(world.file("dry-run")).expect("removed");
    symlink("results", world.file("dry-run")).expect("linked");
    let pipe = FileType::Fifo;
    mknodat(CWD, world.file("pipe.json"), pipe, Mode::RWXU, 0).expect("a pipe");
    let _socket = UnixListener::bind(world.file("socket.json")).expect("a socket");
    std::fs::create_dir(world.file("folder.json")).expect("made");
    let odd = std::ffi::OsStr::from_bytes(b"odd\xff.json");
    std::fs::write(world.file("").join(odd), b"[1]").expect("written");
    std::fs::write(world.file("odd\u{1}.json"), b"[1]").expect("written");
    std::fs::write(world.file(&"n".repeat(255)), b"[1]").expect("written");

    let (_ssh, sftp) = world.raw("acme").await;
    let empty = FileAttributes::empty;
    for name in ["link", "partial", "pipe", "socket", "folder"] {
        let path = format!("/whatsapp/{name}.json");
        assert_eq!(status(soon(sftp.stat(&path)).await), DENIED, "{name}");
        for flags in [READ, OpenFlags::WRITE, NEW] {
            let opened = soon(sftp.open(&path, flags, empty())).await;
            assert_eq!(status(opened), DENIED, "{name}");
        }
        assert_eq!(status(soon(sftp.remove(&path)).await), DENIED, "{name}");
        let renamed = soon(sftp.rename(&path, "/whatsapp/mine.txt")).await;
        assert_eq!(status(renamed), DENIED, "{name}");
    }
    for path in [
        "/whatsapp/dry-run/x.json",
        "/whatsapp/dry-run",
        "/whatsapp/results/top",
    ] {
        let opened = soon(sftp.opendir(path)).await;
        assert!(opened.is_err(), "{path}");
        let opened = soon(sftp.open(path, NEW, empty())).await;
        assert!(opened.is_err(), "{path}");
    }
    for missing in [
        "/whatsapp/results/top/etc/passwd",
        "/../../etc/passwd",
        "/etc/passwd",
    ] {
        assert_eq!(status(soon(sftp.stat(missing)).await), MISSING, "{missing}");
    }
    let too_long = format!("/whatsapp/{}", "n".repeat(255));
    for bad in [
        too_long.as_str(),
        "/whatsapp/a\u{7f}.json",
        "/whatsapp/.dropcast-link.x",
    ] {
        assert_eq!(
            status(soon(sftp.open(bad, NEW, empty())).await),
            DENIED,
            "{bad:?}"
        );
    }
    let folder = soon(sftp.opendir("/whatsapp"))
        .await
        .expect("opened")
        .handle;
    let mut shown = Vec::new();
    while let Ok(names) = soon(sftp.readdir(&folder)).await {
        shown.extend(names.files.into_iter().map(|file| file.filename));
    }
    shown.sort();
    assert_eq!(
        shown,
        ["errors", "media", "processed", "results", "templates"]
    );
    assert_eq!(std::fs::read(&secret).expect("read"), b"secret");
    world.end().await;
}

/// A drop folder that a local hand swaps for a link to another tenant's, again and again, must
/// never let a file through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swapped_folder_lets_nothing_through() {
    let world = World::new().await;
    let other = world.home.path().join("tenants/globex/whatsapp/dry-run");
    std::fs::write(other.join("a.txt"), b"theirs").expect("written");
    std::fs::write(world.file("dry-run/a.txt"), b"own").expect("written");
    symlink(&other, world.file("other")).expect("linked");
    let (one, two) = (world.file("dry-run"), world.file("other"));
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let swapping = std::thread::spawn(move || {
        while !stopped.is_cancelled() {
            renameat_with(CWD, &one, CWD, &two, RenameFlags::EXCHANGE).expect("swapped");
        }
    });
    let (_ssh, sftp) = world.raw("acme").await;
    let (mut read, mut refused) = (0, 0);
    for number in 0..2_000 {
        let path = "/whatsapp/dry-run/a.txt";
        match soon(sftp.open(path, READ, FileAttributes::empty())).await {
            Ok(handle) => {
                let data = soon(sftp.read(&handle.handle, 0, 100)).await.expect("read");
                assert_eq!(data.data, b"own");
                soon(sftp.close(handle.handle)).await.expect("closed");
                read += 1;
            }
            Err(_) => refused += 1,
        }
        if number % 10 == 0 {
            let path = format!("/whatsapp/dry-run/{number}.txt");
            if let Ok(handle) = soon(sftp.open(path, NEW, FileAttributes::empty())).await {
                let _ = soon(sftp.close(handle.handle)).await;
            }
        }
    }
    stop.cancel();
    swapping.join().expect("swapped to the end");
    assert!(read > 0 && refused > 0, "{read} {refused}");
    let theirs = std::fs::read_dir(&other).expect("listed").count();
    assert_eq!(theirs, 1, "nothing was written there");
    world.end().await;
}
