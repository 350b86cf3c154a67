//! `custody run`.

use custody_types::{ExitCode, Problem, code};
use custody_wire::{Document, PlannedStep, RunEvent, RunReply, RunRequest, StepOutcome, StepState};

use super::snapshot;
use crate::args::Run;
use crate::context::Context;
use crate::interrupt;
use crate::output::{Output, Text};
use crate::progress::Progress;

pub(crate) fn run(context: &Context, args: Run) -> Result<ExitCode, Problem> {
    let mut request = RunRequest {
        targets: args.targets,
        dry_run: args.dry_run,
        set: args.set,
        jobs: args.jobs,
        ..RunRequest::default()
    };
    // What runs steps runs them itself; what only looks need not wait.
    let client = if request.dry_run {
        context.client()?
    } else {
        context.own_client()?
    };
    let mut notes = Vec::new();
    // A run at a server goes on when nobody listens any more; `custody runs cancel` ends it.
    if !context.is_remote() {
        interrupt::listen(&context.interrupt)?;
    }
    if args.snapshot || context.is_remote() {
        let (taken, told) = snapshot::take(context, client, &request.targets)?;
        notes = told;
        request.snapshot = Some(taken);
    }
    let output = &context.output;
    let mut progress = Progress::new(output.is_quiet());
    let reply = client.run(&request, |event| show(output, &mut progress, event));
    progress.end();
    let mut reply = reply?;
    reply.notes.splice(..0, notes);
    let exit = exit(&reply);
    if output.is_json() {
        Output::json(&json_line(&RunEvent::Finished(Box::new(reply)))?)?;
        return Ok(exit);
    }
    output.answer(reply, summary)?;
    Ok(exit)
}

/// With `--json` every event is a line on standard output; otherwise the steps are told as they end.
fn show(output: &Output, progress: &mut Progress, event: &RunEvent) {
    if output.is_json() {
        // That it started says the plan, unless there is none: then the answer is why.
        let silent = match event {
            RunEvent::StepLog { text, .. } => text.starts_with('\r'),
            event => matches!(event, RunEvent::Started(_)),
        };
        if let Ok(line) = json_line(event)
            && !silent
        {
            let _closed = Output::json(&line);
        }
        return;
    }
    match event {
        RunEvent::StepStarted { step } => progress.start(output, step),
        RunEvent::StepLog { step, text } => progress.log(output, step, text),
        RunEvent::StepFinished(outcome) => progress.finish(&outcome.step),
        _ => {}
    }
}

fn json_line(event: &RunEvent) -> Result<String, Problem> {
    let mut line = serde_json::to_string(&Document::new(event.clone())).map_err(|error| {
        Problem::new(code::CLI_011, "the answer cannot be written").because(error)
    })?;
    line.push('\n');
    Ok(line)
}

fn exit(reply: &RunReply) -> ExitCode {
    match &reply.problem {
        Some(problem) => problem.exit(),
        None => ExitCode::Done,
    }
}

fn summary(reply: &RunReply, text: &mut Text) -> std::io::Result<()> {
    for note in &reply.notes {
        text.line(format!("note: {note}"));
    }
    if reply.dry_run {
        plan(&reply.plan, text);
        return Ok(());
    }
    for step in &reply.steps {
        outcome(step, text);
    }
    if let Some((first, last)) = reply.entries {
        text.line(format!(
            "run {}: {} ms, ledger entries {first} to {last}",
            reply.run, reply.took_ms
        ));
    }
    // The steps have told theirs.
    let told = |problem: &Problem| {
        let problems = reply
            .steps
            .iter()
            .filter_map(|step| step.problem.as_deref());
        problems.into_iter().any(|other| other == problem)
    };
    if let Some(problem) = reply.problem.as_ref().filter(|problem| !told(problem)) {
        text.line("");
        text.line(problem.to_string());
    }
    Ok(())
}

fn plan(steps: &[PlannedStep], text: &mut Text) {
    for step in steps {
        let mark = if step.runs { "run  " } else { "reuse" };
        let (first, rest) = match step.reasons.split_first() {
            Some((first, rest)) => (first, rest),
            None => (&step.why, [].as_slice()),
        };
        text.line(format!(
            "  {mark}  {:<16} {:<10} {first}",
            step.step, step.action
        ));
        for reason in rest {
            text.line(format!("{:36}{reason}", ""));
        }
    }
    let running = steps.iter().filter(|step| step.runs).count();
    text.line(format!("{running} of {} steps would run", steps.len()));
}

fn outcome(step: &StepOutcome, text: &mut Text) {
    let mark = match step.state {
        StepState::Made => "made   ",
        StepState::Reused => "reused ",
        StepState::Refused => "REFUSED",
        StepState::Failed => "FAILED ",
        StepState::Blocked => "blocked",
        StepState::Interrupted => "ended  ",
    };
    let versions: Vec<_> = step.versions.iter().map(ToString::to_string).collect();
    let entry = step
        .entry
        .as_ref()
        .map(|entry| format!("  entry {}", entry.index))
        .unwrap_or_default();
    text.line(format!(
        "  {mark}  {:<14} {}{entry}",
        step.step,
        versions.join(" ")
    ));
    for note in &step.notes {
        text.line(format!("             {note}"));
    }
    if let Some(problem) = &step.problem {
        for line in problem.to_string().lines() {
            text.line(format!("    {line}"));
        }
    }
}
