//! Labelled real traces (Nezha, FSE 2023): every pair must end well, and what is said of fault-free halves of a minute.
//!
//! The data is not part of this project.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;
use tracediff_core::diff::{Confidence, Diff, Policy, compare};
use tracediff_core::facts::Facts;
use tracediff_core::model::{SpanBatch, SpanBatchBuilder, Window};
use tracediff_core::snapshot::occupied_time;
use tracediff_wire::{StreamDecoder, StreamOptions};

use crate::conservation;
use crate::null::Outcome;
use crate::ranking::Ranks;
use crate::sides::{facts_in, facts_of};

#[derive(Debug, Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
struct Case {
    id: String,
    dataset: String,
    label: Label,
    before: Vec<String>,
    after: Vec<String>,
    expect: String,
}

#[derive(Debug, Deserialize)]
struct Label {
    service: String,
    fault: String,
}

/// Compares every case in `folder`.
pub(crate) fn evaluate(folder: &Path) -> anyhow::Result<String> {
    let path = folder.join("cases.json");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let cases: Cases = serde_json::from_str(&text)?;
    let mut cases_out = String::from(
        "| case | fault | expected | named first | confidence | second | sentence |\n|---|---|---|---|---|---|---|\n",
    );
    let mut ranks = Ranks::default();
    let (mut invisible, mut named, mut confident) = (0, 0, 0);
    let mut lost: f64 = 0.0;
    for case in &cases.cases {
        let (diff, sides) = compare_files(folder, case)?;
        lost = lost.max(conservation::error(&diff, &sides));
        let is_visible = case.expect == "culprit";
        if is_visible {
            let kind = format!("{}, {}", case.dataset, case.label.fault);
            ranks.add(&kind, &diff, &sides, &case.label.service);
            let all = format!("{}, all", case.dataset);
            ranks.add(&all, &diff, &sides, &case.label.service);
        } else {
            invisible += 1;
            named += u64::from(!diff.culprits.is_empty());
            let first = diff.culprits.first();
            confident += u64::from(first.is_some_and(|c| c.confidence == Confidence::Confident));
        }
        let name = |place: usize| {
            diff.culprits.get(place).map_or("–".to_owned(), |c| {
                format!("{} ({:.2})", c.service, c.score)
            })
        };
        let _ = writeln!(
            cases_out,
            "| {} | {} {} | {} | {} | {} | {} | {} |",
            case.id,
            case.label.service,
            case.label.fault,
            case.expect,
            name(0),
            diff.culprits
                .first()
                .map_or("–".to_owned(), |c| format!("{:?}", c.confidence)),
            name(1),
            diff.sentence
                .chars()
                .take(160)
                .collect::<String>()
                .replace('|', "/"),
        );
    }
    let mut out = format!(
        "### Labelled real traces (Nezha)\n\n{}\nOf {invisible} faults that leave nothing in the spans, {named} name a \
         service and {confident} with confidence. Conservation error, at most: {lost:.1e}.\n\n{cases_out}",
        ranks.report()
    );
    out.push_str(&fault_free(folder, &cases.cases)?);
    Ok(out)
}

fn compare_files(folder: &Path, case: &Case) -> anyhow::Result<(Diff, [Facts; 2])> {
    let read_all = |names: &[String]| -> anyhow::Result<Vec<SpanBatch>> {
        let mut all = Vec::new();
        for name in names {
            all.extend(read(&folder.join(name))?);
        }
        Ok(all)
    };
    let sides = facts_of(&read_all(&case.before)?, &read_all(&case.after)?);
    let diff = compare(&sides[0], &sides[1], &Policy::default());
    Ok((diff, sides))
}

fn read(path: &Path) -> anyhow::Result<Vec<SpanBatch>> {
    let name = || format!("could not read `{}`", path.display());
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).with_context(name)?;
    flate2::read::MultiGzDecoder::new(file)
        .read_to_end(&mut bytes)
        .with_context(name)?;
    let mut builder = SpanBatchBuilder::new();
    let mut decoder = StreamDecoder::new(StreamOptions::default());
    decoder.push(&bytes, &mut builder).with_context(name)?;
    decoder.finish(&mut builder).with_context(name)?;
    Ok(builder.finish())
}

/// The two halves of every fault-free file against each other.
fn fault_free(folder: &Path, cases: &[Case]) -> anyhow::Result<String> {
    let mut datasets: Vec<&str> = cases.iter().map(|c| c.dataset.as_str()).collect();
    datasets.dedup();
    let mut out = String::new();
    for dataset in datasets {
        let mut names: Vec<&String> = cases
            .iter()
            .filter(|c| c.dataset == dataset)
            .flat_map(|c| &c.before)
            .collect();
        names.sort();
        names.dedup();
        let mut outcome = Outcome::default();
        let mut pairs = 0;
        for name in names {
            let batches = read(&folder.join(name))?;
            let ranges = occupied_time(&batches).ranges();
            let [range] = &ranges[..] else { continue };
            let middle = range.from_ns() + range.length_ns() / 2;
            let halves = [
                Window::new(range.from_ns(), middle)?,
                Window::new(middle, range.to_ns())?,
            ];
            const LONG_ENOUGH_S: f64 = 28.0;
            if halves[0].seconds() < LONG_ENOUGH_S {
                continue;
            }
            let sides = facts_in([&batches, &batches], &halves.map(|half| vec![half]));
            let diff = compare(&sides[0], &sides[1], &Policy::default());
            outcome.add(&diff, &sides);
            pairs += 1;
        }
        let title = format!("Fault-free half-minutes of {dataset}");
        out.push_str(&outcome.report(
            &title,
            &format!("{pairs} pairs of adjacent halves of a minute"),
        ));
    }
    Ok(out)
}
