//! The report about one model on one data version.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::fairness::{Fairness, Group, Guard, compare, groups};
use crate::performance::{Confusion, Performance, measure};

/// The most groups that an attribute, or two together, may have. More means that the attribute is a
/// key or a measurement, not a group of people.
pub const MAX_GROUPS: usize = 1_000;

/// Stands between the names of two attributes in the name of their intersection: `SEX*RAC1P`.
pub const INTERSECTION: &str = "*";

/// What a model said about rows whose truth is known.
#[derive(Debug, Clone, Copy)]
pub struct Scored<'a> {
    /// The truth by row.
    pub labels: &'a [bool],
    /// The probability of the positive class by row, in `0..=1`.
    pub scores: &'a [f64],
    /// A row is predicted positive when its score is at least this.
    pub threshold: f64,
}

/// A sensitive attribute of the rows.
#[derive(Debug, Clone, Copy)]
pub struct Attribute<'a> {
    /// Its name, without `*`.
    pub name: &'a str,
    /// Its value by row.
    pub values: &'a [String],
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
    /// A score is no probability. Its value stays unsaid.
    #[error("the score of row {row} is not a number from 0 to 1")]
    Score {
        /// The row, from 0.
        row: usize,
    },
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

/// What was measured of a model on labelled rows: its quality, its groups, and their distances.
///
/// The same rows in the same order give the same bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// The number of rows.
    pub n: u64,
    /// The number of positive rows.
    pub positives: u64,
    /// From which score on a row is predicted positive.
    pub threshold: f64,
    /// The fewest rows and positive rows of a group that is compared.
    pub guard: Guard,
    /// The quality over all rows.
    pub performance: Performance,
    /// The groups of each attribute (`SEX`) and of each two (`SEX*RAC1P`), in byte order of values.
    pub groups: BTreeMap<String, Vec<Group>>,
    /// How far apart the groups are, by the same names.
    pub fairness: BTreeMap<String, Fairness>,
}

/// Evaluates scores against labels: over all rows, by each attribute, and by each two attributes.
///
/// # Errors
/// [`EvaluateError`] when there are no rows, the columns differ in length, a score is no probability,
/// the threshold is no number, or an attribute is no attribute of groups.
pub fn evaluate(
    scored: &Scored<'_>,
    attributes: &[Attribute<'_>],
    guard: Guard,
) -> Result<Evaluation, EvaluateError> {
    check(scored, attributes)?;
    let outcomes: Vec<(bool, bool)> = scored
        .labels
        .iter()
        .zip(scored.scores)
        .map(|(label, score)| (*label, *score >= scored.threshold))
        .collect();
    let mut confusion = Confusion::default();
    for (label, predicted) in &outcomes {
        confusion.count(*label, *predicted);
    }
    let mut by_name = BTreeMap::new();
    for (name, columns) in groupings(attributes) {
        let found = groups(&columns, &outcomes, guard);
        if found.len() > MAX_GROUPS {
            return Err(EvaluateError::TooManyGroups {
                grouping: name,
                found: found.len(),
            });
        }
        by_name.insert(name, found);
    }
    Ok(Evaluation {
        n: confusion.rows(),
        positives: confusion.positives(),
        threshold: scored.threshold,
        guard,
        performance: measure(scored.labels, scored.scores, confusion),
        fairness: by_name
            .iter()
            .map(|(name, found)| (name.clone(), compare(found)))
            .collect(),
        groups: by_name,
    })
}

fn check(scored: &Scored<'_>, attributes: &[Attribute<'_>]) -> Result<(), EvaluateError> {
    let expected = scored.labels.len();
    if expected == 0 {
        return Err(EvaluateError::NoRows);
    }
    let columns = attributes
        .iter()
        .map(|attribute| (attribute.name, attribute.values.len()));
    for (column, rows) in [("score", scored.scores.len())].into_iter().chain(columns) {
        if rows != expected {
            return Err(EvaluateError::Lengths {
                column: column.to_owned(),
                rows,
                expected,
            });
        }
    }
    let in_range = |score: &f64| (0.0..=1.0).contains(score);
    if let Some(row) = scored.scores.iter().position(|score| !in_range(score)) {
        return Err(EvaluateError::Score { row });
    }
    if !scored.threshold.is_finite() {
        return Err(EvaluateError::Threshold);
    }
    let mut seen = BTreeSet::new();
    for Attribute { name, .. } in attributes {
        if name.is_empty() || name.contains(INTERSECTION) || !seen.insert(*name) {
            return Err(EvaluateError::Name((*name).to_owned()));
        }
    }
    Ok(())
}

