//! Quantiles of the normal and of Student's distribution, both two-sided: how many standard deviations hold so much.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI, TAU};

/// Beyond it `f64` has no digits left for what remains outside.
const MOST_CONFIDENCE: f64 = 1.0 - 1e-12;

/// The z for which a normal variate lies within -z to z with this probability: 2.576 for 0.99.
pub fn two_sided_normal(confidence: f64) -> f64 {
    let confidence = confidence.clamp(0.0, MOST_CONFIDENCE);
    let mut z = 0.0;
    // Newton's steps. From 0 on the curve bends downwards, so they come from below and do not overshoot.
    for _ in 0..100 {
        let step = (confidence - normal_within(z)) / (2.0 * density(z));
        z += step;
        if step.abs() < 1e-14 {
            break;
        }
    }
    z
}

/// The t for which a variate with so many degrees of freedom lies within -t to t with this probability. At least one degree
/// of freedom is assumed.
pub fn student_two_sided(confidence: f64, freedom: usize) -> f64 {
    if freedom > 1000 {
        return two_sided_normal(confidence);
    }
    let confidence = confidence.clamp(0.0, MOST_CONFIDENCE);
    // By halves over the angle, which is bounded where t is not.
    let (mut low, mut high) = (0.0, TAU / 4.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if student_within(middle, freedom.max(1)) < confidence {
            low = middle
        } else {
            high = middle
        }
    }
    (freedom.max(1) as f64).sqrt() * low.tan()
}

/// The probability of a normal variate below `z`.
pub(super) fn normal_below(z: f64) -> f64 {
    if z < 0.0 {
        f64::midpoint(1.0, -normal_within(-z))
    } else {
        f64::midpoint(1.0, normal_within(z))
    }
}

/// The probability of -z to z, by the Taylor series about 0 (Marsaglia, "Evaluating the normal distribution", 2004): all its
/// terms are positive, so no digits cancel.
fn normal_within(z: f64) -> f64 {
    if z > 8.5 {
        return 1.0;
    }
    let (mut sum, mut term, mut factor) = (z, z, 1.0);
    while term > sum * 1e-17 {
        factor += 2.0;
        term *= z * z / factor;
        sum += term;
    }
    (2.0 * density(z) * sum).min(1.0)
}

fn density(z: f64) -> f64 {
    (-z * z / 2.0).exp() * FRAC_1_SQRT_2 / (TAU / 2.0).sqrt()
}

/// Abramowitz and Stegun, 26.7.3 and 26.7.4, with t = sqrt(freedom) tan(angle).
fn student_within(angle: f64, freedom: usize) -> f64 {
    let (sine, cosine) = angle.sin_cos();
    let odd = freedom % 2 == 1;
    let (mut term, first) = if odd { (cosine, 3) } else { (1.0, 2) };
    let mut sum = 0.0;
    for k in (first..=freedom).step_by(2) {
        sum += term;
        term *= (k - 1) as f64 / k as f64 * cosine * cosine;
    }
    if odd { FRAC_2_PI * (angle + sine * sum) } else { sine * sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_quantiles_are_those_of_the_tables() {
        for (confidence, z) in [
            (0.0, 0.0),
            (0.5, 0.674_489_750_196_082),
            (0.9, 1.644_853_626_951_472),
            (0.95, 1.959_963_984_540_054),
            (0.99, 2.575_829_303_548_901),
            (0.999_999, 4.891_638_475_698_9),
        ] {
            assert!((two_sided_normal(confidence) - z).abs() < 1e-8, "{confidence}");
        }
        assert!(two_sided_normal(1.0).is_finite());
        assert!((normal_below(-1.959_963_984_540_054) - 0.025).abs() < 1e-12);
        assert!((normal_below(1.959_963_984_540_054) - 0.975).abs() < 1e-12);
    }

    #[test]
    fn student_quantiles_are_those_of_the_tables() {
        for (freedom, t) in [
            (1, 12.706_2),
            (2, 4.302_65),
            (3, 3.182_45),
            (4, 2.776_45),
            (5, 2.570_58),
            (10, 2.228_14),
            (11, 2.200_99),
            (1000, 1.962_34),
            (1001, 1.959_96),
        ] {
            assert!((student_two_sided(0.95, freedom) - t).abs() < 1e-4, "{freedom}");
        }
        assert!((student_two_sided(0.99, 4) - 4.604_09).abs() < 1e-4);
    }
}
