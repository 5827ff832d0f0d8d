//! Finds the requests for which a batch failed, by running parts of it again.
//!
//! Decides which part is run next and who is guilty; runs nothing, answers nobody and knows no time. The
//! surprising thing is what is *not* run: when a batch is known to hold a culprit and its first half runs
//! well, the second half holds it and is split at once. A request is never called guilty by such a
//! conclusion alone: it always fails by itself first, so what passes on a second try is answered.
//!
//! For one culprit among n that costs at most 2 log2(n) + 1 runs, for any number at most 2 n - 2. Halving
//! is a bad way to find many, so after the runs that two culprits may cost, what is known to hold one is
//! run request by request; that is at most 2 (2 log2(n) + 1) + log2(n) + n runs in all.

/// A part of a batch, or all of it.
pub(crate) trait Part: Sized {
    fn requests(&self) -> usize;

    /// Whether there are halves: of several requests, or of one that can be cut.
    fn is_divisible(&self) -> bool {
        self.requests() > 1
    }

    /// In two that are as equal as can be; only called when it is divisible.
    fn halves(self) -> (Self, Self);
}

pub(crate) struct Isolation<P> {
    /// The last one is next.
    todo: Vec<Todo<P>>,
    /// The other half of the part that runs now, where one of the two holds a culprit.
    other_half: Option<P>,
    /// Runs after which halving ends.
    halving: usize,
}

enum Todo<P> {
    Run(P),
    /// Holds a culprit, so running it whole would tell nothing.
    Split(P),
}

impl<P: Part> Isolation<P> {
    /// For a batch of so many requests, which is then said to have [failed](Self::failed) or to have been
    /// [too large](Self::too_large).
    pub(crate) fn new(requests: usize) -> Self {
        Self { todo: Vec::new(), other_half: None, halving: 2 * runs_for_one_culprit(requests) }
    }

    /// What is to be run next. `None`: everybody's case is decided.
    pub(crate) fn next(&mut self) -> Option<P> {
        loop {
            match self.todo.pop()? {
                Todo::Run(part) => {
                    self.halving = self.halving.saturating_sub(1);
                    return Some(part);
                }
                Todo::Split(part) => {
                    let (a, b) = part.halves();
                    if self.halving == 0 {
                        self.todo.extend([b, a].map(Todo::suspect));
                    } else {
                        // The smaller half first: the larger one is then reached by conclusion.
                        let (first, second) =
                            if a.requests() <= b.requests() { (a, b) } else { (b, a) };
                        self.other_half = Some(second);
                        self.todo.push(Todo::Run(first));
                    }
                }
            }
        }
    }

    /// The part that ran has its answers.
    pub(crate) fn succeeded(&mut self) {
        self.todo.extend(self.other_half.take().map(Todo::suspect));
    }

    /// The part failed. Given back when it is one request: then that one is guilty.
    pub(crate) fn failed(&mut self, part: P) -> Option<P> {
        let other_half = self.other_half.take().map(Todo::Run);
        if part.requests() > 1 {
            self.todo.push(Todo::Split(part));
            // Nothing is known of it any more, and its requests may be answered soon.
            self.todo.extend(other_half);
            return None;
        }
        self.todo.extend(other_half);
        Some(part)
    }

    /// There was no memory for the part. Given back when there are no smaller ones. Nobody is guilty of it, and
    /// nothing is concluded for the rest.
    pub(crate) fn too_large(&mut self, part: P) -> Option<P> {
        self.todo.extend(self.other_half.take().map(Todo::Run));
        if !part.is_divisible() {
            return Some(part);
        }
        let (a, b) = part.halves();
        self.todo.extend([b, a].map(Todo::Run));
        None
    }

    /// Nobody waits for the part any more, so it was not run.
    pub(crate) fn vanished(&mut self) {
        self.todo.extend(self.other_half.take().map(Todo::Run));
    }

    /// All that is undecided.
    pub(crate) fn give_up(self) -> impl Iterator<Item = P> {
        let todo = self.todo.into_iter().map(|todo| match todo {
            Todo::Run(part) | Todo::Split(part) => part,
        });
        todo.chain(self.other_half)
    }
}

impl<P: Part> Todo<P> {
    /// What holds a culprit. One request alone is run once more, to be sure.
    fn suspect(part: P) -> Self {
        if part.requests() > 1 { Self::Split(part) } else { Self::Run(part) }
    }
}

