//! Bodies of `POST /predict`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_fuzz::{one_input, within_memory};
use tidegate_proto::{JsonLimits, predict};

fuzz_target!(|input: &[u8]| {
    let signature = one_input();
    within_memory(64 * input.len(), || {
        if let Ok(request) = predict::decode(input, &signature, JsonLimits::default()) {
            let _ = signature.arrange(request.inputs);
        }
    });
});
