//! OpenSSH's own clients: `sftp` in batch mode and `scp`, which speaks SFTP too.

use std::path::Path;
use std::process::Command;

use super::access::{Access, Deed, REKEY, USER};
use super::{Client, Rekeying};

/// `ssh` says this of each exchange, if it may say anything.
pub(super) const MARK: &str = "SSH2_MSG_KEXINIT sent";

pub(super) const SFTP: Client = Client {
    command: sftp,
    lacks: &[],
    rekeying: Rekeying::Forced(MARK),
};

pub(super) const SCP: Client = Client {
    command: scp,
    lacks: &["append", "rename", "ls", "rm"],
    rekeying: Rekeying::Forced(MARK),
};

/// What `ssh` and everything built upon it is told.
pub(super) fn options(access: &Access) -> Vec<String> {
    let shown = |path: &Path| path.display().to_string();
    let known = format!("-oUserKnownHostsFile={}", shown(&access.known_hosts()));
    let key = format!("-oIdentityFile={}", shown(&access.key()));
    let rekey = format!("-oRekeyLimit={REKEY}");
    let rest = [
        "-F/dev/null",
        "-oStrictHostKeyChecking=yes",
        "-oIdentitiesOnly=yes",
        "-oBatchMode=yes",
        "-oConnectTimeout=20",
        "-v",
    ];
    let rest = rest.into_iter().map(str::to_owned);
    rest.chain([known, key, rekey]).collect()
}

fn sftp(access: &Access, deed: &Deed) -> Command {
    let line = match deed {
        Deed::Put(local, remote) => format!("put {} {remote}", local.display()),
        Deed::Get(remote, local) => format!("get {remote} {}", local.display()),
        Deed::Append(local, remote) => format!("reput {} {remote}", local.display()),
        Deed::Rename(from, to) => format!("rename {from} {to}"),
        Deed::List(folder) => format!("ls -1 {folder}"),
        Deed::Remove(path) => format!("rm {path}"),
    };
    let mut command = Command::new("sftp");
    command.args(options(access)).arg("-b");
    command.arg(access.note(&format!("{line}\n")));
    command.args(["-P", &access.port.to_string()]);
    command.arg(format!("{USER}@127.0.0.1"));
    command
}

fn scp(access: &Access, deed: &Deed) -> Command {
    let mut command = Command::new("scp");
    command.args(options(access)).arg("-s");
    command.args(["-P", &access.port.to_string()]);
    let there = |path: &str| format!("{USER}@127.0.0.1:{path}");
    match deed {
        Deed::Put(local, remote) => command.arg(local).arg(there(remote)),
        Deed::Get(remote, local) => command.arg(there(remote)).arg(local),
        other => unreachable!("scp copies files and nothing else: {other:?}"),
    };
    command
}
