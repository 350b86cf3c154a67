//! What the kernel says of this process (proc(5)).

use std::fs;

/// How many ticks a second has in what the kernel tells programs: 100 on every system that this is built for.
const TICKS: f64 = 100.0;

/// Figures of this process; what the kernel does not say is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Process {
    pub(crate) cpu_seconds: f64,
    pub(crate) resident_bytes: u64,
    pub(crate) threads: u64,
    pub(crate) open_fds: u64,
    pub(crate) max_fds: u64,
}

impl Process {
    /// Asks the kernel.
    pub(crate) fn now() -> Self {
        let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
        let open = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        Self {
            // The folder itself is open while it is read.
            open_fds: (open as u64).saturating_sub(1),
            ..Self::read(
                &read("/proc/self/stat"),
                &read("/proc/self/status"),
                &read("/proc/self/limits"),
            )
        }
    }

    fn read(stat: &str, status: &str, limits: &str) -> Self {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        // The name of the program, in brackets, may have spaces and brackets.
        let (_, fields) = stat.rsplit_once(')').unwrap_or_default();
        let mut times = fields.split_whitespace().skip(11).take(2);
        let mut ticks = || times.next().and_then(|text| text.parse::<u32>().ok());
        let ticks = f64::from(ticks().unwrap_or(0)) + f64::from(ticks().unwrap_or(0));
        let limit = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max open files"));
        let limit = limit.and_then(|line| line.split_whitespace().next()?.parse().ok());
        Self {
            cpu_seconds: ticks / TICKS,
            resident_bytes: field("VmRSS:").unwrap_or(0).saturating_mul(1024),
            threads: field("Threads:").unwrap_or(0),
            open_fds: 0,
            max_fds: limit.unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_is_read() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 9 0 1234 1 2";
        let status = "Name:\ta\nVmRSS:\t    2048 kB\nThreads:\t9\n";
        let limits = "Max open files            1024                 4096                 files\n";
        let read = Process::read(stat, status, limits);
        let expect = Process {
            cpu_seconds: 2.0,
            resident_bytes: 2 << 20,
            threads: 9,
            open_fds: 0,
            max_fds: 1024,
        };
        assert_eq!(read, expect);
        assert_eq!(Process::read("", "", ""), Process::default());
        let now = Process::now();
        assert!(now.resident_bytes > 1 << 20 && now.threads > 0, "{now:?}");
        assert!((3..=now.max_fds).contains(&now.open_fds), "{now:?}");
    }
}
