//! What may be let go.

use crate::fields::Fields;
use crate::snapshot::{columns, read};
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
        let statement = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM (SELECT ",
            columns!(),
            ", ROW_NUMBER() OVER (
                   PARTITION BY query_id, CASE WHEN state = 'ready' THEN 1 ELSE 0 END ORDER BY to_ns DESC, id DESC
               ) AS place
               FROM snapshots WHERE is_pinned = 0 AND state IN ('ready', 'failed', 'cancelled')) AS ended
             WHERE COALESCE(completed_ns, created_ns) < $1 OR (query_id IS NOT NULL AND place > $2)
             ORDER BY id"
        ))
        .bind(older_than_ns.unwrap_or(i64::MIN))
        .bind(keep_per_query.map_or(i64::MAX, i64::from));
        self.rows("find expired snapshots", statement)
            .await?
            .iter()
            .map(read)
            .collect()
    }

    /// The names of all objects that snapshots and diffs have, sorted, each once. An object that was written but whose snapshot is not
    /// finished yet is not among them: who removes the others must spare young ones.
    pub async fn objects_in_use(&self) -> Result<Vec<String>, CatalogError> {
        let statement = sqlx::query(
            "SELECT object FROM snapshots WHERE object IS NOT NULL UNION SELECT object FROM diffs",
        );
        let rows = self.rows("list objects", statement).await?;
        let mut objects: Vec<String> = rows
            .iter()
            .map(|row| Fields::new("snapshots", "object", row)?.text("object"))
            .collect::<Result<_, _>>()?;
        // Here, since databases differ in how they sort texts.
        objects.sort();
        Ok(objects)
    }
}
