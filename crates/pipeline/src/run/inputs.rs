//! What goes into a step, and whether it was done before with the same.

use std::collections::{BTreeMap, BTreeSet};

use custody_guard::{Evidence, Reach, Version, dependency, role};
use custody_types::{Classification, Digest, Kind, Problem, Reference, VersionName, code};
use serde_json::{Value, json};

use super::carry_out::{has_passed, waiver};
use super::prepare::Wanted;
use super::{Context, Known, RUNNER, Runner, STEP_KEY};
use crate::collect::{self, SourceFile};
use crate::evidence::closure;
use crate::file::{Input, Step};
use crate::graph::guards;
use crate::memory::MadeFile;
use crate::pieces::{Pieces, SourcePiece, code};
use crate::produce::evaluate::overlap::TRAINING;
use crate::produce::fault;

/// What decides whether a step was done before.
pub(crate) struct Inputs {
    pub(crate) key: Digest,
    pub(crate) versions: BTreeMap<String, Known>,
    pub(crate) reports: BTreeMap<String, Known>,
    /// The datasets that an evaluated model was trained on, by role.
    pub(crate) training: BTreeMap<String, Known>,
    pub(crate) code: Vec<MadeFile>,
    pub(crate) environment: Option<Wanted>,
    /// The files that a source collects.
    pub(crate) source: Option<Vec<SourceFile>>,
    pub(crate) pieces: Pieces,
}

/// What a step made before with the same inputs.
pub(crate) struct Reuse {
    pub(crate) statement: Digest,
    /// By artifact.
    pub(crate) versions: BTreeMap<String, Known>,
    /// Whether it is a check whose contract was passed.
    pub(crate) passed: bool,
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

    /// Returns the version that the files of a source stand in, where a snapshot kept them.
    pub(crate) fn original(&self) -> Option<Known> {
        let (version, _) = self.source.as_deref()?.first()?.standing.kept()?;
        Some(Known::of(version))
    }

    /// Lists the identities of the versions that go in.
    pub(crate) fn lineage(&self) -> Vec<Digest> {
        let versions = self.versions.values().map(|known| known.digest);
        let original = self.original().map(|known| known.digest);
        versions.chain(original).collect()
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
        if step.runs_each_time() {
            return Ok((inputs, None));
        }
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
                    if (!version.quarantined
                        || version.record.kind == Kind::Model
                        || matches!(step, Step::Source(_)))
                        && Some(version.record.digest) == subject.sha256() =>
                {
                    if is_rejected(context, &version)? {
                        return Ok((inputs, None));
                    }
                    versions.insert(made.artifact.clone(), Known::of(&version));
                }
                _ => return Ok((inputs, None)),
            }
        }
        let byproducts = told.predicate.pointer("/runDetails/byproducts");
        let byproducts = byproducts.and_then(Value::as_array);
        let whole = versions.len() == step.outputs(name).len();
        let passed = byproducts.is_some_and(|byproducts| has_passed(byproducts));
        // A broken contract was let through by an approval, which may no longer count.
        let counts = !step.is_check() || passed || waiver(context, step, &inputs)?.is_some();
        let reuse = (whole && counts).then_some(Reuse {
            statement,
            versions,
            passed,
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
        let training = match step {
            Step::Evaluate(_) => trained_on(&context.evidence, &versions)?,
            _ => BTreeMap::new(),
        };
        let code = context.prepared.code.get(name).cloned().unwrap_or_default();
        let source = self.source(context, name, step)?;
        let environment = context.prepared.environments.get(name).cloned();
        let digests = |known: &BTreeMap<String, Known>| {
            known
                .iter()
                .map(|(role, known)| (role.clone(), known.digest))
                .collect::<BTreeMap<_, _>>()
        };
        let mut text = json!({
            "runner": RUNNER,
            "step": name,
            "declared": step,
            "inputs": digests(&versions),
            "reports": digests(&reports),
            "code": crate::memory::digest(&code),
            "environment": environment.as_ref().map(|wanted| wanted.key),
            "source": source.as_deref().map(collect::digest),
        });
        if let (Step::Evaluate(_), Some(text)) = (step, text.as_object_mut()) {
            text.insert("training".to_owned(), json!(digests(&training)));
        }
        let key =
            serde_json_canonicalizer::to_vec(&text).map_err(|error| fault(&error.to_string()))?;
        Ok(Inputs {
            key: Digest::of(&key),
            versions,
            reports,
            training,
            pieces: pieces(&code, environment.as_ref(), source.as_deref()),
            code,
            environment,
            source,
        })
    }

    fn source(
        &self,
        context: &Context<'_>,
        name: &str,
        step: &Step,
    ) -> Result<Option<Vec<SourceFile>>, Problem> {
        match (step, context.prepared.sources.get(name)) {
            (Step::Source(_), Some(looked)) => Ok(Some(looked.files.clone())),
            (Step::Source(source), None) => collect::find(self.folder.as_ref(), source).map(Some),
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
            code.map(Vec::as_slice).unwrap_or_default(),
            context.prepared.environments.get(name),
            self.source(context, name, step)?.as_deref(),
        ))
    }
}

