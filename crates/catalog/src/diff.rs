//! Diffs that were computed.

use crate::{Catalog, CatalogError, Page};

/// The comparison of two snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diff {
    /// From [`crate::new_id`].
    pub id: String,
    /// The saved query it is of.
    pub query_id: Option<String>,
    /// What people call it.
    pub name: String,
    /// The query's text.
    pub query: String,
    /// The snapshot of the baseline, which may be deleted.
    pub baseline_id: String,
    /// The snapshot of the candidate, which may be deleted.
    pub candidate_id: String,
    /// When it was computed.
    pub calculated_ns: i64,
    /// Its verdict in one word.
    pub verdict: String,
    /// What changed, in one sentence.
    pub sentence: String,
    /// JSON that the catalog does not look into.
    pub summary: String,
    /// The name of the object with the whole diff.
    pub object: String,
}

impl Catalog {
    /// Adds a diff, unless there is one of the same two snapshots. Gives the one there is, and whether it was added.
    ///
    /// # Errors
    /// [`CatalogError::Conflict`] if there is one with its id of other snapshots.
    pub async fn add_diff(&self, diff: &Diff) -> Result<(Diff, bool), CatalogError> {
        let _ = diff;
        todo!()
    }

    /// One diff.
    pub async fn diff(&self, id: &str) -> Result<Option<Diff>, CatalogError> {
        let _ = id;
        todo!()
    }

    /// The diff of two snapshots.
    pub async fn diff_of(
        &self,
        baseline_id: &str,
        candidate_id: &str,
    ) -> Result<Option<Diff>, CatalogError> {
        let _ = (baseline_id, candidate_id);
        todo!()
    }

    /// Diffs in the order they were made, the newest last; `status` is a verdict.
    pub async fn diffs(&self, page: &Page) -> Result<Vec<Diff>, CatalogError> {
        let _ = page;
        todo!()
    }

    /// Deletes a diff and gives back what it was.
    pub async fn delete_diff(&self, id: &str) -> Result<Option<Diff>, CatalogError> {
        let _ = id;
        todo!()
    }
}
