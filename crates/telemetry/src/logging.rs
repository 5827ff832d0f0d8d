//! Logs: one JSON object a line on stderr, with RFC 3339 timestamps and the event's fields at the top.
//!
//! Stdout is left to whatever a subcommand prints for its user.

use std::io;

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::log_level::{self, LogLevel};

/// What is logged, in the usual directives: `info`, or `warn,tidegate::access=info`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

#[derive(Clone, Debug)]
pub struct LogConfig {
    pub filter: LogFilter,
}

impl LogFilter {
    /// # Errors
    /// What is wrong with the directives.
    pub fn new(directives: &str) -> Result<Self, String> {
        if directives.trim().is_empty() {
            return Err("no level is named".to_owned());
        }
        EnvFilter::builder().parse(directives).map_err(|error| error.to_string())?;
        Ok(Self(directives.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn own_filter(&self) -> EnvFilter {
        EnvFilter::builder().parse_lossy(&self.0)
    }

    /// ONNX Runtime tells much about itself at `info`; it is asked for warnings unless named.
    fn env_filter(&self) -> EnvFilter {
        EnvFilter::builder().parse_lossy(format!("ort=warn,{}", self.0))
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

/// Sends the process's logs to stderr.
///
/// # Errors
/// When the process already has a subscriber.
pub fn init_logging(config: &LogConfig) -> Result<(), impl std::error::Error + use<>> {
    let (subscriber, put) = subscriber(&config.filter, io::stderr);
    tracing::subscriber::set_global_default(subscriber)?;
    let level = LogLevel::of(config.filter.own_filter().max_level_hint());
    log_level::install(level, put);
    Ok::<_, tracing::subscriber::SetGlobalDefaultError>(())
}

/// What writes the log, and what changes its level.
fn subscriber<W>(
    filter: &LogFilter,
    writer: W,
) -> (impl Subscriber + use<W>, impl Fn(LogLevel) -> Result<(), String> + Send + Sync + use<W>)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_env_filter(filter.env_filter())
        .with_writer(writer)
        .with_filter_reloading();
    let handle = builder.reload_handle();
    let put = move |level: LogLevel| {
        let all = LogFilter(level.as_str().to_owned());
        // Whoever wants less than warnings wants less of ONNX Runtime's, too.
        let filter = if level < LogLevel::Warn { all.own_filter() } else { all.env_filter() };
        handle.reload(filter).map_err(|error| error.to_string())
    };
    (builder.finish(), put)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};

    use serde_json::{Value, json};
    use tidegate_inference::{BatchFacts, CloseReason, Stage, Timeline, Version};

    use super::*;
    use crate::{AccessLog, AccessRecord, AccessSampling};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(filter: &str, log: impl FnOnce()) -> Vec<Value> {
        let lines = Lines::default();
        let writer = lines.clone();
        let (subscriber, _) = subscriber(&LogFilter::new(filter).unwrap(), move || writer.clone());
        tracing::subscriber::with_default(subscriber, log);
        let bytes = lines.0.lock().unwrap();
        let text = str::from_utf8(&bytes).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn record(status: u16) -> AccessRecord<'static> {
        AccessRecord {
            request_id: "r-1",
            protocol: "v2",
            key: Some("web"),
            model: Some("digits"),
            version: Version::new(2),
            outcome: "response",
            status,
            latency: Duration::from_micros(1500),
            timeline: None,
            request_bytes: 10,
            response_bytes: 20,
        }
    }

    #[test]
    fn the_level_can_be_changed_while_the_log_is_written() {
        let lines = Lines::default();
        let writer = lines.clone();
        let filter = LogFilter::new("warn").unwrap();
        assert_eq!(LogLevel::of(filter.own_filter().max_level_hint()), LogLevel::Warn);
        let (subscriber, put) = subscriber(&filter, move || writer.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("one");
            put(LogLevel::Debug).unwrap();
            tracing::debug!("two");
            put(LogLevel::Off).unwrap();
            tracing::error!("three");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("two") && !text.contains("one") && !text.contains("three"), "{text}");
    }

    #[test]
    fn an_access_line_is_one_flat_object_that_tells_the_whole_request() {
        let start = Instant::now();
        let mut timeline = Timeline::starting(start);
        for (stage, ms) in [
            (Stage::Enqueued, 1),
            (Stage::Dispatched, 3),
            (Stage::Gathered, 4),
            (Stage::Executed, 9),
        ] {
            timeline.stamp(stage, start + Duration::from_millis(ms));
        }
        timeline.set_batch(BatchFacts { rows: 8, requests: 5, closed_by: CloseReason::Target });
        let log = AccessLog::new(AccessSampling::ALL);
        let lines = logged("info", || {
            log.record(&AccessRecord { timeline: Some(&timeline), ..record(200) });
        });
        let mut line = lines[0].clone();
        let timestamp = line.as_object_mut().unwrap().remove("timestamp").unwrap();
        assert!(is_rfc3339(timestamp.as_str().unwrap()), "{timestamp}");
        let expected = json!({
            "level": "INFO", "target": "tidegate::access", "message": "request",
            "request_id": "r-1", "protocol": "v2", "key": "web", "model": "digits", "version": 2,
            "outcome": "response", "status": 200, "latency_ms": 1.5, "queue_ms": 2.0,
            "execute_ms": 5.0, "batch_rows": 8, "batch_requests": 5, "batch_closed_by": "target",
            "request_bytes": 10, "response_bytes": 20,
        });
        assert_eq!(line, expected);
        assert_eq!(lines.len(), 1);
    }

    #[test]
    fn server_errors_are_written_whatever_the_share() {
        let log = AccessLog::new(AccessSampling::ERRORS_ONLY);
        let lines = logged("info", || {
            for status in [200, 404, 500, 503] {
                log.record(&record(status));
            }
        });
        let statuses: Vec<_> = lines.iter().map(|line| line["status"].as_u64().unwrap()).collect();
        assert_eq!(statuses, [500, 503]);
    }

    #[test]
    fn the_library_is_quiet_until_it_is_named() {
        let talk = || tracing::info!(target: "ort::logging", "hello");
        assert!(logged("info", talk).is_empty());
        assert_eq!(logged("info,ort=info", talk).len(), 1);
    }

    #[test]
    fn a_filter_that_says_nothing_or_nonsense_is_refused() {
        for bad in ["", "  ", "loud=very", "tidegate=="] {
            assert!(LogFilter::new(bad).is_err(), "{bad:?}");
        }
    }

    fn is_rfc3339(text: &str) -> bool {
        let shape: String =
            text.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
        shape == "9999-99-99T99:99:99.999999Z"
    }
}
