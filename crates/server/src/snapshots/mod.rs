//! Snapshots and diffs: taken by the clock and on request, one after the other, by whichever process claims them.
//!
//! Everything that must outlive the process is in the catalog: what is stopped in the middle is begun again by whoever
//! finds its lease run out.

mod changes;
mod clock;
mod deployments;
mod diffs;
mod retention;
mod seen;
mod settings;
mod traces;

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use thiserror::Error;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracediff_catalog::{Catalog, CatalogError, DiffState, Query, Snapshot, State, new_id};
use tracediff_core::facts::{Facts, StoredFactsError};
use tracediff_core::model::{EmptyWindow, Window};
use tracediff_store::{KeptError, Store};

pub(crate) use changes::{Changes, Kind};
pub(crate) use clock::now_ns;
pub(crate) use diffs::{Verdict, document};
pub use retention::Retention;
pub(crate) use settings::{Baseline, Settings, Span};
use traces::{TracesError, WindowTraces};

/// How long a job is a process's own without a sign of life.
const LEASE_NS: i64 = 60_000_000_000;
const RENEW_EVERY: Duration = Duration::from_secs(15);
/// How often what is old is looked for.
const LET_GO_EVERY: Duration = Duration::from_secs(10);
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);
/// Windows that are caught up of one query after a pause.
const MOST_MISSED: usize = 1_000;
/// Windows before its time that a new query is shown at once, so that there is a first diff where spans are there.
const WINDOWS_BEFORE: i64 = 2;
/// Times that a snapshot is begun before it counts as failed: one that ends the process would end it for ever.
const MOST_ATTEMPTS: i64 = 3;

