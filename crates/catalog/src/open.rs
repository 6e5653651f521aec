//! Opening and closing.

use std::fmt;

use sqlx::AnyPool;

use crate::{CatalogError, Place};

/// The catalog, open. Clones share its connections.
#[derive(Clone)]
pub struct Catalog {
    pub(crate) pool: AnyPool,
    place: String,
}

impl fmt::Debug for Catalog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Catalog")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl Catalog {
    /// Opens the catalog, makes it if there is none, and brings an older one up to date.
    ///
    /// # Errors
    /// [`CatalogError::Open`], [`CatalogError::NewerVersion`].
    pub async fn open(place: &Place) -> Result<Catalog, CatalogError> {
        let _ = place;
        todo!()
    }

    /// Waits for what is under way and closes all connections, of all clones.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
