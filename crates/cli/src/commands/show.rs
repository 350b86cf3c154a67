//! `custody show`.

use custody_types::{ExitCode, Kind, Problem};
use custody_wire::{Origin, ShowReply};

use crate::args::Show;
use crate::context::Context;
use crate::output::Text;

/// How many files are shown without `--json`.
const FILES_SHOWN: usize = 40;

pub(crate) fn run(context: &Context, args: &Show) -> Result<ExitCode, Problem> {
    let reply = context.client()?.show(&args.reference.to_string())?;
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
            for line in serde_json::to_string_pretty(value)?.lines() {
                text.line(format!("  {line}"));
            }
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
        "  size            {} in {} files",
        version.size, version.files
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
    for why in &version.held {
        text.line(format!(
            "  in quarantine   {why}: no step reads it before `custody approve`{}",
            if version.kind == Kind::Model {
                ""
            } else {
                " or a contract that it passes"
            }
        ));
    }
    for alias in &version.aliases {
        text.line(format!("  alias           @{alias}"));
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
