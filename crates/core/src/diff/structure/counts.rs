//! Calls that both sides make, and make more or fewer times, or no longer side by side.

use super::Change;
use super::document::StructureKind;
use crate::diff::paths::{PathAt, Paths};
use crate::paths::{Label, NodeKind, PathCell, PathNode, PathSum};
use crate::stats::distribution::normal_two_sided;
use crate::stats::fdr::benjamini_hochberg;
use crate::stats::ratio::{Ratio, SliceSums};
use crate::stats::strata::{StrataTest, Stratum};
use crate::stats::{MIN_SLICES, Test, Variance};

/// Traces with the path that either side needs.
const MIN_TRACES: u64 = 20;
/// False discovery rate among all paths.
const MAX_Q: f64 = 0.01;
/// Times by which a call must be made more often to be told.
const MIN_FACTOR: f64 = 1.2;
/// Times by which it must be made more often to be made once for each item.
const EACH_ITEM: f64 = 2.0;
/// The share of the added calls that must fail for them to be retries.
const FAILING: f64 = 0.5;
/// Children that run at the same time in a smaller share of the calls than this run one after the other.
const SEQUENTIAL: f64 = 0.2;
/// Standard errors and share by which running side by side must change.
const MIN_Z: f64 = 5.0;
const MIN_EFFECT: f64 = 0.25;

/// All changes of paths that both sides have.
pub(super) fn changes(paths: &Paths<'_>) -> Vec<Change> {
    let mut found = Vec::new();
    let mut counted: Vec<(Change, f64)> = Vec::new();
    let mut tests = 0;
    for [before, after] in paths.pairs() {
        let cells = [&before.node.total, &after.node.total];
        if cells.iter().any(|c| c.traces < MIN_TRACES) {
            continue;
        }
        if after.kind == NodeKind::Work {
            found.extend(side_by_side(after.node, cells));
        }
        let parent = paths.parent(1, after);
        if let Some(parent) = parent.filter(|p| p.kind == NodeKind::Work) {
            tests += 1;
            counted.extend(times([before, after], parent));
        }
    }
    // Every path was looked at, so every path counts as a test.
    let mut p_values: Vec<f64> = counted.iter().map(|(_, p)| *p).collect();
    p_values.resize(tests, 1.0);
    let q_values = benjamini_hochberg(&p_values);
    let sure = counted.into_iter().zip(q_values);
    let sure = sure.filter(|(_, q)| *q <= MAX_Q);
    found.extend(sure.map(|((change, _), _)| change));
    found
}

/// Whether children that ran at the same time now run one after the other, or the reverse.
fn side_by_side(node: &PathNode, cells: [&PathCell; 2]) -> Option<Change> {
    let share = |c: &PathCell| (c.branching > 0.0).then(|| c.overlapping / c.branching);
    let shares = [share(cells[0])?, share(cells[1])?];
    // Traces are what is independent; those in which the work branches.
    let n = cells.map(|c| c.traces as f64 * (c.branching / c.calls).min(1.0));
    let test = StrataTest::new(&[Stratum { n, share: shares }])?;
    if test.z.abs() < MIN_Z || test.effect.abs() < MIN_EFFECT {
        return None;
    }
    Some(Change {
        kind: if test.effect < 0.0 {
            StructureKind::SerialForParallel
        } else {
            StructureKind::ParallelForSerial
        },
        parent: Label::clone(&node.label),
        child: None,
        other: None,
        values: shares,
        p: Some(normal_two_sided(test.z)),
    })
}

/// Calls per call of the parent that makes any.
fn times(paths: [&PathAt<'_>; 2], parent: &PathAt<'_>) -> Option<(Change, f64)> {
    let nodes = paths.map(|path| path.node);
    let cells = paths.map(|path| &path.node.total);
    let per_present = |c: &PathCell| (c.present > 0.0).then(|| c.calls / c.present);
    let values = [per_present(cells[0])?, per_present(cells[1])?];
    let factor = values[1] / values[0];
    if factor.max(1.0 / factor) < MIN_FACTOR {
        return None;
    }
    let p = p_of_change(nodes, values)?;
    let kind = if factor < 1.0 {
        StructureKind::FewerTimes
    } else {
        let failing = cells.map(|c| c.errors / c.present);
        let above = &parent.node.total;
        let is_sequential = nodes[1].is_awaited
            && above.branching > 0.0
            && above.overlapping < SEQUENTIAL * above.branching;
        if failing[1] - failing[0] >= FAILING * (values[1] - values[0]) {
            StructureKind::Retries
        } else if is_sequential && factor >= EACH_ITEM {
            StructureKind::NPlusOne
        } else {
            StructureKind::Repeated
        }
    };
    let change = Change {
        kind,
        parent: Label::clone(&parent.node.label),
        child: Some(Label::clone(&nodes[1].label)),
        other: None,
        values,
        p: Some(p),
    };
    Some((change, p))
}

/// The t-test of the logarithm with slices as what is independent; `None` with too few of them.
fn p_of_change(nodes: [&PathNode; 2], values: [f64; 2]) -> Option<f64> {
    let mut variances = [Variance {
        value: 0.0,
        degrees_of_freedom: 1.0,
    }; 2];
    for side in [0, 1] {
        let of_path = &nodes[side].slices;
        let [traces, present, calls] =
            [PathSum::Traces, PathSum::Present, PathSum::Calls].map(|sum| of_path.series(sum));
        let slices = (0..of_path.numbers().len()).map(|slice| SliceSums {
            traces: traces[slice],
            x: present[slice],
            y: calls[slice],
            ..SliceSums::default()
        });
        let ratio = Ratio::estimate(slices)?;
        if ratio.slices < MIN_SLICES {
            return None;
        }
        variances[side] = Variance {
            value: ratio.slice_variance? / (values[side] * values[side]),
            degrees_of_freedom: ratio.slices as f64 - 1.0,
        };
    }
    let test = Test::welch((values[1] / values[0]).ln(), variances[0], variances[1]);
    // Without any spread nothing could be surer.
    Some(if test.p.is_nan() { 0.0 } else { test.p })
}
