//! What `tidegate check-config` prints: the configuration as it would be used, whatever its source.

use std::fmt;

use tidegate_control::{BatchingConfig, ModelConfig};
use tidegate_ingress::ListenAddress;

use super::{ApiKeys, Config};

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the configuration is good")?;
        writeln!(f, "  repository    {}", self.control.repository.display())?;
        match &self.control.default_model {
            Some(model) => writeln!(f, "  default model {model}")?,
            None => writeln!(f, "  default model (the only one, if there is one)")?,
        }
        if let Some(file) = &self.control.traffic_file {
            writeln!(f, "  traffic       {}", file.display())?;
        }
        writeln!(f, "  data          {}", Listed(&self.data))?;
        writeln!(f, "  admin         {}", self.admin_address)?;
        if let Some(keys) = &self.api_keys {
            writeln!(f, "  API keys      {}{}", keys.path.display(), Guarded(keys))?;
        }
        writeln!(f, "  state         {}", self.control.state_file.display())?;
        match &self.onnxruntime {
            Some(library) => writeln!(f, "  ONNX Runtime  {}", library.display())?,
            None => writeln!(f, "  ONNX Runtime  (looked for in the usual places)")?,
        }
        writeln!(f, "  models        {}", Execution(&self.control.unnamed()))?;
        for name in self.control.models.keys() {
            let model = &self.control.model(name);
            writeln!(f, "  model {name}: {}{}", Execution(model), Traffic(model))?;
        }
        Ok(())
    }
}

/// As `--data-address` takes them.
pub(crate) struct Listed<'a>(pub(crate) &'a [ListenAddress]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, address) in self.0.iter().enumerate() {
            let before = if number == 0 { "" } else { "," };
            write!(f, "{before}{address}")?;
        }
        Ok(())
    }
}

/// What needs a key.
struct Guarded<'a>(&'a ApiKeys);

impl fmt::Display for Guarded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ApiKeys { data, admin, metrics, .. } = *self.0;
        let ports: Vec<_> = [(data, "data"), (admin, "admin"), (metrics, "metrics")]
            .into_iter()
            .filter_map(|(guarded, what)| guarded.then_some(what))
            .collect();
        match &ports[..] {
            [] => f.write_str(", needed for nothing"),
            ports => write!(f, ", needed for {}", ports.join(", ")),
        }
    }
}

struct Execution<'a>(&'a ModelConfig);

impl fmt::Display for Execution<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let model = self.0;
        match model.batching {
            BatchingConfig::Adaptive => write!(f, "adaptive batching")?,
            BatchingConfig::Fixed { batch_size, max_queue_delay } => {
                write!(f, "batch_size {batch_size}, max_queue_delay {max_queue_delay:?}")?;
            }
            BatchingConfig::OneByOne { reason } => write!(f, "no shared batches ({reason})")?,
        }
        write!(f, ", max_batch_size {}", model.max_batch_size)?;
        write!(f, ", max_queue_size {}", model.max_queue_size)?;
        for (key, duration) in [("slo", model.slo), ("request_timeout", model.request_timeout)] {
            if let Some(duration) = duration {
                write!(f, ", {key} {duration:?}")?;
            }
        }
        write!(f, ", max_execution_time {:?}", model.max_execution_time)?;
        write!(f, ", instances {}", model.instances)?;
        write!(f, ", intra_op_threads {}", model.intra_op_threads)
    }
}

struct Traffic<'a>(&'a ModelConfig);

impl fmt::Display for Traffic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (label, version)) in self.0.labels.iter().enumerate() {
            let before = if number == 0 { ", labels" } else { "" };
            write!(f, "{before} {label}={version}")?;
        }
        for (number, (target, weight)) in self.0.weights.iter().enumerate() {
            let before = if number == 0 { ", weights" } else { "" };
            write!(f, "{before} {target}={weight}")?;
        }
        Ok(())
    }
}
