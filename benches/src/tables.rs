//! Checking, profiling, collecting and querying tables beside the libraries that do one of these. They read and
//! write plain files; Custody encrypts, asks its policy, logs and signs. What is checked is written for the peers in
//! `peers.py`.

use std::path::Path;
use std::process::Command;

use crate::Args;
use crate::measure::{Cost, Failure, median, run};

/// Seventeen checks of all kinds that need values; `ROWS` changes from run to run, so that nothing is reused.
const CHECKS: &str = "\
project: bench
steps:
  contract:
    check:
      input: loans@latest
      checks:
        - row_count: {min: ROWS}
        - schema:
            closed: true
            columns: {id: integer, age: integer, region: text, status: text, code: text, name: text, hours: double,
              income: double, score: double, granted: date, credit: double, balance: double}
        - not_null: [id]
        - not_null: [age]
        - not_null: [region]
        - null_fraction: {column: income, max: 0.1}
        - unique: [id]
        - range: {column: age, min: 18, max: 120}
        - range: {column: hours, min: 0, max: 80}
        - range: {column: income, min: 0}
        - range: {column: score, min: 0, max: 1}
        - range: {column: granted, min: 2000-01-01, max: 2030-01-01}
        - allowed: {column: region, values: [north, east, south, west]}
        - allowed: {column: status, values: [open, paid, late]}
        - matches: {column: code, pattern: '^K[0-9]{5}$'}
        - text_length: {column: name, min: 1, max: 80}
        - sql: {name: balance within credit, condition: balance <= credit}
";
/// A thousandth of the rows by their key. Where they are, minima and maxima in the file would tell.
const SELECT: &str = "\
project: bench
steps:
  select:
    sql:
      inputs: {loans: loans@latest}
      outputs: {few: SELECT * FROM loans WHERE id BETWEEN 2000000 AND 2004999 AND age > -ROWS}
";

/// A workspace with one table.
struct Workspace<'a> {
    program: &'a Path,
    folder: &'a Path,
}

impl Workspace<'_> {
    fn run(&self, arguments: &[&str]) -> Result<Cost, Failure> {
        let mut command = Command::new(self.program);
        command
            .args(arguments)
            .current_dir(self.folder)
            .env("CUSTODY_KEY_FILE", self.folder.join("bench.key"));
        run(&mut command)
    }

    /// Adds a file of the benches.
    fn put(&self, artifact: &str, file: &Path) -> Result<Cost, Failure> {
        let name = format!("bench/{artifact}");
        self.run(&["put", &name, file.to_str().ok_or("a strange path")?])
    }

    /// Runs a pipeline that was never run.
    fn pipeline(&self, text: &str, number: usize) -> Result<Cost, Failure> {
        let text = text.replace("ROWS", &(number + 1).to_string());
        std::fs::write(self.folder.join("custody.yaml"), text)?;
        self.run(&["run"])
    }
}

/// What is measured, given the number of the run.
type Candidate<'a> = &'a mut dyn FnMut(usize) -> Result<Cost, Failure>;

/// Runs candidates in turn and prints what each took.
fn compare(
    title: &str,
    runs: usize,
    candidates: &mut [(&str, Candidate<'_>)],
) -> Result<(), Failure> {
    let mut costs = vec![Vec::new(); candidates.len()];
    for number in 0..runs {
        for ((_, candidate), costs) in candidates.iter_mut().zip(&mut costs) {
            costs.push(candidate(number)?);
        }
    }
    println!("\n{title}: whole processes, medians of {runs} runs in turn");
    for ((name, _), costs) in candidates.iter().zip(costs) {
        let wall = median(costs.iter().map(|cost| cost.wall));
        let cpu = median(costs.iter().map(|cost| cost.cpu));
        println!("{name:<32} {wall:>9.2} s {cpu:>9.2} CPU-s");
    }
    Ok(())
}

pub(crate) fn bench(args: &Args) -> Result<(), Failure> {
    let folder = tempfile::tempdir_in(&args.data)?;
    let custody = Workspace {
        program: &args.custody,
        folder: folder.path(),
    };
    let data = |name: &str| args.data.join(name);
    let peer = |python: &Path, what: &str, file: &str| {
        run(Command::new(python)
            .arg(&args.table_script)
            .arg(what)
            .arg(data(file))
            .args(
                matches!(what, "duckdb_csv" | "polars_csv" | "duckdb_select")
                    .then(|| folder.path().join("out.parquet")),
            ))
    };
    let tables = |what: &str, file: &str| peer(&args.table_peers, what, file);
    custody.run(&["init"])?;
    custody.put("loans", &data("loans.parquet"))?;
    custody.put("short", &data("loans-short.parquet"))?;

    compare(
        "17 checks of 5 million rows by 12 columns, Parquet",
        args.runs,
        &mut [
            ("custody run", &mut |number| {
                custody.pipeline(CHECKS, number)
            }),
            ("pandera on polars", &mut |_| {
                tables("pandera", "loans.parquet")
            }),
            ("pointblank on polars", &mut |_| {
                tables("pointblank", "loans.parquet")
            }),
        ],
    )?;
    compare(
        "profile of 1 million rows by 12 columns, Parquet",
        args.runs,
        &mut [
            ("custody data profile", &mut |_| {
                custody.run(&["data", "profile", "bench/short@1", "--json"])
            }),
            ("whylogs", &mut |_| {
                peer(&args.whylogs, "whylogs", "loans-short.parquet")
            }),
        ],
    )?;
    compare(
        "a thousandth of 5 million rows by key, Parquet to Parquet",
        args.runs,
        &mut [
            ("custody run", &mut |number| {
                custody.pipeline(SELECT, number)
            }),
            ("duckdb", &mut |_| tables("duckdb_select", "loans.parquet")),
        ],
    )?;
    compare(
        "1 GB of CSV to Parquet, types inferred",
        args.runs,
        &mut [
            // Bytes that are known would not be stored again.
            ("custody put", &mut |_| {
                let fresh = tempfile::tempdir_in(&args.data)?;
                let custody = Workspace {
                    program: &args.custody,
                    folder: fresh.path(),
                };
                custody.run(&["init"])?;
                custody.put("csv", &data("loans.csv"))
            }),
            ("duckdb", &mut |_| tables("duckdb_csv", "loans.csv")),
            ("polars", &mut |_| tables("polars_csv", "loans.csv")),
        ],
    )
}
