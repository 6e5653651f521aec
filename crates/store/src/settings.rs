//! Where spans are kept, how durable they are, and what bounds them.

use std::path::PathBuf;
use std::time::Duration;

/// When a request is acknowledged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// When its bytes are synced to disk: nothing that was acknowledged is lost, whatever happens to the machine.
    #[default]
    Fsync,
    /// When they are written; they are synced that much later at most. A machine that loses power loses them, a process
    /// that is killed does not.
    Interval(Duration),
    /// When they are written; syncing is left to the operating system.
    None,
}

/// Where and how spans are kept.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder of log and segments.
    pub data_dir: PathBuf,
    /// A bucket that segments are kept in instead, as `s3://BUCKET/PREFIX`. Where there is none, they are where the folder
    /// says they are, else in the folder.
    pub segments: Option<String>,
    /// When a request is acknowledged.
    pub durability: Durability,
    /// The head is moved into a segment when its requests have this many bytes, or are this old.
    pub head_bytes: u64,
    /// See `head_bytes`.
    pub head_age: Duration,
    /// Requests are refused for a while when those that are in no segment yet have this many bytes.
    pub max_unflushed_bytes: u64,
    /// Requests are refused while the disk has less room than this: what was accepted must still fit when it is moved
    /// from the log into segments.
    pub min_free_bytes: u64,
    /// Segments are merged until they are about this large.
    pub segment_bytes: u64,
    /// Spans that arrive longer than this after they ended are counted as late.
    pub settle: Duration,
    /// Segments whose spans are all older go; never where there is none.
    pub retention_age: Option<Duration>,
    /// The oldest segments go while all have more bytes; never where there is none.
    pub retention_bytes: Option<u64>,
}

impl Settings {
    /// The defaults, in this folder.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            segments: None,
            durability: Durability::default(),
            head_bytes: 48 << 20,
            head_age: Duration::from_secs(5),
            max_unflushed_bytes: 192 << 20,
            min_free_bytes: 512 << 20,
            segment_bytes: 64 << 20,
            settle: Duration::from_secs(30),
            retention_age: None,
            retention_bytes: None,
        }
    }
}
