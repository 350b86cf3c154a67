//! Models that predict a number.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::evaluation::Predicted;
use crate::fairness::{Compared, Distance, Entrant, Gap, GroupValues, Guard, Support, farthest};
use crate::groups::{ByGrouping, Gaps, Groupings};
use crate::quantile::quantile;
use crate::sum::{Sum, real};

/// The quantiles of the residuals that are told.
pub const RESIDUAL_QUANTILES: [(&str, f64); 7] = [
    ("q01", 0.01),
    ("q05", 0.05),
    ("q25", 0.25),
    ("q50", 0.5),
    ("q75", 0.75),
    ("q95", 0.95),
    ("q99", 0.99),
];

/// How far predicted numbers lie from the truth. A residual is truth less prediction. `None` is 0/0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegressionPerformance {
    /// The mean of the residuals' magnitudes.
    pub mae: f64,
    /// The mean of the residuals' squares.
    pub mse: f64,
    /// Its root.
    pub rmse: f64,
    /// `1 − Σ(y − ŷ)² / Σ(y − ȳ)²`; `None` where the truth is the same in all rows.
    pub r2: Option<f64>,
    /// `1 − Var(y − ŷ) / Var(y)`; `None` where the truth is the same in all rows.
    pub explained_variance: Option<f64>,
    /// The median of the residuals' magnitudes.
    pub median_absolute_error: f64,
    /// The greatest of the residuals' magnitudes.
    pub max_error: f64,
    /// The mean of `|y − ŷ| / |y|`; `None` where the truth of a row is 0.
    pub mape: Option<f64>,
    /// The mean of the residuals: above 0 the model says too little.
    pub mean_residual: f64,
    /// Quantiles of the residuals, by linear interpolation.
    pub residual: BTreeMap<String, f64>,
}

/// The rows of a group, for predicted numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegressionGroup {
    /// Its values.
    pub values: GroupValues,
    /// Whether it has the rows to be compared.
    pub support: Support,
    /// The number of rows.
    pub n: u64,
    /// The mean of the truth.
    pub mean: f64,
    /// The mean of the residuals' magnitudes.
    pub mae: f64,
    /// The root of the mean of the residuals' squares.
    pub rmse: f64,
    /// The mean of the residuals.
    pub mean_residual: f64,
}

fn mean(values: impl Iterator<Item = f64>, n: f64) -> f64 {
    values.collect::<Sum>().value() / n
}

/// Measures predicted numbers; at least one row.
pub(crate) fn measure(input: &Predicted<'_>) -> RegressionPerformance {
    let n = real(input.truth.len() as u64);
    let rows = || {
        input
            .truth
            .iter()
            .copied()
            .zip(input.predicted.iter().copied())
    };
    let residuals: Vec<f64> = rows().map(|(y, said)| y - said).collect();
    let all = || residuals.iter().copied();
    let mse = mean(all().map(|r| r * r), n);
    let mean_residual = mean(all(), n);
    let middle = mean(input.truth.iter().copied(), n);
    let spread = mean(input.truth.iter().map(|y| (y - middle).powi(2)), n);
    let varied = mean(all().map(|r| (r - mean_residual).powi(2)), n);
    let constant = input.truth.iter().all(|y| input.truth.first() == Some(y));
    let of_spread = |part: f64| (!constant && spread > 0.0).then(|| 1.0 - part / spread);
    let mut sorted = residuals.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    let mut sizes: Vec<f64> = all().map(f64::abs).collect();
    sizes.sort_unstable_by(f64::total_cmp);
    let defined = input.truth.iter().all(|y| *y != 0.0);
    RegressionPerformance {
        mae: mean(all().map(f64::abs), n),
        mse,
        rmse: mse.sqrt(),
        r2: of_spread(mse),
        explained_variance: of_spread(varied),
        median_absolute_error: quantile(&sizes, 0.5).unwrap_or(f64::NAN),
        max_error: sizes.last().copied().unwrap_or(f64::NAN),
        mape: defined.then(|| mean(rows().map(|(y, said)| (y - said).abs() / y.abs()), n)),
        mean_residual,
        residual: RESIDUAL_QUANTILES
            .iter()
            .filter_map(|(name, share)| Some(((*name).to_owned(), quantile(&sorted, *share)?)))
            .collect(),
    }
}

/// Measures the groups and compares them.
pub(crate) fn compare(
    input: &Predicted<'_>,
    groupings: &Groupings,
    guard: Guard,
) -> (ByGrouping<Vec<RegressionGroup>>, ByGrouping<Gaps>) {
    let (mut groups, mut fairness) = (BTreeMap::new(), BTreeMap::new());
    for (name, parts) in groupings {
        let found: Vec<_> = parts
            .iter()
            .map(|(values, rows)| group(input, values, rows, guard))
            .collect();
        fairness.insert(name.clone(), distances(&found, guard));
        groups.insert(name.clone(), found);
    }
    (groups, fairness)
}

fn group(
    input: &Predicted<'_>,
    values: &GroupValues,
    rows: &[usize],
    guard: Guard,
) -> RegressionGroup {
    let pick = |from: &[f64]| -> Vec<f64> {
        rows.iter()
            .filter_map(|row| from.get(*row).copied())
            .collect()
    };
    let (truth, predicted) = (pick(input.truth), pick(input.predicted));
    let n = real(rows.len() as u64);
    let found = measure(&Predicted {
        truth: &truth,
        predicted: &predicted,
    });
    RegressionGroup {
        values: values.clone(),
        support: Support::of(rows.len() as u64, guard.min_rows),
        n: rows.len() as u64,
        mean: mean(truth.iter().copied(), n),
        mae: found.mae,
        rmse: found.rmse,
        mean_residual: found.mean_residual,
    }
}

fn distances(groups: &[RegressionGroup], guard: Guard) -> BTreeMap<String, Gap> {
    type Of = fn(&RegressionGroup) -> f64;
    let (mae, rmse, bias): (Of, Of, Of) = (
        |group| group.mae,
        |group| group.rmse,
        |group| group.mean_residual,
    );
    let gap = |compared, distance, value: Of| {
        let entrants: Vec<_> = groups
            .iter()
            .map(|group| Entrant {
                values: &group.values,
                value: Some(value(group)),
                of: group.n,
                rate: None,
            })
            .collect();
        farthest(&entrants, compared, guard.min_rows, distance)
    };
    let (difference, ratio) = (Distance::Difference, Distance::Ratio);
    BTreeMap::from([
        (
            "mae_difference".to_owned(),
            gap(Compared::MeanAbsoluteError, difference, mae),
        ),
        (
            "mae_ratio".to_owned(),
            gap(Compared::MeanAbsoluteError, ratio, mae),
        ),
        (
            "rmse_difference".to_owned(),
            gap(Compared::RootMeanSquaredError, difference, rmse),
        ),
        (
            "mean_residual_difference".to_owned(),
            gap(Compared::MeanResidual, difference, bias),
        ),
    ])
}
