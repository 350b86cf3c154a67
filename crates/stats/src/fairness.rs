//! How a classifier treats groups of people, and how far apart the groups are.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::performance::Confusion;
use crate::rate::{Interval, Rate, difference};

/// The value of each attribute of a group, in the order of the grouping's attributes. What is missing (null or not a
/// number) is `None`; the empty text and the text `null` are values.
pub type GroupValues = Vec<Option<String>>;

/// How many rows a group needs before it is compared with others.
///
/// In a group of five one person moves a rate by a fifth; without the guard such groups decide every
/// difference. What is too small is reported, with its intervals, and left out of the comparison. Each measure looks
/// at its own denominator: a group of 5,000 rows without a positive one takes part in what is about rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Guard {
    /// The fewest rows, where a measure is about all rows: selection rates, accuracy, errors of numbers.
    pub min_rows: u64,
    /// The fewest positive rows, where it is about those: true positive rates, recall of a class.
    pub min_positives: u64,
    /// The fewest negative rows, where it is about those: false positive rates.
    pub min_negatives: u64,
    /// The fewest rows predicted positive, where it is about those: positive predictive values.
    pub min_selected: u64,
}

impl Default for Guard {
    /// At least 30 rows, and 10 of what a measure is about otherwise.
    fn default() -> Self {
        Self {
            min_rows: 30,
            min_positives: 10,
            min_negatives: 10,
            min_selected: 10,
        }
    }
}

/// Whether a group is large enough to be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Support {
    /// The group takes part in the comparison.
    Sufficient,
    /// The group is too small: it is listed, and takes no part.
    Insufficient,
}

impl Support {
    pub(crate) const fn of(n: u64, least: u64) -> Self {
        if n >= least {
            Self::Sufficient
        } else {
            Self::Insufficient
        }
    }
}

/// The rows that share a value of one attribute, or the values of two.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its values.
    pub values: GroupValues,
    /// Whether it has the rows to be compared in what is about rows.
    pub support: Support,
    /// The number of rows.
    pub n: u64,
    /// The number of positive rows.
    pub positives: u64,
    /// The counts behind the rates.
    pub confusion: Confusion,
    /// Positive rows of all.
    pub base_rate: Rate,
    /// Rows predicted positive of all.
    pub selection_rate: Rate,
    /// Rows predicted positive of the positive ones: sensitivity, recall.
    pub true_positive_rate: Rate,
    /// Rows predicted positive of the negative ones.
    pub false_positive_rate: Rate,
    /// Rows predicted negative of the positive ones.
    pub false_negative_rate: Rate,
    /// Rows predicted negative of the negative ones: specificity.
    pub true_negative_rate: Rate,
    /// Positive rows of those predicted positive: precision.
    pub positive_predictive_value: Rate,
    /// Rows predicted right of all.
    pub accuracy: Rate,
}

impl Group {
    fn new(values: GroupValues, confusion: Confusion, guard: Guard) -> Self {
        let (n, positives) = (confusion.rows(), confusion.positives());
        let (negatives, selected) = (confusion.negatives(), confusion.selected());
        Self {
            values,
            support: Support::of(n, guard.min_rows),
            n,
            positives,
            confusion,
            base_rate: Rate::new(positives, n),
            selection_rate: Rate::new(selected, n),
            true_positive_rate: Rate::new(confusion.true_positives, positives),
            false_positive_rate: Rate::new(confusion.false_positives, negatives),
            false_negative_rate: Rate::new(confusion.false_negatives, positives),
            true_negative_rate: Rate::new(confusion.true_negatives, negatives),
            positive_predictive_value: Rate::new(confusion.true_positives, selected),
            accuracy: Rate::new(confusion.right(), n),
        }
    }
}

