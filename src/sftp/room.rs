//! Whether the disk has room for uploads. Some of it is kept free: the store, the results and the
//! journal need it more than one more file that nothing could be done with.

use std::os::fd::AsFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{StatVfs, fstatvfs};

use super::lock;
use super::refusal::Refusal;

/// The disk is looked at whenever so many bytes have come in, over all sessions together.
const LOOK_BYTES: u64 = 4 << 20;

/// What is kept free.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reserve {
    pub(super) bytes: u64,
    /// The part of the disk that it is at most.
    pub(super) bytes_part: u64,
    pub(super) files: u64,
    /// The part of the files that the file system can have that they are at most.
    pub(super) files_part: u64,
}

impl Default for Reserve {
    fn default() -> Self {
        Self {
            bytes: 256 << 20,
            bytes_part: 20,
            files: 1000,
            files_part: 100,
        }
    }
}

/// What uploads may still take, above the reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) bytes: u64,
    /// As many as there are numbers where the file system does not count files.
    pub(super) files: u64,
}

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
        Ok(above(*lock(&self.reserve), &fstatvfs(file)?))
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

fn above(reserve: Reserve, disk: &StatVfs) -> Room {
    let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    let kept_bytes = reserve.bytes.min(bytes(disk.f_blocks) / reserve.bytes_part);
    let kept_files = reserve.files.min(disk.f_files / reserve.files_part);
    let files = match disk.f_files {
        0 => u64::MAX,
        _ => disk.f_favail.saturating_sub(kept_files),
    };
    Room {
        bytes: bytes(disk.f_bavail).saturating_sub(kept_bytes),
        files,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(blocks: (u64, u64), files: (u64, u64)) -> StatVfs {
        let here = std::fs::File::open(".").expect("opened");
        let mut disk = fstatvfs(here).expect("looked at");
        disk.f_frsize = 4096;
        (disk.f_blocks, disk.f_bavail) = blocks;
        (disk.f_files, disk.f_favail) = files;
        disk
    }

    /// The reserve must hold on a large disk, leave a small one usable, and not refuse where files
    /// are not counted.
    #[test]
    fn what_is_left_is_above_the_reserve() {
        let mib = |count: u64| count * 256;
        for (blocks, files, bytes_left, files_left) in [
            (
                (mib(100_000), mib(1_000)),
                (1_000_000, 5_000),
                744 << 20,
                4_000,
            ),
            ((mib(100_000), mib(256)), (1_000_000, 1_000), 0, 0),
            ((mib(100), mib(6)), (1_000, 20), 1 << 20, 10),
            ((mib(100), mib(5)), (0, 0), 0, u64::MAX),
        ] {
            let room = above(Reserve::default(), &disk(blocks, files));
            assert_eq!((room.bytes, room.files), (bytes_left, files_left));
        }
    }
}
