//! Classifiers of more than two classes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::evaluation::Classified;
use crate::fairness::{
    Compared, Distance, Entrant, Gap, GroupValues, Guard, Support, farthest, worse,
};
use crate::groups::{ByGrouping, Gaps, Groupings};
use crate::performance::{Agreement, areas};
use crate::rate::Rate;
use crate::sum::{Sum, real, share};

/// The greatest `k` of the top-k accuracies.
pub const MOST_TOP_K: usize = 5;

/// How one class is told from the rest. `None` is 0/0: no number, not a bad one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassTable {
    /// The class.
    pub class: String,
    /// The number of its rows.
    pub support: u64,
    /// The number of rows predicted as it.
    pub predicted: u64,
    /// Its rows among those predicted as it.
    pub precision: Option<f64>,
    /// Rows predicted as it among its rows.
    pub recall: Option<f64>,
    /// `2·TP / (2·TP + FP + FN)`.
    pub f1: Option<f64>,
    /// The area under the receiver operating characteristic against the rest.
    pub roc_auc: Option<f64>,
    /// The average precision against the rest.
    pub pr_auc: Option<f64>,
}

/// Means over classes.
///
/// Of precision, recall and F1 over the classes that have rows or are predicted, a class without a rate counting 0,
/// as scikit-learn's averages do; of the areas over all classes of the model, `None` where one cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Average {
    /// Of the precisions.
    pub precision: Option<f64>,
    /// Of the recalls.
    pub recall: Option<f64>,
    /// Of the F1s.
    pub f1: Option<f64>,
    /// Of the areas under the receiver operating characteristic, one class against the rest.
    pub roc_auc: Option<f64>,
    /// Of the average precisions.
    pub pr_auc: Option<f64>,
}

/// How good a classifier of several classes is over all rows. A row is predicted as the class with the greatest
/// score, of equal scores as the first class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassPerformance {
    /// The counts: for each class (as in `table`) how many of its rows are predicted as each class.
    pub confusion: Vec<Vec<u64>>,
    /// A line for each class.
    pub table: Vec<ClassTable>,
    /// The share of rows predicted right, with its interval.
    pub accuracy: Rate,
    /// The mean recall of the classes that have rows.
    pub balanced_accuracy: Option<f64>,
    /// Cohen's kappa.
    pub cohen_kappa: Option<f64>,
    /// Matthews' correlation of truth and prediction, for several classes.
    pub mcc: Option<f64>,
    /// F1 of all classes' counts together.
    pub micro_f1: Option<f64>,
    /// Each class alike.
    pub macro_average: Average,
    /// Each class by its number of rows.
    pub weighted_average: Average,
    /// The mean of `−ln p` of the true class, in nats; `p` is kept `ε = 2⁻⁵²` away from 0 and 1. `None` for scores
    /// that are no probabilities.
    pub log_loss: Option<f64>,
    /// The share of rows whose class is among the `k` with the greatest scores, by the figure's name; of equal scores the later
    /// class comes first, as in scikit-learn.
    pub top_k_accuracy: BTreeMap<String, Rate>,
}

/// The rows of a group, for several classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassGroup {
    /// Its values.
    pub values: GroupValues,
    /// Whether it has the rows to be compared in what is about rows.
    pub support: Support,
    /// The number of rows.
    pub n: u64,
    /// Rows predicted right of all.
    pub accuracy: Rate,
    /// Rows predicted as each class of all.
    pub selection_rates: BTreeMap<String, Rate>,
    /// Rows predicted as each class of the rows of that class.
    pub recalls: BTreeMap<String, Rate>,
}

/// The class predicted for each row: the first of the greatest.
pub(crate) fn predictions(input: &Classified<'_>) -> Vec<usize> {
    input
        .scores
        .chunks_exact(input.classes.len().max(1))
        .map(|row| {
            let best = row
                .iter()
                .enumerate()
                .reduce(|a, b| if b.1 > a.1 { b } else { a });
            best.map_or(0, |(class, _)| class)
        })
        .collect()
}

