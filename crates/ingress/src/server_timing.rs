//! The `Server-Timing` header: where an answer's time went, readable in a browser's network panel and with
//! `curl -i`. Written from the timeline; a stage that was not reached is left out.

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use tidegate_inference::{Stage, Timeline};

pub const HEADER: HeaderName = HeaderName::from_static("server-timing");

/// `queue;dur=0.012, batch;dur=0.003, execute;dur=1.234, total;dur=1.300, batch-size;desc="8", closed-by;desc="target"`:
/// milliseconds; `batch` is gather and scatter together, `batch-size` counts rows.
pub fn header(timeline: &Timeline) -> HeaderValue {
    let mut text = String::with_capacity(128);
    let batch = timeline
        .between(Stage::Dispatched, Stage::Gathered)
        .zip(timeline.between(Stage::Executed, Stage::Scattered))
        .map(|(gather, scatter)| gather + scatter);
    duration(&mut text, "queue", timeline.queue_delay());
    duration(&mut text, "batch", batch);
    duration(&mut text, "execute", timeline.between(Stage::Gathered, Stage::Executed));
    duration(&mut text, "total", timeline.between(Stage::Received, Stage::Encoded));
    if let Some(batch) = timeline.batch() {
        separate(&mut text);
        let (rows, why) = (batch.rows, batch.closed_by.as_str());
        write!(text, "batch-size;desc=\"{rows}\", closed-by;desc=\"{why}\"")
            .expect("a String takes all");
    }
    HeaderValue::from_maybe_shared(Bytes::from(text)).expect("ASCII without control characters")
}

fn duration(text: &mut String, name: &str, took: Option<Duration>) {
    let Some(took) = took else { return };
    separate(text);
    let micros = took.as_micros();
    // Integers print several times faster than floats.
    write!(text, "{name};dur={}.{:03}", micros / 1000, micros % 1000).expect("a String takes all");
}

fn separate(text: &mut String) {
    if !text.is_empty() {
        text.push_str(", ");
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
    fn stages_that_were_not_reached_are_left_out() {
        let start = Instant::now();
        let mut timeline = Timeline::starting(start);
        assert_eq!(header(&timeline), "");
        timeline.stamp(Stage::Encoded, start + Duration::from_millis(2));
        assert_eq!(header(&timeline), "total;dur=2.000");
    }
}
