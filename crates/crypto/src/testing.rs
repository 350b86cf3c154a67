//! What the tests of this crate share.

use std::sync::atomic::{AtomicU8, Ordering};

use custody_types::{Clock, Entropy, Timestamp};

/// Predictable bytes: 0, 1, 2, … in one row over all calls.
#[derive(Debug, Default)]
pub(crate) struct Counting(AtomicU8);

impl Counting {
    pub(crate) fn new() -> Self {
        Self::default()
    }
}

impl Entropy for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        for byte in buffer {
            *byte = self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A clock whose milliseconds pass with each look.
#[derive(Debug, Default)]
pub(crate) struct Ticking(AtomicU8);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn monotonic_ms(&self) -> u64 {
        u64::from(self.0.fetch_add(1, Ordering::Relaxed) / 16)
    }
}
