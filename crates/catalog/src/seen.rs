//! What was seen in traces, and when first and last.

use crate::{Catalog, CatalogError};

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
        let _ = seen;
        todo!()
    }

    /// What was seen in [from, to), as far as first and last tell, by kind and name; `None` is unbounded.
    pub async fn seen(
        &self,
        from_ns: Option<i64>,
        to_ns: Option<i64>,
    ) -> Result<Vec<Seen>, CatalogError> {
        let _ = (from_ns, to_ns);
        todo!()
    }
}
