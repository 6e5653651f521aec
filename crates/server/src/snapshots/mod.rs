//! Snapshots and diffs: taken by the clock and on request, one after the other, by whichever process claims them.
//!
//! Everything that must outlive the process is in the catalog: what is stopped in the middle is begun again by whoever
//! finds its lease run out.

mod changes;
mod clock;
mod deployments;
mod diffs;
mod retention;
mod schedule;
mod seen;
mod settings;
mod traces;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use thiserror::Error;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracediff_catalog::{Catalog, CatalogError, DiffState, Query, Snapshot, State, new_id};
use tracediff_core::diff::Policy;
use tracediff_core::facts::{Facts, StoredFactsError};
use tracediff_core::model::{EmptyWindow, Window};
use tracediff_store::{KeptError, Store};

pub(crate) use changes::{Changes, Kind};
pub(crate) use clock::now_ns;
pub(crate) use diffs::{Verdict, document};
pub use retention::Retention;
pub(crate) use settings::{Baseline, Defaults, Settings, SettingsError, Span};
use traces::{TracesError, WindowTraces};

/// How long a job is a process's own without a sign of life.
const LEASE_NS: i64 = 60_000_000_000;
const RENEW_EVERY: Duration = Duration::from_secs(15);
/// How often what is old is looked for.
const LET_GO_EVERY: Duration = Duration::from_secs(10);
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);
/// Windows that are caught up of one query after a pause.
const MOST_MISSED: usize = 1_000;
/// How long after a snapshot a diff that fails is still tried, and how long it is left in between.
const DIFF_PATIENCE_NS: i64 = 600_000_000_000;
const DIFF_PAUSE_NS: i64 = 2_000_000_000;
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
    #[error("the settings cannot be used")]
    Schedule(#[from] SettingsError),
    #[error("the diff cannot be written")]
    Document(#[source] serde_json::Error),
    /// A snapshot has no facts yet, or no more.
    #[error("snapshot {0} is not ready: it has no facts to look at")]
    NotReady(String),
    #[error("the work was interrupted")]
    Interrupted,
}

/// What a snapshot of a pair is taken for: it is compared with the other one, whatever that found.
pub(crate) const PAIR: &str = "pair";

/// A snapshot that is wanted, but for its window.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) query_id: Option<String>,
    pub(crate) name: String,
    pub(crate) query: String,
    pub(crate) group_by_keys: Vec<String>,
    pub(crate) settings: Settings,
    pub(crate) origin: String,
    pub(crate) diff_state: DiffState,
}

/// Snapshots and diffs of one store. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Snapshots {
    pub(crate) store: Store,
    pub(crate) catalog: Catalog,
    owner: Arc<str>,
    wake: Arc<Notify>,
    retention: Retention,
    pub(crate) defaults: Defaults,
    pub(crate) changes: Changes,
}

