//! Rounds: every contender at every point, one after the other, again and again, so that a machine
//! that is slow for a minute is slow for all of them. Who is not asked stands still.

use std::ops::ControlFlow;
use std::time::Duration;

use tidegate_loadtest::arrivals::Pattern;
use tidegate_loadtest::engine::{DriveOptions, drive};
use tidegate_loadtest::figures::Run;
use tidegate_loadtest::load::{Arrivals, Behaviour, Endpoint, Load, Transport};

use super::contender::Contender;
use super::questions::Model;
use super::server::Server;
use crate::Result;
use crate::output::{figure, progress};

/// Before the recorded time, at the same load: pages, caches, connections.
const WARM_UP: Duration = Duration::from_millis(300);
/// Far above what a server takes that carries the load, and short, because those that do not carry
/// it keep the others waiting so long.
const TIMEOUT: Duration = Duration::from_secs(3);
/// In an open loop. What finds none free waits, and its wait counts.
const CONNECTIONS: usize = 256;
/// For a server to work off what an overload left behind.
const SETTLE: Duration = Duration::from_secs(20);
/// No run comes near it; every run is bounded.
const MAX_REQUESTS: u64 = 10_000_000;

/// One load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Point {
    /// Callers that wait for their answers: how much is carried.
    Callers(usize),
    /// Requests per second on a schedule of their own, Poisson: how long it takes.
    Rate(f64),
}

pub struct Plan {
    pub points: Vec<Point>,
    pub rounds: usize,
    /// Recorded, for each contender at each point of a round.
    pub time: Duration,
}

/// All that was measured of one model.
pub struct Field {
    pub model: &'static str,
    pub points: Vec<Point>,
    pub arms: Vec<Arm>,
}

/// One contender's runs.
pub struct Arm {
    pub contender: Contender,
    /// By point, then by round.
    pub runs: Vec<Vec<Run>>,
    /// Why it was not asked to the end.
    pub left: Option<String>,
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Callers(1) => f.write_str("1 caller"),
            Self::Callers(callers) => write!(f, "{callers} callers"),
            Self::Rate(rate) => write!(f, "{}/s", figure(*rate)),
        }
    }
}

/// Servers stand still before and after.
pub fn measure(model: &Model, servers: &[Server], plan: &Plan) -> Field {
    let arm = |server: &Server| Arm {
        contender: server.contender,
        runs: vec![Vec::new(); plan.points.len()],
        left: None,
    };
    let mut arms: Vec<Arm> = servers.iter().map(arm).collect();
    for round in 0..plan.rounds {
        for (index, point) in plan.points.iter().enumerate() {
            let mut line =
                format!("{}, round {} of {}, {point}:", model.name, round + 1, plan.rounds);
            for turn in 0..servers.len() {
                // Another one begins each round, so that nobody always follows the same neighbour's heat.
                let who = (turn + round) % servers.len();
                let (server, arm) = (&servers[who], &mut arms[who]);
                if arm.left.is_some() {
                    continue;
                }
                match asked(model, server, *point, plan.time, round) {
                    Ok(run) => {
                        let rate = figure(run.throughput);
                        line.push_str(&format!(" {} {rate}/s;", server.contender.label));
                        arm.runs[index].push(run);
                    }
                    Err(error) => {
                        line.push_str(&format!(" {} leaves: {error};", server.contender.label));
                        arm.left = Some(format!("{point}: {error}"));
                    }
                }
            }
            progress(line.trim_end_matches(';'));
        }
    }
    Field { model: model.name, points: plan.points.clone(), arms }
}

fn asked(
    model: &Model,
    server: &Server,
    point: Point,
    time: Duration,
    round: usize,
) -> Result<Run> {
    server.thaw()?;
    let load = load(model, server, point, time);
    // The same schedule for every contender of a round.
    let seed = round as u64 + 1;
    let options = DriveOptions { threads: 1, seed, server_process: Some(server.root()) };
    let runs = drive(&[load], &options, &mut |_| ControlFlow::Continue(()))?;
    server.settle(model, SETTLE)?;
    server.freeze()?;
    runs.into_iter().next().ok_or_else(|| "a load makes a run".into())
}

fn load(model: &Model, server: &Server, point: Point, time: Duration) -> Load {
    let (arrivals, connections) = match point {
        Point::Callers(callers) => (Arrivals::Closed { callers }, callers),
        Point::Rate(rate) => (Arrivals::Open(Pattern::Poisson { rate }), CONNECTIONS),
    };
    Load {
        name: format!("{}, {point}", server.contender.label),
        target: format!("http://{}/v2/models/{}", server.address, model.name),
        endpoints: [Endpoint::tcp(server.address)].into(),
        transport: Transport::Http1,
        wire: model.wire.clone(),
        questions: model.questions.clone(),
        arrivals,
        start: Duration::ZERO,
        warm_up: WARM_UP,
        duration: time,
        max_requests: MAX_REQUESTS,
        connections,
        timeout: TIMEOUT,
        behaviour: Behaviour::Normal,
        slo: None,
        windows: Vec::new(),
    }
}
