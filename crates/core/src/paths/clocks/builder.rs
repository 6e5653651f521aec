//! Gathers what calls say of clocks, in bounded memory and independent of the order of traces.

use std::collections::{BTreeMap, BinaryHeap};

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::bounds::{Bound, Evidence, MIN_CALLS};
use super::hosts::HostFinder;
use super::solve::{Offsets, Pair};
use super::{Clocks, UNKNOWN, minute_of};
use crate::model::SpanBatch;
use crate::trace::Trace;

const SERVER: u8 = 2;
const CLIENT: u8 = 3;
/// Calls of one pair of hosts in one minute that are kept: those of the traces with the smallest hashes.
const CALLS_KEPT: usize = 256;
/// Calls that are kept in all. Past it only traces with the smaller half of the hashes stay.
const MAX_CALLS: usize = 1 << 18;
/// Pairs of hosts that are estimated: those with most calls.
const MAX_PAIRS: usize = 2_000;
/// Estimates over time. Where there are more minutes, pairs of neighbours are joined until there are not.
const MAX_MINUTES: usize = 360;
/// Where a minute has too few calls, this many before and after it are looked at too.
const REACH: i64 = 5;

/// A pair of hosts, the one whose name comes first first, and a minute.
type Cell = (u32, u32, i64);

/// Gathers the bounds that calls put on the offsets of hosts' clocks.
#[derive(Debug)]
pub struct ClocksBuilder {
    finder: HostFinder,
    hosts: Vec<String>,
    numbers: HashMap<String, u32, FixedState>,
    cells: HashMap<Cell, BinaryHeap<Bound>, FixedState>,
    calls: usize,
    max_hash: u64,
    max_calls: usize,
}

impl ClocksBuilder {
    /// A builder for traces of these batches.
    pub fn new(batches: &[SpanBatch]) -> Self {
        Self {
            finder: HostFinder::new(batches),
            hosts: Vec::new(),
            numbers: HashMap::default(),
            cells: HashMap::default(),
            calls: 0,
            max_hash: u64::MAX,
            max_calls: MAX_CALLS,
        }
    }

    /// Keeps at most this many calls in all.
    #[cfg(test)]
    pub(super) fn keep_at_most(mut self, calls: usize) -> Self {
        self.max_calls = calls;
        self
    }

    /// Notes the calls of a trace: client spans with a server span below that comes from another host and did not last
    /// longer. They count for the minute in which the trace began.
    pub fn observe(&mut self, trace: &Trace<'_>) {
        if trace.hash > self.max_hash {
            return;
        }
        let minute = minute_of(trace.start_ns());
        for answer in trace.spans.iter().filter(|span| span.kind == SERVER) {
            let Some(call) = answer.parent().map(|parent| &trace.spans[parent]) else {
                continue;
            };
            // Who gave up before the answer came says nothing of its end.
            if call.kind != CLIENT || answer.duration_ns > call.duration_ns {
                continue;
            }
            let caller = self.host(call.at);
            let callee = self.host(answer.at);
            if caller == callee || caller == UNKNOWN || callee == UNKNOWN {
                continue;
            }
            let bound = Bound {
                hash: trace.hash,
                low_ns: call.start_ns.saturating_sub(answer.start_ns),
                high_ns: call.end_ns().saturating_sub(answer.end_ns()),
            };
            if self.hosts[caller as usize] < self.hosts[callee as usize] {
                self.add((caller, callee, minute), bound);
            } else {
                self.add((callee, caller, minute), bound.flipped());
            }
        }
        self.thin_out();
    }

    fn host(&mut self, at: crate::trace::SpanRef) -> u32 {
        let (hosts, numbers) = (&mut self.hosts, &mut self.numbers);
        self.finder.host(at, |name| number(hosts, numbers, name))
    }

    fn add(&mut self, cell: Cell, bound: Bound) {
        let kept = self.cells.entry(cell).or_default();
        kept.push(bound);
        self.calls += 1;
        if kept.len() > CALLS_KEPT {
            kept.pop();
            self.calls -= 1;
        }
    }

    /// Keeps within the limit. A smaller limit on hashes never lets a trace back in, so what is left does not depend on
    /// the order of traces.
    fn thin_out(&mut self) {
        while self.calls > self.max_calls && self.max_hash > 0 {
            self.limit_hashes(self.max_hash / 2);
        }
    }

    fn limit_hashes(&mut self, max_hash: u64) {
        self.max_hash = max_hash;
        self.cells.retain(|_, kept| {
            kept.retain(|bound| bound.hash <= max_hash);
            !kept.is_empty()
        });
        self.calls = self.cells.values().map(BinaryHeap::len).sum();
    }

