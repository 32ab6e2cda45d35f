//! A provider that takes everything at once and writes down when it saw what, by its own clock.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Runtime;

use crate::service::Outcome;

/// Recipients that begin so are written down one by one.
pub(crate) const WATCHED: &str = "+3162";

/// Connections that may wait to be taken.
const BACKLOG: u32 = 4_096;

/// How many take connections: one alone, between requests, would let those wait that are the first
/// on theirs, and would count them late.
const TAKERS: usize = 4;

/// The provider, answering until the program ends.
#[derive(Clone)]
pub(crate) struct StandIn {
    pub(crate) address: SocketAddr,
    book: Arc<Book>,
}

/// Whether the moments of each number are written down, which takes memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Senders {
    Timed,
    Counted,
}

struct Book {
    senders: Senders,
    seen: AtomicU64,
    first: Mutex<Option<Instant>>,
    recipients: Mutex<HashMap<String, Instant>>,
    times: Mutex<HashMap<String, Vec<Instant>>>,
}

impl StandIn {
    /// Opens it; it is served by this runtime.
    pub(crate) fn open(runtime: &Runtime, senders: Senders) -> Outcome<Self> {
        let _inside = runtime.enter();
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        // A connection that finds no room among those that wait tries again after a whole second.
        let listener = socket.listen(BACKLOG)?.into_std()?;
        let address = listener.local_addr()?;
        let book = Arc::new(Book {
            senders,
            seen: AtomicU64::new(0),
            first: Mutex::default(),
            recipients: Mutex::default(),
            times: Mutex::default(),
        });
        let router = Router::new().fallback(take).with_state(Arc::clone(&book));
        for _ in 0..TAKERS {
            let listener = TcpListener::from_std(listener.try_clone()?)?;
            let router = router.clone();
            // It ends with the program.
            tokio::spawn(async move { axum::serve(listener, router).await });
        }
        Ok(Self { address, book })
    }

    /// How many messages it has seen since it was opened or told to begin afresh.
    pub(crate) fn seen(&self) -> u64 {
        self.book.seen.load(Relaxed)
    }

    /// When it saw the first of them.
    pub(crate) fn first(&self) -> Option<Instant> {
        *lock(&self.book.first)
    }

    /// Forgets how many it has seen.
    pub(crate) fn begin_afresh(&self) {
        *lock(&self.book.first) = None;
        self.book.seen.store(0, Relaxed);
    }

    /// When it last saw a message to this recipient.
    pub(crate) fn seen_to(&self, recipient: &str) -> Option<Instant> {
        lock(&self.book.recipients).get(recipient).copied()
    }

    /// When messages of each number came.
    pub(crate) fn times(&self) -> HashMap<String, Vec<Instant>> {
        std::mem::take(&mut *lock(&self.book.times))
    }
}

async fn take(State(book): State<Arc<Book>>, uri: Uri, body: Bytes) -> Response {
    let now = Instant::now();
    let number = book.seen.fetch_add(1, Relaxed);
    if number == 0 {
        *lock(&book.first) = Some(now);
    }
    let text = std::str::from_utf8(&body).unwrap_or_default();
    let to = after(text, "\"to\":\"");
    if to.starts_with(WATCHED) {
        lock(&book.recipients).insert(to.to_owned(), now);
    }
    if book.senders == Senders::Timed
        && let Some(sender) = uri.path().split('/').nth(2)
    {
        let mut times = lock(&book.times);
        if let Some(known) = times.get_mut(sender) {
            known.push(now);
        } else {
            times.insert(sender.to_owned(), vec![now]);
        }
    }
    let body = format!(
        r#"{{"messaging_product":"whatsapp","contacts":[{{"input":"{to}","wa_id":"{}"}}],"messages":[{{"id":"wamid.{number:024}","message_status":"accepted"}}]}}"#,
        to.trim_start_matches('+')
    );
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], body).into_response()
}

fn after<'t>(text: &'t str, key: &str) -> &'t str {
    let value = text.split_once(key).map_or("", |(_, rest)| rest);
    value.split('"').next().unwrap_or_default()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
