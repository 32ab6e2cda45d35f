//! What one sender, batch, priority or tenant may cost another: measured in worlds in which nothing
//! is left to chance.

use std::time::Duration;

use super::plan::{Arriving, Course, Happening, Peer, batch_id, message, number};
use super::provider::{Fault, Kind};
use super::store::Stage;
use super::world::World;
use super::{Phone, Policy, Sender, Subject, TenantName, Way};
use crate::batch::Priority;

/// Any would do.
const SEED: u64 = 7;

/// No measurement takes longer.
const LONGEST: Duration = Duration::from_mins(2);

/// A tenant with so many numbers of this rate.
fn peer(no: usize, senders: usize, rate: f64) -> Peer {
    let sender = |at| Sender {
        number: number(no, at),
        provider_id: String::new(),
        messages_per_second: rate,
    };
    Peer {
        name: TenantName::parse(&format!("tenant{no}")).expect("a name"),
        way: Way {
            endpoint: format!("https://provider{no}.example"),
            policy: Policy::default(),
            bulk_max: 1,
            session_bulk_max: 1,
            quiet_hours: std::sync::Arc::default(),
            senders: (0..senders).map(sender).collect(),
        },
        true_share: 1.0,
        says_wait: false,
    }
}

fn world(tenants: Vec<Peer>) -> Course {
    Course {
        permits: 256,
        tenants,
        batches: Vec::new(),
        happenings: Vec::new(),
        store_us: (500, 2_000),
        way_us: (20_000, 2_000),
        late_us: 1,
        fails_reading: 0,
        waits_for_file: 0,
    }
}

impl Course {
    /// Adds a batch that comes at `at_ms`; those that come earlier are added earlier.
    fn batch(&mut self, at_ms: u64, tenant: usize, from: &Phone, count: u64) -> &mut Arriving {
        let no = self.batches.len();
        self.happens(at_ms, Happening::Arrives(no));
        self.batches.push(Arriving {
            id: batch_id(no),
            tenant,
            messages: (0..count)
                .map(|index| message(index, from, index))
                .collect(),
            chunk_size: 1_000,
        });
        &mut self.batches[no]
    }

    fn happens(&mut self, at_ms: u64, happening: Happening) {
        let at = Duration::from_millis(at_ms);
        self.happenings.push((at, happening));
    }
}

impl Arriving {
    fn with_priority(&mut self, priority: Priority) {
        for message in &mut self.messages {
            message.priority = priority;
        }
    }
}

/// How long the batch takes from the beginning of the world.
fn end_of(course: Course, batch: usize) -> Duration {
    let mut world = World::new(course, SEED, None);
    let begins = world.steady;
    while world.steady < begins + LONGEST {
        let kept = world.store.0.get(batch);
        if kept.is_some_and(|kept| kept.stage == Stage::Finished) {
            return world.steady.saturating_sub(begins);
        }
        assert!(world.step(), "nothing wakes it");
    }
    panic!("it takes too long");
}

/// How many messages the provider has taken of each batch after so long.
fn taken_within(course: Course, span: Duration) -> Vec<usize> {
    let batches = course.batches.len();
    let mut world = World::new(course, SEED, None);
    let ends = world.steady + span;
    while world.steady < ends && world.step() {}
    (0..batches).map(|batch| world.accepted(batch)).collect()
}

/// A batch of ten behind a batch of a million goes at once, and the million is late by a quarter at
/// most, however many tens there are.
#[test]
fn small_batches_slow_a_big_one_by_a_quarter_at_most() {
    let with_small = |every_ms: usize| {
        let from = number(0, 0);
        let mut course = world(vec![peer(0, 1, 50.0)]);
        course.batch(0, 0, &from, 600);
        for at in (200..14_000).step_by(every_ms) {
            course.batch(at, 0, &from, 10);
        }
        course
    };
    let mut alone = with_small(14_000);
    alone.happenings.truncate(1);
    let alone = end_of(alone, 0);
    assert!(alone < Duration::from_millis(12_500), "{alone:?}");
    let crowded = end_of(with_small(300), 0);
    let slower = crowded.as_secs_f64() / alone.as_secs_f64();
    assert!(
        (1.2..=1.26).contains(&slower),
        "{crowded:?} instead of {alone:?}"
    );
    let last = 3;
    let arrived = Duration::from_millis(200 + 2_000 * (last as u64 - 1));
    let waited = end_of(with_small(2_000), last).saturating_sub(arrived);
    assert!(waited < Duration::from_millis(1_500), "{waited:?}");
}

