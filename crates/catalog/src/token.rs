//! Tokens that clients show.

use sqlx::any::AnyRow;

use crate::fields::{Fields, text};
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
        let statement = sqlx::query(
            "INSERT INTO tokens (id, name, role, hash, created_ns) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(text(&token.id))
        .bind(text(&token.name))
        .bind(text(&token.role))
        .bind(text(&token.hash))
        .bind(token.created_ns);
        self.changed("add a token", statement).await?;
        Ok(())
    }

    /// All tokens, oldest first.
    pub async fn tokens(&self) -> Result<Vec<Token>, CatalogError> {
        let statement = sqlx::query(
            "SELECT id, name, role, hash, created_ns FROM tokens ORDER BY created_ns, id",
        );
        self.rows("list tokens", statement)
            .await?
            .iter()
            .map(read)
            .collect()
    }

    /// Deletes a token. False: there is no such token.
    pub async fn delete_token(&self, id: &str) -> Result<bool, CatalogError> {
        self.changed(
            "delete a token",
            sqlx::query("DELETE FROM tokens WHERE id = $1").bind(text(id)),
        )
        .await
    }
}

fn read(row: &AnyRow) -> Result<Token, CatalogError> {
    let fields = Fields::new("tokens", "id", row)?;
    Ok(Token {
        id: fields.text("id")?,
        name: fields.text("name")?,
        role: fields.text("role")?,
        hash: fields.text("hash")?,
        created_ns: fields.number("created_ns")?,
    })
}
