//! How a model's runs share the cores when nobody says: few instances, each with a few threads inside.
//!
//! A thread inside a run shortens that run, which a lone caller feels; an instance only adds runs at
//! the same time, which a crowd feels, and a crowd is served by batches already. Measured on two cores,
//! one instance of two threads against two instances of one: a lone request takes 5.9 instead of 9.8 ms
//! (a model bound by its weights) and 5.5 instead of 9 ms (a convolution), batches of 8 give 905 rows/s
//! where two batches of 4 give 763, and at 64 rows both are within 12 % of each other.
//!
//! Past four threads a single run of the models we know gains little and loses at every barrier, so
//! more cores than that become instances. Each model gets the whole machine: models seldom peak
//! together, and the system shares cores more fairly than a guess at the start would.

use std::num::NonZeroUsize;
use std::thread;

/// What one model computes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ComputeThreads {
    pub instances: NonZeroUsize,
    pub intra_op_threads: NonZeroUsize,
}

impl ComputeThreads {
    const MOST_INTRA_OP: NonZeroUsize = NonZeroUsize::new(4).expect("four is not zero");

    /// For the cores that this process may use: affinity and a container's CPU quota count.
    pub fn of_this_machine() -> Self {
        Self::on(cores(), None, None)
    }

    /// As asked, and what is not asked for so that together they fill the cores.
    pub fn or_of_this_machine(
        instances: Option<NonZeroUsize>,
        intra_op_threads: Option<NonZeroUsize>,
    ) -> Self {
        Self::on(cores(), instances, intra_op_threads)
    }

    fn on(
        cores: NonZeroUsize,
        instances: Option<NonZeroUsize>,
        intra_op_threads: Option<NonZeroUsize>,
    ) -> Self {
        let intra_op_threads = intra_op_threads.unwrap_or_else(|| {
            let each = instances.map_or(cores, |instances| share(cores, instances));
            each.min(Self::MOST_INTRA_OP)
        });
        let instances = instances.unwrap_or_else(|| share(cores, intra_op_threads));
        Self { instances, intra_op_threads }
    }
}

fn cores() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// At least one.
fn share(cores: NonZeroUsize, among: NonZeroUsize) -> NonZeroUsize {
    NonZeroUsize::new(cores.get() / among).unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Instances and threads in each; 0 is not said.
    fn on(cores: usize, instances: usize, threads: usize) -> (usize, usize) {
        let said = NonZeroUsize::new;
        let shared = ComputeThreads::on(said(cores).unwrap(), said(instances), said(threads));
        (shared.instances.get(), shared.intra_op_threads.get())
    }

    #[test]
    fn cores_become_threads_first_and_instances_after_the_fourth() {
        let shared = [1, 2, 3, 4, 6, 8, 16, 64].map(|cores| on(cores, 0, 0));
        assert_eq!(shared, [(1, 1), (1, 2), (1, 3), (1, 4), (1, 4), (2, 4), (4, 4), (16, 4)]);
    }

    #[test]
    fn what_is_said_is_taken_and_the_other_fills_the_cores() {
        assert_eq!([on(16, 0, 1), on(16, 0, 8), on(2, 0, 4)], [(16, 1), (2, 8), (1, 4)]);
        assert_eq!([on(16, 8, 0), on(16, 1, 0), on(2, 4, 0)], [(8, 2), (1, 4), (4, 1)]);
        assert_eq!(on(2, 3, 5), (3, 5));
    }
}
