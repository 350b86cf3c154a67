//! Says what a loader of pickles would do with streams, for comparisons with CPython.
//!
//! Standard input: for each stream its length (4 bytes, little-endian) and its bytes. Standard output: a
//! line for each event, and an empty line after each stream.
#![forbid(unsafe_code)]

use std::io::{self, BufRead, Read, Write};

fn main() -> io::Result<()> {
    let mut input = io::stdin().lock();
    let mut out = io::BufWriter::new(io::stdout().lock());
    while !input.fill_buf()?.is_empty() {
        let mut len = [0; 4];
        input.read_exact(&mut len)?;
        let mut bytes = Vec::new();
        input
            .by_ref()
            .take(u64::from(u32::from_le_bytes(len)))
            .read_to_end(&mut bytes)?;
        for line in custody_scan::pickle::trace(&bytes) {
            writeln!(out, "{}", line.replace('\n', "\\n"))?;
        }
        writeln!(out)?;
    }
    out.flush()
}
