//! The one host key that takes long to make, made once for all stories of a machine.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const NAME: &str = "ssh_host_rsa_key";

/// Puts the key where a daemon with this data folder finds it at its first start.
pub(super) fn place(data_dir: &Path) {
    let folder = data_dir.join("host-keys");
    if folder.exists() {
        return;
    }
    fs::create_dir_all(data_dir).expect("a data folder");
    let made = DirBuilder::new().mode(0o700).create(&folder);
    made.expect("a folder for host keys");
    fs::copy(ready(), folder.join(NAME)).expect("the key is copied");
}

/// The key, made if no story has made it yet.
fn ready() -> PathBuf {
    let store = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let key = store.join(NAME);
    if key.exists() {
        return key;
    }
    let draft = tempfile::tempdir_in(store).expect("a folder beside it");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "rsa", "-b", "3072", "-N", "", "-f"])
        .arg(draft.path().join(NAME))
        .status();
    let made = made.expect("the `ssh-keygen` command is installed (package openssh-client)");
    assert!(made.success());
    // Of several stories that made one the first has the say.
    match fs::hard_link(draft.path().join(NAME), &key) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => panic!("{error}"),
        _ => key,
    }
}
