//! A whole file in any pieces. What must hold of it stands in `batch::fuzzing`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| dropcast::batch::fuzzing::reader(input));
