//! What the paths of a request are told apart by beside slices: how long the request took, and how it ended.

use crate::facts::histogram::{ZERO_BUCKET, bucket_of_ns, upper_limit_ns};
use crate::model::TraceId;
use serde::{Deserialize, Serialize};

/// Histogram buckets of a band: eight bands double the duration.
const BUCKETS_PER_BAND: i16 = 4;
/// Traces kept of every stratum.
pub const KEPT_PER_STRATUM: usize = 4;

/// A range of request durations, the same for all sets of traces: 9 % wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Band(i16);

impl Band {
    /// The band of a duration in nanoseconds.
    pub fn of_ns(duration_ns: u64) -> Self {
        Self(bucket_of_ns(duration_ns).div_euclid(BUCKETS_PER_BAND))
    }

    /// The longest duration of the band, in nanoseconds.
    pub fn upper_limit_ns(self) -> f64 {
        let last = (self.0.saturating_add(1) * BUCKETS_PER_BAND - 1).max(ZERO_BUCKET);
        upper_limit_ns(last)
    }
}

/// One path's time in requests whose duration is in one band.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BandSums {
    /// How long the requests took.
    pub band: Band,
    /// Σ w over the traces that have the path.
    pub weight: f64,
    /// Σ w·(time on the critical path), in nanoseconds; of a request Σ w·(its duration).
    pub time_ns: f64,
}

/// Adds to a band of a list that is kept in order.
pub(super) fn add_band(bands: &mut Vec<BandSums>, sums: BandSums) {
    match bands.binary_search_by_key(&sums.band, |b| b.band) {
        Ok(place) => {
            bands[place].weight += sums.weight;
            bands[place].time_ns += sums.time_ns;
        }
        Err(place) => bands.insert(place, sums),
    }
}

/// A trace that stands for others of its stratum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SampledTrace {
    /// A hash of the trace's id, by which samples are drawn: the lowest are kept.
    pub hash: u64,
    /// The trace.
    pub trace_id: TraceId,
}

/// Requests of one type that took about as long and ended alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stratum {
    /// How long they took.
    pub band: Band,
    /// Whether they failed.
    pub is_failed: bool,
    /// Raw traces.
    pub traces: u64,
    /// Σ w.
    pub weight: f64,
    /// Some of them, drawn by hash.
    pub sampled: Vec<SampledTrace>,
}

impl Stratum {
    fn key(&self) -> (Band, bool) {
        (self.band, self.is_failed)
    }

    fn keep(&mut self, trace: SampledTrace) {
        let place = self.sampled.partition_point(|kept| *kept < trace);
        // The same trace may come from both halves of a merge.
        if place < KEPT_PER_STRATUM && self.sampled.get(place) != Some(&trace) {
            self.sampled.insert(place, trace);
            self.sampled.truncate(KEPT_PER_STRATUM);
        }
    }
}

/// Adds a trace to its stratum.
pub(super) fn add_trace(
    strata: &mut Vec<Stratum>,
    band: Band,
    is_failed: bool,
    weight: f64,
    trace: SampledTrace,
) {
    let stratum = stratum(strata, (band, is_failed));
    stratum.traces += 1;
    stratum.weight += weight;
    stratum.keep(trace);
}

/// Adds another set's stratum.
pub(super) fn add_stratum(strata: &mut Vec<Stratum>, other: &Stratum) {
    let stratum = stratum(strata, other.key());
    stratum.traces += other.traces;
    stratum.weight += other.weight;
    other.sampled.iter().for_each(|trace| stratum.keep(*trace));
}

fn stratum(strata: &mut Vec<Stratum>, key: (Band, bool)) -> &mut Stratum {
    let place = match strata.binary_search_by_key(&key, Stratum::key) {
        Ok(place) => place,
        Err(place) => {
            let empty = Stratum {
                band: key.0,
                is_failed: key.1,
                traces: 0,
                weight: 0.0,
                sampled: Vec::new(),
            };
            strata.insert(place, empty);
            place
        }
    };
    &mut strata[place]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_band_holds_durations_up_to_its_limit() {
        for ns in [0, 999, 1_000, 1_001, 5_000_000, 1 << 40] {
            let band = Band::of_ns(ns);
            assert!(band.upper_limit_ns() >= ns as f64, "{ns}");
            assert!(Band::of_ns((ns as f64 * 1.1) as u64 + 1_100) > band, "{ns}");
        }
    }

    #[test]
    fn strata_merge_to_what_one_pass_keeps() {
        let trace = |n: u8| SampledTrace {
            hash: crate::trace::mix(u64::from(n)),
            trace_id: TraceId([n; 16]),
        };
        let band = Band::of_ns(5_000_000);
        let add = |strata: &mut Vec<Stratum>, n: u8| {
            add_trace(strata, band, n.is_multiple_of(3), 2.0, trace(n));
        };
        let (mut whole, mut even, mut odd) = (Vec::new(), Vec::new(), Vec::new());
        for n in 0..40 {
            add(&mut whole, n);
            let half = if n % 2 == 0 { &mut even } else { &mut odd };
            add(half, n);
        }
        odd.iter().for_each(|s| add_stratum(&mut even, s));
        assert_eq!(even, whole);
        assert_eq!(whole.len(), 2);
        assert_eq!((whole[1].traces, whole[1].weight), (14, 28.0));
    }
}
