//! One TCP connection: its place, its limits, and its end.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use russh::server;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::crowd::{Crowd, Source, Standing, TurnedAway};
use super::penalties::Misdeed;
use super::proxy;
use super::session::Session;
use super::stream::{Cuttable, STALL_MAX};
use super::{House, TENANT_SESSIONS_MAX, lock};
use crate::batch::TenantName;
use crate::clock;

/// How long a connection may take to log in.
const LOGIN_GRACE: Duration = Duration::from_secs(30);
/// How long a proxy may take to say for whom it connects.
const PROXY_GRACE: Duration = Duration::from_secs(5);

/// A session's place among those of its tenant, given back when it ends.
pub(super) struct SessionPlace {
    house: Arc<House>,
    taken: Option<TenantName>,
}

impl SessionPlace {
    pub(super) fn new(house: Arc<House>) -> Self {
        Self { house, taken: None }
    }

    /// Takes a place; says whether there was one.
    pub(super) fn take(&mut self, tenant: &TenantName) -> bool {
        let limits = &self.house.settings.sessions_max;
        let most = limits.get(tenant).copied().unwrap_or(TENANT_SESSIONS_MAX);
        let mut tenants = lock(&self.house.tenants);
        let count = tenants.entry(tenant.clone()).or_default();
        if self.taken.is_some() || *count >= most {
            return false;
        }
        *count += 1;
        self.taken = Some(tenant.clone());
        true
    }
}

impl Drop for SessionPlace {
    fn drop(&mut self) {
        let mut tenants = lock(&self.house.tenants);
        if let Some(tenant) = &self.taken
            && let Some(count) = tenants.get_mut(tenant)
        {
            *count -= 1;
            if *count == 0 {
                tenants.remove(tenant);
            }
        }
    }
}

/// The sessions of each tenant.
pub(super) type Tenants = Mutex<HashMap<TenantName, usize>>;

/// Notes what strangers from one address do, as they do it, and knows whether they are heard.
#[derive(Clone, Debug)]
pub(super) struct Warden {
    crowd: Arc<Mutex<Crowd>>,
    /// None where many clients share an address: they are always heard.
    source: Option<Source>,
}

impl Warden {
    pub(super) fn new(crowd: &Arc<Mutex<Crowd>>, source: Option<Source>) -> Self {
        let crowd = Arc::clone(crowd);
        Self { crowd, source }
    }

    /// Where they come from.
    pub(super) fn source(&self) -> Option<Source> {
        self.source
    }

    /// Whether they are not heard at present.
    pub(super) fn refuses(&self) -> bool {
        let now = clock::steady();
        self.source
            .is_some_and(|source| lock(&self.crowd).refuses(source, now))
    }

    pub(super) fn penalise(&self, misdeed: Misdeed) {
        if let Some(source) = self.source {
            lock(&self.crowd).penalise(source, misdeed, clock::steady());
        }
    }

    pub(super) fn forgive(&self, misdeed: Misdeed) {
        if let Some(source) = self.source {
            lock(&self.crowd).forgive(source, misdeed);
        }
    }
}

/// A connection's place in the crowd, given back when it ends.
pub(super) struct Ticket {
    warden: Warden,
    standing: Standing,
}

impl Ticket {
    /// Takes a place for a connection from there; an address that many share has no `source`.
    pub(super) fn take(
        crowd: &Arc<Mutex<Crowd>>,
        source: Option<Source>,
    ) -> Result<Self, TurnedAway> {
        lock(crowd).take(source, clock::steady(), fastrand::f64())?;
        Ok(Self {
            warden: Warden::new(crowd, source),
            standing: Standing::Stranger,
        })
    }

    fn enter(&mut self) {
        let Warden { crowd, source } = &self.warden;
        lock(crowd).enter(*source);
        self.standing = Standing::Guest;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let Warden { crowd, source } = &self.warden;
        lock(crowd).leave(*source, self.standing);
    }
}

/// How a connection ended.
enum End {
    /// As it should, or by no fault of the peer.
    Well,
    /// The door is closing.
    Stopped,
    /// It took too long to log in.
    GraceExceeded,
    /// It did not speak SSH.
    Garbage,
}

impl End {
    /// What an error says of a stranger. A client that only looks at the host keys, or knows none
    /// of the algorithms, does no harm.
    fn of(error: &russh::Error) -> Self {
        use russh::Error::{
            Inconsistent, IndexOutOfBounds, Kex, KexInit, PacketAuth, PacketSize,
            StrictKeyExchangeViolation, Version,
        };
        match error {
            Inconsistent
            | IndexOutOfBounds
            | Kex
            | KexInit
            | PacketAuth
            | PacketSize(_)
            | StrictKeyExchangeViolation { .. }
            | Version => Self::Garbage,
            _ => Self::Well,
        }
    }
}

