//! Names that have gone because their batch has ended, and that clients still ask about.
//!
//! Many clients look at a file right after its upload, some over another connection: to them an
//! upload whose name is gone has failed. So the door remembers for a while what it took, and
//! answers for it. Whether a name is really there is for `files` to look; a ghost only stands in
//! for one that is not.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::lock;
use super::packet::Attributes;
use super::uploads::Key;

/// How long after its arrival a name is answered for. Looking does not prolong it: scripts that
/// wait for a file to go must come to an end.
pub(super) const GHOST_FOR: Duration = Duration::from_secs(10);
/// How many are remembered for one tenant; the oldest go first.
pub(super) const GHOSTS_MAX: usize = 4096;

/// What one tenant's sessions remember.
#[derive(Debug, Default)]
pub(super) struct Ghosts(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    ghosts: HashMap<Key, Ghost>,
    /// In the order in which they were remembered; what has been forgotten since may be among them.
    order: VecDeque<(Key, Instant)>,
}

#[derive(Clone, Debug)]
struct Ghost {
    attributes: Attributes,
    until: Instant,
}

impl Ghosts {
    /// Remembers a file that arrived `now`, instead of any other of its name.
    pub(super) fn remember(&self, key: &Key, attributes: Attributes, now: Instant) {
        let until = now + GHOST_FOR;
        let mut memory = lock(&self.0);
        memory.insert(key.clone(), Ghost { attributes, until }, now);
    }

    /// What a name's file looked like.
    pub(super) fn look(&self, key: &Key, now: Instant) -> Option<Attributes> {
        let memory = lock(&self.0);
        let ghost = memory.ghosts.get(key)?;
        (now < ghost.until).then(|| ghost.attributes.clone())
    }

    /// Notes the times that a client sets; says whether the name is remembered.
    pub(super) fn set_times(&self, key: &Key, times: Option<(u32, u32)>, now: Instant) -> bool {
        let mut memory = lock(&self.0);
        let Some(ghost) = memory.ghosts.get_mut(key) else {
            return false;
        };
        if let Some(times) = times {
            ghost.attributes.times = Some(times);
        }
        now < ghost.until
    }

    /// Forgets a name; says whether it was remembered.
    pub(super) fn forget(&self, key: &Key, now: Instant) -> bool {
        let ghost = lock(&self.0).ghosts.remove(key);
        ghost.is_some_and(|ghost| now < ghost.until)
    }

    /// Gives a remembered file another name; says whether it was remembered.
    pub(super) fn relabel(&self, from: &Key, to: &Key, now: Instant) -> bool {
        let mut memory = lock(&self.0);
        let ghost = memory.ghosts.remove(from).filter(|it| now < it.until);
        let is_there = ghost.is_some();
        if let Some(ghost) = ghost {
            memory.insert(to.clone(), ghost, now);
        }
        is_there
    }
}

impl Memory {
    fn insert(&mut self, key: Key, ghost: Ghost, now: Instant) {
        while let Some((oldest, until)) = self.order.front() {
            if now < *until && self.order.len() < GHOSTS_MAX {
                break;
            }
            if self.ghosts.get(oldest).is_some_and(|it| it.until == *until) {
                self.ghosts.remove(oldest);
            }
            self.order.pop_front();
        }
        self.order.push_back((key.clone(), ghost.until));
        self.ghosts.insert(key, ghost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::sftp::uploads::key_of;

    fn sized(size: u64) -> Attributes {
        Attributes {
            size: Some(size),
            ..Attributes::default()
        }
    }

    /// A client that looks ten seconds long must see its file, and one that waits for the file to
    /// go must not wait for ever because it looks.
    #[test]
    fn a_ghost_is_seen_for_a_fixed_time() {
        let (ghosts, began) = (Ghosts::default(), clock::steady());
        let key = key_of("a.json");
        ghosts.remember(&key, sized(7), began);
        let last = began + Duration::from_millis(9_999);
        assert!(ghosts.set_times(&key, Some((1, 2)), began));
        let shown = ghosts.look(&key, last).expect("remembered");
        assert_eq!((shown.size, shown.times), (Some(7), Some((1, 2))));
        assert_eq!(ghosts.look(&key, began + GHOST_FOR), None);
        assert!(!ghosts.set_times(&key, None, began + GHOST_FOR));
        assert!(!ghosts.forget(&key, began + GHOST_FOR));

        ghosts.remember(&key, sized(8), began);
        let other = key_of("b.json");
        assert!(ghosts.relabel(&key, &other, began));
        assert!(!ghosts.relabel(&key, &other, began));
        assert_eq!(ghosts.look(&key, began), None);
        assert_eq!(ghosts.look(&other, last), Some(sized(8)));
        assert!(ghosts.forget(&other, began));
        assert!(!ghosts.forget(&other, began));
    }

    /// A tenant that uploads without a pause must not fill the memory with names.
    #[test]
    fn the_oldest_ghosts_make_room() {
        let (ghosts, began) = (Ghosts::default(), clock::steady());
        for number in 0..GHOSTS_MAX + 10 {
            ghosts.remember(&key_of(&format!("{number}.json")), sized(1), began);
        }
        assert_eq!(ghosts.look(&key_of("9.json"), began), None);
        assert!(ghosts.look(&key_of("10.json"), began).is_some());
        let memory = lock(&ghosts.0);
        assert_eq!(
            (memory.ghosts.len(), memory.order.len()),
            (GHOSTS_MAX, GHOSTS_MAX)
        );
        drop(memory);
        // One name again and again is one ghost, and its newest stays.
        for _ in 0..GHOSTS_MAX * 2 {
            ghosts.remember(&key_of("x.json"), sized(2), began + Duration::from_secs(1));
        }
        assert!(ghosts.look(&key_of("x.json"), began).is_some());
        assert!(lock(&ghosts.0).order.len() <= GHOSTS_MAX);
    }
}
