//! Snapshots: what they are and where they stand.

use sqlx::Any;
use sqlx::any::{AnyArguments, AnyRow};

use crate::fields::{Fields, key, list, optional, text};
use crate::{Catalog, CatalogError, Page};

/// The columns that [`read`] reads, in the order in which [`upsert`] binds them.
macro_rules! columns {
    () => {
        "id, query_id, name, query, group_by_keys, settings, from_ns, to_ns, due_ns, state, reason, origin, is_pinned, created_ns, \
         completed_ns, progress_ppm, summary, diff_state, object, attempts"
    };
}
pub(crate) use columns;

/// Where a snapshot stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Waits for its time, or for somebody to collect it.
    Pending,
    /// Somebody collects it.
    Collecting,
    /// It has facts.
    Ready,
    /// It could not be collected; `reason` says why.
    Failed,
    /// It is not wanted any more.
    Cancelled,
}

impl State {
    /// The word for it: `pending`, `collecting`, `ready`, `failed` or `cancelled`.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Collecting => "collecting",
            State::Ready => "ready",
            State::Failed => "failed",
            State::Cancelled => "cancelled",
        }
    }

    /// The state that a word is for.
    pub fn parse(word: &str) -> Option<State> {
        [
            State::Pending,
            State::Collecting,
            State::Ready,
            State::Failed,
            State::Cancelled,
        ]
        .into_iter()
        .find(|state| state.as_str() == word)
    }
}

/// Whether a diff is to be computed once a snapshot is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DiffState {
    /// None is wanted.
    None,
    /// One is to be computed.
    Due,
    /// It was computed, or there was nothing to compare with.
    Done,
}

impl DiffState {
    /// The word for it: `none`, `due` or `done`.
    pub fn as_str(self) -> &'static str {
        match self {
            DiffState::None => "none",
            DiffState::Due => "due",
            DiffState::Done => "done",
        }
    }

    /// The state that a word is for.
    pub fn parse(word: &str) -> Option<DiffState> {
        [DiffState::None, DiffState::Due, DiffState::Done]
            .into_iter()
            .find(|state| state.as_str() == word)
    }
}

/// What a query saw in one window, or will.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// From [`crate::new_id`].
    pub id: String,
    /// The saved query it is of; `None` if it was asked for without one.
    pub query_id: Option<String>,
    /// What people call it.
    pub name: String,
    /// The query's text at that time.
    pub query: String,
    /// Keys that its diffs are grouped by.
    pub group_by_keys: Vec<String>,
    /// JSON that the catalog does not look into.
    pub settings: String,
    /// Start of the window.
    pub from_ns: i64,
    /// End of the window, which does not belong to it.
    pub to_ns: i64,
    /// It may be collected from then on.
    pub due_ns: i64,
    /// Where it stands.
    pub state: State,
    /// Why it failed.
    pub reason: Option<String>,
    /// What it was wanted for, in a word or two that the catalog does not look into, such as `schedule`.
    pub origin: String,
    /// Whether it is kept whatever its age.
    pub is_pinned: bool,
    /// When it was asked for.
    pub created_ns: i64,
    /// When it became ready or failed.
    pub completed_ns: Option<i64>,
    /// How much of it is collected, from 0 to 1; stored as parts per million.
    pub progress: f64,
    /// JSON that the catalog does not look into; `{}` until it is ready.
    pub summary: String,
    /// Whether a diff is to be computed once it is ready.
    pub diff_state: DiffState,
    /// The name of the object with its facts, once it is ready.
    pub object: Option<String>,
    /// How many times somebody began to collect it.
    pub attempts: i64,
}

