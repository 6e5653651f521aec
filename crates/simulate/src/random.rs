//! Random numbers that are the same on every machine: ChaCha8 streams, and the distributions on top of them.
//!
//! Nothing here may call the platform's `exp` or `ln`, which differ in their last bit between C libraries; `libm` is
//! plain Rust arithmetic. Each use (load, arrivals, every request) has a stream of its own, so that a change in one
//! leaves the draws of the others alone.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// All the streams of one seed.
#[derive(Debug, Clone)]
pub(crate) struct Streams {
    base: ChaCha8Rng,
}

impl Streams {
    /// The key of ChaCha8 is the seed, spread over 32 bytes by SplitMix64 (Steele, Lea, Flood 2014).
    pub(crate) fn new(seed: u64) -> Self {
        let mut key = [0; 32];
        let mut state = seed;
        for chunk in key.chunks_exact_mut(8) {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            chunk.copy_from_slice(&mix(state).to_le_bytes());
        }
        Self {
            base: ChaCha8Rng::from_seed(key),
        }
    }

    /// The stream of that number, from its beginning.
    pub(crate) fn stream(&self, number: u64) -> Random {
        let mut source = self.base.clone();
        source.set_stream(number);
        Random {
            source,
            spare: None,
        }
    }
}

/// SplitMix64's finaliser: every bit of the input moves every bit of the output.
pub(crate) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// One stream of random numbers.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    source: ChaCha8Rng,
    /// The second of the two normals that one round of the polar method gives.
    spare: Option<f64>,
}

impl Random {
    /// 64 random bits.
    #[inline]
    pub(crate) fn bits(&mut self) -> u64 {
        self.source.next_u64()
    }

    /// 64 random bits that are not all zero, as ids must be.
    #[inline]
    pub(crate) fn id(&mut self) -> u64 {
        self.bits().max(1)
    }

    /// Uniform in [0, 1), a multiple of 2^-53.
    #[inline]
    pub(crate) fn unit(&mut self) -> f64 {
        const STEP: f64 = 1.0 / (1u64 << 53) as f64;
        (self.bits() >> 11) as f64 * STEP
    }

    /// True with that probability; always takes one draw.
    #[inline]
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Uniform in 0..n; 0 where n is 0. The bias is below n / 2^64.
    #[inline]
    pub(crate) fn below(&mut self, n: u32) -> u32 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u32
    }

    /// Standard normal, by Marsaglia's polar form of the Box-Muller transform (1964).
    #[inline]
    pub(crate) fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        loop {
            let u = 2.0 * self.unit() - 1.0;
            let v = 2.0 * self.unit() - 1.0;
            let s = u * u + v * v;
            if s > 0.0 && s < 1.0 {
                let factor = (-2.0 * libm::log(s) / s).sqrt();
                self.spare = Some(v * factor);
                return u * factor;
            }
        }
    }

    /// Exponential with mean 1.
    #[inline]
    pub(crate) fn exponential(&mut self) -> f64 {
        -libm::log(1.0 - self.unit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(mut draw: impl FnMut() -> f64) -> (f64, f64) {
        let n = 200_000;
        let (mut sum, mut squares) = (0.0, 0.0);
        for _ in 0..n {
            let x = draw();
            sum += x;
            squares += x * x;
        }
        let mean = sum / f64::from(n);
        (mean, squares / f64::from(n) - mean * mean)
    }

    /// Bounds are four standard errors at 200,000 draws.
    #[test]
    fn distributions_have_their_moments() {
        let streams = Streams::new(7);
        let check = |name: &str, found: (f64, f64), mean: f64, variance: f64, kurtosis: f64| {
            let n = 200_000f64;
            assert!(
                (found.0 - mean).abs() < 4.0 * (variance / n).sqrt(),
                "{name}: {found:?}"
            );
            let error = variance * ((kurtosis - 1.0) / n).sqrt();
            assert!(
                (found.1 - variance).abs() < 4.0 * error,
                "{name}: {found:?}"
            );
        };
        let mut random = streams.stream(0);
        check("unit", moments(|| random.unit()), 0.5, 1.0 / 12.0, 1.8);
        check("normal", moments(|| random.normal()), 0.0, 1.0, 3.0);
        check(
            "exponential",
            moments(|| random.exponential()),
            1.0,
            1.0,
            9.0,
        );
        let six = moments(|| f64::from(random.below(6)));
        check("below", six, 2.5, 35.0 / 12.0, 1.731);
    }

    #[test]
    fn streams_are_apart_and_start_anew() {
        let streams = Streams::new(7);
        let mut again = streams.stream(3);
        again.bits();
        assert_ne!(streams.stream(3).bits(), streams.stream(4).bits());
        assert_eq!(streams.stream(3).bits(), streams.stream(3).bits());
        assert_ne!(Streams::new(8).stream(3).bits(), streams.stream(3).bits());
    }

    /// As a second implementation of ChaCha8, written from its description, gives them.
    #[test]
    fn draws_are_pinned() {
        let mut random = Streams::new(1).stream(2);
        assert_eq!(random.bits(), 15_624_951_664_172_897_928);
        assert_eq!(random.normal().to_bits(), 0xbf98_a366_0cd1_fc03);
        assert_eq!(random.exponential().to_bits(), 0x3faa_eae3_1825_d394);
    }
}
