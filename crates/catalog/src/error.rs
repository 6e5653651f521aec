//! Why the catalog could not do what it was asked to.

/// What lies behind an error of the catalog.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why the catalog could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// The catalog could not be opened: a wrong path or URL, no permission, or a file that is not a catalog.
    #[error("cannot open the catalog in {place}")]
    Open {
        /// Where, without a password.
        place: String,
        /// Why.
        source: Cause,
    },
    /// A newer version of tracediff wrote this catalog.
    #[error(
        "the catalog in {place} has version {found}, this program knows versions up to {known}: use the newer program that wrote it"
    )]
    NewerVersion {
        /// Where, without a password.
        place: String,
        /// The version that is there.
        found: i64,
        /// The newest version this program knows.
        known: i64,
    },
    /// The database does not answer, is busy, has no room, or ended the transaction: the same call may succeed later.
    #[error("the catalog cannot be reached to {doing}")]
    Unreachable {
        /// What was being done, as a verb and its object.
        doing: &'static str,
        /// Why.
        source: Cause,
    },
    /// The catalog has a value that this program did not write.
    #[error("the catalog has a damaged value: table {table}, column {column}, id {id}: {reason}")]
    Damaged {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The id of the row.
        id: String,
        /// What is wrong with the value.
        reason: String,
    },
    /// There is one with this id already (of a token: or with this hash).
    #[error("cannot {doing}: there is one already")]
    Conflict {
        /// What was being done, as a verb and its object.
        doing: &'static str,
    },
    /// The database refused for another reason; calling again will not help.
    #[error("the catalog could not {doing}")]
    Failed {
        /// What was being done, as a verb and its object.
        doing: &'static str,
        /// Why.
        source: Cause,
    },
}

impl CatalogError {
    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, CatalogError::Unreachable { .. })
    }
}
