//! The first sentence: what changed.

use super::document::{Aspect, Finding, KeyDiff, QualityHeader, Strength, Verdict};
use super::text;
use crate::facts::{ENDPOINT, KeyRole};

/// Findings named in one part of the sentence; more are counted.
const NAMED: usize = 2;
/// Values named.
const VALUES_NAMED: usize = 3;

/// Says what changed.
pub(super) fn write(keys: &[KeyDiff], findings: &[Finding], quality: &QualityHeader) -> String {
    if quality.baseline.counts.spans == 0 || quality.candidate.counts.spans == 0 {
        return nothing_to_compare(quality);
    }
    let own: Vec<&Finding> = findings.iter().filter(|f| f.same_as.is_none()).collect();
    let mut parts = Vec::new();
    parts.extend(changes(&own));
    parts.extend(values(&own, Aspect::NewValue, "new"));
    parts.extend(values(&own, Aspect::MissingValue, "gone"));
    if parts.is_empty() {
        return nothing_changed(keys, &own);
    }
    let is_suggestive = own.iter().all(|f| f.strength == Strength::Suggestive);
    let opening = if is_suggestive { "Perhaps: " } else { "" };
    let mut sentence = format!("{opening}{}", parts.join("; "));
    if !sentence.ends_with('.') {
        sentence.push('.');
    }
    sentence
}

fn nothing_to_compare(quality: &QualityHeader) -> String {
    let empty = |spans| spans == 0;
    let which = match (
        empty(quality.baseline.counts.spans),
        empty(quality.candidate.counts.spans),
    ) {
        (true, true) => "neither side has",
        (true, false) => "the baseline has no",
        _ => "the candidate has no",
    };
    let which = if which == "neither side has" {
        "neither side has any".to_owned()
    } else {
        which.to_owned()
    };
    format!("Nothing to compare: {which} spans.")
}

/// Regressions of entry points, or of groups where no entry point regressed; then improvements.
fn changes(own: &[&Finding]) -> Vec<String> {
    let of = |verdict: Verdict, is_entry: bool| -> Vec<&Finding> {
        own.iter()
            .copied()
            .filter(|f| {
                f.verdict == verdict && matches!(f.aspect, Aspect::Errors | Aspect::Latency)
            })
            .filter(|f| (f.role == KeyRole::EntryPoint) == is_entry)
            .collect()
    };
    let mut parts = Vec::new();
    for verdict in [Verdict::Regressed, Verdict::Improved] {
        let entries = of(verdict, true);
        let services: Vec<&Finding> = of(verdict, false)
            .into_iter()
            .filter(|f| f.role == KeyRole::GroupBy)
            .collect();
        let (named, noun) = if entries.is_empty() {
            (&services, "group")
        } else {
            (&entries, "entry point")
        };
        parts.extend(named.iter().take(NAMED).map(|f| clause(f)));
        let more = named.len().saturating_sub(NAMED);
        if more > 0 {
            let word = if verdict == Verdict::Regressed {
                "worse"
            } else {
                "better"
            };
            parts.push(format!("{} more {word}", text::counted(more as u64, noun)));
        }
        if verdict == Verdict::Regressed && !entries.is_empty() {
            parts.extend(
                services
                    .first()
                    .map(|f| format!("most changed: {}", clause(f))),
            );
        }
        if verdict == Verdict::Regressed && !parts.is_empty() {
            // With something worse, what got better is for the tables.
            break;
        }
    }
    parts
}

fn clause(finding: &Finding) -> String {
    let text = finding.text.split(", p95").next().unwrap_or(&finding.text);
    match finding.role {
        KeyRole::EntryPoint => format!("{} is {text}", finding.value).replace("is fails", "fails"),
        _ => format!("{} {} is {text}", finding.key, finding.value).replace("is fails", "fails"),
    }
}

fn values(own: &[&Finding], aspect: Aspect, word: &str) -> Option<String> {
    let found: Vec<&&Finding> = own
        .iter()
        .filter(|f| f.aspect == aspect && f.key != ENDPOINT)
        .collect();
    if found.is_empty() {
        return None;
    }
    let mut names: Vec<String> = found
        .iter()
        .take(VALUES_NAMED)
        .map(|f| format!("{}={}", f.key, f.value))
        .collect();
    let more = found.len().saturating_sub(VALUES_NAMED);
    if more > 0 {
        names.push(format!("{} more", text::count(more as u64)));
    }
    Some(format!("{word}: {}", names.join(", ")))
}

fn nothing_changed(keys: &[KeyDiff], own: &[&Finding]) -> String {
    let asked: Vec<&KeyDiff> = keys.iter().filter(|k| k.role != KeyRole::Scanned).collect();
    let verdicts = || {
        asked
            .iter()
            .flat_map(|k| &k.groups)
            .flat_map(|g| [g.latency.judgement.verdict, g.errors.judgement.verdict])
    };
    let total = verdicts().count();
    let unclear = verdicts().filter(|v| *v == Verdict::Inconclusive).count();
    let mut sentence = format!(
        "No change that passes the policy: of {} of latency and errors, {} exclude a material one",
        text::counted(total as u64, "comparison"),
        text::count((total - unclear) as u64)
    );
    if unclear > 0 {
        sentence.push_str(&format!(
            " and {} could not tell",
            text::count(unclear as u64)
        ));
    }
    if !own.is_empty() {
        sentence.push_str(&format!(
            "; {} in how often things are called",
            text::counted(own.len() as u64, "change")
        ));
    }
    sentence.push('.');
    sentence
}
