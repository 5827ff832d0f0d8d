//! Triton's logging and trace extensions: anybody may look at the settings; changing them has to be allowed, by
//! `data.management`. There is one log level here, so of Triton's switches only those combinations can be had in
//! which the less urgent is off first.

use bytes::Bytes;
use tidegate_inference::{Admission, Error, ErrorKind, Result};
use tidegate_proto::open_inference::{self, LogSettings};
use tidegate_telemetry::LogLevel;

use crate::Ingress;
use crate::body::Unreadable;
use crate::infer::Exchange;
use crate::question::{self, failed};
use crate::reply::Reply;
use crate::route::SettingsCall;
use crate::service::finish;

/// There are a dozen settings.
const MAX_BODY: usize = 64 << 10;

impl<A: Admission> Ingress<A> {
    pub(crate) async fn settings(
        &self,
        mut exchange: Exchange<'_>,
        call: SettingsCall<'_>,
    ) -> Reply<A::Admitted> {
        let answer = self.settings_answer(&mut exchange, call).await;
        finish(exchange, question::reply(answer)).await
    }

    async fn settings_answer(
        &self,
        exchange: &mut Exchange<'_>,
        call: SettingsCall<'_>,
    ) -> Result<Bytes, Unreadable> {
        match call {
            SettingsCall::Log => {}
            SettingsCall::ChangeLog => {
                self.may_manage(exchange.caller, "change of log settings").map_err(failed)?;
                let decode =
                    |body: &[u8], _| open_inference::decode_log_settings(body, log_settings());
                let settings = self.asked(exchange, MAX_BODY, decode).await?;
                change_log(&settings).map_err(failed)?;
            }
            SettingsCall::Trace(model) => {
                self.trace_settings_of(model.as_deref()).map_err(failed)?;
                return Ok(open_inference::trace_settings());
            }
            SettingsCall::ChangeTrace(model) => {
                self.may_manage(exchange.caller, "change of trace settings").map_err(failed)?;
                self.trace_settings_of(model.as_deref()).map_err(failed)?;
                let decode = |body: &[u8], _| open_inference::decode_trace_settings(body);
                self.asked(exchange, MAX_BODY, decode).await?;
                return Ok(open_inference::trace_settings());
            }
        }
        Ok(open_inference::log_settings(&log_settings()))
    }

    /// They are the same for all models; the model must be one.
    pub(crate) fn trace_settings_of(&self, model: Option<&str>) -> Result<()> {
        match model {
            Some(model) => self.admission.catalog().model(model).map(drop),
            None => Ok(()),
        }
    }
}

/// The present level in Triton's words.
pub fn log_settings() -> LogSettings {
    let level = LogLevel::current();
    LogSettings {
        errors: level >= LogLevel::Error,
        warnings: level >= LogLevel::Warn,
        info: level >= LogLevel::Info,
        verbose_level: match level {
            LogLevel::Debug => 1,
            LogLevel::Trace => 2,
            _ => 0,
        },
    }
}

/// # Errors
/// Switches that make no level.
pub fn change_log(settings: &LogSettings) -> Result<()> {
    let level = log_level(settings)?;
    level.set().map_err(|problem| Error::new(ErrorKind::Unavailable, problem))?;
    tracing::info!(%level, "the log level was changed");
    Ok(())
}

fn log_level(settings: &LogSettings) -> Result<LogLevel> {
    let LogSettings { info, warnings, errors, verbose_level } = *settings;
    match (verbose_level, info, warnings, errors) {
        (2.., true, true, true) => Ok(LogLevel::Trace),
        (1, true, true, true) => Ok(LogLevel::Debug),
        (0, true, true, true) => Ok(LogLevel::Info),
        (0, false, true, true) => Ok(LogLevel::Warn),
        (0, false, false, true) => Ok(LogLevel::Error),
        (0, false, false, false) => Ok(LogLevel::Off),
        _ => Err(Error::invalid(
            "log settings: whatever is more urgent must be on as well: log_verbose_level needs log_info, which needs \
             log_warnings, which needs log_errors",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_make_a_level_or_are_refused() {
        let level = |verbose_level, info, warnings, errors| {
            log_level(&LogSettings { info, warnings, errors, verbose_level }).ok()
        };
        assert_eq!(level(0, true, true, true), Some(LogLevel::Info));
        assert_eq!(level(7, true, true, true), Some(LogLevel::Trace));
        assert_eq!(level(0, false, true, true), Some(LogLevel::Warn));
        assert_eq!(level(0, false, false, false), Some(LogLevel::Off));
        assert_eq!(level(0, true, false, true), None);
        assert_eq!(level(1, false, true, true), None);
    }
}
