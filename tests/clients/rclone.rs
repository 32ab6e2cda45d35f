//! `rclone`, which syncs folders: it sets a file's time by its name after each upload, and looks
//! whether the file is there and how long it is.

use std::process::Command;

use super::access::{Access, Deed, USER};
use super::{Client, Rekeying};

pub(super) const CLIENT: Client = Client {
    command,
    lacks: &["append"],
    rekeying: Rekeying::Never("it has no setting for it"),
};

fn command(access: &Access, deed: &Deed) -> Command {
    let mut command = Command::new("rclone");
    let there = |path: &str| format!(":sftp:{path}");
    match deed {
        Deed::Put(local, remote) => command.arg("copyto").arg(local).arg(there(remote)),
        Deed::Get(remote, local) => command.arg("copyto").arg(there(remote)).arg(local),
        Deed::Rename(from, to) => command.arg("moveto").arg(there(from)).arg(there(to)),
        Deed::List(folder) => command.arg("lsf").arg(there(folder)),
        Deed::Remove(path) => command.arg("deletefile").arg(there(path)),
        Deed::Append(..) => unreachable!("rclone copies whole files"),
    };
    command.args([
        "--config",
        "/dev/null",
        "--retries",
        "1",
        "--low-level-retries",
        "1",
    ]);
    command.args(["--sftp-host", "127.0.0.1", "--sftp-user", USER]);
    command.args(["--sftp-port", &access.port.to_string()]);
    command.arg("--sftp-key-file").arg(access.key());
    command
        .arg("--sftp-known-hosts-file")
        .arg(access.known_hosts());
    command.env("HOME", access.home());
    command
}
