//! Files come in over SSH: listen, limit, drain.
//!
//! In: connections, the logins that may enter, the folders they may see and how much they may hold.
//! Out: for each finished upload a link in the spool, synced before the client hears `OK`. After a
//! crash the spool has every file whose close was answered; [`repair()`] finishes the renames that
//! are missing. What the door remembers of names that have gone, and how full a folder is, is
//! forgotten with a crash: the one is for ten seconds, and the other is counted again.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use russh::keys::{HashAlg, PrivateKey};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::batch::TenantName;
use crate::batch::name::DropFolder;
use crate::{clock, disk};

mod channel;
mod closing;
mod connection;
mod extents;
mod files;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod ghosts;
mod host_keys;
mod jail;
mod listing;
mod logins;
mod opening;
mod packet;
mod pending;
mod premises;
mod refusal;
mod renaming;
mod repair;
mod replies;
mod room;
mod session;
mod spooling;
mod syncs;
#[cfg(test)]
mod tests;
mod uploads;
mod usage;

pub use repair::repair;

use connection::{Connection, ssh_config};
use files::{Shared, Tree};
use jail::Tray;
use logins::Logins;
use premises::Premises;
use room::Disk;
use uploads::Uploads;

/// How many connections there may be at a time.
const CONNECTIONS_MAX: usize = 512;
/// How many of them may not have logged in yet: strangers must not take every place.
const STRANGERS_MAX: usize = 128;
/// How long sessions get to end by themselves after a stop; half of it for their goodbyes.
const DRAIN: Duration = Duration::from_secs(2);
/// How long to wait when no connection can be taken, for lack of descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the door needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The folder with the host keys, made on first start.
    pub host_keys_dir: PathBuf,
    /// The folder that holds one folder for each tenant.
    pub tenants_dir: PathBuf,
    /// The folder that takes finished uploads: `<spool_new_dir>/<tenant>/<entry>`.
    pub spool_new_dir: PathBuf,
    /// What each tenant may put into its folder.
    pub quotas: BTreeMap<TenantName, Quota>,
}

/// What a tenant may put into its drop folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// The largest file that it may upload, in bytes.
    pub upload_bytes_max: u64,
    /// The bytes of all files there, unfinished ones too.
    pub folder_bytes_max: u64,
    /// The number of files there, unfinished ones too.
    pub files_max: u64,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            upload_bytes_max: 2 << 30,
            folder_bytes_max: 100 << 30,
            files_max: 100_000,
        }
    }
}

/// Somebody who may enter.
#[derive(Clone, Debug, PartialEq)]
pub struct Login {
    /// The user name.
    pub user: String,
    /// Whose folder it opens.
    pub tenant: TenantName,
    /// The password's argon2id hash as a PHC string; empty when no password opens.
    pub password_hash: String,
    /// Public keys in the form of `authorized_keys` lines, checked when the settings were read.
    pub authorized_keys: Vec<String>,
    /// Where it may come from; empty means anywhere.
    pub allow_from: Vec<ipnet::IpNet>,
}

/// Why the door does not open.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken, or not this machine's.
    #[error("failed to listen on `{address}`; set `sftp.listen` to a free address")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The folder of the host keys cannot be made.
    #[error("failed to make the folder `{folder}` for host keys")]
    HostKeyFolder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A host key is there and cannot be read.
    #[error("failed to read the host key `{path}`; its owner must be who runs the daemon")]
    ReadHostKey {
        /// The key's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A host key is there and is none.
    #[error(
        "failed to understand the host key `{path}`; restore it from a backup, or remove it to have another made, which every client will have to accept"
    )]
    GarbledHostKey {
        /// The key's file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<russh::keys::ssh_key::Error>,
    },
    /// A host key wants a passphrase, which a daemon cannot give.
    #[error("failed to use the host key `{path}`; remove its passphrase with `ssh-keygen -p`")]
    LockedHostKey {
        /// The key's file.
        path: PathBuf,
    },
    /// A host key cannot be made.
    #[error("failed to make the host key `{path}`")]
    MakeHostKey {
        /// The key's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The door: listening, with nobody let in yet.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    address: SocketAddr,
    keys: Vec<PrivateKey>,
    settings: Settings,
}

/// Loads the host keys, making them on the first start, and binds the address.
pub async fn open(settings: Settings) -> Result<Door, Error> {
    let keys = host_keys::load(&settings.host_keys_dir)?;
    let address = settings.listen;
    let listen = |source| Error::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    Ok(Door {
        address: listener.local_addr().map_err(listen)?,
        listener,
        keys,
        settings,
    })
}