/// A connection, from its acceptance to its end.
pub(super) struct Connection {
    pub(super) config: Arc<server::Config>,
    pub(super) house: Arc<House>,
    pub(super) peer: SocketAddr,
    /// Asks the session to end.
    pub(super) stop: CancellationToken,
    /// Ends it.
    pub(super) cut: CancellationToken,
}

impl Connection {
    /// Serves a connection that has its place.
    pub(super) async fn run(self, socket: TcpStream, mut ticket: Ticket) {
        // Every request waits for a reply, so small packets must not wait to be joined.
        if socket.set_nodelay(true).is_err() {
            return;
        }
        let peer = self.peer;
        let wrong = Arc::new(AtomicU32::new(0));
        let end = self.converse(socket, &mut ticket, &wrong).await;
        let wrong = wrong.load(Ordering::Relaxed);
        if wrong > 0 && !matches!(end, End::Stopped) {
            tracing::debug!(%peer, wrong, "a connection has shown wrong keys");
            ticket.warden.penalise(Misdeed::WrongCredentials(wrong));
        }
        if ticket.standing == Standing::Stranger {
            match end {
                End::GraceExceeded => ticket.warden.penalise(Misdeed::GraceExceeded),
                End::Garbage => ticket.warden.penalise(Misdeed::Garbage),
                End::Well | End::Stopped => {}
            }
        }
    }

    /// Serves a connection from a proxy, which says first for whom it is.
    pub(super) async fn run_behind_proxy(
        mut self,
        mut socket: TcpStream,
        waiting: OwnedSemaphorePermit,
    ) {
        // Byte by byte, because what follows the header is not ours: the header is short.
        let told = tokio::select! {
            told = tokio::time::timeout(PROXY_GRACE, proxy::read(&mut socket)) => told,
            () = self.stop.cancelled() => return,
        };
        match told {
            Ok(Ok(told)) => self.peer = told.unwrap_or(self.peer),
            Ok(Err(error)) => {
                tracing::debug!(peer = %self.peer, %error, "a proxy is turned away");
                return self.house.turned_away(TurnedAway::NoProxyHeader);
            }
            Err(_) => return self.house.turned_away(TurnedAway::NoProxyHeader),
        }
        drop(waiting);
        if let Some(ticket) = self.house.admit(self.peer) {
            self.run(socket, ticket).await;
        }
    }

    async fn converse(self, socket: TcpStream, ticket: &mut Ticket, wrong: &Arc<AtomicU32>) -> End {
        // When this task ends for whatever reason, so does the session, which is a task of its own.
        let _cut = self.cut.clone().drop_guard();
        let stream = Cuttable::new(socket, self.cut.clone(), STALL_MAX);
        let entered = CancellationToken::new();
        let session = Session::new(
            self.house,
            (self.peer.ip(), ticket.warden.clone()),
            entered.clone(),
            Arc::clone(wrong),
        );
        let grace = tokio::time::sleep(LOGIN_GRACE);
        tokio::pin!(grace);
        let started = tokio::select! {
            started = server::run_stream(self.config, stream, session) => started,
            () = &mut grace => return End::GraceExceeded,
            () = self.stop.cancelled() => return End::Stopped,
        };
        let mut running = match started {
            Ok(running) => running,
            Err(error) => {
                tracing::debug!(peer = %self.peer, %error, "a connection did not begin");
                return End::of(&error);
            }
        };
        let outcome = tokio::select! {
            outcome = &mut running => outcome,
            () = &mut grace => return End::GraceExceeded,
            () = self.stop.cancelled() => return End::Stopped,
            () = entered.cancelled() => {
                ticket.enter();
                let handle = running.handle();
                tokio::select! {
                    outcome = &mut running => outcome,
                    () = self.stop.cancelled() => {
                        let reason = russh::Disconnect::ByApplication;
                        let words = "the server is going down".to_owned();
                        let _ = handle.disconnect(reason, words, "en".to_owned()).await;
                        running.await
                    }
                }
            }
        };
        match outcome {
            Ok(()) => End::Well,
            Err(error) => {
                tracing::debug!(peer = %self.peer, %error, "a connection ended");
                End::of(&error)
            }
        }
    }
}
