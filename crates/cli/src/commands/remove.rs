//! `custody remove`.

use custody_types::{ExitCode, Problem};
use custody_wire::RemoveRequest;

use crate::args::Remove;
use crate::context::Context;

pub(crate) fn run(context: &Context, args: Remove) -> Result<ExitCode, Problem> {
    let reply = context.client()?.remove(&RemoveRequest {
        reference: args.reference.to_string(),
    })?;
    context.output.answer(reply, |reply, text| {
        let (name, entry) = (&reply.version.name, reply.entry);
        text.line(format!(
            "{} of {name} removed for good, ledger entry {entry}",
            reply.bytes
        ));
        if reply.shared.bytes() > 0 {
            text.line(format!(
                "{} stay, which other versions of the project have too",
                reply.shared
            ));
        }
        Ok(())
    })?;
    Ok(ExitCode::Done)
}
