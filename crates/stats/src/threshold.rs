//! Choosing the score from which on a row is predicted positive.

use serde::{Deserialize, Serialize};

use crate::performance::Confusion;
use crate::sum::{real, share};

/// By what a threshold is chosen on validation rows. Of thresholds that are as good the greatest is taken.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThresholdRule {
    /// The greatest F1.
    MaxF1,
    /// The greatest recall less false positive rate.
    MaxYouden,
    /// The greatest threshold whose recall is at least this.
    Recall(f64),
    /// Of the thresholds whose precision is at least this, the one with the greatest recall.
    Precision(f64),
    /// The least cost of errors.
    Cost {
        /// What a false positive costs.
        false_positive: f64,
        /// What a false negative costs.
        false_negative: f64,
    },
}

/// Why no threshold can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ThresholdError {
    /// The rows are of one class.
    #[error("the validation rows are not of both classes")]
    OneClass,
    /// The precision that is asked for is reached nowhere.
    #[error("no threshold reaches the precision that is asked for")]
    OutOfReach,
}

/// Chooses a threshold among the distinct scores, and one above all of them where that costs least.
///
/// # Errors
/// [`ThresholdError`] when the rows are not of both classes, or the rule cannot be met.
pub fn choose(rule: ThresholdRule, labels: &[bool], scores: &[f64]) -> Result<f64, ThresholdError> {
    let mut rows: Vec<(f64, bool)> = scores
        .iter()
        .map(|score| score + 0.0)
        .zip(labels.iter().copied())
        .collect();
    rows.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    let positives = labels.iter().filter(|label| **label).count() as u64;
    let negatives = labels.len() as u64 - positives;
    if positives == 0 || negatives == 0 {
        return Err(ThresholdError::OneClass);
    }
    let mut confusion = Confusion {
        false_negatives: positives,
        true_negatives: negatives,
        ..Confusion::default()
    };
    let mut best: Option<(f64, f64)> = None;
    let mut offer = |threshold: f64, worth: Option<f64>| {
        if let Some(worth) = worth
            && best.is_none_or(|(most, _)| worth > most)
        {
            best = Some((worth, threshold));
        }
    };
    if let (ThresholdRule::Cost { .. }, Some((greatest, _))) = (rule, rows.first()) {
        offer(greatest + greatest.abs().max(1.0), worth(rule, confusion));
    }
    for ties in rows.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
        let hits = ties.iter().filter(|(_, label)| *label).count() as u64;
        let misses = ties.len() as u64 - hits;
        confusion.true_positives += hits;
        confusion.false_negatives -= hits;
        confusion.false_positives += misses;
        confusion.true_negatives -= misses;
        if let Some((score, _)) = ties.first() {
            offer(*score, worth(rule, confusion));
        }
    }
    best.map(|(_, threshold)| threshold)
        .ok_or(ThresholdError::OutOfReach)
}

/// Returns what a rule makes as great as it can; `None` where it is not met.
fn worth(rule: ThresholdRule, confusion: Confusion) -> Option<f64> {
    let hits = confusion.true_positives;
    let recall = share(hits, confusion.positives())?;
    match rule {
        ThresholdRule::MaxF1 => share(2 * hits, confusion.selected() + confusion.positives()),
        // TPR − FPR times both denominators: whole numbers, so that what is equal is equal.
        ThresholdRule::MaxYouden => Some(
            real(hits) * real(confusion.negatives())
                - real(confusion.false_positives) * real(confusion.positives()),
        ),
        // The first that meets it is the greatest.
        ThresholdRule::Recall(least) => (recall >= least).then_some(0.0),
        ThresholdRule::Precision(least) => {
            (share(hits, confusion.selected())? >= least).then_some(recall)
        }
        ThresholdRule::Cost {
            false_positive,
            false_negative,
        } => Some(
            -(false_positive * real(confusion.false_positives)
                + false_negative * real(confusion.false_negatives)),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: [bool; 6] = [true, true, false, true, false, false];
    const SCORES: [f64; 6] = [0.9, 0.8, 0.7, 0.6, 0.4, 0.1];

    #[track_caller]
    fn check(rule: ThresholdRule, expected: f64) {
        assert_eq!(choose(rule, &LABELS, &SCORES), Ok(expected));
    }

    #[test]
    fn each_rule_chooses_what_it_says() {
        check(ThresholdRule::MaxF1, 0.6);
        check(ThresholdRule::MaxYouden, 0.8);
        check(ThresholdRule::Recall(0.7), 0.6);
        check(ThresholdRule::Recall(0.6), 0.8);
        check(ThresholdRule::Precision(0.75), 0.6);
        check(ThresholdRule::Precision(0.9), 0.8);
        let cost = |false_positive, false_negative| ThresholdRule::Cost {
            false_positive,
            false_negative,
        };
        check(cost(1.0, 5.0), 0.6);
        check(cost(5.0, 1.0), 0.8);
        check(cost(0.0, 1.0), 0.6);
        check(cost(1.0, 0.0), 1.9);
    }

    #[test]
    fn what_cannot_be_chosen_is_refused() {
        let one = choose(ThresholdRule::MaxF1, &[true, true], &[0.1, 0.2]);
        assert_eq!(one, Err(ThresholdError::OneClass));
        let far = choose(ThresholdRule::Precision(0.9), &[false, true], &[0.9, 0.1]);
        assert_eq!(far, Err(ThresholdError::OutOfReach));
    }
}
