//! The door with real clients: the OpenSSH programs and a client library, each with a limit on how
//! long it may take.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::PasswordHasher;
use russh::client;
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg};
use russh_sftp::client::{RawSftpSession, SftpSession};
use russh_sftp::protocol::{FileAttributes, OpenFlags, StatusCode};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::batch::name::SpoolName;

#[cfg(test)]
mod closes;
#[cfg(test)]
mod entry;
#[cfg(test)]
mod tree;

/// What takes longer than this hangs.
const HANG: Duration = Duration::from_mins(1);
const PASSWORD: &str = "correct horse";

/// The settings of a door in this folder. All clients of a test come from one address, which has to
/// be open whatever the test tries; what holds for addresses has tests of its own.
fn settings(home: &Path, listen: SocketAddr) -> Settings {
    Settings {
        listen,
        host_keys_dir: home.join("host-keys"),
        tenants_dir: home.join("tenants"),
        spool_new_dir: home.join("spool/new"),
        quotas: BTreeMap::new(),
        sessions_max: BTreeMap::new(),
        gate: Gate {
            shared_addresses: vec!["127.0.0.0/8".parse().expect("a net")],
            ..Gate::default()
        },
    }
}

/// A door with two tenants, in a folder of its own.
struct World {
    home: tempfile::TempDir,
    address: SocketAddr,
    key: PathBuf,
    arrived: Arc<Notify>,
    /// Told of files that steer.
    steered: Arc<Notify>,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
}

impl World {
    async fn new() -> Self {
        Self::changed(|_, _, _| {}).await
    }

    /// A world in which `acme` has this quota.
    async fn with(quota: Quota) -> Self {
        let acme = TenantName::parse("acme").expect("a name");
        Self::changed(|_, settings, _| settings.quotas = [(acme, quota)].into()).await
    }

