//! The one ONNX Runtime of this process: opened once, shared by every model, never closed.
//!
//! ONNX Runtime allows a single environment a process and does not like being rebuilt, so the first
//! `open` decides and later ones get the same runtime. It stays alive until the process ends; what
//! has to be gone before `main` returns are the *runs*: join every worker first, because returning
//! from `main` while a run is in flight crashes or prints errors.

use std::env;
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;
use ort::logging::LogLevel;

use crate::library::{Found, LibraryError, LibrarySearch, PINNED_VERSION, Trust, verify};

const TELEMETRY_SWITCH: &str = "ORT_DISABLE_TELEMETRY";

static RUNTIME: Mutex<Option<OrtRuntime>> = Mutex::new(None);

/// An opened ONNX Runtime. Cloning shares it.
#[derive(Clone, Debug)]
pub struct OrtRuntime {
    environment: Environment,
    library: Found,
}

/// Switches off the telemetry that ONNX Runtime's official builds start by default (a thread that
/// uploads, files under `~/.cache`). Only this variable, set before the library is opened, does it;
/// the library's own API call comes too late.
///
/// # Safety
/// It changes the process's environment, so it must run while no other thread can read it: as the
/// first thing in `main`.
pub unsafe fn disable_telemetry() {
    // SAFETY: the caller promises that no other thread runs.
    unsafe { env::set_var(TELEMETRY_SWITCH, "1") };
}

impl OrtRuntime {
    /// Finds, verifies and opens the shared library. A process has one runtime: once it is open,
    /// every later call returns it, whatever it asks for.
    ///
    /// # Errors
    /// Every reason not to open the library, with what mends it; another attempt may follow.
    pub fn open(search: &LibrarySearch) -> Result<Self, LibraryError> {
        let mut opened = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = &*opened {
            return Ok(runtime.clone());
        }
        if env::var_os(TELEMETRY_SWITCH).is_none_or(|value| value != "1") {
            return Err(LibraryError::TelemetryOn { variable: TELEMETRY_SWITCH });
        }
        let library = search.find()?;
        let trust = verify(&library)?;
        let runtime = Self { environment: start(&library)?, library };
        let path = runtime.library.path.display();
        match trust {
            Trust::Pinned => {
                tracing::info!(library = %path, "opened ONNX Runtime {PINNED_VERSION}")
            }
            Trust::Complete => tracing::warn!(
                library = %path,
                "opened an ONNX Runtime that this gateway was not tested with; it knows {PINNED_VERSION}"
            ),
        }
        Ok(opened.insert(runtime).clone())
    }

    /// The library that was opened.
    pub fn library(&self) -> &std::path::Path {
        &self.library.path
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }
}

fn start(library: &Found) -> Result<Environment, LibraryError> {
    // First of all ort calls: any other one would look for the library by itself, and panic.
    let builder = ort::init_from(&library.path).map_err(|error| LibraryError::Refused {
        path: library.path.clone(),
        reason: error.to_string(),
    })?;
    let environment = builder
        .with_name("tidegate")
        .with_telemetry(false)
        .build()
        .map_err(|error| LibraryError::NotStarted { reason: error.to_string() })?;
    // The environment starts at its most talkative, which would format lines during every run.
    environment.set_log_level(LogLevel::Warning);
    Ok(environment)
}
