//! Planning and running.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use custody_attest::slsa::{
    BUILD_TYPE, BuildDefinition, Builder, Metadata, Provenance, ROLE, RunDetails,
};
use custody_attest::statement::ResourceDescriptor;
use custody_engine::{Engine, Spill};
use custody_guard::{
    Done, Door, Evidence, Grant, Read as ReadData, ReadLog, RunStep, Session, StartRun, Target,
    Validate, dependency, role,
};
use custody_sandbox::Interrupt;
use custody_types::{
    ArtifactName, ByteSize, Classification, Digest, ExitCode, Kind, Problem, Purpose, Reference,
    Timestamp, VersionFiles, VersionName,
};
use custody_wire::{PlannedStep, RunEvent, RunReply, RunRequest, StepOutcome, StepState};
use serde_json::{Value, json};

use crate::collect::{self, SourceFile};
use crate::evidence::closure;
use crate::file::{self, PipelineFile, Step};
use crate::graph::{self, Graph, guards};
use crate::keep::Kept;
use crate::memory::{InMemory, MadeFile};
use crate::ports::{Environments, Folder, Installed, LockedEnvironment};
use crate::produce::evaluate::overlap::TRAINING;
use crate::produce::{Given, Product, Workshop, fault};

/// Part of every step's key: a runner that does something else has another.
const RUNNER: u32 = 2;
/// Where a statement names the key of its step.
const STEP_KEY: &str = "stepKey";
/// The code of a model that waits for an approval.
const WAITS: &str = "CUS-SCAN-013";
/// The memory that a query may use.
const ENGINE_MEMORY: ByteSize = ByteSize::from_mebibytes(1 << 10);

/// Plans and runs pipelines, and reads the evidence of what was done.
#[derive(Debug)]
pub struct Runner {
    pub(crate) door: Door,
    pub(crate) folder: Arc<dyn Folder>,
    pub(crate) environments: Arc<dyn Environments>,
    launcher: PathBuf,
    interrupt: Interrupt,
    spill: Spill,
    workshop: OnceLock<Workshop>,
}

/// A version as a run knows it.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) name: VersionName,
    pub(crate) digest: Digest,
    pub(crate) classification: Classification,
    pub(crate) purposes: Vec<Purpose>,
    /// Whether it is a model that waits in quarantine for an approval.
    pub(crate) waits: bool,
}

/// What decides whether a step was done before.
pub(crate) struct Inputs {
    pub(crate) key: Digest,
    pub(crate) versions: BTreeMap<String, Known>,
    pub(crate) reports: BTreeMap<String, Known>,
    /// The datasets that an evaluated model was trained on, by role.
    pub(crate) training: BTreeMap<String, Known>,
    pub(crate) code: Vec<MadeFile>,
    pub(crate) environment: Option<(Digest, LockedEnvironment)>,
    /// The files that a source collects.
    pub(crate) source: Option<Vec<SourceFile>>,
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

pub(crate) struct Context<'a> {
    pub(crate) file: &'a PipelineFile,
    pub(crate) graph: &'a Graph,
    pub(crate) session: &'a Session,
    pub(crate) run: String,
    pub(crate) evidence: Evidence<'a>,
    pub(crate) made: BTreeMap<String, Known>,
}

