//! The model repository over gRPC: Triton's index, load and unload, and TensorFlow Serving's reload.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use bytes::Bytes;
use tidegate_credentials::Caller;
use tidegate_inference::{
    Admission, Error, ErrorKind, Label, LoadRequest, Result, Version, VersionPolicy, WantedModel,
};
use tidegate_proto::grpc::frame;
use tidegate_proto::grpc::inference::model_repository_parameter::ParameterChoice;
use tidegate_proto::grpc::inference::repository_index_response::ModelIndex;
use tidegate_proto::grpc::inference::{
    RepositoryIndexRequest, RepositoryIndexResponse, RepositoryModelLoadRequest,
    RepositoryModelLoadResponse, RepositoryModelUnloadRequest, RepositoryModelUnloadResponse,
};
use tidegate_proto::grpc::tensorflow::serving::model_server_config::Config;
use tidegate_proto::grpc::tensorflow::serving::servable_version_policy::PolicyChoice;
use tidegate_proto::grpc::tensorflow::serving::{
    ModelConfig, ReloadConfigRequest, ReloadConfigResponse, StatusProto,
};
use tidegate_proto::open_inference::index_entries;

use crate::Ingress;

impl<A: Admission> Ingress<A> {
    pub(super) fn grpc_index(&self, asked: &RepositoryIndexRequest) -> Result<Bytes> {
        check_repository(&asked.repository_name)?;
        let catalog = self.admission.catalog();
        let models = index_entries(&catalog, asked.ready).map(|entry| ModelIndex {
            name: entry.name.to_owned(),
            version: entry.version,
            state: entry.state.to_owned(),
            reason: entry.reason.to_owned(),
        });
        Ok(frame(&RepositoryIndexResponse { models: models.collect() }))
    }

    pub(super) async fn grpc_load(
        &self,
        asked: RepositoryModelLoadRequest,
        caller: Option<&Caller>,
    ) -> Result<Bytes> {
        self.may_manage(caller, format_args!("load of {:.64}", asked.model_name))?;
        check_repository(&asked.repository_name)?;
        let mut request = LoadRequest::default();
        for (key, value) in &asked.parameters {
            let text = match &value.parameter_choice {
                Some(ParameterChoice::StringParam(text)) => Some(&**text),
                _ => None,
            };
            request.set(key, text)?;
        }
        self.management.load(asked.model_name, request).await?;
        Ok(frame(&RepositoryModelLoadResponse {}))
    }

    pub(super) async fn grpc_unload(
        &self,
        asked: RepositoryModelUnloadRequest,
        caller: Option<&Caller>,
    ) -> Result<Bytes> {
        self.may_manage(caller, format_args!("unload of {:.64}", asked.model_name))?;
        check_repository(&asked.repository_name)?;
        if let Some(unknown) = asked.parameters.keys().find(|key| *key != "unload_dependents") {
            return Err(Error::invalid(format!(
                "unload parameter '{unknown:.64}' is unknown, expected 'unload_dependents'"
            )));
        }
        self.management.unload(asked.model_name).await?;
        Ok(frame(&RepositoryModelUnloadResponse {}))
    }

    pub(super) async fn grpc_reload(
        &self,
        asked: ReloadConfigRequest,
        caller: Option<&Caller>,
    ) -> Result<Bytes> {
        self.may_manage(caller, "reload of all models")?;
        self.management.reload(wanted_models(asked)?).await?;
        Ok(frame(&ReloadConfigResponse { status: Some(StatusProto::default()) }))
    }
}

/// There is one, and it has no name.
fn check_repository(name: &str) -> Result<()> {
    if name.is_empty() {
        return Ok(());
    }
    let message = "'repository_name' specification is not supported";
    Err(Error::new(ErrorKind::Unimplemented, message))
}

fn wanted_models(asked: ReloadConfigRequest) -> Result<Vec<WantedModel>> {
    match asked.config.and_then(|config| config.config) {
        Some(Config::ModelConfigList(list)) => list.config.into_iter().map(wanted).collect(),
        Some(Config::CustomModelConfig(_)) => {
            let message = "custom_model_config is not offered: send a model_config_list";
            Err(Error::new(ErrorKind::Unimplemented, message))
        }
        None => Err(Error::invalid("the configuration is missing: expected a model_config_list")),
    }
}

fn wanted(model: ModelConfig) -> Result<WantedModel> {
    let ModelConfig { name, base_path, model_platform, model_version_policy, version_labels } =
        model;
    let place = |error: Error| error.within(format_args!("model '{name:.64}'"));
    // Whoever wrote a platform for the other server means the models that it has; ours are ONNX.
    if !matches!(&*model_platform, "" | "onnx" | "onnxruntime_onnx" | "tensorflow") {
        let message = format!("model_platform '{model_platform:.64}' is not served here");
        return Err(place(Error::invalid(message)));
    }
    let versions = policy(model_version_policy.and_then(|policy| policy.policy_choice));
    Ok(WantedModel {
        base_path: Some(base_path).filter(|path| !path.is_empty()),
        versions: versions.map_err(place)?,
        labels: labels(version_labels).map_err(place)?,
        name,
    })
}

/// As in TensorFlow Serving, nothing said means the latest.
fn policy(choice: Option<PolicyChoice>) -> Result<VersionPolicy> {
    match choice {
        None => Ok(VersionPolicy::Latest(NonZeroUsize::MIN)),
        Some(PolicyChoice::All(_)) => Ok(VersionPolicy::All),
        Some(PolicyChoice::Latest(latest)) => {
            let count = usize::try_from(latest.num_versions).ok().and_then(NonZeroUsize::new);
            Ok(VersionPolicy::Latest(count.unwrap_or(NonZeroUsize::MIN)))
        }
        Some(PolicyChoice::Specific(specific)) => {
            let versions = specific.versions.into_iter().map(version);
            versions.collect::<Result<BTreeSet<_>>>().map(VersionPolicy::Specific)
        }
    }
}

fn labels(labels: BTreeMap<String, i64>) -> Result<BTreeMap<Label, Version>> {
    labels.into_iter().map(|(label, to)| Ok((Label::new(&label)?, version(to)?))).collect()
}

fn version(number: i64) -> Result<Version> {
    u64::try_from(number)
        .ok()
        .and_then(Version::new)
        .ok_or_else(|| Error::invalid(format!("version {number}: expected a positive integer")))
}
