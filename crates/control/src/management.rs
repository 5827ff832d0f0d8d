//! Models loaded, unloaded and replaced on demand: [`Management`] as the control plane does it.
//!
//! Each wish is carried out on a thread of its own, because loads block and callers must not; and in a pass
//! of loading, one at a time. A caller that hangs up changes nothing: what was begun is ended. Nothing is
//! taken away before what was to take its place is there.

use std::sync::Arc;
use std::thread;

use tidegate_inference::{
    Error, ErrorKind, LoadRequest, Managed, Management, ModelName, Result, Version, VersionState,
    WantedModel,
};
use tokio::sync::{Semaphore, oneshot};
use tracing::{error, info};

use crate::ControlPlane;
use crate::lifecycle::NotLoaded;
use crate::model_set::{ModelVersion, Wish};
use crate::plan::{Plan, shown};
use crate::source::Source;

#[cfg(test)]
mod tests;

/// Wishes that are carried out or wait for their turn.
const MAX_WISHES: usize = 16;

/// Bounds the threads that wait for a pass.
pub(crate) fn wishes() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(MAX_WISHES))
}

impl Management for ControlPlane {
    fn load(&self, model: String, request: LoadRequest) -> Managed<'_> {
        self.aside(move |control| control.load_model(&model, &request))
    }

    fn unload(&self, model: String) -> Managed<'_> {
        self.aside(move |control| control.unload_model(&model))
    }

    fn reload(&self, wanted: Vec<WantedModel>) -> Managed<'_> {
        self.aside(move |control| control.serve_only(&wanted))
    }
}

