//! Room that is put aside, so that a full disk takes nothing from what has happened already.
//!
//! A file beside the store holds some room on the disk. When there is little room left beside it,
//! or a commit finds none, only outcomes are written: what a provider has answered is recorded, and
//! should even that meet a full disk, the file gives its room up for it. Everything else waits in
//! its order. Once there is room for all of that again, the file takes its own back and work goes
//! on. Who looks at [`Store::room`] before it begins something need not wait here.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, watch};

use super::{GROUP_MAX, Store, Verb};
use crate::clock;
use crate::disk::room::{Reserve, Room, occupy};

/// What the file holds, and as much again is to be free beside it. An outcome changes some pages of
/// 8 KiB, and neighbours share them: this is room for thousands. It is less than what the door
/// leaves free, so uploads are refused before anything waits here.
const KEPT: Reserve = Reserve {
    bytes: 16 << 20,
    bytes_part: 40,
    files: 0,
    files_part: 100,
};

/// Verbs that wait for room at most before those behind them are left in the queue. Each has a
/// caller that waits for it and does nothing else.
const WAITING_MAX: usize = 1 << 16;

/// How often the writer looks for outcomes while the rest waits for room.
const OUTCOMES_EVERY: Duration = Duration::from_millis(10);

/// How often it looks whether there is room again.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What a verb needs to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Room on the disk: it begins something.
    Room,
    /// No more than what was put aside: it says what has happened.
    Reserve,
}

impl Store {
    /// Whether there is room to begin something, as it changes: while there is not, whatever is
    /// begun waits, and only what has happened is recorded.
    pub fn room(&self) -> watch::Receiver<bool> {
        self.room.clone()
    }

    /// Whether there is room to begin something.
    pub fn has_room(&self) -> bool {
        *self.room.borrow()
    }
}

/// The room on the disk.
#[derive(Debug)]
pub(super) struct Space {
    /// `None` where no file can be had: then only a commit finds out that the disk is full.
    file: Option<File>,
    /// Whether the file has its room.
    is_put_aside: bool,
    /// Whether only outcomes are written.
    is_short: bool,
    looked_at: Instant,
    tell: watch::Sender<bool>,
}

impl Space {
    /// Puts room aside in a file beside the store; tells whether there is room for more.
    pub(super) fn open(store: &Path) -> (Self, watch::Receiver<bool>) {
        let path = store.with_file_name("reserve");
        let options = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let file = options
            .inspect_err(|error| tracing::warn!("no room can be put aside in `reserve`: {error}"))
            .ok();
        let (tell, told) = watch::channel(true);
        let mut space = Self {
            file,
            is_put_aside: false,
            is_short: false,
            looked_at: clock::steady(),
            tell,
        };
        if !space.put_aside() || !space.is_ample() {
            space.run_short();
        }
        (space, told)
    }

    /// Has the file take its room; says whether that is not what lacks.
    fn put_aside(&mut self) -> bool {
        let Some(file) = &self.file else { return true };
        let taken = KEPT
            .bytes_on_disk_of(file)
            .map_err(io::Error::from)
            .and_then(|bytes| occupy(file, bytes));
        self.is_put_aside = taken.is_ok();
        match taken {
            Err(error) if is_full(&error) => false,
            Err(error) => {
                tracing::warn!("no room can be put aside in `reserve`: {error}");
                self.file = None;
                true
            }
            Ok(()) => true,
        }
    }

    /// The bytes that are free above what is to be free; all there are where that is not known.
    fn above(&self) -> u64 {
        let room = self.file.as_ref().map(|file| Room::on_disk_of(file, KEPT));
        room.and_then(Result::ok)
            .map_or(u64::MAX, |room| room.bytes)
    }

    /// Whether there is so much room that nothing runs short again at once.
    fn is_ample(&self) -> bool {
        let kept = self.file.as_ref().map(|file| KEPT.bytes_on_disk_of(file));
        let kept = kept.and_then(Result::ok).unwrap_or_default();
        let to_take_back = if self.is_put_aside { 0 } else { kept };
        self.above() >= kept.saturating_add(to_take_back)
    }

