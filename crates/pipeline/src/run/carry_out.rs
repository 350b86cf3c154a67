//! Carrying the steps out: as many at once as were asked for, each when those before it are done.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use custody_guard::{ResourceRef, RunStep, StepResult, Waiver};
use custody_observe::{Done, Place, RunEnd, RunId, at};
use custody_types::{Problem, ProblemKind, code};
use custody_wire::{RunEvent, StepOutcome, StepState};
use serde_json::Value;

use super::inputs::Inputs;
use super::schedule::{Skip, Work, schedule};
use super::{Context, Known, Runner};
use crate::file::Step;
use crate::produce::fault;

/// What a person is told while the steps run; one step speaks at a time.
pub(crate) struct Teller<'a>(Mutex<&'a mut (dyn FnMut(RunEvent) + Send)>);

impl<'a> Teller<'a> {
    pub(crate) fn new(tell: &'a mut (dyn FnMut(RunEvent) + Send)) -> Self {
        Self(Mutex::new(tell))
    }

    pub(crate) fn tell(&self, event: RunEvent) {
        let mut tell = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tell(event);
    }
}

/// The steps of a run as work.
struct Steps<'a, 't> {
    runner: &'a Runner,
    context: &'a Context<'a>,
    teller: &'a Teller<'t>,
    /// What was made so far, by artifact.
    made: Mutex<BTreeMap<String, Known>>,
    /// Where the run stands in its trace.
    place: Option<Place>,
}

impl Work for Steps<'_, '_> {
    type End = StepOutcome;

    fn work(&self, name: &str) -> StepOutcome {
        let Some(step) = self.context.file.steps.get(name) else {
            return self.skipped(name, None);
        };
        let made = || self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let context = Context {
            made: made().clone(),
            ..self.context.clone()
        };
        let one = || {
            self.runner.door.observer().watch(
                || self.runner.one(&context, name, step, self.teller),
                |(outcome, _)| {
                    let run = RunId::read(&self.context.run);
                    Done::step(run, end_of(outcome.state))
                },
            )
        };
        let (outcome, new) = at(self.place.clone(), one)();
        made().extend(new);
        outcome
    }

    fn skipped(&self, name: &str, why: Option<Skip<'_>>) -> StepOutcome {
        let action = self.context.file.steps.get(name).map(Step::action);
        let mut outcome = blank(name, action.unwrap_or_default());
        match why {
            Some(Skip::Needs(before)) => {
                let note = format!("did not run: it needs `{before}`");
                outcome.notes.push(note);
            }
            Some(Skip::Stopped) => {
                let note = "did not run: the run was interrupted before";
                outcome.notes.push(note.to_owned());
            }
            None => {
                outcome.state = StepState::Failed;
                outcome.problem = Some(Box::new(fault("the work on the step stopped")));
            }
        }
        let done = Done::step(RunId::read(&self.context.run), end_of(outcome.state));
        self.runner.door.observer().watch(|| (), |()| done);
        outcome
    }

    fn went_well(&self, end: &StepOutcome) -> bool {
        end.went_well()
    }

    fn is_stopped(&self) -> bool {
        self.context.interrupt.is_raised()
    }

    fn ended(&self, end: &StepOutcome) {
        self.teller
            .tell(RunEvent::StepFinished(Box::new(end.clone())));
    }
}

impl Runner {
    /// Carries the steps out, at most `jobs` at once, and returns how each ended, in the order of `steps`. A step
    /// that fails stops those that need it, and no other.
    pub(crate) fn carry_out(
        &self,
        context: &Context<'_>,
        steps: &[String],
        jobs: usize,
        teller: &Teller<'_>,
    ) -> Vec<StepOutcome> {
        let work = Steps {
            runner: self,
            context,
            teller,
            made: Mutex::new(context.made.clone()),
            place: Place::now(),
        };
        schedule(&work, steps, &context.graph.needs, jobs)
    }

