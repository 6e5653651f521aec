//! From tests to verdicts: significance after correction, practical floors, and what is left.

use super::document::{Aspect, GroupDiff, Judgement, Severity, Strength, Verdict};
use super::policy::Policy;

/// What one test found, before its family is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Evidence {
    /// Two-sided p-value; `None` where no test was possible.
    pub(super) p: Option<f64>,
    /// The verdict if the change is significant.
    pub(super) direction: Verdict,
    /// How big it is.
    pub(super) severity: Severity,
    /// Whether the estimate passes the practical floors.
    pub(super) passes_floor: bool,
    /// Whether the interval excludes any change as big as the floors.
    pub(super) is_immaterial: bool,
    /// Whether it rests on too few slices to be confirmed.
    pub(super) is_suggestive: bool,
    /// Whether the policy asks for changes of this direction.
    pub(super) is_asked_for: bool,
}

impl Evidence {
    /// No test was possible.
    pub(super) const NONE: Self = Self {
        p: None,
        direction: Verdict::Inconclusive,
        severity: Severity::Minor,
        passes_floor: false,
        is_immaterial: false,
        is_suggestive: true,
        is_asked_for: true,
    };

    /// The judgement at a corrected p-value.
    pub(super) fn judge(&self, q: Option<f64>, policy: &Policy) -> Judgement {
        let is_found = self.passes_floor && q.is_some_and(|q| q <= policy.max_q);
        let is_change = is_found && self.is_asked_for;
        let is_sure = !is_change || q.is_some_and(|q| q <= policy.confirmed_q);
        let verdict = if is_change {
            self.direction
        } else if self.is_immaterial || is_found {
            Verdict::NoMaterialChange
        } else {
            Verdict::Inconclusive
        };
        let strength = if is_sure && !self.is_suggestive {
            Strength::Confirmed
        } else {
            Strength::Suggestive
        };
        Judgement {
            verdict,
            strength,
            severity: is_change.then_some(self.severity),
            p: self.p,
            q,
            is_mix: false,
            p_within: None,
        }
    }
}

impl Judgement {
    /// What is only a change of the mix is no material one.
    pub(super) fn take_back(&mut self) {
        self.verdict = Verdict::NoMaterialChange;
        self.severity = None;
        self.is_mix = true;
    }
}

impl GroupDiff {
    /// The judgement of an aspect; `None` for those that have none.
    pub(super) fn judgement(&self, aspect: Aspect) -> Option<&Judgement> {
        match aspect {
            Aspect::Latency => Some(&self.latency.judgement),
            Aspect::Errors => Some(&self.errors.judgement),
            Aspect::Calls => self.calls.as_ref().map(|calls| &calls.judgement),
            Aspect::NewValue | Aspect::MissingValue => None,
        }
    }

    /// The same, to be changed.
    pub(super) fn judgement_mut(&mut self, aspect: Aspect) -> Option<&mut Judgement> {
        match aspect {
            Aspect::Latency => Some(&mut self.latency.judgement),
            Aspect::Errors => Some(&mut self.errors.judgement),
            Aspect::Calls => self.calls.as_mut().map(|calls| &mut calls.judgement),
            Aspect::NewValue | Aspect::MissingValue => None,
        }
    }
}

/// Severity by |Cliff's δ|: the steps of Romano et al. 2006.
pub(super) fn severity_of_delta(delta: f64) -> Severity {
    match delta.abs() {
        d if d < 0.33 => Severity::Minor,
        d if d < 0.474 => Severity::Medium,
        _ => Severity::Major,
    }
}
