//! Host keys are replaced in two steps: the next set is made and shown, so that clients can learn
//! it beforehand, and then it takes the place of the present one. Both steps can be taken again
//! after a crash, and no key is ever deleted.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::Error;
use super::host_keys::{KEYS, give_to_owner_of, make, make_private_folder, next_folder, read};
use crate::{crash, disk};

/// Where the next set is made, before it is whole.
const DRAFT_FOLDER: &str = ".dropcast-draft.next";
/// How many sets of former keys are kept aside; the folder is then for the operator to clear.
const FORMER_MAX: usize = 1000;

/// Makes the next set of keys beside those in `folder`, which stay in force.
pub fn prepare(folder: &Path) -> Result<(), Error> {
    let _lock = lock(folder)?;
    let next = next_folder(folder);
    if next.exists() {
        return Err(Error::NextHostKeysThere { folder: next });
    }
    let draft = folder.join(DRAFT_FOLDER);
    let failed = failed_at(&draft);
    // A set that was not finished has been shown to nobody.
    match fs::remove_dir_all(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    make_private_folder(&draft).map_err(&failed)?;
    give_to_owner_of(folder, &draft).map_err(&failed)?;
    for (name, algorithm) in &KEYS {
        make(&draft, name, algorithm)?;
        crash::point("host-key-made");
    }
    fs::rename(&draft, &next).map_err(&failed)?;
    crash::point("host-keys-next");
    disk::sync_folder(folder).map_err(&failed)
}

/// Puts the next set in the place of the keys in `folder`, which are kept as `<name>.old`,
/// `<name>.old2` and so on. A daemon that runs goes on with the keys it has read.
pub fn finish(folder: &Path) -> Result<(), Error> {
    let _lock = lock(folder)?;
    let next = next_folder(folder);
    if !next.is_dir() {
        return Err(Error::NoNextHostKeys { folder: next });
    }
    let failed = failed_at(&next);
    for (name, _) in &KEYS {
        let (coming, present) = (next.join(name), folder.join(name));
        // What has moved already did so before a crash.
        if read(&coming)?.is_none() {
            continue;
        }
        keep_aside(&present).map_err(&failed)?;
        crash::point("host-key-aside");
        fs::rename(&coming, &present).map_err(&failed)?;
        crash::point("host-key-moved");
    }
    disk::sync_folder(folder).map_err(&failed)?;
    disk::sync_folder(&next).map_err(&failed)?;
    fs::remove_dir(&next).map_err(&failed)?;
    disk::sync_folder(folder).map_err(&failed)
}

/// Gives the key at `path` a second name, which it keeps.
fn keep_aside(path: &Path) -> io::Result<()> {
    let present = match path.metadata() {
        Ok(present) => present,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for number in 1..=FORMER_MAX {
        let aside = former(path, number);
        match fs::hard_link(path, &aside) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // Kept aside before a crash.
                if disk::same_inode(&aside.metadata()?, &present) {
                    return Ok(());
                }
            }
            outcome => return outcome,
        }
    }
    Err(io::Error::other(
        "there are too many former keys; move them away",
    ))
}

fn former(path: &Path, number: usize) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".old");
    if number > 1 {
        name.push(number.to_string());
    }
    name.into()
}

/// Keeps two commands from changing the keys at once; given back when it goes.
fn lock(folder: &Path) -> Result<File, Error> {
    let has_keys = KEYS.iter().any(|(name, _)| folder.join(name).exists());
    if !has_keys {
        let folder = folder.into();
        return Err(Error::NoHostKeys { folder });
    }
    let failed = failed_at(folder);
    let held = File::open(folder).map_err(&failed)?;
    match held.try_lock() {
        Ok(()) => Ok(held),
        Err(fs::TryLockError::Error(error)) => Err(failed(error)),
        Err(fs::TryLockError::WouldBlock) => Err(Error::HostKeysBusy {
            folder: folder.into(),
        }),
    }
}

fn failed_at(folder: &Path) -> impl Fn(io::Error) -> Error {
    let folder = folder.to_owned();
    move |source| Error::RotateHostKeys {
        folder: folder.clone(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::sftp::host_keys::{load, show};

    fn lines(folder: &Path) -> Vec<String> {
        let shown = show(folder).expect("shown");
        shown.into_iter().map(|key| key.line).collect()
    }

    fn names(folder: &Path) -> BTreeSet<String> {
        let listed = fs::read_dir(folder).expect("listed");
        let name = |entry: io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
        listed
            .map(|entry| name(entry).into_string().expect("text"))
            .collect()
    }

    /// Clients must be able to learn the next keys while the present ones hold, and lose none.
    #[test]
    fn keys_are_replaced_in_two_steps() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let folder = home.path().join("host-keys");
        for refused in [prepare(&folder), finish(&folder)] {
            assert!(matches!(refused, Err(Error::NoHostKeys { .. })));
        }
        load(&folder).expect("made");
        let first = lines(&folder);
        let refused = finish(&folder);
        assert!(matches!(refused, Err(Error::NoNextHostKeys { .. })));

        prepare(&folder).expect("prepared");
        let second = lines(&next_folder(&folder));
        assert_eq!(second.len(), KEYS.len());
        for (name, _) in &KEYS {
            let file = next_folder(&folder).join(name).metadata().expect("there");
            assert_eq!(file.permissions().mode() & 0o777, 0o600);
        }
        let refused = prepare(&folder);
        assert!(matches!(refused, Err(Error::NextHostKeysThere { .. })));
        assert_eq!(lines(&next_folder(&folder)), second, "shown ones stay");
        load(&folder).expect("a start between the steps");
        assert_eq!(lines(&folder), first);

        finish(&folder).expect("finished");
        load(&folder).expect("a start after them");
        assert_eq!(lines(&folder), second);
        assert!(!next_folder(&folder).exists());
        prepare(&folder).expect("prepared again");
        finish(&folder).expect("finished again");
        let mut wanted = BTreeSet::new();
        for (name, _) in &KEYS {
            wanted.extend(["", ".old", ".old2"].map(|end| format!("{name}{end}")));
        }
        assert_eq!(names(&folder), wanted);
        let old = read(&folder.join("ssh_host_ed25519_key.old")).expect("read");
        let old = super::super::host_keys::line(&old.expect("there"));
        assert_eq!(old, first[0]);
    }

    /// A machine that fails between the moves must come up with keys that clients know, and the
    /// command must be able to end what it began.
    #[test]
    fn each_step_can_be_taken_again() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let folder = home.path().join("host-keys");
        load(&folder).expect("made");
        let draft = folder.join(DRAFT_FOLDER);
        fs::create_dir(&draft).expect("made");
        fs::write(draft.join("ssh_host_ed25519_key"), b"half").expect("written");
        prepare(&folder).expect("prepared");
        let (first, second) = (lines(&folder), lines(&next_folder(&folder)));
        // The first key has moved, the second is kept aside and has not.
        let name = |at: usize| KEYS[at].0;
        keep_aside(&folder.join(name(0))).expect("kept");
        fs::rename(next_folder(&folder).join(name(0)), folder.join(name(0))).expect("moved");
        keep_aside(&folder.join(name(1))).expect("kept");
        load(&folder).expect("a start after the crash");
        assert_eq!(lines(&folder)[0], second[0]);
        assert_eq!(lines(&folder)[1..], first[1..]);
        finish(&folder).expect("finished");
        assert_eq!(lines(&folder), second);
        let olds = names(&folder)
            .into_iter()
            .filter(|name| name.contains(".old"));
        assert_eq!(olds.count(), KEYS.len(), "each is kept once");
    }
}
