//! `custody trace`.

use std::collections::BTreeSet;

use custody_backends::user_files;
use custody_drawing::lineage;
use custody_host::user_files_problem;
use custody_types::{ExitCode, Problem, VersionName, counted};
use custody_wire::{Node, TraceQuery, TraceReply};

use crate::args::Trace;
use crate::context::Context;
use crate::output::Text;

pub(crate) fn run(context: &Context, args: Trace) -> Result<ExitCode, Problem> {
    let query = TraceQuery {
        reference: args.reference.to_string(),
        down: args.down,
    };
    let reply = context.client()?.trace(&query)?;
    if let Some(file) = &args.svg {
        let drawn = lineage(&reply, None);
        user_files::write_file(file, drawn.svg.as_bytes())
            .map_err(|error| user_files_problem(&error))?;
        if drawn.left_out > 0 {
            let left_out = counted(drawn.left_out, "version");
            context.output.note(&format!(
                "{left_out} further away are not drawn; the text and `--json` have them"
            ));
        }
        context
            .output
            .note(&format!("drawn into {}", file.display()));
    }
    context.output.answer(reply, |reply, text| {
        let mut seen = BTreeSet::new();
        branch(reply, &reply.root, "", "", &mut seen, text);
        if reply.more {
            text.line("there is more: a trace stops at 10,000 versions");
        }
        Ok(())
    })?;
    Ok(ExitCode::Done)
}

/// Writes a version and, below it, what it was made from (or what was made from it). A version that
/// was already written is only named the second time.
fn branch(
    reply: &TraceReply,
    version: &VersionName,
    role: &str,
    indent: &str,
    seen: &mut BTreeSet<VersionName>,
    text: &mut Text,
) {
    let role = if role.is_empty() {
        String::new()
    } else {
        format!(" ({role})")
    };
    let Some(node) = reply.nodes.iter().find(|node| node.version == *version) else {
        text.line(format!("{indent}{version}{role}"));
        return;
    };
    if !seen.insert(version.clone()) {
        text.line(format!("{indent}{version}{role}, as above"));
        return;
    }
    text.line(format!("{indent}{version}{role}"));
    for line in facts(node) {
        text.line(format!("{indent}  {line}"));
    }
    let next = format!("{indent}    ");
    for input in reply.closed.iter().filter(|input| input.to == *version) {
        let why = input.shredded.map_or_else(
            || "closed: of a project that you may not trace".to_owned(),
            |entry| format!("gone: its project was shredded, ledger entry {entry}"),
        );
        text.line(format!("{next}{why} ({})", input.role));
        text.line(format!("{next}  {}", input.digest));
    }
    for edge in &reply.edges {
        let (here, there) = if reply.down {
            (&edge.from, &edge.to)
        } else {
            (&edge.to, &edge.from)
        };
        if here == version {
            branch(reply, there, &edge.role, &next, seen, text);
        }
    }
}

fn facts(node: &Node) -> Vec<String> {
    let mut lines = vec![
        format!("{} {}", node.kind, node.digest),
        if node.step.is_empty() {
            format!(
                "kept at {} for {}, ledger entry {}",
                node.finished, node.actor, node.entry
            )
        } else {
            format!(
                "made by {} `{}` at {} for {}, ledger entry {}",
                node.action, node.step, node.finished, node.actor, node.entry
            )
        },
    ];
    if let Some(commit) = &node.commit {
        lines.push(format!("from commit {commit}"));
    }
    let network = node.parameters.pointer("/declared/run/network");
    let network = network.and_then(serde_json::Value::as_array);
    let network: Vec<_> = network
        .into_iter()
        .flatten()
        .filter_map(|one| one.as_str())
        .collect();
    if !network.is_empty() {
        lines.push(format!("with a network: {}", network.join(", ")));
        let connected = node.isolation.iter();
        lines.extend(
            connected
                .filter(|line| line.starts_with("connected to "))
                .cloned(),
        );
    }
    if !node.isolation.is_empty() {
        let count = node.isolation.len();
        lines.push(format!(
            "in the sandbox, {count} layers: `--json` lists them"
        ));
    }
    lines
}
