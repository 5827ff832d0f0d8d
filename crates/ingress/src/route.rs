//! From method and path to an endpoint: a pure function. It knows no model, so it can only refuse what no
//! model could make right, and it refuses as the contract of that corner of the path space wants:
//! Open Inference answers 404 and 405, TensorFlow Serving 400 for whatever its patterns do not match.

use std::borrow::Cow;

use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;
use tidegate_inference::{Error, ErrorKind, Label, ModelName, Version, VersionSelector};

use crate::status::Contract;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint<'p> {
    Live,
    Ready,
    ServerMetadata,
    ModelList,
    ModelMetadata(Target<'p>),
    ModelReady(Target<'p>),
    /// Of all models, or of the named one.
    Statistics(Option<Target<'p>>),
    ModelConfig(Target<'p>),
    Infer(Target<'p>),
    Repository(RepositoryCall<'p>),
    SharedMemory(MemoryKind, MemoryCall<'p>),
    Settings(SettingsCall<'p>),
    TfsStatus(Target<'p>),
    TfsMetadata(Target<'p>),
    TfsPredict(Target<'p>),
    /// `:classify` or `:regress`, understood and not offered.
    TfsOther(&'static str),
    /// A browser's preflight question to a TensorFlow path.
    TfsOptions,
    Predict,
    Metrics,
    OpenApi,
}

/// A call of Triton's model repository extension, with the model's name, decoded but not looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepositoryCall<'p> {
    Index,
    Load(Cow<'p, str>),
    Unload(Cow<'p, str>),
}

/// A call of the logging or the trace extension; of traces perhaps with a model's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingsCall<'p> {
    Log,
    ChangeLog,
    Trace(Option<Cow<'p, str>>),
    ChangeTrace(Option<Cow<'p, str>>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryKind {
    System,
    Cuda,
}

/// A call of the shared memory extension, with the region's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemoryCall<'p> {
    /// Of one region, or of all.
    Status(Option<Cow<'p, str>>),
    Register(Cow<'p, str>),
    /// One region, or all.
    Unregister(Option<Cow<'p, str>>),
}

/// A model as a path names it, decoded but not looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target<'p> {
    pub model: Cow<'p, str>,
    pub selector: VersionSelector,
}

impl Target<'_> {
    /// # Errors
    /// [`ErrorKind::UnknownModel`]: what cannot be a name is the name of no model.
    pub fn model_name(&self) -> Result<ModelName, Error> {
        ModelName::new(&self.model).map_err(|_| {
            let message =
                format!("Request for unknown model: '{}' is not found", self.shown_model());
            Error::new(ErrorKind::UnknownModel, message)
        })
    }

    pub fn shown_model(&self) -> &str {
        shown(&self.model)
    }
}

/// No endpoint, and what to say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoRoute {
    pub contract: Contract,
    pub status: StatusCode,
    pub message: Cow<'static, str>,
    pub allow: Option<&'static str>,
}

/// Whose rules hold for a path, whether it leads anywhere or not.
pub fn contract(path: &str) -> Contract {
    if path == "/v2" || path.starts_with("/v2/") {
        Contract::OpenInference
    } else if path.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("/v1/")) {
        Contract::TensorFlow
    } else {
        Contract::Plain
    }
}

type Routed<'p> = Result<Endpoint<'p>, NoRoute>;

/// `path` as it was sent, without the query.
pub fn route<'p>(method: &Method, path: &'p str) -> Routed<'p> {
    match contract(path) {
        Contract::OpenInference => open_inference(method, &path["/v2".len()..]),
        Contract::TensorFlow => tensorflow(method, path),
        Contract::Plain => plain(method, path),
    }
}

fn plain<'p>(method: &Method, path: &'p str) -> Routed<'p> {
    match path {
        "/predict" => only_post(method, Endpoint::Predict, Contract::Plain),
        "/livez" => only_get(method, Endpoint::Live, Contract::Plain),
        "/metrics" | "/monitoring/prometheus/metrics" => {
            only_get(method, Endpoint::Metrics, Contract::Plain)
        }
        "/openapi.json" => only_get(method, Endpoint::OpenApi, Contract::Plain),
        "/readyz" => only_get(method, Endpoint::Ready, Contract::Plain),
        _ => Err(not_found(Contract::Plain)),
    }
}

fn open_inference<'p>(method: &Method, rest: &'p str) -> Routed<'p> {
    let contract = Contract::OpenInference;
    let endpoint = match rest {
        "" => Endpoint::ServerMetadata,
        "/health/live" => Endpoint::Live,
        "/health/ready" => Endpoint::Ready,
        "/models" => Endpoint::ModelList,
        "/logging" => return log_settings(method),
        "/trace/setting" => return trace_settings(method, None),
        // A model of that name is hidden here, as it is with Triton; by its versions it can be named.
        "/models/stats" => Endpoint::Statistics(None),
        _ => {
            if let Some(rest) = rest.strip_prefix("/repository/") {
                return repository(method, rest);
            }
            if let Some((kind, rest)) = memory_kind(rest) {
                return shared_memory(method, kind, rest);
            }
            let rest = rest.strip_prefix("/models/").ok_or_else(|| not_found(contract))?;
            return open_inference_model(method, rest);
        }
    };
    only_get(method, endpoint, contract)
}

/// `[REPOSITORY/]index`, `[REPOSITORY/]models/M/load`, `[REPOSITORY/]models/M/unload`. As in Triton, a
/// repository that is named makes no difference to the index, and is refused by the others.
fn repository<'p>(method: &Method, rest: &'p str) -> Routed<'p> {
    let contract = Contract::OpenInference;
    let parts: Vec<&str> = rest.splitn(5, '/').collect();
    if parts.contains(&"") {
        return Err(not_found(contract));
    }
    let (is_named, model, action) = match parts[..] {
        ["index"] | [_, "index"] => {
            return only_post(method, Endpoint::Repository(RepositoryCall::Index), contract);
        }
        ["models", model, action] => (false, model, action),
        [_, "models", model, action] => (true, model, action),
        _ => return Err(not_found(contract)),
    };
    let model = decoded(model).ok_or_else(|| not_found(contract))?;
    let call = match action {
        "load" => RepositoryCall::Load(model),
        "unload" => RepositoryCall::Unload(model),
        _ => return Err(not_found(contract)),
    };
    let endpoint = only_post(method, Endpoint::Repository(call), contract)?;
    if is_named {
        let message = "'repository_name' specification is not supported".into();
        return Err(NoRoute {
            status: StatusCode::NOT_IMPLEMENTED,
            message,
            ..not_found(contract)
        });
    }
    Ok(endpoint)
}

fn log_settings<'p>(method: &Method) -> Routed<'p> {
    let call = if is_get(method) { SettingsCall::Log } else { SettingsCall::ChangeLog };
    settings(method, call)
}

fn trace_settings<'p>(method: &Method, model: Option<Cow<'p, str>>) -> Routed<'p> {
    let call = match is_get(method) {
        true => SettingsCall::Trace(model),
        false => SettingsCall::ChangeTrace(model),
    };
    settings(method, call)
}

fn settings<'p>(method: &Method, call: SettingsCall<'p>) -> Routed<'p> {
    if is_get(method) || *method == Method::POST {
        return Ok(Endpoint::Settings(call));
    }
    Err(wrong_method(Contract::OpenInference, "GET, HEAD, POST"))
}

