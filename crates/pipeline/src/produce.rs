//! What each kind of step does with its inputs: the same inputs give the same outputs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use custody_engine::{Engine, EngineError, Table};
use custody_sandbox::{Exit, SandboxError, Spec};
use custody_stats::contract::ContractReport;
use custody_stats::{Attribute, Evaluation, Guard, Scored, evaluate};
use custody_types::{ByteSize, ExitCode, Problem, VersionFiles};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::file::{Contract, Evaluate, Gate, Run, Sql, Step};
use crate::memory::{InMemory, MadeFile};
use crate::ports::Installed;

/// The Python package that steps may import.
const PACKAGE: [(&str, &str); 2] = [
    (
        "custody/__init__.py",
        include_str!("../../../python/src/custody/__init__.py"),
    ),
    (
        "custody/_score.py",
        include_str!("../../../python/src/custody/_score.py"),
    ),
];
/// Where it is in the sandbox, as an input.
const PACKAGE_INPUT: &str = ".python";
/// The output that takes what a step logs.
const METRICS: &str = ".metrics";

/// What a step is given.
#[derive(Debug, Default)]
pub(crate) struct Given {
    /// By the name inside the step.
    pub(crate) inputs: BTreeMap<String, Arc<dyn VersionFiles>>,
    pub(crate) code: Option<Arc<dyn VersionFiles>>,
    pub(crate) environment: Option<Installed>,
    /// Whether the person may see what the step prints.
    pub(crate) show_log: bool,
}

/// What came out.
#[derive(Debug, Default)]
pub(crate) struct Product {
    /// By the name inside the step.
    pub(crate) outputs: BTreeMap<String, Vec<MadeFile>>,
    /// In plain words, a line each.
    pub(crate) notes: Vec<String>,
    /// Why the answer is no, if it is.
    pub(crate) refused: Option<Problem>,
    /// What was measured, for the statement.
    pub(crate) byproducts: Vec<Value>,
    /// What was enforced.
    pub(crate) enforced: Vec<(String, String)>,
}

/// Carries out steps.
#[derive(Debug)]
pub(crate) struct Workshop {
    pub(crate) engine: Engine,
    pub(crate) launcher: PathBuf,
    /// The project's folder, which no step may see.
    pub(crate) project: PathBuf,
}

