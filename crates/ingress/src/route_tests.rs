//! What each path means, and how each contract refuses.

use super::*;

fn get(path: &str) -> Routed<'_> {
    route(&Method::GET, path)
}

fn post(path: &str) -> Routed<'_> {
    route(&Method::POST, path)
}

fn target<'p>(model: &'p str, selector: VersionSelector) -> Target<'p> {
    Target { model: model.into(), selector }
}

fn version(number: u64) -> VersionSelector {
    VersionSelector::Version(Version::new(number).unwrap())
}

fn label(name: &str) -> VersionSelector {
    VersionSelector::Label(Label::new(name).unwrap())
}

fn refusal(routed: Routed<'_>) -> (u16, String) {
    let refused = routed.unwrap_err();
    (refused.status.as_u16(), refused.message.into_owned())
}

#[test]
fn open_inference_paths_are_known() {
    let any = VersionSelector::Weighted;
    assert_eq!(get("/v2").unwrap(), Endpoint::ServerMetadata);
    assert_eq!(get("/v2/health/live").unwrap(), Endpoint::Live);
    assert_eq!(get("/v2/health/ready").unwrap(), Endpoint::Ready);
    assert_eq!(get("/v2/models").unwrap(), Endpoint::ModelList);
    assert_eq!(get("/v2/models/m").unwrap(), Endpoint::ModelMetadata(target("m", any.clone())));
    assert_eq!(
        get("/v2/models/m/versions/3").unwrap(),
        Endpoint::ModelMetadata(target("m", version(3)))
    );
    assert_eq!(get("/v2/models/m/ready").unwrap(), Endpoint::ModelReady(target("m", any.clone())));
    assert_eq!(
        get("/v2/models/m/versions/3/ready").unwrap(),
        Endpoint::ModelReady(target("m", version(3)))
    );
    assert_eq!(get("/v2/models/stats").unwrap(), Endpoint::Statistics(None));
    assert_eq!(
        get("/v2/models/m/stats").unwrap(),
        Endpoint::Statistics(Some(target("m", any.clone())))
    );
    assert_eq!(
        get("/v2/models/m/versions/3/stats").unwrap(),
        Endpoint::Statistics(Some(target("m", version(3))))
    );
    assert_eq!(
        get("/v2/models/m/config").unwrap(),
        Endpoint::ModelConfig(target("m", any.clone()))
    );
    assert_eq!(
        get("/v2/models/m/versions/3/config").unwrap(),
        Endpoint::ModelConfig(target("m", version(3)))
    );
    assert_eq!(post("/v2/models/m/infer").unwrap(), Endpoint::Infer(target("m", any.clone())));
    assert_eq!(
        post("/v2/models/m/versions/12/infer").unwrap(),
        Endpoint::Infer(target("m", version(12)))
    );
    assert_eq!(post("/v2/models/a%20b/infer").unwrap(), Endpoint::Infer(target("a b", any)));
}

#[test]
fn the_repositorys_paths_may_name_one_and_only_the_index_does_not_mind() {
    let call = |path| post(path).unwrap();
    for path in ["/v2/repository/index", "/v2/repository/mine/index"] {
        assert_eq!(call(path), Endpoint::Repository(RepositoryCall::Index), "{path}");
        assert_eq!(refusal(get(path)), (405, "Method Not Allowed".to_owned()), "{path}");
    }
    let load = Endpoint::Repository(RepositoryCall::Load("a b".into()));
    assert_eq!(call("/v2/repository/models/a%20b/load"), load);
    let unload = Endpoint::Repository(RepositoryCall::Unload("m".into()));
    assert_eq!(call("/v2/repository/models/m/unload"), unload);
    for path in ["/v2/repository/mine/models/m/load", "/v2/repository/mine/models/m/unload"] {
        let unsupported = "'repository_name' specification is not supported";
        assert_eq!(refusal(post(path)), (501, unsupported.to_owned()));
        assert_eq!(refusal(get(path)).0, 405);
    }
    for path in [
        "/v2/repository",
        "/v2/repository/",
        "/v2/repository//index",
        "/v2/repository/models/m",
        "/v2/repository/models//load",
        "/v2/repository/models/m/reload",
        "/v2/repository/models/m/load/",
        "/v2/repository/a/b/models/m/load",
        "/v2/repository/models/%ff/load",
    ] {
        assert_eq!(refusal(post(path)), (404, "Not Found".to_owned()), "{path}");
    }
}

