//! In how large a batch answers were made, where the server says so.

use super::super::groups::Group;
use super::super::words::{plain, rate, share};
use super::axis::Axis;
use super::plot::{ACROSS, Frame, UP};

/// More bars than this have no numbers on them.
const LABELLED: usize = 16;

pub fn plot(group: &Group<'_>) -> Option<String> {
    let run = group.first();
    let sizes = &run.server.batch_rows;
    let all: u64 = sizes.values().sum();
    if all == 0 {
        return None;
    }
    let part = |answers: u64| answers as f64 / all as f64;
    let most = sizes.values().map(|answers| part(*answers)).fold(0.0, f64::max);
    let mean = run.server.mean_batch_rows.map(|mean| format!("; {} rows on average", rate(mean)));
    let frame = Frame {
        title: format!("Batch sizes: {}", plain(&run.name, 50)),
        subtitle: format!("% of the answers{}", mean.unwrap_or_default()),
        x_title: "rows in the batch that an answer came from",
        x: Axis::categories(sizes.keys().map(u32::to_string), ACROSS),
        y: Axis::from_zero(most * 100.0, UP),
        notes: Vec::new(),
    };
    let slot = (ACROSS.1 - ACROSS.0) / i32::try_from(sizes.len()).unwrap_or(i32::MAX).max(1);
    let half = (slot * 3 / 8).clamp(1, 40);
    Some(frame.draw(|plot| {
        for (index, answers) in sizes.values().enumerate() {
            let (x, _) = plot.place(index as f64 + 0.5, 0.0);
            let label = if sizes.len() <= LABELLED { share(part(*answers)) } else { String::new() };
            plot.bar((x - half, x + half), part(*answers) * 100.0, &label);
        }
    }))
}
