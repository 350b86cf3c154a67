//! The pipeline file, `custody.yaml`.

use std::collections::BTreeMap;

use custody_types::{ArtifactName, Problem, ProjectName, Purpose, nearest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod check;
mod evaluate;
mod gate;
mod input;
mod place;
mod register;
mod run;
mod source;
mod sql;
mod yaml_error;

pub use check::Contract;
pub use evaluate::{Chosen, Cost, Evaluate, Overlap, Resampling, Rule, Scalar, Scores, Threshold};
pub use gate::{Bounds, Gate, SmallGroups};
pub(crate) use input::Input;
pub(crate) use place::{Place, Wrong};
pub use register::Register;
pub(crate) use run::{INEXACT, is_exact, variable};
pub use run::{Limits, Output, Run};
pub use source::{Origin, Source};
pub use sql::Sql;
pub(crate) use yaml_error::yaml_error;

use place::invalid;

/// The name of the file at the root of a project.
pub const NAME: &str = "custody.yaml";
/// The role of the data on which an `evaluate` step chooses its threshold.
pub(crate) const VALIDATION: &str = "validation";
/// The role of what was said about that data.
pub(crate) const VALIDATION_PREDICTIONS: &str = "validation_predictions";
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
    /// Further environments by name, for the steps that name one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environments: BTreeMap<String, Environment>,
    /// The steps by name.
    pub steps: BTreeMap<String, Step>,
    /// The text of the file.
    #[serde(skip)]
    pub(crate) text: String,
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
    Source(Box<Source>),
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

impl PipelineFile {
    /// Reads a pipeline file.
    ///
    /// # Errors
    /// A [`Problem`] with the line and a mark at the column.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let mut file: Self =
            serde_saphyr::from_str(text).map_err(|error| invalid(yaml_error(&error, text)))?;
        text.clone_into(&mut file.text);
        file.check()
            .and_then(|()| crate::graph::build(&file).map(drop))
            .map_err(|wrong| wrong.problem(text))?;
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

    /// Checks what the types leave open: names, limits, bounds.
    fn check(&self) -> Result<(), Wrong> {
        if self.steps.is_empty() {
            return Err(Wrong::new(
                Place::default().key("steps"),
                "there are no steps",
            ));
        }
        if self.project.as_str() == RESERVED {
            return Err(Wrong::new(
                Place::default().key("project"),
                format!("the project `{RESERVED}` is Custody's own: name yours otherwise"),
            ));
        }
        for name in self.environments.keys() {
            let place = Place::default().key("environments").key(name);
            word("an environment", name, place)?;
        }
        for (name, step) in &self.steps {
            word("a step", name, Place::step(name))?;
            for (role, text) in step.inputs() {
                let place = step.input_place(name, &role);
                word("an input", &role, place.clone())?;
                self.input(&text)
                    .map_err(|error| Wrong::new(place, error.to_string()))?;
            }
            self.check_environment(name, step)?;
            for made in step.outputs(name) {
                let place = step.output_place(name, &made.name);
                if !matches!(step, Step::Sql(_)) {
                    word("an output", &made.name, place.clone())?;
                }
                self.artifact(&made.artifact, place)?;
            }
            step.check(&Place::step(name).key(step.action()))?;
        }
        Ok(())
    }

    /// Returns the environment of a step that runs a program, if there is one, and its name among `environments`.
    pub(crate) fn environment_of<'a>(
        &'a self,
        step: &'a Step,
    ) -> Option<(Option<&'a str>, &'a Environment)> {
        match step.environment() {
            Some(name) => Some((Some(name), self.environments.get(name)?)),
            None => self
                .environment
                .as_ref()
                .filter(|_| step.runs_program())
                .map(|environment| (None, environment)),
        }
    }

    fn check_environment(&self, name: &str, step: &Step) -> Result<(), Wrong> {
        let Some(named) = step.environment() else {
            return Ok(());
        };
        if self.environments.contains_key(named) {
            return Ok(());
        }
        let place = Place::step(name).key(step.action()).key("environment");
        let names = || self.environments.keys().map(String::as_str);
        let way = match nearest(named, names()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if self.environments.is_empty() => {
                "declare it at the top: `environments: {NAME: {python: …, lock: …}}`".to_owned()
            }
            None => format!("there are `{}`", names().collect::<Vec<_>>().join("`, `")),
        };
        let because = format!("there is no environment `{named}`: {way}");
        Err(Wrong::new(place, because))
    }

    fn artifact(&self, name: &str, place: Place) -> Result<(), Wrong> {
        format!("{}/{name}", self.project)
            .parse::<ArtifactName>()
            .map(drop)
            .map_err(|error| Wrong::new(place, error.to_string()))
    }
}

impl Step {
    /// Checks what the types leave open; `place`: where the step's own part of the file stands.
    fn check(&self, place: &Place) -> Result<(), Wrong> {
        match self {
            Self::Check(contract) => contract.check(place),
            Self::Run(run) => run.check(place),
            Self::Evaluate(evaluate) => evaluate.check(place),
            Self::Gate(gate) => gate.check(place),
            Self::Source(_) | Self::Sql(_) | Self::Register(_) => Ok(()),
        }
    }

    /// Returns where the step `name` names an input.
    pub(crate) fn input_place(&self, name: &str, role: &str) -> Place {
        let place = Place::step(name).key(self.action());
        match self {
            Self::Sql(_) | Self::Run(_) => place.key("inputs").key(role),
            Self::Check(_) => place.key("input"),
            Self::Evaluate(_) => match role {
                VALIDATION => place.key("threshold").key("on"),
                VALIDATION_PREDICTIONS => place.key("threshold").key("predictions"),
                role => place.key(role),
            },
            _ => place.key(role),
        }
    }

    /// Returns where the step `name` names an output.
    pub(crate) fn output_place(&self, name: &str, output: &str) -> Place {
        let place = Place::step(name).key(self.action());
        match self {
            Self::Sql(_) => place.key("outputs").key(output),
            Self::Run(_) => place.key("outputs").key(output).key("artifact"),
            Self::Source(_) | Self::Register(_) => place.key("output"),
            _ => Place::step(name),
        }
    }
}

/// Checks the name of a step, or of an input or output inside it.
fn word(what: &str, name: &str, place: Place) -> Result<(), Wrong> {
    let good = name.bytes().all(|byte| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
    });
    if good && !name.is_empty() && name.len() <= 40 {
        Ok(())
    } else {
        Err(Wrong::new(
            place,
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
