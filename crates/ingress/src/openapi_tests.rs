//! The document and the router say the same.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Map, Value};
use tidegate_inference::VersionSelector;

use super::DOCUMENT;
use crate::door::Asked;
use crate::route::{
    Endpoint, MemoryCall, MemoryKind, NoRoute, RepositoryCall, SettingsCall, Target, route,
};

/// Names for what a path can mean: the compiler asks for one for each new endpoint, and the test for its place in the
/// document.
macro_rules! meanings {
    ($($name:literal: $pattern:pat),+ $(,)?) => {
        const MEANINGS: &[&str] = &[$($name),+];

        fn meaning(endpoint: &Endpoint<'_>) -> &'static str {
            match endpoint {
                $($pattern => $name),+
            }
        }
    };
}

meanings! {
    "live": Endpoint::Live,
    "ready": Endpoint::Ready,
    "server metadata": Endpoint::ServerMetadata,
    "model list": Endpoint::ModelList,
    "model metadata": Endpoint::ModelMetadata(_),
    "model ready": Endpoint::ModelReady(_),
    "model configuration": Endpoint::ModelConfig(_),
    "statistics": Endpoint::Statistics(None),
    "statistics of a model": Endpoint::Statistics(Some(_)),
    "inference": Endpoint::Infer(Target { selector: VersionSelector::Weighted, .. }),
    "inference by a version": Endpoint::Infer(_),
    "repository index": Endpoint::Repository(RepositoryCall::Index),
    "repository load": Endpoint::Repository(RepositoryCall::Load(_)),
    "repository unload": Endpoint::Repository(RepositoryCall::Unload(_)),
    "status of system memory": Endpoint::SharedMemory(MemoryKind::System, MemoryCall::Status(_)),
    "register system memory": Endpoint::SharedMemory(MemoryKind::System, MemoryCall::Register(_)),
    "unregister system memory": Endpoint::SharedMemory(MemoryKind::System, MemoryCall::Unregister(_)),
    "status of CUDA memory": Endpoint::SharedMemory(MemoryKind::Cuda, MemoryCall::Status(_)),
    "register CUDA memory": Endpoint::SharedMemory(MemoryKind::Cuda, MemoryCall::Register(_)),
    "unregister CUDA memory": Endpoint::SharedMemory(MemoryKind::Cuda, MemoryCall::Unregister(_)),
    "log settings": Endpoint::Settings(SettingsCall::Log),
    "change log settings": Endpoint::Settings(SettingsCall::ChangeLog),
    "trace settings": Endpoint::Settings(SettingsCall::Trace(_)),
    "change trace settings": Endpoint::Settings(SettingsCall::ChangeTrace(_)),
    "TensorFlow status": Endpoint::TfsStatus(_),
    "TensorFlow metadata": Endpoint::TfsMetadata(_),
    "TensorFlow predict": Endpoint::TfsPredict(Target { selector: VersionSelector::Weighted, .. }),
    "TensorFlow predict by a version": Endpoint::TfsPredict(Target { selector: VersionSelector::Version(_), .. }),
    "TensorFlow predict by a label": Endpoint::TfsPredict(Target { selector: VersionSelector::Label(_), .. }),
    "TensorFlow classify or regress": Endpoint::TfsOther(_),
    "TensorFlow options": Endpoint::TfsOptions,
    "predict": Endpoint::Predict,
    "metrics": Endpoint::Metrics,
    "this document": Endpoint::OpenApi,
}

const METHODS: [Method; 6] =
    [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

fn document() -> Map<String, Value> {
    match serde_json::from_str(DOCUMENT).expect("JSON") {
        Value::Object(document) => document,
        other => panic!("expected an object, got {other}"),
    }
}

/// Each path with something in the place of its parameters, and the methods that it has.
fn documented() -> Vec<(String, Vec<Method>)> {
    let document = document();
    let of_path = |(path, item): (&String, &Value)| {
        let has = |method: &Method| item.get(method.as_str().to_ascii_lowercase()).is_some();
        (filled(path), METHODS.into_iter().filter(has).collect())
    };
    document["paths"].as_object().expect("paths").iter().map(of_path).collect()
}

fn filled(path: &str) -> String {
    let path = path.replace("{version}", "3");
    let path = ["{model}", "{label}", "{region}", "{repository}"]
        .iter()
        .fold(path, |path, parameter| path.replace(parameter, &parameter[1..2]));
    assert!(!path.contains('{'), "unknown parameter: {path}");
    path
}

#[test]
fn every_documented_path_is_routed_and_every_endpoint_documented() {
    let mut reached = BTreeSet::new();
    for (path, methods) in documented() {
        for method in methods {
            let endpoint = route(&method, &path);
            reached.insert(meaning(
                &endpoint.unwrap_or_else(|no_route| panic!("{method} {path}: {no_route:?}")),
            ));
        }
    }
    assert_eq!(reached, MEANINGS.iter().copied().collect());
}

#[test]
fn a_path_has_no_methods_but_the_documented_ones() {
    for (path, methods) in documented() {
        for method in METHODS.into_iter().filter(|method| !methods.contains(method)) {
            let refused = route(&method, &path).expect_err("an undocumented method");
            check_refusal(&path, &methods, &refused);
        }
    }
}

fn check_refusal(path: &str, methods: &[Method], refused: &NoRoute) {
    if path.starts_with("/v1/") {
        assert_eq!(refused.status, 400, "{path}");
        return;
    }
    assert_eq!(refused.status, 405, "{path}");
    let allowed: BTreeSet<&str> = refused.allow.expect("the methods").split(", ").collect();
    let head = methods.contains(&Method::GET).then_some("HEAD");
    assert_eq!(allowed, methods.iter().map(Method::as_str).chain(head).collect(), "{path}");
}

#[test]
fn references_lead_somewhere_and_nothing_is_left_unreferenced() {
    let document = Value::Object(document());
    let mut referenced = BTreeSet::new();
    references(&document, &mut referenced);
    let mut there = BTreeSet::new();
    // Security schemes are named, not referenced.
    let components = document["components"].as_object().expect("components");
    for (kind, components) in components.iter().filter(|(kind, _)| *kind != "securitySchemes") {
        let names = components.as_object().expect("components by name").keys();
        there.extend(names.map(|name| format!("#/components/{kind}/{name}")));
    }
    assert_eq!(referenced, there);
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn the_document_says_what_needs_a_key() {
    let document = document();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in METHODS {
            let Some(operation) = item.get(method.as_str().to_ascii_lowercase()) else { continue };
            let needs_one = Asked::Http(route(&method, &filled(path))).scope().is_some();
            let responses = &operation["responses"];
            let refused = ["401", "403"].map(|status| responses.get(status).is_some());
            assert_eq!(refused, [needs_one; 2], "{method} {path}");
            let is_open = operation.get("security") == Some(&Value::Array(Vec::new()));
            assert_eq!(is_open, !needs_one, "{method} {path}");
        }
    }
}

#[test]
fn the_document_is_of_this_version() {
    assert_eq!(document()["info"]["version"], env!("CARGO_PKG_VERSION"));
}
