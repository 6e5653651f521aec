//! One value of a group-by key: its cells by slice and its exemplars.

use super::cell::{Cell, TraceSums};
use super::exemplars::{Exemplar, Exemplars};

/// A group's cells and exemplars.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Group {
    /// One cell per slice; `None` where the group does not occur. May be shorter than there are slices.
    cells: Vec<Option<Box<Cell>>>,
    /// Traces that show what the group's numbers mean.
    pub exemplars: Exemplars,
}

impl Group {
    /// The cell of a slice, made where it is missing.
    #[inline]
    pub(crate) fn cell_mut(&mut self, slice: usize) -> &mut Cell {
        if slice >= self.cells.len() {
            self.cells.resize_with(slice + 1, || None);
        }
        self.cells[slice].get_or_insert_default()
    }

    /// Slice number and cell of every slice in which the group occurs.
    pub fn cells(&self) -> impl Iterator<Item = (usize, &Cell)> + Clone {
        self.cells
            .iter()
            .enumerate()
            .filter_map(|(slice, cell)| cell.as_deref().map(|c| (slice, c)))
    }

    /// All slices' cells in one.
    pub fn total(&self) -> Cell {
        let mut total = Cell::default();
        self.cells().for_each(|(_, cell)| total.merge(cell));
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
            self.cell_mut(slice_of[slice]).merge(cell);
        }
        self.exemplars.merge(&other.exemplars);
    }

    /// Renumbers slices: slice i becomes `slice_of[i]`.
    pub(crate) fn renumber(&mut self, slice_of: &[usize]) {
        let mut moved = Self {
            cells: Vec::new(),
            exemplars: std::mem::take(&mut self.exemplars),
        };
        for (slice, cell) in self.cells.drain(..).enumerate() {
            if let Some(cell) = cell {
                *moved.cell_mut(slice_of[slice]) = *cell;
            }
        }
        *self = moved;
    }
}

/// A group while traces are added to it: sums of the current trace go to the cell when the trace ends.
#[derive(Debug, Default)]
pub(crate) struct OpenGroup {
    pub(crate) group: Group,
    /// The current trace, counted from 1 in its block; 0 for none.
    trace: u32,
    sums: TraceSums,
}

/// A span as groups see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Observation {
    /// The trace, counted from 1 in its block.
    pub(crate) trace: u32,
    pub(crate) slice: u32,
    pub(crate) bucket: i16,
    pub(crate) is_error: bool,
    pub(crate) duration_ns: u64,
    pub(crate) weight: f64,
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
        Self {
            group,
            ..Self::default()
        }
    }

    /// Adds a span. Returns whether the group had none of the current block before.
    #[inline]
    pub(crate) fn add(&mut self, span: &Observation, traces: &[BlockTrace]) -> bool {
        let is_first = self.trace == 0;
        if self.trace != span.trace {
            self.end_trace(traces);
            self.trace = span.trace;
        }
        let sums = &mut self.sums;
        sums.count += span.weight;
        sums.errors += if span.is_error { span.weight } else { 0.0 };
        sums.duration_ns += span.weight * span.duration_ns as f64;
        sums.buckets += span.weight * f64::from(span.bucket);
        sums.longest_ns = sums.longest_ns.max(span.duration_ns);
        let cell = self.group.cell_mut(span.slice as usize);
        cell.add_span(span.duration_ns, span.bucket, span.is_error, span.weight);
        is_first
    }

    /// Moves the sums of the current trace into its cell.
    pub(crate) fn end_trace(&mut self, traces: &[BlockTrace]) {
        if self.trace == 0 {
            return;
        }
        let trace = &traces[self.trace as usize - 1];
        self.group
            .cell_mut(trace.slice as usize)
            .add_trace(&self.sums, trace.weight);
        let exemplar = Exemplar {
            duration_ns: self.sums.longest_ns,
            ..trace.exemplar
        };
        self.group.exemplars.offer(exemplar, self.sums.errors > 0.0);
        self.trace = 0;
        self.sums = TraceSums::default();
    }
}
