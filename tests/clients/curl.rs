//! `curl`, and with it libssh2, by which PHP and many C programs speak SFTP.

use std::process::Command;

use super::access::{Access, Deed, USER};
use super::{Client, Rekeying};

pub(super) const CLIENT: Client = Client {
    command: by_key,
    lacks: &[],
    rekeying: Rekeying::Never("libssh2 takes part in an exchange of keys and never begins one"),
};

fn by_key(access: &Access, deed: &Deed) -> Command {
    let mut command = command(access, deed);
    command.arg("--key").arg(access.key());
    command.args(["--user", &format!("{USER}:")]);
    command
}

/// The same for somebody who has no key.
pub(super) fn by_password(access: &Access, deed: &Deed, password: &str) -> Command {
    let mut command = command(access, deed);
    command.args(["--user", &format!("{USER}:{password}")]);
    command
}

fn command(access: &Access, deed: &Deed) -> Command {
    let mut command = Command::new("curl");
    command.args(["--disable", "--silent", "--show-error"]);
    command.args(["--connect-timeout", "20"]);
    command.env("HOME", access.home());
    let there = |path: &str| format!("sftp://127.0.0.1:{}{path}", access.port);
    match deed {
        Deed::Put(local, remote) => command.arg("-T").arg(local).arg(there(remote)),
        Deed::Get(remote, local) => command.arg("-o").arg(local).arg(there(remote)),
        Deed::Append(local, remote) => {
            let command = command.args(["-C", "-"]).arg("-T").arg(local);
            command.arg(there(remote))
        }
        Deed::List(folder) => command.arg("-l").arg(there(&format!("{folder}/"))),
        // What is to be done besides needs a transfer to go with: the listing of the root.
        Deed::Rename(from, to) => command
            .args(["-Q", &format!("rename {from} {to}"), "-o", "/dev/null"])
            .arg(there("/")),
        Deed::Remove(path) => command
            .args(["-Q", &format!("rm {path}"), "-o", "/dev/null"])
            .arg(there("/")),
    };
    command
}
