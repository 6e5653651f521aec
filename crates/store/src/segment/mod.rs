//! Segments: immutable Parquet files, sorted by trace id and then by start.

mod file;
mod merge;
mod read;
mod texts;
mod write;

pub(crate) use merge::merge;
pub(crate) use read::{Ids, Segment};
pub(crate) use write::{SegmentWriter, Written, sorted};
