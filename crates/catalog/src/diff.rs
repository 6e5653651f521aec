//! Diffs that were computed.

use sqlx::any::AnyRow;

use crate::fields::{Fields, optional, text};
use crate::{Catalog, CatalogError, Page};

macro_rules! columns {
    () => {
        "id, query_id, name, query, baseline_id, candidate_id, calculated_ns, verdict, sentence, summary, object"
    };
}

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
        let doing = "add a diff";
        loop {
            let statement = sqlx::query(concat!(
                "INSERT INTO diffs (",
                columns!(),
                ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (baseline_id, candidate_id) DO NOTHING"
            ))
            .bind(text(&diff.id))
            .bind(optional(diff.query_id.as_ref()))
            .bind(text(&diff.name))
            .bind(text(&diff.query))
            .bind(text(&diff.baseline_id))
            .bind(text(&diff.candidate_id))
            .bind(diff.calculated_ns)
            .bind(text(&diff.verdict))
            .bind(text(&diff.sentence))
            .bind(text(&diff.summary))
            .bind(text(&diff.object));
            let is_added = self.changed(doing, statement).await?;
            // It may have been deleted in between.
            if let Some(diff) = self.diff_of(&diff.baseline_id, &diff.candidate_id).await? {
                return Ok((diff, is_added));
            }
        }
    }

    /// One diff.
    pub async fn diff(&self, id: &str) -> Result<Option<Diff>, CatalogError> {
        let statement =
            sqlx::query(concat!("SELECT ", columns!(), " FROM diffs WHERE id = $1")).bind(text(id));
        self.rows("read a diff", statement)
            .await?
            .first()
            .map(read)
            .transpose()
    }

    /// The diff of two snapshots.
    pub async fn diff_of(
        &self,
        baseline_id: &str,
        candidate_id: &str,
    ) -> Result<Option<Diff>, CatalogError> {
        let statement = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM diffs WHERE baseline_id = $1 AND candidate_id = $2"
        ))
        .bind(text(baseline_id))
        .bind(text(candidate_id));
        self.rows("find a diff", statement)
            .await?
            .first()
            .map(read)
            .transpose()
    }

    /// The diffs that a snapshot is the candidate of.
    pub async fn diffs_of_candidate(&self, candidate_id: &str) -> Result<Vec<Diff>, CatalogError> {
        let statement = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM diffs WHERE candidate_id = $1 ORDER BY id"
        ))
        .bind(text(candidate_id));
        self.rows("find the diffs of a snapshot", statement)
            .await?
            .iter()
            .map(read)
            .collect()
    }

    /// Diffs in the order they were made, the newest last; `status` is a verdict.
    pub async fn diffs(&self, page: &Page) -> Result<Vec<Diff>, CatalogError> {
        let statement = page.statement(
            concat!("SELECT ", columns!(), " FROM diffs"),
            Some("verdict"),
        );
        self.rows("list diffs", statement)
            .await?
            .iter()
            .rev()
            .map(read)
            .collect()
    }

    /// Deletes a diff and gives back what it was.
    pub async fn delete_diff(&self, id: &str) -> Result<Option<Diff>, CatalogError> {
        let statement = sqlx::query(concat!(
            "DELETE FROM diffs WHERE id = $1 RETURNING ",
            columns!()
        ))
        .bind(text(id));
        self.rows("delete a diff", statement)
            .await?
            .first()
            .map(read)
            .transpose()
    }
}

fn read(row: &AnyRow) -> Result<Diff, CatalogError> {
    let fields = Fields::new("diffs", "id", row)?;
    Ok(Diff {
        id: fields.text("id")?,
        query_id: fields.optional_text("query_id")?,
        name: fields.text("name")?,
        query: fields.text("query")?,
        baseline_id: fields.text("baseline_id")?,
        candidate_id: fields.text("candidate_id")?,
        calculated_ns: fields.number("calculated_ns")?,
        verdict: fields.text("verdict")?,
        sentence: fields.text("sentence")?,
        summary: fields.text("summary")?,
        object: fields.text("object")?,
    })
}
