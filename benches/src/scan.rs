//! `custody scan` beside picklescan and modelscan: many small files, one file of many tensors, one small file.
//!
//! Tensors are stepped over by all three; so a rate in bytes says how much a file costs, not how fast it is read.

use std::path::Path;
use std::process::Command;

use crate::Args;
use crate::measure::{Failure, median, run, version};

/// Runs of the small file for each run that is asked for.
const TIMES: usize = 10;
const ALL: [&str; 3] = ["custody", "picklescan", "modelscan"];
const FILES: f64 = 500.0;
const MB: f64 = 1e6;

pub(crate) fn bench(args: &Args) -> Result<(), Failure> {
    let peer = |name: &str| args.scanners.join(name);
    println!(
        "\nscan, whole process, medians of {} runs in turn; {}; {}",
        args.runs,
        // picklescan does not tell its version.
        version(&peer("pip"), "--version").map(|_| "picklescan and modelscan as locked")?,
        version(&args.custody, "--version")?
    );
    let candidates = |path: &Path| {
        let mut custody = Command::new(&args.custody);
        custody.args(["scan", "--json"]).arg(path);
        let mut picklescan = Command::new(peer("picklescan"));
        picklescan.arg("--path").arg(path);
        let mut modelscan = Command::new(peer("modelscan"));
        modelscan.arg("--path").arg(path);
        [
            ("custody", custody),
            ("picklescan", picklescan),
            ("modelscan", modelscan),
        ]
    };
    let measure =
        |path: &Path, who: &[&str], runs: usize| -> Result<Vec<(&str, f64, f64)>, Failure> {
            let mut costs: Vec<(&str, Vec<_>)> = Vec::new();
            for _ in 0..runs {
                let candidates = candidates(path).into_iter();
                let asked = candidates.filter(|(name, _)| who.contains(name));
                for (number, (name, mut command)) in asked.enumerate() {
                    let cost = run(&mut command)?;
                    match costs.get_mut(number) {
                        Some((_, known)) => known.push(cost),
                        None => costs.push((name, vec![cost])),
                    }
                }
            }
            let middle = costs.into_iter().map(|(name, costs)| {
                let wall = median(costs.iter().map(|cost| cost.wall));
                (name, wall, median(costs.iter().map(|cost| cost.cpu)))
            });
            Ok(middle.collect())
        };
    let folder = &args.data;
    for (name, wall, cpu) in measure(&folder.join("small"), &ALL, args.runs)? {
        println!(
            "{:<32} {:>9.0} files/s  ({:.2} s, {cpu:.2} CPU-s)",
            format!("500 small pickles, {name}"),
            FILES / wall,
            wall
        );
    }
    // modelscan breaks off at arrays with the NumPy that it is locked with, and passes over safetensors, as
    // picklescan does.
    for (file, who) in [("large.npy", &ALL[..2]), ("large.safetensors", &ALL[..1])] {
        let path = folder.join(file);
        let size = f64::from(u32::try_from(std::fs::metadata(&path)?.len() >> 10)?) * 1024.0;
        for (name, wall, cpu) in measure(&path, who, args.runs)? {
            println!(
                "{:<32} {:>9.0} MB/s     ({wall:.3} s, {cpu:.2} CPU-s)",
                format!("{file}, {name}"),
                size / wall / MB
            );
        }
    }
    for (name, wall, _) in measure(&folder.join("small/0.pkl"), &ALL, args.runs * TIMES)? {
        println!(
            "{:<32} {:>9.1} ms",
            format!("one small pickle, {name}"),
            wall * 1e3
        );
    }
    Ok(())
}
