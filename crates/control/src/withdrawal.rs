//! How versions leave: out of the route table first, so that no new request comes; then the requests inside
//! are answered; then the workers end. One after the other for a single version, side by side for many.
//!
//! A request that was admitted holds its lane, also while its body is still on the way, and may enter the
//! queue. So the queue is closed when the last one has let go of the lane (`Lane` does that by itself), and
//! not before; unless somebody takes very long, or the gateway stops.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tidegate_inference::{BatchingStatus, ModelName, Version, VersionState};

use crate::ControlPlane;
use crate::lifecycle::announce;
use crate::model_set::{ModelSet, Running};

/// How long those inside may take until the queue is closed on those who have not entered it. Longer than a
/// body may take to arrive, as long as nobody sets another time; who is in the queue is answered in any case.
const PATIENCE: Duration = Duration::from_secs(60);

/// Triton's word, in its index.
const UNLOADED: &str = "unloaded";

impl ControlPlane {
    /// Stops serving for good: no version takes requests any more, those inside are answered, the
    /// workers end. Call it when the data ports have drained. A version that is being loaded is waited
    /// for and not served, one that leaves is waited for too: when this returns, no engine runs any more,
    /// and the process may end; unless threads are stuck in an engine, whose number is given back: then it
    /// must end without the engine's own clean-up.
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
        drop(self.pass());
        // Relaxed: written in passes, and the lock of the last one orders it.
        stuck + self.stuck.load(Ordering::Relaxed)
    }

    fn withdraw_all(&self) -> Vec<(ModelName, Version, Running)> {
        let mut models = self.models();
        models.stopping = true;
        models.leaving.iter().for_each(|queue| queue.close());
        let all: Vec<(ModelName, Version)> = models
            .models
            .iter()
            .flat_map(|(name, model)| model.versions.keys().map(|version| (name.clone(), *version)))
            .collect();
        let taken = all.into_iter().filter_map(|(model, version)| {
            let running = take(&mut models, &model, version)?;
            Some((model, version, running))
        });
        let withdrawn = taken.collect();
        self.publish(&mut models);
        withdrawn
    }

    /// Takes these versions out of service and waits until they have ended. Only in a pass of loading.
    pub(crate) fn withdraw(&self, versions: &[(ModelName, Version)]) {
        let mut models = self.models();
        let running =
            versions.iter().filter_map(|(model, version)| take(&mut models, model, *version));
        let running: Vec<Running> = running.collect();
        self.publish(&mut models);
        drop(models);
        self.retire(running);
        for (model, version) in versions {
            self.is_unloaded(model, *version);
        }
    }

    /// Waits for the requests inside of what is in no route table any more, and ends it. Only in a pass of
    /// loading.
    pub(crate) fn retire(&self, running: Vec<Running>) {
        if running.is_empty() {
            return;
        }
        self.are_leaving(&running);
        // All are let go together, so that they empty at the same time.
        let leaving: Vec<_> = running
            .into_iter()
            .map(|Running { lane, instances, .. }| (Arc::clone(&lane.queue), instances))
            .collect();
        let until = Instant::now() + PATIENCE;
        for (queue, instances) in leaving {
            if !instances.has_left_within(until.saturating_duration_since(Instant::now())) {
                queue.close();
            }
            self.stuck.fetch_add(instances.join(), Ordering::Relaxed);
        }
        self.models().leaving.clear();
        self.backend.give_back_memory();
    }

    fn are_leaving(&self, running: &[Running]) {
        let mut models = self.models();
        models.leaving.extend(running.iter().map(|running| Arc::clone(&running.lane.queue)));
        if models.stopping {
            models.leaving.iter().for_each(|queue| queue.close());
        }
    }

    fn is_unloaded(&self, model: &ModelName, version: Version) {
        let mut models = self.models();
        let Some(known) = models.version_mut(model, version) else { return };
        known.entry.signature = None;
        known.entry.batching = BatchingStatus::Unknown;
        known.entry.description = None;
        known.entry.warnings = [].into();
        drop(models);
        self.telemetry.set_unbatched(model, version, false);
        self.enter(model, version, VersionState::Unloaded, Some(UNLOADED.to_owned()));
    }
}

/// What ran, if anything did. It drains from now on.
fn take(models: &mut ModelSet, model: &ModelName, version: Version) -> Option<Running> {
    let known = models.version_mut(model, version)?;
    let running = known.running.take()?;
    (known.entry.state, known.entry.reason) = (VersionState::Draining, None);
    announce(model, version, VersionState::Draining, None);
    Some(running)
}
