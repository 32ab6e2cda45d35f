//! Is this file finished? Decided from what was seen of it and when; the looking is for `sweep`.
//!
//! A writer that is not the door cannot tell when it is done, so its file has to lie unchanged for
//! a while: a short one if it was seen to be closed or moved in, a longer one otherwise. How long
//! is measured by a clock that never steps, from the first of our own looks that found the file as
//! it is. The times that the file carries are only compared with each other, or added on top where
//! a whole day is asked for, so that a clock that is wrong or steps cannot make half a file look
//! old.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::batch::name::{Companion, NameKind};
use crate::batch::origin::{Identity, Unread};

/// What changes of a file when somebody writes to it, or puts another in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Look {
    /// By what it is told from other files.
    pub identity: Identity,
    /// Its size.
    pub size_bytes: u64,
    /// When anything about it was last changed, in nanoseconds since 1970; no one can set it.
    pub changed_ns: i64,
}

/// How long a file must lie unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// After it was seen to be closed or moved in.
    pub closed: Duration,
    /// When nothing of that was seen.
    pub unclosed: Duration,
    /// Before it is refused for what its name or its size says.
    pub refused: Duration,
    /// Before something that never came is not waited for any more.
    pub abandoned: Duration,
}

/// A file that was seen, and since when it is as it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sighting {
    look: Look,
    since: Instant,
    was_closed: bool,
}

impl Sighting {
    /// The first look at a file.
    pub(super) fn new(look: Look, now: Instant) -> Self {
        Self {
            look,
            since: now,
            was_closed: false,
        }
    }

    /// Another look at it.
    pub(super) fn again(&mut self, look: Look, now: Instant) {
        if look == self.look {
            return;
        }
        // A mode or a further name is set by those who are done with writing as well.
        let same_content = Look {
            changed_ns: self.look.changed_ns,
            ..look
        } == self.look;
        self.was_closed &= same_content;
        self.look = look;
        self.since = now;
    }

    /// It was closed by a writer, or moved to its name.
    pub(super) fn closed(&mut self) {
        self.was_closed = true;
    }

    /// What was seen last.
    pub(super) fn look(&self) -> Look {
        self.look
    }
}

/// What is to be done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It is a whole batch file: copy it.
    Take,
    /// Refuse it.
    Refuse(Unread),
    /// It says something about another file.
    Heed(Companion, Age),
    /// It is an upload that nobody goes on with: remove it.
    Remove,
    /// Look again after this long.
    Wait(Duration),
}

/// For how long a companion has lain there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Age {
    /// It may still be written to.
    Fresh,
    /// It is whole.
    Settled,
    /// A file that was sent together with it would have come.
    Ripe,
    /// Its file will not come.
    Abandoned,
}

/// What a file is, by its name and size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One with a name of its writer's.
    Named(NameKind),
    /// An upload through the door that was not closed.
    Partial,
}

/// What is to be done with a file that was seen like this, `size_bytes_max` being the most that
/// its tenant may drop. `age` is for how long it has not been changed by its own times.
pub(super) fn next(
    kind: Kind,
    sighting: &Sighting,
    (now, age): (Instant, Duration),
    (waits, size_bytes_max): (&Waits, u64),
) -> Next {
    let lain = Lain {
        seen: now.saturating_duration_since(sighting.since),
        age,
    };
    let whole = if sighting.was_closed {
        waits.closed
    } else {
        waits.unclosed
    };
    let size = sighting.look.size_bytes;
    match kind {
        Kind::Partial => lain.long(waits, Next::Remove),
        Kind::Named(NameKind::Unfinished) => lain.long(waits, Next::Refuse(Unread::Abandoned)),
        // It says all by its name: however it is written, it is whole once it is there.
        Kind::Named(NameKind::Companion(Companion::Steers(verb))) => {
            let age = lain.companion(waits, waits.closed);
            Next::Heed(Companion::Steers(verb), age)
        }
        Kind::Named(NameKind::Companion(companion)) => {
            Next::Heed(companion, lain.companion(waits, whole))
        }
        Kind::Named(NameKind::Encrypted) => {
            lain.after(waits.refused, Next::Refuse(Unread::Encrypted))
        }
        Kind::Named(NameKind::Other) => {
            lain.after(waits.refused, Next::Refuse(Unread::UnknownEnding))
        }
        Kind::Named(NameKind::Batch { .. }) if size == 0 => {
            lain.after(waits.refused, Next::Refuse(Unread::Empty))
        }
        Kind::Named(NameKind::Batch { .. }) if size > size_bytes_max => {
            lain.after(whole, Next::Refuse(Unread::TooLarge))
        }
        Kind::Named(NameKind::Batch { .. }) => lain.after(whole, Next::Take),
    }
}

