//! How a classifier treats groups of people, and how far apart the groups are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::performance::Confusion;
use crate::rate::{Interval, Rate, difference};

/// How many rows a group needs before it is compared with others.
///
/// In a group of five one person moves a rate by a fifth; without the guard such groups decide every
/// difference. What is too small is reported, with its intervals, and left out of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Guard {
    /// The fewest rows of a group that is compared.
    pub min_rows: u64,
    /// The fewest positive rows of a group that is compared.
    pub min_positives: u64,
}

impl Default for Guard {
    /// At least 30 rows and 10 positive rows.
    fn default() -> Self {
        Self {
            min_rows: 30,
            min_positives: 10,
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

/// The rows that share a value of one attribute, or the values of two.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The value of each attribute, in the order of the grouping's attributes.
    pub values: Vec<String>,
    /// Whether the group is compared.
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
    fn new(values: Vec<String>, confusion: Confusion, guard: Guard) -> Self {
        let (n, positives) = (confusion.rows(), confusion.positives());
        let (negatives, selected) = (confusion.negatives(), confusion.selected());
        let enough = n >= guard.min_rows && positives >= guard.min_positives;
        Self {
            values,
            support: if enough {
                Support::Sufficient
            } else {
                Support::Insufficient
            },
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

/// The rate that a comparison is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compared {
    /// The share of rows predicted positive.
    SelectionRate,
    /// The share of the positive rows predicted positive.
    TruePositiveRate,
    /// The share of the negative rows predicted positive.
    FalsePositiveRate,
    /// The share of the rows predicted positive that are.
    PositivePredictiveValue,
}

impl Compared {
    const fn of(self, group: &Group) -> &Rate {
        match self {
            Self::SelectionRate => &group.selection_rate,
            Self::TruePositiveRate => &group.true_positive_rate,
            Self::FalsePositiveRate => &group.false_positive_rate,
            Self::PositivePredictiveValue => &group.positive_predictive_value,
        }
    }
}

/// The distance of the two groups that lie farthest apart in one rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// A difference (greatest less least rate) or a ratio (least by greatest), in `0..=1`.
    ///
    /// `None` when it cannot be told: fewer than two groups have the rate, or the ratio is 0/0.
    pub value: Option<f64>,
    /// Newcombe's interval of 95 % for a difference of these two groups; none for a ratio. It does
    /// not account for the two having been picked as the extremes.
    pub interval: Option<Interval>,
    /// The rate that was compared.
    pub rate: Compared,
    /// The group with the least rate.
    pub lowest: Option<Vec<String>>,
    /// The group with the greatest rate.
    pub highest: Option<Vec<String>>,
}

/// How far apart the groups of one attribute, or of two, are.
///
/// Definitions as in fairlearn's `MetricFrame` with `agg="worst_case"`, save for three cases in which a
/// number would mislead: groups under the [`Guard`] take no part, a rate 0/0 is no rate (fairlearn
/// takes it for 0, then the worst), and one group alone has no difference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fairness {
    /// The number of groups that are compared.
    pub groups_compared: u64,
    /// The number of rows in them.
    pub rows_compared: u64,
    /// The groups that are too small to be compared.
    pub insufficient: Vec<Vec<String>>,
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

/// Counts the rows of each group of `columns`, the attributes' values by row; groups in byte order.
pub(crate) fn groups(columns: &[&[String]], outcomes: &[(bool, bool)], guard: Guard) -> Vec<Group> {
    let mut counts: BTreeMap<Vec<&str>, Confusion> = BTreeMap::new();
    for (row, (label, predicted)) in outcomes.iter().enumerate() {
        let key = columns
            .iter()
            .filter_map(|values| values.get(row).map(String::as_str))
            .collect();
        counts.entry(key).or_default().count(*label, *predicted);
    }
    counts
        .into_iter()
        .map(|(key, confusion)| {
            let values = key.into_iter().map(str::to_owned).collect();
            Group::new(values, confusion, guard)
        })
        .collect()
}

/// Compares the groups that are large enough.
pub(crate) fn compare(groups: &[Group]) -> Fairness {
    let (compared, small): (Vec<_>, Vec<_>) = groups
        .iter()
        .partition(|group| group.support == Support::Sufficient);
    let gap = |rate, distance| Extremes::find(&compared, rate).gap(rate, distance);
    let both = |distance| {
        worse(
            gap(Compared::TruePositiveRate, distance),
            gap(Compared::FalsePositiveRate, distance),
            distance,
        )
    };
    Fairness {
        groups_compared: compared.len() as u64,
        rows_compared: compared.iter().map(|group| group.n).sum(),
        insufficient: small.iter().map(|group| group.values.clone()).collect(),
        demographic_parity_difference: gap(Compared::SelectionRate, Distance::Difference),
        demographic_parity_ratio: gap(Compared::SelectionRate, Distance::Ratio),
        equalized_odds_difference: both(Distance::Difference),
        equalized_odds_ratio: both(Distance::Ratio),
        equal_opportunity_difference: gap(Compared::TruePositiveRate, Distance::Difference),
        predictive_parity_difference: gap(Compared::PositivePredictiveValue, Distance::Difference),
    }
}

/// How the distance of two rates is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Distance {
    Difference,
    Ratio,
}

/// The groups with the least and the greatest value of a rate; the first of equals.
struct Extremes<'a> {
    ends: Option<(&'a Group, &'a Group)>,
}

impl<'a> Extremes<'a> {
    fn find(groups: &[&'a Group], rate: Compared) -> Self {
        let value = |group: &Group| rate.of(group).value.unwrap_or(f64::NAN);
        let told: Vec<&Group> = groups
            .iter()
            .copied()
            .filter(|group| rate.of(group).value.is_some())
            .collect();
        let least = told
            .iter()
            .copied()
            .reduce(|a, b| if value(b) < value(a) { b } else { a });
        let greatest = told
            .iter()
            .copied()
            .reduce(|a, b| if value(b) > value(a) { b } else { a });
        Self {
            ends: least.zip(greatest).filter(|_| told.len() > 1),
        }
    }

    fn gap(&self, rate: Compared, distance: Distance) -> Gap {
        let rates = self
            .ends
            .map(|(least, greatest)| (rate.of(least), rate.of(greatest)));
        let values = rates.and_then(|(least, greatest)| least.value.zip(greatest.value));
        let (value, interval) = match distance {
            Distance::Difference => (
                values.map(|(least, greatest)| greatest - least),
                rates.and_then(|(least, greatest)| difference(greatest, least)),
            ),
            Distance::Ratio => (
                values
                    .filter(|(_, greatest)| *greatest > 0.0)
                    .map(|(least, greatest)| least / greatest),
                None,
            ),
        };
        Gap {
            value,
            interval,
            rate,
            lowest: self.ends.map(|(least, _)| least.values.clone()),
            highest: self.ends.map(|(_, greatest)| greatest.values.clone()),
        }
    }
}

/// Returns the gap that speaks more against the classifier; one that cannot be told speaks most.
fn worse(a: Gap, b: Gap, distance: Distance) -> Gap {
    let (Some(x), Some(y)) = (a.value, b.value) else {
        return if a.value.is_none() { a } else { b };
    };
    let second = match distance {
        Distance::Difference => y > x,
        Distance::Ratio => y < x,
    };
    if second { b } else { a }
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
        Group::new(vec![name.to_owned()], confusion, Guard::default())
    }