impl Workshop {
    /// Carries out a step. Sources are not made here: they come from outside.
    pub(crate) fn produce(
        &self,
        name: &str,
        step: &Step,
        given: &Given,
        said: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Product, Problem> {
        match step {
            Step::Source(_) => Err(fault("a source cannot be made again")),
            Step::Check(contract) => self.check(name, contract, given),
            Step::Sql(sql) => self.sql(sql, given),
            Step::Run(run) => self.run(name, run, given, said),
            Step::Evaluate(evaluate) => self.evaluate(name, evaluate, given, said),
            Step::Gate(gate) => decide(name, gate, given),
            Step::Register(_) => register(given),
        }
    }

    fn check(&self, name: &str, contract: &Contract, given: &Given) -> Result<Product, Problem> {
        let table = Table {
            name: "data".to_owned(),
            files: given.input("data")?.clone(),
        };
        let report = self
            .engine
            .check(&table, &contract.checks, contract.key.as_deref())
            .map_err(|error| engine(name, &error))?;
        let passed = report.checks.iter().filter(|check| check.passed).count();
        // Without keys: the statement may be read by whoever may list versions.
        let broken: Vec<_> = report
            .checks
            .iter()
            .filter(|check| !check.passed)
            .map(|check| json!({"check": check.check, "expected": check.expected, "observed": check.observed}))
            .collect();
        let mut product = Product {
            notes: vec![format!(
                "{passed} of {} checks hold on {} rows ({} scans)",
                report.checks.len(),
                report.rows,
                report.scans
            )],
            refused: (!report.ok).then(|| broken_contract(&contract.input, &report)),
            byproducts: vec![
                json!({"name": "test-result", "result": if report.ok { "PASSED" } else { "FAILED" }, "checks": report.checks.len(), "passed": passed, "broken": broken}),
            ],
            ..Product::default()
        };
        product.add_json("report", "report.json", &report)?;
        Ok(product)
    }

    fn sql(&self, sql: &Sql, given: &Given) -> Result<Product, Problem> {
        let tables: Vec<_> = given
            .inputs
            .iter()
            .map(|(name, files)| Table {
                name: name.clone(),
                files: files.clone(),
            })
            .collect();
        let mut product = Product::default();
        for (artifact, query) in &sql.outputs {
            let mut bytes = Vec::new();
            let written = self
                .engine
                .query_to_parquet(&tables, query, &mut bytes)
                .map_err(|error| engine(artifact, &error))?;
            product.notes.push(format!(
                "{artifact}: {} rows, {} columns",
                written.rows,
                written.columns.len()
            ));
            product.add(artifact, "data.parquet", bytes)?;
        }
        Ok(product)
    }

    fn run(
        &self,
        name: &str,
        run: &Run,
        given: &Given,
        said: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Product, Problem> {
        let parameters = json!(run.parameters).to_string();
        let outputs: Vec<_> = run.outputs.keys().cloned().collect();
        let mut product = self.confined(
            name,
            run.command.clone(),
            &parameters,
            &outputs,
            run.limits.for_sandbox(),
            given,
            said,
        )?;
        for output in &outputs {
            if product.outputs.get(output).is_none_or(Vec::is_empty) {
                return Err(Problem::new("CUS-RUN-006", ExitCode::No, format!("the step `{name}` wrote nothing to its output `{output}`"))
                    .hint(format!("write to the folder `custody.output(\"{output}\")`, `/out/{output}` in the sandbox")));
            }
        }
        for file in product.outputs.remove(METRICS).unwrap_or_default() {
            let metrics = metrics(name, &file.bytes)?;
            product.notes.extend(
                metrics
                    .iter()
                    .map(|metric| format!("logged {} = {}", metric.name, metric.value)),
            );
            product
                .byproducts
                .push(json!({"name": "metrics", "metrics": metrics}));
        }
        Ok(product)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one call of the sandbox"
    )]
    fn confined(
        &self,
        name: &str,
        argv: Vec<String>,
        parameters: &str,
        outputs: &[String],
        limits: custody_sandbox::Limits,
        given: &Given,
        said: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Product, Problem> {
        if let Some(seen) = custody_sandbox::seen_by_steps(&self.project) {
            return Err(Problem::new(
                "CUS-RUN-034",
                ExitCode::Usage,
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
            env: variables(parameters, given, outputs),
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
                let log = given.show_log.then_some(finished.log.as_slice());
                return Err(failed(name, exit, log, limits.time_ms));
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
        Ok(Product {
            outputs: outputs.collect(),
            enforced: finished
                .enforced
                .into_iter()
                .map(|one| (one.what, one.by))
                .collect(),
            ..Product::default()
        })
    }

    fn evaluate(
        &self,
        name: &str,
        step: &Evaluate,
        given: &Given,
        said: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Product, Problem> {
        let argv = ["python", "-m", "custody._score"]
            .map(ToOwned::to_owned)
            .to_vec();
        let output = "scores".to_owned();
        let mut scored = self.confined(
            name,
            argv,
            "{}",
            std::slice::from_ref(&output),
            custody_sandbox::Limits::default(),
            given,
            said,
        )?;
        let scores = Table {
            name: "scores".to_owned(),
            files: Arc::new(InMemory::new(
                scored.outputs.remove(&output).unwrap_or_default(),
            )),
        };
        let data = Table {
            name: "data".to_owned(),
            files: given.input("data")?.clone(),
        };
        let failed = |error: EngineError| engine(name, &error);
        let scores = self.engine.numbers(&scores, "score").map_err(failed)?;
        let labels = self.engine.numbers(&data, &step.label).map_err(failed)?;
        let missing = || {
            Problem::new(
                "CUS-RUN-010",
                ExitCode::No,
                format!(
                    "the step `{name}` cannot measure: the label `{}` is not 0 or 1 in every row",
                    step.label
                ),
            )
            .hint("name a column without nulls that is 0 or 1, or make one in SQL")
        };
        let scores: Vec<f64> = scores
            .into_iter()
            .collect::<Option<_>>()
            .ok_or_else(missing)?;
        let labels: Vec<bool> = labels
            .into_iter()
            .map(|label| match label {
                Some(0.0) => Some(false),
                Some(1.0) => Some(true),
                _ => None,
            })
            .collect::<Option<_>>()
            .ok_or_else(missing)?;
        let mut columns = Vec::new();
        for group in &step.groups {
            let values = self.engine.texts(&data, group).map_err(failed)?;
            columns.push((
                group,
                values
                    .into_iter()
                    .map(|value| value.unwrap_or_else(|| "null".to_owned()))
                    .collect::<Vec<_>>(),
            ));
        }
        let attributes: Vec<_> = columns
            .iter()
            .map(|(name, values)| Attribute { name, values })
            .collect();
        let measured = evaluate(
            &Scored {
                labels: &labels,
                scores: &scores,
                threshold: step.threshold,
            },
            &attributes,
            Guard::default(),
        )
        .map_err(|error| {
            Problem::new(
                "CUS-RUN-011",
                ExitCode::No,
                format!("the step `{name}` cannot measure"),
            )
            .because(error)
        })?;
        let mut product = Product {
            enforced: scored.enforced,
            notes: told(&measured),
            ..Product::default()
        };
        product
            .byproducts
            .push(json!({"name": "evaluation", "rows": measured.n}));
        product.add_json("report", "evaluation.json", &measured)?;
        Ok(product)
    }
}

fn told(evaluation: &Evaluation) -> Vec<String> {
    let shown = [
        "accuracy",
        "roc_auc",
        "log_loss",
        "brier_score",
        "expected_calibration_error",
    ];
    let names = shown.iter().map(|name| (*name).to_owned());
    let gaps = evaluation
        .metric_names()
        .into_iter()
        .filter(|name| name.ends_with("_difference"));
    let figure = |name: String| {
        evaluation
            .metric(&name)?
            .value
            .map(|value| format!("{name} {value:.4}"))
    };
    names.chain(gaps).filter_map(figure).collect()
}

impl Given {
    pub(crate) fn input(&self, name: &str) -> Result<&Arc<dyn VersionFiles>, Problem> {
        self.inputs
            .get(name)
            .ok_or_else(|| fault(&format!("the input `{name}` is not there")))
    }
}

impl Product {
    fn add(&mut self, output: &str, path: &str, bytes: Vec<u8>) -> Result<(), Problem> {
        let path = path
            .parse()
            .map_err(|error: custody_types::NameError| fault(&error.to_string()))?;
        self.outputs
            .entry(output.to_owned())
            .or_default()
            .push(MadeFile {
                path,
                executable: false,
                bytes,
            });
        Ok(())
    }

    fn add_json(
        &mut self,
        output: &str,
        path: &str,
        value: &impl Serialize,
    ) -> Result<(), Problem> {
        let mut bytes =
            serde_json::to_vec_pretty(value).map_err(|error| fault(&error.to_string()))?;
        bytes.push(b'\n');
        self.add(output, path, bytes)
    }
}

pub(crate) fn fault(because: &str) -> Problem {
    Problem::new("CUS-RUN-090", ExitCode::Fault, "the run broke off").because(because)
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
fn variables(parameters: &str, given: &Given, outputs: &[String]) -> BTreeMap<String, String> {
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
        ("OMP_NUM_THREADS", "1"),
        ("OPENBLAS_NUM_THREADS", "1"),
    ];
    let mut variables: BTreeMap<_, _> = fixed
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    if let Some(installed) = &given.environment {
        variables.extend(installed.variables());
        let own = format!("/in/{PACKAGE_INPUT}");
        let all = installed
            .variables()
            .remove("PYTHONPATH")
            .map_or(own.clone(), |packages| format!("{own}:{packages}"));
        variables.insert("PYTHONPATH".to_owned(), all);
    }
    let name = |kind: &str, name: &str| {
        format!(
            "CUSTODY_{kind}_{}",
            name.to_uppercase().replace(['-', '.'], "_")
        )
    };
    variables.extend(
        given
            .inputs
            .keys()
            .map(|input| (name("INPUT", input), format!("/in/{input}"))),
    );
    variables.extend(
        outputs
            .iter()
            .map(|output| (name("OUTPUT", output), format!("/out/{output}"))),
    );
    variables.insert("CUSTODY_PARAMETERS".to_owned(), parameters.to_owned());
    variables.insert(
        "CUSTODY_METRICS".to_owned(),
        format!("/out/{METRICS}/metrics.jsonl"),
    );
    variables
}

fn register(given: &Given) -> Result<Product, Problem> {
    let gate: Value = read_json(given.input("gate")?.as_ref(), "decision.json")?;
    if gate.get("passed") != Some(&Value::Bool(true)) {
        return Err(Problem::new(
            "CUS-RUN-012",
            ExitCode::No,
            "the model did not pass its gate",
        ));
    }
    let model = given.input("model")?;
    let mut product = Product::default();
    for file in model.files() {
        let bytes = model
            .read(&file.path, 0..file.size.bytes())
            .map_err(|error| unreadable(&error))?;
        let made = MadeFile {
            path: file.path.clone(),
            executable: file.executable,
            bytes: bytes.to_vec(),
        };
        product
            .outputs
            .entry("model".to_owned())
            .or_default()
            .push(made);
    }
    product
        .notes
        .push("signed in the OpenSSF model-signing format".to_owned());
    Ok(product)
}

pub(crate) fn unreadable(error: &custody_types::ReadError) -> Problem {
    Problem::new(
        "CUS-RUN-013",
        ExitCode::Integrity,
        "an input cannot be read",
    )
    .because(error)
    .hint("see the extent with `custody verify --all`")
}

pub(crate) fn read_json<T: serde::de::DeserializeOwned>(
    files: &dyn VersionFiles,
    path: &str,
) -> Result<T, Problem> {
    let file = files.files().iter().find(|file| file.path.as_str() == path);
    let file = file.ok_or_else(|| {
        Problem::new(
            "CUS-RUN-014",
            ExitCode::No,
            format!("the input has no file `{path}`"),
        )
    })?;
    let bytes = files
        .read(&file.path, 0..file.size.bytes())
        .map_err(|error| unreadable(&error))?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Problem::new(
            "CUS-RUN-015",
            ExitCode::No,
            format!("`{path}` cannot be understood"),
        )
        .because(error)
    })
}

fn decide(name: &str, gate: &Gate, given: &Given) -> Result<Product, Problem> {
    let evaluation: Evaluation = read_json(given.input("evaluation")?.as_ref(), "evaluation.json")?;
    let (mut product, mut figures, mut broken) = (Product::default(), Vec::new(), Vec::new());
    for (metric, bounds) in &gate.require {
        let Some(measured) = evaluation.metric(metric) else {
            return Err(Problem::new(
                "CUS-RUN-016",
                ExitCode::Usage,
                format!("the gate `{name}` asks for `{metric}`, which was not measured"),
            )
            .because(format!(
                "there are {}",
                evaluation.metric_names().join(", ")
            ))
            .hint("name one of these, or add the attribute to `groups` of the evaluate step"));
        };
        let wanted = match (bounds.min, bounds.max) {
            (Some(min), Some(max)) => format!("between {min} and {max}"),
            (Some(min), None) => format!("at least {min}"),
            (None, Some(max)) => format!("at most {max}"),
            (None, None) => "any".to_owned(),
        };
        // What could not be measured counts as the worst.
        let met = measured.value.is_some_and(|value| {
            bounds.min.is_none_or(|min| value >= min) && bounds.max.is_none_or(|max| value <= max)
        });
        let value = measured.value.map_or_else(
            || "not measurable".to_owned(),
            |value| format!("{value:.4}"),
        );
        let line = format!(
            "{metric} is {value}, required {wanted}: {}",
            if met { "met" } else { "not met" }
        );
        if !met {
            let between = measured.between.as_ref().and_then(|between| {
                Some(format!(
                    " (between {} and {})",
                    between.lowest.as_ref()?.join(", "),
                    between.highest.as_ref()?.join(", ")
                ))
            });
            broken.push(format!(
                "{metric} is {value}, required {wanted}{}",
                between.unwrap_or_default()
            ));
        }
        product.notes.push(line);
        figures
            .push(json!({"metric": metric, "measured": measured, "required": bounds, "met": met}));
    }
    let passed = broken.is_empty();
    let decision = json!({"gate": name, "passed": passed, "figures": figures});
    product
        .byproducts
        .push(json!({"name": "decision", "passed": passed, "broken": broken}));
    product.add_json("report", "decision.json", &decision)?;
    if !passed {
        let mut problem = Problem::new(
            "CUS-RUN-004",
            ExitCode::No,
            format!("the gate `{name}` refuses the model `{}`", gate.model),
        );
        for line in broken {
            problem = problem.because(line);
        }
        product.refused = Some(problem.hint("make the model meet the bounds, or have them changed by who may; the decision is kept as evidence"));
    }
    Ok(product)
}

fn broken_contract(dataset: &str, report: &ContractReport) -> Problem {
    let mut problem = Problem::new(
        "CUS-RUN-003",
        ExitCode::No,
        format!("the dataset `{dataset}` breaks its contract"),
    );
    for check in report.checks.iter().filter(|check| !check.passed) {
        let share = check
            .share
            .map_or_else(String::new, |share| format!(" ({:.2} %)", share * 100.0));
        let keys = if check.keys.is_empty() {
            String::new()
        } else {
            format!("; keys {}", check.keys.join(", "))
        };
        problem = problem.because(format!(
            "{}: {}{share}, expected {}{keys}",
            check.check, check.observed, check.expected
        ));
    }
    problem.hint("the batch is in quarantine: see it with `custody ls --quarantine`; correct the source or the contract and run again")
}

fn engine(name: &str, error: &EngineError) -> Problem {
    if *error == EngineError::NoRoom {
        return Problem::no_room(format!("what `{name}` puts aside while it is computed"));
    }
    let exit = match error {
        EngineError::Plan(_) | EngineError::NotAllowed(_) => ExitCode::Usage,
        _ => ExitCode::No,
    };
    let hint = match error {
        EngineError::Table { .. } => {
            "`check`, `sql` and `evaluate` read Parquet: store the data as `.parquet` files"
        }
        EngineError::Memory(_) => "read fewer rows or columns at once",
        _ => "correct the SQL; a `check` of the kind `schema` names the columns that there are",
    };
    Problem::new("CUS-RUN-005", exit, format!("`{name}` cannot be computed"))
        .because(error)
        .hint(hint)
}

fn sandbox(name: &str, error: SandboxError) -> Problem {
    match error {
        SandboxError::Unavailable { missing } => Problem::new(
            "CUS-RUN-007",
            ExitCode::Isolation,
            format!("the step `{name}` cannot be confined, so it did not run"),
        )
        .because(missing)
        .hint("see what this machine offers with `custody doctor`"),
        SandboxError::BadOutput { .. } => Problem::new(
            "CUS-RUN-008",
            ExitCode::No,
            format!("the step `{name}` wrote something that cannot be kept"),
        )
        .because(error)
        .hint("write plain files only"),
        SandboxError::NoCommand { because } => Problem::new(
            "CUS-RUN-033",
            ExitCode::Usage,
            format!("the step `{name}` cannot start"),
        )
        .because(because)
        .hint("correct `command` of the step, or bring the program with its environment"),
        SandboxError::Input(read) => unreadable(&read),
        SandboxError::Broken(because) => fault(&because),
    }
}

/// A figure that a program logged.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Metric {
    name: String,
    value: f64,
}

/// Reads the figures that a program logged: names and numbers, nothing that could carry rows out.
fn metrics(step: &str, bytes: &[u8]) -> Result<Vec<Metric>, Problem> {
    const MOST: usize = 1000;
    const NAME_BYTES: usize = 100;
    let malformed = |because: String| {
        Problem::new(
            "CUS-RUN-036",
            ExitCode::No,
            format!("the step `{step}` logged something that is no figure"),
        )
        .because(because)
        .hint("log with `custody.log_metric`, or lines `{\"name\": …, \"value\": …}`")
    };
    let text = std::str::from_utf8(bytes).map_err(|error| malformed(error.to_string()))?;
    if text.lines().count() > MOST {
        return Err(malformed(format!("there are more than {MOST} lines")));
    }
    let mut metrics = Vec::new();
    for (number, line) in text.lines().enumerate() {
        // What is wrong is not repeated: it may be data.
        let metric: Metric =
            serde_json::from_str(line).map_err(|_| malformed(format!("line {}", number + 1)))?;
        let named = |byte: u8| byte.is_ascii_alphanumeric() || b"._- /@".contains(&byte);
        if metric.name.is_empty()
            || metric.name.len() > NAME_BYTES
            || !metric.name.bytes().all(named)
        {
            return Err(malformed(format!("the name in line {}", number + 1)));
        }
        metrics.push(metric);
    }
    Ok(metrics)
}

/// Text that comes in pieces, handed on in whole lines.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn take(&mut self, bytes: &[u8], said: &mut (dyn FnMut(&str) + Send)) {
        self.0.extend_from_slice(bytes);
        if let Some(end) = self.0.iter().rposition(|byte| *byte == b'\n') {
            let rest = self.0.split_off(end + 1);
            said(&String::from_utf8_lossy(&self.0));
            self.0 = rest;
        }
    }

    fn end(self, said: &mut (dyn FnMut(&str) + Send)) {
        if !self.0.is_empty() {
            said(&String::from_utf8_lossy(&self.0));
        }
    }
}

/// Tells how a program ended; `log` is what it printed, where the person may see it.
fn failed(name: &str, exit: Exit, log: Option<&[u8]>, time_ms: u64) -> Problem {
    const LINES: usize = 15;
    let withheld = log.is_none();
    let log = String::from_utf8_lossy(log.unwrap_or_default());
    let tail: Vec<_> = log.lines().rev().take(LINES).collect();
    let tail: Vec<_> = tail.into_iter().rev().collect();
    let (what, code, hint) = match exit {
        Exit::TimedOut => {
            let limit = ByteSize::from_bytes(time_ms / 1000).bytes();
            (
                format!("the step `{name}` ran out of its {limit} s"),
                ExitCode::TimedOut,
                "raise `limits.time_s` of the step, or make it faster",
            )
        }
        Exit::Signal(signal) => (
            format!("the step `{name}` was killed by signal {signal}"),
            ExitCode::No,
            "it may lack memory: raise `limits.memory_mib` of the step",
        ),
        Exit::Code(code) if log.contains("MemoryError") => (
            format!("the step `{name}` ended with code {code}: out of memory"),
            ExitCode::No,
            "raise `limits.memory_mib` of the step",
        ),
        Exit::Code(code) => (
            format!("the step `{name}` ended with code {code}"),
            ExitCode::No,
            "correct the program and run again; what was made before is reused",
        ),
    };
    let problem = Problem::new("CUS-RUN-009", code, what).hint(hint);
    if withheld {
        problem.because("what it printed is withheld: it may repeat data whose `readLog` the policy does not grant")
    } else if tail.is_empty() {
        problem
    } else {
        problem.because(format!("the end of what it printed:\n{}", tail.join("\n")))
    }
}
