//! The clients that tenants have, each run against the built binary: what they do on an ordinary
//! day, and large files both ways while keys are changed under way.
//!
//! A client is one file with a [`Client`], or a script for a library, and one line in the table
//! below.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

mod access;
mod audit;
mod chores;
mod curl;
mod door;
mod large;
mod lftp;
mod libraries;
mod openssh;
mod putty;
mod rclone;

use self::access::{Access, Deed};
use crate::world::sftp::{Ran, run_within};

/// How long a client may take over something small; one that takes longer hangs.
const CHORE: Duration = Duration::from_mins(1);

/// A client as the matrix knows it.
struct Client {
    /// How it is called to do one thing.
    command: fn(&Access, &Deed) -> Command,
    /// The verbs it does not know.
    lacks: &'static [&'static str],
    /// Whether it can be made to change keys.
    rekeying: Rekeying,
}

/// Whether a client can be made to change keys after every 16 MiB.
enum Rekeying {
    /// It can, and says this each time, by which it is seen that it did.
    Forced(&'static str),
    /// It cannot, and why.
    Never(&'static str),
}

impl Client {
    /// Whether it can do this at all.
    fn knows(&self, verb: &str) -> bool {
        !self.lacks.contains(&verb)
    }

    /// Has it do one thing; it is killed, and the test fails, after `limit`.
    fn run(&self, access: &Access, deed: Deed, limit: Duration) -> Ran {
        let command = (self.command)(access, &deed);
        fs::remove_file(access.log()).ok();
        let mut ran = run_within(command, limit);
        // A client without a log of its own has said everything.
        ran.err += &fs::read_to_string(access.log()).unwrap_or_default();
        ran
    }
}

/// Where `make setup` has put what the clients need.
fn installed(path: &str) -> PathBuf {
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let path = target.with_file_name("clients").join(path);
    assert!(path.exists(), "no {}; run `make setup`", path.display());
    path
}

macro_rules! matrix {
    ($($name:ident: $client:expr;)*) => {$(
        mod $name {
            use super::*;

            /// Whoever has this client could not drop files here, or would not hear of them.
            #[test]
            fn does_its_chores() {
                chores::done_by(&$client);
            }

            /// A transfer that stalls half-way, or changes a byte, is found out when it matters.
            #[test]
            fn moves_a_large_file_both_ways() {
                large::moved_by(&$client, large::LARGE);
            }
        }
    )*};
}

matrix! {
    sftp: openssh::SFTP;
    scp: openssh::SCP;
    lftp_plain: lftp::PLAIN;
    lftp_temporary: lftp::TEMPORARY;
    rclone_copy: rclone::CLIENT;
    psftp: putty::CLIENT;
    curl_libssh2: curl::CLIENT;
    paramiko: libraries::PARAMIKO;
    asyncssh: libraries::ASYNCSSH;
    node_ssh2: libraries::SSH2;
    jsch: libraries::JSCH;
}
