//! The `Server-Timing` header: where an answer's time went, readable in a browser's network panel and with
//! `curl -i`. Written from the timeline; a stage that was not reached is left out.

use std::io::Write;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use tidegate_inference::{Stage, Timeline};

pub const HEADER: HeaderName = HeaderName::from_static("server-timing");

/// Longer than the longest header: four durations and a row count of twenty digits each.
const ROOM: usize = 256;

/// `queue;dur=0.012, batch;dur=0.003, execute;dur=1.234, total;dur=1.300, batch-size;desc="8", closed-by;desc="target"`:
/// milliseconds; `batch` is gather and scatter together, `batch-size` counts rows.
pub fn header(timeline: &Timeline) -> HeaderValue {
    let mut line = Line { text: [0; ROOM], length: 0 };
    let batch = timeline
        .between(Stage::Dispatched, Stage::Gathered)
        .zip(timeline.between(Stage::Executed, Stage::Scattered))
        .map(|(gather, scatter)| gather + scatter);
    line.duration("queue", timeline.queue_delay());
    line.duration("batch", batch);
    line.duration("execute", timeline.between(Stage::Gathered, Stage::Executed));
    line.duration("total", timeline.between(Stage::Received, Stage::Encoded));
    if let Some(batch) = timeline.batch() {
        let (rows, why) = (batch.rows, batch.closed_by.as_str());
        line.add(format_args!("batch-size;desc=\"{rows}\", closed-by;desc=\"{why}\""));
    }
    HeaderValue::from_bytes(&line.text[..line.length]).expect("ASCII without control characters")
}

/// Written on the stack: this is done for every answer.
struct Line {
    text: [u8; ROOM],
    length: usize,
}

impl Line {
    fn duration(&mut self, name: &str, took: Option<Duration>) {
        let Some(took) = took else { return };
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        // Integers print several times faster than floats.
        self.add(format_args!("{name};dur={}.{:03}", micros / 1000, micros % 1000));
    }

    fn add(&mut self, part: std::fmt::Arguments<'_>) {
        let separator = if self.length == 0 { "" } else { ", " };
        let mut rest = &mut self.text[self.length..];
        let room = rest.len();
        write!(rest, "{separator}{part}").expect("there is room for the longest header");
        self.length += room - rest.len();
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
        let mut line = Line { text: [0; ROOM], length: 0 };
        for name in ["queue", "batch", "execute", "total"] {
            line.duration(name, Some(Duration::MAX));
        }
        line.add(format_args!(
            "batch-size;desc=\"{}\", closed-by;desc=\"{}\"",
            usize::MAX,
            "unbatched"
        ));
        assert!(line.length < ROOM);
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
