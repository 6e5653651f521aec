//! Values on their way into statements and out of rows.

use sha2::{Digest, Sha256};
use sqlx::any::AnyRow;
use sqlx::{Any, Decode, Row, Type};

use crate::CatalogError;

/// A text as both databases keep it: PostgreSQL has no NUL in texts, so it becomes U+FFFD.
pub(crate) fn text(value: &str) -> String {
    value.replace('\0', "\u{fffd}")
}

/// As [`text`], of what may be missing.
pub(crate) fn optional(value: Option<&String>) -> Option<String> {
    value.map(|value| text(value))
}

/// A list of texts as JSON.
pub(crate) fn list(values: &[String]) -> String {
    serde_json::Value::from(values.iter().map(|value| text(value)).collect::<Vec<_>>()).to_string()
}

/// A key of fixed length for several texts, of which some may be missing.
pub(crate) fn key(parts: &[Option<&str>]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        match part {
            // The length before each text tells ("a", "bc") from ("ab", "c").
            Some(part) => {
                let part = text(part);
                hash.update((part.len() as u64 + 1).to_be_bytes());
                hash.update(part);
            }
            None => hash.update(0_u64.to_be_bytes()),
        }
    }
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The columns of one row.
pub(crate) struct Fields<'r> {
    table: &'static str,
    id: String,
    row: &'r AnyRow,
}

impl<'r> Fields<'r> {
    /// Of a row of a table, which errors call by `id_column`.
    pub(crate) fn new(
        table: &'static str,
        id_column: &'static str,
        row: &'r AnyRow,
    ) -> Result<Fields<'r>, CatalogError> {
        let mut fields = Fields {
            table,
            id: String::new(),
            row,
        };
        fields.id = fields.text(id_column)?;
        Ok(fields)
    }

    fn get<T>(&self, column: &'static str) -> Result<T, CatalogError>
    where
        T: Decode<'r, Any> + Type<Any>,
    {
        self.row
            .try_get(column)
            .map_err(|error| self.damaged(column, error.to_string()))
    }

    fn damaged(&self, column: &'static str, reason: String) -> CatalogError {
        CatalogError::Damaged {
            table: self.table,
            column,
            id: self.id.clone(),
            reason,
        }
    }

    pub(crate) fn text(&self, column: &'static str) -> Result<String, CatalogError> {
        self.get(column)
    }

    pub(crate) fn optional_text(
        &self,
        column: &'static str,
    ) -> Result<Option<String>, CatalogError> {
        self.get(column)
    }

    pub(crate) fn number(&self, column: &'static str) -> Result<i64, CatalogError> {
        self.get(column)
    }

    pub(crate) fn optional_number(
        &self,
        column: &'static str,
    ) -> Result<Option<i64>, CatalogError> {
        self.get(column)
    }

    pub(crate) fn flag(&self, column: &'static str) -> Result<bool, CatalogError> {
        match self.number(column)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.damaged(column, format!("{other} is neither 0 nor 1"))),
        }
    }

    pub(crate) fn list(&self, column: &'static str) -> Result<Vec<String>, CatalogError> {
        let json = self.text(column)?;
        serde_json::from_str(&json)
            .map_err(|error| self.damaged(column, format!("not a list of texts: {error}")))
    }

    /// A word out of a closed set.
    pub(crate) fn word<T>(
        &self,
        column: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, CatalogError> {
        let word = self.text(column)?;
        parse(&word).ok_or_else(|| {
            self.damaged(column, format!("{word:?} is not a word that is known here"))
        })
    }
}
