//! Runs a program in the sandbox.

use custody_types::{Problem, code};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{StepExecutor, StepInputs, StepReport};
use crate::file::Run;
use crate::outputs::Outputs;

impl StepExecutor {
    pub(super) fn run(
        &self,
        name: &str,
        run: &Run,
        given: &StepInputs,
        kept: &mut dyn Outputs,
        said: &mut (dyn FnMut(&str) + Send),
    ) -> Result<StepReport, Problem> {
        let parameters = json!(run.parameters).to_string();
        let outputs: Vec<_> = run.outputs.keys().cloned().collect();
        let confined = self.confined(
            name,
            run.command.clone(),
            &parameters,
            &outputs,
            run.limits.for_sandbox(),
            given,
            kept,
            said,
        )?;
        for output in &outputs {
            if !confined.written.contains(output) {
                return Err(Problem::new(code::RUN_006, format!("the step `{name}` wrote nothing to its output `{output}`"))
                    .hint(format!("write to the folder `custody.output(\"{output}\")`, `/out/{output}` in the sandbox")));
            }
        }
        let logged = metrics(name, &confined.logged)?;
        let note = |metric: &Metric| format!("logged {} = {}", metric.name, metric.value);
        let mut report = StepReport {
            notes: logged.iter().map(note).collect(),
            logged,
            enforced: confined.enforced,
            ..StepReport::default()
        };
        report.take_connections(confined.connections.as_ref());
        Ok(report)
    }
}

/// A figure that a program logged.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Metric {
    pub(crate) name: String,
    pub(crate) value: f64,
}

/// Tells that what a program logged is no figures. What is wrong with it is not repeated: it may be data.
pub(super) fn malformed(step: &str, because: impl Into<String>) -> Problem {
    Problem::new(
        code::RUN_036,
        format!("the step `{step}` logged something that is no figure"),
    )
    .because(because.into())
    .hint("log with `custody.log_metric`, or lines `{\"name\": …, \"value\": …}`")
}

/// Reads the figures that a program logged: names and numbers, nothing that could carry rows out.
fn metrics(step: &str, bytes: &[u8]) -> Result<Vec<Metric>, Problem> {
    const MOST: usize = 1000;
    const NAME_BYTES: usize = 100;
    let malformed = |because: String| malformed(step, because);
    let text = std::str::from_utf8(bytes).map_err(|error| malformed(error.to_string()))?;
    if text.lines().count() > MOST {
        return Err(malformed(format!("there are more than {MOST} lines")));
    }
    let mut metrics = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let metric: Metric =
            serde_json::from_str(line).map_err(|_| malformed(format!("line {}", number + 1)))?;
        let named = |byte: u8| byte.is_ascii_alphanumeric() || b"._- /@".contains(&byte);
        if metric.name.is_empty()
            || metric.name.len() > NAME_BYTES
            || !metric.name.bytes().all(named)
        {
            return Err(malformed(format!("the name in line {}", number + 1)));
        }
        metrics.push(metric);
    }
    Ok(metrics)
}
