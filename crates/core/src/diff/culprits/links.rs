//! Who decides how often a path is taken.

use std::ops::Range;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::ledger::Requests;
use crate::diff::paths::Paths;
use crate::paths::NodeKind;

/// One path on both sides.
struct Link<'a> {
    /// Whether requests wait for it.
    takes_time: bool,
    calls: [f64; 2],
    critical_ns: [f64; 2],
    label: u32,
    top: u32,
    parent: Option<u32>,
    /// Whose decision it is how often the path is taken from its parent.
    caller: &'a str,
}

/// All paths of both sides.
struct Links<'a> {
    links: Vec<Link<'a>>,
}

/// What more or fewer calls of a path are worth to requests of its type, in nanoseconds, and who makes them.
struct PathWorth<'a> {
    label: u32,
    caller: &'a str,
    worth_ns: f64,
}

/// That of all paths, by number of the top.
pub(super) struct Worth<'a>(Vec<Vec<PathWorth<'a>>>);

/// What more or fewer calls are worth, by label and by the service that makes them.
pub(super) type Callers<'a> = HashMap<u32, Vec<(&'a str, f64)>, FixedState>;

/// What more or fewer calls are worth: Δ(calls) · mean time per call, the exact midpoint decomposition.
pub(super) fn worth<'a>(paths: &Paths<'a>, sides: [&Requests<'_, '_>; 2]) -> Worth<'a> {
    let links = Links::between(paths);
    let mut all = Worth(Vec::new());
    all.0.resize_with(paths.tops.len(), Vec::new);
    for link in &links.links {
        if !link.takes_time {
            continue;
        }
        let weights = sides.map(|s| s.request(link.top).map_or(0.0, |r| r.node.total.weight));
        let calls = [0, 1].map(|side| link.calls[side] / weights[side]);
        let time = [0, 1].map(|side| {
            let calls = link.calls[side];
            (calls > 0.0).then(|| link.critical_ns[side] / calls)
        });
        let (Some(before), Some(after)) = (time[0].or(time[1]), time[1].or(time[0])) else {
            continue;
        };
        let worth_ns = (calls[1] - calls[0]) * f64::midpoint(before, after);
        if worth_ns != 0.0 && worth_ns.is_finite() {
            all.0[link.top as usize].push(PathWorth {
                label: link.label,
                caller: links.caller(link, worth_ns > 0.0),
                worth_ns,
            });
        }
    }
    all
}

impl<'a> Worth<'a> {
    /// By label and by who makes the calls, for these types of requests, each with its share.
    pub(super) fn callers(
        &self,
        tops: Range<u32>,
        share: impl Fn(u32) -> Option<f64>,
    ) -> Callers<'a> {
        let mut all = Callers::default();
        for top in tops {
            let Some(share) = share(top) else {
                continue;
            };
            for path in &self.0[top as usize] {
                let worth_ns = share * path.worth_ns;
                let of_label = all.entry(path.label).or_default();
                match of_label.iter_mut().find(|(name, _)| *name == path.caller) {
                    Some((_, sum)) => *sum += worth_ns,
                    None => of_label.push((path.caller, worth_ns)),
                }
            }
        }
        all
    }
}

impl<'a> Links<'a> {
    fn between(paths: &Paths<'a>) -> Self {
        let mut links: Vec<Link<'a>> = Vec::with_capacity(paths.sides[0].len());
        for (side, list) in paths.sides.iter().enumerate() {
            // The candidate's paths that the baseline has too are its links already. Others are put behind those, in the
            // order of the list; their parents may come later.
            let mut next = links.len() as u32;
            let places: Vec<u32> = list
                .iter()
                .map(|path| {
                    path.twin.filter(|_| side == 1).unwrap_or_else(|| {
                        next += 1;
                        next - 1
                    })
                })
                .collect();
            for (path, place) in list.iter().zip(&places) {
                let total = &path.node.total;
                if let Some(link) = links.get_mut(*place as usize) {
                    link.calls[side] = total.calls;
                    link.critical_ns[side] = total.critical_ns;
                    continue;
                }
                let parent = path.parent.map(|p| &list[p as usize]);
                let caller: &'a str = match (path.kind, parent) {
                    (NodeKind::Work, Some(parent)) => &parent.node.label.service,
                    _ => &path.node.label.service,
                };
                let on_side = |value: f64| [0, 1].map(|s| if s == side { value } else { 0.0 });
                links.push(Link {
                    takes_time: path.takes_time(),
                    calls: on_side(total.calls),
                    critical_ns: on_side(total.critical_ns),
                    label: path.label,
                    top: path.top,
                    parent: path.parent.map(|p| places[p as usize]),
                    caller,
                });
            }
        }
        Self { links }
    }

    /// The service that calls differently: at the link from the request down to this path where calls per call of the
    /// parent changed most.
    fn caller(&self, link: &Link<'a>, more: bool) -> &'a str {
        let mut most = 0.0;
        let mut caller = link.caller;
        let mut at = Some(link);
        while let Some(link) = at {
            let parent = link.parent.map(|place| &self.links[place as usize]);
            let ratio = [0, 1].map(|side| {
                let above = parent.map_or(0.0, |p: &Link<'_>| p.calls[side]);
                (above > 0.0).then(|| link.calls[side] / above)
            });
            if let [Some(before), Some(after)] = ratio {
                // Near nothing, a little more is not many times more.
                let change = ((after + 0.01) / (before + 0.01)).ln();
                if (change > 0.0) == more && change.abs() > most {
                    most = change.abs();
                    caller = link.caller;
                }
            }
            at = parent;
        }
        caller
    }
}
