//! What every service added to the mean request, at least.

use std::collections::BTreeMap;

use super::ledger::Entry;
use super::owner::Owners;
use crate::paths::Label;

/// What a service added to requests, at least.
#[derive(Debug, Default)]
pub(super) struct Added<'a> {
    /// Sum of the lower bounds of the nodes that grew, in nanoseconds.
    least_ns: f64,
    /// Sum over all its nodes, those that shrank too.
    net_ns: f64,
    /// Variance of that, nodes taken as independent.
    net_variance: f64,
    pub(super) most: Option<(f64, &'a Label)>,
}

impl Added<'_> {
    /// What moved from one node of the service to another is no growth.
    pub(super) fn value_ns(&self, z: f64) -> f64 {
        let net_ns = self.net_ns - z * self.net_variance.sqrt();
        self.least_ns.min(net_ns).max(0.0)
    }
}

/// What every service added.
pub(super) fn added<'a>(
    entries: &'a [Entry<'_>],
    owners: &'a Owners,
    z: f64,
) -> BTreeMap<&'a str, Added<'a>> {
    let mut all: BTreeMap<&str, Added<'a>> = BTreeMap::new();
    for entry in entries {
        let change = entry.change.difference;
        let least = change - z * entry.change.standard_error;
        for (owner, part_ns) in owners.parts(entry) {
            let added = all.entry(owner).or_default();
            added.net_ns += part_ns;
            let part = if change == 0.0 { 0.0 } else { part_ns / change };
            added.net_variance += (part.clamp(-1.0, 1.0) * entry.change.standard_error).powi(2);
            if least > 0.0 && part_ns > 0.0 {
                let least_ns = least * (part_ns / change).min(1.0);
                added.least_ns += least_ns;
                if added.most.is_none_or(|(most, _)| least_ns > most) {
                    added.most = Some((least_ns, entry.label));
                }
            }
        }
    }
    all
}
