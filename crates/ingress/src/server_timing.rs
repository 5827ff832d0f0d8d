//! The `Server-Timing` header: where an answer's time went, readable in a browser's network panel and with
//! `curl -i`. Written from the timeline; a stage that was not reached is left out.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use tidegate_inference::{Stage, Timeline};

use crate::ascii::AsciiLine;

pub const HEADER: HeaderName = HeaderName::from_static("server-timing");

/// Longer than the longest header: four durations and a row count of twenty digits each.
type Line = AsciiLine<256>;

/// `queue;dur=0.012, batch;dur=0.003, execute;dur=1.234, total;dur=1.300, batch-size;desc="8", closed-by;desc="target"`:
/// milliseconds; `batch` is gather and scatter together, `batch-size` counts rows.
pub fn header(timeline: &Timeline) -> HeaderValue {
    let mut line = Line::new();
    let batch = timeline
        .between(Stage::Dispatched, Stage::Gathered)
        .zip(timeline.between(Stage::Executed, Stage::Scattered))
        .map(|(gather, scatter)| gather + scatter);
    duration(&mut line, "queue", timeline.queue_delay());
    duration(&mut line, "batch", batch);
    duration(&mut line, "execute", timeline.between(Stage::Gathered, Stage::Executed));
    duration(&mut line, "total", timeline.between(Stage::Received, Stage::Encoded));
    if let Some(batch) = timeline.batch() {
        facts(&mut line, batch.rows, batch.closed_by.as_str());
    }
    line.into_header()
}

fn duration(line: &mut Line, name: &str, took: Option<Duration>) {
    let Some(took) = took else { return };
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    separate(line);
    line.push(name);
    line.push(";dur=");
    line.push_decimal(micros / 1000, 1);
    line.push(".");
    line.push_decimal(micros % 1000, 3);
}

fn facts(line: &mut Line, rows: usize, closed_by: &str) {
    separate(line);
    line.push("batch-size;desc=\"");
    line.push_decimal(rows as u64, 1);
    line.push("\", closed-by;desc=\"");
    line.push(closed_by);
    line.push("\"");
}

fn separate(line: &mut Line) {
    if !line.is_empty() {
        line.push(", ");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tidegate_inference::{BatchFacts, CloseReason};

    use super::*;

    #[test]
    fn it_says_where_the_time_went_and_with_whom() {
        let start = Instant::now();
        let mut timeline = Timeline::starting(start);
        let stages = [
            (Stage::Enqueued, 10),
            (Stage::Dispatched, 22),
            (Stage::Gathered, 24),
            (Stage::Executed, 1258),
            (Stage::Scattered, 1259),
            (Stage::Encoded, 1300),
        ];
        for (stage, micros) in stages {
            timeline.stamp(stage, start + Duration::from_micros(micros));
        }
        timeline.set_batch(BatchFacts { rows: 8, requests: 3, closed_by: CloseReason::Target });
        assert_eq!(
            header(&timeline),
            "queue;dur=0.012, batch;dur=0.003, execute;dur=1.234, total;dur=1.300, \
             batch-size;desc=\"8\", closed-by;desc=\"target\""
        );
    }

    #[test]
    fn there_is_room_for_the_longest() {
        let mut line = Line::new();
        for name in ["queue", "batch", "execute", "total"] {
            duration(&mut line, name, Some(Duration::MAX));
        }
        facts(&mut line, usize::MAX, CloseReason::Unbatched.as_str());
        let whole = line.into_header();
        assert!(whole.to_str().unwrap().ends_with("closed-by;desc=\"unbatched\""));
    }

    #[test]
    fn stages_that_were_not_reached_are_left_out() {
        let start = Instant::now();
        let mut timeline = Timeline::starting(start);
        assert_eq!(header(&timeline), "");
        timeline.stamp(Stage::Encoded, start + Duration::from_millis(2));
        assert_eq!(header(&timeline), "total;dur=2.000");
    }
}
