//! Does what the scenario says, when it says so, on a thread of its own while the loads run.
//!
//! An action that fails does not end the scenario: what it left behind is what is to be seen. It is told, and the scenario
//! has not passed.

use std::net::SocketAddr;
use std::process::ExitStatus;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, Method};

use super::plan::{ActionPlan, Deed};
use super::process::Process;
use super::rotation::Member;
use crate::Failure;
use crate::engine::once;
use crate::figures::ActionFigures;
use crate::load::{Endpoint, Transport};
use crate::question::Prepared;

const ANSWER: Duration = Duration::from_secs(10);

/// Who is acted upon.
pub struct Server {
    pub name: String,
    /// None where the server runs already, and no admin port was named.
    pub admin: Option<SocketAddr>,
    pub member: Member,
    /// None where the server runs already: it is not ours to restart.
    pub process: Option<Process>,
}

/// Does all of them in the order of their times; `stop` ends it early.
pub fn perform(
    actions: &[ActionPlan],
    servers: &mut [Server],
    start: Instant,
    stop: &Receiver<()>,
) -> Vec<ActionFigures> {
    let mut actions: Vec<&ActionPlan> = actions.iter().collect();
    actions.sort_by_key(|action| action.at);
    let mut done = Vec::new();
    for action in actions {
        let wait = (start + action.at).saturating_duration_since(Instant::now());
        if stop.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
            break;
        }
        let began = Instant::now();
        let server = servers.iter_mut().find(|server| server.name == action.gateway);
        let outcome = match server {
            Some(server) => server.suffer(&action.deed),
            None => Err(format!("no gateway {}", action.gateway).into()),
        };
        let (ok, outcome) = match outcome {
            Ok(outcome) => (true, outcome),
            Err(failure) => (false, failure.to_string()),
        };
        done.push(ActionFigures {
            at_s: (began - start).as_secs_f64(),
            took_s: began.elapsed().as_secs_f64(),
            what: action.to_string(),
            outcome,
            ok,
        });
    }
    done
}

impl Server {
    fn suffer(&mut self, deed: &Deed) -> Result<String, Failure> {
        match deed {
            Deed::Call { method, path, body } => self.call(method, path, body.as_deref()),
            Deed::Restart { notice } => self.restart(*notice),
        }
    }

    fn call(&self, method: &str, path: &str, body: Option<&str>) -> Result<String, Failure> {
        let admin = self.admin.ok_or("no admin port is known: name it with --admin")?;
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|_| Failure::new(format!("{method:?} is no method")))?;
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        let body = bytes::Bytes::from(body.unwrap_or_default().to_owned());
        let request = Prepared { path: path.to_owned(), headers, body };
        let answer = once(&Endpoint::tcp(admin), Transport::Http1, method, &request, ANSWER)?;
        let said = String::from_utf8_lossy(&answer.body);
        let said = format!("{} {}", answer.status, said.trim());
        if answer.status.is_success() { Ok(said) } else { Err(said.into()) }
    }

    fn restart(&mut self, notice: Duration) -> Result<String, Failure> {
        let process = self.process.as_mut().ok_or("it was not started by this scenario")?;
        if !notice.is_zero() {
            self.member.withdraw();
            sleep(notice);
        }
        let began = Instant::now();
        let left = process.leave();
        let leaving = began.elapsed();
        process.start_again()?;
        self.admin = Some(process.admin);
        self.member.place.move_to(process.data);
        self.member.offer();
        told(left?, leaving, began.elapsed())
    }
}

fn told(status: ExitStatus, leaving: Duration, all: Duration) -> Result<String, Failure> {
    let (leaving, all) = (leaving.as_secs_f64(), all.as_secs_f64());
    let said = format!("left after {leaving:.1} s, ready again after {all:.1} s");
    if status.success() { Ok(said) } else { Err(format!("{said}; it ended with {status}").into()) }
}

impl std::fmt::Display for ActionPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.deed {
            Deed::Call { method, path, body } => {
                write!(f, "{method} {path} {}", body.as_deref().unwrap_or_default())
            }
            Deed::Restart { .. } => write!(f, "{} restarts", self.gateway),
        }
    }
}
