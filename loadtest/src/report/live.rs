//! What is seen while a drive runs, on stderr: bars on a terminal, else a plain line every few seconds, so that
//! logs of CI stay readable. It only watches: whether a drive ends early is decided elsewhere.

use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Output;
use super::words::{count, counted, ms, plain, rate};
use crate::figures::{LoadProgress, Progress};

/// Between two plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// A view of one drive. A drive that starts anew (elapsed falls) is shown from its beginning.
pub fn live(output: &Output, title: &str) -> impl FnMut(&Progress) -> ControlFlow<()> + use<> {
    let mut view = View::new(output, title);
    move |progress| {
        view.show(progress);
        ControlFlow::Continue(())
    }
}

enum View {
    Quiet,
    Plain { title: String, offered: Offered, next: Duration },
    Bars { bars: Bars, offered: Offered },
}

impl View {
    fn new(output: &Output, title: &str) -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let title = plain(title, 60);
        if output.quiet {
            Self::Quiet
        } else if io::stderr().is_terminal() && !dumb {
            Self::Bars { bars: Bars::new(title), offered: Offered::default() }
        } else {
            Self::Plain { title, offered: Offered::default(), next: Duration::ZERO }
        }
    }

    fn show(&mut self, progress: &Progress) {
        match self {
            Self::Quiet => {}
            Self::Plain { title, offered, next } => {
                if offered.observe(progress) {
                    *next = PLAIN_EVERY;
                }
                if progress.elapsed >= *next {
                    *next = progress.elapsed + PLAIN_EVERY;
                    say(&plain_lines(title, progress, offered));
                }
            }
            Self::Bars { bars, offered } => {
                offered.observe(progress);
                bars.show(progress, offered);
            }
        }
    }
}

/// A reader that went away is no reason to stop measuring.
fn say(lines: &[String]) {
    let mut stderr = io::stderr().lock();
    for line in lines {
        let _ = writeln!(stderr, "{line}");
    }
}

/// How many requests came due in the last second, from counts that only say how many so far.
#[derive(Default)]
struct Offered {
    readings: Vec<(Duration, Vec<u64>)>,
}

impl Offered {
    /// Whether a drive has just begun.
    fn observe(&mut self, progress: &Progress) -> bool {
        let begins = self.readings.last().is_none_or(|(at, _)| progress.elapsed < *at);
        if begins {
            self.readings.clear();
        }
        self.readings
            .push((progress.elapsed, progress.loads.iter().map(|load| load.due).collect()));
        // Keeps one reading that is a second old or older.
        let second_ago = progress.elapsed.saturating_sub(Duration::from_secs(1));
        while self.readings.len() > 2 && self.readings[1].0 <= second_ago {
            self.readings.remove(0);
        }
        begins
    }

    fn rate(&self, load: usize) -> f64 {
        let ends = self.readings.first().zip(self.readings.last());
        let Some(((from, before), (to, after))) = ends else { return 0.0 };
        let passed = to.saturating_sub(*from).as_secs_f64();
        let due = |counts: &Vec<u64>| counts.get(load).copied().unwrap_or(0);
        if passed > 0.0 { due(after).saturating_sub(due(before)) as f64 / passed } else { 0.0 }
    }
}

fn plain_lines(title: &str, progress: &Progress, offered: &Offered) -> Vec<String> {
    let head = format!(
        "{title} {}/{} s",
        progress.elapsed.min(progress.total).as_secs(),
        progress.total.as_secs()
    );
    let line = |(index, load): (usize, &LoadProgress)| {
        let name =
            if progress.loads.len() > 1 { plain(&load.name, 24) + ": " } else { String::new() };
        format!("{head}  {name}{}", load_line(load, offered.rate(index)))
    };
    progress.loads.iter().enumerate().map(line).collect()
}

fn load_line(load: &LoadProgress, offered: f64) -> String {
    let percentile = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), ms);
    let errors = match load.worst {
        Some((ending, worst)) if worst == load.errors => format!("{} {ending}", count(worst)),
        Some((ending, worst)) => {
            format!("{} ({} {ending})", counted(load.errors, "error"), count(worst))
        }
        None => "no errors".to_owned(),
    };
    let warming = if load.warming_up { "warming up, " } else { "" };
    format!(
        "{warming}{}/s right of {}/s due, p50 {} p99 {} ms, {} in flight, {errors}",
        rate(load.rate),
        rate(offered),
        percentile(load.p50_ms),
        percentile(load.p99_ms),
        count(load.in_flight),
    )
}

