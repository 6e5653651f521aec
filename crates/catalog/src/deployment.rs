//! Deployments that were told of.

use crate::{Catalog, CatalogError, Page};

/// A version of a service that went live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// From [`crate::new_id`].
    pub id: String,
    /// The service.
    pub service: String,
    /// Its version.
    pub version: String,
    /// When it went live.
    pub at_ns: i64,
    /// When it was told of.
    pub created_ns: i64,
    /// JSON that the catalog does not look into.
    pub details: String,
}

impl Catalog {
    /// Adds a deployment.
    ///
    /// # Errors
    /// [`CatalogError::Conflict`] if there is one with its id.
    pub async fn add_deployment(&self, deployment: &Deployment) -> Result<(), CatalogError> {
        let _ = deployment;
        todo!()
    }

    /// Deployments in the order they were told of, the newest last. Of the page, `limit` and `before` count.
    pub async fn deployments(&self, page: &Page) -> Result<Vec<Deployment>, CatalogError> {
        let _ = page;
        todo!()
    }

    /// One deployment.
    pub async fn deployment(&self, id: &str) -> Result<Option<Deployment>, CatalogError> {
        let _ = id;
        todo!()
    }
}
