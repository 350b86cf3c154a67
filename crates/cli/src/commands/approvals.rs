//! `custody approvals`.

use custody_types::{ExitCode, Problem, counted};

use crate::context::Context;

pub(crate) fn run(context: &Context) -> Result<ExitCode, Problem> {
    let reply = context.client()?.waiting()?;
    context.output.answer(reply, |reply, text| {
        if reply.waiting.is_empty() {
            text.line("no decision waits for an approval");
            return Ok(());
        }
        let head = ["decision", "made", "by", "has", "yours counts"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows.extend(reply.waiting.iter().map(|one| {
            let needed = counted(one.needed, "approval");
            vec![
                one.name.to_string(),
                one.created.to_seconds_text(),
                one.author.clone(),
                format!("{} of {needed}", one.given),
                if one.may_approve { "yes" } else { "no" }.to_owned(),
            ]
        }));
        text.table(&rows);
        if reply.more {
            text.line("there may be more: 2,000 artifacts were looked at");
        }
        Ok(())
    })?;
    Ok(ExitCode::Done)
}
