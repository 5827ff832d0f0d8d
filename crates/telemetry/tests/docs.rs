//! docs/metrics.md tells the truth: its tables hold every metric family with its type and labels, and no
//! other. Compared with a real scrape, in which everything happened once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, SystemTime};

use tidegate_inference::{Entrypoint, ErrorKind, ModelName, Version, VersionState};
use tidegate_telemetry::{Port, Telemetry};

const PAGE: &str = include_str!("../../../docs/metrics.md");

/// By name: the type, and the names of the labels.
type Families<'t> = BTreeMap<&'t str, (&'t str, BTreeSet<&'t str>)>;

fn scrape() -> String {
    let telemetry = Telemetry::new();
    let model = ModelName::new("digits").expect("a valid name");
    let version = Version::new(1).expect("a valid version");
    let metrics = telemetry.model(&model, version);
    metrics.tensorflow(Entrypoint::Rest, Err(ErrorKind::Overloaded));
    telemetry.warmed_up(Path::new("digits/1"), Duration::from_secs(1));
    let _connection = telemetry.connections().opened();
    telemetry.set_version_state(&model, version, VersionState::Ready);
    telemetry.set_route_weight(&model, version, 1);
    telemetry.set_unbatched(&model, version, false);
    telemetry.load_failed(&model, version);
    telemetry.traffic_file_applied(SystemTime::UNIX_EPOCH);
    telemetry.set_load_duration(&model, version, Duration::from_secs(1));
    telemetry.refused("http_v2_json", ErrorKind::TooLarge);
    telemetry.api_key("web").allowed(Port::Data);
    telemetry.api_keys().set_file_valid(true);
    telemetry.encode()
}

fn families(scrape: &str) -> Families<'_> {
    let mut families = Families::new();
    let mut family = "";
    for line in scrape.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|l| l.split_once(' ')) {
            family = name;
            families.insert(name, (kind, BTreeSet::new()));
        } else if !line.starts_with('#') {
            let (_, labels) = families.get_mut(family).expect("samples follow their type");
            labels.extend(sample_labels(line).filter(|label| *label != "le"));
        }
    }
    families
}

/// No value in this scrape holds a comma or a brace.
fn sample_labels(line: &str) -> impl Iterator<Item = &str> {
    let inside = line.split(['{', '}']).nth(1).unwrap_or_default();
    inside.split(',').filter_map(|pair| Some(pair.split_once('=')?.0))
}

/// The rows of the page's tables `| Metric | Type | Labels | ... |`.
fn documented() -> Families<'static> {
    let tables = PAGE.split("| Metric | Type | Labels |").skip(1);
    let rows =
        tables.flat_map(|table| table.lines().skip(2).take_while(|line| line.starts_with('|')));
    rows.map(|row| {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let labels = cells[3].split(", ").filter(|label| !label.is_empty());
        (cells[1].trim_matches('`'), (cells[2], labels.collect()))
    })
    .collect()
}

#[test]
fn the_page_names_every_family_with_its_type_and_labels_and_no_other() {
    let scrape = scrape();
    assert_eq!(documented(), families(&scrape));
}

#[test]
fn the_page_names_every_kind_of_error_and_every_state() {
    let kinds = ErrorKind::ALL.map(ErrorKind::as_str);
    let states = VersionState::ALL.map(VersionState::as_str);
    for word in kinds.iter().chain(&states) {
        assert!(PAGE.contains(&format!("`{word}`")), "{word}");
    }
}
