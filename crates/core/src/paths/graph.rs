//! The service graph of a trace: who is visited, who calls whom, and what time belongs to a node or edge.
//!
//! Every visit that has a caller is one call on one edge, so the visits of a service are the calls that come in plus
//! the requests and fragments that begin there.

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use super::anatomy::Anatomy;
use super::builder::Call;
use super::labeler::{EMPTY, Labeler, OTHER};
use crate::trace::{Trace, TraceSpan};
use serde::{Deserialize, Serialize};

const NONE: u32 = u32::MAX;
const SERVER: u8 = 2;
const CLIENT: u8 = 3;
const PRODUCER: u8 = 4;
const CONSUMER: u8 = 5;
/// Dependencies of one builder that are told apart: one that names none of what it calls is named by its operation.
const MAX_DEPENDENCIES: usize = 1_000;

/// What the service graph keeps counts and times of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum GraphItem {
    /// Visits of a service. Time: what none of its calls and no other service took of the visit.
    Service(String),
    /// Calls of something that sends no spans, whoever calls. Time: the calling span's.
    Dependency(String),
    /// Calls from one to another. Time: the calling span's; the answering one's where the caller has none.
    Edge(GraphEdge),
    /// Those calls of an edge between services that the caller waits for and that have a span on both ends. Time: the
    /// difference of the two.
    Gap(GraphEdge),
}

/// Who calls whom.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GraphEdge {
    /// The service that calls.
    pub caller: String,
    /// The service or dependency that is called.
    pub callee: String,
    /// Whether the callee sends no spans.
    pub is_dependency: bool,
    /// Whether it is a message, which nobody waits for.
    pub is_async: bool,
}

/// A [`GraphItem`] in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct ItemCode {
    kind: ItemKind,
    /// [`EMPTY`] of a node.
    caller: u32,
    callee: u32,
    is_dependency: bool,
    is_async: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum ItemKind {
    Node,
    Edge,
    Gap,
}

/// Finds the nodes and edges of traces, in buffers that are used again.
#[derive(Debug, Default)]
pub(super) struct GraphFinder {
    items: Vec<ItemCode>,
    numbers: HashMap<ItemCode, u32, FixedState>,
    dependencies: HashSet<u32, FixedState>,
    /// For every span, the one that its visit begins at.
    visits: Vec<u32>,
    /// Time of the visit that begins at a span.
    own_ns: Vec<i64>,
    /// Whether a span's subtree holds a call or the answer to one.
    has_call_below: Vec<bool>,
    is_answered: Vec<bool>,
}

impl GraphFinder {
    /// Hands out the trace's visits and calls, each with the number of its item.
    pub(super) fn observe(
        &mut self,
        trace: &Trace<'_>,
        services: &[u32],
        anatomy: &Anatomy,
        labeler: &mut Labeler,
        call: &mut impl FnMut(Call),
    ) {
        let spans = trace.spans;
        self.find_visits(spans, services, anatomy);
        for (index, span) in spans.iter().enumerate() {
            let service = services[index];
            let seen = |label, time_ns, is_error| Call {
                label,
                time_ns,
                is_error,
                weight: span.weight,
            };
            if self.begins_visit(index) {
                let own_ns = self.own_ns[index].max(0) as u64;
                let item = self.number(ItemCode::node(service, false));
                call(seen(item, own_ns, span.is_error));
            }
            if let Some(parent) = span.parent()
                && self.begins_visit(index)
            {
                let edge = ItemCode {
                    kind: ItemKind::Edge,
                    caller: services[parent],
                    callee: service,
                    is_dependency: false,
                    is_async: span.kind == CONSUMER || spans[parent].kind == PRODUCER,
                };
                let item = self.number(edge);
                // A second answer to one call span has no span of its own on the caller's side.
                let is_first = !std::mem::replace(&mut self.is_answered[parent], true);
                if is_first && is_call_span(parent, spans, anatomy) {
                    let client = &spans[parent];
                    call(seen(item, client.duration_ns, client.is_error));
                    if !edge.is_async && !anatomy.parts()[index].is_async {
                        let gap = self.number(ItemCode {
                            kind: ItemKind::Gap,
                            ..edge
                        });
                        let gap_ns = client.duration_ns.saturating_sub(span.duration_ns);
                        call(seen(gap, gap_ns, client.is_error));
                    }
                } else {
                    call(seen(item, span.duration_ns, span.is_error));
                }
            }
            if self.is_dependency_call(index, span) {
                let name = labeler.dependency(span.at);
                let callee = self.within_cap(name, labeler);
                let node = self.number(ItemCode::node(callee, true));
                call(seen(node, span.duration_ns, span.is_error));
                let edge = self.number(ItemCode {
                    kind: ItemKind::Edge,
                    caller: service,
                    is_async: span.kind == PRODUCER,
                    ..ItemCode::node(callee, true)
                });
                call(seen(edge, span.duration_ns, span.is_error));
            }
        }
    }

