//! Whether what was found is what was asked for. Pure functions of the runs' figures.
//!
//! Three verdicts, not two. A generator that could not keep its schedule lengthens the latencies that it measures, since they
//! count from the intended time: a bound that is missed then proves nothing, and is undecided. One that is met all the same is
//! met, and that nothing was lost and nothing was wrong can be seen in any case.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use super::calibration::{Capacities, Capacity};
use super::plan::{Amount, Bound, Criterion, Percentile, Sort};
use crate::figures::{CriterionFigures, EndingFigures, Goodput, Latency, Run};
use crate::question::Ending;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    Failed,
    /// The figures that it is about are not to be believed.
    Undecided,
}

pub struct Judgement {
    pub figures: CriterionFigures,
    pub verdict: Verdict,
}

/// Every criterion against every load that it is about.
pub fn judge(criteria: &[Criterion], runs: &[Run], capacities: &Capacities) -> Vec<Judgement> {
    let mut judgements = Vec::new();
    for criterion in criteria {
        for run in runs.iter().filter(|run| criterion.loads.contains(&run.name)) {
            judgements.push(of_run(criterion, run, capacities.get(&run.name)));
        }
    }
    judgements
}

fn of_run(criterion: &Criterion, run: &Run, capacity: Option<&Capacity>) -> Judgement {
    let claim = claim(criterion, &run.name);
    let done = |verdict, found: String| Judgement {
        figures: CriterionFigures {
            claim: claim.clone(),
            found,
            passed: verdict == Verdict::Passed,
        },
        verdict,
    };
    let Some(part) = Part::of(run, criterion.during.as_ref()) else {
        return done(Verdict::Failed, "nothing was recorded in it".to_owned());
    };
    if part.requests == 0 {
        return done(Verdict::Failed, "no request was due in it".to_owned());
    }
    let (passed, found) = part.check(&criterion.bound, capacity);
    let bases = [
        criterion.bound.is_timed().then_some(&run.validity),
        capacity.filter(|_| criterion.bound.is_of_capacity()).map(|capacity| &capacity.validity),
    ];
    match (bases.into_iter().flatten().find(|validity| !validity.valid), passed) {
        (_, true) => done(Verdict::Passed, found),
        (Some(invalid), false) => done(Verdict::Undecided, format!("{found}; {invalid}")),
        (None, false) => done(Verdict::Failed, found),
    }
}

/// A run, or a window of it.
struct Part<'r> {
    requests: u64,
    endings: &'r BTreeMap<Ending, EndingFigures>,
    latency: &'r Latency,
    goodput: Option<&'r Goodput>,
    versions: &'r BTreeMap<u64, u64>,
    /// Where examples are: windows have none of their own.
    examples: &'r BTreeMap<Ending, EndingFigures>,
}

impl<'r> Part<'r> {
    fn of(run: &'r Run, during: Option<&Range<Duration>>) -> Option<Self> {
        let Some(during) = during else {
            return Some(Self {
                requests: run.requests,
                endings: &run.endings,
                latency: run.best_latency(),
                goodput: run.goodput.as_ref(),
                versions: &run.server.versions,
                examples: &run.endings,
            });
        };
        let ends = (during.start.as_secs_f64(), during.end.as_secs_f64());
        let window = run.windows.iter().find(|window| (window.from_s, window.to_s) == ends)?;
        Some(Self {
            requests: window.requests,
            endings: &window.endings,
            latency: &window.latency,
            goodput: window.goodput.as_ref(),
            versions: &window.versions,
            examples: &run.endings,
        })
    }

    fn check(&self, bound: &Bound, capacity: Option<&Capacity>) -> (bool, String) {
        match bound {
            Bound::AtMost(sort, amount) => self.at_most(*sort, *amount),
            Bound::Only(allowed) => {
                let others = self.endings.keys().filter(|ending| !allowed.contains(ending));
                let found = self.counted(|ending| !allowed.contains(&ending));
                (others.count() == 0, found)
            }
            Bound::Within(percentile, limit) => self.within(*percentile, *limit),
            Bound::RefusedWithin(limit) => match self.endings.get(&Ending::Refused) {
                Some(refused) => {
                    let found = format!("{:.3} ms in {} refusals", refused.p99_ms, refused.count);
                    (refused.p99_ms <= ms(*limit), found)
                }
                None => (true, "nothing was refused".to_owned()),
            },
            Bound::Goodput(least) => match self.goodput {
                Some(goodput) => (goodput.share >= *least, percent(goodput.share)),
                None => (false, "the load has no slo".to_owned()),
            },
            Bound::GoodputOfCapacity(least) => match self.goodput.zip(capacity) {
                Some((goodput, capacity)) => {
                    let capacity = capacity.rate;
                    let share = goodput.rate / capacity.max(f64::MIN_POSITIVE);
                    let found =
                        format!("{} ({:.1}/s of {capacity:.1}/s)", percent(share), goodput.rate);
                    (share >= *least, found)
                }
                None => (false, "no capacity was measured".to_owned()),
            },
            Bound::Versions(expected) => {
                let found: Vec<String> = self
                    .versions
                    .iter()
                    .map(|(version, count)| format!("version {version} {count} times"))
                    .collect();
                let mut expected = expected.clone();
                expected.sort_unstable();
                expected.dedup();
                let found = if found.is_empty() {
                    "no answer named one".to_owned()
                } else {
                    found.join(", ")
                };
                (self.versions.keys().eq(expected.iter()), found)
            }
        }
    }

