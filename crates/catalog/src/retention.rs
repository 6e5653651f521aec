//! What may be let go.

use crate::{Catalog, CatalogError, Snapshot};

impl Catalog {
    /// Snapshots that may be let go, oldest first: ready, failed or cancelled, not pinned, and either completed (cancelled ones: made)
    /// before `older_than_ns`, or not among the `keep_per_query` of their query with the latest ends. Ready ones are counted by
    /// themselves, so that failures push out no facts; snapshots without a query are not counted.
    pub async fn expired_snapshots(
        &self,
        older_than_ns: Option<i64>,
        keep_per_query: Option<u32>,
    ) -> Result<Vec<Snapshot>, CatalogError> {
        let _ = (older_than_ns, keep_per_query);
        todo!()
    }

    /// The names of all objects that snapshots and diffs have, sorted, each once. An object that was written but whose snapshot is not
    /// finished yet is not among them: who removes the others must spare young ones.
    pub async fn objects_in_use(&self) -> Result<Vec<String>, CatalogError> {
        todo!()
    }
}
