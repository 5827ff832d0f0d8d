//! The comparison as text.

use std::fmt::Write;

use crate::compare::sides::REPEATS;
use crate::compare::{Compared, Comparison, LoadComparison, Verdict};

pub(super) fn table(comparison: &Comparison) -> String {
    let mut text = String::new();
    for warning in &comparison.warnings {
        line(&mut text, &format!("warning: {warning}"));
    }
    for load in &comparison.loads {
        one(&mut text, load);
    }
    text
}

fn one(text: &mut String, load: &LoadComparison) {
    line(text, &format!("{}: {} runs of {}", load.name, load.runs_a, load.a));
    let paired = if load.paired { ", paired by repeat" } else { "" };
    line(
        text,
        &format!(
            "{:width$}  {} runs of {}{paired}",
            "",
            load.runs_b,
            load.b,
            width = load.name.chars().count()
        ),
    );
    line(text, "");
    let head = ["", "A", "B", "B / A", "95 % interval", ""].map(str::to_owned);
    let rows: Vec<[String; 6]> =
        std::iter::once(head).chain(load.figures.iter().map(row)).collect();
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    for row in &rows {
        let mut cells = format!("  {:<width$}", row[0], width = width(0));
        for (column, cell) in row.iter().enumerate().take(5).skip(1) {
            // Writing to a string does not fail.
            let _ = write!(cells, "  {cell:>width$}", width = width(column));
        }
        line(text, format!("{cells}  {}", row[5]).trim_end());
    }
    line(text, "");
    let told =
        |figure: &&Compared| matches!(figure.verdict, Verdict::BIsBetter | Verdict::BIsWorse);
    for figure in load.figures.iter().filter(told) {
        line(text, &figure.words);
    }
    if !load.figures.iter().any(|figure| told(&figure)) {
        line(text, "No difference was found beyond noise.");
    }
    notes(text, load);
}

fn notes(text: &mut String, load: &LoadComparison) {
    if load.runs_a.min(load.runs_b) < REPEATS {
        line(
            text,
            &format!(
                "Weak: fewer than {REPEATS} runs on a side are compared by their seconds, which do not show how much \
                 runs differ from each other. `run --repeat {REPEATS} --versus` tells more."
            ),
        );
        for figure in load.figures.iter().filter(|figure| figure.basis.starts_with("seconds")) {
            line(text, &format!("  {}: {}", figure.figure, figure.basis));
        }
    }
    line(
        text,
        "Each interval is one at 95 %: of twenty figures that are alike, about one looks as if it were not.",
    );
}

fn row(compared: &Compared) -> [String; 6] {
    let ratio = compared.scale == "ratio";
    let change = |value: f64| if ratio { format!("{value:.3}") } else { format!("{value:+.3} pt") };
    let interval = compared.interval.map_or_else(
        || "-".to_owned(),
        |span| format!("{} .. {}", change(span.low), change(span.high)),
    );
    let known = compared.interval.is_some() || compared.change != 0.0 || !ratio;
    [
        format!("{} [{}]", compared.figure, compared.unit),
        digits(compared.a),
        digits(compared.b),
        if known { change(compared.change) } else { "-".to_owned() },
        interval,
        compared.verdict.to_string(),
    ]
}

/// About four digits that mean something.
fn digits(value: f64) -> String {
    match value.abs() {
        large if large >= 1000.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

fn line(text: &mut String, words: &str) {
    text.push_str(words);
    text.push('\n');
}
