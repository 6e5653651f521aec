//! Versions of the tables, and how a catalog comes to the newest.

use sqlx::{AnyConnection, Connection, Row};

use crate::error::cause;
use crate::{CatalogError, Place};

/// What makes each version out of the one before; the first makes version 1. Never edited once released.
const MIGRATIONS: &[&str] = &[include_str!("../migrations/0001_begin.sql")];

/// A number that is ours among PostgreSQL's advisory locks: the bytes `tracedif`.
const LOCK: i64 = i64::from_be_bytes(*b"tracedif");

/// Brings the tables to the newest version, in one transaction; processes that do so at once wait for each other.
pub(crate) async fn migrate(
    connection: &mut AnyConnection,
    place: &Place,
) -> Result<(), CatalogError> {
    let refused = |error| CatalogError::Open {
        place: place.to_string(),
        source: cause(error),
    };
    let begin = match place {
        // A plain BEGIN would read first and could then not write, were another process to write in between.
        Place::Sqlite(_) => "BEGIN IMMEDIATE",
        Place::Postgres(_) => "BEGIN",
    };
    let mut transaction = connection.begin_with(begin).await.map_err(refused)?;
    if let Place::Postgres(_) = place {
        sqlx::query("SELECT pg_advisory_xact_lock($1)")
            .bind(LOCK)
            .execute(&mut *transaction)
            .await
            .map_err(refused)?;
    }
    sqlx::query("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL PRIMARY KEY)")
        .execute(&mut *transaction)
        .await
        .map_err(refused)?;
    let newest = sqlx::query("SELECT version FROM schema_version ORDER BY version DESC LIMIT 1")
        .fetch_all(&mut *transaction)
        .await
        .map_err(refused)?;
    let found = match newest.first() {
        Some(row) => row.try_get::<i64, _>("version").map_err(refused)?,
        None => 0,
    };
    for (version, statements) in (1_i64..).zip(MIGRATIONS) {
        if version > found {
            sqlx::raw_sql(*statements)
                .execute(&mut *transaction)
                .await
                .map_err(refused)?;
            sqlx::query("INSERT INTO schema_version (version) VALUES ($1)")
                .bind(version)
                .execute(&mut *transaction)
                .await
                .map_err(refused)?;
        }
    }
    let known = MIGRATIONS.len() as i64;
    if found > known {
        return Err(CatalogError::NewerVersion {
            place: place.to_string(),
            found,
            known,
        });
    }
    transaction.commit().await.map_err(refused)
}
