//! What a scenario file says, as plain values: gateways, loads, actions and criteria.
//!
//! Times are by the scenario's own clock, which starts with the first load. Scaling makes a long scenario short enough
//! for a continuous integration run: times and rates shrink, bounds on latencies stay what they are.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use crate::arrivals::Pattern;
use crate::load::Behaviour;
use crate::question::Ending;

#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: String,
    pub description: String,
    pub calibration: Calibration,
    pub gateways: Vec<GatewayPlan>,
    pub loads: Vec<LoadPlan>,
    pub actions: Vec<ActionPlan>,
    pub criteria: Vec<Criterion>,
}

/// How a server's capacity is measured, where rates are multiples of it: a closed loop before the scenario.
#[derive(Clone, Debug)]
pub struct Calibration {
    pub callers: usize,
    pub duration: Duration,
}

/// A server of ours that the scenario starts and stops.
#[derive(Clone, Debug)]
pub struct GatewayPlan {
    pub name: String,
    pub config: Option<PathBuf>,
    /// Folders of models, `<model>/<version>/model.onnx`, put together to one repository.
    pub models: Vec<PathBuf>,
    /// Further arguments of `tidegate serve`.
    pub arguments: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct LoadPlan {
    pub name: String,
    /// The gateways that share the load, by name.
    pub gateways: Vec<String>,
    /// The end of a target's URL: `/v2/models/digits`.
    pub target: String,
    pub wire: WireKind,
    pub pace: Pace,
    pub start: Duration,
    pub duration: Duration,
    pub warm_up: Duration,
    pub connections: usize,
    pub streams: usize,
    pub timeout: Duration,
    pub slo: Option<Duration>,
    pub max_requests: u64,
    pub behaviour: Behaviour,
    pub asking: Asking,
}

/// What is asked, and what is right.
#[derive(Clone, Debug)]
pub struct Asking {
    pub rows: usize,
    pub variants: usize,
    /// Requests in the wire's own form.
    pub payload: Option<PathBuf>,
    /// Bodies that are sent as they are, byte for byte, whatever they are.
    pub raw: Option<PathBuf>,
    pub parameters: BTreeMap<String, String>,
    pub headers: BTreeMap<String, String>,
    pub right: Right,
}

/// What makes an answer right.
#[derive(Clone, Debug, PartialEq)]
pub enum Right {
    /// That it can be read.
    Readable,
    /// That it is what the file says.
    File(PathBuf),
    /// That it is what the server said when it was asked once, before the load.
    Same,
    /// That it is what the version that it names said when it was asked once, before the load.
    SameOfVersions(Vec<u64>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireKind {
    Json,
    Binary,
    Grpc,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Pace {
    /// Requests per second.
    Open(Pattern),
    /// Multiples of the capacity.
    OfCapacity(Pattern),
    Closed {
        callers: usize,
    },
}

#[derive(Clone, Debug)]
pub struct ActionPlan {
    pub at: Duration,
    /// The name of the one that is acted upon.
    pub gateway: String,
    pub deed: Deed,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    /// A call of the admin API.
    Call { method: String, path: String, body: Option<String> },
    /// Out of the rotation, so long after SIGTERM; waited for, and started again.
    Restart { notice: Duration },
}

/// Something that has to be true of a load.
#[derive(Clone, Debug)]
pub struct Criterion {
    /// Each of these has to fulfil it, by name.
    pub loads: Vec<String>,
    /// Of what was due in this part; without it, of all that was recorded.
    pub during: Option<Range<Duration>>,
    pub bound: Bound,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Bound {
    /// At most so many requests may end so.
    AtMost(Sort, Amount),
    /// No other endings than these.
    Only(Vec<Ending>),
    /// Right answers come within this.
    Within(Percentile, Duration),
    /// Refusals come within this, 99 of 100.
    RefusedWithin(Duration),
    /// At least this share of the requests is answered rightly within the SLO.
    Goodput(f64),
    /// Right answers within the SLO, per second, at least this share of the capacity.
    GoodputOfCapacity(f64),
    /// Answers come from these versions, each of them, and from no others.
    Versions(Vec<u64>),
}

/// A sort of endings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Lost,
    Errors,
    One(Ending),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    Count(u64),
    Share(f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Percentile {
    P50,
    P90,
    P99,
    Max,
}

impl Sort {
    pub fn holds(self, ending: Ending) -> bool {
        match self {
            Self::Lost => ending.is_lost(),
            Self::Errors => ending.is_error(),
            Self::One(one) => ending == one,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Errors => "errors",
            Self::One(ending) => ending.name(),
        }
    }
}

impl Percentile {
    pub fn name(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P99 => "p99",
            Self::Max => "max",
        }
    }
}

impl Bound {
    /// Whether it is about how long things took, which only a generator that kept its schedule can tell.
    pub fn is_timed(&self) -> bool {
        matches!(
            self,
            Self::Within(..)
                | Self::RefusedWithin(_)
                | Self::Goodput(_)
                | Self::GoodputOfCapacity(_)
        )
    }

    pub fn is_of_capacity(&self) -> bool {
        matches!(self, Self::GoodputOfCapacity(_))
    }
}

impl Scenario {
    /// The same in so many times the time and at so many times the rates.
    #[must_use]
    pub fn scaled(mut self, times: f64, rates: f64) -> Self {
        let shrunken = |time: Duration| time.mul_f64(times);
        for load in &mut self.loads {
            for time in [&mut load.start, &mut load.duration, &mut load.warm_up] {
                *time = shrunken(*time);
            }
            match &mut load.pace {
                Pace::Open(pattern) => *pattern = stretched(pattern, times).scaled(rates),
                // The capacity is the machine's already.
                Pace::OfCapacity(pattern) => *pattern = stretched(pattern, times),
                Pace::Closed { .. } => {}
            }
        }
        for action in &mut self.actions {
            action.at = shrunken(action.at);
        }
        for during in self.criteria.iter_mut().filter_map(|criterion| criterion.during.as_mut()) {
            *during = shrunken(during.start)..shrunken(during.end);
        }
        self.calibration.duration = shrunken(self.calibration.duration);
        self
    }
}

impl LoadPlan {
    pub fn end(&self) -> Duration {
        self.start + self.warm_up + self.duration
    }

    /// The parts of it that criteria ask for, each once, in the order of the criteria.
    pub fn windows(&self, criteria: &[Criterion]) -> Vec<Range<Duration>> {
        let mut windows = Vec::new();
        for criterion in criteria.iter().filter(|criterion| criterion.loads.contains(&self.name)) {
            if let Some(during) = &criterion.during
                && !windows.contains(during)
            {
                windows.push(during.clone());
            }
        }
        windows
    }
}

/// Its course in so many times the time, at the same rates. A trace stays as it was recorded.
fn stretched(pattern: &Pattern, times: f64) -> Pattern {
    match pattern {
        Pattern::Bursty { on_rate, off_rate, on, off } => Pattern::Bursty {
            on_rate: *on_rate,
            off_rate: *off_rate,
            on: on.mul_f64(times),
            off: off.mul_f64(times),
        },
        Pattern::Steps(steps) => {
            let stretched = |(rate, time): &(f64, Duration)| (*rate, time.mul_f64(times));
            Pattern::Steps(steps.iter().map(stretched).collect())
        }
        Pattern::Ramp { from, to, over } => {
            Pattern::Ramp { from: *from, to: *to, over: over.mul_f64(times) }
        }
        Pattern::Constant { .. } | Pattern::Poisson { .. } | Pattern::Trace(_) => pattern.clone(),
    }
}
