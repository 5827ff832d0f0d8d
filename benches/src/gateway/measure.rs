//! Rounds: every arm for a short while, one after the other, again and again, so that a machine that is slow for a minute is
//! slow for all of them. The rates of the open loops are shares of what the closed loops of the same round reached.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use http::{HeaderMap, Method};
use tidegate_inference::Tensor;
use tidegate_loadtest::arrivals::Pattern;
use tidegate_loadtest::ceiling::RawRun;
use tidegate_loadtest::ceiling::bare::{Bare, Protocol};
use tidegate_loadtest::ceiling::echo::{Exchange, OfLength, closed_loop};
use tidegate_loadtest::engine::once;
use tidegate_loadtest::figures::Run;
use tidegate_loadtest::load::{Arrivals, Endpoint, Transport};
use tidegate_loadtest::question::Prepared;
use tidegate_loadtest::target::{Arguments, Check, PreparedTarget, TargetOptions, prepare};
use tidegate_proto::grpc::PREFIX;

use super::process::Gateway;
use super::workload::{Name, Threads, Wire, Workload};
use crate::Result;
use crate::drive::{Drive, SEED, TIMEOUT};

const READY: Duration = Duration::from_secs(60);
/// At the head of every run against the gateway: connections, caches, and its batches' rhythm.
const WARM_UP: Duration = Duration::from_millis(200);
/// Rates of the open loops, of what the best closed loop of the round reached.
pub const SHARES: [f64; 2] = [0.5, 0.8];

#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub rounds: usize,
    /// For each arm of the gateway in each round.
    pub time: Duration,
}

impl Pace {
    pub fn baseline(&self) -> Duration {
        self.time / 2
    }
}

/// One model, with the servers that are asked about it.
pub struct Bench {
    workload: Workload,
    target: PreparedTarget,
    gateway: Gateway,
    bare: Bare,
    protocol: Protocol,
    exchange: Exchange,
    callers: Vec<NonZeroUsize>,
    cells: Vec<Cell>,
}

/// Raw ONNX Runtime with so many rows in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    pub threads: Threads,
    /// Of each instance.
    pub batch: usize,
}

/// What was measured of one model; every list has one entry a round.
pub struct Case {
    pub name: Name,
    pub model: String,
    pub wire: &'static str,
    pub raw: Vec<RawArm>,
    pub closed: Vec<ClosedArm>,
    pub open: Vec<OpenArm>,
}

pub struct RawArm {
    pub cell: Cell,
    pub runs: Vec<RawRun>,
}

pub struct ClosedArm {
    pub callers: usize,
    pub bare: Vec<Run>,
    pub gateway: Vec<Run>,
}

pub struct OpenArm {
    /// Of the capacity.
    pub share: f64,
    pub gateway: Vec<Run>,
}

impl Cell {
    pub fn rows_in_flight(self) -> usize {
        self.threads.instances.get() * self.batch
    }

    /// For each way to share the cores and each number of callers: all their rows, divided among the instances; and one row
    /// alone.
    fn all(ways: &[Threads], callers: &[NonZeroUsize]) -> Vec<Self> {
        let one = NonZeroUsize::MIN;
        let mut cells = Vec::new();
        for &threads in ways {
            let instances = threads.instances.get();
            for callers in std::iter::once(&one).chain(callers).map(|callers| callers.get()) {
                let cell = Self { threads, batch: callers / instances };
                if callers >= instances && !cells.contains(&cell) {
                    cells.push(cell);
                }
            }
        }
        cells
    }
}

impl Bench {
    /// Returns when the gateway serves the model.
    pub fn start(workload: Workload, program: &Path, callers: &[NonZeroUsize]) -> Result<Self> {
        let gateway = Gateway::start(program, &workload.repository)?;
        let path = format!("/v2/models/{}/versions/{}", workload.model, workload.version);
        let endpoint = Endpoint::tcp(gateway.data);
        ready(&endpoint, &format!("{path}/ready"))?;
        let options = TargetOptions {
            binary: workload.wire == Wire::Binary,
            check: Some(Check::Itself),
            ..TargetOptions::default()
        };
        let scheme = if workload.wire == Wire::Grpc { "grpc" } else { "http" };
        let target = format!("{scheme}://{}{path}", gateway.data);
        let target = prepare(&Arguments { target, options }, SEED, 1)?;
        let question = target.questions.first().ok_or("a target asks something")?.clone();
        // The bare server answers what the gateway does, so that its answers cost the generator as much to judge.
        let answer = once(&endpoint, target.transport, Method::POST, &question.request, TIMEOUT)?;
        let program = std::env::current_exe()?;
        let (protocol, said) = match workload.wire {
            Wire::Json => (Protocol::Json, &answer.body[..]),
            Wire::Binary => (Protocol::Http, &answer.body[..]),
            // tonic puts the frame around it.
            Wire::Grpc => (Protocol::Grpc, answer.body.get(PREFIX..).unwrap_or_default()),
        };
        let bare = Bare::start(&program, protocol, said, available_parallelism()?)?;
        // Of a binary answer its header says how to read it, which the bare server does not send.
        let wire = match workload.wire {
            Wire::Binary => Arc::new(OfLength(answer.body.len())),
            Wire::Json | Wire::Grpc => Arc::clone(&target.wire),
        };
        let exchange = Exchange { question, wire };
        let ways: Vec<Threads> = workload.raw.iter().map(|(threads, _)| *threads).collect();
        let (callers, cells) = (callers.to_vec(), Cell::all(&ways, callers));
        Ok(Self { workload, target, gateway, bare, protocol, exchange, callers, cells })
    }

