//! A row of the dialect `infobip`. What must hold of it stands in `batch::fuzzing`.

#![no_main]

use dropcast::batch::dialect::Dialect;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| dropcast::batch::fuzzing::dialect(Dialect::Infobip, input));
