//! Several histograms shown as one: TensorFlow Serving tells batch sizes of all models together. Each version fills
//! its own, so that threads of different models do not meet at one counter; a scrape adds them up.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::{MetricType, TypedMetric};

use crate::histogram::Histogram;

/// Of counts. A version's histogram stays after the version is gone: what was counted has happened.
#[derive(Clone, Debug, Default)]
pub struct Together(Arc<Mutex<Vec<Histogram>>>);

impl Together {
    pub fn join(&self, histogram: &Histogram) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(histogram.clone());
    }
}

impl EncodeMetric for Together {
    fn encode(&self, encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let sum = Histogram::of_counts();
        for histogram in &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            sum.absorb(histogram);
        }
        sum.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Together {
    const TYPE: MetricType = MetricType::Histogram;
}
