//! The pipeline file, `custody.yaml`.

use std::collections::BTreeMap;

use custody_stats::contract::Check;
use custody_types::{ArtifactName, Classification, ExitCode, Kind, Problem, ProjectName, Purpose};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The name of the file at the root of a project.
pub const NAME: &str = "custody.yaml";
/// The project that holds the policies.
const RESERVED: &str = "custody";

/// What a project declares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PipelineFile {
    /// The project.
    #[schemars(with = "String")]
    pub project: ProjectName,
    /// The purpose for which the steps read personal data, unless the command states another.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub purpose: Option<Purpose>,
    /// What the steps' programs run with.
    #[serde(default)]
    pub environment: Option<Environment>,
    /// The steps by name.
    pub steps: BTreeMap<String, Step>,
}

/// An interpreter and the packages of a lock file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// The version of Python: `3.11`.
    pub python: String,
    /// The lock file, with a hash for every package.
    pub lock: String,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Collects data, with its origin.
    Source(Source),
    /// Checks a dataset against a contract. What uses the dataset waits for it.
    Check(Contract),
    /// Makes datasets by SQL.
    Sql(Sql),
    /// Runs a program in the sandbox.
    Run(Run),
    /// Applies a model to data it has not seen, and measures it.
    Evaluate(Evaluate),
    /// Decides by what was measured.
    Gate(Gate),
    /// Registers and signs a model that passed its gate.
    Register(Register),
}

/// Collects a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The file, relative to the pipeline file.
    pub file: String,
    /// The artifact that it becomes a version of.
    pub output: String,
    /// Where it came from.
    pub origin: Origin,
    /// The purposes that it may serve; empty: any.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub purposes: Vec<Purpose>,
}

/// Where data came from, as declared; who collected it and when is added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// Who published it.
    pub publisher: String,
    /// Where it was found.
    pub url: String,
    /// The licence under which it may be used.
    pub licence: String,
    /// The legal basis of its processing.
    pub legal_basis: String,
    /// How sensitive it is: `public`, `internal`, `confidential`, `personal` or `special`.
    #[schemars(with = "String")]
    pub classification: Classification,
    /// What it is, in a sentence.
    #[serde(default)]
    pub description: Option<String>,
}

/// Checks a dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// The dataset.
    pub input: String,
    /// The column whose values name rows in the report.
    #[serde(default)]
    pub key: Option<String>,
    /// What must hold.
    pub checks: Vec<Check>,
}

/// Makes datasets by SQL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sql {
    /// The datasets by the names that the SQL calls them.
    pub inputs: BTreeMap<String, String>,
    /// The SQL by the artifact that it makes a version of.
    pub outputs: BTreeMap<String, String>,
}

/// Runs a program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// The files of the project that it may read, relative to the pipeline file.
    #[serde(default)]
    pub code: Vec<String>,
    /// The artifacts by the names of the inputs.
    #[serde(default)]
    pub inputs: BTreeMap<String, String>,
    /// What it makes, by the names of the outputs.
    pub outputs: BTreeMap<String, Output>,
    /// What it is told.
    #[serde(default)]
    pub parameters: BTreeMap<String, serde_json::Value>,
    /// How much it may use.
    #[serde(default)]
    pub limits: Limits,
}

/// What a program makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// The artifact that it becomes a version of.
    pub artifact: String,
    /// What it is: `model`, `dataset`, `features`, `report`.
    #[schemars(with = "String")]
    pub kind: Kind,
    /// How sensitive it is. Without it: as the most sensitive input. Less than that is decided by the policy
    /// (`declassify`) and entered in the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub classification: Option<Classification>,
}

/// How much a step may use; what is not given has a generous default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The address space of each process, in MiB.
    #[serde(default)]
    pub memory_mib: Option<u32>,
    /// The time, in seconds.
    #[serde(default)]
    pub time_s: Option<u64>,
    /// The number of processes and threads.
    #[serde(default)]
    pub processes: Option<u32>,
    /// The size of each output, in MiB.
    #[serde(default)]
    pub output_mib: Option<u32>,
}

/// Measures a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Evaluate {
    /// The model: an artifact with `model.onnx` and `features.json`.
    pub model: String,
    /// The dataset.
    pub data: String,
    /// The column with the truth, 0 or 1.
    pub label: String,
    /// The sensitive attributes: columns.
    #[serde(default)]
    pub groups: Vec<String>,
    /// From which score on a row is predicted positive.
    #[serde(default = "half")]
    pub threshold: f64,
}

const fn half() -> f64 {
    0.5
}

/// Decides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// The model that it is about.
    pub model: String,
    /// The evaluate step whose figures count.
    pub evaluation: String,
    /// The bounds by figure: `roc_auc`, `fairness.SEX.equalized_odds_difference`.
    pub require: BTreeMap<String, Bounds>,
    /// Whether it runs only when it is named.
    #[serde(default)]
    pub manual: bool,
}

