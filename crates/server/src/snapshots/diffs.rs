//! Diffs of two snapshots: compared, explained while the spans are still there, and kept.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Value, json};
use tracediff_catalog::{Diff, Snapshot, State, new_id};
use tracediff_core::diff::{self, CallTreeDiff, Outcome, Policy, compare, compare_call_trees};
use tracediff_core::explain::{answer, named_traces, questions};
use tracediff_core::facts::Facts;
use utoipa::ToSchema;

use super::deployments;
use super::traces::WindowTraces;
use super::{Baseline, Kind, PAIR, Settings, SnapshotError, Snapshots, now_ns};
use crate::compat;

/// Traces kept whole with a diff, on either side.
const EXEMPLARS: usize = 3;
/// Findings and culprits in a summary.
const SUMMED_UP: usize = 5;

/// What a gate needs to know of a query's newest diff.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Verdict {
    /// The outcome, as the diff's document has it.
    pub(crate) verdict: String,
    /// Whether something got worse, for sure.
    pub(crate) is_regressed: bool,
    pub(crate) sentence: String,
    pub(crate) diff_id: String,
    /// Unix seconds.
    pub(crate) calculated_at: i64,
}

impl Snapshots {
    /// The diff of a snapshot that has become ready, against what its query's settings say; false: its baseline is still
    /// to come.
    pub(super) async fn diff_of_schedule(
        &self,
        snapshot: &Snapshot,
    ) -> Result<bool, SnapshotError> {
        let settings = self.settings_of(&snapshot.settings)?;
        let Some(baseline) = self.baseline_of(snapshot, &settings).await? else {
            return Ok(true);
        };
        // Before a query was changed it found other traces: that is no change of theirs.
        let is_alike =
            baseline.query == snapshot.query && baseline.group_by_keys == snapshot.group_by_keys;
        let age_ns = snapshot.from_ns.saturating_sub(baseline.to_ns);
        let is_too_old = settings
            .max_baseline_age
            .is_some_and(|most| age_ns > most.ns());
        if baseline.id == snapshot.id || is_too_old || !(is_alike || snapshot.origin == PAIR) {
            return Ok(true);
        }
        match baseline.state {
            State::Pending | State::Collecting => return Ok(false),
            State::Ready => self.diff(&baseline, snapshot, &settings.policy).await?,
            State::Failed | State::Cancelled => return Ok(true),
        };
        Ok(true)
    }

    /// What a snapshot is to be compared with.
    async fn baseline_of(
        &self,
        snapshot: &Snapshot,
        settings: &Settings,
    ) -> Result<Option<Snapshot>, SnapshotError> {
        let catalog = &self.catalog;
        if let Baseline::Snapshot(id) = &settings.baseline
            && snapshot.origin != deployments::AFTER
        {
            return Ok(catalog.snapshot(id).await?);
        }
        let Some(query_id) = &snapshot.query_id else {
            return Ok(None);
        };
        Ok(match &settings.baseline {
            _ if snapshot.origin == deployments::AFTER => {
                catalog
                    .ready_snapshot_at(query_id, snapshot.from_ns, 0)
                    .await?
            }
            // Windows that overlap would compare traces with themselves.
            Baseline::Previous => {
                catalog
                    .ready_snapshot_before(query_id, snapshot.from_ns)
                    .await?
            }
            Baseline::Ago(ago) => {
                let to_ns = snapshot.to_ns.saturating_sub(ago.ns());
                let tolerance_ns = settings.interval.ns() / 2;
                catalog
                    .ready_snapshot_at(query_id, to_ns, tolerance_ns)
                    .await?
            }
            Baseline::Snapshot(_) | Baseline::Split(_) => None,
        })
    }

