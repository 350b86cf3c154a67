//! `custody approve`.

use custody_types::{ExitCode, Problem};
use custody_wire::ApproveRequest;

use crate::args::Approve;
use crate::context::Context;

pub(crate) fn run(context: &Context, args: Approve) -> Result<ExitCode, Problem> {
    let reply = context.client()?.approve(&ApproveRequest {
        reference: args.reference.to_string(),
        reason: args.reason,
    })?;
    context.output.answer(reply, |reply, text| {
        text.line(format!(
            "{} is out of quarantine, ledger entry {}",
            reply.version.name, reply.entry.index
        ));
        Ok(())
    })?;
    Ok(ExitCode::Done)
}
