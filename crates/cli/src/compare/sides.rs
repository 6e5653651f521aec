//! The two sides of a comparison: from what was typed to the facts of the baseline and of the candidate.

use std::collections::BTreeSet;

use anyhow::{Context as _, anyhow, bail};
use tracediff_core::diff::{Diff, Warning, text};
use tracediff_core::explain::{answer, named_traces, questions};
use tracediff_core::facts::{Facts, Plan};
use tracediff_core::model::{OccupiedTime, Slicing, Window, slice_length_ns};
use tracediff_core::query::Query;
use tracediff_core::snapshot::{Scope, Taken};

use super::facts::{Filter, Side, Survey, is_empty, survey, survey_stored};
use super::input::{Place, Source, expand};
use super::reading::{Progress, Reading};
use super::{memory, window};
use crate::args::{CompareArgs, ScopeArg};
use crate::stored::{StoredTraces, joined};

/// Both sides' facts, and what was odd on the way to them.
#[derive(Debug)]
pub(crate) struct Sides {
    pub(crate) baseline: Facts,
    pub(crate) candidate: Facts,
    /// What the sides are called.
    pub(crate) names: [String; 2],
    pub(crate) warnings: Vec<Warning>,
    /// Where their traces are.
    pub(crate) traces: SideTraces,
}

/// The traces of both sides, to be gone through again.
#[derive(Debug)]
pub(crate) struct SideTraces {
    /// One that holds both sides, or one for each.
    surveys: Vec<Survey>,
    plans: [Plan; 2],
    filters: [Filter; 2],
    strict: bool,
    limit_bytes: u64,
}

impl SideTraces {
    /// Asks the traces what the bad ones have in common, writes that into the diff, and keeps up to `exemplars` of the
    /// traces of either side that are named there.
    pub(crate) fn explain(&self, diff: &mut Diff, exemplars: usize) -> anyhow::Result<()> {
        let questions = questions(diff);
        if questions.is_empty() && exemplars == 0 {
            return Ok(());
        }
        let left_out: BTreeSet<String> = diff.left_out.iter().map(|l| l.key.clone()).collect();
        let sources: Vec<&[Source]> = self.surveys.iter().map(Survey::sources).collect();
        let progress = Progress::new(&sources);
        let reading = Reading {
            strict: self.strict,
            max_document_bytes: self.limit_bytes / DOCUMENT_SHARE,
            progress: &progress,
        };
        let limit_bytes = self.limit_bytes / self.surveys.len() as u64;
        let sides = [0, 1].map(|side| Side {
            survey: &self.surveys[side.min(self.surveys.len() - 1)],
            plan: &self.plans[side],
            filter: &self.filters[side],
            reading,
            limit_bytes,
        });
        if !questions.is_empty() {
            let heard = |side: &Side<'_>| side.ask(&questions, &left_out);
            answer(diff, &questions, &[heard(&sides[0])?, heard(&sides[1])?]);
        }
        let named = named_traces(diff, exemplars);
        for ((side, name), ids) in sides.iter().zip(["baseline", "candidate"]).zip(named) {
            if ids.is_empty() {
                continue;
            }
            let mut found = side.fetch(&ids, name)?;
            let traces = ids.iter().filter_map(|id| found.remove(id));
            diff.traces.extend(traces);
        }
        progress.finish();
        Ok(())
    }
}

/// Shares of the memory limit that one line or document may take.
const DOCUMENT_SHARE: u64 = 4;

/// Reads the sides.
pub(crate) fn read(args: &CompareArgs) -> anyhow::Result<Sides> {
    let limit_bytes = args.memory_limit.unwrap_or_else(memory::default_limit);
    let query = match &args.query {
        Some(text) => Some(
            Query::parse(text)
                .map_err(|e| anyhow!("--where cannot be used\n{}", e.render(text)))?,
        ),
        None => None,
    };
    let is_shared = args.split.is_some() || args.baseline_window.is_some();
    if args.source.is_some() && !is_shared {
        bail!(
            "--source holds both sides; give --baseline-window and --candidate-window, e.g. -30m/-15m and -15m/end, or \
             --split"
        );
    }
    if is_shared {
        read_shared(args, query, limit_bytes)
    } else {
        read_two(args, query, limit_bytes)
    }
}

