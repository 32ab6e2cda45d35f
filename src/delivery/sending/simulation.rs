//! Sending, simulated: the decisions as they are, between a store and a provider that are made up,
//! in a time that is made up too. Each seed makes up its own tenants, batches and trouble: crashes,
//! throttles, outages, answers that never come, steps of the wall clock, a full disk, and people
//! who pause, cancel and retry. At some point all trouble ends.
//!
//! It is a failure if
//!
//! - the provider takes a message twice, unless its tenant wants it sent again and it is marked;
//! - a message is told to be accepted that the provider did not take, or to be failed, expired or
//!   cancelled though it did;
//! - a crash leaves more messages open than had a permit, or more have one than there are, over all
//!   or at one sender;
//! - more messages of a sender reach the provider within a second than its rate allows;
//! - anything begins that is paused, cancelled, expired, not yet due, behind an open breaker
//!   (except one probe), from a sender that was throttled and is to rest, or while the disk is
//!   full, also if a crash came between;
//! - a batch has not ended in time though all trouble is over, or nothing would wake the loop;
//! - counters do not say what there is, or a message was forgotten;
//! - the loop spins, a message is held twice, or what is remembered grows with time.
//!
//! What one sender may cost another, and how turns are shared, is measured in worlds of their own.
//! Not simulated: damaged chunks, a sender that is taken from the settings, hours and windows, and
//! a start within a second of a crash, after which a second may hold twice the rate.
//!
//! `DROPCAST_SIMULATIONS=n` runs so many seeds, `DROPCAST_SEED=s` one alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use fastrand::Rng;

use super::lines::Batch;
use super::{
    Action, Attempt, Bar, Barred, BatchId, Gate, Going, Item, Lane, Message, Moment, Notice, Now,
    Pause, Pauses, Phone, Policy, Read, Readings, Reason, Sender, Sending, Subject, TenantName,
    Verdict, Way, Whose,
};
use crate::delivery::pace::Record;
use crate::delivery::steering::By;
use crate::delivery::{Outcome, Scope, State, Step, Tried, UnknownPolicy};

mod fairness;
mod plan;
mod provider;
mod store;
mod truth;
mod world;

use plan::Course;
use world::{Told, World};

/// When the wall clock of every world begins.
const EPOCH: Moment = Moment::from_millis(1_800_000_000_000);

/// Seeds that are run if nothing else is said, in all.
const SEEDS: u64 = 10_000;

/// The tests that share the seeds run side by side.
const PARTS: u64 = 4;

/// Events of one world, at most.
const EVENTS_MAX: u64 = 500_000;

/// How long what waits for nothing in the store may take, once all trouble is over: the longest
/// that a breaker is open, and what a sender needs to find back to its rate.
const PATIENCE: Duration = Duration::from_hours(2);

fn simulate(seed: u64, told: Option<Told>) {
    let mut world = World::new(Course::of(seed), seed, told);
    let mut deadline = None;
    for _ in 0..EVENTS_MAX {
        if world.is_over() {
            return truth::at_the_end(&world);
        }
        if world.is_healed {
            let deadline = *deadline.get_or_insert_with(|| deadline_of(&world));
            assert!(
                world.steady < deadline,
                "it does not end: {}",
                standing(&world)
            );
        }
        assert!(world.step(), "nothing wakes it: {}", standing(&world));
    }
    panic!("it takes too many steps: {}", standing(&world));
}

/// Until when everything must have ended: the latest moment that the store knows of, and then some.
fn deadline_of(world: &World) -> Duration {
    let now = world.now();
    let scheduled = world.course.batches.iter().flat_map(|batch| {
        let messages = batch.messages.iter();
        messages.filter_map(|message| message.scheduled_at)
    });
    let rows = world.store.0.iter().flat_map(|kept| kept.rows.values());
    let latest = scheduled.chain(rows.map(|row| row.due_at)).max();
    let ms = latest.map_or(0, |at| at.as_millis() - now.wall.as_millis());
    now.steady + Duration::from_millis(ms.max(0) as u64) + PATIENCE
}

fn standing(world: &World) -> String {
    let batches = world.store.0.iter().map(|kept| {
        let rows = kept.rows.len();
        let waiting = kept.rows_in(State::Waiting);
        format!(
            "{} {:?}: {rows} rows of {}, {waiting} waiting, {} in flight",
            kept.id,
            kept.stage,
            kept.messages.len(),
            kept.in_flight
        )
    });
    let batches: Vec<String> = batches.collect();
    format!("{}\n{:?}", batches.join("\n"), world.sending.batches)
}

/// Runs a seed; if it fails, once more to tell what happened last.
fn run(seed: u64) {
    if catch_unwind(AssertUnwindSafe(|| simulate(seed, None))).is_ok() {
        return;
    }
    let told = Told::default();
    let again = Rc::clone(&told);
    let failed = catch_unwind(AssertUnwindSafe(|| simulate(seed, Some(again))));
    let lines: Vec<String> = told.borrow().iter().cloned().collect();
    let what = failed.err().map(|what| {
        let text = what.downcast_ref::<String>().cloned();
        text.or_else(|| what.downcast_ref::<&str>().map(ToString::to_string))
    });
    let what = what.flatten().unwrap_or_default();
    panic!("DROPCAST_SEED={seed}: {what}\n{}", lines.join("\n"));
}

fn part(no: u64) {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    if let Some(seed) = number("DROPCAST_SEED") {
        if no == seed % PARTS {
            run(seed);
        }
        return;
    }
    let seeds = number("DROPCAST_SIMULATIONS").unwrap_or(SEEDS);
    (0..seeds).filter(|seed| seed % PARTS == no).for_each(run);
}

/// Any of the failures above would double, lose or hold back messages of somebody.
#[test]
fn a_first_quarter_of_worlds_keeps_every_promise() {
    part(0);
}

/// The same, in other worlds.
#[test]
fn a_second_quarter_of_worlds_keeps_every_promise() {
    part(1);
}

/// The same, in other worlds.
#[test]
fn a_third_quarter_of_worlds_keeps_every_promise() {
    part(2);
}

/// The same, in other worlds.
#[test]
fn a_last_quarter_of_worlds_keeps_every_promise() {
    part(3);
}
