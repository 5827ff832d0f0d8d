//! Whether a run measured the server, or its own generator.
//!
//! Rules, each with what it protects from:
//!
//! - *Late.* The generator turned to requests so long after they were due that it shows in the latencies.
//! - *Saturated.* A generator thread used nearly all of a core: whatever was slow may have been the client.
//! - *Short.* Requests that were due never became due: the generator ended before its schedule.
//! - *Empty.* Nothing was answered rightly.
//! - *Interrupted.*

use crate::figures::{GeneratorFigures, Latency, Validity};

/// Lateness below these is noise of the system's timers and says nothing.
const LATE_P50_MS: f64 = 0.25;
const LATE_P99_MS: f64 = 1.0;
/// And above them it may be this share of the latency that it spoils.
const LATE_SHARE: f64 = 0.1;
/// Of one core. Evenly spaced requests keep a thread busy long before it is late: at 97 % of a core it was late by
/// 0.14 ms at p99. What is above this has no time left at all.
const SATURATED: f64 = 0.98;
/// Of the requests that were due: below it the wait for connections deserves a word.
const WAITED_SHARE: f64 = 0.01;

pub struct Evidence<'a> {
    pub generator: &'a GeneratorFigures,
    /// Corrected where there is such a thing.
    pub latency: &'a Latency,
    pub requests: u64,
    /// Requests that the schedule had in the whole load, and those that the generator turned to.
    pub scheduled: Option<u64>,
    pub turned_to: u64,
    pub interrupted: bool,
}

pub fn judge(evidence: &Evidence<'_>) -> Validity {
    let mut reasons = Vec::new();
    if evidence.interrupted {
        reasons.push("interrupted before its end".to_owned());
    }
    if evidence.latency.samples == 0 {
        reasons.push(format!(
            "none of {} requests was answered rightly: there is nothing to measure",
            evidence.requests
        ));
    }
    reasons.extend(late(evidence));
    let busiest = evidence.generator.busiest_thread;
    if busiest > SATURATED {
        reasons.push(format!(
            "the generator was saturated: a thread of it used {:.0} % of a core, and up to {:.0} % is fine; \
             more --threads, or a lower rate",
            busiest * 100.0,
            SATURATED * 100.0
        ));
    }
    if let Some(scheduled) = evidence.scheduled
        && evidence.turned_to < scheduled
        && !evidence.interrupted
    {
        let turned_to = evidence.turned_to;
        reasons.push(format!("the generator sent {turned_to} of {scheduled} scheduled requests"));
    }
    Validity {
        valid: reasons.is_empty(),
        interrupted: evidence.interrupted,
        reasons,
        notes: notes(evidence),
    }
}

fn late(evidence: &Evidence<'_>) -> Option<String> {
    let lateness = evidence.generator.lateness.as_ref()?;
    let spoils = |late: f64, floor: f64, latency: f64| late > floor && late > LATE_SHARE * latency;
    let latency = evidence.latency;
    // Without an answer there is no latency to spoil.
    if latency.samples == 0 {
        return None;
    }
    if !spoils(lateness.p50_ms, LATE_P50_MS, latency.p50_ms)
        && !spoils(lateness.p99_ms, LATE_P99_MS, latency.p99_ms)
    {
        return None;
    }
    Some(format!(
        "the generator fell behind its schedule: late by {:.2} ms at p50 and {:.2} ms at p99, \
         against latencies of {:.2} ms and {:.2} ms",
        lateness.p50_ms, lateness.p99_ms, latency.p50_ms, latency.p99_ms
    ))
}

