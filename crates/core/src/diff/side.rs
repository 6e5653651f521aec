//! One group of one side, prepared for the tests: totals, distribution and clustered ratios.

use std::collections::BTreeMap;

use super::document::{ExemplarIds, GroupSummary, QuantileSummary};
use crate::facts::cell::Cell;
use crate::facts::histogram::Histogram;
use crate::facts::{Exemplar, Facts, Group, KeyRole};
use crate::stats::moderation::Scatter;
use crate::stats::quantile::{Quantile, quantile};
use crate::stats::rate::{self, Rate};
use crate::stats::ratio::{Ratio, SliceSums};
use crate::stats::time::Persistence;
use crate::stats::{Clustering, Sample, Variance, proportion};

/// The quantiles that are reported: name, share, and the traces they need.
const QUANTILES: [(&str, f64, f64); 4] = [
    ("p50", 0.5, 2.0),
    ("p90", 0.9, 50.0),
    ("p95", 0.95, 100.0),
    ("p99", 0.99, 2_000.0),
];

/// Quantiles by name.
pub(super) type Quantiles = BTreeMap<&'static str, Quantile>;

/// One side's facts, and how much of a slice's level lasts into the next slice.
#[derive(Clone, Copy)]
pub(super) struct SideFacts<'a> {
    pub(super) facts: &'a Facts,
    pub(super) persistence: f64,
    pub(super) scatters: Scatters,
}

/// How slices scatter, over all groups of both sides.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scatters {
    /// In calls per trace, of services and operations.
    calls: Scatter,
    /// In error ratios, of all values whose error ratios are tested by slices.
    errors: Scatter,
}

/// A group of one side.
pub(super) struct Side<'a> {
    facts: &'a Facts,
    group: &'a Group,
    /// Sums over all slices; without a histogram.
    pub(super) total: Cell,
    pub(super) slices: usize,
    /// How much of a slice's level lasts into the next slice.
    pub(super) persistence: f64,
    scatters: Scatters,
}

impl<'a> Side<'a> {
    pub(super) fn new(side: &SideFacts<'a>, group: &'a Group) -> Self {
        let SideFacts {
            facts,
            persistence,
            scatters,
        } = *side;
        Self {
            facts,
            group,
            total: group.total_sums(),
            slices: group.cells().count(),
            persistence,
            scatters,
        }
    }

    /// (Σw)² / Σw².
    pub(super) fn effective_spans(&self) -> f64 {
        if self.total.weight_squared == 0.0 {
            0.0
        } else {
            self.total.weight * self.total.weight / self.total.weight_squared
        }
    }

    /// Durations by slice, with what clustering does to them; `None` where the group has no spans.
    pub(super) fn sample(&self) -> Option<Sample> {
        Sample::new(self.histograms(), self.clustering())
    }

    /// The same of all slices together.
    pub(super) fn pooled_sample(&self) -> Option<Sample> {
        Sample::pooled(self.histograms(), self.clustering())
    }

    fn histograms(&self) -> impl Iterator<Item = &'a Histogram> + Clone + use<'a> {
        self.group.cells().map(|(_, cell)| &cell.histogram)
    }

    fn clustering(&self) -> Clustering {
        Clustering {
            effective_spans: self.effective_spans(),
            trace_design_effect: self.trace_design_effect(),
            traces: self.total.traces as f64,
            persistence: self.persistence,
        }
    }

    /// How much the variance of the mean log-duration grows because spans of one trace are alike; at least 1.
    fn trace_design_effect(&self) -> f64 {
        let Some(ratio) = Ratio::estimate(std::iter::once(self.total.bucket_sums())) else {
            return 1.0;
        };
        let spread =
            self.total.moments.bucket_squared / self.total.weight - ratio.value * ratio.value;
        let independent = spread / (self.effective_spans() - 1.0).max(1.0);
        if independent > 0.0 && ratio.trace_variance.is_finite() {
            (ratio.trace_variance / independent).max(1.0)
        } else {
            1.0
        }
    }

    pub(super) fn ratio(&self, sums: impl Fn(&Cell) -> SliceSums + Clone) -> Option<Ratio> {
        Ratio::estimate(self.group.cells().map(move |(_, cell)| sums(cell)))
    }

