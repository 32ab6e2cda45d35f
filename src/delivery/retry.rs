//! When a message is tried again: full jitter under a cap, so that what failed together does not
//! come back together; the provider's own wish is the least that is waited.

use std::time::Duration;

/// The cap of the first wait; it doubles with each try.
const FIRST_CAP: Duration = Duration::from_secs(2);

/// No wait that we choose ourselves is longer.
const LAST_CAP: Duration = Duration::from_mins(5);

/// The least wait that we choose ourselves.
const LEAST: Duration = Duration::from_millis(100);

/// No wait that the provider asks for is honoured beyond this; whoever means longer says so again.
pub const ASKED_MAX: Duration = Duration::from_hours(25);

/// How long to wait after try number `attempt` (from 1). `asked` is what the provider asked for,
/// `share` a random number from 0.0 up to 1.0.
pub fn wait(attempt: u32, asked: Option<Duration>, share: f64) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    let cap = LAST_CAP.min(FIRST_CAP.saturating_mul(1 << doublings));
    let jitter = cap.mul_f64(share.clamp(0.0, 1.0));
    match asked {
        // A tenth on top: those who were asked to wait equally long must not come back as one. And
        // never sooner than ours: some ask for no wait at all, for ever.
        Some(asked) => {
            let asked = asked.min(ASKED_MAX);
            (asked + jitter.min(asked / 10 + LEAST)).max(jitter)
        }
        None => jitter.max(LEAST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A provider that is down must not be stormed, and one that is back not be kept waiting.
    #[test]
    fn waits_grow_up_to_a_cap_and_keep_to_what_was_asked() {
        assert_eq!(wait(1, None, 1.0), Duration::from_secs(2));
        assert_eq!(wait(3, None, 0.5), Duration::from_secs(4));
        assert_eq!(wait(40, None, 1.0), LAST_CAP);
        assert_eq!(wait(1, None, 0.0), LEAST);
        let asked = Duration::from_secs(7);
        assert!(wait(1, Some(asked), 0.0) >= asked);
    }
}
