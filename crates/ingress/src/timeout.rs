//! How long the caller will wait, and how urgent it is, wherever that stands: in one of three headers, or
//! in the parameters of an Open Inference body. The smallest timeout of all counts.
//!
//! The one question without a standard answer is the unit of a bare number in `X-Request-Timeout` and
//! `Request-Timeout`. Here it is seconds: HTTP's own headers count in seconds (`Retry-After`,
//! `Keep-Alive: timeout`), and the conventions that mean milliseconds say so in the header's name
//! (`x-envoy-upstream-rq-timeout-ms`). gRPC's header and Triton's parameter follow their own documents.

use std::time::Duration;

use http::{HeaderMap, HeaderName};
use tidegate_inference::{Deadline, Error, ParameterValue, Parameters, Priority, Result};

type Parse = fn(&str) -> Option<Duration>;

/// Where a timeout may stand, how it is read there, and what is expected.
static HEADERS: [(HeaderName, Parse, &str); 3] = [
    (HeaderName::from_static("x-request-timeout"), span, SPAN_EXPECTED),
    (HeaderName::from_static("request-timeout"), span, SPAN_EXPECTED),
    (HeaderName::from_static("grpc-timeout"), grpc_span, GRPC_EXPECTED),
];

const SPAN_EXPECTED: &str =
    "seconds or a number with its unit (us, ms, s, m or h), above 0, such as \"0.25\" or \"250ms\"";
const GRPC_EXPECTED: &str =
    "1 to 8 digits, above 0, and a unit (H, M, S, m, u or n), such as \"250m\"";

/// The shortest timeout that the head tells; longer than a year is a year.
///
/// # Errors
/// A value that is no timeout: the header, what was expected, what came.
pub fn in_headers(headers: &HeaderMap) -> Result<Option<Duration>> {
    let mut shortest: Option<Duration> = None;
    for (name, parse, expected) in &HEADERS {
        for value in headers.get_all(name) {
            let read = std::str::from_utf8(value.as_bytes()).ok().and_then(parse);
            let timeout = read.filter(|timeout| !timeout.is_zero()).ok_or_else(|| {
                let came = String::from_utf8_lossy(value.as_bytes());
                Error::invalid(format!("header '{name}': expected {expected}, got \"{came:.64}\""))
            })?;
            shortest = Some(shortest.map_or(timeout, |so_far| so_far.min(timeout)));
        }
    }
    Ok(shortest)
}

/// The parameter `timeout`, in microseconds. 0 is none, as in Triton.
///
/// # Errors
/// A value that is no number of microseconds.
pub fn in_parameters(parameters: &Parameters) -> Result<Option<Duration>> {
    let micros = whole_number(parameters, "timeout", "a whole number of microseconds")?;
    Ok(micros.filter(|micros| *micros > 0).map(Duration::from_micros))
}

/// The parameter `priority`.
///
/// # Errors
/// A value that is no number; a level out of range is the default level.
pub fn priority(parameters: &Parameters) -> Result<Priority> {
    let level = whole_number(parameters, "priority", "a whole number, 1 being the most urgent")?;
    Ok(level.map_or(Priority::DEFAULT, Priority::from_wire))
}

/// Digits with at most one point among them, and a unit; without one, seconds.
fn span(text: &str) -> Option<Duration> {
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let (number, unit) = text.split_at(text.find(|c| !is_number(c)).unwrap_or(text.len()));
    let unit = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    if number.starts_with('.') || number.ends_with('.') {
        return None;
    }
    let seconds = number.parse::<f64>().ok()? * unit;
    Some(Duration::from_secs_f64(seconds.min(Deadline::LONGEST_TIMEOUT.as_secs_f64())))
}

/// As gRPC over HTTP/2 writes it.
fn grpc_span(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = digits.parse().ok()?;
    let timeout = match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    };
    Some(timeout.min(Deadline::LONGEST_TIMEOUT))
}

/// Triton's clients send integers; others, written in languages without large ones, strings.
fn whole_number(parameters: &Parameters, key: &str, expected: &str) -> Result<Option<u64>> {
    let Some(value) = parameters.get(key) else { return Ok(None) };
    let number = match value {
        ParameterValue::Int64(number) => u64::try_from(*number).ok(),
        ParameterValue::Uint64(number) => Some(*number),
        ParameterValue::String(text) => digits(text),
        // The only form of a number beyond 64 bits; the cast stops at the largest.
        ParameterValue::Double(number) => {
            (*number >= 0.0 && number.fract() == 0.0).then_some(*number as u64)
        }
        ParameterValue::Bool(_) => None,
    };
    number.map(Some).ok_or_else(|| {
        let came = match value {
            ParameterValue::Bool(value) => value.to_string(),
            ParameterValue::Int64(value) => value.to_string(),
            ParameterValue::Uint64(value) => value.to_string(),
            ParameterValue::Double(value) => value.to_string(),
            ParameterValue::String(value) => format!("\"{value:.64}\""),
        };
        Error::invalid(format!("parameter '{key}': expected {expected}, got {came}"))
    })
}

