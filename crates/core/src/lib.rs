//! The pure heart of tracediff: spans as columns, the query language, facts, statistics and the diff.
//!
//! Nothing here reads a clock, a disk, a network or the environment; time, bytes and seeds are arguments. A snapshot
//! is a mergeable summary of traces ([`facts`]), and a diff is a pure function of two summaries ([`diff`]).

pub mod diff;
pub mod explain;
pub mod facts;
pub mod model;
pub mod paths;
pub mod query;
pub mod snapshot;
pub mod stats;
pub mod trace;
