//! What the table and the Markdown say about one group: the same words and numbers in both.

use tracediff_core::diff::{
    Attribution, Confidence, Culprit, Diff, Finding, GroupDiff, Judgement, KeyDiff, LedgerEntry,
    Strength, Verdict, text,
};
use tracediff_core::facts::KeyRole;
use tracediff_core::paths::NodeKind;

/// Stands where there are too few spans for a number.
pub(super) const NOT_ENOUGH: &str = "–";

/// A group's row.
pub(super) struct Row<'a> {
    pub(super) value: &'a str,
    pub(super) mark: Mark,
    pub(super) traces: String,
    pub(super) median: String,
    pub(super) p95: String,
    pub(super) errors: String,
    pub(super) verdict: String,
}

/// Which way something went, told by a sign beside the colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    Worse,
    Better,
    New,
    Missing,
    Changed,
    Same,
    Unclear,
}

impl Mark {
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Worse => "▲",
            Self::Better => "▼",
            Self::New => "+",
            Self::Missing => "−",
            Self::Changed => "~",
            Self::Same => "=",
            Self::Unclear => "?",
        }
    }

    pub(super) fn of(finding: &Finding) -> Self {
        use tracediff_core::diff::Aspect;
        match (finding.aspect, finding.verdict) {
            (Aspect::NewValue, _) => Self::New,
            (Aspect::MissingValue, _) => Self::Missing,
            (_, Verdict::Regressed) => Self::Worse,
            (_, Verdict::Improved) => Self::Better,
            _ => Self::Changed,
        }
    }
}

/// The keys that get a table: entry points and those that were asked for.
pub(super) fn shown_keys(diff: &Diff) -> impl Iterator<Item = &KeyDiff> {
    diff.keys
        .iter()
        .filter(|key| key.role != KeyRole::Scanned && !key.groups.is_empty())
}

/// The title of a key's table.
pub(super) fn title(key: &KeyDiff) -> String {
    if key.role == KeyRole::EntryPoint {
        "entry points".to_owned()
    } else {
        key.key.clone()
    }
}

/// The rows of a key: what changed first, then by traces.
pub(super) fn rows(key: &KeyDiff) -> Vec<Row<'_>> {
    let mut groups: Vec<&GroupDiff> = key.groups.iter().collect();
    let size = |g: &GroupDiff| std::cmp::Reverse(g.baseline.traces + g.candidate.traces);
    groups.sort_by(|a, b| (mark(a), size(a), &a.value).cmp(&(mark(b), size(b), &b.value)));
    groups.into_iter().map(row).collect()
}

/// What is judged of a group: latency, and errors where there were any.
fn judged(group: &GroupDiff) -> Vec<(&'static str, &Judgement)> {
    let has_errors = group.baseline.errors + group.candidate.errors > 0;
    let errors = has_errors.then_some(("errors", &group.errors.judgement));
    std::iter::once(("latency", &group.latency.judgement))
        .chain(errors)
        .collect()
}

fn mark(group: &GroupDiff) -> Mark {
    let judged = judged(group);
    let any = |verdict| judged.iter().any(|(_, j)| j.verdict == verdict);
    if any(Verdict::Regressed) {
        Mark::Worse
    } else if any(Verdict::Improved) {
        Mark::Better
    } else if any(Verdict::Inconclusive) {
        Mark::Unclear
    } else {
        Mark::Same
    }
}

fn row(group: &GroupDiff) -> Row<'_> {
    let (a, b) = (&group.baseline, &group.candidate);
    Row {
        value: &group.value,
        mark: mark(group),
        traces: pair(&text::count(a.traces), &text::count(b.traces)),
        median: quantile(group, "p50"),
        p95: quantile(group, "p95"),
        errors: pair(&text::percent(a.error_ratio), &text::percent(b.error_ratio)),
        verdict: verdict(group),
    }
}

/// `a → b`, or one of them where both are the same.
fn pair(a: &str, b: &str) -> String {
    if a == b {
        a.to_owned()
    } else {
        format!("{a} → {b}")
    }
}

fn quantile(group: &GroupDiff, name: &str) -> String {
    let (a, b) = (
        group.baseline.quantiles.get(name),
        group.candidate.quantiles.get(name),
    );
    let (Some(a), Some(b)) = (a, b) else {
        return NOT_ENOUGH.to_owned();
    };
    let change = group.latency.quantiles.get(name).and_then(|q| q.factor);
    let change = change.map_or(String::new(), |factor| {
        format!(" {}", text::factor_change(factor))
    });
    format!(
        "{} → {}{change}",
        text::duration(a.value_ns),
        text::duration(b.value_ns)
    )
}

