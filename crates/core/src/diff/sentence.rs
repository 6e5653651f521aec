//! The first sentence: what changed.

use super::culprits::{Confidence, Culprit};
use super::document::{
    Aspect, Finding, GroupDiff, KeyDiff, QualityHeader, SideQuality, Strength, Verdict,
};
use super::{findings, text};
use crate::facts::{ENDPOINT, ENTRY_POINT, KeyRole, SERVICE};

/// Findings named in one part of the sentence; more are counted.
const NAMED: usize = 2;
/// Values named.
const VALUES_NAMED: usize = 3;

/// Says what changed.
pub(super) fn write(
    keys: &[KeyDiff],
    findings: &[Finding],
    culprits: &[Culprit],
    quality: &QualityHeader,
) -> String {
    if quality.baseline.counts.spans == 0 || quality.candidate.counts.spans == 0 {
        return nothing_to_compare(quality);
    }
    let own: Vec<&Finding> = findings.iter().filter(|f| f.same_as.is_none()).collect();
    let mut parts = Vec::new();
    parts.extend(changes(keys, &own, culprits.is_empty()));
    // Where only things got better there is nothing to look for.
    if own.iter().any(|f| f.verdict != Verdict::Improved) {
        parts.extend(culprits.first().map(start_at));
    }
    parts.extend(values(&own, Aspect::NewValue, "new"));
    parts.extend(values(&own, Aspect::MissingValue, "gone"));
    if parts.is_empty() {
        return nothing_changed(keys, &own);
    }
    let is_suggestive = !own.is_empty() && own.iter().all(|f| f.strength == Strength::Suggestive);
    let opening = if is_suggestive { "Perhaps: " } else { "" };
    let mut sentence = format!("{opening}{}", parts.join("; "));
    if !sentence.ends_with('.') {
        sentence.push('.');
    }
    sentence
}

fn nothing_to_compare(quality: &QualityHeader) -> String {
    let has = |side: &SideQuality| side.counts.spans > 0;
    let which = match (has(&quality.baseline), has(&quality.candidate)) {
        (false, false) => "neither side has any",
        (false, true) => "the baseline has no",
        _ => "the candidate has no",
    };
    format!("Nothing to compare: {which} spans.")
}

/// `start at pricing: +1.46 ms of …`.
fn start_at(culprit: &Culprit) -> String {
    let opening = match culprit.confidence {
        Confidence::Confident => "start at",
        Confidence::Low => "perhaps start at",
    };
    format!("{opening} {}", culprit.sentence)
}

/// What got worse, or else better: entry points, and the service that changed most where no culprit is known; services
/// or operations where no entry point changed.
fn changes(keys: &[KeyDiff], own: &[&Finding], name_service: bool) -> Vec<String> {
    for verdict in [Verdict::Regressed, Verdict::Improved] {
        let is_change = |f: &Finding| {
            f.verdict == verdict && matches!(f.aspect, Aspect::Errors | Aspect::Latency)
        };
        let subjects = |role: KeyRole| {
            let mut subjects: Vec<(&str, &str)> = Vec::new();
            for finding in own.iter().filter(|f| f.role == role && is_change(f)) {
                let subject = (finding.key.as_str(), finding.value.as_str());
                if !subjects.contains(&subject) {
                    subjects.push(subject);
                }
            }
            subjects
        };
        let (entries, groups) = (subjects(KeyRole::EntryPoint), subjects(KeyRole::GroupBy));
        let clause = |subject: (&str, &str)| clause(keys, own, subject, verdict);
        let named = if entries.is_empty() {
            &groups
        } else {
            &entries
        };
        let mut parts: Vec<String> = named.iter().take(NAMED).map(|s| clause(*s)).collect();
        let more = named.len().saturating_sub(NAMED);
        if more > 0 {
            let word = if verdict == Verdict::Regressed {
                "worse"
            } else {
                "better"
            };
            let noun = if entries.is_empty() {
                "group"
            } else {
                "entry point"
            };
            parts.push(format!(
                "{} {word}",
                text::counted(more as u64, noun).replacen(' ', " more ", 1)
            ));
        }
        if !entries.is_empty() && name_service {
            let services = own.iter().filter(|f| f.key == SERVICE && is_change(f));
            let most = services.max_by(|a, b| {
                (a.aspect == Aspect::Latency)
                    .cmp(&(b.aspect == Aspect::Latency))
                    .then(a.effect.total_cmp(&b.effect))
            });
            parts.extend(most.map(|f| {
                format!(
                    "of the services, {}",
                    clause((&f.key, &f.value)).trim_start_matches("service ")
                )
            }));
        }
        if !parts.is_empty() {
            return parts;
        }
    }
    Vec::new()
}

