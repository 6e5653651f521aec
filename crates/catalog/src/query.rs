//! Saved queries.

use sqlx::any::AnyRow;

use crate::error::refused;
use crate::fields::{Fields, list, text};
use crate::{Catalog, CatalogError};

macro_rules! columns {
    () => {
        "id, name, query, group_by_keys, settings, created_ns, updated_ns, scheduled_to_ns"
    };
}

/// A saved query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// From [`crate::new_id`].
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The query's text.
    pub query: String,
    /// Keys that its diffs are grouped by.
    pub group_by_keys: Vec<String>,
    /// JSON that the catalog does not look into.
    pub settings: String,
    /// When it was made.
    pub created_ns: i64,
    /// When it was changed last.
    pub updated_ns: i64,
    /// The end of the last window that the schedule made a snapshot of; `None` before the first one.
    pub scheduled_to_ns: Option<i64>,
}

impl Catalog {
    /// Adds a query.
    ///
    /// # Errors
    /// [`CatalogError::Conflict`] if there is one with its id.
    pub async fn create_query(&self, query: &Query) -> Result<(), CatalogError> {
        let statement = sqlx::query(concat!(
            "INSERT INTO queries (",
            columns!(),
            ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
        ))
        .bind(text(&query.id))
        .bind(text(&query.name))
        .bind(text(&query.query))
        .bind(list(&query.group_by_keys))
        .bind(text(&query.settings))
        .bind(query.created_ns)
        .bind(query.updated_ns)
        .bind(query.scheduled_to_ns);
        self.changed("create a query", statement).await?;
        Ok(())
    }

    /// Changes a query's name, text, keys, settings and `updated_ns`; `created_ns` and `scheduled_to_ns` stay. False: there is no such query.
    pub async fn update_query(&self, query: &Query) -> Result<bool, CatalogError> {
        let statement = sqlx::query("UPDATE queries SET name = $2, query = $3, group_by_keys = $4, settings = $5, updated_ns = $6 WHERE id = $1")
            .bind(text(&query.id))
            .bind(text(&query.name))
            .bind(text(&query.query))
            .bind(list(&query.group_by_keys))
            .bind(text(&query.settings))
            .bind(query.updated_ns);
        self.changed("update a query", statement).await
    }

    /// All queries, oldest first.
    pub async fn queries(&self) -> Result<Vec<Query>, CatalogError> {
        let statement = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM queries ORDER BY created_ns, id"
        ));
        self.rows("list queries", statement)
            .await?
            .iter()
            .map(read)
            .collect()
    }

    /// One query.
    pub async fn query(&self, id: &str) -> Result<Option<Query>, CatalogError> {
        let statement = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM queries WHERE id = $1"
        ))
        .bind(text(id));
        self.rows("read a query", statement)
            .await?
            .first()
            .map(read)
            .transpose()
    }

    /// Deletes a query and gives back what it was. Its snapshots and diffs stay; those of its snapshots that are pending become cancelled.
    pub async fn delete_query(&self, id: &str) -> Result<Option<Query>, CatalogError> {
        let doing = "delete a query";
        let mut transaction = self.begin(doing).await?;
        let deleted = sqlx::query(concat!(
            "DELETE FROM queries WHERE id = $1 RETURNING ",
            columns!()
        ))
        .bind(text(id))
        .fetch_all(&mut *transaction)
        .await
        .map_err(|error| refused(doing, error))?;
        sqlx::query(
            "UPDATE snapshots SET state = 'cancelled' WHERE query_id = $1 AND state = 'pending'",
        )
        .bind(text(id))
        .execute(&mut *transaction)
        .await
        .map_err(|error| refused(doing, error))?;
        transaction
            .commit()
            .await
            .map_err(|error| refused(doing, error))?;
        deleted.first().map(read).transpose()
    }

    /// Notes the end of the last window that the schedule made a snapshot of. Never moves back; nothing happens where there is no such query.
    pub async fn set_scheduled(&self, id: &str, to_ns: i64) -> Result<(), CatalogError> {
        let statement = sqlx::query("UPDATE queries SET scheduled_to_ns = $2 WHERE id = $1 AND (scheduled_to_ns IS NULL OR scheduled_to_ns < $2)")
            .bind(text(id))
            .bind(to_ns);
        self.changed("note the schedule of a query", statement)
            .await?;
        Ok(())
    }
}

fn read(row: &AnyRow) -> Result<Query, CatalogError> {
    let fields = Fields::new("queries", "id", row)?;
    Ok(Query {
        id: fields.text("id")?,
        name: fields.text("name")?,
        query: fields.text("query")?,
        group_by_keys: fields.list("group_by_keys")?,
        settings: fields.text("settings")?,
        created_ns: fields.number("created_ns")?,
        updated_ns: fields.number("updated_ns")?,
        scheduled_to_ns: fields.optional_number("scheduled_to_ns")?,
    })
}
