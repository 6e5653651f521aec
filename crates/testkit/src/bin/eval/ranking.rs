//! How often the first services of a ranking hold the culprit, beside what simple rankings reach.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use tracediff_core::diff::Diff;
use tracediff_core::facts::Facts;
use tracediff_core::paths::{NodeKind, PathCell};

/// Services, the likeliest first.
type Ranking = Vec<String>;

/// The rankings that are compared: tracediff's, and trivial ones.
const METHODS: [&str; 6] = [
    "**tracediff**",
    "critical path, edges to the callee",
    "gap and exclusive time",
    "exclusive time",
    "mean duration",
    "error count",
];

/// What every method says, in the order of [`METHODS`].
fn rankings(diff: &Diff, sides: &[Facts; 2]) -> [Ranking; 6] {
    let ours = diff.culprits.iter().map(|c| c.service.clone()).collect();
    let by_node = |value: fn(&PathCell) -> f64, edge_to_callee: bool| {
        let changes = sides.each_ref().map(|facts| {
            let mut sums: BTreeMap<String, f64> = BTreeMap::new();
            let requests = facts.paths().requests();
            let weight: f64 = requests.map(|(_, node)| node.total.weight).sum();
            for node in facts.paths().nodes().values() {
                let label = &node.label;
                let owner = match label.kind {
                    NodeKind::Request | NodeKind::Fragment => continue,
                    NodeKind::Edge if edge_to_callee => &label.peer,
                    _ => &label.service,
                };
                *sums.entry(owner.clone()).or_default() += value(&node.total) / weight.max(1.0);
            }
            sums
        });
        ordered(&changes)
    };
    let by_service = |value: fn(&tracediff_core::facts::cell::Cell) -> f64| {
        let changes = sides.each_ref().map(|facts| {
            let key = facts.keys().get("service");
            let groups = key.into_iter().flat_map(|key| &key.groups);
            groups
                .map(|(service, group)| (service.clone(), value(&group.total())))
                .collect()
        });
        ordered(&changes)
    };
    [
        ours,
        by_node(|cell| cell.critical_ns, true),
        by_node(|cell| cell.exclusive_ns, true),
        by_node(|cell| cell.exclusive_ns, false),
        by_service(|cell| cell.weighted_duration_ns / cell.weight.max(1.0)),
        by_service(|cell| cell.error_weight),
    ]
}

/// By how much a value rose, largest first; those that did not rise are not named.
fn ordered(sides: &[BTreeMap<String, f64>; 2]) -> Ranking {
    let [baseline, candidate] = sides;
    let mut rises: Vec<(f64, &String)> = candidate
        .iter()
        .map(|(service, after)| (after - baseline.get(service).unwrap_or(&0.0), service))
        .filter(|(rise, _)| *rise > 0.0)
        .collect();
    rises.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    rises
        .into_iter()
        .map(|(_, service)| service.clone())
        .collect()
}

/// Ranks of the true culprit over many cases.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    cases: u64,
    top: [u64; 3],
    reciprocal: f64,
}

impl Tally {
    fn add(&mut self, ranking: &Ranking, culprit: &str) {
        self.cases += 1;
        let Some(place) = ranking.iter().position(|service| service == culprit) else {
            return;
        };
        for (top, within) in self.top.iter_mut().zip([1, 3, 5]) {
            *top += u64::from(place < within);
        }
        self.reciprocal += 1.0 / (place + 1) as f64;
    }
}

/// Ranks by kind of case and method.
#[derive(Debug, Default)]
pub(crate) struct Ranks {
    tallies: BTreeMap<String, [Tally; 6]>,
}

impl Ranks {
    /// Adds a case whose culprit is known.
    pub(crate) fn add(&mut self, kind: &str, diff: &Diff, sides: &[Facts; 2], culprit: &str) {
        let tallies = self.tallies.entry(kind.to_owned()).or_default();
        for (tally, ranking) in tallies.iter_mut().zip(rankings(diff, sides)) {
            tally.add(&ranking, culprit);
        }
    }

    /// A table of all kinds and methods.
    pub(crate) fn report(&self) -> String {
        let mut out = String::from(
            "| cases | ranking | number | top 1 | top 3 | top 5 | mean reciprocal rank |\n\
             |---|---|---:|---:|---:|---:|---:|\n",
        );
        for (kind, tallies) in &self.tallies {
            for (name, tally) in METHODS.iter().zip(tallies) {
                let n = tally.cases;
                let _ = writeln!(
                    out,
                    "| {kind} | {name} | {n} | {} | {} | {} | {:.2} |",
                    tally.top[0],
                    tally.top[1],
                    tally.top[2],
                    tally.reciprocal / n.max(1) as f64
                );
            }
        }
        out
    }
}
