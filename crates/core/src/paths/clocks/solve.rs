//! From the offsets of pairs to one offset for each host: a spanning tree over the pairs with most calls, and a look at
//! whether the other pairs agree with it.

use std::cmp::Reverse;

use super::UNKNOWN;
use super::bounds::{Evidence, Range};

/// Two hosts, the smaller number first, and what has to be added to the second one's times.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    pub(super) hosts: (u32, u32),
    pub(super) evidence: Evidence,
}

/// Where a host's clock stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The host that offsets are relative to, the same for all hosts of a tree; [`UNKNOWN`] for a host in no tree.
    pub(super) reference: u32,
    /// What has to be added to the host's times, in nanoseconds.
    pub(super) offset_ns: i64,
}

const NOWHERE: Place = Place {
    reference: UNKNOWN,
    offset_ns: 0,
};

/// The offsets of all hosts in one minute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Offsets {
    /// By host; empty where no clock is off.
    places: Vec<Place>,
    /// Pairs whose own calls contradict each other or the tree; sorted.
    refused: Vec<(u32, u32)>,
}

impl Offsets {
    #[cfg(test)]
    pub(super) fn of_places(places: Vec<Place>) -> Self {
        let refused = Vec::new();
        Self { places, refused }
    }

    pub(super) fn correct_any(&self) -> bool {
        !self.places.is_empty()
    }

    /// What has to be added to `child`'s times to compare them with `parent`'s.
    pub(super) fn between(&self, parent: u32, child: u32) -> Option<i64> {
        let place = |host: u32| self.places.get(host as usize);
        let (above, below) = (place(parent)?, place(child)?);
        if above.reference != below.reference || above.reference == UNKNOWN {
            return None;
        }
        let hosts = (parent.min(child), parent.max(child));
        if self.refused.binary_search(&hosts).is_ok() {
            return None;
        }
        Some(below.offset_ns.saturating_sub(above.offset_ns))
    }

    /// Every host whose clock is off.
    pub(super) fn corrected(&self) -> impl Iterator<Item = (usize, Place)> {
        let places = self.places.iter().copied().enumerate();
        places.filter(|(_, place)| place.offset_ns != 0)
    }

    /// The offsets of `hosts` hosts of which these pairs are known, relative to the hosts that `like` refers to where
    /// they are in the same tree.
    pub(super) fn solve(hosts: usize, mut pairs: Vec<Pair>, like: &Self) -> Self {
        // Most calls first; of equally many, the one that is known best.
        pairs.sort_unstable_by_key(|pair| {
            let width = pair.evidence.range.map(Range::width_ns);
            (Reverse(pair.evidence.calls), width, pair.hosts)
        });
        let mut tree = Tree::new(hosts);
        let mut others = Vec::new();
        let mut refused = Vec::new();
        for pair in &pairs {
            match pair.evidence.range {
                Some(range) if tree.join(pair.hosts, range) => {}
                Some(range) => others.push((pair.hosts, range)),
                None => refused.push(pair.hosts),
            }
        }
        let nodes = tree.root();
        let disagrees = |(hosts, range): &(_, Range)| {
            let path = range_between(&nodes, *hosts);
            path.low_ns > range.high_ns || path.high_ns < range.low_ns
        };
        refused.extend(others.iter().filter(|o| disagrees(o)).map(|(h, _)| *h));
        refused.sort_unstable();
        let places = places(&nodes, like);
        if places.iter().all(|place| place.offset_ns == 0) {
            return Self::default();
        }
        Self { places, refused }
    }
}

/// Hosts that pairs join, before it is settled from where to look at them.
struct Tree {
    /// A host of the same tree, closer to the one that stands for all of it.
    leader: Vec<u32>,
    /// Every host's neighbours, and where their clocks lie relative to it.
    neighbours: Vec<Vec<(u32, Range)>>,
}

/// A host in its tree.
#[derive(Debug, Clone, Copy)]
struct Node {
    /// [`UNKNOWN`] at the root.
    parent: u32,
    root: u32,
    depth: u32,
    /// Where its clock lies relative to its parent's.
    range: Range,
    /// Relative to the root.
    offset_ns: i64,
}

impl Tree {
    fn new(hosts: usize) -> Self {
        Self {
            leader: (0..hosts as u32).collect(),
            neighbours: vec![Vec::new(); hosts],
        }
    }

