//! Figures of the door, printed and never asserted: each beside OpenSSH's own SFTP server in the
//! same run, with the same client, cipher and key exchange, the two visited in turn; medians.
//!
//! `DROPCAST_BENCH_DIR` says where the files lie; memory (`/dev/shm`) if it does not, so that the
//! servers are compared and not the disk.

#![expect(clippy::print_stdout, reason = "printing is what this program is for")]

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use russh::client;
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg};

#[allow(dead_code, reason = "other figures start it in other ways")]
mod service;

use service::{Outcome, Service, TENANT, make_key, memory_kib, wait_for};

const MIB: u64 = 1 << 20;
const BIG_BYTES: u64 = 1024 * MIB;
const PARALLEL_BYTES: u64 = 256 * MIB;
const PARALLEL: usize = 4;
const SMALL_FILES: usize = 2_000;
const CYCLES: usize = 30;
const IDLE: usize = 500;
const ROUNDS: usize = 5;
/// Both servers know these; what each would choose by itself costs differently.
const SAME: [&str; 2] = [
    "-oCiphers=aes128-gcm@openssh.com",
    "-oKexAlgorithms=curve25519-sha256",
];

fn main() -> Outcome<()> {
    let home = std::env::var_os("DROPCAST_BENCH_DIR").unwrap_or_else(|| "/dev/shm".into());
    let folder = tempfile::tempdir_in(&home)?;
    let files = Files::make(folder.path())?;
    let peers = Peers {
        ours: Peer::ours(folder.path().join("ours"))?,
        sshd: Peer::sshd(folder.path().join("sshd"))?,
    };
    println!("files in {}", home.display());
    println!("{:<40}{:>12}{:>12}{:>9}", "", "dropcast", "sshd", "ratio");
    idle_sessions(&peers)?;
    big_files(&peers, &files)?;
    parallel_uploads(&peers, &files)?;
    small_files(&peers, &files)?;
    connect_cycles(&peers, &files)
}

/// What is uploaded.
struct Files {
    big: PathBuf,
    middling: PathBuf,
    small: PathBuf,
    back: PathBuf,
}

impl Files {
    fn make(folder: &Path) -> Outcome<Self> {
        let files = Self {
            big: folder.join("big"),
            middling: folder.join("middling"),
            small: folder.join("small"),
            back: folder.join("back"),
        };
        let mut random = fastrand::Rng::with_seed(3);
        let mut block = vec![0; MIB as usize];
        for (path, bytes) in [(&files.big, BIG_BYTES), (&files.middling, PARALLEL_BYTES)] {
            let mut file = io::BufWriter::new(fs::File::create(path)?);
            for _ in 0..bytes / MIB {
                random.fill(&mut block);
                file.write_all(&block)?;
            }
            file.flush()?;
        }
        fs::write(&files.small, &block[..4096])?;
        Ok(files)
    }
}

/// A server under load.
struct Peer {
    folder: PathBuf,
    user: String,
    port: u16,
    /// The folder to upload into, as the client names it.
    drop: String,
    pid: u32,
    kind: Kind,
}

enum Kind {
    Ours(#[expect(dead_code, reason = "ends the service when dropped")] Service),
    Sshd(Child),
}

struct Peers {
    ours: Peer,
    sshd: Peer,
}

impl Peer {
    fn ours(folder: PathBuf) -> Outcome<Self> {
        let service = Service::start(&folder)?;
        Ok(Self {
            folder,
            user: TENANT.into(),
            port: service.port,
            drop: "whatsapp".into(),
            pid: service.pid(),
            kind: Kind::Ours(service),
        })
    }

    fn sshd(folder: PathBuf) -> Outcome<Self> {
        let drop = folder.join("drop");
        fs::create_dir_all(&drop)?;
        // Made by the package's own start-up, which does not run everywhere.
        fs::create_dir_all("/run/sshd").ok();
        make_key(&folder.join("host"))?;
        let public = make_key(&folder.join("key"))?;
        fs::write(folder.join("authorized"), public)?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        let at = folder.display();
        fs::write(
            folder.join("config"),
            format!(
                "Port {port}\nListenAddress 127.0.0.1\nHostKey {at}/host\nPidFile none\n\
                 AuthorizedKeysFile {at}/authorized\nStrictModes no\nUsePAM no\n\
                 PermitRootLogin yes\nMaxStartups 1000\nMaxSessions 1000\n\
                 Subsystem sftp internal-sftp\n"
            ),
        )?;
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(folder.join("config"))
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("sshd does not start ({error}); install openssh-server"))?;
        wait_for(|| std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        let user = Command::new("id").arg("-un").output()?.stdout;
        Ok(Self {
            user: String::from_utf8(user)?.trim().to_owned(),
            port,
            drop: drop.display().to_string(),
            folder,
            pid: child.id(),
            kind: Kind::Sshd(child),
        })
    }