    pub fn case(&mut self, pace: &Pace, progress: &mut dyn FnMut(&str)) -> Result<Case> {
        let batches: Vec<(Cell, Vec<Tensor>)> = self
            .cells
            .iter()
            .map(|cell| Ok((*cell, self.workload.inputs.batch(cell.batch)?)))
            .collect::<Result<_>>()?;
        let mut case = self.empty();
        progress("warming up");
        let warm_up = Pace { rounds: 1, time: WARM_UP };
        self.round(&batches, &warm_up, &mut self.empty())?;
        for round in 0..pace.rounds {
            progress(&format!("round {} of {}", round + 1, pace.rounds));
            self.round(&batches, pace, &mut case)?;
        }
        Ok(case)
    }

    fn empty(&self) -> Case {
        let closed = |callers: &NonZeroUsize| ClosedArm {
            callers: callers.get(),
            bare: Vec::new(),
            gateway: Vec::new(),
        };
        let Workload { name, model, version, .. } = self.workload;
        Case {
            name,
            model: format!("{model} {version}"),
            wire: self.workload.wire.name(),
            raw: self.cells.iter().map(|&cell| RawArm { cell, runs: Vec::new() }).collect(),
            closed: self.callers.iter().map(closed).collect(),
            open: SHARES.map(|share| OpenArm { share, gateway: Vec::new() }).into(),
        }
    }

    fn round(
        &mut self,
        batches: &[(Cell, Vec<Tensor>)],
        pace: &Pace,
        case: &mut Case,
    ) -> Result<()> {
        for ((cell, inputs), arm) in batches.iter().zip(&mut case.raw) {
            let ways = self.workload.raw.iter_mut();
            for (_, raw) in ways.filter(|(threads, _)| *threads == cell.threads) {
                let instances = cell.threads.instances.get();
                arm.runs.push(raw.run(inputs, cell.batch, instances, pace.baseline())?);
            }
        }
        let mut capacity: f64 = 0.0;
        for (&callers, arm) in self.callers.iter().zip(&mut case.closed) {
            let (bare, exchange) = (&self.bare, &self.exchange);
            arm.bare.push(closed_loop(bare, self.protocol, exchange, callers, pace.baseline())?);
            let callers = callers.get();
            let run = self.gateway(Arrivals::Closed { callers }, pace.time)?;
            capacity = capacity.max(run.throughput);
            arm.gateway.push(run);
        }
        for arm in &mut case.open {
            // A server that answered nothing has no capacity; the closed loops' doubts say why.
            let pattern = Pattern::Poisson { rate: (capacity * arm.share).max(1.0) };
            arm.gateway.push(self.gateway(Arrivals::Open(pattern), pace.time)?);
        }
        Ok(())
    }

    fn gateway(&self, arrivals: Arrivals, time: Duration) -> Result<Run> {
        let (name, process) = (self.workload.model.to_owned(), Some(self.gateway.process.id()));
        let drive = Drive { name, arrivals, warm_up: WARM_UP, duration: time, process };
        drive.at(&self.target)
    }
}

/// Returns when the model is ready.
pub fn ready(endpoint: &Endpoint, path: &str) -> Result<()> {
    let request =
        Prepared { path: path.to_owned(), headers: HeaderMap::new(), body: bytes::Bytes::new() };
    let patience = Instant::now() + READY;
    loop {
        let answer = once(endpoint, Transport::Http1, Method::GET, &request, TIMEOUT)?;
        if answer.status.is_success() {
            return Ok(());
        }
        if Instant::now() > patience {
            let said = String::from_utf8_lossy(&answer.body);
            return Err(format!("{path}: not ready: {} {said}", answer.status).into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_never_has_more_rows_in_flight_than_there_are_callers() {
        let callers = [1, 8, 33].map(|callers| NonZeroUsize::new(callers).unwrap());
        let two = NonZeroUsize::new(2).unwrap();
        let wide = Threads { instances: NonZeroUsize::MIN, intra_op: two };
        let narrow = Threads { instances: two, intra_op: NonZeroUsize::MIN };
        let cells = Cell::all(&[wide, narrow], &callers);
        let shown: Vec<(usize, usize)> =
            cells.iter().map(|cell| (cell.threads.instances.get(), cell.batch)).collect();
        assert_eq!(shown, [(1, 1), (1, 8), (1, 33), (2, 4), (2, 16)]);
        assert!(cells.iter().all(|cell| cell.rows_in_flight() <= 33));
    }
}
