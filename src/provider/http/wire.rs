//! The bytes of one connection, with an account of how many have left. A request that was handed
//! over and raised no count has surely not been sent, whatever else went wrong.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use rustix::net::RecvFlags;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What has left over one connection.
#[derive(Debug, Default)]
pub(super) struct Account {
    written: AtomicU64,
    look_first: AtomicBool,
    /// Whether the other side may speak unasked.
    expects_talk: AtomicBool,
}

impl Account {
    /// How many bytes the network has taken, TLS included.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Has the next write fail, and send nothing, if the other side has hung up, or has said
    /// something unasked, which before the end is the only thing to be said.
    pub(super) fn look_first(&self) {
        self.look_first.store(true, Ordering::Release);
    }

    /// The other side speaks unasked, as in HTTP/2.
    pub(super) fn expect_talk(&self) {
        self.expects_talk.store(true, Ordering::Release);
    }
}

/// The most that is taken in of what was said unasked, in bytes; the rest is read as ever.
const TAKEN_IN_BYTES_MAX: usize = 4096;

/// A TCP connection that keeps its account.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    account: Arc<Account>,
    /// What was taken in before it was asked for, and how much of it was read.
    taken_in: (Vec<u8>, usize),
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> Self {
        let account = Arc::default();
        let taken_in = (Vec::new(), 0);
        Self {
            stream,
            account,
            taken_in,
        }
    }

    pub(super) fn account(&self) -> Arc<Account> {
        Arc::clone(&self.account)
    }

    /// Asks the kernel itself: what arrived a moment ago may not have been announced to us yet.
    /// Says whether something is to be read before anything is written: a goodbye, as it may be,
    /// that would be lost in the answer to what is written behind it.
    fn look(&mut self) -> io::Result<bool> {
        if !self.account.look_first.swap(false, Ordering::AcqRel) {
            return Ok(false);
        }
        let talks = self.account.expects_talk.load(Ordering::Acquire);
        let mut flags = RecvFlags::DONTWAIT;
        if !talks {
            flags |= RecvFlags::PEEK;
        }
        let mut bytes = [0_u8; TAKEN_IN_BYTES_MAX];
        match rustix::net::recv(&self.stream, &mut bytes, flags) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
            Ok((_, count @ 1..)) if talks => {
                self.taken_in.0.extend_from_slice(&bytes[..count]);
                Ok(true)
            }
            Ok(_) => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Gives what was taken in, as far as there is room for it; whether there was any.
    fn give(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let (bytes, read) = &mut self.taken_in;
        let rest = &bytes[*read..];
        if rest.is_empty() {
            return false;
        }
        let count = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..count]);
        *read += count;
        if *read == bytes.len() {
            self.taken_in = (Vec::new(), 0);
        }
        true
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.give(buffer) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.look()? {
            // Whoever writes reads first when it is woken.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let taken = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.account
            .written
            .fetch_add(taken as u64, Ordering::AcqRel);
        Poll::Ready(Ok(taken))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.look()? {
            // Whoever writes reads first when it is woken.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let taken = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, parts))?;
        self.account
            .written
            .fetch_add(taken as u64, Ordering::AcqRel);
        Poll::Ready(Ok(taken))
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
    use std::io::{Read as _, Write as _};
    use std::net;

    use tokio::io::AsyncWriteExt as _;

    use super::*;

    /// A wire and its other end.
    fn pair() -> (Wire, net::TcpStream) {
        let listener = net::TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("bound");
        let near = net::TcpStream::connect(address).expect("connected");
        near.set_nonblocking(true).expect("set");
        let (far, _) = listener.accept().expect("accepted");
        let near = TcpStream::from_std(near).expect("registered");
        (Wire::new(near), far)
    }

    /// A provider that hangs up just before a request leaves must not make its message unclear,
    /// though the runtime has not heard of it yet.
    #[tokio::test]
    async fn a_hang_up_is_seen_before_a_byte_leaves() {
        let (mut wire, mut far) = pair();
        let account = wire.account();
        account.look_first();
        assert_eq!(
            wire.write(b"one").await.expect("the other side is there"),
            3
        );
        assert_eq!(account.written(), 3);
        // What was not read would make it hang up in a way that everybody sees.
        far.read_exact(&mut [0; 3]).expect("read");
        drop(far);
        account.look_first();
        let two = wire.write(b"two").await;
        two.expect_err("the other side is gone");
        assert_eq!(account.written(), 3);
    }

    /// What was said unasked is taken for an answer to the next request, unless it is seen before;
    /// HTTP/2 says things unasked all the time.
    #[tokio::test]
    async fn talk_between_requests_is_seen_where_none_is_due() {
        let (mut wire, mut far) = pair();
        let account = wire.account();
        far.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
            .expect("written");
        account.look_first();
        wire.write(b"one").await.expect_err("it has spoken");
        assert_eq!(account.written(), 0);
        account.expect_talk();
        account.look_first();
        wire.write_all(b"one").await.expect("that is no harm");
        assert_eq!(account.written(), 3);
    }
}
