//! Custody beside its peers: each figure is a median over runs in which the candidates take turns, on
//! one machine, in one go. `make bench` builds everything and calls this with all that it needs.
//!
//! Nothing is asserted: a figure is for reading, never a test.
#![forbid(unsafe_code)]
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measuring tool runs programs, reads clocks and prints"
)]

mod growth;
mod ledger;
mod measure;
mod noop;
mod sandbox;
mod scan;
mod sign;
mod store;
mod tables;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::measure::{Failure, machine};

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// `put` and `get` of a file beside DVC and restic.
    Store,
    /// Acknowledged entries a second.
    Ledger,
    /// What a command takes with a short history and a long one.
    Growth,
    /// The start of a sandboxed step beside bubblewrap and a plain process.
    Sandbox,
    /// `custody run` when there is nothing to do.
    Noop,
    /// `custody scan` beside picklescan and modelscan.
    Scan,
    /// `custody sign` and `custody verify-signature` beside `model_signing`.
    Sign,
    /// Checks, a profile, a query and a CSV file beside pandera, pointblank, whylogs, `DuckDB` and polars.
    Tables,
}

/// Measures Custody beside its peers.
#[derive(Debug, Parser)]
struct Args {
    /// What to measure [default: everything]
    what: Vec<What>,
    /// The program `custody`, in its release build
    #[arg(long)]
    custody: PathBuf,
    /// The folder with the program `dvc`
    #[arg(long)]
    peers: PathBuf,
    /// The folder with the programs `picklescan` and `modelscan`
    #[arg(long)]
    scanners: PathBuf,
    /// The Python with the package `model_signing`
    #[arg(long)]
    signer: PathBuf,
    /// The Python with the packages `pandera`, `pointblank`, `polars` and `duckdb`
    #[arg(long)]
    table_peers: PathBuf,
    /// The Python with the package `whylogs`
    #[arg(long)]
    whylogs: PathBuf,
    /// The program `peers.py`
    #[arg(long)]
    table_script: PathBuf,
    /// The folder with the files of the benches
    #[arg(long)]
    data: PathBuf,
    /// The folder of the example
    #[arg(long)]
    example: PathBuf,
    /// How often each is run
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(custody_sandbox::LAUNCHER_WORD) {
        return custody_sandbox::launcher_main(&[]);
    }
    let args = Args::parse();
    match bench(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(args: &Args) -> Result<(), Failure> {
    let wanted = |what| args.what.is_empty() || args.what.contains(&what);
    println!("{}", machine()?);
    if wanted(What::Store) {
        store::bench(args)?;
    }
    if wanted(What::Ledger) {
        ledger::bench()?;
    }
    if wanted(What::Growth) {
        growth::bench()?;
    }
    if wanted(What::Sandbox) {
        sandbox::bench(args.runs)?;
    }
    if wanted(What::Noop) {
        noop::bench(args)?;
    }
    if wanted(What::Scan) {
        scan::bench(args)?;
    }
    if wanted(What::Sign) {
        sign::bench(args)?;
    }
    if wanted(What::Tables) {
        tables::bench(args)?;
    }
    Ok(())
}
