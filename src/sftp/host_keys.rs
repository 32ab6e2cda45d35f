//! The keys by which clients know this door: made on first start, and never replaced by themselves.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use russh::keys::key::safe_rng;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, EcdsaCurve, PrivateKey};

use super::Error;
use crate::disk::{self, HIDDEN_PREFIX};

/// The keys, with the names OpenSSH gives their files. Old clients know only the second kind.
const KEYS: [(&str, Algorithm); 2] = [
    ("ssh_host_ed25519_key", Algorithm::Ed25519),
    (
        "ssh_host_ecdsa_key",
        Algorithm::Ecdsa {
            curve: EcdsaCurve::NistP256,
        },
    ),
];

/// Reads the keys in `folder`, making those that are not there.
pub(super) fn load(folder: &Path) -> Result<Vec<PrivateKey>, Error> {
    make_private_folder(folder).map_err(|source| Error::HostKeyFolder {
        folder: folder.into(),
        source,
    })?;
    KEYS.into_iter()
        .map(|(name, algorithm)| {
            let path = folder.join(name);
            match std::fs::read(&path) {
                Ok(text) => parse(&path, &text),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    make(folder, name, algorithm)
                }
                Err(source) => Err(Error::ReadHostKey { path, source }),
            }
        })
        .collect()
}

/// Clients that remember a key refuse a door that shows another: so a key that cannot be read is
/// for the operator to look at, not a reason to make one.
fn parse(path: &Path, text: &[u8]) -> Result<PrivateKey, Error> {
    let key = PrivateKey::from_openssh(text)
        .map_err(Box::new)
        .map_err(|source| Error::GarbledHostKey {
            path: path.into(),
            source,
        })?;
    if key.is_encrypted() {
        return Err(Error::LockedHostKey { path: path.into() });
    }
    Ok(key)
}

fn make(folder: &Path, name: &str, algorithm: Algorithm) -> Result<PrivateKey, Error> {
    let path = folder.join(name);
    let failed = |source| Error::MakeHostKey {
        path: path.clone(),
        source,
    };
    let key = PrivateKey::random(&mut safe_rng(), algorithm)
        .map_err(io::Error::other)
        .map_err(failed)?;
    let text = key
        .to_openssh(LineEnding::LF)
        .map_err(io::Error::other)
        .map_err(failed)?;
    write_once(folder, name, text.as_bytes()).map_err(failed)?;
    Ok(key)
}

/// Writes a file that only its owner may read, whole or not at all, and never over another.
fn write_once(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut draft = OsString::from(HIDDEN_PREFIX);
    draft.push("draft.");
    draft.push(name);
    let draft: PathBuf = folder.join(draft);
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::hard_link(&draft, folder.join(name))?;
    std::fs::remove_file(&draft)?;
    disk::sync_folder(folder)
}

fn make_private_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().unwrap_or(Path::new("."));
    disk::make_folder(parent)?;
    std::fs::DirBuilder::new().mode(0o700).create(folder)?;
    disk::sync_folder(parent)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A door that shows another key after a restart locks out every client that remembers it.
    #[test]
    fn keys_are_made_once_and_only_their_owner_reads_them() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let folder = home.path().join("data/host-keys");
        let public = |keys: Vec<PrivateKey>| -> Vec<_> {
            keys.iter().map(|key| key.public_key().clone()).collect()
        };
        let made = public(load(&folder).expect("made"));
        assert_eq!(made.len(), KEYS.len());
        assert_eq!(public(load(&folder).expect("read")), made);
        let rights = |path: &Path| path.metadata().expect("there").permissions().mode() & 0o777;
        assert_eq!(rights(&folder), 0o700);
        for (name, _) in KEYS {
            assert_eq!(rights(&folder.join(name)), 0o600);
        }
        assert_eq!(std::fs::read_dir(&folder).expect("listed").count(), 2);
    }

    /// A damaged key must be an error that names it, not a silent change of identity.
    #[test]
    fn a_garbled_key_is_never_replaced() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join(KEYS[0].0);
        std::fs::write(&path, b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA").expect("written");
        let error = load(folder.path()).expect_err("garbled");
        let shown = path.display().to_string();
        assert!(error.to_string().contains(&shown), "{error}");
        assert!(std::fs::read(&path).expect("read").ends_with(b"AAAA"));
    }
}
