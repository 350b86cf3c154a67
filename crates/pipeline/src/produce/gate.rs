//! Decides by what was measured.

use custody_stats::Evaluation;
use custody_types::{Problem, code, counted};
use serde_json::{Value, json};

use super::evaluate::group;
use super::{StepInputs, StepReport, read_json};
use crate::file::{Gate, SmallGroups};
use crate::outputs::Outputs;

pub(super) fn decide(
    name: &str,
    gate: &Gate,
    given: &StepInputs,
    outputs: &mut dyn Outputs,
) -> Result<StepReport, Problem> {
    let evaluation: Evaluation = read_json(given.input("evaluation")?.as_ref(), "evaluation.json")?;
    let (mut report, mut figures, mut broken) = (StepReport::default(), Vec::new(), Vec::new());
    let (mut small, mut unmet) = (false, Vec::new());
    // A decision over few rows of a group is as sensitive as they are.
    report.rows = Some(evaluation.fewest_rows());
    for (metric, bounds) in &gate.require {
        let Some(measured) = evaluation.metric(metric) else {
            return Err(Problem::new(
                code::RUN_016,
                format!("the gate `{name}` asks for `{metric}`, which was not measured"),
            )
            .because(format!(
                "there are {}",
                evaluation.metric_names().join(", ")
            ))
            .hint("name one of these, or add the attribute to `groups` of the evaluate step"));
        };
        let wanted = match (bounds.min, bounds.max) {
            (Some(min), Some(max)) => format!("between {min} and {max}"),
            (Some(min), None) => format!("at least {min}"),
            (None, Some(max)) => format!("at most {max}"),
            (None, None) => "any".to_owned(),
        };
        // What could not be measured counts as the worst.
        let met = measured.value.is_some_and(|value| {
            bounds.min.is_none_or(|min| value >= min) && bounds.max.is_none_or(|max| value <= max)
        });
        let value = measured.value.map_or_else(
            || "not measurable".to_owned(),
            |value| format!("{value:.4}"),
        );
        let between = measured.between.as_ref();
        let left_out: Vec<_> = between
            .iter()
            .flat_map(|between| &between.insufficient)
            .map(|values| group(values))
            .collect();
        let refuses = !left_out.is_empty() && gate.small_groups == SmallGroups::Refuse;
        let line = format!(
            "{metric} is {value}, required {wanted}: {}",
            if met { "met" } else { "not met" }
        );
        if !met || refuses {
            unmet.push(metric.as_str());
        }
        if !met {
            let between = between.and_then(|between| {
                Some(format!(
                    " (between {} and {})",
                    group(between.lowest.as_ref()?),
                    group(between.highest.as_ref()?)
                ))
            });
            broken.push(format!(
                "{metric} is {value}, required {wanted}{}",
                between.unwrap_or_default()
            ));
        }
        if !left_out.is_empty() {
            let told = format!(
                "{metric} leaves out groups with too few rows: {}",
                left_out.join("; ")
            );
            if refuses {
                small = true;
                broken.push(told);
            } else {
                report.notes.push(told + " (`small_groups: ignore`)");
            }
        }
        report.notes.push(line);
        figures
            .push(json!({"metric": metric, "measured": measured, "required": bounds, "met": met && !refuses, "left_out": left_out}));
    }
    let passed = broken.is_empty();
    let mut decision = json!({"gate": name, "passed": passed, "small_groups": gate.small_groups, "figures": figures});
    // The statement may be read by whoever may list versions.
    let told = if evaluation.fewest_rows() < given.fewest_rows {
        json!(unmet)
    } else {
        json!(broken)
    };
    let mut said = json!({"name": "decision", "passed": passed, "broken": told});
    ask_for_approvals(gate.approvals, [&mut decision, &mut said], &mut report);
    report.byproducts.push(said);
    outputs.json("report", "decision.json", &decision)?;
    if !passed {
        report.refused = Some(refused(name, &gate.model, broken, small));
    }
    Ok(report)
}

/// Says in the decision and in what is said of it how many approvals are asked for.
fn ask_for_approvals(approvals: u8, told: [&mut Value; 2], report: &mut StepReport) {
    if approvals == 0 {
        return;
    }
    for told in told.into_iter().filter_map(Value::as_object_mut) {
        told.insert("approvals".to_owned(), json!(approvals));
    }
    report.notes.push(format!(
        "what passed it is registered after {} of other people",
        counted(approvals, "approval")
    ));
}

fn refused(name: &str, model: &str, broken: Vec<String>, small: bool) -> Problem {
    let mut problem = Problem::new(
        code::RUN_004,
        format!("the gate `{name}` refuses the model `{model}`"),
    );
    for line in broken {
        problem = problem.because(line);
    }
    problem.hint(if small {
        "measure the groups that are left out on more rows, or have them left out knowingly with `small_groups: ignore`; the decision is kept as evidence"
    } else {
        "make the model meet the bounds, or have them changed by who may; the decision is kept as evidence"
    })
}
