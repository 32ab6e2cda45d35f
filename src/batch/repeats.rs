//! Which messages of a file repeat the recipient or the reference of one before, where the file
//! asks that such are left out. The first one wins in the order of the file; what is not sent,
//! because it is wrong or left out itself, is repeated by nobody.
//!
//! Recipients are told apart exactly, references by 83 bits or more of a sum: that two of four
//! million different ones were taken for the same is less likely than one in a million millions.
//! What that takes depends on the number of rows alone, which the first reading has counted: some
//! 46 MiB for ten million recipients. A compressed bitmap would be smaller for numbers that lie
//! close together, and ten times as large for those that do not.

use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::Message;
use super::read::{Head, OnDuplicate};

mod seen;

use seen::{Numbers, Sums};

/// The most rows of a file that has its references looked at.
pub const REFERENCES_MAX: u64 = 4_000_000;

/// Numbers have 15 digits at most, which fit into this many bits.
const NUMBER_BITS: u32 = 50;

/// By what a message repeats another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The index of the message.
    pub index: u64,
    /// The digits of its recipient, spread.
    recipient: u64,
    /// A sum of its reference; `None` if it has none.
    reference: Option<u128>,
}

/// What a message repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// The recipient of one before.
    Recipient,
    /// The reference of one before.
    Reference,
}

/// Takes the marks of messages.
#[derive(Clone, Copy, Debug)]
pub struct Marker {
    recipients: bool,
    references: bool,
    seed: u64,
}

impl Marker {
    /// Takes what the head of the file asks for. `seed` is random, so that nobody can write a file
    /// whose marks crowd together; what is found does not depend on it.
    pub fn of(head: &Head, seed: u64) -> Self {
        Self {
            recipients: head.on_duplicate_recipient == OnDuplicate::Skip,
            references: head.on_duplicate_reference == OnDuplicate::Skip,
            seed,
        }
    }

    /// The mark of a message; `None` if nobody asks.
    pub fn mark(self, message: &Message) -> Option<Mark> {
        (self.recipients || self.references).then(|| Mark {
            index: message.index,
            recipient: spread(message.to.digits(), self.seed),
            reference: match &message.reference {
                Some(reference) if self.references => {
                    Some(xxh3_128_with_seed(reference.as_bytes(), self.seed))
                }
                _ => None,
            },
        })
    }
}

/// What the messages before had.
#[derive(Debug)]
pub struct Repeats {
    recipients: Option<Numbers>,
    references: Option<Sums>,
}

impl Repeats {
    /// Nothing is seen yet of a file with so many rows.
    pub fn new(marker: Marker, rows: u64) -> Self {
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        Self {
            recipients: marker.recipients.then(|| Numbers::of_numbers(rows)),
            references: marker.references.then(|| Sums::of_sums(rows)),
        }
    }

    /// What the next message repeats. If nothing, it is one that others may repeat.
    pub fn look(&mut self, mark: &Mark) -> Option<Repeat> {
        let place = |seen: &mut Numbers| seen.place_of_number(mark.recipient);
        let recipient = self.recipients.as_mut().map(|seen| (place(seen), seen));
        if let Some((place, seen)) = &recipient
            && seen.has(*place)
        {
            return Some(Repeat::Recipient);
        }
        if let (Some(seen), Some(sum)) = (&mut self.references, mark.reference) {
            let place = seen.place_of_sum(sum);
            if seen.has(place) {
                return Some(Repeat::Reference);
            }
            seen.add(place);
        }
        if let Some((place, seen)) = recipient {
            seen.add(place);
        }
        None
    }
}

/// Spreads numbers evenly over as many bits as they have: others give others.
fn spread(number: u64, seed: u64) -> u64 {
    const HALF_BITS: u32 = NUMBER_BITS / 2;
    const HALF: u64 = (1 << HALF_BITS) - 1;
    const ROUNDS: u32 = 4;
    let (mut high, mut low) = (number >> HALF_BITS & HALF, number & HALF);
    for round in 0..ROUNDS {
        let key = seed.rotate_left(round * 16) | 1;
        let mixed = (low ^ key >> 40).wrapping_mul(key.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        (high, low) = (low, high ^ (mixed >> 32 & HALF));
    }
    high << HALF_BITS | low
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn skipping(rows: u64) -> Repeats {
        let marker = Marker {
            recipients: true,
            references: true,
            seed: 7,
        };
        Repeats::new(marker, rows)
    }

    fn mark(index: u64, recipient: u64, reference: Option<u128>) -> Mark {
        let recipient = spread(recipient, 7);
        Mark {
            index,
            recipient,
            reference,
        }
    }

    proptest! {
        /// Somebody who is taken for somebody else gets nothing.
        #[test]
        fn the_first_one_wins(
            rows in prop::collection::vec((0..40_u64, 0..40_u128), 0..200), many: bool,
        ) {
            // Few rows and many are remembered in different ways.
            let mut repeats = skipping(if many { 4_000_000 } else { 10 });
            let (mut recipients, mut references) = (HashSet::new(), HashSet::new());
            for (at, (recipient, reference)) in rows.into_iter().enumerate() {
                let expected = if recipients.contains(&recipient) {
                    Some(Repeat::Recipient)
                } else if reference > 0 && references.contains(&reference) {
                    Some(Repeat::Reference)
                } else {
                    recipients.insert(recipient);
                    references.insert(reference);
                    None
                };
                let reference = (reference > 0).then_some(reference << 64 | reference);
                let found = repeats.look(&mark(at as u64, 31_600_000_000 + recipient, reference));
                prop_assert_eq!(found, expected);
            }
        }

        /// Two numbers in one place would be one recipient.
        #[test]
        fn spread_numbers_stay_apart(
            one in 0..1_u64 << NUMBER_BITS, other in 0..1_u64 << NUMBER_BITS, seed: u64,
        ) {
            prop_assert!(spread(one, seed) >> NUMBER_BITS == 0);
            prop_assert_eq!(spread(one, seed) == spread(other, seed), one == other);
        }
    }
}
