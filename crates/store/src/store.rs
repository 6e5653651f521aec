//! The store as a whole: opens what is there, takes requests in, and closes.

use std::cell::RefCell;
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::Notify;

use crate::head::Generation;
use crate::keeper::{KeepError, Keeper, now_ns};
use crate::log::{LOG, LogError, LogFiles, LogWriter, Record, sync_folder};
use crate::manifest::{Manifest, ManifestError};
use crate::objects::Objects;
use crate::place::{self, PlaceError};
use crate::readings::{Counters, Readings};
use crate::recovery::{Recovery, replay};
use crate::request::{AppendError, Appended, Request};
use crate::segment::Segment;
use crate::settings::Settings;
use crate::view::{Parts, View};

/// How hard the log compresses what producers did not: the log is short-lived, so speed counts.
const LOG_LEVEL: i32 = -1;
/// Bytes that the columns of any request may take in memory, and how many more for each byte of it.
const COLUMN_BYTES: usize = 64 << 20;
const COLUMN_BYTES_PER_BYTE: usize = 2;
/// What a refused producer is asked to wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a store cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The folder cannot be used.
    #[error("the folder {folder} cannot be used")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another process has it open.
    #[error(
        "the folder {0} is in use by another process; stop that, ask it by its URL, or take another folder"
    )]
    InUse(PathBuf),
    /// Segments cannot be where they should be.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The manifest cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// What the log holds cannot be moved into segments.
    #[error("what the log holds cannot be moved into segments")]
    Replay(#[from] KeepError),
}

struct Inner {
    settings: Settings,
    view: Arc<View>,
    objects: Objects,
    log: LogWriter,
    wake: Arc<Notify>,
    wake_merger: Arc<Notify>,
    free_bytes: Arc<AtomicU64>,
    is_closing: Arc<AtomicBool>,
    /// Whether housekeeping has ended before its time: by a bug.
    has_ended: Arc<AtomicBool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    counters: Arc<Counters>,
    last_failure: Arc<Mutex<Option<String>>>,
    /// Held as long as the store is open.
    lock: Mutex<Option<std::fs::File>>,
}

/// The store. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Store").field(&self.0.settings).finish()
    }
}

/// What a thread keeps of the buffer that it compresses into.
const KEPT_BYTES: usize = 4 << 20;

/// A compressor, and the buffer that it writes into.
type Compressor = (zstd::bulk::Compressor<'static>, Vec<u8>);

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor>> = const { RefCell::new(None) };
}

impl Store {
    /// Whether a store was ever opened in a folder: opening makes what is missing.
    pub fn is_in(folder: &Path) -> bool {
        place::is_store(folder)
    }

    /// Opens the store in a folder, which is made where it is missing. What the log holds beyond the segments is moved
    /// into segments first.
    pub async fn open(settings: Settings) -> Result<(Self, Recovery), OpenError> {
        Self::open_on(settings, |log, objects| (log, objects)).await
    }

