//! Watches the repository: looks at all of it again and again, loads what is new or changed, unloads what has gone.
//!
//! By looking, not by events: those do not come from network volumes, get lost, and do not say when a copy is
//! complete, so it would have to look all the same. A version is believed when it looked the same twice in a row;
//! what is still being copied is left for later, and what serves under its number serves on. So is a folder believed
//! to be gone. A repository that cannot be read, or in which nothing is left, changes nothing: it is more likely to
//! be a volume that went away than a wish to serve nothing.
//!
//! What was asked for through an API is kept to: a model that was unloaded stays so, and one of which versions were
//! chosen gets no others.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime};

use tidegate_inference::{ModelName, Version};
use tidegate_repository::MANIFEST_FILE;
use tracing::{error, info, warn};

use crate::ControlPlane;
use crate::model_set::ModelVersion;
use crate::plan::Plan;
use crate::repository::{Repository, RepositoryLook};
use crate::source::{Folders, Source};
use crate::triton_config::CONFIG_FILE;
use crate::version_files::Look;

#[cfg(test)]
mod tests;

/// What was seen so far.
#[derive(Debug, Default)]
pub struct Watch {
    models: BTreeMap<ModelName, Watched>,
    /// Why the last look failed, so that it is said once.
    failure: Option<String>,
    /// What was left out, for the same reason.
    ignored: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Watched {
    last: Option<Sight>,
    /// What was last acted upon.
    settled: Option<Sight>,
}

/// One look at one model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Sight {
    folders: Folders,
    /// Its own configuration and its manifest.
    beside: [Option<Look>; 2],
}

impl Watch {
    fn say_ignored(&mut self, ignored: &[String]) {
        let now: BTreeSet<String> = ignored.iter().cloned().collect();
        now.difference(&self.ignored).for_each(|ignored| warn!("{ignored}"));
        self.ignored = now;
    }
}

/// A load that failed, of what, how often in a row, and when last.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub source: Source,
    pub failures: u32,
    pub at: Instant,
}

impl Attempt {
    /// One that failed for want of memory or a disk that was away may succeed later; one that is broken is not tried for
    /// good.
    const MOST: u32 = 5;

    /// When to try again what has not changed since.
    fn again_at(&self) -> Option<Instant> {
        let pause = Duration::from_secs(60) * 2_u32.pow(self.failures.saturating_sub(1).min(8));
        (self.failures < Self::MOST).then_some(self.at + pause)
    }

    fn is_due_again(&self, now: Instant) -> bool {
        self.again_at().is_some_and(|at| now >= at)
    }
}

impl ModelVersion {
    /// Whether the watch should load it from this: it is another source than the one that runs, and than the one that
    /// failed lately.
    pub fn is_due(&self, source: &Source, now: Instant) -> bool {
        let runs = self.running.is_some() && self.source == *source;
        let failed = self.attempt.as_ref().filter(|attempt| attempt.source == *source);
        !runs && failed.is_none_or(|attempt| attempt.is_due_again(now))
    }
}

impl ControlPlane {
    /// Looks at the repository once more, and acts upon what has changed. Blocks for as long as loads take.
    pub fn look_again(&self, watch: &mut Watch) {
        self.look_again_at(watch, Instant::now());
    }

    fn look_again_at(&self, watch: &mut Watch, now: Instant) {
        let found = match self.look_at_all() {
            Ok(found) => found,
            Err(failure) => return self.could_not_look(watch, failure),
        };
        if watch.failure.take().is_some() {
            info!(repository = %self.config.repository.display(), "the repository can be read again");
        }
        self.telemetry.repository_scanned(SystemTime::now());
        watch.say_ignored(&found.ignored);
        let mut names: BTreeSet<ModelName> = self.models().models.keys().cloned().collect();
        names.extend(found.models.keys().cloned());
        watch.models.retain(|name, _| names.contains(name));
        for name in names.into_iter().filter(|name| !found.unreadable.contains(name)) {
            let sight = self.sight_of(&name, found.models.get(&name));
            let watched = watch.models.entry(name.clone()).or_default();
            let settled = sight.settled(watched.last.as_ref(), &self.known_folders(&name));
            watched.last = Some(sight);
            if let Some(settled) = settled
                && (watched.settled.as_ref() != Some(&settled) || self.has_due_attempt(&name, now))
            {
                self.act_upon(&name, settled.folders.clone(), now);
                watched.settled = Some(settled);
            }
        }
    }

    /// # Errors
    /// Why nothing can be said.
    fn look_at_all(&self) -> Result<RepositoryLook, String> {
        let repository = &self.config.repository;
        let found = Repository::look(repository).map_err(|error| error.to_string())?;
        let models = self.models();
        let mut known = models.models.values().flat_map(|model| model.versions.values());
        if found.models.is_empty() && known.any(|version| version.running.is_some()) {
            let path = repository.display();
            return Err(format!("model repository {path}: nothing is left in it"));
        }
        Ok(found)
    }

