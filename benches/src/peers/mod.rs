//! Question: what does the gateway carry, how long does it take, and whom does a fault hurt, beside
//! other inference servers on the same models?
//!
//! Baselines: the peers that PyPI carries, each as benches/peers starts it, asked by the same
//! generator with the same bytes at the same rates, interleaved with the gateway in one run. Who
//! cannot be installed or started here is skipped, and said so.
//!
//! Not compared: models and formats that only one of them serves, and anything but one machine's
//! loopback. Nothing is tuned for anybody beyond batch size, delay and instances.

mod contender;
mod exchange;
mod family;
mod faults;
pub mod keeper;
mod measure;
mod questions;
mod report;
mod server;

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use tidegate_backend_ort::{LibrarySearch, OrtBackend, OrtRuntime};

use crate::Result;
use crate::output::{Output, progress};
use contender::{CONTENDERS, Contender, Folders, Kind};
use faults::Fault;
use measure::{Plan, Point, measure};
use questions::Model;
use report::Findings;
use server::Server;

#[derive(Debug, clap::Args)]
pub struct Options {
    /// How long each server is loaded at each point of a round
    #[arg(long, default_value_t = 1.5, value_parser = seconds)]
    seconds: f64,
    /// Rounds; each visits every server at every point
    #[arg(long, default_value = "5")]
    rounds: NonZeroUsize,
    /// Callers in a closed loop
    #[arg(long, value_delimiter = ',', default_value = "1,8,32,64")]
    callers: Vec<NonZeroUsize>,
    /// Models to load; `none` leaves only the faults
    #[arg(long, value_enum, value_delimiter = ',', default_value = "tiny,heavy")]
    models: Vec<Name>,
    /// Requests per second in the open loop, instead of each model's own rates
    #[arg(long, value_delimiter = ',', value_parser = rate)]
    rates: Vec<f64>,
    /// Peers, by their folder's name; otherwise all
    #[arg(long, value_delimiter = ',')]
    peers: Vec<String>,
    /// Salvoes of 32 callers for each fault; 0 leaves the faults out
    #[arg(long, default_value_t = 20)]
    salvoes: usize,
    /// One short round: whether it works, and nothing to quote
    #[arg(long, conflicts_with_all = ["seconds", "rounds", "salvoes"])]
    quick: bool,
    #[command(flatten)]
    folders: Folders,
    #[command(flatten)]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Name {
    Tiny,
    Heavy,
    None,
}

impl Name {
    fn model(self) -> Option<&'static str> {
        match self {
            Self::Tiny => Some("tiny"),
            Self::Heavy => Some("heavy"),
            Self::None => None,
        }
    }

    /// What every peer may try: some carry the first, few the second, and of the third one the
    /// reader learns where a fast front end begins to matter.
    fn rates(self) -> &'static [f64] {
        match self {
            Self::Tiny => &[500.0, 5_000.0, 15_000.0],
            Self::Heavy => &[300.0, 900.0],
            Self::None => &[],
        }
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.2..=60.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected a number of seconds from 0.2 to 60".to_owned()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (1.0..=100_000.0).contains(&rate) => Ok(rate),
        _ => Err("expected requests per second, from 1 to 100000".to_owned()),
    }
}

pub fn run(options: &Options) -> Result<()> {
    let backend = OrtBackend::new(OrtRuntime::open(&LibrarySearch::from_environment(None))?);
    let (rounds, seconds, salvoes) = match options.quick {
        true => (1, 0.4, 3),
        false => (options.rounds.get(), options.seconds, options.salvoes),
    };
    let mut plan = Plan { points: Vec::new(), rounds, time: Duration::from_secs_f64(seconds) };
    let mut found = Findings { fields: Vec::new(), cases: Vec::new(), skipped: Vec::new() };
    let contenders = contenders(options, &mut found.skipped)?;
    let repository: &Path = &options.folders.bench_models;
    let load = |name| Model::load(name, repository, &backend);
    for (name, model) in options.models.iter().filter_map(|name| Some((name, name.model()?))) {
        let model = load(model)?;
        let servers = start(&contenders, &options.folders, &model, &mut found.skipped)?;
        plan.points = points(options, *name);
        found.fields.push(measure(&model, &servers, &plan));
    }
    if salvoes > 0 {
        for (name, faults) in
            [("gather", &[Fault::Poison][..]), ("tiny", &[Fault::Shape, Fault::ShapesThatAddUp])]
        {
            let model = load(name)?;
            let servers = start(&contenders, &options.folders, &model, &mut found.skipped)?;
            for fault in faults {
                found.cases.extend(faults::cases(*fault, &model, &servers, salvoes));
            }
        }
    }
    options.output.write(&report::markdown(&found, &plan, salvoes))
}

fn points(options: &Options, name: Name) -> Vec<Point> {
    let rates = if options.rates.is_empty() { name.rates() } else { &options.rates };
    let callers = options.callers.iter().map(|callers| Point::Callers(callers.get()));
    callers.chain(rates.iter().copied().map(Point::Rate)).collect()
}

/// Those that can be started here, the gateway first.
fn contenders(options: &Options, skipped: &mut Vec<(String, String)>) -> Result<Vec<Contender>> {
    let named = |name: &str| options.peers.is_empty() || options.peers.iter().any(|it| it == name);
    for name in &options.peers {
        let is_known =
            |it: &Contender| matches!(it.kind, Kind::Peer { name: its, .. } if its == name);
        if !CONTENDERS.iter().any(is_known) {
            return Err(format!("no peer is called {name:?}").into());
        }
    }
    let mut there = Vec::new();
    for contender in CONTENDERS {
        if matches!(contender.kind, Kind::Peer { name, .. } if !named(name)) {
            continue;
        }
        match contender.is_missing(&options.folders) {
            None => there.push(contender),
            Some(reason) => skip(contender.label.to_owned(), reason, skipped),
        }
    }
    Ok(there)
}

/// Starts all, and lets them stand still.
fn start(
    contenders: &[Contender],
    folders: &Folders,
    model: &Model,
    skipped: &mut Vec<(String, String)>,
) -> Result<Vec<Server>> {
    let mut servers = Vec::new();
    for contender in contenders {
        progress(&format!("{}: starting {}", model.name, contender.label));
        match Server::start(*contender, folders, model) {
            Ok(server) => {
                server.freeze()?;
                servers.push(server);
            }
            // Without it there is nothing to compare with.
            Err(error) if contender.kind == Kind::Gateway => return Err(error),
            Err(error) => {
                let who = format!("{} with {}", contender.label, model.name);
                skip(who, error.to_string(), skipped);
            }
        }
    }
    Ok(servers)
}

fn skip(who: String, why: String, skipped: &mut Vec<(String, String)>) {
    progress(&format!("skipped: {who}: {why}"));
    skipped.push((who, why));
}
