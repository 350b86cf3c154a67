//! `custody status`.

use custody_types::{ExitCode, Problem};
use custody_wire::{StatusRequest, StepStatus};

use super::snapshot;
use crate::args::Status;
use crate::context::Context;
use crate::output::Text;

pub(crate) fn run(context: &Context, args: Status) -> Result<ExitCode, Problem> {
    let mut request = StatusRequest {
        targets: args.targets,
        snapshot: None,
    };
    let client = context.client()?;
    if context.is_remote() {
        request.snapshot = Some(snapshot::take(context, client, &request.targets)?.0);
    }
    let reply = client.status(&request)?;
    context.output.answer(reply, |reply, text| {
        for step in &reply.steps {
            line(step, text);
        }
        for note in &reply.notes {
            text.line(format!("note: {note}"));
        }
        let would = |step: &&StepStatus| step.runs && !step.manual;
        text.line(match reply.steps.iter().filter(would).count() {
            0 => "everything is up to date".to_owned(),
            1 => "1 step would run: `custody run`".to_owned(),
            steps => format!("{steps} steps would run: `custody run`"),
        });
        Ok(())
    })?;
    Ok(ExitCode::Done)
}

fn line(step: &StepStatus, text: &mut Text) {
    let mark = match (step.runs, step.manual) {
        (false, _) => "up to date ",
        (true, false) => "would run  ",
        (true, true) => "when named ",
    };
    let names: Vec<_> = step.reuses.iter().map(ToString::to_string).collect();
    let (first, rest) = match step.reasons.split_first() {
        Some((first, rest)) => (first.clone(), rest),
        None => (names.join(", "), [].as_slice()),
    };
    text.line(format!("  {mark} {:<16} {first}", step.step));
    for reason in rest {
        text.line(format!("{:31}{reason}", ""));
    }
}
