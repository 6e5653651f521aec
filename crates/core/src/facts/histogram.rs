//! The latency histogram: base-2 exponential buckets at scale 5, as OpenTelemetry defines them.
//!
//! Bucket i holds durations in (2^(i/32), 2^((i+1)/32)] microseconds, 2.2 % wide: the middle of a
//! bucket is off by 1.1 % at most, a quantile interpolated inside it by 2.2 %. Everything below one microsecond is in a bucket of its own. Merging is exact.

use serde::{Deserialize, Serialize};

/// Subdivisions of each power of two: 2^scale with scale 5.
pub const BUCKETS_PER_OCTAVE: i32 = 32;

/// The bucket of durations below one microsecond.
pub const ZERO_BUCKET: i16 = -2;

/// 2^(k/32) for k = 0..32, each the largest double not above it: the limits inside one octave.
static LIMITS: [f64; 32] = [
    1.0,
    1.0218971486541166,
    1.0442737824274138,
    1.0671404006768235,
    1.0905077326652575,
    1.1143867425958924,
    1.1387886347566916,
    1.1637248587775775,
    1.189207115002721,
    1.2152473599804687,
    1.241857812073484,
    1.2690509571917332,
    1.2968395546510096,
    1.325236643159741,
    1.3542555469368927,
    1.3839098819638318,
    // One unit in the last place below the nearest double, which is above √2.
    std::f64::consts::SQRT_2.next_down(),
    1.4451808069770464,
    1.4768261459394991,
    1.5091644275934226,
    1.5422108254079407,
    1.5759808451078863,
    1.6104903319492543,
    1.6457554781539647,
    1.681792830507429,
    1.7186192981224777,
    1.7562521603732995,
    1.7947090750031072,
    1.8340080864093424,
    1.8741676341102997,
    1.9152065613971472,
    1.9571441241754002,
];

/// For each 1/256 of an octave, the number of limits that lie below its start.
static FIRST_GUESS: [u8; 256] = {
    let mut table = [0u8; 256];
    let mut i = 0;
    while i < 256 {
        let start = 1.0 + i as f64 / 256.0;
        let mut k = 0;
        while k < 32 && LIMITS[k] < start {
            k += 1;
        }
        table[i] = k as u8;
        i += 1;
    }
    table
};

/// The bucket of a duration.
#[inline]
pub fn bucket_of_ns(duration_ns: u64) -> i16 {
    if duration_ns < 1_000 {
        return ZERO_BUCKET;
    }
    bucket_of_us(duration_ns as f64 / 1e3)
}

/// The bucket of a value in microseconds that is at least 1.
#[inline]
fn bucket_of_us(value_us: f64) -> i16 {
    let bits = value_us.to_bits();
    let exponent = (bits >> 52) as i32 - 1023;
    let mantissa = f64::from_bits(bits & 0x000f_ffff_ffff_ffff | 0x3ff0_0000_0000_0000);
    let mut below = usize::from(FIRST_GUESS[(bits >> 44 & 0xff) as usize]);
    while below < 32 && LIMITS[below] < mantissa {
        below += 1;
    }
    (exponent * BUCKETS_PER_OCTAVE + below as i32 - 1) as i16
}

/// The upper limit of a bucket in nanoseconds.
pub fn upper_limit_ns(bucket: i16) -> f64 {
    if bucket == ZERO_BUCKET {
        return 1e3;
    }
    let above = i32::from(bucket) + 1;
    let octave = above.div_euclid(BUCKETS_PER_OCTAVE);
    LIMITS[above.rem_euclid(BUCKETS_PER_OCTAVE) as usize] * 2f64.powi(octave) * 1e3
}

/// The value that stands for a bucket, in nanoseconds: its geometric middle, and 0 for the zero bucket.
pub fn middle_ns(bucket: i16) -> f64 {
    if bucket == ZERO_BUCKET {
        return 0.0;
    }
    let half_bucket = 2f64.powf(-0.5 / f64::from(BUCKETS_PER_OCTAVE));
    upper_limit_ns(bucket) * half_bucket
}

/// Counts by bucket: dense between the lowest and the highest bucket that was seen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    first: i16,
    counts: Vec<u32>,
    /// Weighted counts, kept apart only once a weight was not 1.
    weights: Option<Vec<f64>>,
}

impl Histogram {
    /// Adds one span.
    #[inline]
    pub fn add(&mut self, bucket: i16, weight: f64) {
        let index = self.index_for(bucket);
        self.counts[index] = self.counts[index].saturating_add(1);
        if let Some(weights) = &mut self.weights {
            weights[index] += weight;
        } else if weight != 1.0 {
            let mut weights: Vec<f64> = self.counts.iter().map(|c| f64::from(*c)).collect();
            weights[index] += weight - 1.0;
            self.weights = Some(weights);
        }
    }

    /// The index of a bucket, growing the range where needed.
    #[inline]
    fn index_for(&mut self, bucket: i16) -> usize {
        // A bucket below the first becomes a number past every length.
        let offset = (isize::from(bucket) - isize::from(self.first)) as usize;
        if offset < self.counts.len() {
            return offset;
        }
        self.grow(bucket)
    }