    fn sight_of(&self, name: &ModelName, folders: Option<&Folders>) -> Sight {
        let folder = self.config.repository.join(name.as_str());
        let beside = [CONFIG_FILE, MANIFEST_FILE].map(|file| {
            // What cannot be looked at cannot be read either, and that is told where it is read.
            Look::at(&folder.join(file)).ok().flatten()
        });
        Sight { folders: folders.cloned().unwrap_or_default(), beside }
    }

    fn could_not_look(&self, watch: &mut Watch, failure: String) {
        self.telemetry.repository_scan_failed();
        if watch.failure.as_ref() != Some(&failure) {
            error!(failure, "the repository cannot be looked at: what is loaded serves on");
            watch.failure = Some(failure);
        }
    }

    fn known_folders(&self, name: &ModelName) -> Folders {
        let models = self.models();
        let versions = models.models.get(name).into_iter().flat_map(|model| &model.versions);
        versions.map(|(version, known)| (*version, known.source.folder.clone())).collect()
    }

    fn has_due_attempt(&self, name: &ModelName, now: Instant) -> bool {
        !self.due_attempts(name, now).is_empty()
    }

    /// Versions that are to be tried again, and how often they have failed.
    fn due_attempts(&self, name: &ModelName, now: Instant) -> BTreeMap<Version, u32> {
        let models = self.models();
        let versions = models.models.get(name).into_iter().flat_map(|model| &model.versions);
        let due = versions.filter_map(|(version, known)| {
            let attempt = known.attempt.as_ref().filter(|attempt| attempt.is_due_again(now))?;
            Some((*version, attempt.failures))
        });
        due.collect()
    }

    /// Those that were due and not made, because nobody wants the version any more, or its files are others again: they
    /// would be due at every look from now on.
    fn forget_attempts(&self, name: &ModelName, due: &BTreeMap<Version, u32>) {
        let mut models = self.models();
        let Some(model) = models.models.get_mut(name) else { return };
        for (version, failures) in due {
            if let Some(known) = model.versions.get_mut(version) {
                known.attempt.take_if(|attempt| attempt.failures == *failures);
            }
        }
    }

    /// One pass of loading.
    fn act_upon(&self, name: &ModelName, folders: Folders, now: Instant) {
        let _pass = self.pass();
        if self.refuse_when_stopping().is_err() {
            return;
        }
        let due = self.due_attempts(name, now);
        self.load_and_unload(name, folders, now);
        self.forget_attempts(name, &due);
    }

    fn load_and_unload(&self, name: &ModelName, folders: Folders, now: Instant) {
        let plan = match self.plan_seen(name, folders) {
            Ok(Some(plan)) => plan,
            Ok(None) => return,
            Err(error) => return self.cannot_be_configured(name, error.message()),
        };
        let mut plans = [plan];
        if self.carry_in_where(&mut plans, |known, source| known.is_due(source, now)).is_err() {
            // Each said so in its state.
            plans.iter_mut().for_each(Plan::spare_left_out);
        }
        self.carry_out(&plans);
        self.forget_when_gone(name);
        self.follow_manifest(name);
    }

    fn cannot_be_configured(&self, name: &ModelName, problem: &str) {
        warn!(model = %name, problem, "not loaded anew: what was loaded before serves on");
        let mut models = self.models();
        let Some(model) = models.models.get_mut(name) else { return };
        for (version, known) in &mut model.versions {
            known.entry.reason = Some(format!("what was loaded before serves on: {problem}"));
            self.telemetry.load_failed(name, *version);
        }
        self.publish(&mut models);
    }

    /// A model without a version is no model any more.
    fn forget_when_gone(&self, name: &ModelName) {
        // Who changes a model holds it, and relies on that the model stays meanwhile.
        let _store = self.store();
        let mut models = self.models();
        if models.models.get(name).is_some_and(|model| model.versions.is_empty()) {
            models.models.remove(name);
            info!(model = %name, "it has gone from the repository");
            self.publish(&mut models);
        }
    }
}

impl Sight {
    /// What can be believed of it, given what was seen the time before and what is loaded. `None`: nothing, yet.
    fn settled(&self, before: Option<&Self>, known: &Folders) -> Option<Self> {
        // A file beside the versions may be written just now.
        let before = before.filter(|before| before.beside == self.beside)?;
        let mut folders = Folders::new();
        for (version, folder) in &self.folders {
            let believed = before.folders.get(version) == Some(folder);
            if let Some(folder) = if believed { Some(folder) } else { known.get(version) } {
                folders.insert(*version, folder.clone());
            }
        }
        for (version, folder) in known {
            let has_just_gone =
                !self.folders.contains_key(version) && before.folders.contains_key(version);
            if has_just_gone {
                folders.insert(*version, folder.clone());
            }
        }
        Some(Self { folders, beside: self.beside })
    }
}
