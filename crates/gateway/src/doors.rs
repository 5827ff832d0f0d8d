//! What the two ports ask of their callers: one reading of the keys, followed for both.

use std::sync::Arc;

use tidegate_credentials::{Door, Keys, Port};
use tidegate_telemetry::Telemetry;

use crate::config::ApiKeys;
use crate::gateway::StartError;

/// None where callers need no key.
#[derive(Debug, Default)]
pub struct Doors {
    pub data: Option<Door>,
    pub admin: Option<Door>,
}

impl Doors {
    /// # Errors
    /// When the keys cannot be read, or not followed.
    pub fn open(config: Option<&ApiKeys>, telemetry: &Arc<Telemetry>) -> Result<Self, StartError> {
        let Some(ApiKeys { path, data, admin, metrics }) = config else {
            return Ok(Self::default());
        };
        let keys = Keys::read(path, telemetry)?;
        keys.follow().map_err(StartError::Follower)?;
        let door = |port| Door::new(Arc::clone(&keys), port, *metrics);
        Ok(Self { data: data.then(|| door(Port::Data)), admin: admin.then(|| door(Port::Admin)) })
    }
}