impl ControlPlane {
    fn aside(&self, wish: impl FnOnce(&Self) -> Result<()> + Send + 'static) -> Managed<'_> {
        Box::pin(async move {
            let turn = Arc::clone(&self.wishes).try_acquire_owned().map_err(|_| {
                let message = format!("{MAX_WISHES} loads and unloads are waiting already");
                Error::new(ErrorKind::Overloaded, message)
            })?;
            let control = self.me.upgrade().ok_or_else(stopping)?;
            let (tell, told) = oneshot::channel();
            let work = move || {
                let outcome = wish(&control);
                // Who hears the answer may open the same state again.
                drop((control, turn));
                // Whoever has hung up does not want to know.
                let _ = tell.send(outcome);
            };
            thread::Builder::new().name("tidegate-manage".to_owned()).spawn(work).map_err(
                |error| Error::internal(format!("no thread can be started to do it: {error}")),
            )?;
            let unfinished = |_| Err(Error::internal("it was not finished: its thread panicked"));
            told.await.unwrap_or_else(unfinished)
        })
    }

    fn load_model(&self, name: &str, request: &LoadRequest) -> Result<()> {
        let _pass = self.pass();
        self.refuse_when_stopping()?;
        let sent = request.config.as_deref();
        let mut plans = [Plan { wish: Some(Wish::All), ..self.plan_load(name, sent)? }];
        info!(model = name, with_config = sent.is_some(), "asked to load");
        let loaded = self.carry_in(&mut plans);
        if loaded.is_err() {
            plans.iter_mut().for_each(Plan::spare_left_out);
        }
        // Gone is gone, however the others fared.
        self.carry_out(&plans);
        loaded
    }

    fn unload_model(&self, name: &str) -> Result<()> {
        let _pass = self.pass();
        self.refuse_when_stopping()?;
        let Some((model, loaded)) = self.loaded_of(name) else {
            let message = format!("failed to unload '{}', no such model", shown(name));
            return Err(Error::new(ErrorKind::UnknownModel, message));
        };
        info!(%model, "asked to unload");
        self.leave_alone(|name| *name == model);
        self.withdraw(&loaded.map(|version| (model.clone(), version)).collect::<Vec<_>>());
        Ok(())
    }

    fn serve_only(&self, wanted: &[WantedModel]) -> Result<()> {
        let _pass = self.pass();
        self.refuse_when_stopping()?;
        let mut plans = self.plan_reload(wanted)?;
        info!(models = plans.len(), "asked to serve these models and no others");
        self.carry_in(&mut plans)?;
        let labels =
            plans.iter().filter_map(|plan| Some((plan.model.clone(), plan.labels.clone()?)));
        self.replace_labels(labels.collect()).map_err(|error| {
            error!(%error, "labels could not be saved");
            Error::internal("the labels could not be saved: nothing was unloaded, no label moved")
        })?;
        self.carry_out(&plans);
        self.leave_alone(|name| plans.iter().all(|plan| plan.model != *name));
        self.models().only_listed = true;
        self.withdraw(&self.unlisted(&plans));
        Ok(())
    }

    /// Nothing is asked for of these models any more.
    fn leave_alone(&self, of: impl Fn(&ModelName) -> bool) {
        for (_, model) in self.models().models.iter_mut().filter(|(name, _)| of(name)) {
            model.wish = Wish::Nothing;
        }
    }

    pub(crate) fn refuse_when_stopping(&self) -> Result<()> {
        if self.models().stopping { Err(stopping()) } else { Ok(()) }
    }

    /// Loads all that is wanted and does not run from what there is now.
    fn carry_in(&self, plans: &mut [Plan]) -> Result<()> {
        self.carry_in_where(plans, |known, source| {
            known.entry.state != VersionState::Ready || known.source != *source
        })
    }

    /// Loads all that is due. Tries the others too when one fails.
    pub(crate) fn carry_in_where(
        &self,
        plans: &mut [Plan],
        is_due: impl Fn(&ModelVersion, &Source) -> bool,
    ) -> Result<()> {
        let mut models = self.models();
        for plan in &mut *plans {
            plan.announce(&mut models, self.backend.platform());
        }
        self.publish(&mut models);
        drop(models);
        let mut faults = Vec::new();
        for plan in plans {
            let due = plan.due(&self.models(), &is_due);
            for (version, source) in due {
                match self.load_version(&plan.model, version, source) {
                    Ok(()) => {}
                    Err(NotLoaded::Stopping) => return Err(stopping()),
                    Err(NotLoaded::Failed(why)) => {
                        let model = &plan.model;
                        faults.push(format!("failed to load '{model}', version {version}: {why}"));
                    }
                }
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(Error::invalid(faults.join("; "))) }
    }

    /// Unloads what is not wanted, and forgets what is not there any more.
    pub(crate) fn carry_out(&self, plans: &[Plan]) {
        let unwanted = |plan: &Plan| {
            let versions = plan.unwanted(&self.models());
            versions.into_iter().map(|version| (plan.model.clone(), version)).collect::<Vec<_>>()
        };
        self.withdraw(&plans.iter().flat_map(unwanted).collect::<Vec<_>>());
        let mut models = self.models();
        for plan in plans {
            if let Some(model) = models.models.get_mut(&plan.model) {
                model.versions.retain(|version, _| plan.found.contains_key(version));
            }
        }
        self.publish(&mut models);
    }

    /// The versions of a known model that are not unloaded.
    fn loaded_of(&self, name: &str) -> Option<(ModelName, impl Iterator<Item = Version> + use<>)> {
        let models = self.models();
        let (name, model) = models.models.get_key_value(name)?;
        let loaded: Vec<Version> = model
            .versions
            .iter()
            .filter(|(_, known)| known.entry.state != VersionState::Unloaded)
            .map(|(version, _)| *version)
            .collect();
        Some((name.clone(), loaded.into_iter()))
    }

    /// What is loaded of models that no plan names.
    fn unlisted(&self, plans: &[Plan]) -> Vec<(ModelName, Version)> {
        let names: Vec<ModelName> = self.models().models.keys().cloned().collect();
        names
            .into_iter()
            .filter(|name| plans.iter().all(|plan| plan.model != *name))
            .filter_map(|name| self.loaded_of(name.as_str()))
            .flat_map(|(name, versions)| versions.map(move |version| (name.clone(), version)))
            .collect()
    }
}

fn stopping() -> Error {
    Error::new(ErrorKind::Unavailable, "the gateway is stopping: nothing is loaded or unloaded")
}
