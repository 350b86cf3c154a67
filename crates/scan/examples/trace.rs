//! Prints what a loader of pickles would do, a line an event: for comparisons with CPython.
#![forbid(unsafe_code)]

use std::io::{Read, Write};

fn main() -> std::io::Result<()> {
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    let mut out = std::io::stdout().lock();
    for line in custody_scan::pickle::trace(&bytes) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}
