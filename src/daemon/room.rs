//! The room on the disk, as the daemon looks at it: told to whoever asks whether it is ready, and
//! not waited for when it stops.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::admin::Figures;
use crate::clock;
use crate::disk::room::{Reserve, Room};
use crate::store::Store;

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a loop that stops on a full disk is waited for.
pub(super) const WAITED_FOR_MAX: Duration = Duration::from_secs(4);

/// Tells until stopped whether there is room: for uploads, and for what is to be recorded.
pub(super) async fn tell(
    data_dir: PathBuf,
    store: Store,
    figures: Arc<Figures>,
    stop: CancellationToken,
) {
    let folder = File::open(data_dir).ok();
    let mut room = store.room();
    while !stop.is_cancelled() {
        let on_disk = folder
            .as_ref()
            .and_then(|folder| Room::on_disk_of(folder, Reserve::default()).ok());
        let takes_files = on_disk.is_none_or(|room| room.bytes > 0 && room.files > 0);
        figures.has_room(takes_files && *room.borrow_and_update());
        tokio::select! {
            () = stop.cancelled() => {}
            Ok(()) = room.changed() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// The end of a loop that was told to stop; `None` when it waits for room on a full disk, which
/// nobody knows the end of. What it was about to do is done by the next run.
pub(super) async fn end_of<T>(
    mut task: JoinHandle<T>,
    store: &Store,
    until: Instant,
) -> Option<Result<T, JoinError>> {
    let mut room = store.room();
    let waits_for_room = async {
        tokio::time::sleep(until.saturating_duration_since(clock::steady())).await;
        let gone = room.wait_for(|has_room| !has_room).await.is_err();
        if gone {
            // The writer has failed: that ends the loop by itself.
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        end = &mut task => Some(end),
        () = waits_for_room => {
            task.abort();
            None
        }
    }
}
