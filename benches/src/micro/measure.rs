//! Ways of doing one thing, in turn, and the table of what they cost.

use std::hint::black_box;
use std::rc::Rc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tidegate_loadtest::statistics::median;

use super::instructions::Counter;
use crate::Result;
use crate::output::{Table, figure};

/// How often, and for how long each time.
pub struct Pace {
    pub rounds: usize,
    pub slice: Duration,
}

/// Several ways of doing one thing; the first is the baseline.
#[derive(Clone)]
pub struct Case {
    pub name: String,
    /// How many operations are enough to count instructions; `None` where they tell nothing.
    counted: Option<u64>,
    make: Rc<dyn Fn() -> Ways>,
}

/// What a case consists of. Made only when it is its turn: some take their time.
pub struct Ways {
    pub arms: Vec<Arm>,
    /// Bytes that one operation works on, where that is what matters.
    pub bytes: Option<usize>,
}

impl From<Vec<Arm>> for Ways {
    fn from(arms: Vec<Arm>) -> Self {
        Self { arms, bytes: None }
    }
}

impl Case {
    pub fn new<W: Into<Ways>>(name: impl Into<String>, make: impl Fn() -> W + 'static) -> Self {
        Self { name: name.into(), counted: None, make: Rc::new(move || make().into()) }
    }

    pub fn counting(self, operations: u64) -> Self {
        Self { counted: Some(operations), ..self }
    }

    pub fn ways(&self) -> Ways {
        (self.make)()
    }
}

/// One way: does so many operations, and says what they took.
pub struct Arm {
    pub name: &'static str,
    run: Box<dyn FnMut(Clock, u64) -> Duration>,
}

/// What a thread's work is timed by.
#[derive(Clone, Copy)]
pub enum Clock {
    /// CPU time of this thread.
    Cpu,
    /// Nothing: valgrind counts instead, and the vDSO that the clock is read through is not there under it.
    Stopped,
}

impl Arm {
    /// One operation at a time, timed together.
    pub fn new<T>(name: &'static str, mut operation: impl FnMut() -> T + 'static) -> Self {
        Self::timed(name, move |clock, times| {
            clock.time(|| {
                for _ in 0..times {
                    black_box(operation());
                }
            })
        })
    }

    /// For what has to prepare something that does not count, or uses several threads.
    pub fn timed(name: &'static str, run: impl FnMut(Clock, u64) -> Duration + 'static) -> Self {
        Self { name, run: Box::new(run) }
    }

    pub fn run(&mut self, clock: Clock, times: u64) -> Duration {
        (self.run)(clock, times)
    }

    /// How many operations fill the slice; warms up on the way.
    fn operations_in(&mut self, slice: Duration) -> u64 {
        let mut times = 1;
        loop {
            let took = self.run(Clock::Cpu, times);
            if took * 4 >= slice || times >= 1 << 40 {
                let each = took.as_secs_f64() / times as f64;
                return (slice.as_secs_f64() / each).clamp(1.0, 1e12) as u64;
            }
            times *= 2;
        }
    }
}

impl Clock {
    pub fn time<T>(self, work: impl FnOnce() -> T) -> Duration {
        let start = self.now();
        black_box(counted_work(work));
        self.now().saturating_sub(start)
    }

    fn now(self) -> Duration {
        match self {
            Self::Cpu => {
                let now = clock_gettime(ClockId::ThreadCPUTime);
                Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
            }
            Self::Stopped => Duration::ZERO,
        }
    }
}

/// Callgrind counts while this function is being executed; see [`super::instructions`].
#[inline(never)]
fn counted_work<T>(work: impl FnOnce() -> T) -> T {
    work()
}

/// What was found of one case.
struct Found {
    case: String,
    bytes: Option<usize>,
    ways: Vec<FoundWay>,
}

struct FoundWay {
    name: &'static str,
    nanoseconds: f64,
    /// To the first way, of time and of instructions.
    ratio: f64,
    instructions: Option<(f64, f64)>,
}

pub fn table(cases: &[Case], pace: &Pace, counter: Option<&Counter>) -> Result<String> {
    let found: Vec<Found> =
        cases.iter().map(|case| measure(case, pace, counter)).collect::<Result<_>>()?;
    let with_bytes = found.iter().any(|found| found.bytes.is_some());
    let with_counts =
        found.iter().flat_map(|found| &found.ways).any(|way| way.instructions.is_some());
    let mut numbers = vec!["ns"];
    numbers.extend(with_bytes.then_some("MB/s"));
    numbers.push("ratio");
    numbers.extend(if with_counts { &["instructions", "ratio"][..] } else { &[] });
    let mut table = Table::new(&["case", "way"], &numbers);
    for Found { case, bytes, ways } in found {
        for way in ways {
            let mut row = vec![case.clone(), way.name.to_owned(), figure(way.nanoseconds)];
            let rate = |bytes| figure(bytes as f64 * 1e3 / way.nanoseconds);
            row.extend(with_bytes.then(|| bytes.map_or_else(nothing, rate)));
            row.push(figure(way.ratio));
            let counts = way.instructions.map(|(count, ratio)| [figure(count), figure(ratio)]);
            row.extend(
                counts.or(with_counts.then(|| [nothing(), nothing()])).into_iter().flatten(),
            );
            table.row(row);
        }
    }
    Ok(table.into_markdown())
}

fn nothing() -> String {
    "-".to_owned()
}

fn measure(case: &Case, pace: &Pace, counter: Option<&Counter>) -> Result<Found> {
    let Ways { mut arms, bytes } = case.ways();
    let rounds = rounds(&mut arms, pace);
    let counts = match (case.counted, counter) {
        (Some(times), Some(counter)) => Some(counter.count(&case.name, &arms, times)?),
        _ => None,
    };
    let way = |(index, arm): (usize, &Arm)| FoundWay {
        name: arm.name,
        nanoseconds: median(rounds.iter().map(|round| round[index])),
        ratio: median(rounds.iter().map(|round| round[index] / round[0])),
        instructions: counts.as_ref().map(|counts| (counts[index], counts[index] / counts[0])),
    };
    Ok(Found { case: case.name.clone(), bytes, ways: arms.iter().enumerate().map(way).collect() })
}

/// Nanoseconds of an operation, for each round and way.
fn rounds(arms: &mut [Arm], pace: &Pace) -> Vec<Vec<f64>> {
    let times: Vec<u64> = arms.iter_mut().map(|arm| arm.operations_in(pace.slice)).collect();
    let round = |_| {
        arms.iter_mut()
            .zip(&times)
            .map(|(arm, &times)| arm.run(Clock::Cpu, times).as_secs_f64() * 1e9 / times as f64)
            .collect()
    };
    (0..pace.rounds).map(round).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_holds_every_way_against_the_first() {
        let time = |each: u64| {
            move |_, times: u64| {
                Duration::from_nanos(each) * u32::try_from(times).unwrap_or(u32::MAX)
            }
        };
        let case = Case::new("made up", move || {
            let arms = vec![Arm::timed("one", time(100)), Arm::timed("two", time(250))];
            Ways { arms, bytes: Some(1000) }
        });
        let pace = Pace { rounds: 3, slice: Duration::from_micros(50) };
        let expected = "| case | way | ns | MB/s | ratio |\n| --- | --- | ---: | ---: | ---: |\n\
                        | made up | one | 100 | 10,000 | 1.00 |\n| made up | two | 250 | 4,000 | 2.50 |\n";
        assert_eq!(table(&[case], &pace, None).unwrap(), expected);
    }
}
