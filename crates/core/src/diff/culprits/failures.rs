//! Where failures begin: spans that fail though nothing that they waited for does.

use std::collections::BTreeMap;

use super::document::FailureRise;
use super::structure::Replaced;
use crate::diff::paths::Paths;
use crate::paths::{Label, PathCell};
use crate::stats::distribution::normal_quantile;
use crate::stats::fdr::benjamini_hochberg;
use crate::stats::proportion::fisher_mid_p;

/// Share of traces by which failures must rise.
const MIN_EFFECT: f64 = 0.005;
/// False discovery rate among all nodes.
const MAX_Q: f64 = 0.05;
/// More standard errors than this count as this many.
const MAX_Z: f64 = 10.0;

/// More failures that begin at one node.
#[derive(Debug, Clone)]
pub(super) struct Failing {
    pub(super) label: Label,
    /// Share of the traces with the node in which it failed by itself, before and after.
    pub(super) shares: [f64; 2],
    /// Share of requests that failed because of it, before and after.
    pub(super) reaching: [f64; 2],
    p: f64,
    q: f64,
}

impl Failing {
    /// How much it says about its service.
    pub(super) fn strength(&self) -> f64 {
        // What a normal variable would have to be for that p.
        let z = -normal_quantile((self.p / 2.0).max(1e-30));
        z.min(MAX_Z) * (self.shares[1] - self.shares[0]).sqrt() / 2.0
    }
}

impl Failing {
    pub(super) fn rise(&self) -> FailureRise {
        FailureRise {
            node: self.label.clone(),
            ratio: self.shares.into(),
            reaching_ratio: self.reaching.into(),
            q: self.q,
        }
    }
}

/// Every label's sums on one side, and the weight of all its requests.
fn origins(paths: &Paths<'_>, side: usize) -> (Vec<Option<PathCell>>, f64) {
    let mut all: Vec<Option<PathCell>> = vec![None; paths.labels.len()];
    let mut requests = 0.0;
    for path in &paths.sides[side] {
        if path.is_inside() {
            all[path.label as usize]
                .get_or_insert_default()
                .merge(&path.node.total);
        } else if path.is_request() {
            requests += path.node.total.weight;
        }
    }
    (all, requests)
}

/// All nodes at which more failures begin, strongest first.
/// A node that took the place of another is passed over: how often the other failed is not told by its own spans.
pub(super) fn rises(paths: &Paths<'_>, replaced: &Replaced) -> Vec<Failing> {
    let ((a, requests_a), (b, requests_b)) = (origins(paths, 0), origins(paths, 1));
    let none = PathCell::default();
    let mut by_service: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (label, cell) in paths.labels.iter().zip(&a) {
        if let Some(cell) = cell {
            let sums = by_service.entry(&label.service).or_default();
            sums.0 += cell.failing_traces;
            sums.1 += cell.traces;
        }
    }
    let rise = |label: &Label, before: Option<&PathCell>, after: &PathCell| {
        let before = before.unwrap_or(&none);
        // Traces are what is independent: a failing call is often tried again.
        let (x_a, n_a) = (before.failing_traces, before.traces);
        let (x_b, n_b) = (after.failing_traces, after.traces);
        // A node that is new is compared with what its service did before: it may have another name only. Without
        // that, with itself without failures.
        let (x_a, n_a) = match (n_a, by_service.get(label.service.as_str())) {
            (0, Some(before)) => *before,
            (0, None) => (0, n_b),
            _ => (x_a, n_a),
        };
        let shares = [x_a as f64 / n_a as f64, x_b as f64 / n_b as f64];
        let is_more = shares[1] - shares[0] >= MIN_EFFECT && !replaced.contains_key(label);
        is_more.then(|| Failing {
            label: label.clone(),
            shares,
            reaching: [
                before.origins_reaching / requests_a.max(1.0),
                after.origins_reaching / requests_b.max(1.0),
            ],
            p: fisher_mid_p(x_a, n_a, x_b, n_b),
            q: 1.0,
        })
    };
    let nodes = || paths.labels.iter().zip(a.iter().zip(&b));
    let mut found: Vec<Failing> = nodes()
        .filter_map(|(label, (before, after))| rise(label, before.as_ref(), after.as_ref()?))
        .collect();
    // Every node was looked at, so every node counts as a test.
    let tests = b.iter().flatten().count();
    let mut p_values: Vec<f64> = found.iter().map(|f| f.p).collect();
    p_values.resize(tests, 1.0);
    let q_values = benjamini_hochberg(&p_values);
    found.iter_mut().zip(q_values).for_each(|(f, q)| f.q = q);
    found.retain(|f| f.q <= MAX_Q);
    found.sort_by(|x, y| y.strength().total_cmp(&x.strength()));
    found
}
