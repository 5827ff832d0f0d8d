//! Triton's logging and trace extensions over gRPC.

use std::collections::BTreeMap;

use bytes::Bytes;
use tidegate_credentials::Caller;
use tidegate_inference::{Admission, Error, ParameterValue, Result};
use tidegate_proto::grpc::frame;
use tidegate_proto::grpc::inference::{
    LogSettingsRequest, LogSettingsResponse, TraceSettingRequest, TraceSettingResponse,
    log_settings_request, log_settings_response, trace_setting_response,
};
use tidegate_proto::open_inference::{LOG_FORMAT, TRACE_SETTINGS, check_trace_setting};

use crate::Ingress;
use crate::settings::{change_log, log_settings};

impl<A: Admission> Ingress<A> {
    pub(super) fn grpc_log_settings(
        &self,
        asked: LogSettingsRequest,
        caller: Option<&Caller>,
    ) -> Result<Bytes> {
        if !asked.settings.is_empty() {
            self.may_manage(caller, "change of log settings")?;
            let mut settings = log_settings();
            for (key, value) in asked.settings {
                settings.set(&key, &parameter(&key, value)?)?;
            }
            change_log(&settings)?;
        }
        Ok(frame(&LogSettingsResponse { settings: shown() }))
    }

    pub(super) fn grpc_trace_settings(
        &self,
        asked: &TraceSettingRequest,
        caller: Option<&Caller>,
    ) -> Result<Bytes> {
        let model = Some(&*asked.model_name).filter(|model| !model.is_empty());
        self.trace_settings_of(model)?;
        if !asked.settings.is_empty() {
            self.may_manage(caller, "change of trace settings")?;
        }
        for (key, values) in &asked.settings {
            check_trace_setting(key, &values.value)?;
        }
        let setting = |(key, value): (&str, &str)| {
            let value = trace_setting_response::SettingValue { value: vec![value.to_owned()] };
            (key.to_owned(), value)
        };
        let settings = TRACE_SETTINGS.into_iter().map(setting).collect();
        Ok(frame(&TraceSettingResponse { settings }))
    }
}

fn parameter(key: &str, value: log_settings_request::SettingValue) -> Result<ParameterValue> {
    use log_settings_request::setting_value::ParameterChoice;
    match value.parameter_choice {
        Some(ParameterChoice::BoolParam(on)) => Ok(ParameterValue::Bool(on)),
        Some(ParameterChoice::Uint32Param(number)) => Ok(ParameterValue::Int64(number.into())),
        Some(ParameterChoice::StringParam(text)) => Ok(ParameterValue::String(text)),
        None => Err(Error::invalid(format!("log setting '{key:.64}' has no value"))),
    }
}

fn shown() -> BTreeMap<String, log_settings_response::SettingValue> {
    use log_settings_response::SettingValue;
    use log_settings_response::setting_value::ParameterChoice;
    let settings = log_settings();
    let on = ParameterChoice::BoolParam;
    let text = |text: &str| ParameterChoice::StringParam(text.to_owned());
    [
        ("log_file", text("")),
        ("log_info", on(settings.info)),
        ("log_warnings", on(settings.warnings)),
        ("log_errors", on(settings.errors)),
        ("log_verbose_level", ParameterChoice::Uint32Param(settings.verbose_level)),
        ("log_format", text(LOG_FORMAT)),
    ]
    .map(|(key, choice)| (key.to_owned(), SettingValue { parameter_choice: Some(choice) }))
    .into()
}
