//! The replies of one channel on their way to the client, in order.
//!
//! They wait in a queue for a task of their own, which reads the data of READs and sends when the
//! client's window is open. The session never waits for that task: it is the session that hears
//! the window open. A client that lets more replies pile up than the queue takes loses its channel;
//! a READ for which its tenant has no memory left is refused, and nothing else waits for that.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use russh::ChannelWriteHalf;
use russh::server::Msg;
use tokio::sync::{mpsc, oneshot};

use super::packet::{self, DATA_BYTES_MAX, DATA_HEAD_BYTES, Status};
use super::refusal::{Refusal, unconfirmed};
use super::shares::{Seat, Waiting};

/// How many replies may wait. Some clients ask for a whole file at once, 32 KiB at a time: this is
/// one of four gigabytes.
const REPLIES_MAX: usize = 128 << 10;
/// How many bytes the waiting replies may hold; the data of READs is not among them.
const REPLY_BYTES_MAX: usize = 2 << 20;
/// Replies are put together until they are this long: small SSH packets cost as much as large ones.
const BATCH_BYTES: usize = 240 << 10;

/// What a reply that is not known yet counts for: it will be a status.
const LATER_BYTES: usize = 256;
/// The memory that a READ takes while it waits.
const READ_BYTES: usize = size_of::<Reply>();
/// How long a client may take to open its window for what is next.
const WINDOW_WAIT: Duration = Duration::from_mins(10);

/// Why a reply does not go out.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unsent {
    #[error("too many replies are waiting for the client")]
    Flooded,
    #[error("the client takes no more replies")]
    Closed,
}

/// A file to read from. It counts among the open files of its session as long as a READ waits for
/// it, also past its close: a client that reads no answers could hold any number of files else.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) file: Arc<File>,
    pub(super) _seat: Arc<Seat>,
}

/// A reply on its way.
enum Reply {
    Bytes(Vec<u8>),
    /// The data is read when it can be sent, so a waiting READ holds none.
    Data {
        id: u32,
        source: Source,
        offset: u64,
        length: u32,
    },
    /// What somebody was at work on; it counts as when it was not known.
    Known(Vec<u8>),
    /// Somebody is still at work on it.
    Later {
        id: u32,
        reply: oneshot::Receiver<Vec<u8>>,
    },
}

/// Where replies are put to be sent.
pub(super) struct Outbox {
    queue: mpsc::Sender<Reply>,
    bytes: Arc<AtomicUsize>,
    waiting: Arc<Waiting>,
}

/// Where replies are taken from.
pub(super) struct Outgoing {
    queue: mpsc::Receiver<Reply>,
    /// Taken from the queue, and not known when those before it were sent.
    kept: Option<Reply>,
    bytes: Arc<AtomicUsize>,
    waiting: Arc<Waiting>,
}

/// A queue for the replies of one channel; `waiting` counts its READs among those of the tenant.
pub(super) fn outbox(waiting: Waiting) -> (Outbox, Outgoing) {
    let (sender, receiver) = mpsc::channel(REPLIES_MAX);
    let (bytes, waiting) = (Arc::new(AtomicUsize::new(0)), Arc::new(waiting));
    let outgoing = Outgoing {
        queue: receiver,
        kept: None,
        bytes: Arc::clone(&bytes),
        waiting: Arc::clone(&waiting),
    };
    let outbox = Outbox {
        queue: sender,
        bytes,
        waiting,
    };
    (outbox, outgoing)
}

impl Outbox {
    /// Puts a reply in the queue.
    pub(super) fn push(&self, reply: Vec<u8>) -> Result<(), Unsent> {
        self.count(reply.len())?;
        self.send(Reply::Bytes(reply))
    }

    /// Keeps the place of a reply that is not known yet.
    pub(super) fn push_later(
        &self,
        id: u32,
        reply: oneshot::Receiver<Vec<u8>>,
    ) -> Result<(), Unsent> {
        self.count(LATER_BYTES)?;
        self.send(Reply::Later { id, reply })
    }

    fn count(&self, bytes: usize) -> Result<(), Unsent> {
        let waiting = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if waiting + bytes > REPLY_BYTES_MAX {
            return Err(Unsent::Flooded);
        }
        Ok(())
    }

