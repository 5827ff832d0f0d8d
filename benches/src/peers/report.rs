//! The figures as Markdown: who carries how much, how long it takes at one rate for all, and who
//! suffers for whose fault.

use tidegate_loadtest::figures::{Latency, Run};
use tidegate_loadtest::histogram::Recorded;
use tidegate_loadtest::question::Ending;

use super::contender::{INSTANCES, MAX_BATCH};
use super::faults::{Case, Harm};
use super::measure::{Arm, Field, Plan, Point};
use crate::output::{Table, figure, grouped};
use tidegate_loadtest::statistics::median;

/// Everything that was found.
pub struct Findings {
    pub fields: Vec<Field>,
    pub cases: Vec<Case>,
    /// Who, and why.
    pub skipped: Vec<(String, String)>,
}

pub fn markdown(findings: &Findings, plan: &Plan, salvoes: usize) -> String {
    let mut text = conditions(plan);
    for field in &findings.fields {
        let model = field.model;
        text.push_str(&format!("\n**{model}, closed loop.** Requests/s (p50 in ms)\n\n"));
        text.push_str(&closed(field));
        text.push_str(&format!("\n**{model}, open loop.**\n\n"));
        text.push_str(&open(field));
    }
    if !findings.cases.is_empty() {
        text.push_str(&format!("\n**One caller's fault.** {salvoes} salvoes of 32 each\n\n"));
        text.push_str(&faults(&findings.cases));
    }
    text.push_str(&remarks(findings));
    text
}

fn conditions(plan: &Plan) -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!(
        "{rounds} rounds; each loads every server at every point for {seconds} s after 0.3 s of warm-up, one after \
         the other, while the others stand still (SIGSTOP). {cores} cores, which the generator shares. The same V2 \
         JSON bodies for all, one row each; every answer was compared with ONNX Runtime's own. Every server: \
         {INSTANCES} instances of one ONNX Runtime thread. Tidegate as it is by default; peers with batches of \
         up to {MAX_BATCH} and the delay that stands beside their name. Rates and ratios are medians over the \
         rounds (ratios of the rounds' own pairs), latencies stand on the samples of all rounds. CPU is user and \
         system time of all the server's processes.\n",
        rounds = plan.rounds,
        seconds = plan.time.as_secs_f64(),
    )
}

fn closed(field: &Field) -> String {
    let points = points(field, |point| matches!(point, Point::Callers(_)));
    let Some(&(last, busiest)) = points.last() else { return String::new() };
    let mut columns: Vec<String> = points.iter().map(|(_, point)| point.to_string()).collect();
    columns.push(format!("CPU µs/request, {busiest}"));
    columns.extend(points.iter().map(|(_, point)| format!("Tidegate ÷ it, {point}")));
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let mut table = Table::new(&["server"], &columns);
    for arm in &field.arms {
        let mut row = vec![arm.contender.label.to_owned()];
        row.extend(points.iter().map(|(index, _)| {
            let runs = &arm.runs[*index];
            let p50 = figure(ms(&latency(runs), 0.5));
            format!("{} ({p50})", figure(median(runs.iter().map(|run| run.throughput))))
        }));
        row.push(figure(cpu(&arm.runs[last])));
        row.extend(points.iter().map(|(index, _)| ratio(field, arm, *index, |run| run.throughput)));
        table.row(row);
    }
    table.into_markdown()
}

fn open(field: &Field) -> String {
    let columns =
        ["right/s", "p50 ms", "p99 ms", "samples", "errors", "CPU µs/request", "p99 ÷ Tidegate's"];
    let mut table = Table::new(&["rate", "server"], &columns);
    for (index, point) in points(field, |point| matches!(point, Point::Rate(_))) {
        for arm in &field.arms {
            let runs = &arm.runs[index];
            let all = latency(runs);
            let p99 = |run: &Run| ms(&run.best_latency().histogram, 0.99);
            table.row([
                point.to_string(),
                arm.contender.label.to_owned(),
                figure(median(runs.iter().map(|run| run.throughput))),
                figure(ms(&all, 0.5)),
                figure(ms(&all, 0.99)),
                grouped(i64::try_from(all.len()).unwrap_or(i64::MAX)),
                errors(runs),
                figure(cpu(runs)),
                inverse_ratio(field, arm, index, p99),
            ]);
        }
    }
    table.into_markdown()
}

fn faults(cases: &[Case]) -> String {
    let mut table = Table::new(
        &["fault", "server", "who is at fault gets"],
        &["neighbours", "of them failed", "of them wrong numbers, status 200"],
    );
    for Case { fault, contender, harm } in cases {
        let mut row = vec![fault.title().to_owned(), contender.label.to_owned()];
        match harm {
            Ok(harm) => row.extend(harmed(harm)),
            Err(reason) => row.extend([reason.as_str(), "-", "-", "-"].map(str::to_owned)),
        }
        table.row(row);
    }
    table.into_markdown()
}

fn harmed(harm: &Harm) -> [String; 4] {
    let culprits: Vec<&str> = harm.culprits.keys().map(String::as_str).collect();
    let share = |count: usize| {
        let share = 100.0 * count as f64 / harm.neighbours as f64;
        if count == 0 { "0".to_owned() } else { format!("{count} ({share:.0} %)") }
    };
    [culprits.join(", "), harm.neighbours.to_string(), share(harm.failed), share(harm.wrong)]
}

