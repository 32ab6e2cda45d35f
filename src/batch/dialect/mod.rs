//! One file per way of writing a batch. A dialect reads the head and the rows of a file; where they
//! begin and end is found by `scan` for all of them.

pub(super) mod native;
