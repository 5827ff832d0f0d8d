//! Every metric family, with its name and help, in one place.
//!
//! Names follow the glossary: base units, `_total` on counters (added while encoding). The `nv_` families
//! are Triton's and the `:tensorflow:` families TensorFlow Serving's, under their names, so that dashboards made for
//! them keep working; where both tell the same story, ours is the finer one.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tidegate_inference::{ModelName, Version};

use crate::connections::ConnectionMetrics;
use crate::histogram::Histogram;
use crate::together::Together;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ModelLabels {
    model: String,
    version: u64,
}

impl ModelLabels {
    pub fn new(model: &ModelName, version: Version) -> Self {
        Self { model: model.as_str().to_owned(), version: version.get() }
    }

    pub fn model(&self) -> &str {
        &self.model
    }

    /// What the version's worker threads are called.
    pub fn thread_pool(&self) -> String {
        format!("{}-{}", self.version, self.model)
    }
}

/// One label from a fixed set of words.
pub type Word = [(&'static str, &'static str); 1];
pub type Refusal = [(&'static str, &'static str); 2];
/// Of what is there once, or not at all: its series begins when it is first set.
pub type NoLabels = [(&'static str, &'static str); 0];
/// With `key`, `port` and `outcome`.
type PerKey = Family<[(&'static str, String); 3], Counter>;
pub type SecondsGauge = Gauge<f64, std::sync::atomic::AtomicU64>;

macro_rules! families {
    ($(#[doc = $help:literal] $field:ident: $type:ty = $make:expr, $name:literal;)*) => {
        #[derive(Debug)]
        pub struct Families {
            $(pub $field: $type,)*
            pub connections: ConnectionMetrics,
        }

        impl Default for Families {
            fn default() -> Self {
                Self { $($field: $make,)* connections: ConnectionMetrics::default() }
            }
        }

        impl Families {
            pub fn register(&self, registry: &mut Registry) {
                $(registry.register($name, $help.trim(), self.$field.clone());)*
                let ConnectionMetrics { open, opened } = &self.connections;
                registry.register("tidegate_connections", "Open data connections", open.clone());
                registry.register(
                    "tidegate_connections_opened",
                    "Data connections ever opened",
                    opened.clone(),
                );
            }
        }
    };
}

/// TensorFlow Serving's labels; it knows no versions here.
pub type PerModelAndStatus = Family<[(&'static str, String); 2], Counter>;
/// With `model_name`, `API` and `entrypoint`.
pub type PerEntrypoint = Family<[(&'static str, String); 3], Histogram>;
/// With `model_name`, `API` and `runtime`.
pub type PerRuntime = Family<[(&'static str, String); 3], Histogram>;
/// With `model_path` and `status`.
type PerPath = Family<[(&'static str, String); 2], Histogram>;
type PerThreadPool = Family<[(&'static str, String); 1], Histogram>;

type PerModel<M> = Family<ModelLabels, M>;
type PerModelAndWord<M> = Family<(ModelLabels, Word), M>;

fn seconds() -> PerModel<Histogram> {
    Family::new_with_constructor(Histogram::of_seconds)
}

fn counts() -> PerModel<Histogram> {
    Family::new_with_constructor(Histogram::of_counts)
}

fn request_micros<const N: usize>() -> Family<[(&'static str, String); N], Histogram> {
    Family::new_with_constructor(Histogram::of_request_micros)
}

families! {
    /// Requests that ended, by outcome: response, caller_gone, or the kind of error
    requests: PerModelAndWord<Counter> = Family::default(), "tidegate_requests";
    /// Requests that were admitted; each ends in exactly one outcome of tidegate_requests_total
    accepted: PerModel<Counter> = Family::default(), "tidegate_requests_accepted";
    /// Requests that were refused before they were admitted
    refused: Family<Refusal, Counter> = Family::default(), "tidegate_requests_refused";
    /// Requests with a known API key, by the key's name and whether it allows what was asked
    key_requests: PerKey = Family::default(), "tidegate_api_key_requests";
    /// Requests without a known API key where one was needed
    keys_rejected: Family<Refusal, Counter> = Family::default(), "tidegate_api_keys_rejected";
    /// 1 while the keys in force are those in the file, 0 while the file cannot be used and the old ones hold
    keys_file_valid: Family<NoLabels, Gauge> = Family::default(), "tidegate_api_keys_file_valid";
    /// Requests of a version that were refused for overload, by the reason, admitted or not
    shed: PerModelAndWord<Counter> = Family::default(), "tidegate_requests_shed";
    /// Rows of the requests that ended in a response
    rows: PerModel<Counter> = Family::default(), "tidegate_rows";
    /// Time from a request's head read to its answer encoded, of requests that ended in a response
    request_duration: PerModel<Histogram> = seconds(), "tidegate_request_duration_seconds";
    /// Time in the queue, of requests that ended in a response
    queue_delay: PerModel<Histogram> = seconds(), "tidegate_queue_delay_seconds";
    /// Time the model took for a batch
    execution_duration: PerModel<Histogram> = seconds(), "tidegate_execution_duration_seconds";
    /// Time to join the inputs of a batch
    gather_duration: PerModel<Histogram> = seconds(), "tidegate_gather_duration_seconds";
    /// Time to split the outputs of a batch and answer its callers
    scatter_duration: PerModel<Histogram> = seconds(), "tidegate_scatter_duration_seconds";
    /// Rows in a batch
    batch_rows: PerModel<Histogram> = counts(), "tidegate_batch_rows";
    /// Requests in a batch
    batch_requests: PerModel<Histogram> = counts(), "tidegate_batch_requests";
    /// Batches that were executed, by the reason for which they were closed
    batches: PerModelAndWord<Counter> = Family::default(), "tidegate_batches";
    /// Runs of parts of a batch, after the batch failed or had no memory
    isolation_runs: PerModel<Counter> = Family::default(), "tidegate_isolation_runs";
    /// Requests on which the model failed when they ran alone
    poisoned_requests: PerModel<Counter> = Family::default(), "tidegate_poisoned_requests";
    /// Runs that found no memory
    out_of_memory: PerModel<Counter> = Family::default(), "tidegate_out_of_memory";
    /// Runs that were told to end because they took too long
    watchdog_terminations: PerModel<Counter> = Family::default(), "tidegate_watchdog_terminations";
    /// Instances that were made again, by the reason
    instance_rebuilds: PerModelAndWord<Counter> = Family::default(), "tidegate_instance_rebuilds";
    /// Threads that are stuck in the engine and were given up
    stuck_threads: PerModel<Gauge> = Family::default(), "tidegate_stuck_threads";
    /// Requests waiting in the queue
    queue_depth: PerModel<Gauge> = Family::default(), "tidegate_queue_depth";
    /// Rows of a full batch as learned: past them more rows gain nothing; 0 while nothing is known
    full_batch_rows: PerModel<Gauge> = Family::default(), "tidegate_learned_full_batch_rows";
    /// What a full batch usually takes now, as learned
    full_batch_seconds: PerModel<SecondsGauge> = Family::default(), "tidegate_learned_full_batch_seconds";
    /// What a run of a single row usually takes now, as learned
    single_row_seconds: PerModel<SecondsGauge> = Family::default(), "tidegate_learned_single_row_seconds";
    /// Requests admitted and not yet ended
    in_flight: PerModel<Gauge> = Family::default(), "tidegate_requests_in_flight";
    /// Weight of a version in its model's traffic split
    route_weight: PerModel<Gauge> = Family::default(), "tidegate_route_weight";
    /// 1 for the state that a version is in, 0 for the others
    version_state: PerModelAndWord<Gauge> = Family::default(), "tidegate_version_state";
    /// 1 when a version runs one request at a time because its rows cannot share a batch
    version_unbatched: PerModel<Gauge> = Family::default(), "tidegate_version_unbatched";
    /// 1 when what the traffic file says now is in force, 0 when it could not be applied
    traffic_file_valid: Family<NoLabels, Gauge> = Family::default(), "tidegate_traffic_file_valid";
    /// When what the traffic file says was put in force, in seconds since 1970
    traffic_file_applied: Family<NoLabels, SecondsGauge> = Family::default(), "tidegate_traffic_file_applied_timestamp_seconds";
    /// Loads of a version that failed
    load_failures: PerModel<Counter> = Family::default(), "tidegate_load_failures";
    /// Looks at the repository that failed
    scan_failures: Counter = Counter::default(), "tidegate_repository_scan_failures";
    /// When the repository was last looked at without a failure, in seconds since 1970
    last_scan: SecondsGauge = SecondsGauge::default(), "tidegate_repository_last_scan_timestamp_seconds";
    /// Rows admitted and not yet answered, over all models
    rows_in_flight: Gauge = Gauge::default(), "tidegate_rows_in_flight";
    /// 1 when the gateway takes traffic
    ready: Gauge = Gauge::default(), "tidegate_ready";
    /// Always 1; the label tells the version of the gateway
    build_info: Family<Word, Gauge> = Family::default(), "tidegate_build_info";
    /// Number of successful inference requests
    nv_success: PerModel<Counter> = Family::default(), "nv_inference_request_success";
    /// Number of failed inference requests
    nv_failure: PerModelAndWord<Counter> = Family::default(), "nv_inference_request_failure";
    /// Number of inferences performed (rows of successful requests)
    nv_count: PerModel<Counter> = Family::default(), "nv_inference_count";
    /// Number of model executions performed (batches)
    nv_exec_count: PerModel<Counter> = Family::default(), "nv_inference_exec_count";
    /// Cumulative inference request duration in microseconds
    nv_request_us: PerModel<Counter> = Family::default(), "nv_inference_request_duration_us";
    /// Cumulative inference queuing duration in microseconds
    nv_queue_us: PerModel<Counter> = Family::default(), "nv_inference_queue_duration_us";
    /// Cumulative compute input duration in microseconds
    nv_input_us: PerModel<Counter> = Family::default(), "nv_inference_compute_input_duration_us";
    /// Cumulative compute inference duration in microseconds
    nv_infer_us: PerModel<Counter> = Family::default(), "nv_inference_compute_infer_duration_us";
    /// Cumulative compute output duration in microseconds
    nv_output_us: PerModel<Counter> = Family::default(), "nv_inference_compute_output_duration_us";
    /// Instantaneous number of pending requests
    nv_pending: PerModel<Gauge> = Family::default(), "nv_inference_pending_request_count";
    /// Model load time in seconds
    nv_load_seconds: PerModel<SecondsGauge> = Family::default(), "nv_model_load_duration_secs";
    /// Time from a request's head read to its only response encoded, in milliseconds
    nv_first_response_ms: PerModel<Histogram> = Family::new_with_constructor(Histogram::of_milliseconds), "nv_inference_first_response_histogram_ms";
    /// The total number of requests, by the status that they were answered with
    tf_request_count: PerModelAndStatus = Family::default(), ":tensorflow:serving:request_count";
    /// Distribution of wall time (in microseconds) for a successful request
    tf_request_latency: PerEntrypoint = request_micros(), ":tensorflow:serving:request_latency";
    /// Distribution of wall time (in microseconds) for the runtime, batching included
    tf_runtime_latency: PerRuntime = request_micros(), ":tensorflow:serving:runtime_latency";
    /// Distribution of wall time (in microseconds) for warming up the model
    tf_warmup_latency: PerPath = request_micros(), ":tensorflow:serving:model_warmup_latency";
    /// Distribution of wall time spent (in microseconds) in queuing
    tf_queuing_latency: PerThreadPool = Family::new_with_constructor(Histogram::of_queue_micros), ":tensorflow:serving:batching_session:queuing_latency";
    /// Distribution of the rows in a request
    tf_input_batch_size: Together = Together::default(), ":tensorflow:serving:batching_session:input_batch_size";
    /// Distribution of the rows in a batch
    tf_processed_batch_size: Together = Together::default(), ":tensorflow:serving:batching_session:processed_batch_size";
}
