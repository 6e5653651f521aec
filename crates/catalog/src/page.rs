//! A part of a list.

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
