//! `custody approve`.

use custody_types::{ExitCode, Problem, counted};
use custody_wire::ApproveRequest;

use crate::args::Approve;
use crate::context::Context;

pub(crate) fn run(context: &Context, args: Approve) -> Result<ExitCode, Problem> {
    let reply = context.client()?.approve(&ApproveRequest {
        reference: args.reference.to_string(),
        reason: args.reason,
    })?;
    context.output.answer(reply, |reply, text| {
        let name = &reply.version.name;
        let entry = reply.entry.index;
        if let Some(approvals) = &reply.approvals {
            text.line(format!(
                "{name} has {} of {} that its gate asks for, ledger entry {entry}",
                approvals.given.len(),
                counted(approvals.needed, "approval")
            ));
            return Ok(());
        }
        text.line(if reply.version.quarantined {
            format!(
                "approved, ledger entry {entry}; {name} is still in quarantine: {}",
                reply.version.held.join("; ")
            )
        } else {
            format!("{name} is out of quarantine, ledger entry {entry}")
        });
        Ok(())
    })?;
    Ok(ExitCode::Done)
}
