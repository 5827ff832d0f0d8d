//! Rounds: every arm for a short while, one after the other, again and again, so that a machine that
//! is slow for a minute is slow for all of them.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use super::INSTANCES;
use super::client::{Ask, Connection, Load, closed_loop};
use super::process::{Bare, Gateway, Process, own_cpu_time};
use super::question::Question;
use super::raw::RawRun;
use super::workload::Workload;
use crate::Result;

/// Before the first round: pages, caches and branch predictors, and the model's own first runs.
const WARM_UP: Duration = Duration::from_millis(300);
const READY: Duration = Duration::from_secs(60);

/// One model, with the servers that are asked about it.
pub struct Bench {
    workload: Workload,
    questions: Arc<[Question]>,
    echoes: Arc<[Echo]>,
    gateway: Gateway,
    bare: Bare,
}

/// The same request to the bare server, which has no answer to get wrong but its length.
struct Echo {
    request: Vec<u8>,
    answer_size: usize,
}

impl Ask for Echo {
    fn request(&self) -> &[u8] {
        &self.request
    }

    fn accepts(&self, body: &[u8]) -> bool {
        body.len() == self.answer_size
    }
}

/// A model at one number of callers.
pub struct Case {
    pub model: &'static str,
    pub version: u64,
    pub wire: &'static str,
    pub callers: usize,
    pub rounds: Vec<Round>,
}

pub struct Round {
    /// One row at a time, on as many instances as there are callers for them.
    pub raw_single: RawRun,
    /// Batches of as many rows as there are callers, on all instances.
    pub raw_batched: RawRun,
    pub bare: Served,
    pub gateway: Served,
    /// What the gateway's model ran meanwhile.
    pub executed: Executed,
}

/// What a server did in a round, and at what cost.
pub struct Served {
    pub load: Load,
    pub server_cpu: Duration,
    pub client_cpu: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Executed {
    pub rows: f64,
    pub batches: f64,
}

impl Served {
    pub fn requests(&self) -> usize {
        self.load.latencies.len()
    }

    pub fn per_second(&self) -> f64 {
        self.requests() as f64 / self.load.wall.as_secs_f64()
    }
}

impl Bench {
    /// Returns when the gateway serves the model.
    pub async fn start(mut workload: Workload, program: &Path) -> Result<Self> {
        let questions: Arc<[Question]> = std::mem::take(&mut workload.questions).into();
        let gateway = Gateway::start(program, &workload.repository)?;
        ready(&gateway, &workload).await?;
        let first = questions.first().ok_or("a workload asks something")?;
        let mut connection = Connection::open(gateway.data).await?;
        let answer_size = connection.ask(first.request()).await?.body.len();
        let echo = |question: &Question| Echo { request: question.request().to_vec(), answer_size };
        let echoes = questions.iter().map(echo).collect();
        let bare = Bare::start(answer_size, available_parallelism()?.get())?;
        Ok(Self { workload, questions, echoes, gateway, bare })
    }

    pub async fn case(&mut self, callers: usize, rounds: usize, time: Duration) -> Result<Case> {
        self.round(callers, WARM_UP).await?;
        let mut measured = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            measured.push(self.round(callers, time).await?);
        }
        let Workload { model, version, wire, .. } = self.workload;
        Ok(Case { model, version, wire, callers, rounds: measured })
    }

    async fn round(&mut self, callers: usize, time: Duration) -> Result<Round> {
        let Workload { raw, rows, .. } = &mut self.workload;
        let instances = INSTANCES.get();
        let raw_single = raw.run(rows, 1, instances.min(callers), time)?;
        let raw_batched = raw.run(rows, callers, instances.min(callers), time)?;
        let Bare { process, address, .. } = &self.bare;
        let bare = served(process, *address, callers, &self.echoes, time).await?;
        let Gateway { process, data, .. } = &self.gateway;
        let before = self.executed().await?;
        let gateway = served(process, *data, callers, &self.questions, time).await?;
        let after = self.executed().await?;
        let executed =
            Executed { rows: after.rows - before.rows, batches: after.batches - before.batches };
        Ok(Round { raw_single, raw_batched, bare, gateway, executed })
    }

    async fn executed(&self) -> Result<Executed> {
        let metrics = get(self.gateway.admin, "/metrics").await?.1;
        executed(&metrics, self.workload.model, self.workload.version)
            .ok_or_else(|| "the gateway's metrics say nothing about its model".into())
    }
}

async fn served<A: Ask>(
    process: &Process,
    address: SocketAddr,
    callers: usize,
    questions: &Arc<[A]>,
    time: Duration,
) -> Result<Served> {
    let before = (process.cpu_time()?, own_cpu_time()?);
    let load = closed_loop(address, callers, questions, time).await?;
    let after = (process.cpu_time()?, own_cpu_time()?);
    Ok(Served { load, server_cpu: after.0 - before.0, client_cpu: after.1 - before.1 })
}

async fn ready(gateway: &Gateway, workload: &Workload) -> Result<()> {
    let path = format!("/v2/models/{}/versions/{}/ready", workload.model, workload.version);
    let patience = Instant::now() + READY;
    loop {
        let (status, body) = get(gateway.data, &path).await?;
        if status == 200 {
            return Ok(());
        }
        if Instant::now() > patience {
            return Err(format!("{} does not become ready: {status} {body}", workload.model).into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn get(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    let mut connection = Connection::open(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n");
    let answer = connection.ask(request.as_bytes()).await?;
    Ok((answer.status, String::from_utf8_lossy(answer.body).into_owned()))
}

/// Rows and batches that a version ever executed.
fn executed(metrics: &str, model: &str, version: u64) -> Option<Executed> {
    let labels = [format!("model=\"{model}\""), format!("version=\"{version}\"")];
    let counter = |name: &str| {
        let line = metrics.lines().find(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'))
                && labels.iter().all(|label| line.contains(label))
        })?;
        line.rsplit(' ').next()?.parse().ok()
    };
    Some(Executed {
        rows: counter("nv_inference_count")?,
        batches: counter("nv_inference_exec_count")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_those_of_the_version() {
        let metrics = "# TYPE nv_inference_count counter\n\
            nv_inference_count{model=\"m\",version=\"1\"} 5\n\
            nv_inference_count{model=\"m\",version=\"2\"} 12\n\
            nv_inference_exec_count{model=\"m\",version=\"2\"} 4\n";
        let expected = Executed { rows: 12.0, batches: 4.0 };
        assert_eq!(executed(metrics, "m", 2), Some(expected));
        assert_eq!(executed(metrics, "m", 1), None);
    }
}
