//! The span store: spans are durable in a write-ahead log before they are acknowledged, visible in the head at once, and
//! then moved into immutable Parquet segments, sorted by trace.

mod complete;
#[cfg(test)]
mod faults;
mod gather;
mod head;
mod keeper;
mod kept;
mod log;
mod manifest;
mod narrow;
mod objects;
mod place;
mod read;
mod readings;
mod recovery;
mod request;
mod segment;
mod settings;
mod store;
mod view;

pub use complete::{Ask, Counted, Offer};
pub use keeper::KeepError;
pub use kept::KeptError;
pub use manifest::ManifestError;
pub use place::PlaceError;
pub use read::{Counts, ReadError, Reading, Wanted, once};
pub use readings::Readings;
pub use recovery::Recovery;
pub use request::{AppendError, Appended, Encoding, Request};
pub use settings::{Durability, Settings};
pub use store::{OpenError, Store};
