//! A request that can be timed again with other times of some of its calls.
//!
//! The idea of re-timing a recorded trace under dependencies of siblings is CRISP's and calligator's (Zhang et al. 2022,
//! USENIX ATC; `docs/methods/what-if.md` says what is assumed here).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::paths::PathBuilder;
use crate::trace::Trace;

/// Spans of a request that is kept; longer ones are passed over.
const SPANS: usize = 2_000;

/// The spans that a request waits for, every one behind its parent and siblings by their start.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Timeline {
    pub(super) weight: f64,
    spans: Vec<Timed>,
}

/// One span, in nanoseconds since the request began.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Timed {
    start_ns: i64,
    end_ns: i64,
    /// Time in which none of the calls that it waits for ran.
    own_ns: i64,
    /// Whether it is a call of the node that is timed anew.
    is_subject: bool,
    /// Where its children are.
    children: (u32, u32),
}

/// The part of an own time that falls into a gap between calls, as long as it is left when the own time is scaled.
fn scaled(gap_ns: i64, own_ns: i64, scale: f64) -> i64 {
    gap_ns - own_ns + (own_ns as f64 * scale).round() as i64
}

impl Timeline {
    /// The request that was added to the call tree last; `None` where it has no root, more than 2,000 spans, or does
    /// not wait for any of the node's calls. `subjects` tells which spans those are.
    pub(super) fn of(trace: &Trace<'_>, paths: &PathBuilder, subjects: &[bool]) -> Option<Self> {
        let root = trace.root()?;
        let parts = paths.parts();
        let began_ns = parts[root].start_ns;
        let mut numbers = vec![root];
        let mut spans = Vec::new();
        while let Some(number) = numbers.get(spans.len()).copied() {
            let part = &parts[number];
            let first = numbers.len();
            let children = paths.children(number).iter().map(|child| *child as usize);
            numbers.extend(children.filter(|child| !parts[*child].is_async));
            numbers[first..].sort_by_key(|child| (parts[*child].start_ns, parts[*child].end_ns));
            if numbers.len() > SPANS {
                return None;
            }
            spans.push(Timed {
                start_ns: part.start_ns - began_ns,
                end_ns: part.end_ns - began_ns,
                own_ns: part.exclusive_ns,
                is_subject: subjects[number],
                children: (first as u32, numbers.len() as u32),
            });
        }
        let concerns = spans.iter().any(|span| span.is_subject);
        concerns.then(|| Self {
            weight: trace.weight(),
            spans,
        })
    }

    /// Own times of the node's calls, in nanoseconds.
    pub(super) fn own_times(&self) -> impl Iterator<Item = i64> {
        let calls = self.spans.iter().filter(|span| span.is_subject);
        calls.map(|span| span.own_ns)
    }

    /// How long the request took, in nanoseconds.
    pub(super) fn duration_ns(&self) -> i64 {
        self.spans[0].end_ns - self.spans[0].start_ns
    }

    /// How long it would take if the own time of every call of the node were what `restored` makes of it.
    ///
    /// A call begins as long as before after the last of those siblings that had ended when it began, and its caller
    /// ends as long as before after the last of its calls; only the caller's own time in between is scaled.
    pub(super) fn retimed_ns(&self, restored: impl Fn(i64) -> i64) -> i64 {
        let mut durations = vec![0i64; self.spans.len()];
        for number in (0..self.spans.len()).rev() {
            let span = &self.spans[number];
            let scale = if span.is_subject && span.own_ns > 0 {
                restored(span.own_ns) as f64 / span.own_ns as f64
            } else {
                1.0
            };
            durations[number] = self.duration_of(span, scale, &durations);
        }
        durations[0]
    }