    /// A door whose settings and logins are changed before it opens; the folder holds the key.
    async fn changed(change: impl FnOnce(&Path, &mut Settings, &mut Vec<Login>)) -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| home.path().join(name);
        let key = path("id");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&key)
            .status();
        assert!(made.expect("ssh-keygen runs").success());
        let public = std::fs::read_to_string(path("id.pub")).expect("a public key");
        let cheap = argon2::Params::new(64, 1, 1, None).expect("sound");
        let argon = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, cheap);
        let hash = argon
            .hash_password(PASSWORD.as_bytes())
            .expect("hashed")
            .to_string();
        let login = |user: &str, keys: Vec<String>, from: &[&str]| Login {
            user: user.to_owned(),
            tenant: TenantName::parse(user).expect("a name"),
            password_hash: hash.clone(),
            authorized_keys: keys
                .iter()
                .map(|line| AuthorizedKey::parse(line).expect("a key"))
                .collect(),
            allow_from: from.iter().map(|net| net.parse().expect("a net")).collect(),
            require: Require::Any,
        };
        let mut logins = vec![
            login("acme", vec![public.trim().to_owned()], &["127.0.0.0/8"]),
            login("globex", vec![], &[]),
            login("faraway", vec![public.trim().to_owned()], &["10.0.0.0/8"]),
        ];
        let mut settings = settings(home.path(), "127.0.0.1:0".parse().expect("an address"));
        change(home.path(), &mut settings, &mut logins);
        for tenant in ["acme", "globex"] {
            lay_out(&settings.tenants_dir.join(tenant)).expect("laid out");
        }
        let steered = Arc::new(Notify::new());
        let heard = Arc::clone(&steered);
        let door = open(settings).await.expect("open");
        let door = door.steered_by(move |tenant| {
            assert_eq!(tenant.as_str(), "acme");
            heard.notify_one();
        });
        let (arrived, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let (sender, logins) = watch::channel(Arc::new(logins));
        let (address, told, stopped) = (door.address(), Arc::clone(&arrived), stop.clone());
        let serving = tokio::spawn(async move {
            door.serve(logins, told, stopped).await;
            drop(sender);
        });
        Self {
            home,
            address,
            key,
            arrived,
            steered,
            stop,
            serving,
        }
    }

    fn file(&self, path: &str) -> PathBuf {
        self.home.path().join("tenants/acme/whatsapp").join(path)
    }

    fn local(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.home.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        path
    }

    /// The content of what is in the spool, by the name it was uploaded under.
    fn spooled(&self) -> Vec<(String, Vec<u8>)> {
        let Ok(entries) = std::fs::read_dir(self.home.path().join("spool/new/acme")) else {
            return Vec::new();
        };
        let mut found: Vec<_> = entries
            .map(|entry| {
                let entry = entry.expect("an entry");
                let name = entry.file_name().into_string().expect("text");
                let name = SpoolName::parse(&name).expect("a spool name");
                let folder = name.folder.path();
                let bytes = std::fs::read(entry.path()).expect("readable");
                (format!("{folder}/{}", name.name), bytes)
            })
            .collect();
        found.sort();
        found
    }

    fn program(&self, program: &str) -> Command {
        // The limit is the program's own, so that a hanging one does not outlive its test.
        let mut command = Command::new("timeout");
        command.arg(HANG.as_secs().to_string()).arg(program);
        for option in [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "IdentitiesOnly=yes",
            "BatchMode=yes",
        ] {
            command.arg(format!("-o{option}"));
        }
        command
            .arg("-F/dev/null")
            .arg(format!("-oIdentityFile={}", self.key.display()))
            .arg(format!("-P{}", self.address.port()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs lines of `sftp` and says what it said; stops at the first that fails.
    async fn sftp(&self, lines: &str) -> Result<String, String> {
        let mut command = self.program("sftp");
        command.args(["-b-", "acme@127.0.0.1"]);
        run(command, lines.to_owned()).await
    }

    async fn scp(&self, from: &Path, to: &str) -> Result<String, String> {
        let mut command = self.program("scp");
        command.arg("-s").arg(from).arg(to);
        run(command, String::new()).await
    }

    async fn connect(&self) -> client::Handle<AnyHost> {
        let config = Arc::new(client::Config::default());
        soon(client::connect(config, self.address, AnyHost))
            .await
            .expect("connected")
    }

    /// A session of a tenant by its password, and the connection to keep it by.
    async fn enter(&self, user: &str) -> (client::Handle<AnyHost>, russh::Channel<client::Msg>) {
        let mut ssh = self.connect().await;
        let outcome = soon(ssh.authenticate_password(user, PASSWORD)).await;
        assert!(outcome.expect("answered").success());
        let channel = ssh.channel_open_session().await.expect("a channel");
        let asked = channel.request_subsystem(true, "sftp");
        asked.await.expect("a subsystem");
        (ssh, channel)
    }

    async fn raw(&self, user: &str) -> (client::Handle<AnyHost>, RawSftpSession) {
        let (ssh, channel) = self.enter(user).await;
        let sftp = RawSftpSession::new(channel.into_stream());
        soon(sftp.init()).await.expect("a version");
        (ssh, sftp)
    }

    async fn end(self) {
        self.stop.cancel();
        soon(self.serving).await.expect("served to the end");
    }
}

/// A client that takes any host key.
struct AnyHost;

impl client::Handler for AnyHost {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        _: &russh::keys::PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANG, work).await.expect("no hang")
}

/// Runs a program away from the door's own threads, and gives it its input.
async fn run(mut command: Command, input: String) -> Result<String, String> {
    let ran = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().expect("the program runs");
        let mut stdin = child.stdin.take().expect("piped");
        stdin.write_all(input.as_bytes()).expect("taken");
        drop(stdin);
        child.wait_with_output().expect("the program ends")
    });
    said(ran.await.expect("no panic"))
}

fn said(output: Output) -> Result<String, String> {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if output.status.success() {
        Ok(text(output.stdout))
    } else {
        Err(text(output.stderr))
    }
}

fn status<T>(outcome: Result<T, russh_sftp::client::error::Error>) -> Option<StatusCode> {
    match outcome {
        Err(russh_sftp::client::error::Error::Status(status)) => Some(status.status_code),
        _ => None,
    }
}

const NEW: OpenFlags = OpenFlags::WRITE
    .union(OpenFlags::CREATE)
    .union(OpenFlags::TRUNCATE);

async fn open_raw(sftp: &RawSftpSession, path: &str, flags: OpenFlags) -> String {
    let opened = soon(sftp.open(path, flags, FileAttributes::empty())).await;
    opened.expect("opened").handle
}

