//! The one object that knows all metrics: gives out handles, takes rare events, encodes for a scrape.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::registry::Registry;
use tidegate_inference::{Entrypoint, ErrorKind, ModelName, Statistics, Version, VersionState};

use crate::connections::ConnectionMetrics;
use crate::exposition;
use crate::families::{Families, ModelLabels};
use crate::keys::{KeyFileMetrics, KeyMetrics};
use crate::machine::Machine;
use crate::model::ModelMetrics;
use crate::tensorflow;

pub struct Telemetry {
    registry: Registry,
    families: Families,
    /// Where it can be looked at.
    machine: Option<Machine>,
    models: Mutex<HashMap<(ModelName, Version), Arc<ModelMetrics>>>,
    gateway: OnceLock<Box<dyn Fn() -> GatewayView + Send + Sync>>,
}

/// The gateway as a whole, at a scrape.
#[derive(Clone, Copy, Debug)]
pub struct GatewayView {
    pub ready: bool,
    pub rows_in_flight: usize,
}

impl Telemetry {
    pub fn new() -> Arc<Self> {
        let families = Families::default();
        let mut registry = Registry::default();
        families.register(&mut registry);
        families.build_info.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
        let machine = Machine::look(&mut registry);
        let (models, gateway) = (Mutex::default(), OnceLock::new());
        Arc::new(Self { registry, families, machine, models, gateway })
    }

    /// The handles of one version; the same ones for the same pair.
    pub fn model(&self, model: &ModelName, version: Version) -> Arc<ModelMetrics> {
        let make = || ModelMetrics::new(&self.families, &ModelLabels::new(model, version));
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(models.entry((model.clone(), version)).or_insert_with(|| Arc::new(make())))
    }

    /// What a version has done so far; `None` when it was never loaded.
    pub fn statistics(&self, model: &ModelName, version: Version) -> Option<Statistics> {
        let models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        models.get(&(model.clone(), version)).map(|metrics| metrics.statistics())
    }

    pub fn set_version_state(&self, model: &ModelName, version: Version, current: VersionState) {
        let labels = ModelLabels::new(model, version);
        for state in VersionState::ALL {
            let key = (labels.clone(), [("state", state.as_str())]);
            let value = i64::from(state == current);
            self.families.version_state.get_or_create(&key).set(value);
        }
    }

    pub fn set_route_weight(&self, model: &ModelName, version: Version, weight: u32) {
        let labels = ModelLabels::new(model, version);
        self.families.route_weight.get_or_create(&labels).set(i64::from(weight));
    }

    pub fn set_unbatched(&self, model: &ModelName, version: Version, unbatched: bool) {
        let labels = ModelLabels::new(model, version);
        self.families.version_unbatched.get_or_create(&labels).set(i64::from(unbatched));
    }

    pub fn set_load_duration(&self, model: &ModelName, version: Version, took: Duration) {
        let labels = ModelLabels::new(model, version);
        self.families.nv_load_seconds.get_or_create(&labels).set(took.as_secs_f64());
    }

    /// A request was refused before it was admitted. A look-up under a read lock: which protocols there
    /// are is not known here, and a refusal holds no batch up.
    pub fn refused(&self, protocol: &'static str, kind: ErrorKind) {
        let labels = [("protocol", protocol), ("reason", kind.as_str())];
        self.families.refused.get_or_create(&labels).inc();
    }

    /// A request in TensorFlow Serving's words was refused before it was admitted. Only for models that there
    /// are: whoever makes up names would make up series.
    pub fn refused_tensorflow(&self, model: &ModelName, entrypoint: Entrypoint, kind: ErrorKind) {
        tensorflow::refused(&self.families, model, entrypoint, kind);
    }

    /// A version folder's model was warmed up.
    pub fn warmed_up(&self, folder: &Path, took: Duration) {
        let labels = [("model_path", folder.display().to_string()), ("status", "OK".to_owned())];
        self.families.tf_warmup_latency.get_or_create(&labels).observe_duration(took);
    }

