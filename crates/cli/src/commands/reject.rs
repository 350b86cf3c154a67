//! `custody reject`.

use custody_types::{ExitCode, Problem};
use custody_wire::RejectRequest;

use crate::args::Reject;
use crate::context::Context;

pub(crate) fn run(context: &Context, args: Reject) -> Result<ExitCode, Problem> {
    let reply = context.client()?.reject(&RejectRequest {
        reference: args.reference.to_string(),
        reason: args.reason,
    })?;
    context.output.answer(reply, |reply, text| {
        let (name, entry) = (&reply.version.name, reply.entry.index);
        text.line(format!(
            "{name} stays in quarantine for good, ledger entry {entry}"
        ));
        Ok(())
    })?;
    Ok(ExitCode::Done)
}