impl Catalog {
    /// Adds a snapshot, unless there is one of the same `query_id`, `query`, `group_by_keys`, `from_ns` and `to_ns`. Gives the one there
    /// is, and whether it was added. One that failed or was cancelled is begun anew and counts as added.
    ///
    /// # Errors
    /// [`CatalogError::Conflict`] if there is one with its id and another window.
    pub async fn add_snapshot(
        &self,
        snapshot: &Snapshot,
    ) -> Result<(Snapshot, bool), CatalogError> {
        let doing = "add a snapshot";
        let key = window_key(snapshot);
        loop {
            let added = self.rows(doing, upsert(snapshot, &key)).await?;
            if let Some(row) = added.first() {
                return Ok((read(row)?, true));
            }
            let statement = sqlx::query(concat!(
                "SELECT ",
                columns!(),
                " FROM snapshots WHERE window_key = $1"
            ))
            .bind(key.as_str());
            // It may have been deleted in between.
            if let Some(row) = self.rows(doing, statement).await?.first() {
                return Ok((read(row)?, false));
            }
        }
    }

    /// One snapshot.
    pub async fn snapshot(&self, id: &str) -> Result<Option<Snapshot>, CatalogError> {
        let statement = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM snapshots WHERE id = $1"
        ))
        .bind(text(id));
        self.rows("read a snapshot", statement)
            .await?
            .first()
            .map(read)
            .transpose()
    }

    /// Deletes a snapshot, whatever its state, and gives back what it was. Its diffs stay.
    pub async fn delete_snapshot(&self, id: &str) -> Result<Option<Snapshot>, CatalogError> {
        let statement = sqlx::query(concat!(
            "DELETE FROM snapshots WHERE id = $1 RETURNING ",
            columns!()
        ))
        .bind(text(id));
        self.rows("delete a snapshot", statement)
            .await?
            .first()
            .map(read)
            .transpose()
    }

    /// Pins a snapshot, or lets it go. False: there is no such snapshot.
    pub async fn set_pinned(&self, id: &str, is_pinned: bool) -> Result<bool, CatalogError> {
        let statement = sqlx::query("UPDATE snapshots SET is_pinned = $2 WHERE id = $1")
            .bind(text(id))
            .bind(i64::from(is_pinned));
        self.changed("pin a snapshot", statement).await
    }

    /// Cancels a snapshot that is pending or being collected; who collects it finds its lease lost. False: there is none in these states.
    pub async fn cancel_snapshot(&self, id: &str) -> Result<bool, CatalogError> {
        let statement = sqlx::query(
            "UPDATE snapshots SET state = 'cancelled', lease_owner = NULL, lease_until_ns = NULL
             WHERE id = $1 AND state IN ('pending', 'collecting')",
        )
        .bind(text(id));
        self.changed("cancel a snapshot", statement).await
    }

    /// Snapshots in the order they were made, the newest last; `status` is a state's word.
    pub async fn snapshots(&self, page: &Page) -> Result<Vec<Snapshot>, CatalogError> {
        let statement = page.statement(
            concat!("SELECT ", columns!(), " FROM snapshots"),
            Some("state"),
        );
        self.rows("list snapshots", statement)
            .await?
            .iter()
            .rev()
            .map(read)
            .collect()
    }

    /// The ready snapshot of a query with the latest end at or before `to_ns`.
    pub async fn ready_snapshot_before(
        &self,
        query_id: &str,
        to_ns: i64,
    ) -> Result<Option<Snapshot>, CatalogError> {
        let statement = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM snapshots WHERE query_id = $1 AND state = 'ready' AND to_ns <= $2 ORDER BY to_ns DESC, id DESC LIMIT 1"
        ))
        .bind(text(query_id))
        .bind(to_ns);
        self.rows("find a snapshot", statement)
            .await?
            .first()
            .map(read)
            .transpose()
    }

    /// The ready snapshot of a query whose end is nearest to `to_ns`, at most `tolerance_ns` away; of two as near, the earlier.
    pub async fn ready_snapshot_at(
        &self,
        query_id: &str,
        to_ns: i64,
        tolerance_ns: i64,
    ) -> Result<Option<Snapshot>, CatalogError> {
        let statement = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM snapshots WHERE query_id = $1 AND state = 'ready' AND to_ns > $2 ORDER BY to_ns, id DESC LIMIT 1"
        ))
        .bind(text(query_id))
        .bind(to_ns);
        let later = self
            .rows("find a snapshot", statement)
            .await?
            .first()
            .map(read)
            .transpose()?;
        let earlier = self.ready_snapshot_before(query_id, to_ns).await?;
        let distance = |snapshot: &Snapshot| snapshot.to_ns.abs_diff(to_ns);
        let nearest = earlier.into_iter().chain(later).min_by_key(distance);
        Ok(nearest.filter(|nearest| {
            u64::try_from(tolerance_ns).is_ok_and(|tolerance_ns| distance(nearest) <= tolerance_ns)
        }))
    }
}

