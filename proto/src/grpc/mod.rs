//! The two gRPC protocols: their messages and services as generated, and the translation of tensors into them and
//! back, in both directions.
//!
//! Tensors travel as raw bytes wherever the protocol has a place for them; what others send by type is read, too.

mod frame;
pub mod open_inference;
pub mod tensorflow_serving;
pub mod weight;

pub use frame::{PREFIX, Prefix, frame, unframe};

/// Open Inference Protocol v2: `protobuf/inference.proto`.
#[expect(unused_qualifications, reason = "generated code")]
pub mod inference {
    tonic::include_proto!("inference");
}

/// gRPC's own health checking: `protobuf/grpc/health.proto`.
#[expect(unused_qualifications, reason = "generated code")]
pub mod health {
    tonic::include_proto!("grpc.health.v1");
}

/// Every service and message here, as a `FileDescriptorSet`, for server reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// TensorFlow's tensors and TensorFlow Serving's service: `protobuf/tensorflow/*.proto`.
#[expect(unused_qualifications, reason = "generated code")]
pub mod tensorflow {
    tonic::include_proto!("tensorflow");

    pub mod serving {
        tonic::include_proto!("tensorflow.serving");
    }
}
