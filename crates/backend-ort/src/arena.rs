//! When ONNX Runtime's arena gives memory back.
//!
//! A session's arena keeps all that its largest run ever needed: one batch of 40 images among thousands of
//! four leaves a session 200 MB larger for good. Giving back after every run costs a tenth and more of the
//! larger ones, since the pages have to be found again. So it gives back after runs that are larger
//! than usual, and once when the usual size has fallen. What a run needs is judged by the size of its
//! inputs, to which it is proportional within one model.

/// Runs after which it is judged anew what is usual.
const WINDOW: u32 = 128;

/// More large runs than one in so many are no exception.
const RARE: u32 = 16;

#[derive(Debug, Default)]
pub(crate) struct Appetite {
    /// Bytes of input of the largest run that is no exception; 0 while nothing is known.
    usual: usize,
    /// The run for which the arena still has memory.
    kept: usize,
    runs: u32,
    large_runs: u32,
    largest: usize,
    largest_usual: usize,
}

impl Appetite {
    /// Whether the arena should give back after the run that now begins, with so many bytes of input.
    pub(crate) fn gives_back_after(&mut self, bytes: usize) -> bool {
        self.runs += 1;
        self.largest = self.largest.max(bytes);
        let is_large = self.usual > 0 && bytes > 2 * self.usual;
        if is_large {
            self.large_runs += 1;
        } else {
            self.largest_usual = self.largest_usual.max(bytes);
            self.kept = self.kept.max(bytes);
        }
        is_large | self.ends_a_window()
    }

    fn ends_a_window(&mut self) -> bool {
        if self.runs < WINDOW {
            return false;
        }
        let is_large_usual = self.large_runs > WINDOW / RARE;
        let usual = if is_large_usual { self.largest } else { self.largest_usual };
        let has_fallen = 2 * usual <= self.kept;
        let kept = if has_fallen { usual } else { self.kept };
        *self = Self { usual, kept, ..Self::default() };
        has_fallen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given_back(appetite: &mut Appetite, runs: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let mut runs = runs.into_iter().collect::<Vec<_>>();
        runs.retain(|bytes| appetite.gives_back_after(*bytes));
        runs
    }

    fn window(bytes: usize) -> impl Iterator<Item = usize> {
        std::iter::repeat_n(bytes, WINDOW as usize)
    }

    #[test]
    fn runs_of_one_size_give_nothing_back() {
        let mut appetite = Appetite::default();
        assert!(
            given_back(&mut appetite, window(100).chain(window(150)).chain(window(90))).is_empty()
        );
    }

    #[test]
    fn a_run_that_is_larger_than_usual_gives_back_and_stays_unusual() {
        let mut appetite = Appetite::default();
        assert!(given_back(&mut appetite, window(100)).is_empty());
        for _ in 0..5 {
            let runs = window(100).skip(1).chain([1000]);
            assert_eq!(given_back(&mut appetite, runs), [1000]);
        }
    }

    #[test]
    fn larger_runs_that_go_on_become_usual() {
        let mut appetite = Appetite::default();
        given_back(&mut appetite, window(100));
        given_back(&mut appetite, window(1000));
        assert!(given_back(&mut appetite, window(1000).chain(window(1000))).is_empty());
    }

    #[test]
    fn when_the_usual_size_has_fallen_it_gives_back_once() {
        let mut appetite = Appetite::default();
        given_back(&mut appetite, window(1000));
        assert_eq!(given_back(&mut appetite, window(100).chain(window(100))), [100]);
    }
}
