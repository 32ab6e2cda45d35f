//! The bytes of one connection: they can be cut off from outside, and a client that takes no more
//! of them is not waited for without end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::clock;

/// How long a client may leave what is sent to it untaken.
pub(super) const STALL_MAX: Duration = Duration::from_mins(2);
/// SSH packets are read in two steps each, so a buffer saves a system call for most of them.
const SOCKET_BUFFER_BYTES: usize = 32 << 10;

/// A stream that fails once it is cut, or once a write has made no progress for too long. A
/// session ends when its stream does, and cannot be ended from outside in any other way.
pub(super) struct Cuttable<S> {
    stream: BufReader<S>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    stall: Pin<Box<Sleep>>,
    stall_max: Duration,
    is_stalled: bool,
}

impl<S: AsyncRead> Cuttable<S> {
    /// A stream that ends with `cut`, or when a write has waited for `stall_max`.
    pub(super) fn new(socket: S, cut: CancellationToken, stall_max: Duration) -> Self {
        Self {
            stream: BufReader::with_capacity(SOCKET_BUFFER_BYTES, socket),
            cut: Box::pin(cut.cancelled_owned()),
            stall: Box::pin(tokio::time::sleep(stall_max)),
            stall_max,
            is_stalled: false,
        }
    }
}

impl<S> Cuttable<S> {
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }

    /// What becomes of a write: it waits for a while only.
    fn bound<T>(
        &mut self,
        context: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.is_stalled = false;
            return outcome;
        }
        if !self.is_stalled {
            self.is_stalled = true;
            let until = clock::steady() + self.stall_max;
            self.stall.as_mut().reset(until.into());
        }
        let elapsed = self.stall.as_mut().poll(context);
        elapsed.map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Cuttable<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Cuttable<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.bound(context, outcome)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        let outcome = Pin::new(&mut self.stream).poll_flush(context);
        self.bound(context, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_shutdown(context);
        self.bound(context, outcome)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A client that stops reading must not hold its session for ever, and one that goes on
    /// reading, however slowly, must not lose it.
    #[tokio::test]
    async fn a_write_without_progress_fails() {
        let (ours, mut theirs) = tokio::io::duplex(16);
        let patience = Duration::from_millis(100);
        let mut stream = Cuttable::new(ours, CancellationToken::new(), patience);
        stream.write_all(&[1; 16]).await.expect("taken");
        let reading = async {
            let mut taken = [0; 8];
            theirs.read_exact(&mut taken).await.expect("sent");
        };
        let (written, ()) = tokio::join!(stream.write_all(&[2; 8]), reading);
        written.expect("there was progress");
        let written = tokio::time::timeout(STALL_MAX, stream.write_all(&[3; 1])).await;
        let error = written.expect("no hang").expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    /// A stop must not wait for a client that neither reads nor writes.
    #[tokio::test]
    async fn a_cut_stream_fails() {
        let (ours, _theirs) = tokio::io::duplex(16);
        let cut = CancellationToken::new();
        let mut stream = Cuttable::new(ours, cut.clone(), STALL_MAX);
        let cutting = async { cut.cancel() };
        let (read, ()) = tokio::join!(stream.read_u8(), cutting);
        let error = read.expect_err("cut");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    }
}
