//! What requests would take if one node's calls took what they did before.

use super::document::WhatIf;
use super::question::{Badness, Place, Question, Subject};
use super::testimony::Testimony;
use super::timeline::Timeline;
use crate::diff::{Attribution, Culprit, Sides};
use crate::paths::Label;

/// Requests that either side needs.
const MIN_REQUESTS: usize = 20;

/// Own times of a node's calls, by weight, in order.
struct Distribution {
    /// Own time in nanoseconds, and the weight of those up to it.
    times: Vec<(i64, f64)>,
    weight: f64,
}

impl Distribution {
    fn of<'a>(requests: impl Iterator<Item = &'a Timeline>) -> Self {
        let times = requests.flat_map(|r| r.own_times().map(|own_ns| (own_ns, r.weight)));
        let mut times: Vec<(i64, f64)> = times.collect();
        times.sort_unstable_by_key(|(own_ns, _)| *own_ns);
        let mut weight = 0.0;
        for (_, at) in &mut times {
            weight += *at;
            *at = weight;
        }
        Self { times, weight }
    }

    /// The share of calls that take less, or as long and are the first half of those.
    fn share(&self, own_ns: i64) -> f64 {
        let up_to = |place: usize| match place {
            0 => 0.0,
            _ => self.times[place - 1].1,
        };
        let less = up_to(self.times.partition_point(|(t, _)| *t < own_ns));
        let as_long = up_to(self.times.partition_point(|(t, _)| *t <= own_ns));
        f64::midpoint(less, as_long) / self.weight
    }

    /// The time that this share of the calls stays below.
    fn quantile(&self, share: f64) -> i64 {
        let place = self
            .times
            .partition_point(|(_, weight)| *weight < share * self.weight);
        self.times[place.min(self.times.len() - 1)].0
    }
}

/// Times the candidate's requests again with the baseline's times of the culprit's node; `None` for another question,
/// or where there are too few requests.
pub(super) fn what_if(
    culprit: &Culprit,
    attribution: &Attribution,
    question: &Question,
    number: usize,
    sides: &[Testimony; 2],
) -> Option<WhatIf> {
    let label = question.retimed()?;
    let entry = culprit.ledger.iter().find(|entry| entry.node == *label)?;
    let requests = sides.each_ref().map(|side| side.timelines.get(number));
    let [before, after] = [requests[0]?, requests[1]?];
    if before.len().min(after.len()) < MIN_REQUESTS {
        return None;
    }
    let [a, b] = [before, after].map(|requests| Distribution::of(requests.values()));
    let (mut won, mut calls) = (0.0, 0.0);
    for request in after.values() {
        let retimed_ns = request.retimed_ns(|own_ns| a.quantile(b.share(own_ns)));
        won += request.weight * (request.duration_ns() - retimed_ns) as f64;
        calls += request.weight * request.own_times().count() as f64;
    }
    // How often requests make the call is known from all of them.
    let recovered_ns = won / calls * entry.calls.candidate;
    let subtracted_ns = entry.difference_ns - entry.by_calls_ns;
    let whole = attribution.nodes_ns;
    let is_something = whole.abs() > 0.01 * attribution.mean_ns.baseline;
    let ratio = |ns: f64| is_something.then(|| ns / whole);
    Some(WhatIf {
        node: label.clone(),
        requests: Sides::from([before.len(), after.len()]),
        recovered_ns,
        recovered_ratio: ratio(recovered_ns),
        subtracted_ns,
        subtracted_ratio: ratio(subtracted_ns),
    })
}

impl Question {
    /// The node whose calls are timed anew for it: a slow one of a culprit.
    pub(super) fn retimed(&self) -> Option<&Label> {
        match (&self.place, &self.subject, &self.badness) {
            (Place::Culprit(_), Subject::Node(label), Badness::Slow) => Some(label),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_quantiles_answer_each_other() {
        let of = |times: &[i64]| Distribution {
            times: times
                .iter()
                .zip(1..)
                .map(|(t, n)| (*t, f64::from(n)))
                .collect(),
            weight: times.len() as f64,
        };
        let (a, b) = (of(&[1, 2, 3, 4]), of(&[10, 20, 30, 40]));
        for (was, is) in [(1, 10), (2, 20), (3, 30), (4, 40)] {
            assert_eq!(a.quantile(b.share(is)), was);
            assert_eq!(a.quantile(a.share(was)), was);
        }
        assert_eq!(of(&[5, 5, 5]).quantile(b.share(40)), 5);
        assert_eq!(
            a.quantile(of(&[7, 7]).share(7)),
            2,
            "the middle of those that are alike"
        );
    }
}
