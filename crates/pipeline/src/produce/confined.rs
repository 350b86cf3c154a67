//! A program in the sandbox: what it is given, what it prints, what it leaves behind.

use std::collections::BTreeMap;
use std::sync::Arc;

use custody_sandbox::{Exit, Spec};
use custody_types::{Problem, code};

use super::failure::{Failure, failed, sandbox};
use super::lines::Lines;
use super::{StepExecutor, StepInputs, StepOutputs, fault};
use crate::file::variable;
use crate::memory::{InMemory, MadeFile};

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
pub(super) const METRICS: &str = ".metrics";

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
        said: &mut (dyn FnMut(&str) + Send),
    ) -> Result<StepOutputs, Problem> {
        if let Some(seen) = custody_sandbox::seen_by_steps(&self.project) {
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
        let finished = custody_sandbox::run(&self.launcher, &spec, &mut told)
            .map_err(|error| sandbox(name, error))?;
        lines.end(said);
        match finished.exit {
            Exit::Code(0) => {}
            exit => {
                return Err(failed(&Failure {
                    name,
                    exit,
                    log: &finished.log,
                    shown: given.show_log,
                    limits,
                    project: &self.project,
                }));
            }
        }
        let outputs = finished.outputs.into_iter().map(|(output, files)| {
            let files = files.into_iter().map(|file| MadeFile {
                path: file.path,
                executable: file.executable,
                bytes: file.bytes,
            });
            (output, files.collect())
        });
        Ok(StepOutputs {
            outputs: outputs.collect(),
            enforced: finished
                .enforced
                .into_iter()
                .map(|one| (one.what, one.by))
                .collect(),
            ..StepOutputs::default()
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