/// A tenant whose put was answered must find its file taken, visible and told of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answered_put_is_in_the_spool_and_visible() {
    let world = World::new().await;
    let local = world.local("a.json", b"[1]");
    let put = format!(
        "put {0} whatsapp/a.json\nput {0} whatsapp/dry-run/b.jsonl\nput {0} whatsapp/notes.txt\n",
        local.display()
    );
    world.sftp(&put).await.expect("put");
    let arrival = |name: &str| (name.to_owned(), b"[1]".to_vec());
    let both = [
        arrival("whatsapp/a.json"),
        arrival("whatsapp/dry-run/b.jsonl"),
    ];
    assert_eq!(world.spooled(), both);
    assert!(world.file("notes.txt").exists());
    soon(world.arrived.notified()).await;

    let shown = world.sftp("ls -la /whatsapp\nls -l /\n").await;
    let shown = shown.expect("listed");
    for name in ["a.json", "notes.txt", "dry-run", "templates", "results"] {
        assert!(shown.contains(name), "{shown}");
    }
    assert!(!shown.contains(".dropcast-"), "{shown}");
    world.end().await;
}

/// What is to be stopped is looked at as soon as its close is answered, whether or not the system
/// tells of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_steers_is_told_of() {
    let world = World::new().await;
    let local = world.local("x", b"");
    let put = |name: &str| format!("put {} whatsapp/{name}\n", local.display());
    world.sftp(&put("a.json.CANCEL")).await.expect("put");
    soon(world.steered.notified()).await;
    world.sftp(&put("a.json.pause.part")).await.expect("put");
    let rename = "rename whatsapp/a.json.pause.part whatsapp/a.json.pause\n";
    world.sftp(rename).await.expect("renamed");
    soon(world.steered.notified()).await;
    world.end().await;
}

/// scp opens without asking for a new file, the second time onto one that is a batch by now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scp_may_upload_a_name_again() {
    let world = World::new().await;
    let target = "acme@127.0.0.1:/whatsapp/a.json";
    let first = world.local("first", b"[1, 2, 3]");
    world.scp(&first, target).await.expect("copied");
    let second = world.local("second", b"[4]");
    world.scp(&second, target).await.expect("copied again");
    let mut contents: Vec<_> = world
        .spooled()
        .into_iter()
        .map(|(_, bytes)| bytes)
        .collect();
    contents.sort();
    assert_eq!(contents, [b"[1, 2, 3]".to_vec(), b"[4]".to_vec()]);
    let now = std::fs::read(world.file("a.json")).expect("visible");
    assert_eq!(now, b"[4]");
    world.end().await;
}

/// A client that uploads under a working name and renames must be heard at the rename, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rename_that_makes_a_name_count_is_an_arrival() {
    let world = World::new().await;
    let local = world.local("x", b"[7]");
    let put = format!("put {} whatsapp/x.json.part\n", local.display());
    world.sftp(&put).await.expect("put");
    assert_eq!(world.spooled(), []);
    let rename = "rename whatsapp/x.json.part whatsapp/x.json\n";
    world.sftp(rename).await.expect("renamed");
    let arrived = [("whatsapp/x.json".to_owned(), b"[7]".to_vec())];
    assert_eq!(world.spooled(), arrived);

    // What has been taken may be renamed as its owner likes, and stays one batch.
    for (from, to) in [
        ("x.json", "y.json"),
        ("y.json", "y.tmp"),
        ("y.tmp", "z.json"),
    ] {
        let rename = format!("rename whatsapp/{from} whatsapp/{to}\n");
        world.sftp(&rename).await.expect("renamed");
        assert_eq!(world.spooled(), arrived);
    }
    assert!(world.file("z.json").exists());

    let (_ssh, sftp) = world.raw("acme").await;
    let handle = open_raw(&sftp, "/whatsapp/w.json", NEW).await;
    soon(sftp.close(handle)).await.expect("closed");
    let onto = soon(sftp.rename("/whatsapp/w.json", "/whatsapp/z.json")).await;
    assert_eq!(status(onto), Some(StatusCode::Failure));
    world.end().await;
}

