//! What a run costs, learned: the time that a batch of so many rows takes, for one shape.
//!
//! The *curve* holds a time for each of a few batch sizes and is drawn straight in between. Warm-up gives
//! the first one; every run after that moves it. Two numbers tell how the present differs from it:
//! the *pace* (how much longer runs take now than the curve says, followed quickly, because a neighbour
//! that steals a core slows down every size alike) and the *tail* (what the slowest twentieth takes
//! in relation to the usual, followed as a quantile: up by 19 small steps for a run above it, down by one
//! for a run below, so that it rests where one run in twenty is above; Robbins and Monro, 1951).
//!
//! The *knee* is the smallest batch of which no larger one gives more than [`WORTHWHILE`] more rows per second.
//! Past it a larger batch only adds latency.

use std::time::Duration;

/// Batch sizes that the curve knows. Between two of them a straight line is close enough.
const SIZES: [usize; 21] =
    [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024, 2048, 4096];

/// A larger batch has to give so much more rows per second, or it is past the knee.
const WORTHWHILE: f64 = 1.05;

/// What a backlog is worth a larger batch for: so much more rate, in a run at most so many times as long.
const NOTABLE: f64 = 1.02;
const LONGER: f64 = 2.0;

/// How fast a size's own time, the pace and the tail follow what is seen.
const SHAPE_GAIN: f64 = 0.02;
/// Of a size that was seen little, so much more: warm-up counts as one look.
const FIRST_LOOKS: u8 = 50;
const PACE_GAIN: f64 = 0.15;
const TAIL_STEP: f64 = 0.004;
/// Steps up for one step down: rests at the 95th percentile.
const TAIL_UP: f64 = 19.0;

/// One run counts as at most so many times the usual: a hiccup of the machine is not a trend.
const OUTLIER: f64 = 2.0;
const LARGEST_TAIL: f64 = 10.0;

/// What no run has confirmed for so long refuses and condemns nobody: what it forbids would never be tried again.
pub(crate) const BELIEVED: Duration = Duration::from_secs(1);

/// A lucky run takes so much of the usual time.
const AT_BEST: f64 = 0.8;

/// One in so many batches is let past the knee where there are rows for it, to see whether it is still there: warm-up may
/// have had a bad moment, so at first more often.
const FIRST_LOOK_BEYOND: u32 = 4;
const LOOK_BEYOND: u32 = 32;

/// The learned latency of one shape. Starts empty: then everything is unknown.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Seconds at each of [`SIZES`], where known.
    seconds: [Option<f64>; SIZES.len()],
    /// How often each of them was looked at, up to [`FIRST_LOOKS`].
    looks: [u8; SIZES.len()],
    pace: f64,
    tail: f64,
    /// Runs seen since it began or was guessed.
    seen: u32,
    knee: Option<usize>,
    /// The size with the highest rate, not far past the knee.
    full: Option<usize>,
    /// Runs until the next look beyond the knee.
    until_look: u32,
    looks_beyond_every: u32,
}

impl Default for Curve {
    fn default() -> Self {
        Self {
            seconds: [None; SIZES.len()],
            looks: [0; SIZES.len()],
            pace: 1.0,
            tail: 1.2,
            seen: 0,
            knee: None,
            full: None,
            until_look: FIRST_LOOK_BEYOND,
            looks_beyond_every: FIRST_LOOK_BEYOND,
        }
    }
}

impl Curve {
    /// A curve through measured points, in any order. Points of no rows or no time are left out.
    pub fn through(points: &[(usize, Duration)]) -> Self {
        let mut curve = Self::default();
        for &(rows, time) in points {
            if rows > 0 && !time.is_zero() {
                curve.seconds[place(rows)] = Some(time.as_secs_f64());
                curve.looks[place(rows)] = 1;
            }
        }
        curve.find_knee();
        curve
    }

    /// A guess for a shape whose rows have `factor` times the bytes of this one's. The first runs
    /// correct it.
    pub(crate) fn guess(&self, factor: f64) -> Self {
        let mut guess = Self { seen: 0, ..self.clone() };
        guess.pace = (self.pace * factor).clamp(1e-3, 1e3);
        guess
    }

