//! Measures what a server carries, where a scenario's rates are multiples of it: a closed loop, alone, beforehand.
//!
//! So one file means the same on a small machine and on a large one.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use super::plan::{Calibration, LoadPlan, Pace, WireKind};
use crate::Failure;
use crate::engine::{DriveOptions, drive};
use crate::figures::{Progress, Run, Validity};
use crate::load::{Arrivals, Behaviour, Load};

/// Right answers per second, and whether that was the server's limit or our own.
#[derive(Clone, Debug)]
pub struct Capacity {
    pub rate: f64,
    pub validity: Validity,
}

/// By the name of the load.
pub type Capacities = BTreeMap<String, Capacity>;

/// Gives the loads that wait for it their rates. What was run for it is told in the report too.
///
/// # Errors
/// When nothing was answered.
pub fn calibrate(
    calibration: &Calibration,
    plans: &[LoadPlan],
    loads: &mut [Load],
    options: &DriveOptions,
    watch: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
) -> Result<(Capacities, Vec<Run>), Failure> {
    let mut capacities = Capacities::new();
    let mut runs = Vec::new();
    let mut known: Vec<(Subject<'_>, Capacity)> = Vec::new();
    for (plan, load) in plans.iter().zip(loads) {
        let Pace::OfCapacity(pattern) = &plan.pace else { continue };
        let subject = (plan.gateways.as_slice(), plan.target.as_str(), plan.wire, plan.asking.rows);
        let capacity = match known.iter().find(|(measured, _)| *measured == subject) {
            Some((_, capacity)) => capacity.clone(),
            None => {
                let run = measure(calibration, load, options, watch)?;
                let capacity = Capacity { rate: run.throughput, validity: run.validity.clone() };
                runs.push(run);
                known.push((subject, capacity.clone()));
                capacity
            }
        };
        load.arrivals = Arrivals::Open(pattern.scaled(capacity.rate));
        capacities.insert(plan.name.clone(), capacity);
    }
    Ok((capacities, runs))
}

/// What has a capacity.
type Subject<'p> = (&'p [String], &'p str, WireKind, usize);

fn measure(
    calibration: &Calibration,
    load: &Load,
    options: &DriveOptions,
    watch: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
) -> Result<Run, Failure> {
    let closed = Load {
        name: format!("capacity of {}", load.name),
        arrivals: Arrivals::Closed { callers: calibration.callers },
        start: Duration::ZERO,
        warm_up: calibration.duration / 4,
        duration: calibration.duration,
        connections: calibration.callers,
        behaviour: Behaviour::Normal,
        slo: None,
        windows: Vec::new(),
        ..load.clone()
    };
    let name = closed.name.clone();
    let run = drive(&[closed], options, watch)?.pop().ok_or("a drive without a run")?;
    if run.throughput > 0.0 {
        return Ok(run);
    }
    let said = run.endings.values().find_map(|ending| ending.example.clone()).unwrap_or_default();
    Err(Failure::new(format!("nothing was answered rightly: {said}")).within(name))
}