/// A download of any size must come back whole, and must not stall half-way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_file_comes_back_as_it_went() {
    let world = World::new().await;
    let mut random = fastrand::Rng::with_seed(7);
    let mut bytes = vec![0; 64 << 20];
    random.fill(&mut bytes);
    let local = world.local("big", &bytes);
    let back = world.home.path().join("back");
    let lines = format!(
        "put {} whatsapp/big.bin\nget whatsapp/big.bin {}\n",
        local.display(),
        back.display()
    );
    world.sftp(&lines).await.expect("there and back");
    assert!(std::fs::read(&back).expect("read") == bytes);
    world.end().await;
}

/// A client that dies half-way must be able to go on where it was, and nothing may arrive before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_upload_is_kept_and_resumed() {
    let world = World::new().await;
    let whole = vec![b'x'; 100_000];
    let (ssh, sftp) = world.raw("acme").await;
    let handle = open_raw(&sftp, "/whatsapp/r.json", NEW).await;
    let half = whole[..50_000].to_vec();
    soon(sftp.write(&handle, 0, half)).await.expect("written");
    // Beyond a hole, so not to be counted on.
    soon(sftp.write(&handle, 70_000, vec![b'x'; 10]))
        .await
        .expect("written");
    drop((sftp, ssh));
    assert_eq!(world.spooled(), []);

    let (_ssh, sftp) = world.raw("acme").await;
    let size = || async {
        let attributes = soon(sftp.stat("/whatsapp/r.json")).await.expect("shown");
        attributes.attrs.size
    };
    soon(async {
        while size().await != Some(50_000) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let counting = soon(sftp.rename("/whatsapp/r.json", "/whatsapp/s.json")).await;
    assert_eq!(status(counting), Some(StatusCode::Failure));
    assert!(!world.file("r.json").exists());

    let local = world.local("whole", &whole);
    let lines = format!("reput {} whatsapp/r.json\n", local.display());
    world.sftp(&lines).await.expect("resumed");
    assert_eq!(world.spooled(), [("whatsapp/r.json".to_owned(), whole)]);
    let again = world.local("longer", &vec![b'x'; 100_001]);
    let lines = format!("reput {} whatsapp/r.json\n", again.display());
    world.sftp(&lines).await.expect_err("taken");
    world.end().await;
}

/// A client that comes back while its dead connection still stands must win, not mix with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_open_takes_the_name_over() {
    let world = World::new().await;
    let (_one, old) = world.raw("acme").await;
    let (_two, new) = world.raw("acme").await;
    for (flags, kept) in [(NEW, 0), (OpenFlags::WRITE, 3)] {
        let path = format!("/whatsapp/t{kept}.json");
        let stale = open_raw(&old, &path, NEW).await;
        soon(old.write(&stale, 0, b"old".to_vec()))
            .await
            .expect("written");
        let fresh = open_raw(&new, &path, flags).await;
        let late = soon(old.write(&stale, 3, b"late".to_vec())).await;
        assert_eq!(status(late), Some(StatusCode::Failure));
        soon(new.write(&fresh, kept, b"new".to_vec()))
            .await
            .expect("written");
        let closed = soon(old.close(stale)).await;
        assert_eq!(status(closed), Some(StatusCode::Failure));
        soon(new.close(fresh)).await.expect("closed");
    }
    let contents: Vec<_> = world
        .spooled()
        .into_iter()
        .map(|(_, bytes)| bytes)
        .collect();
    assert_eq!(contents, [b"new".to_vec(), b"oldnew".to_vec()]);
    world.end().await;
}

/// Some clients leave it to the server where the end is: their bytes must not land on the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_appended_go_to_the_end() {
    let world = World::new().await;
    let (_ssh, sftp) = world.raw("acme").await;
    let append = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::APPEND;
    let told: [&[(u64, &[u8])]; 3] = [
        &[(0, b"[1,"), (0, b"2,")],
        &[(0, b"3,"), (2, b"4,"), (0, b"5,")],
        &[(11, b"6"), (12, b"]")],
    ];
    for writes in told {
        let handle = open_raw(&sftp, "/whatsapp/a.json.part", append).await;
        for (offset, bytes) in writes {
            soon(sftp.write(&handle, *offset, bytes.to_vec()))
                .await
                .expect("written");
        }
        soon(sftp.close(handle)).await.expect("closed");
    }
    let content = std::fs::read(world.file("a.json.part")).expect("visible");
    assert_eq!(content, b"[1,2,3,4,5,6]");
    world.end().await;
}

