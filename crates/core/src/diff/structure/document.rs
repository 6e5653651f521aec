//! What is told of how requests are made up.

use schemars::JsonSchema;
use serde::Serialize;

use crate::diff::document::Sides;
use crate::paths::Label;

/// How requests are made up, and what changed about it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct StructureDiff {
    /// What changed, most telling first; at most 50.
    pub changes: Vec<StructureChange>,
    /// The work that branches most differently than before, beyond chance; at most ten.
    pub branching: Vec<BranchingShift>,
}

/// What about a call changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StructureKind {
    /// A call that the baseline never makes there. `values`: traces with it.
    NewCall,
    /// A call that the candidate never makes there. `values`: traces with it.
    MissingCall,
    /// Made in a larger share of the parent's calls. `values`: that share.
    MoreOften,
    /// Made in a smaller share of the parent's calls. `values`: that share.
    LessOften,
    /// Made in a larger share, having been made in less than half: what used to answer instead, such as a cache, does
    /// so less often. `values`: that share.
    LostCache,
    /// Made more times wherever it is made at all. `values`: times per such call of the parent.
    Repeated,
    /// The same, one after the other. `values`: times per such call of the parent.
    NPlusOne,
    /// The same, and at least half of what is added fails. `values`: times per such call of the parent.
    Retries,
    /// Made fewer times wherever it is made at all. `values`: times per such call of the parent.
    FewerTimes,
    /// The parent's children ran at the same time and now run one after the other. `values`: share of its calls with at
    /// least two children in which two overlap.
    SerialForParallel,
    /// The reverse. `values`: as there.
    ParallelForSerial,
    /// `other` has another name now, `child`. `values`: calls per call of the parent.
    Renamed,
    /// `child`, called directly before, is now called by `other`, which is new in between. `values`: calls per call of
    /// the parent.
    Wrapped,
    /// `child` was called by `other` before, which is gone from in between. `values`: calls per call of the parent.
    Unwrapped,
    /// `child` was called by `other` before. `values`: calls per request of that type.
    Moved,
    /// The call goes on, but what it calls sends no spans any more. `values`: calls per call of the parent.
    InstrumentationLost,
    /// What it calls sends spans now. `values`: calls per call of the parent.
    InstrumentationGained,
}

/// A change of how requests are made up.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct StructureChange {
    /// What about it changed.
    pub kind: StructureKind,
    /// What calls.
    pub parent: Label,
    /// What is called; `null` where all children together are meant.
    pub child: Option<Label>,
    /// The third that the kind tells of.
    pub other: Option<Label>,
    /// What the kind says.
    pub values: Sides<f64>,
    /// Probability of so much by chance, not corrected for the number of calls; `null` where one thing is told as
    /// another.
    pub p: Option<f64>,
    /// The same in words.
    pub sentence: String,
}

/// How differently one parent's calls choose their children.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct BranchingShift {
    /// The parent.
    pub parent: Label,
    /// The type of requests.
    pub request: Label,
    /// Half the sum of the absolute differences of the shares of all sets of children (total variation), 0–1.
    pub distance: f64,
    /// What chance alone makes of it on average.
    pub expected: f64,
    /// The distance less twice what is expected.
    pub excess: f64,
    /// The sets of children whose shares changed most; at most four.
    pub sets: Vec<ChildSet>,
}

/// A set of children and how often it is what a call has.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ChildSet {
    /// The children; none for calls without children, `null` for all sets that were not told apart.
    pub children: Option<Vec<Label>>,
    /// Share of the parent's calls.
    pub ratio: Sides<f64>,
}
