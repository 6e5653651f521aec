//! Windows of time, the ranges of time that some traces occupy, and the slices that windows are cut into.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A window that would not contain anything.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "the window ends at {to_ns} ns, which is not after its start at {from_ns} ns; its end must be later"
)]
pub struct EmptyWindow {
    /// Start in nanoseconds since the epoch.
    pub from_ns: i64,
    /// End in nanoseconds since the epoch.
    pub to_ns: i64,
}

/// A half-open range of time [from, to), never empty.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct Window {
    /// Nanoseconds since the epoch; a string in JSON.
    #[serde(with = "as_text")]
    #[schemars(with = "String")]
    from_ns: i64,
    /// Nanoseconds since the epoch, not part of the window; a string in JSON.
    #[serde(with = "as_text")]
    #[schemars(with = "String")]
    to_ns: i64,
}

/// A number that passes 2^53 is a text in JSON, and a number elsewhere.
mod as_text {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(value)
        } else {
            serializer.serialize_i64(*value)
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            text.parse().map_err(D::Error::custom)
        } else {
            i64::deserialize(deserializer)
        }
    }
}

impl Window {
    /// The window from `from_ns` up to `to_ns`.
    pub fn new(from_ns: i64, to_ns: i64) -> Result<Self, EmptyWindow> {
        if from_ns < to_ns {
            Ok(Self { from_ns, to_ns })
        } else {
            Err(EmptyWindow { from_ns, to_ns })
        }
    }

    /// Start, in nanoseconds since the epoch.
    pub fn from_ns(&self) -> i64 {
        self.from_ns
    }

    /// End, in nanoseconds since the epoch; not part of the window.
    pub fn to_ns(&self) -> i64 {
        self.to_ns
    }

    /// Length in nanoseconds.
    pub fn length_ns(&self) -> i64 {
        self.to_ns.saturating_sub(self.from_ns)
    }

    /// Length in seconds.
    pub fn seconds(&self) -> f64 {
        self.length_ns() as f64 / 1e9
    }

    /// Whether a time is inside.
    pub fn contains(&self, time_ns: i64) -> bool {
        (self.from_ns..self.to_ns).contains(&time_ns)
    }

    /// The part that both windows share.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        Self::new(self.from_ns.max(other.from_ns), self.to_ns.min(other.to_ns)).ok()
    }
}

const SECOND_NS: i64 = 1_000_000_000;
/// The last time that a window can contain. Broken clocks give the nanosecond behind it, which counts as this one.
const LAST_NS: i64 = i64::MAX - 1;

/// A pause in the data longer than this ends a range.
pub const RANGE_GAP_NS: i64 = 60 * SECOND_NS;

/// The most ranges that data is taken to have.
const MAX_RANGES: usize = 100;

/// The seconds in which traces began: from it follow the ranges of time that a set of traces occupies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OccupiedTime {
    seconds: BTreeSet<i64>,
    first_ns: Option<i64>,
    last_ns: Option<i64>,
    latest_second: Option<i64>,
}

impl OccupiedTime {
    /// Notes that a trace began.
    pub fn add(&mut self, start_ns: i64) {
        let start_ns = start_ns.min(LAST_NS);
        let second = start_ns.div_euclid(SECOND_NS);
        if self.latest_second != Some(second) {
            self.seconds.insert(second);
            self.latest_second = Some(second);
        }
        self.first_ns = Some(self.first_ns.map_or(start_ns, |t| t.min(start_ns)));
        self.last_ns = Some(self.last_ns.map_or(start_ns, |t| t.max(start_ns)));
    }

    /// Notes what the other noted.
    pub fn merge(&mut self, other: &Self) {
        self.seconds.extend(&other.seconds);
        let both = |f: fn(i64, i64) -> i64, a: Option<i64>, b: Option<i64>| match (a, b) {
            (Some(a), Some(b)) => Some(f(a, b)),
            (a, b) => a.or(b),
        };
        self.first_ns = both(i64::min, self.first_ns, other.first_ns);
        self.last_ns = both(i64::max, self.last_ns, other.last_ns);
    }

    /// Whether nothing was noted.
    pub fn is_empty(&self) -> bool {
        self.seconds.is_empty()
    }