/// A file with a hole, a change to a taken file, or bytes where no file reaches must never be
/// answered with OK.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_doubtful_is_answered_ok() {
    let world = World::new().await;
    let (_ssh, sftp) = world.raw("acme").await;
    let handle = open_raw(&sftp, "/whatsapp/h.json", NEW).await;
    for offset in [1 << 63, u64::MAX, Quota::default().upload_bytes_max] {
        let far = soon(sftp.write(&handle, offset, b"x".to_vec())).await;
        assert_eq!(status(far), Some(StatusCode::Failure), "{offset}");
        let end = soon(sftp.read(&handle, offset, 10)).await;
        assert_eq!(status(end), Some(StatusCode::Eof), "{offset}");
    }
    soon(sftp.write(&handle, 10, b"x".to_vec()))
        .await
        .expect("written");
    let closed = soon(sftp.close(handle.as_str())).await;
    assert_eq!(status(closed), Some(StatusCode::Failure));
    let gone = soon(sftp.close(handle)).await;
    assert_eq!(status(gone), Some(StatusCode::Failure));
    assert_eq!(world.spooled(), []);

    // Some clients close a file as if all were well after a write of theirs has failed.
    let handle = open_raw(&sftp, "/whatsapp/h.json", NEW).await;
    soon(sftp.write(&handle, 0, b"[1]".to_vec()))
        .await
        .expect("written");
    let far = soon(sftp.write(&handle, Quota::default().upload_bytes_max, b"x".to_vec())).await;
    assert_eq!(status(far), Some(StatusCode::Failure));
    let closed = soon(sftp.close(handle)).await;
    assert_eq!(status(closed), Some(StatusCode::Failure));
    assert_eq!(world.spooled(), []);

    let handle = open_raw(&sftp, "/whatsapp/h.json", NEW).await;
    soon(sftp.write(&handle, 0, b"[1, 2]".to_vec()))
        .await
        .expect("written");
    soon(sftp.close(handle)).await.expect("closed");
    for flags in [
        OpenFlags::WRITE,
        OpenFlags::WRITE | OpenFlags::READ,
        OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::APPEND,
    ] {
        let empty = FileAttributes::empty();
        let opened = soon(sftp.open("/whatsapp/h.json", flags, empty)).await;
        assert_eq!(status(opened), Some(StatusCode::PermissionDenied));
    }
    // What scp does, without the size that scp sets: it may be meant as a change of some bytes.
    let handle = open_raw(
        &sftp,
        "/whatsapp/h.json",
        OpenFlags::WRITE | OpenFlags::CREATE,
    )
    .await;
    soon(sftp.write(&handle, 0, b"[9".to_vec()))
        .await
        .expect("written");
    let closed = soon(sftp.close(handle)).await;
    assert_eq!(status(closed), Some(StatusCode::PermissionDenied));
    let taken = [("whatsapp/h.json".to_owned(), b"[1, 2]".to_vec())];
    assert_eq!(world.spooled(), taken);
    assert_eq!(
        std::fs::read(world.file("h.json")).expect("visible"),
        b"[1, 2]"
    );
    world.end().await;
}

