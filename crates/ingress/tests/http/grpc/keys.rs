//! API keys over gRPC: they come as metadata, and refusals are statuses.

use bytes::Bytes;
use tidegate_inference::LoadRequest;
use tidegate_proto::grpc::frame;
use tidegate_proto::grpc::inference::log_settings_request::SettingValue;
use tidegate_proto::grpc::inference::log_settings_request::setting_value::ParameterChoice;
use tidegate_proto::grpc::inference::{
    LogSettingsRequest, ModelReadyRequest, RepositoryModelLoadRequest,
};

use super::client::{Caller, INFER, STREAM, framed};
use crate::access::Log;
use crate::keys::{OPS, STRANGER, WEB, guarded};
use crate::manager::Asked;
use crate::mock::Counts;

const UNAUTHENTICATED: u16 = 16;
const PERMISSION_DENIED: u16 = 7;

async fn code(caller: &mut Caller, path: &str, key: Option<&str>, body: Bytes) -> u16 {
    let headers: Vec<_> = key.map(|key| ("x-api-key", key)).into_iter().collect();
    caller.call(path, &headers, body).await.status().await.0
}

fn empty() -> Bytes {
    Bytes::from_static(&[0; 5])
}

#[tokio::test]
async fn every_call_but_probes_needs_a_key_with_its_scope() {
    let server = guarded(false).await;
    let mut caller = Caller::to(&server).await;
    let ready = frame(&ModelReadyRequest { name: "m".to_owned(), ..Default::default() });
    for (path, body) in [
        ("/grpc.health.v1.Health/Check", empty()),
        ("/inference.GRPCInferenceService/ServerLive", empty()),
        ("/inference.GRPCInferenceService/ServerReady", empty()),
        ("/inference.GRPCInferenceService/ModelReady", ready),
    ] {
        assert_eq!(code(&mut caller, path, None, body).await, 0, "{path}");
    }
    for (path, good, bad) in [
        ("/inference.GRPCInferenceService/ServerMetadata", WEB, OPS),
        ("/inference.GRPCInferenceService/RepositoryIndex", WEB, OPS),
        ("/inference.GRPCInferenceService/RepositoryModelLoad", OPS, WEB),
        ("/inference.GRPCInferenceService/RepositoryModelUnload", OPS, WEB),
        ("/tensorflow.serving.ModelService/HandleReloadConfigRequest", OPS, WEB),
        ("/tensorflow.serving.ModelService/GetModelStatus", WEB, OPS),
        ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", WEB, OPS),
        ("/inference.GRPCInferenceService/Nothing", WEB, OPS),
    ] {
        assert_eq!(code(&mut caller, path, None, empty()).await, UNAUTHENTICATED, "{path}");
        let stranger = code(&mut caller, path, Some(STRANGER), empty()).await;
        assert_eq!(stranger, UNAUTHENTICATED, "{path}");
        assert_eq!(code(&mut caller, path, Some(bad), empty()).await, PERMISSION_DENIED, "{path}");
        let let_in = code(&mut caller, path, Some(good), empty()).await;
        assert!(![UNAUTHENTICATED, PERMISSION_DENIED].contains(&let_in), "{path}: {let_in}");
    }
    let first = RepositoryModelLoadRequest { model_name: "m".to_owned(), ..Default::default() };
    let load = "/inference.GRPCInferenceService/RepositoryModelLoad";
    assert_eq!(code(&mut caller, load, Some(OPS), frame(&first)).await, 0);
    assert!(server.manager.asked().contains(&Asked::Load("m".into(), LoadRequest::default())));
    drop(caller);
    server.stop().await;
}

#[tokio::test]
async fn settings_are_shown_to_callers_and_changed_by_administrators() {
    let server = guarded(false).await;
    let mut caller = Caller::to(&server).await;
    let path = "/inference.GRPCInferenceService/LogSettings";
    let value =
        SettingValue { parameter_choice: Some(ParameterChoice::StringParam(String::new())) };
    let change =
        LogSettingsRequest { settings: [("log_file".to_owned(), value)].into_iter().collect() };
    assert_eq!(code(&mut caller, path, Some(WEB), empty()).await, 0);
    let mut refused = caller.call(path, &[("x-api-key", WEB)], frame(&change)).await;
    let lacks = "API key 'web' lacks the scope 'admin', which this needs".to_owned();
    assert_eq!(refused.status().await, (PERMISSION_DENIED, lacks));
    drop(caller);
    server.stop().await;
}

#[tokio::test]
async fn predictions_are_refused_before_a_message_is_read() {
    let (log, _guard) = Log::capture();
    let server = guarded(false).await;
    let mut caller = Caller::to(&server).await;
    for path in [INFER, STREAM, "/tensorflow.serving.PredictionService/Predict"] {
        // Not a byte of a message comes, and the call stays open: the head alone is answered.
        let mut nobody = caller.open(path, &[], Bytes::new()).await;
        let (status, message) = nobody.status().await;
        assert_eq!(status, UNAUTHENTICATED, "{path}");
        assert!(message.contains("an API key is needed"), "{message}");
        let denied = [("authorization", &*format!("Bearer {OPS}"))];
        let mut denied = caller.open(path, &denied, Bytes::new()).await;
        assert_eq!(denied.status().await.0, PERMISSION_DENIED, "{path}");
    }
    assert_eq!(server.mock.counts(), Counts::default());
    let bearer = [("authorization", &*format!("Bearer {WEB}"))];
    assert_eq!(caller.call(INFER, &bearer, framed("m")).await.status().await.0, 0);
    assert_eq!(caller.call(STREAM, &bearer, framed("m")).await.status().await.0, 0);
    let page = server.telemetry.encode();
    drop(caller);
    server.stop().await;
    for line in [
        r#"tidegate_requests_refused_total{protocol="grpc_v2",reason="unauthenticated"} 2"#,
        r#"tidegate_requests_refused_total{protocol="grpc_v2",reason="permission_denied"} 2"#,
        r#"tidegate_requests_refused_total{protocol="grpc_tfs",reason="unauthenticated"} 1"#,
        r#"tidegate_api_key_requests_total{key="web",port="data",outcome="allowed"} 2"#,
    ] {
        assert!(page.lines().any(|one| one == line), "{line}: {page}");
    }
    let keys: Vec<_> = log.access().iter().map(|line| line["key"].clone()).collect();
    let count = |name: &str| keys.iter().filter(|key| *key == name).count();
    assert_eq!((keys.len(), count("ops"), count("web")), (8, 3, 2));
    for place in [page, log.text()] {
        assert!(!place.contains("0123456789abcdef"), "{place}");
    }
}
