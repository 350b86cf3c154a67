//! How good the scores of a binary classifier are.

use serde::{Deserialize, Serialize};

use crate::rate::Rate;
use crate::sum::{Sum, real, share};

/// The number of equal-width bins of the expected calibration error.
pub const CALIBRATION_BINS: usize = 15;

/// The four cells of the confusion matrix of one group of rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confusion {
    /// Positive rows predicted positive.
    pub true_positives: u64,
    /// Negative rows predicted positive.
    pub false_positives: u64,
    /// Positive rows predicted negative.
    pub false_negatives: u64,
    /// Negative rows predicted negative.
    pub true_negatives: u64,
}

impl Confusion {
    pub(crate) fn count(&mut self, label: bool, predicted: bool) {
        let cell = match (label, predicted) {
            (true, true) => &mut self.true_positives,
            (false, true) => &mut self.false_positives,
            (true, false) => &mut self.false_negatives,
            (false, false) => &mut self.true_negatives,
        };
        *cell += 1;
    }

    /// Returns the number of rows.
    pub const fn rows(&self) -> u64 {
        self.positives() + self.negatives()
    }

    /// Returns the number of positive rows.
    pub const fn positives(&self) -> u64 {
        self.true_positives + self.false_negatives
    }

    /// Returns the number of negative rows.
    pub const fn negatives(&self) -> u64 {
        self.false_positives + self.true_negatives
    }

    /// Returns the number of rows predicted positive.
    pub const fn selected(&self) -> u64 {
        self.true_positives + self.false_positives
    }

    /// Returns the number of rows predicted right.
    pub const fn right(&self) -> u64 {
        self.true_positives + self.true_negatives
    }
}

/// How good the scores are over all rows. `None` is 0/0: no number, not a bad one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Performance {
    /// The counts behind the rates.
    pub confusion: Confusion,
    /// The share of rows predicted right, with its interval.
    pub accuracy: Rate,
    /// The mean of recall and specificity; `None` without rows of both classes.
    #[serde(default)]
    pub balanced_accuracy: Option<f64>,
    /// `TP / (TP + FP)`.
    pub precision: Option<f64>,
    /// `TP / (TP + FN)`.
    pub recall: Option<f64>,
    /// `TN / (TN + FP)`.
    #[serde(default)]
    pub specificity: Option<f64>,
    /// `2·TP / (2·TP + FP + FN)`.
    pub f1: Option<f64>,
    /// Cohen's kappa: the agreement beyond that of chance.
    #[serde(default)]
    pub cohen_kappa: Option<f64>,
    /// Matthews' correlation of truth and prediction.
    #[serde(default)]
    pub mcc: Option<f64>,
    /// The chance that a positive row scores above a negative one, ties counted half; `None` without
    /// rows of both classes.
    pub roc_auc: Option<f64>,
    /// The average precision: `Σ (Rₙ − Rₙ₋₁)·Pₙ` over the distinct scores from the greatest down; `None` without
    /// positive rows.
    #[serde(default)]
    pub pr_auc: Option<f64>,
    /// The mean of `−ln p` of what was true, in nats; `p` is kept `ε = 2⁻⁵²` away from 0 and 1. `None` for scores
    /// that are no probabilities.
    pub log_loss: Option<f64>,
    /// The mean of `(p − y)²`; `None` for scores that are no probabilities.
    pub brier: Option<f64>,
    /// Over 15 bins of equal width, the mean distance of the mean score from the share of positives; `None` for
    /// scores that are no probabilities.
    pub expected_calibration_error: Option<f64>,
    /// The calibration curve: the bins that have rows.
    #[serde(default)]
    pub calibration: Vec<CalibrationBin>,
}

/// A point of the calibration curve: the rows whose score lies in `(low, high]`; 0 belongs to the first bin.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationBin {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// The number of rows.
    pub n: u64,
    /// The mean score.
    pub mean_score: f64,
    /// The share of positive rows.
    pub positive_share: f64,
}

