//! The same configuration as JSON, as it comes with a load.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_fuzz::within_memory;
use tidegate_proto::tree;

fuzz_target!(|input: &[u8]| {
    within_memory(256 * input.len(), || {
        if let Err(error) = tree::read_json(input) {
            assert!(!error.to_string().is_empty());
        }
    });
});
