//! One side's spans of a group over buckets and slices, as the tests of a distribution need them.

use super::Variance;
use super::time::{clustered_variance, degrees_of_freedom};
use crate::facts::histogram::{
    BUCKETS_PER_OCTAVE, Histogram, ZERO_BUCKET, bucket_of_ns, upper_limit_ns,
};

/// How the spans of a group hang together: what their scatter must be judged by.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Clustering {
    /// (Σw)² / Σw²: the spans that carry as much information.
    pub effective_spans: f64,
    /// How much the scatter between traces exceeds that of independent spans; at least 1.
    pub trace_design_effect: f64,
    /// Traces the group occurs in.
    pub traces: f64,
    /// How much of a slice's level lasts into the next slice, 0–1 (see [`super::time`]).
    pub persistence: f64,
}

/// Weighted counts by bucket, of all slices together and of each.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The bucket of the first count.
    lowest: i16,
    /// By bucket.
    counts: Vec<f64>,
    /// Up to and with each bucket.
    cumulative: Vec<f64>,
    slices: Vec<SliceCounts>,
    clustering: Clustering,
}

/// One slice's counts between its own lowest and highest bucket.
#[derive(Debug, Clone, PartialEq)]
struct SliceCounts {
    /// Place of the slice's lowest bucket among all buckets of the sample.
    first: usize,
    counts: Vec<f64>,
    total: f64,
}