/// High priority goes first, but what waits at low priority must come through some time.
#[test]
fn every_priority_gets_its_floor() {
    let from = number(0, 0);
    let mut course = world(vec![peer(0, 1, 50.0)]);
    course.batch(0, 0, &from, 100).with_priority(Priority::Low);
    course.batch(1, 0, &from, 900).with_priority(Priority::High);
    let taken = taken_within(course, Duration::from_secs(12));
    assert!((22..=40).contains(&taken[0]), "{taken:?}");
    assert!(taken[1] >= 530, "{taken:?}");
}

/// A tenant with many numbers and batches must not crowd out one with few.
#[test]
fn two_tenants_share_what_there_is() {
    let mut course = world(vec![peer(0, 4, 80.0), peer(1, 1, 80.0)]);
    course.permits = 16;
    course.way_us = (100_000, 2_000);
    for at in 0..4 {
        course.batch(at, 0, &number(0, at as usize), 300);
    }
    course.batch(10, 1, &number(1, 0), 300);
    let taken = taken_within(course, Duration::from_secs(6));
    let (many, few) = (taken[..4].iter().sum::<usize>(), taken[4]);
    let share = few as f64 / (many + few) as f64;
    assert!(many + few > 300, "{taken:?}");
    assert!((0.4..=0.6).contains(&share), "{taken:?}");
}

/// Whoever takes messages and never answers would make a whole batch unknown.
#[test]
fn a_silent_provider_is_not_fed_a_whole_batch() {
    let mut course = world(vec![peer(0, 1, 20.0)]);
    course.batch(0, 0, &number(0, 0), 600);
    course.happens(
        0,
        Happening::Goes(Fault {
            kind: Kind::Hang,
            tenant: 0,
            number: None,
            template: String::new(),
            lasts: LONGEST,
            share: 1.0,
            wait: None,
        }),
    );
    let mut world = World::new(course, SEED, None);
    let ends = world.steady + Duration::from_secs(90);
    while world.steady < ends && world.step() {}
    let begun = world.store.0[0].rows.len();
    // Half of all permits, what left until fifty had not been answered, and probes.
    assert!((100..=220).contains(&begun), "{begun} were handed over");
}

/// What is wrong with one number is no reason for another to stand still.
#[test]
fn a_bad_sender_delays_no_other() {
    let rate = 20.0;
    let calm = || {
        let mut course = world(vec![peer(0, 2, rate), peer(1, 1, rate)]);
        course.batch(0, 0, &number(0, 0), 300);
        course.batch(1, 0, &number(0, 1), 100);
        course.batch(2, 1, &number(1, 0), 100);
        course
    };
    let fault = |kind| Fault {
        kind,
        tenant: 0,
        number: Some(number(0, 0)),
        template: String::new(),
        lasts: LONGEST,
        share: 1.0,
        wait: None,
    };
    let with = |happening| {
        let mut course = calm();
        course.happens(3, happening);
        course
    };
    let paused = Subject::Sender {
        tenant: TenantName::parse("tenant0").expect("a name"),
        number: number(0, 0),
    };
    let mut hung = with(Happening::Goes(fault(Kind::Hang)));
    // What never answers holds its permits for long.
    hung.permits = 64;
    let mut throttled = calm();
    throttled.tenants[0].true_share = 0.3;
    // Answers that never come may be the fault of the tenant's way to its provider, as may be a bad
    // credential: there its own other number may have to wait.
    let worlds = [
        ("paused", 1, with(Happening::Pause(paused, None))),
        ("down", 1, with(Happening::Goes(fault(Kind::SenderDown)))),
        (
            "failing",
            1,
            with(Happening::Goes(fault(Kind::Unavailable))),
        ),
        ("hung", 2, hung),
        (
            "credential",
            2,
            with(Happening::Goes(fault(Kind::Credential))),
        ),
        ("throttled", 2, throttled),
    ];
    for (what, batch, course) in worlds {
        let (calm, beside) = (end_of(calm(), batch), end_of(course, batch));
        let slower = beside.as_secs_f64() / calm.as_secs_f64();
        assert!(slower < 1.02, "{what}: {beside:?} instead of {calm:?}");
    }
}
