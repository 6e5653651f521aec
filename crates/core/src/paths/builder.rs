//! Folds traces into the population's call tree.

use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::anatomy::{Anatomy, Part};
use super::bands::{Band, SampledTrace};
use super::clocks::{ClockReader, Clocks};
use super::graph::{GraphFinder, GraphItem};
use super::label::{Label, NodeKind};
use super::labeler::{EMPTY, LabelCode, Labeler};
use super::open_node::{OpenNode, Request};
use super::signature::{Signature, ordered};
use super::slices::PathSlices;
use super::tree::{PathCell, PathId, PathNode, PathTree};
use crate::model::SpanBatch;
use crate::trace::Trace;

const NONE: u32 = u32::MAX;
const CLIENT: u8 = 3;
const PRODUCER: u8 = 4;
/// Paths of one builder that are told apart.
const MAX_PATHS: usize = 50_000;
/// Calls that begin within this of each other begin together.
const TOGETHER_NS: i64 = 1_000_000;
/// Links of a path; spans further down count to the last one.
const MAX_DEPTH: u32 = 64;

/// A span as the call tree sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    /// The number of its label, or of its node or edge of the service graph.
    pub(crate) label: u32,
    /// Local time of a visit, time between both ends of a call, or the duration of a dependency, in nanoseconds.
    pub(crate) time_ns: u64,
    /// Whether it failed by itself.
    pub(crate) is_error: bool,
    pub(crate) weight: f64,
}

/// The call tree while traces are added to it.
#[derive(Debug)]
pub(crate) struct PathBuilder {
    labeler: Labeler,
    nodes: Vec<OpenNode>,
    by_link: HashMap<(u32, u32), u32, FixedState>,
    overflow_spans: u64,
    /// Spans that were seen, to tell them apart across traces.
    spans_seen: u64,
    anatomy: Anatomy,
    clocks: Option<ClockReader>,
    graph: GraphFinder,
    /// Per span of the trace: service, operation, label, node, and the entry of its visit.
    services: Vec<u32>,
    operations: Vec<u32>,
    labels: Vec<u32>,
    at: Vec<u32>,
    visits: Vec<u32>,
    /// Local time of the visit that begins at a span.
    local_ns: Vec<i64>,
    /// For a call span, the span in another service that answers.
    callee: Vec<u32>,
    touched: Vec<u32>,
    /// The labels of a span's children, each once.
    child_labels: Vec<u32>,
    /// The labels of every signature.
    signatures: HashMap<Signature, Vec<u32>, FixedState>,
}

impl PathBuilder {
    /// A builder for traces of these batches.
    pub(crate) fn new(batches: &[SpanBatch], clocks: Option<Arc<Clocks>>) -> Self {
        Self {
            labeler: Labeler::new(batches),
            nodes: Vec::new(),
            by_link: HashMap::default(),
            overflow_spans: 0,
            spans_seen: 0,
            anatomy: Anatomy::default(),
            clocks: clocks.map(|clocks| ClockReader::new(clocks, batches)),
            graph: GraphFinder::default(),
            services: Vec::new(),
            operations: Vec::new(),
            labels: Vec::new(),
            at: Vec::new(),
            visits: Vec::new(),
            local_ns: Vec::new(),
            callee: Vec::new(),
            touched: Vec::new(),
            child_labels: Vec::new(),
            signatures: HashMap::default(),
        }
    }

