//! `max_batch_size` and `dynamic_batching`: whether requests share batches, how many rows, how late, how many
//! may wait.

use std::num::NonZeroUsize;
use std::time::Duration;

use tidegate_batcher::BatchPolicy;
use tidegate_inference::Priority;

use super::claims::Rows;
use super::section::Section;
use crate::{ModelSettings, Sharing};

/// Fills in what is said of batching, and says whether tensors have a batch dimension.
pub fn read(root: &Section<'_>, settings: &mut ModelSettings) -> Rows {
    let cap: Option<u32> = root.integer("max_batch_size", 0..=i128::from(i32::MAX));
    let dynamic = root.section("dynamic_batching");
    settings.max_batch_size = cap.and_then(|cap| NonZeroUsize::new(cap as usize));
    settings.sharing = match (cap, &dynamic) {
        (Some(0), _) => Some(Sharing::Alone("its configuration says max_batch_size 0")),
        (_, Some(_)) => Some(Sharing::Together),
        (Some(_), None) => Some(Sharing::Alone("its configuration has no dynamic_batching")),
        (None, None) => None,
    };
    if let Some(dynamic) = dynamic {
        if cap == Some(0) {
            root.warn("dynamic_batching", "has no effect with max_batch_size 0");
        } else {
            waiting(&dynamic, settings);
        }
        queue(&dynamic, settings);
        priorities(&dynamic);
        dynamic.not_honoured(&["preserve_ordering", "priority_queue_policy"]);
        dynamic.end();
    }
    match cap {
        None => Rows::Unsaid,
        Some(0) => Rows::None,
        Some(_) => Rows::First,
    }
}

/// Without preferred sizes Triton waits for a full batch, so the largest is the target then.
fn waiting(dynamic: &Section<'_>, settings: &mut ModelSettings) {
    let most = settings.max_batch_size.map_or(i32::MAX as usize, NonZeroUsize::get);
    let preferred: Vec<u32> = dynamic.integers("preferred_batch_size", 1..=most as i128);
    let longest = BatchPolicy::LONGEST_DELAY.as_micros() as i128;
    let delay: Option<u64> = dynamic.integer("max_queue_delay_microseconds", 0..=longest);
    let delay = delay.filter(|micros| *micros > 0).map(Duration::from_micros);
    settings.batch_size =
        preferred.into_iter().max().and_then(|size| NonZeroUsize::new(size as usize));
    if settings.batch_size.is_some() || delay.is_some() {
        settings.batch_size = settings.batch_size.or(settings.max_batch_size);
        settings.max_queue_delay = Some(delay.unwrap_or(Duration::ZERO));
    }
}

fn queue(dynamic: &Section<'_>, settings: &mut ModelSettings) {
    let Some(policy) = dynamic.section("default_queue_policy") else { return };
    let size: Option<u32> = policy.integer("max_queue_size", 0..=i128::from(u32::MAX));
    settings.max_queue_size = size.and_then(|size| NonZeroUsize::new(size as usize));
    let delays = policy.one_of("timeout_action", &["REJECT", "DELAY"]) == Some(1);
    let timeout: Option<u64> =
        policy.integer("default_timeout_microseconds", 0..=i128::from(u64::MAX));
    if let Some(timeout) = timeout.filter(|micros| *micros > 0) {
        if delays {
            policy.warn("timeout_action", "is not honoured: DELAY, so that no request is rejected");
        } else {
            settings.request_timeout = Some(Duration::from_micros(timeout));
            policy.warn(
                "default_timeout_microseconds",
                "is the time until the answer here, not until the run begins",
            );
        }
    }
    // A request may always ask for less time here.
    policy.boolean("allow_timeout_override");
    policy.end();
}

/// Levels are the same from 1 to 10, and a request without one has the level 5 whatever the configuration says.
fn priorities(dynamic: &Section<'_>) {
    let range = 0..=i128::from(u64::MAX);
    let levels: u64 = dynamic.integer("priority_levels", range.clone()).unwrap_or(0);
    let default: u64 = dynamic.integer("default_priority_level", range).unwrap_or(0);
    let (lowest, usual) = (Priority::LOWEST.level(), Priority::DEFAULT.level());
    if levels > u64::from(lowest) {
        let message = format!("is not honoured: levels after {lowest} count as {usual} here");
        dynamic.warn("priority_levels", &message);
    }
    if levels > 0 && default != u64::from(usual) {
        let message = format!("is not honoured: it is {usual} here");
        dynamic.warn("default_priority_level", &message);
    }
}