    /// Looks at the disk before something is begun.
    fn look(&mut self) {
        if self.above() == 0 {
            self.run_short();
        }
    }

    fn run_short(&mut self) {
        if !std::mem::replace(&mut self.is_short, true) {
            self.looked_at = clock::steady();
        }
        if self.tell.send_replace(false) {
            tracing::error!(
                "the disk is full: nothing is taken in or sent until there is room; what has been \
                 sent is recorded in room that was put aside for it"
            );
        }
    }

    /// A commit has met a full disk.
    fn full(&mut self) {
        self.run_short();
        if let Some(file) = &self.file
            && std::mem::replace(&mut self.is_put_aside, false)
            && let Err(error) = file.set_len(0)
        {
            tracing::error!("the room put aside in `reserve` cannot be used: {error}");
        }
    }

    /// Looks now and then whether there is room again; says whether it is worth a try.
    fn look_again(&mut self) -> bool {
        if self.looked_at.elapsed() < LOOK_EVERY {
            return false;
        }
        self.looked_at = clock::steady();
        if !self.is_ample() || (!self.is_put_aside && !self.put_aside()) {
            return false;
        }
        self.is_short = false;
        true
    }

    /// There is room: what was waiting has been written.
    fn suffice(&self) {
        if !self.tell.send_replace(true) {
            tracing::info!("there is room on the disk again: work goes on");
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

/// What the writer is to do, in the order in which there is room for it.
pub(super) struct Queue {
    verbs: mpsc::Receiver<Box<dyn Verb>>,
    /// Those that wait for room, in their order.
    waiting: VecDeque<Box<dyn Verb>>,
    /// How many outcomes are written together; fewer when even they meet a full disk.
    outcomes_max: usize,
    space: Space,
}

impl Queue {
    pub(super) fn new(verbs: mpsc::Receiver<Box<dyn Verb>>, space: Space) -> Self {
        Self {
            verbs,
            waiting: VecDeque::new(),
            outcomes_max: GROUP_MAX,
            space,
        }
    }

    /// Waits for verbs that can be committed and puts them into `group`. Returns `false` once there
    /// will be none.
    pub(super) fn next_group(&mut self, group: &mut Vec<Box<dyn Verb>>) -> bool {
        loop {
            if self.space.is_short {
                match self.next_outcomes(group) {
                    Some(any) => return any,
                    None => continue,
                }
            }
            if self.waiting.is_empty() {
                self.verbs.blocking_recv_many(group, GROUP_MAX);
            } else {
                let some = self.waiting.len().min(GROUP_MAX);
                group.extend(self.waiting.drain(..some));
            }
            self.space.look();
            if !self.space.is_short {
                return !group.is_empty();
            }
            self.put_back(group);
        }
    }

    /// Waits for outcomes, and says whether there are any; `None` when there is room for the rest.
    fn next_outcomes(&mut self, group: &mut Vec<Box<dyn Verb>>) -> Option<bool> {
        loop {
            if self.space.look_again() {
                if self.waiting.is_empty() {
                    self.space.suffice();
                }
                return None;
            }
            let goes_on = self.sort_queued();
            self.take_outcomes(group);
            if !group.is_empty() {
                return Some(true);
            }
            if !goes_on {
                // Whoever waited for the rest does not wait any more.
                return Some(false);
            }
            thread::sleep(OUTCOMES_EVERY);
        }
    }

    /// Takes what is queued to those that wait; says whether more may come.
    fn sort_queued(&mut self) -> bool {
        while self.waiting.len() < WAITING_MAX {
            match self.verbs.try_recv() {
                Ok(verb) => self.waiting.push_back(verb),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
        true
    }

    /// Takes outcomes from those that wait; the others keep their order.
    fn take_outcomes(&mut self, group: &mut Vec<Box<dyn Verb>>) {
        let mut others = VecDeque::with_capacity(self.waiting.len());
        for verb in self.waiting.drain(..) {
            if verb.need() == Need::Reserve && group.len() < self.outcomes_max {
                group.push(verb);
            } else {
                others.push_back(verb);
            }
        }
        self.waiting = others;
    }

    /// A group was committed.
    pub(super) fn committed(&mut self) {
        self.outcomes_max = GROUP_MAX;
        if !self.space.is_short && !*self.space.tell.borrow() && self.waiting.is_empty() {
            self.space.suffice();
        }
    }

    /// A group met a full disk: all of it waits.
    pub(super) fn full(&mut self, group: &mut Vec<Box<dyn Verb>>) {
        let was_short = self.space.is_short && !self.space.is_put_aside;
        if was_short {
            // The room that was put aside does not do for all of them at once.
            self.outcomes_max = (group.len() / 2).max(1);
            thread::sleep(OUTCOMES_EVERY);
        }
        self.space.full();
        self.put_back(group);
    }

    fn put_back(&mut self, group: &mut Vec<Box<dyn Verb>>) {
        for verb in group.drain(..).rev() {
            self.waiting.push_front(verb);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::name::DropFolder;
    use crate::batch::origin::Origin;
    use crate::batch::{Arrival, BatchId, Moment, TenantName};
    use crate::store::{Error, Start};

    const NOW: Moment = Moment::from_millis(1_800_000_000_000);

    async fn receive(store: &Store, random: u64, name: String) -> Result<(), Error> {
        let arrival = Arrival {
            tenant: TenantName::parse("acme").expect("a name"),
            batch: BatchId::new(NOW, random),
            folder: DropFolder::Whatsapp,
            name,
            size_bytes: 10,
            received_at: NOW,
            origin: Origin::Door,
        };
        store.receive(arrival, Start::AtOnce).await
    }

    /// Lets the store have so many pages in all; `None` as many as it wants.
    async fn bound(store: &Store, pages: Option<i64>) {
        let bound = store.write_outcome(move |connection| {
            let now: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
            let most = pages.map_or(i64::from(u32::MAX) - 1, |more| now + more);
            let sql = format!("PRAGMA max_page_count = {most}");
            connection.query_row(&sql, (), |_| Ok(()))
        });
        bound.await.expect("bound");
    }

    /// A new file must not take the room that the answer to a message needs, and must not be
    /// forgotten either.
    #[tokio::test(flavor = "multi_thread")]
    async fn outcomes_are_written_while_the_rest_waits_in_its_order() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = Store::open(&folder.path().join("s.db")).expect("opened");
        let reserve = folder.path().join("reserve");
        assert_eq!(reserve.metadata().expect("there").len(), KEPT.bytes);
        assert!(store.has_room());
        bound(&store, Some(0)).await;
        let mut room = store.room();
        let mut begun = tokio::task::JoinSet::new();
        for random in 0..3 {
            let store = store.clone();
            // Each is longer than a page.
            begun.spawn(async move { receive(&store, random, "x".repeat(20_000)).await });
        }
        room.wait_for(|has_room| !has_room).await.expect("told");
        for _ in 0..3 {
            let done = store.write_outcome(|connection| {
                let sql = "UPDATE retention_clock SET waited_ms = waited_ms + 1";
                connection.execute(sql, ())
            });
            assert_eq!(done.await.expect("recorded"), 1);
        }
        assert_eq!(begun.len(), 3);
        assert!(
            begun.try_join_next().is_none(),
            "none can have been written"
        );
        bound(&store, None).await;
        while let Some(done) = begun.join_next().await {
            done.expect("no panic").expect("written");
        }
        room.wait_for(|has_room| *has_room).await.expect("told");
        assert_eq!(reserve.metadata().expect("there").len(), KEPT.bytes);
        let open = store.open_batches().await.expect("read");
        assert_eq!(open.len(), 3);
    }

    /// A store whose room was lost with a crash, or to somebody who deleted the file, must put it
    /// aside again.
    #[test]
    fn a_start_puts_the_room_aside_again() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let reserve = folder.path().join("reserve");
        for text in [None, Some("short"), Some("")] {
            if let Some(text) = text {
                std::fs::write(&reserve, text).expect("written");
            }
            let (space, room) = Space::open(&folder.path().join("s.db"));
            assert!(space.is_put_aside && *room.borrow());
            assert_eq!(reserve.metadata().expect("there").len(), KEPT.bytes);
        }
    }
}
