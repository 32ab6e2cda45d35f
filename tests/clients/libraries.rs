//! Libraries that programs speak SFTP by. Each has a script in `scripts` that does one thing at the
//! door: what, it is told by its arguments; where, by its environment.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::access::{Access, Deed, REKEY_BYTES, USER};
use super::{Client, Rekeying, installed};

/// The scripts say this of each exchange.
const MARK: &str = "exchange of keys";

pub(super) const PARAMIKO: Client = Client {
    command: |access, deed| script(access, deed, python(), "paramiko_client.py"),
    lacks: &[],
    rekeying: Rekeying::Forced(MARK),
};

pub(super) const ASYNCSSH: Client = Client {
    command: |access, deed| script(access, deed, python(), "asyncssh_client.py"),
    lacks: &[],
    rekeying: Rekeying::Forced(MARK),
};

pub(super) const SSH2: Client = Client {
    command: |access, deed| {
        let mut node = Command::new("node");
        node.env("NODE_PATH", installed("node/node_modules"));
        script(access, deed, node, "ssh2_client.js")
    },
    lacks: &[],
    rekeying: Rekeying::Forced(MARK),
};

/// The last release of JSch as it was, which knows no key of OpenSSH's newer kinds.
pub(super) const JSCH: Client = Client {
    command: |access, deed| {
        let mut java = Command::new("java");
        java.args(["-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", JAR]);
        script(access, deed, java, "JschClient.java")
    },
    lacks: &[],
    rekeying: Rekeying::Forced(MARK),
};

const JAR: &str = "/usr/share/java/jsch.jar";

fn python() -> Command {
    Command::new(installed("python/bin/python"))
}

fn script(access: &Access, deed: &Deed, mut run: Command, name: &str) -> Command {
    let scripts: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/scripts");
    run.arg(scripts.join(name));
    run.arg(deed.verb()).args(deed.paths());
    run.env("DOOR_PORT", access.port.to_string());
    run.env("DOOR_USER", USER);
    run.env("DOOR_KEY", access.key());
    run.env("DOOR_PEM_KEY", access.pem_key());
    run.env("DOOR_KNOWN_HOSTS", access.known_hosts());
    run.env("DOOR_REKEY_BYTES", REKEY_BYTES.to_string());
    run.env("HOME", access.home());
    run
}
