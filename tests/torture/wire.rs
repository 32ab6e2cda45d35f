//! The wire between the daemon and the provider: carries bytes both ways, and breaks where it is
//! told to.

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::{io, thread};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::plan::Direction;

const PIECE_BYTES: usize = 16 << 10;

/// A wire that carries until it is let go.
#[derive(Debug)]
pub(crate) struct Wire {
    shared: Arc<Shared>,
    /// What it says changes nothing; that it is gone ends the wire.
    breaks: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Shared {
    next: Mutex<VecDeque<(Direction, u64)>>,
    broken: AtomicUsize,
}

impl Wire {
    /// Carries what comes in at `front` to `back`.
    pub(crate) fn open(front: TcpListener, back: SocketAddr) -> Self {
        let shared = Arc::new(Shared::default());
        let (breaks, told) = watch::channel(0);
        let carrying = Arc::clone(&shared);
        thread::spawn(move || carry_all(front, back, &carrying, told));
        Self { shared, breaks }
    }

    /// Breaks every connection that is there.
    pub(crate) fn break_all(&self) {
        self.breaks.send_modify(|breaks| *breaks += 1);
    }

    /// Breaks each of the next connections once it has carried so many bytes in that direction.
    pub(crate) fn break_next(&self, orders: &[(Direction, u64)]) {
        self.shared.next().extend(orders);
    }

    /// Connections that were broken so far.
    pub(crate) fn broken(&self) -> usize {
        self.shared.broken.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn next(&self) -> std::sync::MutexGuard<'_, VecDeque<(Direction, u64)>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn carry_all(
    front: TcpListener,
    back: SocketAddr,
    shared: &Arc<Shared>,
    mut told: watch::Receiver<usize>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .expect("a runtime");
    front.set_nonblocking(true).expect("made so");
    runtime.block_on(async {
        let front = tokio::net::TcpListener::from_std(front).expect("a listener");
        loop {
            let connection = tokio::select! {
                connection = front.accept() => connection,
                gone = told.changed() => match gone {
                    Ok(()) => continue,
                    Err(_) => return,
                },
            };
            if let Ok((near, _)) = connection {
                let order = shared.next().pop_front();
                let (shared, told) = (Arc::clone(shared), told.clone());
                tokio::spawn(async move { carry((near, back), order, &shared, told).await });
            }
        }
    });
}

/// Carries one connection to its end or until it breaks.
async fn carry(
    (mut near, back): (TcpStream, SocketAddr),
    order: Option<(Direction, u64)>,
    shared: &Shared,
    mut told: watch::Receiver<usize>,
) {
    told.mark_unchanged();
    let Ok(mut far) = TcpStream::connect(back).await else {
        return;
    };
    near.set_nodelay(true).expect("no delay");
    far.set_nodelay(true).expect("no delay");
    let limit = |way| {
        order.map_or(
            u64::MAX,
            |(to, bytes)| if to == way { bytes } else { u64::MAX },
        )
    };
    let (mut from_near, mut to_near) = near.split();
    let (mut from_far, mut to_far) = far.split();
    let is_broken = tokio::select! {
        over = pour(&mut from_near, &mut to_far, limit(Direction::ToProvider)) => over,
        over = pour(&mut from_far, &mut to_near, limit(Direction::FromProvider)) => over,
        gone = told.changed() => Ok(match gone {
            Ok(()) => Over::Broken,
            Err(_) => Over::Ended,
        }),
    };
    if matches!(is_broken, Ok(Over::Broken)) {
        shared.broken.fetch_add(1, Ordering::SeqCst);
        if order.is_some_and(|(_, bytes)| bytes % 2 == 1) {
            // One half of them ends in a reset, the other in an end of what is to be read.
            near.set_zero_linger().expect("an open socket");
        }
    }
}

/// How the carrying ended.
enum Over {
    Ended,
    Broken,
}

async fn pour(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut left: u64,
) -> io::Result<Over> {
    let mut piece = vec![0; PIECE_BYTES];
    while left > 0 {
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES);
        let read = from.read(&mut piece[..room]).await?;
        if read == 0 {
            return Ok(Over::Ended);
        }
        to.write_all(&piece[..read]).await?;
        left -= read as u64;
    }
    Ok(Over::Broken)
}
