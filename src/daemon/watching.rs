//! drop folders → inbox: the loop that finds what did not come through the door.
//!
//! It sweeps each tenant's folders on a timer, and sooner when the system has said that a file was
//! closed there. What it finds is brought into the spool, where `intake` goes on with it, or is
//! heard as a companion by `heeding`. Copies run beside the loop, one of each tenant at a time, so
//! that nobody's large files keep another tenant waiting.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::heeding::Heeding;
use super::intake::{Desk, Intake};
use super::steering::Steering;
use super::{Alarm, journal, lock};
use crate::batch::TenantName;
use crate::batch::name::Companion;
use crate::batch::origin::{Identity, Unread};
use crate::inbox::watch::{Event, Watch};
use crate::inbox::{self, Found, InHand, Inbox, Look, Lookout, Now, PutOff, Swept, Taking, What};
use crate::store::{self, Store};
use crate::{clock, crash};

/// How often each tenant's folders are swept when nothing is heard of them.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// The least time between two sweeps of one tenant, however much happens there.
const SWEEP_AT_MOST_EVERY: Duration = Duration::from_millis(100);

/// Files that are copied at a time.
const COPIES: usize = 2;

/// Files of one tenant that are remembered to be what was taken; others are compared again.
const KNOWN_MAX: usize = 10_000;

/// How long copies under way may take when the daemon stops; the next start begins them anew.
const STOP_MAX: Duration = Duration::from_secs(2);

/// The loop, and what it needs.
#[derive(Debug)]
pub(super) struct Watching {
    pub(super) store: Store,
    pub(super) inbox: Inbox,
    pub(super) desks: BTreeMap<TenantName, Arc<Desk>>,
    /// Nudged when drop folders are worth a look.
    pub(super) look: Arc<Notify>,
    /// Nudges the intake.
    pub(super) arrived: Arc<Notify>,
    /// Nudges the reports.
    pub(super) changed: Arc<Notify>,
    pub(super) alarm: Alarm,
    pub(super) stop: CancellationToken,
    watched: Watched,
}

/// What the system is asked to tell, and whether it was said that it does not.
#[derive(Debug, Default)]
struct Watched {
    watch: Option<Watch>,
    failed: bool,
}

/// One tenant, as this loop sees it.
#[derive(Debug)]
struct Beat {
    /// `None` while a thread has it that looks at the disk.
    lookout: Option<Lookout>,
    heeding: Heeding,
    due: Instant,
    swept_at: Instant,
    /// Whether its last look failed, and how many names it cannot answer: each is told once.
    failed: bool,
    unusable: usize,
    /// Whether it has more files than are watched.
    overflows: bool,
    copying: Arc<Copying>,
}

/// The files of one tenant that are on their way into the spool.
#[derive(Debug, Default)]
struct Copying {
    in_hand: Mutex<InHand>,
    /// Those that the disk did not take.
    put_off: Mutex<PutOff>,
    /// Whether it was told that there are some.
    failed: Mutex<bool>,
}

impl Watching {
    /// The loop that finds what `intake` goes on with. From here on the system remembers what is
    /// closed in the drop folders, so that nothing that comes while a start goes on is missed.
    pub(super) fn beside(intake: &Intake) -> Self {
        let watch = Watch::new()
            .inspect_err(|error| journal::not_watched(&error.to_string()))
            .ok();
        let mut watching = Self {
            store: intake.store.clone(),
            inbox: intake.inbox.clone(),
            desks: intake.desks.clone(),
            look: Arc::clone(&intake.look),
            arrived: Arc::clone(&intake.arrived),
            changed: Arc::clone(&intake.changed),
            alarm: intake.alarm.clone(),
            stop: intake.stop.clone(),
            watched: Watched {
                watch,
                failed: false,
            },
        };
        watching.watched.refresh(&watching.desks);
        watching
    }

    /// Carries out what steers and lies there at a start: it was answered for, and nothing that it
    /// stops may begin before.
    pub(super) async fn steer_first(&self, steering: &Arc<Steering>) -> Result<(), store::Error> {
        for (tenant, desk) in &self.desks {
            let mut lookout = lookout(tenant, desk);
            let (inbox, now) = (self.inbox.clone(), now());
            let swept =
                tokio::task::spawn_blocking(move || lookout.sweep(&inbox, &InHand::default(), now));
            // What cannot be looked at is told by the sweeps that come.
            let Ok(Ok(swept)) = swept.await else { continue };
            let steers = |found: &Found| {
                let What::Heed { kind, .. } = found.what else {
                    return false;
                };
                matches!(kind, Companion::Steers(_))
            };
            let wishes: Vec<Found> = swept.found.into_iter().filter(steers).collect();
            if !wishes.is_empty() {
                let desk = (Arc::clone(desk), Arc::clone(steering));
                let mut heeding = Heeding::new(tenant.clone(), desk);
                heeding.heed(&self.store, &self.inbox, wishes).await?;
            }
        }
        Ok(())
    }

