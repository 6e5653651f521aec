//! What is lost where parts should add up to a whole.

use tracediff_core::diff::Diff;
use tracediff_core::facts::Facts;

/// The largest relative error of a comparison: of any type of requests, the time of all nodes that it waits for against
/// how long it took, and the causes of its failures against how often it failed; of the ledger, what is left of the
/// change of the mean request.
pub(crate) fn error(diff: &Diff, sides: &[Facts; 2]) -> f64 {
    let mean_ns = &diff.attribution.mean_ns;
    let whole_ns = mean_ns.baseline.max(mean_ns.candidate);
    let ledger = relative(diff.attribution.remainder_ns, whole_ns);
    sides.iter().map(of_side).fold(ledger, f64::max)
}

fn of_side(facts: &Facts) -> f64 {
    let mut most: f64 = 0.0;
    for (id, request) in facts.paths().requests() {
        let (mut critical_ns, mut failed) = (0.0, 0.0);
        for (path, node) in facts.paths().nodes() {
            if node.top == *id && path != id {
                failed += node.total.origins_reaching;
                critical_ns += if node.is_awaited {
                    node.total.critical_ns
                } else {
                    0.0
                };
            }
        }
        let whole = &request.total;
        most = most
            .max(relative(critical_ns - whole.duration_ns, whole.duration_ns))
            .max(relative(failed - whole.errors, whole.errors));
    }
    most
}

/// What is no number counts as infinite: a maximum would not see it.
fn relative(error: f64, whole: f64) -> f64 {
    if error == 0.0 {
        return 0.0;
    }
    let relative = error.abs() / whole;
    if relative.is_nan() {
        f64::INFINITY
    } else {
        relative
    }
}
