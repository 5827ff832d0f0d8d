//! The control plane itself: what it owns, how it is opened, what it answers.
//!
//! Three locks, always taken in this order. `loading` makes passes of loading wait for each other: models
//! and versions come and go in a pass only.
//! `store` is held by a writer from reading the old state to publishing the new one, and so across the
//! disk. `models` is held only to change or copy what is in memory, and to publish it: a table is
//! published under the lock that guards what it was made of, so tables appear in order.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use thiserror::Error;
use tidegate_backend::Backend;
use tidegate_router::Router;
use tidegate_telemetry::Telemetry;
use tokio::sync::Semaphore;

use crate::model_set::ModelSet;
use crate::state_store::StateStore;
use crate::{
    ControlConfig, DeclaredTraffic, ModelView, Repository, RepositoryError, StateError, initial,
    management,
};

pub struct ControlPlane {
    /// For the workers, which tell it how they fare.
    pub(crate) me: Weak<Self>,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) config: ControlConfig,
    router: Arc<Router>,
    /// Wishes to load or unload that may be inside.
    pub(crate) wishes: Arc<Semaphore>,
    /// How many were started.
    pub(crate) editions: AtomicU64,
    /// Threads of versions that have left which are stuck in an engine.
    pub(crate) stuck: AtomicUsize,
    loading: Mutex<()>,
    store: Mutex<StateStore>,
    models: Mutex<ModelSet>,
}

#[derive(Debug, Error)]
pub enum ControlError {
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    #[error(transparent)]
    State(#[from] StateError),
    /// Every mistake that was found, a line each.
    #[error("{}", .0.join("\n"))]
    Config(Vec<String>),
}

impl ControlPlane {
    /// Scans the repository, takes the state file and publishes the models, none of them ready yet.
    ///
    /// # Errors
    /// When the repository, the configuration's names or the state file cannot be used.
    pub fn open(
        config: &ControlConfig,
        backend: Arc<dyn Backend>,
        router: Arc<Router>,
        telemetry: Arc<Telemetry>,
    ) -> Result<Arc<Self>, ControlError> {
        let repository = repository(config)?;
        let mut models = initial::model_set(config, &repository, backend.platform())
            .map_err(ControlError::Config)?;
        let store = StateStore::open(&config.state_file)?;
        models.apply(store.models());
        let plane = Arc::new_cyclic(|me| Self {
            me: me.clone(),
            backend,
            telemetry,
            config: config.clone(),
            router,
            wishes: management::wishes(),
            editions: AtomicU64::new(0),
            stuck: AtomicUsize::new(0),
            loading: Mutex::default(),
            store: Mutex::new(store),
            models: Mutex::new(models),
        });
        plane.publish(&mut plane.models());
        Ok(plane)
    }

    /// Whether a control plane could be opened so, as far as the repository and the names in the
    /// configuration go. Loads nothing and touches no state.
    ///
    /// # Errors
    /// When the repository cannot be used, or does not hold what the configuration names.
    pub fn check(config: &ControlConfig) -> Result<(), ControlError> {
        let repository = repository(config)?;
        let models = initial::model_set(config, &repository, "");
        models.map(drop).map_err(ControlError::Config)
    }

    /// Whether what a traffic file says could be put in force on the repository as it is.
    ///
    /// # Errors
    /// As [`ControlPlane::check`], and what the file names that is not there.
    pub fn check_traffic(
        config: &ControlConfig,
        said: &DeclaredTraffic,
    ) -> Result<(), ControlError> {
        let repository = repository(config)?;
        let models = initial::model_set(config, &repository, "").map_err(ControlError::Config)?;
        models.resolved(said).map(drop).map_err(|problem| ControlError::Config(vec![problem]))
    }

    /// Every model as of now, by name.
    pub fn views(&self) -> Vec<ModelView> {
        let models = self.models();
        models.models.keys().filter_map(|name| models.view(name.as_str())).collect()
    }

    pub fn view(&self, model: &str) -> Option<ModelView> {
        self.models().view(model)
    }

    /// Why no traffic is taken, if none is.
    pub fn why_not_ready(&self) -> Option<String> {
        self.models().why_not_ready()
    }

    /// A pass of loading. After a panic in the one before, versions say how far it came.
    pub(crate) fn pass(&self) -> MutexGuard<'_, ()> {
        self.loading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A panic elsewhere cannot leave the set half changed: each change is made whole or not at all.
    pub(crate) fn models(&self) -> MutexGuard<'_, ModelSet> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn store(&self) -> MutexGuard<'_, StateStore> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the current state the one that requests are routed by.
    pub(crate) fn publish(&self, models: &mut ModelSet) {
        self.router.publish(models.route_table());
        for (name, model) in &models.models {
            for (version, known) in &model.versions {
                let weight = model.split.weights.get(version).map_or(0, |weight| weight.get());
                self.telemetry.set_route_weight(name, *version, weight);
                self.telemetry.set_version_state(name, *version, known.entry.state);
            }
        }
    }
}

fn repository(config: &ControlConfig) -> Result<Repository, RepositoryError> {
    if config.allow_empty {
        Repository::scan_empty(&config.repository)
    } else {
        Repository::scan(&config.repository)
    }
}

impl fmt::Debug for ControlPlane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlPlane").finish_non_exhaustive()
    }
}