/// One bar for the time, one line for each load.
struct Bars {
    title: String,
    all: MultiProgress,
    time: ProgressBar,
    loads: Vec<ProgressBar>,
}

impl Bars {
    fn new(title: String) -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        let time = all.add(ProgressBar::new(1));
        let style = ProgressStyle::with_template("{prefix:.bold} {wide_bar:.cyan/dim} {msg}")
            .expect("the template is constant")
            .progress_chars("━╸─");
        time.set_style(style);
        time.set_prefix(title.clone());
        Self { title, all, time, loads: Vec::new() }
    }

    fn show(&mut self, progress: &Progress, offered: &Offered) {
        self.time.set_prefix(self.title.clone());
        self.time.set_length(millis(progress.total));
        self.time.set_position(millis(progress.elapsed.min(progress.total)));
        self.time.set_message(time_left(progress));
        while self.loads.len() < progress.loads.len() {
            let bar = self.all.add(ProgressBar::new(1));
            bar.set_style(
                ProgressStyle::with_template("  {wide_msg}").expect("the template is constant"),
            );
            self.loads.push(bar);
        }
        for (index, (bar, load)) in self.loads.iter().zip(&progress.loads).enumerate() {
            let text = load_line(load, offered.rate(index));
            bar.set_message(format!("{}  {text}", plain(&load.name, 24)));
        }
    }
}

impl Drop for Bars {
    /// The table that follows says it better.
    fn drop(&mut self) {
        let _ = self.all.clear();
    }
}

fn time_left(progress: &Progress) -> String {
    let left = progress.total.saturating_sub(progress.elapsed);
    if left.is_zero() {
        "waiting for the last answers".to_owned()
    } else {
        format!("{} s left", left.as_secs_f64().ceil())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::question::Ending;

    fn at(seconds: f64, due: u64) -> Progress {
        let load = LoadProgress {
            name: "digits".to_owned(),
            due,
            right: due,
            rate: 99.5,
            p50_ms: Some(1.25),
            in_flight: 3,
            ..LoadProgress::default()
        };
        Progress {
            elapsed: Duration::from_secs_f64(seconds),
            total: Duration::from_secs(10),
            loads: vec![load],
        }
    }

    #[test]
    fn the_offered_rate_is_that_of_the_last_second() {
        let mut offered = Offered::default();
        assert!(offered.observe(&at(0.0, 0)));
        for step in 1..=20_u64 {
            let due = if step <= 10 { step * 25 } else { 250 + (step - 10) * 50 };
            assert!(!offered.observe(&at(step as f64 / 4.0, due)));
        }
        assert!((offered.rate(0) - 200.0).abs() < 1.0, "{}", offered.rate(0));
        assert_eq!(offered.rate(7), 0.0, "a load that is not there is offered nothing");
    }

    #[test]
    fn a_drive_that_starts_anew_is_seen_from_its_beginning() {
        let mut offered = Offered::default();
        offered.observe(&at(9.0, 900));
        assert!(offered.observe(&at(0.0, 0)));
        assert_eq!(offered.rate(0), 0.0);
    }

    #[test]
    fn a_plain_line_says_rates_percentiles_and_the_worst_error() {
        let mut offered = Offered::default();
        offered.observe(&at(0.0, 0));
        let mut progress = at(1.0, 100);
        progress.loads[0].errors = 7;
        progress.loads[0].worst = Some((Ending::Refused, 5));
        offered.observe(&progress);
        let lines = plain_lines("run", &progress, &offered);
        assert_eq!(
            lines,
            [
                "run 1/10 s  99.5/s right of 100/s due, p50 1.25 p99 - ms, 3 in flight, 7 errors (5 refused)"
            ]
        );
    }

    #[test]
    fn errors_of_one_kind_are_named_by_it() {
        let mut progress = at(1.0, 100);
        progress.loads[0].errors = 5;
        progress.loads[0].worst = Some((Ending::TimedOut, 5));
        let line = load_line(&progress.loads[0], 100.0);
        assert!(line.ends_with("3 in flight, 5 timed_out"), "{line}");
    }

    #[test]
    fn after_the_end_it_waits_for_the_last_answers() {
        assert_eq!(time_left(&at(10.5, 0)), "waiting for the last answers");
        assert_eq!(time_left(&at(7.2, 0)), "3 s left");
    }
}
