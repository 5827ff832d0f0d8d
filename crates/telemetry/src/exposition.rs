//! Writes the registry in Prometheus's text format 0.0.4.
//!
//! `prometheus-client` speaks OpenMetrics, where a counter's samples must end in `_total` and its family
//! must not. Triton's counters have no such ending, and dashboards ask for them by name; in OpenMetrics
//! they could not be counters at all. The older format has no such rule, so every line goes through one
//! small translation: our counters carry `_total` on family and samples, Triton's (`nv_`) on neither.

#[cfg(test)]
pub mod parser;

use std::fmt;

use prometheus_client::encoding::text::encode_registry;
use prometheus_client::registry::Registry;

/// What [`crate::Telemetry::encode`] is to be sent as.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub fn encode(registry: &Registry) -> Result<String, fmt::Error> {
    let mut open_metrics = String::with_capacity(16 * 1024);
    encode_registry(&mut open_metrics, registry)?;
    Ok(translate(&open_metrics))
}

fn translate(open_metrics: &str) -> String {
    let mut out = String::with_capacity(open_metrics.len());
    let mut help = "";
    let mut family = Family { name: "", counter: false };
    for line in open_metrics.lines() {
        if let Some(text) = line.strip_prefix("# HELP ") {
            // Kept back: the name to print it under depends on the type, which comes next.
            help = text;
        } else if let Some(text) = line.strip_prefix("# TYPE ") {
            let (name, kind) = text.split_once(' ').unwrap_or((text, "untyped"));
            family = Family { name, counter: kind == "counter" };
            let suffix = if family.counter && !family.is_borrowed() { "_total" } else { "" };
            let help = help.strip_prefix(name).unwrap_or_default();
            out.extend(["# HELP ", name, suffix, help, "\n# TYPE ", name, suffix, " ", kind, "\n"]);
        } else if let Some(rest) = family.after_borrowed_total(line) {
            out.extend([family.name, rest, "\n"]);
        } else if let Some((name, rest)) = without_labels(line) {
            out.extend([name, rest, "\n"]);
        } else {
            out.extend([line, "\n"]);
        }
    }
    out
}

/// The two sides of `{}`, which the encoder writes for a family without labels.
fn without_labels(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.split_once('{')?;
    rest.strip_prefix('}').map(|rest| (name, rest))
}

struct Family<'a> {
    name: &'a str,
    counter: bool,
}

impl Family<'_> {
    /// Triton's, or TensorFlow Serving's.
    fn is_borrowed(&self) -> bool {
        self.name.starts_with("nv_") || self.name.starts_with(':')
    }

    /// What follows the family's name in a borrowed counter's sample; `None` for any other line.
    fn after_borrowed_total<'l>(&self, line: &'l str) -> Option<&'l str> {
        if !(self.counter && self.is_borrowed()) {
            return None;
        }
        line.strip_prefix(self.name)?.strip_prefix("_total")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_counters_end_in_total_and_borrowed_ones_do_not() {
        let translated = translate(
            "# HELP tidegate_requests Requests.\n# TYPE tidegate_requests counter\n\
             tidegate_requests_total{model=\"a\"} 1\n\
             # HELP nv_inference_count Rows.\n# TYPE nv_inference_count counter\n\
             nv_inference_count_total{model=\"nv_inference_count_total\"} 2\n\
             # HELP :tensorflow:serving:request_count Requests.\n\
             # TYPE :tensorflow:serving:request_count counter\n\
             :tensorflow:serving:request_count_total{status=\"OK\"} 3\n",
        );
        assert_eq!(
            translated,
            "# HELP tidegate_requests_total Requests.\n# TYPE tidegate_requests_total counter\n\
             tidegate_requests_total{model=\"a\"} 1\n\
             # HELP nv_inference_count Rows.\n# TYPE nv_inference_count counter\n\
             nv_inference_count{model=\"nv_inference_count_total\"} 2\n\
             # HELP :tensorflow:serving:request_count Requests.\n\
             # TYPE :tensorflow:serving:request_count counter\n\
             :tensorflow:serving:request_count{status=\"OK\"} 3\n"
        );
    }

    #[test]
    fn a_family_without_labels_has_no_braces() {
        let translated = translate("# TYPE valid gauge\nvalid{} 1\nother{a=\"{}\"} 2\n");
        assert!(translated.ends_with("\nvalid 1\nother{a=\"{}\"} 2\n"), "{translated}");
    }

    #[test]
    fn other_types_pass_unchanged() {
        let text = "# HELP depth Waiting.\n# TYPE depth gauge\ndepth{model=\"a b\"} 3\n";
        assert_eq!(translate(text), text);
    }
}
