//! Saved queries.

use crate::{Catalog, CatalogError};

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
        let _ = query;
        todo!()
    }

    /// Changes a query's name, text, keys, settings and `updated_ns`; `created_ns` and `scheduled_to_ns` stay. False: there is no such query.
    pub async fn update_query(&self, query: &Query) -> Result<bool, CatalogError> {
        let _ = query;
        todo!()
    }

    /// All queries, oldest first.
    pub async fn queries(&self) -> Result<Vec<Query>, CatalogError> {
        todo!()
    }

    /// One query.
    pub async fn query(&self, id: &str) -> Result<Option<Query>, CatalogError> {
        let _ = id;
        todo!()
    }

    /// Deletes a query and gives back what it was. Its snapshots and diffs stay; those of its snapshots that are pending become cancelled.
    pub async fn delete_query(&self, id: &str) -> Result<Option<Query>, CatalogError> {
        let _ = id;
        todo!()
    }

    /// Notes the end of the last window that the schedule made a snapshot of. Never moves back; nothing happens where there is no such query.
    pub async fn set_scheduled(&self, id: &str, to_ns: i64) -> Result<(), CatalogError> {
        let _ = (id, to_ns);
        todo!()
    }
}