    /// Looks until stopped.
    pub(super) async fn run(mut self, steering: Arc<Steering>) -> Result<(), store::Error> {
        let mut watched = std::mem::take(&mut self.watched);
        let mut refreshed_at = clock::steady();
        let this = Arc::new(self);
        let mut beats = this.beats(&steering);
        let copies = Arc::new(Semaphore::new(COPIES));
        let tasks = TaskTracker::new();
        while !this.stop.is_cancelled() {
            if clock::steady().duration_since(refreshed_at) >= SWEEP_EVERY {
                watched.refresh(&this.desks);
                refreshed_at = clock::steady();
            }
            let due = beats.values().map(|beat| beat.due).min();
            let due = due.unwrap_or_else(|| clock::steady() + SWEEP_EVERY);
            tokio::select! {
                () = this.stop.cancelled() => break,
                events = watched.next() => this.note(&mut beats, events).await,
                () = this.look.notified() => this.hurry_wanted(&mut beats),
                () = tokio::time::sleep_until(due.into()) => {}
            }
            let now = clock::steady();
            for (tenant, beat) in &mut beats {
                if beat.due <= now && !this.stop.is_cancelled() {
                    this.sweep(tenant, beat, (&copies, &tasks)).await?;
                }
            }
        }
        tasks.close();
        let _ = tokio::time::timeout(STOP_MAX, tasks.wait()).await;
        Ok(())
    }

    fn beats(&self, steering: &Arc<Steering>) -> BTreeMap<TenantName, Beat> {
        let now = clock::steady();
        let beat = |(tenant, desk): (&TenantName, &Arc<Desk>)| {
            let shared = (Arc::clone(desk), Arc::clone(steering));
            let beat = Beat {
                lookout: Some(lookout(tenant, desk)),
                heeding: Heeding::new(tenant.clone(), shared),
                due: now,
                swept_at: now,
                failed: false,
                unusable: 0,
                overflows: false,
                copying: Arc::default(),
            };
            (tenant.clone(), beat)
        };
        self.desks.iter().map(beat).collect()
    }

    /// Somebody has said whose folders are worth a look.
    fn hurry_wanted(&self, beats: &mut BTreeMap<TenantName, Beat>) {
        for (tenant, desk) in &self.desks {
            if desk.look_wanted.swap(false, Ordering::AcqRel)
                && let Some(beat) = beats.get_mut(tenant)
            {
                beat.hurry(Duration::ZERO);
            }
        }
    }

    /// Files were closed or moved in.
    async fn note(&self, beats: &mut BTreeMap<TenantName, Beat>, events: Vec<Event>) {
        let mut by_tenant: BTreeMap<TenantName, Vec<_>> = BTreeMap::new();
        for (tenant, folder, name) in events {
            by_tenant.entry(tenant).or_default().push((folder, name));
        }
        for (tenant, names) in by_tenant {
            let Some(beat) = beats.get_mut(&tenant) else {
                continue;
            };
            let Some(mut lookout) = beat.lookout.take() else {
                continue;
            };
            let now = now();
            let noted = tokio::task::spawn_blocking(move || {
                let mut soonest = None;
                // What cannot be looked at now is for the sweep.
                if let Ok(drops) = lookout.drops() {
                    for (folder, name) in &names {
                        let wait = lookout.note(&drops, (*folder, name), now);
                        soonest = soonest.into_iter().chain(wait.ok().flatten()).min();
                    }
                }
                (lookout, soonest)
            });
            if let Ok((lookout, soonest)) = noted.await {
                beat.lookout = Some(lookout);
                if let Some(wait) = soonest {
                    beat.hurry(wait);
                }
            }
        }
    }

