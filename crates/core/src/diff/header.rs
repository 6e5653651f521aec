//! The data-quality header: what the two sides are worth, and what to keep in mind before reading on.

use super::document::{HostClock, KeyDiff, LoadMatched, QualityHeader, SideQuality, Warning};
use super::{load, text};
use crate::facts::{ENTRY_POINT, Facts, Group};
use crate::model::Window;
use crate::paths::ClockOffset;
use crate::stats::MIN_SLICES;
use crate::stats::changepoint::strongest_step;

/// Hosts with wrong clocks that are listed.
const CLOCKS_LISTED: usize = 20;
/// Offsets of clocks that are warned of: above what messages take inside a data centre.
const CLOCK_WARNING_NS: u64 = 1_000_000;

/// The header of a comparison.
pub(super) fn build(
    baseline: &Facts,
    candidate: &Facts,
    persistence: f64,
    keys: &[KeyDiff],
) -> QualityHeader {
    let (a, b) = (side(baseline), side(candidate));
    let mut warnings = Vec::new();
    let mut warn = |code, message| warnings.push(Warning { code, message });
    for (name, s) in [("baseline", &a), ("candidate", &b)] {
        few_slices(name, s, &mut warn);
    }
    weights(&a, &b, &mut warn);
    for (name, facts) in [("baseline", baseline), ("candidate", candidate)] {
        step(name, facts, &mut warn);
    }
    completeness(&a, &b, &mut warn);
    let load_matched = (rates_are_comparable(baseline, candidate) && load_differs(&a, &b))
        .then(|| load::matched(keys, baseline, candidate));
    if let Some(matched) = &load_matched {
        warn("load_differs", load_text(&a, &b, matched));
    }
    for (name, s) in [("baseline", &a), ("candidate", &b)] {
        oddities(name, s, &mut warn);
    }
    for (name, facts) in [("baseline", baseline), ("candidate", candidate)] {
        let keys = facts.keys_not_scanned();
        if keys > 0 {
            warn(
                "keys_not_scanned",
                format!(
                    "the {name} has at least {} past the 2,000 that are looked at",
                    text::counted(keys, "attribute key")
                ),
            );
        }
    }
    let can_confirm = a.occupied_slices >= MIN_SLICES && b.occupied_slices >= MIN_SLICES;
    QualityHeader {
        baseline: a,
        candidate: b,
        can_confirm,
        persistence,
        load_matched,
        warnings,
    }
}

fn side(facts: &Facts) -> SideQuality {
    let slices = facts.slicing().slices();
    let seconds = facts.slicing().seconds();
    let weight: f64 = facts.slice_traces().iter().map(|s| s.weight).sum();
    SideQuality {
        ranges: ranges(slices),
        seconds,
        slices: slices.len(),
        occupied_slices: facts.slice_traces().iter().filter(|s| s.traces > 0).count(),
        slice_seconds: slices.iter().map(Window::seconds).fold(0.0, f64::max),
        completeness_ratio: facts.quality.completeness_ratio(),
        mean_weight: facts.quality.mean_weight(),
        known_weight_ratio: facts.quality.known_weight_ratio(),
        effective_spans: facts.quality.effective_spans(),
        requests_per_second: if seconds > 0.0 { weight / seconds } else { 0.0 },
        corrected_clocks: facts.clock_offsets().len(),
        clock_offsets: clock_offsets(facts),
        counts: facts.quality.clone(),
    }
}

/// The clocks that were furthest off.
fn clock_offsets(facts: &Facts) -> Vec<HostClock> {
    let clock = |(host, offset): (&String, &ClockOffset)| HostClock {
        host: host.clone(),
        compared_with: offset.compared_with.clone(),
        offset_ns: offset.offset_ns,
    };
    let mut clocks: Vec<HostClock> = facts.clock_offsets().iter().map(clock).collect();
    clocks.sort_by_key(|clock| std::cmp::Reverse(clock.offset_ns.unsigned_abs()));
    clocks.truncate(CLOCKS_LISTED);
    clocks
}

/// Slices that touch, joined.
fn ranges(slices: &[Window]) -> Vec<Window> {
    let mut ranges: Vec<Window> = Vec::new();
    for slice in slices {
        match ranges.last_mut() {
            Some(last) if last.to_ns() == slice.from_ns() => {
                *last = Window::new(last.from_ns(), slice.to_ns()).unwrap_or(*last);
            }
            _ => ranges.push(*slice),
        }
    }
    ranges
}

