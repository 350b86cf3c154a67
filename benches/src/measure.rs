//! Running a program and counting what it took.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Why there is no figure.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What a process and all processes below it took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    /// From its start to its end, in seconds.
    pub(crate) wall: f64,
    /// User and system time, in seconds.
    pub(crate) cpu: f64,
}

impl std::ops::Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            wall: self.wall + other.wall,
            cpu: self.cpu + other.cpu,
        }
    }
}

/// Ticks a second of `/proc/self/stat`: the same on every Linux (`USER_HZ`).
const TICKS: f64 = 100.0;

/// Returns the user and system seconds of all children that have ended, from `/proc/self/stat`
/// (fields `cutime` and `cstime`, proc(5)).
fn children() -> Result<f64, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(") ").ok_or("a strange /proc/self/stat")?;
    let ticks: u32 = fields
        .split(' ')
        .skip(13)
        .take(2)
        .map(str::parse::<u32>)
        .sum::<Result<_, _>>()?;
    Ok(f64::from(ticks) / TICKS)
}

/// Runs a command to its end. Its output is dropped; it must succeed.
pub(crate) fn run(command: &mut Command) -> Result<Cost, Failure> {
    let before = children()?;
    let start = Instant::now();
    let output = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()?;
    let wall = start.elapsed().as_secs_f64();
    if output.status.success() {
        Ok(Cost {
            wall,
            cpu: children()? - before,
        })
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("{command:?} failed: {said}").into())
    }
}

/// Returns the middle of the values; the lower of two.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values
        .get(values.len().saturating_sub(1) / 2)
        .copied()
        .unwrap_or(f64::NAN)
}

/// Says what was measured on.
pub(crate) fn machine() -> Result<String, Failure> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |line| {
            line.trim_start_matches([' ', '\t', ':'])
        });
    let cores = std::thread::available_parallelism()?;
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(format!(
        "{model}, {cores} processors, Linux {}",
        kernel.trim()
    ))
}

/// Returns the first line that a program says of its version.
pub(crate) fn version(program: &Path, argument: &str) -> Result<String, Failure> {
    let output = Command::new(program).arg(argument).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// Fails when two files differ.
pub(crate) fn same(one: &Path, other: &Path) -> Result<(), Failure> {
    if std::fs::read(one)? == std::fs::read(other)? {
        Ok(())
    } else {
        Err(format!("{} is not {}", other.display(), one.display()).into())
    }
}

/// Removes a folder or a file; no error when it is not there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() {
        std::fs::remove_dir_all(path)
    } else {
        std::fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
