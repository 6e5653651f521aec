//! Deployments that were told of.

use sqlx::any::AnyRow;

use crate::fields::{Fields, text};
use crate::{Catalog, CatalogError, Page};

macro_rules! columns {
    () => {
        "id, service, version, at_ns, created_ns, details"
    };
}

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
        let statement = sqlx::query(concat!(
            "INSERT INTO deployments (",
            columns!(),
            ") VALUES ($1, $2, $3, $4, $5, $6)"
        ))
        .bind(text(&deployment.id))
        .bind(text(&deployment.service))
        .bind(text(&deployment.version))
        .bind(deployment.at_ns)
        .bind(deployment.created_ns)
        .bind(text(&deployment.details));
        self.changed("add a deployment", statement).await?;
        Ok(())
    }

    /// Deployments in the order they were told of, the newest last. Of the page, `limit` and `before` count.
    pub async fn deployments(&self, page: &Page) -> Result<Vec<Deployment>, CatalogError> {
        let statement = page.statement(concat!("SELECT ", columns!(), " FROM deployments"), None);
        self.rows("list deployments", statement)
            .await?
            .iter()
            .rev()
            .map(read)
            .collect()
    }

    /// One deployment.
    pub async fn deployment(&self, id: &str) -> Result<Option<Deployment>, CatalogError> {
        let statement = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM deployments WHERE id = $1"
        ))
        .bind(text(id));
        self.rows("read a deployment", statement)
            .await?
            .first()
            .map(read)
            .transpose()
    }
}

fn read(row: &AnyRow) -> Result<Deployment, CatalogError> {
    let fields = Fields::new("deployments", "id", row)?;
    Ok(Deployment {
        id: fields.text("id")?,
        service: fields.text("service")?,
        version: fields.text("version")?,
        at_ns: fields.number("at_ns")?,
        created_ns: fields.number("created_ns")?,
        details: fields.text("details")?,
    })
}