    /// The first and the last noted time, in nanoseconds since the epoch.
    pub fn extent_ns(&self) -> Option<(i64, i64)> {
        self.first_ns.zip(self.last_ns)
    }

    /// The occupied ranges: cut wherever nothing began for more than [`RANGE_GAP_NS`], or for longer where that gives
    /// more than 100 ranges, as with a job that runs every few minutes.
    pub fn ranges(&self) -> Vec<Window> {
        let mut gap_ns = RANGE_GAP_NS;
        let mut ranges = self.ranges_apart(gap_ns);
        while ranges.len() > MAX_RANGES {
            gap_ns *= 2;
            ranges = self.ranges_apart(gap_ns);
        }
        // A window read off data starts and ends with it, not at full seconds; it lasts a second at least.
        if let (Some(range), Some(first)) = (ranges.first_mut(), self.first_ns) {
            range.from_ns = first;
        }
        if let (Some(range), Some(last)) = (ranges.last_mut(), self.last_ns) {
            range.to_ns = (last + 1).max(range.from_ns.saturating_add(SECOND_NS));
        }
        ranges
    }

    fn ranges_apart(&self, gap_ns: i64) -> Vec<Window> {
        let mut ranges: Vec<Window> = Vec::new();
        for second in &self.seconds {
            let (from_ns, to_ns) = (
                second.saturating_mul(SECOND_NS),
                second.saturating_add(1).saturating_mul(SECOND_NS),
            );
            match ranges.last_mut() {
                Some(last) if from_ns.saturating_sub(last.to_ns) <= gap_ns => last.to_ns = to_ns,
                _ => ranges.push(Window { from_ns, to_ns }),
            }
        }
        ranges
    }
}

/// Slice lengths to choose from.
const SLICE_SECONDS: [i64; 7] = [5, 10, 15, 30, 60, 120, 300];
/// The slices a window should have at least.
const SLICES_PER_WINDOW: i64 = 10;
/// The most slices of a side (two weeks of five minutes): longer sides have longer slices.
const MAX_SLICES: i64 = 4_032;

/// The slice length for two sides whose ranges are these: the longest round number of seconds, 5 s to 5 min, of which
/// the longest range of the shorter side still holds ten. Long slices count noise that lasts; ten are enough to test.
pub fn slice_length_ns(baseline: &[Window], candidate: &[Window]) -> i64 {
    let longest = |ranges: &[Window]| ranges.iter().map(Window::length_ns).max().unwrap_or(0);
    let total = |ranges: &[Window]| {
        ranges
            .iter()
            .map(Window::length_ns)
            .fold(0, i64::saturating_add)
    };
    let least = total(baseline).max(total(candidate)) / MAX_SLICES;
    let wanted = longest(baseline).min(longest(candidate)) / SLICES_PER_WINDOW;
    // Data that fills a window rarely fills its last second: let the length round up by a twentieth.
    let fits = |seconds: &&i64| **seconds * SECOND_NS <= wanted + wanted / 20;
    let length = SLICE_SECONDS.iter().rev().find(fits);
    let length_ns = length.unwrap_or(&SLICE_SECONDS[0]) * SECOND_NS;
    length_ns.max(least)
}

/// The slices of one side: equal parts of each of its ranges, never across a gap.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slicing {
    slices: Vec<Window>,
}

impl Slicing {
    /// Cuts every range into equal slices of about `slice_ns`. Ranges that overlap are joined first.
    pub fn cut(ranges: &[Window], slice_ns: i64) -> Self {
        let mut slices = Vec::new();
        for range in joined(ranges) {
            let length = range.length_ns();
            let count = ((length + slice_ns / 2) / slice_ns).max(1);
            let edge = |i: i64| {
                range.from_ns + (i128::from(length) * i128::from(i) / i128::from(count)) as i64
            };
            slices.extend((0..count).filter_map(|i| Window::new(edge(i), edge(i + 1)).ok()));
        }
        Self { slices }
    }

    /// The slicing whose slices are these, sorted by start. They must not overlap.
    pub(crate) fn from_slices(slices: Vec<Window>) -> Self {
        Self { slices }
    }

