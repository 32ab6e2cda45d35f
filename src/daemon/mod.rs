//! The loops that carry data between rooms: start in order, drain in order.
//!
//! In: a [`Config`]. Out: a running service. A start takes the lock on the data folder, brings the
//! store up to date, settles what the last run left open, and finishes names and rows before it
//! opens the door. A stop closes the door first and the reports last.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::admin::socket::{CarryOut, Socket};
use crate::admin::{Admin, Figures, Readiness};
use crate::batch::TenantName;
use crate::clock;
use crate::config::{Config, Tenant};
use crate::delivery::UnknownPolicy;
use crate::delivery::settling::Hold;
use crate::inbox::{self, Inbox};
use crate::provider::http::Client;
use crate::provider::sandbox::{Behaviour, Sandbox};
use crate::provider::{self, Kind, Secret};
use crate::sftp::{self, Door};
use crate::store::{self, Store};
use crate::{admin, disk, receipts, report};

pub mod checking;
mod checksums;
mod credentials;
pub mod desk;
mod dispatch;
mod heeding;
mod intake;
pub mod journal;
mod media;
pub mod offline;
mod outlet;
mod publishing;
pub mod pulling;
mod receiving;
mod reporting;
mod retention;
mod room;
mod settling;
mod sight;
mod steering;
pub mod templates;
mod uploading;
mod watching;

use credentials::Credentials;
use desk::OperatorDesk;
use dispatch::Dispatch;
use intake::{Desk, Intake};
use media::MediaSpool;
use outlet::Outlet;
use publishing::{Office, Publisher};
use pulling::{Pulling, Source};
use receiving::{Receiving, Settler};
use reporting::Reporting;
use retention::{Household, Retiring};
use settling::Settling;
use sight::Sight;
use steering::Steering;
use templates::Shelf;
use uploading::Uploading;
use watching::Watching;

/// How long commands under way may take to end when the daemon stops.
const SOCKET_STOP_MAX: Duration = Duration::from_millis(500);

/// How long a start waits for a data folder that another process holds, and how often it looks.
const LOCK_WAIT: Duration = Duration::from_secs(3);
const LOCK_LOOK: Duration = Duration::from_millis(100);