    /// Adds a trace, and hands out its visits, edges and calls of dependencies: by label, and by node and edge of the
    /// service graph.
    pub(crate) fn observe(
        &mut self,
        trace: &Trace<'_>,
        slice: u32,
        weight: f64,
        mut call: impl FnMut(Call),
        mut graph_call: impl FnMut(Call),
    ) {
        let spans = trace.spans;
        self.services.clear();
        for span in spans {
            self.services.push(self.labeler.service(span.at));
        }
        let clocks = self.clocks.as_mut().and_then(|clocks| clocks.read(trace));
        self.anatomy.dissect(trace, &self.services, clocks);
        self.operations.clear();
        for span in spans {
            self.operations.push(self.labeler.operation(span.at));
        }
        self.find_callees(trace);
        self.name(trace);
        self.measure_visits(trace, &mut call);
        self.graph.observe(
            trace,
            &self.services,
            &self.anatomy,
            &mut self.labeler,
            &mut graph_call,
        );
        self.descend(trace, slice);
        self.add_sums(trace, slice, weight);
        self.add_failure(trace);
        let root = trace.root();
        let took =
            |root: usize| Band::of_ns(self.anatomy.parts()[root].duration_ns().max(0) as u64);
        let request = Request {
            weight,
            failed: root.is_some_and(|root| spans[root].is_error),
            band: root.map(took),
            trace: SampledTrace {
                hash: trace.hash,
                trace_id: trace.id,
            },
        };
        for node in self.touched.drain(..) {
            let node = &mut self.nodes[node as usize];
            let is_request = self.labeler.code(node.label).kind == NodeKind::Request;
            node.end_trace(&request, is_request);
        }
        self.spans_seen += spans.len() as u64;
    }

    /// For every call span the span that answers: its first child in another service.
    fn find_callees(&mut self, trace: &Trace<'_>) {
        self.callee.clear();
        self.callee.resize(trace.spans.len(), NONE);
        for (index, span) in trace.spans.iter().enumerate() {
            let Some(parent) = span.parent() else {
                continue;
            };
            let is_call = match trace.spans[parent].kind {
                CLIENT | PRODUCER => true,
                0 => self.anatomy.children(parent).len() == 1,
                _ => false,
            };
            if is_call
                && self.services[index] != self.services[parent]
                && self.callee[parent] == NONE
            {
                self.callee[parent] = index as u32;
            }
        }
    }

    /// Gives every span its label.
    fn name(&mut self, trace: &Trace<'_>) {
        self.labels.clear();
        for (index, span) in trace.spans.iter().enumerate() {
            let service = self.services[index];
            let is_async = self.anatomy.parts()[index].is_async;
            let callee = self.callee[index];
            let label = if callee != NONE {
                self.labeler.number(LabelCode {
                    kind: NodeKind::Edge,
                    is_async,
                    service,
                    peer: self.services[callee as usize],
                    operation: self.operations[callee as usize],
                })
            } else if matches!(span.kind, CLIENT | PRODUCER) {
                let peer = self.labeler.dependency(span.at);
                self.labeler.number(LabelCode {
                    kind: NodeKind::Dependency,
                    is_async,
                    service,
                    peer,
                    operation: self.operations[index],
                })
            } else {
                self.labeler.work(service, self.operations[index], is_async)
            };
            self.labels.push(label);
        }
    }

    /// Adds up the local time of every visit of a service, and hands out visits, edges and dependencies.
    fn measure_visits(&mut self, trace: &Trace<'_>, call: &mut impl FnMut(Call)) {
        let spans = trace.spans;
        self.visits.clear();
        self.visits.resize(spans.len(), NONE);
        self.local_ns.clear();
        self.local_ns.resize(spans.len(), 0);
        for index in self.anatomy.by_depth() {
            let index = *index as usize;
            let inside = spans[index]
                .parent()
                .filter(|parent| self.services[*parent] == self.services[index]);
            let visit = inside.map_or(index as u32, |parent| self.visits[parent]);
            self.visits[index] = visit;
            if self.callee[index] == NONE {
                self.local_ns[visit as usize] += self.anatomy.parts()[index].exclusive_ns;
            }
        }
        for (index, span) in spans.iter().enumerate() {
            let callee = self.callee[index];
            let has_failing_child = || {
                let fails = |child: &&u32| {
                    spans[**child as usize].is_error
                        && !self.anatomy.parts()[**child as usize].is_async
                };
                self.anatomy.children(index).iter().any(|c| fails(&c))
            };
            let mut seen = Call {
                label: self.labels[index],
                time_ns: 0,
                is_error: span.is_error && !has_failing_child(),
                weight: span.weight,
            };
            if self.visits[index] == index as u32 {
                seen.time_ns = self.local_ns[index].max(0) as u64;
                // An entry that is itself a call (a client at the root) is told as the call.
                if callee == NONE {
                    call(seen);
                }
            }
            if callee != NONE {
                let answer = &spans[callee as usize];
                if self.anatomy.parts()[callee as usize].is_async {
                    continue;
                }
                seen.time_ns = span.duration_ns.saturating_sub(answer.duration_ns);
                call(seen);
            } else if self.labeler.code(self.labels[index]).kind == NodeKind::Dependency
                && self.visits[index] != index as u32
            {
                seen.time_ns = span.duration_ns;
                call(seen);
            }
        }
    }

