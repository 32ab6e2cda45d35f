//! A listener for small HTTP servers that lets in a bounded number of connections and shows out
//! those that fall silent. What is said over a connection is for others to know.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

use crate::clock;

/// How long a connection may stay without sending a byte.
const SILENCE_MAX: Duration = Duration::from_secs(75);

/// How long to wait before accepting again when the process is out of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A listening socket with a bound on the connections that are open at one time. Those beyond it
/// wait in the kernel's queue until somebody leaves.
#[derive(Debug)]
pub struct HttpListener {
    listener: TcpListener,
    address: SocketAddr,
    places: Arc<Semaphore>,
    silence_max: Duration,
}

impl HttpListener {
    /// Listens on `address`; port 0 takes a free one.
    pub async fn open(address: SocketAddr, connections_max: usize) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self {
            listener,
            address,
            places: Arc::new(Semaphore::new(connections_max)),
            silence_max: SILENCE_MAX,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Listener for HttpListener {
    type Io = Guest<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Guest<TcpStream>, SocketAddr) {
        let place = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        loop {
            match self.listener.accept().await {
                Ok((stream, from)) => {
                    // An answer is one small write; a failure here costs only speed.
                    let _ = stream.set_nodelay(true);
                    return (Guest::new(stream, place, self.silence_max), from);
                }
                Err(error) if is_the_peers(&error) => {}
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// The same on a socket of the file system.
#[derive(Debug)]
pub struct SocketListener {
    listener: UnixListener,
    places: Arc<Semaphore>,
}

impl SocketListener {
    /// Listens at `path`, where nothing may lie.
    pub fn open(path: &Path, connections_max: usize) -> io::Result<Self> {
        Ok(Self {
            listener: UnixListener::bind(path)?,
            places: Arc::new(Semaphore::new(connections_max)),
        })
    }
}

impl Listener for SocketListener {
    type Io = Guest<UnixStream>;
    type Addr = ();

    async fn accept(&mut self) -> (Guest<UnixStream>, ()) {
        let place = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => return (Guest::new(stream, place, SILENCE_MAX), ()),
                Err(error) if is_the_peers(&error) => {}
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether accepting failed because the peer left before it was let in.
fn is_the_peers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

/// One connection; its place is free again when it is dropped.
#[derive(Debug)]
pub struct Guest<S> {
    stream: S,
    silence: Pin<Box<Sleep>>,
    silence_max: Duration,
    _place: OwnedSemaphorePermit,
}

impl<S> Guest<S> {
    fn new(stream: S, place: OwnedSemaphorePermit, silence_max: Duration) -> Self {
        Self {
            stream,
            silence: Box::pin(tokio::time::sleep(silence_max)),
            silence_max,
            _place: place,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guest<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, buffer) {
            let deadline = Instant::from_std(clock::steady()) + self.silence_max;
            self.silence.as_mut().reset(deadline);
            return Poll::Ready(read);
        }
        ready!(self.silence.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guest<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stranger who opens connections without end must not use up the daemon's descriptors.
    #[tokio::test]
    async fn no_more_guests_than_places_are_let_in() {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut door = HttpListener::open(loopback, 1).await.expect("opened");
        let address = door.address();
        let _one = TcpStream::connect(address).await.expect("connected");
        let _two = TcpStream::connect(address).await.expect("connected");
        let (first, _) = door.accept().await;
        assert_eq!(door.places.available_permits(), 0);
        {
            let mut second = std::pin::pin!(door.accept());
            let mut cx = Context::from_waker(std::task::Waker::noop());
            assert!(second.as_mut().poll(&mut cx).is_pending());
            drop(first);
            second.await;
        }
        assert_eq!(door.places.available_permits(), 1);
    }

    /// A connection that says nothing must give its place back.
    #[tokio::test]
    async fn a_silent_guest_is_shown_out() {
        use tokio::io::AsyncReadExt as _;
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut door = HttpListener::open(loopback, 1).await.expect("opened");
        door.silence_max = Duration::from_millis(5);
        let _silent = TcpStream::connect(door.address()).await.expect("connected");
        let (mut guest, _) = door.accept().await;
        let error = guest.read_u8().await.expect_err("nothing was sent");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
