//! What is asked of the traces behind a diff.

use crate::diff::{Aspect, Culprit, Diff, Finding, Verdict};
use crate::facts::{ENDPOINT, ENTRY_POINT, OPERATION, SERVICE};
use crate::paths::{Label, NodeKind};

/// Culprits and findings that are explained.
const CULPRITS: usize = 5;
const FINDINGS: usize = 10;

/// Where an answer belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The culprit with that number.
    Culprit(usize),
    /// The finding with that number.
    Finding(usize),
}

/// The spans that a trace must have for a question to concern it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// Nodes of the call tree, whether or not they are waited for.
    Node(Label),
    /// Spans of a service.
    Service(String),
    /// Spans with a name.
    Operation(String),
    /// Spans of a service with a name.
    Endpoint(String),
    /// Roots of a service with a name.
    EntryPoint(String),
}

/// What makes a trace bad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Badness {
    /// The subject takes longer than it does in 95 % of the baseline's traces.
    Slow,
    /// The subject fails.
    Failed,
    /// The subject calls this.
    Calls(Label),
    /// The subject does not call this; nothing at all where there is none.
    LeavesOut(Option<Label>),
}

/// A question about traces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Whom the answer is for.
    pub place: Place,
    /// Which traces it concerns.
    pub subject: Subject,
    /// Which of them are bad.
    pub badness: Badness,
}

impl Question {
    /// The services whose spans are looked at for attributes; empty for all of the trace.
    pub(super) fn services(&self) -> Vec<&str> {
        match &self.subject {
            Subject::Node(label) if label.kind == NodeKind::Edge => {
                vec![&label.service, &label.peer]
            }
            Subject::Node(label) => vec![&label.service],
            Subject::Service(service) => vec![service],
            Subject::Operation(_) => Vec::new(),
            Subject::Endpoint(value) | Subject::EntryPoint(value) => value
                .split_once(": ")
                .map(|(service, _)| service)
                .into_iter()
                .collect(),
        }
    }

    /// The words for [`Badness`].
    pub(super) fn bad_text(&self) -> String {
        let named = |label: &Label| match label.kind {
            NodeKind::Work => format!("{} {}", label.service, label.operation),
            _ => format!("{} → {} {}", label.service, label.peer, label.operation),
        };
        let subject = match &self.subject {
            Subject::Node(label) => named(label),
            Subject::Service(value)
            | Subject::Operation(value)
            | Subject::Endpoint(value)
            | Subject::EntryPoint(value) => value.clone(),
        };
        match &self.badness {
            Badness::Slow => {
                format!("{subject} takes longer than in 95 % of the baseline's traces")
            }
            Badness::Failed => format!("{subject} fails"),
            Badness::Calls(child) => format!("{subject} calls {}", named(child)),
            Badness::LeavesOut(Some(child)) => format!("{subject} does not call {}", named(child)),
            Badness::LeavesOut(None) => format!("{subject} calls nothing"),
        }
    }
}

/// What there is to ask about a diff: of its first culprits, and of what got slower or fails more.
pub fn questions(diff: &Diff) -> Vec<Question> {
    let culprits = diff.culprits.iter().enumerate().take(CULPRITS);
    let mut all: Vec<Question> = culprits
        .filter_map(|(i, culprit)| of_culprit(Place::Culprit(i), culprit))
        .collect();
    let findings = diff.findings.iter().enumerate();
    let told = findings.filter_map(|(i, finding)| of_finding(Place::Finding(i), finding));
    all.extend(told.take(FINDINGS));
    all
}

fn of_culprit(place: Place, culprit: &Culprit) -> Option<Question> {
    let evidence = &culprit.evidence;
    let strongest = evidence
        .failures
        .max(evidence.structure)
        .max(evidence.slowness + evidence.share);
    let (label, badness) = if let Some(rise) = culprit
        .failures
        .first()
        .filter(|_| evidence.failures >= strongest)
    {
        (rise.node.clone(), Badness::Failed)
    } else if let Some(branch) = culprit
        .branches
        .first()
        .filter(|_| evidence.structure >= strongest)
    {
        let is_more = branch.ratio.candidate > branch.ratio.baseline;
        let badness = match (&branch.child, is_more) {
            (Some(child), true) => Badness::Calls(child.clone()),
            (Some(child), false) => Badness::LeavesOut(Some(child.clone())),
            (None, _) => Badness::LeavesOut(None),
        };
        (branch.parent.clone(), badness)
    } else {
        let grew = culprit.ledger.iter().find(|e| e.difference_ns > 0.0)?;
        (grew.node.clone(), Badness::Slow)
    };
    Some(Question {
        place,
        subject: Subject::Node(label),
        badness,
    })
}

fn of_finding(place: Place, finding: &Finding) -> Option<Question> {
    if finding.verdict != Verdict::Regressed || finding.same_as.is_some() {
        return None;
    }
    let badness = match finding.aspect {
        Aspect::Latency => Badness::Slow,
        Aspect::Errors => Badness::Failed,
        Aspect::NewValue | Aspect::MissingValue | Aspect::Calls => return None,
    };
    let value = finding.value.clone();
    let subject = match finding.key.as_str() {
        SERVICE => Subject::Service(value),
        OPERATION => Subject::Operation(value),
        ENDPOINT => Subject::Endpoint(value),
        ENTRY_POINT => Subject::EntryPoint(value),
        _ => return None,
    };
    Some(Question {
        place,
        subject,
        badness,
    })
}
