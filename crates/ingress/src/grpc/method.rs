//! From a gRPC path to what is asked: `/package.Service/Method`, compared as it is.

use tidegate_inference::Entrypoint;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Infer(Protocol),
    StreamInfer,
    Question(Question),
    HealthWatch,
    Reflection,
}

/// Whose messages an inference request comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `inference.GRPCInferenceService`
    OpenInference,
    /// `tensorflow.serving.PredictionService`
    TensorFlow,
}

/// A call with one message and one answer that runs no model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    ServerLive,
    ServerReady,
    ModelReady,
    ServerMetadata,
    ModelMetadata,
    ModelStatistics,
    ModelConfig,
    HealthCheck,
    MemoryStatus,
    MemoryRegister,
    MemoryUnregister,
    CudaMemoryStatus,
    CudaMemoryRegister,
    CudaMemoryUnregister,
    RepositoryIndex,
    RepositoryLoad,
    RepositoryUnload,
    TraceSettings,
    LogSettings,
    TensorFlowMetadata,
    TensorFlowStatus,
    TensorFlowReload,
    /// Understood and not offered: it needs tf.Example signatures.
    TensorFlowExamples,
}

pub const OPEN_INFERENCE: &str = "inference.GRPCInferenceService";
pub const PREDICTION: &str = "tensorflow.serving.PredictionService";
pub const MODELS: &str = "tensorflow.serving.ModelService";
const HEALTH: &str = "grpc.health.v1.Health";
const REFLECTION: [&str; 2] =
    ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];

/// Every service but reflection's own, in the words of the health protocol.
pub const SERVICES: [&str; 4] = [OPEN_INFERENCE, PREDICTION, MODELS, HEALTH];

impl Protocol {
    /// The name in metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenInference => "grpc_v2",
            Self::TensorFlow => "grpc_tfs",
        }
    }

    /// Whether it is to be told to TensorFlow Serving's metrics, and as what.
    pub fn entrypoint(self) -> Option<Entrypoint> {
        (self == Self::TensorFlow).then_some(Entrypoint::Grpc)
    }
}

impl Method {
    /// Whose predictions it asks for, if it does.
    pub fn prediction(self) -> Option<Protocol> {
        match self {
            Self::Infer(protocol) => Some(protocol),
            Self::StreamInfer => Some(Protocol::OpenInference),
            Self::Question(_) | Self::HealthWatch | Self::Reflection => None,
        }
    }

    /// `None` when there is no such method.
    pub fn of(path: &str) -> Option<Self> {
        let (service, method) = path.strip_prefix('/')?.split_once('/')?;
        match service {
            OPEN_INFERENCE => open_inference(method),
            PREDICTION => prediction(method),
            MODELS => match method {
                "GetModelStatus" => Some(Self::Question(Question::TensorFlowStatus)),
                "HandleReloadConfigRequest" => Some(Self::Question(Question::TensorFlowReload)),
                _ => None,
            },
            HEALTH => match method {
                "Check" => Some(Self::Question(Question::HealthCheck)),
                "Watch" => Some(Self::HealthWatch),
                _ => None,
            },
            service if REFLECTION.contains(&service) => Some(Self::Reflection),
            _ => None,
        }
    }
}

fn open_inference(method: &str) -> Option<Method> {
    let question = match method {
        "ModelInfer" => return Some(Method::Infer(Protocol::OpenInference)),
        "ModelStreamInfer" => return Some(Method::StreamInfer),
        "ServerLive" => Question::ServerLive,
        "ServerReady" => Question::ServerReady,
        "ModelReady" => Question::ModelReady,
        "ServerMetadata" => Question::ServerMetadata,
        "ModelMetadata" => Question::ModelMetadata,
        "SystemSharedMemoryStatus" => Question::MemoryStatus,
        "SystemSharedMemoryRegister" => Question::MemoryRegister,
        "SystemSharedMemoryUnregister" => Question::MemoryUnregister,
        "CudaSharedMemoryStatus" => Question::CudaMemoryStatus,
        "CudaSharedMemoryRegister" => Question::CudaMemoryRegister,
        "CudaSharedMemoryUnregister" => Question::CudaMemoryUnregister,
        "RepositoryIndex" => Question::RepositoryIndex,
        "RepositoryModelLoad" => Question::RepositoryLoad,
        "RepositoryModelUnload" => Question::RepositoryUnload,
        "TraceSetting" => Question::TraceSettings,
        "LogSettings" => Question::LogSettings,
        "ModelStatistics" => Question::ModelStatistics,
        "ModelConfig" => Question::ModelConfig,
        _ => return None,
    };
    Some(Method::Question(question))
}

fn prediction(method: &str) -> Option<Method> {
    let question = match method {
        "Predict" => return Some(Method::Infer(Protocol::TensorFlow)),
        "GetModelMetadata" => Question::TensorFlowMetadata,
        "Classify" | "Regress" | "MultiInference" => Question::TensorFlowExamples,
        _ => return None,
    };
    Some(Method::Question(question))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_as_they_are() {
        let infer = "/inference.GRPCInferenceService/ModelInfer";
        assert_eq!(Method::of(infer), Some(Method::Infer(Protocol::OpenInference)));
        for reflection in REFLECTION {
            let path = format!("/{reflection}/ServerReflectionInfo");
            assert_eq!(Method::of(&path), Some(Method::Reflection));
        }
        for other in [
            "",
            "/",
            "inference.GRPCInferenceService/ModelInfer",
            "/inference.GRPCInferenceService/modelinfer",
            "/inference.GRPCInferenceService/ModelInfer/",
            "/tensorflow.serving.PredictionService/GetModelStatus",
            "/GRPCInferenceService/ModelInfer",
        ] {
            assert_eq!(Method::of(other), None, "{other}");
        }
    }
}
