//! What lies over the file: environment variables, and flags over those. One table says which key each
//! of them sets; the values stay text here and are checked together with the file.

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use tidegate_configuration::{Origin, Override};

struct Entry {
    flag: &'static str,
    variable: &'static str,
    key: &'static str,
    value: &'static str,
    help: &'static str,
}

const ENTRIES: [Entry; 17] = [
    Entry {
        flag: "model-repository",
        variable: "MODEL_BASE_PATH",
        key: "repository.path",
        value: "FOLDER",
        help: "Where the models are: FOLDER/<model>/<version>/model.onnx",
    },
    Entry {
        flag: "default-model",
        variable: "MODEL_NAME",
        key: "repository.default_model",
        value: "MODEL",
        help: "The model of POST /predict",
    },
    Entry {
        flag: "allow-empty",
        variable: "TIDEGATE_ALLOW_EMPTY",
        key: "repository.allow_empty",
        value: "SWITCH",
        help: "Start with an empty repository, into which models come later [default: false]",
    },
    Entry {
        flag: "traffic",
        variable: "TIDEGATE_TRAFFIC",
        key: "traffic.path",
        value: "FILE",
        help: "Labels and weights (TOML); followed while serving",
    },
    Entry {
        flag: "data-address",
        variable: "TIDEGATE_DATA_ADDRESS",
        key: "data.address",
        value: "IP:PORT|unix:PATH,...",
        help: "Where predictions are answered [default: 127.0.0.1:8500,127.0.0.1:8501]",
    },
    Entry {
        flag: "admin-address",
        variable: "TIDEGATE_ADMIN_ADDRESS",
        key: "admin.address",
        value: "IP:PORT",
        help: "Where the admin API, probes and metrics are [default: 127.0.0.1:8502]",
    },
    Entry {
        flag: "api-keys",
        variable: "TIDEGATE_API_KEYS",
        key: "api_keys.path",
        value: "FILE",
        help: "The keys of those who may ask [default: whoever reaches a port may]",
    },
    Entry {
        flag: "state",
        variable: "TIDEGATE_STATE",
        key: "state.path",
        value: "FOLDER",
        help: "Where weights and labels set at run time are kept [default: tidegate-state]",
    },
    Entry {
        flag: "onnxruntime",
        variable: "ORT_DYLIB_PATH",
        key: "onnxruntime.library",
        value: "FILE",
        help: "ONNX Runtime's shared library",
    },
    Entry {
        flag: "batch-size",
        variable: "BATCH_SIZE",
        key: "defaults.batch_size",
        value: "ROWS",
        help: "A batch of so many rows goes at once; for every model [default: what is learned]",
    },
    Entry {
        flag: "max-batch-size",
        variable: "MAX_BATCH_SIZE",
        key: "defaults.max_batch_size",
        value: "ROWS",
        help: "No batch has more rows; for every model [default: 64]",
    },
    Entry {
        flag: "max-queue-delay",
        variable: "TIDEGATE_MAX_QUEUE_DELAY",
        key: "defaults.max_queue_delay",
        value: "DURATION",
        help: "How long a request may wait for company; for every model [default: what is learned]",
    },
    Entry {
        flag: "slo",
        variable: "TIDEGATE_SLO",
        key: "defaults.slo",
        value: "DURATION",
        help: "How soon answers are wanted; for every model [default: no sooner than the deadline]",
    },
    Entry {
        flag: "log-level",
        variable: "TIDEGATE_LOG_LEVEL",
        key: "log.level",
        value: "LEVEL",
        help: "error, warn, info, debug, trace, or directives [default: info]",
    },
    Entry {
        flag: "access-sample",
        variable: "TIDEGATE_ACCESS_SAMPLE",
        key: "log.access_sample",
        value: "SHARE",
        help: "Share of requests in the access log, 0.0 to 1.0 [default: 0.01]",
    },
    Entry {
        flag: "grace-period",
        variable: "TIDEGATE_GRACE_PERIOD",
        key: "shutdown.grace_period",
        value: "DURATION",
        help: "How long requests in flight may take to end at shutdown [default: 30s]",
    },
    Entry {
        flag: "worker-threads",
        variable: "TIDEGATE_WORKER_THREADS",
        key: "runtime.worker_threads",
        value: "COUNT",
        help: "Threads that serve connections [default: half of the cores, 2 to 16]",
    },
];

/// The flags and variables that were given.
#[derive(Clone, Debug, Default)]
pub struct Overrides(pub Vec<Override>);

impl Args for Overrides {
    fn augment_args(command: Command) -> Command {
        command.next_help_heading("Configuration (over the file)").args(ENTRIES.iter().map(
            |entry| {
                Arg::new(entry.flag)
                    .long(entry.flag)
                    .env(entry.variable)
                    .value_name(entry.value)
                    .help(entry.help)
                    .hide_env_values(true)
            },
        ))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Overrides {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = ENTRIES.iter().filter_map(|entry| {
            let text = matches.get_one::<String>(entry.flag)?.clone();
            let origin = match matches.value_source(entry.flag)? {
                ValueSource::EnvVariable => Origin::Variable(entry.variable.to_owned()),
                _ => Origin::Flag(entry.flag.to_owned()),
            };
            // A variable that is set to nothing is how compose files say "not set".
            let unset = text.is_empty() && matches!(origin, Origin::Variable(_));
            (!unset).then_some(Override { key: entry.key, text, origin })
        });
        Ok(Self(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
