//! How much of a disk may be filled. Some of it is kept free, by one rule for all who put files
//! there: the store, the results and the journal need it more than one more file that nothing could
//! be done with.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;

use rustix::fs::{FallocateFlags, StatVfs, fallocate, fstatvfs};
use rustix::io::Errno;

/// What is kept free.
#[derive(Clone, Copy, Debug)]
pub struct Reserve {
    /// Bytes.
    pub bytes: u64,
    /// The part of the disk that it is at most.
    pub bytes_part: u64,
    /// Files.
    pub files: u64,
    /// The part of the files that the file system can have that they are at most.
    pub files_part: u64,
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

impl Reserve {
    /// How many bytes that is on the disk of `file`.
    pub fn bytes_on_disk_of(self, file: impl AsFd) -> Result<u64, Errno> {
        Ok(kept_bytes(self, &fstatvfs(file)?))
    }
}

/// What may still be put on a disk, above the reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes.
    pub bytes: u64,
    /// Files: as many as there are numbers where the file system does not count files.
    pub files: u64,
}

impl Room {
    /// What there is on the disk of `file` while this is kept free.
    pub fn on_disk_of(file: impl AsFd, reserve: Reserve) -> Result<Self, Errno> {
        Ok(above(reserve, &fstatvfs(file)?))
    }
}

/// Makes `file` as long as this and gives it that room on its disk, which then nobody else can
/// take; or leaves it empty when there is not as much.
pub fn occupy(file: &File, bytes: u64) -> io::Result<()> {
    let occupied = match fallocate(file, FallocateFlags::empty(), 0, bytes) {
        // Not every file system can; to write there does the same where nothing is copied on write.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) if file.metadata()?.len() == bytes => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            file.set_len(0)?;
            let mut out = file;
            io::copy(&mut io::repeat(0).take(bytes), &mut out).map(drop)
        }
        other => other.map_err(io::Error::from),
    };
    let occupied = occupied.and_then(|()| file.set_len(bytes));
    if occupied.is_err() {
        file.set_len(0)?;
    }
    occupied
}

fn kept_bytes(reserve: Reserve, disk: &StatVfs) -> u64 {
    let whole = disk.f_blocks.saturating_mul(disk.f_frsize);
    reserve.bytes.min(whole / reserve.bytes_part)
}

fn above(reserve: Reserve, disk: &StatVfs) -> Room {
    let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    let kept_bytes = kept_bytes(reserve, disk);
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
