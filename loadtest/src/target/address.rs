//! Whom a load asks, read from a URL that ends in the model. The scheme says how the wire is carried, the
//! path's first part which protocol is spoken on it.

use std::fmt;

use http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::Failure;
use crate::load::Transport;

/// A model on a server, and the protocol in which it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub protocol: Protocol,
    /// A name or an address; an IPv6 address without its brackets.
    pub host: String,
    pub port: u16,
    pub model: String,
    pub version: Asked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    OpenInferenceJson,
    OpenInferenceBinary,
    OpenInferenceGrpc,
    TensorFlowRest,
    TensorFlowGrpc,
}

/// Which version of the model is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The server's choice.
    Any,
    Version(String),
    Label(String),
}

const FORMS: &str = "expected http://HOST:PORT/v2/models/MODEL[/versions/VERSION] (Open Inference Protocol), \
     http://HOST:PORT/v1/models/MODEL[/versions/VERSION|/labels/LABEL] (TensorFlow Serving), or either with grpc://";

/// What a path segment may hold as it is (RFC 3986's `pchar`, less `:`, which begins a TensorFlow verb).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl Target {
    /// `binary`: tensors travel in binary form, where the protocol leaves the choice.
    ///
    /// # Errors
    /// When `text` is no URL of one of these forms.
    pub fn parse(text: &str, binary: bool) -> Result<Self, Failure> {
        Self::read(text, binary)
            .map_err(|problem| Failure::new(format!("target '{text}': {problem}")))
    }

    fn read(text: &str, binary: bool) -> Result<Self, String> {
        let uri: Uri = text.parse().map_err(|error| format!("not a URL ({error}): {FORMS}"))?;
        let grpc = match uri.scheme_str() {
            Some("http") => false,
            Some("grpc") => true,
            Some("https" | "grpcs") => {
                return Err(
                    "encrypted connections are not supported: take http:// or grpc://".into()
                );
            }
            Some(scheme) => return Err(format!("unknown scheme '{scheme}': {FORMS}")),
            None => return Err(format!("no scheme: {FORMS}")),
        };
        if uri.query().is_some() {
            return Err("a query does not belong to a target: it ends in the model".into());
        }
        let (host, port) = host_and_port(&uri, grpc)?;
        let (family, model, version) = model(uri.path())?;
        let protocol = match (family, grpc, binary) {
            (Family::OpenInference, false, false) => Protocol::OpenInferenceJson,
            (Family::OpenInference, false, true) => Protocol::OpenInferenceBinary,
            (Family::OpenInference, true, _) => Protocol::OpenInferenceGrpc,
            (Family::TensorFlow, true, _) => Protocol::TensorFlowGrpc,
            (Family::TensorFlow, false, false) => Protocol::TensorFlowRest,
            (Family::TensorFlow, false, true) => {
                return Err(
                    "TensorFlow Serving's REST API has no binary form: leave out --binary, \
                            or ask over /v2/models or grpc://"
                        .into(),
                );
            }
        };
        Ok(Self { protocol, host, port, model, version })
    }

    /// For the `host` header and for reports.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// `streams`: requests at a time on a connection that can carry several.
    pub fn transport(&self, streams: usize) -> Transport {
        match self.protocol {
            Protocol::OpenInferenceGrpc | Protocol::TensorFlowGrpc => Transport::Http2 { streams },
            _ => Transport::Http1,
        }
    }

    /// The model's own path over REST, without a verb behind it.
    pub(super) fn path(&self) -> String {
        let root = match self.protocol.family() {
            Family::OpenInference => "v2",
            Family::TensorFlow => "v1",
        };
        let encode = |text| utf8_percent_encode(text, SEGMENT);
        let model = encode(&self.model);
        match &self.version {
            Asked::Any => format!("/{root}/models/{model}"),
            Asked::Version(version) => {
                format!("/{root}/models/{model}/versions/{}", encode(version))
            }
            Asked::Label(label) => format!("/{root}/models/{model}/labels/{}", encode(label)),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.protocol {
            Protocol::OpenInferenceGrpc | Protocol::TensorFlowGrpc => "grpc",
            _ => "http",
        };
        write!(f, "{scheme}://{}{}", self.authority(), self.path())
    }
}

impl Protocol {
    pub(super) fn family(self) -> Family {
        match self {
            Self::OpenInferenceJson | Self::OpenInferenceBinary | Self::OpenInferenceGrpc => {
                Family::OpenInference
            }
            Self::TensorFlowRest | Self::TensorFlowGrpc => Family::TensorFlow,
        }
    }
}

/// Whose vocabulary: it decides what metadata, files and parameters look like, however they travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    OpenInference,
    TensorFlow,
}

fn host_and_port(uri: &Uri, grpc: bool) -> Result<(String, u16), String> {
    let authority = uri.authority().ok_or_else(|| format!("no host: {FORMS}"))?;
    if authority.as_str().contains('@') {
        return Err("user names and passwords are not supported: pass --header".into());
    }
    let host = authority.host().trim_matches(['[', ']']);
    if host.is_empty() {
        return Err(format!("no host: {FORMS}"));
    }
    let port = match authority.port() {
        Some(port) => port.as_u16(),
        None if authority.as_str() == authority.host() && !grpc => 80,
        None => return Err(format!("no port that could be used: {FORMS}")),
    };
    Ok((host.to_owned(), port))
}