    /// Spans per trace, over all traces of the side, those without the group too.
    pub(super) fn calls_per_trace(&self) -> Option<Ratio> {
        calls_per_trace(self.facts, self.group)
    }

    /// The variance of [`Self::calls_per_trace`]. How often a request calls something does not follow the load, whose
    /// persistence is estimated from latency.
    pub(super) fn calls_variance(&self, calls: &Ratio) -> Variance {
        self.scatters.calls.variance(
            calls.trace_variance,
            calls.traces,
            calls.slice_variance,
            calls.slices,
            0.0,
        )
    }

    /// Failed spans over spans.
    pub(super) fn errors(&self) -> Option<Ratio> {
        self.ratio(Cell::error_sums)
    }

    /// The variance of [`Self::errors`].
    pub(super) fn errors_variance(&self, errors: &Ratio) -> Variance {
        self.scatters.errors.variance(
            errors.trace_variance,
            errors.traces,
            errors.slice_variance,
            errors.slices,
            self.persistence,
        )
    }

    /// Failed or sound spans, whichever are fewer: both must be many for a normal approximation.
    pub(super) fn failures(&self) -> u64 {
        self.total.errors.min(self.total.spans - self.total.errors)
    }

    /// Spans per second.
    pub(super) fn rate(&self) -> Option<Rate> {
        let windows = self.facts.slicing().slices();
        let mut slices: Vec<(f64, f64, f64, f64)> = windows
            .iter()
            .map(|w| (0.0, 0.0, 0.0, w.seconds()))
            .collect();
        for (slice, cell) in self.group.cells() {
            let seconds = slices[slice].3;
            slices[slice] = (cell.spans as f64, cell.weight, cell.weight_squared, seconds);
        }
        rate::estimate(&slices)
    }

    pub(super) fn error_ratio(&self) -> f64 {
        if self.total.weight > 0.0 {
            self.total.error_weight / self.total.weight
        } else {
            0.0
        }
    }

    pub(super) fn mean_ns(&self) -> f64 {
        if self.total.weight > 0.0 {
            self.total.weighted_duration_ns / self.total.weight
        } else {
            0.0
        }
    }

    pub(super) fn summary(&self, quantiles: &Quantiles) -> GroupSummary {
        let total = &self.total;
        let effective_spans = self.effective_spans();
        let error_ratio = self.error_ratio();
        let median_ns = quantiles.get("p50").map_or(0.0, |q| q.value_ns);
        let summary = |quantile: &Quantile| QuantileSummary {
            value_ns: quantile.value_ns,
            interval_ns: quantile.interval_ns,
        };
        let seconds = self.facts.slicing().seconds();
        GroupSummary {
            spans: total.spans,
            errors: total.errors,
            traces: total.traces,
            slices: self.slices,
            weighted_spans: total.weight,
            effective_spans,
            error_ratio,
            error_interval: proportion::wilson(error_ratio * effective_spans, effective_spans),
            mean_ns: self.mean_ns(),
            duration_sum_ns: total.duration_ns,
            quantiles: quantiles
                .iter()
                .map(|(name, q)| (*name, summary(q)))
                .collect(),
            per_second: if seconds > 0.0 {
                total.weight / seconds
            } else {
                0.0
            },
            exemplars: self.exemplars(median_ns),
        }
    }

    /// The quantiles for which the group has enough traces.
    pub(super) fn quantiles(&self, sample: Option<&Sample>) -> Quantiles {
        let Some(sample) = sample else {
            return Quantiles::new();
        };
        let traces = (self.total.traces as f64).min(self.effective_spans());
        let enough = QUANTILES
            .into_iter()
            .filter(|(_, _, needed)| traces >= *needed);
        enough
            .map(|(name, share, _)| (name, quantile(sample, share)))
            .collect()
    }

    fn exemplars(&self, median_ns: f64) -> ExemplarIds {
        let ids = |list: &[Exemplar]| list.iter().map(|e| e.trace_id.to_string()).collect();
        let exemplars = &self.group.exemplars;
        ExemplarIds {
            slowest: ids(exemplars.slowest()),
            failed: ids(exemplars.failed()),
            typical: ids(&exemplars.typical(median_ns)),
        }
    }
}

