//! Open Inference JSON. A number may be two bytes of text and eight in the tensor, a string three bytes and its place
//! thirty-two.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tidegate_fuzz::{signature, within_memory};
use tidegate_proto::shared_memory::NoRegions;
use tidegate_proto::{JsonLimits, open_inference};

fuzz_target!(|input: &[u8]| {
    let (body, signature) = (Bytes::copy_from_slice(input), signature());
    within_memory(64 * input.len(), || {
        let decoded = open_inference::decode_infer(
            &body,
            None,
            &signature,
            JsonLimits::default(),
            &NoRegions,
        );
        if let Ok(request) = decoded {
            // What was decoded may be refused by the model, and must not break it.
            let _ = signature.arrange(request.inputs);
        }
    });
});