pub(crate) fn confusion(labels: &[usize], predicted: &[usize], classes: usize) -> Vec<Vec<u64>> {
    let mut matrix = vec![vec![0; classes]; classes];
    for (label, predicted) in labels.iter().zip(predicted) {
        if let Some(cell) = matrix
            .get_mut(*label)
            .and_then(|row| row.get_mut(*predicted))
        {
            *cell += 1;
        }
    }
    matrix
}

/// Measures scores of several classes; at least one row.
pub(crate) fn measure(input: &Classified<'_>, predicted: &[usize]) -> ClassPerformance {
    let matrix = confusion(input.labels, predicted, input.classes.len());
    let table: Vec<_> = input
        .classes
        .iter()
        .enumerate()
        .map(|(class, name)| line(input, &matrix, class, name))
        .collect();
    let n = input.labels.len() as u64;
    let right = table
        .iter()
        .enumerate()
        .map(|(class, _)| cell(&matrix, class, class))
        .sum();
    let agreement = Agreement::of(&matrix);
    let recalls: Vec<_> = table.iter().filter_map(|line| line.recall).collect();
    let log_loss = input.probabilities.then(|| {
        let losses =
            own_scores(input).map(|score| -score.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln());
        losses.collect::<Sum>().value() / real(n)
    });
    ClassPerformance {
        accuracy: Rate::new(right, n),
        balanced_accuracy: mean(&recalls),
        cohen_kappa: agreement.kappa(),
        mcc: agreement.correlation(),
        micro_f1: share(right, n),
        macro_average: average(&table, |_| 1),
        weighted_average: average(&table, |line| line.support),
        log_loss,
        top_k_accuracy: (2..input.classes.len().min(MOST_TOP_K + 1))
            .map(|k| (format!("top_{k}_accuracy"), Rate::new(among(input, k), n)))
            .collect(),
        confusion: matrix,
        table,
    }
}

fn cell(matrix: &[Vec<u64>], row: usize, column: usize) -> u64 {
    matrix
        .get(row)
        .and_then(|row| row.get(column))
        .copied()
        .unwrap_or_default()
}

