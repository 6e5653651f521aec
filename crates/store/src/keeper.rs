//! The store's housekeeping, on a thread of its own: closes generations of the head, moves them into segments, merges
//! segments, and removes what is too old.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parquet::errors::ParquetError;
use thiserror::Error;
use tokio::sync::Notify;

use crate::gather::joint_schema;
use crate::head::Generation;
use crate::log::LogFiles;
use crate::manifest::{Manifest, ManifestError, SegmentMeta};
use crate::objects::Objects;
use crate::segment::{Segment, SegmentWriter, Written, merge, sorted};
use crate::settings::Settings;
use crate::view::View;

/// Segments that are merged into one.
const MERGED: usize = 8;
/// zstd levels of segments from the head and of merged ones.
const LEVEL: i32 = 1;
const MERGED_LEVEL: i32 = 3;
/// How long to wait after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

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

/// What housekeeping works on.
pub(crate) struct Keeper {
    pub(crate) settings: Settings,
    pub(crate) objects: Objects,
    pub(crate) log: LogFiles,
    pub(crate) view: Arc<View>,
    /// Told when the head is full.
    pub(crate) wake: Arc<Notify>,
    pub(crate) shards: usize,
    /// Free bytes of the disk, when it was last looked at.
    pub(crate) free_bytes: Arc<AtomicU64>,
}

impl Keeper {
    /// Works until `is_closing` says so, and moves all of the head into segments at the end.
    pub(crate) async fn run(
        &self,
        is_closing: impl Fn() -> bool,
        mut failed: impl FnMut(&KeepError),
    ) {
        loop {
            let is_last = is_closing();
            self.look_for_room();
            self.close_generation(is_last);
            let mut pause = self.settings.head_age / 4;
            if let Err(error) = self.keep().await {
                failed(&error);
                pause = AFTER_FAILURE;
            }
            if is_last {
                return;
            }
            // Woken early, or not: either way there may be something to do.
            let _ = tokio::time::timeout(pause, self.wake.notified()).await;
        }
    }

    /// Notes whether the disk has room for more requests.
    pub(crate) fn look_for_room(&self) {
        // Where that cannot be told, writing will tell.
        let free = rustix::fs::statvfs(&self.settings.data_dir)
            .map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        self.free_bytes.store(free, Ordering::Relaxed);
    }

    async fn keep(&self) -> Result<(), KeepError> {
        self.flush().await?;
        self.retain(now_ns()).await?;
        while self.merge_some().await? {
            self.flush().await?;
        }
        self.remove_gone().await
    }

    /// Opens a new generation where the open one is full, old, or the last.
    pub(crate) fn close_generation(&self, is_last: bool) {
        let mut parts = self.view.write();
        let is_due = parts.open.bytes() >= self.settings.head_bytes
            || parts.open.began.elapsed() >= self.settings.head_age;
        if parts.open.bytes() > 0 && (is_due || is_last) {
            let next = Arc::new(Generation::new(parts.open.number + 1, self.shards));
            let closed = std::mem::replace(&mut parts.open, next);
            parts.closed.push(closed);
        }
    }

    /// Moves closed generations into segments, and cuts the log.
    pub(crate) async fn flush(&self) -> Result<(), KeepError> {
        loop {
            let (generation, mut manifest) = {
                let parts = self.view.read();
                let Some(first) = parts.closed.first() else {
                    return Ok(());
                };
                (Arc::clone(first), parts.manifest.clone())
            };
            let batches = generation.batches();
            let schemas: Vec<_> = batches.iter().map(|b| b.record_batch().schema()).collect();
            let schema = joint_schema(&schemas);
            let mut writer = SegmentWriter::new(Arc::clone(&schema), LEVEL)?;
            sorted(&schema, &batches, |spans| writer.write(&spans))?;
            drop(batches);
            let written = writer.finish()?;
            let mut added = None;
            if written.spans > 0 {
                added = Some(self.add(&mut manifest, written).await?);
            }
            manifest.generation = generation.number;
            manifest.publish(&self.objects).await?;
            {
                let mut parts = self.view.write();
                parts.manifest = manifest;
                parts.segments.extend(added);
                parts.closed.remove(0);
            }
            self.log.remove(generation.number)?;
        }
    }

