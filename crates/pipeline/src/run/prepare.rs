//! What a run takes from outside of its steps, once, before anything runs: code, lock files, versions that are there
//! already, and the parameters that the command gives.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::Arc;

use custody_engine::{Layout, Table};
use custody_guard::{List, ResourceRef, Session};
use custody_types::{Digest, Problem, ProblemKind, Reference, code, nearest};
use custody_wire::Commit;
use serde_json::{Value, json};

use super::{Known, Runner};
use crate::collect::Looked;
use crate::file::{INEXACT, Input, NAME, PipelineFile, Step, Wrong, is_exact};
use crate::graph::Graph;
use crate::locked;
use crate::memory::MadeFile;
use crate::pieces::EnvironmentPieces;
use crate::ports::{Folder, LockedEnvironment};

/// The role of the rows that are measured.
const DATA: &str = "data";
/// How many names of what was left out are told.
const MOST_NAMES: usize = 8;

/// The environment that a step runs its program with, before it is installed.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) key: Digest,
    pub(crate) locked: LockedEnvironment,
    pub(crate) pieces: EnvironmentPieces,
}

/// What was taken from outside, by the names of the steps.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    pub(crate) code: BTreeMap<String, Vec<MadeFile>>,
    pub(crate) environments: BTreeMap<String, Wanted>,
    /// By the text in the file.
    pub(crate) kept: BTreeMap<String, Known>,
    /// The columns of those that are tables and read as such.
    pub(crate) layouts: BTreeMap<String, Layout>,
    /// What was found out about the files of sources, by step.
    pub(crate) sources: BTreeMap<String, Arc<Looked>>,
    /// What was declared and what was given instead, by parameter.
    pub(crate) overrides: BTreeMap<String, BTreeMap<String, Value>>,
    /// Where the project's folder stands in its history.
    pub(crate) commit: Option<Commit>,
    /// What a person should know, a line each.
    pub(crate) notes: Vec<String>,
}

/// The pipeline of the project's folder, as one run takes it.
pub(crate) struct Declared {
    pub(crate) text: String,
    pub(crate) file: PipelineFile,
    pub(crate) graph: Graph,
}

impl Declared {
    /// Reads the pipeline file of a project's folder, and puts its steps in order.
    pub(crate) fn read(folder: &dyn Folder) -> Result<Self, Problem> {
        let text = String::from_utf8(read_file(folder, NAME)?).map_err(|error| {
            Problem::new(code::PIPE_002, format!("`{NAME}` is no text")).because(error)
        })?;
        let file = PipelineFile::parse(&text)?;
        let graph = crate::graph::build(&file).map_err(|wrong| wrong.problem(&text))?;
        Ok(Self { text, file, graph })
    }

    /// Returns the steps to reach, in their order.
    pub(crate) fn steps(&self, targets: &[String]) -> Result<Vec<String>, Problem> {
        self.graph.reach(&self.file, targets).map_err(|name| {
            let names = || self.file.steps.keys().map(String::as_str);
            let what = format!("the pipeline has no step `{name}`");
            Problem::new(code::PIPE_004, what).hint(meant(&name, names))
        })
    }

