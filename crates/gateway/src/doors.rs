//! What the two ports ask of their callers: one reading of the keys for both, and what follows it.

use std::sync::Arc;

use tidegate_credentials::{Door, Follower, KeyFileError, Keys, Port};
use tidegate_telemetry::Telemetry;

use crate::config::ApiKeys;

/// None where callers need no key.
#[derive(Debug, Default)]
pub struct Doors {
    pub data: Option<Door>,
    pub admin: Option<Door>,
    pub follower: Option<Follower>,
}

impl Doors {
    /// # Errors
    /// When the keys cannot be used.
    pub fn open(
        config: Option<&ApiKeys>,
        telemetry: &Arc<Telemetry>,
    ) -> Result<Self, KeyFileError> {
        let Some(ApiKeys { path, data, admin, metrics }) = config else {
            return Ok(Self::default());
        };
        let keys = Keys::read(path, telemetry)?;
        let door = |port| Door::new(Arc::clone(&keys), port, *metrics);
        Ok(Self {
            data: data.then(|| door(Port::Data)),
            admin: admin.then(|| door(Port::Admin)),
            follower: Some(keys.follower()),
        })
    }
}
