//! The second reading of a file: one thread reads stretch after stretch, several look at what is in
//! them, and what they found is put into the order of the file again. What is found does not depend
//! on how many there are, since a stretch knows nothing of another.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::ahead::Summing;
use crate::batch::read::{BadRow, Checker, Outline, Row};
use crate::batch::repeats::{Mark, Marker};
use crate::batch::rows::{STRETCH_ROWS_MAX, Stretch, Warnings, read_stretch};
use crate::store::{AHEAD_ROWS_MAX, Chunk, Packer, UNDER_WAY_MAX};

/// Stretches on their way for each thread that looks at them: one in its hands, one that waits for
/// it, and one that waits for its turn.
const WINDOW: usize = 3;

/// More threads would wait for the one that reads, and hold more faults at once.
const THREADS_MAX: usize = 8;

// A file that takes the daemon down is known by how far its rows were kept.
const _: () = assert!(
    (THREADS_MAX * WINDOW + UNDER_WAY_MAX) as u64 * STRETCH_ROWS_MAX <= AHEAD_ROWS_MAX as u64
);

/// What is done with good messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// They are packed, to be kept.
    Messages,
    /// They are forgotten: only what is wrong with the file is asked for.
    Faults,
}

/// What is looked for, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crew<'a> {
    pub(super) outline: &'a Outline,
    pub(super) checker: Checker<'a>,
    pub(super) wanted: Wanted,
    pub(super) marker: Marker,
    pub(super) threads: usize,
}

/// What was found in one stretch.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) rows: u64,
    pub(super) chunks: Vec<Chunk>,
    pub(super) bad: Vec<BadRow>,
    pub(super) warnings: Warnings,
    /// By what its messages repeat others; none if nobody asked.
    pub(super) marks: Vec<Mark>,
}

/// A stretch to be looked at, by its number.
type Load = (usize, Vec<u8>);
/// What became of it, and its spent bytes.
type Done = (usize, Vec<u8>, thread::Result<io::Result<Found>>);

/// As many threads as there are cores.
pub(super) fn threads() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get().min(THREADS_MAX))
}

impl Crew<'_> {
    /// Gives `each` what is found in `content`, in the order of the file, and returns the quick sum
    /// of its bytes.
    pub(super) fn read(
        self,
        content: Summing,
        each: &mut dyn FnMut(Found) -> io::Result<()>,
    ) -> io::Result<u128> {
        let threads = self.threads.min(self.outline.stretches.len());
        if threads <= 1 {
            return self.read_alone(content, each);
        }
        let window = threads * WINDOW;
        let (load, loads) = sync_channel::<Load>(window);
        let (empty, emptied) = sync_channel::<Vec<u8>>(window);
        let (tell, told) = channel::<Done>();
        for _ in 0..window {
            // The channel has room for all of them.
            let _ = empty.send(Vec::new());
        }
        let loads = Mutex::new(loads);
        thread::scope(|scope| {
            let reader = scope.spawn(move || self.load(content, &load, &emptied));
            for _ in 0..threads {
                let (loads, tell) = (&loads, tell.clone());
                scope.spawn(move || self.work(loads, &tell));
            }
            drop(tell);
            let collected = collect(told, &empty, each);
            drop(empty);
            let sum = reader.join().unwrap_or_else(|panic| resume_unwind(panic));
            collected?;
            sum
        })
    }

    fn read_alone(
        self,
        mut content: Summing,
        each: &mut dyn FnMut(Found) -> io::Result<()>,
    ) -> io::Result<u128> {
        let (mut bytes, mut at, mut packer) = (Vec::new(), 0, Packer::default());
        for stretch in &self.outline.stretches {
            at = stretch.take_bytes(&mut content, at, &mut bytes)?;
            each(self.look(stretch, &bytes, &mut packer)?)?;
        }
        content.finish()
    }

    /// Reads the bytes of each stretch into a spent buffer. There are no more of these than the
    /// window is wide, so that it never runs far ahead.
    fn load(
        self,
        mut content: Summing,
        load: &SyncSender<Load>,
        emptied: &Receiver<Vec<u8>>,
    ) -> io::Result<u128> {
        let mut at = 0;
        for (number, stretch) in self.outline.stretches.iter().enumerate() {
            let Ok(mut bytes) = emptied.recv() else {
                // Nobody waits for the rest.
                return Ok(0);
            };
            at = stretch.take_bytes(&mut content, at, &mut bytes)?;
            if load.send((number, bytes)).is_err() {
                return Ok(0);
            }
        }
        content.finish()
    }

    fn work(self, loads: &Mutex<Receiver<Load>>, tell: &Sender<Done>) {
        let mut packer = Packer::default();
        let next = || {
            let loads = loads.lock().unwrap_or_else(PoisonError::into_inner);
            loads.recv()
        };
        while let Ok((number, bytes)) = next() {
            let stretch = &self.outline.stretches[number];
            // A panic is told in its turn, or everybody would wait for this stretch.
            let found = catch_unwind(AssertUnwindSafe(|| self.look(stretch, &bytes, &mut packer)));
            if tell.send((number, bytes, found)).is_err() {
                return;
            }
        }
    }

    fn look(self, stretch: &Stretch, bytes: &[u8], packer: &mut Packer) -> io::Result<Found> {
        let head = &self.outline.head;
        let mut found = Found {
            rows: stretch.rows(),
            ..Found::default()
        };
        found.warnings = read_stretch(bytes, stretch, head, self.checker, &mut |row, _| {
            match row {
                Row::Good(message) => {
                    found.marks.extend(self.marker.mark(&message));
                    if self.wanted == Wanted::Messages {
                        packer.add(&message);
                    }
                }
                Row::Bad(bad) => found.bad.push(bad),
            }
            Ok(())
        })?;
        found.chunks = packer.pack();
        Ok(found)
    }
}

/// Puts what was found into its order.
fn collect(
    told: Receiver<Done>,
    empty: &SyncSender<Vec<u8>>,
    each: &mut dyn FnMut(Found) -> io::Result<()>,
) -> io::Result<()> {
    let mut early = BTreeMap::new();
    let mut next = 0;
    for (number, bytes, found) in told {
        early.insert(number, (bytes, found));
        while let Some((bytes, found)) = early.remove(&next) {
            each(found.unwrap_or_else(|panic| resume_unwind(panic))?)?;
            next += 1;
            // The reader may be done and gone.
            let _ = empty.send(bytes);
        }
    }
    Ok(())
}
