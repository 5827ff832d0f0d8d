//! TensorFlow Serving's questions over gRPC: the same answers as over REST, in its messages.

use bytes::Bytes;
use tidegate_inference::{Admission, Error, Result};
use tidegate_proto::grpc::frame;
use tidegate_proto::grpc::tensorflow::serving::{GetModelMetadataRequest, GetModelStatusRequest};
use tidegate_proto::grpc::tensorflow_serving::{Asked, encode_metadata, encode_status};

use super::infer::tensorflow_target;
use crate::Ingress;
use crate::metadata::not_ready;
use crate::tensorflow::{asked_versions, servable_not_found};

/// The one kind of metadata there is.
const SIGNATURES: &str = "signature_def";

impl<A: Admission> Ingress<A> {
    pub(super) fn grpc_tensorflow_metadata(&self, asked: GetModelMetadataRequest) -> Result<Bytes> {
        check_fields(&asked.metadata_field)?;
        let target = tensorflow_target(Asked::of(asked.model_spec)?)?;
        let catalog = self.admission.catalog();
        let found = catalog.model(&target.model).and_then(|(name, model)| {
            let (version, entry) = model.select(name, &target.selector)?;
            let signature =
                entry.signature.as_ref().ok_or_else(|| not_ready(name.as_str(), version, entry))?;
            Ok(frame(&encode_metadata(&Asked::effective(name, version), signature)))
        });
        found.map_err(|error| servable_not_found(error, &target.model, &target.selector))
    }

    pub(super) fn grpc_tensorflow_status(&self, asked: GetModelStatusRequest) -> Result<Bytes> {
        let target = tensorflow_target(Asked::of(asked.model_spec)?)?;
        let catalog = self.admission.catalog();
        asked_versions(&catalog.models, &target).map(|versions| frame(&encode_status(versions)))
    }
}

fn check_fields(fields: &[String]) -> Result<()> {
    if fields.is_empty() {
        return Err(Error::invalid(
            "GetModelMetadataRequest must specify at least one metadata_field",
        ));
    }
    match fields.iter().find(|field| *field != SIGNATURES) {
        Some(other) => Err(Error::invalid(format!(
            "Metadata field {other:.64} is not supported: expected {SIGNATURES}"
        ))),
        None => Ok(()),
    }
}