#[test]
fn settings_are_read_and_changed_at_the_same_path() {
    use SettingsCall::{ChangeLog, ChangeTrace, Log, Trace};
    assert_eq!(get("/v2/logging"), Ok(Endpoint::Settings(Log)));
    assert_eq!(post("/v2/logging"), Ok(Endpoint::Settings(ChangeLog)));
    assert_eq!(get("/v2/trace/setting"), Ok(Endpoint::Settings(Trace(None))));
    let of_m = Endpoint::Settings(ChangeTrace(Some("m".into())));
    assert_eq!(post("/v2/models/m/trace/setting"), Ok(of_m));
    assert_eq!(refusal(route(&Method::PUT, "/v2/logging")).0, 405);
    assert_eq!(refusal(get("/v2/models/m/trace")).0, 404);
    assert_eq!(refusal(get("/v2/models/m/trace/setting/x")).0, 404);
}

#[test]
fn shared_memory_is_asked_of_one_region_or_of_all() {
    use MemoryCall::{Register, Status, Unregister};
    let system = |call| Ok(Endpoint::SharedMemory(MemoryKind::System, call));
    assert_eq!(get("/v2/systemsharedmemory/status"), system(Status(None)));
    let one = get("/v2/systemsharedmemory/region/a%20b/status");
    assert_eq!(one, system(Status(Some("a b".into()))));
    assert_eq!(post("/v2/systemsharedmemory/region/r/register"), system(Register("r".into())));
    assert_eq!(post("/v2/systemsharedmemory/unregister"), system(Unregister(None)));
    let cuda = Endpoint::SharedMemory(MemoryKind::Cuda, Unregister(Some("r".into())));
    assert_eq!(post("/v2/cudasharedmemory/region/r/unregister"), Ok(cuda));
    assert_eq!(refusal(post("/v2/systemsharedmemory/status")).0, 405);
    for path in ["register", "region//register", "region/r", "region/r/status/x", ""] {
        let path = format!("/v2/systemsharedmemory/{path}");
        assert_eq!(refusal(post(&path)).0, 404, "{path}");
    }
}

#[test]
fn metrics_are_where_either_servers_scrapers_look() {
    for path in ["/metrics", "/monitoring/prometheus/metrics"] {
        assert_eq!(get(path).unwrap(), Endpoint::Metrics);
        assert_eq!(refusal(post(path)).0, 405);
    }
}

#[test]
fn open_inference_calls_unknown_paths_not_found() {
    for path in [
        "/v2/",
        "/v2x",
        "/v2/health",
        "/v2/models/",
        "/v2/models//infer",
        "/v2/models/m/",
        "/v2/models/m/other",
        "/v2/models/m/versions",
        "/v2/models/m/versions/",
        "/v2/models/m/versions/v1/infer",
        "/v2/models/m/versions/-1",
        "/v2/models/m/infer/more",
        "/v2/models/%ff/infer",
        "/",
        "/other",
        "",
    ] {
        assert_eq!(refusal(post(path)), (404, "Not Found".to_owned()), "{path}");
    }
    let (status, message) = refusal(post("/v2/models/m/versions/0/infer"));
    assert_eq!((status, &*message), (404, "Request for unknown model: 'm' version 0 is not found"));
    assert_eq!(refusal(get("/v2/models/m/versions/99999999999999999999")).0, 404);
}

#[test]
fn open_inference_calls_a_wrong_method_not_allowed() {
    for (method, path, allow) in [
        (Method::POST, "/v2/health/live", "GET, HEAD"),
        (Method::PUT, "/v2", "GET, HEAD"),
        (Method::GET, "/v2/models/m/infer", "POST"),
        (Method::OPTIONS, "/v2/models/m/infer", "POST"),
        (Method::GET, "/predict", "POST"),
        (Method::DELETE, "/readyz", "GET, HEAD"),
    ] {
        let refused = route(&method, path).unwrap_err();
        assert_eq!(
            (refused.status.as_u16(), &*refused.message),
            (405, "Method Not Allowed"),
            "{path}"
        );
        assert_eq!(refused.allow.unwrap(), allow);
    }
}