    fn at_most(&self, sort: Sort, amount: Amount) -> (bool, String) {
        let count = self.count(sort);
        let share = count as f64 / self.requests as f64;
        let passed = match amount {
            Amount::Count(most) => count <= most,
            Amount::Share(most) => share <= most,
        };
        let all = self.requests;
        let found = match amount {
            _ if count == 0 => format!("none of {all}"),
            Amount::Count(_) => {
                format!("{count} of {all}: {}", self.counted(|one| sort.holds(one)))
            }
            Amount::Share(_) => {
                format!("{} of {all}: {}", percent(share), self.counted(|one| sort.holds(one)))
            }
        };
        (passed, found)
    }

    fn within(&self, percentile: Percentile, limit: Duration) -> (bool, String) {
        let latency = self.latency;
        if latency.samples == 0 {
            return (false, "there was no right answer".to_owned());
        }
        let found = match percentile {
            Percentile::P50 => latency.p50_ms,
            Percentile::P90 => latency.p90_ms,
            Percentile::P99 => latency.p99_ms,
            Percentile::Max => latency.max_ms,
        };
        (found <= ms(limit), format!("{found:.3} ms in {} right answers", latency.samples))
    }

    fn count(&self, sort: Sort) -> u64 {
        self.endings.iter().filter(|(ending, _)| sort.holds(**ending)).map(|(_, of)| of.count).sum()
    }

    /// Endings with their counts, and what the first of each said.
    fn counted(&self, chosen: impl Fn(Ending) -> bool) -> String {
        let told: Vec<String> = self
            .endings
            .iter()
            .filter(|(ending, _)| chosen(**ending))
            .map(|(ending, of)| {
                let example = self.examples.get(ending).and_then(|of| of.example.as_deref());
                let said = example.map(|example| format!(" ({example})")).unwrap_or_default();
                format!("{} {ending}{said}", of.count)
            })
            .collect();
        if told.is_empty() { "no other".to_owned() } else { told.join(", ") }
    }
}

fn claim(criterion: &Criterion, load: &str) -> String {
    let during = criterion.during.as_ref();
    let when = during.map(|during| {
        let (from, to) = (during.start.as_secs_f64(), during.end.as_secs_f64());
        format!(" from {from} s to {to} s")
    });
    let what = match &criterion.bound {
        Bound::AtMost(sort, Amount::Count(0)) => format!("no {}", wordy(*sort)),
        Bound::AtMost(sort, Amount::Count(most)) => format!("at most {most} {}", wordy(*sort)),
        Bound::AtMost(sort, Amount::Share(most)) => {
            format!("at most {} {}", percent(*most), wordy(*sort))
        }
        Bound::Only(allowed) => {
            let names: Vec<_> = allowed.iter().map(|ending| ending.name()).collect();
            format!("no ending but {}", names.join(", "))
        }
        Bound::Within(percentile, limit) => format!("{} within {limit:?}", percentile.name()),
        Bound::RefusedWithin(limit) => format!("p99 of refusals within {limit:?}"),
        Bound::Goodput(least) => format!("right within the SLO: at least {}", percent(*least)),
        Bound::GoodputOfCapacity(least) => {
            format!(
                "right within the SLO, per second: at least {} of the capacity",
                percent(*least)
            )
        }
        Bound::Versions(versions) => {
            let names: Vec<_> = versions.iter().map(u64::to_string).collect();
            format!("answered by version {} and no other", names.join(", "))
        }
    };
    format!("{load}{}: {what}", when.unwrap_or_default())
}

fn wordy(sort: Sort) -> String {
    match sort {
        Sort::Errors => "errors".to_owned(),
        sort => format!("{} requests", sort.name().replace('_', " ")),
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// With as many digits as it needs.
fn percent(share: f64) -> String {
    let digits = if share > 0.0 && share < 0.01 { 3 } else { 1 };
    let text = format!("{:.digits$}", share * 100.0);
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text} %")
}

#[cfg(test)]
mod tests;
