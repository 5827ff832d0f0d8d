//! TensorFlow Serving's questions that run no model, and its words for refusals.
//!
//! The status of a model is no readiness probe, there as here: it is 200 in every state, and the state is
//! in the body.

use bytes::Bytes;
use http::header::ORIGIN;
use http::{HeaderMap, Response, StatusCode};
use tidegate_inference::{
    Admission, Entrypoint, Error, ErrorKind, ModelName, RequestHead, Result, Version, VersionEntry,
    VersionSelector,
};
use tidegate_proto::tensorflow_serving;

use crate::Ingress;
use crate::failure::Failure;
use crate::metadata::not_ready;
use crate::reply::{self, Reply, ReplyBody};
use crate::route::Target;
use crate::status::Contract;

impl<A: Admission> Ingress<A> {
    pub(crate) fn tensorflow_status(&self, target: &Target<'_>) -> Reply<A::Admitted> {
        let catalog = self.admission.catalog();
        answer(asked_versions(&catalog.models, target).map(tensorflow_serving::model_status))
    }

    pub(crate) fn tensorflow_metadata(&self, target: &Target<'_>) -> Reply<A::Admitted> {
        let catalog = self.admission.catalog();
        let found = catalog.model(&target.model).and_then(|(name, model)| {
            let (version, entry) = model.select(name, &target.selector)?;
            let signature =
                entry.signature.as_ref().ok_or_else(|| not_ready(name.as_str(), version, entry))?;
            Ok(tensorflow_serving::model_metadata(name, version, signature))
        });
        answer(found.map_err(|error| servable_not_found(error, &target.model, &target.selector)))
    }

    /// Tells its metrics of a prediction that was refused before it was admitted. A name that no model has is not
    /// counted: callers must not be able to make up series.
    pub(crate) fn refuse_tensorflow(
        &self,
        entrypoint: Option<Entrypoint>,
        model: &str,
        error: &Error,
    ) {
        let Some(entrypoint) = entrypoint else { return };
        if let Some((model, _)) = self.admission.catalog().models.get_key_value(model) {
            self.telemetry.refused_tensorflow(model, entrypoint, error.kind());
        }
    }

    pub(crate) fn tensorflow_other(&self, verb: &str) -> Reply<A::Admitted> {
        let message = format!(
            "'{verb}' is not offered: it needs tf.Example signatures, which ONNX models do not have; use ':predict'"
        );
        answer(Err(Error::new(ErrorKind::Unimplemented, message)))
    }

    /// A preflight is answered when it comes from a page; no page is given any right by it.
    pub(crate) fn tensorflow_options(&self, headers: &HeaderMap) -> Reply<A::Admitted> {
        let origin = headers.get(ORIGIN).map(|value| value.as_bytes());
        if origin.is_some_and(|from| from.starts_with(b"http://") || from.starts_with(b"https://"))
        {
            return Response::new(ReplyBody::of(Bytes::new()));
        }
        answer(Err(Error::invalid(
            "OPTIONS needs an Origin header that starts with http:// or https://",
        )))
    }
}

type Models = std::collections::BTreeMap<ModelName, tidegate_inference::ModelEntry>;

/// All versions, newest first, or the one that was asked for.
pub(crate) fn asked_versions<'c>(
    models: &'c Models,
    target: &Target<'_>,
) -> Result<Vec<(Version, &'c VersionEntry)>> {
    let unknown = || {
        let message = format!("Could not find any versions of model {}", target.shown_model());
        Error::new(ErrorKind::UnknownModel, message)
    };
    let (name, model) = models.get_key_value(&*target.model).ok_or_else(unknown)?;
    if target.selector == VersionSelector::Weighted {
        let all: Vec<_> =
            model.versions.iter().rev().map(|(version, entry)| (*version, entry)).collect();
        return if all.is_empty() { Err(unknown()) } else { Ok(all) };
    }
    model.select(name, &target.selector).map(|found| vec![found]).map_err(|error| {
        match (error.kind(), &target.selector) {
            (ErrorKind::UnknownVersion, VersionSelector::Version(version)) => Error::new(
                ErrorKind::UnknownVersion,
                format!("Could not find version {version} of model {name}"),
            ),
            _ => error,
        }
    })
}

/// Refusals of `:predict`, which its clients match by their words.
pub(crate) fn in_its_words(error: Error, head: &RequestHead) -> Error {
    servable_not_found(error, head.model.as_str(), &head.selector)
}

pub(crate) fn servable_not_found(error: Error, model: &str, selector: &VersionSelector) -> Error {
    if !matches!(error.kind(), ErrorKind::UnknownModel | ErrorKind::UnknownVersion) {
        return error;
    }
    let servable = match selector {
        VersionSelector::Version(version) => format!("Specific({model}, {version})"),
        VersionSelector::Weighted | VersionSelector::Label(_) => format!("Latest({model})"),
    };
    Error::new(error.kind(), format!("Servable not found for request: {servable}"))
}

fn answer<P>(outcome: Result<Bytes>) -> Reply<P> {
    match outcome {
        Ok(body) => reply::json(StatusCode::OK, body),
        Err(error) => {
            reply::failure(Contract::TensorFlow, Failure::of(Contract::TensorFlow, error))
        }
    }
}
