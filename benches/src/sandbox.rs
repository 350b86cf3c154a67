//! From the wish to run a command to its end: `/usr/bin/true` as a plain process, in bubblewrap, in the
//! sandbox of steps (all layers, an output folder, outputs taken).

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use custody_sandbox::{Exit, Limits, Spec, run as sandboxed};

use crate::measure::{Failure, median, run, version};

/// Runs of each for each run that is asked for.
const TIMES: usize = 20;

fn step() -> Result<f64, Failure> {
    let spec = Spec {
        argv: vec!["/usr/bin/true".to_owned()],
        env: BTreeMap::new(),
        environment: None,
        code: None,
        inputs: BTreeMap::new(),
        outputs: vec!["made".to_owned()],
        network: None,
        limits: Limits::default(),
        observe: custody_sandbox::Observe::Nothing,
        interrupt: custody_sandbox::Interrupt::default(),
    };
    let start = Instant::now();
    let finished = sandboxed(Path::new("/proc/self/exe"), &spec, &mut |_| {}, &mut |_| {
        Ok(())
    })?;
    match finished.exit {
        Exit::Code(0) => Ok(start.elapsed().as_secs_f64()),
        other => Err(format!("the step ended with {other:?}").into()),
    }
}

fn bubblewrap() -> Command {
    let mut command = Command::new("bwrap");
    command.args(["--unshare-all", "--die-with-parent", "--new-session"]);
    command.args(["--ro-bind", "/usr", "/usr", "--symlink", "usr/lib", "/lib"]);
    command.args(["--symlink", "usr/lib64", "/lib64", "--proc", "/proc"]);
    command.args(["--dev", "/dev", "--tmpfs", "/tmp", "/usr/bin/true"]);
    command
}

pub(crate) fn bench(runs: usize) -> Result<(), Failure> {
    let times = runs * TIMES;
    let (mut plain, mut bwrap, mut steps) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..times {
        plain.push(run(&mut Command::new("/usr/bin/true"))?.wall);
        bwrap.push(run(&mut bubblewrap())?.wall);
        steps.push(step()?);
    }
    println!(
        "\nsandbox: /usr/bin/true from start to end, medians of {times} runs in turn; {}",
        version(Path::new("bwrap"), "--version")?
    );
    for (name, values) in [
        ("plain process", plain),
        ("bubblewrap", bwrap),
        ("custody step", steps),
    ] {
        println!("{name:<32} {:>7.1} ms", median(values) * 1e3);
    }
    Ok(())
}
