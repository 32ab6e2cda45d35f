//! A thousand numbers with rates of their own in one file: none too fast in any second, all close
//! to their rate. Counted by the receiver's clock: what a busy machine delivers late is counted as
//! if it had left late.

use std::path::Path;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::{row, setting, status, upload_rows};
use crate::service::{Outcome, Plan, Service, TENANT, cloud_api};
use crate::stand_in::{Senders, StandIn};

/// The share of its rate that a number must reach.
const SHARE: f64 = 0.98;

/// What a provider counts in.
const SECOND: Duration = Duration::from_secs(1);

/// Connections have been opened by then: a message that waited for its own arrives late, and those
/// after it do not.
const OPENING: Duration = Duration::from_secs(3);

pub(crate) fn figures(runtime: &Runtime, folder: &Path) -> Outcome<()> {
    let numbers = setting("BENCH_SENDERS", 1_000);
    let seconds = setting("BENCH_SECONDS", 35);
    let stand_in = StandIn::open(runtime, Senders::Timed)?;
    let rate = |number: u64| number % 9 + 1;
    let name = |number: u64| format!("+1555{number:07}");
    let plan = Plan {
        senders: (0..numbers)
            .map(|number| (name(number), rate(number) as f64))
            .collect(),
        ..Plan::new(TENANT, cloud_api(stand_in.address))
    };
    let service = Service::start_as(folder, &[plan])?;
    // Each second's worth of each, in turns.
    let turns = (0..seconds * 9).flat_map(|turn| (0..numbers).map(move |number| (turn, number)));
    let mine = turns.filter(|(turn, number)| turn % 9 < rate(*number));
    let rows = mine
        .enumerate()
        .map(|(at, (_, number))| row(&super::recipient(at as u64), &name(number), at as u64));
    upload_rows(&service, folder, (TENANT, "numbers.json"), rows)?;
    let file = (TENANT, "numbers.json");
    status(folder, file, |status| status["final"] == true);
    let times = stand_in.times();
    let began = times.values().filter_map(|times| times.first()).min();
    let began = *began.ok_or("nothing was sent")?;
    let (mut over, mut over_later, mut nearest) = (0, 0, Duration::MAX);
    let (mut under, mut lowest, mut last_begun) = (0, f64::MAX, Duration::ZERO);
    for number in 0..numbers {
        let mut times = times
            .get(name(number).trim_start_matches('+'))
            .cloned()
            .ok_or("a number sent nothing")?;
        times.sort();
        let closest = closest(&times, rate(number) as usize);
        over += u64::from(closest < SECOND);
        let later: Vec<_> = times
            .iter()
            .copied()
            .filter(|at| *at > began + OPENING)
            .collect();
        over_later += u64::from(self::closest(&later, rate(number) as usize) < SECOND);
        nearest = nearest.min(closest);
        let (first, last) = (times[0], times[times.len() - 1]);
        let share = (times.len() - 1) as f64 / (last - first).as_secs_f64() / rate(number) as f64;
        under += u64::from(share < SHARE);
        lowest = lowest.min(share);
        last_begun = last_begun.max(first - began);
    }
    println!(
        "{numbers} numbers for {seconds} s     {over:>6} above their rate in some second ({over_later} once connections are open; closest {:.1} ms), {under} below {SHARE} of it (least {lowest:.3}), the last began after {} ms",
        nearest.as_secs_f64() * 1000.0,
        last_begun.as_millis(),
    );
    Ok(())
}

/// The shortest time that one message more than `rate` took.
fn closest(times: &[Instant], rate: usize) -> Duration {
    let spans = times.windows(rate + 1).map(|span| span[rate] - span[0]);
    spans.min().unwrap_or(Duration::MAX)
}
