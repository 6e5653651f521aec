//! Jobs with leases: several processes on one database never run one job twice at a time.

use crate::{Catalog, CatalogError, Snapshot};

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
        let _ = (owner, now_ns, lease_until_ns);
        todo!()
    }

    /// Extends a lease, of a snapshot that is collected or of a diff that is computed. False: it is lost, or the snapshot was cancelled
    /// or deleted; the work is to be dropped.
    pub async fn renew(
        &self,
        id: &str,
        owner: &str,
        lease_until_ns: i64,
    ) -> Result<bool, CatalogError> {
        let _ = (id, owner, lease_until_ns);
        todo!()
    }

    /// Notes how much is collected, from 0 to 1; what is outside is brought inside. False as in [`Catalog::renew`].
    pub async fn set_progress(
        &self,
        id: &str,
        owner: &str,
        progress: f64,
    ) -> Result<bool, CatalogError> {
        let _ = (id, owner, progress);
        todo!()
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
        let _ = (id, owner, completed_ns, object, summary);
        todo!()
    }

    /// A snapshot failed for good. False as in [`Catalog::renew`].
    pub async fn fail_snapshot(
        &self,
        id: &str,
        owner: &str,
        now_ns: i64,
        reason: &str,
    ) -> Result<bool, CatalogError> {
        let _ = (id, owner, now_ns, reason);
        todo!()
    }

    /// Gives a snapshot back before it is collected: it is pending again at once, and the attempt does not count. False as in
    /// [`Catalog::renew`].
    pub async fn give_back(&self, id: &str, owner: &str) -> Result<bool, CatalogError> {
        let _ = (id, owner);
        todo!()
    }

    /// Claims the ready snapshot with the earliest end whose diff is due and that nobody has a lease on at `now_ns`.
    pub async fn claim_diff(
        &self,
        owner: &str,
        now_ns: i64,
        lease_until_ns: i64,
    ) -> Result<Option<Snapshot>, CatalogError> {
        let _ = (owner, now_ns, lease_until_ns);
        todo!()
    }

    /// The diff of a snapshot is done: computed, or there was nothing to compare with. False as in [`Catalog::renew`].
    pub async fn end_diff(&self, snapshot_id: &str, owner: &str) -> Result<bool, CatalogError> {
        let _ = (snapshot_id, owner);
        todo!()
    }
}