    #[test]
    fn two_groups_by_hand() {
        // Selection 50/100 and 20/100; true positive 40/50 and 10/20; false positive 10/50 and 10/80.
        let found = compare(&[group("a", 40, 10, 10, 40), group("b", 10, 10, 10, 70)]);
        assert_eq!(found.demographic_parity_difference.value, Some(0.5 - 0.2));
        assert_eq!(
            found.demographic_parity_difference.lowest,
            Some(vec!["b".to_owned()])
        );
        assert_eq!(
            found.demographic_parity_difference.highest,
            Some(vec!["a".to_owned()])
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
        for small in [
            group("tiny", 5, 0, 0, 0),
            group("no positives", 0, 90, 0, 10),
            group("29 rows", 0, 0, 15, 14),
            group("9 positives", 0, 0, 9, 91),
        ] {
            let name = small.values.clone();
            let mut all = fair.to_vec();
            all.push(small);
            let found = compare(&all);
            assert_eq!(found.insufficient, vec![name]);
            assert_eq!(found.demographic_parity_difference.value, Some(0.0));
            assert_eq!(found.equalized_odds_ratio.value, Some(1.0));
            assert_eq!(found.rows_compared, 200);
        }
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
        // Nobody is selected: no ratio, and no difference in the rate of the selected.
        let nobody = compare(&[group("a", 0, 0, 50, 50), group("b", 0, 0, 40, 60)]);
        assert_eq!(nobody.demographic_parity_difference.value, Some(0.0));
        assert_eq!(nobody.demographic_parity_ratio.value, None);
        assert_eq!(nobody.equalized_odds_ratio.value, None);
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
