//! What there is at one moment: segments, generations on their way into one, and the open one.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tracediff_core::model::SpanBatch;

use crate::head::Generation;
use crate::keeper::now_ns;
use crate::manifest::Manifest;
use crate::segment::Segment;

/// The parts of the store. Every change of them is one step for whoever reads.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    /// The one that was published last.
    pub(crate) manifest: Manifest,
    /// Those of the manifest.
    pub(crate) segments: Vec<Arc<Segment>>,
    /// Segments that manifests have no more from this number on, and that somebody may still read.
    pub(crate) gone: Vec<(u64, Arc<Segment>)>,
    /// Generations that are closed and in no segment yet, oldest first.
    pub(crate) closed: Vec<Arc<Generation>>,
    pub(crate) open: Arc<Generation>,
}

/// The parts, shared.
#[derive(Debug)]
pub(crate) struct View(RwLock<Parts>);

impl View {
    pub(crate) fn new(parts: Parts) -> Self {
        Self(RwLock::new(parts))
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Parts> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Parts> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Segments and spans of the head, as they are now. No span is in both.
    pub(crate) fn snapshot(&self) -> (Vec<Arc<Segment>>, Vec<SpanBatch>) {
        let parts = self.read();
        let head = parts.closed.iter().chain([&parts.open]);
        let batches = head.flat_map(|generation| generation.batches()).collect();
        (parts.segments.clone(), batches)
    }
}

impl Parts {
    /// Earliest and latest start that can be believed of a span, in nanoseconds since the epoch.
    pub(crate) fn extent_ns(&self) -> Option<(i64, i64)> {
        let of_segments = self
            .segments
            .iter()
            .map(|segment| (segment.meta.first_start_ns, segment.meta.last_believed_ns()));
        let head = self.closed.iter().chain([&self.open]);
        let of_head = head.filter_map(|generation| generation.extent_ns());
        let (first_ns, last_ns) = of_segments
            .chain(of_head)
            .reduce(|(first, last), (a, b)| (first.min(a), last.max(b)))?;
        Some((first_ns, last_ns.min(now_ns().max(first_ns))))
    }

    /// Bytes of requests that are in no segment yet.
    pub(crate) fn unflushed_bytes(&self) -> u64 {
        let closed: u64 = self
            .closed
            .iter()
            .map(|generation| generation.bytes())
            .sum();
        closed + self.open.bytes()
    }
}