fn line(input: &Classified<'_>, matrix: &[Vec<u64>], class: usize, name: &str) -> ClassTable {
    let hits = cell(matrix, class, class);
    let support: u64 = matrix.get(class).into_iter().flatten().sum();
    let predicted: u64 = matrix.iter().filter_map(|row| row.get(class)).sum();
    let labels: Vec<bool> = input.labels.iter().map(|label| *label == class).collect();
    let scores: Vec<f64> = input
        .scores
        .chunks_exact(input.classes.len())
        .filter_map(|row| row.get(class).copied())
        .collect();
    let (roc_auc, pr_auc) = areas(&labels, &scores);
    ClassTable {
        class: name.to_owned(),
        support,
        predicted,
        precision: share(hits, predicted),
        recall: share(hits, support),
        f1: share(2 * hits, support + predicted),
        roc_auc,
        pr_auc,
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    let sum: Sum = values.iter().copied().collect();
    (!values.is_empty()).then(|| sum.value() / real(values.len() as u64))
}

fn average(table: &[ClassTable], weight: fn(&ClassTable) -> u64) -> Average {
    let rate = |value: fn(&ClassTable) -> Option<f64>| {
        let seen = table
            .iter()
            .filter(|line| line.support + line.predicted > 0);
        let (mut sum, mut whole) = (Sum::default(), 0);
        for line in seen {
            sum.add(value(line).unwrap_or(0.0) * real(weight(line)));
            whole += weight(line);
        }
        (whole > 0).then(|| sum.value() / real(whole))
    };
    let area = |value: fn(&ClassTable) -> Option<f64>| {
        let (mut sum, mut whole) = (Sum::default(), 0);
        for line in table {
            sum.add(value(line)? * real(weight(line)));
            whole += weight(line);
        }
        (whole > 0).then(|| sum.value() / real(whole))
    };
    Average {
        precision: rate(|line| line.precision),
        recall: rate(|line| line.recall),
        f1: rate(|line| line.f1),
        roc_auc: area(|line| line.roc_auc),
        pr_auc: area(|line| line.pr_auc),
    }
}

/// The score of each row's own class.
fn own_scores<'a>(input: &'a Classified<'_>) -> impl Iterator<Item = f64> + 'a {
    let rows = input.scores.chunks_exact(input.classes.len());
    rows.zip(input.labels)
        .filter_map(|(row, label)| row.get(*label).copied())
}

fn among(input: &Classified<'_>, k: usize) -> u64 {
    let rows = input.scores.chunks_exact(input.classes.len());
    let hit = |(row, label): &(&[f64], &usize)| {
        let own = row.get(**label).copied().unwrap_or(f64::NAN);
        let before = row.iter().enumerate().filter(|(class, score)| {
            **score > own || own.total_cmp(score).is_eq() && *class > **label
        });
        before.count() < k
    };
    rows.zip(input.labels).filter(hit).count() as u64
}

/// Counts the groups, and compares them: by accuracy, by the selection rate and the recall of each class.
pub(crate) fn compare(
    input: &Classified<'_>,
    predicted: &[usize],
    groupings: &Groupings,
    guard: Guard,
) -> (ByGrouping<Vec<ClassGroup>>, ByGrouping<Gaps>) {
    let mut groups = BTreeMap::new();
    let mut fairness = BTreeMap::new();
    for (name, parts) in groupings {
        let found: Vec<_> = parts
            .iter()
            .map(|(values, rows)| group(input, predicted, values, rows, guard))
            .collect();
        fairness.insert(name.clone(), distances(&found, input.classes, guard));
        groups.insert(name.clone(), found);
    }
    (groups, fairness)
}

fn group(
    input: &Classified<'_>,
    predicted: &[usize],
    values: &GroupValues,
    rows: &[usize],
    guard: Guard,
) -> ClassGroup {
    let pick = |from: &[usize]| -> Vec<usize> {
        rows.iter()
            .filter_map(|row| from.get(*row).copied())
            .collect()
    };
    let matrix = confusion(&pick(input.labels), &pick(predicted), input.classes.len());
    let n = rows.len() as u64;
    let named = |rate: &dyn Fn(usize) -> Rate| {
        let names = input.classes.iter().enumerate();
        names
            .map(|(class, name)| (name.clone(), rate(class)))
            .collect()
    };
    ClassGroup {
        values: values.clone(),
        support: Support::of(n, guard.min_rows),
        n,
        accuracy: Rate::new(
            (0..matrix.len())
                .map(|class| cell(&matrix, class, class))
                .sum(),
            n,
        ),
        selection_rates: named(&|class| {
            Rate::new(matrix.iter().filter_map(|row| row.get(class)).sum(), n)
        }),
        recalls: named(&|class| {
            let support = matrix.get(class).into_iter().flatten().sum();
            Rate::new(cell(&matrix, class, class), support)
        }),
    }
}

fn distances(groups: &[ClassGroup], classes: &[String], guard: Guard) -> BTreeMap<String, Gap> {
    let gap = |compared, least, rate: &dyn Fn(&ClassGroup) -> Option<&Rate>| {
        let entrants: Vec<_> = groups
            .iter()
            .filter_map(|group| Some(Entrant::rate(&group.values, rate(group)?)))
            .collect();
        farthest(&entrants, compared, least, Distance::Difference)
    };
    let accuracy = gap(Compared::Accuracy, guard.min_rows, &|group| {
        Some(&group.accuracy)
    });
    let mut found = BTreeMap::from([("accuracy_difference".to_owned(), accuracy)]);
    let mut worst: [Option<Gap>; 2] = [None, None];
    for class in classes {
        let both = [
            gap(Compared::SelectionRate, guard.min_rows, &|group| {
                group.selection_rates.get(class)
            }),
            gap(Compared::Recall, guard.min_positives, &|group| {
                group.recalls.get(class)
            }),
        ];
        for ((worst, name), gap) in worst.iter_mut().zip(CLASS_GAPS).zip(both) {
            let gap = Gap {
                class: Some(class.clone()),
                ..gap
            };
            *worst = Some(match worst.take() {
                None => gap.clone(),
                Some(before) => worse(before, gap.clone(), Distance::Difference),
            });
            found.insert(format!("class.{class}.{name}"), gap);
        }
    }
    for (worst, name) in worst.into_iter().zip(CLASS_GAPS) {
        found.extend(worst.map(|gap| (name.to_owned(), gap)));
    }
    found
}

const CLASS_GAPS: [&str; 2] = ["selection_rate_difference", "recall_difference"];
