//! `custody unseal`.

use custody_types::{ExitCode, Problem, ProblemKind, code};
use custody_wire::UnsealRequest;

use crate::context::Context;
use crate::sealed::not_sealed;
use crate::secrets::ask;

pub(crate) fn run(context: &Context) -> Result<ExitCode, Problem> {
    let server = context.sealed()?;
    let passphrase = match &context.settings.passphrase {
        Some(passphrase) => passphrase.clone(),
        None => ask("passphrase", code::KEY_013)?.to_string(),
    };
    let reply = server.unseal(&UnsealRequest { passphrase });
    // One that works already has no such operation.
    let reply = reply.map_err(|problem| match problem.kind() {
        ProblemKind::NotFound => not_sealed(),
        _ => problem,
    })?;
    context.output.answer(reply, |reply, text| {
        text.line(format!(
            "the server is unsealed, ledger entry {}",
            reply.entry
        ));
        Ok(())
    })?;
    Ok(ExitCode::Done)
}