/// The service cannot start, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data folder is not what it must be.
    #[error("failed to {verb} `{}`: `data_dir` must be a folder that this user can write to", path.display())]
    Folder {
        /// What was tried.
        verb: &'static str,
        /// On which folder or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process works on the same data folder.
    #[error("the data folder `{}` is held by another process; stop that one or set another `data_dir`", path.display())]
    Held {
        /// The data folder.
        path: PathBuf,
    },
    /// The spool and the tenants' folders must be able to share files by link.
    #[error(
        "`{}` and `{}` must lie on one file system; set `data_dir` to a folder that is not split by a mount",
        one.display(),
        other.display()
    )]
    TwoFileSystems {
        /// One of the folders.
        one: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// The file system lacks what files are handed on by.
    #[error(
        "the file system of `{}` cannot link files, rename without replacing or exchange two names, as NFS and older ones cannot; set `data_dir` to a folder on a local file system such as ext4 or XFS",
        path.display()
    )]
    NoRenames {
        /// The folder where it was tried.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The spool failed.
    #[error(transparent)]
    Inbox(#[from] inbox::Error),
    /// The door failed.
    #[error(transparent)]
    Door(#[from] sftp::Error),
    /// A provider's settings cannot be used, or the sandbox cannot be opened.
    #[error("failed to set up the provider of tenant `{tenant}`")]
    Provider {
        /// Whose provider.
        tenant: TenantName,
        /// What is wrong.
        source: provider::Error,
    },
    /// The sandbox cannot be opened.
    #[error("failed to open the sandbox")]
    Sandbox(#[source] provider::Error),
    /// Metrics and health cannot be served.
    #[error(transparent)]
    Admin(#[from] admin::Error),
    /// Callbacks cannot be taken.
    #[error(transparent)]
    Receipts(#[from] receipts::Error),
    /// A loop ended in a panic; its words are on standard error.
    #[error("{0} ended in a panic; the service stops rather than go on without it")]
    Panic(&'static str),
}

/// An error and everything below it, in one sentence.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut below = error.source();
    while let Some(cause) = below {
        words = format!("{words}: {cause}");
        below = cause.source();
    }
    words
}

/// Held by the tasks of the loops. A panic in one of them would leave a batch or a message behind
/// that nobody carries on, so it ends the service; the next start carries on from what is on disk.
#[derive(Clone, Debug, Default)]
struct Alarm(CancellationToken);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.cancel();
        }
    }
}

/// What a lock holds stays good also if somebody panicked with it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Error {
    /// The error and its causes, in one sentence.
    pub fn sentence(&self) -> String {
        chain(self)
    }
}

/// A service that is set up and not yet running.
#[derive(Debug)]
pub struct Daemon {
    config: Config,
    store: Store,
    inbox: Inbox,
    media: Arc<MediaSpool>,
    door: Door,
    admin: Option<Admin>,
    callbacks: Option<receipts::Door>,
    socket: Socket,
    sandbox: Option<Sandbox>,
    outlets: BTreeMap<TenantName, Arc<Outlet>>,
    figures: Arc<Figures>,
    /// Held for as long as the service lives.
    lock: File,
}

/// What the loops and the socket need for steering.
struct Steered {
    steering: Arc<Steering>,
    sight: Arc<Sight>,
    desk: Arc<OperatorDesk>,
}

/// The desk as the socket knows it.
fn carrying_out(desk: Arc<OperatorDesk>) -> CarryOut {
    Arc::new(move |asked| {
        let desk = Arc::clone(&desk);
        Box::pin(async move { desk.answer(&asked).await })
    })
}

/// What a running service has done so far.
#[derive(Clone, Debug)]
pub struct Tally(Arc<Figures>);

impl Tally {
    /// How many messages of `tenant` the provider has taken or refused for good.
    pub fn handed_over(&self, tenant: &TenantName) -> u64 {
        ["accepted", "refused"]
            .map(|word| self.0.outcomes(tenant, word))
            .iter()
            .sum()
    }
}

/// Sets the service up: everything that can be wrong is found here, and nothing is sent yet.
pub async fn start(config: Config) -> Result<Daemon, Error> {
    disk::keep_from_others();
    let lock = take_lock(&config.data_dir).await?;
    if let Err(error) = disk::allow_many_open_files() {
        journal::few_open_files(&chain(&error));
    }
    let tenants_dir = config.data_dir.join("tenants");
    let spool_dir = config.data_dir.join("spool");
    lay_out(&config, &tenants_dir, &spool_dir)?;
    let store = Store::open(&config.data_dir.join("dropcast.db"))?;
    let names: Vec<TenantName> = config.tenants.iter().map(|t| t.name.clone()).collect();
    let inbox = Inbox::open(&spool_dir, &names)?;
    for name in &names {
        inbox.finish_leaving(&inbox::Drops::open(&tenants_dir.join(name.as_str()))?)?;
    }
    let repaired = sftp::repair(&tenants_dir, inbox.new_folder(), inbox.held_folder())
        .map_err(folder("repair", &tenants_dir))?;
    if repaired > 0 {
        journal::repaired(repaired);
    }
    let media = MediaSpool::open(&config.data_dir)
        .map_err(folder("make", &config.data_dir.join("media")))?;
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let sandbox = if config
        .tenants
        .iter()
        .any(|t| t.provider.kind() == Kind::Sandbox)
    {
        let opened = Sandbox::open(loopback, Kind::Sandbox, Behaviour::default()).await;
        Some(opened.map_err(Error::Sandbox)?)
    } else {
        None
    };
    let address = sandbox.as_ref().map(Sandbox::address);
    let outlets = config.tenants.iter().map(|tenant| outlet(tenant, address));
    let outlets = outlets.collect::<Result<BTreeMap<_, _>, Error>>()?;
    let policies = policies(&config, &outlets);
    let recovered = store.recover(policies, clock::now()).await?;
    if recovered > 0 {
        journal::recovered(recovered);
    }
    let callbacks = match config.receipts_listen {
        Some(listen) => Some(receipts::Door::open(&receipts::Settings { listen }).await?),
        None => None,
    };
    let admin = match config.admin_listen {
        Some(listen) => Some(Admin::open(&admin::Settings { listen }).await?),
        None => None,
    };
    let socket = Socket::open(&config.data_dir)?;
    let door = sftp::open(sftp::Settings {
        listen: config.sftp_listen,
        host_keys_dir: config.data_dir.join("host-keys"),
        tenants_dir,
        spool_new_dir: inbox.new_folder().into(),
        quotas: config
            .tenants
            .iter()
            .map(|tenant| (tenant.name.clone(), tenant.quota))
            .collect(),
        sessions_max: config
            .tenants
            .iter()
            .map(|tenant| (tenant.name.clone(), tenant.sessions_max))
            .collect(),
        gate: config.gate.clone(),
    })
    .await?;
    let figures = Arc::new(Figures::new());
    let told = Arc::clone(&figures);
    let door = door.telling(Arc::new(move |why| told.turned_away(why.as_str())));
    Ok(Daemon {
        config,
        store,
        inbox,
        media: Arc::new(media),
        door,
        admin,
        callbacks,
        socket,
        sandbox,
        outlets,
        figures,
        lock,
    })
}

impl Daemon {
    /// Where the SFTP door listens.
    pub fn sftp_address(&self) -> SocketAddr {
        self.door.address()
    }

    /// The door's public host keys, as lines for a `known_hosts` file without the host's name.
    pub fn host_keys(&self) -> Vec<String> {
        self.door.host_keys()
    }

    /// Counts along while this service runs.
    pub fn tally(&self) -> Tally {
        Tally(Arc::clone(&self.figures))
    }

    /// What is steered, and the desk that carries commands out.
    async fn steered(
        &self,
        intake: &Intake,
        sending: &Arc<Notify>,
        reporting: &Arc<Notify>,
    ) -> Result<Steered, Error> {
        let nudged = (Arc::clone(sending), Arc::clone(reporting));
        let steering = Steering::load(self.store.clone(), Arc::clone(&self.figures), nudged);
        let (steering, sight) = (Arc::new(steering.await?), Arc::<Sight>::default());
        let parts = (
            self.store.clone(),
            Arc::clone(&steering),
            Arc::clone(&sight),
        );
        let desk = OperatorDesk::new(parts, &self.config.tenants, &intake.desks);
        Ok(Steered {
            steering,
            sight,
            desk: Arc::new(desk),
        })
    }

    /// Runs until `stop` is cancelled or something fails that must not be run without, then drains.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Error> {
        let tenants_dir = self.config.data_dir.join("tenants");
        self.config.notes.iter().for_each(|n| journal::noted(n));
        let intake = self.intake(&tenants_dir, &stop);
        let [arrived, admitted, changed] =
            [&intake.arrived, &intake.admitted, &intake.changed].map(Arc::clone);
        let alarm = intake.alarm.clone();
        let watching = Watching::beside(&intake);
        // What a crash left in the spool has its row before anybody can add to it.
        tokio::select! {
            // On a full disk it waits for room.
            () = stop.cancelled() => return Ok(()),
            cleared = intake.clear_up() => cleared?,
        }
        let offices = offices(&self.config.tenants, &tenants_dir, &intake.desks);
        let held = dispatch::Held::default();
        self.tell_of_room(&stop);
        let steered = self.steered(&intake, &admitted, &changed).await?;
        watching.steer_first(&steered.steering).await?;
        let kept = self.kept(&intake, &steered, &stop);
        // The reports and what is served beside outlive the sending, whose ends they are.
        let last = CancellationToken::new();
        let settling = self.settling(&intake);
        self.serve_beside(&settling.settler, &last);
        let door = self.door.steered_by(intake.steered());
        let heard = Arc::clone(&steered.steering);
        let dispatch = Dispatch {
            store: self.store.clone(),
            steering: Arc::clone(&steered.steering),
            sight: Arc::clone(&steered.sight),
            outlets: self.outlets,
            uploading: Uploading::new(self.store.clone(), Arc::clone(&self.media)),
            figures: Arc::clone(&self.figures),
            admitted,
            changed: Arc::clone(&changed),
            held: Arc::clone(&held),
            alarm: alarm.clone(),
            stop: stop.clone(),
        };
        let retiring = Retiring {
            households: households(&self.config.tenants, &offices),
            ..Retiring::beside(&intake)
        };
        let reporting = Reporting {
            store: self.store.clone(),
            inbox: self.inbox.clone(),
            offices,
            publisher: Publisher::new(self.store.clone(), self.inbox.clone()),
            held,
            desk: Arc::clone(&steered.desk),
            changed,
            alarm: alarm.clone(),
            stop: last.clone(),
        };
        let socket = tokio::spawn(self.socket.serve(carrying_out(steered.desk), last.clone()));
        let (_keep, logins) = watch::channel(Arc::new(logins(&self.config.tenants)));
        journal::listening(door.address());
        let mut door = tokio::spawn(door.serve(logins, arrived, stop.clone()));
        let mut intake = tokio::spawn(intake.run());
        let mut watching = tokio::spawn(watching.run(heard));
        let mut dispatch = tokio::spawn(dispatch.run());
        let mut reporting = tokio::spawn(reporting.run());
        let mut steering = tokio::spawn(steered.steering.run(stop.clone()));
        let mut upkeep = tokio::spawn(upkeep(retiring, kept));
        let mut settling = tokio::spawn(settling.run());
        self.figures.ready(Readiness::Ready);
        // Whatever ends before it was told to has failed.
        let early = tokio::select! {
            // A loop that ends because it was told to has not failed.
            biased;
            () = stop.cancelled() => Ok(()),
            () = alarm.0.cancelled() => Err(Error::Panic("a task")),
            words = self.store.failed() => Err(store::Error::Stopped(words).into()),
            end = &mut door => end.map_err(|_| Error::Panic("the door")),
            end = &mut intake => ended(end, "the intake").map(drop),
            end = &mut watching => ended(end, "the watch on drop folders").map(drop),
            end = &mut dispatch => ended(end, "the sending").map(drop),
            end = &mut reporting => ended(end, "the reporting").map(drop),
            end = &mut steering => ended(end, "the steering").map(drop),
            end = &mut upkeep => ended(end, "the upkeep").map(drop),
            end = &mut settling => ended(end, "the settling").map(drop),
        };
        self.figures.ready(Readiness::Draining);
        stop.cancel();
        early?;
        journal::stopping();
        join(door).await;
        let loops = [
            (watching, "the watch on drop folders"),
            (intake, "the intake"),
            (upkeep, "the upkeep"),
            (steering, "the steering"),
            (settling, "the settling"),
        ];
        let_end(loops, &self.store).await?;
        let in_flight = ended(dispatch.await, "the sending")?;
        last.cancel();
        ended(reporting.await, "the reporting")?;
        // The name of the socket goes with it; a command that is still being asked is cut off.
        let _ = tokio::time::timeout(SOCKET_STOP_MAX, socket).await;
        journal::stopped(in_flight);
        drop(self.lock);
        Ok(())
    }
}