fn memory_kind(rest: &str) -> Option<(MemoryKind, &str)> {
    let system = rest.strip_prefix("/systemsharedmemory/");
    let cuda = || rest.strip_prefix("/cudasharedmemory/").map(|rest| (MemoryKind::Cuda, rest));
    system.map(|rest| (MemoryKind::System, rest)).or_else(cuda)
}

/// `[region/R/]status`, `region/R/register`, `[region/R/]unregister`.
fn shared_memory<'p>(method: &Method, kind: MemoryKind, rest: &'p str) -> Routed<'p> {
    let contract = Contract::OpenInference;
    let (region, action) = match rest.strip_prefix("region/") {
        None => (None, rest),
        Some(rest) => {
            let (region, action) = rest.split_once('/').ok_or_else(|| not_found(contract))?;
            let region = decoded(region).filter(|region| !region.is_empty());
            (Some(region.ok_or_else(|| not_found(contract))?), action)
        }
    };
    let endpoint = |call| Endpoint::SharedMemory(kind, call);
    match (action, region) {
        ("status", region) => only_get(method, endpoint(MemoryCall::Status(region)), contract),
        ("register", Some(region)) => {
            only_post(method, endpoint(MemoryCall::Register(region)), contract)
        }
        ("unregister", region) => {
            only_post(method, endpoint(MemoryCall::Unregister(region)), contract)
        }
        _ => Err(not_found(contract)),
    }
}

