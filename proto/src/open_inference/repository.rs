//! Bodies of Triton's model repository extension: which models there are, load one, unload one. A body may
//! be left out, and then asks for nothing special.

use bytes::Bytes;
use serde::Serialize;
use tidegate_inference::{Catalog, LoadRequest, ParameterValue, VersionState};

use super::parameters;
use crate::json::{JsonError, Kind, Reader, Result, to_body};
use crate::{DecodeError, JsonLimits};

/// One version in the answer to an index request.
#[derive(Serialize)]
pub struct IndexEntry<'a> {
    pub name: &'a str,
    pub version: String,
    pub state: &'static str,
    pub reason: &'a str,
}

/// `POST /v2/repository/index`: whether only what is ready is asked for.
///
/// # Errors
/// When it is not such a request.
pub fn decode_index(body: &[u8], limits: JsonLimits) -> Result<bool, DecodeError> {
    let mut only_ready = false;
    read(body, limits, |key, reader| match key {
        "ready" if reader.peek()? == Kind::Null => reader.null(),
        "ready" => {
            only_ready = reader.bool()?;
            Ok(())
        }
        _ => reader.skip(),
    })?;
    Ok(only_ready)
}

/// `POST /v2/repository/models/M/load`
///
/// # Errors
/// When it is not such a request, or asks for what is not offered.
pub fn decode_load(body: &[u8], limits: JsonLimits) -> Result<LoadRequest, DecodeError> {
    let mut request = LoadRequest::default();
    in_parameters(body, limits, |key, value| {
        let text = match &value {
            ParameterValue::String(text) => Some(&**text),
            _ => None,
        };
        Ok(request.set(key, text)?)
    })?;
    Ok(request)
}

/// `POST /v2/repository/models/M/unload`. No model has dependents here, so whether they are to be unloaded
/// too makes no difference.
///
/// # Errors
/// When it is not such a request.
pub fn decode_unload(body: &[u8], limits: JsonLimits) -> Result<(), DecodeError> {
    in_parameters(body, limits, |key, value| match key {
        "unload_dependents" => parameters::as_bool(key, &value).map(drop),
        _ => Err(JsonError::refused(format!(
            "unload parameter '{key:.64}' is unknown, expected 'unload_dependents'"
        ))),
    })
}

fn in_parameters(
    body: &[u8],
    limits: JsonLimits,
    mut take: impl FnMut(&str, ParameterValue) -> Result<()>,
) -> Result<(), DecodeError> {
    read(body, limits, |key, reader| match key {
        "parameters" => parameters::read(reader, &mut take),
        _ => reader.skip(),
    })
}

/// An object, or nothing.
fn read(
    body: &[u8],
    limits: JsonLimits,
    field: impl FnMut(&str, &mut Reader<'_>) -> Result<()>,
) -> Result<(), DecodeError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(());
    }
    let mut reader = Reader::new(body, limits);
    reader
        .object(field)
        .and_then(|()| reader.finish())
        .map_err(|error| error.within("failed to parse the request JSON buffer"))
}

/// The answer to an index request: every version of every model, or those that are ready.
pub fn index(catalog: &Catalog, only_ready: bool) -> Bytes {
    to_body(&index_entries(catalog, only_ready).collect::<Vec<_>>())
}

/// The same, entry by entry.
pub fn index_entries(catalog: &Catalog, only_ready: bool) -> impl Iterator<Item = IndexEntry<'_>> {
    let versions = catalog.models.iter().flat_map(|(name, model)| {
        model.versions.iter().map(move |(version, entry)| (name, *version, entry))
    });
    versions.filter(move |(_, _, entry)| !only_ready || entry.state == VersionState::Ready).map(
        |(name, version, entry)| IndexEntry {
            name: name.as_str(),
            version: version.to_string(),
            state: index_state(entry.state),
            reason: entry.reason.as_deref().unwrap_or_default(),
        },
    )
}

/// Triton's word for a version's state, on every wire.
fn index_state(state: VersionState) -> &'static str {
    match state {
        VersionState::Loading => "LOADING",
        VersionState::Ready => "READY",
        VersionState::Draining => "UNLOADING",
        VersionState::Unloaded | VersionState::Failed => "UNAVAILABLE",
    }
}

