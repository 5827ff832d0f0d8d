//! Which runs stand against which, and whether they may.

use std::collections::BTreeSet;

use crate::Failure;
use crate::figures::{Machine, Report, Run};

/// Fewer repeats than these carry no verdict of their own: an interval from n values cannot leave their range, and that of
/// four misses the truth one time in eight.
pub(super) const REPEATS: usize = 5;

/// One load's repeats on both sides.
pub(super) struct Sides<'r> {
    pub name: String,
    /// `A`, or `A (http://...)`.
    pub label_a: String,
    pub label_b: String,
    pub a: Vec<&'r Run>,
    pub b: Vec<&'r Run>,
}

type Found<'r> = Result<(Vec<Sides<'r>>, Vec<String>), Failure>;

pub(super) fn of_two<'r>(a: &'r Report, b: &'r Report) -> Found<'r> {
    let all = |report: &'r Report| report.runs.iter().collect::<Vec<_>>();
    let (sides, mut warnings) = by_load(&all(a), &all(b))?;
    let (one, other) = (machine(&a.machine), machine(&b.machine));
    if one != other {
        warnings.insert(0, format!("machines differ: A ran on {one}, B on {other}"));
    }
    Ok((sides, warnings))
}

pub(super) fn within(report: &Report) -> Found<'_> {
    let runs: Vec<&Run> = report.runs.iter().collect();
    let targets = distinct(&runs, |run| &run.target);
    let names = distinct(&runs, |run| &run.name);
    let by =
        |is_a: &dyn Fn(&Run) -> bool| runs.iter().copied().partition::<Vec<_>, _>(|run| is_a(run));
    let (a, b) = match (targets.as_slice(), names.as_slice()) {
        ([first, _], _) => by(&|run| run.target == **first),
        ([_], [first, _]) => by(&|run| run.name == **first),
        _ => {
            return Err(Failure::new(format!(
                "expected two targets in the one report, found {}: {}; name a second report",
                targets.len(),
                targets.join(", ")
            )));
        }
    };
    by_load(&a, &b)
}

/// By name; a lone load on each side needs no name in common.
fn by_load<'r>(a: &[&'r Run], b: &[&'r Run]) -> Found<'r> {
    let (names_a, names_b) = (distinct(a, |run| &run.name), distinct(b, |run| &run.name));
    if let ([one], [other]) = (names_a.as_slice(), names_b.as_slice())
        && one != other
    {
        let name = format!("{one} and {other}");
        return Ok((vec![Sides::new(&name, a.to_vec(), b.to_vec())], Vec::new()));
    }
    let of = |runs: &[&'r Run], name: &str| -> Vec<&'r Run> {
        runs.iter().copied().filter(|run| run.name == name).collect()
    };
    let common: Vec<&'r str> =
        names_a.iter().copied().filter(|name| names_b.contains(name)).collect();
    if common.is_empty() {
        return Err(Failure::new(format!(
            "no load in common: A has {}, B has {}",
            listed(&names_a),
            listed(&names_b)
        )));
    }
    let only = |side: &str, names: &[&str]| -> Vec<String> {
        let alone = names.iter().filter(|name| !common.contains(name));
        alone.map(|name| format!("load {name:?} is only in {side}")).collect()
    };
    let mut warnings = only("A", &names_a);
    warnings.extend(only("B", &names_b));
    Ok((common.iter().map(|name| Sides::new(name, of(a, name), of(b, name))).collect(), warnings))
}

impl<'r> Sides<'r> {
    fn new(name: &str, a: Vec<&'r Run>, b: Vec<&'r Run>) -> Self {
        let label = |side: &str, runs: &[&Run]| {
            let target = runs.first().map_or("", |run| run.target.as_str());
            format!("{side} ({target})")
        };
        Self { name: name.to_owned(), label_a: label("A", &a), label_b: label("B", &b), a, b }
    }

    fn both(&self) -> [(&'static str, &[&'r Run]); 2] {
        [("A", &self.a), ("B", &self.b)]
    }

    /// The runs of a search or a sweep are no repeats of each other.
    pub(super) fn check_one_load(&self) -> Result<(), Failure> {
        for (side, runs) in self.both() {
            let patterns = distinct(runs, |run| &run.arrivals.pattern);
            if patterns.len() > 1 {
                return Err(Failure::new(format!(
                    "{side}: expected repeats of one load, but the runs of {:?} differ in their arrivals: {}",
                    self.name,
                    listed(&patterns)
                )));
            }
        }
        Ok(())
    }

    pub(super) fn invalid(&self) -> Vec<String> {
        let of = |(side, runs): (&str, &[&Run])| -> Vec<String> {
            let invalid = runs.iter().filter(|run| !run.validity.valid);
            invalid
                .map(|run| {
                    let reasons = run.validity.reasons.join("; ");
                    format!(
                        "{side}, run {:?}, repeat {} is invalid: {reasons}",
                        run.name, run.repeat
                    )
                })
                .collect()
        };
        self.both().into_iter().flat_map(of).collect()
    }

    pub(super) fn differences(&self) -> Vec<String> {
        let (Some(a), Some(b)) = (self.a.first(), self.b.first()) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        if a.arrivals.pattern != b.arrivals.pattern {
            found.push(format!(
                "{}: arrivals differ: A {}, B {}",
                self.name, a.arrivals.pattern, b.arrivals.pattern
            ));
        }
        if (a.duration_s - b.duration_s).abs() > 0.02 * a.duration_s.max(b.duration_s) {
            found.push(format!(
                "{}: durations differ: A {} s, B {} s",
                self.name, a.duration_s, b.duration_s
            ));
        }
        found
    }

    /// Enough repeats, numbered alike: they were interleaved, or it does no harm to take them as if.
    pub(super) fn paired(&self) -> Option<Vec<(&'r Run, &'r Run)>> {
        let numbers = |runs: &[&Run]| runs.iter().map(|run| run.repeat).collect::<BTreeSet<_>>();
        let (a, b) = (numbers(&self.a), numbers(&self.b));
        let no_twins = a.len() == self.a.len() && b.len() == self.b.len();
        if a != b || !no_twins || a.len() < REPEATS {
            return None;
        }
        let with = |run: &&'r Run| {
            let other = self.b.iter().find(|other| other.repeat == run.repeat)?;
            Some((*run, *other))
        };
        Some(self.a.iter().filter_map(with).collect())
    }
}

/// In the order of their first appearance.
fn distinct<'r>(runs: &[&'r Run], key: impl Fn(&'r Run) -> &'r String) -> Vec<&'r str> {
    let mut found: Vec<&str> = Vec::new();
    for run in runs {
        if !found.contains(&key(run).as_str()) {
            found.push(key(run));
        }
    }
    found
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn machine(machine: &Machine) -> String {
    format!("{}, {} ({} cores)", machine.system, machine.processor, machine.cores)
}
