//! The names under which gates ask an evaluation for its figures.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::evaluation::Evaluation;
use crate::fairness::{Fairness, Gap};
use crate::rate::Interval;

/// Which way a figure gets better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
}

/// A figure of an [`Evaluation`], as a gate sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// The figure; `None` when it could not be told, which a gate takes as not met.
    pub value: Option<f64>,
    /// Its interval of 95 %, where there is one.
    pub interval: Option<Interval>,
    /// Which way it gets better.
    pub better: Better,
    /// For a distance: the groups farthest apart and those too small to be compared.
    pub between: Option<Between>,
}

/// The groups behind a distance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Between {
    /// The group with the least rate.
    pub lowest: Option<Vec<String>>,
    /// The group with the greatest rate.
    pub highest: Option<Vec<String>>,
    /// The groups that are too small to be compared.
    pub insufficient: Vec<Vec<String>>,
}

impl Evaluation {
    /// Returns the figure with a name such as `roc_auc` or
    /// `fairness.SEX.demographic_parity_difference`; `None` when there is no such name or the
    /// evaluation does not know the attribute.
    pub fn metric(&self, path: &str) -> Option<Measured> {
        match path.parse::<MetricName>().ok()? {
            MetricName::Performance(metric) => Some(self.performance_metric(metric)),
            MetricName::Fairness { grouping, metric } => {
                let fairness = self.fairness.get(&grouping)?;
                let gap = metric.of(fairness);
                Some(Measured {
                    value: gap.value,
                    interval: gap.interval,
                    better: metric.better(),
                    between: Some(Between {
                        lowest: gap.lowest.clone(),
                        highest: gap.highest.clone(),
                        insufficient: fairness.insufficient.clone(),
                    }),
                })
            }
        }
    }

    /// Lists the names that [`Self::metric`] answers to.
    pub fn metric_names(&self) -> Vec<String> {
        let quality = PerformanceMetric::ALL.map(MetricName::Performance);
        let distances = self.fairness.keys().flat_map(|grouping| {
            FairnessMetric::ALL.map(|metric| MetricName::Fairness {
                grouping: grouping.clone(),
                metric,
            })
        });
        quality
            .into_iter()
            .chain(distances)
            .map(|name| name.to_string())
            .collect()
    }

    fn performance_metric(&self, metric: PerformanceMetric) -> Measured {
        let found = &self.performance;
        let (value, interval) = match metric {
            PerformanceMetric::Accuracy => (found.accuracy.value, found.accuracy.interval),
            PerformanceMetric::Precision => (found.precision, None),
            PerformanceMetric::Recall => (found.recall, None),
            PerformanceMetric::F1 => (found.f1, None),
            PerformanceMetric::RocAuc => (found.roc_auc, None),
            PerformanceMetric::LogLoss => (Some(found.log_loss), None),
            PerformanceMetric::Brier => (Some(found.brier), None),
            PerformanceMetric::ExpectedCalibrationError => {
                (Some(found.expected_calibration_error), None)
            }
        };
        Measured {
            value,
            interval,
            better: metric.better(),
            between: None,
        }
    }
}

/// The name of a figure, checked for its form: whether the attribute exists shows at the evaluation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MetricName {
    /// A figure over all rows: `roc_auc`.
    Performance(PerformanceMetric),
    /// A distance between groups: `fairness.SEX.demographic_parity_difference`.
    Fairness {
        /// The attribute, or two joined by `*`.
        grouping: String,
        /// The distance.
        metric: FairnessMetric,
    },
}

impl MetricName {
    /// Returns which way the figure gets better.
    pub const fn better(&self) -> Better {
        match self {
            Self::Performance(metric) => metric.better(),
            Self::Fairness { metric, .. } => metric.better(),
        }
    }
}

impl fmt::Display for MetricName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Performance(metric) => f.write_str(metric.name()),
            Self::Fairness { grouping, metric } => {
                write!(f, "fairness.{grouping}.{}", metric.name())
            }
        }
    }
}

/// Why a text names no figure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` names no figure; there are {}, and `fairness.ATTRIBUTE.` with {}",
    list(&PerformanceMetric::ALL.map(PerformanceMetric::name)),
    list(&FairnessMetric::ALL.map(FairnessMetric::name)))]
