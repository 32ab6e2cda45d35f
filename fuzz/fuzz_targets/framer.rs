//! Any bytes a client may send, in any cuts. What must hold of it stands in `sftp::fuzzing`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| dropcast::sftp::fuzzing::framer(input));
