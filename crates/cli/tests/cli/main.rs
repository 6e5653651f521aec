//! The real binary, end to end: what is typed and read, against what is printed and the exit code.
//!
//! Clippy takes helpers for tests, which may unwrap, only in modules that say `cfg(test)`.

#[cfg(test)]
mod access;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod bad_times;
#[cfg(test)]
mod client;
#[cfg(test)]
mod compat;
#[cfg(test)]
mod config;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod evidence;
mod fail_on;
#[cfg(test)]
mod formats;
#[cfg(test)]
mod graph;
#[cfg(test)]
mod graphs;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod inputs;
#[cfg(test)]
mod json;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod odd_traces;
#[cfg(test)]
mod references;
#[cfg(test)]
mod selection;
#[cfg(test)]
mod shop;
#[cfg(test)]
mod snapshots;
#[cfg(test)]
mod stored;
#[cfg(test)]
mod table;
#[cfg(test)]
mod telemetry;