    /// What the traffic file says is in force.
    pub fn traffic_file_applied(&self, now: SystemTime) {
        self.families.traffic_file_valid.get_or_create(&[]).set(1);
        self.families.traffic_file_applied.get_or_create(&[]).set(unix_seconds(now));
    }

    /// What it says now is not.
    pub fn traffic_file_refused(&self) {
        self.families.traffic_file_valid.get_or_create(&[]).set(0);
    }

    pub fn load_failed(&self, model: &ModelName, version: Version) {
        self.families.load_failures.get_or_create(&ModelLabels::new(model, version)).inc();
    }

    pub fn repository_scanned(&self, now: SystemTime) {
        self.families.last_scan.set(unix_seconds(now));
    }

    pub fn repository_scan_failed(&self) {
        self.families.scan_failures.inc();
    }

    /// What is only known when somebody asks is asked at each scrape.
    pub fn watch_gateway(&self, look: impl Fn() -> GatewayView + Send + Sync + 'static) {
        // Set once, when the gateway is put together; a second one would be of the same gateway.
        let _ = self.gateway.set(Box::new(look));
    }

    /// The handles of one API key; the same ones for the same name.
    pub fn api_key(&self, name: &str) -> KeyMetrics {
        KeyMetrics::new(&self.families, name)
    }

    /// For whoever holds API keys. Where nobody does, they are not in a scrape.
    pub fn api_keys(&self) -> KeyFileMetrics {
        KeyFileMetrics::new(&self.families)
    }

    pub fn connections(&self) -> &ConnectionMetrics {
        &self.families.connections
    }

    /// All metrics as Prometheus's text format 0.0.4; send it as [`crate::CONTENT_TYPE`].
    pub fn encode(&self) -> String {
        for metrics in self.models.lock().unwrap_or_else(PoisonError::into_inner).values() {
            metrics.refresh();
        }
        if let Some(look) = self.gateway.get() {
            let GatewayView { ready, rows_in_flight } = look();
            self.families.ready.set(i64::from(ready));
            self.families.rows_in_flight.set(rows_in_flight.try_into().unwrap_or(i64::MAX));
        }
        if let Some(machine) = &self.machine {
            machine.refresh();
        }
        exposition::encode(&self.registry).expect("writing into a String does not fail")
    }
}

