//! The walk of an inference request that came as a gRPC message: permit, message, head, admission, inputs, infer,
//! encode, settle. It differs from the walk of the other formats (`crate::infer`) in one thing: who is asked
//! stands inside the message, so the message is opened before anybody can be admitted. Opening is cheap, because
//! raw values stay where they are.

use std::time::Instant;

use bytes::Bytes;
use prost::Message as _;
use tidegate_credentials::Caller;
use tidegate_inference::{
    Admission, Admitted, Deadline, Error, ErrorKind, Label, Parameters, Permit, RequestHead,
    Result, Version, VersionSelector,
};
use tidegate_proto::DecodeError;
use tidegate_proto::grpc::inference::ModelInferRequest;
use tidegate_proto::grpc::open_inference::{self, Within};
use tidegate_proto::grpc::tensorflow::serving::PredictRequest;
use tidegate_proto::grpc::tensorflow_serving::{self, Asked};
use tidegate_proto::grpc::weight;
use tidegate_proto::shared_memory::Regions;

use super::messages::{Broken, Message, Messages};
use super::method::Protocol;
use super::reply;
use crate::Ingress;
use crate::encoding::Encoding;
use crate::format::{Decoded, ReplyForm};
use crate::infer::{Answer, Exchange};
use crate::reply::Reply;
use crate::request_id::RequestId;
use crate::route::Target;
use crate::server_timing;
use crate::shared_memory::regions;
use crate::status::{self, Contract};
use crate::tensorflow::in_its_words;
use crate::visit::{Unsettled, Visit};

/// A message of this size takes little memory, however it is made.
const SMALL: usize = 16 * 1024;

/// What the head of a call says of its messages.
#[derive(Clone)]
pub struct Terms {
    pub protocol: Protocol,
    pub within: Within,
    pub encoding: Option<Encoding>,
    /// When the caller stops waiting, if it said so.
    pub deadline: Option<Deadline>,
    pub request_id: RequestId,
    pub caller: Option<Caller>,
}

/// How one message went: its answer or why there is none, and what must be held until that has left.
pub struct Served<P> {
    pub outcome: Result<Answer>,
    /// The request's own name for itself.
    pub id: String,
    pub permit: Option<P>,
}

/// A message on its way to become a request.
struct Load {
    opened: Opened,
    /// What it takes in memory beside its own bytes.
    weight: usize,
    /// What its permit holds by now.
    paid: usize,
}

/// An opened message.
enum Opened {
    OpenInference(ModelInferRequest),
    TensorFlow(PredictRequest),
}

impl<A: Admission> Ingress<A> {
    /// A call with one request and one response.
    pub(super) async fn grpc_infer(
        &self,
        exchange: Exchange<'_>,
        terms: Terms,
    ) -> Reply<A::Admitted> {
        let received = exchange.received;
        let until = Deadline::after(received, self.config.body_read_timeout);
        let until = terms.deadline.map_or(until, |deadline| deadline.min(until));
        let (limit, patience) = (self.config.max_body_size, self.config.body_read_timeout);
        let mut messages = Messages::of(exchange.body, received, limit, patience);
        match messages.only(&*self.admission, until.instant()).await {
            Ok(message) => {
                let served = self.serve_message(message, received, &terms).await;
                self.grpc_answer(served)
            }
            Err(Broken::Refused(error)) => {
                let visit = self.grpc_visit(&terms, received);
                self.grpc_turned_away(visit, &error);
                reply::error(&error, self.config.triton_compat)
            }
            // Nobody reads this; the drop of the visit says that the caller has gone.
            Err(Broken::Gone) => {
                drop(self.grpc_visit(&terms, received));
                reply::error(&Error::invalid("the message broke off"), false)
            }
        }
    }

    fn grpc_answer(&self, served: Served<A::Admitted>) -> Reply<A::Admitted> {
        let mut reply = match served.outcome {
            Ok(Answer { timeline, encoded, .. }) => {
                let mut reply = reply::message(encoded.chunks);
                if self.config.server_timing {
                    let timing = server_timing::header(&timeline);
                    reply.headers_mut().insert(server_timing::HEADER, timing);
                }
                reply
            }
            Err(error) => reply::error(&error, self.config.triton_compat),
        };
        if let Some(permit) = served.permit {
            reply = reply.map(|body| body.holding(permit));
        }
        reply
    }

