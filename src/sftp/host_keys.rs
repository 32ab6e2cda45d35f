//! The keys by which clients know this door: made on first start, and never replaced by themselves.
//! How the operator replaces them is for `rotation` to know.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use russh::keys::key::safe_rng;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::RsaKeypair;
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PrivateKey};

use super::Error;
pub use super::rotation::{finish, prepare};
use crate::disk::{self, HIDDEN_PREFIX};

/// The length of RSA keys that are made, in bits.
const RSA_BITS: usize = 3072;

/// The keys, with the names OpenSSH gives their files. Old clients know only the second kind, and
/// the oldest the third.
pub(super) const KEYS: [(&str, Algorithm); 3] = [
    ("ssh_host_ed25519_key", Algorithm::Ed25519),
    (
        "ssh_host_ecdsa_key",
        Algorithm::Ecdsa {
            curve: EcdsaCurve::NistP256,
        },
    ),
    ("ssh_host_rsa_key", Algorithm::Rsa { hash: None }),
];

/// What there is to be known of a host key without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its file.
    pub path: PathBuf,
    /// Its kind as OpenSSH writes it, `ssh-ed25519`.
    pub algorithm: String,
    /// `SHA256:…`, as clients show it.
    pub fingerprint: String,
    /// `ssh-ed25519 AAAA…`: behind a host's name a line of `known_hosts`.
    pub line: String,
}

/// The keys in `folder` that are there; those of the next set lie in [`next_folder`].
pub fn show(folder: &Path) -> Result<Vec<Shown>, Error> {
    let mut shown = Vec::new();
    for (name, _) in &KEYS {
        let path = folder.join(name);
        if let Some(key) = read(&path)? {
            let public = key.public_key();
            shown.push(Shown {
                algorithm: public.algorithm().to_string(),
                fingerprint: public.fingerprint(HashAlg::Sha256).to_string(),
                line: line(&key),
                path,
            });
        }
    }
    Ok(shown)
}

/// Where the keys lie that are to follow those in `folder`.
pub fn next_folder(folder: &Path) -> PathBuf {
    folder.join("next")
}

/// Reads the keys in `folder`, making those that are not there.
pub(super) fn load(folder: &Path) -> Result<Vec<PrivateKey>, Error> {
    make_private_folder(folder).map_err(|source| Error::HostKeyFolder {
        folder: folder.into(),
        source,
    })?;
    let is_first_start = !KEYS.iter().any(|(name, _)| folder.join(name).exists());
    let load = |(name, algorithm): (&str, Algorithm)| {
        if let Some(key) = read(&folder.join(name))? {
            return Ok(key);
        }
        let key = make(folder, name, &algorithm)?;
        if !is_first_start {
            tracing::warn!(
                "the host key {name} was not there and was made: clients that know the former one \
                 will refuse this door"
            );
        }
        Ok(key)
    };
    KEYS.into_iter().map(load).collect()
}

/// The public key as OpenSSH writes it, without a comment.
pub(super) fn line(key: &PrivateKey) -> String {
    let public = russh::keys::PublicKey::from(key.public_key().key_data().clone());
    public
        .to_openssh()
        .expect("a key that could be read can be written")
}

/// Reads a key; `None` when it is not there.
///
/// Clients that remember a key refuse a door that shows another: so a key that cannot be read is
/// for the operator to look at, not a reason to make one.
pub(super) fn read(path: &Path) -> Result<Option<PrivateKey>, Error> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            let path = path.into();
            return Err(Error::ReadHostKey { path, source });
        }
    };
    // Whoever else has read it can pretend to be this door.
    let rights = std::fs::metadata(path).map(|about| about.permissions().mode());
    if rights.is_ok_and(|mode| mode & 0o077 != 0) {
        return Err(Error::OpenHostKey { path: path.into() });
    }
    let key = PrivateKey::from_openssh(text)
        .map_err(Box::new)
        .map_err(|source| Error::GarbledHostKey {
            path: path.into(),
            source,
        })?;
    if key.is_encrypted() {
        return Err(Error::LockedHostKey { path: path.into() });
    }
    Ok(Some(key))
}

/// Makes a key and writes it where none is.
pub(super) fn make(folder: &Path, name: &str, algorithm: &Algorithm) -> Result<PrivateKey, Error> {
    let path = folder.join(name);
    let failed = |source| Error::MakeHostKey {
        path: path.clone(),
        source,
    };
    let key = random(algorithm)
        .map_err(io::Error::other)
        .map_err(failed)?;
    let text = key
        .to_openssh(LineEnding::LF)
        .map_err(io::Error::other)
        .map_err(failed)?;
    write_once(folder, name, text.as_bytes()).map_err(failed)?;
    Ok(key)
}

fn random(algorithm: &Algorithm) -> Result<PrivateKey, russh::keys::ssh_key::Error> {
    match algorithm {
        Algorithm::Rsa { .. } => RsaKeypair::random(&mut safe_rng(), RSA_BITS).map(Into::into),
        other => PrivateKey::random(&mut safe_rng(), other.clone()),
    }
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
    give_to_owner_of(folder, &draft)?;
    file.sync_all()?;
    std::fs::hard_link(&draft, folder.join(name))?;
    std::fs::remove_file(&draft)?;
    disk::sync_folder(folder)
}

/// Gives `path` to whom `folder` belongs: a command that runs as root must not leave keys behind
/// that the daemon cannot read.
pub(super) fn give_to_owner_of(folder: &Path, path: &Path) -> io::Result<()> {
    let (owner, made) = (folder.metadata()?, path.metadata()?);
    if owner.uid() == made.uid() {
        return Ok(());
    }
    std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid()))
}

/// Makes a folder that only its owner may look into.
pub(super) fn make_private_folder(folder: &Path) -> io::Result<()> {
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
        assert_eq!(
            std::fs::read_dir(&folder).expect("listed").count(),
            KEYS.len()
        );
    }

    /// A damaged key must be an error that names it, not a silent change of identity.
    #[test]
    fn a_garbled_key_is_never_replaced() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join(KEYS[0].0);
        std::fs::write(&path, b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA").expect("written");
        let own = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&path, own).expect("its owner's only");
        let error = load(folder.path()).expect_err("garbled");
        let shown = path.display().to_string();
        assert!(error.to_string().contains(&shown), "{error}");
        assert!(std::fs::read(&path).expect("read").ends_with(b"AAAA"));
    }

    /// A key that others can read lets them pretend to be this door: the operator must hear of it.
    #[test]
    fn a_key_that_others_can_read_is_not_used() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        load(folder.path()).expect("made");
        let path = folder.path().join(KEYS[1].0);
        let open = std::fs::Permissions::from_mode(0o640);
        std::fs::set_permissions(&path, open).expect("opened");
        let error = load(folder.path()).expect_err("open to others");
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
}
