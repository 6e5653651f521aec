//! What a simulation gives, seen from outside as spans.
//!
//! Clippy takes helpers for tests, which may unwrap, only in modules that say `cfg(test)`.

#[cfg(test)]
mod determinism;
#[cfg(test)]
mod incidents;
#[cfg(test)]
mod load;
#[cfg(test)]
mod measures;
#[cfg(test)]
mod picture;
#[cfg(test)]
mod random;
#[cfg(test)]
mod sampling;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod soundness;
#[cfg(test)]
mod spans;
#[cfg(test)]
mod topologies;
