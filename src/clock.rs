//! The only file that asks what time it is; everything else is told.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::batch::Moment;

/// A difference between the wall clock and the time that has passed that is still no step: clocks
/// are adjusted by less all the time.
const STEP_MS: i64 = 1_000;

/// How long a wall clock that has stepped must run on from there before it is believed. A step by
/// mistake, which is taken back soon, lets nothing expire and sends nothing too soon.
const BELIEVED_AFTER: Duration = Duration::from_mins(10);

/// The wall clock, for what people read and for what must survive a restart. A step of it counts
/// only once it has lasted; until then the time goes on as it passes.
pub fn now() -> Moment {
    static TRUSTED: Mutex<Trusted> = Mutex::new(Trusted {
        base: None,
        step: None,
    });
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let wall_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    let mut trusted = TRUSTED.lock().unwrap_or_else(PoisonError::into_inner);
    Moment::from_millis(trusted.at(wall_ms, since_boot()))
}

/// The steady clock, for rates and time-outs: it never steps, and means nothing after a restart.
pub fn steady() -> Instant {
    Instant::now()
}

/// How long the machine runs, the time that it slept included.
fn since_boot() -> Duration {
    let passed = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(passed.tv_sec).unwrap_or(0);
    let rest = u64::try_from(passed.tv_nsec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_nanos(rest)
}

/// A wall clock that is believed as far as it agrees with the time that passes.
#[derive(Debug)]
struct Trusted {
    /// What the wall showed when the machine had run for so long.
    base: Option<(i64, Duration)>,
    /// By how much the wall has stepped, and since when.
    step: Option<(i64, Duration)>,
}

impl Trusted {
    fn at(&mut self, wall_ms: i64, running: Duration) -> i64 {
        let (base_ms, base_running) = *self.base.get_or_insert((wall_ms, running));
        let passed = running.saturating_sub(base_running).as_millis();
        let expected = base_ms.saturating_add(i64::try_from(passed).unwrap_or(i64::MAX));
        let away = wall_ms.saturating_sub(expected);
        let has_lasted = match self.step {
            _ if away.abs() <= STEP_MS => true,
            Some((step, since)) if (away - step).abs() <= STEP_MS => {
                running.saturating_sub(since) >= BELIEVED_AFTER
            }
            _ => {
                self.step = Some((away, running));
                false
            }
        };
        if has_lasted {
            *self = Self {
                base: Some((wall_ms, running)),
                step: None,
            };
            return wall_ms;
        }
        expected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    fn after(seconds: u64) -> Duration {
        Duration::from_secs(1_000 + seconds)
    }

    /// A clock that is set wrong for a moment would let every waiting message expire.
    #[test]
    fn a_step_counts_once_it_has_lasted() {
        let mut trusted = Trusted {
            base: None,
            step: None,
        };
        assert_eq!(trusted.at(5_000, after(0)), 5_000);
        assert_eq!(trusted.at(6_200, after(1)), 6_200, "it is adjusted");
        for away in [72 * HOUR_MS, -72 * HOUR_MS] {
            let mut trusted = Trusted {
                base: trusted.base,
                step: None,
            };
            assert_eq!(trusted.at(7_200 + away, after(2)), 7_200);
            assert_eq!(trusted.at(8_200 + away, after(3)), 8_200);
            assert_eq!(trusted.at(9_200, after(4)), 9_200, "it was taken back");
        }
        assert_eq!(trusted.at(9_200, after(4)), 9_200);
        let stepped = |seconds: i64| 9_200 + (seconds - 4) * 1_000 + HOUR_MS;
        for seconds in 5_i64..605 {
            let expected = 9_200 + (seconds - 4) * 1_000;
            let running = after(seconds.unsigned_abs());
            assert_eq!(trusted.at(stepped(seconds), running), expected);
        }
        assert_eq!(trusted.at(stepped(606), after(606)), stepped(606));
        assert_eq!(trusted.at(stepped(607), after(607)), stepped(607));
    }
}
