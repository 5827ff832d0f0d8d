//! TensorFlow Serving's PredictionService, in Tidegate's words and back.

mod metadata;
mod predict;
mod status;
pub(super) mod tensor;

pub use metadata::{decode_metadata, encode_metadata, metadata_request};
pub use predict::{
    Asked, answering_version, decode_request, decode_response, encode_predict, encode_request,
    encode_response,
};
pub use status::encode_status;
