//! `custody ledger log`, `custody ledger show`, `custody ledger export` and `custody ledger accept-rollback`.

use std::path::PathBuf;

use custody_backends::user_files;
use custody_host::user_files_problem;
use custody_types::{Action, ExitCode, Problem, code, counted};
use custody_wire::{AcceptRollbackRequest, EntryQuery, EntryView, Schema};
use serde::Serialize;
use serde_json::Value;

use crate::args::{AcceptRollback, LOG_PAGE, LedgerExport, LedgerLog, LedgerShow, OutcomeArg};
use crate::context::Context;
use crate::output::More;

pub(crate) fn log(context: &Context, args: LedgerLog) -> Result<ExitCode, Problem> {
    let outcome = args.outcome.map(|outcome| match outcome {
        OutcomeArg::Ok => "ok".to_owned(),
        OutcomeArg::Denied => "denied".to_owned(),
        OutcomeArg::Error => "error".to_owned(),
        OutcomeArg::Unknown => "unknown".to_owned(),
    });
    if let Some(action) = &args.action
        && !Action::ALL.iter().any(|known| {
            known.verb() == action
                || known.name() == action
                || known.verb().split('.').next() == Some(action)
        })
    {
        let verbs: Vec<_> = Action::ALL.iter().map(|known| known.verb()).collect();
        return Err(
            Problem::new(code::CLI_033, format!("there is no action `{action}`"))
                .hint(format!("there are {}", verbs.join(", "))),
        );
    }
    let query = EntryQuery {
        actor: args.actor,
        action: args.action,
        resource: args.resource,
        outcome,
        since: args.since,
        until: args.until,
        limit: Some(args.limit),
        after: args.after,
    };
    let reply = context.client()?.ledger_entries(&query)?;
    context.output.answer(reply, |reply, text| {
        let head = [
            "entry", "time", "actor", "action", "phase", "resource", "purpose", "answer",
        ];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows.extend(reply.entries.iter().map(row));
        text.table(&rows);
        text.line(format!(
            "{} of {} entries, root {}",
            reply.entries.len(),
            reply.size,
            reply.root
        ));
        if let Some(cursor) = &reply.next {
            let more = More::new("ledger log")
                .option("--actor", query.actor.as_ref())
                .option("--action", query.action.as_ref())
                .option("--resource", query.resource.as_ref())
                .option("--outcome", query.outcome.as_ref())
                .option("--since", query.since)
                .option("--until", query.until)
                .option(
                    "--limit",
                    Some(args.limit).filter(|limit| *limit != LOG_PAGE),
                );
            text.line(more.line(cursor));
        }
        Ok(())
    })?;
    Ok(ExitCode::Done)
}

pub(crate) fn show(context: &Context, args: &LedgerShow) -> Result<ExitCode, Problem> {
    let reply = context.client()?.ledger_entry(args.index)?;
    context.output.answer(reply, |reply, text| {
        let pretty = serde_json::to_string_pretty(&reply.view.entry)?;
        for line in pretty.lines() {
            text.line(line);
        }
        text.line(format!(
            "entry {} of {}, by {}, leaf {}",
            reply.view.index, reply.size, reply.view.actor, reply.view.leaf
        ));
        text.line(format!(
            "a proof of {} hashes leads to the root {}: `--json` has it",
            reply.proof.len(),
            reply.root
        ));
        Ok(())
    })?;
    Ok(ExitCode::Done)
}

fn row(view: &EntryView) -> Vec<String> {
    let text = |path: &str| {
        view.entry
            .pointer(path)
            .and_then(Value::as_str)
            .unwrap_or("")
            .to_owned()
    };
    let resources: Vec<_> = view
        .entry
        .get("obj")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|object| object.get("n").and_then(Value::as_str))
        .collect();
    let answer = match (text("/out"), text("/dec/eff")) {
        (out, _) if !out.is_empty() => out,
        (_, effect) => effect,
    };
    let time: String = text("/ts").chars().take(19).collect();
    vec![
        view.index.to_string(),
        time,
        view.by.as_ref().map_or_else(
            || view.actor.clone(),
            |by| format!("{} by {by}", view.actor),
        ),
        text("/act"),
        text("/ph"),
        resources.join(" "),
        text("/why"),
        answer,
    ]
}

#[derive(Debug, Serialize)]
struct Exported {
    to: PathBuf,
    files: u64,
}

impl Schema for Exported {
    const NAME: &'static str = "custody/ledger-export/1";
}

pub(crate) fn export(context: &Context, args: LedgerExport) -> Result<ExitCode, Problem> {
    let (files, _) = context.client()?.export_ledger(|stream| {
        user_files::write_folder(stream, &args.to).map_err(|error| user_files_problem(&error))
    })?;
    context
        .output
        .answer(Exported { to: args.to, files }, |exported, text| {
            text.line(format!(
                "exported the ledger to {}: {}",
                exported.to.display(),
                counted(exported.files, "file")
            ));
            Ok(())
        })?;
    Ok(ExitCode::Done)
}

pub(crate) fn accept_rollback(
    context: &Context,
    args: AcceptRollback,
) -> Result<ExitCode, Problem> {
    let reply = context.client()?.accept_rollback(&AcceptRollbackRequest {
        workspace: args.id,
        reason: args.reason,
    })?;
    context.output.answer(reply, |reply, text| {
        text.line(format!(
            "the ledger goes on from here; that you accepted it is entry {}",
            reply.entry.index
        ));
        Ok(())
    })?;
    Ok(ExitCode::Done)
}
