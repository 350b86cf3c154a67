//! What the runner needs to know of a step, whatever its kind.

use custody_outgoing::RelayLimits;
use custody_sandbox::Limits as SandboxLimits;
use custody_types::{ByteSize, Classification, Endpoint, Kind};

use crate::file::{Limits, Step, VALIDATION, VALIDATION_PREDICTIONS};

/// Something that a step makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Makes {
    /// The name inside the step.
    pub(crate) name: String,
    /// The artifact, without the project.
    pub(crate) artifact: String,
    /// What it is.
    pub(crate) kind: Kind,
    /// How sensitive it is.
    pub(crate) class: Class,
}

/// How sensitive something is that a step makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// As the most sensitive of its inputs.
    OfInputs,
    /// It holds figures that Custody computed, and no rows: as sensitive as the rows where one is over few of them.
    Figures,
    /// As the pipeline file says.
    Declared(Classification),
}

fn makes(name: &str, artifact: &str, kind: Kind) -> Makes {
    Makes {
        name: name.to_owned(),
        artifact: artifact.to_owned(),
        kind,
        class: Class::OfInputs,
    }
}

impl Step {
    /// Returns the kind of step as it is written.
    pub(crate) const fn action(&self) -> &'static str {
        match self {
            Self::Source(_) => "source",
            Self::Check(_) => "check",
            Self::Sql(_) => "sql",
            Self::Run(_) => "run",
            Self::Evaluate(_) => "evaluate",
            Self::Gate(_) => "gate",
            Self::Register(_) => "register",
        }
    }

    pub(crate) const fn is_check(&self) -> bool {
        matches!(self, Self::Check(_))
    }

    pub(crate) const fn is_manual(&self) -> bool {
        match self {
            Self::Gate(gate) => gate.manual,
            Self::Register(register) => register.manual,
            _ => false,
        }
    }

    /// Returns whether it runs a program, and so needs an environment.
    pub(crate) const fn runs_program(&self) -> bool {
        match self {
            Self::Run(_) => true,
            Self::Evaluate(evaluate) => evaluate.predictions.is_none(),
            _ => false,
        }
    }

    /// Lists what it may connect to.
    pub(crate) fn network(&self) -> &[Endpoint] {
        match self {
            Self::Run(run) => &run.network,
            _ => &[],
        }
    }

    /// Returns whether what it makes is more than its inputs, code and environment make of it, so that it is made anew.
    pub(crate) fn runs_each_time(&self) -> bool {
        matches!(self, Self::Run(run) if !run.network.is_empty() && !run.reuse)
    }

    /// Returns the name of the environment that it runs its program with, if it names one.
    pub(crate) fn environment(&self) -> Option<&str> {
        match self {
            Self::Run(run) => run.environment.as_deref(),
            Self::Evaluate(evaluate) => evaluate.environment.as_deref(),
            _ => None,
        }
    }

    /// Lists what goes in: the name inside the step, and the text that `PipelineFile::input` reads.
    pub(crate) fn inputs(&self) -> Vec<(String, String)> {
        let one = |role: &str, artifact: &str| (role.to_owned(), artifact.to_owned());
        match self {
            Self::Source(_) => Vec::new(),
            Self::Check(check) => vec![one("data", &check.input)],
            Self::Sql(sql) => sql
                .inputs
                .iter()
                .map(|(role, artifact)| one(role, artifact))
                .collect(),
            Self::Run(run) => run
                .inputs
                .iter()
                .map(|(role, artifact)| one(role, artifact))
                .collect(),
            Self::Evaluate(evaluate) => {
                let mut inputs = vec![one("model", &evaluate.model), one("data", &evaluate.data)];
                inputs.extend(
                    evaluate
                        .predictions
                        .iter()
                        .map(|said| one("predictions", said)),
                );
                if let Some(chosen) = evaluate.chosen() {
                    inputs.push(one(VALIDATION, &chosen.on));
                    let said = chosen.predictions.iter();
                    inputs.extend(said.map(|said| one(VALIDATION_PREDICTIONS, said)));
                }
                inputs
            }
            Self::Gate(gate) => vec![
                one("model", &gate.model),
                one("evaluation", &gate.evaluation),
            ],
            Self::Register(register) => {
                vec![one("model", &register.model), one("gate", &register.gate)]
            }
        }
    }

    /// Lists what comes out of the step called `name`.
    pub(crate) fn outputs(&self, name: &str) -> Vec<Makes> {
        match self {
            Self::Source(source) => vec![makes("data", &source.output, Kind::Dataset)],
            Self::Sql(sql) => sql
                .outputs
                .keys()
                .map(|artifact| makes(artifact, artifact, Kind::Dataset))
                .collect(),
            Self::Run(run) => run
                .outputs
                .iter()
                .map(|(role, output)| Makes {
                    class: output
                        .classification
                        .map_or(Class::OfInputs, Class::Declared),
                    ..makes(role, &output.artifact, output.kind)
                })
                .collect(),
            Self::Register(register) => vec![makes("model", &register.output, Kind::Model)],
            // Their result is an artifact of the step's name.
            Self::Check(_) => vec![makes("report", name, Kind::Report)],
            Self::Evaluate(_) | Self::Gate(_) => vec![Makes {
                class: Class::Figures,
                ..makes("report", name, Kind::Report)
            }],
        }
    }
}

impl Limits {
    pub(crate) fn for_sandbox(&self) -> SandboxLimits {
        let default = SandboxLimits::default();
        SandboxLimits {
            memory: self
                .memory_mib
                .map_or(default.memory, ByteSize::from_mebibytes),
            processes: self.processes.unwrap_or(default.processes),
            threads: self.threads.unwrap_or(default.threads),
            time_ms: self
                .time_s
                .map_or(default.time_ms, |seconds| seconds.saturating_mul(1000)),
            output: self
                .output_mib
                .map_or(default.output, ByteSize::from_mebibytes),
            files: self.output_files.unwrap_or(default.files),
        }
    }

    pub(crate) fn for_network(&self) -> RelayLimits {
        let default = RelayLimits::default();
        RelayLimits {
            bytes: self
                .network_mib
                .map_or(default.bytes, |size| ByteSize::from_mebibytes(size).bytes()),
            in_all: self
                .connections
                .and_then(|count| usize::try_from(count).ok())
                .unwrap_or(default.in_all),
            ..default
        }
    }
}
