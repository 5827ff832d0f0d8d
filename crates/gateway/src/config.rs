//! The gateway's configuration: one TOML file, environment variables over it, flags over those, and all
//! mistakes reported together.
//!
//! Each room has its own plain config; this composes them and gives every value its name in the file.
//! What an operator sets through the admin API is not configuration: it is state, and wins over this.

mod api_keys;
mod model;
mod overrides;
mod summary;
mod value;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate_configuration::{Count, Section, Size, Source};
pub use tidegate_configuration::{Origin, Override, Problem, Problems};
use tidegate_control::{ControlConfig, ControlError, ControlPlane, ModelSettings};
use tidegate_ingress::{IngressConfig, IoThreads, ListenAddress};
use tidegate_proto::JsonLimits;
use tidegate_router::Limits;
use tidegate_telemetry::{AccessSampling, LogConfig, LogFilter};

pub use api_keys::ApiKeys;
use model::Models;
pub(crate) use model::named_splits;
pub use overrides::Overrides;
pub(crate) use summary::Listed;
use value::{Span, Written};

/// What mistakes are in.
const SUBJECT: &str = "the configuration";

/// Everything that `tidegate serve` needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where predictions are answered.
    pub data: Vec<ListenAddress>,
    pub admin_address: SocketAddr,
    /// Who may ask; without it, whoever reaches a port.
    pub api_keys: Option<ApiKeys>,
    pub control: ControlConfig,
    /// How long to wait between two looks at the repository; without it, it is looked at when asked to.
    pub poll_interval: Option<Duration>,
    pub ingress: IngressConfig,
    pub limits: Limits,
    pub log: LogConfig,
    pub access: AccessSampling,
    /// ONNX Runtime's shared library; without it, it is looked for in the usual places.
    pub onnxruntime: Option<PathBuf>,
    /// How long requests in flight may take to end at shutdown.
    pub grace_period: Duration,
    /// Threads that serve connections; the models have their own.
    pub worker_threads: NonZeroUsize,
}

impl Config {
    /// The defaults for models in `repository`, with state in the folder `state`.
    pub fn new(repository: PathBuf, state: &Path) -> Self {
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            data: [8500, 8501].map(|port| loopback(port).into()).to_vec(),
            admin_address: loopback(8502),
            api_keys: None,
            control: ControlConfig {
                repository,
                allow_empty: false,
                state_file: state.join("state.json"),
                traffic_file: None,
                default_model: None,
                overrides: ModelSettings::default(),
                defaults: ModelSettings::default(),
                models: BTreeMap::new(),
            },
            poll_interval: Some(Duration::from_secs(2)),
            ingress: IngressConfig::default(),
            limits: Limits::default(),
            log: LogConfig { filter: LogFilter::default() },
            access: AccessSampling::new(0.01).expect("a hundredth lies between none and all"),
            onnxruntime: None,
            grace_period: Duration::from_secs(30),
            worker_threads: IoThreads::usual_count(),
        }
    }

    /// Reads the file, if one is named, and what lies over it.
    ///
    /// # Errors
    /// Every mistake that was found.
    pub fn read(file: Option<&Path>, overrides: &Overrides) -> Result<Self, Problems> {
        let config = Source { subject: SUBJECT, file, overrides: &overrides.0 }.read(compose)?;
        Problems::new(SUBJECT, missing_in_repository(&config.control)).map_or(Ok(config), Err)
    }
}

/// Models, versions and labels that are named but not there. Asked last: what is merely misspelt in the
/// file would be told a second time.
fn missing_in_repository(config: &ControlConfig) -> Vec<Problem> {
    let messages = match ControlPlane::check(config) {
        Ok(()) => Vec::new(),
        Err(ControlError::Config(messages)) => messages,
        Err(other) => vec![other.to_string()],
    };
    let problem = |message| Problem {
        origin: Origin::Beside("model repository"),
        key: String::new(),
        message,
    };
    messages.into_iter().map(problem).collect()
}

/// Reads all sections. Where a value is missing or wrong the default stands in: the caller looks at the
/// problems before it looks at the result.
fn compose(root: &Section<'_>) -> Config {
    let state = read_state(root.section("state"));
    let section = root.section("repository");
    let mut config = Config::new(read_repository(&section), &state);
    read_how_models_come(section, &mut config);
    config.control.traffic_file = read_traffic(root.section("traffic"));
    read_addresses(root, &mut config);
    config.api_keys = ApiKeys::read(root.section("api_keys"));
    read_limits(root.section("limits"), &mut config);
    read_process(root, &mut config);
    let models = Models::read(root, config.ingress.request_timeout);
    config.control.overrides = models.overrides;
    config.control.defaults = models.defaults;
    config.control.models = models.named;
    config
}

fn read_state(section: Section<'_>) -> PathBuf {
    let path = section.path("path").unwrap_or_else(|| section.beside_file("tidegate-state"));
    section.unknown_keys();
    path
}

/// Whether it can be read is found out when it is followed.
fn read_traffic(section: Section<'_>) -> Option<PathBuf> {
    let path = section.path("path");
    section.unknown_keys();
    path
}

fn read_repository(section: &Section<'_>) -> PathBuf {
    let path = section.path("path");
    match &path {
        None if !section.is_reported("path") => section.mistake(
            "path",
            "expected the folder of the models: name it in the file, in MODEL_BASE_PATH or with \
             --model-repository",
        ),
        Some(path) if !path.is_dir() => {
            section.mistake("path", format!("expected a folder, got {}", path.display()));
        }
        _ => {}
    }
    path.unwrap_or_default()
}

