//! A definitions file of a tenant's provider. What must hold of it stands in `batch::fuzzing`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| dropcast::batch::fuzzing::templates(input));
