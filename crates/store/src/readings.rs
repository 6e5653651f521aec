//! What the store tells of itself, for metrics.

use std::sync::atomic::AtomicU64;

/// What the store has done since it was opened, and what it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Readings {
    /// Requests accepted.
    pub requests: u64,
    /// Spans accepted.
    pub spans: u64,
    /// Accepted spans that had ended longer ago than the settle time: who looked at their window before has missed them.
    pub late_spans: u64,
    /// Spans left out of accepted requests since their ids are not valid.
    pub rejected_spans: u64,
    /// Requests refused since a bound was reached or the log could not be written.
    pub refused_requests: u64,
    /// Syncs of the log.
    pub log_syncs: u64,
    /// Bytes written to the log.
    pub log_bytes: u64,
    /// Bytes of requests that are in no segment yet.
    pub unflushed_bytes: u64,
    /// Spans that are in no segment yet.
    pub head_spans: u64,
    /// Segments.
    pub segments: u64,
    /// Their bytes.
    pub segment_bytes: u64,
    /// Their spans.
    pub segment_spans: u64,
    /// Failures of housekeeping.
    pub keeping_failures: u64,
}

/// What is counted on the way.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) requests: AtomicU64,
    pub(crate) spans: AtomicU64,
    pub(crate) late_spans: AtomicU64,
    pub(crate) rejected_spans: AtomicU64,
    pub(crate) refused_requests: AtomicU64,
    pub(crate) keeping_failures: AtomicU64,
}
