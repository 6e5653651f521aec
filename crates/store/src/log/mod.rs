//! The write-ahead log: a request's bytes are on disk before it is acknowledged.
//!
//! One file belongs to one generation of the head, and goes when that generation is in a segment.

mod files;
mod record;
mod writer;

pub(crate) use files::{LOG, LogFiles, sync_folder};
pub(crate) use record::{Found, Record, records};
pub(crate) use writer::{LogError, LogWriter};
