//! The arrows of ARCHITECTURE.md between the crates, held: what each crate's manifest may name.

use std::collections::BTreeSet;
use std::path::PathBuf;

use toml::{Table, Value};

use crate::process::root;

/// What the crate needs to be built for use: not what its tests need.
fn dependencies(folder: &str) -> BTreeSet<String> {
    let manifest = manifest(folder);
    let named = |table: &Table, key| {
        table
            .get(key)
            .and_then(Value::as_table)
            .into_iter()
            .flat_map(Table::keys)
            .cloned()
            .collect()
    };
    let mut all: BTreeSet<String> = named(&manifest, "dependencies");
    all.extend(named(&manifest, "build-dependencies"));
    let targets =
        manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    for target in targets.filter_map(Value::as_table) {
        all.extend(named(target, "dependencies"));
    }
    all
}

fn manifest(folder: &str) -> Table {
    let path = root().join(folder).join("Cargo.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every crate of the workspace that is shipped, by its folder.
fn crates() -> Vec<String> {
    let folders = std::fs::read_dir(root().join("crates")).unwrap();
    let is_crate = |path: &PathBuf| path.join("Cargo.toml").is_file();
    let paths = folders.map(|folder| folder.unwrap().path()).filter(is_crate);
    let name = |path: PathBuf| format!("crates/{}", path.file_name().unwrap().to_str().unwrap());
    paths.map(name).chain(["proto", "loadtest"].map(str::to_owned)).collect()
}

#[test]
fn no_arrow_between_the_crates_goes_back_up_the_path() {
    // Whom each may know. A crate that is not here yet has to be entered, with its arrows.
    for folder in crates() {
        let allowed: &[&str] = match folder.as_str() {
            "crates/inference" | "crates/configuration" => &[],
            "proto" | "crates/batcher" | "crates/telemetry" => &["inference"],
            "crates/credentials" => &["inference", "telemetry"],
            "crates/ingress" => &["credentials", "inference", "proto", "telemetry"],
            "crates/router" => &["inference", "batcher", "telemetry"],
            "crates/backend" => &["inference", "batcher", "proto", "telemetry"],
            "crates/backend-ort" => &["inference", "batcher", "backend"],
            "crates/repository" => &["inference"],
            "crates/control" => &[
                "credentials",
                "inference",
                "proto",
                "repository",
                "router",
                "batcher",
                "backend",
                "telemetry",
            ],
            "crates/gateway" => &[
                "backend",
                "backend-ort",
                "batcher",
                "configuration",
                "control",
                "credentials",
                "inference",
                "ingress",
                "proto",
                "repository",
                "router",
                "telemetry",
            ],
            // The referee knows the gateway by its wire and its command line only. It may open ONNX Runtime itself, to
            // say what the machine allows.
            "loadtest" => {
                &["backend", "backend-ort", "batcher", "configuration", "inference", "proto"]
            }
            unknown => panic!("{unknown} is on no map: say here what it may depend on"),
        };
        for dependency in dependencies(&folder) {
            if let Some(room) = dependency.strip_prefix("tidegate-") {
                assert!(allowed.contains(&room), "{folder} must not depend on {room}");
            }
        }
    }
}

#[test]
fn the_words_and_the_batcher_know_no_runtime_no_wire_and_no_engine() {
    for folder in ["crates/inference", "crates/batcher"] {
        for dependency in dependencies(folder) {
            let foreign = ["tokio", "hyper", "http", "axum", "tower", "ort", "serde"]
                .into_iter()
                .find(|name| dependency == *name || dependency.starts_with(&format!("{name}-")));
            assert_eq!(foreign, None, "{folder} depends on {dependency}");
            assert!(!dependency.starts_with("serde"), "{folder} depends on {dependency}");
        }
    }
}

#[test]
fn the_router_and_the_engines_room_know_no_http() {
    for folder in ["crates/router", "crates/backend", "crates/backend-ort", "proto"] {
        for dependency in dependencies(folder) {
            let is_http = ["http", "hyper", "axum"].iter().any(|name| dependency.starts_with(name));
            assert!(!is_http, "{folder} depends on {dependency}");
        }
    }
}

#[test]
fn one_crate_knows_onnx_runtime() {
    let knowing: Vec<String> =
        crates().into_iter().filter(|folder| dependencies(folder).contains("ort")).collect();
    assert_eq!(knowing, ["crates/backend-ort"]);
}
