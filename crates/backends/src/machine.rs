//! The machine's clock and randomness.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the one place where the real clock and the real randomness are taken"
)]

use std::time::{Instant, SystemTime, UNIX_EPOCH};
use std::{fs, io};

use custody_types::{Clock, Entropy, Timestamp};

/// The clock of the machine.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Starts the monotonic count.
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

/// Returns how much memory can be had without swapping, in bytes (`MemAvailable` of `/proc/meminfo`).
///
/// # Errors
/// When the kernel does not say it.
pub fn available_memory() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    text.lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))
        .and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok())
        .and_then(|kibibytes| kibibytes.checked_mul(1024))
        .ok_or_else(|| io::Error::other("/proc/meminfo does not say what memory is available"))
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        i64::try_from(since.as_micros())
            .ok()
            .and_then(Timestamp::from_unix_micros)
            .unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn monotonic_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// The randomness of the operating system.
#[derive(Debug)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        if getrandom::fill(buffer).is_err() {
            // Nothing may be sealed with weak bytes, and no caller could do better: stop here.
            std::process::abort();
        }
    }
}

/// Returns the account name of the user who runs this process, or `uid-N` where the machine knows none.
pub fn account_name() -> String {
    let uid = rustix::process::getuid().as_raw().to_string();
    let known = fs::read_to_string("/etc/passwd").unwrap_or_default();
    known
        .lines()
        .find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)? == uid).then(|| name.to_owned())
        })
        .unwrap_or_else(|| format!("uid-{uid}"))
}
