//! A path while traces are added to it.

use super::tree::PathCell;

/// A path while traces are added to it.
#[derive(Debug)]
pub(super) struct OpenNode {
    pub(super) parent: u32,
    pub(super) label: u32,
    pub(super) depth: u32,
    pub(super) is_awaited: bool,
    pub(super) slice: u32,
    pub(super) cell: PathCell,
    pub(super) cells: Vec<(u32, PathCell)>,
    pub(super) trace: TraceSums,
    /// The span whose child here was seen last, to count each parent once.
    pub(super) latest_parent: u64,
}

/// One path's sums of the trace that is being added. Not weighted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TraceSums {
    pub(super) spans: u32,
    pub(super) present: u32,
    pub(super) childless: u32,
    pub(super) errors: u32,
    pub(super) origins: u32,
    pub(super) critical_calls: u32,
    pub(super) exclusive_ns: i64,
    pub(super) critical_ns: i64,
    pub(super) duration_ns: i64,
}

impl OpenNode {
    /// Moves the sums of the current trace into the cell of its slice.
    pub(super) fn end_trace(&mut self, slice: u32, w: f64, request_failed: bool) {
        if slice != self.slice {
            self.keep_cell();
            self.slice = slice;
        }
        let sums = std::mem::take(&mut self.trace);
        let (c, t, d) = (
            f64::from(sums.spans),
            sums.critical_ns as f64,
            sums.duration_ns as f64,
        );
        let cell = &mut self.cell;
        cell.traces += 1;
        cell.failing_traces += u64::from(sums.origins > 0);
        cell.spans += u64::from(sums.spans);
        cell.weight += w;
        cell.weight_squared += w * w;
        cell.calls += w * c;
        cell.calls_squared += w * w * c * c;
        cell.present += w * f64::from(sums.present);
        cell.childless += w * f64::from(sums.childless);
        cell.errors += w * f64::from(sums.errors);
        cell.origins += w * f64::from(sums.origins);
        if request_failed {
            cell.origins_reaching += w * f64::from(sums.origins);
        }
        cell.exclusive_ns += w * sums.exclusive_ns as f64;
        cell.critical_ns += w * t;
        cell.critical_squared += w * w * t * t;
        cell.critical_weight += w * w * t;
        cell.critical_calls += w * f64::from(sums.critical_calls);
        cell.duration_ns += w * d;
        cell.duration_squared += w * w * d * d;
        cell.duration_weight += w * w * d;
    }

    /// Puts the current cell with those of its slice.
    pub(super) fn keep_cell(&mut self) {
        let cell = std::mem::take(&mut self.cell);
        if cell.traces == 0 {
            return;
        }
        match self.cells.binary_search_by_key(&self.slice, |(s, _)| *s) {
            Ok(place) => self.cells[place].1.merge(&cell),
            Err(place) => self.cells.insert(place, (self.slice, cell)),
        }
    }
}
