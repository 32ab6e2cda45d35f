//! The one room that opens a connection to a provider: request in, [`Reply`] out. It tells whether
//! a request can have left at all; what an answer means is the adapters' to know.
//!
//! A message is handed to a connection once. It is handed to another only when not one byte of it
//! left, or when HTTP/2 says that nobody looked at it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Error, Proxy, Reply, Request};
use crate::clock;
use connection::Connection;
use failure::Failure;
use opening::Opener;
use parcel::{NO_URL, Parcel, Target, parse};
use pool::{Site, lock};

mod answer;
mod connection;
mod failure;
#[cfg(test)]
mod faults;
mod opening;
mod parcel;
mod pool;
#[cfg(test)]
mod tests;
mod trust;
mod wire;

/// The longest answer that is read; a longer one counts as cut off.
pub const ANSWER_BYTES_MAX: usize = 1 << 20;

/// The largest file of root certificates that is read.
pub const CA_FILE_BYTES_MAX: u64 = 4 << 20;

/// How long looking up the name, connecting and the TLS handshake may take together. Shorter than
/// any request's own time, so that running out of it is known to have sent nothing.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Idle connections go before the provider's side closes them.
const IDLE_MAX: Duration = Duration::from_secs(20);

/// Idle connections kept for each provider.
const IDLE_CONNECTIONS_MAX: usize = 512;

/// How often idle connections are looked through.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// Requests on one HTTP/2 connection at once: as many as every server should take, and as many as
/// become unclear together when it breaks.
const STREAMS_MAX: usize = 100;

/// The same before the server has said how many it takes: those too many would be refused.
const STREAMS_FIRST: usize = 10;

/// How often a busy HTTP/2 connection is asked whether it still lives, and how long it may take to
/// say so.
const PING_EVERY: Duration = Duration::from_secs(15);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections that others left which one request tries before it opens its own.
const REUSE_MAX: usize = 4;

/// Addresses remembered; more than any tenant's senders have.
const TARGETS_MAX: usize = 4096;

/// Sends requests over pooled connections. A clone shares the pool.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    opener: Opener,
    targets: Mutex<HashMap<String, Arc<Target>>>,
    is_swept: AtomicBool,
}

/// Says why nothing may go to `url`, if that is so.
pub fn check(url: &str) -> Result<(), &'static str> {
    parse(url).map(drop)
}

impl Client {
    /// A client that trusts the roots that come with the binary and those in `ca_file`.
    pub fn new(ca_file: Option<&Path>) -> Result<Self, Error> {
        Self::through(ca_file, None)
    }

    /// The same through a proxy, without which only plain HTTP goes, to this machine itself.
    pub fn through(ca_file: Option<&Path>, proxy: Option<&Proxy>) -> Result<Self, Error> {
        let opener = Opener::new(trust::tls(ca_file)?, proxy.map(|proxy| proxy.uri().clone()));
        let inner = Arc::new(Inner {
            opener,
            targets: Mutex::default(),
            is_swept: AtomicBool::new(false),
        });
        Ok(Self { inner })
    }

    /// Sends `request` once and says what came back.
    pub async fn send(&self, request: &Request) -> Reply {
        self.send_when(request, std::future::ready(())).await
    }

    /// The same once it may leave: a connection is looked for before that is asked, so that what
    /// leaves at its moment is not late by the time that connecting takes.
    pub async fn send_when(&self, request: &Request, may_leave: impl Future<Output = ()>) -> Reply {
        let target = self.inner.target(&request.url);
        let mut parcel = match target.and_then(|target| Parcel::new(request, target)) {
            Ok(parcel) => parcel,
            Err(why) => return Failure::Unsent(why).into(),
        };
        let carried =
            tokio::time::timeout(request.timeout, self.inner.carry(&mut parcel, may_leave)).await;
        match carried {
            Ok(Ok(reply)) => reply,
            Ok(Err(failure)) => failure.into(),
            Err(_) if parcel.can_have_left() => {
                Failure::Unclear("no whole answer came in time").into()
            }
            Err(_) => Failure::Unsent("no connection came about in time").into(),
        }
    }
}

