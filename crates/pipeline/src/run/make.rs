//! Making a step's outputs, and the statement about how they were made.

use std::collections::BTreeMap;
use std::sync::Arc;

use custody_attest::slsa::{
    BUILD_TYPE, BuildDefinition, Builder, Metadata, Provenance, ROLE, RunDetails,
};
use custody_attest::statement::ResourceDescriptor;
use custody_guard::{
    DecideGate, EvaluateModel, FIGURES, Grant, Read as ReadData, ReadLog, ResourceRef, Session,
    StepResult, Validate,
};
use custody_types::{Code, Digest, Problem, ProblemKind, Timestamp, VersionFiles};
use custody_wire::{RunEvent, StepOutcome};
use serde_json::{Value, json};

use super::carry_out::{Teller, checked, has_passed, names, waiting, waiver};
use super::inputs::Inputs;
use super::reasons::last;
use super::{COMMIT, Context, Known, RUNNER, Runner, STEP_KEY};
use crate::collect::{self, Looked, SourceFile};
use crate::egress::{Asker, Egress};
use crate::file::{Source, Step};
use crate::keep::{Products, StepOutput};
use crate::memory::InMemory;
use crate::outputs::{Outputs, Sealed};
use crate::pieces::PIECES;
use crate::ports::Installed;
use crate::produce::{StepInputs, StepReport, fault};

/// The role of the version that a source's files were taken from.
const ORIGINAL: &str = "original";

/// What became of a step: what the ledger is told, why the answer is no if it is, and what was made, by artifact.
pub(crate) type MadeStep = (StepResult, Option<Problem>, BTreeMap<String, Known>);

