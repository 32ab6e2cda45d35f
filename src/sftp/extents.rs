//! Which bytes of an upload have been written. Clients write in any order, and a file with a hole
//! in it is not whole, whatever its size says.

/// How many separate stretches one upload may have at a time; orderly clients have a handful.
const STRETCHES_MAX: usize = 1024;

/// The written bytes of a file: stretches in order, none touching the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Extents(Vec<Stretch>);

/// From `start` up to, not with, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    start: u64,
    end: u64,
}

/// The upload is written in more separate pieces than are kept track of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scattered;

impl Extents {
    /// A file of which the first `length` bytes are written.
    pub(super) fn of(length: u64) -> Self {
        let mut extents = Self::default();
        extents.add(0, length).expect("one stretch is not too many");
        extents
    }

    /// Counts the bytes from `start` up to `end` as written.
    pub(super) fn add(&mut self, start: u64, end: u64) -> Result<(), Scattered> {
        if start >= end {
            return Ok(());
        }
        // Nearly every write continues the last one.
        if let Some(last) = self.0.last_mut()
            && last.end == start
        {
            last.end = end;
            return Ok(());
        }
        let first = self.0.partition_point(|stretch| stretch.end < start);
        let after = self.0.partition_point(|stretch| stretch.start <= end);
        if first == after {
            if self.0.len() == STRETCHES_MAX {
                return Err(Scattered);
            }
            self.0.insert(first, Stretch { start, end });
        } else {
            let joined = Stretch {
                start: start.min(self.0[first].start),
                end: end.max(self.0[after - 1].end),
            };
            self.0.splice(first..after, [joined]);
        }
        Ok(())
    }

    /// Forgets what was written at `length` and after it.
    pub(super) fn cut(&mut self, length: u64) {
        self.0.retain(|stretch| stretch.start < length);
        if let Some(last) = self.0.last_mut() {
            last.end = last.end.min(length);
        }
    }

    /// How many bytes are written without a hole, from the start.
    pub(super) fn whole_from_start(&self) -> u64 {
        match self.0.first() {
            Some(first) if first.start == 0 => first.end,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn end_of(extents: &Extents) -> u64 {
        extents.0.last().map_or(0, |last| last.end)
    }

    /// A client that writes in no order must have its whole file taken, and one that leaves a hole
    /// must not.
    #[test]
    fn pieces_in_any_order_become_one() {
        let mut extents = Extents::default();
        for (start, end) in [(20, 30), (0, 10), (5, 12), (40, 50)] {
            extents.add(start, end).expect("few pieces");
        }
        assert_eq!((extents.whole_from_start(), end_of(&extents)), (12, 50));
        extents.add(12, 20).expect("few pieces");
        assert_eq!(extents.whole_from_start(), 30);
        extents.cut(25);
        assert_eq!(extents, Extents::of(25));
        assert_eq!(Extents::of(0), Extents::default());
    }

    /// A client that writes every other byte must not make the door remember each of them.
    #[test]
    fn a_scattered_upload_is_refused() {
        let mut extents = Extents::default();
        for at in 0..STRETCHES_MAX as u64 {
            extents.add(at * 2, at * 2 + 1).expect("within the bound");
        }
        assert_eq!(extents.add(1 << 40, 1 << 41), Err(Scattered));
        let end = end_of(&extents);
        extents.add(0, end).expect("fills the holes");
        assert_eq!(extents, Extents::of(end));
    }

    proptest! {
        /// Stretches must say the same as a plain table of bytes.
        #[test]
        fn stretches_agree_with_a_table(
            steps in prop::collection::vec((0..200_u64, 0..40_u64, any::<bool>()), 0..60)
        ) {
            let (mut extents, mut table) = (Extents::default(), vec![false; 300]);
            for (at, length, cuts) in steps {
                if cuts {
                    extents.cut(at);
                    table[at as usize..].fill(false);
                } else {
                    extents.add(at, at + length).expect("few pieces");
                    table[at as usize..(at + length) as usize].fill(true);
                }
                let whole = table.iter().take_while(|written| **written).count();
                let end = table.iter().rposition(|written| *written).map_or(0, |at| at + 1);
                prop_assert_eq!(extents.whole_from_start(), whole as u64);
                prop_assert_eq!(end_of(&extents), end as u64);
                prop_assert!(extents.0.windows(2).all(|pair| pair[0].end < pair[1].start));
            }
        }
    }
}