    fn duration_of(&self, span: &Timed, scale: f64, durations: &[i64]) -> i64 {
        // The latest end of calls that are over, before and now, and of all.
        let (mut over_ns, mut now_over_ns) = (span.start_ns, 0i64);
        let (mut end_ns, mut now_end_ns) = (span.start_ns, 0i64);
        // The last time without a call so far.
        let mut own = (span.start_ns, span.start_ns);
        let mut running: BinaryHeap<Reverse<(i64, i64)>> = BinaryHeap::new();
        for child in span.children.0..span.children.1 {
            let timed = &self.spans[child as usize];
            if timed.start_ns > end_ns {
                own = (end_ns, timed.start_ns);
            }
            while let Some(Reverse((ended_ns, now_ns))) = running.peek().copied() {
                if ended_ns > timed.start_ns {
                    break;
                }
                running.pop();
                over_ns = over_ns.max(ended_ns);
                now_over_ns = now_over_ns.max(now_ns);
            }
            let own_ns = if own.0 >= over_ns { own.1 - own.0 } else { 0 };
            let gap_ns = scaled(timed.start_ns - over_ns, own_ns, scale);
            let now_ns = now_over_ns + gap_ns + durations[child as usize];
            running.push(Reverse((timed.end_ns, now_ns)));
            end_ns = end_ns.max(timed.end_ns);
            now_end_ns = now_end_ns.max(now_ns);
        }
        let tail_ns = span.end_ns - end_ns;
        now_end_ns + scaled(tail_ns, tail_ns, scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spans by parent, start, end and whether the node is theirs; own times are worked out by the slow way.
    fn timeline(spans: &[(usize, i64, i64, bool)]) -> Timeline {
        let own_ns = |number: usize| {
            let (_, start, end, _) = spans[number];
            let is_free = |t: &i64| {
                let mut others = spans.iter().enumerate().skip(1);
                !others.any(|(_, (parent, s, e, _))| *parent == number && s <= t && t < e)
            };
            (start..end).filter(is_free).count() as i64
        };
        let spans = spans.iter().enumerate().map(|(number, span)| {
            let of_it = |(_, other): &(usize, &(usize, i64, i64, bool))| other.0 == number;
            let children = spans.iter().enumerate().skip(1).filter(of_it);
            let first = children.clone().next().map_or(0, |(first, _)| first);
            Timed {
                start_ns: span.1,
                end_ns: span.2,
                own_ns: own_ns(number),
                is_subject: span.3,
                children: (first as u32, (first + children.count()) as u32),
            }
        });
        Timeline {
            weight: 1.0,
            spans: spans.collect(),
        }
    }

    #[test]
    fn nothing_changes_where_no_time_does() {
        let odd = timeline(&[
            (0, 0, 1_000, true),
            (0, 10, 400, true),
            (0, 10, 300, false),
            (0, 300, 300, true),
            (0, 350, 900, false),
            (0, 950, 1_000, true),
            (1, 10, 400, true),
        ]);
        assert_eq!(odd.retimed_ns(|own_ns| own_ns), 1_000);
    }

    #[test]
    fn what_comes_after_comes_sooner_and_a_sibling_takes_over() {
        // One after the other: all of it is won.
        let serial = timeline(&[(0, 0, 100, false), (0, 10, 50, true), (0, 60, 90, false)]);
        assert_eq!(serial.retimed_ns(|_| 20), 80);
        // Side by side: only what the other leaves.
        let parallel = timeline(&[(0, 0, 100, false), (0, 10, 90, true), (0, 10, 70, false)]);
        assert_eq!(parallel.retimed_ns(|_| 20), 80);
        // Beside what is longer: nothing; and more than before where it overtakes that.
        let hidden = timeline(&[(0, 0, 100, false), (0, 10, 40, true), (0, 10, 90, false)]);
        assert_eq!(hidden.retimed_ns(|_| 10), 100);
        assert_eq!(hidden.retimed_ns(|_| 90), 110);
    }

    #[test]
    fn own_time_is_scaled_before_between_and_after_calls_but_not_beside_them() {
        // 10 before, 20 beside a call only, 10 between, 30 after.
        let caller = timeline(&[
            (0, 0, 100, true),
            (0, 10, 30, false),
            (0, 20, 50, false),
            (0, 60, 70, false),
        ]);
        assert_eq!(caller.duration_ns(), 100);
        assert_eq!(caller.retimed_ns(|own_ns| own_ns / 2), 75);
        assert_eq!(caller.retimed_ns(|_| 0), 50);
    }
}
