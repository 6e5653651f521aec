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

/// What an error of the database means to whoever asked for `doing`.
pub(crate) fn refused(doing: &'static str, error: sqlx::Error) -> CatalogError {
    if error
        .as_database_error()
        .is_some_and(|error| error.is_unique_violation())
    {
        CatalogError::Conflict { doing }
    } else if is_retryable(&error) {
        CatalogError::Unreachable {
            doing,
            source: cause(error),
        }
    } else {
        CatalogError::Failed {
            doing,
            source: cause(error),
        }
    }
}

/// What lies behind an error, each thing said once: sqlx repeats its sources.
pub(crate) fn cause(error: sqlx::Error) -> Cause {
    match error {
        sqlx::Error::Io(error) => Box::new(error),
        sqlx::Error::Configuration(error) => error.to_string().into(),
        sqlx::Error::Database(error) => error.message().into(),
        sqlx::Error::PoolTimedOut => "no connection became free in time".into(),
        other => other.to_string().into(),
    }
}

/// Whether a database is busy, full or away, rather than in disagreement.
fn is_retryable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| match code.parse::<i32>() {
                // SQLite's extended codes have the code in their low byte. PostgreSQL's have five characters.
                Ok(code)
                    if error
                        .try_downcast_ref::<sqlx::sqlite::SqliteError>()
                        .is_some() =>
                {
                    is_retryable_in_sqlite(code & 0xff)
                }
                _ => is_retryable_in_postgres(&code),
            })
        }
        _ => false,
    }
}

/// Busy, locked, an I/O error, no room. <https://www.sqlite.org/rescode.html>
fn is_retryable_in_sqlite(code: i32) -> bool {
    matches!(code, 5 | 6 | 10 | 13)
}

/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn is_retryable_in_postgres(code: &str) -> bool {
    // Connections; transactions that ended for another's sake; resources; operators; the system below. Also: started read-only,
    // as a standby is until it is promoted, and locks that were not had.
    ["08", "40", "53", "57", "58"]
        .iter()
        .any(|class| code.starts_with(class))
        || matches!(code, "25006" | "55P03")
}
