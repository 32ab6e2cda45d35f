//! Files come in over SSH: listen, limit, drain.
//!
//! In: connections, the logins that may enter, the folders they may see and how much they may hold.
//! Out: for each finished upload a link in the spool, synced before the client hears `OK`. After a
//! crash the spool has every file whose close was answered; [`repair()`] finishes the renames that
//! are missing. What the door remembers of names that have gone, and how full a folder is, is
//! forgotten with a crash: the one is for ten seconds, and the other is counted again.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
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

mod authorized;
mod certificates;
mod channel;
mod closing;
mod conduct;
mod connection;
mod crowd;
mod extents;
mod files;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod ghosts;
pub mod host_keys;
mod jail;
mod listing;
mod logins;
mod opening;
mod packet;
mod passwords;
mod penalties;
mod pending;
mod premises;
mod proxy;
mod refusal;
mod renaming;
mod repair;
mod replies;
mod room;
mod rotation;
mod session;
mod shares;
mod spooling;
mod stream;
mod syncs;
#[cfg(test)]
mod tests;
mod transport;
mod uploads;
mod usage;

pub use authorized::{AuthorizedKey, BadKey};
pub use crowd::TurnedAway;
pub use repair::repair;

use connection::{Connection, Tenants, Ticket};
use crowd::{Bounds, Crowd, Source};
use files::{Shared, Tree};
use jail::Tray;
use logins::Logins;
use premises::Premises;
use room::Disk;
use transport::ssh_config;
use uploads::Uploads;

/// How many connections there may be at a time.
pub const CONNECTIONS_MAX: usize = 1024;
/// How many of them may not have logged in yet: strangers must not take every place.
const STRANGERS_MAX: usize = 256;
/// How many of those may come from one address. The jobs of one back office all begin on the
/// minute, and each is a stranger until it has logged in.
const STRANGERS_PER_ADDRESS_MAX: usize = 100;
/// How many sessions a tenant without a limit of its own may have.
pub const TENANT_SESSIONS_MAX: usize = 512;
/// How many connections may wait for their proxy's header at a time.
const PROXY_WAITING_MAX: usize = 128;
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
    /// How many sessions each tenant may have at a time.
    pub sessions_max: BTreeMap<TenantName, usize>,
    /// What holds for addresses.
    pub gate: Gate,
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

/// How addresses are treated before anybody has logged in.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    /// The proxies that say with a PROXY header for whom they connect; they must.
    pub proxy_from: Vec<ipnet::IpNet>,
    /// Addresses that many clients share: no penalties, and no bounds but those for all.
    pub shared_addresses: Vec<ipnet::IpNet>,
    /// How many connections one address may have at a time.
    pub connections_per_address_max: usize,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            proxy_from: Vec::new(),
            shared_addresses: Vec::new(),
            connections_per_address_max: CONNECTIONS_MAX / 2,
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
    /// The keys that open it, and those that sign certificates which do.
    pub authorized_keys: Vec<AuthorizedKey>,
    /// Where it may come from; empty means anywhere.
    pub allow_from: Vec<ipnet::IpNet>,
    /// What it takes to enter.
    pub require: Require,
}

/// What it takes to enter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Require {
    /// A key, a certificate or the password.
    #[default]
    Any,
    /// A key or a certificate, and then the password.
    KeyAndPassword,
}

