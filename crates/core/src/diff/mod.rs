//! The diff: what changed between two facts, how big it is and how sure that is.

mod call_tree;
mod calls;
mod compare;
mod culprits;
mod document;
mod errors;
mod family;
mod findings;
mod graph;
mod header;
pub(crate) mod join;
mod judge;
mod latency;
mod load;
mod mix;
mod outcome;
mod paths;
mod policy;
mod sentence;
mod side;
mod standard;
mod structure;
pub mod text;
mod values;

pub use call_tree::{CallTreeDiff, PathDiff, PathSide, compare_call_trees};
pub use compare::compare;
pub use culprits::{
    Attribution, BranchChange, Confidence, Culprit, CulpritEvidence, EdgeName, EntryFailures,
    FailureOrigin, FailureRise, LedgerEntry, NodeChange, TailBand,
};
pub use document::*;
pub use graph::{
    GraphChange, GraphComparison, GraphCounts, GraphDiff, GraphEdgeDiff, GraphNodeDiff, GraphSide,
    GraphSummary, GraphTime,
};
pub use policy::{
    CallPolicy, Direction, ErrorPolicy, Ignored, KeyPolicy, LatencyPolicy, Policy, PolicyError,
    ValuePolicy,
};

pub use structure::{BranchingShift, ChildSet, StructureChange, StructureDiff, StructureKind};

#[cfg(test)]
mod tests;
