//! `custody index rebuild`.

use custody_types::{ExitCode, Problem};

use crate::context::Context;

pub(crate) fn rebuild(context: &Context) -> Result<ExitCode, Problem> {
    let reply = context.client()?.rebuild_index()?;
    context.output.answer(reply, |reply, text| {
        text.line(format!(
            "rebuilt the index: {} versions",
            reply.versions.len()
        ));
        Ok(())
    })?;
    Ok(ExitCode::Done)
}