    /// Gives parameters other values, each told as `STEP.PARAMETER=VALUE` with a value in YAML.
    pub(crate) fn set(
        &mut self,
        given: &[String],
        steps: &[String],
    ) -> Result<BTreeMap<String, BTreeMap<String, Value>>, Problem> {
        let mut overrides: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
        for text in given {
            let wrong = |because: String, hint: String| {
                let what = format!("`--set {text}` cannot be followed");
                Problem::new(code::PIPE_020, what)
                    .because(because)
                    .hint(hint)
            };
            let form = "write `--set STEP.PARAMETER=VALUE`, such as `--set train.C=0.1`";
            let parts = text.split_once('=').and_then(|(name, value)| {
                let (step, parameter) = name.split_once('.')?;
                Some((step, parameter, value))
            });
            let (step, parameter, value) =
                parts.ok_or_else(|| wrong("it has another form".to_owned(), form.to_owned()))?;
            let given = value;
            let value: Value = serde_saphyr::from_str(given).map_err(|error| {
                wrong(
                    crate::file::yaml_error(&error, given),
                    "the value is YAML: put a text that means something there in quotes".to_owned(),
                )
            })?;
            if !is_exact(&value) {
                return Err(wrong(
                    INEXACT.to_owned(),
                    "the value is then a text, which the program reads".to_owned(),
                ));
            }
            let runs = self
                .file
                .steps
                .iter()
                .filter_map(|(name, step)| match step {
                    Step::Run(_) => Some(name.clone()),
                    _ => None,
                });
            let runs: Vec<_> = runs.collect();
            let Some(Step::Run(run)) = self.file.steps.get_mut(step) else {
                return Err(wrong(
                    format!("there is no `run` step `{step}`"),
                    meant(step, || runs.iter().map(String::as_str)),
                ));
            };
            let names: Vec<_> = run.parameters.keys().cloned().collect();
            let Some(place) = place(&mut run.parameters, parameter) else {
                return Err(wrong(
                    format!("the step `{step}` has no parameter `{parameter}`"),
                    meant(parameter, || names.iter().map(String::as_str)),
                ));
            };
            if !steps.iter().any(|reached| reached == step) {
                return Err(wrong(
                    format!("this run does not reach the step `{step}`"),
                    format!("name it: `custody run {step}`"),
                ));
            }
            let declared = std::mem::replace(place, value.clone());
            let told = overrides.entry(step.to_owned()).or_default();
            // The second word on the same parameter counts; what the file says stays what was declared.
            let declared = told
                .get(parameter)
                .and_then(|before| before.get("declared").cloned())
                .unwrap_or(declared);
            let pair = json!({"declared": declared, "given": value});
            told.insert(parameter.to_owned(), pair);
        }
        Ok(overrides)
    }
}

/// Finds a parameter, or a part of one: `model.depth`.
fn place<'a>(parameters: &'a mut BTreeMap<String, Value>, name: &str) -> Option<&'a mut Value> {
    if parameters.contains_key(name) {
        return parameters.get_mut(name);
    }
    let (first, rest) = name.split_once('.')?;
    let mut value = parameters.get_mut(first)?;
    for part in rest.split('.') {
        value = value.as_object_mut()?.get_mut(part)?;
    }
    Some(value)
}

fn meant<'a, I: Iterator<Item = &'a str>>(name: &str, names: impl Fn() -> I) -> String {
    match nearest(name, names()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => {
            let names: Vec<_> = names().collect();
            if names.is_empty() {
                "there are none".to_owned()
            } else {
                format!("there are {}", names.join(", "))
            }
        }
    }
}

impl Runner {
    /// Takes what the steps need from outside.
    ///
    /// # Errors
    /// A [`Problem`] that names what is missing: a file, an interpreter, a version that the session's person may see.
    pub(crate) fn prepare(
        &self,
        session: &Session,
        declared: &Declared,
        steps: &[String],
    ) -> Result<Prepared, Problem> {
        let mut prepared = Prepared::default();
        let mut left_out = BTreeSet::new();
        for name in steps {
            let Some(step) = declared.file.steps.get(name) else {
                continue;
            };
            if let Step::Run(run) = step {
                let code = gather_code(self.folder.as_ref(), &run.code, &mut left_out)?;
                prepared.code.insert(name.clone(), code);
            }
            let network: Vec<_> = step.network().iter().map(ToString::to_string).collect();
            if !network.is_empty() {
                let note = format!("`{name}` has a network: {}", network.join(", "));
                prepared.notes.push(note);
            }
            if let Some(wanted) = self.wanted(&declared.file, step)? {
                prepared.environments.insert(name.clone(), wanted);
            }
            for (role, text) in step.inputs() {
                let Ok(Input::Kept(reference)) = declared.file.input(&text) else {
                    continue;
                };
                if prepared.kept.contains_key(&text) {
                    continue;
                }
                let rows = matches!(step, Step::Check(_) | Step::Sql(_)) || role == DATA;
                let kept = self.kept(session, &reference, rows);
                let (known, layout) = kept.map_err(|problem| {
                    if problem.kind() != ProblemKind::NotFound {
                        return problem;
                    }
                    let place = step.input_place(name, &role);
                    let because =
                        format!("there is no version `{reference}`, which `{name}` needs");
                    let artifact = &reference.artifact;
                    Wrong::new(place, because)
                        .problem(&declared.text)
                        .hint(format!("see which there are with `custody ls {artifact}`"))
                })?;
                if text != known.name.to_string() {
                    let note = format!("`{text}` is {}", known.name);
                    prepared.notes.push(note);
                }
                let layout = layout.map(|layout| (text.clone(), layout));
                prepared.layouts.extend(layout);
                prepared.kept.insert(text, known);
            }
        }
        prepared.notes.extend(tell_left_out(&left_out));
        Ok(prepared)
    }