impl Inner {
    async fn carry(
        self: &Arc<Self>,
        parcel: &mut Parcel,
        may_leave: impl Future<Output = ()>,
    ) -> Result<Reply, Failure> {
        let site = Arc::clone(&parcel.target.site);
        let mut may_leave = Some(may_leave);
        for _ in 0..REUSE_MAX {
            let Some(connection) = site.reuse() else {
                break;
            };
            if let Some(may_leave) = may_leave.take() {
                may_leave.await;
            }
            match self.carry_over(connection, parcel).await {
                // Closed while it was idle, as providers do at any moment.
                Err(Failure::Stale(_)) => parcel.take_back(),
                done => return done,
            }
        }
        let connection = Box::pin(self.open(&site)).await.map_err(Failure::Unsent)?;
        if let Some(may_leave) = may_leave.take() {
            may_leave.await;
        }
        self.carry_over(connection, parcel).await
    }

    async fn carry_over(
        self: &Arc<Self>,
        connection: Connection,
        parcel: &mut Parcel,
    ) -> Result<Reply, Failure> {
        parcel.hand_over(&connection);
        match connection {
            Connection::Alone(mut alone) => {
                let (answer, keep) = alone.carry(parcel.to_http_1()).await?;
                if let Some(keep) = keep {
                    parcel.target.site.park(alone, keep);
                    self.keep_swept();
                }
                Ok(answer.into())
            }
            Connection::Shared(mut place) => {
                let answer = place.carry(parcel.to_http_2()).await?;
                Ok(answer.into())
            }
        }
    }

    /// A connection that nobody has used, or has a place for one more.
    async fn open(self: &Arc<Self>, site: &Site) -> Result<Connection, &'static str> {
        let mut opening = None;
        if !site.speaks_http_1() {
            // Whoever waits here may find a place on the connection that is being opened.
            let waited = tokio::time::timeout(CONNECT_TIMEOUT, site.opening.lock()).await;
            opening = Some(waited.map_err(|_| "no connection came about in time")?);
            if let Some(connection) = site.reuse() {
                return Ok(connection);
            }
        }
        if site.speaks_http_1() {
            opening = None;
        }
        let connection = self.opener.open(&site.uri).await?;
        site.met(&connection);
        drop(opening);
        self.keep_swept();
        Ok(connection)
    }

    /// Sees to it that connections which nobody uses any more are closed.
    fn keep_swept(self: &Arc<Self>) {
        if self.is_swept.load(Ordering::Relaxed) || self.is_swept.swap(true, Ordering::Relaxed) {
            return;
        }
        let inner = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(SWEEP_EVERY).await;
                let Some(inner) = inner.upgrade() else {
                    return;
                };
                let now = clock::steady();
                for target in lock(&inner.targets).values() {
                    target.site.sweep(now);
                }
            }
        });
    }

    /// Where a request for `url` goes, or why it must not go.
    fn target(&self, url: &str) -> Result<Arc<Target>, &'static str> {
        let mut targets = lock(&self.targets);
        if let Some(target) = targets.get(url) {
            return Ok(Arc::clone(target));
        }
        let (site, whole) = parse(url)?;
        let same = targets.values().find(|target| target.site.uri == site);
        let shared = same.map(|target| Arc::clone(&target.site));
        let target = Target::new(shared.unwrap_or_else(|| Arc::new(Site::new(site))), whole);
        let target = Arc::new(target.ok_or(NO_URL)?);
        // What asks about something else each time is not met again.
        if url.contains('?') {
            return Ok(target);
        }
        if targets.len() >= TARGETS_MAX {
            targets.clear();
        }
        targets.insert(url.to_owned(), Arc::clone(&target));
        Ok(target)
    }
}
