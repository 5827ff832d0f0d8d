//! The servers of a scenario, and its play: loads, actions and probes at the same time.

use std::net::{SocketAddr, ToSocketAddrs};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;

use tempfile::TempDir;

use super::actions::{Server, perform};
use super::plan::{Deed, GatewayPlan, Scenario};
use super::process::Process;
use super::rotation::Member;
use crate::Failure;
use crate::engine::{DriveOptions, drive};
use crate::figures::{ActionFigures, Progress, Run};
use crate::load::Load;

pub struct Stage {
    pub servers: Vec<Server>,
    /// Holds what the gateways write; goes after them.
    _folder: Option<TempDir>,
}

impl Stage {
    /// Starts the gateways of the scenario, all ready when this returns.
    ///
    /// # Errors
    /// When one does not get ready.
    pub fn set(scenario: &Scenario, binary: &Path) -> Result<Self, Failure> {
        if scenario.gateways.is_empty() {
            return Err("this scenario starts no gateway: name a server with --target".into());
        }
        let folder = tempfile::Builder::new().prefix("tidegate-scenario-").tempdir()?;
        let start = |plan: &GatewayPlan| {
            let process = Process::start(plan, binary, folder.path())?;
            Ok(Server {
                name: plan.name.clone(),
                admin: Some(process.admin),
                member: Member::at(process.data),
                process: Some(process),
            })
        };
        let servers = scenario.gateways.iter().map(start).collect::<Result<_, Failure>>()?;
        Ok(Self { servers, _folder: Some(folder) })
    }

    /// With a server that runs already in place of the scenario's only gateway.
    ///
    /// # Errors
    /// When the scenario wants more than that.
    pub fn of_running(
        scenario: &Scenario,
        target: &str,
        admin: Option<&str>,
    ) -> Result<Self, Failure> {
        let restarts = |deed: &Deed| matches!(deed, Deed::Restart { .. });
        if scenario.gateways.len() > 1 {
            return Err("this scenario needs several gateways: it starts them itself".into());
        }
        if scenario.actions.iter().any(|action| restarts(&action.deed)) {
            return Err("this scenario restarts its gateway: it starts it itself".into());
        }
        if admin.is_none() && !scenario.actions.is_empty() {
            return Err("this scenario calls the admin API: name its port with --admin".into());
        }
        let name = scenario.gateways.first().map(|plan| plan.name.clone()).unwrap_or_default();
        let server = Server {
            name,
            admin: admin.map(address).transpose()?,
            member: Member::at(address(target)?),
            process: None,
        };
        Ok(Self { servers: vec![server], _folder: None })
    }

    /// The process whose CPU time is the servers': there is one, and it lives to the end.
    pub fn only_process(&self, scenario: &Scenario) -> Option<u32> {
        let restarts = |deed: &Deed| matches!(deed, Deed::Restart { .. });
        let [server] = &self.servers[..] else { return None };
        let lives = !scenario.actions.iter().any(|action| restarts(&action.deed));
        server.process.as_ref().filter(|_| lives).map(Process::id)
    }

    /// Loads, actions and probes, on one clock, until the loads have ended.
    ///
    /// # Errors
    /// When the loads cannot be driven.
    pub fn play(
        &mut self,
        scenario: &Scenario,
        loads: &[Load],
        options: &DriveOptions,
        view: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<(Vec<Run>, Vec<ActionFigures>), Failure> {
        let members: Vec<Member> = self
            .servers
            .iter()
            .filter(|server| server.process.is_some())
            .map(|server| server.member.clone())
            .collect();
        let servers = &mut self.servers;
        thread::scope(|scope| {
            let (started, start) = channel();
            let (leave, left) = channel();
            let actor = scope.spawn(move || match start.recv() {
                Ok(start) => perform(&scenario.actions, servers, start, &left),
                // The drive failed before it began.
                Err(_) => Vec::new(),
            });
            let mut probes = Vec::new();
            for member in &members {
                let (stop, stopped) = channel();
                probes.push(stop);
                scope.spawn(move || member.watch(&stopped));
            }
            let mut started = Some(started);
            let runs = drive(loads, options, &mut |progress| {
                if let Some(started) = started.take() {
                    // It waits for this, or is gone with the whole scope.
                    let _ = started.send(Instant::now());
                }
                view(progress)
            });
            drop((started, leave, probes));
            let actions = actor.join().map_err(|_| "the thread of the actions panicked")?;
            Ok((runs?, actions))
        })
    }
}

/// `http://HOST:PORT`, also without the scheme.
fn address(url: &str) -> Result<SocketAddr, Failure> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/');
    let found = rest.to_socket_addrs().ok().and_then(|mut all| all.next());
    found.ok_or_else(|| format!("expected http://HOST:PORT, got {url:?}").into())
}
