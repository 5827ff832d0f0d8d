//! `GetModelStatus` as JSON: every field always there, versions as strings, newest first.

use bytes::Bytes;
use serde::Serialize;
use tidegate_inference::{Version, VersionEntry, VersionState};

#[derive(Serialize)]
struct ModelStatus<'a> {
    model_version_status: Vec<VersionStatus<'a>>,
}

#[derive(Serialize)]
struct VersionStatus<'a> {
    version: String,
    state: &'static str,
    status: Status<'a>,
}

#[derive(Serialize)]
struct Status<'a> {
    error_code: &'static str,
    error_message: &'a str,
}

/// `GET /v1/models/M[/versions/V|/labels/L]`: the status of these versions.
pub fn model_status<'a>(versions: impl IntoIterator<Item = (Version, &'a VersionEntry)>) -> Bytes {
    let mut versions: Vec<_> = versions.into_iter().collect();
    versions.sort_unstable_by_key(|(version, _)| std::cmp::Reverse(*version));
    let statuses = versions.into_iter().map(|(version, entry)| VersionStatus {
        version: version.to_string(),
        state: stage(entry.state).name(),
        status: status(entry),
    });
    let status = ModelStatus { model_version_status: statuses.collect() };
    super::pretty(&status)
}

/// A version's state in this vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Loading,
    Available,
    Unloading,
    End,
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Self::Loading => "LOADING",
            Self::Available => "AVAILABLE",
            Self::Unloading => "UNLOADING",
            Self::End => "END",
        }
    }
}

/// A failed load has ended here; its error says that it ended badly.
pub(crate) fn stage(state: VersionState) -> Stage {
    match state {
        VersionState::Loading => Stage::Loading,
        VersionState::Ready => Stage::Available,
        VersionState::Draining => Stage::Unloading,
        VersionState::Unloaded | VersionState::Failed => Stage::End,
    }
}

/// Why a version ended badly, if it did.
pub(crate) fn failure(entry: &VersionEntry) -> Option<&str> {
    let failed = entry.state == VersionState::Failed;
    failed.then(|| entry.reason.as_deref().unwrap_or("the version failed to load"))
}

fn status(entry: &VersionEntry) -> Status<'_> {
    match failure(entry) {
        Some(reason) => Status { error_code: "UNKNOWN", error_message: reason },
        None => Status { error_code: "OK", error_message: "" },
    }
}

#[cfg(test)]
mod tests {
    use tidegate_inference::BatchingStatus;

    use super::*;

    fn entry(state: VersionState, reason: Option<&str>) -> VersionEntry {
        VersionEntry {
            state,
            reason: reason.map(str::to_owned),
            platform: "onnxruntime_onnx",
            signature: None,
            batching: BatchingStatus::Unknown,
            description: None,
            warnings: [].into(),
        }
    }

    #[test]
    fn the_newest_version_comes_first_and_every_field_is_there() {
        let (ready, failed) =
            (entry(VersionState::Ready, None), entry(VersionState::Failed, Some("no such op")));
        let version = |number| Version::new(number).unwrap();
        let body = model_status([(version(1), &ready), (version(2), &failed)]);
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let expected = r#"{"model_version_status":[
            {"version":"2","state":"END","status":{"error_code":"UNKNOWN","error_message":"no such op"}},
            {"version":"1","state":"AVAILABLE","status":{"error_code":"OK","error_message":""}}]}"#;
        assert_eq!(body, serde_json::from_str::<serde_json::Value>(expected).unwrap());
    }

    #[test]
    fn every_state_has_its_name() {
        for (state, name) in [
            (VersionState::Loading, "LOADING"),
            (VersionState::Ready, "AVAILABLE"),
            (VersionState::Draining, "UNLOADING"),
            (VersionState::Unloaded, "END"),
            (VersionState::Failed, "END"),
        ] {
            assert_eq!(stage(state).name(), name);
        }
    }
}
