//! Triton's statistics extension: what the loaded versions have done. A version that was never loaded has done
//! nothing and is not listed; one that was loaded and is unfit now is, because its failures are what is looked for.

use http::StatusCode;
use tidegate_inference::{
    Admission, ModelEntry, ModelName, Result, Statistics, Version, VersionSelector, VersionState,
};
use tidegate_proto::open_inference;

use crate::Ingress;
use crate::failure::Failure;
use crate::metadata::not_ready;
use crate::reply::{self, Reply};
use crate::route::Target;
use crate::status::Contract;

type Listed = Vec<(ModelName, Version, Statistics)>;

impl<A: Admission> Ingress<A> {
    pub(crate) fn model_statistics(&self, target: Option<&Target<'_>>) -> Reply<A::Admitted> {
        match self.statistics(target) {
            Ok(listed) => reply::json(StatusCode::OK, open_inference::encode_statistics(&listed)),
            Err(error) => {
                reply::failure(Contract::OpenInference, Failure::of(Contract::OpenInference, error))
            }
        }
    }

    /// Of one version, of all loaded versions of a model, or of all models.
    ///
    /// # Errors
    /// Unknown model, version or label; [`tidegate_inference::ErrorKind::Unavailable`] when the version that was
    /// asked for is not loaded.
    pub(crate) fn statistics(&self, target: Option<&Target<'_>>) -> Result<Listed> {
        let catalog = self.admission.catalog();
        let Some(target) = target else {
            let models = catalog.models.iter();
            return Ok(models.flat_map(|(name, model)| self.loaded(name, model)).collect());
        };
        let (name, model) = catalog.model(&target.model)?;
        if target.selector == VersionSelector::Weighted {
            return Ok(self.loaded(name, model).collect());
        }
        let (version, entry) = model.select(name, &target.selector)?;
        let mut loaded = self.loaded(name, model);
        let asked = loaded.find(|(_, loaded, _)| *loaded == version);
        asked.map(|one| vec![one]).ok_or_else(|| not_ready(name.as_str(), version, entry))
    }

    fn loaded(
        &self,
        name: &ModelName,
        model: &ModelEntry,
    ) -> impl Iterator<Item = (ModelName, Version, Statistics)> {
        model.versions.iter().filter(|(_, entry)| may_be_loaded(entry.state)).filter_map(
            move |(version, _)| {
                let statistics = self.telemetry.statistics(name, *version)?;
                Some((name.clone(), *version, statistics))
            },
        )
    }
}

/// What has failed may have been loaded before it did; if it was not, it has no statistics.
fn may_be_loaded(state: VersionState) -> bool {
    match state {
        VersionState::Ready | VersionState::Draining | VersionState::Failed => true,
        VersionState::Loading | VersionState::Unloaded => false,
    }
}