impl Runner {
    /// Puts the runner together. `launcher`: see [`custody_sandbox::run`]; `interrupt`: what ends running steps
    /// early; `spill`: where queries put what does not fit into memory.
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
            launcher,
            interrupt,
            spill,
            workshop: OnceLock::new(),
        }
    }

    pub(crate) fn workshop(&self) -> Result<&Workshop, Problem> {
        if let Some(workshop) = self.workshop.get() {
            return Ok(workshop);
        }
        let engine = Engine::new(ENGINE_MEMORY, self.spill.clone())
            .map_err(|error| fault(&error.to_string()))?;
        Ok(self.workshop.get_or_init(|| Workshop {
            engine,
            launcher: self.launcher.clone(),
            interrupt: self.interrupt.clone(),
            project: self.folder.root().to_owned(),
        }))
    }

    pub(crate) fn read_file(&self, path: &str) -> Result<Vec<u8>, Problem> {
        let mut bytes = Vec::new();
        self.folder
            .open(path)?
            .read_to_end(&mut bytes)
            .map_err(|error| {
                Problem::new(
                    "CUS-PIPE-003",
                    ExitCode::Usage,
                    format!("`{path}` cannot be read"),
                )
                .because(error)
            })?;
        Ok(bytes)
    }

    /// Reads the pipeline file of the project's folder.
    pub(crate) fn pipeline(&self) -> Result<PipelineFile, Problem> {
        let text = String::from_utf8(self.read_file(file::NAME)?).map_err(|error| {
            Problem::new(
                "CUS-PIPE-002",
                ExitCode::Usage,
                format!("`{}` is no text", file::NAME),
            )
            .because(error)
        })?;
        PipelineFile::parse(&text)
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
        let file = self.pipeline()?;
        self.door.check_purposes(&file.purposes())?;
        let graph = graph::build(&file).map_err(|wrong| fault(&wrong.because))?;
        let steps = graph.reach(&file, &request.targets).map_err(|name| {
            Problem::new(
                "CUS-PIPE-004",
                ExitCode::Usage,
                format!("the pipeline has no step `{name}`"),
            )
            .hint(format!(
                "there are {}",
                file.steps.keys().cloned().collect::<Vec<_>>().join(", ")
            ))
        })?;
        self.preflight(&file, &graph)?;
        let id = self.door.new_id();
        let session = session.clone().or_purpose(file.purpose.clone()).in_run(&id);
        let grant = self.door.ask::<StartRun>(
            &session,
            Target::Run {
                project: file.project.clone(),
                id: id.clone(),
            },
        )?;
        let first = grant.entry();
        let mut context = Context {
            file: &file,
            graph: &graph,
            session: &session,
            run: id.clone(),
            evidence: grant.evidence(),
            made: BTreeMap::new(),
        };
        let plan = self.plan(&context, &steps)?;
        tell(RunEvent::Planned {
            run: id.clone(),
            steps: plan.clone(),
        });
        let mut reply = RunReply {
            run: id,
            ok: true,
            dry_run: request.dry_run,
            plan,
            steps: Vec::new(),
            entries: None,
            problem: None,
            took_ms: 0,
        };
        if !request.dry_run {
            self.carry_out(&mut context, &steps, &mut reply, tell);
        }
        let done = Done {
            ok: reply.ok,
            error: reply.problem.as_ref().map(|problem| problem.code.clone()),
            ..Done::default()
        };
        let last = grant.conclude(&done)?;
        reply.entries = Some((first, last.index));
        reply.took_ms = self.door.monotonic_ms().saturating_sub(started);
        Ok(reply)
    }

    fn plan(&self, context: &Context<'_>, steps: &[String]) -> Result<Vec<PlannedStep>, Problem> {
        let mut known = context.made.clone();
        let (mut plan, mut running) = (Vec::new(), BTreeSet::new());
        for name in steps {
            let Some(step) = context.file.steps.get(name) else {
                continue;
            };
            let after = context
                .graph
                .needs
                .get(name)
                .and_then(|needs| needs.iter().find(|need| running.contains(*need)));
            let why = match after {
                Some(before) => Err(format!("since `{before}` runs")),
                None => match self.reusable(
                    &Context {
                        made: known.clone(),
                        ..context.borrowed()
                    },
                    name,
                    step,
                )? {
                    (_, Some((_, versions))) => Ok(versions),
                    (_, None) => {
                        Err("it was never done with these inputs, code and parameters".to_owned())
                    }
                },
            };
            let (runs, why) = match why {
                Ok(versions) => {
                    let names: Vec<_> = versions
                        .values()
                        .map(|version| version.name.to_string())
                        .collect();
                    known.extend(versions);
                    (false, format!("reuses {}", names.join(", ")))
                }
                Err(why) => {
                    running.insert(name.clone());
                    (true, why)
                }
            };
            plan.push(PlannedStep {
                step: name.clone(),
                action: step.action().to_owned(),
                runs,
                why,
            });
        }
        Ok(plan)
    }

    fn carry_out(
        &self,
        context: &mut Context<'_>,
        steps: &[String],
        reply: &mut RunReply,
        tell: &mut (dyn FnMut(RunEvent) + Send),
    ) {
        let mut stopped: BTreeSet<String> = BTreeSet::new();
        for name in steps {
            let Some(step) = context.file.steps.get(name) else {
                continue;
            };
            let started = self.door.monotonic_ms();
            let mut outcome = StepOutcome {
                step: name.clone(),
                action: step.action().to_owned(),
                state: StepState::Blocked,
                versions: Vec::new(),
                notes: Vec::new(),
                statement: None,
                entry: None,
                took_ms: 0,
            };
            let blocked_by = context
                .graph
                .needs
                .get(name)
                .and_then(|needs| needs.iter().find(|need| stopped.contains(*need)).cloned());
            if let Some(before) = blocked_by {
                outcome
                    .notes
                    .push(format!("did not run: it needs `{before}`"));
            } else {
                tell(RunEvent::StepStarted { step: name.clone() });
                let result = self.step(context, name, step, &mut outcome, tell);
                if let Err(problem) = result {
                    outcome.state = if ["CUS-RUN-003", "CUS-RUN-004", "CUS-SCAN-010", WAITS]
                        .contains(&problem.code.as_str())
                    {
                        StepState::Refused
                    } else {
                        StepState::Failed
                    };
                    reply.problem.get_or_insert_with(|| Box::new(problem));
                }
            }
            if !matches!(outcome.state, StepState::Made | StepState::Reused) {
                stopped.insert(name.clone());
                reply.ok = false;
            }
            outcome.took_ms = self.door.monotonic_ms().saturating_sub(started);
            tell(RunEvent::StepFinished(Box::new(outcome.clone())));
            reply.steps.push(outcome);
        }
    }

    /// Carries out a step, or reuses what it made before; both through the door.
    fn step(
        &self,
        context: &mut Context<'_>,
        name: &str,
        step: &Step,
        outcome: &mut StepOutcome,
        tell: &mut (dyn FnMut(RunEvent) + Send),
    ) -> Result<(), Problem> {
        let (inputs, reuse) = self.reusable(context, name, step)?;
        let session = context
            .session
            .step(&context.run, name, scope(context, name, step, &inputs));
        let target = Target::Run {
            project: context.file.project.clone(),
            id: format!("{}/{name}", context.run),
        };
        let grant = self.door.ask::<RunStep>(&session, target)?;
        if let Some((statement, versions)) = reuse {
            let mut facts = BTreeMap::from([
                ("step_key".to_owned(), inputs.key.to_string()),
                ("reused".to_owned(), "true".to_owned()),
                ("named".to_owned(), names(versions.values())),
            ]);
            facts.extend(passed(step, &inputs));
            let outputs = versions.values().map(|version| version.digest).collect();
            let done = Done {
                ok: true,
                step: Some(name.to_owned()),
                statement: Some(statement),
                inputs: inputs.versions.values().map(|known| known.digest).collect(),
                facts,
                outputs,
                ..Done::default()
            };
            outcome.entry = Some(grant.conclude(&done)?);
            outcome.state = StepState::Reused;
            outcome.statement = Some(statement);
            outcome.versions = versions
                .values()
                .map(|version| version.name.clone())
                .collect();
            let waits = waiting(versions.values().map(|known| (known, [].as_slice())));
            context.made.extend(versions);
            if let Some(problem) = waits {
                outcome.state = StepState::Refused;
                return Err(problem);
            }
            return Ok(());
        }
        let (done, refused) = match self.make(context, name, step, &session, &inputs, outcome, tell)
        {
            Ok(made) => made,
            Err(problem) => {
                grant.fail(&problem.code);
                return Err(problem);
            }
        };
        outcome.statement = done.statement;
        outcome.entry = Some(grant.conclude(&done)?);
        // CRASH: without this note the step runs again; its outputs are deduplicated.
        if let Some(statement) = done.statement.filter(|_| done.ok) {
            context
                .evidence
                .remember_step(&context.file.project, &inputs.key, &statement)?;
        }
        if let Some(problem) = refused {
            return Err(problem);
        }
        outcome.state = StepState::Made;
        Ok(())
    }

    /// Computes the step's key, and finds what it made before with the same key.
    #[expect(
        clippy::type_complexity,
        reason = "the statement and the versions by artifact, taken apart at once"
    )]
    fn reusable(
        &self,
        context: &Context<'_>,
        name: &str,
        step: &Step,
    ) -> Result<(Inputs, Option<(Digest, BTreeMap<String, Known>)>), Problem> {
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
                    if (!version.quarantined
                        || version.record.kind == Kind::Model
                        || matches!(step, Step::Source(_)))
                        && Some(version.record.digest) == subject.sha256() =>
                {
                    versions.insert(made.artifact.clone(), Known::of(&version));
                }
                _ => return Ok((inputs, None)),
            }
        }
        let whole = versions.len() == step.outputs(name).len();
        Ok((inputs, whole.then_some((statement, versions))))
    }

    fn inputs(&self, context: &Context<'_>, name: &str, step: &Step) -> Result<Inputs, Problem> {
        let known = |artifact: &str| {
            context
                .made
                .get(artifact)
                .cloned()
                .ok_or_else(|| fault(&format!("`{artifact}` is needed before it is made")))
        };
        let mut versions = BTreeMap::new();
        for (role, artifact) in step.inputs() {
            versions.insert(role, known(&artifact)?);
        }
        let mut reports = BTreeMap::new();
        for check in guards(context.file, name) {
            reports.insert(check.clone(), known(&check)?);
        }
        let training = match step {
            Step::Evaluate(_) => trained_on(&context.evidence, &versions)?,
            _ => BTreeMap::new(),
        };
        let code = match step {
            Step::Run(run) => run
                .code
                .iter()
                .map(|path| self.code_file(path))
                .collect::<Result<_, _>>()?,
            _ => Vec::new(),
        };
        let source = match step {
            Step::Source(source) => Some(collect::find(self.folder.as_ref(), source)?),
            _ => None,
        };
        let environment = match &context.file.environment {
            Some(declared) if step.runs_program() => {
                let lock = String::from_utf8_lossy(&self.read_file(&declared.lock)?).into_owned();
                let locked = LockedEnvironment {
                    python: declared.python.clone(),
                    lock,
                };
                Some((self.environments.key(&locked)?, locked))
            }
            _ => None,
        };
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
            "environment": environment.as_ref().map(|(key, _)| *key),
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
            code,
            environment,
            source,
        })
    }

    fn code_file(&self, path: &str) -> Result<MadeFile, Problem> {
        let bytes = self.read_file(path)?;
        let path = path.parse().map_err(|error: custody_types::NameError| {
            Problem::new("CUS-PIPE-005", ExitCode::Usage, error.to_string())
        })?;
        Ok(MadeFile {
            path,
            executable: false,
            bytes,
        })
    }

    /// Makes a step's outputs and what describes them.
    #[expect(
        clippy::too_many_lines,
        reason = "one statement, put together in one place"
    )]
    #[expect(
        clippy::too_many_arguments,
        reason = "the step, who asks, what goes in, and where it is told"
    )]
    fn make(
        &self,
        context: &mut Context<'_>,
        name: &str,
        step: &Step,
        session: &Session,
        inputs: &Inputs,
        outcome: &mut StepOutcome,
        tell: &mut (dyn FnMut(RunEvent) + Send),
    ) -> Result<(Done, Option<Problem>), Problem> {
        let started = self.door.now();
        self.declassify(context, name, step, inputs)?;
        let mut dependencies = Vec::new();
        for (role, known) in &inputs.versions {
            dependencies
                .push(ResourceDescriptor::version(&known.name, known.digest).with(ROLE, role));
        }
        for (role, known) in &inputs.training {
            dependencies
                .push(ResourceDescriptor::version(&known.name, known.digest).with(ROLE, role));
        }
        for (check, known) in &inputs.reports {
            dependencies.push(
                ResourceDescriptor::version(&known.name, known.digest)
                    .with(ROLE, format!("contract:{check}")),
            );
        }
        let environment = inputs
            .environment
            .as_ref()
            .map(|(key, locked)| self.environment(context, key, locked))
            .transpose()?;
        let mut used: Vec<Known> = Vec::new();
        if let Some((known, _)) = &environment {
            used.push(known.clone());
            dependencies.push(
                ResourceDescriptor::version(&known.name, known.digest).with(ROLE, "environment"),
            );
        }
        let code = if inputs.code.is_empty() {
            None
        } else {
            Some(self.code(context, name, &inputs.code)?)
        };
        if let Some(known) = &code {
            used.push(known.clone());
            dependencies
                .push(ResourceDescriptor::version(&known.name, known.digest).with(ROLE, "code"));
        }
        let mut collected = Vec::new();
        let mut product = match (step, &inputs.source) {
            (Step::Source(source), Some(files)) => {
                let mut descriptor =
                    ResourceDescriptor::version("", collect::digest(files)).with(ROLE, "source");
                descriptor.uri = Some(source.origin.url.clone());
                dependencies.push(descriptor);
                let (found, notes) = collect::look(
                    self.folder.as_ref(),
                    &source.file,
                    &source.declared(),
                    files,
                )?;
                collected = found;
                Product {
                    notes,
                    ..Product::default()
                }
            }
            _ => self.produce(
                context,
                name,
                step,
                session,
                inputs,
                environment.map(|(_, installed)| installed),
                tell,
            )?,
        };
        let refused = product.refused.take();
        outcome.notes = std::mem::take(&mut product.notes);
        let parameters = json!({"step": name, "declared": step, "environment": inputs.environment.as_ref().map(|(key, locked)| json!({"key": key, "python": locked.python}))});
        let provenance = |finished: Timestamp| Provenance {
            build_definition: BuildDefinition {
                build_type: BUILD_TYPE.to_owned(),
                external_parameters: parameters.clone(),
                internal_parameters: json!({"policy": self.door.policy_digest(), "isolation": product.enforced, "runner": RUNNER, STEP_KEY: inputs.key}),
                resolved_dependencies: dependencies.clone(),
            },
            run_details: RunDetails {
                builder: Builder {
                    id: "https://custody.dev/runner".to_owned(),
                    version: BTreeMap::from([(
                        "custody".to_owned(),
                        env!("CARGO_PKG_VERSION").to_owned(),
                    )]),
                },
                metadata: Metadata {
                    invocation_id: format!("{}/{name}", context.run),
                    started_on: started,
                    finished_on: finished,
                },
                byproducts: product.byproducts.clone(),
            },
        };
        let made = self.save(
            context,
            name,
            step,
            session,
            inputs,
            &mut product.outputs,
            &collected,
            &provenance,
        )?;
        let mut done = Done {
            ok: refused.is_none(),
            error: refused.as_ref().map(|problem| problem.code.clone()),
            step: Some(name.to_owned()),
            statement: made.first().and_then(|kept| kept.statement),
            inputs: inputs.versions.values().map(|known| known.digest).collect(),
            outputs: made.iter().map(|kept| kept.known.digest).collect(),
            facts: BTreeMap::from([("step_key".to_owned(), inputs.key.to_string())]),
        };
        if let (Step::Check(_), Some(_), Some(data)) = (step, &refused, inputs.versions.get("data"))
        {
            done.facts
                .insert("quarantine".to_owned(), data.name.to_string());
            done.facts
                .insert("content".to_owned(), data.digest.to_string());
        } else {
            done.facts.extend(passed(step, inputs));
        }
        let used = used.iter().chain(made.iter().map(|kept| &kept.known));
        done.facts.insert("named".to_owned(), names(used));
        outcome.versions = made.iter().map(|kept| kept.known.name.clone()).collect();
        for kept in &made {
            outcome.notes.extend(kept.scan.iter().map(|scan| {
                format!(
                    "{}: the scan says {} ({})",
                    kept.artifact,
                    scan.verdict,
                    scan.rules.join(", ")
                )
            }));
        }
        let findings = |kept: &Kept| kept.scan.as_ref().map(|scan| scan.findings.clone());
        let findings: Vec<_> = made
            .iter()
            .map(|kept| findings(kept).unwrap_or_default())
            .collect();
        let refused = refused.or_else(|| {
            let made = made.iter().map(|kept| &kept.known);
            waiting(made.zip(findings.iter().map(Vec::as_slice)))
        });
        context
            .made
            .extend(made.into_iter().map(|kept| (kept.artifact, kept.known)));
        Ok((done, refused))
    }

    /// Reads the inputs through grants of their own and carries out the step.
    #[expect(
        clippy::too_many_arguments,
        reason = "the step, who asks, what goes in, and where it is told"
    )]
    fn produce(
        &self,
        context: &Context<'_>,
        name: &str,
        step: &Step,
        session: &Session,
        inputs: &Inputs,
        environment: Option<Installed>,
        tell: &mut (dyn FnMut(RunEvent) + Send),
    ) -> Result<Product, Problem> {
        let logs = self.logs(context, step, inputs)?;
        let mut given = Given {
            environment,
            show_log: logs.is_some(),
            file: Some(context.file.text.clone()),
            ..Given::default()
        };
        if !inputs.code.is_empty() {
            given.code = Some(Arc::new(InMemory::new(inputs.code.clone())));
        }
        let (mut reads, mut validates) = (Vec::new(), Vec::new());
        for (role, known) in inputs.versions.iter().chain(&inputs.training) {
            let version = Box::new(context.evidence.resolve(&known.name.clone().into())?);
            let files: Arc<dyn VersionFiles> = if step.is_check() {
                let grant = self
                    .door
                    .ask::<Validate>(session, Target::Version(version))?;
                let files = grant.files()?;
                validates.push(grant);
                files
            } else {
                let grant = self
                    .door
                    .ask::<ReadData>(session, Target::Version(version))?;
                let files = grant.files()?;
                reads.push(grant);
                files
            };
            given.inputs.insert(role.clone(), files);
        }
        let mut said = |text: &str| {
            tell(RunEvent::StepLog {
                step: name.to_owned(),
                text: text.to_owned(),
            });
        };
        let mut product = self.workshop()?.produce(name, step, &given, &mut said)?;
        if logs.is_none() {
            product.notes.push("what it printed is withheld: the policy does not grant `readLog` on all its inputs".to_owned());
        }
        logs.into_iter().flatten().try_for_each(Grant::finish)?;
        reads.into_iter().try_for_each(Grant::finish)?;
        validates.into_iter().try_for_each(Grant::finish)?;
        Ok(product)
    }

    /// Asks whether the person may see what the step prints: a grant for each of its inputs, or `None`
    /// where the policy refuses one. Only steps that run a program print.
    fn logs(
        &self,
        context: &Context<'_>,
        step: &Step,
        inputs: &Inputs,
    ) -> Result<Option<Vec<Grant<ReadLog>>>, Problem> {
        let mut grants = Vec::new();
        if !matches!(step, Step::Run(_) | Step::Evaluate(_)) {
            return Ok(Some(grants));
        }
        for known in inputs.versions.values() {
            let version = Box::new(context.evidence.resolve(&known.name.clone().into())?);
            match self
                .door
                .ask::<ReadLog>(context.session, Target::Version(version))
            {
                Ok(grant) => grants.push(grant),
                Err(problem) if problem.exit == ExitCode::Denied => {
                    grants.into_iter().try_for_each(Grant::finish)?;
                    return Ok(None);
                }
                Err(problem) => return Err(problem),
            }
        }
        Ok(Some(grants))
    }
}

