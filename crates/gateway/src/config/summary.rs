//! What `tidegate check-config` prints: the configuration as it would be used, whatever its source.

use std::fmt;

use tidegate_control::ModelConfig;

use super::Config;

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the configuration is good")?;
        writeln!(f, "  repository    {}", self.control.repository.display())?;
        match &self.control.default_model {
            Some(model) => writeln!(f, "  default model {model}")?,
            None => writeln!(f, "  default model (the only one, if there is one)")?,
        }
        writeln!(f, "  data          {}", self.data_address)?;
        writeln!(f, "  admin         {}", self.admin_address)?;
        writeln!(f, "  state         {}", self.control.state_file.display())?;
        match &self.onnxruntime {
            Some(library) => writeln!(f, "  ONNX Runtime  {}", library.display())?,
            None => writeln!(f, "  ONNX Runtime  (looked for in the usual places)")?,
        }
        writeln!(f, "  models        {}", Batching(&self.control.defaults))?;
        for (name, model) in &self.control.models {
            writeln!(f, "  model {name}: {}{}", Batching(model), Traffic(model))?;
        }
        Ok(())
    }
}

struct Batching<'a>(&'a ModelConfig);

impl fmt::Display for Batching<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let model = self.0;
        write!(
            f,
            "batch_size {}, max_batch_size {}, max_queue_delay {}ms, max_queue_size {}, \
             instances {}, intra_op_threads {}",
            model.batch_size,
            model.max_batch_size,
            model.max_queue_delay.as_secs_f64() * 1e3,
            model.max_queue_size,
            model.instances,
            model.intra_op_threads
        )
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
