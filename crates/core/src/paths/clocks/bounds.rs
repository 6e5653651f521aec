//! What calls say of the offset of two clocks.

/// One call in this many may be wrong: the 95th and the 5th percentile are taken.
const OUTLIER_SHARE: usize = 20;
/// Calls below which a pair of hosts tells nothing.
pub(super) const MIN_CALLS: usize = 10;

/// What one call says: the offset lies between `low_ns` and `high_ns`. Ordered by the trace's hash first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Bound {
    pub(super) hash: u64,
    pub(super) low_ns: i64,
    pub(super) high_ns: i64,
}

impl Bound {
    /// The same, seen from the other host.
    pub(super) fn flipped(self) -> Self {
        Self {
            low_ns: self.high_ns.saturating_neg(),
            high_ns: self.low_ns.saturating_neg(),
            ..self
        }
    }
}

/// Where an offset lies, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) low_ns: i64,
    pub(super) high_ns: i64,
}

impl Range {
    /// The offset that is taken: 0 where it may be, else the middle.
    pub(super) fn offset_ns(self) -> i64 {
        if self.low_ns <= 0 && 0 <= self.high_ns {
            0
        } else {
            i64::midpoint(self.low_ns, self.high_ns)
        }
    }

    pub(super) fn width_ns(self) -> u64 {
        self.high_ns.abs_diff(self.low_ns)
    }
}

/// What the calls of a pair say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Evidence {
    pub(super) calls: usize,
    /// `None` where they contradict each other.
    pub(super) range: Option<Range>,
}

impl Evidence {
    /// The evidence of some calls; `None` where they are too few.
    pub(super) fn of(bounds: &[Bound]) -> Option<Self> {
        let calls = bounds.len();
        if calls < MIN_CALLS {
            return None;
        }
        let outliers = calls / OUTLIER_SHARE;
        let mut low: Vec<i64> = bounds.iter().map(|b| b.low_ns).collect();
        let mut high: Vec<i64> = bounds.iter().map(|b| b.high_ns).collect();
        let range = Range {
            low_ns: *low.select_nth_unstable(calls - 1 - outliers).1,
            high_ns: *high.select_nth_unstable(outliers).1,
        };
        Some(Self {
            calls,
            range: (range.low_ns <= range.high_ns).then_some(range),
        })
    }
}
