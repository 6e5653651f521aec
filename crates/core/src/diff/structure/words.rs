//! Changes of how requests are made up, in words.

use super::Change;
use super::document::StructureKind;
use crate::diff::text;
use crate::paths::{Label, NodeKind};

/// What a change is, in a sentence without an end.
pub(super) fn sentence(change: &Change) -> String {
    use StructureKind as Kind;
    let parent = work(&change.parent);
    let child = change.child.as_ref().map(called).unwrap_or_default();
    let other = change.other.as_ref().map(called).unwrap_or_default();
    let [before, after] = change.values;
    let shares = || {
        format!(
            "{} → {} of calls",
            text::percent(before),
            text::percent(after)
        )
    };
    let times = || format!("{before:.2} → {after:.2} times a call");
    match change.kind {
        Kind::NewCall => format!("{parent} now calls {child} ({})", traces(after)),
        Kind::MissingCall => format!(
            "{parent} no longer calls {child} ({} before)",
            traces(before)
        ),
        Kind::MoreOften => format!("{parent} calls {child} more often ({})", shares()),
        Kind::LessOften => format!("{parent} calls {child} less often ({})", shares()),
        Kind::LostCache => format!(
            "{parent} calls {child} where it was spared before, as if a cache were lost ({})",
            shares()
        ),
        Kind::Repeated => format!("{parent} calls {child} more times ({})", times()),
        Kind::NPlusOne => format!(
            "{parent} calls {child} once for each item (N+1): {}, one after the other",
            times()
        ),
        Kind::Retries => format!("{parent} tries {child} again when it fails ({})", times()),
        Kind::FewerTimes => format!("{parent} calls {child} fewer times ({})", times()),
        Kind::SerialForParallel => format!(
            "{parent} makes its calls one after the other and no longer side by side (side by side in {})",
            shares()
        ),
        Kind::ParallelForSerial => format!(
            "{parent} makes its calls side by side and no longer one after the other (side by side in {})",
            shares()
        ),
        Kind::Renamed => format!("below {parent}, {other} is called {child} now"),
        Kind::Wrapped => format!("{parent} calls {child} through {other} now"),
        Kind::Unwrapped => {
            format!("{parent} calls {child} directly now, no longer through {other}")
        }
        Kind::Moved => {
            let from = change.other.as_ref().map(work).unwrap_or_default();
            format!("{parent} calls {child} now, which {from} did before")
        }
        Kind::InstrumentationLost => {
            format!("{other}, called by {parent}, sends no spans any more (it is still called)")
        }
        Kind::InstrumentationGained => {
            format!("{child}, called by {parent}, sends spans now (it was called before)")
        }
    }
}

fn traces(count: f64) -> String {
    text::counted(count as u64, "trace")
}

fn work(label: &Label) -> String {
    match label.kind {
        NodeKind::Edge => format!("{} → {} {}", label.service, label.peer, label.operation),
        _ => format!("{} {}", label.service, label.operation),
    }
}

fn called(label: &Label) -> String {
    match label.kind {
        NodeKind::Edge => format!("{} {}", label.peer, label.operation),
        NodeKind::Dependency if label.peer == label.operation => label.peer.clone(),
        NodeKind::Dependency => format!("{} ({})", label.peer, label.operation),
        _ => label.operation.clone(),
    }
}