    /// Finds every span's node, from the tops down.
    fn descend(&mut self, trace: &Trace<'_>, slice: u32) {
        self.at.clear();
        self.at.resize(trace.spans.len(), NONE);
        for place in 0..self.anatomy.by_depth().len() {
            let index = self.anatomy.by_depth()[place] as usize;
            let parent = match trace.spans[index].parent() {
                Some(parent) => self.at[parent],
                None => {
                    let top = self.top(trace, index);
                    let top = self.link(NONE, top);
                    if top != NONE {
                        let part = self.anatomy.parts()[index];
                        let node = &mut self.nodes[top as usize];
                        if node.trace.spans == 0 {
                            node.begin_trace(slice);
                            self.touched.push(top);
                        }
                        let sums = &mut node.trace;
                        sums.spans += 1;
                        sums.errors += u32::from(trace.spans[index].is_error);
                        sums.duration_ns += part.duration_ns();
                    }
                    top
                }
            };
            self.at[index] = if parent == NONE {
                NONE
            } else {
                self.link(parent, self.labels[index])
            };
        }
    }

    /// The label of the request or fragment that begins at a span.
    fn top(&mut self, trace: &Trace<'_>, index: usize) -> u32 {
        use crate::trace::Role;
        let is_root = trace.spans[index].role == Role::Root;
        let own = self.labeler.code(self.labels[index]);
        let peer = if is_root {
            self.first_elsewhere(trace, index)
        } else {
            EMPTY
        };
        self.labeler.number(LabelCode {
            kind: if is_root {
                NodeKind::Request
            } else {
                NodeKind::Fragment
            },
            is_async: false,
            service: own.service,
            peer,
            operation: self.operations[index],
        })
    }

    /// What is called first in another service than the root's: gateways often have one name for all requests. Calls
    /// that begin together are ordered by name, so that a race does not decide.
    fn first_elsewhere(&mut self, trace: &Trace<'_>, root: usize) -> u32 {
        let elsewhere = |index: &usize| {
            // Where a service is entered, so that spans inside it do not matter.
            let is_entry = self.visits[*index] == *index as u32;
            is_entry
                && self.services[*index] != self.services[root]
                && !self.anatomy.parts()[*index].is_async
        };
        // By the caller's clock, since hosts' clocks differ.
        let called_ns = |index: usize| {
            let caller = trace.spans[index].parent().unwrap_or(index);
            self.anatomy.parts()[caller].start_ns
        };
        let entries = (0..trace.spans.len()).filter(elsewhere);
        let Some(first_ns) = entries.clone().map(called_ns).min() else {
            return EMPTY;
        };
        let together = entries.filter(|i| called_ns(*i) <= first_ns.saturating_add(TOGETHER_NS));
        let Some((service, operation)) = together.map(|index| self.name_of(index)).min() else {
            return EMPTY;
        };
        let text = format!("{service}: {operation}");
        self.labeler.text_number(&text)
    }

    fn name_of(&self, index: usize) -> (&str, &str) {
        (
            self.labeler.text(self.services[index]),
            self.labeler.text(self.operations[index]),
        )
    }

