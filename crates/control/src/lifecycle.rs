//! Takes versions through their states: loading, ready, draining, unloaded, or failed with a reason. A
//! version fails when it cannot be loaded, or later, when nothing runs on it any more; then it comes back
//! by itself as soon as something does.
//!
//! Versions are loaded one after the other, in order: each load may want all cores and its own share of
//! memory. One that fails stays failed and says why; the others go on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use tidegate_backend::{Fitness, LoadError};
use tidegate_inference::{BatchingStatus, ModelName, Version, VersionState};
use tracing::{info, warn};

use crate::load::{self, Prepared};
use crate::model_set::{ModelSet, Running};
use crate::{ControlPlane, ModelConfig, VersionFolder};

#[cfg(test)]
mod tests;

impl ControlPlane {
    /// Loads every version that was found and publishes after each. Blocks until all were tried; after
    /// that the catalog is ready if one version at least is.
    pub fn load_all(&self) {
        let _pass = self.loading.lock();
        let all: Vec<(ModelName, Version)> = self
            .models()
            .models
            .iter()
            .flat_map(|(name, model)| model.versions.keys().map(|version| (name.clone(), *version)))
            .collect();
        for (model, version) in all {
            self.load(&model, version);
        }
        let mut models = self.models();
        models.first_pass_ended = true;
        self.publish(&mut models);
    }

    /// Stops serving for good: no version takes requests any more, those inside are answered, the
    /// workers end. Call it when the data ports have drained. A version that is being loaded is waited
    /// for and not served: when this returns, no engine runs any more, and the process may end; unless
    /// threads are stuck in an engine, whose number is given back: then it must end without the engine's
    /// own clean-up.
    pub fn shutdown(&self) -> usize {
        let running = self.withdraw_all();
        // Closed all together, so that they empty at the same time.
        for (_, _, running) in &running {
            running.lane.queue.close();
        }
        let mut stuck = 0;
        for (model, version, running) in running {
            stuck += running.stop();
            self.enter(&model, version, VersionState::Unloaded, None);
        }
        drop(self.loading.lock());
        stuck
    }

    /// Its workers say so. What drains or is gone has a state of its own.
    fn hears_of(&self, model: &ModelName, version: Version, fitness: Fitness) {
        let mut models = self.models();
        if models.version_mut(model, version).running.is_none() {
            return;
        }
        let (state, why) = match fitness {
            Fitness::Fit => (VersionState::Ready, None),
            Fitness::Unfit(reason) => (VersionState::Failed, Some(reason)),
        };
        self.enter_locked(&mut models, model, version, state, why);
    }

    fn withdraw_all(&self) -> Vec<(ModelName, Version, Running)> {
        let mut models = self.models();
        models.stopping = true;
        let mut withdrawn = Vec::new();
        for (name, model) in &mut models.models {
            for (number, version) in &mut model.versions {
                if let Some(running) = version.running.take() {
                    version.entry.state = VersionState::Draining;
                    announce(name, *number, VersionState::Draining, None);
                    withdrawn.push((name.clone(), *number, running));
                }
            }
        }
        self.publish(&mut models);
        withdrawn
    }

    fn load(&self, model: &ModelName, version: Version) {
        let Some((folder, config)) = self.next_to_load(model, version) else { return };
        self.enter(model, version, VersionState::Loading, None);
        let started = Instant::now();
        let outcome = match folder.fault {
            Some(fault) => Err(LoadError::new(fault)),
            None => self
                .prepare(&folder, &config)
                .and_then(|prepared| self.serve(model, version, &config, prepared)),
        };
        match outcome {
            Ok(()) => self.telemetry.set_load_duration(model, version, started.elapsed()),
            Err(error) => self.enter(model, version, VersionState::Failed, Some(error.to_string())),
        }
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

    /// Only what was never tried is loaded, and nothing once shutdown has begun.
    fn next_to_load(
        &self,
        model: &ModelName,
        version: Version,
    ) -> Option<(VersionFolder, ModelConfig)> {
        let mut models = self.models();
        let config = models.models[model].config.clone();
        let found = models.version_mut(model, version);
        let untried = found.entry.state == VersionState::Loading;
        let folder = found.folder.clone();
        (untried && !models.stopping).then_some((folder, config))
    }

    fn serve(
        &self,
        model: &ModelName,
        version: Version,
        config: &ModelConfig,
        prepared: Prepared,
    ) -> Result<(), LoadError> {
        let (signature, status) = (prepared.signature().clone(), prepared.status.clone());
        if let BatchingStatus::Unbatched { reason } = &status {
            warn!(%model, version = version.get(), reason, "requests of this version do not share batches");
        }
        let unbatched = matches!(status, BatchingStatus::Unbatched { .. });
        self.telemetry.set_unbatched(model, version, unbatched);
        let metrics = self.telemetry.model(model, version);
        let thread_name = format!("{version}-{model}");
        let hears = {
            let (control, model) = (self.me.clone(), model.clone());
            move |fitness| {
                if let Some(control) = control.upgrade() {
                    control.hears_of(&model, version, fitness);
                }
            }
        };
        let running = prepared.start(&thread_name, version, config, metrics, hears)?;

        let mut models = self.models();
        if models.stopping {
            drop(models);
            running.stop();
            self.enter(model, version, VersionState::Unloaded, None);
            return Ok(());
        }
        let known = models.version_mut(model, version);
        known.running = Some(running);
        known.entry.signature = Some(signature);
        known.entry.batching = status;
        self.enter_locked(&mut models, model, version, VersionState::Ready, None);
        Ok(())
    }

    fn enter(&self, model: &ModelName, version: Version, state: VersionState, why: Option<String>) {
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
        announce(model, version, state, why.as_deref());
        let entry = &mut models.version_mut(model, version).entry;
        (entry.state, entry.reason) = (state, why);
        self.publish(models);
    }
}

fn announce(model: &ModelName, version: Version, state: VersionState, reason: Option<&str>) {
    if state == VersionState::Failed {
        warn!(%model, version = version.get(), %state, reason, "version state");
    } else {
        info!(%model, version = version.get(), %state, "version state");
    }
}
