//! Reads a file ahead of whoever looks at it, on a thread of its own, and takes the sums of its
//! bytes there: reading, expanding and hashing overlap with the look. What the bytes say is for
//! `batch` to know.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use aws_lc_rs::digest;
use xxhash_rust::xxh3::Xxh3;

use crate::disk;

/// How much is read at a time.
const BLOCK_BYTES: usize = 256 << 10;

/// Blocks that are filled, looked at or on their way between.
const BLOCKS: usize = 4;

/// By what the bytes of a file are told from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sums {
    /// SHA-256, in hexadecimal: the name of the content, for years.
    pub(super) sha256: String,
    /// A quicker sum, by which a second reading is held against the first.
    pub(super) quick: u128,
}

/// Lets `look` see the bytes of `content`. Gives what it gave, and the sums if it saw them all. An
/// `Err` is a failure of `content` that `look` did not come upon.
pub(super) fn read_ahead<T>(
    content: Box<dyn BufRead + Send>,
    look: impl FnOnce(&mut Ahead) -> io::Result<T>,
) -> io::Result<(T, Option<Sums>)> {
    let (fill, filled) = sync_channel(BLOCKS);
    let (empty, emptied) = sync_channel(BLOCKS);
    for _ in 0..BLOCKS {
        // The channel has room for all of them.
        let _ = empty.send(Vec::new());
    }
    thread::scope(|scope| {
        let reader = scope.spawn(move || read_blocks(content, &fill, &emptied));
        let mut ahead = Ahead {
            filled,
            empty,
            block: Vec::new(),
            at: 0,
        };
        let seen = look(&mut ahead);
        drop(ahead);
        match reader.join() {
            Ok(sums) => Ok((seen?, sums)),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Fills blocks until the content ends, fails, or nobody looks any more.
fn read_blocks(
    mut content: Box<dyn BufRead + Send>,
    fill: &SyncSender<io::Result<Vec<u8>>>,
    emptied: &Receiver<Vec<u8>>,
) -> Option<Sums> {
    let mut sha256 = digest::Context::new(&digest::SHA256);
    let mut quick = Xxh3::new();
    loop {
        let mut block = emptied.recv().ok()?;
        block.clear();
        let limit = BLOCK_BYTES as u64;
        if let Err(error) = content.by_ref().take(limit).read_to_end(&mut block) {
            let _ = fill.send(Err(error));
            return None;
        }
        if block.is_empty() {
            return Some(Sums {
                sha256: disk::hexadecimal(sha256.finish().as_ref()),
                quick: quick.digest128(),
            });
        }
        sha256.update(&block);
        quick.update(&block);
        fill.send(Ok(block)).ok()?;
    }
}

/// The bytes of a file, read ahead.
pub(super) struct Ahead {
    filled: Receiver<io::Result<Vec<u8>>>,
    empty: SyncSender<Vec<u8>>,
    block: Vec<u8>,
    at: usize,
}

impl BufRead for Ahead {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        // The reader hangs up at the end of the file.
        if self.at == self.block.len()
            && let Ok(block) = self.filled.recv()
        {
            let spent = std::mem::replace(&mut self.block, block?);
            self.at = 0;
            if spent.capacity() > 0 {
                let _ = self.empty.send(spent);
            }
        }
        Ok(&self.block[self.at..])
    }

    fn consume(&mut self, amount: usize) {
        self.at += amount;
    }
}

impl Read for Ahead {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(into)?;
        self.consume(length);
        Ok(length)
    }
}

/// A reader that takes the quick sum of what passes through it.
pub(super) struct Summing {
    content: Box<dyn BufRead + Send>,
    quick: Xxh3,
}

impl Summing {
    /// The sum of `content`, of which nothing is read yet.
    pub(super) fn new(content: Box<dyn BufRead + Send>) -> Self {
        Self {
            content,
            quick: Xxh3::new(),
        }
    }

    /// The sum of all bytes, read to their end.
    pub(super) fn finish(mut self) -> io::Result<u128> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(self.quick.digest128())
    }
}

impl Read for Summing {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.content.read(into)?;
        self.quick.update(&into[..length]);
        Ok(length)
    }
}