    /// One request, from its message to its answer; recorded and settled when this returns.
    pub(super) async fn serve_message(
        &self,
        message: Message<A::Permit>,
        received: Instant,
        terms: &Terms,
    ) -> Served<A::Admitted> {
        let mut visit = self.grpc_visit(terms, received);
        visit.request_bytes = message.bytes.len();
        let (load, permit) = match self.open(message, terms).await {
            Ok(opened) => opened,
            Err(error) => {
                self.grpc_turned_away(visit, &error);
                return Served { outcome: Err(error), id: String::new(), permit: None };
            }
        };
        let id = load.opened.id().to_owned();
        let admitted = match self.admit_opened(&load.opened, permit, received, terms, &mut visit) {
            Ok(admitted) => admitted,
            Err(error) => {
                let model = visit.model.as_deref().unwrap_or_default();
                self.refuse_tensorflow(terms.protocol.entrypoint(), model, &error);
                self.grpc_turned_away(visit, &error);
                return Served { outcome: Err(error), id, permit: None };
            }
        };
        let mut unsettled = Unsettled::new(admitted, terms.protocol.entrypoint());
        let outcome = self.serve_opened(load, unsettled.admitted_mut(), received, terms).await;
        let permit = match &outcome {
            Ok(answer) => {
                visit.responded(&answer.timeline, answer.encoded.byte_size());
                unsettled.settle(Ok(&answer.timeline))
            }
            Err(error) => {
                visit.failed(error.kind(), http_status(error), 0);
                unsettled.settle(Err(error))
            }
        };
        Served { outcome, id, permit: Some(permit) }
    }

    fn grpc_visit<'v>(&'v self, terms: &'v Terms, received: Instant) -> Visit<'v> {
        let (protocol, caller) = (terms.protocol.name(), terms.caller.as_ref());
        Visit::new(&self.access, &terms.request_id, protocol, caller, None, received)
    }

    pub(crate) fn grpc_turned_away(&self, visit: Visit<'_>, error: &Error) {
        self.telemetry.refused(visit.protocol(), error.kind());
        visit.failed(error.kind(), http_status(error), 0);
    }

    async fn open(&self, message: Message<A::Permit>, terms: &Terms) -> Result<(Load, A::Permit)> {
        let Message { mut bytes, compressed, mut permit, .. } = message;
        let mut paid = bytes.len();
        if compressed {
            let encoding = terms.encoding.ok_or_else(|| {
                Error::invalid("the message is compressed, and no grpc-encoding says how")
            })?;
            bytes = self.inflate(encoding, bytes, self.config.max_body_size).await?;
            permit.grow(bytes.len().saturating_sub(paid))?;
            paid = paid.max(bytes.len());
        }
        let (protocol, mut weight) = (terms.protocol, 0);
        // In TensorFlow's messages one value may stand for any number.
        if bytes.len() > SMALL || protocol == Protocol::TensorFlow {
            weight = protocol.weight(&bytes)?;
            permit.grow(weight)?;
            paid = paid.saturating_add(weight);
        }
        // Raw values weigh nothing: only typed ones are worth a hop.
        let opened = self.pool.run(weight, move || protocol.open(bytes)).await??;
        Ok((Load { opened, weight, paid }, permit))
    }

    fn admit_opened(
        &self,
        opened: &Opened,
        permit: A::Permit,
        received: Instant,
        terms: &Terms,
        visit: &mut Visit<'_>,
    ) -> Result<A::Admitted> {
        let target = opened.target()?;
        visit.model = Some(target.shown_model().to_owned().into());
        let longest = Deadline::after(received, self.config.request_timeout);
        let head = RequestHead {
            model: target.model_name()?,
            selector: target.selector,
            received,
            deadline: terms.deadline.map_or(longest, |deadline| deadline.min(longest)),
        };
        let admitted = self.admission.admit(&head, permit).map_err(|error| match opened {
            Opened::OpenInference(_) => error,
            Opened::TensorFlow(_) => in_its_words(error, &head),
        })?;
        visit.version = Some(admitted.version());
        Ok(admitted)
    }