#[test]
fn tensorflow_paths_are_known_in_any_case() {
    let any = VersionSelector::Weighted;
    assert_eq!(get("/v1/models/m").unwrap(), Endpoint::TfsStatus(target("m", any.clone())));
    assert_eq!(get("/V1/Models/M").unwrap(), Endpoint::TfsStatus(target("M", any.clone())));
    assert_eq!(
        get("/v1/models/m/versions/2").unwrap(),
        Endpoint::TfsStatus(target("m", version(2)))
    );
    assert_eq!(
        get("/v1/models/m/labels/b%6Cue").unwrap(),
        Endpoint::TfsStatus(target("m", label("blue")))
    );
    assert_eq!(
        get("/v1/models/m/metadata").unwrap(),
        Endpoint::TfsMetadata(target("m", any.clone()))
    );
    assert_eq!(
        get("/v1/models/m/versions/2/METADATA").unwrap(),
        Endpoint::TfsMetadata(target("m", version(2)))
    );
    assert_eq!(
        post("/v1/models/m:predict").unwrap(),
        Endpoint::TfsPredict(target("m", any.clone()))
    );
    assert_eq!(post("/v1/models/a%20b:PREDICT").unwrap(), Endpoint::TfsPredict(target("a b", any)));
    assert_eq!(
        post("/v1/models/m/versions/2:predict").unwrap(),
        Endpoint::TfsPredict(target("m", version(2)))
    );
    assert_eq!(
        post("/v1/models/m/labels/blue:predict").unwrap(),
        Endpoint::TfsPredict(target("m", label("blue")))
    );
    assert_eq!(post("/v1/models/m:classify").unwrap(), Endpoint::TfsOther("classify"));
    assert_eq!(post("/v1/models/m:regress").unwrap(), Endpoint::TfsOther("regress"));
    assert_eq!(route(&Method::OPTIONS, "/v1/models/m:predict").unwrap(), Endpoint::TfsOptions);
}

#[test]
fn tensorflow_calls_what_it_does_not_know_malformed() {
    for (method, path) in [
        (Method::GET, "/v1/models/m:predict"),
        (Method::PUT, "/v1/models/m:predict"),
        (Method::POST, "/v1/models/m"),
        (Method::POST, "/v1/models/:predict"),
        (Method::POST, "/v1/models/m:guess"),
        (Method::POST, "/v1/models/m/versions/x:predict"),
        (Method::POST, "/v1/models/m/metadata:predict"),
        (Method::POST, "/v1/models:predict"),
        (Method::GET, "/v1/models/"),
        (Method::GET, "/v1/models/m/"),
        (Method::GET, "/v1/models/m/versions/"),
        (Method::GET, "/v1/models/m/labels/"),
        (Method::GET, "/v1/modelsx"),
        (Method::GET, "/v1/"),
        (Method::DELETE, "/v1/models/m"),
    ] {
        let expected = (400, format!("Malformed request: {method} {path}"));
        assert_eq!(refusal(route(&method, path)), expected);
    }
    assert_eq!(refusal(get("/v1/models")), (400, "Missing model name in request.".to_owned()));
}

#[test]
fn tensorflow_version_numbers_have_their_own_refusals() {
    let (status, message) = refusal(post("/v1/models/m/versions/99999999999999999999:predict"));
    assert_eq!((status, &*message), (400, "Failed to convert version: 99999999999999999999"));
    let (status, message) = refusal(get("/v1/models/m/versions/0"));
    assert_eq!((status, &*message), (404, "Could not find version 0 of model m"));
    assert_eq!(refusal(get("/v1/models/m/labels/12")).0, 400);
}

#[test]
fn no_path_makes_it_panic() {
    let pieces = [
        "/", "v1", "v2", "models", "versions", "labels", ":", "%", "%e2%82", "€", "0", "predict",
        "metadata", "infer", "",
    ];
    for a in pieces {
        for b in pieces {
            for c in pieces {
                for path in [
                    format!("/{a}{b}{c}"),
                    format!("/v1/models/{a}/{b}{c}"),
                    format!("/v2/models/{a}/{b}/{c}"),
                ] {
                    for method in [Method::GET, Method::POST, Method::OPTIONS] {
                        let _ = route(&method, &path);
                    }
                }
            }
        }
    }
}