    fn leader(&mut self, mut host: u32) -> u32 {
        while self.leader[host as usize] != host {
            let next = self.leader[host as usize];
            self.leader[host as usize] = self.leader[next as usize];
            host = next;
        }
        host
    }

    /// Joins two hosts unless they are in one tree already.
    fn join(&mut self, (a, b): (u32, u32), range: Range) -> bool {
        let (of_a, of_b) = (self.leader(a), self.leader(b));
        if of_a == of_b {
            return false;
        }
        self.leader[of_b as usize] = of_a;
        self.neighbours[a as usize].push((b, range));
        self.neighbours[b as usize].push((a, flipped(range)));
        true
    }

    /// Every host's place in its tree, from the host with the smallest number down; `None` for one without a pair.
    fn root(&self) -> Vec<Option<Node>> {
        let mut nodes: Vec<Option<Node>> = vec![None; self.leader.len()];
        let mut open = Vec::new();
        for root in 0..nodes.len() as u32 {
            if nodes[root as usize].is_some() || self.neighbours[root as usize].is_empty() {
                continue;
            }
            let top = Node {
                parent: UNKNOWN,
                root,
                depth: 0,
                range: Range::default(),
                offset_ns: 0,
            };
            nodes[root as usize] = Some(top);
            open.push((root, top));
            while let Some((host, node)) = open.pop() {
                for (neighbour, range) in &self.neighbours[host as usize] {
                    if *neighbour == node.parent {
                        continue;
                    }
                    let below = Node {
                        parent: host,
                        root,
                        depth: node.depth + 1,
                        range: *range,
                        offset_ns: node.offset_ns.saturating_add(range.offset_ns()),
                    };
                    nodes[*neighbour as usize] = Some(below);
                    open.push((*neighbour, below));
                }
            }
        }
        nodes
    }
}

fn flipped(range: Range) -> Range {
    Range {
        low_ns: range.high_ns.saturating_neg(),
        high_ns: range.low_ns.saturating_neg(),
    }
}

fn sum(a: Range, b: Range) -> Range {
    Range {
        low_ns: a.low_ns.saturating_add(b.low_ns),
        high_ns: a.high_ns.saturating_add(b.high_ns),
    }
}

/// Where the clock of `b` lies relative to that of `a`, by the pairs on the way between them in their tree.
fn range_between(nodes: &[Option<Node>], (mut a, mut b): (u32, u32)) -> Range {
    let (mut from_a, mut to_b) = (Range::default(), Range::default());
    while a != b {
        let (Some(at_a), Some(at_b)) = (nodes[a as usize], nodes[b as usize]) else {
            break;
        };
        if at_a.depth >= at_b.depth {
            from_a = sum(from_a, flipped(at_a.range));
            a = at_a.parent;
        } else {
            to_b = sum(to_b, at_b.range);
            b = at_b.parent;
        }
    }
    sum(from_a, to_b)
}

/// Offsets relative to the host that `like` refers to, or else to the middle clock of every tree, so that few hosts are
/// off where most agree.
fn places(nodes: &[Option<Node>], like: &Offsets) -> Vec<Place> {
    let mut by_root: Vec<Vec<(i64, u32)>> = vec![Vec::new(); nodes.len()];
    for (host, node) in (0..).zip(nodes) {
        if let Some(node) = node {
            by_root[node.root as usize].push((node.offset_ns, host));
        }
    }
    let middle = |clocks: &mut Vec<(i64, u32)>| {
        clocks.sort_unstable();
        let alike = |(_, host): &&(i64, u32)| {
            let place = like.places.get(*host as usize);
            place.is_some_and(|place| place.reference == *host)
        };
        if let Some(found) = clocks.iter().find(alike) {
            return Some(*found);
        }
        let (low, high) = (clocks.len().saturating_sub(1) / 2, clocks.len() / 2);
        // Of two middle ones the same in every minute, whichever is ahead.
        clocks
            .get(low..=high)?
            .iter()
            .copied()
            .min_by_key(|(_, host)| *host)
    };
    let middles: Vec<Option<(i64, u32)>> = by_root.iter_mut().map(middle).collect();
    let place = |node: &Option<Node>| {
        let node = (*node)?;
        let (middle_ns, reference) = middles[node.root as usize]?;
        Some(Place {
            reference,
            offset_ns: node.offset_ns.saturating_sub(middle_ns),
        })
    };
    let of_node = |node: &Option<Node>| place(node).unwrap_or(NOWHERE);
    nodes.iter().map(of_node).collect()
}
