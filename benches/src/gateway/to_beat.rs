//! The targets that the project has set itself, and whether a figure reaches them.

use super::workload::Name;

/// A lone caller waits so much longer than the model's own time, at most.
const LONE_CALLER_US: f64 = 150.0;
/// Of the gateway's process, for a request to the tiny model by 64 callers: a third of Triton's.
const TINY_CPU_US: f64 = 12.0;
/// Callers, and the share of raw ONNX Runtime that they get from the heavy model.
const HEAVY_SHARES: [(usize, f64); 3] = [(8, 0.85), (32, 0.95), (64, 0.98)];

/// What was measured for one number of callers.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    pub callers: usize,
    pub cpu_us_per_request: f64,
    pub share_of_raw: f64,
    /// p50 of the caller, less that of the model alone.
    pub above_raw_us: f64,
}

/// The target beside what was measured; none where there is no target.
pub fn to_beat(name: Name, measured: &Measured) -> Option<String> {
    let Measured { callers, cpu_us_per_request, share_of_raw, above_raw_us } = *measured;
    if callers == 1 {
        let verdict = verdict(above_raw_us <= LONE_CALLER_US);
        return Some(format!(
            "p50 ≤ raw + {LONE_CALLER_US} µs: raw {above_raw_us:+.0} µs, {verdict}"
        ));
    }
    let heavy = HEAVY_SHARES.iter().find(|(target, _)| *target == callers);
    match (name, heavy) {
        (Name::Tiny, _) if callers == 64 => {
            let verdict = verdict(cpu_us_per_request <= TINY_CPU_US);
            Some(format!("CPU ≤ {TINY_CPU_US} µs: {cpu_us_per_request:.1} µs, {verdict}"))
        }
        (Name::Heavy, Some((_, target))) => {
            let verdict = verdict(share_of_raw >= *target);
            let (target, share) = (target * 100.0, share_of_raw * 100.0);
            Some(format!("≥ {target:.0} % of raw: {share:.1} %, {verdict}"))
        }
        _ => None,
    }
}

fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "**missed**" }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Measured =
        Measured { callers: 64, cpu_us_per_request: 11.0, share_of_raw: 0.99, above_raw_us: 149.0 };

    fn shown(name: Name, measured: Measured) -> String {
        to_beat(name, &measured).unwrap_or_default()
    }

    #[test]
    fn a_target_is_met_or_missed_by_its_own_figure() {
        assert_eq!(shown(Name::Tiny, GOOD), "CPU ≤ 12 µs: 11.0 µs, met");
        let dear = Measured { cpu_us_per_request: 12.1, ..GOOD };
        assert_eq!(shown(Name::Tiny, dear), "CPU ≤ 12 µs: 12.1 µs, **missed**");
        assert_eq!(shown(Name::Heavy, GOOD), "≥ 98 % of raw: 99.0 %, met");
        let poor = Measured { share_of_raw: 0.5, callers: 8, ..GOOD };
        assert_eq!(shown(Name::Heavy, poor), "≥ 85 % of raw: 50.0 %, **missed**");
    }

    #[test]
    fn every_model_has_a_target_for_a_lone_caller() {
        let lone = Measured { callers: 1, ..GOOD };
        for name in [Name::Tiny, Name::Heavy, Name::Digits, Name::Orientation] {
            assert!(shown(name, lone).ends_with("raw +149 µs, met"), "{name:?}");
            let late = Measured { above_raw_us: 151.0, ..lone };
            assert!(shown(name, late).ends_with("**missed**"), "{name:?}");
        }
    }

    #[test]
    fn what_is_no_target_is_not_judged() {
        assert_eq!(to_beat(Name::Digits, &GOOD), None);
        assert_eq!(to_beat(Name::Heavy, &Measured { callers: 16, ..GOOD }), None);
    }
}
