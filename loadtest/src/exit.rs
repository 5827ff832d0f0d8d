//! What the program's exit code says. 1 is for what could not be done, 2 for a command line that was not understood.

/// Done, but what was asked for was not met: a scenario's criterion, a search's objective.
pub const NOT_MET: u8 = 3;
/// Done, and not to be believed: the generator was the bottleneck, or the run was cut short.
pub const INVALID: u8 = 4;
