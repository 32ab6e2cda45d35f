//! A run: the plan is carried out against the daemon, and what was seen is given to the oracle.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::errands::{Door, Runner};
use super::history::{Batch, Death, DropAnswer, Dropped, History, Request};
use super::oracle::{Breach, Condition, judge};
use super::plan::{Plan, RESENDING, Trouble};
use super::record;
use super::small_disk::SmallDisk;
use super::wire::Wire;
use crate::world::provider::{Provider, Reserved, Seen};
use crate::world::{TenantPlan, World};

/// Lines of the journal, the last first, that are shown of a daemon that ended.
const LINES_SHOWN: usize = 5;

/// How often it is looked whether the daemon still lives.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A request this long before a death had its outcome on disk by then: the slowest answer, and room
/// for the commit on a busy machine.
const UNDER_WAY_MAX: Duration = Duration::from_secs(6);

/// How long the daemon waits for answers when it is asked to stop.
const DRAIN: Duration = Duration::from_secs(7);

/// How long a stop may take, on a machine that is busy with other tests.
const STOP_MAX: Duration = Duration::from_secs(20);

/// How long all may take to come to rest when it is left alone.
const REST: Duration = Duration::from_mins(3);

/// What a run has seen, in numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) runs: usize,
    pub(crate) kills: usize,
    /// Deaths at a point of the sources.
    pub(crate) deaths: usize,
    pub(crate) halts: usize,
    pub(crate) stops: usize,
    pub(crate) full_disks: usize,
    pub(crate) broken_connections: usize,
    pub(crate) uploads: usize,
    pub(crate) messages: usize,
    pub(crate) requests: usize,
    pub(crate) unknown: usize,
    pub(crate) possible_duplicates: usize,
    /// Files that were set aside because the daemon died while it may have read them.
    pub(crate) set_aside: usize,
    /// The longest time from a start to an open door.
    pub(crate) worst_recovery: Duration,
}

impl Tally {
    /// Adds what another run has seen.
    pub(crate) fn add(&mut self, other: &Tally) {
        self.runs += other.runs;
        self.kills += other.kills;
        self.deaths += other.deaths;
        self.halts += other.halts;
        self.stops += other.stops;
        self.full_disks += other.full_disks;
        self.broken_connections += other.broken_connections;
        self.uploads += other.uploads;
        self.messages += other.messages;
        self.requests += other.requests;
        self.unknown += other.unknown;
        self.possible_duplicates += other.possible_duplicates;
        self.set_aside += other.set_aside;
        self.worst_recovery = self.worst_recovery.max(other.worst_recovery);
    }
}

/// A run under way.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    plan: &'a Plan,
    // Declared before the world, so that it is gone before the folder that it lies over.
    disk: Option<SmallDisk>,
    world: World,
    provider: Provider,
    wire: Wire,
    door: Arc<Door>,
    begun: Instant,
    /// Faults that the daemon is told to have.
    faults: &'a str,
    /// Whether it was told to die somewhere.
    is_armed: bool,
    deaths: Vec<Death>,
    tally: Tally,
}

impl<'a> Run<'a> {
    /// Carries the plan out with a daemon that has these faults; gives what the oracle says.
    pub(crate) fn carry_out(plan: &'a Plan, faults: &'a str) -> (Vec<Breach>, Tally) {
        let mut run = Self::prepare(plan, faults);
        run.start("");
        let drops = run.live_through();
        run.judge(drops)
    }

    fn prepare(plan: &'a Plan, faults: &'a str) -> Self {
        let (front, back) = (Reserved::new(), Reserved::new());
        let world = World::empty().laid_out(&plan.tenants, &front);
        let disk = plan
            .fills_the_disk()
            .then(|| SmallDisk::mount(&world.data_dir()))
            .flatten();
        let wire = Wire::open(front.listen(), back.address());
        wire.break_next(&plan.broken);
        Self {
            plan,
            disk,
            provider: back.open(plan.script.clone(), &world.path("provider.log")),
            world,
            wire,
            door: Arc::default(),
            begun: Instant::now(),
            faults,
            is_armed: false,
            deaths: Vec::new(),
            tally: Tally::default(),
        }
    }