/// Measures scores against labels of the same number; at least one row. `probabilities`: whether the scores are
/// such, in `0..=1`.
pub(crate) fn measure(
    labels: &[bool],
    scores: &[f64],
    confusion: Confusion,
    probabilities: bool,
) -> Performance {
    let n = real(confusion.rows());
    let rows = || labels.iter().copied().zip(scores.iter().copied());
    let mean = |loss: fn(bool, f64) -> f64| {
        let sum: Sum = rows().map(|(label, score)| loss(label, score)).collect();
        probabilities.then(|| sum.value() / n)
    };
    let hits = confusion.true_positives;
    let recall = share(hits, confusion.positives());
    let specificity = share(confusion.true_negatives, confusion.negatives());
    let calibration = if probabilities {
        calibration(labels, scores)
    } else {
        Vec::new()
    };
    let matrix = Agreement::of(&[
        vec![confusion.true_negatives, confusion.false_positives],
        vec![confusion.false_negatives, hits],
    ]);
    let (roc_auc, pr_auc) = areas(labels, scores);
    Performance {
        confusion,
        accuracy: Rate::new(confusion.right(), confusion.rows()),
        balanced_accuracy: recall.zip(specificity).map(|(a, b)| f64::midpoint(a, b)),
        precision: share(hits, confusion.selected()),
        recall,
        specificity,
        f1: share(2 * hits, confusion.selected() + confusion.positives()),
        cohen_kappa: matrix.kappa(),
        mcc: matrix.correlation(),
        roc_auc,
        pr_auc,
        log_loss: mean(surprise),
        brier: mean(|label, score| (score - truth(label)).powi(2)),
        expected_calibration_error: probabilities.then(|| gap(&calibration) / n),
        calibration: calibration.iter().filter_map(Bin::shown).collect(),
    }
}

const fn truth(label: bool) -> f64 {
    if label { 1.0 } else { 0.0 }
}

fn surprise(label: bool, score: f64) -> f64 {
    let given = if label { score } else { 1.0 - score };
    -given.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln()
}

/// The area under the receiver operating characteristic in its rank form,
/// `(Σ ranks of positives − P(P+1)/2) / (P·N)`, equal scores sharing their mean rank; and the average precision.
///
/// J. A. Hanley and B. J. `McNeil`, Radiology 143 (1982). The ranks are summed as integers (doubled, so
/// that mean ranks are whole), and so the result is one rounding away from the true one. M. Zhu, "Recall, precision
/// and average precision", University of Waterloo (2004), as `sklearn.metrics.average_precision_score`.
pub(crate) fn areas(labels: &[bool], scores: &[f64]) -> (Option<f64>, Option<f64>) {
    // Adding zero makes −0 into 0, which then ties with it.
    let mut rows: Vec<(f64, bool)> = scores
        .iter()
        .map(|score| score + 0.0)
        .zip(labels.iter().copied())
        .collect();
    rows.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let (mut before, mut positives, mut doubled_ranks) = (0_u128, 0_u128, 0_u128);
    let mut steps: Vec<(u64, u64)> = Vec::new();
    for ties in rows.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
        let size = ties.len() as u128;
        let hits = ties.iter().filter(|(_, label)| *label).count() as u128;
        // Ranks before+1 ..= before+size have the mean before + (size+1)/2.
        doubled_ranks += hits * (2 * before + size + 1);
        positives += hits;
        before += size;
        steps.push((
            ties.len() as u64,
            ties.iter().filter(|(_, label)| *label).count() as u64,
        ));
    }
    let pairs = 2 * positives * (before - positives);
    let doubled_wins = doubled_ranks - positives * (positives + 1);
    let area = (pairs > 0).then(|| ratio_of_integers(doubled_wins, pairs));
    let (mut selected, mut hits) = (0, 0);
    let precision: Sum = steps
        .iter()
        .rev()
        .map(|(size, more)| {
            selected += size;
            hits += more;
            real(*more) * (real(hits) / real(selected))
        })
        .collect();
    (area, (hits > 0).then(|| precision.value() / real(hits)))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "each of the two roundings is below 2^-53 of the value"
)]
fn ratio_of_integers(part: u128, whole: u128) -> f64 {
    part as f64 / whole as f64
}

/// The rows of a bin of the calibration curve.
#[derive(Clone, Copy, Default)]
struct Bin {
    low: f64,
    high: f64,
    n: u64,
    positives: u64,
    scores: Sum,
    distance: Sum,
}