fn model(path: &str) -> Result<(Family, String, Asked), String> {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let [root @ ("v1" | "v2"), "models", model, rest @ ..] = &segments[..] else {
        return Err(format!("'{path}' names no model: {FORMS}"));
    };
    let family = if *root == "v1" { Family::TensorFlow } else { Family::OpenInference };
    let last = segments.last().copied().unwrap_or_default();
    if let Some((_, verb)) = last.split_once(':').filter(|_| family == Family::TensorFlow) {
        return Err(format!("it ends in the model: leave out ':{verb}'"));
    }
    let version = match (rest, family) {
        ([], _) => Asked::Any,
        (["versions", version], _) => Asked::Version(decoded(version)?),
        (["labels", label], Family::TensorFlow) => Asked::Label(decoded(label)?),
        ([verb], _) | (["versions", _, verb], _) | (["labels", _, verb], Family::TensorFlow) => {
            return Err(format!("it ends in the model: leave out '/{verb}'"));
        }
        _ => return Err(format!("'{path}' ends in no model: {FORMS}")),
    };
    if let (Family::TensorFlow, Asked::Version(version)) = (family, &version)
        && !version.parse::<i64>().is_ok_and(|version| version >= 0)
    {
        return Err(format!("version '{version}' is not a number"));
    }
    Ok((family, decoded(model)?, version))
}

fn decoded(segment: &str) -> Result<String, String> {
    if segment.is_empty() {
        return Err(format!("a part of its path is empty: {FORMS}"));
    }
    match percent_decode_str(segment).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(format!("'{segment}' is not UTF-8")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str, binary: bool) -> String {
        Target::parse(text, binary).unwrap_err().to_string()
    }

    #[test]
    fn scheme_and_path_say_the_protocol() {
        for (text, binary, protocol) in [
            ("http://h:1/v2/models/m", false, Protocol::OpenInferenceJson),
            ("http://h:1/v2/models/m", true, Protocol::OpenInferenceBinary),
            ("http://h:1/v1/models/m", false, Protocol::TensorFlowRest),
            ("grpc://h:1/v2/models/m", false, Protocol::OpenInferenceGrpc),
            ("grpc://h:1/v2/models/m", true, Protocol::OpenInferenceGrpc),
            ("grpc://h:1/v1/models/m", false, Protocol::TensorFlowGrpc),
        ] {
            let target = Target::parse(text, binary).unwrap();
            assert_eq!(target.protocol, protocol, "{text}");
            assert_eq!(target.to_string(), text);
        }
    }

    #[test]
    fn hosts_versions_and_labels_are_read() {
        let target = Target::parse("http://[::1]:8000/v2/models/a%20b/versions/3", false).unwrap();
        assert_eq!((&*target.host, target.port, &*target.model), ("::1", 8000, "a b"));
        assert_eq!(target.version, Asked::Version("3".into()));
        assert_eq!(target.to_string(), "http://[::1]:8000/v2/models/a%20b/versions/3");
        let target = Target::parse("http://server/v1/models/m/labels/stable", false).unwrap();
        assert_eq!((target.port, &target.version), (80, &Asked::Label("stable".into())));
        assert_eq!(target.path(), "/v1/models/m/labels/stable");
    }

    #[test]
    fn a_refusal_says_what_is_wrong_and_what_is_expected() {
        for (text, problem) in [
            ("", "not a URL"),
            ("localhost:8000/v2/models/m", "not a URL"),
            ("/v2/models/m", "no scheme"),
            ("ftp://h:1/v2/models/m", "unknown scheme 'ftp'"),
            ("https://h:1/v2/models/m", "encrypted connections are not supported"),
            ("http://h:1", "names no model"),
            ("http://h:1/v2/models", "names no model"),
            ("http://h:1/v2/models/", "a part of its path is empty"),
            ("http://h:1/v3/models/m", "names no model"),
            ("http://h:1/v2/models/m/infer", "leave out '/infer'"),
            ("http://h:1/v2/models/m/versions/1/infer", "leave out '/infer'"),
            ("http://h:1/v1/models/m:predict", "leave out ':predict'"),
            ("http://h:1/v2/models/m/labels/blue", "ends in no model"),
            ("http://h:1/v1/models/m/versions/new", "version 'new' is not a number"),
            ("http://h:1/v2/models/%ff", "not UTF-8"),
            ("http://h:1/v2/models/m?x=1", "a query does not belong"),
            ("http://u:p@h:1/v2/models/m", "user names and passwords"),
            ("http://h:99999/v2/models/m", "no port that could be used"),
            ("http://:1/v2/models/m", "no host"),
            ("grpc://h/v2/models/m", "no port"),
        ] {
            let refused = refusal(text, false);
            assert!(refused.starts_with(&format!("target '{text}': ")), "{refused}");
            assert!(refused.contains(problem), "{refused}");
        }
        assert!(refusal("http://h:1/v1/models/m", true).contains("leave out --binary"));
    }
}
