//! Call paths: whose time, calls and failures a request's are made of.
//!
//! [`Anatomy`] takes one trace apart, exactly; [`PathTree`] is the sum over a population of traces.

mod anatomy;
mod bands;
mod builder;
mod clocks;
mod graph;
mod label;
mod labeler;
mod open_node;
mod signature;
mod slices;
mod tree;

pub use anatomy::{Anatomy, Part};
pub use bands::{Band, BandSums, KEPT_PER_STRATUM, SampledTrace, Stratum};
pub(crate) use builder::{Call, PathBuilder};
pub use clocks::{ClockOffset, Clocks, ClocksBuilder, TraceClocks};
pub use graph::{GraphEdge, GraphItem};
pub use label::{Label, NodeKind, normalized};
pub use signature::{Signature, SignatureCalls};
pub use slices::{PathSlices, PathSum};
pub use tree::{PathCell, PathId, PathNode, PathTree};

#[cfg(test)]
mod tests;
