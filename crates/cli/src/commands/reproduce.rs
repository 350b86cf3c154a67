//! `custody reproduce`.

use custody_types::{ExitCode, Problem};

use crate::args::Reproduce;
use crate::context::Context;

pub(crate) fn run(context: &Context, args: &Reproduce) -> Result<ExitCode, Problem> {
    let reply = context
        .own_client()?
        .reproduce(&args.reference.to_string())?;
    let equal = reply.equal;
    context.output.answer(reply, |reply, text| {
        for source in &reply.sources {
            text.line(format!("  taken as stored  {source}"));
        }
        for version in &reply.networked {
            text.line(format!(
                "  taken as stored  {version}: its step had a network"
            ));
        }
        for step in &reply.steps {
            let mark = if step.equal { "equal" } else { "DIFFERS" };
            text.line(format!("  {mark:<15}  {}: {}", step.step, step.version));
            text.line(format!("                   {}", step.recorded));
            if !step.equal {
                text.line(format!("                   {} now", step.reproduced));
            }
        }
        text.line(if reply.equal && !reply.networked.is_empty() {
            format!(
                "{} is reproduced, bit for bit, from what its steps with a network had made",
                reply.version
            )
        } else if reply.equal {
            format!("{} is reproduced, bit for bit", reply.version)
        } else {
            format!("{} is not reproduced", reply.version)
        });
        Ok(())
    })?;
    Ok(if equal { ExitCode::Done } else { ExitCode::No })
}