    /// The node of a label below another; the other itself past the limits, and an ancestor where the label recurs.
    fn link(&mut self, parent: u32, label: u32) -> u32 {
        if let Some(node) = self.by_link.get(&(parent, label)) {
            return *node;
        }
        let mut ancestor = parent;
        while ancestor != NONE {
            let node = &self.nodes[ancestor as usize];
            if node.label == label {
                self.by_link.insert((parent, label), ancestor);
                return ancestor;
            }
            ancestor = node.parent;
        }
        let depth = if parent == NONE {
            0
        } else {
            self.nodes[parent as usize].depth + 1
        };
        if self.nodes.len() >= MAX_PATHS || depth > MAX_DEPTH {
            self.overflow_spans += 1;
            return parent;
        }
        let is_awaited = !self.labeler.code(label).is_async
            && (parent == NONE || self.nodes[parent as usize].is_awaited);
        let number = self.nodes.len() as u32;
        self.nodes
            .push(OpenNode::new(parent, label, depth, is_awaited));
        self.by_link.insert((parent, label), number);
        number
    }

    /// Adds every span to the sums of its node.
    fn add_sums(&mut self, trace: &Trace<'_>, slice: u32, weight: f64) {
        for (index, span) in trace.spans.iter().enumerate() {
            let at = self.at[index];
            if at == NONE {
                continue;
            }
            let part = self.anatomy.parts()[index];
            let children = self.anatomy.children(index);
            let child_failed = children.iter().any(|child| {
                let child = *child as usize;
                trace.spans[child].is_error && !self.anatomy.parts()[child].is_async
            });
            let is_childless = children.is_empty();
            let signature = self.signature(index, at);
            let node = &mut self.nodes[at as usize];
            if node.trace.spans == 0 {
                node.begin_trace(slice);
                self.touched.push(at);
            }
            if let Some(signature) = signature {
                node.add_signature(signature, weight);
            }
            let sums = &mut node.trace;
            sums.spans += 1;
            sums.childless += u32::from(is_childless);
            sums.errors += u32::from(span.is_error);
            sums.origins += u32::from(span.is_error && !child_failed);
            sums.branching += u32::from(part.overlap.is_some());
            sums.overlapping += u32::from(part.overlap == Some(true));
            sums.exclusive_ns += part.exclusive_ns;
            sums.critical_ns += part.critical_ns;
            sums.critical_calls += u32::from(part.critical_ns > 0);
            sums.duration_ns += part.duration_ns();
            if span.parent().is_none() {
                sums.present += 1;
            }
        }
        self.count_presence();
    }

    /// Tells the failure of the request to the spans at which it begins: those that are reached from its root through
    /// spans that failed and were waited for, and have no such span below them.
    fn add_failure(&mut self, trace: &Trace<'_>) {
        let failed = |index: &usize| trace.spans[*index].is_error;
        let Some(root) = trace.root().filter(failed) else {
            return;
        };
        let mut begins = Vec::new();
        let mut open = vec![root];
        while let Some(index) = open.pop() {
            let others = open.len();
            let children = self.anatomy.children(index).iter();
            let awaited = children.map(|child| *child as usize);
            open.extend(awaited.filter(|c| failed(c) && !self.anatomy.parts()[*c].is_async));
            if open.len() == others {
                begins.push(index);
            }
        }
        let part = 1.0 / begins.len() as f64;
        for index in begins {
            if let Some(node) = self.nodes.get_mut(self.at[index] as usize) {
                node.trace.origins_reaching += part;
            }
        }
    }

    /// Counts for every node the spans of its parent that have a child there. Parent by parent, since spans of several
    /// parents may come in turns.
    fn count_presence(&mut self) {
        for index in 0..self.at.len() {
            // Numbered from 1, since 0 is nobody.
            let parent = self.spans_seen + index as u64 + 1;
            for child in self.anatomy.children(index) {
                let at = self.at[*child as usize];
                if at == NONE {
                    continue;
                }
                let node = &mut self.nodes[at as usize];
                if node.latest_parent != parent {
                    node.trace.present += 1;
                    node.latest_parent = parent;
                }
            }
        }
    }