    fn start(&mut self, points: &str) {
        let begun = Instant::now();
        self.is_armed = !points.is_empty();
        match self
            .world
            .try_run_with(&format!("{};{points}", self.faults))
        {
            Ok(()) => {
                self.door.port.store(self.world.port(), Ordering::SeqCst);
                self.tally.worst_recovery = self.tally.worst_recovery.max(begun.elapsed());
            }
            Err(status) => self.died(status, Duration::ZERO),
        }
    }

    /// Lets the clients run and the troubles come, and waits until all is at rest.
    fn live_through(&mut self) -> Vec<Dropped> {
        let plan = self.plan;
        let _giving_up = GiveUp(Arc::clone(&self.door));
        let drops = thread::scope(|scope| {
            let client = |tenant: &TenantPlan| {
                let runner = self.runner(tenant.name);
                scope.spawn(move || runner.run(&plan.errands))
            };
            let clients: Vec<_> = plan.tenants.iter().map(client).collect();
            for (peace_ms, trouble) in &plan.troubles {
                self.live(Duration::from_millis(*peace_ms));
                self.befall(trouble);
            }
            if !plan.troubles.is_empty() {
                // What waits for an answer that will never come is cut short.
                self.kill(Duration::ZERO);
                self.start("");
            }
            self.door.is_peace.store(true, Ordering::SeqCst);
            while !clients.iter().all(ScopedJoinHandle::is_finished) {
                self.live(LOOK_EVERY);
            }
            let heard = clients.into_iter().map(ScopedJoinHandle::join);
            heard
                .flat_map(|heard| heard.expect("its clients come to an end"))
                .collect()
        });
        let since = Instant::now();
        while !record::is_at_rest(&self.world, &self.tenants()) && since.elapsed() < REST {
            self.live(LOOK_EVERY);
        }
        drops
    }

