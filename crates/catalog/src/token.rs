//! Tokens that clients show.

use crate::{Catalog, CatalogError};

/// A token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// From [`crate::new_id`].
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it allows.
    pub role: String,
    /// The hash of its secret; no two tokens share one.
    pub hash: String,
    /// When it was made.
    pub created_ns: i64,
}

impl Catalog {
    /// Adds a token.
    ///
    /// # Errors
    /// [`CatalogError::Conflict`] if there is one with its id or hash.
    pub async fn add_token(&self, token: &Token) -> Result<(), CatalogError> {
        let _ = token;
        todo!()
    }

    /// All tokens, oldest first.
    pub async fn tokens(&self) -> Result<Vec<Token>, CatalogError> {
        todo!()
    }

    /// Deletes a token. False: there is no such token.
    pub async fn delete_token(&self, id: &str) -> Result<bool, CatalogError> {
        let _ = id;
        todo!()
    }
}
