//! Triton's question for a model's configuration: `GET /v2/models/M[/versions/V]/config`, and the same over gRPC.

use http::StatusCode;
use tidegate_inference::{Admission, Catalog, Result, VersionSelector};
use tidegate_proto::grpc::inference::ModelConfig;
use tidegate_proto::grpc::open_inference::encode_model_config;
use tidegate_proto::open_inference;

use crate::Ingress;
use crate::failure::Failure;
use crate::metadata::not_ready;
use crate::reply::{self, Reply};
use crate::route::Target;
use crate::status::Contract;

/// A version's configuration as it is in effect, as a message.
///
/// # Errors
/// Unknown model, version or label; `Unavailable` as long as the version was not loaded.
pub(crate) fn effective_config(
    catalog: &Catalog,
    model: &str,
    selector: &VersionSelector,
) -> Result<ModelConfig> {
    let (name, model) = catalog.model(model)?;
    let (version, entry) = model.select(name, selector)?;
    let loaded = entry.signature.as_ref().zip(entry.description.as_ref());
    let (signature, description) =
        loaded.ok_or_else(|| not_ready(name.as_str(), version, entry))?;
    Ok(encode_model_config(name.as_str(), entry.platform, signature, description))
}

impl<A: Admission> Ingress<A> {
    pub(crate) fn model_config(&self, target: &Target<'_>) -> Reply<A::Admitted> {
        let catalog = self.admission.catalog();
        match effective_config(&catalog, &target.model, &target.selector) {
            Ok(config) => reply::json(StatusCode::OK, open_inference::model_config(&config)),
            Err(error) => {
                reply::failure(Contract::OpenInference, Failure::of(Contract::OpenInference, error))
            }
        }
    }
}