impl Runner {
    /// Makes a step's outputs and what describes them.
    #[expect(
        clippy::too_many_arguments,
        reason = "the step, who asks, what goes in, and where it is told"
    )]
    pub(crate) fn make(
        &self,
        context: &Context<'_>,
        name: &str,
        step: &Step,
        session: &Session,
        inputs: &Inputs,
        outcome: &mut StepOutcome,
        teller: &Teller<'_>,
    ) -> Result<MadeStep, Problem> {
        let started = self.door.now();
        self.declassify(context, name, step, inputs)?;
        let mut dependencies = given(inputs);
        let mut used: Vec<Known> = Vec::new();
        let environment =
            self.installed(context, name, step, inputs, teller)?
                .map(|(known, installed)| {
                    dependencies.push(described(&known, "environment"));
                    used.push(known);
                    installed
                });
        if !inputs.code.is_empty() {
            let known = self.code(context, name, &inputs.code)?;
            dependencies.push(described(&known, "code"));
            used.push(known);
        }
        let (mut looked, mut sealed) = (None, None);
        let mut report = match (step, &inputs.source) {
            (Step::Source(source), Some(files)) => {
                dependencies.push(origin(source, files));
                if let Some(known) = inputs.original() {
                    dependencies.push(described(&known, ORIGINAL));
                    used.push(known);
                }
                let found = looked.insert(look(context, name, source, files)?);
                StepReport {
                    notes: found.notes.clone(),
                    ..StepReport::default()
                }
            }
            _ => {
                let mut outputs = Sealed::open(&self.door, session, &context.file.project)?;
                let report = self.produce(
                    context,
                    name,
                    step,
                    session,
                    inputs,
                    environment,
                    &mut outputs,
                    teller,
                )?;
                sealed = Some(outputs.end()?);
                report
            }
        };
        let refused = refusal(context, step, inputs, &mut report)?;
        let figures = self.logged(&mut report);
        outcome.notes.append(&mut report.notes);
        let definition = BuildDefinition {
            build_type: BUILD_TYPE.to_owned(),
            external_parameters: external(context, name, step, inputs),
            internal_parameters: self.internal(context, inputs, &report),
            resolved_dependencies: dependencies,
        };
        let byproducts = report.byproducts.clone();
        let provenance = |finished: Timestamp| Provenance {
            build_definition: definition.clone(),
            run_details: RunDetails {
                builder: builder(),
                metadata: Metadata {
                    invocation_id: format!("{}/{name}", context.run),
                    started_on: started,
                    finished_on: finished,
                },
                byproducts: byproducts.clone(),
            },
        };
        let products = match (sealed, &looked) {
            (Some(sealed), _) => Products::Sealed(sealed),
            (None, Some(looked)) => Products::Collected(&looked.collected),
            (None, None) => return Err(fault("the step made nothing")),
        };
        let made = self.save(
            context,
            name,
            step,
            session,
            inputs,
            products,
            (report.rows, figures.as_deref()),
            &provenance,
        )?;
        outcome.versions = made.iter().map(|kept| kept.known.name.clone()).collect();
        outcome.notes.extend(made.iter().filter_map(scan));
        let told = checked(context, step, inputs, has_passed(&report.byproducts));
        let done = done(name, inputs, refused.as_ref(), told, &made, &used);
        let findings = |kept: &StepOutput| kept.scan.as_ref().map(|scan| scan.findings.clone());
        let findings: Vec<_> = made
            .iter()
            .map(|kept| findings(kept).unwrap_or_default())
            .collect();
        let refused = refused.or_else(|| {
            let made = made.iter().map(|kept| &kept.known);
            waiting(made.zip(findings.iter().map(Vec::as_slice)))
        });
        let made = made.into_iter().map(|kept| (kept.artifact, kept.known));
        Ok((done, refused, made.collect()))
    }

    /// Brings the step's environment, and says what made it another one where it must be installed.
    fn installed(
        &self,
        context: &Context<'_>,
        name: &str,
        step: &Step,
        inputs: &Inputs,
        teller: &Teller<'_>,
    ) -> Result<Option<(Known, Installed)>, Problem> {
        let Some(wanted) = &inputs.environment else {
            return Ok(None);
        };
        let announce = || {
            let before = last(context, name, step).ok().flatten();
            let before = before.and_then(|last| last.pieces()?.environment);
            let changes = before.map(|before| wanted.pieces.changes(&before));
            let why = match changes {
                Some(changes) if !changes.is_empty() => format!(", since {}", changes.join("; ")),
                _ => String::new(),
            };
            let pieces = &wanted.pieces;
            teller.tell(RunEvent::StepLog {
                step: name.to_owned(),
                text: format!(
                    "the environment of Python {} (packages: {}) is made{why}",
                    pieces.python,
                    pieces.packages.len()
                ),
            });
        };
        self.environment(context, wanted, &announce).map(Some)
    }

    /// Takes what the program logged out of what the statement says, into a record of its own that holds what nobody can
    /// guess: the statement says how many figures there are, and which record has them.
    fn logged(&self, report: &mut StepReport) -> Option<Vec<u8>> {
        if report.logged.is_empty() {
            return None;
        }
        let record = json!({"salt": self.door.salt(), FIGURES: report.logged});
        let record = record.to_string().into_bytes();
        report.byproducts.push(json!({
            "name": FIGURES,
            "count": report.logged.len(),
            "record": Digest::of(&record),
        }));
        Some(record)
    }

    fn internal(&self, context: &Context<'_>, inputs: &Inputs, report: &StepReport) -> Value {
        let mut internal = json!({
            "policy": self.door.policy_digest(),
            "isolation": report.enforced,
            "runner": RUNNER,
            STEP_KEY: inputs.key,
            PIECES: inputs.pieces,
        });
        if let (Some(commit), Some(internal)) = (&context.prepared.commit, internal.as_object_mut())
        {
            internal.insert(COMMIT.to_owned(), json!(commit));
        }
        internal
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
        outputs: &mut dyn Outputs,
        teller: &Teller<'_>,
    ) -> Result<StepReport, Problem> {
        let egress = self.egress(context, step, session, inputs)?;
        let logs = self.logs(context, step, inputs)?;
        let mut given = StepInputs {
            environment,
            show_log: logs.is_some(),
            egress,
            interrupt: context.interrupt.clone(),
            file: Some(context.file.text.clone()),
            project: self.folder.root().map(ToOwned::to_owned),
            fewest_rows: self.door.fewest_rows(),
            ..StepInputs::default()
        };
        if !inputs.code.is_empty() {
            given.code = Some(Arc::new(InMemory::new(inputs.code.clone())));
        }
        let judged = Judged::ask(self, session, step, inputs)?;
        let (mut reads, mut validates) = (Vec::new(), Vec::new());
        for (role, known) in inputs.versions.iter().chain(&inputs.training) {
            let version = Box::new(known.version.clone());
            let files: Arc<dyn VersionFiles> = if step.is_check() {
                let grant = self
                    .door
                    .ask::<Validate>(session, ResourceRef::Version(version))?;
                let files = grant.files()?;
                validates.push(grant);
                files
            } else {
                let grant = self
                    .door
                    .ask::<ReadData>(session, ResourceRef::Version(version))?;
                let files = grant.files()?;
                reads.push(grant);
                files
            };
            given.inputs.insert(role.clone(), files);
        }
        let mut said = |text: &str| {
            teller.tell(RunEvent::StepLog {
                step: name.to_owned(),
                text: text.to_owned(),
            });
        };
        let produced = self
            .workshop()?
            .produce(name, step, &given, outputs, &mut said);
        let mut report = match produced {
            Ok(report) => report,
            Err(problem) => {
                // The entries say of every access how it ended: an interruption too.
                for grant in logs.into_iter().flatten() {
                    grant.fail(problem.code);
                }
                for grant in reads {
                    grant.fail(problem.code);
                }
                for grant in validates {
                    grant.fail(problem.code);
                }
                judged.fail(problem.code);
                return Err(problem);
            }
        };
        if logs.is_none() {
            report.notes.push("what it printed is withheld: the policy does not grant `readLog` on all its inputs".to_owned());
        }
        logs.into_iter().flatten().try_for_each(Grant::finish)?;
        reads.into_iter().try_for_each(Grant::finish)?;
        validates.into_iter().try_for_each(Grant::finish)?;
        judged.finish()?;
        Ok(report)
    }

    /// Opens the way out of a step that has a network.
    fn egress(
        &self,
        context: &Context<'_>,
        step: &Step,
        session: &Session,
        inputs: &Inputs,
    ) -> Result<Option<Arc<Egress>>, Problem> {
        let Step::Run(run) = step else {
            return Ok(None);
        };
        if run.network.is_empty() {
            return Ok(None);
        }
        let asker = Asker {
            door: self.door.clone(),
            session: session.clone(),
            project: context.file.project.clone(),
            classification: inputs.classification(),
        };
        let limits = run.limits.for_network();
        Egress::open(asker, &run.network, limits, self.resolve.clone()).map(Some)
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
            let version = Box::new(known.version.clone());
            match self
                .door
                .ask::<ReadLog>(context.session, ResourceRef::Version(version))
            {
                Ok(grant) => grants.push(grant),
                Err(problem) if problem.kind() == ProblemKind::Denied => {
                    grants.into_iter().try_for_each(Grant::finish)?;
                    return Ok(None);
                }
                Err(problem) => return Err(problem),
            }
        }
        Ok(Some(grants))
    }
}

