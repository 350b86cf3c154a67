//! Measures a model.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use custody_engine::Values;
use custody_stats::{
    Attribute, Bootstrap, Classified, EvaluateError, Evaluation, ModelKind, Predicted, Said,
    Scored, Settings, ThresholdRule, choose, evaluate,
};
use custody_types::{Problem, code};
use serde_json::json;

use super::{StepExecutor, StepInputs, StepReport};
use crate::file::{Evaluate, Rule, Scores, Threshold, VALIDATION, VALIDATION_PREDICTIONS};
use crate::outputs::Outputs;

mod labels;
pub(crate) mod overlap;
mod rows;

use rows::Rows;

/// How far a probability of single precision may lie beside 0 or 1 and be taken for it: what a sum over a thousand
/// trees loses. In double precision nothing is rounded.
const ROUNDING: f64 = 1e-5;

/// One evaluate step at work.
struct Measuring<'a> {
    workshop: &'a StepExecutor,
    name: &'a str,
    step: &'a Evaluate,
    given: &'a StepInputs,
}

/// The truth and the score of the positive class by row.
struct TwoClasses {
    labels: Vec<bool>,
    scores: Vec<f64>,
    single: bool,
    rounded: u64,
}

impl StepExecutor {
    pub(super) fn evaluate(
        &self,
        name: &str,
        step: &Evaluate,
        given: &StepInputs,
        outputs: &mut dyn Outputs,
        said: &mut (dyn FnMut(&str) + Send),
    ) -> Result<StepReport, Problem> {
        let measuring = Measuring {
            workshop: self,
            name,
            step,
            given,
        };
        let found = measuring.overlap()?;
        let mut report = StepReport::default();
        let rows = measuring.rows("data", "predictions", &mut report, said)?;
        report.notes.extend(found.notes);
        let measured = match step.kind {
            ModelKind::Binary => measuring.binary(&rows, &mut report, said)?,
            ModelKind::MultiClass => measuring.several(&rows, &mut report)?,
            ModelKind::Regression => measuring.number(&rows)?,
        };
        report.notes.extend(summary(&measured));
        report.byproducts.insert(
            0,
            json!({"name": "evaluation", "kind": step.kind, "rows": measured.rows()}),
        );
        report
            .byproducts
            .push(json!({"name": "overlap", "declared": step.overlap, "compared": found.compared}));
        report.rows = Some(measured.fewest_rows());
        outputs.json("report", "evaluation.json", &measured)?;
        Ok(report)
    }
}

