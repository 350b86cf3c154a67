//! What goes into a step, and whether it was done before with the same.

use std::collections::BTreeMap;

use custody_types::{ByteSize, Classification, Digest, Kind, Problem, Reference, VersionName};
use serde_json::{Value, json};

use super::prepare::Wanted;
use super::{Context, Known, RUNNER, Runner, STEP_KEY};
use crate::file::{Input, Step};
use crate::graph::guards;
use crate::memory::MadeFile;
use crate::pieces::{Pieces, SourcePiece, code};
use crate::produce::fault;

/// What decides whether a step was done before.
pub(crate) struct Inputs {
    pub(crate) key: Digest,
    pub(crate) versions: BTreeMap<String, Known>,
    pub(crate) reports: BTreeMap<String, Known>,
    pub(crate) code: Vec<MadeFile>,
    pub(crate) environment: Option<Wanted>,
    pub(crate) source: Option<Vec<u8>>,
    pub(crate) pieces: Pieces,
}

/// What a step made before with the same inputs.
pub(crate) struct Reuse {
    pub(crate) statement: Digest,
    /// By artifact.
    pub(crate) versions: BTreeMap<String, Known>,
}

impl Inputs {
    /// Returns the classification of the most sensitive input.
    pub(crate) fn classification(&self) -> Classification {
        self.versions
            .values()
            .map(|known| known.classification)
            .max()
            .unwrap_or(Classification::Internal)
    }
}

impl Context<'_> {
    /// Finds the version that an input's text means, once it is made.
    pub(crate) fn input(&self, text: &str) -> Option<&Known> {
        match self.file.input(text).ok()? {
            Input::Made(artifact) => self.made.get(&artifact),
            Input::Kept(_) => self.prepared.kept.get(text),
        }
    }
}

impl Runner {
    /// Computes the step's key, and finds what it made before with the same key.
    pub(crate) fn reusable(
        &self,
        context: &Context<'_>,
        name: &str,
        step: &Step,
    ) -> Result<(Inputs, Option<Reuse>), Problem> {
        let inputs = self.inputs(context, name, step)?;
        let Some(statement) = context.evidence.step(&context.file.project, &inputs.key)? else {
            return Ok((inputs, None));
        };
        let told = context.evidence.statement(&statement)?;
        // The index only leads here: that this is the step's work is what the signed statement says.
        let key = told
            .predicate
            .pointer(&format!("/buildDefinition/internalParameters/{STEP_KEY}"));
        if key.and_then(Value::as_str) != Some(inputs.key.to_string().as_str()) {
            return Ok((inputs, None));
        }
        let mut versions = BTreeMap::new();
        for (made, subject) in step.outputs(name).iter().zip(&told.subject) {
            let found = match subject.name.parse::<VersionName>() {
                Ok(version) => context.evidence.find(&Reference::from(version))?,
                Err(_) => None,
            };
            match found {
                Some(version)
                    if (!version.quarantined || version.record.kind == Kind::Model)
                        && Some(version.record.digest) == subject.sha256() =>
                {
                    versions.insert(made.artifact.clone(), Known::of(&version));
                }
                _ => return Ok((inputs, None)),
            }
        }
        let whole = versions.len() == step.outputs(name).len();
        let reuse = whole.then_some(Reuse {
            statement,
            versions,
        });
        Ok((inputs, reuse))
    }

    fn inputs(&self, context: &Context<'_>, name: &str, step: &Step) -> Result<Inputs, Problem> {
        let needed = |text: &str| fault(&format!("`{text}` is needed before it is made"));
        let mut versions = BTreeMap::new();
        for (role, text) in step.inputs() {
            let known = context.input(&text).ok_or_else(|| needed(&text))?;
            versions.insert(role, known.clone());
        }
        let mut reports = BTreeMap::new();
        for check in guards(context.file, name) {
            let known = context.made.get(&check).ok_or_else(|| needed(&check))?;
            reports.insert(check.clone(), known.clone());
        }
        let code = context.prepared.code.get(name).cloned().unwrap_or_default();
        let source = self.source(step)?;
        let environment = context.prepared.environments.get(name).cloned();
        let digests = |known: &BTreeMap<String, Known>| {
            known
                .iter()
                .map(|(role, known)| (role.clone(), known.digest))
                .collect::<BTreeMap<_, _>>()
        };
        let text = json!({
            "runner": RUNNER,
            "step": name,
            "declared": step,
            "inputs": digests(&versions),
            "reports": digests(&reports),
            "code": crate::memory::digest(&code),
            "environment": environment.as_ref().map(|wanted| wanted.key),
            "source": source.as_ref().map(|bytes| Digest::of(bytes)),
        });
        let key =
            serde_json_canonicalizer::to_vec(&text).map_err(|error| fault(&error.to_string()))?;
        Ok(Inputs {
            key: Digest::of(&key),
            versions,
            reports,
            pieces: pieces(step, &code, environment.as_ref(), source.as_deref()),
            code,
            environment,
            source,
        })
    }

    fn source(&self, step: &Step) -> Result<Option<Vec<u8>>, Problem> {
        match step {
            Step::Source(source) => self.read_file(&source.file).map(Some),
            _ => Ok(None),
        }
    }

    /// Returns the pieces of a step whose inputs are not all there yet.
    pub(crate) fn pieces(
        &self,
        context: &Context<'_>,
        name: &str,
        step: &Step,
    ) -> Result<Pieces, Problem> {
        let code = context.prepared.code.get(name);
        Ok(pieces(
            step,
            code.map(Vec::as_slice).unwrap_or_default(),
            context.prepared.environments.get(name),
            self.source(step)?.as_deref(),
        ))
    }
}

fn pieces(
    step: &Step,
    files: &[MadeFile],
    environment: Option<&Wanted>,
    source: Option<&[u8]>,
) -> Pieces {
    let source = match (step, source) {
        (Step::Source(step), Some(bytes)) => {
            let piece = SourcePiece {
                sha256: Digest::of(bytes),
                size: ByteSize::from_bytes(bytes.len() as u64),
            };
            BTreeMap::from([(step.file.clone(), piece)])
        }
        _ => BTreeMap::new(),
    };
    Pieces {
        code: code(files),
        environment: environment.map(|wanted| wanted.pieces.clone()),
        source,
    }
}