/// 2 log2(n) + 1, rounded down.
fn runs_for_one_culprit(requests: usize) -> usize {
    (2.0 * (requests.max(1) as f64).log2()) as usize + 1
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ops::Range;

    use proptest::prelude::*;

    use super::*;

    impl Part for Range<usize> {
        fn requests(&self) -> usize {
            self.len()
        }

        fn halves(self) -> (Self, Self) {
            let middle = self.start + self.len() / 2;
            (self.start..middle, middle..self.end)
        }
    }

    /// What an engine does with a part.
    enum Does {
        Answer,
        Fail,
        RunOut,
    }

    #[derive(Default)]
    struct Outcome {
        runs: usize,
        answered: Vec<usize>,
        guilty: Vec<usize>,
        /// Alone, and still too large.
        hopeless: Vec<usize>,
    }

    /// Isolates a batch of `n`, of which the first run is not counted.
    fn isolate(n: usize, mut engine: impl FnMut(&Range<usize>) -> Does) -> Outcome {
        let mut isolation = Isolation::new(n);
        let mut outcome = Outcome::default();
        let mut next = Some(0..n);
        while let Some(part) = next {
            match engine(&part) {
                Does::Answer => {
                    outcome.answered.extend(part);
                    isolation.succeeded();
                }
                Does::Fail => outcome.guilty.extend(isolation.failed(part).into_iter().flatten()),
                Does::RunOut => {
                    outcome.hopeless.extend(isolation.too_large(part).into_iter().flatten());
                }
            }
            next = isolation.next();
            outcome.runs += usize::from(next.is_some());
        }
        outcome.answered.sort_unstable();
        outcome.guilty.sort_unstable();
        outcome
    }

    fn fails_with(culprits: &BTreeSet<usize>) -> impl Fn(&Range<usize>) -> Does {
        |part| if part.clone().any(|r| culprits.contains(&r)) { Does::Fail } else { Does::Answer }
    }

    #[test]
    fn one_culprit_anywhere_costs_at_most_two_runs_for_each_halving_and_one() {
        for n in 2..=100 {
            let allowed = (2.0 * (n as f64).log2() + 1.0).floor() as usize;
            for culprit in 0..n {
                let outcome = isolate(n, fails_with(&[culprit].into()));
                assert_eq!(outcome.guilty, [culprit]);
                assert!(outcome.answered.iter().copied().eq((0..n).filter(|r| *r != culprit)));
                assert!(outcome.runs <= allowed, "{n} with {culprit}: {} runs", outcome.runs);
            }
        }
    }

    #[test]
    fn a_failure_that_does_not_come_back_makes_nobody_guilty() {
        let mut failures = 0;
        let outcome = isolate(64, |_| {
            failures += 1;
            if failures <= 3 { Does::Fail } else { Does::Answer }
        });
        assert_eq!((outcome.answered.len(), outcome.guilty.len()), (64, 0));
    }

    #[test]
    fn what_has_no_memory_is_run_in_parts_that_have() {
        let engine = |part: &Range<usize>| if part.len() > 5 { Does::RunOut } else { Does::Answer };
        let outcome = isolate(32, engine);
        assert_eq!((outcome.answered.len(), outcome.guilty.len()), (32, 0));
        // 16, twice 8, 8 times 4: twice each but for the first.
        assert_eq!(outcome.runs, 2 + 4 + 8);
        let none = isolate(3, |_| Does::RunOut);
        assert_eq!((none.hopeless.len(), none.answered.len()), (3, 0));
    }

    #[test]
    fn a_half_that_vanished_says_nothing_of_the_other() {
        let mut isolation = Isolation::new(4);
        assert_eq!(isolation.failed(0..4), None);
        assert_eq!(isolation.next(), Some(0..2));
        isolation.vanished();
        assert_eq!(isolation.next(), Some(2..4), "it is run and not split");
        isolation.succeeded();
        assert_eq!(isolation.next(), None);
    }

    #[test]
    fn giving_up_gives_back_everybody_who_is_undecided() {
        let mut isolation = Isolation::new(8);
        assert_eq!(isolation.failed(0..8), None);
        assert_eq!(isolation.next(), Some(0..4));
        assert_eq!(isolation.failed(0..4), None);
        let mut undecided: Vec<usize> = isolation.give_up().flatten().collect();
        undecided.sort_unstable();
        assert!(undecided.into_iter().eq(0..8));
    }

    proptest! {
        #[test]
        fn any_culprits_are_found_and_only_they(
            n in 1_usize..200,
            picked in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        ) {
            let culprits: BTreeSet<usize> = picked.iter().map(|index| index.index(n)).collect();
            let outcome = isolate(n, fails_with(&culprits));
            prop_assert!(outcome.guilty.iter().eq(&culprits), "{:?}", outcome.guilty);
            prop_assert!(outcome.answered.iter().copied().eq((0..n).filter(|r| !culprits.contains(r))));
            let (one, log2) = (runs_for_one_culprit(n), n.ilog2() as usize + 1);
            prop_assert!(outcome.runs <= 2 * n);
            prop_assert!(outcome.runs <= 2 * one + log2 + n, "{} runs of {n}", outcome.runs);
            if culprits.len() <= 2 {
                prop_assert!(outcome.runs <= culprits.len() * one, "{} runs of {n}", outcome.runs);
            }
        }

        /// Culprits among requests that do not fit into memory together.
        #[test]
        fn memory_and_culprits_together_leave_nobody_without_a_verdict(
            n in 1_usize..200,
            fits in 1_usize..50,
            picked in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        ) {
            let culprits: BTreeSet<usize> = picked.iter().map(|index| index.index(n)).collect();
            let outcome = isolate(n, |part| {
                if part.len() > fits { Does::RunOut } else { fails_with(&culprits)(part) }
            });
            prop_assert!(outcome.guilty.iter().eq(&culprits));
            prop_assert_eq!(outcome.answered.len(), n - culprits.len());
        }
    }
}