/// For how long a file has been as it is.
#[derive(Clone, Copy)]
struct Lain {
    /// By our own looks.
    seen: Duration,
    /// By its own times, which a clock that stepped makes wrong.
    age: Duration,
}

impl Lain {
    fn after(self, wait: Duration, then: Next) -> Next {
        match wait.checked_sub(self.seen) {
            None | Some(Duration::ZERO) => then,
            Some(rest) => Next::Wait(rest),
        }
    }

    /// A service that is started anew each night would never see a day go by, so the file's own
    /// times count; but only of a file that has been watched for a while as well.
    fn long(self, waits: &Waits, then: Next) -> Next {
        let rest = waits.abandoned.saturating_sub(self.age.max(self.seen));
        match self.after(waits.refused, then) {
            Next::Wait(watch) => Next::Wait(watch.max(rest)),
            _ if rest > Duration::ZERO => Next::Wait(rest),
            then => then,
        }
    }

    fn companion(self, waits: &Waits, whole: Duration) -> Age {
        if self.long(waits, Next::Remove) == Next::Remove {
            Age::Abandoned
        } else if self.seen >= waits.refused.max(whole) {
            Age::Ripe
        } else if self.seen >= whole {
            Age::Settled
        } else {
            Age::Fresh
        }
    }
}

/// How long a file that the disk did not take is left alone at first, and at most.
const PUT_OFF: Duration = Duration::from_secs(5);
const PUT_OFF_MAX: Duration = Duration::from_mins(5);

/// Files that the disk did not take, each left alone for longer every time.
#[derive(Debug, Default)]
pub struct PutOff {
    files: HashMap<Identity, (Instant, Duration)>,
}

impl PutOff {
    /// A file was not taken.
    pub fn failed(&mut self, file: Identity, now: Instant) {
        let (until, wait) = self.files.entry(file).or_insert((now, PUT_OFF / 2));
        *wait = (*wait * 2).min(PUT_OFF_MAX);
        *until = now + *wait;
    }

    /// A file was taken, or is none to be taken any more.
    pub fn done(&mut self, file: Identity) {
        self.files.remove(&file);
    }

    /// Whether a file may be tried now.
    pub fn allows(&self, file: Identity, now: Instant) -> bool {
        self.files.get(&file).is_none_or(|(until, _)| *until <= now)
    }

    /// Forgets all but those that still lie there.
    pub fn retain(&mut self, lies_there: impl Fn(&Identity) -> bool) {
        self.files.retain(|file, _| lies_there(file));
    }

    /// Whether none is left alone.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::batch::name::Verb;

    const WAITS: Waits = Waits {
        closed: Duration::from_secs(2),
        unclosed: Duration::from_secs(30),
        refused: Duration::from_mins(1),
        abandoned: Duration::from_hours(24),
    };
    const SIZE_BYTES_MAX: u64 = 1_000;

    fn look(size_bytes: u64, modified_ns: i64, changed_ns: i64) -> Look {
        Look {
            identity: Identity {
                inode: 7,
                modified_ns,
            },
            size_bytes,
            changed_ns,
        }
    }

    /// What comes of a file `name` that is as it is for `seen_s`, and for `age_s` by its times.
    fn after(name: &str, size: u64, closed: bool, (seen_s, age_s): (u64, u64)) -> Next {
        let began = Instant::now();
        let mut sighting = Sighting::new(look(size, 1, 1), began);
        if closed {
            sighting.closed();
        }
        let now = began + Duration::from_secs(seen_s);
        let kind = Kind::Named(NameKind::of(name));
        let times = (now, Duration::from_secs(age_s));
        next(kind, &sighting, times, (&WAITS, SIZE_BYTES_MAX))
    }

    fn wait(seconds: u64) -> Next {
        Next::Wait(Duration::from_secs(seconds))
    }

