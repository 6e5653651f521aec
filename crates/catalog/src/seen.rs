//! What was seen in traces, and when first and last.

use std::collections::BTreeMap;

use sqlx::any::{Any, AnyArguments, AnyRow};
use sqlx::query::Query;

use crate::error::refused;
use crate::fields::{Fields, key, text};
use crate::{Catalog, CatalogError};

/// How many rows one statement writes.
const BATCH: usize = 200;

/// A service, endpoint or edge that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// `service`, `endpoint` or `edge`.
    pub kind: String,
    /// Its name, of its kind's own form.
    pub name: String,
    /// JSON that the catalog does not look into.
    pub details: String,
    /// When it was seen first.
    pub first_ns: i64,
    /// When it was seen last.
    pub last_ns: i64,
}

impl Catalog {
    /// Notes what was seen, all of it or nothing. What is known by kind and name has its times widened, and takes the details of whoever
    /// saw it last.
    pub async fn note_seen(&self, seen: &[Seen]) -> Result<(), CatalogError> {
        let doing = "note what was seen";
        // One statement must not meet a row twice, and two transactions that go through rows in one order cannot lock each other out.
        let mut known: BTreeMap<(String, String), Seen> = BTreeMap::new();
        for new in seen {
            let key = (text(&new.kind), text(&new.name));
            known
                .entry(key)
                .and_modify(|old| widen(old, new))
                .or_insert_with(|| new.clone());
        }
        if known.is_empty() {
            return Ok(());
        }
        let known: Vec<Seen> = known.into_values().collect();
        let mut transaction = self.begin(doing).await?;
        for batch in known.chunks(BATCH) {
            upsert(batch)
                .execute(&mut *transaction)
                .await
                .map_err(|error| refused(doing, error))?;
        }
        transaction
            .commit()
            .await
            .map_err(|error| refused(doing, error))
    }

    /// What was seen in [from, to), as far as first and last tell, by kind and name; `None` is unbounded.
    pub async fn seen(
        &self,
        from_ns: Option<i64>,
        to_ns: Option<i64>,
    ) -> Result<Vec<Seen>, CatalogError> {
        let statement = sqlx::query("SELECT kind, name, details, first_ns, last_ns FROM seen WHERE last_ns >= $1 AND first_ns <= $2")
            .bind(from_ns.unwrap_or(i64::MIN))
            .bind(to_ns.map_or(i64::MAX, |to_ns| to_ns.saturating_sub(1)));
        let rows = self.rows("list what was seen", statement).await?;
        let mut seen = rows.iter().map(read).collect::<Result<Vec<Seen>, _>>()?;
        // Here, since databases differ in how they sort texts.
        seen.sort_by(|one, other| (&one.kind, &one.name).cmp(&(&other.kind, &other.name)));
        Ok(seen)
    }
}

/// What two sightings of one thing come to; in SQL: [`upsert`].
fn widen(old: &mut Seen, new: &Seen) {
    if new.last_ns >= old.last_ns {
        old.details.clone_from(&new.details);
    }
    old.first_ns = old.first_ns.min(new.first_ns);
    old.last_ns = old.last_ns.max(new.last_ns);
}

fn upsert(batch: &[Seen]) -> Query<'static, Any, AnyArguments> {
    let rows: Vec<String> = (0..batch.len())
        .map(|row| {
            let places: Vec<String> = (1..=6)
                .map(|column| format!("${}", row * 6 + column))
                .collect();
            format!("({})", places.join(", "))
        })
        .collect();
    let statement = format!(
        "INSERT INTO seen (seen_key, kind, name, details, first_ns, last_ns) VALUES {}
         ON CONFLICT (seen_key) DO UPDATE SET
             details = CASE WHEN excluded.last_ns >= seen.last_ns THEN excluded.details ELSE seen.details END,
             first_ns = CASE WHEN excluded.first_ns < seen.first_ns THEN excluded.first_ns ELSE seen.first_ns END,
             last_ns = CASE WHEN excluded.last_ns > seen.last_ns THEN excluded.last_ns ELSE seen.last_ns END",
        rows.join(", ")
    );
    // Only numbers of places were put in.
    let mut query = sqlx::query(sqlx::AssertSqlSafe(statement));
    for seen in batch {
        query = query
            .bind(key(&[Some(&seen.kind), Some(&seen.name)]))
            .bind(text(&seen.kind))
            .bind(text(&seen.name))
            .bind(text(&seen.details))
            .bind(seen.first_ns)
            .bind(seen.last_ns);
    }
    query
}

fn read(row: &AnyRow) -> Result<Seen, CatalogError> {
    let fields = Fields::new("seen", "name", row)?;
    Ok(Seen {
        kind: fields.text("kind")?,
        name: fields.text("name")?,
        details: fields.text("details")?,
        first_ns: fields.number("first_ns")?,
        last_ns: fields.number("last_ns")?,
    })
}