/// More digits than a number holds mean the largest.
fn digits(text: &str) -> Option<u64> {
    let all_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const YEAR: Duration = Deadline::LONGEST_TIMEOUT;

    fn head(headers: &[(&'static str, &'static str)]) -> Result<Option<Duration>> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        in_headers(&map)
    }

    fn body(key: &str, value: ParameterValue) -> Parameters {
        [(key.to_owned(), value)].into()
    }

    #[test]
    fn a_bare_number_is_seconds_and_a_unit_is_believed() {
        for (value, micros) in [
            ("2", 2_000_000),
            ("0.25", 250_000),
            ("250ms", 250_000),
            ("1.5s", 1_500_000),
            ("70us", 70),
            ("2m", 120_000_000),
            ("1h", 3_600_000_000),
        ] {
            let expected = Ok(Some(Duration::from_micros(micros)));
            assert_eq!(head(&[("x-request-timeout", value)]), expected, "{value}");
            assert_eq!(head(&[("request-timeout", value)]), expected, "{value}");
        }
    }

    #[test]
    fn grpcs_letters_are_grpcs() {
        for (value, timeout) in [
            ("2H", Duration::from_secs(7200)),
            ("2M", Duration::from_secs(120)),
            ("2S", Duration::from_secs(2)),
            ("250m", Duration::from_millis(250)),
            ("99999999u", Duration::from_micros(99_999_999)),
            ("1n", Duration::from_nanos(1)),
            ("99999999H", YEAR),
        ] {
            assert_eq!(head(&[("grpc-timeout", value)]), Ok(Some(timeout)), "{value}");
        }
    }

    #[test]
    fn the_smallest_of_all_counts() {
        assert_eq!(head(&[]), Ok(None));
        let all = [
            ("x-request-timeout", "3"),
            ("x-request-timeout", "2"),
            ("request-timeout", "1s"),
            ("grpc-timeout", "900m"),
        ];
        let least = |count: usize| head(&all[..count]).unwrap().unwrap().as_millis();
        assert_eq!([1, 2, 3, 4].map(least), [3000, 2000, 1000, 900]);
    }

    #[test]
    fn what_is_no_timeout_is_named_with_what_was_expected() {
        for value in ["", "x", "0", "0ms", "-1", "1e3", ".5", "5.", "1.2.3", "1 s", "1S", "2,3"] {
            let refused = head(&[("x-request-timeout", value)]).unwrap_err();
            let expected =
                format!("header 'x-request-timeout': expected {SPAN_EXPECTED}, got \"{value}\"");
            assert_eq!(refused.message(), expected);
        }
        for value in ["", "5", "m", "0m", "-1m", "1.5S", "100000000m", "5ms", "5s", "5h", "+5m"] {
            let refused = head(&[("grpc-timeout", value)]).unwrap_err();
            let expected =
                format!("header 'grpc-timeout': expected {GRPC_EXPECTED}, got \"{value}\"");
            assert_eq!(refused.message(), expected);
        }
        let mut foreign = HeaderMap::new();
        foreign.insert("request-timeout", HeaderValue::from_bytes(b"\xff1s").unwrap());
        assert!(in_headers(&foreign).unwrap_err().message().contains("got \"\u{fffd}1s\""));
    }

    #[test]
    fn more_than_a_year_is_a_year() {
        let endless: &'static str = "9".repeat(400).leak();
        for value in ["8761h", "99999999999", endless] {
            assert_eq!(head(&[("x-request-timeout", value)]), Ok(Some(YEAR)), "{value}");
        }
    }

    #[test]
    fn the_bodys_timeout_is_microseconds_in_any_form_of_a_whole_number() {
        use ParameterValue::{Double, Int64, String, Uint64};
        let micros = |value| in_parameters(&body("timeout", value)).unwrap();
        let fifty_ms = Some(Duration::from_millis(50));
        for value in [Int64(50_000), Uint64(50_000), Double(5e4), String("50000".into())] {
            assert_eq!(micros(value), fifty_ms);
        }
        assert_eq!([micros(Int64(0)), micros(String("0".into()))], [None, None]);
        let longest = Some(Duration::from_micros(u64::MAX));
        let beyond = String("99999999999999999999999".into());
        assert_eq!([micros(Uint64(u64::MAX)), micros(Double(1e30)), micros(beyond)], [longest; 3]);
        assert_eq!(in_parameters(&Parameters::new()), Ok(None));
    }

    #[test]
    fn parameters_that_are_no_numbers_are_refused() {
        use ParameterValue::{Bool, Double, Int64, String};
        let refusal = |key, value| {
            let parameters = body(key, value);
            let refused = in_parameters(&parameters).err().or(priority(&parameters).err());
            refused.unwrap().message().to_owned()
        };
        assert_eq!(
            refusal("timeout", Int64(-1)),
            "parameter 'timeout': expected a whole number of microseconds, got -1"
        );
        assert_eq!(
            refusal("priority", String("high".into())),
            "parameter 'priority': expected a whole number, 1 being the most urgent, got \"high\""
        );
        for value in [Bool(true), Double(0.5), Double(f64::NAN), String("".into())] {
            assert!(refusal("timeout", value.clone()).contains("expected a whole number"));
            assert!(refusal("priority", value).contains("expected a whole number"));
        }
    }

    #[test]
    fn a_priority_out_of_range_is_the_default() {
        use ParameterValue::{Int64, String, Uint64};
        let level = |value| priority(&body("priority", value)).unwrap().level();
        assert_eq!([level(Int64(1)), level(Uint64(9)), level(String("3".into()))], [1, 9, 3]);
        assert_eq!([level(Int64(0)), level(Int64(11)), level(Uint64(u64::MAX))], [5; 3]);
        assert_eq!(priority(&Parameters::new()), Ok(Priority::DEFAULT));
    }
}