    /// Writes a segment, which the manifest has then; it counts when that is published.
    async fn add(
        &self,
        manifest: &mut Manifest,
        written: Written,
    ) -> Result<Arc<Segment>, KeepError> {
        let meta = SegmentMeta {
            number: manifest.next_segment,
            spans: written.spans,
            bytes: written.file.len() as u64,
            first_start_ns: written.first_start_ns,
            last_start_ns: written.last_start_ns,
            written_ns: now_ns(),
        };
        // What was left half-way by an attempt that failed has the same name.
        self.objects.remove(&meta.path()).await?;
        self.objects.create(&meta.path(), written.file).await?;
        manifest.next_segment += 1;
        manifest.segments.push(meta.clone());
        Ok(Arc::new(Segment::new(meta, self.objects.clone())))
    }

    /// Merges some segments that are next to each other and alike in size; `false` where there are none.
    async fn merge_some(&self) -> Result<bool, KeepError> {
        let (mut manifest, segments) = {
            let parts = self.view.read();
            (parts.manifest.clone(), parts.segments.clone())
        };
        let sizes: Vec<u64> = segments.iter().map(|s| s.meta.bytes).collect();
        let Some(range) = mergeable(&sizes, self.settings.segment_bytes) else {
            return Ok(false);
        };
        let merged = &segments[range.clone()];
        let written = merge(merged, MERGED_LEVEL).await?;
        let is_merged = |number: u64| merged.iter().any(|s| s.meta.number == number);
        manifest.segments.retain(|meta| !is_merged(meta.number));
        let added = self.add(&mut manifest, written).await?;
        // It stands where its parts were: in order of time.
        if let Some(meta) = manifest.segments.pop() {
            manifest.segments.insert(range.start, meta);
        }
        manifest.publish(&self.objects).await?;
        let mut parts = self.view.write();
        parts.manifest = manifest;
        let replaced: Vec<_> = parts.segments.splice(range, [added]).collect();
        parts.gone.extend(replaced);
        Ok(true)
    }

    /// Lets go of segments that are too old, or too many.
    async fn retain(&self, now_ns: i64) -> Result<(), KeepError> {
        let age = self.settings.retention_age;
        let age_ns = age.map(|age| i64::try_from(age.as_nanos()).unwrap_or(i64::MAX));
        let mut manifest = self.view.read().manifest.clone();
        let before = manifest.segments.len();
        let oldest_ns = age_ns.map(|age_ns| now_ns.saturating_sub(age_ns));
        manifest
            .segments
            .retain(|meta| oldest_ns.is_none_or(|oldest_ns| meta.last_believed_ns() >= oldest_ns));
        if let Some(most) = self.settings.retention_bytes {
            let mut bytes: u64 = manifest.segments.iter().map(|meta| meta.bytes).sum();
            manifest.segments.retain(|meta| {
                let stays = bytes <= most;
                bytes -= if stays { 0 } else { meta.bytes };
                stays
            });
        }
        if manifest.segments.len() == before {
            return Ok(());
        }
        manifest.publish(&self.objects).await?;
        let mut parts = self.view.write();
        let kept = |segment: &Arc<Segment>| {
            let mut metas = manifest.segments.iter();
            metas.any(|meta| meta.number == segment.meta.number)
        };
        let (segments, gone) = std::mem::take(&mut parts.segments)
            .into_iter()
            .partition(kept);
        let gone: Vec<Arc<Segment>> = gone;
        parts.segments = segments;
        parts.gone.extend(gone);
        parts.manifest = manifest;
        Ok(())
    }

    /// Removes the objects of segments that are no longer part of the store, as soon as nobody reads them.
    async fn remove_gone(&self) -> Result<(), KeepError> {
        let unread: Vec<Arc<Segment>> = {
            let mut parts = self.view.write();
            let is_read = |segment: &Arc<Segment>| Arc::strong_count(segment) > 1;
            let (read, unread) = std::mem::take(&mut parts.gone)
                .into_iter()
                .partition(is_read);
            parts.gone = read;
            unread
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
