//! Open Inference's message. What it takes in memory is told before it is decoded, and must be told truly.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use prost::Message;
use tidegate_fuzz::{signature, within_memory};
use tidegate_proto::grpc::inference::ModelInferRequest;
use tidegate_proto::grpc::{open_inference, unframe, weight};
use tidegate_proto::shared_memory::NoRegions;

fuzz_target!(|input: &[u8]| {
    let message = Bytes::copy_from_slice(input);
    let _ = unframe::<ModelInferRequest>(&message);
    let weight = weight::infer_request(&message);
    let told = weight.as_ref().map_or(0, |weight| weight.saturating_add(input.len()));
    within_memory(told, || {
        let Ok(request) = ModelInferRequest::decode(message) else { return };
        assert!(weight.is_ok(), "what can be decoded can be weighed");
        if let Ok(request) = open_inference::decode_infer(request, &NoRegions) {
            let _ = signature().arrange(request.inputs);
        }
    });
});
