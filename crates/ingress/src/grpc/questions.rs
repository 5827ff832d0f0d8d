//! gRPC's questions that run no model: one message, one answer from the catalog.

use bytes::Bytes;
use prost::Message;
use tidegate_credentials::Caller;
use tidegate_inference::{Admission, Error, ErrorKind, Result, VersionState};
use tidegate_proto::grpc::inference::{
    CudaSharedMemoryStatusResponse, CudaSharedMemoryUnregisterResponse, ModelConfigRequest,
    ModelConfigResponse, ModelMetadataRequest, ModelReadyRequest, ModelReadyResponse,
    ModelStatisticsRequest, ServerLiveResponse, ServerMetadataResponse, ServerReadyResponse,
};
use tidegate_proto::grpc::{frame, open_inference};

use super::infer::target;
use super::messages::{Broken, Messages};
use super::method::Question;
use super::{encoding, reply};
use crate::Ingress;
use crate::infer::Exchange;
use crate::metadata::{self, not_ready};
use crate::model_config::effective_config;
use crate::reply::Reply;
use crate::shared_memory::no_cuda_memory;

/// No question is longer in earnest.
const LONGEST: usize = 1 << 20;

impl<A: Admission> Ingress<A> {
    pub(super) async fn grpc_question(
        &self,
        exchange: Exchange<'_>,
        question: Question,
    ) -> Reply<A::Admitted> {
        let caller = exchange.caller;
        let answer = match self.question(exchange).await {
            Ok(message) => self.answer_to(question, message, caller).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(body) => reply::message(vec![body]),
            Err(error) => reply::error(&error, self.config.triton_compat),
        }
    }

    /// The bytes of a call's only message.
    pub(super) async fn question(&self, exchange: Exchange<'_>) -> Result<Bytes> {
        let encoding = encoding(&exchange.parts.headers)?;
        let (received, patience) = (exchange.received, self.config.body_read_timeout);
        let mut messages = Messages::of(exchange.body, received, LONGEST, patience);
        let message = match messages.only(&*self.admission, received + patience).await {
            Ok(message) => message,
            Err(Broken::Refused(error)) => return Err(error),
            Err(Broken::Gone) => return Err(Error::invalid("the message broke off")),
        };
        match (message.compressed, encoding) {
            (false, _) => Ok(message.bytes),
            (true, Some(encoding)) => self.inflate(encoding, message.bytes, LONGEST).await,
            (true, None) => {
                Err(Error::invalid("the message is compressed, and no grpc-encoding says how"))
            }
        }
    }

    async fn answer_to(
        &self,
        question: Question,
        message: Bytes,
        caller: Option<&Caller>,
    ) -> Result<Bytes> {
        match question {
            Question::ServerLive => Ok(frame(&ServerLiveResponse { live: true })),
            Question::ServerReady => Ok(frame(&ServerReadyResponse { ready: self.is_ready() })),
            Question::ModelReady => self.grpc_model_ready(&read(message)?),
            Question::ServerMetadata => Ok(frame(&self.grpc_server_metadata())),
            Question::ModelMetadata => self.grpc_model_metadata(&read(message)?),
            Question::ModelStatistics => self.grpc_model_statistics(&read(message)?),
            Question::ModelConfig => self.grpc_model_config(&read(message)?),
            Question::HealthCheck => self.health_check(&read(message)?),
            Question::MemoryStatus => self.grpc_memory_status(&read(message)?),
            Question::MemoryRegister => self.grpc_memory_register(read(message)?),
            Question::MemoryUnregister => Ok(self.grpc_memory_unregister(&read(message)?)),
            Question::CudaMemoryStatus => Ok(frame(&CudaSharedMemoryStatusResponse::default())),
            Question::CudaMemoryRegister => Err(no_cuda_memory()),
            Question::CudaMemoryUnregister => Ok(frame(&CudaSharedMemoryUnregisterResponse {})),
            Question::RepositoryIndex => self.grpc_index(&read(message)?),
            Question::RepositoryLoad => self.grpc_load(read(message)?, caller).await,
            Question::RepositoryUnload => self.grpc_unload(read(message)?, caller).await,
            Question::TraceSettings => self.grpc_trace_settings(&read(message)?, caller),
            Question::LogSettings => self.grpc_log_settings(read(message)?, caller),
            Question::TensorFlowReload => self.grpc_reload(read(message)?, caller).await,
            Question::TensorFlowMetadata => self.grpc_tensorflow_metadata(read(message)?),
            Question::TensorFlowStatus => self.grpc_tensorflow_status(read(message)?),
            Question::TensorFlowExamples => Err(Error::new(
                ErrorKind::Unimplemented,
                "Classify, Regress and MultiInference are not offered: they need tf.Example signatures, which ONNX \
                 models do not have; use Predict",
            )),
        }
    }

    fn grpc_server_metadata(&self) -> ServerMetadataResponse {
        ServerMetadataResponse {
            name: "tidegate".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            extensions: self.extensions().map(str::to_owned).collect(),
        }
    }

    /// A model that is known and not ready is an answer, not an error.
    fn grpc_model_ready(&self, asked: &ModelReadyRequest) -> Result<Bytes> {
        let target = target(&asked.name, &asked.version)?;
        let catalog = self.admission.catalog();
        let (name, model) = catalog.model(&target.model)?;
        let ready = match model.select(name, &target.selector) {
            Ok((_, entry)) => entry.state == VersionState::Ready,
            Err(error) if error.kind() == ErrorKind::Unavailable => false,
            Err(error) => return Err(error),
        };
        Ok(frame(&ModelReadyResponse { ready }))
    }

    /// Of all models when none is named.
    fn grpc_model_statistics(&self, asked: &ModelStatisticsRequest) -> Result<Bytes> {
        let target = match asked.name.is_empty() {
            true => None,
            false => Some(target(&asked.name, &asked.version)?),
        };
        Ok(frame(&open_inference::encode_statistics(&self.statistics(target.as_ref())?)))
    }

    fn grpc_model_metadata(&self, asked: &ModelMetadataRequest) -> Result<Bytes> {
        let target = target(&asked.name, &asked.version)?;
        let catalog = self.admission.catalog();
        let (name, model) = catalog.model(&target.model)?;
        let (version, entry) = model.select(name, &target.selector)?;
        let signature =
            entry.signature.as_ref().ok_or_else(|| not_ready(name.as_str(), version, entry))?;
        let versions = metadata::shown_versions(model, version, &target.selector);
        let versions = versions.iter().map(ToString::to_string).collect();
        let answer =
            open_inference::encode_metadata(name.as_str(), versions, entry.platform, signature);
        Ok(frame(&answer))
    }

    fn grpc_model_config(&self, asked: &ModelConfigRequest) -> Result<Bytes> {
        let target = target(&asked.name, &asked.version)?;
        let catalog = self.admission.catalog();
        let config = effective_config(&catalog, &target.model, &target.selector)?;
        Ok(frame(&ModelConfigResponse { config: Some(config) }))
    }
}

/// # Errors
/// When the bytes are not this message.
pub(super) fn read<M: Message + Default>(message: Bytes) -> Result<M> {
    M::decode(message).map_err(|error| Error::invalid(error.to_string()))
}
