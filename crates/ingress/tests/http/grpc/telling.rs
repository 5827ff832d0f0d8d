//! What gRPC calls leave in statistics and metrics, and the statistics asked over gRPC.

use tidegate_inference::{Entrypoint, Error, ErrorKind, ModelName};
use tidegate_ingress::IngressConfig;
use tidegate_proto::grpc::frame;
use tidegate_proto::grpc::inference::{ModelStatisticsRequest, ModelStatisticsResponse};
use tidegate_proto::grpc::open_inference::decode_statistics;
use tidegate_proto::grpc::tensorflow_serving::{Asked, encode_request};

use super::client::{Caller, INFER, framed};
use crate::client::Server;
use crate::mock::{Behaviour, tensor, version};

const PREDICT: &str = "/tensorflow.serving.PredictionService/Predict";
const STATISTICS: &str = "/inference.GRPCInferenceService/ModelStatistics";

fn predict(model: &str) -> bytes::Bytes {
    let asked = Asked { model: model.to_owned(), ..Asked::default() };
    frame(&encode_request(&asked, &[tensor("x", 1, &[1.0, 2.0])]))
}

#[tokio::test]
async fn tensorflow_requests_over_grpc_tell_their_house_how_they_ended_and_others_do_not() {
    let failed = Error::new(ErrorKind::ModelFailed, "no");
    let models = [("good", Behaviour::Echo), ("bad", Behaviour::Fail(failed))];
    let server = Server::start(IngressConfig::default(), &models).await;
    let mut caller = Caller::to(&server).await;
    for (path, body, code) in
        [(PREDICT, predict("good"), 0), (PREDICT, predict("bad"), 13), (INFER, framed("good"), 0)]
    {
        assert_eq!(caller.call(path, &[], body).await.status().await.0, code);
    }
    let ends = [Ok(()), Err(ErrorKind::ModelFailed)];
    assert_eq!(server.mock.tensorflow(), ends.map(|end| (Entrypoint::Grpc, end)));
    server.stop().await;
}

#[tokio::test]
async fn refused_tensorflow_requests_over_grpc_are_counted_for_models_that_exist() {
    let overloaded = Error::new(ErrorKind::Overloaded, "full");
    let models = [("m", Behaviour::Refuse(overloaded))];
    let server = Server::start(IngressConfig::default(), &models).await;
    let mut caller = Caller::to(&server).await;
    for (body, code) in [(predict("m"), 8), (predict("none"), 5)] {
        assert_eq!(caller.call(PREDICT, &[], body).await.status().await.0, code);
    }
    let page = server.telemetry.encode();
    let counts: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with(":tensorflow:serving:request_count{"))
        .collect();
    let expected =
        r#":tensorflow:serving:request_count{model_name="m",status="RESOURCE_EXHAUSTED"} 1"#;
    assert_eq!(counts, [expected]);
    server.stop().await;
}

#[tokio::test]
async fn statistics_are_those_of_the_telemetry_for_all_models_or_for_one() {
    let models = [("a", Behaviour::Echo), ("b", Behaviour::Echo)];
    let server = Server::start(IngressConfig::default(), &models).await;
    for name in ["a", "b"] {
        let metrics = server.telemetry.model(&ModelName::new(name).unwrap(), version(1));
        metrics.accepted();
        metrics.caller_gone(std::time::Duration::from_millis(3));
    }
    let mut caller = Caller::to(&server).await;
    for (name, number, expected) in
        [("", "", &["a", "b"][..]), ("b", "", &["b"]), ("a", "1", &["a"])]
    {
        let asked = ModelStatisticsRequest { name: name.to_owned(), version: number.to_owned() };
        let mut call = caller.call(STATISTICS, &[], frame(&asked)).await;
        let told: ModelStatisticsResponse = call.message().await.unwrap();
        let names: Vec<&str> = told.model_stats.iter().map(|stats| &*stats.name).collect();
        assert_eq!(names, expected);
        let statistics = decode_statistics(told);
        assert!(statistics.iter().all(|one| (one.fail.count, one.fail.ns) == (1, 3_000_000)));
    }
    for (name, number, code) in [("none", "", 5), ("a", "9", 5), ("a", "2", 14)] {
        let asked = ModelStatisticsRequest { name: name.to_owned(), version: number.to_owned() };
        let (status, _) = caller.call(STATISTICS, &[], frame(&asked)).await.status().await;
        assert_eq!(status, code, "{name} {number}");
    }
    server.stop().await;
}