/// A clock before 1970 is as good as none.
fn unix_seconds(now: SystemTime) -> f64 {
    now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Instant;

    use tidegate_inference::{BatchFacts, CloseReason, Stage, Timeline, Total};

    use super::*;
    use crate::QueueView;
    use crate::Shed;
    use crate::exposition::parser::{Exposition, parse};

    fn digits() -> (ModelName, Version) {
        (ModelName::new("di\"gits").unwrap(), Version::new(2).unwrap())
    }

    /// One request in each outcome, and a batch.
    fn busy(telemetry: &Telemetry) {
        let (model, version) = digits();
        let metrics = telemetry.model(&model, version);
        let start = Instant::now();
        let mut timeline = Timeline::starting(start);
        let stages = [Stage::Enqueued, Stage::Dispatched, Stage::Gathered, Stage::Executed];
        for (stage, ms) in stages.into_iter().chain([Stage::Scattered, Stage::Encoded]).zip(1..) {
            timeline.stamp(stage, start + Duration::from_millis(10 * ms));
        }
        for _ in 0..3 {
            metrics.accepted();
        }
        metrics.watch_queue(|| QueueView { waiting: 1, ..QueueView::default() });
        metrics.responded(&timeline, 4);
        metrics.errored(ErrorKind::Overloaded, Duration::from_millis(7));
        metrics.shed(Shed::PredictedLate);
        metrics.caller_gone(Duration::from_millis(8));
        let facts = BatchFacts { rows: 5, requests: 2, closed_by: CloseReason::Delay };
        metrics.batch(facts, Duration::from_micros(20), Duration::from_millis(3), Duration::ZERO);
        telemetry.refused("v2", ErrorKind::TooLarge);
        telemetry.set_version_state(&model, version, VersionState::Ready);
        telemetry.set_route_weight(&model, version, 90);
        telemetry.set_unbatched(&model, version, true);
        telemetry.set_load_duration(&model, version, Duration::from_millis(1500));
    }

    fn scrape(telemetry: &Telemetry) -> Exposition {
        parse(&telemetry.encode()).unwrap()
    }

    #[test]
    fn a_scrape_is_well_formed_and_every_family_has_its_type_and_help() {
        let telemetry = Telemetry::new();
        assert!(parse(&telemetry.encode()).is_ok(), "before the first model");
        busy(&telemetry);
        let exposition = scrape(&telemetry);
        for (name, kind) in [
            ("tidegate_requests_total", "counter"),
            ("tidegate_requests_accepted_total", "counter"),
            ("tidegate_requests_refused_total", "counter"),
            ("tidegate_batches_total", "counter"),
            ("tidegate_connections_opened_total", "counter"),
            ("tidegate_connections", "gauge"),
            ("tidegate_build_info", "gauge"),
            ("tidegate_version_state", "gauge"),
            ("tidegate_queue_delay_seconds", "histogram"),
            ("tidegate_batch_rows", "histogram"),
            ("nv_inference_request_success", "counter"),
            ("nv_inference_request_failure", "counter"),
            ("nv_inference_compute_infer_duration_us", "counter"),
            ("nv_inference_pending_request_count", "gauge"),
            ("nv_model_load_duration_secs", "gauge"),
            ("nv_inference_first_response_histogram_ms", "histogram"),
            ("nv_cpu_memory_total_bytes", "gauge"),
            (":tensorflow:serving:batching_session:processed_batch_size", "histogram"),
        ] {
            assert_eq!(exposition.kind(name), Some(kind), "{name}");
        }
    }

    #[test]
    fn events_appear_under_our_names_and_tritons() {
        let telemetry = Telemetry::new();
        busy(&telemetry);
        let exposition = scrape(&telemetry);
        let value = |name: &str, extra: &[(&str, &str)]| {
            let mut labels = vec![("model", "di\"gits"), ("version", "2")];
            labels.extend(extra);
            exposition.value(name, &labels).unwrap_or_else(|| panic!("{name} {extra:?}"))
        };
        for outcome in ["response", "caller_gone", "overloaded"] {
            assert_eq!(value("tidegate_requests_total", &[("outcome", outcome)]), 1.0);
        }
        assert_eq!(value("tidegate_requests_total", &[("outcome", "internal")]), 0.0);
        assert_eq!(value("tidegate_requests_shed_total", &[("reason", "predicted_late")]), 1.0);
        assert_eq!(value("tidegate_requests_shed_total", &[("reason", "queue_full")]), 0.0);
        assert_eq!(value("tidegate_requests_accepted_total", &[]), 3.0);
        assert_eq!(value("tidegate_requests_in_flight", &[]), 0.0);
        assert_eq!(value("tidegate_queue_depth", &[]), 1.0);
        assert_eq!(value("tidegate_batches_total", &[("closed_by", "delay")]), 1.0);
        assert_eq!(value("tidegate_batch_rows_sum", &[]), 5.0);
        assert_eq!(value("tidegate_batch_rows_bucket", &[("le", "4.0")]), 0.0);
        assert_eq!(value("tidegate_batch_rows_bucket", &[("le", "8.0")]), 1.0);
        assert_eq!(value("tidegate_request_duration_seconds_sum", &[]), 0.06);
        assert_eq!(value("tidegate_queue_delay_seconds_bucket", &[("le", "0.01")]), 1.0);
        assert_eq!(value("tidegate_version_state", &[("state", "ready")]), 1.0);
        assert_eq!(value("tidegate_version_state", &[("state", "loading")]), 0.0);
        assert_eq!(value("tidegate_route_weight", &[]), 90.0);
        assert_eq!(value("tidegate_version_unbatched", &[]), 1.0);
        assert_eq!(value("nv_inference_count", &[]), 4.0);
        assert_eq!(value("nv_inference_exec_count", &[]), 1.0);
        assert_eq!(value("nv_inference_request_success", &[]), 1.0);
        assert_eq!(value("nv_inference_request_failure", &[("reason", "REJECTED")]), 1.0);
        assert_eq!(value("nv_inference_request_failure", &[("reason", "CANCELED")]), 1.0);
        assert_eq!(value("nv_inference_request_duration_us", &[]), 60_000.0);
        assert_eq!(value("nv_inference_compute_infer_duration_us", &[]), 10_000.0);
        assert_eq!(value("nv_model_load_duration_secs", &[]), 1.5);
        assert_eq!(value("nv_inference_first_response_histogram_ms_sum", &[]), 60.0);
        assert_eq!(value("tidegate_rows_total", &[]), 4.0);
        let refused = [("protocol", "v2"), ("reason", "too_large")];
        assert_eq!(exposition.value("tidegate_requests_refused_total", &refused), Some(1.0));
    }

    #[test]
    fn counters_only_grow() {
        let telemetry = Telemetry::new();
        busy(&telemetry);
        let before = scrape(&telemetry);
        busy(&telemetry);
        let after = scrape(&telemetry);
        for sample in before.samples.iter().filter(|sample| sample.monotonic) {
            let labels: Vec<_> =
                sample.labels.iter().map(|(name, value)| (&**name, &**value)).collect();
            assert!(after.value(&sample.name, &labels) >= Some(sample.value), "{sample:?}");
        }
    }

    #[test]
    fn requests_in_tensorflows_words_are_told_under_its_names_and_no_others() {
        let telemetry = Telemetry::new();
        let (model, version) = digits();
        busy(&telemetry);
        let name = ("model_name", "di\"gits");
        let count = |exposition: &Exposition, status| {
            exposition.value(":tensorflow:serving:request_count", &[name, ("status", status)])
        };
        assert_eq!(count(&scrape(&telemetry), "OK"), None);

        let start = Instant::now();
        let mut timeline = Timeline::starting(start);
        for (stage, ms) in [(Stage::Enqueued, 1), (Stage::Scattered, 3), (Stage::Encoded, 4)] {
            timeline.stamp(stage, start + Duration::from_millis(ms));
        }
        let metrics = telemetry.model(&model, version);
        metrics.tensorflow(Entrypoint::Rest, Ok(&timeline));
        metrics.tensorflow(Entrypoint::Rest, Err(ErrorKind::Overloaded));
        metrics.tensorflow(Entrypoint::Grpc, Ok(&timeline));
        telemetry.refused_tensorflow(&model, Entrypoint::Rest, ErrorKind::Overloaded);
        telemetry.refused_tensorflow(&model, Entrypoint::Rest, ErrorKind::UnknownLabel);
        telemetry.refused_tensorflow(&model, Entrypoint::Grpc, ErrorKind::UnknownLabel);
        let exposition = scrape(&telemetry);
        assert_eq!(exposition.kind(":tensorflow:serving:request_count"), Some("counter"));
        let counts = ["OK", "RESOURCE_EXHAUSTED", "INTERNAL", "INVALID_ARGUMENT", "NOT_FOUND"]
            .map(|word| count(&exposition, word));
        assert_eq!(counts, [Some(2.0), Some(2.0), Some(0.0), Some(1.0), Some(1.0)]);
        for (api, entrypoint) in [("predict", "REST"), ("Predict", "GRPC")] {
            let labels = [name, ("API", api), ("entrypoint", entrypoint)];
            let sum = exposition.value(":tensorflow:serving:request_latency_sum", &labels);
            assert_eq!(sum, Some(4_000.0), "{entrypoint}");
        }
        let runtime = [name, ("API", "Predict"), ("runtime", "ONNX")];
        let latency = |what| {
            let metric = format!(":tensorflow:serving:runtime_latency_{what}");
            exposition.value(&metric, &runtime)
        };
        assert_eq!((latency("sum"), latency("count")), (Some(4_000.0), Some(2.0)));
    }

    #[test]
    fn batch_sizes_of_all_models_are_told_together() {
        let telemetry = Telemetry::new();
        busy(&telemetry);
        let other = telemetry.model(&ModelName::new("other").unwrap(), Version::new(1).unwrap());
        let facts = BatchFacts { rows: 6000, requests: 1, closed_by: CloseReason::Cap };
        other.batch(facts, Duration::ZERO, Duration::ZERO, Duration::ZERO);
        let exposition = scrape(&telemetry);
        let session = |what: &str, labels: &[(&str, &str)]| {
            let metric = format!(":tensorflow:serving:batching_session:{what}");
            exposition.value(&metric, labels)
        };
        assert_eq!(session("processed_batch_size_sum", &[]), Some(6005.0));
        let below = [("le", "4096.0")];
        assert_eq!(session("processed_batch_size_bucket", &below), Some(1.0));
        assert_eq!(session("input_batch_size_sum", &[]), Some(4.0));
        let pool = [("thread_pool_name", "2-di\"gits")];
        assert_eq!(session("queuing_latency_sum", &pool), Some(10_000.0));
    }

    #[test]
    fn the_machine_is_looked_at_by_every_scrape() {
        let telemetry = Telemetry::new();
        let exposition = scrape(&telemetry);
        let value = |name| exposition.value(name, &[]).unwrap();
        let (used, total) = (value("nv_cpu_memory_used_bytes"), value("nv_cpu_memory_total_bytes"));
        assert!(0.0 < used && used < total, "{used} of {total}");
        assert!((0.0..=1.0).contains(&value("nv_cpu_utilization")));
    }

    #[test]
    fn every_scrape_asks_the_queue_anew() {
        let telemetry = Telemetry::new();
        let (model, version) = digits();
        let waiting = Arc::new(AtomicUsize::new(3));
        let asked = Arc::clone(&waiting);
        telemetry.model(&model, version).watch_queue(move || QueueView {
            waiting: asked.load(Ordering::Relaxed),
            ..QueueView::default()
        });
        let depth = || {
            let labels = [("model", "di\"gits"), ("version", "2")];
            let exposition = scrape(&telemetry);
            ["tidegate_queue_depth", "nv_inference_pending_request_count"]
                .map(|name| exposition.value(name, &labels))
        };
        assert_eq!(depth(), [Some(3.0); 2]);
        waiting.store(0, Ordering::Relaxed);
        assert_eq!(depth(), [Some(0.0); 2]);
    }

    #[test]
    fn statistics_and_tritons_counters_agree() {
        let telemetry = Telemetry::new();
        let (model, version) = digits();
        assert_eq!(telemetry.statistics(&model, version), None);
        busy(&telemetry);
        busy(&telemetry);
        let statistics = telemetry.statistics(&model, version).unwrap();
        let exposition = scrape(&telemetry);
        let value = |name: &str| {
            let labels = [("model", "di\"gits"), ("version", "2")];
            exposition.value(name, &labels).unwrap()
        };
        for (name, expected) in [
            ("nv_inference_request_success", statistics.success.count),
            ("nv_inference_count", statistics.inference_count),
            ("nv_inference_exec_count", statistics.execution_count),
            ("nv_inference_request_duration_us", statistics.success.ns / 1000),
            ("nv_inference_queue_duration_us", statistics.queue.ns / 1000),
            ("nv_inference_compute_input_duration_us", statistics.compute_input.ns / 1000),
            ("nv_inference_compute_infer_duration_us", statistics.compute_infer.ns / 1000),
            ("nv_inference_compute_output_duration_us", statistics.compute_output.ns / 1000),
        ] {
            assert!(expected > 0, "{name}");
            assert_eq!(value(name), expected as f64, "{name}");
        }
        assert_eq!(statistics.fail, Total { count: 4, ns: 30_000_000 });
    }

    #[test]
    fn the_same_version_has_the_same_handles() {
        let telemetry = Telemetry::new();
        let (model, version) = digits();
        let first = telemetry.model(&model, version);
        assert!(Arc::ptr_eq(&first, &telemetry.model(&model, version)));
    }
}
