//! `instance_group` and `parameters`: how many copies, and with how many threads. All groups together are one number
//! here, because all run on the same CPU.

use std::num::NonZeroUsize;

use super::section::Section;
use crate::ModelSettings;

const KINDS: [&str; 4] = ["KIND_AUTO", "KIND_GPU", "KIND_CPU", "KIND_MODEL"];
const KIND_GPU: usize = 1;

/// More copies of a model than this are a slip of the pen.
const MOST: i128 = 1024;

pub fn read(root: &Section<'_>, settings: &mut ModelSettings) {
    let counts = root.sections("instance_group").iter().filter_map(group).sum();
    settings.instances = NonZeroUsize::new(counts);
    for (name, parameter) in root.entries("parameters") {
        parameter_of_the_engine(&name, &parameter, settings);
        parameter.end();
    }
}

fn group(group: &Section<'_>) -> Option<usize> {
    if group.one_of("kind", &KINDS) == Some(KIND_GPU) {
        group.warn("kind", "is not honoured: KIND_GPU, and models run on the CPU here");
    }
    // A label for people.
    group.text("name");
    group.not_honoured(&[
        "gpus",
        "rate_limiter",
        "secondary_devices",
        "profile",
        "passive",
        "host_policy",
    ]);
    let count = group.integer("count", 0..=MOST);
    group.end();
    count
}

/// The engine's own parameters have no schema: strings by name.
fn parameter_of_the_engine(name: &str, parameter: &Section<'_>, settings: &mut ModelSettings) {
    let Some(value) = parameter.text("string_value") else { return };
    if name != "intra_op_thread_count" {
        parameter.warn("string_value", "is not honoured");
        return;
    }
    match value.parse::<u16>() {
        // 0 is the engine's own choice; ours is the same as without the parameter.
        Ok(threads) => settings.intra_op_threads = NonZeroUsize::new(threads.into()),
        Err(_) => {
            let message = format!("expected a number of threads, got '{value}'");
            parameter.fault("string_value", &message);
        }
    }
}
