//! TensorFlow Serving's own metrics, under its names, of what was asked in its words: so that dashboards and
//! alerts made for it keep working. Its exporter turns the `/` of a metric's path into `:`.
//!
//! The series of an entrypoint begin with its first request: a model that nobody asks in TensorFlow's words shows
//! none of them. From then on a request adds to handles that were taken once.

use std::sync::OnceLock;

use prometheus_client::metrics::counter::Counter;
use tidegate_inference::{Entrypoint, ErrorKind, ModelName, Stage, Timeline};

use crate::families::{Families, PerEntrypoint, PerModelAndStatus, PerRuntime};
use crate::histogram::Histogram;

/// The label `runtime`, where TensorFlow Serving says `TF1` or `TFRT`.
const RUNTIME: &str = "ONNX";

/// Of one model; its versions share their series, which have no label for them.
#[derive(Debug)]
pub struct TensorFlow {
    model: String,
    families: TensorFlowFamilies,
    /// In the order of [`Entrypoint::ALL`].
    doors: [OnceLock<Door>; Entrypoint::ALL.len()],
}

/// Where its handles are taken from.
#[derive(Clone, Debug)]
struct TensorFlowFamilies {
    request_count: PerModelAndStatus,
    request_latency: PerEntrypoint,
    runtime_latency: PerRuntime,
}

#[derive(Debug)]
struct Door {
    ok: Counter,
    /// In the order of [`ErrorKind::ALL`]; kinds with the same status share a counter.
    errors: [Counter; ErrorKind::ALL.len()],
    request_latency: Histogram,
    runtime_latency: Histogram,
}

impl TensorFlow {
    pub fn new(families: &Families, model: &str) -> Self {
        Self {
            model: model.to_owned(),
            families: TensorFlowFamilies {
                request_count: families.tf_request_count.clone(),
                request_latency: families.tf_request_latency.clone(),
                runtime_latency: families.tf_runtime_latency.clone(),
            },
            doors: Default::default(),
        }
    }

    /// A request ended. As in TensorFlow Serving, only good ones have a latency; the runtime's includes its
    /// batching.
    pub fn ended(&self, entrypoint: Entrypoint, outcome: Result<&Timeline, ErrorKind>) {
        let door = self.doors[entrypoint as usize]
            .get_or_init(|| self.families.door(&self.model, entrypoint));
        let timeline = match outcome {
            Ok(timeline) => timeline,
            Err(kind) => {
                door.errors[kind as usize].inc();
                return;
            }
        };
        door.ok.inc();
        if let Some(latency) = timeline.between(Stage::Received, Stage::Encoded) {
            door.request_latency.observe_duration(latency);
        }
        if let Some(latency) = timeline.between(Stage::Enqueued, Stage::Scattered) {
            door.runtime_latency.observe_duration(latency);
        }
    }
}

impl TensorFlowFamilies {
    fn door(&self, model: &str, entrypoint: Entrypoint) -> Door {
        let count = |status| {
            let labels = [("model_name", model.to_owned()), ("status", String::from(status))];
            self.request_count.get_or_create_owned(&labels)
        };
        let api = api(entrypoint);
        let labels = [
            ("model_name", model.to_owned()),
            ("API", api.to_owned()),
            ("entrypoint", entrypoint.as_str().to_owned()),
        ];
        let runtime = [
            ("model_name", model.to_owned()),
            ("API", "Predict".to_owned()),
            ("runtime", RUNTIME.to_owned()),
        ];
        Door {
            ok: count("OK"),
            errors: ErrorKind::ALL.map(|kind| count(status(entrypoint, kind))),
            request_latency: self.request_latency.get_or_create_owned(&labels),
            runtime_latency: self.runtime_latency.get_or_create_owned(&runtime),
        }
    }
}

/// A request that was refused before a version was chosen. By name: a refusal holds no batch up.
pub fn refused(families: &Families, model: &ModelName, entrypoint: Entrypoint, kind: ErrorKind) {
    let status = status(entrypoint, kind).to_owned();
    let labels = [("model_name", model.as_str().to_owned()), ("status", status)];
    families.tf_request_count.get_or_create(&labels).inc();
}

/// TensorFlow Serving takes it from the path over REST, and from the method over gRPC.
const fn api(entrypoint: Entrypoint) -> &'static str {
    match entrypoint {
        Entrypoint::Rest => "predict",
        Entrypoint::Grpc => "Predict",
    }
}

/// The canonical code that the answer has: over gRPC as it is, over REST as an HTTP status. An unknown label is a bad
/// request over REST only.
const fn status(entrypoint: Entrypoint, kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::UnknownLabel => match entrypoint {
            Entrypoint::Rest => "INVALID_ARGUMENT",
            Entrypoint::Grpc => "NOT_FOUND",
        },
        ErrorKind::InvalidArgument => "INVALID_ARGUMENT",
        ErrorKind::Unauthenticated => "UNAUTHENTICATED",
        ErrorKind::PermissionDenied => "PERMISSION_DENIED",
        ErrorKind::UnknownModel | ErrorKind::UnknownVersion => "NOT_FOUND",
        ErrorKind::TooLarge | ErrorKind::Overloaded => "RESOURCE_EXHAUSTED",
        ErrorKind::ModelFailed | ErrorKind::Internal => "INTERNAL",
        ErrorKind::Unavailable => "UNAVAILABLE",
        ErrorKind::DeadlineExceeded => "DEADLINE_EXCEEDED",
        ErrorKind::Unimplemented => "UNIMPLEMENTED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entrypoints_index_their_own_door() {
        for (index, entrypoint) in Entrypoint::ALL.into_iter().enumerate() {
            assert_eq!(entrypoint as usize, index);
        }
    }
}