/// Leave to say something of a model, beside that to read what is needed for it.
enum Judged {
    Nothing,
    Evaluated(Box<Grant<EvaluateModel>>),
    Decided(Box<Grant<DecideGate>>),
}

impl Judged {
    fn ask(
        runner: &Runner,
        session: &Session,
        step: &Step,
        inputs: &Inputs,
    ) -> Result<Self, Problem> {
        let Some(model) = inputs.versions.get("model") else {
            return Ok(Self::Nothing);
        };
        let target = || ResourceRef::Version(Box::new(model.version.clone()));
        Ok(match step {
            Step::Evaluate(_) => Self::Evaluated(Box::new(runner.door.ask(session, target())?)),
            Step::Gate(_) => Self::Decided(Box::new(runner.door.ask(session, target())?)),
            _ => Self::Nothing,
        })
    }

    fn finish(self) -> Result<(), Problem> {
        match self {
            Self::Nothing => Ok(()),
            Self::Evaluated(grant) => grant.finish(),
            Self::Decided(grant) => grant.finish(),
        }
    }

    fn fail(self, code: Code) {
        match self {
            Self::Nothing => {}
            Self::Evaluated(grant) => grant.fail(code),
            Self::Decided(grant) => grant.fail(code),
        }
    }
}

/// Looks at the files of a source, unless that was done when the run began.
fn look(
    context: &Context<'_>,
    name: &str,
    source: &Source,
    files: &[SourceFile],
) -> Result<Arc<Looked>, Problem> {
    match context.prepared.sources.get(name) {
        Some(looked) => Ok(looked.clone()),
        None => collect::look(&source.file, &source.declared(), files.to_vec()).map(Arc::new),
    }
}

