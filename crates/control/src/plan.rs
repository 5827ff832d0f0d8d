//! What a pass is to make of a model: which of the versions in its folder are to serve. Made before
//! anything changes, so that a wish which cannot be met is refused as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidegate_inference::{
    Error, ErrorKind, Label, ModelName, Result, Version, VersionState, WantedModel,
};
use tracing::error;

use crate::model_set::{Model, ModelSet, ModelVersion, Wish};
use crate::source::{Folders, Source, own_config, retain_served};
use crate::weights::listed;
use crate::{ControlPlane, ModelConfig, Repository, VersionFolder, initial};

/// Models that one reload may list.
const MAX_WANTED: usize = 1000;

pub struct Plan {
    pub model: ModelName,
    /// Its versions in the repository now, without those that its own configuration leaves out.
    pub found: Folders,
    /// What it leaves out.
    pub left_out: Folders,
    /// Those of the found that are to serve.
    pub wanted: BTreeSet<Version>,
    /// What they are loaded with.
    pub config: Arc<ModelConfig>,
    /// All its labels, where those are part of the wish.
    pub labels: Option<BTreeMap<Label, Version>>,
    /// What is asked for of it from now on, where that is another thing.
    pub wish: Option<Wish>,
    /// What the model starts from when it was not known before.
    pub new: Option<Model>,
}

impl ControlPlane {
    /// All of its versions that the model's configuration wants served: the one in the repository, or the one that
    /// was sent.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownModel`] when nothing is there; [`ErrorKind::InvalidArgument`] when the configuration cannot
    /// be used.
    pub(crate) fn plan_load(&self, name: &str, sent: Option<&str>) -> Result<Plan> {
        let no_such = || {
            let message = format!("failed to load '{}', {}", shown(name), no_such_model());
            Error::new(ErrorKind::UnknownModel, message)
        };
        let model = ModelName::new(name).map_err(|_| no_such())?;
        let found = self.look(&model)?.ok_or_else(no_such)?;
        self.plan_all(model, found, sent)
    }

    /// What the watch is to make of a model in whose folder these versions were seen. `None`: nothing, because of what
    /// was asked for before.
    ///
    /// # Errors
    /// As `plan_load`.
    pub(crate) fn plan_seen(&self, name: &ModelName, found: Folders) -> Result<Option<Plan>> {
        let models = self.models();
        let wish = match models.models.get(name) {
            Some(model) => model.wish.clone(),
            None if models.only_listed => Wish::Nothing,
            None => Wish::All,
        };
        drop(models);
        let chosen = match wish {
            // What was unloaded stays so, and is forgotten when it has gone.
            Wish::Nothing if !found.is_empty() => return Ok(None),
            Wish::Nothing | Wish::All => None,
            Wish::Chosen(policy) => Some(policy.select(&found.keys().copied().collect())),
        };
        if found.is_empty() && !self.models().models.contains_key(name) {
            return Ok(None);
        }
        let mut plan = self.plan_all(name.clone(), found, None)?;
        if let Some(chosen) = chosen {
            plan.wanted.retain(|version| chosen.contains(version));
        }
        Ok(Some(plan))
    }

    fn plan_all(&self, model: ModelName, mut found: Folders, sent: Option<&str>) -> Result<Plan> {
        let failed = |why: &str| format!("failed to load '{model}', {why}");
        let refused = |error: Error| Error::invalid(failed(error.message()));
        let triton = own_config(&model, &self.folder(&model), sent).map_err(refused)?;
        let left_out = retain_served(triton.as_deref(), &mut found).map_err(refused)?;
        let config = Arc::new(self.config.model_with(&model, triton));
        let new = self.new_model(&model, &config, &found);
        let new = new.map_err(|why| Error::invalid(failed(&why)))?;
        let wanted = found.keys().copied().collect();
        Ok(Plan { model, found, left_out, wanted, config, labels: None, wish: None, new })
    }