/// How much of a slice's latency level lasts into the next slice, from all services and operations of both sides: a
/// property of the system, and too noisy to be read off one group or one window.
pub(super) fn persistence(baseline: &Facts, candidate: &Facts) -> f64 {
    // Each side by itself first: then the sum does not depend on which side is which.
    of_side(baseline).joined(of_side(candidate)).estimate()
}

fn of_side(facts: &Facts) -> Persistence {
    let mut persistence = Persistence::default();
    let slices = facts.slicing().slices();
    // A gap between ranges parts neighbours: one empty place for each slice, one more after the end of a range.
    let mut places = Vec::with_capacity(slices.len());
    let mut place = 0;
    for (i, slice) in slices.iter().enumerate() {
        places.push(place);
        let touches_next = slices
            .get(i + 1)
            .is_some_and(|next| next.from_ns() == slice.to_ns());
        place += if touches_next { 1 } else { 2 };
    }
    let keys = facts
        .keys()
        .values()
        .filter(|key| key.role != KeyRole::Scanned);
    for group in keys.flat_map(|key| key.groups.values()) {
        let sums = group.cells().map(|(_, cell)| cell.bucket_sums());
        let Some(ratio) = Ratio::estimate(sums) else {
            continue;
        };
        if !ratio.trace_variance.is_finite() {
            continue;
        }
        let mut deviations = vec![None; place];
        let mut weight = 0.0;
        for (slice, cell) in group.cells() {
            let sums = cell.bucket_sums();
            weight += sums.x;
            deviations[places[slice]] = Some(sums.y - ratio.value * sums.x);
        }
        let m = ratio.slices as f64;
        persistence.add(
            &deviations,
            ratio.trace_variance * weight * weight * (m - 1.0) / m,
        );
    }
    persistence
}

fn calls_per_trace(facts: &Facts, group: &Group) -> Option<Ratio> {
    let empty = Cell::default();
    let mut cells = vec![&empty; facts.slice_traces().len()];
    group.cells().for_each(|(slice, cell)| cells[slice] = cell);
    let slices = facts
        .slice_traces()
        .iter()
        .zip(cells)
        .filter(|(slice, _)| slice.traces > 0);
    Ratio::estimate(slices.map(|(slice, cell)| SliceSums {
        traces: slice.traces as f64,
        x: slice.weight,
        y: cell.weight,
        xx: slice.weight_squared,
        xy: cell.moments.ct,
        yy: cell.moments.cc,
    }))
}

/// Failures with which a group says something of how errors scatter between slices.
const MIN_FAILURES: u64 = 5;

impl Scatters {
    /// From all groups of both sides.
    pub(super) fn estimate(baseline: &Facts, candidate: &Facts) -> Self {
        let (mut calls, mut errors) = (Vec::new(), Vec::new());
        for facts in [baseline, candidate] {
            for key in facts.keys().values() {
                for group in key.groups.values() {
                    errors.extend(errors_scatter(group));
                    if key.role == KeyRole::GroupBy {
                        let ratio = calls_per_trace(facts, group);
                        calls.extend(ratio.as_ref().and_then(scatter_of));
                    }
                }
            }
        }
        let [calls, errors] = [calls, errors].map(|mut ratios| {
            // In order of size, so that the sum does not depend on which side is which.
            ratios.sort_by(|a: &(f64, usize), b| a.0.total_cmp(&b.0));
            Scatter::estimate(&ratios)
        });
        Self { calls, errors }
    }
}

fn errors_scatter(group: &Group) -> Option<(f64, usize)> {
    let (errors, spans) = group.cells().fold((0, 0), |(errors, spans), (_, cell)| {
        (errors + cell.errors, spans + cell.spans)
    });
    if errors.min(spans - errors) < MIN_FAILURES {
        return None;
    }
    let sums = group.cells().map(|(_, cell)| cell.error_sums());
    scatter_of(&Ratio::estimate(sums)?)
}

/// The variance by slices over that by traces, and the number of slices.
fn scatter_of(ratio: &Ratio) -> Option<(f64, usize)> {
    Some((ratio.slice_variance? / ratio.trace_variance, ratio.slices))
}
