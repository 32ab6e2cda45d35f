//! Closes that one conversation has asked for and that are not answered yet. A close takes a few
//! syncs, and what its client asks about other files need not wait for them. Which requests do have
//! to wait is for `channel` to know.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::files::Tree;
use super::jail::{Inlet, Name};
use super::packet::{self, Status};
use super::refusal::{Refusal, unconfirmed};
use super::shares::Seat;
use super::uploads::{Key, Upload};

/// How many closes a conversation may have under way; the next waits for the oldest.
const PENDING_MAX: usize = 16;

/// The closes under way, oldest first. When they are dropped they go on all the same: a close that
/// was asked for is better done than left.
pub(super) struct Pending(Vec<(Key, JoinHandle<()>)>);

impl Pending {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    /// Begins a close, and gives what its reply will come by.
    pub(super) async fn begin(
        &mut self,
        id: u32,
        (tree, upload, seat): (Arc<Tree>, Arc<Upload>, Arc<Seat>),
    ) -> oneshot::Receiver<Vec<u8>> {
        self.0.retain(|(_, close)| !close.is_finished());
        if self.0.len() == PENDING_MAX {
            let (_, oldest) = self.0.remove(0);
            let _ = oldest.await;
        }
        let (answer, reply) = oneshot::channel();
        let key = upload.key.clone();
        let close = tokio::spawn(async move {
            let done = close(tree, upload).await;
            drop(seat);
            let reply = match done {
                Ok(()) => packet::status(id, Status::Ok, ""),
                Err(refusal) => refusal.reply(id),
            };
            // Nobody waits for it any more when the channel has ended.
            let _ = answer.send(reply);
        });
        self.0.push((key, close));
        reply
    }

    /// Waits for every close.
    pub(super) async fn all_ended(&mut self) {
        for (_, close) in self.0.drain(..) {
            let _ = close.await;
        }
    }

    /// Waits for the close of a name.
    pub(super) async fn ended(&mut self, folder: Inlet, name: &Name) {
        for (key, close) in &mut self.0 {
            if key.folder == folder && key.name == *name && !close.is_finished() {
                let _ = close.await;
            }
        }
        self.0.retain(|(_, close)| !close.is_finished());
    }
}

async fn close(tree: Arc<Tree>, upload: Arc<Upload>) -> Result<(), Refusal> {
    let turn = Arc::clone(&tree.premises.closes).acquire_owned().await;
    let closed = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        tree.finish_upload(&upload)
    });
    // After a panic, or when the server goes down, it may have been done.
    closed.await.unwrap_or_else(|_| Err(unconfirmed()))
}
