//! The ports, end to end: real sockets, real clients, bounds made small where a test runs into them.
//!
//! Clippy takes helpers for tests, which may unwrap, only in modules that say `cfg(test)`.

#[cfg(test)]
mod access;
#[cfg(test)]
mod api;
#[cfg(test)]
mod grpc;
#[cfg(test)]
mod grpc_errors;
#[cfg(test)]
mod http;
#[cfg(test)]
mod http_errors;
#[cfg(test)]
mod services;
#[cfg(test)]
mod shutdown;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod support;
#[cfg(test)]
mod traces;