    /// # Errors
    /// [`ErrorKind::InvalidArgument`] with all that is wrong.
    pub(crate) fn plan_reload(&self, wanted: &[WantedModel]) -> Result<Vec<Plan>> {
        if wanted.len() > MAX_WANTED {
            let got = wanted.len();
            return Err(Error::invalid(format!(
                "{got} models are listed, expected at most {MAX_WANTED}"
            )));
        }
        let (mut plans, mut faults): (Vec<Plan>, Vec<String>) = (Vec::new(), Vec::new());
        for wanted in wanted {
            match self.plan_wanted(wanted)? {
                Ok(plan) if plans.iter().any(|other| other.model == plan.model) => {
                    faults.push(format!("model '{}': it is listed twice", plan.model));
                }
                Ok(plan) => plans.push(plan),
                Err(fault) => faults.push(format!("model '{}': {fault}", shown(&wanted.name))),
            }
        }
        if faults.is_empty() { Ok(plans) } else { Err(Error::invalid(faults.join("; "))) }
    }

    /// The inner error is one of the request.
    fn plan_wanted(&self, wanted: &WantedModel) -> Result<Result<Plan, String>> {
        let Ok(model) = ModelName::new(&wanted.name) else { return Ok(Err(no_such_model())) };
        let Some(found) = self.look(&model)? else { return Ok(Err(no_such_model())) };
        Ok(self.checked(wanted, model, found))
    }

    fn checked(
        &self,
        wanted: &WantedModel,
        model: ModelName,
        found: Folders,
    ) -> Result<Plan, String> {
        let folder = self.folder(&model);
        if let Some(base_path) = wanted.base_path.as_deref().filter(|path| !path.is_empty()) {
            check_base_path(base_path, &folder)?;
        }
        let chosen = wanted.versions.choose(&found.keys().copied().collect())?;
        for (label, version) in &wanted.labels {
            if !chosen.contains(version) {
                let chosen = listed(&chosen);
                return Err(format!(
                    "label '{label}' names version {version}, the versions to be served are {chosen}"
                ));
            }
            if let Some(Err(fault)) = found.get(version).map(|folder| &folder.files) {
                return Err(format!(
                    "label '{label}' names version {version}, which cannot be served: {fault}"
                ));
            }
        }
        let triton = own_config(&model, &folder, None);
        let triton = triton.map_err(|error| error.message().to_owned())?;
        let config = Arc::new(self.config.model_with(&model, triton));
        let new = self.new_model(&model, &config, &found)?;
        let labels = self.labels_for(&model, &wanted.labels)?;
        let left_out = Folders::new();
        let wish = Some(Wish::Chosen(wanted.versions.clone()));
        Ok(Plan { model, found, left_out, wanted: chosen, config, labels, wish, new })
    }

    /// `None`: they are a file's to say, and it says nothing else.
    fn labels_for(
        &self,
        model: &ModelName,
        wanted: &BTreeMap<Label, Version>,
    ) -> Result<Option<BTreeMap<Label, Version>>, String> {
        let models = self.models();
        let file = models.traffic_file.as_ref();
        let Some((file, declared)) = file.and_then(|file| Some((file, file.of(model)?))) else {
            return Ok(Some(wanted.clone()));
        };
        if wanted.is_empty() || *wanted == declared.labels {
            return Ok(None);
        }
        let file = file.path.display();
        Err(format!("its labels come from the file {file}: change them there"))
    }

    fn folder(&self, model: &ModelName) -> PathBuf {
        self.config.repository.join(model.as_str())
    }

    fn look(&self, model: &ModelName) -> Result<Option<Folders>> {
        Repository::versions_of(&self.config.repository, model).map_err(|error| {
            // Where the repository lies is nothing for callers.
            error!(%model, repository = %self.config.repository.display(), %error, "its folder cannot be read");
            Error::internal(format!("model '{model}': its folder cannot be read: {}", error.kind()))
        })
    }

