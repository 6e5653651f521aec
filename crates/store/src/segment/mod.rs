//! Segments: immutable Parquet files, sorted by trace id and then by start.

mod chunk;
mod column;
mod file;
mod filter;
mod fixed;
mod merge;
mod read;
mod runs;
mod scan;
mod texts;
mod write;

use std::sync::Arc;

use object_store::ObjectStore;

pub(crate) use chunk::{Encoder, NONE, PAGE_ROWS};
pub(crate) use filter::may_hold;
pub(crate) use merge::merge;
pub(crate) use read::{Ids, Segment};
pub(crate) use scan::Sought;
pub(crate) use texts::{CodedTexts, Dictionary, SingleTexts};
pub(crate) use write::{ROW_GROUP_ROWS, Rows, SegmentWriter, Written};

/// What reading all segments of a store shares.
#[derive(Debug)]
pub(crate) struct Scans {
    engine: scan::Engine,
    footers: read::Footers,
}

impl Scans {
    pub(crate) fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self {
            engine: scan::Engine::new(store),
            footers: read::Footers::default(),
        }
    }
}
