//! The connections that wait for another request, site by site.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::Uri;

use super::connection::{Alone, Connection, Shared};
use super::{IDLE_CONNECTIONS_MAX, IDLE_MAX};
use crate::clock;

/// One provider's address, with the connections to it.
#[derive(Debug)]
pub(super) struct Site {
    /// Its scheme and authority.
    pub(super) uri: Uri,
    /// HTTP/1.1 connections, the one used last at the end.
    idle: Mutex<Vec<Idle>>,
    /// HTTP/2 connections, busy or not.
    shared: Mutex<Vec<Arc<Shared>>>,
    /// Whether each request may open a connection of its own.
    speaks_http_1: AtomicBool,
    /// Held while a connection is opened that many may wait for.
    pub(super) opening: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Idle {
    connection: Box<Alone>,
    until: Instant,
}

impl Site {
    pub(super) fn new(uri: Uri) -> Self {
        // HTTP/2 is agreed on in TLS alone.
        let speaks_http_1 = AtomicBool::new(uri.scheme_str() == Some("http"));
        Self {
            uri,
            idle: Mutex::default(),
            shared: Mutex::default(),
            speaks_http_1,
            opening: tokio::sync::Mutex::default(),
        }
    }

    /// A connection that stands already, as far as is known.
    pub(super) fn reuse(&self) -> Option<Connection> {
        if let Some(alone) = self.reuse_idle() {
            alone.look_first();
            return Some(Connection::Alone(alone));
        }
        if self.speaks_http_1() {
            return None;
        }
        let mut shared = lock(&self.shared);
        shared.retain(|shared| !shared.is_gone());
        let place = shared.iter().find_map(Shared::place);
        place.map(Connection::Shared)
    }

    /// The one used last: those beneath it get old together and go.
    fn reuse_idle(&self) -> Option<Box<Alone>> {
        let mut idle = lock(&self.idle);
        let Idle { connection, until } = idle.pop()?;
        (until > clock::steady()).then_some(connection)
    }

    /// Takes note of a connection that was opened, for others to use.
    pub(super) fn met(&self, connection: &Connection) {
        let speaks_http_1 = match connection {
            Connection::Alone(_) => true,
            Connection::Shared(place) => {
                lock(&self.shared).push(Arc::clone(place.shared()));
                false
            }
        };
        self.speaks_http_1.store(speaks_http_1, Ordering::Relaxed);
    }

    /// Whether each request may open a connection of its own.
    pub(super) fn speaks_http_1(&self) -> bool {
        self.speaks_http_1.load(Ordering::Relaxed)
    }

    /// Keeps `connection` for another request.
    pub(super) fn park(&self, connection: Box<Alone>, keep: Duration) {
        let until = clock::steady() + keep;
        let mut idle = lock(&self.idle);
        if idle.len() < IDLE_CONNECTIONS_MAX {
            idle.push(Idle { connection, until });
        }
    }

    /// Closes what has waited long enough.
    pub(super) fn sweep(&self, now: Instant) {
        lock(&self.idle).retain(|idle| idle.until > now);
        lock(&self.shared).retain(|shared| {
            let is_old = |since| now.saturating_duration_since(since) >= IDLE_MAX;
            !shared.is_gone() && !shared.idle_since().is_some_and(is_old)
        });
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