fn read_how_models_come(section: Section<'_>, config: &mut Config) {
    config.control.default_model = section.value("default_model").map(|Written(name)| name);
    set(&mut config.control.allow_empty, section.value("allow_empty"));
    let interval = section.value("poll_interval").map(|Span(span)| span);
    let interval = interval.or(config.poll_interval);
    let is_watched = section.value("watch").unwrap_or(true);
    config.poll_interval = interval.filter(|_| is_watched);
    section.unknown_keys();
}

fn read_addresses(root: &Section<'_>, config: &mut Config) {
    let data = root.section("data");
    set(&mut config.data, data.value("address").map(|Written(addresses)| addresses));
    if let Some(twice) = named_twice(&config.data) {
        data.mistake("address", format!("expected each address once, got {twice} twice"));
    }
    set(&mut config.ingress.triton_compat, data.value("triton_compat"));
    set(&mut config.ingress.server_timing, data.value("server_timing"));
    set(&mut config.ingress.management, data.value("management"));
    set(&mut config.ingress.metrics, data.value("metrics"));
    set_count(&mut config.ingress.decode_threads, data.value("decode_threads"));
    data.unknown_keys();
    config.ingress.shared_memory = read_shared_memory(root.section("shared_memory"));
    let admin = root.section("admin");
    set(&mut config.admin_address, admin.value("address"));
    let taken = config.admin_address;
    if taken.port() != 0 && config.data.contains(&taken.into()) {
        admin
            .mistake("address", format!("expected another address than data.address, got {taken}"));
    }
    admin.unknown_keys();
}

/// Without a folder no memory is shared.
fn read_shared_memory(section: Section<'_>) -> Option<PathBuf> {
    let path = section.path("path");
    if let Some(path) = path.as_ref().filter(|path| !path.is_dir()) {
        section.mistake("path", format!("expected a folder, got {}", path.display()));
    }
    section.unknown_keys();
    path
}

/// Port 0 is another one each time.
fn named_twice(addresses: &[ListenAddress]) -> Option<&ListenAddress> {
    let any_port =
        |address: &ListenAddress| matches!(address, ListenAddress::Tcp(ip) if ip.port() == 0);
    let mut seen = addresses.iter().enumerate().filter(|(_, address)| !any_port(address));
    seen.find(|(index, address)| addresses[..*index].contains(address)).map(|(_, twice)| twice)
}

fn read_limits(section: Section<'_>, config: &mut Config) {
    let Config { ingress, limits, .. } = config;
    set_size(&mut ingress.max_body_size, section.value("max_body_size"));
    set_size(&mut ingress.max_header_size, section.value("max_header_size"));
    set(&mut ingress.header_read_timeout, section.value("header_read_timeout"));
    set(&mut ingress.body_read_timeout, section.value("body_read_timeout"));
    set(&mut ingress.write_timeout, section.value("write_timeout"));
    set(&mut ingress.idle_timeout, section.value("idle_timeout"));
    let stream_idle_timeout = section.value("stream_idle_timeout").map(|Span(span)| span);
    set(&mut ingress.stream_idle_timeout, stream_idle_timeout);
    let request_timeout = section.value("request_timeout").map(|Span(span)| span);
    set(&mut ingress.request_timeout, request_timeout);
    set_count(&mut ingress.max_connections, section.value("max_connections"));
    set_number(&mut ingress.max_json_depth, section.value("max_json_depth"));
    set_number(&mut limits.max_requests_in_flight, section.value("max_requests_in_flight"));
    set_size(&mut limits.max_bytes_in_flight, section.value("max_bytes_in_flight"));
    set_number(&mut limits.max_rows_in_flight, section.value("max_rows_in_flight"));
    if ingress.max_body_size > limits.max_bytes_in_flight {
        let (body, all) = (ingress.max_body_size, limits.max_bytes_in_flight);
        let message =
            format!("expected at most max_bytes_in_flight ({all} bytes), got {body} bytes");
        section.mistake("max_body_size", message);
    }
    if ingress.max_json_depth > JsonLimits::MAX_DEPTH {
        let (most, got) = (JsonLimits::MAX_DEPTH, ingress.max_json_depth);
        section.mistake("max_json_depth", format!("expected at most {most}, got {got}"));
    }
    section.unknown_keys();
}

fn read_process(root: &Section<'_>, config: &mut Config) {
    let log = root.section("log");
    set(&mut config.log.filter, log.value("level").map(|Written(filter)| filter));
    set(&mut config.access, log.value("access_sample").map(|Written(sampling)| sampling));
    log.unknown_keys();
    let onnxruntime = root.section("onnxruntime");
    config.onnxruntime = onnxruntime.path("library");
    onnxruntime.unknown_keys();
    let shutdown = root.section("shutdown");
    set(&mut config.grace_period, shutdown.value("grace_period"));
    shutdown.unknown_keys();
    let runtime = root.section("runtime");
    set_count(&mut config.worker_threads, runtime.value("worker_threads"));
    runtime.unknown_keys();
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn set_count(place: &mut NonZeroUsize, value: Option<Count>) {
    set(place, value.map(|count| count.0));
}

fn set_number(place: &mut usize, value: Option<Count>) {
    set(place, value.map(|count| count.0.get()));
}

fn set_size(place: &mut usize, value: Option<Size>) {
    set(place, value.map(|size| size.0));
}

#[cfg(test)]
mod tests;
