//! Takes versions through their states: loading, ready, draining, unloaded, or failed with a reason. A
//! version fails when it cannot be loaded, or later, when nothing runs on it any more; then it comes back
//! by itself as soon as something does. How versions leave is in `withdrawal`.
//!
//! Versions are loaded one after the other, in order: each load may want all cores and its own share of
//! memory. One that fails stays failed and says why; the others go on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tidegate_backend::{Fitness, LoadError};
use tidegate_inference::{
    BatchingStatus, ModelName, Signature, Version, VersionDescription, VersionState,
};
use tracing::{info, warn};

use crate::load::{self, Prepared};
use crate::manifest::check_files;
use crate::model_set::{ModelSet, Running};
use crate::source::Source;
use crate::{ControlPlane, ModelConfig, VersionFolder};

#[cfg(test)]
mod tests;

/// Why a version does not run after all.
pub(crate) enum NotLoaded {
    Failed(LoadError),
    /// Shutdown has begun, and nothing is loaded any more.
    Stopping,
}

/// What is known of a version once it was loaded.
struct Facts {
    signature: Arc<Signature>,
    batching: BatchingStatus,
    description: Arc<VersionDescription>,
}

impl ControlPlane {
    /// Loads every version that was found and publishes after each. Blocks until all were tried; after
    /// that the catalog is ready if one version at least is.
    pub fn load_all(&self) {
        let _pass = self.pass();
        for (model, version, source) in self.untried() {
            // Its state says how it went.
            let _ = self.load_version(&model, version, source);
        }
        self.follow_manifests();
        let mut models = self.models();
        models.first_pass_ended = true;
        self.publish(&mut models);
    }

    fn untried(&self) -> Vec<(ModelName, Version, Source)> {
        let models = self.models();
        let versions = models.models.iter().flat_map(|(name, model)| {
            model.versions.iter().map(move |(number, version)| (name, *number, version))
        });
        versions
            .filter(|(_, _, version)| version.entry.state == VersionState::Loading)
            .map(|(name, number, version)| (name.clone(), number, version.source.clone()))
            .collect()
    }

    /// Loads a version. What ran under its number until now serves on until the new one is
    /// ready, and is then replaced by it; if the load fails, it just serves on. Only in a pass of loading.
    pub(crate) fn load_version(
        &self,
        model: &ModelName,
        version: Version,
        source: Source,
    ) -> Result<(), NotLoaded> {
        self.begin(model, version)?;
        let started = Instant::now();
        let Source { folder, config } = &source;
        let outcome = match &folder.files {
            Err(fault) => Err(LoadError::new(fault.clone())),
            Ok(_) => check_files(version, folder)
                .and_then(|()| self.prepare(folder, config))
                .and_then(|prepared| {
                    self.telemetry.warmed_up(&folder.path, prepared.warmed_up_in);
                    self.start(model, version, config, prepared)
                }),
        };
        match outcome {
            Ok((running, facts)) => {
                self.telemetry.set_load_duration(model, version, started.elapsed());
                self.put_in_place(model, version, source, running, facts)
            }
            Err(error) => {
                self.could_not_load(model, version, source, &error);
                Err(NotLoaded::Failed(error))
            }
        }
    }

    /// Nothing is loaded once shutdown has begun.
    fn begin(&self, model: &ModelName, version: Version) -> Result<(), NotLoaded> {
        let mut models = self.models();
        if models.stopping {
            return Err(NotLoaded::Stopping);
        }
        let known = models.version_mut(model, version).ok_or(NotLoaded::Stopping)?;
        let state = known.entry.state;
        // One that serves meanwhile is ready all the time.
        if state != VersionState::Ready {
            self.enter_locked(&mut models, model, version, VersionState::Loading, None);
        }
        Ok(())
    }

    /// A panic of the engine is this version's failure and no other's.
    fn prepare(&self, folder: &VersionFolder, config: &ModelConfig) -> Result<Prepared, LoadError> {
        // Nothing but the engine is shared, and nothing of ours is changed before it is done.
        catch_unwind(AssertUnwindSafe(|| load::prepare(&*self.backend, &folder.path, config)))
            .unwrap_or_else(|panic| {
                let said = panic.downcast_ref::<String>().map(String::as_str);
                let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
                let said = said.unwrap_or("no message");
                Err(LoadError::new(format!("the engine panicked while loading it: {said}")))
            })
    }

