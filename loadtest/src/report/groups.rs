//! Runs of the same load are shown as one: medians over its repeats, with the least and the most.
//! Whether a difference between two loads is more than noise is for `compare` to say.

use crate::figures::{Report, Run};

/// The repeats of one load, in order. Never empty.
pub struct Group<'r> {
    /// Of the first, in the report.
    pub index: usize,
    pub runs: Vec<&'r Run>,
}

/// What is shown in full. A search shows its last good run alone: the table of its trials tells about the others.
pub fn shown(report: &Report) -> Vec<Group<'_>> {
    let Some(search) = &report.search else { return Group::all(report) };
    let good = search.trials.iter().rfind(|trial| trial.passed && Some(trial.rate) == search.rate);
    let found = good.and_then(|trial| Some((trial.run, report.runs.get(trial.run)?)));
    found.into_iter().map(|(index, run)| Group { index, runs: vec![run] }).collect()
}

impl<'r> Group<'r> {
    /// In the order in which the loads ran first.
    pub fn all(report: &'r Report) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        for (index, run) in report.runs.iter().enumerate() {
            match groups.iter_mut().find(|group| group.is_of(run)) {
                Some(group) => group.runs.push(run),
                None => groups.push(Self { index, runs: vec![run] }),
            }
        }
        groups
    }

    pub fn first(&self) -> &'r Run {
        self.runs[0]
    }

    pub fn is_open(&self) -> bool {
        self.first().latency.is_some()
    }

    pub fn spread(&self, figure: impl Fn(&Run) -> f64) -> Spread {
        Spread::of(self.runs.iter().map(|run| figure(run)).collect())
    }

    fn is_of(&self, run: &Run) -> bool {
        let first = self.first();
        first.name == run.name
            && first.target == run.target
            && first.arrivals.pattern == run.arrivals.pattern
    }
}

/// One figure over several runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
    pub many: bool,
}

impl Spread {
    /// Of at least one value.
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let (low, high) = ((values.len() - 1) / 2, values.len() / 2);
        Self {
            median: f64::midpoint(values[low], values[high]),
            least: values[0],
            most: values[values.len() - 1],
            many: values.len() > 1,
        }
    }

    /// The median; with several runs also from where to where they went.
    pub fn show(self, format: impl Fn(f64) -> String) -> String {
        let median = format(self.median);
        if self.many {
            format!("{median} ({} .. {})", format(self.least), format(self.most))
        } else {
            median
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn repeats_of_a_load_are_one_group_and_two_targets_are_two() {
        let report = sample::versus(3);
        let groups = Group::all(&report);
        let sizes: Vec<_> = groups.iter().map(|group| group.runs.len()).collect();
        assert_eq!(sizes, [3, 3]);
        assert_ne!(groups[0].first().target, groups[1].first().target);
    }

    #[test]
    fn the_median_of_an_even_number_is_between_the_middle_two() {
        let spread = Spread::of(vec![4.0, 1.0, 2.0, 3.0]);
        assert_eq!((spread.median, spread.least, spread.most), (2.5, 1.0, 4.0));
    }
}
