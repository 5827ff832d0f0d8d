//! Triton's logging and trace extensions: settings of the server, read and changed.
//!
//! Of logging, the levels are settings here; file and format are told and cannot be changed. Traces of single
//! requests are not written here, so the trace settings say that they are off.

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use tidegate_inference::{Error, ErrorKind, ParameterValue};

use crate::DecodeError;
use crate::json::to_body;

/// Which messages are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    pub info: bool,
    pub warnings: bool,
    pub errors: bool,
    /// 0 is none; the higher, the more.
    pub verbose_level: u32,
}

/// All logs are lines of JSON with such timestamps.
pub const LOG_FORMAT: &str = "ISO8601";

#[derive(Serialize)]
struct LogAnswer {
    log_file: &'static str,
    log_info: bool,
    log_warnings: bool,
    log_errors: bool,
    log_verbose_level: u32,
    log_format: &'static str,
}

impl LogSettings {
    /// Changes one of them by its name, the singular as well as the plural.
    ///
    /// # Errors
    /// A setting that there is not or that cannot be changed, or a value that is none of its.
    pub fn set(&mut self, key: &str, value: &ParameterValue) -> Result<(), Error> {
        match key {
            "log_info" => self.info = switch(key, value)?,
            "log_warning" | "log_warnings" => self.warnings = switch(key, value)?,
            "log_error" | "log_errors" => self.errors = switch(key, value)?,
            "log_verbose_level" => {
                let level = match value {
                    ParameterValue::Int64(level) => u32::try_from(*level).ok(),
                    ParameterValue::Uint64(level) => u32::try_from(*level).ok(),
                    _ => None,
                };
                self.verbose_level =
                    level.ok_or_else(|| unfit(key, "a non-negative integer", value))?;
            }
            "log_format" if *value == ParameterValue::String(LOG_FORMAT.to_owned()) => {}
            "log_file" | "log_format" => {
                let message =
                    format!("log setting '{key}' cannot be changed while the server runs");
                return Err(Error::new(ErrorKind::Unimplemented, message));
            }
            _ => return Err(Error::invalid(format!("unknown log setting '{key:.64}'"))),
        }
        Ok(())
    }
}

fn switch(key: &str, value: &ParameterValue) -> Result<bool, Error> {
    match value {
        ParameterValue::Bool(on) => Ok(*on),
        _ => Err(unfit(key, "true or false", value)),
    }
}

fn unfit(key: &str, expected: &str, got: &ParameterValue) -> Error {
    Error::invalid(format!("log setting '{key}': expected {expected}, got {got:?}"))
}

/// `GET /v2/logging`, and the answer to a change.
pub fn log_settings(settings: &LogSettings) -> Bytes {
    to_body(&LogAnswer {
        log_file: "",
        log_info: settings.info,
        log_warnings: settings.warnings,
        log_errors: settings.errors,
        log_verbose_level: settings.verbose_level,
        log_format: LOG_FORMAT,
    })
}

/// `POST /v2/logging`: the present settings with the changes of the body.
///
/// # Errors
/// When it is not such a request.
pub fn decode_log_settings(body: &[u8], present: LogSettings) -> Result<LogSettings, DecodeError> {
    let mut settings = present;
    for (key, value) in object(body)? {
        settings.set(&key, &parameter(&key, value)?)?;
    }
    Ok(settings)
}

/// `GET /v2/trace/setting`: name and values of each.
pub const TRACE_SETTINGS: [(&str, &str); 6] = [
    ("trace_level", "OFF"),
    ("trace_rate", "1000"),
    ("trace_count", "-1"),
    ("log_frequency", "0"),
    ("trace_file", ""),
    ("trace_mode", "triton"),
];

pub fn trace_settings() -> Bytes {
    let setting = |(key, value): (&str, &str)| {
        // Of levels there may be several.
        let value = if key == "trace_level" { Value::from(vec![value]) } else { value.into() };
        (key.to_owned(), value)
    };
    let settings: serde_json::Map<_, _> = TRACE_SETTINGS.into_iter().map(setting).collect();
    to_body(&settings)
}