    /// Sweeps one tenant's folders and sees to what was found.
    async fn sweep(
        self: &Arc<Self>,
        tenant: &TenantName,
        beat: &mut Beat,
        (copies, tasks): (&Arc<Semaphore>, &TaskTracker),
    ) -> Result<(), store::Error> {
        let Some(lookout) = beat.lookout.take() else {
            return Ok(());
        };
        let (inbox, now) = (self.inbox.clone(), now());
        // Read before the folders are: what is done with by then is in the spool.
        let in_hand = lock(&beat.copying.in_hand).clone();
        let swept = tokio::task::spawn_blocking(move || {
            let mut lookout = lookout;
            let swept = lookout.sweep(&inbox, &in_hand, now);
            (lookout, swept)
        });
        let (lookout, swept) = swept
            .await
            .map_err(|_| store::Error::Stopped("a sweep panicked".into()))?;
        beat.lookout = Some(lookout);
        let swept = beat.note_failure(tenant, swept);
        beat.swept_at = clock::steady();
        beat.due = beat.swept_at + crash::wait("wait-sweep", SWEEP_EVERY);
        if let Some(wait) = swept.again_after {
            beat.hurry(wait);
        }
        self.see_to(tenant, beat, swept.found, (copies, tasks))
            .await
    }

    async fn see_to(
        self: &Arc<Self>,
        tenant: &TenantName,
        beat: &mut Beat,
        found: Vec<Found>,
        (copies, tasks): (&Arc<Semaphore>, &TaskTracker),
    ) -> Result<(), store::Error> {
        let (companions, mut files): (Vec<Found>, Vec<Found>) = found
            .into_iter()
            .partition(|found| matches!(found.what, What::Heed { .. }));
        if !companions.is_empty() {
            let heeded = beat
                .heeding
                .heed(&self.store, &self.inbox, companions)
                .await?;
            if heeded.started {
                self.arrived.notify_one();
                self.changed.notify_one();
            }
            if let Some(wait) = heeded.again {
                beat.hurry(wait);
            }
            files.extend(heeded.refused);
        }
        if !beat.copying.begin(tenant, &mut files) {
            return Ok(());
        }
        let (this, copying) = (Arc::clone(self), Arc::clone(&beat.copying));
        let (tenant, copies) = (tenant.clone(), Arc::clone(copies));
        tasks.spawn(async move {
            let _alarm = this.alarm.clone();
            let mut has_failed = false;
            for found in files {
                if let Ok(_turn) = copies.acquire().await
                    && !this.stop.is_cancelled()
                {
                    has_failed |= !this.bring_in(&tenant, &found, &copying).await;
                }
            }
            lock(&copying.in_hand).coming.clear();
            // What a full disk did not take is for the sweep that comes anyway.
            if let Some(desk) = this.desks.get(&tenant).filter(|_| !has_failed) {
                desk.look_wanted.store(true, Ordering::Release);
                this.look.notify_one();
            }
        });
        Ok(())
    }

    /// Brings one file into the spool, or removes it if it is nothing to be brought in. Says
    /// whether the disk let it.
    async fn bring_in(&self, tenant: &TenantName, found: &Found, copying: &Copying) -> bool {
        let (inbox, desk) = (self.inbox.clone(), self.desks.get(tenant).cloned());
        let Some(desk) = desk else { return true };
        let (whose, file) = (tenant.clone(), found.clone());
        let done = tokio::task::spawn_blocking(move || {
            let drops = inbox::Drops::open(&desk.root)?;
            match file.what {
                What::TakeIfNew if inbox.has_copy(&whose, &drops, &file)? => Ok(Taking::Known),
                What::Take | What::TakeIfNew => match inbox.copy(&whose, &drops, &file)? {
                    Taking::Denied => {
                        inbox.refuse_unread(&whose, &drops, (&file, Unread::Unreadable))
                    }
                    other => Ok(other),
                },
                What::Refuse(why) => inbox.refuse_unread(&whose, &drops, (&file, why)),
                What::Remove => {
                    let mark = (file.look.identity, file.look.size_bytes);
                    let name = (file.folder, file.name.as_str());
                    if inbox.remove_companion(&drops, name, mark)? {
                        journal::partial_removed(&whose);
                    }
                    Ok(Taking::Changed)
                }
                What::Heed { .. } => Ok(Taking::Changed),
            }
        });
        // A panic was told where it happened; the file is found again.
        let Ok(done) = done.await else { return false };
        let identity = found.look.identity;
        let taking = match done {
            Ok(taking) => taking,
            // It lies where it was, and is tried again after a while.
            Err(error) => {
                lock(&copying.put_off).failed(identity, clock::steady());
                if !std::mem::replace(&mut *lock(&copying.failed), true) {
                    journal::local_files_wait(tenant, &super::chain(&error));
                }
                return false;
            }
        };
        lock(&copying.put_off).done(identity);
        match taking {
            Taking::Spooled(batch) => {
                journal::brought_in(&batch, tenant);
                self.arrived.notify_one();
            }
            Taking::Known => copying.know(found.look),
            Taking::Changed | Taking::Denied => {}
        }
        true
    }
}

