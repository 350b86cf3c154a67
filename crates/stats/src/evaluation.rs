//! The report about one model on one data version.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use crate::bootstrap::{Bootstrap, intervals};
use crate::fairness::{Fairness, Gap, Group, Guard, compare, groups};
use crate::groups::groupings;
use crate::multiclass::{self, ClassGroup, ClassPerformance};
use crate::performance::{Confusion, Performance, measure};
use crate::rate::Interval;
use crate::regression::{self, RegressionGroup, RegressionPerformance};

/// The most groups that an attribute, or two together, may have. More means that the attribute is a
/// key or a measurement, not a group of people.
pub const MAX_GROUPS: usize = 1_000;

/// Stands between the names of two attributes in the name of their intersection: `SEX*RAC1P`.
pub const INTERSECTION: &str = "*";

/// How far the probabilities of a row may add up beside 1: what a sum of numbers in single precision loses.
pub const PROBABILITY_SLACK: f64 = 1e-3;

/// What a classifier of two classes said about rows whose truth is known.
#[derive(Debug, Clone, Copy)]
pub struct Scored<'a> {
    /// The truth by row.
    pub labels: &'a [bool],
    /// The score of the positive class by row.
    pub scores: &'a [f64],
    /// A row is predicted positive when its score is at least this.
    pub threshold: f64,
    /// Whether the scores are probabilities, in `0..=1`; otherwise what needs such is not told.
    pub probabilities: bool,
    /// Whether the scores were made in single precision: the threshold is then rounded to it, so that a 0.7 of
    /// single precision meets 0.7.
    pub single: bool,
}

impl Scored<'_> {
    /// Returns the threshold in the precision of the scores.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the rounding is what is wanted"
    )]
    fn meant(&self) -> f64 {
        if self.single {
            f64::from(self.threshold as f32)
        } else {
            self.threshold
        }
    }
}

/// What a classifier of several classes said about rows whose truth is known.
#[derive(Debug, Clone, Copy)]
pub struct Classified<'a> {
    /// The classes' names.
    pub classes: &'a [String],
    /// The truth by row: the place of its class in `classes`.
    pub labels: &'a [usize],
    /// The scores, `rows × classes`, row by row.
    pub scores: &'a [f64],
    /// Whether the scores are probabilities: in `0..=1`, and 1 together in each row.
    pub probabilities: bool,
}

/// What a model that predicts a number said about rows whose truth is known.
#[derive(Debug, Clone, Copy)]
pub struct Predicted<'a> {
    /// The truth by row.
    pub truth: &'a [f64],
    /// The prediction by row.
    pub predicted: &'a [f64],
}

/// What a model said, by its kind.
#[derive(Debug, Clone, Copy)]
pub enum Said<'a> {
    /// Of two classes.
    Binary(Scored<'a>),
    /// Of several classes.
    MultiClass(Classified<'a>),
    /// A number.
    Regression(Predicted<'a>),
}

/// A sensitive attribute of the rows.
#[derive(Debug, Clone, Copy)]
pub struct Attribute<'a> {
    /// Its name, without `*`.
    pub name: &'a str,
    /// Its value by row; `None` where it is missing.
    pub values: &'a [Option<String>],
}

/// How to measure.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The fewest rows of a group that is compared.
    pub guard: Guard,
    /// The samples for intervals, if any are wanted.
    pub bootstrap: Option<Bootstrap>,
    /// How many threads may work; the figures do not depend on it.
    pub threads: NonZeroUsize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            guard: Guard::default(),
            bootstrap: None,
            threads: NonZeroUsize::MIN,
        }
    }
}

