//! The one writer. Finds the models, loads and unloads their versions, keeps what operators set, and
//! publishes each new state as one immutable route table; the data path only ever reads a snapshot.
//!
//! Speaks no inference protocol: its own HTTP is the admin API, on its own port. The surprising part
//! is where a change becomes true: on disk first, then in the route table, then in the answer.

mod admin;
mod change;
mod config;
mod cores;
mod describe;
mod etag;
mod initial;
mod lifecycle;
mod load;
mod management;
mod manifest;
mod model_set;
mod plan;
mod plane;
mod publish;
mod repository;
mod samples;
mod settings;
mod source;
mod state_document;
mod state_store;
#[cfg(test)]
mod testing;
mod traffic;
mod traffic_file;
mod triton_config;
mod version_files;
mod warm_up;
mod watch;
mod weights;
mod withdrawal;

pub use admin::AdminServer;
pub use change::ChangeError;
pub use config::{BatchingConfig, ControlConfig, ModelConfig, Target};
pub use cores::ComputeThreads;
pub use etag::{Etag, IfMatch};
pub use model_set::ModelView;
pub use plane::{ControlError, ControlPlane};
pub use repository::{Repository, RepositoryError, VersionFolder};
pub use settings::{ModelSettings, Sharing};
pub use state_document::DocumentError;
pub use state_store::StateError;
pub use traffic_file::{DeclaredSplit, DeclaredTraffic};
pub use triton_config::TritonConfig;
pub use version_files::VersionFiles;
pub use watch::Watch;
pub use weights::{Weights, WeightsRequest};