pub struct MetricNameError {
    /// The text.
    pub name: String,
}

fn list(names: &[&str]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

impl FromStr for MetricName {
    type Err = MetricNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = match text.strip_prefix("fairness.") {
            None => PerformanceMetric::find(text).map(Self::Performance),
            Some(rest) => rest.rsplit_once('.').and_then(|(grouping, name)| {
                let metric = FairnessMetric::find(name)?;
                (!grouping.is_empty()).then(|| Self::Fairness {
                    grouping: grouping.to_owned(),
                    metric,
                })
            }),
        };
        found.ok_or_else(|| MetricNameError {
            name: text.to_owned(),
        })
    }
}

/// A figure over all rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PerformanceMetric {
    /// The share of rows predicted right.
    Accuracy,
    /// The share of rows predicted positive that are.
    Precision,
    /// The share of positive rows predicted positive.
    Recall,
    /// The harmonic mean of precision and recall.
    F1,
    /// The area under the receiver operating characteristic.
    RocAuc,
    /// The mean surprise, in nats.
    LogLoss,
    /// The mean squared error of the score.
    Brier,
    /// The mean distance of score and share of positives, over bins.
    ExpectedCalibrationError,
}

impl PerformanceMetric {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Accuracy,
        Self::Precision,
        Self::Recall,
        Self::F1,
        Self::RocAuc,
        Self::LogLoss,
        Self::Brier,
        Self::ExpectedCalibrationError,
    ];

    /// Returns the name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::Precision => "precision",
            Self::Recall => "recall",
            Self::F1 => "f1",
            Self::RocAuc => "roc_auc",
            Self::LogLoss => "log_loss",
            Self::Brier => "brier",
            Self::ExpectedCalibrationError => "expected_calibration_error",
        }
    }

    /// Returns which way the figure gets better.
    pub const fn better(self) -> Better {
        match self {
            Self::LogLoss | Self::Brier | Self::ExpectedCalibrationError => Better::Lower,
            _ => Better::Higher,
        }
    }

    fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }
}

/// A distance between groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FairnessMetric {
    /// Greatest less least selection rate.
    DemographicParityDifference,
    /// Least by greatest selection rate.
    DemographicParityRatio,
    /// The greater of the differences of true and of false positive rates.
    EqualizedOddsDifference,
    /// The lesser of the ratios of true and of false positive rates.
    EqualizedOddsRatio,
    /// Greatest less least true positive rate.
    EqualOpportunityDifference,
    /// Greatest less least positive predictive value.
    PredictiveParityDifference,
}

impl FairnessMetric {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::DemographicParityDifference,
        Self::DemographicParityRatio,
        Self::EqualizedOddsDifference,
        Self::EqualizedOddsRatio,
        Self::EqualOpportunityDifference,
        Self::PredictiveParityDifference,
    ];

    /// Returns the name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DemographicParityDifference => "demographic_parity_difference",
            Self::DemographicParityRatio => "demographic_parity_ratio",
            Self::EqualizedOddsDifference => "equalized_odds_difference",
            Self::EqualizedOddsRatio => "equalized_odds_ratio",
            Self::EqualOpportunityDifference => "equal_opportunity_difference",
            Self::PredictiveParityDifference => "predictive_parity_difference",
        }
    }

    /// Returns which way the distance gets better.
    pub const fn better(self) -> Better {
        match self {
            Self::DemographicParityRatio | Self::EqualizedOddsRatio => Better::Higher,
            _ => Better::Lower,
        }
    }

    fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }

    const fn of(self, fairness: &Fairness) -> &Gap {
        match self {
            Self::DemographicParityDifference => &fairness.demographic_parity_difference,
            Self::DemographicParityRatio => &fairness.demographic_parity_ratio,
            Self::EqualizedOddsDifference => &fairness.equalized_odds_difference,
            Self::EqualizedOddsRatio => &fairness.equalized_odds_ratio,
            Self::EqualOpportunityDifference => &fairness.equal_opportunity_difference,
            Self::PredictiveParityDifference => &fairness.predictive_parity_difference,
        }
    }
}
