//! Snapshots: what they are and where they stand.

use crate::{Catalog, CatalogError, Page};

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
    /// Who wanted it: `schedule`, `request`, `deployment` or `split`.
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
        let _ = snapshot;
        todo!()
    }

    /// One snapshot.
    pub async fn snapshot(&self, id: &str) -> Result<Option<Snapshot>, CatalogError> {
        let _ = id;
        todo!()
    }

    /// Deletes a snapshot, whatever its state, and gives back what it was. Its diffs stay.
    pub async fn delete_snapshot(&self, id: &str) -> Result<Option<Snapshot>, CatalogError> {
        let _ = id;
        todo!()
    }

    /// Pins a snapshot, or lets it go. False: there is no such snapshot.
    pub async fn set_pinned(&self, id: &str, is_pinned: bool) -> Result<bool, CatalogError> {
        let _ = (id, is_pinned);
        todo!()
    }

    /// Cancels a snapshot that is pending or being collected; who collects it finds its lease lost. False: there is none in these states.
    pub async fn cancel_snapshot(&self, id: &str) -> Result<bool, CatalogError> {
        let _ = id;
        todo!()
    }

    /// Snapshots in the order they were made, the newest last; `status` is a state's word.
    pub async fn snapshots(&self, page: &Page) -> Result<Vec<Snapshot>, CatalogError> {
        let _ = page;
        todo!()
    }

    /// The ready snapshot of a query with the latest end at or before `to_ns`.
    pub async fn ready_snapshot_before(
        &self,
        query_id: &str,
        to_ns: i64,
    ) -> Result<Option<Snapshot>, CatalogError> {
        let _ = (query_id, to_ns);
        todo!()
    }

    /// The ready snapshot of a query whose end is nearest to `to_ns`, at most `tolerance_ns` away; of two as near, the earlier.
    pub async fn ready_snapshot_at(
        &self,
        query_id: &str,
        to_ns: i64,
        tolerance_ns: i64,
    ) -> Result<Option<Snapshot>, CatalogError> {
        let _ = (query_id, to_ns, tolerance_ns);
        todo!()
    }
}