/// A tenant must see its own files only, and change only what is its to change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_keeps_to_its_tree() {
    let world = World::new().await;
    std::fs::write(world.file("results/r.jsonl"), b"{}").expect("written");
    std::fs::write(world.file("templates/t.schema.json"), b"{}").expect("written");
    std::os::unix::fs::symlink("/etc/passwd", world.file("leak.json")).expect("linked");
    world.local("tenants/acme/README.txt", b"read me");
    let local = world.local("a.json", b"[1]");
    world
        .sftp(&format!("put {} whatsapp/a.json\n", local.display()))
        .await
        .expect("put");

    let (_ssh, channel) = world.enter("globex").await;
    let other = soon(SftpSession::new(channel.into_stream()))
        .await
        .expect("a session");
    let listed = soon(other.read_dir("/whatsapp")).await.expect("listed");
    assert!(
        listed
            .into_iter()
            .all(|entry| entry.file_name() != "a.json")
    );
    for path in ["/whatsapp/a.json", "/../acme/whatsapp/a.json"] {
        assert!(!soon(other.try_exists(path)).await.expect("answered"));
    }

    let (_ssh, sftp) = world.raw("acme").await;
    let empty = FileAttributes::empty;
    let denied = [
        status(soon(sftp.mkdir("/whatsapp/new", empty())).await),
        status(soon(sftp.rmdir("/whatsapp/results")).await),
        status(soon(sftp.rename("/whatsapp/results", "/whatsapp/x")).await),
        status(soon(sftp.remove("/whatsapp/templates/t.schema.json")).await),
        status(soon(sftp.remove("/README.txt")).await),
        status(soon(sftp.open("/README.txt", NEW, empty())).await),
        status(soon(sftp.open("/whatsapp/results/n", NEW, empty())).await),
        status(soon(sftp.open("/whatsapp/.dropcast-up.x", NEW, empty())).await),
        status(soon(sftp.open("/whatsapp/a\n.json", NEW, empty())).await),
        status(soon(sftp.open("/whatsapp/leak.json", OpenFlags::READ, empty())).await),
        status(soon(sftp.open("/whatsapp/leak.json", OpenFlags::WRITE, empty())).await),
        status(soon(sftp.symlink("/whatsapp/l", "/etc")).await),
    ];
    assert_eq!(denied, [Some(StatusCode::PermissionDenied); 12]);
    let missing = [
        status(soon(sftp.stat("/whatsapp/none.json")).await),
        status(soon(sftp.setstat("/whatsapp/none.json", empty())).await),
        status(soon(sftp.remove("/whatsapp/none.json")).await),
        status(soon(sftp.opendir("/etc")).await),
        status(soon(sftp.stat("/whatsapp/.dropcast-up.a.json")).await),
    ];
    assert_eq!(missing, [Some(StatusCode::NoSuchFile); 5]);
    let readme = open_raw(&sftp, "/README.txt", OpenFlags::READ).await;
    let text = soon(sftp.read(&readme, 0, 1 << 30)).await.expect("read");
    assert_eq!(text.data, b"read me");
    soon(sftp.remove("/whatsapp/results/r.jsonl"))
        .await
        .expect("cleared away");
    assert!(!world.file("results/r.jsonl").exists());
    soon(sftp.remove("/whatsapp/a.json"))
        .await
        .expect("deleted");
    assert_eq!(world.spooled().len(), 1, "only the name goes");
    let real = soon(sftp.realpath("whatsapp/./none/../new.json")).await;
    assert_eq!(
        real.expect("answered").files[0].filename,
        "/whatsapp/new.json"
    );
    world.end().await;
}

/// A stranger must not get in, and must not learn which user names there are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_is_known_gets_in() {
    let world = World::new().await;
    let key = std::fs::read(&world.key).expect("read");
    let own = PrivateKey::from_openssh(key).expect("a key");
    let algorithm = russh::keys::Algorithm::Ed25519;
    let strange = PrivateKey::random(&mut russh::keys::key::safe_rng(), algorithm).expect("made");
    for (user, key, enters) in [
        ("acme", &own, true),
        ("acme", &strange, false),
        ("globex", &own, false),
        ("faraway", &own, false),
        ("nobody", &own, false),
    ] {
        let mut ssh = world.connect().await;
        let key = PrivateKeyWithHashAlg::new(Arc::new(key.clone()), None);
        let outcome = soon(ssh.authenticate_publickey(user, key)).await;
        assert_eq!(outcome.expect("answered").success(), enters, "{user}");
    }
    let mut waits = Vec::new();
    for (user, password) in [
        ("acme", "wrong"),
        ("nobody", PASSWORD),
        ("faraway", PASSWORD),
        ("acme", ""),
    ] {
        let mut ssh = world.connect().await;
        let began = crate::clock::steady();
        waits.push(tokio::spawn(async move {
            let outcome = soon(ssh.authenticate_password(user, password)).await;
            assert!(!outcome.expect("answered").success(), "{user}");
            crate::clock::steady().duration_since(began)
        }));
    }
    for wait in waits {
        let waited = wait.await.expect("ended");
        assert!(waited >= Duration::from_millis(1_500), "{waited:?}");
    }

    let (ssh, _channel) = world.enter("acme").await;
    let mut shell = ssh.channel_open_session().await.expect("a channel");
    for attempt in 0..2 {
        match attempt {
            0 => shell.request_shell(true).await.expect("sent"),
            _ => shell.exec(true, "id").await.expect("sent"),
        }
        let answer = loop {
            match soon(shell.wait()).await.expect("an answer") {
                russh::ChannelMsg::WindowAdjusted { .. } => {}
                answer => break answer,
            }
        };
        assert!(matches!(answer, russh::ChannelMsg::Failure), "{answer:?}");
    }
    world.end().await;
}