/// Describes the files of a source by where they were found.
fn origin(source: &Source, files: &[SourceFile]) -> ResourceDescriptor {
    let mut descriptor =
        ResourceDescriptor::version("", collect::digest(files)).with(ROLE, "source");
    descriptor.uri = Some(source.origin.url.clone());
    descriptor
}

fn described(known: &Known, role: &str) -> ResourceDescriptor {
    ResourceDescriptor::version(&known.name, known.digest).with(ROLE, role)
}

/// Lists the data and the contracts' decisions that go in.
fn given(inputs: &Inputs) -> Vec<ResourceDescriptor> {
    let versions = inputs.versions.iter().chain(&inputs.training);
    let reports = inputs.reports.iter();
    versions
        .map(|(role, known)| described(known, role))
        .chain(reports.map(|(check, known)| described(known, &format!("contract:{check}"))))
        .collect()
}

/// Tells what the step was told: its declaration with the values that the command gave, and what stood there.
fn external(context: &Context<'_>, name: &str, step: &Step, inputs: &Inputs) -> Value {
    let environment = inputs
        .environment
        .as_ref()
        .map(|wanted| json!({"key": wanted.key, "python": wanted.locked.python}));
    let mut external = json!({"step": name, "declared": step, "environment": environment});
    let overrides = context.prepared.overrides.get(name);
    if let (Some(overrides), Some(external)) = (overrides, external.as_object_mut()) {
        external.insert("overrides".to_owned(), json!(overrides));
    }
    external
}

fn builder() -> Builder {
    let version = ("custody".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    Builder {
        id: "https://custody.dev/runner".to_owned(),
        version: BTreeMap::from([version]),
    }
}

/// Takes why the answer of a step is no, if it is. A contract that is broken by what somebody approved for all that
/// stops nothing: the step tells what broke it and who approved it, and its statement says so.
fn refusal(
    context: &Context<'_>,
    step: &Step,
    inputs: &Inputs,
    report: &mut StepReport,
) -> Result<Option<Problem>, Problem> {
    let refused = report.refused.take();
    let Some(breach) = &refused else {
        return Ok(refused);
    };
    let Some(waiver) = waiver(context, step, inputs)? else {
        return Ok(refused);
    };
    report.notes.extend(breach.because.iter().cloned());
    report.notes.push(context.evidence.approval(&waiver)?);
    report
        .byproducts
        .push(json!({"name": "approval", "entry": waiver.entry, "statement": waiver.statement}));
    Ok(None)
}

fn scan(kept: &StepOutput) -> Option<String> {
    let scan = kept.scan.as_ref()?;
    Some(format!(
        "{}: the scan says {} ({})",
        kept.artifact,
        scan.verdict,
        scan.rules.join(", ")
    ))
}

fn done(
    name: &str,
    inputs: &Inputs,
    refused: Option<&Problem>,
    told: Vec<(String, String)>,
    made: &[StepOutput],
    used: &[Known],
) -> StepResult {
    let mut done = StepResult {
        ok: refused.is_none(),
        error: refused.map(|problem| problem.code),
        step: Some(name.to_owned()),
        statement: made.first().and_then(|kept| kept.statement),
        inputs: inputs.lineage(),
        outputs: made.iter().map(|kept| kept.known.digest).collect(),
        facts: BTreeMap::from([("step_key".to_owned(), inputs.key.to_string())]),
    };
    done.facts.extend(told);
    let used = used.iter().chain(made.iter().map(|kept| &kept.known));
    done.facts.insert("named".to_owned(), names(used));
    done
}
