//! Turns timelines and events into metrics and logs.
