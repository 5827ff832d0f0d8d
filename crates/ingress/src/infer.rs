//! The walk of an inference request, the same for every wire format: head, admission, body, decode, infer,
//! encode, settle, answer. Overload is refused at the second step, before a byte of body is decoded.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderValue;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::request::Parts;
use hyper::body::Incoming;
use tidegate_credentials::Caller;
use tidegate_inference::{
    Admission, Admitted, Deadline, Error, ErrorKind, Permit, Request, RequestHead, Response, Stage,
    Tensor, TensorData, Timeline,
};
use tidegate_proto::JsonLimits;
use tidegate_proto::open_inference::Encoded;

use crate::Ingress;
use crate::activity::Activity;
use crate::body::{self, BodyBounds, Unreadable};
use crate::encoding::{Encoding, WORTH_COMPRESSING};
use crate::failure::Failure;
use crate::format::{Decoded, Format, JSON_LENGTH, ReplyForm};
use crate::reply::{self, Reply, ReplyBody};
use crate::request_id::RequestId;
use crate::route::Target;
use crate::server_timing;
use crate::shared_memory::regions;
use crate::status::Contract;
use crate::timeout;
use crate::visit::{Unsettled, Visit};

/// An HTTP request, as far as every handler needs it.
pub struct Exchange<'a> {
    pub parts: &'a Parts,
    pub body: Incoming,
    pub activity: &'a Activity,
    pub request_id: &'a RequestId,
    pub received: Instant,
    /// Whoever showed a key, where one was needed.
    pub caller: Option<&'a Caller>,
}

/// The checked head: what is left to do needs only the body.
struct Entry<P: Admitted> {
    unsettled: Unsettled<P>,
    declared: Option<usize>,
    encoding: Option<Encoding>,
    bounds: BodyBounds,
}

/// A finished answer.
pub struct Answer {
    pub timeline: Timeline,
    pub encoded: Encoded,
    /// How the chunks are compressed, into one.
    pub compression: Option<Encoding>,
}

impl<A: Admission> Ingress<A> {
    pub(crate) async fn infer(
        &self,
        mut exchange: Exchange<'_>,
        format: Format,
        target: Target<'_>,
    ) -> Reply<A::Admitted> {
        let mut visit = self.visit(&exchange, format.protocol(), Some(&target.model));
        let mut entry = match self.enter(&exchange, format, &target) {
            Ok(entry) => entry,
            Err(failure) => {
                self.refuse_tensorflow(format.entrypoint(), &target.model, &failure.error);
                return self.turn_away(visit, exchange, format.contract(), failure).await;
            }
        };
        visit.version = Some(entry.unsettled.admitted().version());
        match self.serve_admitted(&mut exchange, format, &mut entry, &mut visit).await {
            Ok(answer) => {
                let permit = entry.unsettled.settle(Ok(&answer.timeline));
                visit.responded(&answer.timeline, answer.encoded.byte_size());
                self.answer(answer, permit)
            }
            Err(Unreadable::Failed(failure)) => {
                let permit = entry.unsettled.settle(Err(&failure.error));
                Box::pin(refuse(visit, exchange, format.contract(), failure, Some(permit))).await
            }
            // Nobody reads this. The drops of `visit` and `entry` record that the caller went away.
            Err(Unreadable::Gone) => {
                let gone =
                    Failure::of(format.contract(), Error::invalid("the request body broke off"));
                reply::closing(reply::failure(format.contract(), gone))
            }
        }
    }

