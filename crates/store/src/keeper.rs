//! The store's housekeeping: closes generations of the head, moves them into segments, merges segments, and removes what
//! is too old.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use object_store::path::Path;
use parquet::errors::ParquetError;
use thiserror::Error;
use tokio::sync::{Mutex, Notify};

use crate::gather::{joint_schema, write_sorted};
use crate::head::Generation;
use crate::log::LogFiles;
use crate::manifest::{ManifestError, SegmentMeta};
use crate::narrow::{narrow, narrow_schema, values};
use crate::objects::Objects;
use crate::segment::{Segment, Written, merge};
use crate::settings::Settings;
use crate::view::{Parts, View};

/// Segments that are merged into one.
const MERGED: usize = 8;
/// zstd levels of segments from the head and of merged ones.
const LEVEL: i32 = 1;
const MERGED_LEVEL: i32 = 1;
/// How long to wait after a failure.
const AFTER_FAILURE: Duration = Duration::from_millis(if cfg!(test) { 5 } else { 1_000 });

/// Why housekeeping stopped where it did. It goes on after a while.
#[derive(Debug, Error)]
pub enum KeepError {
    /// A segment cannot be written or read.
    #[error("a segment cannot be written or read")]
    Segment(#[from] ParquetError),
    /// Storage failed.
    #[error("storage failed")]
    Storage(#[from] object_store::Error),
    /// The manifest cannot be published.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The log cannot be cut.
    #[error("the log cannot be cut")]
    Log(#[from] std::io::Error),
}

impl From<arrow_schema::ArrowError> for KeepError {
    fn from(error: arrow_schema::ArrowError) -> Self {
        Self::Segment(error.into())
    }
}

/// What housekeeping works on. Two threads do it, so that moving the head never waits for a merge.
pub(crate) struct Keeper {
    pub(crate) settings: Settings,
    pub(crate) objects: Objects,
    pub(crate) log: LogFiles,
    pub(crate) view: Arc<View>,
    /// Told when the head is full, or the store closes.
    pub(crate) wake: Arc<Notify>,
    /// Told when there is another segment, or the store closes.
    pub(crate) wake_merger: Arc<Notify>,
    pub(crate) shards: usize,
    /// Free bytes of the disk, when it was last looked at.
    pub(crate) free_bytes: Arc<AtomicU64>,
    /// The number of the next segment: given out once, whatever becomes of it.
    pub(crate) next_segment: AtomicU64,
    /// Held while the manifest changes.
    pub(crate) changing: Mutex<()>,
    /// The segment of a generation that is in no manifest yet, since that could not be published.
    pub(crate) unpublished: Mutex<Option<(u64, Arc<Segment>)>>,
    /// Manifests that count no more and are to be removed.
    pub(crate) void_manifests: std::sync::Mutex<Vec<Path>>,
}

impl Keeper {
    /// Moves the head into segments and lets go of old ones, until `is_closing` says so; all of the head at the end.
    pub(crate) async fn keep(&self, is_closing: impl Fn() -> bool, failed: impl Fn(&KeepError)) {
        loop {
            let is_last = is_closing();
            self.look_for_room();
            self.close_generation(is_last);
            let result = self.flush_and_retain().await;
            if let Err(error) = &result {
                failed(error);
            }
            if is_last {
                return;
            }
            let pause = match result {
                Ok(()) => self.settings.head_age / 4,
                Err(_) => AFTER_FAILURE,
            };
            // Woken early, or not: either way there may be something to do. But after a failure there is no hurry,
            // however many requests knock.
            let began = Instant::now();
            loop {
                let left = pause.saturating_sub(began.elapsed());
                let woken = tokio::time::timeout(left, self.wake.notified()).await;
                if woken.is_err() || result.is_ok() || is_closing() {
                    break;
                }
            }
        }
    }

    /// Merges segments until `is_closing` says so.
    pub(crate) async fn merge(&self, is_closing: impl Fn() -> bool, failed: impl Fn(&KeepError)) {
        // Segments that could not be merged: others still can.
        let mut avoided = Vec::new();
        while !is_closing() {
            match self.merge_some(&mut avoided).await {
                Ok(true) => {}
                Ok(false) => self.wake_merger.notified().await,
                Err(error) => {
                    failed(&error);
                    let woken = self.wake_merger.notified();
                    let _ = tokio::time::timeout(AFTER_FAILURE, woken).await;
                }
            }
        }
    }

    /// Notes whether the disk has room for more requests.
    pub(crate) fn look_for_room(&self) {
        // Where that cannot be told, writing will tell.
        let free = rustix::fs::statvfs(&self.settings.data_dir)
            .map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        self.free_bytes.store(free, Ordering::Relaxed);
    }

    /// Opens a new generation where the open one is full, old, or the last.
    fn close_generation(&self, is_last: bool) {
        let mut parts = self.view.write();
        let is_due = parts.open.bytes() >= self.settings.head_bytes
            || parts.open.began.elapsed() >= self.settings.head_age;
        if parts.open.bytes() > 0 && (is_due || is_last) {
            let next = Arc::new(Generation::new(parts.open.number + 1, self.shards));
            let closed = std::mem::replace(&mut parts.open, next);
            parts.closed.push(closed);
        }
    }

    async fn flush_and_retain(&self) -> Result<(), KeepError> {
        // First what makes room: a full disk may be why the rest fails.
        let removed = self.remove_gone().await;
        let retained = self.retain().await;
        self.flush().await?;
        removed.and(retained)
    }

    /// Moves closed generations into segments, and cuts the log.
    pub(crate) async fn flush(&self) -> Result<(), KeepError> {
        loop {
            let Some(generation) = self.view.read().closed.first().cloned() else {
                return Ok(());
            };
            // What was written before and could not be published then.
            let mut unpublished = self.unpublished.lock().await;
            let added = match unpublished.as_ref() {
                Some((of, segment)) if *of == generation.number => Some(Arc::clone(segment)),
                _ => self.write(&generation).await?,
            };
            *unpublished = added.clone().map(|added| (generation.number, added));
            drop(unpublished);
            self.change(|parts| {
                parts.manifest.generation = generation.number;
                parts.segments.extend(added);
                parts.closed.remove(0);
            })
            .await?;
            self.wake_merger.notify_one();
            self.log.remove(generation.number)?;
        }
    }

    /// Writes the spans of a generation; `None` where it has none.
    async fn write(&self, generation: &Generation) -> Result<Option<Arc<Segment>>, KeepError> {
        let mut batches = generation.batches();
        let schemas: Vec<_> = batches.iter().map(|b| b.record_batch().schema()).collect();
        let values = values(&schemas, &batches);
        let weights = values.iter().map(|(field, values)| (&**field, *values));
        if let Some(narrower) = narrow_schema(&joint_schema(&schemas), weights)
            && let Some(narrowed) = narrow(&batches, &narrower)
        {
            batches = narrowed;
        }
        let written = write_sorted(&batches, LEVEL)?;
        Ok(match written.spans {
            0 => None,
            _ => Some(self.put(written).await?),
        })
    }

    /// Writes a segment, which counts when a manifest has it.
    async fn put(&self, written: Written) -> Result<Arc<Segment>, KeepError> {
        let meta = SegmentMeta {
            number: self.next_segment.fetch_add(1, Ordering::Relaxed),
            spans: written.spans,
            bytes: written.file.len() as u64,
            first_start_ns: written.first_start_ns,
            last_start_ns: written.last_start_ns,
            written_ns: now_ns(),
        };
        self.objects.create(&meta.path(), written.file).await?;
        Ok(Arc::new(Segment::new(meta, self.objects.clone())))
    }

    /// Changes what there is: a manifest is published first, then readers see it, in one step. Nothing is changed where
    /// that fails.
    async fn change(&self, change: impl FnOnce(&mut Parts)) -> Result<(), KeepError> {
        let _held = self.changing.lock().await;
        let mut next = self.view.read().clone();
        change(&mut next);
        next.manifest.next_segment = self.next_segment.load(Ordering::Relaxed);
        next.manifest.segments = next.segments.iter().map(|s| s.meta.clone()).collect();
        let void = next.manifest.publish(&self.objects).await?;
        self.void_manifests().extend(void);
        let mut parts = self.view.write();
        // What was open may have been closed in the meantime, and another one opened.
        let since = parts
            .closed
            .iter()
            .filter(|of| of.number >= next.open.number);
        next.closed.extend(since.cloned());
        next.open = Arc::clone(&parts.open);
        *parts = next;
        Ok(())
    }

    /// Merges some segments that are next to each other and alike in size; `false` where there are none.
    async fn merge_some(&self, avoided: &mut Vec<u64>) -> Result<bool, KeepError> {
        let segments = self.view.read().segments.clone();
        let limit = self.settings.segment_bytes;
        let size = |segment: &Arc<Segment>| {
            if avoided.contains(&segment.meta.number) {
                limit.saturating_mul(2)
            } else {
                segment.meta.bytes
            }
        };
        let sizes: Vec<u64> = segments.iter().map(size).collect();
        let Some(range) = mergeable(&sizes, limit) else {
            return Ok(false);
        };
        let merged = &segments[range];
        let written = match merge(merged, MERGED_LEVEL).await {
            Ok(Some(written)) => written,
            cannot => {
                // Nor could they be another time.
                avoided.extend(merged.iter().map(|segment| segment.meta.number));
                return cannot.map(|_| true).map_err(KeepError::from);
            }
        };
        let added = self.put(written).await?;
        let is_merged = |of: &Arc<Segment>| merged.iter().any(|m| Arc::ptr_eq(m, of));
        self.change(|parts| {
            // Some may have gone since, for their age; then so does what was merged of them, in time.
            let place = parts.segments.iter().position(is_merged);
            let number = parts.manifest.number + 1;
            let replaced = parts.segments.extract_if(.., |of| is_merged(of));
            parts.gone.extend(replaced.map(|segment| (number, segment)));
            match place {
                // It stands where its parts were: in order of time.
                Some(place) => parts.segments.insert(place, added),
                None => parts.gone.push((number, added)),
            }
        })
        .await?;
        Ok(true)
    }

    /// Lets go of segments that are too old, or too many.
    async fn retain(&self) -> Result<(), KeepError> {
        let age = self.settings.retention_age;
        let age_ns = age.map(|age| i64::try_from(age.as_nanos()).unwrap_or(i64::MAX));
        let oldest_ns = age_ns.map(|age_ns| now_ns().saturating_sub(age_ns));
        let is_old = |meta: &SegmentMeta| {
            oldest_ns.is_some_and(|oldest_ns| meta.last_believed_ns() < oldest_ns)
        };
        let most = self.settings.retention_bytes.unwrap_or(u64::MAX);
        let goes = |segments: &[Arc<Segment>]| -> Vec<u64> {
            let mut bytes: u64 = segments.iter().map(|s| s.meta.bytes).sum();
            let mut numbers = Vec::new();
            for meta in segments.iter().map(|s| &s.meta) {
                if is_old(meta) || bytes > most {
                    bytes -= meta.bytes;
                    numbers.push(meta.number);
                }
            }
            numbers
        };
        if goes(&self.view.read().segments).is_empty() {
            return Ok(());
        }
        self.change(|parts| {
            let numbers = goes(&parts.segments);
            let number = parts.manifest.number + 1;
            let goes = |s: &mut Arc<Segment>| numbers.contains(&s.meta.number);
            let gone = parts.segments.extract_if(.., goes);
            parts.gone.extend(gone.map(|segment| (number, segment)));
        })
        .await
    }

    fn void_manifests(&self) -> std::sync::MutexGuard<'_, Vec<Path>> {
        let void = self.void_manifests.lock();
        void.unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes manifests that count no more, and the objects of segments that are no longer part of the store, as soon as
    /// nobody reads them and neither of the two manifests that are kept names them.
    async fn remove_gone(&self) -> Result<(), KeepError> {
        loop {
            let Some(path) = self.void_manifests().last().cloned() else {
                break;
            };
            self.objects.remove(&path).await?;
            self.void_manifests().retain(|other| *other != path);
        }
        let unread: Vec<Arc<Segment>> = {
            let _held = self.changing.lock().await;
            let mut parts = self.view.write();
            let newest = parts.manifest.number;
            let is_unread = |(since, segment): &mut (u64, Arc<Segment>)| {
                *since < newest && Arc::strong_count(segment) == 1
            };
            let unread = parts.gone.extract_if(.., is_unread);
            unread.map(|(_, segment)| segment).collect()
        };
        for segment in unread {
            // What fails here is removed when the store is opened the next time.
            self.objects.remove(&segment.meta.path()).await?;
        }
        Ok(())
    }
}

/// Nanoseconds since the epoch.
pub(crate) fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    })
}

