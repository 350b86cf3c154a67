//! What an evaluation measured: tables, and plots of the same figures.

use askama::Template;
use custody_drawing::{Axis, Interval, Mark, intervals, line};
use custody_types::{Problem, VersionName};
use serde_json::Value;

use crate::answer::Answer;
use crate::pages::facts::{Facts, figure};
use crate::shell::{Place, Shell};
use crate::visit::Visit;

/// The rates of groups that are drawn, and what they are called.
const RATES: [(&str, &str); 4] = [
    ("selection_rate", "predicted positive"),
    ("true_positive_rate", "true positive rate"),
    ("false_positive_rate", "false positive rate"),
    ("accuracy", "accuracy"),
];
/// How many groups a plot has at most.
const GROUPS: usize = 40;

/// A rate of a group.
struct Rate {
    group: String,
    rows: String,
    value: String,
    low: String,
    high: String,
}

/// One rate of the groups of an attribute.
struct Groups {
    attribute: String,
    rate: &'static str,
    rates: Vec<Rate>,
    more: usize,
    drawing: String,
}

/// A bin of the calibration curve.
struct Bin {
    range: String,
    rows: String,
    score: String,
    share: String,
}

#[derive(Template)]
#[template(path = "evaluation.html")]
struct Evaluation {
    shell: Shell,
    name: VersionName,
    figures: Vec<(String, String, String)>,
    bins: Vec<Bin>,
    calibration: String,
    groups: Vec<Groups>,
    fairness: Option<Facts>,
}

pub(crate) fn show(visit: &Visit<'_>) -> Result<Answer, Problem> {
    let reply = visit.api.evaluation(&visit.reference()?)?;
    let evaluation = &reply.evaluation;
    let bins = evaluation
        .pointer("/performance/calibration")
        .and_then(Value::as_array);
    let bins: Vec<_> = bins.into_iter().flatten().collect();
    let points: Vec<_> = bins
        .iter()
        .filter_map(|bin| Some((number(bin, "mean_score")?, number(bin, "positive_share")?)))
        .collect();
    let unit = |name| Axis {
        name,
        range: (0.0, 1.0),
    };
    let axes = (unit("mean score"), unit("share of positives"));
    let compared = evaluation.get("fairness");
    let compared = compared.filter(|all| all.as_object().is_some_and(|all| !all.is_empty()));
    Answer::page(&Evaluation {
        shell: visit.shell(format!("Evaluation {}", reply.version), Place::Projects),
        figures: figures(evaluation),
        calibration: line("Calibration", "plot-calibration", axes, &points, Mark::Dots),
        bins: bins.into_iter().map(bin).collect(),
        groups: groups(evaluation),
        fairness: compared.map(|all| Facts::of("fairness", all)),
        name: reply.version,
    })
}

fn number(value: &Value, name: &str) -> Option<f64> {
    value.get(name)?.as_f64()
}

fn shown(value: &Value, name: &str) -> String {
    figure(number(value, name))
}

fn bin(bin: &Value) -> Bin {
    Bin {
        range: format!("{} to {}", shown(bin, "low"), shown(bin, "high")),
        rows: shown(bin, "n"),
        score: shown(bin, "mean_score"),
        share: shown(bin, "positive_share"),
    }
}

/// Lists the figures over all rows, each with its interval where there is one.
fn figures(evaluation: &Value) -> Vec<(String, String, String)> {
    let performance = evaluation.get("performance").and_then(Value::as_object);
    let all = performance
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| {
            let rate = value.get("value").and_then(Value::as_f64);
            let value = match value {
                Value::Number(number) => number.as_f64(),
                Value::Null => None,
                Value::Object(_) if rate.is_some() => rate,
                _ => return None,
            };
            let sampled = evaluation.pointer(&format!("/intervals/{name}"));
            let own = performance.and_then(|all| all.get(name)?.get("interval"));
            let interval = sampled.or(own).and_then(|interval| {
                Some(format!(
                    "{} to {}",
                    figure(Some(number(interval, "low")?)),
                    figure(Some(number(interval, "high")?))
                ))
            });
            Some((name.clone(), figure(value), interval.unwrap_or_default()))
        });
    all.collect()
}

