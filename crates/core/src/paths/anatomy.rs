//! The time of one trace taken apart: which span each nanosecond belongs to.
//!
//! Spans are placed into their parents first (clock skew, then clipping), and told apart into synchronous and
//! asynchronous ones. Then each span has its exclusive time, and its part of the critical path: the segments of a
//! tree add up to its root's duration exactly, in whole nanoseconds, whatever is odd in the trace.

use super::clocks::TraceClocks;
use crate::trace::{Trace, TraceSpan};

const NONE: u32 = u32::MAX;
const SERVER: u8 = 2;
const CLIENT: u8 = 3;
const PRODUCER: u8 = 4;
const CONSUMER: u8 = 5;

/// Children may stick out of their parent by this much, or by [`TOLERANCE_SHARE`] of it.
const TOLERANCE_NS: i64 = 1_000_000;
/// One part in this many of the parent's duration; also what siblings on the critical path may overlap by.
const TOLERANCE_SHARE: i64 = 100;

/// What became of one span.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Part {
    /// Start after correction for skew and clipping to the parent, in nanoseconds since the epoch.
    pub start_ns: i64,
    /// End after correction, not before the start.
    pub end_ns: i64,
    /// Whether the parent does not wait for it: it begins a tree of its own.
    pub is_async: bool,
    /// Time in which no synchronous child ran.
    pub exclusive_ns: i64,
    /// Time on the critical path of its tree.
    pub critical_ns: i64,
    /// Whether it waited for at least two children, and if so whether two of them ran at the same time.
    pub overlap: Option<bool>,
}

impl Part {
    /// End less start, in nanoseconds.
    pub fn duration_ns(&self) -> i64 {
        self.end_ns.saturating_sub(self.start_ns)
    }
}

/// Takes traces apart in buffers that are used again.
#[derive(Debug, Default)]
pub struct Anatomy {
    parts: Vec<Part>,
    /// Where each span's children begin in `children`; one more entry than there are spans.
    first_child: Vec<u32>,
    children: Vec<u32>,
    /// Every span behind its parent.
    order: Vec<u32>,
    /// How far each span's clock is set back or forth.
    shift_ns: Vec<i64>,
    /// Spans still to be walked: index, and the time in which they are on the critical path.
    stack: Vec<(u32, i64, i64)>,
}

impl Anatomy {
    /// Takes a trace apart. `service` numbers the service of every span, by index; `clocks` tells how far their clocks
    /// are apart, where some are.
    pub fn dissect(&mut self, trace: &Trace<'_>, service: &[u32], clocks: Option<TraceClocks<'_>>) {
        self.index_children(trace);
        self.order_by_depth(trace);
        self.place(trace.spans, service, clocks);
        self.sort_children();
        for index in 0..trace.spans.len() {
            let (exclusive_ns, overlap) = self.own_time(index);
            let part = &mut self.parts[index];
            (part.exclusive_ns, part.overlap) = (exclusive_ns, overlap);
        }
        for index in 0..trace.spans.len() {
            if trace.spans[index].parent().is_none() || self.parts[index].is_async {
                self.walk(index);
            }
        }
    }

    /// What became of every span of the trace taken apart last, by index.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// A span's children, the one that ended last first.
    pub fn children(&self, index: usize) -> &[u32] {
        &self.children[self.first_child[index] as usize..self.first_child[index + 1] as usize]
    }

    /// All spans, every one behind its parent.
    pub fn by_depth(&self) -> &[u32] {
        &self.order
    }

    fn index_children(&mut self, trace: &Trace<'_>) {
        let spans = trace.spans;
        self.first_child.clear();
        self.first_child.resize(spans.len() + 1, 0);
        for parent in spans.iter().filter_map(TraceSpan::parent) {
            self.first_child[parent] += 1;
        }
        let mut end = 0;
        for count in &mut self.first_child {
            end += *count;
            *count = end;
        }
        self.children.clear();
        self.children.resize(end as usize, NONE);
        for (index, span) in spans.iter().enumerate().rev() {
            if let Some(parent) = span.parent() {
                let place = &mut self.first_child[parent];
                *place -= 1;
                self.children[*place as usize] = index as u32;
            }
        }
    }

    fn order_by_depth(&mut self, trace: &Trace<'_>) {
        self.order.clear();
        let tops = (0..).zip(trace.spans).filter(|(_, s)| s.parent().is_none());
        self.order.extend(tops.map(|(index, _)| index));
        let mut next = 0;
        while let Some(index) = self.order.get(next).copied() {
            let range = self.first_child[index as usize]..self.first_child[index as usize + 1];
            self.order
                .extend_from_slice(&self.children[range.start as usize..range.end as usize]);
            next += 1;
        }
    }

