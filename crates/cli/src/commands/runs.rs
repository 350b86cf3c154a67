//! `custody runs`.

use custody_types::{ExitCode, Problem, code};
use custody_wire::{Document, RunMark, RunMoment, RunMomentQuery, RunQuery, RunState, RunView};

use crate::args::{RUNS_PAGE, RunShow, Runs, RunsCommand, RunsList};
use crate::context::Context;
use crate::output::{More, Output};

pub(crate) fn run(context: &Context, args: Runs) -> Result<ExitCode, Problem> {
    match args.command {
        None => list(context, args.list),
        Some(RunsCommand::Show(args)) if args.follow => follow(context, &args),
        Some(RunsCommand::Show(args)) => show(context, &args),
        Some(RunsCommand::Cancel(args)) => cancel(context, &args.id),
    }
}

fn list(context: &Context, args: RunsList) -> Result<ExitCode, Problem> {
    let query = RunQuery {
        project: args.project,
        limit: Some(args.limit),
        after: args.after,
    };
    let reply = context.client()?.runs(&query)?;
    context.output.answer(reply, |reply, text| {
        if reply.runs.is_empty() {
            text.line("there are no runs");
            return Ok(());
        }
        let head = [
            "run", "project", "state", "by", "started", "took", "entries",
        ];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows.extend(reply.runs.iter().map(row));
        text.table(&rows);
        if let Some(cursor) = &reply.next {
            let more = More::new("runs")
                .option("--project", query.project.as_ref())
                .option(
                    "--limit",
                    Some(args.limit).filter(|limit| *limit != RUNS_PAGE),
                );
            text.line(more.line(cursor));
        }
        Ok(())
    })?;
    Ok(ExitCode::Done)
}

fn row(run: &RunView) -> Vec<String> {
    vec![
        run.id.clone(),
        run.project.to_string(),
        run.state.as_str().to_owned(),
        run.actor.clone(),
        run.started.to_seconds_text(),
        took(run),
        entries(run),
    ]
}

/// Returns how long the run took, in seconds.
fn took(run: &RunView) -> String {
    run.ended.map_or_else(String::new, |ended| {
        let tenths = (ended.unix_micros() - run.started.unix_micros()) / 100_000;
        format!("{}.{} s", tenths / 10, tenths % 10)
    })
}

fn entries(run: &RunView) -> String {
    match run.entries {
        (first, Some(last)) => format!("{first} to {last}"),
        (first, None) => format!("from {first}"),
    }
}

fn show(context: &Context, args: &RunShow) -> Result<ExitCode, Problem> {
    let reply = context.client()?.show_run(&args.id)?;
    context.output.answer(reply, |reply, text| {
        let run = &reply.run;
        text.line(format!("run {} of {}", run.id, run.project));
        text.line(format!(
            "  state    {}",
            ending(run.state, run.error.as_ref())
        ));
        text.line(format!("  by       {}", run.actor));
        text.line(format!("  started  {}", run.started.to_seconds_text()));
        if let Some(ended) = run.ended {
            text.line(format!("  ended    {}", ended.to_seconds_text()));
        }
        text.line(format!("  entries  {}", entries(run)));
        for moment in &reply.moments {
            text.line(line(moment));
        }
        Ok(())
    })?;
    Ok(ExitCode::Done)
}

/// Tells what happens as it happens.
fn follow(context: &Context, args: &RunShow) -> Result<ExitCode, Problem> {
    let query = RunMomentQuery { after: args.after };
    let client = context.client()?;
    client.follow_run(&args.id, &query, |moment| {
        if !context.output.is_json() {
            return Output::plain(&format!("{}\n", line(&moment)));
        }
        let json = serde_json::to_string(&Document::new(moment)).map_err(|error| {
            Problem::new(code::CLI_011, "the answer cannot be written").because(error)
        })?;
        Output::json(&format!("{json}\n"))
    })?;
    Ok(ExitCode::Done)
}

fn line(moment: &RunMoment) -> String {
    let what = match &moment.what {
        RunMark::Started => "the run started".to_owned(),
        RunMark::StepStarted { step } => format!("{step}: started"),
        RunMark::StepEnded {
            step,
            state,
            reused,
            versions,
            error,
        } => {
            let versions = versions.iter().map(|name| format!(" {name}"));
            let versions: String = versions.collect();
            let how = if *reused {
                "reused".to_owned()
            } else {
                ending(*state, error.as_ref())
            };
            format!("{step}: {how}{versions}")
        }
        RunMark::Ended { state, error } => {
            format!("the run ended: {}", ending(*state, error.as_ref()))
        }
    };
    format!(
        "  {:>6}  {}  {what}",
        moment.at,
        moment.time.to_seconds_text()
    )
}

fn ending(state: RunState, error: Option<&String>) -> String {
    match error {
        Some(error) => format!("{} ({error})", state.as_str()),
        None => state.as_str().to_owned(),
    }
}

fn cancel(context: &Context, id: &str) -> Result<ExitCode, Problem> {
    let reply = context.client()?.cancel_run(id)?;
    context.output.answer(reply, |reply, text| {
        text.line(format!(
            "run {} is being cancelled, ledger entry {}",
            reply.run, reply.entry.index
        ));
        Ok(())
    })?;
    Ok(ExitCode::Done)
}
