//! For tests and evaluation only.