impl Copying {
    /// Says whether files are to be brought in now, and leaves those that are.
    fn begin(&self, tenant: &TenantName, files: &mut Vec<Found>) -> bool {
        let mut in_hand = lock(&self.in_hand);
        // While some are on their way the others are found again later.
        if !in_hand.coming.is_empty() {
            return false;
        }
        let mut put_off = lock(&self.put_off);
        let there: HashSet<Identity> = files.iter().map(|found| found.look.identity).collect();
        put_off.retain(|file| there.contains(file));
        if put_off.is_empty() && std::mem::take(&mut *lock(&self.failed)) {
            journal::local_files_taken_again(tenant);
        }
        let now = clock::steady();
        files.retain(|found| put_off.allows(found.look.identity, now));
        in_hand
            .coming
            .extend(files.iter().map(|found| found.look.identity));
        !files.is_empty()
    }

    /// A file is what was taken before, so it need not be compared again.
    fn know(&self, look: Look) {
        let known = &mut lock(&self.in_hand).known;
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(look);
    }
}

impl Watched {
    /// Watches every tenant's folders; what lies in those that cannot be is found by the sweeps.
    fn refresh(&mut self, desks: &BTreeMap<TenantName, Arc<Desk>>) {
        let Some(watch) = &mut self.watch else { return };
        let mut failure = None;
        for (tenant, desk) in desks {
            failure = watch.add(tenant, &desk.root).err().or(failure);
        }
        if let Some(error) = failure.as_ref().filter(|_| !self.failed) {
            journal::not_watched(&error.to_string());
        }
        self.failed = failure.is_some();
    }

    /// Waits for the next events, for ever if there will be none.
    async fn next(&mut self) -> Vec<Event> {
        if let Some(watch) = &mut self.watch {
            match watch.next().await {
                Ok(events) => return events,
                Err(error) => journal::not_watched(&error.to_string()),
            }
        }
        self.watch = None;
        std::future::pending().await
    }
}

impl Beat {
    /// Makes the next sweep come after this long, or sooner if it would have anyway.
    fn hurry(&mut self, wait: Duration) {
        let at = (clock::steady() + wait).max(self.swept_at + SWEEP_AT_MOST_EVERY);
        self.due = self.due.min(at);
    }

    /// Tells once that a look has failed, or that there are files that cannot be answered.
    fn note_failure(&mut self, tenant: &TenantName, swept: Result<Swept, inbox::Error>) -> Swept {
        match swept {
            Ok(swept) => {
                self.failed = false;
                if swept.unusable > self.unusable {
                    journal::names_unusable(tenant, swept.unusable);
                }
                self.unusable = swept.unusable;
                let overflows = swept.left_out > 0;
                if overflows && !std::mem::replace(&mut self.overflows, overflows) {
                    journal::files_left_out(tenant, swept.left_out);
                }
                self.overflows = overflows;
                swept
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failed, true) {
                    journal::sweep_failed(tenant, &super::chain(&error));
                }
                Swept::default()
            }
        }
    }
}

fn lookout(tenant: &TenantName, desk: &Desk) -> Lookout {
    Lookout::new(
        tenant.clone(),
        desk.root.clone(),
        desk.inbox.waits(),
        desk.rules.limits.bytes_max,
    )
}

fn now() -> Now {
    Now {
        steady: clock::steady(),
        wall: clock::now(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::name::DropFolder;

    fn found(inode: u64) -> Found {
        let identity = Identity {
            inode,
            modified_ns: 1,
        };
        Found {
            folder: DropFolder::Whatsapp,
            name: "a.json".into(),
            look: Look {
                identity,
                size_bytes: 2,
                changed_ns: 1,
            },
            what: What::Take,
        }
    }

    /// A file that does not fit must not be copied with every sweep, nor keep those from being
    /// taken that do fit.
    #[test]
    fn what_the_disk_did_not_take_is_left_alone() {
        let tenant = TenantName::parse("acme").expect("a name");
        let copying = Copying::default();
        let begin = |inodes: &[u64]| {
            let mut files = inodes.iter().copied().map(found).collect();
            let begun = copying.begin(&tenant, &mut files);
            lock(&copying.in_hand).coming.clear();
            assert_eq!(begun, !files.is_empty());
            files.len()
        };
        assert_eq!(begin(&[1]), 1);
        let file = found(1).look.identity;
        lock(&copying.put_off).failed(file, clock::steady());
        *lock(&copying.failed) = true;
        assert_eq!(begin(&[1]), 0);
        assert_eq!(begin(&[1, 2]), 1);
        assert!(*lock(&copying.failed), "it still waits");
        assert_eq!(begin(&[2]), 1);
        assert!(!*lock(&copying.failed), "it is gone");
    }
}