/// `POST /v2/trace/setting`: what would change nothing is taken.
///
/// # Errors
/// What asks for traces.
pub fn decode_trace_settings(body: &[u8]) -> Result<(), DecodeError> {
    for (key, value) in object(body)? {
        let values = match value {
            Value::Null => Vec::new(),
            Value::Array(values) => values.iter().map(text).collect(),
            value => vec![text(&value)],
        };
        check_trace_setting(&key, &values)?;
    }
    Ok(())
}

/// # Errors
/// [`ErrorKind::Unimplemented`] for whatever is not as it is. No values: the default.
pub fn check_trace_setting(key: &str, values: &[String]) -> Result<(), Error> {
    let present = TRACE_SETTINGS.iter().find(|(known, _)| *known == key);
    let (_, present) =
        present.ok_or_else(|| Error::invalid(format!("unknown trace setting '{key:.64}'")))?;
    if values.is_empty() || values == [*present] {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Unimplemented,
        format!(
            "trace setting '{key}' cannot be {values:?}: traces of requests are not written here, they stay \
             {present:?}; the Server-Timing header tells where a request's time went"
        ),
    ))
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn object(body: &[u8]) -> Result<serde_json::Map<String, Value>, DecodeError> {
    serde_json::from_slice(body)
        .map_err(|error| DecodeError::invalid(format!("expected an object of settings: {error}")))
}

fn parameter(key: &str, value: Value) -> Result<ParameterValue, DecodeError> {
    Ok(match value {
        Value::Bool(on) => ParameterValue::Bool(on),
        Value::String(text) => ParameterValue::String(text),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => ParameterValue::Int64(number),
            (None, number) => ParameterValue::Double(number.unwrap_or(f64::NAN)),
        },
        other => {
            return Err(DecodeError::invalid(format!(
                "log setting '{key:.64}': expected a boolean, a number or a string, got {other:.40}"
            )));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: LogSettings =
        LogSettings { info: true, warnings: true, errors: true, verbose_level: 0 };

    #[test]
    fn log_settings_are_changed_one_by_one() {
        let body = br#"{"log_info":false,"log_verbose_level":2,"log_warning":true,"log_format":"ISO8601"}"#;
        let changed = decode_log_settings(body, USUAL).unwrap();
        assert_eq!(changed, LogSettings { info: false, verbose_level: 2, ..USUAL });
        assert_eq!(
            log_settings(&changed),
            r#"{"log_file":"","log_info":false,"log_warnings":true,"log_errors":true,"log_verbose_level":2,"log_format":"ISO8601"}"#
        );
    }

    #[test]
    fn what_is_no_setting_is_refused_by_name() {
        for (body, told) in [
            ("", "expected an object of settings"),
            ("[]", "expected an object of settings"),
            (r#"{"log_info":1}"#, "log setting 'log_info': expected true or false"),
            (r#"{"log_verbose_level":-1}"#, "expected a non-negative integer"),
            (r#"{"log_verbose_level":[1]}"#, "expected a boolean, a number or a string"),
            (r#"{"log_file":"x"}"#, "'log_file' cannot be changed"),
            (r#"{"log_format":"default"}"#, "'log_format' cannot be changed"),
            (r#"{"log":true}"#, "unknown log setting 'log'"),
        ] {
            let refused = decode_log_settings(body.as_bytes(), USUAL).unwrap_err().to_string();
            assert!(refused.contains(told), "{refused}");
        }
    }

    #[test]
    fn traces_are_off_and_stay_off() {
        let settings: Value = serde_json::from_slice(&trace_settings()).unwrap();
        assert_eq!(settings["trace_level"], serde_json::json!(["OFF"]));
        assert!(decode_trace_settings(br#"{"trace_level":["OFF"],"trace_rate":null}"#).is_ok());
        assert!(decode_trace_settings(trace_settings().as_ref()).is_ok());
        let refusal = |body: &[u8]| decode_trace_settings(body).unwrap_err().to_string();
        let refused = refusal(br#"{"trace_level":["TIMESTAMPS"]}"#);
        assert!(refused.contains("'trace_level' cannot be [\"TIMESTAMPS\"]"), "{refused}");
        assert!(refusal(br#"{"trace_rate":7}"#).contains("'trace_rate' cannot be [\"7\"]"));
        assert!(refusal(br#"{"x":1}"#).contains("unknown trace setting 'x'"));
    }
}
