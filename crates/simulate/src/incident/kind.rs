//! What kinds of incidents there are.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// What happens to a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IncidentKind {
    /// Nothing.
    Healthy,
    /// A service's own work takes longer.
    SlowService,
    /// Something without spans of its own, which one service asks, takes longer to answer.
    SlowDependency,
    /// A service also calls another one.
    AddedCall,
    /// A service asks many times, one after the other, what it asked once.
    NPlusOne,
    /// What was asked for now and then, because a cache had the rest, is asked for nearly always.
    RemovedCache,
    /// An operation fails more often, and its callers try again.
    RetryStorm,
    /// An operation answers, as if all were well, before it has asked others.
    EarlyReturn,
    /// An operation fails, and so does all that called it.
    ErrorAtOrigin,
    /// An operation fails, and its callers go on without it.
    AbsorbedError,
    /// A service lacks processor time: its own work and all its calls' client sides take longer.
    CpuStarvation,
    /// The network between one caller and one callee takes longer.
    SlowLink,
    /// More requests come in by one of the entries.
    MixShift,
    /// An operation has another name.
    Rename,
    /// An internal span that takes no time is around all that an operation does.
    Wrap,
    /// A service sends no spans any more.
    LostInstrumentation,
    /// A smaller share of traces is kept, and spans say so.
    SamplingRate,
}

impl IncidentKind {
    /// Every kind.
    pub const ALL: [Self; 17] = [
        Self::Healthy,
        Self::SlowService,
        Self::SlowDependency,
        Self::AddedCall,
        Self::NPlusOne,
        Self::RemovedCache,
        Self::RetryStorm,
        Self::EarlyReturn,
        Self::ErrorAtOrigin,
        Self::AbsorbedError,
        Self::CpuStarvation,
        Self::SlowLink,
        Self::MixShift,
        Self::Rename,
        Self::Wrap,
        Self::LostInstrumentation,
        Self::SamplingRate,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::SlowService => "slow-service",
            Self::SlowDependency => "slow-dependency",
            Self::AddedCall => "added-call",
            Self::NPlusOne => "n-plus-one",
            Self::RemovedCache => "removed-cache",
            Self::RetryStorm => "retry-storm",
            Self::EarlyReturn => "early-return",
            Self::ErrorAtOrigin => "error-at-origin",
            Self::AbsorbedError => "absorbed-error",
            Self::CpuStarvation => "cpu-starvation",
            Self::SlowLink => "slow-link",
            Self::MixShift => "mix-shift",
            Self::Rename => "rename",
            Self::Wrap => "wrap",
            Self::LostInstrumentation => "lost-instrumentation",
            Self::SamplingRate => "sampling-rate",
        }
    }

    /// One line on what it does at a strength of 1.
    pub fn description(self) -> &'static str {
        match self {
            Self::Healthy => "nothing happens",
            Self::SlowService => "a service's own work takes twice as long",
            Self::SlowDependency => {
                "something without spans that one service asks takes three times as long"
            }
            Self::AddedCall => "an operation also calls another service, after all else",
            Self::NPlusOne => {
                "an operation asks ten times, one after the other, what it asked once"
            }
            Self::RemovedCache => "an operation asks in 95 % of cases what it asked in a few",
            Self::RetryStorm => "35 % of an operation's calls fail, and callers try again",
            Self::EarlyReturn => "an operation answers when its first work is done",
            Self::ErrorAtOrigin => {
                "8 % of an operation's calls fail with a new exception, up to the entry point"
            }
            Self::AbsorbedError => {
                "25 % of an operation's calls fail with a new exception, and callers go on without"
            }
            Self::CpuStarvation => {
                "a service's own work takes 2.5 times as long, and each way of all its calls 0.8 ms more"
            }
            Self::SlowLink => "each way between one caller and one callee takes 5 ms more",
            Self::MixShift => "one entry gets four times its share relative to the others",
            Self::Rename => "an operation has another name",
            Self::Wrap => {
                "an internal span that takes no time is around all that an operation does"
            }
            Self::LostInstrumentation => "a service that calls no other sends no spans any more",
            Self::SamplingRate => "a quarter of traces is kept instead of all, and spans say so",
        }
    }

    fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// Whether something gets worse.
    pub fn is_regression(self) -> bool {
        self.answer() == Answer::Regressed
    }

    /// What must be said.
    pub fn answer(self) -> Answer {
        match self {
            Self::SlowService
            | Self::SlowDependency
            | Self::AddedCall
            | Self::NPlusOne
            | Self::RemovedCache
            | Self::RetryStorm
            | Self::ErrorAtOrigin
            | Self::AbsorbedError
            | Self::CpuStarvation
            | Self::SlowLink => Answer::Regressed,
            Self::EarlyReturn => Answer::Changed,
            Self::Healthy
            | Self::MixShift
            | Self::Rename
            | Self::Wrap
            | Self::LostInstrumentation
            | Self::SamplingRate => Answer::NotRegressed,
        }
    }

    /// Of what a regression may be told.
    pub(super) fn regresses(self) -> &'static [Measure] {
        match self {
            Self::SlowService | Self::SlowDependency | Self::CpuStarvation | Self::SlowLink => {
                &[Measure::Latency]
            }
            Self::AddedCall | Self::NPlusOne | Self::RemovedCache => {
                &[Measure::Latency, Measure::Calls]
            }
            Self::RetryStorm => &[Measure::Latency, Measure::Errors, Measure::Calls],
            Self::ErrorAtOrigin | Self::AbsorbedError => &[Measure::Errors],
            Self::EarlyReturn
            | Self::Healthy
            | Self::MixShift
            | Self::Rename
            | Self::Wrap
            | Self::LostInstrumentation
            | Self::SamplingRate => &[],
        }
    }
}

impl fmt::Display for IncidentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no kind of incident.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("no incident `{0}`, expected one of {list}", list = IncidentKind::names())]
pub struct UnknownIncident(pub String);

impl FromStr for IncidentKind {
    type Err = UnknownIncident;

    fn from_str(text: &str) -> Result<Self, UnknownIncident> {
        let found = Self::ALL.into_iter().find(|k| k.name() == text);
        found.ok_or_else(|| UnknownIncident(text.to_owned()))
    }
}

/// What a right answer must say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// That something got worse, and that the culprit is behind it.
    Regressed,
    /// That the culprit does something else than before; nothing takes longer and nothing fails more.
    Changed,
    /// Not that anything got worse.
    NotRegressed,
}

/// What can get worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Measure {
    /// How long something takes.
    Latency,
    /// How often it fails.
    Errors,
    /// How often it is asked, per trace or per call of what asks it.
    Calls,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_kinds() {
        for kind in IncidentKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        let error = "storm".parse::<IncidentKind>().unwrap_err().to_string();
        assert!(error.starts_with("no incident `storm`, expected one of healthy, slow-service"));
    }
}