impl Snapshots {
    pub(crate) fn new(
        store: Store,
        catalog: Catalog,
        retention: Retention,
        policy: &Policy,
    ) -> Self {
        Self {
            store,
            catalog,
            owner: new_id().into(),
            wake: Arc::default(),
            retention,
            defaults: Defaults::of(policy),
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
                    tracing::error!("retention: {}", with_sources(&error));
                }
            }
            let pause = match self.work(&stop).await {
                Ok(true) => continue,
                Ok(false) => Settings::LOOK_EVERY,
                Err(error) => {
                    tracing::error!("snapshots: {}", with_sources(&error));
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

    /// The settings that are kept of a saved query, or of a snapshot.
    pub(crate) fn settings_of(&self, text: &str) -> Result<Settings, SnapshotError> {
        let given = serde_json::from_str(text).map_err(SnapshotError::Settings)?;
        let settings = self.defaults.with(given);
        settings.map_err(SnapshotError::Settings)
    }

    /// Does what is to be done next; whether there was anything.
    async fn work(&self, stop: &CancellationToken) -> Result<bool, SnapshotError> {
        let now_ns = now_ns();
        for query in self.catalog.queries().await? {
            // One that cannot be scheduled does not keep the others from it.
            if let Err(error) = self.schedule(&query, now_ns).await {
                tracing::error!(query = query.id, "{}", with_sources(&error));
            }
        }
        let lease_ns = now_ns + LEASE_NS;
        if let Some(snapshot) = self
            .catalog
            .claim_diff(&self.owner, now_ns, lease_ns)
            .await?
        {
            let kept_alive = self.keep_alive(&snapshot.id);
            let is_over = match self.diff_of_schedule(&snapshot).await {
                Ok(is_done) => is_done,
                Err(error) => {
                    tracing::error!(snapshot = snapshot.id, "no diff: {}", with_sources(&error));
                    let since_ns = snapshot.completed_ns.unwrap_or(snapshot.created_ns);
                    let is_too_late = now_ns > since_ns.saturating_add(DIFF_PATIENCE_NS);
                    // Facts that are gone do not come back.
                    is_too_late || matches!(error, SnapshotError::NotReady(_))
                }
            };
            drop(kept_alive);
            if is_over {
                self.catalog.end_diff(&snapshot.id, &self.owner).await?;
            } else {
                let again_ns = clock::now_ns().saturating_add(DIFF_PAUSE_NS);
                self.catalog
                    .renew(&snapshot.id, &self.owner, again_ns)
                    .await?;
            }
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
        let settings = self.settings_of(&query.settings)?;
        if !settings.scheduled {
            return Ok(());
        }
        let first_ns = self.store.extent_ns().map(|(first_ns, _)| first_ns);
        let (done_ns, created_ns) = (query.scheduled_to_ns, query.created_ns);
        let windows = settings.windows_over(done_ns, created_ns, now_ns, MOST_MISSED)?;
        for (from_ns, to_ns) in windows {
            // What was never received, or is gone, cannot be looked at.
            if first_ns.is_some_and(|first_ns| first_ns < to_ns) {
                let window = Window::new(from_ns, to_ns)?;
                self.add(query, &settings, window, "schedule").await?;
            }
            self.catalog.set_scheduled(&query.id, to_ns).await?;
        }
        Ok(())
    }

    /// Adds a snapshot of a saved query; of one that splits its spans, those of both sides, of which this is the candidate.
    pub(crate) async fn add(
        &self,
        query: &Query,
        settings: &Settings,
        window: Window,
        origin: &str,
    ) -> Result<Snapshot, SnapshotError> {
        let mut of_query = Wanted {
            query_id: Some(query.id.clone()),
            name: query.name.clone(),
            query: query.query.clone(),
            group_by_keys: query.group_by_keys.clone(),
            settings: settings.clone(),
            origin: origin.to_owned(),
            diff_state: DiffState::Due,
        };
        let Baseline::Split(split) = &settings.baseline else {
            return self.add_wanted(of_query, window).await;
        };
        let [baseline, candidate] = split.queries(&query.query);
        let of_baseline = Wanted {
            query: baseline,
            origin: PAIR.to_owned(),
            diff_state: DiffState::None,
            ..of_query.clone()
        };
        let baseline = self.add_wanted(of_baseline, window).await?;
        of_query.query = candidate;
        of_query.origin = PAIR.to_owned();
        of_query.settings.baseline = Baseline::Snapshot(baseline.id);
        // That the sides have different values of the key is no finding.
        of_query.settings.policy.ignored.extend(split.ignored());
        self.add_wanted(of_query, window).await
    }

    /// Adds a snapshot to be taken when its window has settled; the one there is where there is one already.
    pub(crate) async fn add_wanted(
        &self,
        wanted: Wanted,
        window: Window,
    ) -> Result<Snapshot, SnapshotError> {
        let created_ns = now_ns();
        let settings = &wanted.settings;
        let snapshot = Snapshot {
            id: new_id(),
            query_id: wanted.query_id,
            name: wanted.name,
            query: wanted.query,
            group_by_keys: wanted.group_by_keys,
            // Whole, so that it stays what it was taken with.
            settings: serde_json::to_string(settings).map_err(SnapshotError::Settings)?,
            from_ns: window.from_ns(),
            to_ns: window.to_ns(),
            due_ns: window.to_ns().saturating_add(settings.settle.ns()),
            state: State::Pending,
            reason: None,
            origin: wanted.origin,
            is_pinned: false,
            created_ns,
            completed_ns: None,
            progress: 0.0,
            summary: "{}".to_owned(),
            diff_state: wanted.diff_state,
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
    #[tracing::instrument(name = "take snapshot", skip_all, fields(snapshot = snapshot.id, query = snapshot.query))]
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
                if finished.await? {
                    tracing::info!("it is ready: {summary}");
                } else {
                    self.store.forget(&object).await?;
                }
            }
            Err(SnapshotError::Traces(TracesError::Cancelled)) if stop.is_cancelled() => {
                self.catalog.give_back(&id, &owner).await?;
            }
            Err(error) => {
                let reason = with_sources(&error);
                tracing::error!("it failed: {reason}");
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
            let mut last_told = 0;
            loop {
                tokio::time::sleep(Settings::LOOK_EVERY).await;
                let told = told.load(Ordering::Relaxed);
                let mut is_ours = Ok(true);
                if told != last_told {
                    last_told = told;
                    is_ours = of
                        .catalog
                        .set_progress(&id, &of.owner, told as f64 / 1e6)
                        .await;
                    of.changes.tell(Kind::Snapshot, &id);
                }
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

/// An error and everything behind it, in one line.
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    let texts = std::iter::once(error.to_string()).chain(sources.map(ToString::to_string));
    texts.collect::<Vec<_>>().join(": ")
}
