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
    /// `TP / (TP + FP)`.
    pub precision: Option<f64>,
    /// `TP / (TP + FN)`.
    pub recall: Option<f64>,
    /// `2·TP / (2·TP + FP + FN)`.
    pub f1: Option<f64>,
    /// The chance that a positive row scores above a negative one, ties counted half; `None` without
    /// rows of both classes.
    pub roc_auc: Option<f64>,
    /// The mean of `−ln p` of what was true, in nats; `p` is kept `ε = 2⁻⁵²` away from 0 and 1.
    pub log_loss: f64,
    /// The mean of `(p − y)²`.
    pub brier: f64,
    /// Over 15 bins of equal width, the mean distance of the mean score from the share of positives.
    pub expected_calibration_error: f64,
}

/// Measures scores in `0..=1` against labels of the same number; at least one row.
pub(crate) fn measure(labels: &[bool], scores: &[f64], confusion: Confusion) -> Performance {
    let n = real(confusion.rows());
    let rows = || labels.iter().copied().zip(scores.iter().copied());
    let log_loss: Sum = rows()
        .map(|(label, score)| surprise(label, score))
        .collect();
    let brier: Sum = rows()
        .map(|(label, score)| (score - truth(label)).powi(2))
        .collect();
    let hits = confusion.true_positives;
    Performance {
        confusion,
        accuracy: Rate::new(confusion.right(), confusion.rows()),
        precision: share(hits, confusion.selected()),
        recall: share(hits, confusion.positives()),
        f1: share(2 * hits, confusion.selected() + confusion.positives()),
        roc_auc: roc_auc(labels, scores),
        log_loss: log_loss.value() / n,
        brier: brier.value() / n,
        expected_calibration_error: calibration_gap(labels, scores) / n,
    }
}

const fn truth(label: bool) -> f64 {
    if label { 1.0 } else { 0.0 }
}

fn surprise(label: bool, score: f64) -> f64 {
    let given = if label { score } else { 1.0 - score };
    -given.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln()
}

/// Area under the receiver operating characteristic in its rank form:
/// `(Σ ranks of positives − P(P+1)/2) / (P·N)`, equal scores sharing their mean rank.
///
/// J. A. Hanley and B. J. `McNeil`, Radiology 143 (1982). The ranks are summed as integers (doubled, so
/// that mean ranks are whole), and so the result is one rounding away from the true one.
fn roc_auc(labels: &[bool], scores: &[f64]) -> Option<f64> {
    // Adding zero makes −0 into 0, which then ties with it.
    let mut rows: Vec<(f64, bool)> = scores
        .iter()
        .map(|score| score + 0.0)
        .zip(labels.iter().copied())
        .collect();
    rows.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let (mut before, mut positives, mut doubled_ranks) = (0_u128, 0_u128, 0_u128);
    for ties in rows.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
        let size = ties.len() as u128;
        let hits = ties.iter().filter(|(_, label)| *label).count() as u128;
        // Ranks before+1 ..= before+size have the mean before + (size+1)/2.
        doubled_ranks += hits * (2 * before + size + 1);
        positives += hits;
        before += size;
    }
    let pairs = 2 * positives * (before - positives);
    let doubled_wins = doubled_ranks - positives * (positives + 1);
    (pairs > 0).then(|| ratio_of_integers(doubled_wins, pairs))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "each of the two roundings is below 2^-53 of the value"
)]
fn ratio_of_integers(part: u128, whole: u128) -> f64 {
    part as f64 / whole as f64
}

/// `Σ_b |Σ p − Σ y|` over the bins `((b−1)/15, b/15]`; 0 belongs to the first.
///
/// C. Guo et al., "On calibration of modern neural networks", ICML 2017, with the score of the
/// positive class in place of the confidence, as `sklearn.calibration.calibration_curve` bins it.
fn calibration_gap(labels: &[bool], scores: &[f64]) -> f64 {
    let width = 1.0 / real(CALIBRATION_BINS as u64);
    let edges: [f64; CALIBRATION_BINS - 1] = std::array::from_fn(|i| real(i as u64 + 1) * width);
    let mut bins = [Sum::default(); CALIBRATION_BINS];
    for (label, score) in labels.iter().zip(scores) {
        let index = edges.partition_point(|edge| edge < score);
        if let Some(bin) = bins.get_mut(index) {
            bin.add(score - truth(*label));
        }
    }
    bins.iter()
        .map(|bin| bin.value().abs())
        .collect::<Sum>()
        .value()
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
        measure(&labels, &scores, confusion)
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
        near(found.brier, (0.01 + 0.36 + 0.36 + 0.01) / 4.0);
        near(found.log_loss, -(0.9_f64.ln() + 0.4_f64.ln()) / 2.0);
        near(
            found.expected_calibration_error,
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
        near(found.log_loss, -f64::EPSILON.ln());
        assert_eq!(found.roc_auc, Some(0.0));
    }

    #[test]
    fn an_edge_belongs_to_the_bin_below() {
        // 1/15 and 2/30 are one edge: with (0, 1/15] both scores share a bin and cancel out.
        let edge = 1.0 / 15.0;
        let found = measured(&[(false, edge), (true, edge * 0.5)]);
        near(
            found.expected_calibration_error,
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
                prop_assert!((0.0..=1.0).contains(&value));
            }
            prop_assert!(found.log_loss >= 0.0 && found.log_loss.is_finite());
            prop_assert_eq!(found.confusion.rows(), rows.len() as u64);
        }
    }
}
