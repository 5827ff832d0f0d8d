//! The wire: every format translated to and from Tidegate's own words, in one place.
//!
//! Bytes in, [`tidegate_inference`] values out, and back. No I/O, no HTTP types, no clock: whoever owns the
//! connection hands over a body and sends what it gets back. Each format is there in both directions: as the
//! gateway reads requests and writes answers, and as a client writes requests and reads answers. All
//! JSON that carries tensors goes through one small pull reader ([`json`]) instead of `serde_json`, because three of its rules cannot be had otherwise
//! without a value tree: `NaN` literals, overflow that becomes infinity, and numbers that go straight
//! into a typed buffer of the datatype that only the model or a sibling key knows.
//!
//! | module | wire format |
//! |---|---|
//! | [`open_inference`] | Open Inference Protocol v2 over REST, with Triton's binary tensor extension |
//! | [`tensorflow_serving`] | TensorFlow Serving's REST API |
//! | [`grpc`] | Open Inference Protocol v2 with Triton's additions, and TensorFlow Serving, over gRPC |
//! | [`predict`] | `POST /predict`, as small Flask services do it |
//! | [`tree`] | protobuf messages as people write them, in text format and in JSON |

#[cfg(test)]
mod any;
mod error;
pub mod grpc;
pub mod json;
pub mod open_inference;
pub mod predict;
mod role;
pub mod shared_memory;
pub mod tensorflow_serving;
pub mod tree;
mod values;

pub use error::DecodeError;
pub use json::JsonLimits;