    /// The same on what `storage` makes of log and objects.
    pub(crate) async fn open_on(
        settings: Settings,
        storage: impl FnOnce(LogFiles, Objects) -> (LogFiles, Objects),
    ) -> Result<(Self, Recovery), OpenError> {
        let folder = settings.data_dir.clone();
        let cannot_use = |source| OpenError::Folder {
            folder: folder.clone(),
            source,
        };
        std::fs::create_dir_all(&folder).map_err(cannot_use)?;
        let lock = std::fs::File::create(folder.join("lock")).map_err(cannot_use)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(OpenError::InUse(folder)),
            Err(std::fs::TryLockError::Error(e)) => return Err(cannot_use(e)),
        }
        let files = LogFiles::open(&folder.join(LOG)).map_err(cannot_use)?;
        let objects = place::open(&folder, settings.segments.as_deref()).await?;
        let (files, objects) = storage(files, objects);
        // What was made here must be there after a power loss, too.
        for folder in [Some(folder.as_path()), folder.parent()]
            .into_iter()
            .flatten()
        {
            let folder = if folder.as_os_str().is_empty() {
                Path::new(".")
            } else {
                folder
            };
            sync_folder(folder).map_err(cannot_use)?;
        }
        let generations = files.generations().map_err(cannot_use)?;
        let (manifest, damage) = Manifest::open(&objects, &generations).await?;
        let shards = std::thread::available_parallelism().map_or(1, usize::from);
        let next_segment = manifest.next_segment;
        let segments = manifest.segments.iter();
        let segments = segments.map(|meta| Arc::new(Segment::new(meta.clone(), objects.clone())));
        let view = Arc::new(View::new(Parts {
            segments: segments.collect(),
            gone: Vec::new(),
            closed: Vec::new(),
            open: Arc::new(Generation::new(manifest.generation + 1, shards)),
            manifest,
        }));
        let keeper = Keeper {
            settings: settings.clone(),
            objects: objects.clone(),
            log: files.clone(),
            view: Arc::clone(&view),
            wake: Arc::new(Notify::new()),
            wake_merger: Arc::new(Notify::new()),
            shards,
            free_bytes: Arc::new(AtomicU64::new(u64::MAX)),
            next_segment: AtomicU64::new(next_segment),
            changing: tokio::sync::Mutex::default(),
            unpublished: tokio::sync::Mutex::default(),
            void_manifests: std::sync::Mutex::default(),
        };
        keeper.look_for_room();
        let mut recovery = replay(&keeper, &files, &cannot_use).await?;
        recovery.damage.extend(damage);
        let log = LogWriter::start(files, settings.durability).map_err(cannot_use)?;
        let inner = Inner {
            settings,
            view,
            objects,
            log,
            wake: Arc::clone(&keeper.wake),
            wake_merger: Arc::clone(&keeper.wake_merger),
            free_bytes: Arc::clone(&keeper.free_bytes),
            is_closing: Arc::default(),
            has_ended: Arc::default(),
            threads: Mutex::default(),
            counters: Arc::default(),
            last_failure: Arc::default(),
            lock: Mutex::new(Some(lock)),
        };
        inner.start(keeper).map_err(cannot_use)?;
        Ok((Self(Arc::new(inner)), recovery))
    }

    /// Appends a request's spans; returns when they are durable. They may be seen a little before.
    pub async fn append(&self, request: Request<'_>) -> Result<Appended, AppendError> {
        let inner = &self.0;
        let result = inner.append(request).await;
        let counters = &inner.counters;
        let add = |counter: &AtomicU64, count: u64| counter.fetch_add(count, Ordering::Relaxed);
        match &result {
            Ok(appended) => {
                add(&counters.requests, 1);
                add(&counters.spans, appended.spans);
                add(&counters.late_spans, appended.late);
                add(&counters.rejected_spans, appended.rejected);
            }
            Err(AppendError::Malformed(_) | AppendError::TooLarge(_)) => {}
            Err(AppendError::Busy { .. } | AppendError::Unavailable { .. }) => {
                add(&counters.refused_requests, 1);
            }
        }
        result
    }

    /// What the store has done and holds.
    pub fn readings(&self) -> Readings {
        let inner = &self.0;
        let counters = &inner.counters;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (log_syncs, log_bytes) = inner.log.written();
        let parts = inner.view.read();
        let metas = || parts.segments.iter().map(|segment| &segment.meta);
        let head = parts.closed.iter().chain([&parts.open]);
        Readings {
            requests: count(&counters.requests),
            spans: count(&counters.spans),
            late_spans: count(&counters.late_spans),
            rejected_spans: count(&counters.rejected_spans),
            refused_requests: count(&counters.refused_requests),
            keeping_failures: count(&counters.keeping_failures),
            log_syncs,
            log_bytes,
            unflushed_bytes: parts.unflushed_bytes(),
            head_spans: head.map(|generation| generation.spans()).sum(),
            segments: parts.segments.len() as u64,
            segment_bytes: metas().map(|meta| meta.bytes).sum(),
            segment_spans: metas().map(|meta| meta.spans).sum(),
        }
    }

    /// The last failure of housekeeping, in words; `None` where there was none.
    pub fn last_failure(&self) -> Option<String> {
        let last = self.0.last_failure.lock();
        last.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether requests can be taken in; else why not, in words. What is only a matter of a moment does not count.
    pub fn accepting(&self) -> Result<(), String> {
        self.0.accepting()
    }

    pub(crate) fn view(&self) -> &View {
        &self.0.view
    }

    pub(crate) fn objects(&self) -> &Objects {
        &self.0.objects
    }

    /// Refuses further requests and moves what was accepted into segments. Blocks until that is done.
    pub fn close(&self) {
        self.0.close();
    }
}

impl Inner {
    /// Starts housekeeping: one thread moves the head into segments, the other merges these.
    fn start(&self, keeper: Keeper) -> io::Result<()> {
        let keeper = Arc::new(keeper);
        for name in ["keeper", "merger"] {
            let keeper = Arc::clone(&keeper);
            let is_closing = Arc::clone(&self.is_closing);
            let counters = Arc::clone(&self.counters);
            let last_failure = Arc::clone(&self.last_failure);
            let has_ended = Arc::clone(&self.has_ended);
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let run = move || {
                let failed = |error: &KeepError| {
                    counters.keeping_failures.fetch_add(1, Ordering::Relaxed);
                    let mut last = last_failure.lock().unwrap_or_else(PoisonError::into_inner);
                    *last = Some(with_sources(error));
                };
                let is_closing = || is_closing.load(Ordering::Acquire);
                let work = AssertUnwindSafe(|| match name {
                    "keeper" => runtime.block_on(keeper.keep(is_closing, failed)),
                    _ => runtime.block_on(keeper.merge(is_closing, failed)),
                });
                if std::panic::catch_unwind(work).is_err() {
                    counters.keeping_failures.fetch_add(1, Ordering::Relaxed);
                    has_ended.store(true, Ordering::Release);
                }
            };
            let thread = std::thread::Builder::new()
                .name(name.to_owned())
                .spawn(run)?;
            let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
            threads.push(thread);
        }
        Ok(())
    }