/// What no two snapshots share.
fn window_key(snapshot: &Snapshot) -> String {
    key(&[
        snapshot.query_id.as_deref(),
        Some(&snapshot.query),
        Some(&list(&snapshot.group_by_keys)),
        Some(&snapshot.from_ns.to_string()),
        Some(&snapshot.to_ns.to_string()),
    ])
}

/// Adds a snapshot, or begins one of the same window anew that failed or was cancelled; otherwise it does nothing and returns no row.
fn upsert(snapshot: &Snapshot, window_key: &str) -> sqlx::query::Query<'static, Any, AnyArguments> {
    sqlx::query(concat!(
        "INSERT INTO snapshots (",
        columns!(),
        ", window_key)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)
        ON CONFLICT (window_key) DO UPDATE SET
            name = excluded.name, settings = excluded.settings, due_ns = excluded.due_ns, state = 'pending', reason = NULL,
            origin = excluded.origin, is_pinned = CASE WHEN excluded.is_pinned = 1 THEN 1 ELSE snapshots.is_pinned END,
            created_ns = excluded.created_ns, completed_ns = NULL, progress_ppm = 0, summary = '{}', diff_state = excluded.diff_state,
            object = NULL, attempts = 0, lease_owner = NULL, lease_until_ns = NULL
        WHERE snapshots.state IN ('failed', 'cancelled')
        RETURNING ",
        columns!()
    ))
    .bind(text(&snapshot.id))
    .bind(optional(snapshot.query_id.as_ref()))
    .bind(text(&snapshot.name))
    .bind(text(&snapshot.query))
    .bind(list(&snapshot.group_by_keys))
    .bind(text(&snapshot.settings))
    .bind(snapshot.from_ns)
    .bind(snapshot.to_ns)
    .bind(snapshot.due_ns)
    .bind(snapshot.state.as_str())
    .bind(optional(snapshot.reason.as_ref()))
    .bind(text(&snapshot.origin))
    .bind(i64::from(snapshot.is_pinned))
    .bind(snapshot.created_ns)
    .bind(snapshot.completed_ns)
    .bind(parts_per_million(snapshot.progress))
    .bind(text(&snapshot.summary))
    .bind(snapshot.diff_state.as_str())
    .bind(optional(snapshot.object.as_ref()))
    .bind(snapshot.attempts)
    .bind(window_key.to_owned())
}

/// A share from 0 to 1 as it is stored; what is outside is brought inside, and what is no number is 0.
pub(crate) fn parts_per_million(share: f64) -> i64 {
    (share.clamp(0.0, 1.0) * 1e6).round() as i64
}

pub(crate) fn read(row: &AnyRow) -> Result<Snapshot, CatalogError> {
    let fields = Fields::new("snapshots", "id", row)?;
    Ok(Snapshot {
        id: fields.text("id")?,
        query_id: fields.optional_text("query_id")?,
        name: fields.text("name")?,
        query: fields.text("query")?,
        group_by_keys: fields.list("group_by_keys")?,
        settings: fields.text("settings")?,
        from_ns: fields.number("from_ns")?,
        to_ns: fields.number("to_ns")?,
        due_ns: fields.number("due_ns")?,
        state: fields.word("state", State::parse)?,
        reason: fields.optional_text("reason")?,
        origin: fields.text("origin")?,
        is_pinned: fields.flag("is_pinned")?,
        created_ns: fields.number("created_ns")?,
        completed_ns: fields.optional_number("completed_ns")?,
        progress: fields.number("progress_ppm")? as f64 / 1e6,
        summary: fields.text("summary")?,
        diff_state: fields.word("diff_state", DiffState::parse)?,
        object: fields.optional_text("object")?,
        attempts: fields.number("attempts")?,
    })
}
