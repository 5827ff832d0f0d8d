//! Where larger batches stop paying.

/// A larger batch that brings no more than this over a smaller one only adds latency.
const GAIN: f64 = 1.05;

/// Of batches in ascending order, each with its rows per second: the smallest that no larger one beats by more than five
/// per cent. None when the last is the one, for then a larger batch that was not tried might be faster still, or when there is only one.
///
/// All larger ones are looked at, not only the next: one disturbed measurement must not end the curve.
pub fn knee(curve: &[(usize, f64)]) -> Option<usize> {
    let (last, _) = curve.last()?;
    curve
        .iter()
        .enumerate()
        .find(|(index, (_, rate))| {
            curve[index + 1..].iter().all(|(_, larger)| *larger <= rate * GAIN)
        })
        .map(|(_, (batch, _))| *batch)
        .filter(|batch| batch != last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_knee_is_the_smallest_batch_that_no_larger_one_beats_by_five_per_cent() {
        let curve = [(1, 100.0), (2, 180.0), (4, 300.0), (8, 310.0), (16, 290.0)];
        assert_eq!(knee(&curve), Some(4));
        let flat = [(1, 100.0), (2, 104.0), (4, 99.0)];
        assert_eq!(knee(&flat), Some(1));
    }

    #[test]
    fn a_dip_on_the_way_up_is_no_knee() {
        let curve = [(1, 100.0), (2, 90.0), (4, 200.0), (8, 201.0)];
        assert_eq!(knee(&curve), Some(4));
    }

    #[test]
    fn a_curve_that_still_rises_has_no_knee_yet() {
        assert_eq!(knee(&[(1, 100.0), (2, 200.0)]), None);
        assert_eq!(knee(&[(1, 100.0)]), None);
        assert_eq!(knee(&[]), None);
    }
}
