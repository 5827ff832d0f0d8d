//! `tidegate model ...`: what is in the model repository, and changes to it. Works on the folder alone; a running
//! gateway sees what has changed and follows by itself.
//!
//! What people read goes to stdout, warnings and refusals to stderr; with `--json`, stdout is one document, and the
//! warnings are in it.

mod author;
mod list;
mod push;
mod table;
mod trial;
mod verify;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tidegate_configuration::parse_duration;
use tidegate_inference::{ModelName, Version};
use tidegate_repository::{Author, RepositoryError, Terms, Writer};

use push::{Push, PushError};

#[derive(Debug, Args)]
pub struct Model {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring a version into the repository, if it loads and keeps the model's contract
    Push(Push),
    /// Show the versions of all models, or of one
    List(Reading),
    /// Let a version take all weighted traffic
    Activate(Chosen),
    /// Give the traffic back to the version that had it before
    Rollback(Rollback),
    /// Remove a version from the repository
    Delete(Delete),
    /// Read every byte and tell what is not as it was pushed; exit status 1 when there is anything
    Verify(Reading),
}

/// Where, and for whom to answer.
#[derive(Debug, Args)]
struct Place {
    /// The model repository
    #[arg(long, value_name = "FOLDER", env = "MODEL_BASE_PATH", hide_env_values = true)]
    repository: PathBuf,
    /// Answer with a JSON document
    #[arg(long)]
    json: bool,
    /// Wait so long for another command on the same model to end
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_duration)]
    wait: Duration,
}

/// What a command that writes has to know beyond that.
#[derive(Debug, Args)]
struct Writing {
    #[command(flatten)]
    place: Place,
    /// Who does it, for the manifest [env: TIDEGATE_USER] [default: USER@host]
    #[arg(long, value_name = "WHO", value_parser = str::parse::<Author>)]
    by: Option<Author>,
}

#[derive(Debug, Args)]
struct Reading {
    /// The model [default: all of them]
    #[arg(value_parser = model_name)]
    model: Option<ModelName>,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
struct Chosen {
    /// The model
    #[arg(value_parser = model_name)]
    model: ModelName,
    /// The version
    #[arg(value_parser = version)]
    version: Version,
    #[command(flatten)]
    writing: Writing,
}

#[derive(Debug, Args)]
struct Rollback {
    /// The model
    #[arg(value_parser = model_name)]
    model: ModelName,
    #[command(flatten)]
    writing: Writing,
}

#[derive(Debug, Args)]
struct Delete {
    #[command(flatten)]
    chosen: Chosen,
    /// Even if it is active or has labels; it loses them
    #[arg(long)]
    force: bool,
}

/// What a command has to say.
#[derive(Debug, Default)]
pub struct Answer {
    pub text: String,
    pub warnings: Vec<String>,
    /// Something is not as it should be, and the text says what.
    pub is_bad: bool,
}

/// Does what was asked.
///
/// # Errors
/// Why it was refused.
pub fn run(asked: &Model) -> Result<Answer, PushError> {
    match &asked.command {
        Command::Push(push) => push.run(),
        Command::List(reading) => Ok(list::run(reading)?),
        Command::Activate(chosen) => Ok(chosen.activate()?),
        Command::Rollback(rollback) => Ok(rollback.run()?),
        Command::Delete(delete) => Ok(delete.run()?),
        Command::Verify(reading) => Ok(verify::run(reading)?),
    }
}

impl Writing {
    fn terms(&self) -> Terms {
        Terms {
            repository: self.place.repository.clone(),
            author: self.by.clone().unwrap_or_else(author::of_this_process),
            wait: self.place.wait,
        }
    }

    fn answer(&self, line: String, document: &Value) -> Answer {
        self.place.answer(format!("{line}\n"), document)
    }
}

impl Place {
    fn answer(&self, text: String, document: &Value) -> Answer {
        let text = if self.json { format!("{document:#}\n") } else { text };
        Answer { text, ..Answer::default() }
    }
}

impl Chosen {
    fn activate(&self) -> Result<Answer, RepositoryError> {
        let mut writer = Writer::open(&self.writing.terms(), &self.model)?;
        writer.activate(self.version)?;
        Ok(activation(&self.writing, &writer))
    }
}

impl Rollback {
    fn run(&self) -> Result<Answer, RepositoryError> {
        let mut writer = Writer::open(&self.writing.terms(), &self.model)?;
        writer.roll_back()?;
        Ok(activation(&self.writing, &writer))
    }
}

impl Delete {
    fn run(&self) -> Result<Answer, RepositoryError> {
        let Chosen { model, version, writing } = &self.chosen;
        Writer::open(&writing.terms(), model)?.delete(*version, self.force)?;
        let document =
            json!({ "model": model.as_str(), "version": version.get(), "deleted": true });
        Ok(writing.answer(format!("{model}: version {version} is deleted"), &document))
    }
}

fn activation(writing: &Writing, writer: &Writer) -> Answer {
    let (model, manifest) = (writer.model(), writer.manifest());
    let (active, previous) = (manifest.active(), manifest.previous());
    let line = match active {
        Some(active) => format!(
            "{model}: version {} is active since {}, by {}",
            active.version, active.since, active.by
        ),
        None => format!("{model}: no version is active"),
    };
    let before = previous.first().map(|before| format!("; before: version {}", before.version));
    let document = json!({ "model": model.as_str(), "active": active, "previous": previous });
    writing.answer(line + &before.unwrap_or_default(), &document)
}

fn model_name(text: &str) -> Result<ModelName, String> {
    ModelName::new(text).map_err(|error| error.message().to_owned())
}

fn version(text: &str) -> Result<Version, String> {
    text.parse().map_err(|error: tidegate_inference::Error| error.message().to_owned())
}
