//! A program in the sandbox: what it is given, what it prints, what it leaves behind.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use custody_sandbox::{Exit, OutputFile, SandboxError, Spec};
use custody_types::{Problem, code};

use super::failure::{Failure, failed, sandbox};
use super::lines::Lines;
use super::run::malformed;
use super::{StepExecutor, StepInputs, fault};
use crate::egress::{Connections, Egress};
use crate::file::variable;
use crate::memory::{InMemory, MadeFile};
use crate::outputs::Outputs;

/// The Python package that steps may import.
const PACKAGE: [(&str, &str); 2] = [
    (
        "custody/__init__.py",
        include_str!("../../../../python/src/custody/__init__.py"),
    ),
    (
        "custody/_score.py",
        include_str!("../../../../python/src/custody/_score.py"),
    ),
];
/// The variables by which libraries are told how many threads they may compute with: OpenMP (and PyTorch,
/// `XGBoost`, `LightGBM`, Arrow), algebra, `NumExpr`, joblib, Rust programs, Polars, Numba, `TensorFlow`.
const THREADS: [&str; 12] = [
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMEXPR_MAX_THREADS",
    "LOKY_MAX_CPU_COUNT",
    "RAYON_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "NUMBA_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
];
/// Where it is in the sandbox, as an input.
const PACKAGE_INPUT: &str = ".python";
/// The output that takes what a step logs.
const METRICS: &str = ".metrics";
/// How much a step may log, in bytes.
const MOST_LOGGED: u64 = 1 << 20;

/// What came of a program that ended well.
#[derive(Debug, Default)]
pub(super) struct Confined {
    /// What was enforced.
    pub(super) enforced: Vec<(String, String)>,
    /// The outputs that it wrote files to.
    pub(super) written: BTreeSet<String>,
    /// What it logged, as it wrote it.
    pub(super) logged: Vec<u8>,
    /// What it connected to, if it had a network.
    pub(super) connections: Option<Connections>,
}

impl StepExecutor {
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one call of the sandbox"
    )]
    pub(super) fn confined(
        &self,
        name: &str,
        argv: Vec<String>,
        parameters: &str,
        outputs: &[String],
        limits: custody_sandbox::Limits,
        given: &StepInputs,
        kept: &mut dyn Outputs,
        said: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Confined, Problem> {
        let seen = given.project.as_deref();
        if let Some(seen) = seen.and_then(custody_sandbox::seen_by_steps) {
            return Err(Problem::new(
                code::RUN_034,
                format!(
                    "the project lies in `{}`, which every step sees",
                    seen.display()
                ),
            )
            .hint("move the project to a folder that is not a part of the system"));
        }
        let mut inputs = given.inputs.clone();
        inputs.insert(PACKAGE_INPUT.to_owned(), Arc::new(package()?));
        let spec = Spec {
            argv,
            env: variables(parameters, given, outputs, limits.threads),
            environment: given
                .environment
                .as_ref()
                .map(|installed| installed.folder.clone()),
            code: given.code.clone(),
            inputs,
            outputs: outputs
                .iter()
                .cloned()
                .chain([METRICS.to_owned()])
                .collect(),
            network: given.egress.as_ref().map(Egress::network),
            limits,
            observe: custody_sandbox::Observe::Nothing,
            interrupt: given.interrupt.clone(),
        };
        let mut lines = Lines::default();
        let mut told = |bytes: &[u8]| {
            if given.show_log {
                lines.take(bytes, said);
            }
        };
        let (mut confined, mut not_kept) = (Confined::default(), None);
        let mut take = |file: OutputFile<'_>| {
            let taken = confined.take(name, file, kept);
            taken.map_err(|problem| {
                not_kept = Some(problem);
                io::Error::other("it was not kept")
            })
        };
        let finished = custody_sandbox::run(&self.launcher, &spec, &mut told, &mut take);
        // No process of it is left, whatever became of it.
        let ended = matches!(&finished, Ok(finished) if finished.exit == Exit::Code(0));
        let egress = given.egress.as_ref();
        let connections = egress.map(|egress| egress.end(ended));
        // An interruption is told as one, also where it cut off what was being kept.
        let finished = finished.map_err(|error| match (error, not_kept) {
            (SandboxError::NotTaken { .. }, Some(problem)) => problem,
            (error, _) => sandbox(name, error),
        })?;
        lines.end(said);
        match finished.exit {
            Exit::Code(0) => {}
            exit => {
                let problem = failed(&Failure {
                    name,
                    exit,
                    log: &finished.log,
                    shown: given.show_log,
                    limits,
                    has_network: given.egress.is_some(),
                    project: given.project.as_deref(),
                });
                let told = connections.iter().flat_map(Connections::told_of_failure);
                return Err(told.fold(problem, Problem::because));
            }
        }
        confined.connections = connections;
        let enforced = finished.enforced.into_iter();
        confined.enforced = enforced.map(|one| (one.what, one.by)).collect();
        Ok(confined)
    }
}