/// What a comparison is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compared {
    /// The share of rows predicted positive, or as a class.
    SelectionRate,
    /// The share of the positive rows predicted positive.
    TruePositiveRate,
    /// The share of the negative rows predicted positive.
    FalsePositiveRate,
    /// The share of the rows predicted positive that are.
    PositivePredictiveValue,
    /// The share of rows predicted right.
    Accuracy,
    /// The share of the rows of a class predicted as it.
    Recall,
    /// The mean absolute error.
    MeanAbsoluteError,
    /// The root of the mean squared error.
    RootMeanSquaredError,
    /// The mean of truth less prediction.
    MeanResidual,
}

/// The distance of the two groups that lie farthest apart in one measure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// A difference (greatest less least) or a ratio (least by greatest; 1 where both are 0).
    ///
    /// `None` when it cannot be told: fewer than two groups that are large enough.
    pub value: Option<f64>,
    /// Newcombe's interval of 95 % for a difference of these two groups' rates; none for a ratio, and none for what
    /// is no rate. It does not account for the two having been picked as the extremes.
    pub interval: Option<Interval>,
    /// What was compared.
    pub rate: Compared,
    /// The class that it is about, with more than two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The group with the least.
    pub lowest: Option<GroupValues>,
    /// The group with the greatest.
    pub highest: Option<GroupValues>,
    /// The groups that are too small for this comparison, and took no part.
    #[serde(default)]
    pub insufficient: Vec<GroupValues>,
}

/// How far apart the groups of one attribute, or of two, are.
///
/// Definitions as in fairlearn's `MetricFrame` with `agg="worst_case"`, save for four cases in which a
/// number would mislead: groups under the [`Guard`] take no part, a rate 0/0 is no rate (fairlearn
/// takes it for 0, then the worst), one group alone has no difference (fairlearn: 0), and the ratio of two rates
/// that are both 0 is 1, for they are equal (fairlearn: not a number).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fairness {
    /// The number of groups with enough rows.
    pub groups_compared: u64,
    /// The number of rows in them.
    pub rows_compared: u64,
    /// The groups that are left out of at least one of the comparisons.
    pub insufficient: Vec<GroupValues>,
    /// Greatest less least selection rate.
    pub demographic_parity_difference: Gap,
    /// Least by greatest selection rate; the four-fifths rule asks for 0.8.
    pub demographic_parity_ratio: Gap,
    /// The greater of the differences of true and of false positive rates.
    pub equalized_odds_difference: Gap,
    /// The lesser of the ratios of true and of false positive rates.
    pub equalized_odds_ratio: Gap,
    /// Greatest less least true positive rate.
    pub equal_opportunity_difference: Gap,
    /// Greatest less least positive predictive value.
    pub predictive_parity_difference: Gap,
}

/// Lists the rows of each group of `columns`, the attributes' values by row; what is missing first, then in byte
/// order.
pub(crate) fn partition(
    columns: &[&[Option<String>]],
    rows: usize,
) -> Vec<(GroupValues, Vec<usize>)> {
    let mut found: BTreeMap<Vec<Option<&str>>, Vec<usize>> = BTreeMap::new();
    for row in 0..rows {
        let key = columns
            .iter()
            .filter_map(|values| values.get(row).map(Option::as_deref))
            .collect();
        found.entry(key).or_default().push(row);
    }
    found
        .into_iter()
        .map(|(key, rows)| {
            let values = key.into_iter().map(|value| value.map(str::to_owned));
            (values.collect(), rows)
        })
        .collect()
}

/// Counts the rows of each group.
pub(crate) fn groups(
    parts: &[(GroupValues, Vec<usize>)],
    outcomes: &[(bool, bool)],
    guard: Guard,
) -> Vec<Group> {
    let count = |rows: &[usize]| {
        let mut confusion = Confusion::default();
        for (label, predicted) in rows.iter().filter_map(|row| outcomes.get(*row)) {
            confusion.count(*label, *predicted);
        }
        confusion
    };
    parts
        .iter()
        .map(|(values, rows)| Group::new(values.clone(), count(rows), guard))
        .collect()
}