    fn one(
        &self,
        context: &Context<'_>,
        name: &str,
        step: &Step,
        teller: &Teller<'_>,
    ) -> (StepOutcome, BTreeMap<String, Known>) {
        let started = self.door.monotonic_ms();
        teller.tell(RunEvent::StepStarted {
            step: name.to_owned(),
        });
        let (mut outcome, mut made) = (blank(name, step.action()), BTreeMap::new());
        if let Err(problem) = self.step(context, name, step, &mut outcome, &mut made, teller) {
            let problem = completed(context, name, problem);
            outcome.state = state(&problem);
            outcome.problem = Some(Box::new(problem));
        }
        outcome.took_ms = self.door.monotonic_ms().saturating_sub(started);
        (outcome, made)
    }

    /// Carries out a step, or reuses what it made before; both through the door.
    fn step(
        &self,
        context: &Context<'_>,
        name: &str,
        step: &Step,
        outcome: &mut StepOutcome,
        made: &mut BTreeMap<String, Known>,
        teller: &Teller<'_>,
    ) -> Result<(), Problem> {
        let (inputs, reuse) = self.reusable(context, name, step)?;
        let scope = scope(context, name, step, &inputs);
        let session = context.session.step(&context.run, name, scope);
        let target = ResourceRef::Run {
            project: context.file.project.clone(),
            id: format!("{}/{name}", context.run),
        };
        let grant = self.door.ask::<RunStep>(&session, target)?;
        if let Some(reuse) = reuse {
            let mut facts = BTreeMap::from([
                ("step_key".to_owned(), inputs.key.to_string()),
                ("reused".to_owned(), "true".to_owned()),
                ("named".to_owned(), names(reuse.versions.values())),
            ]);
            facts.extend(checked(context, step, &inputs, reuse.passed));
            if !reuse.passed
                && let Some(waiver) = waiver(context, step, &inputs)?
            {
                outcome.notes.push(context.evidence.approval(&waiver)?);
            }
            if !step.network().is_empty() {
                outcome.notes.push(
                    "it has a network: what it would be answered now may be something else"
                        .to_owned(),
                );
            }
            let versions = reuse.versions.values();
            let done = StepResult {
                ok: true,
                step: Some(name.to_owned()),
                statement: Some(reuse.statement),
                inputs: inputs.lineage(),
                facts,
                outputs: versions.clone().map(|version| version.digest).collect(),
                ..StepResult::default()
            };
            outcome.entry = Some(grant.conclude(&done)?);
            outcome.state = StepState::Reused;
            outcome.statement = Some(reuse.statement);
            outcome.versions = versions
                .clone()
                .map(|version| version.name.clone())
                .collect();
            let waits = waiting(versions.map(|known| (known, [].as_slice())));
            made.extend(reuse.versions);
            return waits.map_or(Ok(()), Err);
        }
        let result = self.make(context, name, step, &session, &inputs, outcome, teller);
        let (done, refused, kept) = match result {
            Ok(result) => result,
            Err(problem) => {
                grant.fail(completed(context, name, problem.clone()).code);
                return Err(problem);
            }
        };
        made.extend(kept);
        outcome.statement = done.statement;
        outcome.entry = Some(grant.conclude(&done)?);
        if let Some(problem) = refused {
            return Err(problem);
        }
        outcome.state = StepState::Made;
        Ok(())
    }
}

/// An interruption reaches the programs that work for a step too: what they say then is no fault of the step.
fn completed(context: &Context<'_>, name: &str, problem: Problem) -> Problem {
    if context.interrupt.is_raised() && problem.kind() != ProblemKind::Interrupted {
        crate::produce::interrupted(name).because(problem.what)
    } else {
        problem
    }
}

fn blank(name: &str, action: &str) -> StepOutcome {
    StepOutcome {
        step: name.to_owned(),
        action: action.to_owned(),
        state: StepState::Blocked,
        versions: Vec::new(),
        notes: Vec::new(),
        statement: None,
        entry: None,
        took_ms: 0,
        problem: None,
    }
}