/// Why there is no evaluation.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EvaluateError {
    /// There is nothing to evaluate on.
    #[error("there are no rows to evaluate on")]
    NoRows,
    /// A column is shorter or longer than the labels.
    #[error("`{column}` has {rows} rows, the labels have {expected}")]
    Lengths {
        /// The column.
        column: String,
        /// Its rows.
        rows: usize,
        /// The rows of the labels.
        expected: usize,
    },
    /// A score is no number. Its value stays unsaid.
    #[error("the score of row {row} is not a finite number; {count} rows have such a score")]
    NoNumber {
        /// The first such row, from 0.
        row: usize,
        /// How many there are.
        count: usize,
    },
    /// A score is no probability. Its value stays unsaid.
    #[error("the score of row {row} is not from 0 to 1; {count} rows have such a score")]
    Score {
        /// The first such row, from 0.
        row: usize,
        /// How many there are.
        count: usize,
    },
    /// The probabilities of a row do not add up to 1.
    #[error("the scores of row {row} do not add up to 1; {count} rows have such scores")]
    Together {
        /// The first such row, from 0.
        row: usize,
        /// How many there are.
        count: usize,
    },
    /// A true number is none.
    #[error("the truth of row {row} is not a finite number")]
    Truth {
        /// The row, from 0.
        row: usize,
    },
    /// There are fewer than two classes, or a label is none of them.
    #[error("there are not two or more classes, or a label is none of them")]
    Classes,
    /// The threshold is no number.
    #[error("the threshold is not a finite number")]
    Threshold,
    /// An attribute cannot be told from another, or from an intersection.
    #[error("the attribute name `{0}` is empty, given twice or contains `*`")]
    Name(String),
    /// A grouping has too many groups.
    #[error("`{grouping}` has {found} groups; at most {MAX_GROUPS} can be compared")]
    TooManyGroups {
        /// The attribute or intersection.
        grouping: String,
        /// Its groups.
        found: usize,
    },
}

/// Says `binary`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Binary {
    /// Two classes.
    #[default]
    #[serde(rename = "binary")]
    Binary,
}

/// Says `multiclass`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MultiClass {
    /// Several classes.
    #[default]
    #[serde(rename = "multiclass")]
    MultiClass,
}

/// Says `regression`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Regression {
    /// A number.
    #[default]
    #[serde(rename = "regression")]
    Regression,
}

/// What was measured of a model on labelled rows: its quality, its groups, and their distances.
///
/// The same rows in the same order give the same bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Evaluation {
    /// Of two classes.
    Binary(Box<BinaryEvaluation>),
    /// Of several classes.
    MultiClass(Box<ClassEvaluation>),
    /// Of a number.
    Regression(Box<RegressionEvaluation>),
}

/// What was measured of a classifier of two classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BinaryEvaluation {
    /// `binary`; reports of before there were other kinds do not say it.
    #[serde(default)]
    pub kind: Binary,
    /// The number of rows.
    pub n: u64,
    /// The number of positive rows.
    pub positives: u64,
    /// From which score on a row is predicted positive.
    pub threshold: f64,
    /// The fewest rows of a group that is compared.
    pub guard: Guard,
    /// The quality over all rows.
    pub performance: Performance,
    /// How rows were drawn again for `intervals`, if they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<Bootstrap>,
    /// The intervals of 95 % of the figures over all rows, from the samples.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub intervals: BTreeMap<String, Interval>,
    /// The groups of each attribute (`SEX`) and of each two (`SEX*RAC1P`), in byte order of values.
    pub groups: BTreeMap<String, Vec<Group>>,
    /// How far apart the groups are, by the same names.
    pub fairness: BTreeMap<String, Fairness>,
}

/// What was measured of a classifier of several classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassEvaluation {
    /// `multiclass`.
    pub kind: MultiClass,
    /// The number of rows.
    pub n: u64,
    /// The classes, in the order of the model's scores.
    pub classes: Vec<String>,
    /// The fewest rows of a group that is compared.
    pub guard: Guard,
    /// The quality over all rows.
    pub performance: ClassPerformance,
    /// How rows were drawn again for `intervals`, if they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<Bootstrap>,
    /// The intervals of 95 % of the figures over all rows, from the samples.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub intervals: BTreeMap<String, Interval>,
    /// The groups of each attribute and of each two.
    pub groups: BTreeMap<String, Vec<ClassGroup>>,
    /// How far apart the groups are: by the same names, then by the distance's name.
    pub fairness: BTreeMap<String, BTreeMap<String, Gap>>,
}