    /// Puts a READ in the queue; its data is read when it can be sent. Sessions that have gone to
    /// sleep over their downloads may hold all that their tenant may: then it is refused, while
    /// whatever an upload waits for goes on.
    pub(super) fn push_data(
        &self,
        id: u32,
        source: Source,
        offset: u64,
        length: u32,
    ) -> Result<(), Unsent> {
        if !self.waiting.take(READ_BYTES) {
            self.waiting.give_back(READ_BYTES);
            return self.push(Refusal::failure("too many reads are waiting").reply(id));
        }
        let length = length.min(DATA_BYTES_MAX);
        self.send(Reply::Data {
            id,
            source,
            offset,
            length,
        })
    }

    fn send(&self, reply: Reply) -> Result<(), Unsent> {
        self.queue.try_send(reply).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Unsent::Flooded,
            mpsc::error::TrySendError::Closed(_) => Unsent::Closed,
        })
    }
}

/// Sends the replies of a channel until its conversation is over, then says goodbye as OpenSSH
/// does.
pub(super) async fn deliver(mut replies: Outgoing, channel: ChannelWriteHalf<Msg>) {
    while let Some(out) = replies.next_batch().await {
        match tokio::time::timeout(WINDOW_WAIT, channel.data_bytes(out)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return,
            Err(_) => {
                tracing::debug!("a client takes no replies, and loses its channel");
                let _ = channel.close().await;
                return;
            }
        }
    }
    // The client may be gone by now, and then nobody is left to be told.
    let _ = channel.exit_status(0).await;
    let _ = channel.eof().await;
    let _ = channel.close().await;
}

impl Outgoing {
    /// The next replies, put together as far as they can be sent; `None` when there will be none.
    pub(super) async fn next_batch(&mut self) -> Option<Vec<u8>> {
        let first = match self.kept.take() {
            Some(kept) => kept,
            None => self.queue.recv().await?,
        };
        let room = if self.queue.is_empty() {
            0
        } else {
            BATCH_BYTES
        };
        let mut out = Vec::with_capacity(room + first.bytes_max());
        let mut next = Some(first);
        while let Some(mut reply) = next {
            // What is known goes out before anything is waited for.
            if !out.is_empty() && !reply.is_known() {
                self.kept = Some(reply);
                break;
            }
            self.bytes
                .fetch_sub(reply.counted_bytes(), Ordering::Relaxed);
            if matches!(reply, Reply::Data { .. }) {
                self.waiting.give_back(READ_BYTES);
            }
            reply.append_to(&mut out).await;
            next = if out.len() < BATCH_BYTES {
                self.queue.try_recv().ok()
            } else {
                None
            };
        }
        Some(out)
    }
}

impl Reply {
    fn bytes_max(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Known(_) | Self::Later { .. } => LATER_BYTES,
            Self::Data { length, .. } => DATA_HEAD_BYTES + *length as usize,
        }
    }

    /// What it counts for among those that wait.
    fn counted_bytes(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Known(_) | Self::Later { .. } => LATER_BYTES,
            Self::Data { .. } => 0,
        }
    }

    /// Whether it can be sent; one that has come in meanwhile takes the place that was kept for it.
    fn is_known(&mut self) -> bool {
        let Self::Later { id, reply } = self else {
            return true;
        };
        match reply.try_recv() {
            Err(oneshot::error::TryRecvError::Empty) => return false,
            // Its bytes were counted as those of the place.
            Ok(bytes) => *self = Self::Known(bytes),
            Err(oneshot::error::TryRecvError::Closed) => *self = Self::Known(lost(*id)),
        }
        true
    }

    async fn append_to(self, out: &mut Vec<u8>) {
        match self {
            Self::Bytes(bytes) | Self::Known(bytes) => out.extend_from_slice(&bytes),
            Self::Later { id, reply } => {
                out.extend(reply.await.unwrap_or_else(|_| lost(id)));
            }
            Self::Data {
                id,
                source,
                offset,
                length,
            } => append_data(out, id, (&source.file, offset, length)),
        }
    }
}

/// The reply to what ended in a panic, or with the server: it may have been done.
fn lost(id: u32) -> Vec<u8> {
    unconfirmed().reply(id)
}