    /// What a batch of so many rows usually takes now. None while nothing is known.
    pub fn typical(&self, rows: usize) -> Option<Duration> {
        self.shape(rows).map(|seconds| duration(seconds * self.pace))
    }

    /// What nineteen batches in twenty stay below.
    pub fn slow(&self, rows: usize) -> Option<Duration> {
        self.shape(rows).map(|seconds| duration(seconds * self.pace * self.tail))
    }

    /// What no batch was ever notably faster than, as far as the usual tells.
    pub(crate) fn at_best(&self, rows: usize) -> Option<Duration> {
        self.shape(rows).map(|seconds| duration(seconds * self.pace * AT_BEST))
    }

    /// The smallest batch of which no larger one gives notably more rows per second. None while
    /// nothing is known, or while the largest size known is still the best by far.
    pub fn knee(&self) -> Option<usize> {
        self.knee
    }

    /// The rows of a batch when more than enough wait: past the knee where that gives a little more, because with a
    /// backlog the rate is what latency comes from.
    pub(crate) fn full(&self, max_rows: usize) -> usize {
        self.full.map_or(max_rows, |full| full.min(max_rows))
    }

    /// The sizes known and what they usually take now.
    pub fn points(&self) -> impl Iterator<Item = (usize, Duration)> + '_ {
        let known = SIZES.iter().zip(&self.seconds);
        known.filter_map(|(rows, seconds)| Some((*rows, duration((*seconds)? * self.pace))))
    }

    /// A batch of `rows` rows took `time`.
    pub fn observe(&mut self, rows: usize, time: Duration) {
        let seconds = time.as_secs_f64();
        if rows == 0 || seconds <= 0.0 {
            return;
        }
        let Some(expected) = self.shape(rows) else {
            self.seconds[place(rows)] = Some(seconds);
            self.looks[place(rows)] = 1;
            return;
        };
        self.seen = self.seen.saturating_add(1);
        self.count_looks();
        let ratio = seconds / expected;
        // The first runs of a guess are averaged, and believed at once.
        let first = self.seen < 1 + (1.0 / PACE_GAIN) as u32;
        let gain = if first { 1.0 / f64::from(self.seen) } else { PACE_GAIN };
        let seen = if first { ratio } else { ratio.min(self.pace * OUTLIER) };
        self.pace += gain * (seen - self.pace);
        let beside_pace = ratio / self.pace;
        let step = if beside_pace > self.tail { TAIL_UP * TAIL_STEP } else { -TAIL_STEP };
        self.tail = (self.tail * (1.0 + step)).clamp(1.0, LARGEST_TAIL);
        self.bend(rows, beside_pace.min(OUTLIER));
    }

    /// How many rows a batch may have at most, of `waiting` ones: the knee; what a deep backlog makes [full](Self::full);
    /// and once in a while up to twice the knee, for a look beyond it.
    pub(crate) fn limit(&self, waiting: usize, max_rows: usize) -> usize {
        let Some(knee) = self.knee.filter(|knee| *knee < max_rows) else { return max_rows };
        let full = self.full(max_rows);
        if waiting >= full && full > knee {
            return full;
        }
        let looks_beyond = self.until_look == 0 && waiting > knee;
        if looks_beyond { (2 * knee).min(max_rows) } else { knee }
    }

    fn count_looks(&mut self) {
        if self.until_look > 0 {
            self.until_look -= 1;
        } else {
            self.looks_beyond_every = LOOK_BEYOND.min(2 * self.looks_beyond_every);
            self.until_look = self.looks_beyond_every;
        }
    }

    /// Moves the curve at one size towards what was seen there.
    fn bend(&mut self, rows: usize, beside_pace: f64) {
        let place = place(rows);
        let here = self.shape(SIZES[place]).unwrap_or_default();
        self.looks[place] = FIRST_LOOKS.min(self.looks[place] + 1);
        // An average of the first looks, which later ones move by less and less.
        let gain = SHAPE_GAIN.max(1.0 / f64::from(self.looks[place] + 1));
        self.seconds[place] = Some(here * (1.0 + gain * (beside_pace - 1.0)));
        self.find_knee();
    }

    /// Seconds at a size, before the pace: on the line between its neighbours; beyond the last known size,
    /// in proportion to the rows; below the first, as the first.
    fn shape(&self, rows: usize) -> Option<f64> {
        let mut below: Option<(usize, f64)> = None;
        for (size, seconds) in SIZES.iter().zip(&self.seconds) {
            let Some(seconds) = *seconds else { continue };
            if *size >= rows {
                return Some(match below {
                    None => seconds,
                    Some((low, low_seconds)) => {
                        let share = (rows - low) as f64 / (size - low) as f64;
                        low_seconds + share * (seconds - low_seconds)
                    }
                });
            }
            below = Some((*size, seconds));
        }
        below.map(|(size, seconds)| seconds * rows as f64 / size as f64)
    }

    fn find_knee(&mut self) {
        let known = || SIZES.iter().zip(&self.seconds).filter_map(|(n, s)| Some((*n, (*s)?)));
        let rate = |(rows, seconds): (usize, f64)| rows as f64 / seconds;
        let best = known().map(rate).fold(0.0, f64::max);
        let first = known().find(|point| rate(*point) * WORTHWHILE >= best);
        let last = known().next_back();
        // Still rising at the end of what is known: it may rise further.
        let knee = first.filter(|first| Some(first.0) != last.map(|last| last.0));
        self.knee = knee.map(|(n, _)| n);
        let fastest = |(at, takes): (usize, f64)| {
            let near = known().filter(|(_, seconds)| *seconds <= LONGER * takes);
            let fastest = near.max_by(|a, b| rate(*a).total_cmp(&rate(*b)))?;
            (rate(fastest) >= NOTABLE * rate((at, takes))).then_some(fastest.0)
        };
        self.full = knee.and_then(|knee| fastest(knee).or(Some(knee.0)));
    }
}

