//! How far hosts' clocks are apart, estimated over a population of traces.
//!
//! A call that waits for its answer bounds the offset of the two hosts' clocks from both sides. [`ClocksBuilder`]
//! gathers these bounds by pair of hosts and minute; [`Clocks`] is what follows from them. The formula, its source and
//! every constant are in `docs/methods/clock-skew.md`.

mod bounds;
mod builder;
mod hosts;
mod solve;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use builder::ClocksBuilder;
use hosts::HostFinder;
use solve::Offsets;
#[cfg(test)]
pub(super) use tests::known_clocks;

use crate::model::SpanBatch;
use crate::trace::Trace;
use serde::{Deserialize, Serialize};

/// The number of a host without an estimate.
const UNKNOWN: u32 = u32::MAX;
const MINUTE_NS: i64 = 60_000_000_000;

/// The minute that a time is in, since the epoch.
fn minute_of(time_ns: i64) -> i64 {
    time_ns.div_euclid(MINUTE_NS)
}

/// How far a host's clock was off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockOffset {
    /// The host whose clock it is compared with: the middle one of the hosts that call each other.
    pub compared_with: String,
    /// What was added to the host's times, in nanoseconds, in the minute in which it was most: above 0 where its clock
    /// is slow.
    pub offset_ns: i64,
}

impl ClockOffset {
    /// Keeps the larger of two offsets of one host, whichever comes first.
    pub(crate) fn keep_larger(&mut self, other: &Self) {
        let rank = |o: &Self| (o.offset_ns.unsigned_abs(), o.offset_ns);
        if (rank(other), &self.compared_with) > (rank(self), &other.compared_with) {
            *self = other.clone();
        }
    }
}

/// The offsets of hosts' clocks, minute by minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clocks {
    /// Names of the hosts, sorted; their places number them.
    hosts: Vec<String>,
    /// Minutes that share one estimate.
    minutes_joined: i64,
    /// By minutes since the epoch, in units of `minutes_joined`; sorted.
    by_minute: Vec<(i64, Offsets)>,
    /// Estimated over all minutes, for those that are not in `by_minute`.
    over_all: Offsets,
}

impl Clocks {
    /// Whether any offset in any minute is not 0.
    pub fn correct_any(&self) -> bool {
        let mut all = self.by_minute.iter().map(|(_, offsets)| offsets);
        self.over_all.correct_any() || all.any(Offsets::correct_any)
    }

    /// What has to be added to the callee's times to compare them with the caller's, in nanoseconds, for traces that
    /// begin at `start_ns`; `None` where that is not known, or no clock was off then.
    pub fn between(&self, caller: &str, callee: &str, start_ns: i64) -> Option<i64> {
        self.at(start_ns)
            .between(self.number(caller), self.number(callee))
    }

    /// The hosts whose clocks were off in some minute.
    pub fn corrected(&self) -> BTreeMap<String, ClockOffset> {
        let mut corrected: BTreeMap<String, ClockOffset> = BTreeMap::new();
        for (_, offsets) in &self.by_minute {
            for (host, place) in offsets.corrected() {
                let offset = ClockOffset {
                    compared_with: self.hosts[place.reference as usize].clone(),
                    offset_ns: place.offset_ns,
                };
                let known = corrected.entry(self.hosts[host].clone());
                let known = known.or_insert_with(|| offset.clone());
                known.keep_larger(&offset);
            }
        }
        corrected
    }

    fn at(&self, start_ns: i64) -> &Offsets {
        let minute = minute_of(start_ns).div_euclid(self.minutes_joined);
        match self.by_minute.binary_search_by_key(&minute, |(m, _)| *m) {
            Ok(place) => &self.by_minute[place].1,
            Err(_) => &self.over_all,
        }
    }

    fn number(&self, host: &str) -> u32 {
        let place = self.hosts.binary_search_by(|h| h.as_str().cmp(host));
        place.map_or(UNKNOWN, |place| place as u32)
    }
}

/// Looks up the offsets of the spans of traces, in a buffer that is used again.
#[derive(Debug)]
pub(super) struct ClockReader {
    clocks: Arc<Clocks>,
    finder: HostFinder,
    hosts: Vec<u32>,
}

impl ClockReader {
    pub(super) fn new(clocks: Arc<Clocks>, batches: &[SpanBatch]) -> Self {
        Self {
            clocks,
            finder: HostFinder::new(batches),
            hosts: Vec::new(),
        }
    }

    /// The clocks of a trace's spans; `None` where no clock was off when it began.
    pub(super) fn read(&mut self, trace: &Trace<'_>) -> Option<TraceClocks<'_>> {
        let offsets = self.clocks.at(trace.start_ns());
        if !offsets.correct_any() {
            return None;
        }
        self.hosts.clear();
        for span in trace.spans {
            let host = self.finder.host(span.at, |name| self.clocks.number(name));
            self.hosts.push(host);
        }
        Some(TraceClocks {
            hosts: &self.hosts,
            offsets,
        })
    }
}

/// The clocks of one trace's spans.
#[derive(Debug, Clone, Copy)]
pub struct TraceClocks<'a> {
    hosts: &'a [u32],
    offsets: &'a Offsets,
}

impl TraceClocks<'_> {
    /// What has to be added to the times of span `child` to compare them with those of span `parent`, in nanoseconds;
    /// `None` where that is not known.
    pub(super) fn between(&self, parent: usize, child: usize) -> Option<i64> {
        self.offsets.between(self.hosts[parent], self.hosts[child])
    }
}

#[cfg(test)]
mod tests;
