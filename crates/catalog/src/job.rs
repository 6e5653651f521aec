//! Jobs with leases: several processes on one database never run one job twice at a time.

use crate::fields::text;
use crate::snapshot::{columns, parts_per_million, read};
use crate::{Catalog, CatalogError, Snapshot};

/// Snapshots that may be collected at a time. What comes first says which index serves.
macro_rules! to_collect {
    ($now:literal) => {
        concat!(
            "state IN ('pending', 'collecting') AND ((state = 'pending' AND due_ns <= ",
            $now,
            ") OR (state = 'collecting' AND lease_until_ns <= ",
            $now,
            "))"
        )
    };
}

/// Snapshots whose diff may be computed at a time.
macro_rules! to_compare {
    ($now:literal) => {
        concat!("state = 'ready' AND diff_state = 'due' AND (lease_until_ns IS NULL OR lease_until_ns <= ", $now, ")")
    };
}

impl Catalog {
    /// Claims the snapshot that is due the longest, of those that are pending or whose collector's lease ran out at `now_ns`. It becomes
    /// collecting, with one more attempt, and belongs to `owner` until `lease_until_ns`. `None`: nothing is due.
    ///
    /// `owner` must be a name that nobody else uses, such as a [`crate::new_id`] per worker.
    pub async fn claim_snapshot(
        &self,
        owner: &str,
        now_ns: i64,
        lease_until_ns: i64,
    ) -> Result<Option<Snapshot>, CatalogError> {
        let claim = concat!(
            "UPDATE snapshots
             SET state = 'collecting', attempts = attempts + 1, progress_ppm = 0, lease_owner = $1, lease_until_ns = $2
             WHERE id = (SELECT id FROM snapshots WHERE ",
            to_collect!("$3"),
            " ORDER BY due_ns, id LIMIT 1) AND ",
            to_collect!("$3"),
            " RETURNING ",
            columns!()
        );
        let look = concat!(
            "SELECT id FROM snapshots WHERE ",
            to_collect!("$1"),
            " LIMIT 1"
        );
        self.claim(
            "claim a snapshot",
            (claim, look),
            owner,
            now_ns,
            lease_until_ns,
        )
        .await
    }

    /// Extends a lease, of a snapshot that is collected or of a diff that is computed. False: it is lost, or the snapshot was cancelled
    /// or deleted; the work is to be dropped.
    pub async fn renew(
        &self,
        id: &str,
        owner: &str,
        lease_until_ns: i64,
    ) -> Result<bool, CatalogError> {
        let statement = sqlx::query(
            "UPDATE snapshots SET lease_until_ns = $3 WHERE id = $1 AND lease_owner = $2",
        )
        .bind(text(id))
        .bind(text(owner))
        .bind(lease_until_ns);
        self.changed("renew a lease", statement).await
    }

    /// Notes how much is collected, from 0 to 1; what is outside is brought inside. False as in [`Catalog::renew`].
    pub async fn set_progress(
        &self,
        id: &str,
        owner: &str,
        progress: f64,
    ) -> Result<bool, CatalogError> {
        let statement = sqlx::query("UPDATE snapshots SET progress_ppm = $3 WHERE id = $1 AND lease_owner = $2 AND state = 'collecting'")
            .bind(text(id))
            .bind(text(owner))
            .bind(parts_per_million(progress));
        self.changed("note the progress of a snapshot", statement)
            .await
    }

    /// A snapshot is ready: its facts are in `object`, `summary` is JSON. False as in [`Catalog::renew`]: then nothing is changed.
    pub async fn finish_snapshot(
        &self,
        id: &str,
        owner: &str,
        completed_ns: i64,
        object: &str,
        summary: &str,
    ) -> Result<bool, CatalogError> {
        let statement = sqlx::query(
            "UPDATE snapshots
             SET state = 'ready', reason = NULL, completed_ns = $3, object = $4, summary = $5, progress_ppm = 1000000,
                 lease_owner = NULL, lease_until_ns = NULL
             WHERE id = $1 AND lease_owner = $2 AND state = 'collecting'",
        )
        .bind(text(id))
        .bind(text(owner))
        .bind(completed_ns)
        .bind(text(object))
        .bind(text(summary));
        self.changed("finish a snapshot", statement).await
    }

    /// A snapshot failed for good. False as in [`Catalog::renew`].
    pub async fn fail_snapshot(
        &self,
        id: &str,
        owner: &str,
        now_ns: i64,
        reason: &str,
    ) -> Result<bool, CatalogError> {
        let statement = sqlx::query(
            "UPDATE snapshots
             SET state = 'failed', reason = $4, completed_ns = $3, lease_owner = NULL, lease_until_ns = NULL
             WHERE id = $1 AND lease_owner = $2 AND state = 'collecting'",
        )
        .bind(text(id))
        .bind(text(owner))
        .bind(now_ns)
        .bind(text(reason));
        self.changed("note that a snapshot failed", statement).await
    }

    /// Gives a snapshot back before it is collected: it is pending again at once, and the attempt does not count. False as in
    /// [`Catalog::renew`].
    pub async fn give_back(&self, id: &str, owner: &str) -> Result<bool, CatalogError> {
        let statement = sqlx::query(
            "UPDATE snapshots
             SET state = 'pending', attempts = attempts - 1, progress_ppm = 0, lease_owner = NULL, lease_until_ns = NULL
             WHERE id = $1 AND lease_owner = $2 AND state = 'collecting'",
        )
        .bind(text(id))
        .bind(text(owner));
        self.changed("give a snapshot back", statement).await
    }

    /// Claims the ready snapshot with the earliest end whose diff is due and that nobody has a lease on at `now_ns`.
    pub async fn claim_diff(
        &self,
        owner: &str,
        now_ns: i64,
        lease_until_ns: i64,
    ) -> Result<Option<Snapshot>, CatalogError> {
        let claim = concat!(
            "UPDATE snapshots SET lease_owner = $1, lease_until_ns = $2
             WHERE id = (SELECT id FROM snapshots WHERE ",
            to_compare!("$3"),
            " ORDER BY to_ns, id LIMIT 1) AND ",
            to_compare!("$3"),
            " RETURNING ",
            columns!()
        );
        let look = concat!(
            "SELECT id FROM snapshots WHERE ",
            to_compare!("$1"),
            " LIMIT 1"
        );
        self.claim("claim a diff", (claim, look), owner, now_ns, lease_until_ns)
            .await
    }

    /// The diff of a snapshot is done: computed, or there was nothing to compare with. False as in [`Catalog::renew`].
    pub async fn end_diff(&self, snapshot_id: &str, owner: &str) -> Result<bool, CatalogError> {
        let statement = sqlx::query(
            "UPDATE snapshots SET diff_state = 'done', lease_owner = NULL, lease_until_ns = NULL
             WHERE id = $1 AND lease_owner = $2 AND state = 'ready' AND diff_state = 'due'",
        )
        .bind(text(snapshot_id))
        .bind(text(owner));
        self.changed("end a diff", statement).await
    }

    /// Claims with `claim`, which takes the first job and makes sure that it still is one. In PostgreSQL two that claim at once may have
    /// looked at the same job; the one that comes second gets nothing, and tries the next as long as `look` finds any. Each time
    /// around somebody else got a job, so this ends.
    async fn claim(
        &self,
        doing: &'static str,
        (claim, look): (&'static str, &'static str),
        owner: &str,
        now_ns: i64,
        lease_until_ns: i64,
    ) -> Result<Option<Snapshot>, CatalogError> {
        loop {
            let statement = sqlx::query(claim)
                .bind(text(owner))
                .bind(lease_until_ns)
                .bind(now_ns);
            if let Some(row) = self.rows(doing, statement).await?.first() {
                return read(row).map(Some);
            }
            if self
                .rows(doing, sqlx::query(look).bind(now_ns))
                .await?
                .is_empty()
            {
                return Ok(None);
            }
        }
    }
}
