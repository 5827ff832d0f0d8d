//! From the plan of a load to the load: its questions asked of the servers that are there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

use super::plan::{Asking, LoadPlan, Pace, Right, Scenario, WireKind};
use super::stage::Stage;
use super::versions::ByVersion;
use crate::Failure;
use crate::load::{Arrivals, Endpoint, Load};
use crate::question::{Prepared, Question, Wire};
use crate::target::{self, Check, PreparedTarget, TargetOptions};

/// In the order of the plans. Rates that are multiples of a capacity are set once that is known.
///
/// # Errors
/// When a model cannot be asked as the plan says.
pub fn loads(
    scenario: &Scenario,
    stage: &Stage,
    seed: u64,
    allow_remote: bool,
) -> Result<Vec<Load>, Failure> {
    let prepare = |plan: &LoadPlan| {
        let subject = Subject { plan, stage, seed, allow_remote };
        load(scenario, &subject).map_err(|error| error.within(format!("load {}", plan.name)))
    };
    scenario.loads.iter().map(prepare).collect()
}

/// Who says what is right, and the questions.
type Judged = (Arc<dyn Wire>, Arc<[Question]>);

struct Subject<'s> {
    plan: &'s LoadPlan,
    stage: &'s Stage,
    seed: u64,
    allow_remote: bool,
}

fn load(scenario: &Scenario, subject: &Subject<'_>) -> Result<Load, Failure> {
    let plan = subject.plan;
    let prepared = subject.prepared("")?;
    let (wire, questions) = subject.judged(&prepared)?;
    let arrivals = match &plan.pace {
        Pace::Open(pattern) | Pace::OfCapacity(pattern) => Arrivals::Open(pattern.clone()),
        Pace::Closed { callers } => Arrivals::Closed { callers: *callers },
    };
    Ok(Load {
        name: plan.name.clone(),
        target: prepared.target,
        endpoints: subject.endpoints(),
        transport: prepared.transport,
        wire,
        questions,
        arrivals,
        start: plan.start,
        warm_up: plan.warm_up,
        duration: plan.duration,
        max_requests: plan.max_requests,
        connections: plan.connections,
        timeout: plan.timeout,
        behaviour: plan.behaviour,
        slo: plan.slo,
        windows: plan.windows(&scenario.criteria),
    })
}

impl Subject<'_> {
    fn endpoints(&self) -> Arc<[Endpoint]> {
        let shares =
            |name: &String| self.plan.gateways.is_empty() || self.plan.gateways.contains(name);
        let servers = self.stage.servers.iter().filter(|server| shares(&server.name));
        servers.map(|server| server.member.endpoint.clone()).collect()
    }

    /// The first of its servers, asked about the model, or about the part of it that `suffix` names.
    fn prepared(&self, suffix: &str) -> Result<PreparedTarget, Failure> {
        let endpoints = self.endpoints();
        let first = endpoints.first().ok_or("it has no gateway to ask")?;
        let scheme = if self.plan.wire == WireKind::Grpc { "grpc" } else { "http" };
        let target = format!("{scheme}://{}{}{suffix}", first.authority, self.plan.target);
        let options = options(&self.plan.asking, self.plan.wire, self.allow_remote)?;
        target::prepare(&target::Arguments { target, options }, self.seed, self.plan.streams)
    }

    fn judged(&self, prepared: &PreparedTarget) -> Result<Judged, Failure> {
        let wire = Arc::clone(&prepared.wire);
        if let Some(folder) = &self.plan.asking.raw {
            return Ok((wire, raw(folder, &prepared.questions)?));
        }
        let Right::SameOfVersions(versions) = &self.plan.asking.right else {
            return Ok((wire, Arc::clone(&prepared.questions)));
        };
        let mut right = BTreeMap::new();
        for version in versions {
            let of_version = self.prepared(&format!("/versions/{version}"))?;
            right.insert(*version, of_version.questions);
        }
        let wire = ByVersion::new(wire, &prepared.questions, &right);
        Ok((Arc::new(wire), without_expectations(&prepared.questions)))
    }
}

fn options(asking: &Asking, wire: WireKind, allow_remote: bool) -> Result<TargetOptions, Failure> {
    let parameter = |(key, value): (&String, &String)| target::parameter(&format!("{key}={value}"));
    let header = |(name, value): (&String, &String)| target::header(&format!("{name}: {value}"));
    let asks_itself = matches!(asking.right, Right::Same | Right::SameOfVersions(_));
    Ok(TargetOptions {
        binary: wire == WireKind::Binary,
        allow_remote,
        payload: asking.payload.clone(),
        variants: asking.variants,
        rows: Some(asking.rows).filter(|_| asking.payload.is_none()),
        parameters: asking.parameters.iter().map(parameter).collect::<Result<_, _>>()?,
        headers: asking.headers.iter().map(header).collect::<Result<_, _>>()?,
        expected: match &asking.right {
            Right::File(path) => Some(path.clone()),
            _ => None,
        },
        check: asks_itself.then_some(Check::Itself),
        ..TargetOptions::default()
    })
}

/// What is right depends on the version, so the question itself expects nothing.
fn without_expectations(questions: &[Question]) -> Arc<[Question]> {
    questions.iter().map(|question| Question { expected: None, ..question.clone() }).collect()
}

/// The files of a folder, or one file, as bodies to where a proper question would go.
fn raw(path: &Path, proper: &[Question]) -> Result<Arc<[Question]>, Failure> {
    let example = &proper.first().ok_or("there is no question whose path could be taken")?.request;
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let question = |file: &PathBuf| {
        let body = fs::read(file).map_err(|error| Failure::from(error).within(file.display()))?;
        let (path, headers) = (example.path.clone(), headers.clone());
        Ok(Question {
            request: Prepared { path, headers, body: body.into() },
            rows: 1,
            expected: None,
        })
    };
    let files = files(path).map_err(|error| Failure::from(error).within(path.display()))?;
    if files.is_empty() {
        return Err(Failure::new("there is no file in it").within(path.display()));
    }
    files.iter().map(question).collect()
}

/// In the order of their names, so that a scenario asks the same everywhere.
fn files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.is_file() && !hidden {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
