//! `custody alias`.

use custody_types::{ExitCode, Problem};
use custody_wire::AliasRequest;

use crate::args::AliasArgs;
use crate::context::Context;

pub(crate) fn run(context: &Context, args: AliasArgs) -> Result<ExitCode, Problem> {
    let AliasArgs {
        artifact,
        alias,
        to,
        expect,
    } = args;
    let reply = context.client()?.set_alias(&AliasRequest {
        artifact,
        alias,
        to,
        expected: expect,
    })?;
    context.output.answer(reply, |reply, text| {
        text.line(format!(
            "@{} is {} now, ledger entry {}",
            reply.alias, reply.version, reply.entry.index
        ));
        Ok(())
    })?;
    Ok(ExitCode::Done)
}
