//! Whom a load asks, and what: the target and its wire format, the questions, and what their answers should be.
//!
//! Everything is prepared before the load starts. Then a question costs the generator nothing but its bytes, and
//! an answer only as much reading as its verdict needs.

mod address;
mod arguments;
mod difference;
mod format;
mod judge;
mod network;
mod payload;
mod statistics;
mod timing;

#[cfg(test)]
mod over_grpc;

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use tidegate_inference::{Signature, Tensor};

use self::address::Family;
pub use self::address::{Asked, Protocol, Target};
pub use self::arguments::{
    Arguments, Check, NamedShape, TargetOptions, header, named_shape, parameter,
};
pub use self::difference::{Tolerance, difference};
use self::format::{Format, Manner};
use self::judge::Judge;
use self::payload::Payload;
pub use self::statistics::{StatisticsReader, StatisticsReading};
use crate::Failure;
use crate::engine::once;
use crate::load::{Endpoint, Transport};
use crate::question::{Answer, Prepared, Question, Wire};

/// How long metadata and golden answers may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Ready to be asked, as a [`crate::load::Load`] wants it.
#[derive(Clone)]
pub struct PreparedTarget {
    /// As it was given.
    pub target: String,
    pub endpoints: Arc<[Endpoint]>,
    pub transport: Transport,
    pub wire: Arc<dyn Wire>,
    /// Never empty.
    pub questions: Arc<[Question]>,
    /// Where the server has Triton's statistics.
    pub statistics: Option<StatisticsReader>,
}

/// Makes everything of a target ready; asks the server for metadata where the payload needs it, and for its
/// answers where they are to be checked.
///
/// # Errors
/// When target, payload and metadata do not go together, or the server does not answer.
pub fn prepare(
    arguments: &Arguments,
    seed: u64,
    streams: usize,
) -> Result<PreparedTarget, Failure> {
    let options = &arguments.options;
    let tolerance = Tolerance::new(options.tolerance)
        .ok_or_else(|| format!("--tolerance {}: expected 0 or more", options.tolerance))?;
    let target = Target::parse(&arguments.target, options.binary)?;
    let family = target.protocol.family();
    if options.signature_name.is_some() && family != Family::TensorFlow {
        return Err("--signature-name: only TensorFlow Serving's models have signatures".into());
    }
    let endpoint = target.endpoint(options.allow_remote)?;
    let manner = Manner {
        headers: options.headers.iter().cloned().collect(),
        signature_name: options.signature_name.clone(),
    };
    let client = Client {
        transport: target.transport(streams),
        format: format::format(&target, manner),
        signature: OnceCell::new(),
        endpoint,
        target,
    };
    let contract = || client.signature().cloned();
    let payload = Payload { family, format: &*client.format, options, contract: &contract };
    let mut questions = payload.questions(seed)?;
    if options.check == Some(Check::Itself) {
        client.answer_all(&mut questions)?;
    }
    let specs = client.signature.get().map(|signature| signature.outputs.clone());
    let statistics = StatisticsReader {
        endpoint: client.endpoint.clone(),
        transport: client.transport,
        format: Arc::clone(&client.format),
    };
    Ok(PreparedTarget {
        target: arguments.target.clone(),
        endpoints: Arc::new([client.endpoint]),
        transport: client.transport,
        wire: Arc::new(Judge {
            format: client.format,
            specs: specs.unwrap_or_default(),
            tolerance,
        }),
        questions: questions.into(),
        statistics: statistics.read().is_some().then_some(statistics),
    })
}

/// Asks single requests, before the load.
struct Client {
    target: Target,
    endpoint: Endpoint,
    transport: Transport,
    format: Arc<dyn Format>,
    signature: OnceCell<Signature>,
}

impl Client {
    /// Asked for once.
    fn signature(&self) -> Result<&Signature, Failure> {
        if let Some(signature) = self.signature.get() {
            return Ok(signature);
        }
        let signature = self
            .read_signature()
            .map_err(|error| error.within(format_args!("metadata of {}", self.target)))?;
        Ok(self.signature.get_or_init(|| signature))
    }

    fn read_signature(&self) -> Result<Signature, Failure> {
        let (method, request) = self.format.metadata_request();
        self.format.signature(&self.ask(method, &request)?)
    }

    fn ask(&self, method: http::Method, request: &Prepared) -> Result<Answer, Failure> {
        let answer = once(&self.endpoint, self.transport, method, request, PATIENCE)?;
        match self.format.refusal(&answer) {
            None => Ok(answer),
            Some(refusal) => Err(Failure::new(refusal.detail)),
        }
    }

    /// The server's own answers become what is expected, where nothing else is.
    fn answer_all(&self, questions: &mut [Question]) -> Result<(), Failure> {
        for (number, question) in questions.iter_mut().enumerate() {
            if question.expected.is_none() {
                let place = || format!("--check self: question {} of {}", number + 1, self.target);
                let outputs = self.answer(&question.request);
                question.expected = Some(outputs.map_err(|error| error.within(place()))?);
            }
        }
        Ok(())
    }

    fn answer(&self, request: &Prepared) -> Result<Vec<Tensor>, Failure> {
        let answer = self.ask(http::Method::POST, request)?;
        let specs: &[_] = match self.target.protocol {
            Protocol::TensorFlowRest => &self.signature()?.outputs,
            _ => &[],
        };
        self.format.outputs(&answer, specs).map_err(Failure::new)
    }
}