fn scope(args: &CompareArgs) -> Scope {
    match args.scope {
        ScopeArg::Trace => Scope::Trace,
        ScopeArg::Match => Scope::Match,
    }
}

/// Two inputs, one for each side.
fn read_two(args: &CompareArgs, query: Option<Query>, limit_bytes: u64) -> anyhow::Result<Sides> {
    let [baseline, candidate] = two_inputs(args)?;
    let names = [side_name(&baseline), side_name(&candidate)];
    let (baseline, candidate) = (expand(&baseline)?, expand(&candidate)?);
    if baseline
        .iter()
        .chain(&candidate)
        .filter(|s| matches!(s.place, Place::Stdin))
        .count()
        > 1
    {
        bail!("standard input (-) can be only one of the sides");
    }
    let progress = Progress::new(&[&baseline, &candidate]);
    let reading = reading(args, limit_bytes, &progress);
    let half = limit_bytes / 2;
    // The sides do not depend on each other: read them side by side.
    let (baseline, candidate) = std::thread::scope(|scope| {
        let other = scope.spawn(|| survey(candidate, reading, half));
        let baseline = survey(baseline, reading, half);
        let candidate = other
            .join()
            .map_err(|_| anyhow!("reading the candidate failed"));
        (baseline, candidate)
    });
    let (baseline, candidate) = (baseline?, candidate??);
    let slice_ns = slice_length_ns(&baseline.time.ranges(), &candidate.time.ranges());
    let filter = Filter {
        matching: query.into_iter().collect(),
        excluding: None,
        scope: scope(args),
    };
    let mut plans = [&baseline, &candidate].map(|s| plan(args, &s.time.ranges(), slice_ns));
    let facts = |survey: &Survey, plan: &mut Plan| {
        let side = Side {
            survey,
            plan,
            filter: &filter,
            reading,
            limit_bytes: half,
        };
        let (taken, clocks) = side.take_facts()?;
        plan.clocks = clocks;
        anyhow::Ok(taken)
    };
    let mut warnings = baseline.notes.warnings("baseline");
    warnings.extend(candidate.notes.warnings("candidate"));
    let taken = (
        facts(&baseline, &mut plans[0])?.facts,
        facts(&candidate, &mut plans[1])?.facts,
    );
    progress.finish();
    check_empty(&taken.0, &names[0], baseline.notes.spans, args)?;
    check_empty(&taken.1, &names[1], candidate.notes.spans, args)?;
    Ok(Sides {
        baseline: taken.0,
        candidate: taken.1,
        names,
        warnings,
        traces: SideTraces {
            surveys: vec![baseline, candidate],
            plans,
            filters: [filter.clone(), filter],
            strict: args.strict,
            limit_bytes,
        },
    })
}

fn two_inputs(args: &CompareArgs) -> anyhow::Result<[Vec<String>; 2]> {
    let mut inputs = [args.baseline.clone(), args.candidate.clone()];
    match &args.paths[..] {
        [] => {}
        [baseline, candidate] => {
            inputs[0].insert(0, baseline.clone());
            inputs[1].insert(0, candidate.clone());
        }
        [_] => {
            bail!("one input has only one side; name the candidate too, or give windows or --split")
        }
        more => bail!(
            "{} inputs, but there are two sides; give each side as a folder or a quoted glob, or name more files with \
             --baseline and --candidate",
            more.len()
        ),
    }
    Ok(inputs)
}