/// Waits for loops that need no room on the disk to end.
async fn let_end<const N: usize>(
    loops: [(JoinHandle<Result<(), store::Error>>, &'static str); N],
    store: &Store,
) -> Result<(), Error> {
    let until = clock::steady() + room::WAITED_FOR_MAX;
    for (task, what) in loops {
        if let Some(end) = room::end_of(task, store, until).await {
            ended(end, what)?;
        }
    }
    Ok(())
}

fn logins(tenants: &[Tenant]) -> Vec<sftp::Login> {
    tenants.iter().flat_map(|t| t.logins.clone()).collect()
}

impl Daemon {
    /// Tells those who ask whether there is room on the disk.
    fn tell_of_room(&self, stop: &CancellationToken) {
        let data_dir = self.config.data_dir.clone();
        let (store, figures) = (self.store.clone(), Arc::clone(&self.figures));
        tokio::spawn(room::tell(data_dir, store, figures, stop.clone()));
    }

    /// The loops that keep what lets requests in, and what is known of templates.
    fn kept(
        &self,
        intake: &Intake,
        steered: &Steered,
        stop: &CancellationToken,
    ) -> (Credentials, Pulling) {
        let credentials = Credentials::new(
            secrets(&self.config.tenants, &self.outlets).into_iter(),
            (Arc::clone(&steered.steering), Arc::clone(&steered.sight)),
            stop.clone(),
        );
        let pulled_dir = pulled_dir(&self.config.data_dir);
        let source = |tenant: &Tenant| {
            let outlet = Arc::clone(self.outlets.get(&tenant.name)?);
            let desk = Arc::clone(intake.desks.get(&tenant.name)?);
            let folder = pulled_dir.join(tenant.name.as_str());
            let source = Source::new((outlet, desk), &tenant.senders, folder, tenant.sync_every?);
            Some(source)
        };
        let sources = self.config.tenants.iter().filter_map(source).collect();
        let steering = Arc::clone(&steered.steering);
        let pulling = Pulling::new(sources, steering, stop.clone());
        (credentials, pulling)
    }

    /// The loop behind messages that may have gone out.
    fn settling(&self, intake: &Intake) -> Settling {
        Settling {
            settler: Settler::new(
                self.store.clone(),
                Arc::clone(&self.figures),
                Arc::clone(&intake.changed),
            ),
            outlets: self.outlets.clone(),
            alarm: intake.alarm.clone(),
            stop: intake.stop.clone(),
        }
    }

    /// Serves the providers' stand-in, the operator's machines and callbacks, as far as each is
    /// wanted, until `last`; they end by themselves.
    fn serve_beside(&mut self, settler: &Settler, last: &CancellationToken) {
        if let Some(sandbox) = self.sandbox.take() {
            tokio::spawn(sandbox.serve(last.clone()));
        }
        if let Some(admin) = self.admin.take() {
            journal::admin_listening(admin.address());
            tokio::spawn(admin.serve(Arc::clone(&self.figures), last.clone()));
        }
        if let Some(callbacks) = self.callbacks.take() {
            let settler = settler.clone();
            let receiving = Receiving::new(settler, &self.config.tenants, &self.outlets);
            journal::receipts_listening(callbacks.address());
            tokio::spawn(callbacks.serve(receiving.ear(), last.clone()));
        }
    }

    /// The loop that takes files in, with all that it shares with the others.
    fn intake(&self, tenants_dir: &Path, stop: &CancellationToken) -> Intake {
        Intake {
            store: self.store.clone(),
            inbox: self.inbox.clone(),
            desks: desks(&self.config, tenants_dir, &self.media),
            figures: Arc::clone(&self.figures),
            arrived: Arc::default(),
            admitted: Arc::default(),
            changed: Arc::default(),
            look: Arc::default(),
            alarm: Alarm::default(),
            stop: stop.clone(),
        }
    }
}

/// What is done now and then: what is old goes, what lets requests in and what is known of
/// templates is kept.
async fn upkeep(
    retiring: Retiring,
    (credentials, pulling): (Credentials, Pulling),
) -> Result<(), store::Error> {
    tokio::try_join!(retiring.run(), credentials.run(), pulling.run()).map(drop)
}

async fn join<T>(task: JoinHandle<T>) {
    // A panic in a session was told where it happened and ended that session only.
    drop(task.await);
}

fn ended<T>(
    end: Result<Result<T, store::Error>, tokio::task::JoinError>,
    what: &'static str,
) -> Result<T, Error> {
    end.map_err(|_| Error::Panic(what))?.map_err(Error::from)
}

/// Where the templates that were read from providers lie, a folder for each tenant.
pub fn pulled_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("templates")
}

fn desks(
    config: &Config,
    tenants_dir: &Path,
    media: &Arc<MediaSpool>,
) -> BTreeMap<TenantName, Arc<Desk>> {
    let pulled_dir = pulled_dir(&config.data_dir);
    let desk = |tenant: &Tenant| {
        let desk = Desk {
            rules: tenant.rules.clone(),
            duplicate_window: tenant.duplicate_window,
            root: tenants_dir.join(tenant.name.as_str()),
            media: Arc::clone(media),
            inbox: tenant.inbox,
            look_wanted: false.into(),
            shelf: Shelf::new(
                tenant.name.clone(),
                (
                    tenant.templates_dir.clone(),
                    pulled_dir.join(tenant.name.as_str()),
                ),
                tenants_dir
                    .join(tenant.name.as_str())
                    .join("whatsapp/templates"),
            ),
        };
        (tenant.name.clone(), Arc::new(desk))
    };
    config.tenants.iter().map(desk).collect()
}

/// The outlets whose secrets are kept in files, each with what stands there.
fn secrets(
    tenants: &[Tenant],
    outlets: &BTreeMap<TenantName, Arc<Outlet>>,
) -> Vec<(Arc<Outlet>, Secret, PathBuf)> {
    let kept = |tenant: &Tenant| {
        let outlet = Arc::clone(outlets.get(&tenant.name)?);
        let provider = &tenant.provider;
        let file = provider.access_token_file.clone()?;
        Some((outlet, provider.access_token.clone(), file))
    };
    tenants.iter().filter_map(kept).collect()
}

fn offices(
    tenants: &[Tenant],
    tenants_dir: &Path,
    desks: &BTreeMap<TenantName, Arc<Desk>>,
) -> BTreeMap<TenantName, Arc<Office>> {
    let office = |tenant: &Tenant| {
        let office = Office {
            folder: tenants_dir.join(tenant.name.as_str()).join("whatsapp"),
            results: tenant.results,
            desk: Arc::clone(&desks[&tenant.name]),
            statuses: RwLock::default(),
        };
        (tenant.name.clone(), Arc::new(office))
    };
    tenants.iter().map(office).collect()
}

fn households(tenants: &[Tenant], offices: &BTreeMap<TenantName, Arc<Office>>) -> Vec<Household> {
    let household = |tenant: &Tenant| Household {
        tenant: tenant.name.clone(),
        retention: tenant.retention,
        office: Arc::clone(&offices[&tenant.name]),
    };
    tenants.iter().map(household).collect()
}

/// What each tenant wants done with what may have gone out, and how that is held.
fn policies(
    config: &Config,
    outlets: &BTreeMap<TenantName, Arc<Outlet>>,
) -> Vec<(TenantName, UnknownPolicy, Hold)> {
    let is_listening = config.receipts_listen.is_some();
    let policy = |tenant: &Tenant| {
        let hold = settling::hold(tenant, &outlets[&tenant.name], is_listening);
        (tenant.name.clone(), tenant.policy.unknown, hold)
    };
    config.tenants.iter().map(policy).collect()
}

fn outlet(
    tenant: &Tenant,
    sandbox: Option<SocketAddr>,
) -> Result<(TenantName, Arc<Outlet>), Error> {
    let failed = |source| Error::Provider {
        tenant: tenant.name.clone(),
        source,
    };
    let provider = &tenant.provider;
    let client = Client::through(provider.ca_file.as_deref(), provider.proxy.as_ref());
    let client = client.map_err(failed)?;
    let adapter = provider::adapter(&tenant.provider, sandbox);
    let name = tenant.name.clone();
    let outlet = Outlet::new(
        name.clone(),
        adapter,
        client,
        (tenant.policy, Arc::clone(&tenant.quiet_hours)),
        &tenant.senders,
    );
    Ok((name, Arc::new(outlet)))
}

fn folder(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Folder { verb, path, source }
}

/// Takes the data folder for this process alone.
async fn take_lock(data_dir: &Path) -> Result<File, Error> {
    disk::make_folder(data_dir).map_err(folder("make", data_dir))?;
    let path = data_dir.join("lock");
    let lock = File::create(&path).map_err(folder("write", &path))?;
    // One that was killed a moment ago may not be gone yet.
    let until = clock::steady() + LOCK_WAIT;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(fs::TryLockError::WouldBlock) if clock::steady() < until => {
                tokio::time::sleep(LOCK_LOOK).await;
            }
            Err(fs::TryLockError::WouldBlock) => {
                return Err(Error::Held {
                    path: data_dir.into(),
                });
            }
            Err(fs::TryLockError::Error(source)) => return Err(folder("lock", &path)(source)),
        }
    }
}