/// `M[/versions/V][/infer|/ready|/config|/stats]`
fn open_inference_model<'p>(method: &Method, rest: &'p str) -> Routed<'p> {
    let contract = Contract::OpenInference;
    let mut parts = rest.split('/');
    let model = parts.next().filter(|name| !name.is_empty()).ok_or_else(|| not_found(contract))?;
    let model = decoded(model).ok_or_else(|| not_found(contract))?;
    let mut action = parts.next();
    let mut selector = VersionSelector::Weighted;
    if action == Some("versions") {
        let digits =
            parts.next().filter(|text| is_number(text)).ok_or_else(|| not_found(contract))?;
        let version = digits.parse().map_err(|_| NoRoute {
            message: format!(
                "Request for unknown model: '{}' version {} is not found",
                shown(&model),
                shown(digits)
            )
            .into(),
            ..not_found(contract)
        })?;
        selector = VersionSelector::Version(version);
        action = parts.next();
    } else if action == Some("trace") {
        return match (parts.next(), parts.next()) {
            (Some("setting"), None) => trace_settings(method, Some(model)),
            _ => Err(not_found(contract)),
        };
    }
    if parts.next().is_some() {
        return Err(not_found(contract));
    }
    let target = Target { model, selector };
    match action {
        None => only_get(method, Endpoint::ModelMetadata(target), contract),
        Some("ready") => only_get(method, Endpoint::ModelReady(target), contract),
        Some("stats") => only_get(method, Endpoint::Statistics(Some(target)), contract),
        Some("config") => only_get(method, Endpoint::ModelConfig(target), contract),
        Some("infer") => only_post(method, Endpoint::Infer(target), contract),
        Some(_) => Err(not_found(contract)),
    }
}

/// TensorFlow Serving matches two case-insensitive patterns and calls everything else malformed.
fn tensorflow<'p>(method: &Method, path: &'p str) -> Routed<'p> {
    if method == Method::OPTIONS {
        return Ok(Endpoint::TfsOptions);
    }
    let malformed = || NoRoute {
        contract: Contract::TensorFlow,
        status: StatusCode::BAD_REQUEST,
        message: format!("Malformed request: {method} {}", shown(path)).into(),
        allow: None,
    };
    let rest = strip_prefix_ignoring_case(path, "/v1/models").ok_or_else(malformed)?;
    if *method == Method::POST {
        let (place, verb) = rest.rsplit_once(':').ok_or_else(malformed)?;
        let verb = ["predict", "classify", "regress"]
            .into_iter()
            .find(|known| known.eq_ignore_ascii_case(verb))
            .ok_or_else(malformed)?;
        let (target, "") = tensorflow_target(place, malformed)? else { return Err(malformed()) };
        return Ok(if verb == "predict" {
            Endpoint::TfsPredict(target)
        } else {
            Endpoint::TfsOther(verb)
        });
    }
    if !is_get(method) {
        return Err(malformed());
    }
    if rest.is_empty() {
        return Err(NoRoute { message: "Missing model name in request.".into(), ..malformed() });
    }
    match tensorflow_target(rest, malformed)? {
        (target, "") => Ok(Endpoint::TfsStatus(target)),
        (target, rest) if rest.eq_ignore_ascii_case("/metadata") => {
            Ok(Endpoint::TfsMetadata(target))
        }
        _ => Err(malformed()),
    }
}

