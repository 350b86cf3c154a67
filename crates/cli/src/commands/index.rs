//! `custody index rebuild`.

use custody_types::{ExitCode, Problem, counted};

use crate::context::Context;

pub(crate) fn rebuild(context: &Context) -> Result<ExitCode, Problem> {
    let reply = context.client()?.rebuild_index()?;
    context.output.answer(reply, |reply, text| {
        text.line(format!(
            "rebuilt the index: {}",
            counted(reply.versions.len(), "version")
        ));
        Ok(())
    })?;
    Ok(ExitCode::Done)
}
