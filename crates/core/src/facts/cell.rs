//! What facts keep of one group in one slice: counts, sums and per-trace squares.

use super::histogram::Histogram;
use crate::stats::ratio::SliceSums;
use serde::{Deserialize, Serialize};

/// Sums over the spans of one group in one slice. Weighted unless named raw.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Raw spans.
    pub spans: u64,
    /// Raw failed spans.
    pub errors: u64,
    /// Raw traces that have a span of the group.
    pub traces: u64,
    /// Raw sum of durations in nanoseconds.
    pub duration_ns: u128,
    /// Σ w over spans.
    pub weight: f64,
    /// Σ w² over spans.
    pub weight_squared: f64,
    /// Σ w over failed spans.
    pub error_weight: f64,
    /// Σ w·duration in nanoseconds.
    pub weighted_duration_ns: f64,
    /// Per-trace second moments.
    pub moments: Moments,
    /// Durations.
    pub histogram: Histogram,
}

/// Second moments of per-trace sums, over the traces that have the group: c = Σw, e = Σw over failed spans,
/// d = Σw·duration (ns), l = Σw·bucket (log-duration), t = the trace's own weight.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    /// Σ c².
    pub cc: f64,
    /// Σ c·e.
    pub ce: f64,
    /// Σ e².
    pub ee: f64,
    /// Σ c·d.
    pub cd: f64,
    /// Σ d².
    pub dd: f64,
    /// Σ l, which is no second moment but the first one that goes with the next two.
    pub l: f64,
    /// Σ c·l.
    pub cl: f64,
    /// Σ l².
    pub ll: f64,
    /// Σ w·bucket² over spans, for the spread that independent spans would have.
    pub bucket_squared: f64,
    /// Σ c·t.
    pub ct: f64,
}

impl Moments {
    fn merge(&mut self, o: &Self) {
        self.cc += o.cc;
        self.ce += o.ce;
        self.ee += o.ee;
        self.cd += o.cd;
        self.dd += o.dd;
        self.l += o.l;
        self.cl += o.cl;
        self.ll += o.ll;
        self.bucket_squared += o.bucket_squared;
        self.ct += o.ct;
    }
}

/// What a span adds to the sums of its trace, or these sums. In an array, because that is added in a few instructions.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sums([f64; 6]);

impl Sums {
    /// The sums of one span.
    pub(crate) fn of_span(duration_ns: u64, bucket: i16, is_error: bool, weight: f64) -> Self {
        let bucket = f64::from(bucket);
        let error = f64::from(u8::from(is_error));
        Self([
            weight,
            weight * weight,
            weight * error,
            weight * duration_ns as f64,
            weight * bucket,
            weight * bucket * bucket,
        ])
    }

    #[inline]
    pub(crate) fn add(&mut self, other: &Self) {
        for (sum, value) in self.0.iter_mut().zip(other.0) {
            *sum += value;
        }
    }
}

/// The sums of one group in the trace that is being added.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TraceSums {
    pub(crate) sums: Sums,
    /// Raw spans.
    pub(crate) spans: u32,
    /// Raw failed spans.
    pub(crate) errors: u32,
    /// Raw sum of durations.
    pub(crate) duration_ns: u128,
    /// Raw duration of the longest span.
    pub(crate) longest_ns: u64,
}

impl Cell {
    /// Adds the sums of one whole trace, whose spans are in the histogram already.
    pub(crate) fn add_trace(&mut self, trace: &TraceSums, trace_weight: f64) {
        let [c, c_squared, e, d, l, l_squared] = trace.sums.0;
        self.spans += u64::from(trace.spans);
        self.errors += u64::from(trace.errors);
        self.traces += 1;
        self.duration_ns += trace.duration_ns;
        self.weight += c;
        self.weight_squared += c_squared;
        self.error_weight += e;
        self.weighted_duration_ns += d;
        let m = &mut self.moments;
        m.cc += c * c;
        m.ce += c * e;
        m.ee += e * e;
        m.cd += c * d;
        m.dd += d * d;
        m.l += l;
        m.cl += c * l;
        m.ll += l * l;
        m.bucket_squared += l_squared;
        m.ct += c * trace_weight;
    }

    /// Adds all of another cell.
    pub fn merge(&mut self, other: &Self) {
        self.merge_sums(other);
        self.histogram.merge(&other.histogram);
    }

    /// Adds all of another cell but its histogram.
    pub(crate) fn merge_sums(&mut self, other: &Self) {
        self.spans += other.spans;
        self.errors += other.errors;
        self.traces += other.traces;
        self.duration_ns += other.duration_ns;
        self.weight += other.weight;
        self.weight_squared += other.weight_squared;
        self.error_weight += other.error_weight;
        self.weighted_duration_ns += other.weighted_duration_ns;
        self.moments.merge(&other.moments);
    }

    /// Sums for the mean duration: y = duration, x = spans.
    pub fn duration_sums(&self) -> SliceSums {
        let m = &self.moments;
        SliceSums {
            traces: self.traces as f64,
            x: self.weight,
            y: self.weighted_duration_ns,
            xx: m.cc,
            xy: m.cd,
            yy: m.dd,
        }
    }

    /// Sums for the error ratio: y = failed spans, x = spans.
    pub fn error_sums(&self) -> SliceSums {
        let m = &self.moments;
        SliceSums {
            traces: self.traces as f64,
            x: self.weight,
            y: self.error_weight,
            xx: m.cc,
            xy: m.ce,
            yy: m.ee,
        }
    }

    /// Sums for the mean bucket (log-duration): y = bucket, x = spans.
    pub fn bucket_sums(&self) -> SliceSums {
        let m = &self.moments;
        SliceSums {
            traces: self.traces as f64,
            x: self.weight,
            y: m.l,
            xx: m.cc,
            xy: m.cl,
            yy: m.ll,
        }
    }
}