/// `/M[/versions/V|/labels/L]`, and what is left of the path.
fn tensorflow_target<'p>(
    place: &'p str,
    malformed: impl Fn() -> NoRoute,
) -> Result<(Target<'p>, &'p str), NoRoute> {
    let place = place.strip_prefix('/').ok_or_else(&malformed)?;
    let (name, rest) = cut_segment(place);
    let model = Some(name).filter(|name| !name.is_empty() && !name.contains(':'));
    let model = model.and_then(decoded).ok_or_else(&malformed)?;
    if let Some(tail) = strip_prefix_ignoring_case(rest, "/versions/") {
        let (digits, rest) = cut_segment(tail);
        if !is_number(digits) {
            return Err(malformed());
        }
        let selector = tensorflow_version(&model, digits)?;
        return Ok((Target { model, selector }, rest));
    }
    if let Some(tail) = strip_prefix_ignoring_case(rest, "/labels/") {
        let (label, rest) = cut_segment(tail);
        let label = decoded(label).filter(|label| !label.is_empty()).ok_or_else(&malformed)?;
        let label = Label::new(&label).map_err(|_| NoRoute {
            message: format!("Unrecognized servable version label: '{}'", shown(&label)).into(),
            ..malformed()
        })?;
        return Ok((Target { model, selector: VersionSelector::Label(label) }, rest));
    }
    Ok((Target { model, selector: VersionSelector::Weighted }, rest))
}

fn tensorflow_version(model: &str, digits: &str) -> Result<VersionSelector, NoRoute> {
    let refuse = |status, message: String| NoRoute {
        contract: Contract::TensorFlow,
        status,
        message: message.into(),
        allow: None,
    };
    match digits.parse::<i64>() {
        Err(_) => Err(refuse(
            StatusCode::BAD_REQUEST,
            format!("Failed to convert version: {}", shown(digits)),
        )),
        Ok(number) => match u64::try_from(number).ok().and_then(Version::new) {
            Some(version) => Ok(VersionSelector::Version(version)),
            None => Err(refuse(
                StatusCode::NOT_FOUND,
                format!("Could not find version {number} of model {}", shown(model)),
            )),
        },
    }
}

fn cut_segment(path: &str) -> (&str, &str) {
    path.split_at(path.find('/').unwrap_or(path.len()))
}

fn strip_prefix_ignoring_case<'p>(text: &'p str, prefix: &str) -> Option<&'p str> {
    let start = text.get(..prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

/// `None` when the escapes do not spell UTF-8.
fn decoded(segment: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(segment).decode_utf8().ok()
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_get(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

fn only_get<'p>(method: &Method, endpoint: Endpoint<'p>, contract: Contract) -> Routed<'p> {
    if is_get(method) { Ok(endpoint) } else { Err(wrong_method(contract, "GET, HEAD")) }
}

fn only_post<'p>(method: &Method, endpoint: Endpoint<'p>, contract: Contract) -> Routed<'p> {
    if *method == Method::POST { Ok(endpoint) } else { Err(wrong_method(contract, "POST")) }
}

fn not_found(contract: Contract) -> NoRoute {
    NoRoute { contract, status: StatusCode::NOT_FOUND, message: "Not Found".into(), allow: None }
}

fn wrong_method(contract: Contract, allow: &'static str) -> NoRoute {
    NoRoute {
        contract,
        status: StatusCode::METHOD_NOT_ALLOWED,
        message: "Method Not Allowed".into(),
        allow: Some(allow),
    }
}

/// What came, short enough for an answer.
fn shown(text: &str) -> &str {
    text.char_indices().nth(256).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
