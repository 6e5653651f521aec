//! For tests and evaluation only: traces as text, and the driver that starts the real binary.
//!
//! Everything here panics with a clear message where a test is written wrongly; nothing here is for production code.

pub mod plan;
pub mod sandbox;
pub mod server;
pub mod traces;

pub use plan::plan_of;
pub use sandbox::{Output, Sandbox};
pub use server::{Connection, Server};
pub use traces::{Span, Traces, Value};