#[cfg(test)]
mod tests {
    use tidegate_inference::{
        BatchingStatus, ErrorKind, ModelEntry, ModelName, Version, VersionEntry,
    };

    use super::*;

    const LIMITS: JsonLimits = JsonLimits { max_depth: 100 };

    fn load(body: &str) -> Result<LoadRequest, DecodeError> {
        decode_load(body.as_bytes(), LIMITS)
    }

    #[test]
    fn whatever_is_left_out_asks_for_nothing_special() {
        for body in ["", " ", "{}", r#"{"ready":null,"parameters":null}"#, r#"{"parameters":{}}"#] {
            assert_eq!(decode_index(body.as_bytes(), LIMITS), Ok(false), "{body}");
            assert_eq!(load(body), Ok(LoadRequest::default()), "{body}");
            assert_eq!(decode_unload(body.as_bytes(), LIMITS), Ok(()), "{body}");
        }
    }

    #[test]
    fn requests_are_read_as_tritons_clients_write_them() {
        assert_eq!(decode_index(br#"{"ready": true}"#, LIMITS), Ok(true));
        let request = load(r#"{"parameters": {"config": "{\"max_batch_size\": 4}"}}"#).unwrap();
        assert_eq!(request.config.as_deref(), Some(r#"{"max_batch_size": 4}"#));
        for body in [
            r#"{"parameters":{"unload_dependents":true}}"#,
            r#"{"parameters":{"unload_dependents":false}}"#,
        ] {
            assert_eq!(decode_unload(body.as_bytes(), LIMITS), Ok(()));
        }
    }

    #[test]
    fn what_is_no_such_request_is_refused_by_name() {
        let kind = |error: DecodeError| error.error().kind();
        let files = load(r#"{"parameters": {"file:1/model.onnx": "AAAA"}}"#).unwrap_err();
        assert!(files.to_string().contains("'file:1/model.onnx'"), "{files}");
        assert_eq!(kind(files), ErrorKind::Unimplemented);
        for body in [
            "{",
            "[]",
            "{} {}",
            r#"{"parameters": {"config": {}}}"#,
            r#"{"parameters": {"config": 1}}"#,
            r#"{"parameters": {"what": "x"}}"#,
        ] {
            assert_eq!(kind(load(body).unwrap_err()), ErrorKind::InvalidArgument, "{body}");
        }
        assert!(decode_index(br#"{"ready": "yes"}"#, LIMITS).is_err());
        for body in [r#"{"parameters":{"unload_dependents":1}}"#, r#"{"parameters":{"x":true}}"#] {
            assert!(decode_unload(body.as_bytes(), LIMITS).is_err(), "{body}");
        }
    }

    #[test]
    fn the_index_has_every_version_in_tritons_words() {
        let entry = |state, reason: Option<&str>| VersionEntry {
            state,
            reason: reason.map(str::to_owned),
            platform: "onnxruntime_onnx",
            signature: None,
            batching: BatchingStatus::Unknown,
            description: None,
            warnings: [].into(),
        };
        let version = |number| Version::new(number).unwrap();
        let versions = [
            (version(1), entry(VersionState::Ready, None)),
            (version(2), entry(VersionState::Unloaded, Some("unloaded"))),
            (version(10), entry(VersionState::Draining, None)),
        ];
        let model = ModelEntry { versions: versions.into(), ..ModelEntry::default() };
        let models = [(ModelName::new("m").unwrap(), model)].into();
        let catalog = Catalog { models, ..Catalog::default() };
        assert_eq!(
            index(&catalog, false),
            concat!(
                r#"[{"name":"m","version":"1","state":"READY","reason":""},"#,
                r#"{"name":"m","version":"2","state":"UNAVAILABLE","reason":"unloaded"},"#,
                r#"{"name":"m","version":"10","state":"UNLOADING","reason":""}]"#,
            )
        );
        let ready = r#"[{"name":"m","version":"1","state":"READY","reason":""}]"#;
        assert_eq!(index(&catalog, true), ready);
    }
}