    async fn append(&self, request: Request<'_>) -> Result<Appended, AppendError> {
        let unavailable = |reason: String| AppendError::Unavailable {
            reason,
            retry_after: RETRY_AFTER,
        };
        self.accepting().map_err(unavailable)?;
        self.refuse_if_full()?;
        let compressed;
        let zstd = match request.zstd {
            Some(zstd) => zstd,
            None => {
                compressed = compress(request.bytes).map_err(|e| unavailable(e.to_string()))?;
                &compressed
            }
        };
        let settle_ns = i64::try_from(self.settings.settle.as_nanos()).unwrap_or(i64::MAX);
        let late_before_ns = u64::try_from(now_ns().saturating_sub(settle_ns)).unwrap_or(0);
        let ((decoded, late), durable, is_full) = {
            // While this is held the generation stays open, and its part of the log too.
            let parts = self.view.read();
            let limit_bytes = column_bytes(request.bytes.len());
            let (encoding, bytes) = (request.encoding, request.bytes);
            let decoded = parts
                .open
                .decode(encoding, bytes, limit_bytes, late_before_ns)?;
            let record = Record {
                encoding: request.encoding,
                zstd,
                plain_bytes: request.bytes.len(),
            };
            let durable = self.log.append(parts.open.number, &record);
            (
                decoded,
                durable,
                parts.open.bytes() >= self.settings.head_bytes,
            )
        };
        if is_full {
            self.wake.notify_one();
        }
        match durable.await {
            Ok(Ok(())) => Ok(Appended {
                spans: decoded.spans,
                late,
                rejected: decoded.rejected,
                first_rejection: decoded.first_rejection,
            }),
            Ok(Err(error)) => Err(unavailable(error.to_string())),
            Err(_) => Err(unavailable(LogError::Closing.to_string())),
        }
    }

    /// Whether requests can be taken in at all; else why not.
    fn accepting(&self) -> Result<(), String> {
        if self.is_closing.load(Ordering::Acquire) {
            return Err(LogError::Closing.to_string());
        }
        if self.has_ended.load(Ordering::Acquire) {
            return Err("housekeeping has ended by a bug; start the process again".to_owned());
        }
        let free = self.free_bytes.load(Ordering::Relaxed);
        if free < self.settings.min_free_bytes {
            return Err(format!(
                "the disk has {free} bytes left, and {} must stay free; make room, or let spans go earlier",
                self.settings.min_free_bytes
            ));
        }
        Ok(())
    }

    /// Refuses while housekeeping lags behind. Requests that are on their way at the same time may pass the bound, each
    /// by its own bytes.
    fn refuse_if_full(&self) -> Result<(), AppendError> {
        let unflushed = self.view.read().unflushed_bytes();
        if unflushed < self.settings.max_unflushed_bytes {
            return Ok(());
        }
        self.wake.notify_one();
        Err(AppendError::Busy {
            reason: format!(
                "{unflushed} bytes of requests wait to be moved into segments, and {} may",
                self.settings.max_unflushed_bytes
            ),
            retry_after: RETRY_AFTER,
        })
    }

    fn close(&self) {
        self.is_closing.store(true, Ordering::Release);
        self.log.close();
        self.wake.notify_one();
        self.wake_merger.notify_one();
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A panic there is reported where it happens.
            let _ = thread.join();
        }
        self.lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

/// What the columns of a request of this many bytes may take in memory. Spans of real producers take about as much there
/// as they do in a request, and less; only a request that was made for it takes thousands of times as much.
fn column_bytes(request_bytes: usize) -> usize {
    COLUMN_BYTES.saturating_add(request_bytes.saturating_mul(COLUMN_BYTES_PER_BYTE))
}

fn compress(bytes: &[u8]) -> io::Result<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|compressor| {
        let (compressor, buffer) = match compressor {
            Some(compressor) => compressor,
            none => none.insert((zstd::bulk::Compressor::new(LOG_LEVEL)?, Vec::new())),
        };
        buffer.clear();
        buffer.reserve(zstd::zstd_safe::compress_bound(bytes.len()));
        compressor.compress_to_buffer(bytes, buffer)?;
        let compressed = buffer.as_slice().to_vec();
        if buffer.capacity() > KEPT_BYTES {
            *buffer = Vec::new();
        }
        Ok(compressed)
    })
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
