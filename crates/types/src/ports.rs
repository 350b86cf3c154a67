//! What a pure crate needs of the machine: the time, randomness, room on a disk.

use std::fs::File;
use std::io;

use crate::Timestamp;

/// Tells the time. The real one is made once, where the program starts; tests bring their own.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Returns the wall-clock time. It may step backwards.
    fn now(&self) -> Timestamp;

    /// Returns the milliseconds since some fixed point of this process. It never steps backwards.
    fn monotonic_ms(&self) -> u64;

    /// Returns the microseconds since that point, as finely as the clock knows them.
    fn monotonic_us(&self) -> u64 {
        self.monotonic_ms().saturating_mul(1000)
    }
}

/// Gives unpredictable bytes.
pub trait Entropy: Send + Sync + std::fmt::Debug {
    /// Fills `buffer` with bytes that no one can predict.
    ///
    /// A source that cannot deliver stops the process: nothing may be sealed with weak bytes.
    fn fill(&self, buffer: &mut [u8]);
}

/// Gives room on a disk for what does not fit into memory. Only sealed bytes go there.
pub trait Scratch: Send + Sync + std::fmt::Debug {
    /// Opens a new empty file without a name; it is gone when it is closed.
    ///
    /// # Errors
    /// What the system says.
    fn file(&self) -> io::Result<File>;
}