    /// Tells visits and the calls without an answer apart, and adds up the time of every visit.
    fn find_visits(&mut self, spans: &[TraceSpan], services: &[u32], anatomy: &Anatomy) {
        self.visits.clear();
        self.visits.resize(spans.len(), NONE);
        self.own_ns.clear();
        self.own_ns.resize(spans.len(), 0);
        self.has_call_below.clear();
        self.has_call_below.resize(spans.len(), false);
        self.is_answered.clear();
        self.is_answered.resize(spans.len(), false);
        for index in anatomy.by_depth() {
            let index = *index as usize;
            let inside = spans[index].parent().filter(|parent| {
                let is_call_of_itself = matches!(spans[*parent].kind, CLIENT | PRODUCER)
                    && matches!(spans[index].kind, SERVER | CONSUMER);
                services[*parent] == services[index] && !is_call_of_itself
            });
            self.visits[index] = inside.map_or(index as u32, |parent| self.visits[parent]);
        }
        for index in anatomy.by_depth().iter().rev() {
            let index = *index as usize;
            if let Some(parent) = spans[index].parent() {
                self.has_call_below[parent] |= self.has_call_below[index]
                    || self.begins_visit(index)
                    || matches!(spans[index].kind, CLIENT | PRODUCER);
            }
        }
        for (index, span) in spans.iter().enumerate() {
            let is_answered = || {
                let mut children = anatomy.children(index).iter();
                is_call_span(index, spans, anatomy)
                    && children.any(|child| self.begins_visit(*child as usize))
            };
            if !self.is_dependency_call(index, span) && !is_answered() {
                self.own_ns[self.visits[index] as usize] += anatomy.parts()[index].exclusive_ns;
            }
        }
    }

    fn begins_visit(&self, index: usize) -> bool {
        self.visits[index] == index as u32
    }

    /// Whether a span calls something that sends no spans: of several call spans around each other the innermost.
    fn is_dependency_call(&self, index: usize, span: &TraceSpan) -> bool {
        matches!(span.kind, CLIENT | PRODUCER) && !self.has_call_below[index]
    }

    /// The dependency, or all others where there are too many.
    fn within_cap(&mut self, name: u32, labeler: &mut Labeler) -> u32 {
        if self.dependencies.contains(&name) {
            return name;
        }
        if self.dependencies.len() < MAX_DEPENDENCIES {
            self.dependencies.insert(name);
            return name;
        }
        labeler.text_number(OTHER)
    }

    fn number(&mut self, code: ItemCode) -> u32 {
        let items = &mut self.items;
        *self.numbers.entry(code).or_insert_with(|| {
            items.push(code);
            items.len() as u32 - 1
        })
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// All items by number, in words.
    pub(super) fn finish(self, labeler: &Labeler) -> Vec<GraphItem> {
        let text = |number: u32| labeler.text(number).to_owned();
        let item = |code: ItemCode| {
            let edge = || GraphEdge {
                caller: text(code.caller),
                callee: text(code.callee),
                is_dependency: code.is_dependency,
                is_async: code.is_async,
            };
            match code.kind {
                ItemKind::Node if code.is_dependency => GraphItem::Dependency(text(code.callee)),
                ItemKind::Node => GraphItem::Service(text(code.callee)),
                ItemKind::Edge => GraphItem::Edge(edge()),
                ItemKind::Gap => GraphItem::Gap(edge()),
            }
        };
        self.items.into_iter().map(item).collect()
    }
}

impl ItemCode {
    fn node(name: u32, is_dependency: bool) -> Self {
        Self {
            kind: ItemKind::Node,
            caller: EMPTY,
            callee: name,
            is_dependency,
            is_async: false,
        }
    }
}

/// Whether a span stands for a call: by its kind, or without one by having nothing in it but the answer.
fn is_call_span(index: usize, spans: &[TraceSpan], anatomy: &Anatomy) -> bool {
    match spans[index].kind {
        CLIENT | PRODUCER => true,
        0 => anatomy.children(index).len() == 1,
        _ => false,
    }
}
