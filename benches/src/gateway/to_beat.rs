//! The targets that the project has set itself, and whether a figure reaches them: what is demanded, and what is aimed for.

use super::workload::Name;

/// A lone caller waits so much longer than the model's own time, and this share of that time, at most.
const LONE_CALLER_US: f64 = 100.0;
const LONE_CALLER_SHARE: f64 = 0.03;
/// Requests per second of the tiny model, as a share of the bare server's.
const TINY_SHARE: Target = Target { least: 0.60, aim: 0.75 };
/// The same over gRPC, whose bare server is tonic's, for every number of callers.
const GRPC_SHARE: Target = Target { least: 0.50, aim: 0.60 };
/// Callers, and the share of raw ONNX Runtime that they get from the heavy model, on the cores that the generator left.
const HEAVY_SHARES: [(usize, Target); 3] = [
    (8, Target { least: 0.80, aim: 0.85 }),
    (32, Target { least: 0.95, aim: 0.98 }),
    (64, Target { least: 0.95, aim: 0.98 }),
];

struct Target {
    least: f64,
    aim: f64,
}

/// What was measured for one number of callers.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    pub callers: usize,
    pub cpu_us_per_request: f64,
    pub bare_cpu_us_per_request: f64,
    pub ratio_to_bare: f64,
    pub share_of_raw: f64,
    /// p50 of the caller, less that of the model alone.
    pub above_raw_us: f64,
    /// p50 of the model alone.
    pub raw_us: f64,
}

/// The target beside what was measured; none where there is no target.
pub fn to_beat(name: Name, measured: &Measured) -> Option<String> {
    let Measured { callers, cpu_us_per_request, ratio_to_bare, .. } = *measured;
    if name == Name::TinyGrpc {
        return Some(GRPC_SHARE.judged("bare", ratio_to_bare));
    }
    if callers == 1 {
        let limit = LONE_CALLER_US + LONE_CALLER_SHARE * measured.raw_us;
        let verdict = if measured.above_raw_us <= limit { "met" } else { "**missed**" };
        let above = measured.above_raw_us;
        return Some(format!("p50 ≤ raw + {limit:.0} µs: raw {above:+.0} µs, {verdict}"));
    }
    let heavy = HEAVY_SHARES.iter().find(|(target, _)| *target == callers);
    match (name, heavy) {
        (Name::Tiny | Name::TinyBinary, _) if callers >= 32 => {
            let cpu = cpu_us_per_request / measured.bare_cpu_us_per_request;
            let share = TINY_SHARE.judged("bare", ratio_to_bare);
            Some(format!("{share}; CPU {cpu:.2} of bare's"))
        }
        (Name::Heavy, Some((_, target))) => Some(target.judged("raw", measured.share_of_raw)),
        _ => None,
    }
}

impl Target {
    fn judged(&self, of: &str, share: f64) -> String {
        let verdict = match share {
            share if share >= self.aim => "met, and the aim",
            share if share >= self.least => "met",
            _ => "**missed**",
        };
        let percent = |share: f64| share * 100.0;
        let (least, aim, share) = (percent(self.least), percent(self.aim), percent(share));
        format!("≥ {least:.0} % of {of} (aim {aim:.0}): {share:.1} %, {verdict}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Measured = Measured {
        callers: 64,
        cpu_us_per_request: 12.0,
        bare_cpu_us_per_request: 10.0,
        ratio_to_bare: 0.7,
        share_of_raw: 0.99,
        above_raw_us: 129.0,
        raw_us: 1000.0,
    };

    fn shown(name: Name, measured: Measured) -> String {
        to_beat(name, &measured).unwrap_or_default()
    }

    #[test]
    fn a_target_is_met_or_missed_by_its_own_figure() {
        let tiny = shown(Name::Tiny, GOOD);
        assert_eq!(tiny, "≥ 60 % of bare (aim 75): 70.0 %, met; CPU 1.20 of bare's");
        let slow = shown(Name::Tiny, Measured { ratio_to_bare: 0.5, ..GOOD });
        assert!(slow.contains("50.0 %, **missed**"), "{slow}");
        let heavy = shown(Name::Heavy, GOOD);
        assert_eq!(heavy, "≥ 95 % of raw (aim 98): 99.0 %, met, and the aim");
        let poor = Measured { share_of_raw: 0.5, callers: 8, ..GOOD };
        assert_eq!(shown(Name::Heavy, poor), "≥ 80 % of raw (aim 85): 50.0 %, **missed**");
    }

    #[test]
    fn every_model_has_a_target_for_a_lone_caller() {
        let lone = Measured { callers: 1, ..GOOD };
        let all = [Name::Tiny, Name::TinyBinary, Name::Heavy, Name::Digits, Name::Orientation];
        for name in all {
            assert_eq!(shown(name, lone), "p50 ≤ raw + 130 µs: raw +129 µs, met");
            let late = Measured { above_raw_us: 131.0, ..lone };
            assert!(shown(name, late).ends_with("**missed**"), "{name:?}");
        }
    }

    #[test]
    fn what_is_no_target_is_not_judged() {
        assert_eq!(to_beat(Name::Digits, &GOOD), None);
        assert_eq!(to_beat(Name::Heavy, &Measured { callers: 16, ..GOOD }), None);
    }
}