    /// The slices, by time.
    pub fn slices(&self) -> &[Window] {
        &self.slices
    }

    /// The number of the slice that contains a time.
    pub fn find(&self, time_ns: i64) -> Option<usize> {
        let time_ns = time_ns.min(LAST_NS);
        let after = self.slices.partition_point(|s| s.from_ns <= time_ns);
        after
            .checked_sub(1)
            .filter(|i| self.slices[*i].contains(time_ns))
    }

    /// Length of all slices in seconds.
    pub fn seconds(&self) -> f64 {
        self.slices.iter().map(Window::seconds).sum()
    }
}

fn joined(ranges: &[Window]) -> Vec<Window> {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable();
    let mut joined: Vec<Window> = Vec::new();
    for range in sorted {
        match joined.last_mut() {
            Some(last) if range.from_ns < last.to_ns => last.to_ns = last.to_ns.max(range.to_ns),
            _ => joined.push(range),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(from_s: i64, to_s: i64) -> Window {
        Window::new(from_s * SECOND_NS, to_s * SECOND_NS).unwrap()
    }

    #[test]
    fn a_window_has_a_length() {
        assert!(Window::new(5, 5).is_err());
        assert!(window(0, 10).contains(0) && !window(0, 10).contains(10 * SECOND_NS));
    }

    #[test]
    fn a_gap_ends_a_range() {
        let mut time = OccupiedTime::default();
        for second in [100, 101, 130, 500, 501] {
            time.add(second * SECOND_NS + 7);
        }
        let ranges = time.ranges();
        assert_eq!(ranges.len(), 2);
        assert_eq!(ranges[0].from_ns(), 100 * SECOND_NS + 7);
        assert_eq!(ranges[0].to_ns(), 131 * SECOND_NS);
        assert_eq!(ranges[1].to_ns(), 501 * SECOND_NS + 8);
    }

    #[test]
    fn a_single_trace_takes_a_second() {
        let mut time = OccupiedTime::default();
        time.add(5 * SECOND_NS + 3);
        let expected = Window::new(5 * SECOND_NS + 3, 6 * SECOND_NS + 3).unwrap();
        assert_eq!(time.ranges(), [expected]);
    }

    #[test]
    fn rare_jobs_and_broken_clocks_give_few_slices() {
        let mut time = OccupiedTime::default();
        (0..10_000).for_each(|job| time.add(job * 300 * SECOND_NS));
        assert_eq!(time.ranges().len(), 1);
        (0..10_000).for_each(|place| time.add(place * 900_000 * SECOND_NS));
        let ranges = time.ranges();
        assert!(ranges.len() <= 100, "{}", ranges.len());
        let slicing = Slicing::cut(&ranges, slice_length_ns(&ranges, &ranges));
        assert!(slicing.slices().len() < 4_200, "{}", slicing.slices().len());
    }

    #[test]
    fn the_end_of_time_lies_in_a_window() {
        let mut time = OccupiedTime::default();
        time.add(i64::MAX);
        let slicing = Slicing::cut(&time.ranges(), 5 * SECOND_NS);
        assert_eq!(slicing.find(i64::MAX), Some(0));
    }

    #[test]
    fn slices_are_equal_parts_that_skip_gaps() {
        let slicing = Slicing::cut(&[window(0, 59), window(1000, 1060)], 5 * SECOND_NS);
        assert_eq!(slicing.slices().len(), 24);
        assert_eq!(slicing.find(58 * SECOND_NS), Some(11));
        assert_eq!(slicing.find(59 * SECOND_NS), None);
        assert_eq!(slicing.find(1000 * SECOND_NS), Some(12));
        assert_eq!(slicing.seconds(), 119.0);
    }

    #[test]
    fn slice_length_follows_the_shorter_side() {
        let check = |a: i64, b: i64, expected: i64| {
            assert_eq!(
                slice_length_ns(&[window(0, a)], &[window(0, b)]),
                expected * SECOND_NS,
                "{a} {b}"
            );
        };
        check(600, 599, 60);
        check(720, 720, 60);
        check(200, 200, 15);
        check(59, 120, 5);
        check(7, 7, 5);
        check(100_000, 100_000, 300);
    }
}