/// Makes the folders of the data folder and of each tenant.
fn lay_out(config: &Config, tenants_dir: &Path, spool_dir: &Path) -> Result<(), Error> {
    for path in [tenants_dir, spool_dir] {
        disk::make_folder(path).map_err(folder("make", path))?;
    }
    let device = |path: &Path| {
        fs::metadata(path)
            .map(|m| m.dev())
            .map_err(folder("look at", path))
    };
    if device(tenants_dir)? != device(spool_dir)? {
        return Err(Error::TwoFileSystems {
            one: tenants_dir.into(),
            other: spool_dir.into(),
        });
    }
    let path = spool_dir.to_path_buf();
    disk::check_renames(spool_dir).map_err(|source| Error::NoRenames { path, source })?;
    for tenant in &config.tenants {
        let root = tenants_dir.join(tenant.name.as_str());
        sftp::lay_out(&root).map_err(folder("make", &root))?;
        for part in [
            "",
            "whatsapp/results",
            "whatsapp/errors",
            "whatsapp/templates",
        ] {
            let path = root.join(part);
            disk::remove_drafts(&path).map_err(folder("clean", &path))?;
        }
        let path = root.join("README.txt");
        let readme = report::readme(tenant.retention);
        if fs::read(&path).unwrap_or_default() != readme.as_bytes() {
            disk::write_whole(&path, readme.as_bytes()).map_err(folder("write", &path))?;
        }
    }
    Ok(())
}
