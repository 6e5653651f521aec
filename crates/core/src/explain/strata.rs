//! Requests by type, outcome and duration: how many there are on either side, and some of each.

use std::collections::BTreeMap;

use super::document::RequestStratum;
use crate::diff::Sides;
use crate::diff::join::joined;
use crate::facts::Facts;
use crate::paths::{KEPT_PER_STRATUM, PathNode, SampledTrace, Stratum};

/// Types of requests that are told, by their weight.
const REQUESTS: usize = 10;
/// Where bands end, as shares of the baseline's requests of the type.
const ENDS: [f64; 4] = [0.5, 0.9, 0.99, 1.0];

/// One side of a stratum.
#[derive(Default)]
struct Half {
    traces: u64,
    weight: f64,
    sampled: Vec<SampledTrace>,
}

/// The strata of the most frequent types of requests. Bands are those of the baseline, to 9 % of a duration; of the
/// candidate where the baseline has no such requests.
pub fn strata(baseline: &Facts, candidate: &Facts) -> Vec<RequestStratum> {
    let weight = |sides: &[Option<&PathNode>; 2]| -> f64 {
        let strata = sides.iter().flatten().flat_map(|node| &node.strata);
        strata.map(|s| s.weight).sum()
    };
    let requests = joined([baseline, candidate].map(|facts| facts.paths().requests()));
    let mut requests: Vec<[Option<&PathNode>; 2]> = requests.map(|(_, sides)| sides).collect();
    requests.sort_by(|x, y| weight(y).total_cmp(&weight(x)));
    requests.truncate(REQUESTS);
    requests.iter().flat_map(of_request).collect()
}

fn of_request(sides: &[Option<&PathNode>; 2]) -> Vec<RequestStratum> {
    let Some(measure) = sides[0].or(sides[1]) else {
        return Vec::new();
    };
    let whole: f64 = measure.strata.iter().map(|s| s.weight).sum();
    // For every band of durations, the share of the measuring side that is shorter or in it.
    let band_of = |stratum: &Stratum| {
        let up_to = measure.strata.iter().filter(|s| s.band < stratum.band);
        let below: f64 = up_to.map(|s| s.weight).sum();
        let share = below / whole;
        ENDS.iter()
            .position(|end| share < *end)
            .unwrap_or(ENDS.len() - 1)
    };
    let mut all: BTreeMap<(bool, usize), [Half; 2]> = BTreeMap::new();
    for (side, node) in sides.iter().enumerate() {
        for stratum in node.iter().flat_map(|node| &node.strata) {
            let halves = all
                .entry((stratum.is_failed, band_of(stratum)))
                .or_default();
            let half = &mut halves[side];
            half.traces += stratum.traces;
            half.weight += stratum.weight;
            half.sampled.extend(&stratum.sampled);
        }
    }
    let told = |((is_failed, band), halves): ((bool, usize), [Half; 2])| {
        let ids = |half: &Half| {
            let mut sampled = half.sampled.clone();
            sampled.sort_unstable();
            let kept = sampled.iter().take(KEPT_PER_STRATUM);
            kept.map(|t| t.trace_id.to_string()).collect::<Vec<_>>()
        };
        RequestStratum {
            service: measure.label.service.clone(),
            operation: measure.label.operation.clone(),
            first_call: measure.label.peer.clone(),
            is_failed,
            from_share: band.checked_sub(1).map_or(0.0, |before| ENDS[before]),
            to_share: ENDS[band],
            traces: Sides::from(halves.each_ref().map(|h| h.traces)),
            weighted_traces: Sides::from(halves.each_ref().map(|h| h.weight)),
            exemplars: Sides::from(halves.each_ref().map(ids)),
        }
    };
    all.into_iter().map(told).collect()
}
