//! Segments: immutable Parquet files, sorted by trace id and then by start.

mod chunk;
mod column;
mod file;
mod fixed;
mod merge;
mod read;
mod runs;
mod texts;
mod write;

pub(crate) use chunk::{Encoder, NONE, PAGE_ROWS};
pub(crate) use merge::merge;
pub(crate) use read::{Ids, Segment};
pub(crate) use texts::{CodedTexts, Dictionary, SingleTexts};
pub(crate) use write::{ROW_GROUP_ROWS, Rows, SegmentWriter, Written};