/// The known size nearest to `rows`, from below when in doubt.
fn place(rows: usize) -> usize {
    let above = SIZES.partition_point(|size| *size < rows).min(SIZES.len() - 1);
    let nearer_below = above > 0 && rows.abs_diff(SIZES[above - 1]) <= rows.abs_diff(SIZES[above]);
    if nearer_below { above - 1 } else { above }
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn us(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    /// Weight-bound: 8 ms for one row, 0.3 ms for each further one.
    fn heavy() -> Curve {
        Curve::through(&[1, 2, 4, 8, 16, 32, 64].map(|rows| (rows, us(7_700 + 300 * rows as u64))))
    }

    #[track_caller]
    fn near(found: Option<Duration>, expected: Duration) {
        let ratio = found.unwrap().as_secs_f64() / expected.as_secs_f64();
        assert!((0.9..1.1).contains(&ratio), "{found:?} for {expected:?}");
    }

    #[test]
    fn an_empty_curve_knows_nothing() {
        let curve = Curve::default();
        assert_eq!((curve.typical(1), curve.slow(1), curve.knee()), (None, None, None));
    }

    #[test]
    fn between_two_sizes_the_line_is_straight_and_past_the_last_in_proportion() {
        let curve = Curve::through(&[(4, us(400)), (8, us(600))]);
        assert_eq!(curve.typical(6), Some(us(500)));
        assert_eq!(curve.typical(16), Some(us(1200)));
        assert_eq!(curve.typical(1), Some(us(400)));
    }

    #[test]
    fn a_flat_rate_has_its_knee_at_one_row() {
        let curve = Curve::through(&[1, 2, 4, 8].map(|rows| (rows, us(9_000 * rows as u64))));
        assert_eq!(curve.knee(), Some(1));
    }

    #[test]
    fn the_knee_is_where_rows_per_second_stop_rising() {
        // MiniLM at 32 tokens: 106, 155, 165, 161, 122 sequences a second.
        let curve = Curve::through(&[
            (1, us(9_434)),
            (4, us(25_806)),
            (8, us(48_484)),
            (16, us(99_378)),
            (64, us(524_590)),
        ]);
        assert_eq!(curve.knee(), Some(8));
    }

    #[test]
    fn a_rate_that_still_rises_has_no_knee() {
        assert_eq!(heavy().knee(), None);
    }

    #[test]
    fn one_outlier_moves_the_curve_little_and_the_tail_a_little() {
        let mut curve = heavy();
        for _ in 0..50 {
            curve.observe(8, us(10_100));
        }
        curve.observe(8, us(1_000_000));
        let typical = curve.typical(8).unwrap();
        assert!(typical < us(12_700), "{typical:?}");
    }

    #[test]
    fn a_stolen_core_is_believed_within_twenty_runs_at_every_size_and_forgotten_as_fast() {
        let mut curve = heavy();
        for _ in 0..50 {
            curve.observe(8, us(10_100));
        }
        for _ in 0..20 {
            curve.observe(8, us(20_200));
        }
        assert!(curve.typical(32).unwrap() > us(29_000), "{:?}", curve.typical(32));
        for _ in 0..30 {
            curve.observe(8, us(10_100));
        }
        assert!(curve.typical(32).unwrap() < us(21_000), "{:?}", curve.typical(32));
    }

    #[test]
    fn the_tail_rests_at_the_95th_percentile() {
        let mut curve = heavy();
        // One run in ten takes half as long again: it is part of the slowest twentieth's border.
        for run in 0..20_000_u64 {
            curve.observe(8, us(if run % 10 == 0 { 15_150 } else { 10_100 }));
        }
        let ratio = curve.slow(8).unwrap().as_secs_f64() / curve.typical(8).unwrap().as_secs_f64();
        assert!((1.25..1.55).contains(&ratio), "{ratio}");
    }

    #[test]
    fn a_size_whose_time_changed_is_learned_and_the_knee_follows() {
        let mut curve =
            Curve::through(&[(1, us(1_000)), (2, us(1_100)), (4, us(1_300)), (8, us(1_700))]);
        assert_eq!(curve.knee(), None);
        // From four rows on, the work is in proportion.
        for _ in 0..400 {
            curve.observe(4, us(1_300));
            curve.observe(8, us(2_600));
        }
        assert_eq!(curve.knee(), Some(4));
    }

    #[test]
    fn a_knee_that_a_bad_moment_of_warm_up_made_up_is_gone_after_a_few_looks_beyond() {
        let mut points = [1, 2, 4, 8, 16, 32, 64].map(|rows| (rows, us(7_700 + 300 * rows as u64)));
        points[6].1 *= 2;
        points[5].1 *= 2;
        let mut curve = Curve::through(&points);
        assert_eq!(curve.knee(), Some(16));
        for batch in 0..1000 {
            let rows = curve.limit(64, 64);
            curve.observe(rows, us(7_700 + 300 * rows as u64));
            if curve.knee().is_none() {
                assert!(batch < 150, "{batch}");
                return;
            }
        }
        panic!("still {:?}", curve.knee());
    }

    #[test]
    fn a_guess_is_corrected_by_its_first_runs() {
        let mut guess = heavy().guess(10.0);
        guess.observe(8, us(10_100));
        near(guess.typical(8), us(10_100));
    }

    #[test]
    fn past_the_knee_goes_one_batch_in_many_and_only_if_there_are_rows_for_it() {
        let flat = || Curve::through(&[(1, us(100)), (2, us(200)), (4, us(400))]);
        let limits = |waiting| {
            let mut curve = flat();
            let limits = (0..1024).map(|_| {
                let limit = curve.limit(waiting, 64);
                curve.observe(limit, us(100 * limit as u64));
                limit
            });
            limits.collect::<Vec<_>>()
        };
        assert!(limits(1).iter().all(|limit| *limit == 1));
        for waiting in [2, 100] {
            let limits = limits(waiting);
            let looks = limits.iter().filter(|limit| **limit == 2).count();
            assert!((31..=35).contains(&looks), "{looks}");
            assert!(limits.iter().all(|limit| *limit <= 2));
        }
    }

    #[test]
    fn every_size_has_a_nearest_place() {
        for (index, size) in SIZES.iter().enumerate() {
            assert_eq!(place(*size), index);
        }
        assert_eq!((place(5), place(7), place(1_000_000)), (3, 4, SIZES.len() - 1));
    }
}