    fn run(&self, options: &[&str], lines: &str) -> Outcome<Duration> {
        let options = [&SAME[..], options].concat();
        let began = Instant::now();
        service::sftp(
            &self.user,
            self.port,
            &self.folder.join("key"),
            &options,
            lines,
        )?;
        Ok(began.elapsed())
    }

    /// Processor time used so far, with that of processes that have ended.
    fn cpu_seconds(&self) -> Outcome<f64> {
        const TICKS_PER_SECOND: f64 = 100.0;
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        let (_, fields) = stat.rsplit_once(')').ok_or("an odd stat")?;
        // utime, stime, cutime and cstime, counted from behind the name.
        let times = fields.split_whitespace().skip(11).take(4);
        let ticks: f64 = times.filter_map(|field| field.parse::<f64>().ok()).sum();
        Ok(ticks / TICKS_PER_SECOND)
    }

    /// Memory of all its processes, shared pages shared out, in KiB.
    fn share_kib(&self) -> Outcome<u64> {
        let mut pids = vec![self.pid];
        let mut at = 0;
        while let Some(pid) = pids.get(at) {
            let below = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
            pids.extend(
                below
                    .split_whitespace()
                    .filter_map(|pid| pid.parse::<u32>().ok()),
            );
            at += 1;
        }
        let share = |pid: &u32| {
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
            line.and_then(|line| {
                line.trim()
                    .trim_end_matches(" kB")
                    .trim()
                    .parse::<u64>()
                    .ok()
            })
        };
        Ok(pids.iter().filter_map(share).sum())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Kind::Sshd(child) = &mut self.kind {
            // Nothing is measured any more.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn print(what: &str, unit: &str, ours: f64, sshd: f64) {
    let what = format!("{what}, {unit}");
    println!("{what:<40}{ours:>12.2}{sshd:>12.2}{:>7.2} x", ours / sshd);
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Runs both in turn, several times; gives the median of each.
fn in_turn(peers: &Peers, mut run: impl FnMut(&Peer) -> Outcome<f64>) -> Outcome<(f64, f64)> {
    let (mut ours, mut sshd) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(run(&peers.ours)?);
        sshd.push(run(&peers.sshd)?);
    }
    Ok((median(ours), median(sshd)))
}

fn mib_per_second(bytes: u64, took: Duration) -> f64 {
    bytes as f64 / MIB as f64 / took.as_secs_f64()
}

/// One big file up and down, and what that costs the server.
fn big_files(peers: &Peers, files: &Files) -> Outcome<()> {
    let gib = BIG_BYTES as f64 / (1024 * MIB) as f64;
    let idle = memory_kib(peers.ours.pid, "VmRSS:")?;
    fs::write(format!("/proc/{}/clear_refs", peers.ours.pid), "5").ok();
    let (mut up_cpu, mut down_cpu) = (Vec::new(), Vec::new());
    let plain = in_turn(peers, |peer| {
        let put = format!("put {} {}/big.part\n", files.big.display(), peer.drop);
        let before = peer.cpu_seconds()?;
        let took = peer.run(&[], &put)?;
        up_cpu.push((peer.cpu_seconds()? - before) / gib);
        Ok(mib_per_second(BIG_BYTES, took))
    })?;
    let peak = memory_kib(peers.ours.pid, "VmHWM:")?.saturating_sub(idle);
    let synced = in_turn(peers, |peer| {
        let put = format!("put {} {}/big.part\n", files.big.display(), peer.drop);
        // Ours syncs by itself before it answers the close.
        let options: &[&str] = if matches!(peer.kind, Kind::Sshd(_)) {
            &["-f"]
        } else {
            &[]
        };
        Ok(mib_per_second(BIG_BYTES, peer.run(options, &put)?))
    })?;
    let down = in_turn(peers, |peer| {
        let get = format!("get {}/big.part {}\n", peer.drop, files.back.display());
        let before = peer.cpu_seconds()?;
        let took = peer.run(&[], &get)?;
        down_cpu.push((peer.cpu_seconds()? - before) / gib);
        Ok(mib_per_second(BIG_BYTES, took))
    })?;
    if fs::metadata(&files.back)?.len() != BIG_BYTES {
        return Err("the download is not whole".into());
    }
    print(
        "upload 1 GiB (ours synced, sshd not)",
        "MiB/s",
        plain.0,
        plain.1,
    );
    print("upload 1 GiB, both synced", "MiB/s", synced.0, synced.1);
    print("download 1 GiB", "MiB/s", down.0, down.1);
    for (what, figures) in [("upload", up_cpu), ("download", down_cpu)] {
        let of = |first| median(figures.iter().skip(first).step_by(2).copied().collect());
        print(what, "CPU s/GiB", of(0), of(1));
    }
    println!(
        "{:<40}{:>12.2}",
        "peak of the uploads above idle, MiB",
        peak as f64 / 1024.0
    );
    for peer in [&peers.ours, &peers.sshd] {
        peer.run(&[], &format!("rm {}/big.part\n", peer.drop))?;
    }
    Ok(())
}

/// Several uploads at the same time.
fn parallel_uploads(peers: &Peers, files: &Files) -> Outcome<()> {
    let (ours, sshd) = in_turn(peers, |peer| {
        let began = Instant::now();
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..PARALLEL)
                .map(|number| {
                    let local = files.middling.display();
                    let put = format!("put {local} {}/p{number}.part\n", peer.drop);
                    scope.spawn(move || peer.run(&[], &put).map_err(|error| error.to_string()))
                })
                .collect();
            clients
                .into_iter()
                .try_for_each(|client| client.join().expect("no panic").map(drop))
        })?;
        Ok(mib_per_second(
            PARALLEL_BYTES * PARALLEL as u64,
            began.elapsed(),
        ))
    })?;
    print("4 parallel uploads", "MiB/s", ours, sshd);
    for peer in [&peers.ours, &peers.sshd] {
        peer.run(&[], &format!("rm {}/p*.part\n", peer.drop))?;
    }
    Ok(())
}

