//! Question: what do the small parts of the house cost, each against the least that could do its work?
//!
//! | name | question | baseline |
//! |---|---|---|
//! | `queue` | handing items and requests over | `ArrayQueue` alone; an mpsc with a oneshot |
//! | `wake` | waking the parked leader | `Thread::unpark` alone |
//! | `rows` | gather and scatter | memcpy of the same bytes |
//! | `json` | decoding a tensor | a bare scan of the same floats |
//! | `routing` | the choice of a version, admission | one `fetch_add` |
//!
//! Rounds visit every way once, and a ratio is the median of the rounds' own. What one thread does is
//! timed by that thread's CPU clock, which does not run while others have the core, and its
//! instructions are counted where valgrind is there: those are the same on a busy machine.

mod instructions;
mod json;
mod measure;
mod queue;
mod routing;
mod rows;
mod wake;

use std::num::NonZeroUsize;
use std::time::Duration;

use instructions::Counter;
use measure::{Case, Clock, Pace};

use crate::Result;
use crate::output::{Output, progress};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Name {
    Queue,
    Wake,
    Rows,
    Json,
    Routing,
}

#[derive(Debug, clap::Args)]
pub struct Options {
    /// What to measure; everything when none is named
    #[arg(value_enum)]
    names: Vec<Name>,
    /// Rounds; each visits every way once
    #[arg(long, default_value = "9")]
    rounds: NonZeroUsize,
    /// Do not count instructions, even where valgrind is there
    #[arg(long)]
    no_instructions: bool,
    #[command(flatten)]
    queue: queue::Options,
    #[command(flatten)]
    output: Output,
}

/// One way of one case, so many times.
#[derive(Debug, clap::Args)]
pub struct Operate {
    case: String,
    arm: String,
    times: u64,
}

pub fn run(options: &Options) -> Result<()> {
    let names = match &options.names[..] {
        [] => &[Name::Queue, Name::Wake, Name::Rows, Name::Json, Name::Routing],
        named => named,
    };
    let counter =
        if options.no_instructions { Err("not asked for".to_owned()) } else { Counter::find() };
    let pace = Pace { rounds: options.rounds.get(), slice: Duration::from_millis(8) };
    let mut markdown = format!(
        "Medians of {} rounds, all ways of a case in turn; a ratio is the median of the rounds' own to the \
         first way of the case.",
        options.rounds
    );
    if let Err(reason) = &counter {
        markdown.push_str(&format!(" Instructions were not counted: {reason}."));
    }
    for name in names {
        progress(&format!("{name:?}"));
        markdown.push_str("\n\n");
        markdown.push_str(&answer(*name, options, &pace, counter.as_ref().ok())?);
    }
    options.output.write(&markdown)
}

fn answer(name: Name, options: &Options, pace: &Pace, counter: Option<&Counter>) -> Result<String> {
    let table = |title: &str, cases: Vec<Case>| -> Result<String> {
        Ok(format!("**{title}**\n\n{}", measure::table(&cases, pace, counter)?))
    };
    Ok(match name {
        Name::Queue => format!(
            "{}\n{}",
            table("Hand-over, uncontended: one thread puts in and takes out.", queue::cases())?,
            queue::compare_all(&options.queue, options.rounds.get()),
        ),
        Name::Wake => wake::compare(options.rounds.get()),
        Name::Rows => table("Gather and scatter; an operation is one batch.", rows::cases())?,
        Name::Json => table("JSON tensors; an operation is one request body.", json::cases())?,
        Name::Routing => table("Routing and admission; CPU time.", routing::cases())?,
    })
}

/// The measured process of [`Counter`].
pub fn operate(options: &Operate) -> Result<()> {
    let Operate { case, arm, times } = options;
    let all = [queue::cases(), rows::cases(), json::cases(), routing::cases()];
    let found = all.into_iter().flatten().find(|one| one.name == *case);
    let found = found.ok_or_else(|| format!("no case is named '{case}'"))?;
    let arm = found.ways().arms.into_iter().find(|one| one.name == arm);
    let mut arm = arm.ok_or_else(|| format!("'{case}' has no such way"))?;
    arm.run(Clock::Stopped, *times);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_every_case_does_its_work() {
        for case in [queue::cases(), rows::cases(), json::cases(), routing::cases()].concat() {
            let arms = case.ways().arms;
            assert!(arms.len() > 1, "{}: a baseline alone answers nothing", case.name);
            for mut arm in arms {
                assert!(arm.run(Clock::Cpu, 1) > Duration::ZERO, "{}: {}", case.name, arm.name);
            }
        }
    }

    #[test]
    fn no_two_cases_have_one_name() {
        let cases = [queue::cases(), rows::cases(), json::cases(), routing::cases()].concat();
        let mut names: Vec<&str> = cases.iter().map(|case| &*case.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), cases.len());
    }
}
