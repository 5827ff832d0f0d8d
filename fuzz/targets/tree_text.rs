//! Triton's `config.pbtxt`, before anybody knows what its fields mean.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_fuzz::within_memory;
use tidegate_proto::tree;

fuzz_target!(|input: &[u8]| {
    within_memory(256 * input.len(), || {
        if let Err(error) = tree::read_text(input) {
            assert!(!error.to_string().is_empty());
        }
    });
});
