//! The load-test harness: takes a load to any inference server and tells what it carries.
//!
//! Two mistakes make most figures of this field wrong, and the house is built around avoiding them. A client that
//! waits for answers before it sends again slows down with the server and never sees the queue it would have caused:
//! here requests are due on a schedule, and latency counts from the time they were due. And a generator that cannot keep
//! its own schedule measures itself: here it watches itself, and marks a run invalid when it was the bottleneck.
//!
//! A load goes through in one direction: [`arrivals`] say when, [`target`] says what and whom, [`engine`] asks and records,
//! [`figures`] hold what was found, [`report`] shows it.

pub mod arrivals;
pub mod ceiling;
pub mod cli;
pub mod compare;
pub mod engine;
pub mod exit;
pub mod failure;
pub mod figures;
pub mod histogram;
pub mod load;
#[cfg(test)]
mod made_up;
pub mod mlperf;
pub mod question;
pub mod report;
pub mod run;
pub mod scenario;
pub mod search;
pub mod simulate;
pub mod statistics;
pub mod target;

pub use failure::Failure;
