//! Where failures begin: spans that fail though nothing that they waited for does.

use std::collections::BTreeMap;

use crate::facts::Facts;
use crate::paths::{Label, NodeKind, PathCell};

/// Standard errors and share of calls that a rise must exceed.
const MIN_Z: f64 = 4.0;
const MIN_EFFECT: f64 = 0.005;
const MAX_Z: f64 = 10.0;

/// More failures that begin at one node.
#[derive(Debug, Clone)]
pub(super) struct Failing {
    pub(super) label: Label,
    /// Share of its calls that failed by themselves, before and after.
    pub(super) shares: [f64; 2],
    /// Share of requests that failed with such a failure in them, before and after.
    pub(super) reaching: [f64; 2],
    pub(super) z: f64,
}

impl Failing {
    /// How much it says about its service.
    pub(super) fn strength(&self) -> f64 {
        self.z.min(MAX_Z) * (self.shares[1] - self.shares[0]).sqrt() / 2.0
    }
}

/// Every node's sums, and the weight of all requests.
fn origins(facts: &Facts) -> (BTreeMap<&Label, PathCell>, f64) {
    let mut all: BTreeMap<&Label, PathCell> = BTreeMap::new();
    for node in facts.paths().nodes().values() {
        if !matches!(node.label.kind, NodeKind::Request | NodeKind::Fragment) {
            all.entry(&node.label).or_default().merge(&node.total());
        }
    }
    let requests = facts.paths().requests();
    (all, requests.map(|(_, node)| node.total().weight).sum())
}

/// All nodes at which more failures begin, strongest first.
pub(super) fn rises(baseline: &Facts, candidate: &Facts) -> Vec<Failing> {
    let ((a, requests_a), (b, requests_b)) = (origins(baseline), origins(candidate));
    let none = PathCell::default();
    let mut found: Vec<Failing> = b
        .iter()
        .filter_map(|(label, after)| {
            let before = a.get(label).unwrap_or(&none);
            let share = |cell: &PathCell| {
                if cell.calls > 0.0 {
                    cell.origins / cell.calls
                } else {
                    0.0
                }
            };
            let (n_a, n_b) = (before.spans as f64, after.spans as f64);
            let shares = [share(before), share(after)];
            // A node that is new has nobody to be compared with but itself without failures.
            let n_a = if n_a > 0.0 { n_a } else { n_b };
            let pooled = (n_a * shares[0] + n_b * shares[1]) / (n_a + n_b);
            let error = (pooled * (1.0 - pooled) * (1.0 / n_a + 1.0 / n_b)).sqrt();
            let rise = shares[1] - shares[0];
            let z = if error > 0.0 { rise / error } else { 0.0 };
            (z >= MIN_Z && rise >= MIN_EFFECT).then(|| Failing {
                label: (*label).clone(),
                shares,
                reaching: [
                    before.origins_reaching / requests_a.max(1.0),
                    after.origins_reaching / requests_b.max(1.0),
                ],
                z,
            })
        })
        .collect();
    found.sort_by(|x, y| y.strength().total_cmp(&x.strength()));
    found
}