fn pieces(
    files: &[MadeFile],
    environment: Option<&Wanted>,
    source: Option<&[SourceFile]>,
) -> Pieces {
    let source = source.into_iter().flatten().map(|file| {
        let piece = SourcePiece {
            sha256: file.entry.sha256,
            size: file.entry.size,
        };
        (file.entry.path.to_string(), piece)
    });
    Pieces {
        code: code(files),
        environment: environment.map(|wanted| wanted.pieces.clone()),
        source: source.collect(),
    }
}

/// Returns whether a version was rejected and its bytes were let in since, so that the step makes another; a rejection that
/// stands is an error.
fn is_rejected(context: &Context<'_>, version: &Version) -> Result<bool, Problem> {
    let Some(rejection) = context.evidence.standing_rejection(version)? else {
        return Ok(context.evidence.rejection(&version.name())?.is_some());
    };
    let name = version.name();
    Err(Problem::new(code::SCAN_027, format!("`{name}` was rejected"))
        .subject(&name)
        .because(format!("it was {rejection}"))
        .hint("a rejection stands for these bytes: change what they are made of; if it was a mistake, `custody put` the same files, let that be approved, then run again"))
}

/// Lists the datasets that a model was trained on, by role: the inputs of the steps that made it and the models that
/// it was made from. Everything else that it goes back to counts where it is the very data that are measured.
fn trained_on(
    evidence: &Evidence<'_>,
    versions: &BTreeMap<String, Known>,
) -> Result<BTreeMap<String, Known>, Problem> {
    let (Some(model), Some(data)) = (versions.get("model"), versions.get("data")) else {
        return Ok(BTreeMap::new());
    };
    let refused = format!("what `{}` was trained on cannot be told", model.name);
    let Reach::Version(root) = evidence.reach(&model.name)? else {
        return Err(Problem::new(code::PIPE_026, refused)
            .because("it is of a project that you may not look at"));
    };
    let found = closure(evidence, *root)?;
    found.require_all(&refused)?;
    let links = found.links;
    let find = |name: &VersionName| links.iter().find(|link| link.version.name() == *name);
    let mut found: BTreeMap<VersionName, Known> = links
        .iter()
        .filter(|link| link.version.record.digest == data.digest)
        .map(|link| (link.version.name(), Known::of(&link.version)))
        .collect();
    let mut open = vec![model.name.clone()];
    let mut seen = BTreeSet::new();
    while let Some(name) = open.pop() {
        if !seen.insert(name.clone()) {
            continue;
        }
        let inputs = find(&name).and_then(|link| link.provenance.as_ref());
        for descriptor in inputs.iter().flat_map(|provenance| provenance.inputs()) {
            let own = ["environment", "code"].contains(&role(descriptor));
            let Some((input, _)) = dependency(descriptor).filter(|_| !own) else {
                continue;
            };
            match find(&input).map(|link| (link, link.version.record.kind)) {
                Some((_, Kind::Model)) => open.push(input),
                Some((link, Kind::Dataset)) => {
                    found.insert(input, Known::of(&link.version));
                }
                _ => {}
            }
        }
    }
    Ok(found
        .into_values()
        .enumerate()
        .map(|(number, known)| (format!("{TRAINING}{number}"), known))
        .collect())
}