/// A broken or hostile client must lose its channel, and nobody else theirs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_client_loses_its_channel_only() {
    let world = World::new().await;
    let (ssh, _kept) = world.enter("acme").await;
    let init = [0, 0, 0, 5, 1, 0, 0, 0, 3];
    let huge = [&init[..], &[0x7f, 0xff, 0xff, 0xff, 3]].concat();
    let twice = [init, init].concat();
    let early = vec![0, 0, 0, 9, 17, 0, 0, 0, 1, 0, 0, 0, 0];
    // More of them than a connection may have channels at a time.
    for bad in [&huge, &twice, &early, &huge, &twice] {
        let mut channel = ssh.channel_open_session().await.expect("a channel");
        let asked = channel.request_subsystem(true, "sftp");
        asked.await.expect("a subsystem");
        channel.data(&bad[..]).await.expect("sent");
        let ended = async {
            while let Some(message) = channel.wait().await {
                if matches!(message, russh::ChannelMsg::Close) {
                    break;
                }
            }
        };
        soon(ended).await;
    }
    let channel = ssh.channel_open_session().await.expect("a channel");
    let asked = channel.request_subsystem(true, "sftp");
    asked.await.expect("a subsystem");
    let sftp = soon(SftpSession::new(channel.into_stream())).await;
    let sftp = sftp.expect("a session");
    soon(sftp.read_dir("/")).await.expect("still served");
    world.end().await;
}

/// A client may not keep more files open than its share, nor remember them past their close.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handles_are_counted() {
    let world = World::new().await;
    let (_ssh, sftp) = world.raw("acme").await;
    let mut handles = Vec::new();
    for _ in 0..super::channel::HANDLES_MAX {
        handles.push(soon(sftp.opendir("/")).await.expect("opened").handle);
    }
    let more = soon(sftp.opendir("/")).await;
    assert_eq!(status(more), Some(StatusCode::Failure));
    soon(sftp.close(handles.remove(0))).await.expect("closed");
    soon(sftp.opendir("/")).await.expect("opened again");
    for strange in ["", "x", "ffffffff", "00000000"] {
        let read = soon(sftp.readdir(strange)).await;
        assert_eq!(status(read), Some(StatusCode::Failure), "{strange}");
    }
    world.end().await;
}

/// A stop must not wait for a client that goes on for ever, and a taken port must be named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_every_session() {
    let world = World::new().await;
    let settings = settings(world.home.path(), world.address);
    let error = open(settings).await.expect_err("the port is taken");
    let wanted = format!("failed to listen on `{}`", world.address);
    assert!(error.to_string().starts_with(&wanted), "{error}");

    let (_ssh, sftp) = world.raw("acme").await;
    let handle = open_raw(&sftp, "/whatsapp/late.json", NEW).await;
    soon(sftp.write(&handle, 0, b"[".to_vec()))
        .await
        .expect("written");
    let _silent = tokio::net::TcpStream::connect(world.address)
        .await
        .expect("connected");
    let began = crate::clock::steady();
    world.stop.cancel();
    soon(world.serving).await.expect("served to the end");
    assert!(crate::clock::steady().duration_since(began) < DRAIN + ACCEPT_PAUSE);
    assert!(world.home.path().join("tenants/acme/whatsapp").exists());
    assert!(
        !world
            .home
            .path()
            .join("tenants/acme/whatsapp/late.json")
            .exists()
    );
}
