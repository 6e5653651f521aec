//! What spans of a window tell of services, calls and entry points.

use std::collections::{BTreeMap, HashMap};

use tracediff_core::model::{SpanId, TraceId};

use crate::spans::Span;

pub(crate) const SERVER: u8 = 2;
pub(crate) const CLIENT: u8 = 3;
pub(crate) const CONSUMER: u8 = 5;

/// A window's spans with their parents and children.
pub(crate) struct Window<'s> {
    pub(crate) spans: &'s [Span],
    by_id: HashMap<(TraceId, SpanId), &'s Span>,
    children: HashMap<(TraceId, SpanId), Vec<&'s Span>>,
}

/// A mean by what it is the mean of.
pub(crate) type Means<'s> = BTreeMap<(&'s str, &'s str), f64>;

impl<'s> Window<'s> {
    pub(crate) fn new(spans: &'s [Span]) -> Self {
        let mut children: HashMap<_, Vec<&Span>> = HashMap::new();
        for span in spans {
            if let Some(parent) = span.parent {
                children
                    .entry((span.trace_id, parent))
                    .or_default()
                    .push(span);
            }
        }
        Self {
            spans,
            by_id: spans.iter().map(|s| ((s.trace_id, s.span_id), s)).collect(),
            children,
        }
    }

    pub(crate) fn parent(&self, span: &Span) -> Option<&'s Span> {
        self.by_id.get(&(span.trace_id, span.parent?)).copied()
    }

    pub(crate) fn children(&self, span: &Span) -> &[&'s Span] {
        let children = self.children.get(&(span.trace_id, span.span_id));
        children.map_or(&[], Vec::as_slice)
    }

    /// Spans that others ask for, or where requests come in.
    pub(crate) fn visits(&self, service: &str, operation: &str) -> Vec<&'s Span> {
        let asked = |s: &&Span| [SERVER, CONSUMER].contains(&s.kind);
        let of = |s: &&Span| s.service == service && s.operation == operation;
        self.spans.iter().filter(asked).filter(of).collect()
    }

    /// The time inside a span in which nothing below it runs.
    fn self_time_ns(&self, span: &Span) -> f64 {
        let waits = self.children(span).iter().filter(|c| c.kind != CONSUMER);
        let mut waits: Vec<(i64, i64)> = waits.map(|c| (c.start_ns, c.end_ns())).collect();
        waits.sort_unstable();
        let (mut at_ns, mut self_ns) = (span.start_ns, 0);
        for (start_ns, end_ns) in waits {
            self_ns += (start_ns - at_ns).max(0);
            at_ns = at_ns.max(end_ns);
        }
        (self_ns + (span.end_ns() - at_ns).max(0)) as f64
    }

    /// Mean time per span that each service spends on work of its own. Spans that something failed inside are left out:
    /// waits before another try are no work.
    pub(crate) fn work(&self) -> Means<'s> {
        let own = self.spans.iter().filter(|s| ![CLIENT, 4].contains(&s.kind));
        let is_fine = |s: &&Span| self.children(s).iter().all(|c| !c.is_error);
        means(
            own.filter(is_fine)
                .map(|s| ((s.service.as_str(), ""), self.self_time_ns(s))),
        )
    }

    /// Mean time per call that is neither caller's nor callee's, by both.
    pub(crate) fn gaps(&self) -> Means<'s> {
        let served = self.spans.iter().filter(|s| s.kind == SERVER);
        let gaps = served.filter_map(|s| {
            let client = self.parent(s)?;
            let key = (client.service.as_str(), s.service.as_str());
            Some((key, client.duration_ns as f64 - s.duration_ns as f64))
        });
        means(gaps)
    }

    /// Mean time of what has no spans on the other side, by service and dependency.
    pub(crate) fn dependencies(&self) -> Means<'s> {
        let clients = self.spans.iter().filter(|s| s.kind == CLIENT);
        let alone = clients.filter(|s| self.children(s).is_empty());
        means(alone.map(|s| {
            let key = (s.service.as_str(), s.attribute("server.address"));
            (key, s.duration_ns as f64)
        }))
    }

    fn roots(&self) -> impl Iterator<Item = &'s Span> {
        let spans = self.spans.iter();
        spans.filter(|s| s.parent.is_none() && s.kind == SERVER)
    }

    /// Mean time of requests, by entry.
    pub(crate) fn entries(&self) -> Means<'s> {
        means(self.roots().map(|s| (key(s), s.duration_ns as f64)))
    }

    /// Mean time of all requests.
    pub(crate) fn mean_ns(&self) -> f64 {
        means(self.roots().map(|s| (("", ""), s.duration_ns as f64)))[&("", "")]
    }

    /// The share of requests that fail.
    pub(crate) fn root_error_ratio(&self) -> f64 {
        error_ratio(&self.roots().collect::<Vec<_>>())
    }

    /// How often an operation asks something, each time it is asked itself.
    pub(crate) fn asks(&self, service: &str, operation: &str, address: &str, name: &str) -> f64 {
        let visits = self.visits(service, operation);
        let is_meant = |s: &Span| {
            s.kind == CLIENT
                && s.attribute("server.address") == address
                && (s.operation == name || s.operation.starts_with(&format!("{name} ")))
        };
        let asks: usize = visits.iter().map(|v| self.count_inside(v, &is_meant)).sum();
        asks as f64 / visits.len() as f64
    }

    /// How many spans of the same service under this one are meant.
    fn count_inside(&self, span: &Span, is_meant: &dyn Fn(&Span) -> bool) -> usize {
        let own = self
            .children(span)
            .iter()
            .filter(|c| c.service == span.service && c.kind != SERVER);
        own.map(|c| usize::from(is_meant(c)) + self.count_inside(c, is_meant))
            .sum()
    }
}

fn key(span: &Span) -> (&str, &str) {
    (&span.service, &span.operation)
}

pub(crate) fn error_ratio(spans: &[&Span]) -> f64 {
    spans.iter().filter(|s| s.is_error).count() as f64 / spans.len() as f64
}

fn means<'s>(values: impl Iterator<Item = ((&'s str, &'s str), f64)>) -> Means<'s> {
    let mut sums: BTreeMap<_, (f64, f64)> = BTreeMap::new();
    for (key, value) in values {
        let (sum, count) = sums.entry(key).or_default();
        *sum += value;
        *count += 1.0;
    }
    let mean = |(key, (sum, count))| (key, sum / count);
    sums.into_iter().map(mean).collect()
}

/// How many times as much each is after as before, where it is on both sides.
pub(crate) fn ratios<'s>(before: &Means<'s>, after: &Means<'_>) -> Means<'s> {
    let ratio = |(key, value): (&(&'s str, &'s str), &f64)| Some((*key, after.get(key)? / value));
    before.iter().filter_map(ratio).collect()
}
