//! PuTTY's `psftp`, on whose code WinSCP stands too. It writes 4 KiB at a time.

use std::fs;
use std::process::Command;

use super::access::{Access, Deed, REKEY, USER};
use super::{Client, Rekeying};

pub(super) const CLIENT: Client = Client {
    command,
    lacks: &[],
    rekeying: Rekeying::Forced("Initiating key re-exchange"),
};

fn command(access: &Access, deed: &Deed) -> Command {
    let line = match deed {
        Deed::Put(local, remote) => format!("put {} {remote}", local.display()),
        Deed::Get(remote, local) => format!("get {remote} {}", local.display()),
        Deed::Append(local, remote) => format!("reput {} {remote}", local.display()),
        Deed::Rename(from, to) => format!("mv {from} {to}"),
        Deed::List(folder) => format!("ls {folder}"),
        Deed::Remove(path) => format!("rm {path}"),
    };
    // Only a saved session says when keys are to be changed.
    let session = format!(
        "Protocol=ssh\nHostName=127.0.0.1\nPortNumber={}\nUserName={USER}\n\
         PublicKeyFile={}\nRekeyBytes={REKEY}\n",
        access.port,
        access.ppk().display(),
    );
    let sessions = access.home().join("putty/sessions");
    fs::create_dir_all(&sessions).expect("a folder of the client");
    fs::write(sessions.join("door"), session).expect("written");
    let mut command = Command::new("psftp");
    command.env("PUTTYDIR", access.home().join("putty"));
    command.args(["-batch", "-v", "-load", "door"]);
    for fingerprint in &access.fingerprints {
        command.args(["-hostkey", fingerprint]);
    }
    command.arg("-b").arg(access.note(&format!("{line}\n")));
    command
}
