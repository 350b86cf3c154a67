//! `custody metrics`.

use custody_types::{ExitCode, Problem};
use custody_wire::MetricsRequest;

use crate::args::Metrics;
use crate::context::Context;

pub(crate) fn run(context: &Context, args: Metrics) -> Result<ExitCode, Problem> {
    let request = MetricsRequest {
        references: args.references,
    };
    let reply = context.client()?.metrics(&request)?;
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
        Ok(())
    })?;
    Ok(ExitCode::Done)
}

fn shown(value: Option<f64>) -> String {
    value.map_or_else(|| "not measurable".to_owned(), |value| format!("{value}"))
}
