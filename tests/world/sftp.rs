//! A real SFTP client: OpenSSH's `sftp` in batch mode, as the cron jobs of senders run it.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// How long one run of the client may take.
const RUN: Duration = Duration::from_mins(1);

/// A client with its user name, key and the port of the daemon.
#[derive(Debug)]
pub(crate) struct Sftp {
    user: String,
    port: u16,
    key: PathBuf,
    batchfiles: PathBuf,
}

/// How a run of the client ended.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Whether every command was carried out.
    pub(crate) ok: bool,
    /// What it printed.
    pub(crate) out: String,
    /// What it complained about.
    pub(crate) err: String,
}

impl Ran {
    fn of(output: &Output) -> Self {
        Self {
            ok: output.status.success(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Panics with the client's complaints unless every command was carried out.
    pub(crate) fn expect_ok(self) -> String {
        assert!(self.ok, "the client failed:\n{}\n{}", self.out, self.err);
        self.out
    }

    /// Panics unless the client was refused; gives its complaints.
    pub(crate) fn expect_refused(self) -> String {
        assert!(!self.ok, "the client was let do it:\n{}", self.out);
        self.err
    }
}

/// An upload that runs until it is cut off.
#[derive(Debug)]
pub(crate) struct Upload {
    client: Child,
}

impl Upload {
    /// Kills the client and its connection without a goodbye.
    pub(crate) fn cut(mut self) {
        let group = Pid::from_child(&self.client);
        kill_process_group(group, Signal::KILL).expect("the client is killed");
        self.client.wait().expect("the client is gone");
    }
}

impl Sftp {
    /// A client; `batchfiles` is a folder for its command files.
    pub(crate) fn new(user: &str, port: u16, key: PathBuf, batchfiles: PathBuf) -> Self {
        fs::create_dir_all(&batchfiles).expect("a folder for command files");
        Self {
            user: user.into(),
            port,
            key,
            batchfiles,
        }
    }

    /// Uploads a file.
    pub(crate) fn put(&self, local: &Path, remote: &str) -> Ran {
        self.run(&[format!("put \"{}\" \"{remote}\"", local.display())])
    }

    /// Resumes an upload.
    pub(crate) fn reput(&self, local: &Path, remote: &str) -> Ran {
        self.run(&[format!("reput \"{}\" \"{remote}\"", local.display())])
    }

    /// Downloads a file; gives its content.
    pub(crate) fn get(&self, remote: &str) -> Vec<u8> {
        let local = self.fresh("got");
        self.run(&[format!("get \"{remote}\" \"{}\"", local.display())])
            .expect_ok();
        fs::read(local).expect("the client wrote the file")
    }

    /// Renames a file.
    pub(crate) fn rename(&self, from: &str, to: &str) -> Ran {
        self.run(&[format!("rename \"{from}\" \"{to}\"")])
    }

    /// Lists a folder: its names, without `.` and `..`.
    pub(crate) fn list(&self, folder: &str) -> Vec<String> {
        let out = self.run(&[format!("ls -1 \"{folder}\"")]).expect_ok();
        let name = |line: &str| line.rsplit('/').next().unwrap_or(line).trim().to_owned();
        out.lines()
            .filter(|line| !line.starts_with("sftp>"))
            .map(name)
            .filter(|name| !name.is_empty())
            .collect()
    }

    /// Carries out commands in one session, up to the first that fails.
    pub(crate) fn run(&self, commands: &[String]) -> Ran {
        Ran::of(&output_within(self.spawn(commands, &[]), RUN))
    }

    /// Begins an upload that is held to this many kilobits a second.
    pub(crate) fn begin_put(&self, local: &Path, remote: &str, kilobits: u32) -> Upload {
        let command = format!("put \"{}\" \"{remote}\"", local.display());
        let limit = format!("-l{kilobits}");
        let client = self.spawn(&[command], &[&limit]);
        Upload { client }
    }

    fn spawn(&self, commands: &[String], options: &[&str]) -> Child {
        let batch = self.fresh("commands");
        fs::write(&batch, commands.join("\n") + "\n").expect("the command file is written");
        Command::new("sftp")
            .args(["-F", "/dev/null", "-b"])
            .arg(&batch)
            .args(options)
            .args([
                "-oStrictHostKeyChecking=no",
                "-oUserKnownHostsFile=/dev/null",
                "-oIdentitiesOnly=yes",
                "-oBatchMode=yes",
                "-oPreferredAuthentications=publickey",
                "-oConnectTimeout=20",
                "-oLogLevel=ERROR",
                "-i",
            ])
            .arg(&self.key)
            .args(["-P", &self.port.to_string()])
            .arg(format!("{}@127.0.0.1", self.user))
            .env_remove("SSH_AUTH_SOCK")
            // A group of its own: the client's `ssh` must die with it.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the `sftp` command is installed (package openssh-client)")
    }

    fn fresh(&self, what: &str) -> PathBuf {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        self.batchfiles.join(format!("{what}-{number}"))
    }
}

/// Makes a key pair at `path`; gives the public half as a line of `authorized_keys`.
pub(crate) fn make_key(path: &Path) -> String {
    let child = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "story", "-f"])
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .expect("the `ssh-keygen` command is installed (package openssh-client)");
    let output = output_within(child, RUN);
    assert!(output.status.success(), "{output:?}");
    let public = fs::read_to_string(path.with_extension("key.pub")).expect("the public half");
    public.trim().to_owned()
}

/// Runs a client of any kind to its end; it is killed, and with it what it started, after `limit`.
pub(crate) fn run_within(mut command: Command, limit: Duration) -> Ran {
    let child = command
        .env_remove("SSH_AUTH_SOCK")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; run `make setup`"));
    Ran::of(&output_within(child, limit))
}

/// The output of a process that leads a group; the group is killed after `limit`.
fn output_within(child: Child, limit: Duration) -> Output {
    let group = Pid::from_child(&child);
    let begun = Instant::now();
    // The reader waits for the end; this thread only watches the time.
    let reading = std::thread::spawn(move || child.wait_with_output());
    while !reading.is_finished() {
        if begun.elapsed() > limit {
            kill_process_group(group, Signal::KILL).expect("the client is killed");
            let output = reading.join().expect("the reader ends");
            let Ran { out, err, .. } = Ran::of(&output.expect("the client is known"));
            panic!("the client did not end within {limit:?}:\n{out}\n{err}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    reading
        .join()
        .expect("the reader ends")
        .expect("the client is known")
}