    /// Corrects skew, tells what is asynchronous, and clips the rest to its parent.
    fn place(&mut self, spans: &[TraceSpan], service: &[u32], clocks: Option<TraceClocks<'_>>) {
        self.parts.clear();
        self.parts.resize(spans.len(), Part::default());
        self.shift_ns.clear();
        self.shift_ns.resize(spans.len(), 0);
        for place in 0..self.order.len() {
            let index = self.order[place] as usize;
            let span = &spans[index];
            let Some(parent) = span.parent() else {
                self.parts[index] = as_it_is(span, 0);
                continue;
            };
            let around = self.parts[parent];
            let is_local = service[index] == service[parent];
            let known = clocks.and_then(|clocks| clocks.between(parent, index));
            let mut shift = match known {
                Some(offset_ns) => self.shift_ns[parent].saturating_add(offset_ns),
                None if is_local => self.shift_ns[parent],
                None => 0,
            };
            let mut part = as_it_is(span, shift);
            part.is_async = is_async(span, &spans[parent], &part, &around, is_local);
            if !part.is_async {
                if !is_local {
                    let into = shift_into(&part, &around);
                    shift = shift.saturating_add(into);
                    part.start_ns = part.start_ns.saturating_add(into);
                    part.end_ns = part.end_ns.saturating_add(into);
                }
                part.start_ns = part.start_ns.clamp(around.start_ns, around.end_ns);
                part.end_ns = part.end_ns.clamp(part.start_ns, around.end_ns);
            }
            self.shift_ns[index] = shift;
            self.parts[index] = part;
        }
    }

    /// The last to end first; asynchronous ones too, which the walk passes over.
    fn sort_children(&mut self) {
        for index in 0..self.parts.len() {
            let range = self.first_child[index] as usize..self.first_child[index + 1] as usize;
            if range.len() > 1 {
                let parts = &self.parts;
                self.children[range].sort_unstable_by_key(|child| {
                    let part = &parts[*child as usize];
                    (
                        std::cmp::Reverse(part.end_ns),
                        std::cmp::Reverse(part.start_ns),
                        *child,
                    )
                });
            }
        }
    }

    /// Duration less the union of the synchronous children, and whether these overlap by more than siblings on the
    /// critical path may.
    fn own_time(&self, index: usize) -> (i64, Option<bool>) {
        let part = self.parts[index];
        let tolerance = part.duration_ns() / TOLERANCE_SHARE;
        let mut free_from = part.end_ns;
        let mut free = 0;
        let (mut waited_for, mut overlaps) = (0, false);
        for child in self.children(index) {
            let child = &self.parts[*child as usize];
            if child.is_async {
                continue;
            }
            overlaps |= waited_for > 0 && child.end_ns.saturating_sub(tolerance) > free_from;
            waited_for += 1;
            free += free_from.saturating_sub(child.end_ns).max(0);
            free_from = free_from.min(child.start_ns);
        }
        let exclusive_ns = free + free_from.saturating_sub(part.start_ns).max(0);
        (exclusive_ns, (waited_for > 1).then_some(overlaps))
    }

    /// The critical path of the tree below `top`: from its end backwards, always into the child that ended last.
    fn walk(&mut self, top: usize) {
        let part = self.parts[top];
        self.stack.push((top as u32, part.start_ns, part.end_ns));
        while let Some((index, low, high)) = self.stack.pop() {
            let index = index as usize;
            let part = self.parts[index];
            let tolerance = part.duration_ns() / TOLERANCE_SHARE;
            let mut now = high;
            let mut own = 0;
            let range = self.first_child[index] as usize..self.first_child[index + 1] as usize;
            for place in range {
                let number = self.children[place];
                let child = &self.parts[number as usize];
                let end = child.end_ns.min(high);
                let is_passed = child.is_async
                    || child.start_ns >= now
                    || end <= low
                    // It ran beside a child that ended later.
                    || end > now.saturating_add(tolerance);
                if is_passed {
                    continue;
                }
                let end = end.min(now);
                own += now.saturating_sub(end);
                now = child.start_ns.max(low);
                self.stack.push((number, now, end));
                if now <= low {
                    break;
                }
            }
            self.parts[index].critical_ns = own + now.saturating_sub(low);
        }
    }
}

fn as_it_is(span: &TraceSpan, shift_ns: i64) -> Part {
    let start_ns = span.start_ns.saturating_add(shift_ns);
    Part {
        start_ns,
        end_ns: start_ns.saturating_add_unsigned(span.duration_ns),
        ..Part::default()
    }
}

/// Whether the parent does not wait for the child.
fn is_async(
    span: &TraceSpan,
    parent: &TraceSpan,
    part: &Part,
    around: &Part,
    is_local: bool,
) -> bool {
    if span.kind == CONSUMER || parent.kind == PRODUCER {
        return true;
    }
    // Both ends of a call: the client waits, however far the clocks are apart.
    if parent.kind == CLIENT && span.kind == SERVER {
        return false;
    }
    let tolerance = TOLERANCE_NS.max(around.duration_ns() / TOLERANCE_SHARE);
    if is_local {
        part.start_ns >= around.end_ns && part.end_ns > around.end_ns
            || part.end_ns > around.end_ns.saturating_add(tolerance)
    } else {
        part.start_ns >= around.end_ns.saturating_add(tolerance)
    }
}

/// How far another host's span must be moved to lie inside its parent: not at all where it does, so that what is left
/// of the parent is the same before and after it where it can, and to the parent's start where it is too long.
fn shift_into(part: &Part, around: &Part) -> i64 {
    if part.start_ns >= around.start_ns && part.end_ns <= around.end_ns {
        return 0;
    }
    let left = around.duration_ns().saturating_sub(part.duration_ns());
    around
        .start_ns
        .saturating_add(left.max(0) / 2)
        .saturating_sub(part.start_ns)
}