fn verdict(group: &GroupDiff) -> String {
    let judged = judged(group);
    let changes: Vec<String> = judged
        .iter()
        .filter_map(|(what, judgement)| {
            let word = match (*what, judgement.verdict) {
                ("latency", Verdict::Regressed) => "slower",
                ("latency", Verdict::Improved) => "faster",
                ("errors", Verdict::Regressed) => "fails more",
                ("errors", Verdict::Improved) => "fails less",
                _ => return None,
            };
            let doubt = if judgement.strength == Strength::Suggestive {
                " (perhaps)"
            } else {
                ""
            };
            Some(format!("{word}{doubt}"))
        })
        .collect();
    let unclear: Vec<&str> = judged
        .iter()
        .filter(|(_, judgement)| judgement.verdict == Verdict::Inconclusive)
        .map(|(what, _)| *what)
        .collect();
    match (changes.is_empty(), unclear.is_empty()) {
        (false, _) => changes.join(", "),
        (true, true) if judged.iter().any(|(_, judgement)| judgement.is_mix) => {
            "other mix".to_owned()
        }
        (true, true) => "no change".to_owned(),
        (true, false) if unclear.len() == judged.len() => "unclear".to_owned(),
        (true, false) => format!("unclear: {}", unclear.join(", ")),
    }
}

/// Findings about one value of one key, most important first.
pub(super) struct Subject<'a> {
    pub(super) findings: Vec<&'a Finding>,
}

/// The findings by what they are about, each subject where its first finding stands. What only repeats another
/// finding under another key is left out.
pub(super) fn subjects(diff: &Diff) -> Vec<Subject<'_>> {
    let mut subjects: Vec<Subject<'_>> = Vec::new();
    for finding in diff.findings.iter().filter(|f| f.same_as.is_none()) {
        let same = |s: &&mut Subject<'_>| {
            s.findings[0].key == finding.key && s.findings[0].value == finding.value
        };
        match subjects.iter_mut().find(same) {
            Some(subject) => subject.findings.push(finding),
            None => subjects.push(Subject {
                findings: vec![finding],
            }),
        }
    }
    subjects
}

/// `entry point web: GET /`, `service.version=1.5.0`.
pub(super) fn subject_name(finding: &Finding) -> String {
    match finding.role {
        KeyRole::EntryPoint => format!("entry point {}", finding.value),
        _ => format!("{} {}", finding.key, finding.value),
    }
}

/// Example traces of a finding: one of each side that has the group, the failed or slowest where that is the point.
pub(super) fn example_traces(diff: &Diff, finding: &Finding) -> [Option<String>; 2] {
    use tracediff_core::diff::{Aspect, GroupSummary};
    let Some(key) = diff.keys.iter().find(|key| key.key == finding.key) else {
        return [None, None];
    };
    let pick = |group: &GroupSummary| {
        let ids = &group.exemplars;
        let lists = match finding.aspect {
            Aspect::Errors => [&ids.failed, &ids.typical],
            _ => [&ids.typical, &ids.slowest],
        };
        lists.into_iter().flatten().next().cloned()
    };
    let value = |list: &[tracediff_core::diff::ValueEvidence]| {
        list.iter()
            .find(|v| v.value == finding.value)
            .and_then(|v| pick(&v.group))
    };
    match finding.aspect {
        Aspect::NewValue => [None, value(&key.new)],
        Aspect::MissingValue => [value(&key.missing), None],
        _ => match key.groups.iter().find(|group| group.value == finding.value) {
            Some(group) => [pick(&group.baseline), pick(&group.candidate)],
            None => [None, None],
        },
    }
}

/// Values of the asked keys that one side has and that are too few to count.
pub(super) fn weak_values(diff: &Diff) -> Vec<String> {
    let mut weak = Vec::new();
    for key in diff.keys.iter().filter(|key| key.role == KeyRole::GroupBy) {
        for (word, list) in [("new", &key.new), ("missing", &key.missing)] {
            weak.extend(list.iter().filter(|v| !v.passes).map(|v| {
                format!(
                    "{word} {}={} ({})",
                    key.key,
                    v.value,
                    text::counted(v.group.traces, "trace")
                )
            }));
        }
    }
    weak
}

