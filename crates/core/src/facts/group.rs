//! One value of a group-by key: its cells by slice and its exemplars.

use super::cell::{Cell, Sums, TraceSums};
use super::exemplars::{Exemplar, Exemplars};
use serde::{Deserialize, Serialize};

/// A group's cells and exemplars.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// The cells of the slices in which the group occurs, in order.
    cells: Vec<(u32, Cell)>,
    /// Traces that show what the group's numbers mean.
    pub exemplars: Exemplars,
}

impl Group {
    /// The cell of a slice, made where it is missing.
    fn cell_mut(&mut self, slice: u32) -> &mut Cell {
        let place = self.cells.binary_search_by_key(&slice, |(s, _)| *s);
        let place = place.unwrap_or_else(|place| {
            self.cells.insert(place, (slice, Cell::default()));
            place
        });
        &mut self.cells[place].1
    }

    /// Slice number and cell of every slice in which the group occurs.
    pub fn cells(&self) -> impl Iterator<Item = (usize, &Cell)> + Clone {
        let cells = self.cells.iter();
        cells.map(|(slice, cell)| (*slice as usize, cell))
    }

    /// All slices' cells in one.
    pub fn total(&self) -> Cell {
        let mut total = Cell::default();
        self.cells().for_each(|(_, cell)| total.merge(cell));
        total
    }

    /// All slices' cells in one, without their histograms.
    pub(crate) fn total_sums(&self) -> Cell {
        let mut total = Cell::default();
        self.cells().for_each(|(_, cell)| total.merge_sums(cell));
        total
    }

    /// Raw spans.
    pub fn spans(&self) -> u64 {
        self.cells().map(|(_, c)| c.spans).sum()
    }

    /// Raw traces.
    pub fn traces(&self) -> u64 {
        self.cells().map(|(_, c)| c.traces).sum()
    }

    /// Adds another group whose slice i is this group's slice `slice_of[i]`.
    pub(crate) fn merge(&mut self, other: &Self, slice_of: &[usize]) {
        for (slice, cell) in other.cells() {
            self.cell_mut(slice_of[slice] as u32).merge(cell);
        }
        self.exemplars.merge(&other.exemplars);
    }

    /// Renumbers slices: slice i becomes `slice_of[i]`, which must keep their order.
    pub(crate) fn renumber(&mut self, slice_of: &[usize]) {
        for (slice, _) in &mut self.cells {
            *slice = slice_of[*slice as usize] as u32;
        }
    }
}

/// A group while traces are added to it.
///
/// What every span touches lies together: the sums of the current trace, which go to the cell when the trace ends,
/// and the cell of the current slice, which changes seldom because traces come by time.
#[derive(Debug, Default)]
pub(crate) struct OpenGroup {
    /// The current trace, counted from 1 in its block; 0 for none.
    trace: u32,
    /// The slice that `cell` belongs to.
    slice: u32,
    sums: TraceSums,
    cell: Cell,
    group: Group,
}

/// A span as groups see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Observation {
    /// The trace, counted from 1 in its block.
    pub(crate) trace: u32,
    pub(crate) bucket: i16,
    pub(crate) is_error: bool,
    /// Whether it begins a request.
    pub(crate) is_entry: bool,
    pub(crate) duration_ns: u64,
    pub(crate) weight: f64,
    pub(crate) sums: Sums,
}

/// A trace of the current block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockTrace {
    pub(crate) exemplar: Exemplar,
    pub(crate) slice: u32,
    pub(crate) weight: f64,
}

impl OpenGroup {
    /// A group to which traces can be added.
    pub(crate) fn holding(group: Group) -> Self {
        let mut open = Self {
            group,
            ..Self::default()
        };
        open.swap_cell();
        open
    }

    /// The group with all that was added. Its last trace must have ended.
    pub(crate) fn close(mut self) -> Group {
        self.swap_cell();
        self.group.cells.shrink_to_fit();
        self.group
    }

    /// Adds a span. Returns whether the group had none of the current block before.
    #[inline]
    pub(crate) fn add(&mut self, span: &Observation, traces: &[BlockTrace]) -> bool {
        let is_first = self.trace == 0;
        if self.trace != span.trace {
            self.begin_trace(span.trace, traces);
        }
        self.sums.sums.add(&span.sums);
        self.sums.spans += 1;
        self.sums.errors += u32::from(span.is_error);
        self.sums.duration_ns += u128::from(span.duration_ns);
        self.sums.longest_ns = self.sums.longest_ns.max(span.duration_ns);
        self.cell.histogram.add(span.bucket, span.weight);
        is_first
    }

    fn begin_trace(&mut self, trace: u32, traces: &[BlockTrace]) {
        self.end_trace(traces);
        self.trace = trace;
        let slice = traces[trace as usize - 1].slice;
        if slice != self.slice {
            self.swap_cell();
            self.slice = slice;
            self.swap_cell();
        }
    }

    /// Moves the sums of the current trace into its cell.
    pub(crate) fn end_trace(&mut self, traces: &[BlockTrace]) {
        if self.trace == 0 {
            return;
        }
        let trace = &traces[self.trace as usize - 1];
        self.cell.add_trace(&self.sums, trace.weight);
        let exemplar = Exemplar {
            duration_ns: self.sums.longest_ns,
            ..trace.exemplar
        };
        self.group.exemplars.offer(exemplar, self.sums.errors > 0);
        self.trace = 0;
        self.sums = TraceSums::default();
    }

    /// Changes places with the group's cell of the current slice, either of which is empty.
    fn swap_cell(&mut self) {
        let cells = &mut self.group.cells;
        let place = cells.binary_search_by_key(&self.slice, |(s, _)| *s);
        let cell = std::mem::take(&mut self.cell);
        match place {
            Ok(place) => self.cell = cells.remove(place).1,
            Err(place) if cell.traces > 0 => cells.insert(place, (self.slice, cell)),
            Err(_) => {}
        }
    }
}