/// What one group brings to a comparison.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entrant<'a> {
    pub(crate) values: &'a GroupValues,
    pub(crate) value: Option<f64>,
    /// How many rows it rests on.
    pub(crate) of: u64,
    /// The rate that it is, if it is one.
    pub(crate) rate: Option<&'a Rate>,
}

impl<'a> Entrant<'a> {
    pub(crate) const fn rate(values: &'a GroupValues, rate: &'a Rate) -> Self {
        Self {
            values,
            value: rate.value,
            of: rate.of,
            rate: Some(rate),
        }
    }
}

/// Compares the groups that are large enough.
pub(crate) fn compare(groups: &[Group], guard: Guard) -> Fairness {
    let enough = || {
        groups
            .iter()
            .filter(|group| group.support == Support::Sufficient)
    };
    let gap = |compared, distance| {
        let (rate, least): (fn(&Group) -> &Rate, u64) = match compared {
            Compared::TruePositiveRate => (|group| &group.true_positive_rate, guard.min_positives),
            Compared::FalsePositiveRate => {
                (|group| &group.false_positive_rate, guard.min_negatives)
            }
            Compared::PositivePredictiveValue => {
                (|group| &group.positive_predictive_value, guard.min_selected)
            }
            _ => (|group| &group.selection_rate, guard.min_rows),
        };
        let entrants: Vec<_> = groups
            .iter()
            .map(|group| Entrant::rate(&group.values, rate(group)))
            .collect();
        farthest(&entrants, compared, least, distance)
    };
    let both = |distance| {
        worse(
            gap(Compared::TruePositiveRate, distance),
            gap(Compared::FalsePositiveRate, distance),
            distance,
        )
    };
    let mut fairness = Fairness {
        groups_compared: enough().count() as u64,
        rows_compared: enough().map(|group| group.n).sum(),
        insufficient: Vec::new(),
        demographic_parity_difference: gap(Compared::SelectionRate, Distance::Difference),
        demographic_parity_ratio: gap(Compared::SelectionRate, Distance::Ratio),
        equalized_odds_difference: both(Distance::Difference),
        equalized_odds_ratio: both(Distance::Ratio),
        equal_opportunity_difference: gap(Compared::TruePositiveRate, Distance::Difference),
        predictive_parity_difference: gap(Compared::PositivePredictiveValue, Distance::Difference),
    };
    fairness.insufficient = together(&[
        &fairness.demographic_parity_difference,
        &fairness.equalized_odds_difference,
        &fairness.predictive_parity_difference,
    ]);
    fairness
}

/// Lists the groups that are left out of one of the gaps, each once, in order.
pub(crate) fn together(gaps: &[&Gap]) -> Vec<GroupValues> {
    let all: BTreeSet<_> = gaps.iter().flat_map(|gap| &gap.insufficient).collect();
    all.into_iter().cloned().collect()
}

/// How the distance of two values is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Distance {
    Difference,
    Ratio,
}

