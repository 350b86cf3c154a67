//! Adding a file and getting it back: Custody (encrypted, deduplicated, decided and logged), DVC (`add`
//! and `push` to a local remote; neither encrypted nor deduplicated below the file), restic (encrypted
//! and deduplicated).

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Args;
use crate::measure::{Cost, Failure, median, remove, run, same, version};

/// The files that `data.py` makes.
const FILES: &[&str] = &["random.bin", "table.csv", "table.parquet"];
const GIGABYTE: f64 = 1e9;
const MEGABYTE: f64 = 1e6;

/// A tool that keeps versions of files.
trait Tool {
    fn name(&self) -> &'static str;
    /// Makes an empty repository in `folder`, in which `file` lies.
    fn begin(&self, folder: &Path) -> Result<(), Failure>;
    /// Adds the file; this is measured.
    fn add(&self, folder: &Path, file: &str) -> Result<Cost, Failure>;
    /// Removes what a get would not be honest with.
    fn forget(&self, folder: &Path, file: &str) -> Result<(), Failure>;
    /// Gets the file; this is measured. Returns also where it is.
    fn get(&self, folder: &Path, file: &str) -> Result<(Cost, PathBuf), Failure>;
}

struct Custody {
    program: PathBuf,
}

impl Custody {
    fn command(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .current_dir(folder)
            .env("CUSTODY_KEY_FILE", folder.join("bench.key"));
        command
    }
}

impl Tool for Custody {
    fn name(&self) -> &'static str {
        "custody"
    }

    fn begin(&self, folder: &Path) -> Result<(), Failure> {
        run(&mut self.command(folder, &["init"])).map(drop)
    }

    fn add(&self, folder: &Path, file: &str) -> Result<Cost, Failure> {
        // As the peers do, whatever the bytes are: no table is made anew.
        run(&mut self.command(folder, &["put", "bench/data", file, "--format", "files"]))
    }

    fn forget(&self, _: &Path, _: &str) -> Result<(), Failure> {
        Ok(())
    }

    fn get(&self, folder: &Path, file: &str) -> Result<(Cost, PathBuf), Failure> {
        let cost = run(&mut self.command(folder, &["get", "bench/data@1", "--to", "out"]))?;
        Ok((cost, folder.join("out").join(file)))
    }
}

struct Dvc {
    program: PathBuf,
}

impl Dvc {
    fn command(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .arg("--quiet")
            .current_dir(folder)
            .env("DVC_NO_ANALYTICS", "1");
        command
    }
}

impl Tool for Dvc {
    fn name(&self) -> &'static str {
        "dvc add + push"
    }

    fn begin(&self, folder: &Path) -> Result<(), Failure> {
        run(Command::new("git")
            .args(["init", "--quiet"])
            .current_dir(folder))?;
        run(&mut self.command(folder, &["init"]))?;
        run(&mut self.command(folder, &["remote", "add", "--default", "local", "remote"])).map(drop)
    }

    fn add(&self, folder: &Path, file: &str) -> Result<Cost, Failure> {
        let add = run(&mut self.command(folder, &["add", file]))?;
        let push = run(&mut self.command(folder, &["push"]))?;
        Ok(add + push)
    }

    fn forget(&self, folder: &Path, file: &str) -> Result<(), Failure> {
        remove(&folder.join(".dvc/cache"))?;
        Ok(remove(&folder.join(file))?)
    }

    fn get(&self, folder: &Path, file: &str) -> Result<(Cost, PathBuf), Failure> {
        Ok((
            run(&mut self.command(folder, &["pull"]))?,
            folder.join(file),
        ))
    }
}

struct Restic;

impl Restic {
    fn command(folder: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new("restic");
        command
            .args(["--quiet", "--no-cache", "--repo", "repository"])
            .args(arguments)
            .current_dir(folder)
            .env("RESTIC_PASSWORD", "bench");
        command
    }
}

impl Tool for Restic {
    fn name(&self) -> &'static str {
        "restic"
    }

    fn begin(&self, folder: &Path) -> Result<(), Failure> {
        run(&mut Self::command(folder, &["init"])).map(drop)
    }

    fn add(&self, folder: &Path, file: &str) -> Result<Cost, Failure> {
        run(&mut Self::command(folder, &["backup", file]))
    }

    fn forget(&self, _: &Path, _: &str) -> Result<(), Failure> {
        Ok(())
    }

    fn get(&self, folder: &Path, file: &str) -> Result<(Cost, PathBuf), Failure> {
        let cost = run(&mut Self::command(
            folder,
            &["restore", "latest", "--target", "out"],
        ))?;
        Ok((cost, folder.join("out").join(file)))
    }
}

/// The costs of the runs of one tool on one file.
#[derive(Default)]
struct Costs {
    add: Vec<Cost>,
    get: Vec<Cost>,
}

fn once(tool: &dyn Tool, source: &Path, file: &str, costs: &mut Costs) -> Result<(), Failure> {
    let folder = tempfile::tempdir_in(source.parent().ok_or("a file without a folder")?)?;
    let folder = folder.path();
    std::fs::copy(source, folder.join(file))?;
    tool.begin(folder)?;
    costs.add.push(tool.add(folder, file)?);
    tool.forget(folder, file)?;
    let (cost, got) = tool.get(folder, file)?;
    same(source, &got)?;
    costs.get.push(cost);
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "sizes far below 2^53")]
pub(crate) fn bench(args: &Args) -> Result<(), Failure> {
    let dvc = args.peers.join("dvc");
    println!(
        "\nstore: whole processes, medians of {} runs in turn; dvc {}; {}",
        args.runs,
        version(&dvc, "--version")?,
        version(Path::new("restic"), "version")?
    );
    println!(
        "{:<14} {:<16} {:>10} {:>12} {:>10} {:>12}",
        "file", "tool", "add MB/s", "add CPU-s/GB", "get MB/s", "get CPU-s/GB"
    );
    let tools: [Box<dyn Tool>; 3] = [
        Box::new(Custody {
            program: args.custody.clone(),
        }),
        Box::new(Dvc { program: dvc }),
        Box::new(Restic),
    ];
    for file in FILES {
        let source = args.data.join(file);
        let bytes = std::fs::metadata(&source)?.len() as f64;
        let mut costs = [Costs::default(), Costs::default(), Costs::default()];
        for _ in 0..args.runs {
            for (tool, costs) in tools.iter().zip(&mut costs) {
                once(tool.as_ref(), &source, file, costs)?;
            }
        }
        for (tool, costs) in tools.iter().zip(&costs) {
            let rate = |costs: &[Cost]| bytes / MEGABYTE / median(costs.iter().map(|one| one.wall));
            let cpu = |costs: &[Cost]| median(costs.iter().map(|one| one.cpu)) * GIGABYTE / bytes;
            println!(
                "{file:<14} {:<16} {:>10.0} {:>12.2} {:>10.0} {:>12.2}",
                tool.name(),
                rate(&costs.add),
                cpu(&costs.add),
                rate(&costs.get),
                cpu(&costs.get)
            );
        }
    }
    Ok(())
}
