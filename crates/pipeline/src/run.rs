//! Planning and running.
//!
//! - `prepare`: what a run takes from outside, once;
//! - `inputs`: what goes into a step, and whether it was done before with the same;
//! - `plan` and `reasons`: what would run, and what changed since the last time;
//! - `schedule` and `carry_out`: the steps, several at once;
//! - `cancel`: ending a run from outside;
//! - `make`: one step and the statement about it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use custody_engine::{Engine, Spill};
use custody_guard::{Door, Evidence, Grant, ResourceRef, Session, StartRun, StepResult, Version};
use custody_observe::{RunEnd, RunId};
use custody_outgoing::{Resolve, System};
use custody_sandbox::Interrupt;
use custody_types::{
    ArtifactName, ByteSize, Classification, Digest, Kind, Problem, Purpose, VersionName, code,
};
use custody_wire::{RunEvent, RunReply, RunRequest, RunStarted, Snapshot, StepOutcome};

use crate::file::PipelineFile;
use crate::graph::Graph;
use crate::ports::{Environments, Folder};
use crate::produce::{StepExecutor, fault};
use crate::snapshot::SnapshotFolder;

mod cancel;
mod carry_out;
mod inputs;
mod make;
mod plan;
mod prepare;
mod reasons;
mod schedule;
#[cfg(test)]
mod tests;

pub(crate) use carry_out::has_passed;
pub(crate) use inputs::Inputs;
pub(crate) use prepare::{Declared, Prepared, Wanted, gather_code, read_file, tell_left_out};
pub(crate) use reasons::{ROWS, last, with_size};

use carry_out::{Teller, deciding, end_of, state};

/// Part of every step's key: a runner that does something else has another.
const RUNNER: u32 = 2;
/// Where a statement names the key of its step.
pub(crate) const STEP_KEY: &str = "stepKey";
/// Where a statement names the commit that the project's folder stood at.
pub(crate) const COMMIT: &str = "commit";
/// The memory that a query may use.
const ENGINE_MEMORY: ByteSize = ByteSize::from_mebibytes(1 << 10);

/// Plans and runs pipelines, and reads the evidence of what was done. Cheap to clone; clones share what goes on.
#[derive(Debug, Clone)]
pub struct Runner {
    pub(crate) door: Door,
    pub(crate) folder: Arc<dyn Folder>,
    pub(crate) environments: Arc<dyn Environments>,
    /// One environment is made at a time: steps that run at once may want the same.
    pub(crate) installing: Arc<Mutex<()>>,
    launcher: PathBuf,
    pub(crate) interrupt: Interrupt,
    /// The runs that go on, by their ids, and what ends each.
    running: Arc<Mutex<BTreeMap<String, Interrupt>>>,
    spill: Spill,
    /// Finds the addresses of the names that steps connect to.
    resolve: Arc<dyn Resolve>,
    workshop: Arc<OnceLock<StepExecutor>>,
}

/// A version as a run knows it.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) name: VersionName,
    pub(crate) version: Version,
    pub(crate) digest: Digest,
    pub(crate) classification: Classification,
    pub(crate) purposes: Vec<Purpose>,
    /// Whether it is a model that waits in quarantine for an approval.
    pub(crate) waits: bool,
}

/// What a run knows while it goes on.
#[derive(Clone)]
pub(crate) struct Context<'a> {
    pub(crate) file: &'a PipelineFile,
    pub(crate) graph: &'a Graph,
    pub(crate) session: &'a Session,
    pub(crate) run: String,
    /// What ends the run early.
    pub(crate) interrupt: Interrupt,
    pub(crate) evidence: Evidence<'a>,
    pub(crate) prepared: &'a Prepared,
    /// What the steps made so far, by artifact.
    pub(crate) made: BTreeMap<String, Known>,
}

impl Runner {
    /// Puts the runner together. `launcher`: see [`custody_sandbox::run`]; `interrupt`: what ends runs and their
    /// steps early; `spill`: where queries put what does not fit into memory.
    pub fn new(
        door: Door,
        folder: Arc<dyn Folder>,
        environments: Arc<dyn Environments>,
        launcher: PathBuf,
        interrupt: Interrupt,
        spill: Spill,
    ) -> Self {
        Self {
            door,
            folder,
            environments,
            installing: Arc::default(),
            launcher,
            interrupt,
            running: Arc::default(),
            spill,
            resolve: Arc::new(System),
            workshop: Arc::default(),
        }
    }

    pub(crate) fn workshop(&self) -> Result<&StepExecutor, Problem> {
        if let Some(workshop) = self.workshop.get() {
            return Ok(workshop);
        }
        let engine = Engine::new(ENGINE_MEMORY, self.spill.clone())
            .map_err(|error| fault(&error.to_string()))?;
        Ok(self.workshop.get_or_init(|| StepExecutor {
            engine,
            launcher: self.launcher.clone(),
        }))
    }

    /// Returns the runner for what a snapshot kept, where one is given, and else for the project's folder.
    pub(crate) fn on(
        &self,
        session: &Session,
        snapshot: Option<&Snapshot>,
    ) -> Result<Self, Problem> {
        let Some(snapshot) = snapshot else {
            return Ok(self.clone());
        };
        let folder = SnapshotFolder::open(&self.door, session, snapshot)?;
        Ok(Self {
            folder: Arc::new(folder),
            ..self.clone()
        })
    }

