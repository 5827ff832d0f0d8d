//! How much is logged, changed while the process runs. There is one log, so there is one level.

use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing::level_filters::LevelFilter;

/// From the quietest to the loudest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

type Put = Box<dyn Fn(LogLevel) -> Result<(), String> + Send + Sync>;

/// The log's own switch.
struct Switch {
    level: Mutex<LogLevel>,
    put: Put,
}

static SWITCH: OnceLock<Switch> = OnceLock::new();

impl LogLevel {
    /// The level of the most talkative part; `info` while nothing is logged at all.
    pub fn current() -> Self {
        let level = |switch: &Switch| *switch.level.lock().unwrap_or_else(PoisonError::into_inner);
        SWITCH.get().map_or(Self::Info, level)
    }

    /// From now on everything is logged at this level, whatever directives there were.
    ///
    /// # Errors
    /// When nothing is logged, so that nothing can be changed.
    pub fn set(self) -> Result<(), String> {
        let switch = SWITCH.get().ok_or("this process has no log")?;
        let mut level = switch.level.lock().unwrap_or_else(PoisonError::into_inner);
        (switch.put)(self)?;
        *level = self;
        Ok(())
    }

    pub(crate) fn of(filter: Option<LevelFilter>) -> Self {
        match filter.and_then(LevelFilter::into_level) {
            None if filter.is_some() => Self::Off,
            None => Self::Trace,
            Some(tracing::Level::ERROR) => Self::Error,
            Some(tracing::Level::WARN) => Self::Warn,
            Some(tracing::Level::INFO) => Self::Info,
            Some(tracing::Level::DEBUG) => Self::Debug,
            Some(tracing::Level::TRACE) => Self::Trace,
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Makes the level something that can be changed. Only the first switch of a process counts.
pub(crate) fn install(
    level: LogLevel,
    put: impl Fn(LogLevel) -> Result<(), String> + Send + Sync + 'static,
) {
    let _ = SWITCH.set(Switch { level: Mutex::new(level), put: Box::new(put) });
}