fn groups(evaluation: &Value) -> Vec<Groups> {
    let mut found = Vec::new();
    let attributes = evaluation.get("groups").and_then(Value::as_object);
    for (attribute, groups) in attributes.into_iter().flatten() {
        // Of two attributes at once the table of the report tells.
        let groups = groups.as_array().filter(|_| !attribute.contains('*'));
        for (field, rate) in RATES {
            let of_groups = groups.into_iter().flatten().filter_map(|group| {
                let measured = group.get(field)?;
                Some((called(group), group, measured))
            });
            let all: Vec<_> = of_groups.collect();
            let drawn = all.iter().take(GROUPS).filter_map(|(name, _, measured)| {
                let interval = measured.get("interval");
                Some(Interval {
                    name: name.clone(),
                    value: number(measured, "value")?,
                    interval: interval
                        .and_then(|one| Some((number(one, "low")?, number(one, "high")?))),
                })
            });
            let drawn: Vec<_> = drawn.collect();
            if all.is_empty() {
                continue;
            }
            let title = format!("{rate} by {attribute}");
            let id = format!("plot-{}", found.len());
            let axis = Axis {
                name: rate,
                range: (0.0, 1.0),
            };
            let rates = all.iter().take(GROUPS).map(|(name, group, measured)| {
                let interval = measured.get("interval").unwrap_or(&Value::Null);
                Rate {
                    group: name.clone(),
                    rows: shown(group, "n"),
                    value: shown(measured, "value"),
                    low: shown(interval, "low"),
                    high: shown(interval, "high"),
                }
            });
            found.push(Groups {
                attribute: attribute.clone(),
                rate,
                rates: rates.collect(),
                more: all.len().saturating_sub(GROUPS),
                drawing: intervals(&title, &id, axis, &drawn),
            });
        }
    }
    found
}

/// Names a group by its values.
fn called(group: &Value) -> String {
    let values = group.get("values");
    match values {
        Some(Value::Object(values)) => {
            let named = values
                .iter()
                .map(|(_, value)| crate::pages::facts::plain(value));
            named.flatten().collect::<Vec<_>>().join(", ")
        }
        Some(value) => crate::pages::facts::plain(value).unwrap_or_else(|| value.to_string()),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn figures_and_groups_are_read_from_a_report() {
        let rate =
            json!({"hits": 1, "of": 4, "value": 0.25, "interval": {"low": 0.1, "high": 0.5}});
        let evaluation = json!({
            "performance": {"accuracy": rate, "calibration": [], "confusion": {"tp": 1}, "precision": null, "roc_auc": 0.9},
            "intervals": {"roc_auc": {"low": 0.8, "high": 0.95}},
            "groups": {"SEX": [{"values": {"SEX": "<b>"}, "n": 4, "selection_rate": rate}], "SEX*AGE": [{"n": 1, "selection_rate": rate}]},
        });
        let row = |name: &str, value: &str, interval: &str| {
            (name.to_owned(), value.to_owned(), interval.to_owned())
        };
        assert_eq!(
            figures(&evaluation),
            [
                row("accuracy", "0.25", "0.1 to 0.5"),
                row("precision", "not measurable", ""),
                row("roc_auc", "0.9", "0.8 to 0.95")
            ]
        );
        let groups = groups(&evaluation);
        assert_eq!(groups.len(), 1);
        assert_eq!(
            (
                groups[0].attribute.as_str(),
                groups[0].rates[0].group.as_str()
            ),
            ("SEX", "<b>")
        );
        assert!(groups[0].drawing.contains("&lt;b&gt;") && !groups[0].drawing.contains("<b>"));
    }
}
