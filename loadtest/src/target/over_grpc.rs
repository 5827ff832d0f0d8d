//! gRPC targets against a server that tonic generated and hyper carries: prepared, driven and judged as a
//! load is.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::ControlFlow;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tidegate_inference::{DataType, Dim, Signature, Tensor, TensorData, TensorSpec};
use tidegate_proto::DecodeError;
use tidegate_proto::grpc::inference::grpc_inference_service_server::{
    GrpcInferenceService, GrpcInferenceServiceServer,
};
use tidegate_proto::grpc::inference::*;
use tidegate_proto::grpc::tensorflow::serving::prediction_service_server::{
    PredictionService, PredictionServiceServer,
};
use tidegate_proto::grpc::tensorflow::serving::*;
use tidegate_proto::grpc::{open_inference, tensorflow_serving};
use tidegate_proto::shared_memory::NoRegions;
use tokio::net::TcpListener;
use tonic::codegen::Service;
use tonic::{Request, Response, Status};

use super::{Arguments, Check, TargetOptions, prepare};
use crate::engine::{DriveOptions, drive};
use crate::figures::Run;
use crate::load::{Arrivals, Behaviour, Load};
use crate::question::Ending;

/// Doubles what it is given, refuses every tenth request, and answers wrongly when asked for version 9.
#[derive(Default)]
struct Doubling {
    asked: std::sync::atomic::AtomicU64,
}

impl Doubling {
    fn answer(&self, inputs: &[Tensor], wrong: bool) -> Result<Vec<Tensor>, Status> {
        let number = self.asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        // The first 16 are the golden questions.
        if number >= 16 && number.is_multiple_of(10) {
            return Err(Status::resource_exhausted("the queue is full: 7 of 7"));
        }
        let TensorData::Fixed(bytes) = inputs[0].data() else { unreachable!("x is of FP32") };
        let values = bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap()));
        let off = if wrong && number >= 16 { 1.0 } else { 0.0 };
        let doubled: Bytes = values.flat_map(|value| (2.0 * value + off).to_le_bytes()).collect();
        let shape = inputs[0].shape().clone();
        Ok(vec![Tensor::new("y", DataType::Fp32, shape, TensorData::Fixed(doubled)).unwrap()])
    }
}

fn signature() -> Signature {
    let spec = |name: &str| TensorSpec {
        name: name.into(),
        datatype: DataType::Fp32,
        shape: vec![Dim::Dynamic, Dim::Fixed(4)],
    };
    Signature { inputs: vec![spec("x")], outputs: vec![spec("y")] }
}

#[tonic::async_trait]
impl GrpcInferenceService for Doubling {
    async fn server_live(
        &self,
        _: Request<ServerLiveRequest>,
    ) -> Result<Response<ServerLiveResponse>, Status> {
        Ok(Response::new(ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        _: Request<ServerReadyRequest>,
    ) -> Result<Response<ServerReadyResponse>, Status> {
        Ok(Response::new(ServerReadyResponse { ready: true }))
    }

    async fn model_ready(
        &self,
        _: Request<ModelReadyRequest>,
    ) -> Result<Response<ModelReadyResponse>, Status> {
        Ok(Response::new(ModelReadyResponse { ready: true }))
    }

    async fn server_metadata(
        &self,
        _: Request<ServerMetadataRequest>,
    ) -> Result<Response<ServerMetadataResponse>, Status> {
        Err(Status::unimplemented("not asked for here"))
    }

    async fn model_metadata(
        &self,
        request: Request<ModelMetadataRequest>,
    ) -> Result<Response<ModelMetadataResponse>, Status> {
        let name = request.into_inner().name;
        if name != "m" {
            return Err(Status::not_found(format!("no model {name:?}")));
        }
        let metadata =
            open_inference::encode_metadata("m", vec!["1".to_owned()], "test", &signature());
        Ok(Response::new(metadata))
    }

    async fn model_infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        let request = request.into_inner();
        let wrong = request.model_version == "9";
        let request = open_inference::decode_infer(request, &NoRegions)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let outputs = self.answer(&request.inputs, wrong)?;
        let response = open_inference::encode_response("m", "1", "", &outputs)
            .map_err(|error| Status::internal(error.to_string()))?;
        Ok(Response::new(response))
    }

    async fn model_statistics(
        &self,
        _: Request<ModelStatisticsRequest>,
    ) -> Result<Response<ModelStatisticsResponse>, Status> {
        let asked = self.asked.load(std::sync::atomic::Ordering::Relaxed);
        let statistics = ModelStatistics {
            name: "m".to_owned(),
            version: "1".to_owned(),
            inference_count: asked,
            execution_count: asked / 2,
            inference_stats: Some(InferStatistics {
                success: Some(StatisticDuration { count: asked, ns: asked * 1000 }),
                queue: Some(StatisticDuration { count: asked, ns: asked * 3_000_000 }),
                ..InferStatistics::default()
            }),
            ..ModelStatistics::default()
        };
        Ok(Response::new(ModelStatisticsResponse { model_stats: vec![statistics] }))
    }
}

#[tonic::async_trait]
impl PredictionService for Doubling {
    async fn predict(
        &self,
        request: Request<PredictRequest>,
    ) -> Result<Response<PredictResponse>, Status> {
        let invalid = |error: DecodeError| Status::invalid_argument(error.to_string());
        let request = request.into_inner();
        let asked = tensorflow_serving::Asked::of(request.model_spec.clone()).map_err(invalid)?;
        let (inputs, _) = tensorflow_serving::decode_request(request).map_err(invalid)?;
        let outputs = self.answer(&inputs, asked.version == Some(9))?;
        Ok(Response::new(tensorflow_serving::encode_response(&asked, &outputs)))
    }

