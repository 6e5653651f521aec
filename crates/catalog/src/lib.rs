//! What a server remembers beside spans: queries, snapshots, diffs, tokens, deployments, what was seen, and which process works on
//! which snapshot. In SQLite by default, in PostgreSQL for several replicas; the same statements serve both.
//!
//! The only crate that names SQL. It never reads a clock (times are parameters), never looks into the JSON it keeps for others, and
//! decides nothing about traces. Times are nanoseconds since the Unix epoch.

mod deployment;
mod diff;
mod error;
mod fields;
mod id;
mod job;
mod migration;
mod open;
mod page;
mod place;
mod query;
mod retention;
mod seen;
mod snapshot;
mod token;

pub use deployment::Deployment;
pub use diff::Diff;
pub use error::CatalogError;
pub use id::new_id;
pub use open::Catalog;
pub use page::Page;
pub use place::Place;
pub use query::Query;
pub use seen::Seen;
pub use snapshot::{DiffState, Snapshot, State};
pub use token::Token;