/// `service pricing fails more (0 % → 3 %) and is slower (median 8.17 ms → 32 ms, +291 %)`.
fn clause(keys: &[KeyDiff], own: &[&Finding], subject: (&str, &str), verdict: Verdict) -> String {
    let (key, value) = subject;
    let name = if key == ENTRY_POINT {
        value.to_owned()
    } else {
        format!("{key} {value}")
    };
    let group = keys
        .iter()
        .find(|k| k.key == key)
        .and_then(|k| k.groups.iter().find(|g| g.value == value));
    let Some(group) = group else { return name };
    let find = |aspect| {
        own.iter().find(|f| {
            f.aspect == aspect && f.verdict == verdict && f.key == key && f.value == value
        })
    };
    // Where all is doubtful, the sentence's opening says so.
    let is_any_sure = own.iter().any(|f| f.strength == Strength::Confirmed);
    let doubt = |finding: &Finding| match finding.strength {
        Strength::Suggestive if is_any_sure => "perhaps ",
        _ => "",
    };
    let is_worse = verdict == Verdict::Regressed;
    let mut parts = Vec::new();
    if let Some(finding) = find(Aspect::Errors) {
        let word = if is_worse { "fails more" } else { "fails less" };
        let (a, b) = (group.baseline.error_ratio, group.candidate.error_ratio);
        parts.push(format!(
            "{}{word} ({} → {})",
            doubt(finding),
            text::percent(a),
            text::percent(b)
        ));
    }
    if let Some(finding) = find(Aspect::Latency) {
        let word = if is_worse { "slower" } else { "faster" };
        // The quantile that moved more is the one to name.
        let moved = |name: &str| {
            group
                .latency
                .quantiles
                .get(name)
                .and_then(|q| q.factor)
                .map_or(0.0, |f| f.ln().abs())
        };
        let (name, title) = if moved("p95") > 1.5 * moved("p50") {
            ("p95", "p95")
        } else {
            ("p50", "median")
        };
        let numbers = findings::quantile_text(group, name).map_or(String::new(), |text| {
            format!(" ({title} {})", text.replace(" (", ", ").replace(')', ""))
        });
        parts.push(format!("is {}{word}{numbers}", doubt(finding)));
    }
    format!("{name} {}", parts.join(" and "))
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
    let groups = || {
        keys.iter()
            .filter(|k| k.role != KeyRole::Scanned)
            .flat_map(|k| &k.groups)
    };
    let had_errors = |g: &&GroupDiff| g.baseline.errors + g.candidate.errors > 0;
    let verdicts: Vec<Verdict> = groups()
        .map(|g| g.latency.judgement.verdict)
        .chain(
            groups()
                .filter(had_errors)
                .map(|g| g.errors.judgement.verdict),
        )
        .collect();
    let unclear = verdicts
        .iter()
        .filter(|v| **v == Verdict::Inconclusive)
        .count();
    let mut sentence = format!(
        "No change that passes the policy: of {} of latency and errors, {} show no material change",
        text::counted(verdicts.len() as u64, "comparison"),
        text::count((verdicts.len() - unclear) as u64)
    );
    if unclear > 0 {
        sentence.push_str(&format!(
            " and {} have too little data to tell",
            text::count(unclear as u64)
        ));
    }
    if !own.is_empty() {
        let changes = text::counted(own.len() as u64, "change");
        sentence.push_str(&format!("; {changes} in how often things are called"));
    }
    sentence.push('.');
    sentence
}
