//! From a request's body to durable spans: the way that all protocols share.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use bytes::Bytes;
use tokio::time::Instant;
use tracediff_store::{Appended, Encoding, Request, Store};

use crate::access::{Guard, Role};
use crate::body;
use crate::compression::{Compression, Plain, decompress};
use crate::config::Limits;
use crate::memory::{Memory, Share};
use crate::metrics::{Channel, Metrics};
use crate::refusal::Refusal;

/// Where requests with spans go. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Intake {
    store: Store,
    memory: Memory,
    metrics: Arc<Metrics>,
    pub(crate) limits: Arc<Limits>,
    guard: Guard,
}

/// A body that was read.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) bytes: Bytes,
    share: Share,
}

impl Intake {
    pub(crate) fn new(
        store: Store,
        memory: Memory,
        metrics: Arc<Metrics>,
        limits: Arc<Limits>,
        guard: Guard,
    ) -> Self {
        Self {
            store,
            memory,
            metrics,
            limits,
            guard,
        }
    }

    /// Whether who sends these headers may send spans.
    pub(crate) async fn admit(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        Ok(self.guard.check(headers, Role::Ingest).await?)
    }

    /// Reads a body that has `overhead_bytes` beside the request.
    pub(crate) async fn read(
        &self,
        channel: Channel,
        body: &mut Body,
        compression: Compression,
        overhead_bytes: usize,
    ) -> Result<Received, Refusal> {
        let limit_bytes = match compression {
            Compression::Identity => self.limits.decompressed_bytes,
            Compression::Gzip | Compression::Zstd => self.limits.compressed_bytes,
        };
        let mut share = self.memory.share();
        let allowed = limit_bytes.saturating_add(overhead_bytes);
        let bytes = body::read(body, allowed, &self.limits, &mut share)
            .await
            .map_err(|refusal| match refusal {
                // The producer is told of its request, not of what is around it.
                Refusal::TooLarge { decompressed, .. } => Refusal::TooLarge {
                    limit_bytes,
                    decompressed,
                },
                other => other,
            })?;
        self.metrics.received(channel, bytes.len());
        Ok(Received { bytes, share })
    }

    /// Appends the request that a body holds; its spans are durable when this returns.
    pub(crate) async fn append(
        &self,
        encoding: Encoding,
        compression: Compression,
        received: Received,
    ) -> Result<Appended, Refusal> {
        // The share is held until the end: it is what the bytes take.
        let (plain, _share) = self.decompress(compression, received).await?;
        let request = Request {
            encoding,
            bytes: &plain.bytes,
            zstd: plain.zstd.as_deref(),
        };
        Ok(self.store.append(request).await?)
    }

    async fn decompress(
        &self,
        compression: Compression,
        received: Received,
    ) -> Result<(Plain, Share), Refusal> {
        let limit_bytes = self.limits.decompressed_bytes;
        let Received { bytes, mut share } = received;
        let work = move || {
            let plain = decompress(compression, bytes, limit_bytes, &mut share)?;
            Ok((plain, share))
        };
        if compression == Compression::Identity {
            return work();
        }
        // A few megabytes take milliseconds, which other connections should not have to wait for.
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|_| Err(stopping()))
    }

    /// Counts an answer.
    pub(crate) fn answered(
        &self,
        channel: Channel,
        started: Instant,
        outcome: &Result<Appended, Refusal>,
    ) {
        let status = match outcome {
            Ok(appended) if appended.rejected > 0 => "partial",
            Ok(_) => "ok",
            Err(refusal) => refusal.word(),
        };
        self.metrics.answered(channel, status, started.elapsed());
    }
}

/// Work that was given up: the runtime does so only when the process ends.
fn stopping() -> Refusal {
    Refusal::Unavailable {
        reason: "the process is stopping".to_owned(),
        retry_after: Duration::from_secs(1),
    }
}

/// What a producer is told of the spans that were left out; empty where there are none.
pub(crate) fn rejection_message(appended: &Appended) -> String {
    match &appended.first_rejection {
        None => String::new(),
        Some(first) => format!(
            "{} left out because of ids that are not valid; the first at {first}",
            if appended.rejected == 1 {
                "a span was"
            } else {
                "spans were"
            },
        ),
    }
}