    async fn serve_opened(
        &self,
        load: Load,
        admitted: &mut A::Admitted,
        received: Instant,
        terms: &Terms,
    ) -> Result<Answer> {
        let Load { opened, weight, paid } = load;
        let (within, memory) = (terms.within, self.shared_memory.clone());
        let decode = move || opened.decode(within, &regions(&memory));
        let decoded = self.pool.run(weight, decode).await?.map_err(|error| {
            let (model, version) = (admitted.model(), admitted.version());
            Error::from(error).within(format_args!("model '{model}' version {version}"))
        })?;
        self.complete(admitted, decoded, paid, received).await
    }
}

impl Protocol {
    fn weight(self, message: &[u8]) -> Result<usize, DecodeError> {
        match self {
            Self::OpenInference => weight::infer_request(message),
            Self::TensorFlow => weight::predict_request(message),
        }
    }

    fn open(self, message: Bytes) -> Result<Opened> {
        match self {
            Self::OpenInference => ModelInferRequest::decode(message).map(Opened::OpenInference),
            Self::TensorFlow => PredictRequest::decode(message).map(Opened::TensorFlow),
        }
        .map_err(|error| Error::invalid(error.to_string()))
    }
}

impl Opened {
    fn id(&self) -> &str {
        match self {
            Self::OpenInference(request) => &request.id,
            Self::TensorFlow(_) => "",
        }
    }

    fn target(&self) -> Result<Target<'_>> {
        match self {
            Self::OpenInference(request) => target(&request.model_name, &request.model_version),
            Self::TensorFlow(request) => {
                let asked = Asked::of(request.model_spec.clone())?;
                asked.check_signature()?;
                tensorflow_target(asked)
            }
        }
    }

    fn decode(self, within: Within, regions: &dyn Regions) -> Result<Decoded, DecodeError> {
        match self {
            Self::OpenInference(request) => {
                let request = open_inference::decode_infer(request, regions)?;
                Ok(Decoded {
                    inputs: request.inputs,
                    outputs: request.reply.output_names(),
                    parameters: request.parameters,
                    form: ReplyForm::GrpcOpenInference(request.reply, within),
                    compression: None,
                })
            }
            Self::TensorFlow(request) => {
                let (inputs, outputs) = tensorflow_serving::decode_request(request)?;
                Ok(Decoded {
                    inputs,
                    outputs,
                    parameters: Parameters::new(),
                    form: ReplyForm::GrpcTensorFlow,
                    compression: None,
                })
            }
        }
    }
}

/// What the access log shows: the status that the same error has over HTTP.
fn http_status(error: &Error) -> u16 {
    status::status(Contract::OpenInference, error.kind()).as_u16()
}

/// Open Inference's way to name a model; no version leaves it to the weights.
///
/// # Errors
/// A version that is no number.
pub(super) fn target<'m>(model: &'m str, version: &str) -> Result<Target<'m>> {
    let selector = match version {
        "" => VersionSelector::Weighted,
        _ => VersionSelector::Version(version.parse().map_err(|_| {
            Error::invalid(format!(
                "model '{model:.64}': failed to get model version from specified version string \
                 '{version:.64}': expected a positive integer, or nothing"
            ))
        })?),
    };
    Ok(Target { model: model.into(), selector })
}

/// TensorFlow Serving's way.
///
/// # Errors
/// A version or label that no model can have.
pub(super) fn tensorflow_target(asked: Asked) -> Result<Target<'static>> {
    let Asked { model, version, label, .. } = asked;
    let selector = match (version, label) {
        (Some(number), _) => {
            let version = u64::try_from(number).ok().and_then(Version::new).ok_or_else(|| {
                let message =
                    format!("Servable not found for request: Specific({model:.64}, {number})");
                Error::new(ErrorKind::UnknownVersion, message)
            })?;
            VersionSelector::Version(version)
        }
        (None, Some(label)) => VersionSelector::Label(Label::new(&label).map_err(|_| {
            let message = format!("Unrecognized servable version label: '{label:.64}'");
            Error::new(ErrorKind::UnknownLabel, message)
        })?),
        (None, None) => VersionSelector::Weighted,
    };
    Ok(Target { model: model.into(), selector })
}