impl Sample {
    /// The sample of the slices in which the group occurs; `None` where it has no spans.
    pub fn new<'a>(
        slices: impl Iterator<Item = &'a Histogram> + Clone,
        clustering: Clustering,
    ) -> Option<Self> {
        let (lowest, mut counts) = no_counts(slices.clone())?;
        let place = |bucket: i16| usize::from((bucket - lowest) as u16);
        let of_slice = |histogram: &Histogram| {
            let first = place(histogram.range()?.0);
            let own: Vec<f64> = histogram.weights().collect();
            let sums = counts[first..].iter_mut();
            sums.zip(&own).for_each(|(sum, count)| *sum += count);
            let total = sum(&own);
            Some(SliceCounts {
                first,
                counts: own,
                total,
            })
        };
        let slices: Vec<SliceCounts> = slices.filter_map(of_slice).collect();
        Self::of_counts(lowest, counts, slices, clustering)
    }

    /// The sample of all slices together, for who asks nothing about slices.
    pub fn pooled<'a>(
        slices: impl Iterator<Item = &'a Histogram> + Clone,
        clustering: Clustering,
    ) -> Option<Self> {
        let (lowest, mut counts) = no_counts(slices.clone())?;
        let place = |bucket: i16| usize::from((bucket - lowest) as u16);
        for histogram in slices {
            if let Some((first, _)) = histogram.range() {
                let sums = counts[place(first)..].iter_mut();
                sums.zip(histogram.weights()).for_each(|(sum, w)| *sum += w);
            }
        }
        Self::of_counts(lowest, counts, Vec::new(), clustering)
    }

    fn of_counts(
        lowest: i16,
        counts: Vec<f64>,
        slices: Vec<SliceCounts>,
        clustering: Clustering,
    ) -> Option<Self> {
        let mut cumulative = counts.clone();
        let mut below = 0.0;
        for count in &mut cumulative {
            below += *count;
            *count = below;
        }
        (below > 0.0).then_some(Self {
            lowest,
            counts,
            cumulative,
            slices,
            clustering,
        })
    }

    /// (Σw)² / Σw²: the spans that carry as much information.
    pub fn effective_spans(&self) -> f64 {
        self.clustering.effective_spans
    }

    /// The share of spans below a value in nanoseconds.
    pub fn share_below(&self, value_ns: f64) -> f64 {
        let bucket = bucket_of_ns(value_ns.max(0.0) as u64);
        let Ok(index) = usize::try_from(i32::from(bucket) - i32::from(self.lowest)) else {
            return 0.0;
        };
        let Some(count) = self.counts.get(index) else {
            return 1.0;
        };
        let (low, high) = (upper_limit_ns(bucket - 1), upper_limit_ns(bucket));
        let inside = if bucket == ZERO_BUCKET {
            0.5
        } else {
            ((value_ns / low).ln() / (high / low).ln()).clamp(0.0, 1.0)
        };
        (self.cumulative[index] - (1.0 - inside) * count) / self.total()
    }

    /// Traces the group occurs in.
    pub fn traces(&self) -> f64 {
        self.clustering.traces
    }

    /// The variance of a mean over spans whose values scatter by `spread` (a variance) and whose slices, taken as
    /// independent, give the variance `by_slice`.
    pub(super) fn variance(&self, spread: f64, by_slice: Option<f64>) -> Variance {
        let Clustering {
            effective_spans,
            trace_design_effect,
            traces,
            persistence,
        } = self.clustering;
        let by_trace = spread * trace_design_effect / (effective_spans - 1.0).max(1.0);
        clustered_variance(by_trace, traces, by_slice, self.slices(), persistence)
    }

    /// Slices in which the group occurs.
    pub fn slices(&self) -> usize {
        self.slices.len()
    }

    /// The independent slices that the slices are worth, which resemble their neighbours.
    pub(super) fn effective_slices(&self) -> f64 {
        1.0 + degrees_of_freedom(self.slices(), self.clustering.persistence)
    }

    /// Weighted spans.
    pub fn total(&self) -> f64 {
        self.cumulative.last().copied().unwrap_or(0.0)
    }

    /// The place of a bucket, counted from the lowest.
    pub(super) fn index_of(&self, bucket: i16) -> usize {
        usize::from((bucket - self.lowest) as u16)
    }

    /// For every bucket of `other`, the share of this sample's spans in lower buckets and half of those in the same.
    pub(super) fn placements(&self, other: &Self) -> Vec<f64> {
        let shift = isize::from(other.lowest) - isize::from(self.lowest);
        let placement = |place: isize| match usize::try_from(place) {
            Err(_) => 0.0,
            Ok(place) if place >= self.counts.len() => 1.0,
            Ok(place) => (self.cumulative[place] - 0.5 * self.counts[place]) / self.total(),
        };
        (shift..).take(other.counts.len()).map(placement).collect()
    }

    /// The mean over spans of a value that is given by bucket.
    pub(super) fn mean(&self, values: &[f64]) -> f64 {
        dot(&self.counts, values) / self.total()
    }

    /// For every slice the sum over its spans of a value that is given by bucket.
    pub(super) fn slice_sums<'a>(&'a self, values: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
        self.slices.iter().map(|slice| {
            let own = slice.first..slice.first + slice.counts.len();
            dot(&slice.counts, &values[own])
        })
    }

    /// For every slice its weighted spans below the point `inside` (0–1) of bucket `index`, and all its weighted spans.
    pub(super) fn slices_below(
        &self,
        index: usize,
        inside: f64,
    ) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.slices.iter().map(move |slice| {
            let Some(own) = index.checked_sub(slice.first) else {
                return (0.0, slice.total);
            };
            let Some(here) = slice.counts.get(own) else {
                return (slice.total, slice.total);
            };
            let before = sum(&slice.counts[..own]);
            (before + inside * here, slice.total)
        })
    }

    /// The lowest bucket up to which at least the share `p` lies.
    pub fn bucket_at(&self, p: f64) -> i16 {
        self.lowest + self.place_of(p).0 as i16
    }

    /// The bucket in which the share `p` is reached, counted from the lowest, and how far into it (0–1).
    pub(super) fn place_of(&self, p: f64) -> (usize, f64) {
        let wanted = p * self.total() * (1.0 - 1e-12);
        let index = self
            .cumulative
            .partition_point(|c| *c < wanted)
            .min(self.counts.len() - 1);
        let before = if index == 0 {
            0.0
        } else {
            self.cumulative[index - 1]
        };
        let inside = (p * self.total() - before) / self.counts[index];
        (index, inside.clamp(0.0, 1.0))
    }

    /// The value below which the share `p` lies, in nanoseconds, by interpolating ln(value) inside the bucket.
    pub fn value_at(&self, p: f64) -> f64 {
        let (index, inside) = self.place_of(p);
        let bucket = self.lowest + index as i16;
        if bucket == ZERO_BUCKET {
            return 0.0;
        }
        upper_limit_ns(bucket - 1) * (inside / f64::from(BUCKETS_PER_OCTAVE)).exp2()
    }
}

/// The lowest bucket of some histograms, and a 0 for every bucket from there to the highest; `None` where all are empty.
fn no_counts<'a>(histograms: impl Iterator<Item = &'a Histogram>) -> Option<(i16, Vec<f64>)> {
    let (lowest, highest) = histograms
        .filter_map(Histogram::range)
        .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
    let buckets = usize::from((highest - lowest) as u16) + 1;
    Some((lowest, vec![0.0; buckets]))
}

/// Lanes that sums are kept in, so that a processor can add them side by side.
const LANES: usize = 8;

fn sum(values: &[f64]) -> f64 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, v)| *lane += v);
    }
    lanes.iter().chain(rest).sum()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut lanes = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        let products = a.iter().zip(b).map(|(a, b)| a * b);
        lanes
            .iter_mut()
            .zip(products)
            .for_each(|(lane, v)| *lane += v);
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f64>() + rest
}
