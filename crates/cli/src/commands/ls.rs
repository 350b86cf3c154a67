//! `custody ls`.

use custody_types::{ExitCode, NameError, Problem, code, counted};
use custody_wire::{ListQuery, ProjectQuery, VersionView};

use crate::args::{Ls, PAGE, project_or_artifact};
use crate::context::Context;
use crate::output::More;

/// How many versions in quarantine are counted at most.
const COUNTED: usize = 100;

pub(crate) fn run(context: &Context, args: &Ls) -> Result<ExitCode, Problem> {
    if args.projects {
        return projects(context, args);
    }
    let (project, artifact) = project_or_artifact(args.name.as_deref())
        .map_err(|error| Problem::new(code::CLI_013, error.to_string()))?;
    let query = ListQuery {
        project,
        artifact,
        kind: args.kind,
        quarantine: args.quarantine,
        limit: Some(args.limit),
        after: args.after.clone(),
    };
    let reply = context.client()?.list(&query)?;
    context.output.answer(reply, |reply, text| {
        let more = reply.next.as_ref().map(|cursor| {
            More::new("ls")
                .word(args.name.as_ref())
                .option("--kind", args.kind)
                .flag("--quarantine", args.quarantine)
                .option("--limit", Some(args.limit).filter(|limit| *limit != PAGE))
                .line(cursor)
        });
        let held_back = match reply.held_back {
            0 => None,
            1 => Some("1 more is in quarantine: custody ls --quarantine".to_owned()),
            COUNTED => Some(format!(
                "{COUNTED} or more are in quarantine: custody ls --quarantine"
            )),
            more => Some(format!(
                "{more} more are in quarantine: custody ls --quarantine"
            )),
        };
        let lacking = (reply.lacking > 0).then(|| {
            let versions = counted(reply.lacking, "version");
            format!("{versions} cannot be shown: no pack has them; custody verify --all names what is missing")
        });
        if reply.versions.is_empty() {
            text.line(match (args.quarantine, &held_back) {
                _ if lacking.is_some() => "no version can be shown",
                (true, _) => "nothing is in quarantine",
                (false, None) => "there are no versions",
                (false, Some(_)) => "there are no versions that may be used",
            });
            for line in held_back.into_iter().chain(lacking).chain(more) {
                text.line(line);
            }
            return Ok(());
        }
        let last = if args.quarantine { "why" } else { "aliases" };
        let head = ["version", "kind", "class", "files", "size", "created", last];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows.extend(reply.versions.iter().map(row));
        text.table(&rows);
        for line in held_back.into_iter().chain(lacking).chain(more) {
            text.line(line);
        }
        Ok(())
    })?;
    Ok(ExitCode::Done)
}

fn projects(context: &Context, args: &Ls) -> Result<ExitCode, Problem> {
    let unnamed = |error: NameError| Problem::new(code::CLI_013, error.to_string());
    let after = args.after.as_deref().map(str::parse).transpose();
    let query = ProjectQuery {
        limit: Some(args.limit),
        after: after.map_err(unnamed)?,
    };
    let reply = context.client()?.projects(&query)?;
    context.output.answer(reply, |reply, text| {
        for project in &reply.projects {
            text.line(project.to_string());
        }
        if reply.projects.is_empty() {
            text.line("there are no projects");
        }
        let more = reply.next.as_ref().map(|last| {
            More::new("ls")
                .flag("--projects", true)
                .option("--limit", Some(args.limit).filter(|limit| *limit != PAGE))
                .line(last.as_str())
        });
        if let Some(more) = more {
            text.line(more);
        }
        Ok(())
    })?;
    Ok(ExitCode::Done)
}

fn row(version: &VersionView) -> Vec<String> {
    let aliases: Vec<_> = version
        .aliases
        .iter()
        .map(|alias| format!("@{alias}"))
        .collect();
    vec![
        version.name.to_string(),
        version.kind.to_string(),
        version.classification.to_string(),
        version.files.to_string(),
        version.size.to_string(),
        version.created.to_seconds_text(),
        if version.quarantined {
            version.held.join("; ")
        } else {
            aliases.join(" ")
        },
    ]
}