fn few_slices(name: &str, side: &SideQuality, warn: &mut impl FnMut(&'static str, String)) {
    if side.occupied_slices < MIN_SLICES {
        warn(
            "few_slices",
            format!(
                "the {name} has traces in only {} of {:.0} s; with fewer than {MIN_SLICES} a change may be how those \
                 moments were, so every finding is at most suggestive: record {:.0} s or more",
                text::counted(side.occupied_slices as u64, "slice"),
                side.slice_seconds,
                side.slice_seconds * 12.0,
            ),
        );
    }
}

/// Whether rates may be compared: both sides were sampled alike as far as can be told.
pub(super) fn rates_are_comparable(baseline: &Facts, candidate: &Facts) -> bool {
    let (a, b) = (&baseline.quality, &candidate.quality);
    let known = (a.known_weight_ratio() - b.known_weight_ratio()).abs() <= 0.01;
    // With every weight known, weighted rates are right whatever the sampling.
    known
        && (a.known_weight_ratio() > 0.99
            || (a.mean_weight() / b.mean_weight() - 1.0).abs() <= 0.01)
}

fn weights(a: &SideQuality, b: &SideQuality, warn: &mut impl FnMut(&'static str, String)) {
    if (a.known_weight_ratio - b.known_weight_ratio).abs() > 0.01 {
        warn(
            "weights_differ",
            format!(
                "{} of the baseline's spans tell how they were sampled and {} of the candidate's; counts and rates \
                 are not compared, only ratios and durations",
                text::percent(a.known_weight_ratio),
                text::percent(b.known_weight_ratio),
            ),
        );
    } else if a.known_weight_ratio <= 0.99 && (a.mean_weight / b.mean_weight - 1.0).abs() > 0.01 {
        warn(
            "weights_differ",
            format!(
                "a span stands for {:.2} spans in the baseline and for {:.2} in the candidate, and some do not tell; \
                 counts and rates are not compared",
                a.mean_weight, b.mean_weight
            ),
        );
    }
}

/// A step inside a window, in the log-duration of its busiest entry point.
fn step(name: &str, facts: &Facts, warn: &mut impl FnMut(&'static str, String)) {
    let Some(entry) = facts.keys().get(ENTRY_POINT) else {
        return;
    };
    let Some((value, group)) = entry.groups.iter().max_by_key(|(_, g)| g.spans()) else {
        return;
    };
    let (slices, means) = slice_means(group);
    let Some(found) = strongest_step(&means) else {
        return;
    };
    // One bucket is 2.2 %: a step of 14 %. A perfect step in the middle of ten slices has p = 0.01, so no smaller p can
    // be asked for.
    const MIN_BUCKETS: f64 = 6.0;
    const MAX_P: f64 = 0.02;
    if found.p <= MAX_P && found.difference.abs() >= MIN_BUCKETS {
        let start_ns = facts.slicing().slices()[0].from_ns();
        let at = facts.slicing().slices()[slices[found.at]].from_ns();
        let factor = 2f64.powf(found.difference / 32.0);
        warn(
            "step_inside",
            format!(
                "the {name} itself changes {:.0} s after its start: {value} goes {} there; compare windows that do \
                 not contain a change",
                (at - start_ns) as f64 / 1e9,
                text::factor_change(factor),
            ),
        );
    }
}

fn slice_means(group: &Group) -> (Vec<usize>, Vec<f64>) {
    let occupied = group.cells().filter(|(_, c)| c.weight > 0.0);
    occupied
        .map(|(slice, c)| (slice, c.moments.l / c.weight))
        .unzip()
}

fn completeness(a: &SideQuality, b: &SideQuality, warn: &mut impl FnMut(&'static str, String)) {
    if (a.completeness_ratio - b.completeness_ratio).abs() > 0.02 {
        warn(
            "completeness_differs",
            format!(
                "{} of the baseline's traces are complete and {} of the candidate's; what looks missing may only not \
                 have arrived",
                text::percent(a.completeness_ratio),
                text::percent(b.completeness_ratio),
            ),
        );
    } else if a.completeness_ratio.min(b.completeness_ratio) < 0.9 {
        warn(
            "incomplete",
            format!(
                "only {} of the baseline's and {} of the candidate's traces are complete",
                text::percent(a.completeness_ratio),
                text::percent(b.completeness_ratio),
            ),
        );
    }
}

/// A fifth more or less traffic is where one would start to ask.
fn load_differs(a: &SideQuality, b: &SideQuality) -> bool {
    let factor = b.requests_per_second / a.requests_per_second;
    factor.is_finite() && factor > 0.0 && !(1.0 / 1.2..=1.2).contains(&factor)
}

fn load_text(a: &SideQuality, b: &SideQuality, matched: &LoadMatched) -> String {
    let mut message = format!(
        "traces per second went {} ({:.3} to {:.3}); latency may follow load",
        text::factor_change(b.requests_per_second / a.requests_per_second),
        a.requests_per_second,
        b.requests_per_second,
    );
    let changes = text::counted(matched.changes as u64, "latency change");
    match matched.remaining {
        _ if matched.changes == 0 => {}
        Some(remaining) => message.push_str(&format!(
            ": in {} slices a side with equal load, {} of {changes} of entry points, services and operations remain",
            matched.slices,
            text::count(remaining as u64)
        )),
        None => message.push_str(", and too few slices of both sides had equal load to tell"),
    }
    message
}

fn oddities(name: &str, side: &SideQuality, warn: &mut impl FnMut(&'static str, String)) {
    let counts = &side.counts;
    let share = |part: u64| part as f64 / counts.spans.max(1) as f64;
    if counts.orphan_spans > 0 && share(counts.orphan_spans) > 0.001 {
        let mut services: Vec<(&String, &u64)> = counts.orphans_by_service.iter().collect();
        services.sort_by(|x, y| y.1.cmp(x.1).then(x.0.cmp(y.0)));
        let most: Vec<&str> = services
            .iter()
            .take(3)
            .map(|(service, _)| service.as_str())
            .collect();
        warn(
            "orphans",
            format!(
                "the parents of {} of the {name}'s spans did not arrive, mostly in {}",
                text::percent(share(counts.orphan_spans)),
                most.join(", ")
            ),
        );
    }
    if counts.duplicate_spans > 0 {
        warn(
            "duplicates",
            format!(
                "the {name} held {} twice or more; each counts once",
                text::counted(counts.duplicate_spans, "span")
            ),
        );
    }
    if counts.parent_cycles > 0 {
        let circles = text::counted(counts.parent_cycles, "circle");
        warn(
            "parent_cycles",
            format!("the {name} has {circles} of parents; they were cut at their earliest span"),
        );
    }
    if share(counts.spans_outside_parent) > 0.02 {
        warn(
            "outside_parent",
            format!(
                "{} of the {name}'s spans stick out of their parents: clocks differ between hosts; durations are not \
                 affected",
                text::percent(share(counts.spans_outside_parent))
            ),
        );
    }
    wrong_clocks(name, side, warn);
    if counts.traces_outside_window > 0 {
        let traces = text::counted(counts.traces_outside_window, "trace");
        warn(
            "outside_window",
            format!("{traces} of the {name} began outside its window and were left out"),
        );
    }
}

fn wrong_clocks(name: &str, side: &SideQuality, warn: &mut impl FnMut(&'static str, String)) {
    let far = |clock: &&HostClock| clock.offset_ns.unsigned_abs() > CLOCK_WARNING_NS;
    let worst: Vec<String> = (side.clock_offsets.iter().filter(far).take(3))
        .map(|clock| {
            let direction = if clock.offset_ns > 0 {
                "behind"
            } else {
                "ahead of"
            };
            format!(
                "{} up to {} {direction} {}",
                clock.host,
                text::duration(clock.offset_ns.unsigned_abs() as f64),
                clock.compared_with
            )
        })
        .collect();
    if !worst.is_empty() {
        warn(
            "clocks_differ",
            format!(
                "clocks of the {name}'s hosts differ ({}); {} corrected in the call tree, durations are not affected",
                worst.join(", "),
                match side.corrected_clocks {
                    1 => "1 was".to_owned(),
                    more => format!("{} were", text::count(more as u64)),
                },
            ),
        );
    }
}