    /// Opens the request's line in the access log.
    pub(crate) fn visit<'v>(
        &'v self,
        exchange: &Exchange<'v>,
        protocol: &'static str,
        model: Option<&'v str>,
    ) -> Visit<'v> {
        let model = model.map(Cow::Borrowed);
        Visit::new(
            &self.access,
            exchange.request_id,
            protocol,
            exchange.caller,
            model,
            exchange.received,
        )
    }

    /// Refuses a request that was never admitted.
    pub(crate) async fn turn_away(
        &self,
        visit: Visit<'_>,
        exchange: Exchange<'_>,
        contract: Contract,
        failure: Failure,
    ) -> Reply<A::Admitted> {
        self.telemetry.refused(visit.protocol(), failure.error.kind());
        Box::pin(refuse(visit, exchange, contract, failure, None)).await
    }

    /// Everything that the head alone can tell, and admission last.
    fn enter(
        &self,
        exchange: &Exchange<'_>,
        format: Format,
        target: &Target<'_>,
    ) -> Result<Entry<A::Admitted>, Failure> {
        let contract = format.contract();
        let longest = self.config.request_timeout;
        let asked = timeout::in_headers(&exchange.parts.headers)
            .map_err(|error| Failure::of(contract, error))?;
        let timeout = asked.map_or(longest, |asked| asked.min(longest));
        let mut bounds = BodyBounds {
            max_bytes: self.config.max_body_size,
            binary_at: format.binary_at(),
            received: exchange.received,
            until: Deadline::after(exchange.received, self.config.body_read_timeout),
            contract,
        };
        let declared = bounds.declared(&exchange.body)?;
        let encoding = Encoding::of(&exchange.parts.headers, contract)?;
        let model = target.model_name().map_err(|error| Failure::of(contract, error))?;
        let head = RequestHead {
            model,
            selector: target.selector.clone(),
            received: exchange.received,
            deadline: Deadline::after(exchange.received, timeout),
        };
        let permit = self.admission.permit(declared.unwrap_or(0));
        let admitted = permit.and_then(|permit| self.admission.admit(&head, permit));
        let admitted = admitted.map_err(|error| {
            let error = match format {
                Format::TensorFlow => crate::tensorflow::in_its_words(error, &head),
                Format::OpenInference(_) | Format::Predict => error,
            };
            Failure::of(contract, error)
        })?;
        bounds.until = bounds.until.min(admitted.deadline());
        Ok(Entry {
            unsettled: Unsettled::new(admitted, format.entrypoint()),
            declared,
            encoding,
            bounds,
        })
    }

    async fn serve_admitted(
        &self,
        exchange: &mut Exchange<'_>,
        format: Format,
        entry: &mut Entry<A::Admitted>,
        visit: &mut Visit<'_>,
    ) -> Result<Answer, Unreadable> {
        let contract = format.contract();
        let failed = |error| Failure::of(contract, error);
        let admitted = entry.unsettled.admitted_mut();
        let mut body =
            body::read(&mut exchange.body, entry.declared, &entry.bounds, admitted).await?;
        visit.request_bytes = body.len();
        if let Some(encoding) = entry.encoding {
            let sent = body.len();
            body = self.inflate(encoding, body, self.config.max_body_size).await.map_err(failed)?;
            admitted.grow(body.len().saturating_sub(sent)).map_err(failed)?;
        }
        let paid = body.len();
        let mut decoded = self.decode(format, body, admitted).await?;
        decoded.compression = Encoding::accepted(&exchange.parts.headers);
        let answer = self.complete(admitted, decoded, paid, exchange.received).await;
        Ok(answer.map_err(failed)?)
    }

    /// From a decoded request to its encoded answer, the same for every wire. `paid` bytes of it are in its
    /// permit already.
    pub(crate) async fn complete(
        &self,
        admitted: &mut A::Admitted,
        decoded: Decoded,
        paid: usize,
        received: Instant,
    ) -> Result<Answer, Error> {
        let Decoded { inputs, outputs, parameters, form, compression } = decoded;
        let decoded: usize = inputs.iter().map(memory_of).sum();
        admitted.grow(decoded.saturating_sub(paid))?;
        let timeout = timeout::in_parameters(&parameters)?;
        let deadline = timeout.map(|timeout| Deadline::after(received, timeout));
        let priority = timeout::priority(&parameters)?;
        let mut timeline = Timeline::starting(received);
        timeline.stamp(Stage::Decoded, Instant::now());
        let request = Request { inputs, outputs, parameters, deadline, priority, timeline };
        let Response { outputs, mut timeline } = admitted.infer(request).await?;
        let (encoded, compression) = self.encode(form, compression, admitted, outputs).await?;
        let now = Instant::now();
        timeline.stamp(Stage::Encoded, now);
        if admitted.deadline().is_past(now) {
            return Err(late(admitted, &timeline));
        }
        Ok(Answer { timeline, encoded, compression })
    }

    /// Always aside: a small compressed body may hold a large one.
    pub(crate) async fn inflate(
        &self,
        encoding: Encoding,
        body: Bytes,
        limit: usize,
    ) -> Result<Bytes, Error> {
        self.pool.run_aside(move || encoding.inflate(&body, limit)).await?
    }

    async fn decode(
        &self,
        format: Format,
        body: Bytes,
        admitted: &mut A::Admitted,
    ) -> Result<Decoded, Failure> {
        let signature = Arc::clone(admitted.signature());
        let limits = JsonLimits { max_depth: self.config.max_json_depth };
        let contract = format.contract();
        let memory = self.shared_memory.clone();
        self.pool
            .run(body.len(), move || format.decode(&body, &signature, limits, &regions(&memory)))
            .await
            .map_err(|error| Failure::of(contract, error))?
            .map_err(|error| {
                let (model, version) = (admitted.model(), admitted.version());
                let place = format_args!("model '{model}' version {version}");
                Failure::in_body(contract, error.within(place))
            })
    }

    async fn encode(
        &self,
        form: ReplyForm,
        compression: Option<Encoding>,
        admitted: &mut A::Admitted,
        outputs: Vec<Tensor>,
    ) -> Result<(Encoded, Option<Encoding>), Error> {
        let bytes = outputs.iter().map(Tensor::byte_size).sum();
        let (model, version) = (admitted.model().clone(), admitted.version());
        let memory = self.shared_memory.clone();
        let encode = move || {
            let encoded = form.encode(&model, version, &outputs, &regions(&memory))?;
            let is_worth_it = encoded.byte_size() >= WORTH_COMPRESSING;
            let Some(compression) = compression.filter(|_| is_worth_it) else {
                return Ok((encoded, None));
            };
            let chunks = vec![compression.compress(&encoded.chunks)];
            Ok((Encoded { chunks, ..encoded }, Some(compression)))
        };
        self.pool.run(bytes, encode).await?
    }

    fn answer(&self, answer: Answer, permit: A::Admitted) -> Reply<A::Admitted> {
        let Answer { timeline, encoded, compression } = answer;
        let content_type = HeaderValue::from_static(encoded.content_type());
        let body = ReplyBody::of_chunks(encoded.chunks).holding(permit);
        let mut reply = http::Response::new(body);
        let headers = reply.headers_mut();
        headers.insert(CONTENT_TYPE, content_type);
        if let Some(length) = encoded.json_length {
            headers.insert(JSON_LENGTH, HeaderValue::from(length));
        }
        if let Some(compression) = compression {
            let name = HeaderValue::from_static(compression.as_str());
            headers.insert(CONTENT_ENCODING, name);
            headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        }
        if self.config.server_timing {
            headers.insert(server_timing::HEADER, server_timing::header(&timeline));
        }
        reply
    }
}