/// Reads a stretch of a file behind the head of its reply.
fn append_data(out: &mut Vec<u8>, id: u32, (file, offset, length): (&File, u64, u32)) {
    let start = out.len();
    let data = start + DATA_HEAD_BYTES;
    out.resize(data + length as usize, 0);
    // No file reaches that far, and the kernel would call it an error.
    let beyond = i64::try_from(offset.saturating_add(u64::from(length))).is_err();
    let read = if beyond {
        Ok(0)
    } else {
        file.read_at(&mut out[data..], offset)
    };
    match read {
        Ok(count) if count > 0 => {
            out.truncate(data + count);
            out[start..data].copy_from_slice(&packet::data_head(id, count as u32));
        }
        Ok(_) => {
            out.truncate(start);
            out.extend(packet::status(id, Status::Eof, "end of file"));
        }
        Err(error) => {
            out.truncate(start);
            out.extend(Refusal::from(error).reply(id));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;
    use crate::sftp::shares::Shares;

    /// A client that asks for ever and never reads the answers must lose its channel before it
    /// takes the memory of the others.
    #[test]
    fn replies_that_nobody_reads_are_bounded() {
        let kilobyte = || vec![0; 1024];
        let shares = Shares::default();
        let (queue, _unread) = outbox(shares.waiting());
        for _ in 0..REPLY_BYTES_MAX / 1024 {
            queue.push(kilobyte()).expect("within the bound");
        }
        assert!(matches!(queue.push(kilobyte()), Err(Unsent::Flooded)));

        let (queue, unread) = outbox(shares.waiting());
        let seat = shares.seat(&Arc::new(Semaphore::new(1)));
        let source = Source {
            file: Arc::new(tempfile::tempfile().expect("a file")),
            _seat: Arc::new(seat.expect("a seat")),
        };
        for id in 0..REPLIES_MAX as u32 {
            let read = queue.push_data(id, source.clone(), 0, u32::MAX);
            read.expect("within the bound");
        }
        let more = queue.push_data(0, source.clone(), 0, 1);
        assert!(matches!(more, Err(Unsent::Flooded)));
        drop(unread);
        let late = queue.push_data(0, source, 0, 1);
        assert!(matches!(late, Err(Unsent::Closed)));
    }

    /// A tenant whose downloads have gone to sleep must still be able to upload, and be told that
    /// it asks for too much.
    #[test]
    fn reads_that_nobody_takes_leave_room_for_answers() {
        let shares = Shares::default();
        let seat = shares.seat(&Arc::new(Semaphore::new(1)));
        let source = Source {
            file: Arc::new(tempfile::tempfile().expect("a file")),
            _seat: Arc::new(seat.expect("a seat")),
        };
        let asleep = shares.waiting();
        while asleep.take(READ_BYTES) {}
        let (queue, mut outgoing) = outbox(shares.waiting());
        queue
            .push(packet::status(1, Status::Ok, ""))
            .expect("taken");
        let (answer, later) = oneshot::channel();
        queue.push_later(2, later).expect("taken");
        answer
            .send(packet::status(2, Status::Ok, ""))
            .expect("kept");
        queue.push_data(3, source.clone(), 0, 1).expect("answered");
        let expected = [
            packet::status(1, Status::Ok, ""),
            packet::status(2, Status::Ok, ""),
            packet::status(3, Status::Failure, "too many reads are waiting"),
        ];
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let batch = runtime.expect("built").block_on(outgoing.next_batch());
        assert_eq!(batch, Some(expected.concat()));
        drop(asleep);
        queue.push_data(4, source, 0, 1).expect("taken");
    }

    /// A READ past the end, or far past any end, must say so; one across it must give what is
    /// there.
    #[test]
    fn data_is_what_the_file_has() {
        let file = tempfile::tempfile().expect("a file");
        file.write_all_at(b"abcdef", 0).expect("written");
        let read = |offset, length| {
            let mut out = b"before".to_vec();
            append_data(&mut out, 5, (&file, offset, length));
            out.split_off(6)
        };
        let across = [&packet::data_head(5, 2)[..], b"ef"].concat();
        assert_eq!(read(4, DATA_BYTES_MAX), across);
        let end = packet::status(5, Status::Eof, "end of file");
        for offset in [6, 1 << 40, (1 << 63) - 1, 1 << 63, u64::MAX] {
            assert_eq!(read(offset, 10), end, "{offset}");
        }
    }
}