    /// Adds what another builder gathered from other traces.
    pub fn merge(&mut self, other: Self) {
        let (hosts, numbers) = (&mut self.hosts, &mut self.numbers);
        let renumber = |name: &String| number(hosts, numbers, name);
        let renumbered: Vec<u32> = other.hosts.iter().map(renumber).collect();
        if other.max_hash < self.max_hash {
            self.limit_hashes(other.max_hash);
        }
        let max_hash = self.max_hash;
        for ((a, b, minute), bounds) in other.cells {
            let cell = (renumbered[a as usize], renumbered[b as usize], minute);
            for bound in bounds.into_iter().filter(|b| b.hash <= max_hash) {
                self.add(cell, bound);
            }
        }
        self.thin_out();
    }

    /// The offsets that follow.
    pub fn finish(self) -> Clocks {
        let mut by_name: BTreeMap<(&str, &str), BTreeMap<i64, Vec<Bound>>> = BTreeMap::new();
        for ((a, b, minute), bounds) in self.cells {
            let pair = (
                self.hosts[a as usize].as_str(),
                self.hosts[b as usize].as_str(),
            );
            let bounds = bounds.into_vec();
            by_name.entry(pair).or_default().insert(minute, bounds);
        }
        let mut by_calls: Vec<_> = by_name
            .into_iter()
            .map(|(pair, minutes)| (minutes.values().map(Vec::len).sum::<usize>(), pair, minutes))
            .filter(|(calls, ..)| *calls >= MIN_CALLS)
            .collect();
        by_calls.sort_by_key(|(calls, pair, _)| (std::cmp::Reverse(*calls), *pair));
        by_calls.truncate(MAX_PAIRS);
        let mut hosts: Vec<String> = by_calls
            .iter()
            .flat_map(|(_, (a, b), _)| [(*a).to_owned(), (*b).to_owned()])
            .collect();
        hosts.sort_unstable();
        hosts.dedup();
        let place = |name: &str| {
            let found = hosts.binary_search_by(|h| h.as_str().cmp(name));
            found.map_or(UNKNOWN, |place| place as u32)
        };
        let minutes_joined = minutes_to_join(by_calls.iter().flat_map(|(.., m)| m.keys()));
        let pairs: Vec<PairCalls> = by_calls
            .into_iter()
            .map(|(_, (a, b), minutes)| {
                PairCalls::new((place(a), place(b)), minutes, minutes_joined)
            })
            .collect();
        let solve = |evidence: &dyn Fn(&PairCalls) -> Option<Evidence>, like: &Offsets| {
            let known = |pair: &PairCalls| {
                Some(Pair {
                    hosts: pair.hosts,
                    evidence: evidence(pair)?,
                })
            };
            Offsets::solve(hosts.len(), pairs.iter().filter_map(known).collect(), like)
        };
        let mut minutes: Vec<i64> = pairs.iter().flat_map(|p| p.calls.keys().copied()).collect();
        minutes.sort_unstable();
        minutes.dedup();
        let over_all = solve(&|pair| pair.over_all, &Offsets::default());
        let by_minute = minutes
            .into_iter()
            .map(|minute| (minute, solve(&|pair| pair.around(minute), &over_all)))
            .collect();
        Clocks {
            minutes_joined,
            by_minute,
            over_all,
            hosts,
        }
    }
}

/// All calls of a pair of hosts.
struct PairCalls {
    hosts: (u32, u32),
    calls: BTreeMap<i64, Vec<Bound>>,
    over_all: Option<Evidence>,
}

impl PairCalls {
    fn new(hosts: (u32, u32), minutes: BTreeMap<i64, Vec<Bound>>, joined: i64) -> Self {
        let all: Vec<Bound> = minutes.values().flatten().copied().collect();
        let mut calls: BTreeMap<i64, Vec<Bound>> = BTreeMap::new();
        for (minute, bounds) in minutes {
            let minute = minute.div_euclid(joined);
            calls.entry(minute).or_default().extend(bounds);
        }
        Self {
            hosts,
            calls,
            over_all: Evidence::of(&all),
        }
    }

    /// The evidence of a minute, of more and more minutes around it until there is some, or else of all.
    fn around(&self, minute: i64) -> Option<Evidence> {
        let within = |reach: i64| {
            let near = self.calls.range(minute - reach..=minute + reach);
            Evidence::of(&near.flat_map(|(_, b)| b).copied().collect::<Vec<_>>())
        };
        (0..=REACH).find_map(within).or(self.over_all)
    }
}

/// How many minutes have to share an estimate so that there are not too many of them.
fn minutes_to_join<'a>(minutes: impl Iterator<Item = &'a i64>) -> i64 {
    let mut distinct: Vec<i64> = minutes.copied().collect();
    distinct.sort_unstable();
    distinct.dedup();
    let mut joined = 1;
    while distinct.len() > MAX_MINUTES {
        joined *= 2;
        distinct.iter_mut().for_each(|m| *m = m.div_euclid(2));
        distinct.dedup();
    }
    joined
}

fn number(
    hosts: &mut Vec<String>,
    numbers: &mut HashMap<String, u32, FixedState>,
    name: &str,
) -> u32 {
    *numbers.entry_ref(name).or_insert_with(|| {
        hosts.push(name.to_owned());
        hosts.len() as u32 - 1
    })
}
