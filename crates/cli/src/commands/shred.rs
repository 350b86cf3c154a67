//! `custody shred`.

use custody_types::{ExitCode, Problem, code, counted};
use custody_wire::ShredRequest;

use crate::args::Shred;
use crate::context::Context;

pub(crate) fn run(context: &Context, args: Shred) -> Result<ExitCode, Problem> {
    let project = &args.project;
    if !args.yes {
        return Err(Problem::new(
            code::STORE_018,
            format!("nothing was destroyed: say that you mean the project `{project}`"),
        )
        .because("all that is stored in it is gone for good then, for everybody")
        .hint(format!(
            "look at what goes with `custody ls --project {project}`, then repeat it with `--yes`"
        )));
    }
    let reply = context.client()?.shred(&ShredRequest {
        project: args.project,
        reason: args.reason,
    })?;
    context.output.answer(reply, |reply, text| {
        text.line(format!(
            "the keys of `{}` are destroyed, and the packs of its {} deleted ({}), ledger entry {}",
            reply.project,
            counted(reply.versions, "version"),
            reply.bytes,
            reply.entry
        ));
        Ok(())
    })?;
    Ok(ExitCode::Done)
}