fn notes(evidence: &Evidence<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    let samples = evidence.latency.samples;
    for (name, quantile, ms) in [
        ("p99", 0.99_f64, evidence.latency.p99_ms),
        ("p99.9", 0.999, evidence.latency.p999_ms),
        ("p99.99", 0.9999, evidence.latency.p9999_ms),
    ] {
        // A hundred samples beyond a percentile is where it begins to hold still.
        let wanted = (100.0 / (1.0 - quantile)).round();
        if samples > 0 && (samples as f64) < wanted {
            notes.push(format!(
                "{name} ({ms:.2} ms) stands on {samples} samples; about {wanted} make it steady"
            ));
            break;
        }
    }
    let waited = evidence.generator.waited;
    if waited as f64 > WAITED_SHARE * evidence.requests as f64 {
        let longest = evidence.generator.wait.as_ref().map_or(0.0, |wait| wait.max_ms);
        notes.push(format!(
            "{waited} of {} requests waited for a free connection, up to {longest:.0} ms: the wait counts in their \
             latency; --connections allows more at once",
            evidence.requests
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::histogram::Recorded;

    fn constant(ms: f64, samples: u64) -> Latency {
        let mut histogram = Recorded::default();
        for _ in 0..samples {
            histogram.record(Duration::from_secs_f64(ms / 1e3));
        }
        Latency::of(histogram)
    }

    /// A run of 20,000 requests with these latencies, whose generator was so late and so busy.
    fn judged(latency_ms: f64, late_ms: f64, busiest: f64) -> Validity {
        judged_with(latency_ms, late_ms, busiest, |_| {})
    }

    fn judged_with(
        latency_ms: f64,
        late_ms: f64,
        busiest: f64,
        change: impl FnOnce(&mut Evidence<'_>),
    ) -> Validity {
        let generator = GeneratorFigures {
            threads: 1,
            connections_opened: 1,
            resent: 0,
            cpu_cores: busiest,
            busiest_thread: busiest,
            lateness: Some(constant(late_ms, 20_000)),
            waited: 0,
            wait: None,
            most_in_flight: 1,
        };
        let latency = constant(latency_ms, 20_000);
        let mut evidence = Evidence {
            generator: &generator,
            latency: &latency,
            requests: 20_000,
            scheduled: Some(20_000),
            turned_to: 20_000,
            interrupted: false,
        };
        change(&mut evidence);
        judge(&evidence)
    }

    #[test]
    fn a_generator_that_spoils_its_own_latencies_makes_the_run_invalid() {
        assert!(judged(5.0, 0.05, 0.5).valid);
        let late = judged(5.0, 1.5, 0.5);
        assert!(late.reasons[0].contains("fell behind its schedule: late by 1.50 ms"), "{late}");
        assert!(!judged(1.0, 0.4, 0.5).valid, "two fifths of the median are the generator's own");
    }

    #[test]
    fn lateness_is_weighed_against_what_it_spoils() {
        assert!(judged(100.0, 5.0, 0.5).valid, "five per cent of the latency");
        assert!(judged(0.1, 0.2, 0.5).valid, "below what timers can do");
    }

    #[test]
    fn a_saturated_thread_makes_the_run_invalid() {
        assert!(judged(5.0, 0.05, 0.97).valid);
        let saturated = judged(5.0, 0.05, 0.99);
        assert!(saturated.reasons[0].contains("used 99 % of a core"), "{saturated}");
    }

    #[test]
    fn a_run_that_is_short_or_was_interrupted_or_has_no_answer_is_invalid() {
        let short = judged_with(5.0, 0.05, 0.5, |evidence| evidence.turned_to = 19_999);
        assert!(short.reasons[0].contains("19999 of 20000"), "{short}");
        let interrupted = judged_with(5.0, 0.05, 0.5, |evidence| {
            evidence.interrupted = true;
            evidence.turned_to = 100;
        });
        assert_eq!(interrupted.reasons, ["interrupted before its end"]);
        let nothing = constant(1.0, 0);
        assert!(
            !judge(&Evidence {
                generator: &GeneratorFigures {
                    threads: 1,
                    connections_opened: 0,
                    resent: 0,
                    cpu_cores: 0.1,
                    busiest_thread: 0.1,
                    lateness: None,
                    waited: 0,
                    wait: None,
                    most_in_flight: 1,
                },
                latency: &nothing,
                requests: 10,
                scheduled: None,
                turned_to: 10,
                interrupted: false,
            })
            .valid
        );
    }

    #[test]
    fn too_few_samples_are_a_note_about_the_first_percentile_that_they_do_not_carry() {
        let notes = judged(5.0, 0.05, 0.5).notes;
        assert_eq!(notes.len(), 1);
        assert!(notes[0].starts_with("p99.9 (5.00 ms) stands on 20000 samples"), "{notes:?}");
    }
}