impl Bin {
    fn shown(&self) -> Option<CalibrationBin> {
        Some(CalibrationBin {
            low: self.low,
            high: self.high,
            n: self.n,
            mean_score: self.scores.value() / real(self.n),
            positive_share: share(self.positives, self.n)?,
        })
    }
}

/// Puts the rows into the bins `((b−1)/15, b/15]`; 0 belongs to the first.
fn calibration(labels: &[bool], scores: &[f64]) -> Vec<Bin> {
    let width = 1.0 / real(CALIBRATION_BINS as u64);
    let edge = |number: usize| {
        if number == CALIBRATION_BINS {
            1.0
        } else {
            real(number as u64) * width
        }
    };
    let mut bins: Vec<Bin> = (0..CALIBRATION_BINS)
        .map(|number| Bin {
            low: edge(number),
            high: edge(number + 1),
            ..Bin::default()
        })
        .collect();
    for (label, score) in labels.iter().zip(scores) {
        let index = bins.partition_point(|bin| bin.high < *score);
        if let Some(bin) = bins.get_mut(index) {
            bin.n += 1;
            bin.positives += u64::from(*label);
            bin.scores.add(*score);
            bin.distance.add(score - truth(*label));
        }
    }
    bins
}

/// `Σ_b |Σ p − Σ y|` over the bins.
///
/// C. Guo et al., "On calibration of modern neural networks", ICML 2017, with the score of the
/// positive class in place of the confidence, as `sklearn.calibration.calibration_curve` bins it.
fn gap(bins: &[Bin]) -> f64 {
    bins.iter()
        .map(|bin| bin.distance.value().abs())
        .collect::<Sum>()
        .value()
}

/// What the cells of a confusion matrix (rows: truth, columns: prediction) say of the agreement, in whole numbers.
pub(crate) struct Agreement {
    rows: i128,
    right: i128,
    /// `Σ tₖ·pₖ`, `Σ tₖ²`, `Σ pₖ²`; `t`: rows of a class, `p`: rows predicted as it.
    cross: i128,
    truth: i128,
    predicted: i128,
}

impl Agreement {
    pub(crate) fn of(matrix: &[Vec<u64>]) -> Self {
        let truth: Vec<i128> = matrix
            .iter()
            .map(|row| row.iter().copied().map(i128::from).sum())
            .collect();
        let mut predicted = vec![0_i128; matrix.len()];
        let mut right = 0;
        for (number, row) in matrix.iter().enumerate() {
            for (total, cell) in predicted.iter_mut().zip(row) {
                *total += i128::from(*cell);
            }
            right += row.get(number).copied().map_or(0, i128::from);
        }
        let product = |a: &[i128], b: &[i128]| a.iter().zip(b).map(|(a, b)| a * b).sum();
        Self {
            rows: truth.iter().sum(),
            right,
            cross: product(&truth, &predicted),
            truth: product(&truth, &truth),
            predicted: product(&predicted, &predicted),
        }
    }

    /// `(p₀ − pₑ) / (1 − pₑ)`: J. Cohen, "A coefficient of agreement for nominal scales" (1960).
    pub(crate) fn kappa(&self) -> Option<f64> {
        let chance = self.rows * self.rows - self.cross;
        (chance != 0).then(|| signed(self.rows * self.right - self.cross) / signed(chance))
    }

