//! Which files the door itself has finished under names that do not count. Their rename into place
//! is an arrival, and the inode can be linked: nobody else has it open to write. Any other file of
//! the same user may be a local job's, or one that was taken already, and is for the inbox.

use std::collections::VecDeque;
use std::sync::Mutex;

use rustix::fs::Stat;

use super::lock;

/// How many files are remembered of one tenant; the oldest are forgotten first. What is forgotten,
/// as all is with a restart, is copied a little later by the inbox instead.
const FILES_MAX: usize = 10_000;

/// The files of one tenant. A file that was written to since is another one: by its size, since
/// clients may set its times.
#[derive(Debug, Default)]
pub(super) struct Finished(Mutex<VecDeque<(u64, i64)>>);

impl Finished {
    /// The door has finished this file.
    pub(super) fn remember(&self, file: &Stat) {
        let mut files = lock(&self.0);
        files.retain(|(inode, _)| *inode != file.st_ino);
        if files.len() == FILES_MAX {
            files.pop_front();
        }
        files.push_back((file.st_ino, file.st_size));
    }

    /// Whether the door has finished this file, and it is as it was.
    pub(super) fn has(&self, file: &Stat) -> bool {
        lock(&self.0).contains(&(file.st_ino, file.st_size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A local job's file that has the number of an old upload must not be linked while it grows.
    #[test]
    fn a_file_is_known_while_it_is_as_it_was() {
        let file = tempfile::tempfile().expect("a file");
        let look = || rustix::fs::fstat(&file).expect("looked at");
        let finished = Finished::default();
        assert!(!finished.has(&look()));
        finished.remember(&look());
        assert!(finished.has(&look()));
        file.set_len(1).expect("grown");
        assert!(!finished.has(&look()));
    }
}
