//! `custody show`.

use custody_types::{ExitCode, Kind, Problem, counted};
use custody_wire::{Origin, ShowReply};
use serde_json::Value;

use crate::args::Show;
use crate::context::Context;
use crate::output::Text;

/// How many files are shown without `--json`.
const FILES_SHOWN: usize = 40;
/// How many letters of a text in the evidence are shown without `--json`.
const LONGEST: usize = 200;

pub(crate) fn run(context: &Context, args: &Show) -> Result<ExitCode, Problem> {
    let reply = context
        .client_for_pipeline()?
        .show(&args.reference.to_string())?;
    context.output.answer(reply, |reply, text| {
        facts(reply, text);
        if let Some(origin) = &reply.origin {
            text.line("");
            text.heading("origin");
            origin_lines(origin, text);
        }
        text.line("");
        text.heading("files");
        for file in reply.listing.iter().take(FILES_SHOWN) {
            text.line(format!(
                "  {}  {:>10}  {}",
                file.sha256.to_hex(),
                file.size.to_string(),
                file.path
            ));
        }
        if reply.listing.len() > FILES_SHOWN {
            text.line(format!(
                "  … and {} more; `--json` lists them",
                reply.listing.len() - FILES_SHOWN
            ));
        }
        for (name, value) in &reply.evidence {
            text.line("");
            text.heading(name);
            spelt(value, "  ", text);
        }
        for what in &reply.withheld {
            text.line("");
            text.line(format!("withheld: {what}"));
        }
        Ok(())
    })?;
    Ok(ExitCode::Done)
}

fn facts(reply: &ShowReply, text: &mut Text) {
    let version = &reply.version;
    text.heading(&version.name.to_string());
    text.line(format!("  kind            {}", version.kind));
    text.line(format!("  identity        {}", version.digest));
    text.line(format!("  classification  {}", version.classification));
    text.line(format!(
        "  size            {} in {}",
        version.size,
        counted(version.files, "file")
    ));
    text.line(format!(
        "  made            {} by {}",
        version.created.to_seconds_text(),
        version.author
    ));
    text.line(format!("  ledger entry    {}", version.entry));
    if let Some(statement) = version.statement {
        text.line(format!("  attestation     {statement}"));
    }
    if let Some(entry) = version.removed {
        text.line(format!("  bytes           removed, ledger entry {entry}"));
    }
    for why in &version.held {
        let until = match version.kind {
            _ if version.rejected => "nothing reads it, and nobody can approve it",
            Kind::Model => "no step reads it before `custody approve`",
            _ => "no step reads it before `custody approve` or a contract that it passes",
        };
        text.line(format!("  in quarantine   {why}: {until}"));
    }
    if let Some(approvals) = &reply.approvals {
        text.line(format!(
            "  approvals       {} of {}",
            approvals.given.len(),
            approvals.needed
        ));
        for given in &approvals.given {
            text.line(format!("    {given}"));
        }
    }
    for alias in &version.aliases {
        text.line(format!("  alias           @{alias}"));
    }
}

/// Writes what there is of evidence, a fact a line: names before values, lists of plain values in a row.
fn spelt(value: &Value, indent: &str, text: &mut Text) {
    let deeper = format!("{indent}  ");
    match value {
        Value::Object(facts) => {
            for (name, value) in facts {
                match in_a_row(value) {
                    Some(row) => text.line(format!("{indent}{name}: {row}")),
                    None => {
                        text.line(format!("{indent}{name}:"));
                        spelt(value, &deeper, text);
                    }
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                match (in_a_row(item), item) {
                    (Some(_), Value::Array(pair)) if pair.len() == 2 => {
                        let pair: Vec<_> = pair.iter().filter_map(in_a_row).collect();
                        text.line(format!("{indent}- {}", pair.join(": ")));
                    }
                    (Some(row), _) => text.line(format!("{indent}- {row}")),
                    (None, item) => {
                        text.line(format!("{indent}-"));
                        spelt(item, &deeper, text);
                    }
                }
            }
        }
        plain => text.line(format!("{indent}{}", in_a_row(plain).unwrap_or_default())),
    }
}

/// Returns a plain value, or a list of such, as one text.
fn in_a_row(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some("none".to_owned()),
        Value::String(text) => Some(match text.char_indices().nth(LONGEST) {
            Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
            None => text.clone(),
        }),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Array(items) if items.is_empty() => Some("none".to_owned()),
        Value::Object(facts) if facts.is_empty() => Some("none".to_owned()),
        Value::Array(items) => {
            let plain = |item: &Value| !item.is_array() && !item.is_object();
            let items = items
                .iter()
                .map(|item| in_a_row(item).filter(|_| plain(item)));
            Some(items.collect::<Option<Vec<_>>>()?.join(", "))
        }
        Value::Object(_) => None,
    }
}

fn origin_lines(origin: &Origin, text: &mut Text) {
    text.line(format!("  publisher       {}", origin.publisher));
    text.line(format!("  url             {}", origin.url));
    text.line(format!("  licence         {}", origin.licence));
    text.line(format!("  legal basis     {}", origin.legal_basis));
    text.line(format!(
        "  collected       {} by {}",
        origin.collected_at.to_seconds_text(),
        origin.collected_by
    ));
    text.line(format!("  sha256          {}", origin.sha256));
    if let Some(file) = &origin.file {
        text.line(format!("  collected from  {file}"));
    }
    if origin.files.len() > 1 {
        for file in origin.files.iter().take(FILES_SHOWN) {
            text.line(format!("    {}  {}", file.sha256.to_hex(), file.path));
        }
    }
}