    /// The diff of two snapshots: the one there is where they were compared before.
    #[tracing::instrument(skip_all, fields(baseline = baseline.id, candidate = candidate.id))]
    pub(crate) async fn diff(
        &self,
        baseline: &Snapshot,
        candidate: &Snapshot,
        policy: &Policy,
    ) -> Result<Diff, SnapshotError> {
        if let Some(known) = self.catalog.diff_of(&baseline.id, &candidate.id).await? {
            return Ok(known);
        }
        for side in [baseline, candidate] {
            if side.state != State::Ready {
                return Err(SnapshotError::NotReady(side.id.clone()));
            }
        }
        let facts = [
            self.facts_of(baseline).await?,
            self.facts_of(candidate).await?,
        ];
        let traces = [self.traces_of(baseline)?, self.traces_of(candidate)?];
        let policy = policy.clone();
        let compared = tokio::task::spawn_blocking(move || compared(&facts, &traces, &policy));
        let compared = compared.await.map_err(|_| SnapshotError::Interrupted)??;
        let bytes = serde_json::to_vec(&compared).map_err(SnapshotError::Document)?;
        let id = new_id();
        let object = format!("diff-{id}");
        self.store.keep(&object, &bytes).await?;
        let row = Diff {
            id,
            query_id: candidate.query_id.clone(),
            name: candidate.name.clone(),
            query: candidate.query.clone(),
            baseline_id: baseline.id.clone(),
            candidate_id: candidate.id.clone(),
            calculated_ns: now_ns(),
            verdict: verdict(compared.outcome).to_owned(),
            sentence: compared.sentence.clone(),
            summary: summary(&compared, &candidate.group_by_keys).to_string(),
            object,
        };
        let (kept, is_new) = self.catalog.add_diff(&row).await?;
        if is_new {
            tracing::info!(diff = kept.id, verdict = kept.verdict, "{}", kept.sentence);
            self.changes.tell(Kind::Diff, &kept.id);
        } else {
            self.store.forget(&row.object).await?;
        }
        Ok(kept)
    }
}

impl Snapshots {
    /// The call trees of a diff's two sides; `None` where the facts of one are gone.
    pub(crate) async fn call_trees(
        &self,
        row: &Diff,
    ) -> Result<Option<CallTreeDiff>, SnapshotError> {
        let (mut facts, mut sides) = (Vec::with_capacity(2), Vec::with_capacity(2));
        for id in [&row.baseline_id, &row.candidate_id] {
            let Some(snapshot) = self.catalog.snapshot(id).await? else {
                return Ok(None);
            };
            facts.push(match self.facts_of(&snapshot).await {
                Ok(facts) => facts,
                Err(SnapshotError::NotReady(_)) => return Ok(None),
                Err(error) => return Err(error),
            });
            sides.push(snapshot);
        }
        // As the diff itself, by the policy of its candidate.
        let settings = sides
            .last()
            .map(|candidate| self.settings_of(&candidate.settings));
        let policy = settings.transpose()?.unwrap_or_default().policy;
        let compared = tokio::task::spawn_blocking(move || match &facts[..] {
            [baseline, candidate] => Some(compare_call_trees(baseline, candidate, &policy)),
            _ => None,
        });
        compared.await.map_err(|_| SnapshotError::Interrupted)
    }
}

/// Compares, and asks the traces of both sides what the bad ones have in common. Traces that are gone by now cannot be
/// asked: the diff then stands without an explanation.
fn compared(
    facts: &[Facts; 2],
    traces: &[WindowTraces; 2],
    policy: &Policy,
) -> Result<diff::Diff, SnapshotError> {
    let [baseline, candidate] = facts;
    let mut diff = compare(baseline, candidate, policy);
    let questions = questions(&diff);
    let left_out: BTreeSet<String> = diff.left_out.iter().map(|l| l.key.clone()).collect();
    if !questions.is_empty() {
        let heard = |side: usize| traces[side].ask(facts[side].slicing(), &questions, &left_out);
        answer(&mut diff, &questions, &[heard(0)?, heard(1)?]);
    }
    let named = named_traces(&diff, EXEMPLARS);
    for (side, name) in ["baseline", "candidate"].into_iter().enumerate() {
        if !named[side].is_empty() {
            let mut whole = traces[side].whole(facts[side].slicing(), &named[side], name)?;
            diff.traces.append(&mut whole);
        }
    }
    Ok(diff)
}

/// The whole document of a diff; `None` where it is gone.
pub(crate) async fn document(
    snapshots: &Snapshots,
    row: &Diff,
) -> Result<Option<Value>, SnapshotError> {
    match snapshots.store.kept(&row.object).await? {
        Some(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(SnapshotError::Document),
        None => Ok(None),
    }
}

fn verdict(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Regressed => "regressed",
        Outcome::Improved => "improved",
        Outcome::Changed => "changed",
        Outcome::NoChangeFound => "no_change_found",
        Outcome::NothingToCompare => "nothing_to_compare",
    }
}

/// What lists show of a diff: the compatible shape, and the first of the findings and culprits.
fn summary(diff: &diff::Diff, keys: &[String]) -> Value {
    let culprits = diff.culprits.iter().take(SUMMED_UP);
    let findings = diff.findings.iter().take(SUMMED_UP);
    json!({
        "diffs": compat::document(diff, keys).diffs,
        "culprits": culprits.map(|culprit| culprit.service.clone()).collect::<Vec<_>>(),
        "findings": findings.map(|finding| finding.text.clone()).collect::<Vec<_>>(),
    })
}
