//! What a simulation gives, seen from outside as spans.

mod determinism;
mod load;
mod picture;
mod sampling;
mod scenarios;
mod soundness;
mod spans;
mod topologies;
