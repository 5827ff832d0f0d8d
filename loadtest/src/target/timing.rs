//! The `Server-Timing` header, as our gateway writes it and as others might: what the server says of its own
//! part in an answer. Whatever cannot be read is passed over; the header is a courtesy.

use std::time::Duration;

use http::HeaderMap;

use crate::question::ServerFacts;

const HEADER: &str = "server-timing";

/// Names of the time in the queue, ours first.
const QUEUE: [&str; 3] = ["queue", "queue-time", "wait"];
/// Names of the time that the model took, ours first.
const EXECUTE: [&str; 6] = ["execute", "compute", "inference", "infer", "predict", "model"];

/// From an answer's headers and trailers.
pub(super) fn server_facts(maps: [&HeaderMap; 2]) -> ServerFacts {
    let mut facts = ServerFacts::default();
    for value in maps.into_iter().flat_map(|map| map.get_all(HEADER)) {
        let Ok(text) = value.to_str() else { continue };
        for metric in split(text, b',') {
            read(metric, &mut facts);
        }
    }
    facts
}

fn read(metric: &str, facts: &mut ServerFacts) {
    let mut parts = split(metric, b';');
    let Some(name) = parts.next().map(str::trim) else { return };
    let is = |names: &[&str]| names.iter().any(|known| name.eq_ignore_ascii_case(known));
    let place = match () {
        () if is(&QUEUE) => &mut facts.queue,
        () if is(&EXECUTE) => &mut facts.execute,
        () if is(&["batch-size"]) => {
            facts.batch_rows = parts.find_map(|part| value(part, "desc")?.parse().ok());
            return;
        }
        () => return,
    };
    *place = parts.find_map(|part| milliseconds(value(part, "dur")?));
}

/// `key=value` or `key="value"`.
fn value<'a>(parameter: &'a str, key: &str) -> Option<&'a str> {
    let (found, value) = parameter.split_once('=')?;
    found.trim().eq_ignore_ascii_case(key).then(|| value.trim().trim_matches('"'))
}

fn milliseconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse::<f64>().ok()? / 1000.0).ok()
}

/// Parts between separators that are not quoted.
fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut quoted = false;
        let end = text.bytes().position(|byte| {
            quoted ^= byte == b'"';
            byte == separator && !quoted
        });
        let (part, behind) = match end {
            Some(end) => (&text[..end], Some(&text[end + 1..])),
            None => (text, None),
        };
        rest = behind;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn facts(values: &[&str]) -> ServerFacts {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, HeaderValue::from_str(value).unwrap());
        }
        server_facts([&headers, &HeaderMap::new()])
    }

    #[test]
    fn our_gateways_header_is_read_whole() {
        let header = r#"queue;dur=0.067, batch;dur=0.785, execute;dur=0.339, total;dur=1.746, batch-size;desc="8", closed-by;desc="eager""#;
        let expected = ServerFacts {
            queue: Some(Duration::from_micros(67)),
            execute: Some(Duration::from_micros(339)),
            batch_rows: Some(8),
            version: None,
        };
        assert_eq!(facts(&[header]), expected);
    }

    #[test]
    fn others_may_write_it_their_way() {
        let found = facts(&[
            r#"cache;desc="a, queue;dur=9";dur=1,Compute ; desc="x;y" ; DUR = 2.5"#,
            "queue;dur=1",
        ]);
        assert_eq!(found.execute, Some(Duration::from_micros(2500)));
        assert_eq!(found.queue, Some(Duration::from_millis(1)));
    }

    #[test]
    fn nonsense_is_passed_over() {
        let nonsense = [
            "",
            ";;;,,,",
            "queue",
            "queue;dur=",
            "queue;dur=-1",
            "queue;dur=NaN",
            "batch-size;desc=\"x\"",
            "\"",
        ];
        assert_eq!(facts(&nonsense), ServerFacts::default());
        assert_eq!(facts(&["queue;dur=1e300"]), ServerFacts::default());
    }
}
