//! How what a culprit did went on over time: whether it is over, and whether another's goes the same way.

use std::collections::BTreeMap;

use super::document::Culprit;
use crate::facts::Facts;
use crate::paths::{Label, NodeKind, PathNode, PathSum};

/// Slices that the candidate needs to tell a course.
const MIN_SLICES: usize = 6;
/// What is left of a change at most, in the last third, where it is over.
const LEFT: f64 = 0.25;
/// Correlation from which two courses are one.
const SAME: f64 = 0.95;

/// What is measured of a culprit in every slice.
enum Measure<'a> {
    /// Time on the critical path per request.
    Time(&'a Label),
    /// Traces in which it fails by itself, per request.
    Failures(&'a Label),
    /// Calls with the child per call of the parent; without any child.
    Branch(&'a Label, Option<&'a Label>),
}

/// Notes which culprits' changes are over, and which go the way of a stronger one that they call or are called by.
pub(super) fn note(culprits: &mut [Culprit], baseline: &Facts, candidate: &Facts) {
    let courses: Vec<Option<Vec<f64>>> = culprits
        .iter()
        .map(|culprit| course(candidate, &measure(culprit)?))
        .collect();
    for place in 0..culprits.len() {
        let Some(course) = &courses[place] else {
            continue;
        };
        let before = measure(&culprits[place]).and_then(|m| self::course(baseline, &m));
        culprits[place].is_over = before.is_some_and(|before| is_over(&before, course));
        let stronger = (0..place).find(|other| {
            let other_course = courses[*other].as_ref();
            is_neighbour(
                baseline,
                &culprits[*other].service,
                &culprits[place].service,
            ) && other_course.is_some_and(|c| correlation(c, course) > SAME)
        });
        culprits[place].same_course_as = stronger.map(|other| culprits[other].service.clone());
    }
}

fn measure(culprit: &Culprit) -> Option<Measure<'_>> {
    let evidence = &culprit.evidence;
    let slower = evidence.slowness + evidence.share;
    if let Some(rise) = culprit.failures.first()
        && evidence.failures >= slower.max(evidence.structure)
    {
        return Some(Measure::Failures(&rise.node));
    }
    if let Some(branch) = culprit.branches.first()
        && evidence.structure >= slower
    {
        return Some(Measure::Branch(&branch.parent, branch.child.as_ref()));
    }
    let grew = culprit.ledger.iter().find(|e| e.difference_ns > 0.0)?;
    Some(Measure::Time(&grew.node))
}

/// The measure in every slice that has requests; `None` with too few of them.
fn course(facts: &Facts, measure: &Measure<'_>) -> Option<Vec<f64>> {
    let tree = facts.paths();
    let mut sums: BTreeMap<usize, [f64; 2]> = BTreeMap::new();
    let mut add = |node: &PathNode, side: usize, sum: PathSum| {
        for (slice, value) in node.slices.each(sum) {
            sums.entry(slice).or_default()[side] += value;
        }
    };
    for node in tree.nodes().values() {
        let is_request = node.label.kind == NodeKind::Request;
        match measure {
            Measure::Time(_) if is_request => add(node, 1, PathSum::Weight),
            Measure::Failures(_) if is_request => add(node, 1, PathSum::Traces),
            Measure::Time(label) if node.label.is_same_call(label) => {
                add(node, 0, PathSum::CriticalNs);
            }
            Measure::Failures(label) if node.label.is_same_call(label) => {
                add(node, 0, PathSum::FailingTraces);
            }
            Measure::Branch(parent, child) => {
                if node.label.is_same_call(parent) {
                    add(node, 1, PathSum::Calls);
                    if child.is_none() {
                        add(node, 0, PathSum::Childless);
                    }
                }
                let above = node.parent.and_then(|p| tree.nodes().get(&p));
                let is_child = child.is_some_and(|c| node.label.is_same_call(c));
                if is_child && above.is_some_and(|p| p.label.is_same_call(parent)) {
                    add(node, 0, PathSum::Present);
                }
            }
            _ => {}
        }
    }
    let course = sums.values().filter(|s| s[1] > 0.0).map(|s| s[0] / s[1]);
    let course: Vec<f64> = course.collect();
    (course.len() >= MIN_SLICES).then_some(course)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Whether the last third is back where the baseline was.
fn is_over(before: &[f64], after: &[f64]) -> bool {
    let (first, last) = after.split_at(after.len() - after.len() / 3);
    let usual = mean(before);
    let spread = mean(
        &before
            .iter()
            .map(|x| (x - usual).powi(2))
            .collect::<Vec<_>>(),
    )
    .sqrt();
    let (change, left) = (mean(first) - usual, mean(last) - usual);
    // The change may be a rise or a fall; its worst slice shows what there was, even where it was short.
    let peak =
        first.iter().map(|x| x - usual).fold(
            0.0,
            |most: f64, x| {
                if x.abs() > most.abs() { x } else { most }
            },
        );
    peak.abs() > 3.0 * spread && change.abs() > spread && left.abs() <= LEFT * change.abs()
}

fn is_neighbour(facts: &Facts, x: &str, y: &str) -> bool {
    facts.calls().keys().any(|label| {
        label.kind == NodeKind::Edge
            && ((label.service == x && label.peer == y) || (label.service == y && label.peer == x))
    })
}

fn correlation(x: &[f64], y: &[f64]) -> f64 {
    if x.len() != y.len() {
        return 0.0;
    }
    let (mean_x, mean_y) = (mean(x), mean(y));
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        xy += (x - mean_x) * (y - mean_y);
        xx += (x - mean_x).powi(2);
        yy += (y - mean_y).powi(2);
    }
    if xx > 0.0 && yy > 0.0 {
        xy / (xx * yy).sqrt()
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_back_is_over() {
        let before = [10.0, 11.0, 9.0, 10.0, 10.5, 9.5];
        assert!(is_over(&before, &[10.0, 40.0, 42.0, 41.0, 10.2, 9.9]));
        assert!(!is_over(&before, &[40.0, 40.0, 42.0, 41.0, 40.2, 39.9]));
        assert!(!is_over(&before, &[10.0, 10.0, 10.0, 40.0, 42.0, 41.0]));
        assert!(!is_over(&before, &[10.1, 9.8, 10.4, 10.0, 10.2, 9.9]));
        // A fall that came back.
        assert!(is_over(&before, &[2.0, 2.5, 2.0, 2.0, 10.2, 9.9]));
    }

    #[test]
    fn courses_are_alike_by_their_ups_and_downs() {
        let x = [1.0, 5.0, 2.0, 8.0, 3.0, 1.0];
        let scaled: Vec<f64> = x.iter().map(|x| 3.0 * x + 100.0).collect();
        assert!(correlation(&x, &scaled) > SAME);
        assert!(correlation(&x, &[8.0, 1.0, 3.0, 1.0, 2.0, 5.0]) < 0.0);
        assert_eq!(correlation(&x, &[1.0; 6]), 0.0);
    }
}