pub(super) fn state(problem: &Problem) -> StepState {
    match problem.kind() {
        ProblemKind::Interrupted => StepState::Interrupted,
        ProblemKind::Refused | ProblemKind::Held => StepState::Refused,
        _ => StepState::Failed,
    }
}

/// Returns how it ended, in the words of who watches over the server.
pub(super) const fn end_of(state: StepState) -> RunEnd {
    match state {
        StepState::Made => RunEnd::Ok,
        StepState::Reused => RunEnd::Reused,
        StepState::Refused => RunEnd::Refused,
        StepState::Failed => RunEnd::Failed,
        StepState::Blocked => RunEnd::Blocked,
        StepState::Interrupted => RunEnd::Interrupted,
    }
}

/// Chooses the problem that decides the run's exit code: broken integrity, else that of the first step in the order of
/// the plan. `None` where no step has one of its own: what was interrupted says nothing of a step.
pub(crate) fn deciding(steps: &[StepOutcome]) -> Option<Problem> {
    if steps
        .iter()
        .any(|step| step.state == StepState::Interrupted)
    {
        return None;
    }
    let problems = || steps.iter().filter_map(|step| step.problem.as_deref());
    problems()
        .find(|problem| problem.kind() == ProblemKind::Integrity)
        .or_else(|| problems().next())
        .cloned()
}

/// Lists versions for the ledger: what a step came to is what is meant by its artifact's name from then on.
pub(crate) fn names<'a>(versions: impl Iterator<Item = &'a Known>) -> String {
    let names: Vec<_> = versions.map(|known| known.name.to_string()).collect();
    names.join(" ")
}

/// Tells the ledger which content passed its contract, or broke it: that lets it out of quarantine, or puts it there
/// where nobody approved the breach. A contract of this project says nothing about the versions of another.
pub(crate) fn checked(
    context: &Context<'_>,
    step: &Step,
    inputs: &Inputs,
    passed: bool,
) -> Vec<(String, String)> {
    let Some(data) = contract_data(context, step, inputs) else {
        return Vec::new();
    };
    let fact = if passed { "passed" } else { "quarantine" };
    vec![
        (fact.to_owned(), data.name.to_string()),
        ("content".to_owned(), data.digest.to_string()),
    ]
}

/// Finds the approval for which what needs a dataset goes on although it breaks this contract.
pub(crate) fn waiver(
    context: &Context<'_>,
    step: &Step,
    inputs: &Inputs,
) -> Result<Option<Waiver>, Problem> {
    let Some(data) = contract_data(context, step, inputs) else {
        return Ok(None);
    };
    let evidence = &context.evidence;
    evidence.waiver(&context.file.project, data.digest, inputs.key, false)
}

/// Returns the dataset that the step checks, if it checks one of its own project.
fn contract_data<'a>(context: &Context<'_>, step: &Step, inputs: &'a Inputs) -> Option<&'a Known> {
    let data = inputs.versions.get("data")?;
    let own = *data.name.artifact.project() == context.file.project;
    (own && matches!(step, Step::Check(_))).then_some(data)
}

/// Returns whether a statement's byproducts say that a contract was passed.
pub(crate) fn has_passed(byproducts: &[Value]) -> bool {
    byproducts
        .iter()
        .any(|one| one.get("result").and_then(Value::as_str) == Some("PASSED"))
}

/// Tells that a step's models wait for an approval, if any does.
pub(crate) fn waiting<'a>(
    made: impl Iterator<Item = (&'a Known, &'a [String])>,
) -> Option<Problem> {
    let mut problem: Option<Problem> = None;
    for (known, findings) in made.filter(|(known, _)| known.waits) {
        let name = &known.name;
        let told = problem.get_or_insert_with(|| {
            Problem::new(code::SCAN_013, format!("the model `{name}` waits in quarantine for an approval"))
                .subject(name)
                .hint(format!("see what was found with `custody show {name}`; who may approve lets it in with `custody approve {name} --reason …`, then run again"))
        });
        told.because.extend(findings.iter().cloned());
    }
    problem
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
        endpoints: step.network().iter().cloned().collect(),
    }
}