fn side_name(paths: &[String]) -> String {
    match paths {
        [] => String::new(),
        [one] if one == "-" => "standard input".to_owned(),
        [one] => one.clone(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    }
}

/// One input that holds both sides: two windows of it, or two values of one attribute.
fn read_shared(
    args: &CompareArgs,
    query: Option<Query>,
    limit_bytes: u64,
) -> anyhow::Result<Sides> {
    let (sources, stored, extent) = match &args.source {
        Some(store) => {
            let traces = StoredTraces::open(store)?;
            let extent = traces.extent_ns()?;
            let windows = windows(args, extent)?;
            match traces.folder() {
                Some(folder) => (Vec::new(), Some((folder.clone(), windows)), Some(extent)),
                None => (sources(&traces, &windows)?, None, Some(extent)),
            }
        }
        None => {
            let paths = [&args.paths[..], &args.baseline, &args.candidate].concat();
            (expand(&paths)?, None, None)
        }
    };
    let progress = Progress::new(&[&sources]);
    let reading = reading(args, limit_bytes, &progress);
    let all = match stored {
        Some((folder, windows)) => survey_stored(&folder, &joined(&windows)?, limit_bytes)?,
        None => survey(sources, reading, limit_bytes)?,
    };
    let mut warnings = all.notes.warnings("input");
    let of_data = all
        .time
        .extent_ns()
        .ok_or_else(|| anyhow!("the input holds no spans"))?;
    let extent = extent.unwrap_or(of_data);
    let base = Filter {
        matching: query.into_iter().collect(),
        excluding: None,
        scope: scope(args),
    };
    let (ranges, filters, names) = match (
        &args.split,
        &args.baseline_window,
        &args.candidate_window,
    ) {
        (Some(split), ..) => {
            let (filters, names) = split_filters(split, &base)?;
            ([all.time.ranges(), all.time.ranges()], filters, names)
        }
        (None, Some(baseline), Some(candidate)) => {
            let windows = [
                window::parse(baseline, extent)?,
                window::parse(candidate, extent)?,
            ];
            if windows[0].intersection(&windows[1]).is_some() {
                bail!(
                    "the windows {baseline} and {candidate} overlap; a trace can be on one side only"
                );
            }
            let ranges = windows.map(|w| occupied_in(&all.time, w));
            (
                ranges,
                [base.clone(), base],
                [baseline.clone(), candidate.clone()],
            )
        }
        _ => bail!("give both --baseline-window and --candidate-window"),
    };
    let slice_ns = slice_length_ns(&ranges[0], &ranges[1]);
    let mut plans = ranges.each_ref().map(|r| plan(args, r, slice_ns));
    let mut facts = |side: usize| -> anyhow::Result<Taken> {
        let plan = &mut plans[side];
        let side = Side {
            survey: &all,
            plan,
            filter: &filters[side],
            reading,
            limit_bytes,
        };
        let (taken, clocks) = side.take_facts()?;
        plan.clocks = clocks;
        Ok(taken)
    };
    let (mut baseline, mut candidate) = (facts(0)?, facts(1)?);
    progress.finish();
    // With --where the sides may differ: a trace may match it on one side only.
    let excluded = baseline.excluded_traces.max(candidate.excluded_traces);
    if excluded > 0 {
        let (traces, verb) = match excluded {
            1 => ("1 trace has".to_owned(), "was"),
            more => (format!("{} traces have", text::count(more)), "were"),
        };
        warnings.push(Warning {
            code: "on_both_sides",
            message: format!(
                "{traces} spans of both values and {verb} left out; --scope match compares the spans themselves"
            ),
        });
    }
    // What lies outside a window is the other side here, not a loss.
    baseline.facts.quality.traces_outside_window = 0;
    candidate.facts.quality.traces_outside_window = 0;
    check_empty(&baseline.facts, &names[0], all.notes.spans, args)?;
    check_empty(&candidate.facts, &names[1], all.notes.spans, args)?;
    Ok(Sides {
        baseline: baseline.facts,
        candidate: candidate.facts,
        names,
        warnings,
        traces: SideTraces {
            surveys: vec![all],
            plans,
            filters,
            strict: args.strict,
            limit_bytes,
        },
    })
}

/// The windows whose spans are needed of a store.
fn windows(args: &CompareArgs, extent: (i64, i64)) -> anyhow::Result<Vec<Window>> {
    let texts = [&args.baseline_window, &args.candidate_window];
    let windows = texts
        .into_iter()
        .flatten()
        .map(|text| window::parse(text, extent));
    let mut windows = windows.collect::<anyhow::Result<Vec<Window>>>()?;
    if windows.is_empty() {
        // With --split both sides may be anywhere.
        windows.push(Window::new(extent.0, extent.1.saturating_add(1))?);
    }
    Ok(windows)
}

/// What is asked of a server: all traces, because those that do not match tell when there was traffic, too.
fn sources(traces: &StoredTraces, windows: &[Window]) -> anyhow::Result<Vec<Source>> {
    let source = |spans| Source {
        place: Place::Store(spans),
        is_from_folder: false,
    };
    let sources = traces.around(windows)?.into_iter().map(source);
    Ok(sources.collect())
}

/// The parts of a window around which data is: a window that reaches past the data is not empty time.
fn occupied_in(time: &OccupiedTime, window: Window) -> Vec<Window> {
    time.ranges()
        .iter()
        .filter_map(|r| r.intersection(&window))
        .collect()
}

/// `KEY=BASELINE,CANDIDATE`: spans with one value against spans with the other.
fn split_filters(split: &str, base: &Filter) -> anyhow::Result<([Filter; 2], [String; 2])> {
    let parse = || {
        let (key, values) = split.split_once('=')?;
        let (baseline, candidate) = values.split_once(',')?;
        let all = [key.trim(), baseline.trim(), candidate.trim()];
        all.iter().all(|part| !part.is_empty()).then_some(all)
    };
    let [key, baseline, candidate] = parse().with_context(|| {
        format!("--split `{split}` cannot be used; write KEY=BASELINE,CANDIDATE, e.g. service.version=1.4,1.5")
    })?;
    if baseline == candidate {
        bail!("--split `{split}` names the same value twice; a trace can be on one side only");
    }
    let is = |value: &str| Query::has_value(key, value);
    let filter = |value: &str, other: &str| {
        let mut filter = base.clone();
        filter.matching.push(is(value));
        filter.excluding = Some(is(other));
        filter
    };
    let names = [format!("{key}={baseline}"), format!("{key}={candidate}")];
    Ok((
        [filter(baseline, candidate), filter(candidate, baseline)],
        names,
    ))
}

fn reading<'a>(args: &CompareArgs, limit_bytes: u64, progress: &'a Progress) -> Reading<'a> {
    Reading {
        strict: args.strict,
        max_document_bytes: limit_bytes / DOCUMENT_SHARE,
        progress,
    }
}

fn plan(args: &CompareArgs, ranges: &[Window], slice_ns: i64) -> Plan {
    Plan {
        slicing: Slicing::cut(ranges, slice_ns),
        group_by: args.keys.clone(),
        paths: true,
        clocks: None,
    }
}

/// An empty side is bad input: say what was there and why nothing was left.
fn check_empty(facts: &Facts, name: &str, read: u64, args: &CompareArgs) -> anyhow::Result<()> {
    if !is_empty(facts) {
        return Ok(());
    }
    if read == 0 {
        bail!("{name} holds no spans, so there is nothing to compare");
    }
    if args.split.is_some() {
        bail!(
            "no trace has {name}{}; check the key and the value",
            also_where(args)
        );
    }
    if args.baseline_window.is_some() {
        bail!("no trace begins in the window {name}{}", also_where(args));
    }
    bail!(
        "none of the {read} spans of {name} matches --where `{}`",
        args.query.as_deref().unwrap_or_default()
    );
}

fn also_where(args: &CompareArgs) -> String {
    args.query.as_ref().map_or(String::new(), |query| {
        format!(" and matches --where `{query}`")
    })
}
