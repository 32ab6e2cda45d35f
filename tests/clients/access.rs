//! What a client needs to come in: where the door is, by which keys it is known, and the client's
//! own key in the forms that clients read. Also what it is asked to do.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::world::sftp::{self, run_within};

/// The login of every client.
pub(super) const USER: &str = "acme";

/// After so many bytes a client changes keys, in the words of OpenSSH and PuTTY.
pub(super) const REKEY: &str = "16M";
/// The same as a number.
pub(super) const REKEY_BYTES: u64 = 16 << 20;

/// How long a tool for keys may take.
const KEY_TOOL: Duration = Duration::from_secs(30);

/// One thing that a client is asked to do.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deed<'a> {
    /// Upload a file, over another if there is one.
    Put(&'a Path, &'a str),
    /// Download a file.
    Get(&'a str, &'a Path),
    /// Upload what is missing at the end of a file.
    Append(&'a Path, &'a str),
    /// Rename a file.
    Rename(&'a str, &'a str),
    /// Print the names in a folder.
    List(&'a str),
    /// Delete a file.
    Remove(&'a str),
}

impl Deed<'_> {
    /// Its name, as the scripts know it.
    pub(super) fn verb(&self) -> &'static str {
        match self {
            Self::Put(..) => "put",
            Self::Get(..) => "get",
            Self::Append(..) => "append",
            Self::Rename(..) => "rename",
            Self::List(_) => "ls",
            Self::Remove(_) => "rm",
        }
    }

    /// What it is about, as the scripts take it.
    pub(super) fn paths(&self) -> Vec<OsString> {
        match *self {
            Self::Put(local, remote) | Self::Append(local, remote) => {
                vec![local.into(), remote.into()]
            }
            Self::Get(remote, local) => vec![remote.into(), local.into()],
            Self::Rename(from, to) => vec![from.into(), to.into()],
            Self::List(path) | Self::Remove(path) => vec![path.into()],
        }
    }
}

/// The way in for clients.
#[derive(Debug)]
pub(super) struct Access {
    folder: PathBuf,
    /// Where the door is, on this machine.
    pub(super) port: u16,
    /// The fingerprints of the keys that the door is believed to have.
    pub(super) fingerprints: Vec<String>,
}

impl Access {
    /// The way in for clients that believe the door to have these keys, which are public halves of
    /// key pairs. Their own keys are those of [`make_keys`] in `keys`.
    pub(super) fn new(folder: PathBuf, keys: &Path, port: u16, host_keys: &[String]) -> Self {
        let home = folder.join("home/.ssh");
        fs::create_dir_all(&home).expect("a folder of the client");
        let known = |key: &String| format!("[127.0.0.1]:{port} {key}\n");
        let known: String = host_keys.iter().map(known).collect();
        fs::write(home.join("known_hosts"), known).expect("written");
        for name in ["client.key", "client.key.pub", "client.pem", "client.ppk"] {
            fs::copy(keys.join(name), folder.join(name)).expect("a key of the client");
        }
        let fingerprint = |key: &String| {
            let public = folder.join("host.pub");
            fs::write(&public, key).expect("written");
            let mut command = Command::new("ssh-keygen");
            command.arg("-lf").arg(public);
            let said = run_within(command, KEY_TOOL).expect_ok();
            let word = said.split_whitespace().nth(1).expect("a fingerprint");
            word.to_owned()
        };
        Self {
            fingerprints: host_keys.iter().map(fingerprint).collect(),
            folder,
            port,
        }
    }

    /// The client's key as OpenSSH keeps it; beside it, as `client.key.pub`, its public half.
    pub(super) fn key(&self) -> PathBuf {
        self.folder.join("client.key")
    }

    /// Another key, in the form of older programs.
    pub(super) fn pem_key(&self) -> PathBuf {
        self.folder.join("client.pem")
    }

    /// The first key as PuTTY keeps it.
    pub(super) fn ppk(&self) -> PathBuf {
        self.folder.join("client.ppk")
    }

    /// A home folder, with the known hosts in `.ssh`.
    pub(super) fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    /// The known hosts.
    pub(super) fn known_hosts(&self) -> PathBuf {
        self.folder.join("home/.ssh/known_hosts")
    }

    /// Where a client may write down what it cannot say aloud; shown with what it says.
    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("client.log")
    }

    /// Writes a file for the client to read, and gives its path.
    pub(super) fn note(&self, text: &str) -> PathBuf {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("note-{number}"));
        fs::write(&path, text).expect("written");
        path
    }
}

/// Makes the client's keys in `folder`; gives their public halves.
pub(super) fn make_keys(folder: &Path) -> [String; 2] {
    fs::create_dir_all(folder).expect("a folder for keys");
    let key = folder.join("client.key");
    let mut convert = Command::new("puttygen");
    let modern = sftp::make_key(&key);
    convert.arg(&key).arg("-O").arg("private").arg("-o");
    convert.arg(folder.join("client.ppk"));
    run_within(convert, KEY_TOOL).expect_ok();
    let pem = folder.join("client.pem");
    let mut make = Command::new("ssh-keygen");
    make.args(["-q", "-t", "ecdsa", "-b", "256", "-m", "PEM", "-N", ""]);
    make.args(["-C", "old", "-f"]).arg(&pem);
    run_within(make, KEY_TOOL).expect_ok();
    let old = fs::read_to_string(folder.join("client.pem.pub")).expect("the public half");
    [modern, old.trim().to_owned()]
}
