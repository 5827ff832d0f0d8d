//! The route table: an immutable snapshot that control publishes and requests read.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tidegate_batcher::Queue;
use tidegate_inference::{
    Catalog, Error, ErrorKind, ModelName, Result, Signature, Version, VersionSelector, VersionState,
};
use tidegate_telemetry::ModelMetrics;

use crate::{Timing, TrafficSplit};

/// Where requests for one version go. Whoever was given a lane may still enter its queue, so the queue is
/// closed when the last one has let go of it: a version that leaves the table loses no request.
pub struct Lane {
    pub version: Version,
    pub signature: Arc<Signature>,
    pub queue: Arc<Queue>,
    pub timing: Timing,
    pub metrics: Arc<ModelMetrics>,
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// One model: its ready versions, and how traffic is split among them.
pub struct ModelRoute {
    /// None when no ready version has a weight.
    pub split: Option<Arc<TrafficSplit>>,
    /// Only versions that are ready.
    pub lanes: BTreeMap<Version, Arc<Lane>>,
}

#[derive(Default)]
pub struct RouteTable {
    pub catalog: Arc<Catalog>,
    pub routes: HashMap<ModelName, ModelRoute>,
}

impl RouteTable {
    /// The lane for a request: an explicit version or label before weight.
    ///
    /// # Errors
    /// Unknown model, version or label; [`ErrorKind::Unavailable`] when it is known and not ready.
    pub(crate) fn pick(
        &self,
        model: &ModelName,
        selector: &VersionSelector,
    ) -> Result<(&ModelName, &Arc<Lane>)> {
        let Some((name, route)) = self.routes.get_key_value(model) else {
            self.catalog.model(model.as_str())?;
            return Err(not_ready(model, None, "no version of it is ready"));
        };
        let version = match selector {
            VersionSelector::Weighted => match &route.split {
                Some(split) => split.pick(),
                None if route.lanes.is_empty() => {
                    return Err(not_ready(name, None, "no version of it is ready"));
                }
                None => {
                    return Err(not_ready(
                        name,
                        None,
                        "no ready version of it has a weight above 0",
                    ));
                }
            },
            VersionSelector::Version(version) => *version,
            VersionSelector::Label(label) => {
                let (name, entry) = self.catalog.model(name.as_str())?;
                entry.labelled(name, label)?
            }
        };
        match route.lanes.get(&version) {
            Some(lane) => Ok((name, lane)),
            None => Err(self.why_absent(name, version)),
        }
    }

    /// A version without a lane does not exist, or exists and is not ready.
    fn why_absent(&self, name: &ModelName, version: Version) -> Error {
        let found = self.catalog.model(name.as_str()).and_then(|(name, entry)| {
            entry.select(name, &VersionSelector::Version(version)).map(|(_, entry)| entry)
        });
        match found {
            Err(error) => error,
            Ok(entry) => match (entry.state, &entry.reason) {
                (VersionState::Failed, Some(reason)) => {
                    not_ready(name, Some(version), &format!("it has failed: {reason}"))
                }
                (state, _) => not_ready(name, Some(version), &format!("it is {state}")),
            },
        }
    }
}

fn not_ready(model: &ModelName, version: Option<Version>, why: &str) -> Error {
    let version = version.map(|version| format!(" version {version}")).unwrap_or_default();
    Error::new(
        ErrorKind::Unavailable,
        format!("Request for model '{model}'{version}: it is not at ready state: {why}"),
    )
    .with_retry_after(crate::limits::RETRY_AFTER)
}