/// An answer that nobody waits for any more is no success, however good it is.
fn late<P: Admitted>(admitted: &P, timeline: &Timeline) -> Error {
    let millis = |duration: Option<Duration>| duration.unwrap_or_default().as_secs_f64() * 1e3;
    let message = format!(
        "Request timeout expired: the answer was ready after {:.3} ms, {:.3} ms of them in the queue and {:.3} ms in \
         execution; its deadline was at {:.3} ms",
        millis(timeline.between(Stage::Received, Stage::Encoded)),
        millis(timeline.queue_delay()),
        millis(timeline.between(Stage::Gathered, Stage::Executed)),
        millis(Some(admitted.deadline().left(timeline.received()))),
    );
    Error::new(ErrorKind::DeadlineExceeded, message).within(format_args!(
        "model '{}' version {}",
        admitted.model(),
        admitted.version()
    ))
}

/// Values may take more room than their text: `0,` is two bytes and an FP64 eight, `"",` is three and a
/// string's place four times eight.
fn memory_of(tensor: &Tensor) -> usize {
    let places = match tensor.data() {
        TensorData::Fixed(_) => 0,
        TensorData::Strings(strings) => strings.len() * size_of::<Bytes>(),
    };
    tensor.byte_size() + places
}

/// Answers an error; what is left of the body is read away or the connection ends. Boxed by its callers,
/// so that requests that go well do not carry room for it.
async fn refuse<P: Admitted>(
    visit: Visit<'_>,
    exchange: Exchange<'_>,
    contract: Contract,
    failure: Failure,
    permit: Option<P>,
) -> Reply<P> {
    let (kind, status) = (failure.error.kind(), failure.status.as_u16());
    let mut reply = reply::failure(contract, failure);
    if !body::discard(exchange.body, exchange.parts, exchange.activity).await {
        reply = reply::closing(reply);
    }
    visit.failed(kind, status, reply.body().len());
    match permit {
        Some(permit) => reply.map(|body| body.holding(permit)),
        None => reply,
    }
}