    /// A file that its writer is not done with must not be sent, and a finished one not wait.
    #[test]
    fn a_file_is_ready_when_it_has_lain_unchanged() {
        const DAY: u64 = 24 * 3_600;
        let (seen, unseen) = (true, false);
        assert_eq!(after("a.json", 9, seen, (1, 9)), wait(1));
        assert_eq!(after("a.json", 9, seen, (2, 0)), Next::Take);
        assert_eq!(after("a.json", 9, unseen, (29, DAY)), wait(1));
        assert_eq!(after("a.json", 9, unseen, (30, 0)), Next::Take);
        let refused = |why| Next::Refuse(why);
        assert_eq!(after("a.json", 0, seen, (59, DAY)), wait(1));
        assert_eq!(after("a.json", 0, seen, (60, 0)), refused(Unread::Empty));
        let too_large = refused(Unread::TooLarge);
        assert_eq!(after("a.json", 1_001, seen, (2, 0)), too_large);
        let unknown = refused(Unread::UnknownEnding);
        assert_eq!(after("a.csv", 9, seen, (60, 0)), unknown);
        let encrypted = refused(Unread::Encrypted);
        assert_eq!(after("a.json.gpg", 0, seen, (60, 0)), encrypted);
        // A clock that stepped forward makes a day pass in an instant.
        assert_eq!(after("a.part", 9, seen, (0, 2 * DAY)), wait(60));
        let abandoned = refused(Unread::Abandoned);
        assert_eq!(after("a.part", 9, seen, (60, 2 * DAY)), abandoned);
        assert_eq!(after("a.part", 9, seen, (60, 0)), wait(DAY - 60));
        assert_eq!(after("a.part", 9, seen, (DAY, 0)), abandoned);
        let heed = |age| Next::Heed(Companion::Md5, age);
        assert_eq!(after("a.json.md5", 0, seen, (0, 0)), heed(Age::Fresh));
        assert_eq!(after("a.json.md5", 0, seen, (2, 0)), heed(Age::Settled));
        let cancel = |age| Next::Heed(Companion::Steers(Verb::Cancel), age);
        assert_eq!(
            after("a.json.cancel", 0, unseen, (0, 0)),
            cancel(Age::Fresh)
        );
        let settled = cancel(Age::Settled);
        assert_eq!(after("a.json.cancel", 0, unseen, (2, 0)), settled);
        assert_eq!(after("a.json.md5", 0, seen, (60, 0)), heed(Age::Ripe));
        assert_eq!(
            after("a.json.md5", 0, seen, (60, DAY)),
            heed(Age::Abandoned)
        );
    }

    /// Whoever sets a mode after the close has not begun to write again.
    #[test]
    fn a_change_begins_the_wait_anew() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let kind = Kind::Named(NameKind::of("a.json"));
        let next = |sighting: &Sighting, seconds| {
            let times = (at(seconds), Duration::ZERO);
            next(kind, sighting, times, (&WAITS, SIZE_BYTES_MAX))
        };
        let mut sighting = Sighting::new(look(5, 1, 1), began);
        sighting.closed();
        sighting.again(look(5, 1, 2), at(1));
        assert_eq!(next(&sighting, 2), wait(1));
        assert_eq!(next(&sighting, 3), Next::Take);
        sighting.again(look(6, 2, 3), at(3));
        assert_eq!(next(&sighting, 6), wait(27));
    }

    /// A file that does not fit must not be copied over and over, and not wait for ever either.
    #[test]
    fn a_file_that_fails_is_left_alone_for_longer_each_time() {
        let began = Instant::now();
        let [file, other] = [7, 8].map(|inode| look(1, inode, 1).identity);
        let mut put_off = PutOff::default();
        let (mut now, mut tries) = (began, 0);
        while now < began + Duration::from_hours(1) {
            if put_off.allows(file, now) {
                tries += 1;
                put_off.failed(file, now);
            }
            now += Duration::from_millis(100);
        }
        // After 0, 5, 15, 35, 75, 155 and 315 seconds, then every five minutes.
        assert_eq!(tries, 17);
        assert!(put_off.allows(other, now));
        assert!(!put_off.is_empty());
        put_off.done(file);
        assert!(put_off.is_empty() && put_off.allows(file, now));
    }

    proptest! {
        /// Whatever the clocks say, a file is taken only after it was watched for its whole wait.
        #[test]
        fn nothing_is_taken_early(seen_ms in 0_u64..40_000, age_s in 0_u64..200_000) {
            let began = Instant::now();
            let sighting = Sighting::new(look(5, 1, 1), began);
            let now = began + Duration::from_millis(seen_ms);
            let kind = Kind::Named(NameKind::of("a.json"));
            let times = (now, Duration::from_secs(age_s));
            let found = next(kind, &sighting, times, (&WAITS, SIZE_BYTES_MAX));
            prop_assert_eq!(found == Next::Take, seen_ms >= 30_000);
        }
    }
}
