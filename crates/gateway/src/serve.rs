//! `tidegate serve`: gives the gateway its engine and its threads, waits for a signal, leaves.
//!
//! Exit status: 0 after a drain, 1 when it could not start or had to cut requests off, 128 and the signal's
//! number when a second signal insisted.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tidegate_backend_ort::{LibraryError, LibrarySearch, OrtBackend, OrtRuntime};
use tidegate_control::BatchingConfig;

use crate::gateway::{Gateway, StartError};
use crate::running::{Running, Stopped};
use crate::signals::Signals;
use crate::{Config, ports_file};

#[derive(Debug, Error)]
pub enum ServeError {
    #[error(transparent)]
    Library(#[from] LibraryError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("cannot write the ports file {path}: {source}")]
    PortsFile { path: String, source: io::Error },
    #[error("cannot start the threads that serve: {0}")]
    Threads(io::Error),
    #[error("cannot receive signals: {0}")]
    Signals(io::Error),
    #[error("cannot log: {0}")]
    Logging(String),
}

/// Serves until it is told to stop.
///
/// # Errors
/// When it cannot start.
pub fn run(config: Config, ports_file: Option<&Path>) -> Result<ExitCode, ServeError> {
    tidegate_telemetry::init_logging(&config.log)
        .map_err(|error| ServeError::Logging(error.to_string()))?;
    let search = LibrarySearch::from_environment(config.onnxruntime.clone());
    let backend = Arc::new(OrtBackend::new(OrtRuntime::open(&search)?));
    log_effective(&config);
    // Accepts connections and serves the admin port; connections are driven by threads of their own.
    let threads = tokio::runtime::Builder::new_current_thread()
        .thread_name("tidegate-admin")
        .enable_all()
        .build()
        .map_err(ServeError::Threads)?;
    threads.block_on(async {
        let signals = Signals::install().map_err(ServeError::Signals)?;
        let running = Gateway::start(config, backend).await?;
        if let Some(path) = ports_file {
            ports_file::write(path, &running).map_err(|source| ServeError::PortsFile {
                path: path.display().to_string(),
                source,
            })?;
        }
        Ok(leave(running, signals).await)
    })
}

async fn leave(running: Running, mut signals: Signals) -> ExitCode {
    let asked = tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal = signal.name(), "draining");
            true
        }
        () = running.failed() => false,
    };
    let stopped = tokio::select! {
        stopped = running.stop() => stopped,
        signal = signals.next() => {
            tracing::warn!(signal = signal.name(), "told twice: leaving at once");
            exit_at_once(signal.exit_status());
        }
    };
    tracing::info!(drained = stopped == Stopped::Drained, "stopped");
    match stopped {
        Stopped::Drained if asked => ExitCode::SUCCESS,
        Stopped::Drained | Stopped::CutOff => ExitCode::FAILURE,
        Stopped::WorkerInside => exit_at_once(1),
    }
}

/// Ends the process without running anybody's exit handlers: the engine's would pull the ground from under
/// runs that are still inside it.
fn exit_at_once(status: u8) -> ! {
    // SAFETY: `_exit` is async-signal-safe and takes any status; logs are not buffered.
    unsafe { libc::_exit(i32::from(status)) }
}

fn log_effective(config: &Config) {
    let (control, limits, ingress) = (&config.control, &config.limits, &config.ingress);
    let defaults = control.unnamed();
    let (batch_size, max_queue_delay) = match defaults.batching {
        BatchingConfig::Adaptive | BatchingConfig::OneByOne { .. } => (None, None),
        BatchingConfig::Fixed { batch_size, max_queue_delay } => {
            (Some(batch_size), Some(max_queue_delay))
        }
    };
    tracing::info!(
        gateway_version = env!("CARGO_PKG_VERSION"),
        repository = %control.repository.display(),
        state = %control.state_file.display(),
        default_model = control.default_model.as_ref().map(|name| name.as_str()),
        adaptive_batching = defaults.batching == BatchingConfig::Adaptive,
        batch_size,
        max_queue_delay_ms = max_queue_delay.map(millis),
        max_batch_size = defaults.max_batch_size,
        max_queue_size = defaults.max_queue_size,
        slo_ms = defaults.slo.map(millis),
        instances = defaults.instances,
        intra_op_threads = defaults.intra_op_threads,
        models_configured = control.models.len(),
        management = ingress.management,
        api_keys = config.api_keys.as_ref().map(|keys| keys.path.display().to_string()),
        max_body_bytes = ingress.max_body_size,
        request_timeout_ms = millis(ingress.request_timeout),
        max_requests_in_flight = limits.max_requests_in_flight,
        worker_threads = config.worker_threads,
        grace_period_ms = millis(config.grace_period),
        "starting"
    );
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
