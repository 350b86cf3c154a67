//! `custody metrics` and `custody evaluation`.

use custody_pipeline::snapshot;
use custody_types::{ExitCode, Problem};
use custody_wire::MetricsRequest;

use crate::args::{Evaluation, METRICS_PAGE, Metrics};
use crate::context::Context;
use crate::output::More;

pub(crate) fn run(context: &Context, args: Metrics) -> Result<ExitCode, Problem> {
    let project = match (&args.project, args.references.is_empty()) {
        (None, true) => Some(snapshot::project(&context.project_folder()?)?.0),
        (project, _) => project.clone(),
    };
    let request = MetricsRequest {
        references: args.references,
        project,
        limit: Some(args.limit),
        after: args.after,
    };
    let reply = context.client_for_pipeline()?.metrics(&request)?;
    context.output.answer(reply, |reply, text| {
        for subject in &reply.subjects {
            text.heading(&format!("{} ({})", subject.version, subject.kind));
            let longest = subject.figures.keys().map(String::len).max().unwrap_or(0);
            for (name, value) in &subject.figures {
                text.line(format!("  {name:<longest$}  {}", shown(*value)));
            }
            for withheld in &subject.withheld {
                text.line(format!("  withheld: {withheld}"));
            }
            if subject.figures.is_empty() && subject.withheld.is_empty() {
                text.line("  no figures");
            }
        }
        if reply.subjects.is_empty() {
            text.line("no figures yet: programs log them with `custody.log_metric`, `evaluate` steps measure them");
        }
        if let Some(cursor) = &reply.next {
            let limit = Some(args.limit).filter(|limit| *limit != METRICS_PAGE);
            let more = More::new("metrics")
                .option("--project", args.project.as_ref())
                .option("--limit", limit);
            text.line(more.line(cursor));
        }
        Ok(())
    })?;
    Ok(ExitCode::Done)
}

pub(crate) fn evaluation(context: &Context, args: &Evaluation) -> Result<ExitCode, Problem> {
    let reply = context
        .client_for_pipeline()?
        .evaluation(&args.reference.to_string())?;
    context.output.answer(reply, |reply, text| {
        text.heading(&reply.version.to_string());
        for line in serde_json::to_string_pretty(&reply.evaluation)?.lines() {
            text.line(line);
        }
        Ok(())
    })?;
    Ok(ExitCode::Done)
}

fn shown(value: Option<f64>) -> String {
    value.map_or_else(|| "not measurable".to_owned(), |value| format!("{value}"))
}
