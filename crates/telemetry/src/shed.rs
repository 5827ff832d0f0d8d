//! Why a request of a known version was refused for overload. A refusal by the limit on requests in
//! flight is none of these: it comes before a version is chosen.

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shed {
    /// It would have been answered too late, by what was learned.
    PredictedLate,
    /// Its version's queue was full.
    QueueFull,
    RowsInFlight,
    BytesInFlight,
}

impl Shed {
    pub const ALL: [Self; 4] =
        [Self::PredictedLate, Self::QueueFull, Self::RowsInFlight, Self::BytesInFlight];

    /// A stable word for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PredictedLate => "predicted_late",
            Self::QueueFull => "queue_full",
            Self::RowsInFlight => "rows_in_flight",
            Self::BytesInFlight => "bytes_in_flight",
        }
    }
}
