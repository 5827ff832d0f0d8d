//! `tidegate probe`: is the gateway ready, or live, or one of its models? For whoever has no `curl`: images without a
//! shell, and scripts that wait. It says nothing when all is well, and why not on stderr.

use std::fmt::Write;
use std::num::NonZeroU64;
use std::time::Duration;

use clap::Args;
use http::StatusCode;
use serde_json::Value;
use thiserror::Error;
use tidegate_configuration::parse_duration;
use tokio::time::{Instant, sleep, timeout_at};

use crate::admin_client::{AdminClient, AdminError, AdminPort};

/// Between two looks, while it waits.
const PAUSE: Duration = Duration::from_millis(200);
/// Without `--wait`: shorter than supervisors wait for a probe.
const ONE_LOOK: Duration = Duration::from_secs(5);

/// Asks for readiness unless told otherwise.
#[derive(Debug, Args)]
pub struct Probe {
    #[command(flatten)]
    port: AdminPort,
    /// Ask only whether the process answers
    #[arg(long, conflicts_with = "model")]
    live: bool,
    /// Ask whether a version of this model is ready
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Ask whether this very version is
    #[arg(long, value_name = "VERSION", requires = "model")]
    version: Option<NonZeroU64>,
    /// Ask again until it is so, for so long at most
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    wait: Option<Duration>,
}

#[derive(Debug, Error)]
pub enum ProbeError {
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error("{0}")]
    NotYet(String),
    #[error("no answer came within {0:?}")]
    Slow(Duration),
    #[error("still so after {waited:?}: {reason}")]
    GivenUp { waited: Duration, reason: Box<ProbeError> },
    #[error("cannot start: {0}")]
    Runtime(#[from] std::io::Error),
}

/// # Errors
/// When it is not so, and why.
pub fn run(asked: &Probe) -> Result<(), ProbeError> {
    // Readiness needs no key, and must not fail for want of one.
    let client = match asked.model {
        Some(_) => asked.port.client()?,
        None => asked.port.client_without_key(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match asked.wait {
            None => asked.look(&client, Instant::now() + ONE_LOOK, ONE_LOOK).await,
            Some(wait) => asked.look_until(&client, wait).await,
        }
    })
}

impl Probe {
    async fn look_until(&self, client: &AdminClient, wait: Duration) -> Result<(), ProbeError> {
        let until = Instant::now() + wait;
        loop {
            let Err(reason) = self.look(client, until, wait).await else { return Ok(()) };
            if reason.is_final() {
                return Err(reason);
            }
            if Instant::now() + PAUSE >= until {
                return Err(ProbeError::GivenUp { waited: wait, reason: Box::new(reason) });
            }
            sleep(PAUSE).await;
        }
    }

    async fn look(
        &self,
        client: &AdminClient,
        until: Instant,
        span: Duration,
    ) -> Result<(), ProbeError> {
        timeout_at(until, self.ask(client)).await.unwrap_or(Err(ProbeError::Slow(span)))
    }

    async fn ask(&self, client: &AdminClient) -> Result<(), ProbeError> {
        let why_not = match &self.model {
            Some(model) => why_model_is_not(&client.model(model).await?.document, self.version),
            None => {
                let path = if self.live { "/livez" } else { "/readyz" };
                let (is_so, document) = client.probe(path).await?;
                (!is_so).then(|| reason_in(&document))
            }
        };
        why_not.map_or(Ok(()), |reason| Err(ProbeError::NotYet(reason)))
    }
}

impl ProbeError {
    /// A key does not become another one by waiting.
    fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Admin(
                AdminError::Unauthenticated { .. }
                    | AdminError::Refused { status: StatusCode::FORBIDDEN, .. }
            )
        )
    }
}

/// In the gateway's own words, if it has some.
fn reason_in(document: &Value) -> String {
    match document["reason"].as_str() {
        Some(reason) => format!("not ready: {reason}"),
        None => "not ready".to_owned(),
    }
}

/// `None` when that version, or without one any version, is ready.
fn why_model_is_not(model: &Value, version: Option<NonZeroU64>) -> Option<String> {
    let versions = model["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let asked = |one: &&Value| version.is_none_or(|number| one["version"] == number.get());
    let asked: Vec<_> = versions.iter().filter(asked).collect();
    if asked.iter().any(|one| one["state"] == "ready") {
        return None;
    }
    let name = model["name"].as_str().unwrap_or_default();
    let mut why = match version {
        Some(version) if asked.is_empty() => format!("model '{name}' has no version {version}"),
        Some(version) => format!("version {version} of model '{name}' is not ready"),
        None => format!("no version of model '{name}' is ready"),
    };
    let shown = if asked.is_empty() { versions.iter().collect() } else { asked };
    if shown.is_empty() {
        why.push_str(": it has no versions");
    }
    for (number, one) in shown.iter().enumerate() {
        let between = if number == 0 { ": " } else { "; " };
        let state = one["state"].as_str().unwrap_or("unknown");
        // Writing into a String does not fail.
        let _ = write!(why, "{between}version {} is {state}", one["version"]);
        if let Some(reason) = one["reason"].as_str() {
            let _ = write!(why, " ({reason})");
        }
    }
    Some(why)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_model_is_ready_by_the_version_that_was_asked_for_or_by_any() {
        let model = json!({ "name": "digits", "versions": [
            { "version": 1, "state": "ready", "reason": null },
            { "version": 2, "state": "failed", "reason": "no such file" },
        ]});
        let why = |number| why_model_is_not(&model, NonZeroU64::new(number));
        assert_eq!((why(0), why(1)), (None, None));
        let failed = "version 2 of model 'digits' is not ready: version 2 is failed (no such file)";
        assert_eq!(why(2).as_deref(), Some(failed));
        let unknown = "model 'digits' has no version 3: version 1 is ready; version 2 is failed (no such file)";
        assert_eq!(why(3).as_deref(), Some(unknown));
        let none = json!({ "name": "a", "versions": [] });
        let without = "no version of model 'a' is ready: it has no versions";
        assert_eq!(why_model_is_not(&none, None).as_deref(), Some(without));
    }

    #[test]
    fn the_gateways_own_reason_is_told() {
        let why = |document| reason_in(&document);
        assert_eq!(why(json!({ "ready": false, "reason": "draining" })), "not ready: draining");
        assert_eq!(why(json!({ "ready": false })), "not ready");
    }
}