impl Known {
    pub(crate) fn of(version: &custody_guard::Version) -> Self {
        let record = &version.record;
        Self {
            name: version.name(),
            digest: record.digest,
            classification: record.classification,
            purposes: record.purposes.clone(),
            waits: version.quarantined && record.kind == Kind::Model,
        }
    }
}

/// Lists versions for the ledger: what a step came to is what is meant by its artifact's name from then on.
fn names<'a>(versions: impl Iterator<Item = &'a Known>) -> String {
    let names: Vec<_> = versions.map(|known| known.name.to_string()).collect();
    names.join(" ")
}

/// Tells the ledger which content passed its contract: that lets it out of quarantine.
fn passed(step: &Step, inputs: &Inputs) -> Vec<(String, String)> {
    match (step, inputs.versions.get("data")) {
        (Step::Check(_), Some(data)) => vec![
            ("passed".to_owned(), data.name.to_string()),
            ("content".to_owned(), data.digest.to_string()),
        ],
        _ => Vec::new(),
    }
}

/// Tells that a step's models wait for an approval, if any does.
fn waiting<'a>(made: impl Iterator<Item = (&'a Known, &'a [String])>) -> Option<Problem> {
    let mut problem: Option<Problem> = None;
    for (known, findings) in made.filter(|(known, _)| known.waits) {
        let name = &known.name;
        let told = problem.get_or_insert_with(|| {
            Problem::new(WAITS, ExitCode::Approval, format!("the model `{name}` waits in quarantine for an approval"))
                .subject(name)
                .hint(format!("see what was found with `custody show {name}`; who may approve lets it in with `custody approve {name} --reason …`, then run again"))
        });
        told.because.extend(findings.iter().cloned());
    }
    problem
}

impl<'a> Context<'a> {
    /// Returns the same context with nothing made yet.
    fn borrowed(&self) -> Context<'a> {
        Context {
            file: self.file,
            graph: self.graph,
            session: self.session,
            run: self.run.clone(),
            evidence: self.evidence,
            made: BTreeMap::new(),
        }
    }
}

pub(crate) fn artifact(file: &PipelineFile, name: &str) -> Result<ArtifactName, Problem> {
    ArtifactName::new(file.project.clone(), name)
        .map_err(|error| Problem::new("CUS-PIPE-006", ExitCode::Usage, error.to_string()))
}

/// What the step may touch, and nothing else.
fn scope(
    context: &Context<'_>,
    name: &str,
    step: &Step,
    inputs: &Inputs,
) -> custody_guard::StepScope {
    let outputs = step
        .outputs(name)
        .into_iter()
        .map(|makes| format!("{}/{}", context.file.project, makes.artifact));
    custody_guard::StepScope {
        inputs: inputs
            .versions
            .values()
            .chain(inputs.training.values())
            .map(|known| known.digest)
            .collect(),
        outputs: outputs.collect(),
    }
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
    let root = evidence.resolve(&model.name.clone().into())?;
    let links = closure(evidence, root, &mut |_| {})?;
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