    async fn get_model_metadata(
        &self,
        request: Request<GetModelMetadataRequest>,
    ) -> Result<Response<GetModelMetadataResponse>, Status> {
        let spec = request.into_inner().model_spec.unwrap_or_default();
        let asked = tensorflow_serving::Asked { model: spec.name, ..Default::default() };
        Ok(Response::new(tensorflow_serving::encode_metadata(&asked, &signature())))
    }
}

/// Serves both protocols, one a connection, until the test's process ends: `v2` or `v1`.
fn serve(protocol: &'static str) -> SocketAddr {
    let (to, from) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            to.send(listener.local_addr().unwrap()).unwrap();
            let v2 = GrpcInferenceServiceServer::new(Doubling::default());
            let v1 = PredictionServiceServer::new(Doubling::default());
            while let Ok((stream, _)) = listener.accept().await {
                let (io, http) = (TokioIo::new(stream), http2::Builder::new(TokioExecutor::new()));
                match protocol {
                    "v2" => {
                        let v2 = v2.clone();
                        let service = service_fn(move |request| v2.clone().call(request));
                        tokio::spawn(http.serve_connection(io, service));
                    }
                    _ => {
                        let v1 = v1.clone();
                        let service = service_fn(move |request| v1.clone().call(request));
                        tokio::spawn(http.serve_connection(io, service));
                    }
                }
            }
        });
    });
    from.recv().unwrap()
}

/// 200 requests to this target, checked against the server's own first answers.
fn driven(target: String) -> Run {
    let options = TargetOptions { check: Some(Check::Itself), ..TargetOptions::default() };
    let target = prepare(&Arguments { target, options }, 1, 8).unwrap();
    let load = Load {
        name: "grpc".to_owned(),
        target: target.target.clone(),
        endpoints: target.endpoints.clone(),
        transport: target.transport,
        wire: target.wire.clone(),
        questions: target.questions.clone(),
        arrivals: Arrivals::Closed { callers: 4 },
        start: Duration::ZERO,
        warm_up: Duration::ZERO,
        duration: Duration::from_secs(60),
        max_requests: 200,
        connections: 4,
        timeout: Duration::from_secs(30),
        behaviour: Behaviour::Normal,
        slo: None,
        windows: Vec::new(),
    };
    let options = DriveOptions { threads: 1, seed: 1, server_process: None };
    let mut run = drive(&[load], &options, &mut |_| ControlFlow::Continue(())).unwrap().remove(0);
    let before = target.statistics.as_ref().and_then(|statistics| statistics.read());
    run.server.statistics = before.clone().and_then(|before| {
        once_more(&target);
        target.statistics.as_ref()?.read()?.since(&before)
    });
    run
}

fn once_more(target: &super::PreparedTarget) {
    let question = &target.questions[0];
    for _ in 0..2 {
        let method = http::Method::POST;
        let patience = Duration::from_secs(30);
        let endpoint = &target.endpoints[0];
        crate::engine::once(endpoint, target.transport, method, &question.request, patience)
            .unwrap();
    }
}

fn counts(run: &Run) -> BTreeMap<Ending, u64> {
    run.endings.iter().map(|(ending, figures)| (*ending, figures.count)).collect()
}

#[test]
fn open_inference_over_grpc_is_asked_judged_and_its_statistics_read() {
    let run = driven(format!("grpc://{}/v2/models/m", serve("v2")));
    assert_eq!(counts(&run), BTreeMap::from([(Ending::Right, 180), (Ending::Refused, 20)]));
    let refused = run.endings[&Ending::Refused].example.as_deref().unwrap();
    assert!(refused.contains("the queue is full: 7 of 7"), "{refused}");
    let statistics = run.server.statistics.unwrap();
    assert_eq!((statistics.inference_count, statistics.execution_count), (2, 1));
    assert!((statistics.queue_ms - 3.0).abs() < 1e-9, "{}", statistics.queue_ms);
}

#[test]
fn tensorflow_serving_over_grpc_is_asked_and_judged() {
    let run = driven(format!("grpc://{}/v1/models/m", serve("v1")));
    assert_eq!(counts(&run), BTreeMap::from([(Ending::Right, 180), (Ending::Refused, 20)]));
}

#[test]
fn a_wrong_answer_over_grpc_is_found() {
    for (protocol, path) in [("v2", "/v2/models/m/versions/9"), ("v1", "/v1/models/m/versions/9")] {
        let run = driven(format!("grpc://{}{path}", serve(protocol)));
        assert_eq!(counts(&run)[&Ending::Wrong], 180, "{protocol}");
        let example = run.endings[&Ending::Wrong].example.as_deref().unwrap();
        assert!(example.contains("'y'"), "{example}");
    }
}

#[test]
fn a_model_that_is_not_there_is_said_so() {
    let target = format!("grpc://{}/v2/models/other", serve("v2"));
    let arguments = Arguments { target, options: TargetOptions::default() };
    let error = prepare(&arguments, 1, 8).err().unwrap().to_string();
    assert!(error.contains("no model \"other\""), "{error}");
}