/// Told of each connection that is turned away.
pub type Told = Arc<dyn Fn(TurnedAway) + Send + Sync>;

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
    /// There are no keys that could be replaced.
    #[error("there are no host keys in `{folder}`; the first start makes them")]
    NoHostKeys {
        /// The folder.
        folder: PathBuf,
    },
    /// The next set is there already.
    #[error(
        "the next host keys are there already, in `{folder}`; `dropcast host-key show` lists them, `dropcast host-key rotate --finish` puts them in force"
    )]
    NextHostKeysThere {
        /// Their folder.
        folder: PathBuf,
    },
    /// There is no next set.
    #[error(
        "there are no next host keys in `{folder}`; make them with `dropcast host-key rotate`, and let every client learn them first"
    )]
    NoNextHostKeys {
        /// Where they would be.
        folder: PathBuf,
    },
    /// Another command is at it.
    #[error("another command is changing the host keys in `{folder}`")]
    HostKeysBusy {
        /// The folder.
        folder: PathBuf,
    },
    /// The keys cannot be replaced.
    #[error("failed to replace host keys in `{folder}`; run the command again")]
    RotateHostKeys {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
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
pub struct Door {
    listener: TcpListener,
    address: SocketAddr,
    keys: Vec<PrivateKey>,
    settings: Settings,
    told: Told,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let door = &mut f.debug_struct("Door");
        door.field("address", &self.address).finish_non_exhaustive()
    }
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
        told: Arc::new(|_| {}),
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

    /// The same door, which tells of each connection that it turns away.
    pub fn telling(self, told: Told) -> Self {
        Self { told, ..self }
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
        let house = Arc::new(House::new(self.settings, logins, arrived, self.told));
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
            let connection = Connection {
                config: Arc::clone(&config),
                house: Arc::clone(&house),
                peer,
                stop: stop.clone(),
                cut: cut.child_token(),
            };
            if house.is_proxy(peer.ip()) {
                if let Ok(waiting) = Arc::clone(&house.proxy_waiting).try_acquire_owned() {
                    tasks.spawn(connection.run_behind_proxy(socket, waiting));
                } else {
                    house.turned_away(TurnedAway::Full);
                }
            } else if let Some(ticket) = house.admit(peer) {
                tasks.spawn(connection.run(socket, ticket));
            }
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
    tenants: Tenants,
    premises: Mutex<HashMap<TenantName, Arc<Premises>>>,
    crowd: Arc<Mutex<Crowd>>,
    proxy_waiting: Arc<Semaphore>,
    told: Told,
}

impl House {
    fn new(
        settings: Settings,
        logins: watch::Receiver<Arc<Vec<Login>>>,
        arrived: Arc<Notify>,
        told: Told,
    ) -> Self {
        let crowd = Crowd::new(Bounds {
            connections: CONNECTIONS_MAX,
            strangers: STRANGERS_MAX,
            connections_per_source: settings.gate.connections_per_address_max,
            strangers_per_source: STRANGERS_PER_ADDRESS_MAX,
        });
        Self {
            settings,
            logins: Logins::new(logins),
            uploads: Arc::new(Uploads::new(Disk::default())),
            arrived,
            tenants: Tenants::default(),
            premises: Mutex::default(),
            crowd: Arc::new(Mutex::new(crowd)),
            proxy_waiting: Arc::new(Semaphore::new(PROXY_WAITING_MAX)),
            told,
        }
    }

    fn is_proxy(&self, peer: IpAddr) -> bool {
        lies_in(&self.settings.gate.proxy_from, peer)
    }

    /// What a connection from there is counted by; `None` where many clients share an address. A
    /// proxy that speaks for itself is as many clients as stand behind it.
    fn source(&self, peer: IpAddr) -> Option<Source> {
        let is_shared = self.is_proxy(peer) || lies_in(&self.settings.gate.shared_addresses, peer);
        (!is_shared).then(|| Source::of(peer))
    }

    /// A place for a connection from there, if there is one.
    fn admit(&self, peer: SocketAddr) -> Option<Ticket> {
        let source = self.source(peer.ip());
        match Ticket::take(&self.crowd, source) {
            Ok(ticket) => Some(ticket),
            Err(why) => {
                tracing::debug!(%peer, why = why.as_str(), "a connection is turned away");
                self.turned_away(why);
                None
            }
        }
    }

    fn turned_away(&self, why: TurnedAway) {
        (self.told)(why);
    }

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

/// Whether `peer` lies in one of the networks; none holds nobody.
fn lies_in(networks: &[ipnet::IpNet], peer: IpAddr) -> bool {
    !networks.is_empty() && authorized::is_within(networks, peer)
}

/// Nothing of ours panics half-way through a change under a lock, and one session's panic must not
/// end the others.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
