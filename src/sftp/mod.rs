//! Files come in over SSH: listen, limit, drain.
//!
//! In: connections, the logins that may enter, the folders they may see and how much they may hold.
//! Out: for each finished upload a link in the spool, synced before the client hears `OK`. After a
//! crash the spool has every file whose close was answered; [`repair()`] finishes the renames that
//! are missing. What the door remembers of names that have gone, and how full a folder is, is
//! forgotten with a crash: the one is for ten seconds, and the other is counted again.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use russh::keys::PrivateKey;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::batch::TenantName;
use crate::{clock, disk};

mod authorized;
mod certificates;
mod channel;
mod closing;
mod conduct;
mod connection;
mod crowd;
mod error;
mod extents;
mod files;
mod finished;
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
mod settings;
mod shares;
mod spooling;
mod stream;
mod syncs;
#[cfg(test)]
mod tests;
mod transport;
mod unshown;
mod uploads;
mod usage;

pub use authorized::{AuthorizedKey, BadKey};
pub use crowd::TurnedAway;
pub use error::Error;
pub use repair::repair;
pub use settings::{Gate, Login, Quota, Require, Settings};

use connection::{Connection, Tenants, Ticket};
use crowd::{Bounds, Crowd, Source};
use files::{Shared, Tree};
use jail::{Inlet, Tray};
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

/// Told of each connection that is turned away.
pub type Told = Arc<dyn Fn(TurnedAway) + Send + Sync>;

/// The door: listening, with nobody let in yet.
pub struct Door {
    listener: TcpListener,
    address: SocketAddr,
    keys: Vec<PrivateKey>,
    settings: Settings,
    told: Told,
    steered: Steered,
}

/// Told whose folders hold a file that steers.
#[derive(Clone)]
struct Steered(Arc<dyn Fn(&TenantName) + Send + Sync>);

impl Steered {
    fn tell(&self, tenant: &TenantName) {
        (self.0)(tenant);
    }
}

impl Default for Steered {
    fn default() -> Self {
        Self(Arc::new(|_| {}))
    }
}

impl fmt::Debug for Steered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Steered")
    }
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
        steered: Steered::default(),
    })
}

/// Makes the folders of a tenant that are not there yet.
pub fn lay_out(tenant_root: &Path) -> io::Result<()> {
    let inlets = Inlet::ALL.map(Inlet::path);
    let trays = Tray::ALL.map(Tray::path);
    for folder in inlets.into_iter().chain(trays) {
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

    /// The same door, which tells of each connection that it turns away.
    pub fn telling(self, told: Told) -> Self {
        Self { told, ..self }
    }

    /// The same door, which tells whose folders hold a file that steers, as soon as one does.
    pub fn steered_by(self, steered: impl Fn(&TenantName) + Send + Sync + 'static) -> Self {
        let steered = Steered(Arc::new(steered));
        Self { steered, ..self }
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
        let nudges = (arrived, self.steered);
        let house = Arc::new(House::new(self.settings, logins, nudges, self.told));
        let cut = CancellationToken::new();
        let tasks = TaskTracker::new();
        let mut retry = tokio::time::interval(unshown::RETRY_EVERY);
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                _ = retry.tick() => {
                    house.show_unshown();
                    continue;
                }
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
    steered: Steered,
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
        (arrived, steered): (Arc<Notify>, Steered),
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
            steered,
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

    /// Shows the daemon what it could not be shown before, where there is any.
    fn show_unshown(&self) {
        for premises in lock(&self.premises).values() {
            if premises.unshown.is_waiting() {
                let (premises, arrived) = (Arc::clone(premises), Arc::clone(&self.arrived));
                tokio::task::spawn_blocking(move || {
                    if premises.unshown.show() {
                        arrived.notify_one();
                    }
                });
            }
        }
    }

    fn turned_away(&self, why: TurnedAway) {
        (self.told)(why);
    }

    fn open_tree(&self, (tenant, user): (TenantName, String)) -> io::Result<Tree> {
        let quota = self.settings.quotas.get(&tenant);
        let premises = Arc::clone(lock(&self.premises).entry(tenant.clone()).or_default());
        Tree::open(
            (&self.settings.tenants_dir, &self.settings.spool_new_dir),
            (tenant, user),
            quota.copied().unwrap_or_default(),
            Shared {
                uploads: Arc::clone(&self.uploads),
                arrived: Arc::clone(&self.arrived),
                steered: self.steered.clone(),
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
