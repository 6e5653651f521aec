//! Findings: everything in a diff that passed the policy, in words, most important first.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::document::{
    Aspect, Finding, GroupDiff, GroupSummary, KeyDiff, Severity, Strength, ValueEvidence, Verdict,
};
use super::text;
use crate::facts::KeyRole;

/// A finding before it is known which others say the same.
struct Candidate {
    finding: Finding,
    /// Equal for groups of exactly the same spans.
    spans: SpanIdentity,
}

/// Counts and sums of durations of both sides.
type SpanIdentity = (u64, u128, u64, u128);

/// All findings of these keys.
pub(super) fn collect(keys: &[KeyDiff], can_confirm: bool) -> Vec<Finding> {
    let mut found: Vec<Candidate> = Vec::new();
    for key in keys {
        let strength = if can_confirm {
            Strength::Confirmed
        } else {
            Strength::Suggestive
        };
        for (aspect, list) in [
            (Aspect::NewValue, &key.new),
            (Aspect::MissingValue, &key.missing),
        ] {
            found.extend(
                list.iter()
                    .filter(|v| v.passes)
                    .map(|v| value_finding(key, v, aspect, strength)),
            );
        }
        for group in &key.groups {
            found.extend(group_findings(key, group));
        }
    }
    found.sort_by(|a, b| {
        importance(&a.finding)
            .cmp(&importance(&b.finding))
            .then(b.finding.effect.total_cmp(&a.finding.effect))
            .then_with(|| a.finding.id.cmp(&b.finding.id))
    });
    mark_echoes(&mut found);
    found
        .into_iter()
        .map(|candidate| candidate.finding)
        .collect()
}

/// Lower is more important: what users notice, then what was asked for, what is new or gone, what was found, what got
/// better, and last what is only called more or less often.
fn importance(finding: &Finding) -> (bool, u8, Reverse<Option<Severity>>) {
    use KeyRole::{EntryPoint, GroupBy, Scanned};
    let class = match (finding.aspect, finding.verdict, finding.role) {
        (Aspect::Errors, Verdict::Regressed, EntryPoint) => 0,
        (Aspect::Latency, Verdict::Regressed, EntryPoint) => 1,
        (Aspect::Errors, Verdict::Regressed, GroupBy) => 2,
        (Aspect::Latency, Verdict::Regressed, GroupBy) => 3,
        (Aspect::NewValue, ..) => 4,
        (Aspect::MissingValue, ..) => 5,
        (Aspect::Errors, Verdict::Regressed, Scanned) => 6,
        (Aspect::Latency, Verdict::Regressed, Scanned) => 7,
        (Aspect::Errors | Aspect::Latency, _, EntryPoint) => 8,
        (Aspect::Errors | Aspect::Latency, _, GroupBy) => 9,
        (Aspect::Errors | Aspect::Latency, _, Scanned) => 11,
        (Aspect::Calls, _, GroupBy | EntryPoint) => 10,
        (Aspect::Calls, _, Scanned) => 12,
    };
    (
        finding.strength == Strength::Suggestive,
        class,
        Reverse(finding.severity),
    )
}

/// The same spans under another key say nothing new: the later finding names the earlier one.
fn mark_echoes(found: &mut [Candidate]) {
    let mut first: HashMap<(Aspect, SpanIdentity), String> = HashMap::new();
    for candidate in found {
        let key = (candidate.finding.aspect, candidate.spans);
        match first.get(&key) {
            Some(id) => candidate.finding.same_as = Some(id.clone()),
            None => {
                first.insert(key, candidate.finding.id.clone());
            }
        }
    }
}

fn aspect_name(aspect: Aspect) -> &'static str {
    match aspect {
        Aspect::Errors => "errors",
        Aspect::Latency => "latency",
        Aspect::NewValue => "new",
        Aspect::MissingValue => "missing",
        Aspect::Calls => "calls",
    }
}

fn finding(key: &KeyDiff, value: &str, aspect: Aspect) -> Finding {
    Finding {
        id: format!("{}={value}/{}", key.key, aspect_name(aspect)),
        key: key.key.clone(),
        value: value.to_owned(),
        role: key.role,
        aspect,
        verdict: Verdict::Increased,
        strength: Strength::Confirmed,
        severity: None,
        q: None,
        effect: 0.0,
        text: String::new(),
        same_as: None,
        explanation: None,
    }
}