    /// Which children a span of a service's work has; `None` where it has none.
    fn signature(&mut self, index: usize, at: u32) -> Option<Signature> {
        let children = self.anatomy.children(index);
        let node = &self.nodes[at as usize];
        if children.is_empty() || self.labeler.code(node.label).kind != NodeKind::Work {
            return None;
        }
        let labels = &mut self.child_labels;
        labels.clear();
        labels.extend(children.iter().map(|child| self.labels[*child as usize]));
        labels.sort_unstable();
        labels.dedup();
        let hashes = labels.iter().map(|label| self.labeler.hash(*label));
        let signature = Signature::of_hashes(hashes);
        if !self.signatures.contains_key(&signature) {
            self.signatures.insert(signature, labels.clone());
        }
        Some(signature)
    }

    /// The label of every span of the trace that was added last, by number.
    pub(crate) fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// What became of every span of that trace.
    pub(crate) fn parts(&self) -> &[Part] {
        self.anatomy.parts()
    }

    /// A span's children in that trace.
    pub(crate) fn children(&self, index: usize) -> &[u32] {
        self.anatomy.children(index)
    }

    /// The request that a root of that trace is.
    pub(crate) fn request_of(&self, root: usize) -> Option<Label> {
        let node = self.nodes.get(self.at[root] as usize)?;
        let top = self.nodes.get(node.parent as usize)?;
        Some(self.label(top.label))
    }

    /// A label by its number.
    pub(crate) fn label(&self, number: u32) -> Label {
        self.labeler.label(number)
    }

    /// A hash of a label's text.
    pub(crate) fn label_hash(&mut self, number: u32) -> u64 {
        self.labeler.hash(number)
    }

    /// The number of labels so far.
    pub(crate) fn label_count(&self) -> usize {
        self.labeler.len()
    }

    /// The number of nodes and edges of the service graph so far.
    pub(crate) fn graph_len(&self) -> usize {
        self.graph.len()
    }

    /// The tree of all traces that were added, all labels by number, and all nodes and edges of the service graph.
    pub(crate) fn finish(mut self) -> (PathTree, Vec<Arc<Label>>, Vec<GraphItem>) {
        let labels: Vec<Arc<Label>> = (0..self.labeler.len() as u32)
            .map(|number| Arc::new(self.labeler.label(number)))
            .collect();
        // Parents come before their children.
        let mut ids: Vec<(PathId, PathId)> = Vec::with_capacity(self.nodes.len());
        let mut nodes = BTreeMap::new();
        for node in &mut self.nodes {
            node.keep_slice();
            let parent = (node.parent != NONE).then(|| ids[node.parent as usize]);
            let label = &labels[node.label as usize];
            let id = PathId::below(parent.map(|(id, _)| id), label);
            let top = parent.map_or(id, |(_, top)| top);
            ids.push((id, top));
            let mut total = PathCell::default();
            node.cells.iter().for_each(|(_, cell)| total.merge(cell));
            let node = PathNode {
                parent: parent.map(|(id, _)| id),
                top,
                label: Arc::clone(label),
                depth: node.depth,
                is_awaited: node.is_awaited,
                total,
                slices: PathSlices::of(&node.cells),
                signatures: ordered(std::mem::take(&mut node.kept_signatures)),
                bands: std::mem::take(&mut node.bands),
                strata: std::mem::take(&mut node.strata),
            };
            nodes.insert(id, node);
        }
        let items = self.graph.finish(&self.labeler);
        let signatures = self.signatures.into_iter().map(|(signature, children)| {
            let children = children
                .iter()
                .map(|label| Label::clone(&labels[*label as usize]));
            let mut children: Vec<Label> = children.collect();
            children.sort_unstable();
            (signature, children)
        });
        let tree = PathTree::new(nodes, signatures.collect(), self.overflow_spans);
        (tree, labels, items)
    }
}
