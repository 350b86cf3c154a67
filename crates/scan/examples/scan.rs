//! Scans the named files together by the built-in rules and prints a JSON report a line: for trying a parser.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use custody_findings::Rules;
use custody_scan::{FileKind, Files, Source, scan_among};

struct OnDisk(File, u64);

impl Source for OnDisk {
    fn len(&self) -> u64 {
        self.1
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.0.read_at(rest, offset + done as u64)? {
                0 => break,
                count => done += count,
            }
        }
        Ok(done)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rules = Rules::built_in()?;
    let mut out = io::stdout().lock();
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let mut files = Files::default();
    for path in &paths {
        let metadata = std::fs::symlink_metadata(path)?;
        let kind = if metadata.is_symlink() {
            FileKind::Link
        } else {
            FileKind::File {
                size: metadata.len(),
            }
        };
        files.add(path, kind);
    }
    for path in paths {
        let file = File::open(&path)?;
        let len = file.metadata()?.len();
        let report = scan_among(&path, &OnDisk(file, len), &rules, &files);
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    }
    Ok(())
}
