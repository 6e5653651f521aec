//! From spans in any order to whole traces: grouping by trace id, duplicates, parents, orphans, cycles.
//!
//! What is odd in a trace is counted, never refused. The result does not depend on the order of the spans.

mod assemble;
mod index;

pub use assemble::{Assembler, Role, Trace, TraceOddities, TraceSpan};
pub use index::{SpanRef, TraceIndex, in_part};
pub(crate) use index::{mix, trace_hash};
