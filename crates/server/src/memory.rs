//! How much memory requests may take together: many large requests at once are told to come again, instead of ending
//! the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::refusal::Refusal;

/// How long a producer is asked to wait for memory: requests in flight are done in a fraction of this.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Bytes that requests in flight may take together. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    free_bytes: Arc<AtomicUsize>,
}

impl Memory {
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            free_bytes: Arc::new(AtomicUsize::new(bytes)),
        }
    }

    /// A request's share, empty at first.
    pub(crate) fn share(&self) -> Share {
        Share {
            memory: self.clone(),
            bytes: 0,
        }
    }

    /// Bytes that are not taken.
    pub(crate) fn free_bytes(&self) -> usize {
        self.free_bytes.load(Ordering::Relaxed)
    }
}

/// What one request has taken; given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    memory: Memory,
    bytes: usize,
}

impl Share {
    /// Takes more; nothing is taken where there is not enough.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        let free = &self.memory.free_bytes;
        free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| {
            free.checked_sub(bytes)
        })
        .map_err(|_| Refusal::Busy {
            reason: "requests in flight take all the memory that they may have".to_owned(),
            retry_after: RETRY_AFTER,
        })?;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.memory
            .free_bytes
            .fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_bounded_together_and_given_back() {
        let memory = Memory::new(10);
        let mut first = memory.share();
        let mut second = memory.share();
        first.grow(6).unwrap();
        second.grow(4).unwrap();
        assert!(matches!(first.grow(1), Err(Refusal::Busy { .. })));
        drop(second);
        first.grow(4).unwrap();
        assert_eq!(memory.free_bytes(), 0);
        drop(first);
        assert_eq!(memory.free_bytes(), 10);
    }
}
