//! `custody rescan`.

use custody_types::{ExitCode, Problem};
use custody_wire::{RescanRequest, Rescanned};

use crate::args::Rescan;
use crate::context::Context;
use crate::output::Text;

pub(crate) fn run(context: &Context, args: Rescan) -> Result<ExitCode, Problem> {
    let reply = context.client()?.rescan(&RescanRequest {
        all: args.all || args.reference.is_some(),
        reference: args.reference.map(|reference| reference.to_string()),
    })?;
    let refused = |one: &Rescanned| one.after == "malicious" || one.after == "unscannable";
    let waits = |one: &Rescanned| one.quarantined && !one.rejected;
    let exit = if reply.scanned.iter().any(refused) {
        ExitCode::No
    } else if reply.scanned.iter().any(waits) {
        ExitCode::Approval
    } else {
        ExitCode::Done
    };
    context.output.answer(reply, |reply, text| {
        reply.scanned.iter().for_each(|one| tell(one, text));
        text.line(format!(
            "{} models scanned by {}; {} scanned by these rules before",
            reply.scanned.len(),
            reply.rules.join(", "),
            reply.current
        ));
        Ok(())
    })?;
    Ok(exit)
}

fn tell(one: &Rescanned, text: &mut Text) {
    let before = one.before.as_deref().unwrap_or("never scanned");
    text.line(format!(
        "{}: {before} before, {} now{}",
        one.version,
        one.after,
        match (one.quarantined, one.rejected) {
            (true, true) => ", rejected",
            (true, false) => ", in quarantine",
            (false, _) => "",
        }
    ));
    for line in &one.appeared {
        text.line(format!("  new: {line}"));
    }
    for line in &one.gone {
        text.line(format!("  gone: {line}"));
    }
}