    /// `(c·s − Σ tₖpₖ) / √((s² − Σpₖ²)(s² − Σtₖ²))`: J. Gorodkin, "Comparing two K-category assignments by a
    /// K-category correlation coefficient" (2004).
    pub(crate) fn correlation(&self) -> Option<f64> {
        let all = self.rows * self.rows;
        let (a, b) = (signed(all - self.predicted), signed(all - self.truth));
        (a > 0.0 && b > 0.0)
            .then(|| signed(self.right * self.rows - self.cross) / (a.sqrt() * b.sqrt()))
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "one rounding, below 2^-53 of the value"
)]
const fn signed(value: i128) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn measured(rows: &[(bool, f64)]) -> Performance {
        let labels: Vec<_> = rows.iter().map(|row| row.0).collect();
        let scores: Vec<_> = rows.iter().map(|row| row.1).collect();
        let mut confusion = Confusion::default();
        for (label, score) in rows {
            confusion.count(*label, *score >= 0.5);
        }
        measure(&labels, &scores, confusion, true)
    }

    #[track_caller]
    fn near(found: f64, expected: f64) {
        assert!(
            (found - expected).abs() < 1e-15,
            "{found} is not {expected}"
        );
    }

    #[test]
    fn a_small_example_by_hand() {
        let found = measured(&[(true, 0.9), (true, 0.4), (false, 0.6), (false, 0.1)]);
        assert_eq!(found.accuracy.value, Some(0.5));
        assert_eq!(found.precision, Some(0.5));
        assert_eq!(found.recall, Some(0.5));
        assert_eq!(found.f1, Some(0.5));
        assert_eq!(found.roc_auc, Some(0.75));
        near(found.brier.unwrap(), (0.01 + 0.36 + 0.36 + 0.01) / 4.0);
        near(
            found.log_loss.unwrap(),
            -(0.9_f64.ln() + 0.4_f64.ln()) / 2.0,
        );
        near(
            found.expected_calibration_error.unwrap(),
            (0.1 + 0.6 + 0.6 + 0.1) / 4.0,
        );
    }

    #[test]
    fn one_class_has_no_area_and_no_rate_of_the_other() {
        let found = measured(&[(false, 0.2), (false, 0.3)]);
        assert_eq!(found.roc_auc, None);
        assert_eq!(
            (found.precision, found.recall, found.f1),
            (None, None, None)
        );
        assert_eq!(found.accuracy.value, Some(1.0));
        assert_eq!(measured(&[(true, 0.2)]).roc_auc, None);
    }

    #[test]
    fn equal_scores_count_half_and_the_two_zeros_are_equal() {
        assert_eq!(measured(&[(true, 0.5), (false, 0.5)]).roc_auc, Some(0.5));
        assert_eq!(measured(&[(true, -0.0), (false, 0.0)]).roc_auc, Some(0.5));
        assert_eq!(measured(&[(true, 0.0), (false, -0.0)]).roc_auc, Some(0.5));
    }

    #[test]
    fn a_certain_error_costs_much_and_not_everything() {
        let found = measured(&[(true, 0.0), (false, 1.0)]);
        near(found.log_loss.unwrap(), -f64::EPSILON.ln());
        assert_eq!(found.roc_auc, Some(0.0));
    }

    #[test]
    fn an_edge_belongs_to_the_bin_below() {
        // 1/15 and 2/30 are one edge: with (0, 1/15] both scores share a bin and cancel out.
        let edge = 1.0 / 15.0;
        let found = measured(&[(false, edge), (true, edge * 0.5)]);
        near(
            found.expected_calibration_error.unwrap(),
            (edge + edge * 0.5 - 1.0).abs() / 2.0,
        );
    }

    fn rows() -> impl Strategy<Value = Vec<(bool, f64)>> {
        let score = prop_oneof![(0..=8_u8).prop_map(|k| f64::from(k) / 8.0), 0.0..=1.0_f64];
        prop::collection::vec((any::<bool>(), score), 1..60)
    }

    proptest! {
        #[test]
        fn the_area_is_the_share_of_won_pairs(rows in rows()) {
            let (mut won, mut pairs) = (0.0, 0.0);
            for (_, high) in rows.iter().filter(|row| row.0) {
                for (_, low) in rows.iter().filter(|row| !row.0) {
                    pairs += 1.0;
                    won += if high > low { 1.0 } else if high < low { 0.0 } else { 0.5 };
                }
            }
            match measured(&rows).roc_auc {
                Some(area) => prop_assert!((area - won / pairs).abs() < 1e-12),
                None => prop_assert!(pairs == 0.0),
            }
        }

        #[test]
        fn everything_stays_in_its_range(rows in rows()) {
            let found = measured(&rows);
            for value in [found.brier, found.expected_calibration_error] {
                prop_assert!((0.0..=1.0).contains(&value.unwrap()));
            }
            let loss = found.log_loss.unwrap();
            prop_assert!(loss >= 0.0 && loss.is_finite());
            prop_assert_eq!(found.confusion.rows(), rows.len() as u64);
        }
    }
}