/// What a reader has to know beside the tables.
fn remarks(findings: &Findings) -> String {
    let mut lines = Vec::new();
    for (who, why) in &findings.skipped {
        lines.push(format!("Skipped: {who}: {why}"));
    }
    for field in &findings.fields {
        for arm in &field.arms {
            let who = format!("{}, {}", field.model, arm.contender.label);
            lines.extend(arm.left.iter().map(|why| format!("Left early: {who}: {why}")));
            lines.extend(wrong(arm).map(|what| format!("Wrong answers: {who}: {what}")));
            lines.extend(invalid(field, arm).map(|why| format!("Not valid: {who}: {why}")));
        }
    }
    if lines.is_empty() && !findings.fields.is_empty() {
        return "\nEvery success was a right answer, and the generator kept up in every run.\n"
            .to_owned();
    }
    lines.iter().fold("\n".to_owned(), |text, line| format!("{text}- {line}\n"))
}

fn wrong(arm: &Arm) -> Option<String> {
    let runs = || arm.runs.iter().flatten();
    let of = |run: &Run| run.count(Ending::Wrong) + run.count(Ending::Unreadable);
    let (wrong, all): (u64, u64) = (runs().map(of).sum(), runs().map(|run| run.requests).sum());
    (wrong > 0).then(|| format!("{wrong} of {all}"))
}

/// The first reason of each point. A server that answered nothing is in the tables already.
fn invalid(field: &Field, arm: &Arm) -> Option<String> {
    let reasons = field.points.iter().zip(&arm.runs).filter_map(|(point, runs)| {
        let mut invalid =
            runs.iter().filter(|run| run.best_latency().samples > 0 && !run.validity.valid);
        let first = invalid.next()?;
        let (count, reason) = (1 + invalid.count(), first.validity.reasons.join("; "));
        Some(format!("{point}, {count} of {} runs: {reason}", runs.len()))
    });
    let reasons: Vec<String> = reasons.collect();
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

fn points(field: &Field, wanted: impl Fn(&Point) -> bool) -> Vec<(usize, Point)> {
    field.points.iter().copied().enumerate().filter(|(_, point)| wanted(point)).collect()
}

fn latency(runs: &[Run]) -> Recorded {
    let mut all = Recorded::default();
    for Latency { histogram, .. } in runs.iter().map(Run::best_latency) {
        all.add(histogram);
    }
    all
}

/// A histogram of nothing has no percentile.
fn ms(recorded: &Recorded, quantile: f64) -> f64 {
    if recorded.is_empty() { f64::NAN } else { recorded.ms(quantile) }
}

/// Microseconds a request, over all rounds: the system counts them in hundredths of a second.
fn cpu(runs: &[Run]) -> f64 {
    let seconds: f64 = runs.iter().filter_map(|run| run.server.cpu_s).sum();
    let requests: u64 = runs.iter().map(|run| run.count(Ending::Right)).sum();
    seconds * 1e6 / requests as f64
}

/// Of all that were due; with the most frequent kind.
fn errors(runs: &[Run]) -> String {
    let (errors, all) =
        runs.iter().fold((0, 0), |(errors, all), run| (errors + run.errors(), all + run.requests));
    if errors == 0 {
        return "0".to_owned();
    }
    let count = |ending: &Ending| runs.iter().map(|run| run.count(*ending)).sum::<u64>();
    let kinds = Ending::ALL.into_iter().filter(|ending| ending.is_error());
    let worst = kinds.max_by_key(count).map_or("", Ending::name);
    format!("{} % {worst}", figure(100.0 * errors as f64 / all as f64))
}

/// The first contender's figure over this one's, round by round.
fn ratio(field: &Field, arm: &Arm, point: usize, of: impl Fn(&Run) -> f64) -> String {
    let Some(first) = field.arms.first() else { return "-".to_owned() };
    let pairs = first.runs[point].iter().zip(&arm.runs[point]);
    shown(median(pairs.map(|(ours, its)| of(ours) / of(its))))
}

fn inverse_ratio(field: &Field, arm: &Arm, point: usize, of: impl Fn(&Run) -> f64) -> String {
    ratio(field, arm, point, |run| of(run).recip())
}

fn shown(ratio: f64) -> String {
    if ratio.is_finite() { format!("{}x", figure(ratio)) } else { "-".to_owned() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::contender::CONTENDERS;
    use super::super::faults::Fault;
    use super::*;

    #[test]
    fn harm_is_told_in_numbers_and_shares() {
        let culprits = BTreeMap::from([("200".to_owned(), 3), ("500".to_owned(), 5)]);
        let harm = Harm { neighbours: 240, failed: 60, wrong: 0, culprits };
        let case = Case { fault: Fault::Shape, contender: CONTENDERS[0], harm: Ok(harm) };
        let table = faults(&[case]);
        let row = "| one of 32 has a wrong shape | Tidegate | 200, 500 | 240 | 60 (25 %) | 0 |";
        assert_eq!(table.lines().last(), Some(row));
    }

    #[test]
    fn who_is_skipped_is_named_with_the_reason() {
        let skipped = vec![("mosec".to_owned(), "no wheel for this machine".to_owned())];
        let findings = Findings { fields: Vec::new(), cases: Vec::new(), skipped };
        assert_eq!(remarks(&findings), "\n- Skipped: mosec: no wheel for this machine\n");
    }

    #[test]
    fn a_ratio_of_nothing_is_a_dash() {
        assert_eq!([shown(2.5), shown(f64::NAN), shown(f64::INFINITY)], ["2.50x", "-", "-"]);
    }
}
