//! A part of a list.

use sqlx::any::{Any, AnyArguments};
use sqlx::query::Query;

use crate::fields::text;

/// Which part of a list is wanted: of those that the filters let through, the last `limit` before `before`. Answers have the newest last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// How many at most. A sensible bound is the caller's matter.
    pub limit: u32,
    /// Only those older than this id, which need not exist any more.
    pub before: Option<String>,
    /// Only those of this query. Deployments have none and ignore it.
    pub query_id: Option<String>,
    /// Only snapshots in this state, diffs with this verdict. Deployments ignore it.
    pub status: Option<String>,
}

impl Default for Page {
    /// The newest hundred.
    fn default() -> Page {
        Page {
            limit: 100,
            before: None,
            query_id: None,
            status: None,
        }
    }
}

impl Page {
    /// The statement that lists this page, newest first. `status_column` is what `status` filters on; tables without one have no
    /// `query_id` either.
    pub(crate) fn statement(
        &self,
        select: &'static str,
        status_column: Option<&'static str>,
    ) -> Query<'static, Any, AnyArguments> {
        let mut conditions = Vec::new();
        let mut values = Vec::new();
        let mut filter = |column: &str, operator: &str, value: Option<&String>| {
            if let Some(value) = value {
                values.push(text(value));
                conditions.push(format!("{column} {operator} ${}", values.len()));
            }
        };
        filter("id", "<", self.before.as_ref());
        if let Some(status_column) = status_column {
            filter("query_id", "=", self.query_id.as_ref());
            filter(status_column, "=", self.status.as_ref());
        }
        let conditions = if conditions.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", conditions.join(" AND "))
        };
        let statement = format!(
            "{select}{conditions} ORDER BY id DESC LIMIT ${}",
            values.len() + 1
        );
        // Put together from texts of this crate alone: all values are bound.
        let mut query = sqlx::query(sqlx::AssertSqlSafe(statement));
        for value in values {
            query = query.bind(value);
        }
        query.bind(i64::from(self.limit))
    }
}