/// Finds the two groups that lie farthest apart among those that rest on at least `least` rows; the first of equals.
pub(crate) fn farthest(
    entrants: &[Entrant<'_>],
    compared: Compared,
    least: u64,
    distance: Distance,
) -> Gap {
    let (large, small): (Vec<&Entrant<'_>>, Vec<&Entrant<'_>>) = entrants
        .iter()
        .partition(|entrant| entrant.of >= least.max(1));
    let told: Vec<_> = large
        .into_iter()
        .filter_map(|entrant| Some((entrant.value?, entrant)))
        .collect();
    let lowest = told
        .iter()
        .copied()
        .reduce(|a, b| if b.0 < a.0 { b } else { a });
    let highest = told
        .iter()
        .copied()
        .reduce(|a, b| if b.0 > a.0 { b } else { a });
    let ends = lowest.zip(highest).filter(|_| told.len() > 1);
    let value = ends.map(|((low, _), (high, _))| match distance {
        Distance::Difference => high - low,
        Distance::Ratio if high > 0.0 => low / high,
        Distance::Ratio => 1.0,
    });
    let interval = ends.and_then(|((_, low), (_, high))| {
        (distance == Distance::Difference).then_some(())?;
        difference(high.rate?, low.rate?)
    });
    Gap {
        value,
        interval,
        rate: compared,
        class: None,
        lowest: ends.map(|((_, low), _)| low.values.clone()),
        highest: ends.map(|(_, (_, high))| high.values.clone()),
        insufficient: small.iter().map(|entrant| entrant.values.clone()).collect(),
    }
}

/// Returns the gap that speaks more against the model; one that cannot be told speaks most. What either leaves out
/// is left out.
pub(crate) fn worse(a: Gap, b: Gap, distance: Distance) -> Gap {
    let insufficient = together(&[&a, &b]);
    let second = match (a.value, b.value) {
        (None, _) => false,
        (_, None) => true,
        (Some(x), Some(y)) => match distance {
            Distance::Difference => y > x,
            Distance::Ratio => y < x,
        },
    };
    Gap {
        insufficient,
        ..if second { b } else { a }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A group from its confusion: true and false positives, false and true negatives.
    fn group(name: &str, tp: u64, fp: u64, fn_: u64, tn: u64) -> Group {
        let confusion = Confusion {
            true_positives: tp,
            false_positives: fp,
            false_negatives: fn_,
            true_negatives: tn,
        };
        Group::new(vec![Some(name.to_owned())], confusion, Guard::default())
    }

    fn compare(groups: &[Group]) -> Fairness {
        super::compare(groups, Guard::default())
    }

    #[test]
    fn two_groups_by_hand() {
        // Selection 50/100 and 20/100; true positive 40/50 and 10/20; false positive 10/50 and 10/80.
        let found = compare(&[group("a", 40, 10, 10, 40), group("b", 10, 10, 10, 70)]);
        assert_eq!(found.demographic_parity_difference.value, Some(0.5 - 0.2));
        assert_eq!(
            found.demographic_parity_difference.lowest,
            Some(vec![Some("b".to_owned())])
        );
        assert_eq!(
            found.demographic_parity_difference.highest,
            Some(vec![Some("a".to_owned())])
        );
        assert_eq!(found.demographic_parity_ratio.value, Some(0.2 / 0.5));
        assert_eq!(found.equal_opportunity_difference.value, Some(0.8 - 0.5));
        assert_eq!(found.equalized_odds_difference.value, Some(0.8 - 0.5));
        assert_eq!(
            found.equalized_odds_difference.rate,
            Compared::TruePositiveRate
        );
        assert_eq!(found.equalized_odds_ratio.value, Some(0.625));
        assert_eq!(found.predictive_parity_difference.value, Some(0.8 - 0.5));
        assert_eq!((found.groups_compared, found.rows_compared), (2, 200));
    }

    #[test]
    fn equalised_odds_take_the_worse_of_the_two_rates() {
        let found = compare(&[group("a", 25, 40, 25, 10), group("b", 25, 5, 25, 45)]);
        assert_eq!(
            found.equalized_odds_difference.rate,
            Compared::FalsePositiveRate
        );
        assert_eq!(found.equalized_odds_difference.value, Some(0.8 - 0.1));
        assert_eq!(found.equal_opportunity_difference.value, Some(0.0));
    }

    #[test]
    fn a_small_group_is_listed_and_decides_nothing() {
        let fair = [group("a", 40, 10, 10, 40), group("b", 40, 10, 10, 40)];
        let mut all = fair.to_vec();
        all.push(group("tiny", 5, 0, 0, 0));
        let found = compare(&all);
        let tiny = vec![vec![Some("tiny".to_owned())]];
        assert_eq!(found.insufficient, tiny);
        assert_eq!(found.demographic_parity_difference.insufficient, tiny);
        assert_eq!(found.demographic_parity_difference.value, Some(0.0));
        assert_eq!(found.equalized_odds_ratio.value, Some(1.0));
        assert_eq!(found.rows_compared, 200);
    }

    #[test]
    fn each_measure_looks_at_its_own_denominator() {
        // 5,000 rows of which none is positive, half selected: in every comparison but that of positives.
        let all = [
            group("a", 40, 0, 10, 50),
            group("b", 40, 0, 10, 50),
            group("c", 0, 2500, 0, 2500),
        ];
        let found = compare(&all);
        let c = vec![vec![Some("c".to_owned())]];
        assert_eq!(found.demographic_parity_difference.value, Some(0.5 - 0.4));
        assert!(found.demographic_parity_difference.insufficient.is_empty());
        assert_eq!(found.equal_opportunity_difference.insufficient, c);
        assert_eq!(found.equal_opportunity_difference.value, Some(0.0));
        assert_eq!(found.equalized_odds_difference.value, Some(0.5));
        assert_eq!(found.equalized_odds_difference.insufficient, c);
        assert_eq!(found.predictive_parity_difference.value, Some(1.0));
        assert_eq!(found.insufficient, c);
        // Without negative rows, or without selected ones, it is the others' turn.
        let found = compare(&[group("a", 40, 10, 10, 40), group("b", 90, 0, 9, 1)]);
        assert_eq!(found.equalized_odds_difference.insufficient.len(), 1);
        assert_eq!(found.equal_opportunity_difference.insufficient.len(), 0);
        let found = compare(&[group("a", 40, 10, 10, 40), group("b", 5, 4, 50, 50)]);
        assert_eq!(found.predictive_parity_difference.insufficient.len(), 1);
    }

    #[test]
    fn perfect_predictions_have_equal_odds() {
        let found = compare(&[group("a", 50, 0, 0, 50), group("b", 20, 0, 0, 80)]);
        assert_eq!(found.equalized_odds_ratio.value, Some(1.0));
        assert_eq!(found.equalized_odds_difference.value, Some(0.0));
    }

    #[test]
    fn exactly_the_guard_is_enough() {
        let limit = group("limit", 5, 10, 5, 10);
        assert_eq!(limit.support, Support::Sufficient);
    }

    #[test]
    fn what_cannot_be_told_has_no_number() {
        // One group alone, and groups of which one has no negative rows.
        let alone = compare(&[group("a", 40, 10, 10, 40)]);
        assert_eq!(alone.demographic_parity_difference.value, None);
        assert_eq!(alone.demographic_parity_difference.interval, None);
        let no_negatives = compare(&[group("a", 40, 10, 10, 40), group("b", 40, 0, 10, 0)]);
        assert_eq!(no_negatives.equalized_odds_difference.value, None);
        assert_eq!(no_negatives.equal_opportunity_difference.value, Some(0.0));
        // Nobody is selected: all rates are equal, and there is no rate of the selected.
        let nobody = compare(&[group("a", 0, 0, 50, 50), group("b", 0, 0, 40, 60)]);
        assert_eq!(nobody.demographic_parity_difference.value, Some(0.0));
        assert_eq!(nobody.demographic_parity_ratio.value, Some(1.0));
        assert_eq!(nobody.equalized_odds_ratio.value, Some(1.0));
        assert_eq!(nobody.predictive_parity_difference.value, None);
        assert_eq!(compare(&[]).equalized_odds_difference.value, None);
    }

    #[test]
    fn the_interval_of_a_gap_holds_the_gap() {
        let found = compare(&[group("a", 40, 10, 10, 40), group("b", 10, 10, 10, 70)]);
        let gap = found.demographic_parity_difference;
        let interval = gap.interval.unwrap();
        assert!(interval.low < 0.3 && 0.3 < interval.high);
        assert!(interval.low > 0.1 && interval.high < 0.45);
    }
}