/// Makes the folders of a tenant that are not there yet.
pub fn lay_out(tenant_root: &Path) -> io::Result<()> {
    let drops = DropFolder::ALL.map(DropFolder::path);
    let trays = Tray::ALL.map(Tray::path);
    for folder in drops.into_iter().chain(trays) {
        disk::make_folder(&tenant_root.join(folder))?;
    }
    Ok(())
}

impl Door {
    /// Where it listens; the port is the one it got.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The public host keys as OpenSSH writes them, `ssh-ed25519 AAAA…`: behind a host's name each
    /// is a line of `known_hosts`.
    pub fn host_keys(&self) -> Vec<String> {
        let lines = self.keys.iter().map(|key| key.public_key().to_openssh());
        lines.filter_map(Result::ok).collect()
    }

    /// The fingerprints of the host keys, `SHA256:…`, as clients show them.
    pub fn fingerprints(&self) -> Vec<String> {
        let fingerprint = |key: &PrivateKey| key.fingerprint(HashAlg::Sha256).to_string();
        self.keys.iter().map(fingerprint).collect()
    }

    /// Lets clients in until `stop`, then ends their sessions and returns within two seconds.
    ///
    /// `arrived` is told of each file that has reached the spool. The newest `logins` hold for
    /// whoever logs in next; whoever is in stays.
    pub async fn serve(
        self,
        logins: watch::Receiver<Arc<Vec<Login>>>,
        arrived: Arc<Notify>,
        stop: CancellationToken,
    ) {
        let config = Arc::new(ssh_config(self.keys));
        let house = Arc::new(House {
            settings: self.settings,
            logins: Logins::new(logins),
            uploads: Arc::new(Uploads::new(Disk::default())),
            arrived,
            tenants: Arc::default(),
            premises: Mutex::default(),
        });
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let strangers = Arc::new(Semaphore::new(STRANGERS_MAX));
        let cut = CancellationToken::new();
        let tasks = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            let (socket, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::debug!(%error, "failed to take a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let places = Arc::clone(&connections).try_acquire_owned();
            let stranger = Arc::clone(&strangers).try_acquire_owned();
            let (Ok(place), Ok(stranger)) = (places, stranger) else {
                tracing::debug!(%peer, "a connection is turned away: there are too many");
                continue;
            };
            let connection = Connection {
                config: Arc::clone(&config),
                house: Arc::clone(&house),
                peer,
                stop: stop.clone(),
                cut: cut.child_token(),
            };
            tasks.spawn(async move {
                let _place = place;
                connection.run(socket, stranger).await;
            });
        }
        drop(self.listener);
        tasks.close();
        if tokio::time::timeout(DRAIN / 2, tasks.wait()).await.is_err() {
            cut.cancel();
            let _ = tokio::time::timeout(DRAIN / 2, tasks.wait()).await;
        }
    }
}

/// What all connections share.
struct House {
    settings: Settings,
    logins: Logins,
    uploads: Arc<Uploads>,
    arrived: Arc<Notify>,
    tenants: Arc<Mutex<HashMap<TenantName, usize>>>,
    premises: Mutex<HashMap<TenantName, Arc<Premises>>>,
}

impl House {
    fn open_tree(&self, tenant: TenantName) -> io::Result<Tree> {
        let quota = self.settings.quotas.get(&tenant);
        let premises = Arc::clone(lock(&self.premises).entry(tenant.clone()).or_default());
        Tree::open(
            (&self.settings.tenants_dir, &self.settings.spool_new_dir),
            tenant,
            quota.copied().unwrap_or_default(),
            Shared {
                uploads: Arc::clone(&self.uploads),
                arrived: Arc::clone(&self.arrived),
                premises,
            },
        )
    }
}

/// Reads one public key as it stands in a `.pub` file: kind, base64, comment. `None` for anything
/// else, also for DSA keys, which nobody should use, and for options before the key: this door has
/// no commands that they could restrict.
pub fn parse_authorized_key(line: &str) -> Option<russh::keys::PublicKey> {
    let key = russh::keys::PublicKey::from_openssh(line.trim()).ok()?;
    (!matches!(key.algorithm(), russh::keys::Algorithm::Dsa)).then_some(key)
}

/// Nothing of ours panics half-way through a change under a lock, and one session's panic must not
/// end the others.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
