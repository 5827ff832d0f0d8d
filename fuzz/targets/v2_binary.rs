//! Open Inference with the binary tensor extension: two bytes say where the JSON is claimed to end.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tidegate_fuzz::{one_input, signature, within_memory};
use tidegate_proto::JsonLimits;
use tidegate_proto::open_inference::{self, HeaderLength};
use tidegate_proto::shared_memory::NoRegions;

fuzz_target!(|input: &[u8]| {
    let Some((length, body)) = input.split_first_chunk::<2>() else { return };
    let claimed = i16::from_le_bytes(*length).to_string();
    // The header's own text may be anything, too.
    let _ = HeaderLength::parse(body);
    let Ok(length) = HeaderLength::parse(claimed.as_bytes()) else { return };
    let body = Bytes::copy_from_slice(body);
    for signature in [signature(), one_input()] {
        within_memory(64 * input.len(), || {
            let limits = JsonLimits::default();
            let decoded =
                open_inference::decode_infer(&body, Some(length), &signature, limits, &NoRegions);
            if let Ok(request) = decoded {
                let _ = signature.arrange(request.inputs);
            }
        });
    }
});
