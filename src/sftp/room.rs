//! Whether the disk has room for uploads, above what `disk` keeps free of it.

use std::os::fd::AsFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::lock;
use super::refusal::Refusal;
pub(super) use crate::disk::room::{Reserve, Room};

/// The disk is looked at whenever so many bytes have come in, over all sessions together: often
/// enough that the reserve of a small disk is not used up in between.
const LOOK_BYTES: u64 = 1 << 20;

/// The disk that the folders lie on.
#[derive(Debug, Default)]
pub(super) struct Disk {
    reserve: Mutex<Reserve>,
    /// Bytes that have come in since it was last looked at.
    unseen: AtomicU64,
    /// While it is nearly full it is looked at each time, so that uploads go on as soon as they
    /// can.
    is_nearly_full: AtomicBool,
}

impl Disk {
    #[cfg(test)]
    pub(super) fn keep(&self, reserve: Reserve) {
        *lock(&self.reserve) = reserve;
    }

    /// What uploads may still take.
    pub(super) fn room(&self, file: impl AsFd) -> Result<Room, Refusal> {
        Ok(Room::on_disk_of(file, *lock(&self.reserve))?)
    }

    /// Refuses when there is no room; `file` is any on the disk.
    pub(super) fn look(&self, file: impl AsFd) -> Result<(), Refusal> {
        let room = self.room(file)?;
        let is_nearly_full = room.bytes == 0 || room.files == 0;
        self.is_nearly_full.store(is_nearly_full, Ordering::Relaxed);
        if is_nearly_full {
            return Err(Refusal::failure(
                "the server's disk is nearly full; try again later",
            ));
        }
        Ok(())
    }

    /// Looks now and then as bytes come in.
    pub(super) fn look_after(&self, bytes: u64, file: impl AsFd) -> Result<(), Refusal> {
        let unseen = self.unseen.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if unseen < LOOK_BYTES && !self.is_nearly_full.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.unseen.store(0, Ordering::Relaxed);
        self.look(file)
    }
}
