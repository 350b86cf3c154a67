//! `custody run` on the example when everything was made before: planned, decided and logged.

use std::process::Command;

use crate::Args;
use crate::measure::{Failure, median, run};

/// Runs for each run that is asked for.
const TIMES: usize = 5;

pub(crate) fn bench(args: &Args) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let project = folder.path().join("employment");
    run(Command::new("cp")
        .arg("-r")
        .arg(&args.example)
        .arg(&project))?;
    crate::measure::remove(&project.join(".custody"))?;
    let custody = |arguments: &[&str]| {
        let mut command = Command::new(&args.custody);
        command
            .args(arguments)
            .current_dir(&project)
            .env("CUSTODY_KEY_FILE", folder.path().join("bench.key"));
        run(&mut command)
    };
    custody(&["init"])?;
    let first = custody(&["run"])?.wall;
    let costs = (0..args.runs * TIMES)
        .map(|_| custody(&["run"]))
        .collect::<Result<Vec<_>, _>>()?;
    println!(
        "\ncustody run on examples/employment, whole process, median of {}",
        costs.len()
    );
    println!("{:<32} {:>7.1} s", "first run", first);
    let wall = median(costs.iter().map(|cost| cost.wall));
    let cpu = median(costs.iter().map(|cost| cost.cpu));
    println!("{:<32} {:>7.3} s  ({cpu:.2} CPU-s)", "nothing to do", wall);
    Ok(())
}