    /// With the configured labels and weights, or those that operators have set for it.
    fn new_model(
        &self,
        name: &ModelName,
        config: &Arc<ModelConfig>,
        found: &Folders,
    ) -> Result<Option<Model>, String> {
        if self.models().models.contains_key(name) {
            return Ok(None);
        }
        let mut faults = Vec::new();
        let mut model = initial::model(name, config, found, self.backend.platform(), &mut faults);
        if !faults.is_empty() {
            return Err(faults.join("; "));
        }
        if let Some(set) = self.store().models().get(name) {
            model.apply(name, set);
        }
        let models = self.models();
        if let Some(declared) = models.traffic_file.as_ref().and_then(|file| file.of(name)) {
            model.traffic = declared.clone();
        }
        Ok(Some(model))
    }
}

impl Plan {
    fn source(&self, folder: &VersionFolder) -> Source {
        Source { folder: folder.clone(), config: Arc::clone(&self.config) }
    }

    /// Enters what was not known, and says of what will be loaded that it waits.
    pub fn announce(&mut self, models: &mut ModelSet, platform: &'static str) {
        if models.models.is_empty() {
            models.default_model.get_or_insert_with(|| self.model.clone());
        }
        let new = self.new.take();
        let model = models.models.entry(self.model.clone()).or_insert_with(|| {
            new.expect("a model that is unknown has something to start from, see new_model")
        });
        if let Some(wish) = self.wish.take() {
            model.wish = wish;
        }
        for (number, folder) in &self.found {
            let wanted = self.wanted.contains(number);
            let source = self.source(folder);
            let waiting = || initial::waiting(source.clone(), platform);
            let known = model.versions.entry(*number).or_insert_with(waiting);
            match (known.entry.state, wanted) {
                (VersionState::Unloaded, true) => {
                    known.entry = waiting().entry;
                }
                (VersionState::Loading, false) => {
                    known.entry.state = VersionState::Unloaded;
                    known.entry.reason = Some("not asked for".to_owned());
                }
                // What was wrong with another source is no more, if this is the one that runs.
                (VersionState::Ready, true) if known.source == source => known.entry.reason = None,
                _ => {}
            }
        }
    }

    /// Wanted, and such that it is to be loaded from what there is now.
    pub fn due(
        &self,
        models: &ModelSet,
        is_due: impl Fn(&ModelVersion, &Source) -> bool,
    ) -> Vec<(Version, Source)> {
        let known = models.models.get(&self.model).map(|model| &model.versions);
        let is_due = |version: &Version, source: &Source| {
            known
                .and_then(|versions| versions.get(version))
                .is_some_and(|known| is_due(known, source))
        };
        let wanted = self.found.iter().filter(|(version, _)| self.wanted.contains(version));
        wanted
            .map(|(version, folder)| (*version, self.source(folder)))
            .filter(|(version, source)| is_due(version, source))
            .collect()
    }

    /// What its configuration leaves out stays as it is: nothing has come to take its place.
    pub fn spare_left_out(&mut self) {
        self.wanted.extend(self.left_out.keys());
        self.found.append(&mut self.left_out);
    }

    /// Known, and not wanted, or not there any more.
    pub fn unwanted(&self, models: &ModelSet) -> Vec<Version> {
        let known = models.models.get(&self.model).into_iter().flat_map(|model| &model.versions);
        known
            .filter(|(version, known)| {
                let is_gone = !self.found.contains_key(version);
                let is_out = known.entry.state == VersionState::Unloaded;
                is_gone || !(self.wanted.contains(version) || is_out)
            })
            .map(|(version, _)| *version)
            .collect()
    }
}

fn check_base_path(asked: &str, folder: &Path) -> Result<(), String> {
    let same = Path::new(asked)
        .canonicalize()
        .is_ok_and(|asked| folder.canonicalize().is_ok_and(|folder| asked == folder));
    if same {
        return Ok(());
    }
    Err(format!(
        "base_path '{}' is not its folder in the model repository, which is '{}'",
        shown(asked),
        folder.display()
    ))
}

fn no_such_model() -> String {
    "no such model in the model repository".to_owned()
}

/// What came, short enough for an answer.
pub fn shown(text: &str) -> &str {
    text.char_indices().nth(256).map_or(text, |(end, _)| &text[..end])
}
