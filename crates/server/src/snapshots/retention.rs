//! Lets go of what is old: snapshots that nobody pinned and no query is compared with, and their diffs.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Baseline, Kind, SnapshotError, Snapshots};

/// Which snapshots may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Those that were completed longer ago than this.
    pub age: Option<Duration>,
    /// All of a query but so many, the newest.
    pub per_query: Option<u32>,
}

impl Snapshots {
    /// Removes what may go, each snapshot after the diffs that it is the candidate of.
    pub(super) async fn let_go(&self, now_ns: i64) -> Result<(), SnapshotError> {
        let Retention { age, per_query } = self.retention;
        if age.is_none() && per_query.is_none() {
            return Ok(());
        }
        let age_ns = age.map(|age| i64::try_from(age.as_nanos()).unwrap_or(i64::MAX));
        let older_than_ns = age_ns.map(|age_ns| now_ns.saturating_sub(age_ns));
        let expired = self.catalog.expired_snapshots(older_than_ns, per_query);
        let expired = expired.await?;
        let baselines = self.fixed_baselines().await?;
        for snapshot in expired {
            if baselines.contains(&snapshot.id) {
                continue;
            }
            for diff in self.catalog.diffs_of_candidate(&snapshot.id).await? {
                self.catalog.delete_diff(&diff.id).await?;
                self.store.forget(&diff.object).await?;
                self.changes.tell(Kind::Diff, &diff.id);
            }
            self.catalog.delete_snapshot(&snapshot.id).await?;
            if let Some(object) = &snapshot.object {
                self.store.forget(object).await?;
            }
            self.changes.tell(Kind::Snapshot, &snapshot.id);
        }
        Ok(())
    }

    /// Snapshots that queries are always compared with.
    async fn fixed_baselines(&self) -> Result<BTreeSet<String>, SnapshotError> {
        let mut fixed = BTreeSet::new();
        for query in self.catalog.queries().await? {
            if let Baseline::Snapshot(id) = self.settings_of(&query.settings)?.baseline {
                fixed.insert(id);
            }
        }
        Ok(fixed)
    }
}
