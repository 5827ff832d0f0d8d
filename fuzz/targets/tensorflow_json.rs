//! TensorFlow Serving's REST bodies.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tidegate_fuzz::{one_input, signature, within_memory};
use tidegate_proto::{JsonLimits, tensorflow_serving};

fuzz_target!(|input: &[u8]| {
    let body = Bytes::copy_from_slice(input);
    for signature in [signature(), one_input()] {
        within_memory(64 * input.len(), || {
            let limits = JsonLimits::default();
            if let Ok(request) = tensorflow_serving::decode_predict(&body, &signature, limits) {
                let _ = signature.arrange(request.inputs);
            }
        });
    }
});
