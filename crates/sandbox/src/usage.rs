//! How much memory the processes of a step take together: what the limit of each of them does not bound.
//!
//! The launcher looks from outside of the step's confinement, in the list of processes of the step's namespace, which
//! holds all of them and nobody else. Counted are the pages of their own, once where several processes share them since
//! a fork; shared memory and memory files (`memfd`), open or mapped; and `/dev/shm`. Not counted are files of the
//! machine that are mapped, the outputs and `/tmp`, which have a limit of their own, and what the kernel keeps for
//! them (buffers of sockets and pipes, tables of pages).

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use custody_types::ByteSize;

use crate::sys;

/// How often is looked, in milliseconds.
pub(crate) const LOOK_MS: u64 = 100;
/// How much longer than a look the pause after it is at least.
const PAUSE: u64 = 9;
/// The size of the blocks in which the size of a file in memory is told.
const BLOCK: u64 = 512;

/// What is looked at.
#[derive(Debug)]
pub(crate) struct Usage {
    limit: u64,
    /// The folders in memory that have a limit of their own.
    elsewhere: Vec<String>,
}

/// What the kernel says of a process, in bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Taken {
    own: u64,
    shared: u64,
}

impl Usage {
    /// Looks at all processes but the launcher itself, in the root that the step sees.
    pub(crate) fn new(limit: ByteSize, outputs: &[String]) -> Self {
        let outputs = outputs.iter().map(|output| format!("/out/{output}"));
        Self {
            limit: limit.bytes(),
            elsewhere: outputs.chain(["/tmp".to_owned()]).collect(),
        }
    }

    /// Whether the step's processes can be seen: some containers do not let `/proc` be mounted.
    pub(crate) fn works() -> bool {
        fs::metadata("/proc/1/status").is_ok()
    }

    /// Whether they take more than they may. How much each has is asked first, for that costs little; only where it
    /// would be too much, what they share is told apart.
    pub(crate) fn is_over(&self) -> bool {
        let processes = processes();
        let files = memory_files(&processes).saturating_add(sys::used("/dev/shm"));
        let most = sum(&processes, at_most);
        if most.own.saturating_add(most.shared).saturating_add(files) <= self.limit {
            return false;
        }
        let taken = sum(&processes, exactly);
        let elsewhere = self.elsewhere.iter().map(|place| sys::used(place));
        let elsewhere: u64 = elsewhere.fold(0, u64::saturating_add);
        // A file may be open and mapped.
        let shared = files.max(taken.shared.saturating_sub(elsewhere));
        taken.own.saturating_add(shared) > self.limit
    }

    /// Returns the pause after a look that took `took_ms`.
    pub(crate) fn pause_ms(took_ms: u64) -> u64 {
        took_ms.saturating_mul(PAUSE).max(LOOK_MS)
    }
}

fn processes() -> Vec<PathBuf> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter(|entry| {
            let name = entry.file_name();
            name.to_str()
                .is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        })
        .map(|entry| entry.path())
        .collect()
}

fn sum(processes: &[PathBuf], one: impl Fn(&Path) -> Option<Taken>) -> Taken {
    // One that is gone by now takes nothing.
    let taken = processes.iter().filter_map(|process| one(process));
    taken.fold(Taken::default(), |all, one| Taken {
        own: all.own.saturating_add(one.own),
        shared: all.shared.saturating_add(one.shared),
    })
}

/// Reads how much a process has, and counts what it shares in full.
fn at_most(process: &Path) -> Option<Taken> {
    Some(status(&fs::read_to_string(process.join("status")).ok()?))
}

fn status(text: &str) -> Taken {
    Taken {
        own: value(text, "RssAnon:").unwrap_or(0) + value(text, "VmSwap:").unwrap_or(0),
        shared: value(text, "RssShmem:").unwrap_or(0),
    }
}

/// Reads how much a process has, and counts of what it shares its part.
fn exactly(process: &Path) -> Option<Taken> {
    let parts = fs::read_to_string(process.join("smaps_rollup"))
        .ok()
        .and_then(|text| proportional(&text));
    parts.or_else(|| at_most(process))
}

fn proportional(text: &str) -> Option<Taken> {
    Some(Taken {
        own: value(text, "Pss_Anon:")? + value(text, "SwapPss:").unwrap_or(0),
        shared: value(text, "Pss_Shmem:")?,
    })
}

/// Reads a number of KiB.
fn value(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(number.saturating_mul(1024))
}

/// Adds up the memory files that processes have open, each once.
fn memory_files(processes: &[PathBuf]) -> u64 {
    let mut sizes = BTreeMap::new();
    for process in processes {
        let open = fs::read_dir(process.join("fd"))
            .into_iter()
            .flatten()
            .flatten();
        for entry in open {
            let path = entry.path();
            let is_memory =
                fs::read_link(&path).is_ok_and(|to| to.to_string_lossy().starts_with("/memfd:"));
            if let Some(metadata) = is_memory.then(|| fs::metadata(&path).ok()).flatten() {
                sizes.insert(metadata.ino(), metadata.blocks().saturating_mul(BLOCK));
            }
        }
    }
    sizes.into_values().fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_tells_is_read() {
        let text = "Name:\tpython3\nVmRSS:\t   20480 kB\nRssAnon:\t   10240 kB\nRssFile:\t    9216 kB\nRssShmem:\t    1024 kB\nVmSwap:\t       4 kB\n";
        assert_eq!(
            status(text),
            Taken {
                own: (10_240 + 4) << 10,
                shared: 1 << 20,
            }
        );
        let text = "55d0-7ffe ---p 00000000 00:00 0   [rollup]\nRss:  900 kB\nPss:  300 kB\nPss_Anon:   200 kB\nPss_File:   60 kB\nPss_Shmem:   40 kB\nSwapPss:   8 kB\n";
        assert_eq!(
            proportional(text),
            Some(Taken {
                own: 208 << 10,
                shared: 40 << 10,
            })
        );
        // Linux before 5.3 does not say it.
        assert_eq!(proportional("Rss:  900 kB\nPss:  300 kB\n"), None);
        // A thread of the kernel, or one that ended.
        assert_eq!(status("Name:\tx\nState:\tZ\n"), Taken::default());
    }

    #[test]
    fn a_long_look_makes_a_long_pause() {
        assert_eq!(Usage::pause_ms(0), LOOK_MS);
        assert_eq!(Usage::pause_ms(50), 450);
    }
}
