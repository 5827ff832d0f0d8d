//! Open Inference Protocol's questions that run no model: health, readiness and metadata. `/livez` and
//! `/readyz` are answered with the same bodies.
//!
//! Readiness is truthful: 200 only while requests would be served. The bodies satisfy clients that look
//! only at the status (Triton's) as well as those that read `ready` (KServe's).

use http::StatusCode;
use tidegate_inference::{
    Admission, Error, ErrorKind, ModelEntry, ModelName, Result, Version, VersionEntry,
    VersionSelector, VersionState,
};
use tidegate_proto::open_inference;

use crate::Ingress;
use crate::failure::Failure;
use crate::reply::{self, Reply};
use crate::route::Target;
use crate::status::Contract;

/// Triton's names for what is always honoured here.
const EXTENSIONS: [&str; 6] = [
    "binary_tensor_data",
    "classification",
    "logging",
    "model_configuration",
    "schedule_policy",
    "statistics",
];

impl<A: Admission> Ingress<A> {
    pub(crate) fn live(&self) -> Reply<A::Admitted> {
        reply::json(StatusCode::OK, open_inference::live())
    }

    /// Requests would be served.
    pub(crate) fn is_ready(&self) -> bool {
        !self.drain.is_draining() && self.admission.catalog().ready
    }

    /// Triton's names for what is honoured here and now.
    pub(crate) fn extensions(&self) -> impl Iterator<Item = &'static str> {
        let management = self.config.management.then_some("model_repository");
        let memory = self.shared_memory.is_some().then_some("system_shared_memory");
        EXTENSIONS.into_iter().chain(management).chain(memory)
    }

    pub(crate) fn ready(&self) -> Reply<A::Admitted> {
        let refusal = if self.drain.is_draining() {
            Some("the server is draining")
        } else if self.admission.catalog().ready {
            None
        } else {
            Some("the server is not at ready state: models are loading")
        };
        reply::json(self.readiness(refusal.is_none()), open_inference::ready(refusal))
    }

    pub(crate) fn server_metadata(&self) -> Reply<A::Admitted> {
        let version = env!("CARGO_PKG_VERSION");
        let extensions: Vec<&str> = self.extensions().collect();
        let body = open_inference::server_metadata("tidegate", version, &extensions);
        reply::json(StatusCode::OK, body)
    }

    pub(crate) fn model_list(&self) -> Reply<A::Admitted> {
        let catalog = self.admission.catalog();
        reply::json(StatusCode::OK, open_inference::model_list(catalog.models.keys()))
    }

    pub(crate) fn model_ready(&self, target: &Target<'_>) -> Reply<A::Admitted> {
        let catalog = self.admission.catalog();
        let refusal =
            match catalog.model(&target.model).and_then(|(name, model)| state(name, model, target))
            {
                Ok((_, entry)) if entry.state == VersionState::Ready => None,
                Ok((version, entry)) => Some(not_ready(&target.model, version, entry)),
                Err(error) => Some(error),
            };
        match refusal {
            Some(error) if error.kind() != ErrorKind::Unavailable => {
                reply::failure(Contract::OpenInference, Failure::of(Contract::OpenInference, error))
            }
            refusal => {
                let why = refusal.as_ref().map(Error::message);
                let body = open_inference::model_ready(&target.model, why);
                reply::json(self.readiness(why.is_none()), body)
            }
        }
    }

    pub(crate) fn model_metadata(&self, target: &Target<'_>) -> Reply<A::Admitted> {
        let catalog = self.admission.catalog();
        let found = catalog.model(&target.model).and_then(|(name, model)| {
            let (version, entry) = state(name, model, target)?;
            let signature =
                entry.signature.as_ref().ok_or_else(|| not_ready(name.as_str(), version, entry))?;
            let versions = shown_versions(model, version, &target.selector);
            Ok(open_inference::model_metadata(name, &versions, entry.platform, signature))
        });
        match found {
            Ok(body) => reply::json(StatusCode::OK, body),
            Err(error) => {
                reply::failure(Contract::OpenInference, Failure::of(Contract::OpenInference, error))
            }
        }
    }

    fn readiness(&self, ready: bool) -> StatusCode {
        match ready {
            true => StatusCode::OK,
            false if self.config.triton_compat => StatusCode::BAD_REQUEST,
            false => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

fn state<'c>(
    name: &ModelName,
    model: &'c ModelEntry,
    target: &Target<'_>,
) -> Result<(Version, &'c VersionEntry)> {
    model.select(name, &target.selector)
}

/// The one that was asked for, or all that can be asked.
pub(crate) fn shown_versions(
    model: &ModelEntry,
    selected: Version,
    asked: &VersionSelector,
) -> Vec<Version> {
    match asked {
        VersionSelector::Weighted => model
            .versions
            .iter()
            .filter(|(_, entry)| entry.state == VersionState::Ready)
            .map(|(version, _)| *version)
            .collect(),
        VersionSelector::Version(_) | VersionSelector::Label(_) => vec![selected],
    }
}

pub(crate) fn not_ready(model: &str, version: Version, entry: &VersionEntry) -> Error {
    let mut message = format!(
        "Request for unknown model: '{model}' version {version} is not at ready state: it is {}",
        entry.state
    );
    if let Some(reason) = &entry.reason {
        message.push_str(": ");
        message.push_str(reason);
    }
    Error::new(ErrorKind::Unavailable, message)
}