/// Lists the attributes and their pairs, each with its columns.
fn groupings<'a>(attributes: &[Attribute<'a>]) -> Vec<(String, Vec<&'a [String]>)> {
    let single = attributes
        .iter()
        .map(|attribute| (attribute.name.to_owned(), vec![attribute.values]));
    let pairs = attributes.iter().enumerate().flat_map(|(index, first)| {
        attributes.iter().skip(index + 1).map(|second| {
            (
                format!("{}{INTERSECTION}{}", first.name, second.name),
                vec![first.values, second.values],
            )
        })
    });
    single.chain(pairs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::{Better, MetricName};

    fn texts(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    /// A hundred rows of two attributes, every third positive, scored from 0 to 1.
    fn example() -> Evaluation {
        let labels: Vec<bool> = (0..100).map(|i| i % 3 == 0).collect();
        let scores: Vec<f64> = (0..100).map(|i| f64::from(i * 37 % 100) / 100.0).collect();
        let sex: Vec<String> = (0..100).map(|i| (i % 2).to_string()).collect();
        let race: Vec<String> = (0..100).map(|i| (i / 98).to_string()).collect();
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
        let input = Scored {
            labels: &labels,
            scores: &scores,
            threshold: 0.5,
        };
        evaluate(&input, &attributes, Guard::default()).unwrap()
    }

    #[test]
    fn attributes_and_their_intersection_are_grouped() {
        let found = example();
        let names: Vec<_> = found.groups.keys().map(String::as_str).collect();
        assert_eq!(names, ["RAC.1P", "SEX", "SEX*RAC.1P"]);
        let crossed: Vec<_> = found.groups["SEX*RAC.1P"]
            .iter()
            .map(|g| g.values.join(" "))
            .collect();
        assert_eq!(crossed, ["0 0", "0 1", "1 0", "1 1"]);
        assert_eq!(found.fairness["SEX*RAC.1P"].insufficient.len(), 2);
        for groups in found.groups.values() {
            assert_eq!(groups.iter().map(|group| group.n).sum::<u64>(), found.n);
        }
    }

    #[test]
    fn every_listed_name_gives_a_figure() {
        let found = example();
        let names = found.metric_names();
        assert_eq!(names.len(), 8 + 3 * 6);
        for name in &names {
            assert_eq!(
                name.parse::<MetricName>().map(|n| n.to_string()).as_ref(),
                Ok(name)
            );
            assert!(found.metric(name).is_some(), "{name}");
        }
        let gap = found
            .metric("fairness.SEX*RAC.1P.demographic_parity_difference")
            .unwrap();
        assert_eq!(gap.better, Better::Lower);
        assert_eq!(gap.between.map(|b| b.insufficient.len()), Some(2));
        assert_eq!(
            found.metric("accuracy").map(|m| m.better),
            Some(Better::Higher)
        );
    }

    #[test]
    fn other_names_give_none() {
        let found = example();
        for name in [
            "",
            "auc",
            "fairness",
            "fairness.",
            "fairness.SEX",
            "fairness..accuracy",
            "fairness.SEX.accuracy",
            "fairness.AGE.demographic_parity_ratio",
            "roc_auc ",
            "fairness..demographic_parity_ratio",
            "Roc_auc",
        ] {
            assert_eq!(found.metric(name), None, "{name}");
        }
        assert!(
            "auc"
                .parse::<MetricName>()
                .unwrap_err()
                .to_string()
                .contains("`roc_auc`")
        );
    }

    #[test]
    fn a_figure_that_cannot_be_told_is_there_without_a_value() {
        let input = Scored {
            labels: &[true, true],
            scores: &[0.2, 0.8],
            threshold: 0.5,
        };
        let found = evaluate(&input, &[], Guard::default()).unwrap();
        let area = found.metric("roc_auc").unwrap();
        assert_eq!(area.value, None);
    }

    #[test]
    fn what_is_no_scored_data_is_refused() {
        let two = texts(&["a", "b"]);
        let attribute = |name| Attribute { name, values: &two };
        let check =
            |labels: &[bool], scores: &[f64], threshold: f64, attributes: &[Attribute<'_>]| {
                let input = Scored {
                    labels,
                    scores,
                    threshold,
                };
                evaluate(&input, attributes, Guard::default()).unwrap_err()
            };
        let (yes, fine) = ([true, false], [0.5, 0.5]);
        assert_eq!(check(&[], &[], 0.5, &[]), EvaluateError::NoRows);
        for bad in [f64::NAN, f64::INFINITY, -0.1, 1.000_000_1] {
            assert_eq!(
                check(&yes, &[0.5, bad], 0.5, &[]),
                EvaluateError::Score { row: 1 }
            );
        }
        assert!(matches!(
            check(&yes, &[0.5], 0.5, &[]),
            EvaluateError::Lengths { .. }
        ));
        assert!(matches!(
            check(&[true], &[0.5], 0.5, &[attribute("a")]),
            EvaluateError::Lengths { .. }
        ));
        assert_eq!(check(&yes, &fine, f64::NAN, &[]), EvaluateError::Threshold);
        for name in ["", "a*b"] {
            assert!(matches!(
                check(&yes, &fine, 0.5, &[attribute(name)]),
                EvaluateError::Name(_)
            ));
        }
        let twice = [attribute("a"), attribute("a")];
        assert!(matches!(
            check(&yes, &fine, 0.5, &twice),
            EvaluateError::Name(_)
        ));
    }

    #[test]
    fn a_key_is_no_attribute() {
        let rows = MAX_GROUPS + 1;
        let labels = vec![true; rows];
        let scores = vec![0.5; rows];
        let values: Vec<String> = (0..rows).map(|i| i.to_string()).collect();
        let input = Scored {
            labels: &labels,
            scores: &scores,
            threshold: 0.5,
        };
        let found = evaluate(
            &input,
            &[Attribute {
                name: "id",
                values: &values,
            }],
            Guard::default(),
        );
        assert!(matches!(found, Err(EvaluateError::TooManyGroups { .. })));
    }

    #[test]
    fn a_report_survives_json() {
        let found = example();
        let text = serde_json::to_string(&found).unwrap();
        assert_eq!(serde_json::from_str::<Evaluation>(&text).unwrap(), found);
        let more = text.replacen('{', "{\"extra\":1,", 1);
        assert!(serde_json::from_str::<Evaluation>(&more).is_err());
    }
}