/// What was measured of a model that predicts a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegressionEvaluation {
    /// `regression`.
    pub kind: Regression,
    /// The number of rows.
    pub n: u64,
    /// The fewest rows of a group that is compared.
    pub guard: Guard,
    /// The quality over all rows.
    pub performance: RegressionPerformance,
    /// How rows were drawn again for `intervals`, if they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<Bootstrap>,
    /// The intervals of 95 % of the figures over all rows, from the samples.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub intervals: BTreeMap<String, Interval>,
    /// The groups of each attribute and of each two.
    pub groups: BTreeMap<String, Vec<RegressionGroup>>,
    /// How far apart the groups are: by the same names, then by the distance's name.
    pub fairness: BTreeMap<String, BTreeMap<String, Gap>>,
}

/// Evaluates what a model said: over all rows, by each attribute, and by each two attributes.
///
/// # Errors
/// [`EvaluateError`] when there are no rows, the columns differ in length, a score is no number or not the probability
/// that it is said to be, the threshold is no number, or an attribute is no attribute of groups.
pub fn evaluate(
    said: &Said<'_>,
    attributes: &[Attribute<'_>],
    settings: Settings,
) -> Result<Evaluation, EvaluateError> {
    match said {
        Said::Binary(scored) => binary(scored, attributes, settings),
        Said::MultiClass(classified) => several(classified, attributes, settings),
        Said::Regression(predicted) => number(predicted, attributes, settings),
    }
}

fn binary(
    scored: &Scored<'_>,
    attributes: &[Attribute<'_>],
    settings: Settings,
) -> Result<Evaluation, EvaluateError> {
    lengths("score", scored.scores.len(), scored.labels.len())?;
    numbers(scored.scores, 1, scored.probabilities)?;
    if !scored.threshold.is_finite() {
        return Err(EvaluateError::Threshold);
    }
    let threshold = scored.meant();
    let groupings = groupings(attributes, scored.labels.len())?;
    let outcomes: Vec<(bool, bool)> = scored
        .labels
        .iter()
        .zip(scored.scores)
        .map(|(label, score)| (*label, *score >= threshold))
        .collect();
    let of = |labels: &[bool], scores: &[f64]| {
        let mut confusion = Confusion::default();
        for (label, score) in labels.iter().zip(scores) {
            confusion.count(*label, *score >= threshold);
        }
        measure(labels, scores, confusion, scored.probabilities)
    };
    let drawn = |rows: &[usize]| {
        let (labels, scores) = (pick(scored.labels, rows), pick(scored.scores, rows));
        values(of(&labels, &scores).figures())
    };
    let by_name: BTreeMap<_, _> = groupings
        .iter()
        .map(|(name, parts)| (name.clone(), groups(parts, &outcomes, settings.guard)))
        .collect();
    let performance = of(scored.labels, scored.scores);
    Ok(Evaluation::Binary(Box::new(BinaryEvaluation {
        kind: Binary::Binary,
        n: performance.confusion.rows(),
        positives: performance.confusion.positives(),
        threshold: scored.threshold,
        guard: settings.guard,
        performance,
        bootstrap: settings.bootstrap,
        intervals: again(settings, scored.labels.len(), &drawn),
        fairness: by_name
            .iter()
            .map(|(name, found)| (name.clone(), compare(found, settings.guard)))
            .collect(),
        groups: by_name,
    })))
}

fn several(
    input: &Classified<'_>,
    attributes: &[Attribute<'_>],
    settings: Settings,
) -> Result<Evaluation, EvaluateError> {
    let (rows, width) = (input.labels.len(), input.classes.len());
    if width < 2 || input.labels.iter().any(|label| *label >= width) {
        return Err(EvaluateError::Classes);
    }
    lengths("score", input.scores.len(), rows * width)?;
    numbers(input.scores, width, input.probabilities)?;
    let groupings = groupings(attributes, rows)?;
    let predicted = multiclass::predictions(input);
    let drawn = |chosen: &[usize]| {
        let labels = pick(input.labels, chosen);
        let scores: Vec<f64> = chosen
            .iter()
            .filter_map(|row| input.scores.get(row * width..(row + 1) * width))
            .flatten()
            .copied()
            .collect();
        let sample = Classified {
            labels: &labels,
            scores: &scores,
            ..*input
        };
        values(multiclass::measure(&sample, &pick(&predicted, chosen)).figures())
    };
    let (groups, fairness) = multiclass::compare(input, &predicted, &groupings, settings.guard);
    Ok(Evaluation::MultiClass(Box::new(ClassEvaluation {
        kind: MultiClass::MultiClass,
        n: rows as u64,
        classes: input.classes.to_vec(),
        guard: settings.guard,
        performance: multiclass::measure(input, &predicted),
        bootstrap: settings.bootstrap,
        intervals: again(settings, rows, &drawn),
        groups,
        fairness,
    })))
}

fn number(
    input: &Predicted<'_>,
    attributes: &[Attribute<'_>],
    settings: Settings,
) -> Result<Evaluation, EvaluateError> {
    let rows = input.truth.len();
    lengths("prediction", input.predicted.len(), rows)?;
    numbers(input.predicted, 1, false)?;
    if let Some(row) = input.truth.iter().position(|truth| !truth.is_finite()) {
        return Err(EvaluateError::Truth { row });
    }
    let groupings = groupings(attributes, rows)?;
    let drawn = |chosen: &[usize]| {
        let (truth, predicted) = (pick(input.truth, chosen), pick(input.predicted, chosen));
        let sample = Predicted {
            truth: &truth,
            predicted: &predicted,
        };
        values(regression::measure(&sample).figures())
    };
    let (groups, fairness) = regression::compare(input, &groupings, settings.guard);
    Ok(Evaluation::Regression(Box::new(RegressionEvaluation {
        kind: Regression::Regression,
        n: rows as u64,
        guard: settings.guard,
        performance: regression::measure(input),
        bootstrap: settings.bootstrap,
        intervals: again(settings, rows, &drawn),
        groups,
        fairness,
    })))
}

fn again(
    settings: Settings,
    rows: usize,
    measure: &(impl Fn(&[usize]) -> Vec<(String, Option<f64>)> + Sync),
) -> BTreeMap<String, Interval> {
    settings
        .bootstrap
        .map(|bootstrap| intervals(bootstrap, rows, settings.threads, measure))
        .unwrap_or_default()
}

fn pick<T: Copy>(from: &[T], rows: &[usize]) -> Vec<T> {
    rows.iter()
        .filter_map(|row| from.get(*row).copied())
        .collect()
}

fn values(figures: Vec<(String, Option<f64>, Option<Interval>)>) -> Vec<(String, Option<f64>)> {
    let figures = figures.into_iter();
    figures.map(|(name, value, _)| (name, value)).collect()
}

fn lengths(column: &str, rows: usize, expected: usize) -> Result<(), EvaluateError> {
    if expected == 0 {
        return Err(EvaluateError::NoRows);
    }
    if rows != expected {
        return Err(EvaluateError::Lengths {
            column: column.to_owned(),
            rows,
            expected,
        });
    }
    Ok(())
}

/// Checks scores, `width` a row.
fn numbers(scores: &[f64], width: usize, probabilities: bool) -> Result<(), EvaluateError> {
    let find = |wrong: &dyn Fn(&[f64]) -> bool| {
        let rows = scores.chunks_exact(width).enumerate();
        let mut rows = rows.filter(|(_, row)| wrong(row)).map(|(row, _)| row);
        rows.next().map(|row| (row, 1 + rows.count()))
    };
    if let Some((row, count)) = find(&|row| row.iter().any(|score| !score.is_finite())) {
        return Err(EvaluateError::NoNumber { row, count });
    }
    if !probabilities {
        return Ok(());
    }
    if let Some((row, count)) = find(&|row| row.iter().any(|score| !(0.0..=1.0).contains(score))) {
        return Err(EvaluateError::Score { row, count });
    }
    let apart = |row: &[f64]| (row.iter().sum::<f64>() - 1.0).abs() > PROBABILITY_SLACK;
    match find(&apart) {
        Some((row, count)) if width > 1 => Err(EvaluateError::Together { row, count }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::{Better, ModelKind, check_figure};

    fn texts(values: &[&str]) -> Vec<Option<String>> {
        values
            .iter()
            .map(|value| Some((*value).to_owned()))
            .collect()
    }

    fn scored<'a>(labels: &'a [bool], scores: &'a [f64]) -> Scored<'a> {
        Scored {
            labels,
            scores,
            threshold: 0.5,
            probabilities: true,
            single: false,
        }
    }

    fn two(
        input: Scored<'_>,
        attributes: &[Attribute<'_>],
    ) -> Result<BinaryEvaluation, EvaluateError> {
        match evaluate(&Said::Binary(input), attributes, Settings::default())? {
            Evaluation::Binary(found) => Ok(*found),
            other => panic!("{other:?}"),
        }
    }

    /// A hundred rows of two attributes, every third positive, scored from 0 to 1.
    fn example() -> Evaluation {
        let labels: Vec<bool> = (0..100).map(|i| i % 3 == 0).collect();
        let scores: Vec<f64> = (0..100).map(|i| f64::from(i * 37 % 100) / 100.0).collect();
        let sex: Vec<_> = (0..100).map(|i| Some((i % 2).to_string())).collect();
        let race: Vec<_> = (0..100).map(|i| Some((i / 98).to_string())).collect();
        let attributes = [
            Attribute {
                name: "SEX",
                values: &sex,
            },
            Attribute {
                name: "RAC.1P",
                values: &race,
            },
        ];
        evaluate(
            &Said::Binary(scored(&labels, &scores)),
            &attributes,
            Settings::default(),
        )
        .unwrap()
    }

    /// Three classes and a number, on ninety rows with one attribute.
    fn others() -> [Evaluation; 2] {
        let groups: Vec<_> = (0..90)
            .map(|i| (i % 2 == 0).then(|| "a".to_owned()))
            .collect();
        let attributes = [Attribute {
            name: "G",
            values: &groups,
        }];
        let labels: Vec<usize> = (0..90).map(|i| i % 3).collect();
        let scores: Vec<f64> = (0..90)
            .flat_map(|i| {
                if i % 4 == 0 {
                    [0.5, 0.3, 0.2]
                } else {
                    [0.1, 0.2, 0.7]
                }
            })
            .collect();
        let classes = ["x", "y", "z.1"].map(ToOwned::to_owned);
        let several = Said::MultiClass(Classified {
            classes: &classes,
            labels: &labels,
            scores: &scores,
            probabilities: true,
        });
        let truth: Vec<f64> = (0..90).map(f64::from).collect();
        let predicted: Vec<f64> = (0..90).map(|i| f64::from(i + i % 5)).collect();
        let number = Said::Regression(Predicted {
            truth: &truth,
            predicted: &predicted,
        });
        [several, number].map(|said| {
            let settings = Settings {
                bootstrap: Some(Bootstrap {
                    samples: 50,
                    seed: 1,
                }),
                ..Settings::default()
            };
            evaluate(&said, &attributes, settings).unwrap()
        })
    }

    #[test]
    fn attributes_and_their_intersection_are_grouped() {
        let Evaluation::Binary(found) = example() else {
            panic!("another kind")
        };
        let names: Vec<_> = found.groups.keys().map(String::as_str).collect();
        assert_eq!(names, ["RAC.1P", "SEX", "SEX*RAC.1P"]);
        let crossed: Vec<_> = found.groups["SEX*RAC.1P"]
            .iter()
            .map(|g| g.values.iter().flatten().cloned().collect::<String>())
            .collect();
        assert_eq!(crossed, ["00", "01", "10", "11"]);
        assert_eq!(found.fairness["SEX*RAC.1P"].insufficient.len(), 2);
        for groups in found.groups.values() {
            assert_eq!(groups.iter().map(|group| group.n).sum::<u64>(), found.n);
        }
    }

    #[test]
    fn what_is_missing_the_empty_text_and_the_text_null_are_three_groups() {
        let values: Vec<_> = [None, Some(""), Some("null"), None]
            .map(|value| value.map(ToOwned::to_owned))
            .to_vec();
        let attribute = Attribute {
            name: "s",
            values: &values,
        };
        let found = two(
            scored(&[true, false, true, false], &[0.1, 0.2, 0.8, 0.9]),
            &[attribute],
        );
        let found = found.unwrap();
        let groups: Vec<_> = found.groups["s"]
            .iter()
            .map(|g| (g.values[0].clone(), g.n))
            .collect();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(groups, [(None, 2), (text(""), 1), (text("null"), 1)]);
    }

    #[test]
    fn every_figure_that_is_listed_may_be_asked_for() {
        let [several, number] = others();
        let classes = ["x", "y", "z.1"].map(ToOwned::to_owned);
        let two = ["SEX", "RAC.1P"].map(ToOwned::to_owned);
        let one = ["G".to_owned()];
        for (found, kind, groups, count) in [
            (example(), ModelKind::Binary, &two[..], 13 + 3 * 6),
            (
                several,
                ModelKind::MultiClass,
                &one,
                7 + 2 * 5 + 3 * 5 + 3 + 6,
            ),
            (number, ModelKind::Regression, &one, 9 + 7 + 4),
        ] {
            let names = found.metric_names();
            assert_eq!(names.len(), count, "{names:?}");
            for name in &names {
                assert!(found.metric(name).is_some(), "{name}");
                check_figure(name, kind, groups, None, false).unwrap();
                check_figure(name, kind, groups, Some(&classes), false).unwrap();
            }
        }
    }

    #[test]
    fn an_interval_has_ends_that_may_be_asked_for() {
        let [several, number] = others();
        for (found, name) in [(several, "macro.f1"), (number, "rmse")] {
            let whole = found.metric(name).unwrap();
            let interval = whole.interval.unwrap();
            assert!(interval.low <= interval.high);
            let low = found.metric(&format!("{name}.low")).unwrap();
            assert_eq!((low.value, low.better), (Some(interval.low), whole.better));
            let high = found.metric(&format!("{name}.high")).unwrap();
            assert_eq!(high.value, Some(interval.high));
        }
        assert!(example().metric("accuracy.low").unwrap().value.is_some());
        assert_eq!(example().metric("roc_auc.low"), None);
        let gap = example().metric("fairness.SEX.demographic_parity_difference.high");
        assert_eq!(gap.map(|gap| gap.better), Some(Better::Lower));
    }

    #[test]
    fn other_names_give_none() {
        let found = example();
        for name in [
            "",
            "auc",
            "fairness",
            "fairness.SEX",
            "fairness.SEX.accuracy",
            "roc_auc ",
            "Roc_auc",
            ".low",
        ] {
            assert_eq!(found.metric(name), None, "{name}");
        }
    }

    #[test]
    fn a_figure_that_cannot_be_told_is_there_without_a_value() {
        let found = two(scored(&[true, true], &[0.2, 0.8]), &[]).unwrap();
        let found = Evaluation::Binary(Box::new(found));
        assert_eq!(found.metric("roc_auc").unwrap().value, None);
    }

    #[test]
    fn a_score_in_single_precision_meets_the_threshold_as_meant() {
        let score = [f64::from(0.7_f32), 0.1];
        let input = Scored {
            threshold: 0.7,
            single: true,
            ..scored(&[true, false], &score)
        };
        assert_eq!(two(input, &[]).unwrap().performance.recall, Some(1.0));
        let exact = Scored {
            single: false,
            ..input
        };
        assert_eq!(two(exact, &[]).unwrap().performance.recall, Some(0.0));
    }

    #[test]
    fn raw_scores_have_areas_and_no_losses() {
        let input = Scored {
            probabilities: false,
            threshold: 0.0,
            ..scored(&[true, false], &[3.5, -2.0])
        };
        let found = two(input, &[]).unwrap().performance;
        assert_eq!(
            (found.roc_auc, found.pr_auc, found.f1),
            (Some(1.0), Some(1.0), Some(1.0))
        );
        assert_eq!(
            (
                found.log_loss,
                found.brier,
                found.expected_calibration_error
            ),
            (None, None, None)
        );
        assert!(found.calibration.is_empty());
    }

    #[test]
    fn what_is_no_scored_data_is_refused() {
        let values = texts(&["a", "b"]);
        let attribute = |name| Attribute {
            name,
            values: &values,
        };
        let check = |labels: &[bool], scores: &[f64], attributes: &[Attribute<'_>]| {
            two(scored(labels, scores), attributes).unwrap_err()
        };
        let (yes, fine) = ([true, false], [0.5, 0.5]);
        assert_eq!(check(&[], &[], &[]), EvaluateError::NoRows);
        for bad in [f64::NAN, f64::INFINITY] {
            let told = EvaluateError::NoNumber { row: 1, count: 1 };
            assert_eq!(check(&yes, &[0.5, bad], &[]), told);
        }
        for bad in [-0.1, 1.000_000_1] {
            let told = EvaluateError::Score { row: 0, count: 2 };
            assert_eq!(check(&yes, &[bad, bad], &[]), told);
        }
        assert!(matches!(
            check(&yes, &[0.5], &[]),
            EvaluateError::Lengths { .. }
        ));
        assert!(matches!(
            check(&[true], &[0.5], &[attribute("a")]),
            EvaluateError::Lengths { .. }
        ));
        let no_number = Scored {
            threshold: f64::NAN,
            ..scored(&yes, &fine)
        };
        assert_eq!(two(no_number, &[]).unwrap_err(), EvaluateError::Threshold);
        for names in [&[""][..], &["a*b"], &["a", "a"]] {
            let attributes: Vec<_> = names.iter().map(|name| attribute(name)).collect();
            assert!(matches!(
                check(&yes, &fine, &attributes),
                EvaluateError::Name(_)
            ));
        }
        let classes = ["x", "y"].map(ToOwned::to_owned);
        let check = |labels: &[usize], scores: &[f64]| {
            let said = Said::MultiClass(Classified {
                classes: &classes,
                labels,
                scores,
                probabilities: true,
            });
            evaluate(&said, &[], Settings::default()).unwrap_err()
        };
        assert_eq!(check(&[2], &[0.5, 0.5]), EvaluateError::Classes);
        assert_eq!(
            check(&[0], &[0.5, 0.6]),
            EvaluateError::Together { row: 0, count: 1 }
        );
        let said = Said::Regression(Predicted {
            truth: &[f64::NAN],
            predicted: &[1.0],
        });
        let told = evaluate(&said, &[], Settings::default());
        assert_eq!(told.unwrap_err(), EvaluateError::Truth { row: 0 });
    }

    #[test]
    fn a_key_is_no_attribute() {
        let rows = MAX_GROUPS + 1;
        let labels = vec![true; rows];
        let scores = vec![0.5; rows];
        let values: Vec<_> = (0..rows).map(|i| Some(i.to_string())).collect();
        let attribute = Attribute {
            name: "id",
            values: &values,
        };
        let found = two(scored(&labels, &scores), &[attribute]);
        assert!(matches!(found, Err(EvaluateError::TooManyGroups { .. })));
    }

    #[test]
    fn a_report_survives_json() {
        let [several, number] = others();
        for found in [example(), several, number] {
            let text = serde_json::to_string(&found).unwrap();
            assert_eq!(serde_json::from_str::<Evaluation>(&text).unwrap(), found);
            let more = text.replacen('{', "{\"extra\":1,", 1);
            assert!(serde_json::from_str::<Evaluation>(&more).is_err());
        }
    }
}