    /// Finds a version that is there, and the columns of its table where a step reads it by `rows`.
    fn kept(
        &self,
        session: &Session,
        reference: &Reference,
        rows: bool,
    ) -> Result<(Known, Option<Layout>), Problem> {
        let target = ResourceRef::Named(reference.clone());
        let grant = self.door.ask::<List>(session, target)?;
        let known = Known::of(grant.version()?);
        let layout = if rows {
            let table = Table {
                name: known.name.to_string(),
                files: grant.structure()?,
            };
            // What is wrong with it is for the step to tell.
            self.workshop()?.engine.layout(&table).ok()
        } else {
            None
        };
        grant.finish()?;
        Ok((known, layout))
    }

    fn wanted(&self, file: &PipelineFile, step: &Step) -> Result<Option<Wanted>, Problem> {
        let Some((name, declared)) = file.environment_of(step) else {
            return Ok(None);
        };
        let bytes = read_file(self.folder.as_ref(), &declared.lock)?;
        let lock = String::from_utf8_lossy(&bytes).into_owned();
        let packages = locked::packages(&declared.lock, &declared.python, &lock)?;
        let digest = Digest::of(lock.as_bytes());
        let locked = LockedEnvironment {
            python: declared.python.clone(),
            lock,
        };
        let described = self.environments.describe(&locked)?;
        Ok(Some(Wanted {
            key: described.key,
            locked,
            pieces: EnvironmentPieces {
                name: name.map(ToOwned::to_owned),
                python: described.python,
                platform: described.platform,
                packages,
                lock: digest,
            },
        }))
    }
}

/// Gathers the code that these paths name.
pub(crate) fn gather_code(
    folder: &dyn Folder,
    paths: &[String],
    left_out: &mut BTreeSet<String>,
) -> Result<Vec<MadeFile>, Problem> {
    let mut files = BTreeMap::new();
    for path in paths {
        let code = folder.gather(path)?;
        left_out.extend(code.left_out);
        files.extend(code.files.into_iter().map(|file| (file.path.clone(), file)));
    }
    // What was named itself is not left out, whatever a folder beside it says.
    left_out.retain(|name| !files.keys().any(|path| path.as_str() == name));
    let made = files.into_values().map(|file| MadeFile {
        path: file.path,
        executable: file.executable,
        bytes: file.bytes,
    });
    Ok(made.collect())
}

/// Reads a file of a project's folder.
pub(crate) fn read_file(folder: &dyn Folder, path: &str) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    folder
        .open(path)?
        .read_to_end(&mut bytes)
        .map_err(|error| {
            Problem::new(code::PIPE_003, format!("`{path}` cannot be read")).because(error)
        })?;
    Ok(bytes)
}

/// Tells once what was left out of all code.
pub(crate) fn tell_left_out(left_out: &BTreeSet<String>) -> Option<String> {
    let first: Vec<_> = left_out.iter().take(MOST_NAMES).cloned().collect();
    if first.is_empty() {
        return None;
    }
    let more = match left_out.len().saturating_sub(MOST_NAMES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!(
        "left out of the code: {}{more}; `.custodyignore` beside `{NAME}` says what else, or what not",
        first.join(", ")
    ))
}
