//! The words that every room of Tidegate shares: model, version, tensor, request, response, deadline,
//! timeline and error.
//!
//! Nothing here does I/O, waits, or serialises: wire formats live in `tidegate-proto`, clocks in
//! whoever calls. Types are built valid, so that later rooms need not check again.

mod catalog;
mod datatype;
mod deadline;
mod description;
mod error;
mod management;
mod name;
mod priority;
mod request;
mod shape;
mod signature;
mod statistics;
mod tensor;
mod timeline;
mod version;
mod version_policy;

pub use catalog::{BatchingStatus, Catalog, ModelEntry, VersionEntry, VersionState};
pub use datatype::DataType;
pub use deadline::Deadline;
pub use description::{SharedBatches, VersionDescription};
pub use error::{Error, ErrorKind, Result};
pub use management::{LoadRequest, Managed, Management, WantedModel};
pub use name::{Label, ModelName};
pub use priority::Priority;
pub use request::{
    Admission, Admitted, Entrypoint, ParameterValue, Parameters, Permit, Request, RequestHead,
    Response,
};
pub use shape::Shape;
pub use signature::{Dim, Signature, TensorSpec};
pub use statistics::{BatchStatistics, Statistics, Total};
pub use tensor::{Tensor, TensorData};
pub use timeline::{BatchFacts, CloseReason, Stage, Timeline};
pub use version::{Version, VersionSelector};
pub use version_policy::VersionPolicy;
