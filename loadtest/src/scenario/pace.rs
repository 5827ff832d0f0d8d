//! Arrivals as a scenario file writes them: `poisson:200` requests per second, or `poisson:10x` the capacity.

use std::path::Path;

use super::plan::Pace;
use crate::arrivals::Pattern;

/// Paths of traces are relative to `folder`.
///
/// # Errors
/// What is wrong with it, in one sentence.
pub fn read(text: &str, folder: &Path) -> Result<Pace, String> {
    let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
    if kind == "trace" {
        return parse(&format!("trace:{}", folder.join(rest).display())).map(Pace::Open);
    }
    let (plain, multiples) = without_signs(rest);
    if multiples == 0 {
        return parse(text).map(Pace::Open);
    }
    let pattern = parse(&format!("{kind}:{plain}"))?;
    if multiples != rates(&pattern) {
        return Err(format!(
            "expected all rates as multiples of the capacity or none, got {text:?}"
        ));
    }
    Ok(Pace::OfCapacity(pattern))
}

/// Without the `x` at the end of each number, and how many there were.
fn without_signs(text: &str) -> (String, usize) {
    let mut plain = text.strip_suffix('x').unwrap_or(text).to_owned();
    let mut signs = usize::from(plain.len() < text.len());
    for (signed, bare) in [("x@", "@"), ("x/", "/"), ("x..", "..")] {
        signs += plain.matches(signed).count();
        plain = plain.replace(signed, bare);
    }
    (plain, signs)
}

fn parse(text: &str) -> Result<Pattern, String> {
    text.parse().map_err(|error: crate::arrivals::PatternError| error.to_string())
}

fn rates(pattern: &Pattern) -> usize {
    match pattern {
        Pattern::Constant { .. } | Pattern::Poisson { .. } => 1,
        Pattern::Bursty { .. } | Pattern::Ramp { .. } => 2,
        Pattern::Steps(steps) => steps.len(),
        Pattern::Trace(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Pace, String> {
        read(text, Path::new("/nowhere"))
    }

    #[test]
    fn rates_may_be_multiples_of_the_capacity_but_not_some_of_them() {
        assert_eq!(of("poisson:200"), Ok(Pace::Open("poisson:200".parse().unwrap())));
        assert_eq!(of("poisson:10x"), Ok(Pace::OfCapacity("poisson:10".parse().unwrap())));
        let steps = "steps:0.5@4s,3@2s".parse().unwrap();
        assert_eq!(of("steps:0.5x@4s,3x@2s"), Ok(Pace::OfCapacity(steps)));
        for bad in ["steps:0.5x@4s,3@2s", "x", "poisson:x", "poisson:1x0x", "poisson:1x0"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_trace_lies_beside_the_file() {
        let error = of("trace:calls.csv@2x").unwrap_err();
        assert!(error.starts_with("trace /nowhere/calls.csv: "), "{error}");
    }
}