    #[cold]
    fn grow(&mut self, bucket: i16) -> usize {
        if self.counts.is_empty() {
            self.first = bucket;
        }
        let before = usize::from((self.first - bucket.min(self.first)) as u16);
        if before > 0 {
            self.counts.splice(0..0, std::iter::repeat_n(0, before));
            if let Some(weights) = &mut self.weights {
                weights.splice(0..0, std::iter::repeat_n(0.0, before));
            }
            self.first = bucket;
        }
        let index = usize::from((bucket - self.first) as u16);
        if index >= self.counts.len() {
            self.counts.resize(index + 1, 0);
            if let Some(weights) = &mut self.weights {
                weights.resize(index + 1, 0.0);
            }
        }
        index
    }

    /// Adds all of another histogram.
    pub fn merge(&mut self, other: &Self) {
        if other.counts.is_empty() {
            return;
        }
        let last = other.first + other.counts.len() as i16 - 1;
        self.index_for(other.first);
        self.index_for(last);
        if other.weights.is_some() && self.weights.is_none() {
            self.weights = Some(self.counts.iter().map(|c| f64::from(*c)).collect());
        }
        let shift = usize::from((other.first - self.first) as u16);
        for (i, count) in other.counts.iter().enumerate() {
            self.counts[i + shift] = self.counts[i + shift].saturating_add(*count);
        }
        if let Some(weights) = &mut self.weights {
            for (i, (_, weight)) in other.buckets_with_empty().enumerate() {
                weights[i + shift] += weight;
            }
        }
    }

    fn buckets_with_empty(&self) -> impl Iterator<Item = (i16, f64)> + '_ {
        let weights = self.weights.as_deref();
        self.counts.iter().enumerate().map(move |(i, count)| {
            (
                self.first + i as i16,
                weights.map_or_else(|| f64::from(*count), |w| w[i]),
            )
        })
    }

    /// Weighted counts of the buckets in the range, empty ones too.
    pub(crate) fn weights(&self) -> impl Iterator<Item = f64> + '_ {
        self.buckets_with_empty().map(|(_, weight)| weight)
    }

    /// Bucket and weighted count of every bucket that holds something, lowest first.
    pub fn buckets(&self) -> impl Iterator<Item = (i16, f64)> + '_ {
        self.buckets_with_empty()
            .filter(|(_, weight)| *weight > 0.0)
    }

    /// Weighted count of all buckets.
    pub fn total(&self) -> f64 {
        self.buckets_with_empty().map(|(_, weight)| weight).sum()
    }

    /// The lowest and the highest bucket of the range; `None` when empty.
    pub fn range(&self) -> Option<(i16, i16)> {
        (!self.counts.is_empty()).then(|| (self.first, self.first + self.counts.len() as i16 - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn limits_belong_to_the_bucket_below() {
        assert_eq!(bucket_of_ns(999), ZERO_BUCKET);
        assert_eq!(bucket_of_ns(1_000), -1);
        assert_eq!(bucket_of_ns(1_001), 0);
        assert_eq!(bucket_of_ns(2_000), 31);
        assert_eq!(bucket_of_ns(2_001), 32);
        assert_eq!(bucket_of_ns(1_024_000), 319);
        assert_eq!(upper_limit_ns(31), 2_000.0);
        assert_eq!(upper_limit_ns(-1), 1_000.0);
    }

    #[test]
    fn the_table_agrees_with_powers_of_two() {
        for (k, limit) in LIMITS.iter().enumerate() {
            assert!((limit - 2f64.powf(k as f64 / 32.0)).abs() < 1e-15, "{k}");
        }
    }

    fn histogram(values: &[(u64, f64)]) -> Histogram {
        let mut h = Histogram::default();
        values
            .iter()
            .for_each(|(ns, w)| h.add(bucket_of_ns(*ns), *w));
        h
    }

    proptest! {
        #[test]
        fn a_duration_lies_in_its_bucket(ns in 1_000u64..1 << 50) {
            let bucket = bucket_of_ns(ns);
            prop_assert!(ns as f64 <= upper_limit_ns(bucket) * (1.0 + 1e-12));
            prop_assert!(ns as f64 > upper_limit_ns(bucket - 1) * (1.0 - 1e-12));
            prop_assert!((middle_ns(bucket) / ns as f64 - 1.0).abs() < 0.0111);
        }

        #[test]
        fn merging_is_adding(
            a in prop::collection::vec((0u64..1 << 40, prop::sample::select(vec![1.0, 2.0, 8.0])), 0..40),
            b in prop::collection::vec((0u64..1 << 40, prop::sample::select(vec![1.0, 4.0])), 0..40),
        ) {
            let mut merged = histogram(&a);
            merged.merge(&histogram(&b));
            let mut reversed = histogram(&b);
            reversed.merge(&histogram(&a));
            let all = histogram(&[a, b].concat());
            let list = |h: &Histogram| h.buckets().collect::<Vec<_>>();
            prop_assert_eq!(list(&merged), list(&all));
            prop_assert_eq!(list(&reversed), list(&all));
            prop_assert_eq!(merged.counts.iter().sum::<u32>(), all.counts.iter().sum::<u32>());
        }
    }
}