fn value_finding(
    key: &KeyDiff,
    value: &ValueEvidence,
    aspect: Aspect,
    strength: Strength,
) -> Candidate {
    let (verdict, word, side) = if aspect == Aspect::NewValue {
        (Verdict::Increased, "new", "candidate")
    } else {
        (Verdict::Decreased, "missing", "baseline")
    };
    let group = &value.group;
    let text = format!(
        "{word}: in {} ({} of the {side}'s)",
        text::counted(group.traces, "trace"),
        text::percent(value.trace_ratio)
    );
    let spans = (group.spans, group.duration_sum_ns, 0, 0);
    let base = finding(key, &value.value, aspect);
    Candidate {
        finding: Finding {
            verdict,
            strength,
            q: Some(value.p),
            effect: value.trace_ratio,
            text,
            ..base
        },
        spans,
    }
}

fn group_findings(key: &KeyDiff, group: &GroupDiff) -> Vec<Candidate> {
    let (a, b) = (&group.baseline, &group.candidate);
    let spans = (a.spans, a.duration_sum_ns, b.spans, b.duration_sum_ns);
    let parts = [
        (
            Aspect::Latency,
            Some(group.latency.judgement),
            group.latency.delta.unwrap_or(0.0).abs(),
        ),
        (
            Aspect::Errors,
            Some(group.errors.judgement),
            group.errors.difference.abs(),
        ),
        (
            Aspect::Calls,
            group.calls.map(|c| c.judgement),
            group
                .calls
                .and_then(|c| c.factor)
                .map_or(0.0, |f| f.ln().abs()),
        ),
    ];
    let mut found = Vec::new();
    for (aspect, judgement, effect) in parts {
        let Some(judgement) = judgement else { continue };
        if matches!(
            judgement.verdict,
            Verdict::NoMaterialChange | Verdict::Inconclusive
        ) {
            continue;
        }
        let text = match aspect {
            Aspect::Latency => latency_text(group),
            Aspect::Errors => errors_text(a, b),
            _ => calls_text(group),
        };
        let base = finding(key, &group.value, aspect);
        let finding = Finding {
            verdict: judgement.verdict,
            strength: judgement.strength,
            severity: judgement.severity,
            q: judgement.q,
            effect,
            text,
            ..base
        };
        found.push(Candidate { finding, spans });
    }
    found
}

/// `slower: median 8.1 ms → 34 ms (+320 %), p95 13 ms → 47 ms (+259 %)`.
fn latency_text(group: &GroupDiff) -> String {
    let delta = group.latency.delta.unwrap_or(0.0);
    let word = if delta > 0.0 { "slower" } else { "faster" };
    let mut parts = Vec::new();
    for (name, title) in [("p50", "median"), ("p95", "p95")] {
        parts.extend(quantile_text(group, name).map(|text| format!("{title} {text}")));
    }
    format!("{word}: {}", parts.join(", "))
}

/// `8.1 ms → 34 ms (+320 %)`; `None` where a side has too few spans for the quantile.
pub(super) fn quantile_text(group: &GroupDiff, name: &str) -> Option<String> {
    let (a, b) = (
        group.baseline.quantiles.get(name)?,
        group.candidate.quantiles.get(name)?,
    );
    let change = if a.value_ns > 0.0 {
        format!(" ({})", text::factor_change(b.value_ns / a.value_ns))
    } else {
        String::new()
    };
    Some(format!(
        "{} → {}{change}",
        text::duration(a.value_ns),
        text::duration(b.value_ns)
    ))
}

/// `fails more: 0.3 % → 6.1 %`.
fn errors_text(a: &GroupSummary, b: &GroupSummary) -> String {
    let word = if b.error_ratio > a.error_ratio {
        "fails more"
    } else {
        "fails less"
    };
    format!(
        "{word}: {} → {}",
        text::percent(a.error_ratio),
        text::percent(b.error_ratio)
    )
}

fn calls_text(group: &GroupDiff) -> String {
    let Some(calls) = &group.calls else {
        return String::new();
    };
    let (a, b) = (calls.per_trace.baseline, calls.per_trace.candidate);
    let word = if b > a { "more often" } else { "less often" };
    let change = calls
        .factor
        .map_or(String::new(), |f| format!(" ({})", text::factor_change(f)));
    format!("{word}: {a:.3} → {b:.3} per trace{change}")
}
