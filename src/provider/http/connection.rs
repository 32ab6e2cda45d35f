//! One request over one connection. An HTTP/1.1 connection is driven by whoever uses it, without a
//! task of its own; an HTTP/2 connection is shared and has one.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Context;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use super::answer::{self, Answer};
use super::failure::{self, Failure};
use super::opening::{Spoken, Stream};
use super::pool::lock;
use super::wire::Account;
use super::{PING_EVERY, PING_TIMEOUT, STREAMS_FIRST, STREAMS_MAX};
use crate::clock;

type Body = Full<Bytes>;
type Message = hyper::Request<Body>;

/// A way for one request.
#[derive(Debug)]
pub(super) enum Connection {
    /// HTTP/1.1: nobody else uses it.
    Alone(Box<Alone>),
    /// A stream of an HTTP/2 connection.
    Shared(Place),
}

impl Connection {
    /// HTTP/1.1 over `stream`.
    pub(super) async fn alone(stream: Stream, account: Arc<Account>) -> Result<Self, &'static str> {
        let agreed = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = agreed.map_err(|_| NO_HTTP)?;
        Ok(Self::Alone(Box::new(Alone {
            sender,
            connection: Some(connection),
            account,
        })))
    }

    /// HTTP/2 over `stream`.
    pub(super) async fn shared(
        stream: Stream,
        account: Arc<Account>,
    ) -> Result<Self, &'static str> {
        let agreed = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_max_send_streams(STREAMS_FIRST)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT)
            .handshake(TokioIo::new(stream))
            .await;
        let (sender, mut connection) = agreed.map_err(|_| NO_HTTP)?;
        account.expect_talk();
        let room = Arc::new(AtomicUsize::new(STREAMS_FIRST));
        let told = Arc::clone(&room);
        tokio::spawn(poll_fn(move |cx| {
            let polled = Pin::new(&mut connection).poll(cx);
            told.store(connection.current_max_send_streams(), Ordering::Relaxed);
            // How it ended is told to each request on it.
            polled.map(drop)
        }));
        let shared = Arc::new(Shared {
            sender,
            account,
            room,
            streams: AtomicUsize::new(1),
            gone: AtomicBool::new(false),
            idle_since: Mutex::new(clock::steady()),
        });
        Ok(Self::Shared(Place::on(shared)))
    }
}

const NO_HTTP: &str = "the connection was closed before HTTP was agreed on";

/// An HTTP/1.1 connection. Between requests nobody looks at it: whether it still stands is asked
/// when the next one is about to leave.
#[derive(Debug)]
pub(super) struct Alone {
    sender: http1::SendRequest<Body>,
    /// Gone as soon as it has ended: what waits in it then comes back.
    connection: Option<http1::Connection<Spoken, Body>>,
    account: Arc<Account>,
}

impl Alone {
    /// Carries one request, and says how long the connection may wait for another, if at all.
    pub(super) async fn carry(
        &mut self,
        message: Message,
    ) -> Result<(Answer, Option<Duration>), Failure> {
        let before = self.account.written();
        let sending = self.sender.try_send_request(message);
        let response = match self.driven(sending).await {
            Ok(response) => response,
            Err(error) => {
                let left = self.account.written() != before;
                return Err(fate(error, left));
            }
        };
        let (head, mut body) = response.into_parts();
        let keep = answer::keep(&head.headers);
        let mut answer = Answer::of(&head);
        while let Some(frame) = self.driven(answer::frame(&mut body)).await {
            answer.take(frame)?;
        }
        if !self.sender.is_ready() {
            self.driven(std::future::ready(())).await;
        }
        let is_ready = self.connection.is_some() && self.sender.is_ready();
        Ok((answer, keep.filter(|_| is_ready)))
    }

    /// Waits for `future`, which waits for this connection.
    async fn driven<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| {
            self.drive(cx);
            future.as_mut().poll(cx)
        })
        .await
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        let polled = self.connection.as_mut().map(|one| Pin::new(one).poll(cx));
        // How it ended is told to the request on it.
        if polled.is_some_and(|polled| polled.is_ready()) {
            self.connection = None;
        }
    }

    /// What has left over it.
    pub(super) fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// Has the next request fail before a byte leaves if the other side has hung up meanwhile.
    pub(super) fn look_first(&self) {
        self.account.look_first();
    }
}

/// An HTTP/2 connection.
#[derive(Debug)]
pub(super) struct Shared {
    sender: http2::SendRequest<Body>,
    account: Arc<Account>,
    /// How many streams the other side takes at once.
    room: Arc<AtomicUsize>,
    streams: AtomicUsize,
    gone: AtomicBool,
    idle_since: Mutex<Instant>,
}

impl Shared {
    /// A place on it, if there is room.
    pub(super) fn place(self: &Arc<Self>) -> Option<Place> {
        let room = self.room.load(Ordering::Relaxed).min(STREAMS_MAX);
        let more = |streams| (streams < room).then_some(streams + 1);
        let taken = self
            .streams
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        if taken.ok()? == 0 {
            self.account.look_first();
        }
        Some(Place::on(Arc::clone(self)))
    }

    /// Whether it takes no request any more.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire) || self.sender.is_closed()
    }

    /// Since when nobody uses it; `None` while somebody does.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let since = *lock(&self.idle_since);
        (self.streams.load(Ordering::Acquire) == 0).then_some(since)
    }
}

/// A stream of a shared connection, for one request.
#[derive(Debug)]
pub(super) struct Place {
    shared: Arc<Shared>,
    is_waiting: bool,
}

impl Place {
    /// A stream that has been counted already.
    fn on(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            is_waiting: false,
        }
    }

    /// The connection it is on.
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Carries one request.
    pub(super) async fn carry(&mut self, message: Message) -> Result<Answer, Failure> {
        self.is_waiting = true;
        let carried = self.carry_waiting(message).await;
        self.is_waiting = false;
        carried
    }

    async fn carry_waiting(&self, message: Message) -> Result<Answer, Failure> {
        let account = &self.shared.account;
        let before = account.written();
        let sending = self.shared.sender.clone().try_send_request(message);
        let response = sending.await.map_err(|error| {
            // Only a connection that broke sends nothing more of what it was handed.
            let left = !failure::is_broken(error.error()) || account.written() != before;
            let failure = fate(error, left);
            if matches!(failure, Failure::Stale(_)) {
                self.shared.gone.store(true, Ordering::Release);
            }
            failure
        })?;
        let (head, mut body) = response.into_parts();
        let mut answer = Answer::of(&head);
        while let Some(frame) = answer::frame(&mut body).await {
            answer.take(frame)?;
        }
        Ok(answer)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Given up in the middle: whatever keeps this answer back may keep back the next ones too.
        if self.is_waiting {
            self.shared.gone.store(true, Ordering::Release);
        }
        *lock(&self.shared.idle_since) = clock::steady();
        self.shared.streams.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What became of a message, of which some can have left or surely nothing.
fn fate(mut error: TrySendError<Message>, can_have_left: bool) -> Failure {
    let is_back = error.take_message().is_some();
    match Failure::of(error.error()) {
        Failure::Unclear(why) if is_back || !can_have_left => Failure::Stale(why),
        failure => failure,
    }
}