/// Many small files over one connection.
fn small_files(peers: &Peers, files: &Files) -> Outcome<()> {
    let local = files.small.display();
    for (what, option) in [
        ("2,000 files of 4 KiB (sshd not synced)", None),
        ("2,000 files of 4 KiB, both synced", Some("-f")),
    ] {
        let (ours, sshd) = in_turn(peers, |peer| {
            let drop = &peer.drop;
            let put = |number| format!("put {local} {drop}/s{number}.part\n");
            let puts: Vec<String> = (0..SMALL_FILES).map(put).collect();
            let option = option.filter(|_| matches!(peer.kind, Kind::Sshd(_)));
            let took = peer.run(option.as_slice(), &puts.concat())?;
            peer.run(&[], &format!("rm {drop}/s*.part\n"))?;
            Ok(SMALL_FILES as f64 / took.as_secs_f64())
        })?;
        print(what, "/s", ours, sshd);
    }
    Ok(())
}

/// Connect, put one file, leave: what a cron job does.
fn connect_cycles(peers: &Peers, files: &Files) -> Outcome<()> {
    let (ours, sshd) = in_turn(peers, |peer| {
        let put = format!("put {} {}/c.part\n", files.small.display(), peer.drop);
        let began = Instant::now();
        for _ in 0..CYCLES {
            peer.run(&[], &put)?;
        }
        Ok(CYCLES as f64 / began.elapsed().as_secs_f64())
    })?;
    print("connect, put, leave", "/s", ours, sshd);
    Ok(())
}

/// Sessions that do nothing.
fn idle_sessions(peers: &Peers) -> Outcome<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let mut each = Vec::new();
    for peer in [&peers.ours, &peers.sshd] {
        let before = peer.share_kib()?;
        let sessions = runtime.block_on(async {
            let mut sessions = Vec::new();
            for _ in 0..IDLE {
                sessions.push(enter(peer).await?);
            }
            Outcome::Ok(sessions)
        })?;
        each.push((peer.share_kib()?.saturating_sub(before)) as f64 / IDLE as f64);
        drop(sessions);
    }
    print("idle session", "KiB", each[0], each[1]);
    Ok(())
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

/// A session with its SFTP conversation begun.
async fn enter(peer: &Peer) -> Outcome<(client::Handle<AnyHost>, russh::Channel<client::Msg>)> {
    let key = PrivateKey::from_openssh(fs::read(peer.folder.join("key"))?)?;
    let address = ("127.0.0.1", peer.port);
    let mut ssh = client::connect(Arc::default(), address, AnyHost).await?;
    let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
    if !ssh.authenticate_publickey(&peer.user, key).await?.success() {
        return Err("the key was refused".into());
    }
    let mut channel = ssh.channel_open_session().await?;
    channel.request_subsystem(true, "sftp").await?;
    channel.data_bytes(vec![0, 0, 0, 5, 1, 0, 0, 0, 3]).await?;
    while let Some(said) = channel.wait().await {
        if matches!(said, russh::ChannelMsg::Data { .. }) {
            return Ok((ssh, channel));
        }
    }
    Err("no SFTP version came".into())
}
