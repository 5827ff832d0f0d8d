//! What `/metrics` says, as far as tests ask for it.

/// One reading of all series.
pub struct Scrape(String);

impl Scrape {
    pub fn of(text: String) -> Self {
        Self(text)
    }

    /// The sum over the series of this name that carry all of these labels, each as `name="value"`.
    /// No such series is 0: counters appear with their first event.
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let series = self.0.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (found, carried) = series.split_once('{').unwrap_or((series, ""));
            let matches = found == name && labels.iter().all(|label| carried.contains(label));
            matches.then(|| value.parse::<f64>().unwrap())
        });
        series.sum()
    }

    /// There are such series, and each is 0.
    pub fn is_zero(&self, name: &str) -> bool {
        let has = |line: &str| line.split(['{', ' ']).next() == Some(name);
        self.0.lines().any(has) && self.sum(name, &[]) == 0.0
    }

    /// Ends of requests, by the outcome that they were counted under.
    pub fn ended(&self, outcome: &str) -> f64 {
        self.sum("tidegate_requests_total", &[&format!("outcome=\"{outcome}\"")])
    }

    pub fn accepted(&self) -> f64 {
        self.sum("tidegate_requests_accepted_total", &[])
    }

    /// Every accepted request has ended in exactly one of response, error, caller gone.
    #[track_caller]
    pub fn assert_balanced(&self) {
        let ended = self.sum("tidegate_requests_total", &[]);
        assert_eq!(self.accepted(), ended, "accepted, and ended in some way: {}", self.0);
        assert_eq!(self.sum("tidegate_requests_in_flight", &[]), 0.0, "{}", self.0);
        assert_eq!(self.sum("tidegate_queue_depth", &[]), 0.0, "{}", self.0);
    }
}