    /// Runs the pipeline, or says what would run.
    ///
    /// # Errors
    /// A [`Problem`] when the run could not begin. How steps failed is part of the reply.
    pub fn run(
        &self,
        session: &Session,
        request: &RunRequest,
        tell: &mut (dyn FnMut(RunEvent) + Send),
    ) -> Result<RunReply, Problem> {
        let started = self.door.monotonic_ms();
        let runner = self.on(session, request.snapshot.as_ref())?;
        runner.run_declared(session, request, tell, started)
    }

    fn run_declared(
        &self,
        session: &Session,
        request: &RunRequest,
        tell: &mut (dyn FnMut(RunEvent) + Send),
        started: u64,
    ) -> Result<RunReply, Problem> {
        let mut declared = Declared::read(self.folder.as_ref())?;
        self.door.check_purposes(&declared.file.purposes())?;
        let steps = declared.steps(&request.targets)?;
        let overrides = declared.set(&request.set, &steps)?;
        let id = self.door.new_id();
        let purpose = declared.file.purpose.clone();
        let session = session.clone().or_purpose(purpose).in_run(&id);
        let target = ResourceRef::Run {
            project: declared.file.project.clone(),
            id: id.clone(),
        };
        // Whoever learns of the run from its entry can cancel it.
        let running = self.running(&id);
        let grant = self.door.ask::<StartRun>(&session, target)?;
        let first = grant.entry();
        let observer = self.door.observer();
        let going = (!request.dry_run).then(|| observer.run(RunId::read(&id)));
        tell(RunEvent::Started(RunStarted { run: id.clone() }));
        let prepared = self
            .prepare(&session, &declared, &steps)
            .and_then(|prepared| {
                let mut prepared = Prepared {
                    overrides,
                    commit: (!request.dry_run).then(|| self.folder.commit()).flatten(),
                    ..prepared
                };
                self.preflight(&declared.file, &declared.graph, &mut prepared)?;
                Ok(prepared)
            });
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(problem) => return Err(not_begun(grant, request, problem)),
        };
        let context = Context {
            file: &declared.file,
            graph: &declared.graph,
            session: &session,
            run: id.clone(),
            interrupt: running.interrupt.clone(),
            evidence: grant.evidence(),
            prepared: &prepared,
            made: BTreeMap::new(),
        };
        let plan = match self.plan(&context, &steps) {
            Ok(plan) => plan,
            Err(problem) => {
                drop(context);
                return Err(not_begun(grant, request, problem));
            }
        };
        tell(RunEvent::Planned {
            run: id.clone(),
            steps: plan.clone(),
            notes: prepared.notes.clone(),
        });
        let mut reply = RunReply {
            run: id,
            ok: true,
            dry_run: request.dry_run,
            plan,
            notes: prepared.notes.clone(),
            steps: Vec::new(),
            entries: None,
            problem: None,
            took_ms: 0,
        };
        if !request.dry_run {
            let jobs = request.jobs.map_or_else(processors, |jobs| jobs as usize);
            reply.steps = self.carry_out(&context, &steps, jobs, &Teller::new(tell));
            reply.ok = reply.steps.iter().all(StepOutcome::went_well);
            reply.problem = deciding(&reply.steps)
                .or_else(|| (!reply.ok).then(|| self.interrupted(&running, &reply)))
                .map(Box::new);
        }
        let done = StepResult {
            ok: reply.ok,
            error: reply.problem.as_ref().map(|problem| problem.code),
            facts: planned(request),
            ..StepResult::default()
        };
        let last = grant.conclude(&done)?;
        reply.entries = Some((first, last.index));
        if let Some(going) = going {
            let problem = reply.problem.as_deref();
            going.ended(problem.map_or(RunEnd::Ok, |problem| end_of(state(problem))));
        }
        reply.took_ms = self.door.monotonic_ms().saturating_sub(started);
        Ok(reply)
    }
}

impl Known {
    pub(crate) fn of(version: &Version) -> Self {
        let record = &version.record;
        Self {
            name: version.name(),
            version: version.clone(),
            digest: record.digest,
            classification: record.classification,
            purposes: record.purposes.clone(),
            waits: version.quarantined && record.kind == Kind::Model,
        }
    }
}

/// Enters why a run ends before its steps, and returns it.
fn not_begun(grant: Grant<StartRun>, request: &RunRequest, problem: Problem) -> Problem {
    let ended = grant.conclude(&StepResult {
        ok: false,
        error: Some(problem.code),
        facts: planned(request),
        ..StepResult::default()
    });
    ended.err().unwrap_or(problem)
}

/// Says of a run that was only planned that it is none.
fn planned(request: &RunRequest) -> BTreeMap<String, String> {
    let planned = request
        .dry_run
        .then(|| ("planned".to_owned(), "true".to_owned()));
    planned.into_iter().collect()
}

/// Returns how many steps run at once where the command does not say.
fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

pub(crate) fn artifact(file: &PipelineFile, name: &str) -> Result<ArtifactName, Problem> {
    ArtifactName::new(file.project.clone(), name)
        .map_err(|error| Problem::new(code::PIPE_006, error.to_string()))
}
