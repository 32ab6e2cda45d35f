//! `lftp`, which many cron jobs mirror folders with: as it comes, and with temporary names.

use std::process::Command;

use super::access::{Access, Deed, USER};
use super::{Client, Rekeying, openssh};

pub(super) const PLAIN: Client = Client {
    command: |access, deed| command(access, deed, "off"),
    lacks: &[],
    // It runs `ssh`.
    rekeying: Rekeying::Forced(openssh::MARK),
};

/// It writes `.in.NAME`, removes `NAME`, and renames.
pub(super) const TEMPORARY: Client = Client {
    command: |access, deed| command(access, deed, "on"),
    lacks: &[],
    rekeying: Rekeying::Forced(openssh::MARK),
};

fn command(access: &Access, deed: &Deed, temporary: &str) -> Command {
    let options = openssh::options(access).join(" ");
    let log = access.log();
    let line = match deed {
        Deed::Put(local, remote) => format!("put {} -o {remote}", local.display()),
        Deed::Get(remote, local) => format!("get {remote} -o {}", local.display()),
        Deed::Append(local, remote) => format!("put -c {} -o {remote}", local.display()),
        Deed::Rename(from, to) => format!("mv {from} {to}"),
        Deed::List(folder) => format!("cls -1 --filesize {folder}"),
        Deed::Remove(path) => format!("rm {path}"),
    };
    let script = format!(
        "set cmd:fail-exit yes\n\
         set net:max-retries 1\n\
         set net:timeout 30\n\
         set xfer:use-temp-file {temporary}\n\
         set sftp:connect-program \"ssh -a -x -E {} {options}\"\n\
         open -u {USER},none sftp://127.0.0.1:{}\n\
         {line}\n",
        log.display(),
        access.port,
    );
    let mut command = Command::new("lftp");
    command.arg("--norc").arg("-f").arg(access.note(&script));
    command.env("HOME", access.home());
    command
}