impl Measuring<'_> {
    /// Builds the problem of a model that cannot be measured.
    fn unmeasured(&self, because: impl Into<String>, hint: impl Into<String>) -> Problem {
        Problem::new(
            code::RUN_011,
            format!("the step `{}` cannot measure", self.name),
        )
        .because(because.into())
        .hint(hint.into())
    }

    fn binary(
        &self,
        rows: &Rows,
        report: &mut StepReport,
        said: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Evaluation, Problem> {
        let two = self.two_classes(rows)?;
        let threshold = self.threshold(report, said)?;
        if two.rounded > 0 {
            report.notes.push(format!(
                "{} scores of single precision lay within {ROUNDING} beside 0 or 1 and were taken for it",
                two.rounded
            ));
            report
                .byproducts
                .push(json!({"name": "rounded", "rows": two.rounded}));
        }
        self.measure(
            &Said::Binary(Scored {
                labels: &two.labels,
                scores: &two.scores,
                threshold,
                probabilities: self.step.scores == Scores::Probability,
                single: two.single,
            }),
            rows,
        )
    }

    fn two_classes(&self, rows: &Rows) -> Result<TwoClasses, Problem> {
        let labels = self.positives(&rows.label)?;
        let column = self.positive_column(rows)?;
        let mut scores: Vec<f64> = rows
            .scores
            .chunks_exact(rows.width)
            .filter_map(|row| row.get(column).copied())
            .collect();
        let rounded = self.round(&mut scores, rows.single);
        Ok(TwoClasses {
            labels,
            scores,
            single: rows.single,
            rounded,
        })
    }

    /// Takes probabilities of single precision that lie as far beside 0 and 1 as its sums do for 0 and 1.
    fn round(&self, scores: &mut [f64], single: bool) -> u64 {
        let mut rounded = 0;
        if single && self.step.scores == Scores::Probability {
            for score in scores {
                let near = score.clamp(0.0, 1.0);
                let beside = (*score - near).abs();
                if beside > 0.0 && beside <= ROUNDING {
                    *score = near;
                    rounded += 1;
                }
            }
        }
        rounded
    }

    fn threshold(
        &self,
        report: &mut StepReport,
        said: &mut (dyn FnMut(&str) + Send),
    ) -> Result<f64, Problem> {
        let chosen = match &self.step.threshold {
            Some(Threshold::Fixed(threshold)) => return Ok(*threshold),
            Some(Threshold::Chosen(chosen)) => chosen,
            None => {
                return Ok(match self.step.scores {
                    Scores::Probability => 0.5,
                    Scores::Raw => 0.0,
                });
            }
        };
        let rule = match chosen.by {
            Rule::MaxF1 => ThresholdRule::MaxF1,
            Rule::MaxYouden => ThresholdRule::MaxYouden,
            Rule::Recall(least) => ThresholdRule::Recall(least),
            Rule::Precision(least) => ThresholdRule::Precision(least),
            Rule::Cost(cost) => ThresholdRule::Cost {
                false_positive: cost.false_positive,
                false_negative: cost.false_negative,
            },
        };
        let rows = self.rows(VALIDATION, VALIDATION_PREDICTIONS, report, said)?;
        let two = self.two_classes(&rows)?;
        if two.scores.iter().any(|score| !score.is_finite()) {
            return Err(self.unmeasured(
                format!("the scores of `{}` are not all finite numbers", chosen.on),
                "see what the model makes of its rows",
            ));
        }
        let threshold = choose(rule, &two.labels, &two.scores).map_err(|error| {
            self.unmeasured(
                format!("on `{}`: {error}", chosen.on),
                "choose another rule, or other validation data",
            )
        })?;
        report.notes.push(format!(
            "the threshold is {threshold}, chosen on {} rows of `{}`",
            two.labels.len(),
            chosen.on
        ));
        report.byproducts.push(
            json!({"name": "threshold", "value": threshold, "by": chosen.by, "rows": two.labels.len()}),
        );
        Ok(threshold)
    }

    fn several(&self, rows: &Rows, report: &mut StepReport) -> Result<Evaluation, Problem> {
        let (classes, labels) = self.places(rows)?;
        let mut scores = rows.scores.clone();
        let rounded = self.round(&mut scores, rows.single);
        if rounded > 0 {
            report
                .byproducts
                .push(json!({"name": "rounded", "scores": rounded}));
        }
        self.measure(
            &Said::MultiClass(Classified {
                classes: &classes,
                labels: &labels,
                scores: &scores,
                probabilities: self.step.scores == Scores::Probability,
            }),
            rows,
        )
    }

    fn number(&self, rows: &Rows) -> Result<Evaluation, Problem> {
        if rows.width != 1 {
            return Err(self.unmeasured(
                format!("the model gives {} numbers a row, and one is to be measured", rows.width),
                "name an output with one number as `output`, or say what the model predicts with `kind`",
            ));
        }
        let truth = self.numbers(&rows.label)?;
        self.measure(
            &Said::Regression(Predicted {
                truth: &truth,
                predicted: &rows.scores,
            }),
            rows,
        )
    }

    fn measure(&self, said: &Said<'_>, rows: &Rows) -> Result<Evaluation, Problem> {
        let texts = |values: &Values| (0..values.len()).map(|row| values.text(row)).collect();
        let columns: Vec<Vec<Option<String>>> = rows.groups.iter().map(texts).collect();
        let attributes: Vec<_> = self
            .step
            .groups
            .iter()
            .zip(&columns)
            .map(|(name, values)| Attribute { name, values })
            .collect();
        let settings = Settings {
            guard: self.step.guard,
            bootstrap: self.step.bootstrap.map(|bootstrap| Bootstrap {
                samples: bootstrap.samples,
                seed: bootstrap.seed,
            }),
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        };
        evaluate(said, &attributes, settings).map_err(|error| {
            let hint = match error {
                EvaluateError::Score { .. } | EvaluateError::Together { .. } => {
                    "let the model give probabilities, or say `scores: raw`: then what needs probabilities is not told"
                }
                EvaluateError::NoNumber { .. } => "see what the model makes of such rows",
                EvaluateError::NoRows => "see why the dataset is empty",
                EvaluateError::TooManyGroups { .. } => {
                    "name an attribute with few values in `groups`, or put values together in SQL"
                }
                _ => "correct the evaluate step",
            };
            self.unmeasured(error.to_string(), hint)
        })
    }
}

/// Shows values of a group: what is missing is told from every text.
pub(super) fn group(values: &[Option<String>]) -> String {
    let shown: Vec<_> = values
        .iter()
        .map(|value| match value.as_deref() {
            None => "(missing)".to_owned(),
            Some("") => "(empty)".to_owned(),
            Some(value) => value.to_owned(),
        })
        .collect();
    shown.join(", ")
}

fn summary(evaluation: &Evaluation) -> Vec<String> {
    let shown: &[&str] = match evaluation.kind() {
        ModelKind::Binary => &[
            "accuracy",
            "roc_auc",
            "pr_auc",
            "log_loss",
            "brier",
            "expected_calibration_error",
        ],
        ModelKind::MultiClass => &[
            "accuracy",
            "balanced_accuracy",
            "macro.f1",
            "macro.roc_auc",
            "log_loss",
        ],
        ModelKind::Regression => &["mae", "rmse", "r2", "mean_residual"],
    };
    let mut lines = Vec::new();
    let mut small: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, measured) in evaluation.figures() {
        let gap = measured.between.is_some() && !name.contains(".class.");
        if !gap && !shown.contains(&name.as_str()) {
            continue;
        }
        for values in measured
            .between
            .iter()
            .flat_map(|between| &between.insufficient)
        {
            small.entry(group(values)).or_default().push(name.clone());
        }
        if gap && !name.ends_with("_difference") {
            continue;
        }
        match measured.value {
            Some(value) => lines.push(format!("{name} {value:.4}")),
            None => lines.push(format!("{name} cannot be told")),
        }
    }
    lines.extend(small.into_iter().map(|(group, figures)| {
        format!(
            "the group {group} has too few rows and is left out of {}",
            figures.join(", ")
        )
    }));
    lines
}
