//! Which of many keys have been seen, in as little memory as their number allows and never more.

use std::collections::HashSet;
use std::hash::Hash;

/// Fewer keys are kept as they are.
const FEW: usize = 1 << 20;

/// One key of so many finds its bucket full.
const OTHERS_SHARE: usize = 25;

/// With fewer buckets, what is left of a number would not fit into a slot.
const BUCKETS_MIN: usize = (1 << 18) + 1;

/// Keys that have been seen: buckets of `WIDTH` slots, which lie together so that a look costs
/// little more than one access to memory. Which bucket a key is in says a part of it, and the slot
/// holds the rest.
#[derive(Debug)]
pub(super) struct Seen<K, S, const WIDTH: usize> {
    buckets: Vec<[S; WIDTH]>,
    /// Keys whose buckets are full, and all keys if there are no buckets.
    others: HashSet<K>,
}

/// Where a key belongs: its bucket, and what is left of it then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<K> {
    bucket: u64,
    rest: u64,
    key: K,
}

/// Seen numbers, told apart exactly.
pub(super) type Numbers = Seen<u64, u32, 40>;
/// Seen sums.
pub(super) type Sums = Seen<u128, u64, 8>;

impl Numbers {
    /// Room for so many numbers, of 50 bits each.
    pub(super) fn of_numbers(keys: usize) -> Self {
        // Some 3 % of the keys find their bucket full.
        const FILLED: usize = 37;
        Self::new(keys, FILLED)
    }

    /// Where a number belongs, exactly.
    pub(super) fn place_of_number(&self, number: u64) -> Place<u64> {
        let buckets = (self.buckets.len() as u64).max(1);
        Place {
            bucket: number % buckets,
            rest: number / buckets,
            key: number,
        }
    }
}

impl Sums {
    /// Room for so many sums.
    pub(super) fn of_sums(keys: usize) -> Self {
        const FILLED: usize = 6;
        Self::new(keys, FILLED)
    }

    /// Where a sum belongs: all its lower half, and as much of the upper one as there are buckets.
    pub(super) fn place_of_sum(&self, sum: u128) -> Place<u128> {
        let (high, low) = ((sum >> 64) as u64, sum as u64);
        let bucket = match self.buckets.len() as u64 {
            0 => high,
            buckets => high % buckets,
        };
        Place {
            bucket,
            // The largest one stands for the one below it, since an empty slot is 0.
            rest: low.min(u64::MAX - 1),
            key: sum,
        }
    }
}

impl<K, S, const WIDTH: usize> Seen<K, S, WIDTH>
where
    K: Copy + Eq + Hash,
    S: Copy + Default + PartialEq + TryFrom<u64>,
{
    fn new(keys: usize, filled: usize) -> Self {
        let buckets = if keys < FEW {
            0
        } else {
            (keys / filled).max(BUCKETS_MIN)
        };
        Self {
            buckets: vec![[S::default(); WIDTH]; buckets],
            // It grows once more only where nothing else is taken, or where somebody is unlucky.
            others: HashSet::with_capacity(if buckets == 0 { 0 } else { keys / OTHERS_SHARE }),
        }
    }

    /// What stands in the slot of a key; an empty slot is 0.
    fn slot(place: Place<K>) -> S {
        S::try_from(place.rest + 1)
            .ok()
            .expect("as many buckets as the rest needs")
    }

    /// Whether the key of this place was added.
    pub(super) fn has(&self, place: Place<K>) -> bool {
        let Some(bucket) = self.buckets.get(place.bucket as usize) else {
            return self.others.contains(&place.key);
        };
        let slot = Self::slot(place);
        // Every slot is looked at, which is quicker than stopping at the first hit.
        if bucket.iter().filter(|other| **other == slot).count() > 0 {
            return true;
        }
        bucket[WIDTH - 1] != S::default() && self.others.contains(&place.key)
    }

    /// Adds the key of this place.
    pub(super) fn add(&mut self, place: Place<K>) {
        let empty = S::default();
        let slot = self.buckets.get_mut(place.bucket as usize);
        match slot.and_then(|bucket| bucket.iter_mut().find(|slot| **slot == empty)) {
            Some(slot) => *slot = Self::slot(place),
            None => {
                self.others.insert(place.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A full bucket must forget nobody, nor take anybody for another.
    #[test]
    fn more_keys_than_a_bucket_holds_are_remembered() {
        let mut seen = Numbers::of_numbers(FEW);
        let buckets = seen.buckets.len() as u64;
        let numbers = || (0..100).map(|at| at * buckets + 5);
        for number in numbers() {
            let place = seen.place_of_number(number);
            assert!(!seen.has(place), "{number}");
            seen.add(place);
        }
        assert_eq!(seen.others.len(), 60);
        assert!(numbers().all(|number| seen.has(seen.place_of_number(number))));
        assert!(numbers().all(|number| !seen.has(seen.place_of_number(number + 1))));
    }

    /// The largest number there can be must find room in a slot.
    #[test]
    fn the_largest_number_fits() {
        for keys in [FEW, 10_000_000] {
            let mut seen = Numbers::of_numbers(keys);
            let place = seen.place_of_number((1 << 50) - 1);
            seen.add(place);
            assert!(seen.has(place));
        }
    }
}
