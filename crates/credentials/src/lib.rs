//! Who may ask. API keys with names and scopes come from a file, are followed while the gateway runs, and are held
//! against what a request's headers bring.
//!
//! Of a key only its SHA-256 is kept, and nothing here ever prints one: a key is known by its name. The ports ask a
//! [`Door`]; which scope a path needs is theirs to say.

mod digest;
mod door;
mod file;
mod follower;
mod keys;
mod presented;
mod ring;
mod scope;
mod shown_key;

pub use door::{Caller, Door, Refused};
pub use file::{KeyFileError, Mistake};
pub use follower::Follower;
pub use keys::Keys;
pub use scope::Scope;
pub use shown_key::ShownKey;
pub use tidegate_telemetry::Port;