/// Bounds of a figure, both included.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// At least.
    #[serde(default)]
    pub min: Option<f64>,
    /// At most.
    #[serde(default)]
    pub max: Option<f64>,
}

/// Registers a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// The model.
    pub model: String,
    /// The gate that it must have passed.
    pub gate: String,
    /// The artifact that it becomes a version of.
    pub output: String,
    /// Whether it runs only when it is named.
    #[serde(default)]
    pub manual: bool,
}

impl PipelineFile {
    /// Reads a pipeline file.
    ///
    /// # Errors
    /// A [`Problem`] with the line and a mark at the column.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let file: Self =
            serde_saphyr::from_str(text).map_err(|error| invalid(error.to_string()))?;
        file.check_names()
            .map_err(|(word, because)| at(text, &word, because))?;
        crate::graph::check(&file, text)?;
        Ok(file)
    }

    /// Lists every purpose that it names.
    pub(crate) fn purposes(&self) -> Vec<Purpose> {
        let sources = self.steps.values().filter_map(|step| match step {
            Step::Source(source) => Some(&source.purposes),
            _ => None,
        });
        sources.flatten().chain(&self.purpose).cloned().collect()
    }

    /// Checks every name and limit. An error names the word of the file that it is about.
    fn check_names(&self) -> Result<(), (String, String)> {
        if self.steps.is_empty() {
            return Err(("steps".to_owned(), "there are no steps".to_owned()));
        }
        if self.project.as_str() == RESERVED {
            return Err((
                RESERVED.to_owned(),
                format!("the project `{RESERVED}` is Custody's own: name yours otherwise"),
            ));
        }
        for (name, step) in &self.steps {
            word("a step", name)?;
            for (role, artifact) in step.inputs() {
                word("an input", &role)?;
                self.artifact(&artifact)?;
            }
            for made in step.outputs(name) {
                if !matches!(step, Step::Sql(_)) {
                    word("an output", &made.name)?;
                }
                self.artifact(&made.artifact)?;
            }
            if let Step::Run(run) = step {
                run.check(name)?;
            }
        }
        Ok(())
    }

    fn artifact(&self, name: &str) -> Result<(), (String, String)> {
        format!("{}/{name}", self.project)
            .parse::<ArtifactName>()
            .map(drop)
            .map_err(|error| (name.to_owned(), error.to_string()))
    }
}

impl Run {
    fn check(&self, name: &str) -> Result<(), (String, String)> {
        if self.command.is_empty() {
            return Err((
                "command".to_owned(),
                format!("the step `{name}` has no command"),
            ));
        }
        let limits = [
            ("memory_mib", self.limits.memory_mib.map(u64::from)),
            ("time_s", self.limits.time_s),
            ("processes", self.limits.processes.map(u64::from)),
            ("output_mib", self.limits.output_mib.map(u64::from)),
        ];
        match limits.iter().find(|(_, limit)| *limit == Some(0)) {
            Some((word, _)) => Err((
                (*word).to_owned(),
                format!("`{word}` of the step `{name}` must be at least 1"),
            )),
            None => Ok(()),
        }
    }
}

/// Checks the name of a step, or of an input or output inside it.
fn word(what: &str, name: &str) -> Result<(), (String, String)> {
    let good = name.bytes().all(|byte| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
    });
    if good && !name.is_empty() && name.len() <= 40 {
        Ok(())
    } else {
        Err((
            name.to_owned(),
            format!("`{name}` is no name for {what}: use up to 40 of a-z, 0-9, `-` and `_`"),
        ))
    }
}

/// Returns the JSON Schema of the file, by which editors complete it.
pub fn schema() -> String {
    let schema = schemars::schema_for!(PipelineFile);
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

/// Builds a problem about the first line that has `word`.
pub(crate) fn at(text: &str, word: &str, because: String) -> Problem {
    let place = text
        .lines()
        .enumerate()
        .find_map(|(number, line)| line.find(word).map(|column| (number, line, column)));
    let excerpt = place.map_or_else(String::new, |(number, line, column)| {
        let column = line
            .get(..column)
            .map_or(0, |before| before.chars().count());
        format!(
            "\n{:>5} | {line}\n      | {}{}",
            number + 1,
            " ".repeat(column),
            "^".repeat(word.chars().count())
        )
    });
    invalid(format!("{because}{excerpt}"))
}

fn invalid(because: String) -> Problem {
    Problem::new(
        "CUS-PIPE-001",
        ExitCode::Usage,
        format!("`{NAME}` does not hold up"),
    )
    .because(because)
    .hint(
        "correct the file; editors complete it by the schema `docs/reference/custody.schema.json`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_schema_is_this_one() {
        let published = include_str!("../../../docs/reference/custody.schema.json");
        assert_eq!(published, schema(), "write it anew: `make generate`");
    }

    #[test]
    fn the_example_is_a_pipeline_file() {
        let file =
            PipelineFile::parse(include_str!("../../../examples/employment/custody.yaml")).unwrap();
        assert_eq!(file.steps.len(), 9);
    }
}