    fn tenants(&self) -> Vec<&'static str> {
        self.plan.tenants.iter().map(|it| it.name).collect()
    }

    fn runner(&self, tenant: &'static str) -> Runner<'a> {
        Runner {
            begun: self.begun,
            door: Arc::clone(&self.door),
            tenant,
            folder: self.world.path(""),
            contents: &self.plan.contents,
            drops: Vec::new(),
        }
    }

    /// Lets the daemon live for so long; it may die only where it was told to.
    fn live(&mut self, life: Duration) {
        let since = Instant::now();
        while let Some(status) = self.outlived(life.saturating_sub(since.elapsed())) {
            self.died(status, Duration::ZERO);
        }
    }

    /// How the daemon has ended by itself, if it has within so long.
    fn outlived(&mut self, life: Duration) -> Option<ExitStatus> {
        let since = Instant::now();
        loop {
            let ended = self.world.reap();
            let left = life.saturating_sub(since.elapsed());
            if ended.is_some() || left.is_zero() {
                return ended;
            }
            thread::sleep(left.min(LOOK_EVERY));
        }
    }

    /// The daemon, to which nothing was granted for the last `stalled`, has ended by itself, which
    /// it must not unless it was told to die somewhere.
    fn died(&mut self, status: ExitStatus, stalled: Duration) {
        let was_told = self.is_armed && status.signal() == Some(Signal::ABORT.as_raw());
        let journal = self.world.journal();
        let last: Vec<&str> = journal.lines().rev().take(LINES_SHOWN).collect();
        assert!(was_told, "the daemon ended by itself: {status}\n{last:#?}");
        self.tally.deaths += 1;
        self.note_death(stalled);
        self.start("");
    }

    /// Kills the daemon, to which nothing was granted for the last `stalled`.
    fn kill(&mut self, stalled: Duration) {
        self.world.kill();
        self.tally.kills += 1;
        self.note_death(stalled);
    }

    fn note_death(&mut self, stalled: Duration) {
        let at = self.begun.elapsed();
        self.deaths.push(Death {
            at,
            under_way_since: at.saturating_sub(UNDER_WAY_MAX + stalled),
        });
    }

    fn befall(&mut self, trouble: &Trouble) {
        match trouble {
            Trouble::Kill => {
                self.kill(Duration::ZERO);
                self.start("");
            }
            Trouble::Die(point, times) => {
                self.kill(Duration::ZERO);
                self.start(&format!("{point}={times}*off->return"));
            }
            Trouble::Halt(millis) => {
                self.halt(*millis);
                self.world.signal(Signal::CONT);
            }
            Trouble::KillHalted(millis) => {
                self.halt(*millis);
                self.kill(Duration::from_millis(*millis));
                self.start("");
            }
            Trouble::Stop => {
                self.stop();
                self.start("");
            }
            Trouble::Break => self.wire.break_all(),
            Trouble::BreakNext(orders) => self.wire.break_next(orders),
            Trouble::Full(millis) | Trouble::KillFull(millis) => {
                let dies = matches!(trouble, Trouble::KillFull(_));
                self.fill_the_disk(Duration::from_millis(*millis), dies);
            }
        }
    }

    fn halt(&mut self, millis: u64) {
        self.tally.halts += 1;
        self.world.signal(Signal::STOP);
        thread::sleep(Duration::from_millis(millis));
    }

    fn stop(&mut self) {
        let (code, took) = self.world.stop();
        self.tally.stops += 1;
        let was_told_to_die = self.is_armed && code.is_none();
        assert!(
            code == Some(0) || was_told_to_die,
            "a stop ended with {code:?}"
        );
        assert!(took < STOP_MAX, "a stop took {took:?}");
        if was_told_to_die || took > DRAIN {
            self.note_death(took);
        }
    }

    /// Fills the disk for so long; there is room again before the daemon starts.
    fn fill_the_disk(&mut self, full: Duration, dies: bool) {
        let Some(disk) = self.disk.take() else {
            return;
        };
        self.tally.full_disks += 1;
        disk.fill();
        match self.outlived(full) {
            Some(status) => {
                disk.free();
                self.died(status, full);
            }
            None if dies => {
                self.kill(full);
                disk.free();
                self.start("");
            }
            None => disk.free(),
        }
        self.disk = Some(disk);
    }

    fn judge(mut self, drops: Vec<Dropped>) -> (Vec<Breach>, Tally) {
        let tenants = self.tenants();
        let batches = record::batches(&self.world, &tenants);
        self.provider.assert_understood();
        let history = History {
            contents: self.plan.contents.clone(),
            drops,
            batches,
            requests: self.requests(),
            deaths: std::mem::take(&mut self.deaths),
            cuts: self.wire.broken(),
            resending: BTreeSet::from([RESENDING]),
        };
        let mut breaches = judge(&history);
        if !record::is_at_rest(&self.world, &tenants) {
            breaches.push(Breach {
                condition: Condition::NotEnded,
                words: format!("something is still to be done after {REST:?}"),
            });
        }
        self.count(&history);
        (breaches, self.tally)
    }

    fn requests(&self) -> Vec<Request> {
        let request = |seen: Seen| Request {
            at: seen.at.saturating_duration_since(self.begun),
            batch: seen.batch,
            index: seen.index,
            attempt: seen.attempt,
            to: format!("+{}", seen.to),
            taken: seen.taken.then_some(seen.wamid),
            clear: seen.clear,
        };
        self.provider.seen().into_iter().map(request).collect()
    }

    fn count(&mut self, history: &History) {
        let lines = || {
            history
                .batches
                .iter()
                .filter_map(|it| it.lines.as_ref())
                .flatten()
        };
        let drops = history.drops.iter();
        let tally = &mut self.tally;
        tally.runs = 1;
        tally.broken_connections = history.cuts;
        tally.uploads = drops.filter(|it| it.answer == DropAnswer::Ok).count();
        tally.messages = lines().count();
        tally.requests = history.requests.len();
        tally.unknown = lines().filter(|it| it.status == "unknown").count();
        let is_set_aside = |it: &&Batch| it.reason == "file.quarantined";
        tally.set_aside = history.batches.iter().filter(is_set_aside).count();
        tally.possible_duplicates = lines().filter(|it| it.possible_duplicate).count();
    }
}

/// Sends the clients home when a run is over before its time.
struct GiveUp(Arc<Door>);

impl Drop for GiveUp {
    fn drop(&mut self) {
        self.0.is_over.store(thread::panicking(), Ordering::SeqCst);
    }
}