/// Why a snapshot or a diff cannot be made.
#[derive(Debug, Error)]
pub(crate) enum SnapshotError {
    #[error("the catalog does not answer")]
    Catalog(#[from] CatalogError),
    #[error("the facts cannot be kept or read")]
    Kept(#[from] KeptError),
    #[error("the facts cannot be read")]
    Facts(#[from] StoredFactsError),
    #[error("the traces cannot be gone through")]
    Traces(#[from] TracesError),
    #[error("the window cannot be used")]
    Window(#[from] EmptyWindow),
    #[error("the query cannot be read: {0}")]
    Query(String),
    #[error("the settings cannot be read")]
    Settings(#[source] serde_json::Error),
    #[error("the diff cannot be written")]
    Document(#[source] serde_json::Error),
    /// A snapshot that is compared has no facts (any more).
    #[error("snapshot {0} is not ready; only ready snapshots are compared")]
    NotReady(String),
    #[error("the work was interrupted")]
    Interrupted,
}

/// Snapshots and diffs of one store. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Snapshots {
    pub(crate) store: Store,
    pub(crate) catalog: Catalog,
    owner: Arc<str>,
    wake: Arc<Notify>,
    retention: Retention,
    pub(crate) changes: Changes,
}

impl Snapshots {
    pub(crate) fn new(store: Store, catalog: Catalog, retention: Retention) -> Self {
        Self {
            store,
            catalog,
            owner: new_id().into(),
            wake: Arc::default(),
            retention,
            changes: Changes::default(),
        }
    }

    /// Has the clock and the catalog looked at now: something is new there.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Works until `stop`. What is not finished then is given back, for whoever comes next.
    pub(crate) async fn run(&self, stop: CancellationToken) {
        let mut last_let_go: Option<tokio::time::Instant> = None;
        while !stop.is_cancelled() {
            if last_let_go.is_none_or(|last| last.elapsed() > LET_GO_EVERY) {
                last_let_go = Some(tokio::time::Instant::now());
                if let Err(error) = self.let_go(now_ns()).await {
                    log(&format!("retention: {}", with_sources(&error)));
                }
            }
            let pause = match self.work(&stop).await {
                Ok(true) => continue,
                Ok(false) => Settings::LOOK_EVERY,
                Err(error) => {
                    log(&format!("snapshots: {}", with_sources(&error)));
                    PAUSE_AFTER_FAILURE
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Does what is to be done next; whether there was anything.
    async fn work(&self, stop: &CancellationToken) -> Result<bool, SnapshotError> {
        let now_ns = now_ns();
        for query in self.catalog.queries().await? {
            // One that cannot be scheduled does not keep the others from it.
            if let Err(error) = self.schedule(&query, now_ns).await {
                log(&format!("query {}: {}", query.id, with_sources(&error)));
            }
        }
        let lease_ns = now_ns + LEASE_NS;
        if let Some(snapshot) = self
            .catalog
            .claim_diff(&self.owner, now_ns, lease_ns)
            .await?
        {
            let kept_alive = self.keep_alive(&snapshot.id);
            if let Err(error) = self.diff_of_schedule(&snapshot).await {
                log(&format!(
                    "diff of snapshot {}: {}",
                    snapshot.id,
                    with_sources(&error)
                ));
            }
            drop(kept_alive);
            self.catalog.end_diff(&snapshot.id, &self.owner).await?;
            return Ok(true);
        }
        let claimed = self.catalog.claim_snapshot(&self.owner, now_ns, lease_ns);
        match claimed.await? {
            Some(snapshot) => {
                self.take(snapshot, stop).await?;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Adds the snapshots of windows that are over.
    async fn schedule(&self, query: &Query, now_ns: i64) -> Result<(), SnapshotError> {
        let settings = settings_of(&query.settings)?;
        if !settings.scheduled {
            return Ok(());
        }
        let first_ns = self.store.extent_ns().map(|(first_ns, _)| first_ns);
        let done_ns = query
            .scheduled_to_ns
            .unwrap_or(query.created_ns - WINDOWS_BEFORE * settings.interval.ns());
        for to_ns in settings.ends_over(done_ns, now_ns, MOST_MISSED) {
            // What was never received, or is gone, cannot be looked at.
            if first_ns.is_some_and(|first_ns| first_ns < to_ns) {
                let window = Window::new(to_ns - settings.window().ns(), to_ns)?;
                self.add(query, &settings, window, "schedule").await?;
            }
            self.catalog.set_scheduled(&query.id, to_ns).await?;
        }
        Ok(())
    }

    /// Adds a snapshot to be taken when its window has settled; the one there is where there is one already.
    pub(crate) async fn add(
        &self,
        query: &Query,
        settings: &Settings,
        window: Window,
        origin: &str,
    ) -> Result<Snapshot, SnapshotError> {
        let created_ns = now_ns();
        let snapshot = Snapshot {
            id: new_id(),
            query_id: Some(query.id.clone()),
            name: query.name.clone(),
            query: query.query.clone(),
            group_by_keys: query.group_by_keys.clone(),
            settings: query.settings.clone(),
            from_ns: window.from_ns(),
            to_ns: window.to_ns(),
            due_ns: window.to_ns().saturating_add(settings.settle.ns()),
            state: State::Pending,
            reason: None,
            origin: origin.to_owned(),
            is_pinned: false,
            created_ns,
            completed_ns: None,
            progress: 0.0,
            summary: "{}".to_owned(),
            diff_state: DiffState::Due,
            object: None,
            attempts: 0,
        };
        let (snapshot, is_new) = self.catalog.add_snapshot(&snapshot).await?;
        if is_new {
            self.changes.tell(Kind::Snapshot, &snapshot.id);
            self.wake();
        }
        Ok(snapshot)
    }

    /// Takes a claimed snapshot: its facts are kept first, then the catalog says so.
    async fn take(
        &self,
        snapshot: Snapshot,
        stop: &CancellationToken,
    ) -> Result<(), SnapshotError> {
        let (id, owner) = (snapshot.id.clone(), Arc::clone(&self.owner));
        if snapshot.attempts > MOST_ATTEMPTS {
            let reason = "it was begun several times and never ended; take a shorter window";
            self.catalog
                .fail_snapshot(&id, &owner, now_ns(), reason)
                .await?;
            self.changes.tell(Kind::Snapshot, &id);
            return Ok(());
        }
        self.changes.tell(Kind::Snapshot, &id);
        let kept_alive = self.keep_alive(&id);
        let collected = self.collect(&snapshot, &kept_alive, stop).await;
        drop(kept_alive);
        match collected {
            Ok((object, summary)) => {
                let finished =
                    self.catalog
                        .finish_snapshot(&id, &owner, now_ns(), &object, &summary);
                if !finished.await? {
                    self.store.forget(&object).await?;
                }
            }
            Err(SnapshotError::Traces(TracesError::Cancelled)) if stop.is_cancelled() => {
                self.catalog.give_back(&id, &owner).await?;
            }
            Err(error) => {
                let reason = with_sources(&error);
                self.catalog
                    .fail_snapshot(&id, &owner, now_ns(), &reason)
                    .await?;
            }
        }
        self.changes.tell(Kind::Snapshot, &id);
        Ok(())
    }

    /// Facts of a snapshot, kept under a name, and what they come to.
    async fn collect(
        &self,
        snapshot: &Snapshot,
        kept_alive: &KeptAlive,
        stop: &CancellationToken,
    ) -> Result<(String, String), SnapshotError> {
        let traces = self.traces_of(snapshot)?;
        let (told, is_lost) = (
            Arc::clone(&kept_alive.progress),
            Arc::clone(&kept_alive.is_lost),
        );
        let stop = stop.clone();
        let progress = move |share: f64| {
            told.store((share * 1e6) as u64, Ordering::Relaxed);
            !stop.is_cancelled() && !is_lost.load(Ordering::Relaxed)
        };
        let (facts, bytes) = tokio::task::spawn_blocking(move || {
            let facts = traces.facts(&progress)?;
            let bytes = facts.to_bytes()?;
            Ok::<_, SnapshotError>((facts, bytes))
        })
        .await
        .map_err(|_| SnapshotError::Interrupted)??;
        // A name of its own for each try: the one before may have been written to the end.
        let object = format!("facts-{}-{}", snapshot.id, new_id());
        self.store.keep(&object, &bytes).await?;
        self.catalog
            .note_seen(&seen::seen(snapshot, &facts))
            .await?;
        let quality = &facts.quality;
        let summary = json!({
            "traces": quality.traces,
            "spans": quality.spans,
            "errors": facts.all().total().errors,
            "completeTraces": quality.complete_traces,
            "orphanSpans": quality.orphan_spans,
            "duplicateSpans": quality.duplicate_spans,
        });
        Ok((object, summary.to_string()))
    }

    /// The traces that a snapshot is of.
    fn traces_of(&self, snapshot: &Snapshot) -> Result<WindowTraces, SnapshotError> {
        let text = &snapshot.query;
        let query = tracediff_core::query::Query::parse(text);
        Ok(WindowTraces {
            store: self.store.clone(),
            query: query.map_err(|error| SnapshotError::Query(error.render(text)))?,
            group_by: snapshot.group_by_keys.clone(),
            window: Window::new(snapshot.from_ns, snapshot.to_ns)?,
        })
    }

    /// The facts of a snapshot that is ready.
    pub(crate) async fn facts_of(&self, snapshot: &Snapshot) -> Result<Facts, SnapshotError> {
        let not_ready = || SnapshotError::NotReady(snapshot.id.clone());
        let object = snapshot.object.as_deref().ok_or_else(not_ready)?;
        let bytes = self.store.kept(object).await?.ok_or_else(not_ready)?;
        Ok(Facts::from_bytes(&bytes)?)
    }

    /// Says every now and then that this process is at work on a job, and how far it is.
    fn keep_alive(&self, id: &str) -> KeptAlive {
        let progress = Arc::new(AtomicU64::new(0));
        let is_lost = Arc::new(AtomicBool::new(false));
        let (of, told, lost) = (self.clone(), Arc::clone(&progress), Arc::clone(&is_lost));
        let id = id.to_owned();
        let task = tokio::spawn(async move {
            let mut last_renewed = tokio::time::Instant::now();
            loop {
                tokio::time::sleep(Settings::LOOK_EVERY).await;
                let share = told.load(Ordering::Relaxed) as f64 / 1e6;
                let mut is_ours = of.catalog.set_progress(&id, &of.owner, share).await;
                of.changes.tell(Kind::Snapshot, &id);
                if last_renewed.elapsed() > RENEW_EVERY {
                    last_renewed = tokio::time::Instant::now();
                    is_ours = of.catalog.renew(&id, &of.owner, now_ns() + LEASE_NS).await;
                }
                if matches!(is_ours, Ok(false)) {
                    lost.store(true, Ordering::Relaxed);
                }
            }
        });
        KeptAlive {
            progress,
            is_lost,
            task,
        }
    }
}

/// A job that is this process's own as long as this is there.
#[derive(Debug)]
struct KeptAlive {
    /// Parts per million.
    progress: Arc<AtomicU64>,
    is_lost: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for KeptAlive {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The settings of a saved query, as they are kept.
pub(crate) fn settings_of(text: &str) -> Result<Settings, SnapshotError> {
    serde_json::from_str(text).map_err(SnapshotError::Settings)
}

/// An error and everything behind it, in one line.
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    let texts = std::iter::once(error.to_string()).chain(sources.map(ToString::to_string));
    texts.collect::<Vec<_>>().join(": ")
}

/// Tells whoever runs the process; that nobody listens is no failure.
pub(crate) fn log(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