/// `12 480 spans in 1 040 traces, 10 min in 10 slices, 100 % complete`.
pub(super) fn side_text(side: &tracediff_core::diff::SideQuality) -> String {
    let mut text = format!(
        "{} in {}, {} in {}, {} complete",
        text::counted(side.counts.spans, "span"),
        text::counted(side.counts.traces, "trace"),
        text::duration(side.seconds * 1e9),
        text::counted(side.slices as u64, "slice"),
        text::percent(side.completeness_ratio),
    );
    if side.mean_weight > 1.0 {
        text.push_str(&format!(
            ", sampled (stands for {} spans)",
            text::count(side.counts.weighted_spans.round() as u64)
        ));
    }
    text
}

/// `p < 0.001`, `q = 0.012`.
pub(super) fn sureness(finding: &Finding) -> String {
    use tracediff_core::diff::Aspect;
    let letter = if matches!(finding.aspect, Aspect::NewValue | Aspect::MissingValue) {
        "p"
    } else {
        "q"
    };
    let strength = if finding.strength == Strength::Suggestive {
        ", suggestive"
    } else {
        ""
    };
    match finding.q {
        Some(q) if q < 0.001 => format!("{letter} < 0.001{strength}"),
        Some(q) => format!("{letter} = {q:.3}{strength}"),
        None => String::new(),
    }
}

/// A culprit in one line: its sentence, how sure it is, and how it went on.
pub(super) fn culprit_text(culprit: &Culprit) -> String {
    let mut notes = Vec::new();
    if culprit.confidence == Confidence::Low {
        notes.push("not sure".to_owned());
    }
    if culprit.is_over {
        notes.push("over by the end".to_owned());
    }
    if let Some(other) = &culprit.same_course_as {
        notes.push(format!("goes up and down with {other}"));
    }
    if notes.is_empty() {
        return culprit.sentence.clone();
    }
    format!("{} ({})", culprit.sentence, notes.join("; "))
}

/// What the mean request's change consists of.
pub(super) fn attribution_text(attribution: &Attribution) -> String {
    let a = attribution;
    format!(
        "A request takes {} → {} on average ({}): {} by the calls that it waits for, {} by another mix of requests.",
        text::duration(a.mean_ns.baseline),
        text::duration(a.mean_ns.candidate),
        text::duration_change(a.difference_ns),
        text::duration_change(a.nodes_ns),
        text::duration_change(a.mix_ns)
    )
}

/// One line of a culprit's ledger.
pub(super) struct LedgerRow {
    pub(super) node: String,
    pub(super) change: String,
    pub(super) calls: String,
    pub(super) per_call: String,
}

/// Lines of a ledger that are shown.
const LEDGER_ROWS: usize = 4;

/// The nodes that make up at least a twentieth of what the culprit explains.
pub(super) fn ledger(culprit: &Culprit) -> Vec<LedgerRow> {
    let least = culprit.explained_ns.abs() / 20.0;
    let is_part = |e: &&LedgerEntry| e.difference_ns.abs() >= least && e.difference_ns != 0.0;
    let entries = culprit.ledger.iter().filter(is_part).take(LEDGER_ROWS);
    entries.map(ledger_row).collect()
}

fn ledger_row(entry: &LedgerEntry) -> LedgerRow {
    let node = &entry.node;
    let name = match node.kind {
        NodeKind::Edge => format!(
            "on the way {} → {}: {}",
            node.service, node.peer, node.operation
        ),
        NodeKind::Dependency => format!("calls of {}", node.peer),
        _ => node.operation.clone(),
    };
    let interval = if entry.interval_ns.low.is_finite() && entry.interval_ns.high.is_finite() {
        format!(
            " ({} to {})",
            text::duration_change(entry.interval_ns.low),
            text::duration_change(entry.interval_ns.high)
        )
    } else {
        String::new()
    };
    LedgerRow {
        node: name,
        change: format!("{}{interval}", text::duration_change(entry.difference_ns)),
        calls: format!("{:.2} → {:.2}", entry.calls.baseline, entry.calls.candidate),
        per_call: format!(
            "{} → {}",
            text::duration(entry.time_per_call_ns.baseline),
            text::duration(entry.time_per_call_ns.candidate)
        ),
    }
}
