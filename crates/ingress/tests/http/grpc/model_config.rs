//! The question for a model's configuration, which perf_analyzer asks before it measures.

use tidegate_proto::grpc::frame;
use tidegate_proto::grpc::inference::{DataType, ModelConfigRequest, ModelConfigResponse};

use super::client::Caller;
use crate::client::Server;

const MODEL_CONFIG: &str = "/inference.GRPCInferenceService/ModelConfig";

fn question(name: &str, version: &str) -> ModelConfigRequest {
    ModelConfigRequest { name: name.to_owned(), version: version.to_owned() }
}

#[tokio::test]
async fn a_models_configuration_is_told_over_grpc_too() {
    let server = Server::echo().await;
    let body = frame(&question("m", ""));
    let mut call = Caller::to(&server).await.call(MODEL_CONFIG, &[], body).await;
    let response: ModelConfigResponse = call.message().await.unwrap();
    let config = response.config.unwrap();
    assert_eq!((&*config.name, config.max_batch_size), ("m", 8));
    assert_eq!(
        (config.input[0].data_type(), &*config.input[0].dims),
        (DataType::TypeFp32, &[2][..])
    );
    assert_eq!(call.status().await.0, 0);
    for (name, version, status) in [("none", "", 5), ("m", "3", 5), ("m", "2", 14)] {
        let body = frame(&question(name, version));
        let mut call = Caller::to(&server).await.call(MODEL_CONFIG, &[], body).await;
        assert_eq!(call.status().await.0, status, "{name} {version}");
    }
    server.stop().await;
}