/// Eight segments next to each other, together the smallest, that give one no larger than a quarter above the limit; not
/// if one of them is most of it, which would be written again and again.
fn mergeable(sizes: &[u64], limit: u64) -> Option<std::ops::Range<usize>> {
    let sum = |first: &usize| sizes[*first..first + MERGED].iter().sum::<u64>();
    let fits = |first: &usize| {
        let largest = sizes[*first..first + MERGED].iter().max();
        let sum = sum(first);
        sum <= limit + limit / 4 && largest.is_some_and(|largest| largest * 2 <= sum)
    };
    let firsts = 0..(sizes.len() + 1).saturating_sub(MERGED);
    let first = firsts.filter(fits).min_by_key(sum)?;
    Some(first..first + MERGED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_of_like_size_are_merged_until_they_are_large() {
        assert_eq!(mergeable(&[10; 7], 1_000), None);
        assert_eq!(mergeable(&[10; 9], 1_000), Some(0..8));
        assert_eq!(mergeable(&[200; 8], 1_000), None, "too large together");
        let mixed = [[900].as_slice(), &[10; 8]].concat();
        assert_eq!(mergeable(&mixed, 1_000), Some(1..9));
        let one_is_most = [[100].as_slice(), &[10; 7]].concat();
        assert_eq!(mergeable(&one_is_most, 1_000), None);
    }

    #[test]
    fn a_span_is_written_a_few_times_only() {
        let (mut sizes, mut written, limit) = (Vec::new(), 0, 1_000_000);
        for _ in 0..4_096 {
            sizes.extend([10]);
            while let Some(range) = mergeable(&sizes, limit) {
                let merged: u64 = sizes[range.clone()].iter().sum();
                written += merged;
                sizes.splice(range, [merged]);
            }
        }
        assert!(sizes.len() < 40, "{sizes:?}");
        assert!(written <= 8 * 40_960, "{written}");
    }
}
