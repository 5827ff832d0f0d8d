//! Takes versions through their states: loading, ready, draining, unloaded, or failed with a reason.
//!
//! Versions are loaded one after the other, in order: each load may want all cores and its own share of
//! memory. One that fails stays failed and says why; the others go on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use tidegate_backend::LoadError;
use tidegate_inference::{BatchingStatus, ModelName, Version, VersionState};
use tracing::{info, warn};

use crate::load::{self, Prepared};
use crate::model_set::{ModelSet, Running};
use crate::{ControlPlane, ModelConfig, VersionFolder};

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
    /// workers end. Call it when the data ports have drained. A version that is being loaded meanwhile
    /// is not waited for, and is not served.
    pub fn shutdown(&self) {
        let running = self.withdraw_all();
        // Closed all together, so that they empty at the same time.
        for (_, _, running) in &running {
            running.lane.queue.close();
        }
        for (model, version, running) in running {
            running.stop();
            self.enter(&model, version, VersionState::Unloaded, None);
        }
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
            warn!(%model, %version, reason, "requests of this version do not share batches");
        }
        let unbatched = matches!(status, BatchingStatus::Unbatched { .. });
        self.telemetry.set_unbatched(model, version, unbatched);
        let metrics = self.telemetry.model(model, version);
        let thread_name = format!("{version}-{model}");
        let running = prepared.start(&thread_name, version, config, metrics)?;

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
        warn!(%model, %version, %state, reason, "version state");
    } else {
        info!(%model, %version, %state, "version state");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Site, model, version};

    use VersionState::{Failed, Loading, Ready, Unloaded};

    #[test]
    fn a_version_that_fails_leaves_the_others_serving() {
        let site = Site::new(&["digits/1", "digits/2", "digits/3", "other/1"]);
        site.write("digits/2/model.onnx", "refuse");
        site.write("digits/3/model.onnx", "panic");
        site.write("digits/4/notes.txt", "no model here");
        let opened = site.open().unwrap();
        assert_eq!(opened.states("digits"), [Loading; 4]);
        opened.plane.load_all();

        assert_eq!(opened.states("digits"), [Ready, Failed, Failed, Failed]);
        assert_eq!(opened.states("other"), [Ready]);
        let catalog = opened.catalog();
        let reason = |number| {
            let entry = &catalog.models["digits"].versions[&version(number)];
            entry.reason.clone().unwrap_or_default()
        };
        assert_eq!(reason(2), "as it says");
        assert_eq!(reason(3), "the engine panicked while loading it: as it says");
        assert!(reason(4).starts_with("no model.onnx in "), "{}", reason(4));
        assert_eq!(reason(1), "");
        assert!(catalog.ready);
    }

    #[test]
    fn it_is_ready_when_all_were_tried_and_one_can_be_served() {
        let site = Site::new(&["digits/1", "digits/2"]);
        site.write("digits/1/model.onnx", "refuse");
        let opened = site.open().unwrap();
        assert!(!opened.catalog().ready);
        opened.plane.load_all();
        assert!(opened.catalog().ready);
        opened.plane.shutdown();
        assert!(!opened.catalog().ready);

        site.write("digits/2/model.onnx", "refuse");
        drop(opened);
        assert!(!site.loaded().catalog().ready);
    }

    #[test]
    fn shutdown_unloads_what_was_ready_and_what_comes_too_late_stays_out() {
        let site = Site::new(&["digits/1", "digits/2"]);
        site.write("digits/2/model.onnx", "refuse");
        let opened = site.loaded();
        opened.plane.shutdown();
        assert_eq!(opened.states("digits"), [Unloaded, Failed]);
        assert_eq!(opened.effective("digits"), []);
        opened.plane.shutdown();
        drop(opened);

        let late = site.open().unwrap();
        late.plane.shutdown();
        late.plane.load_all();
        assert_eq!(late.states("digits"), [Loading, Loading]);
    }

    #[test]
    fn every_instance_runs_once_before_its_version_is_ready() {
        let site = Site::new(&["digits/1"]);
        // One instance alone, so that the runs of the safety check are told from the warm-up.
        let runs_with = |instances: usize| {
            let mut site = Site { mock: site.mock.clone(), ..Site::new(&["digits/1"]) };
            site.config.defaults.instances = instances.try_into().unwrap();
            site.mock.forget_runs();
            drop(site.loaded());
            site.mock.runs().len()
        };
        assert_eq!(runs_with(4), runs_with(1) + 3);
    }

    #[test]
    fn a_broken_sample_is_left_out_and_the_version_is_served() {
        let site = Site::new(&["digits/1"]);
        let good = r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[5,2],
            "data":[1,2,3,4,5,6,7,8,9,10]}]}"#;
        site.write("digits/1/samples/good.json", good);
        site.write("digits/1/samples/broken.json", "{");
        site.write("digits/1/samples/wrong.json", &good.replace("\"x\"", "\"z\""));
        let opened = site.loaded();
        assert_eq!(opened.states("digits"), [Ready]);
        let saw_the_sample = |run: &tidegate_backend::Run| run.shapes[0][..] == [5, 2];
        assert!(site.mock.runs().iter().any(saw_the_sample));
    }

    #[test]
    fn a_version_that_fails_on_its_own_sample_is_not_served() {
        let site = Site::new(&["digits/1"]);
        site.write(
            "digits/1/samples/a.json",
            r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[5,2],
                "data":[1,2,3,4,5,6,7,8,9,10]}]}"#,
        );
        site.mock.fail_when(|inputs| inputs[0].shape[0] == 5);
        let opened = site.loaded();
        assert_eq!(opened.states("digits"), [Failed]);
    }

    #[test]
    fn states_and_weights_are_in_the_metrics() {
        let mut site = Site::new(&["digits/1", "digits/2"]);
        site.config.defaults.weights = [("1".parse().unwrap(), 30)].into();
        site.write("digits/2/model.onnx", "refuse");
        let text = site.loaded().telemetry.encode();
        let has = |line: &str| assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        has(r#"tidegate_route_weight{model="digits",version="1"} 30"#);
        has(r#"tidegate_route_weight{model="digits",version="2"} 0"#);
        let failed = |line: &&str| {
            line.starts_with("tidegate_version_state{")
                && line.contains("version=\"2\"")
                && line.contains("failed")
        };
        assert!(text.lines().find(failed).is_some_and(|line| line.ends_with(" 1")), "{text}");
    }

    #[test]
    fn the_default_model_is_the_configured_or_the_only_one() {
        let mut site = Site::new(&["digits/1"]);
        assert_eq!(site.loaded().catalog().default_model, Some(model("digits")));
        site.write("other/1/model.onnx", "a model");
        assert_eq!(site.loaded().catalog().default_model, None);
        site.config.default_model = Some(model("other"));
        assert_eq!(site.loaded().catalog().default_model, Some(model("other")));
    }
}
