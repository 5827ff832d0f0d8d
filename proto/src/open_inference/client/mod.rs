//! The client's side of Open Inference Protocol v2 over REST: requests written, answers and metadata read.
//!
//! What other servers add is skipped, and what they leave out is missed only where it is needed.

pub(crate) mod metadata;
mod request;
mod response;
mod statistics;

pub use metadata::{ModelMetadata, decode_metadata};
pub use request::encode_request;
pub use response::{answering_version, decode_response};
pub use statistics::decode_statistics;
