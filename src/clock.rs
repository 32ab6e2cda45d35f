//! The only file that asks what time it is; everything else is told.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::batch::Moment;

/// The wall clock, for what people read and for what must survive a restart.
pub fn now() -> Moment {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Moment::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The steady clock, for rates and time-outs: it never steps, and means nothing after a restart.
pub fn steady() -> Instant {
    Instant::now()
}
