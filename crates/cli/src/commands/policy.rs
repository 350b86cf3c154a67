//! `custody policy`: what is in force, and how it is changed.

use std::path::PathBuf;

use custody_backends::user_files;
use custody_host::user_files_problem;
use custody_types::{ExitCode, Problem, VersionName, code};
use custody_wire::{ApproveChangeRequest, BreakGlassRequest, PolicyReply, PolicySource};

use crate::args::{ApproveChange, BreakGlass, PolicyApply};
use crate::context::Context;
use crate::output::Text;

/// The largest policy file.
const POLICY_BYTES: u64 = 1 << 20;

pub(crate) fn show(context: &Context) -> Result<ExitCode, Problem> {
    let reply = context.client()?.policy()?;
    context.output.answer(reply, |reply, text| {
        text.line(format!("policy set {}", reply.digest));
        declared(reply, text);
        text.line("");
        text.line("who has which roles and purposes: `custody account ls`");
        for source in &reply.sources {
            text.line("");
            text.heading(&source.name);
            text.line(source.text.trim_end());
        }
        Ok(())
    })?;
    Ok(ExitCode::Done)
}

pub(crate) fn apply(context: &Context, args: PolicyApply) -> Result<ExitCode, Problem> {
    let sources = sources(&[args.folder])?;
    let reply = context.client()?.change_policy(&sources)?;
    let waits = reply.proposed.is_some();
    context
        .output
        .answer(reply, |reply, text| match &reply.proposed {
            Some(name) => {
                proposed(name, text);
                Ok(())
            }
            None => applied(reply, text),
        })?;
    Ok(waits_or_done(waits))
}

/// Reads the files of policies in folders, or that are named.
pub(crate) fn sources(paths: &[PathBuf]) -> Result<Vec<PolicySource>, Problem> {
    let files = user_files::find(paths).map_err(|error| user_files_problem(&error))?;
    let mut sources = Vec::new();
    for file in files {
        let name = file.path.as_str();
        let policy = std::path::Path::new(name)
            .extension()
            .is_some_and(|extension| extension == "cedar");
        if policy || ["principals.json", "settings.json", "tests.json"].contains(&name) {
            let text = file
                .text(POLICY_BYTES)
                .map_err(|error| user_files_problem(&error))?;
            sources.push(PolicySource {
                name: name.to_owned(),
                text,
            });
        }
    }
    if sources.is_empty() {
        return Err(Problem::new(code::CLI_032, "the folder holds no policy")
            .because("there is no file `*.cedar`, no `principals.json` and no `settings.json`")
            .hint("to go back to the built-in policy alone, apply a `settings.json` with `{}`"));
    }
    Ok(sources)
}

/// Tells that a change waits for a second person.
pub(crate) fn proposed(name: &VersionName, text: &mut Text) {
    text.line(format!("{name} waits for a second person"));
    text.line(format!(
        "  they see it with `custody policy proposals` and put it in force with `custody policy approve {name}`"
    ));
}

pub(crate) const fn waits_or_done(waits: bool) -> ExitCode {
    if waits {
        ExitCode::Approval
    } else {
        ExitCode::Done
    }
}

pub(crate) fn proposals(context: &Context) -> Result<ExitCode, Problem> {
    let reply = context.client()?.proposals()?;
    context.output.answer(reply, |reply, text| {
        if reply.proposals.is_empty() {
            text.line("no change waits");
        }
        for one in &reply.proposals {
            text.heading(&one.name.to_string());
            text.line(format!(
                "proposed {} by {}, can be approved until {}",
                one.proposed_on.to_seconds_text(),
                one.proposer,
                one.until.to_seconds_text()
            ));
            for line in &one.differences {
                text.line(format!("  {line}"));
            }
        }
        Ok(())
    })?;
    Ok(ExitCode::Done)
}

pub(crate) fn approve(context: &Context, args: ApproveChange) -> Result<ExitCode, Problem> {
    let reply = context.client()?.approve_change(&ApproveChangeRequest {
        reference: args.reference.to_string(),
    })?;
    context.output.answer(reply, applied)?;
    Ok(ExitCode::Done)
}

pub(crate) fn break_glass(context: &Context, args: BreakGlass) -> Result<ExitCode, Problem> {
    let reply = context.own_client()?.break_glass(&BreakGlassRequest {
        workspace: args.id,
        reason: args.reason,
    })?;
    context.output.answer(reply, |reply, text| {
        text.line(format!(
            "the built-in policies alone are in force, and `{}` is an owner",
            reply.owner
        ));
        text.line(
            "the ledger says who did it and why; `custody ledger verify` tells it from now on",
        );
        Ok(())
    })?;
    Ok(ExitCode::Done)
}

/// Tells what the policies declare beside who may do what.
fn declared(reply: &PolicyReply, text: &mut Text) {
    text.line("");
    text.heading("purposes");
    for (name, what) in &reply.purposes {
        text.line(format!("  {name:<20} {what}"));
    }
    text.line("");
    text.heading("roles");
    text.line(format!("  {}", reply.roles.join(", ")));
    text.line("");
    text.heading("gated aliases");
    for (project, aliases) in &reply.gated_aliases {
        let aliases: Vec<_> = aliases.iter().map(|alias| format!("@{alias}")).collect();
        text.line(format!(
            "  {project:<20} {}",
            if aliases.is_empty() {
                "none".to_owned()
            } else {
                aliases.join(" ")
            }
        ));
    }
}

fn applied(reply: &PolicyReply, text: &mut Text) -> std::io::Result<()> {
    let names: Vec<_> = reply
        .sources
        .iter()
        .map(|source| source.name.as_str())
        .collect();
    text.line(format!("in force now: {}", names.join(", ")));
    text.line(format!("policy set {}", reply.digest));
    Ok(())
}
