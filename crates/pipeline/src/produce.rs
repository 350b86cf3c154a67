//! What each kind of step does with its inputs: the same inputs give the same outputs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use custody_engine::{Engine, EngineError};
use custody_sandbox::Interrupt;
use custody_types::{Problem, VersionFiles, code};
use serde_json::Value;

use crate::egress::{Connections, Egress};
use crate::file::Step;
use crate::outputs::Outputs;
use crate::ports::Installed;

mod check;
mod confined;
pub(crate) mod evaluate;
mod failure;
mod gate;
mod lines;
mod register;
mod run;
mod sql;

pub(crate) use run::Metric;

/// What a step is given.
#[derive(Debug, Default)]
pub(crate) struct StepInputs {
    /// By the name inside the step.
    pub(crate) inputs: BTreeMap<String, Arc<dyn VersionFiles>>,
    pub(crate) code: Option<Arc<dyn VersionFiles>>,
    pub(crate) environment: Option<Installed>,
    /// Whether the person may see what the step prints.
    pub(crate) show_log: bool,
    /// The way out, for a step that has a network.
    pub(crate) egress: Option<Arc<Egress>>,
    /// What ends the step early.
    pub(crate) interrupt: Interrupt,
    /// Over how many rows figures are less sensitive than the rows.
    pub(crate) fewest_rows: u64,
    /// The text of the pipeline file, in which mistakes are shown.
    pub(crate) file: Option<String>,
    /// The project's folder, where it is on this machine: no step may see it.
    pub(crate) project: Option<PathBuf>,
}

/// What is told of a step that was carried out.
#[derive(Debug, Default)]
pub(crate) struct StepReport {
    /// In plain words, a line each.
    pub(crate) notes: Vec<String>,
    /// Why the answer is no, if it is.
    pub(crate) refused: Option<Problem>,
    /// What was measured, for the statement.
    pub(crate) byproducts: Vec<Value>,
    /// What the program logged: names and numbers of its own choice, so for those alone who may read the inputs.
    pub(crate) logged: Vec<Metric>,
    /// Over how few rows a figure is, where there are any.
    pub(crate) rows: Option<u64>,
    /// What was enforced.
    pub(crate) enforced: Vec<(String, String)>,
}

impl StepReport {
    /// Takes in what the step connected to, if it could.
    fn take_connections(&mut self, connections: Option<&Connections>) {
        let Some(connections) = connections else {
            return;
        };
        self.notes.extend(connections.made());
        self.notes.extend(connections.troubles());
        self.byproducts.push(connections.byproduct());
    }
}

/// Carries out steps.
#[derive(Debug)]
pub(crate) struct StepExecutor {
    pub(crate) engine: Engine,
    pub(crate) launcher: PathBuf,
}

impl StepExecutor {
    /// Carries out a step; what it makes goes to `outputs`, by the name inside the step. Sources are not made here:
    /// they come from outside.
    pub(crate) fn produce(
        &self,
        name: &str,
        step: &Step,
        given: &StepInputs,
        outputs: &mut dyn Outputs,
        said: &mut (dyn FnMut(&str) + Send),
    ) -> Result<StepReport, Problem> {
        match step {
            Step::Source(_) => Err(fault("a source cannot be made again")),
            Step::Check(contract) => self.check(name, contract, given, outputs),
            Step::Sql(sql) => self.sql(sql, given, outputs),
            Step::Run(run) => self.run(name, run, given, outputs, said),
            Step::Evaluate(evaluate) => self.evaluate(name, evaluate, given, outputs, said),
            Step::Gate(gate) => gate::decide(name, gate, given, outputs),
            Step::Register(_) => register::register(given, outputs),
        }
    }
}

impl StepInputs {
    pub(crate) fn input(&self, name: &str) -> Result<&Arc<dyn VersionFiles>, Problem> {
        self.inputs
            .get(name)
            .ok_or_else(|| fault(&format!("the input `{name}` is not there")))
    }
}

pub(crate) fn fault(because: &str) -> Problem {
    Problem::new(code::RUN_090, "the run broke off").because(because)
}

/// Tells that somebody ended a step.
pub(crate) fn interrupted(name: &str) -> Problem {
    let what = format!("the step `{name}` was interrupted");
    Problem::new(code::RUN_037, what)
}

pub(crate) fn unreadable(error: &custody_types::ReadError) -> Problem {
    Problem::new(code::RUN_013, "an input cannot be read")
        .because_of(error)
        .hint("see the extent with `custody verify --all`")
}

pub(crate) fn read_json<T: serde::de::DeserializeOwned>(
    files: &dyn VersionFiles,
    path: &str,
) -> Result<T, Problem> {
    let file = files.files().iter().find(|file| file.path.as_str() == path);
    let file =
        file.ok_or_else(|| Problem::new(code::RUN_014, format!("the input has no file `{path}`")))?;
    let bytes = files
        .read(&file.path, 0..file.size.bytes())
        .map_err(|error| unreadable(&error))?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Problem::new(code::RUN_015, format!("`{path}` cannot be understood")).because(error)
    })
}

fn engine(name: &str, error: &EngineError) -> Problem {
    if *error == EngineError::NoRoom {
        return Problem::no_room(format!("what `{name}` puts aside while it is computed"));
    }
    let code = match error {
        EngineError::Plan(_) | EngineError::NotAllowed(_) => code::RUN_022,
        _ => code::RUN_005,
    };
    let hint = match error {
        EngineError::Table { .. } => {
            "a table is all files of a version, in Parquet, with the same columns: take what is none out of the version (`file:` takes a pattern), or correct the file"
        }
        EngineError::Memory(_) => "read fewer rows or columns at once",
        _ => "correct the SQL; a `check` of the kind `schema` names the columns that there are",
    };
    Problem::new(code, format!("`{name}` cannot be computed"))
        .because(error)
        .hint(hint)
}