    fn start(
        &self,
        model: &ModelName,
        version: Version,
        config: &ModelConfig,
        prepared: Prepared,
    ) -> Result<(Running, Facts), LoadError> {
        let facts = Facts {
            signature: prepared.signature().clone(),
            batching: prepared.status.clone(),
            description: Arc::new(prepared.description.clone()),
        };
        if let BatchingStatus::Unbatched { reason } = &facts.batching {
            warn!(%model, version = version.get(), reason, "requests of this version do not share batches");
        }
        // Relaxed: a number that nobody else has is all that is asked for.
        let edition = self.editions.fetch_add(1, Ordering::Relaxed);
        let metrics = self.telemetry.model(model, version);
        let thread_name = format!("{version}-{model}");
        let hears = {
            let (control, model) = (self.me.clone(), model.clone());
            move |fitness| {
                if let Some(control) = control.upgrade() {
                    control.hears_of(&model, version, edition, fitness);
                }
            }
        };
        let running = prepared.start(&thread_name, version, edition, config, metrics, hears)?;
        Ok((running, facts))
    }

    fn put_in_place(
        &self,
        model: &ModelName,
        version: Version,
        source: Source,
        running: Running,
        Facts { signature, batching, description }: Facts,
    ) -> Result<(), NotLoaded> {
        let mut models = self.models();
        let known = if models.stopping { None } else { models.version_mut(model, version) };
        let Some(known) = known else {
            drop(models);
            running.stop();
            self.enter(model, version, VersionState::Unloaded, None);
            return Err(NotLoaded::Stopping);
        };
        running.show();
        let unbatched = matches!(batching, BatchingStatus::Unbatched { .. });
        self.telemetry.set_unbatched(model, version, unbatched);
        let replaced = known.running.replace(running);
        known.is_of(source);
        known.attempt = None;
        known.entry.signature = Some(signature);
        known.entry.batching = batching;
        known.entry.description = Some(description);
        self.enter_locked(&mut models, model, version, VersionState::Ready, None);
        drop(models);
        self.retire(replaced.into_iter().collect());
        Ok(())
    }

    fn could_not_load(
        &self,
        model: &ModelName,
        version: Version,
        source: Source,
        error: &LoadError,
    ) {
        let mut models = self.models();
        self.telemetry.load_failed(model, version);
        let Some(known) = models.version_mut(model, version) else { return };
        known.has_failed(&source);
        if known.entry.state == VersionState::Ready {
            warn!(%model, version = version.get(), %error, "not replaced: what was loaded before serves on");
            let reason = format!(
                "what was loaded before serves on, what was to replace it does not: {error}"
            );
            known.entry.reason = Some(reason);
            self.publish(&mut models);
        } else {
            known.is_of(source);
            let reason = Some(error.to_string());
            self.enter_locked(&mut models, model, version, VersionState::Failed, reason);
        }
    }

    /// Its workers say so. What drains, is gone or was replaced has nothing to say any more.
    pub(crate) fn hears_of(
        &self,
        model: &ModelName,
        version: Version,
        edition: u64,
        fitness: Fitness,
    ) {
        let mut models = self.models();
        let running = models.version_mut(model, version).and_then(|known| known.running.as_ref());
        if running.is_none_or(|running| running.edition != edition) {
            return;
        }
        let (state, why) = match fitness {
            Fitness::Fit => (VersionState::Ready, None),
            Fitness::Unfit(reason) => (VersionState::Failed, Some(reason)),
        };
        self.enter_locked(&mut models, model, version, state, why);
    }

    pub(crate) fn enter(
        &self,
        model: &ModelName,
        version: Version,
        state: VersionState,
        why: Option<String>,
    ) {
        self.enter_locked(&mut self.models(), model, version, state, why);
    }

    fn enter_locked(
        &self,
        models: &mut ModelSet,
        model: &ModelName,
        version: Version,
        state: VersionState,
        why: Option<String>,
    ) {
        let Some(known) = models.version_mut(model, version) else { return };
        announce(model, version, state, why.as_deref());
        (known.entry.state, known.entry.reason) = (state, why);
        self.publish(models);
    }
}

pub(crate) fn announce(
    model: &ModelName,
    version: Version,
    state: VersionState,
    reason: Option<&str>,
) {
    if state == VersionState::Failed {
        warn!(%model, version = version.get(), %state, reason, "version state");
    } else {
        info!(%model, version = version.get(), %state, reason, "version state");
    }
}
