//! TensorFlow Serving's message. One value may stand for many, and its weight says so.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use prost::Message;
use tidegate_fuzz::{signature, within_memory};
use tidegate_proto::grpc::tensorflow::serving::PredictRequest;
use tidegate_proto::grpc::{tensorflow_serving, weight};

/// Larger claims are refused before they are decoded, by their weight.
const IN_FLIGHT: usize = 16 << 20;

fuzz_target!(|input: &[u8]| {
    let message = Bytes::copy_from_slice(input);
    let weight = weight::predict_request(&message);
    let told = weight.as_ref().map_or(0, |weight| weight.saturating_add(input.len()));
    if told > IN_FLIGHT {
        return;
    }
    within_memory(told, || {
        let Ok(request) = PredictRequest::decode(message) else { return };
        assert!(weight.is_ok(), "what can be decoded can be weighed");
        if let Ok((inputs, _)) = tensorflow_serving::decode_request(request) {
            let _ = signature().arrange(inputs);
        }
    });
});