impl Confined {
    /// Takes a file that the step `name` wrote.
    fn take(
        &mut self,
        name: &str,
        file: OutputFile<'_>,
        kept: &mut dyn Outputs,
    ) -> Result<(), Problem> {
        let broken = |error: io::Error| fault(&error.to_string());
        if file.output == METRICS {
            let size = file.size.bytes().saturating_add(self.logged.len() as u64);
            if size > MOST_LOGGED {
                return Err(malformed(name, "there is more than 1 MiB of it"));
            }
            if self.logged.last().is_some_and(|last| *last != b'\n') {
                self.logged.push(b'\n');
            }
            file.content.read_to_end(&mut self.logged).map_err(broken)?;
            return Ok(());
        }
        self.written.insert(file.output.to_owned());
        kept.file(file.output, file.path, file.executable, &mut |out| {
            io::copy(file.content, out).map(drop).map_err(broken)
        })
    }
}

fn package() -> Result<InMemory, Problem> {
    let files = PACKAGE.iter().map(|(path, text)| {
        let path = path
            .parse()
            .map_err(|error: custody_types::NameError| fault(&error.to_string()))?;
        Ok(MadeFile {
            path,
            executable: false,
            bytes: text.as_bytes().to_vec(),
        })
    });
    Ok(InMemory::new(files.collect::<Result<_, Problem>>()?))
}

/// The whole environment of a program: what could make two runs differ is fixed.
fn variables(
    parameters: &str,
    given: &StepInputs,
    outputs: &[String],
    threads: u32,
) -> BTreeMap<String, String> {
    let fixed = [
        ("HOME", "/tmp"),
        ("LANG", "C.UTF-8"),
        ("LC_ALL", "C.UTF-8"),
        ("TZ", "UTC"),
        ("PATH", "/env/bin:/usr/bin:/bin"),
        ("PYTHONHASHSEED", "0"),
        ("PYTHONDONTWRITEBYTECODE", "1"),
        ("PYTHONUNBUFFERED", "1"),
        ("PYTHONPATH", "/in/.python"),
        ("SOURCE_DATE_EPOCH", "0"),
    ];
    let mut variables: BTreeMap<_, _> = fixed
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    variables.extend(THREADS.map(|name| (name.to_owned(), threads.to_string())));
    if let Some(installed) = &given.environment {
        variables.extend(installed.variables());
        let own = format!("/in/{PACKAGE_INPUT}");
        let all = installed
            .variables()
            .remove("PYTHONPATH")
            .map_or(own.clone(), |packages| format!("{own}:{packages}"));
        variables.insert("PYTHONPATH".to_owned(), all);
    }
    variables.extend(
        given
            .inputs
            .keys()
            .map(|input| (variable("INPUT", input), format!("/in/{input}"))),
    );
    variables.extend(
        outputs
            .iter()
            .map(|output| (variable("OUTPUT", output), format!("/out/{output}"))),
    );
    variables.insert("CUSTODY_PARAMETERS".to_owned(), parameters.to_owned());
    variables.insert(
        "CUSTODY_METRICS".to_owned(),
        format!("/out/{METRICS}/metrics.jsonl"),
    );
    variables
}

#[cfg(test)]
mod tests {
    use custody_types::ByteSize;

    use super::*;
    use crate::memory::Made;

    /// Takes what a step logged into a file.
    fn log(confined: &mut Confined, name: &str, text: &[u8]) -> Result<(), Problem> {
        let mut left = text;
        let file = OutputFile {
            output: METRICS,
            path: name.parse().unwrap(),
            executable: false,
            size: ByteSize::from_bytes(text.len() as u64),
            content: &mut left,
        };
        confined.take("train", file, &mut Made::default())
    }

    #[test]
    fn what_a_step_logs_has_one_limit_for_all_its_files() {
        let mut confined = Confined::default();
        log(&mut confined, "a", b"first").unwrap();
        log(&mut confined, "b", b"second\n").unwrap();
        assert_eq!(confined.logged, b"first\nsecond\n");
        let room = usize::try_from(MOST_LOGGED).unwrap() - confined.logged.len();
        log(&mut confined, "c", &vec![b'x'; room]).unwrap();
        let refused = log(&mut confined, "d", b"y").unwrap_err();
        assert_eq!(refused.code, code::RUN_036);
        assert_eq!(confined.logged.len() as u64, MOST_LOGGED);
        assert!(confined.written.is_empty());
    }
}
