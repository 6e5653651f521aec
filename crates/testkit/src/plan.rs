//! What facts to take, for tests that do not care.

use tracediff_core::facts::Plan;
use tracediff_core::model::{Slicing, SpanBatch, slice_length_ns};
use tracediff_core::snapshot::occupied_time;

/// Everything of all traces of these batches, in slices as the command cuts them.
pub fn plan_of(batches: &[SpanBatch]) -> Plan {
    let ranges = occupied_time(batches).ranges();
    Plan {
        slicing: Slicing::cut(&ranges, slice_length_ns(&ranges, &ranges)),
        group_by: Vec::new(),
        paths: true,
        clocks: None,
    }
}
