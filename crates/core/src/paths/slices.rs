//! What a path has in every slice.

use super::tree::PathCell;
use serde::{Deserialize, Serialize};

/// What is kept by slice; each is the field of [`PathCell`] with that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathSum {
    /// Raw traces.
    Traces,
    /// Raw traces with a span that failed by itself.
    FailingTraces,
    /// Weight of the traces.
    Weight,
    /// Calls.
    Calls,
    /// Calls of the parent with a child here.
    Present,
    /// Calls without a child.
    Childless,
    /// Failed calls.
    Errors,
    /// Exclusive time, in nanoseconds.
    ExclusiveNs,
    /// Time on the critical path, in nanoseconds.
    CriticalNs,
    /// Duration, in nanoseconds.
    DurationNs,
}

const SUMS: usize = 10;

/// The sums of one path in the slices that have it. Each sum is a series of its own, since who reads one for thousands
/// of paths needs no other.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PathSlices {
    numbers: Vec<u32>,
    /// All series, one after the other.
    values: Vec<f64>,
}

impl PathSlices {
    /// From cells by slice, in order.
    pub(super) fn of(cells: &[(u32, PathCell)]) -> Self {
        let rows: Vec<[f64; SUMS]> = cells.iter().map(|(_, cell)| sums(cell)).collect();
        let values = (0..SUMS).flat_map(|sum| rows.iter().map(move |row| row[sum]));
        Self {
            numbers: cells.iter().map(|(slice, _)| *slice).collect(),
            values: values.collect(),
        }
    }

    /// Whether there is a value of every sum for every slice.
    pub(super) fn is_whole(&self) -> bool {
        self.values.len() == self.numbers.len() * SUMS
    }

    /// The numbers of the slices, in order.
    pub fn numbers(&self) -> &[u32] {
        &self.numbers
    }

    /// A sum in each of those slices.
    pub fn series(&self, sum: PathSum) -> &[f64] {
        let slices = self.numbers.len();
        &self.values[sum as usize * slices..][..slices]
    }

    /// A sum by number of the slice.
    pub fn each(&self, sum: PathSum) -> impl Iterator<Item = (usize, f64)> {
        let numbers = self.numbers.iter().map(|slice| *slice as usize);
        numbers.zip(self.series(sum).iter().copied())
    }

    /// Adds those of another path whose slice i is this one's slice `slice_of[i]`, in the same order.
    pub(super) fn merge(&mut self, other: &Self, slice_of: &[usize]) {
        let theirs: Vec<u32> = renumbered(&other.numbers, slice_of);
        let mut numbers = [&self.numbers[..], &theirs[..]].concat();
        numbers.sort_unstable();
        numbers.dedup();
        let mut values = vec![0.0; numbers.len() * SUMS];
        for (part, of_part) in [(&*self, &self.numbers), (other, &theirs)] {
            let slices = of_part.len();
            for (i, slice) in of_part.iter().enumerate() {
                let place = numbers.partition_point(|number| number < slice);
                for sum in 0..SUMS {
                    values[sum * numbers.len() + place] += part.values[sum * slices + i];
                }
            }
        }
        *self = Self { numbers, values };
    }

    /// Renumbers slices: slice i becomes `slice_of[i]`, which must keep their order.
    pub(super) fn renumber(&mut self, slice_of: &[usize]) {
        self.numbers = renumbered(&self.numbers, slice_of);
    }
}

fn renumbered(numbers: &[u32], slice_of: &[usize]) -> Vec<u32> {
    let new = |number: &u32| slice_of[*number as usize] as u32;
    numbers.iter().map(new).collect()
}

/// In the order of [`PathSum`].
fn sums(cell: &PathCell) -> [f64; SUMS] {
    [
        cell.traces as f64,
        cell.failing_traces as f64,
        cell.weight,
        cell.calls,
        cell.present,
        cell.childless,
        cell.errors,
        cell.exclusive_ns,
        cell.critical_ns,
        cell.duration_ns,
    ]
}
