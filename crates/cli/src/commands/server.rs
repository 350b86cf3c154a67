//! `custody server`.

use custody_types::{ExitCode, Problem};
use custody_wire::Schema;
use serde::Serialize;

use crate::context::Context;

/// What a server counts.
#[derive(Debug, Serialize)]
struct ServerMetrics {
    /// The figures, in the format of `OpenMetrics`.
    text: String,
}

impl Schema for ServerMetrics {
    const NAME: &'static str = "custody/server-metrics/1";
}

pub(crate) fn metrics(context: &Context) -> Result<ExitCode, Problem> {
    let text = context.client()?.server_metrics()?;
    context
        .output
        .answer(ServerMetrics { text }, |reply, out| {
            for line in reply.text.lines() {
                out.line(line);
            }
            Ok(())
        })?;
    Ok(ExitCode::Done)
}
