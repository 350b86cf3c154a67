//! The names under which gates ask an evaluation for its figures.
//!
//! The lists here are the only ones: what a gate may ask, the nearest name that is suggested, and the table in
//! `docs/reference/evaluation.md` come from them.

use custody_types::nearest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evaluation::{Evaluation, INTERSECTION};
use crate::fairness::{Gap, GroupValues};
use crate::multiclass::{Average, ClassPerformance};
use crate::performance::Performance;
use crate::rate::Interval;
use crate::regression::{RESIDUAL_QUANTILES, RegressionPerformance};

/// What a model predicts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ModelKind {
    /// Which of two classes.
    #[default]
    Binary,
    /// Which of several classes.
    MultiClass,
    /// A number.
    Regression,
}

/// Which way a figure gets better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
    /// Nearer to 0 is better.
    Zero,
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
    /// The group with the least.
    pub lowest: Option<GroupValues>,
    /// The group with the greatest.
    pub highest: Option<GroupValues>,
    /// The groups that are too small to be compared.
    pub insufficient: Vec<GroupValues>,
}

/// Of two classes, over all rows.
pub(crate) const BINARY: [&str; 13] = [
    "accuracy",
    "balanced_accuracy",
    "precision",
    "recall",
    "specificity",
    "f1",
    "cohen_kappa",
    "mcc",
    "roc_auc",
    "pr_auc",
    "log_loss",
    "brier",
    "expected_calibration_error",
];
/// Of several classes, over all rows.
pub(crate) const MULTI_CLASS: [&str; 10] = [
    "accuracy",
    "balanced_accuracy",
    "cohen_kappa",
    "mcc",
    "micro.f1",
    "log_loss",
    "top_2_accuracy",
    "top_3_accuracy",
    "top_4_accuracy",
    "top_5_accuracy",
];
/// Of one class against the rest, `class.CLASS.NAME`, and their means, `macro.NAME` and `weighted.NAME`.
pub(crate) const CLASS: [&str; 5] = ["precision", "recall", "f1", "roc_auc", "pr_auc"];
/// Of predicted numbers, over all rows; and `residual.` with the quantiles.
pub(crate) const REGRESSION: [&str; 9] = [
    "mae",
    "mse",
    "rmse",
    "r2",
    "explained_variance",
    "median_absolute_error",
    "max_error",
    "mape",
    "mean_residual",
];
/// Distances between groups for two classes, `fairness.ATTRIBUTE.NAME`.
pub(crate) const BINARY_GAPS: [&str; 6] = [
    "demographic_parity_difference",
    "demographic_parity_ratio",
    "equalized_odds_difference",
    "equalized_odds_ratio",
    "equal_opportunity_difference",
    "predictive_parity_difference",
];
/// Distances between groups for several classes; the last two also of one class, `fairness.ATTRIBUTE.class.CLASS.NAME`.
pub(crate) const MULTI_CLASS_GAPS: [&str; 3] = [
    "accuracy_difference",
    "selection_rate_difference",
    "recall_difference",
];
/// Distances between groups for predicted numbers.
pub(crate) const REGRESSION_GAPS: [&str; 4] = [
    "mae_difference",
    "mae_ratio",
    "rmse_difference",
    "mean_residual_difference",
];

/// What the names of an interval's ends end with.
pub const ENDS: [&str; 2] = [LOW, HIGH];
const LOW: &str = ".low";
const HIGH: &str = ".high";

/// Why a text names no figure of an evaluation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FigureError {
    /// There is none with this name.
    #[error("`{name}` names no figure{}", .nearest.as_ref().map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default())]
    Unknown {
        /// The name.
        name: String,
        /// The one that is most like it.
        nearest: Option<String>,
        /// Those that there are.
        known: Vec<String>,
    },
    /// It compares groups of an attribute that the evaluation does not have.
    #[error(
        "`{name}` compares groups of `{attribute}`, which is not in `groups` of the evaluation"
    )]
    Attribute {
        /// The name.
        name: String,
        /// The attribute.
        attribute: String,
    },
    /// It has no interval.
    #[error(
        "`{name}` is the end of an interval, and there is none without `bootstrap` in the evaluation"
    )]
    Interval {
        /// The name.
        name: String,
    },
}

/// Checks before anything is measured that an evaluation will have a figure. `groups`: its attributes; `classes`: its
/// classes, where they are known; `bootstrap`: whether rows are drawn again for intervals.
///
/// # Errors
/// [`FigureError`] when it will not.
pub fn check_figure(
    name: &str,
    kind: ModelKind,
    groups: &[String],
    classes: Option<&[String]>,
    bootstrap: bool,
) -> Result<(), FigureError> {
    let end = name.strip_suffix(LOW).or_else(|| name.strip_suffix(HIGH));
    let known = figures(kind, groups, classes);
    let is = |name: &str| {
        known.iter().any(|one| one == name)
            || classes.is_none() && of_some_class(name, kind, groups)
    };
    if is(name) {
        return Ok(());
    }
    if let Some(base) = end.filter(|base| is(base)) {
        let own = base == "accuracy"
            || base.starts_with("top_")
            || base.starts_with("fairness.")
                && base.ends_with("_difference")
                && kind != ModelKind::Regression;
        return if own || bootstrap && !base.starts_with("fairness.") {
            Ok(())
        } else {
            Err(FigureError::Interval {
                name: name.to_owned(),
            })
        };
    }
    let gaps = gaps(kind);
    let attribute = name.strip_prefix("fairness.").and_then(|rest| {
        gaps.iter()
            .find_map(|gap| rest.strip_suffix(gap)?.strip_suffix('.'))
    });
    if let Some(attribute) = attribute.filter(|name| !name.is_empty() && !name.contains(".class."))
    {
        return Err(FigureError::Attribute {
            name: name.to_owned(),
            attribute: attribute.to_owned(),
        });
    }
    let nearest = nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
    Err(FigureError::Unknown {
        name: name.to_owned(),
        nearest,
        known,
    })
}

const fn gaps(kind: ModelKind) -> &'static [&'static str] {
    match kind {
        ModelKind::Binary => &BINARY_GAPS,
        ModelKind::MultiClass => &MULTI_CLASS_GAPS,
        ModelKind::Regression => &REGRESSION_GAPS,
    }
}

/// Lists the groupings of attributes: each, and each two.
fn groupings(groups: &[String]) -> Vec<String> {
    let pairs = groups.iter().enumerate().flat_map(|(index, first)| {
        let rest = groups.iter().skip(index + 1);
        rest.map(move |second| format!("{first}{INTERSECTION}{second}"))
    });
    groups.iter().cloned().chain(pairs).collect()
}

/// Lists the figures of an evaluation, without the ends of intervals.
pub fn figures(kind: ModelKind, groups: &[String], classes: Option<&[String]>) -> Vec<String> {
    let words = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    let mut found = match kind {
        ModelKind::Binary => words(&BINARY),
        ModelKind::MultiClass => {
            let mut found = words(&MULTI_CLASS);
            for prefix in ["macro", "weighted"] {
                found.extend(CLASS.map(|name| format!("{prefix}.{name}")));
            }
            for class in classes.unwrap_or_default() {
                found.extend(CLASS.map(|name| format!("class.{class}.{name}")));
            }
            found
        }
        ModelKind::Regression => {
            let mut found = words(&REGRESSION);
            found.extend(RESIDUAL_QUANTILES.map(|(name, _)| format!("residual.{name}")));
            found
        }
    };
    for grouping in groupings(groups) {
        found.extend(
            gaps(kind)
                .iter()
                .map(|gap| format!("fairness.{grouping}.{gap}")),
        );
        if kind == ModelKind::MultiClass {
            for class in classes.unwrap_or_default() {
                let gaps = MULTI_CLASS_GAPS.iter().skip(1);
                found.extend(gaps.map(|gap| format!("fairness.{grouping}.class.{class}.{gap}")));
            }
        }
    }
    found
}

/// Returns whether a name is that of a figure of some class.
fn of_some_class(name: &str, kind: ModelKind, groups: &[String]) -> bool {
    let of = |rest: &str, names: &[&str]| {
        let class = rest.strip_prefix("class.");
        class.is_some_and(|rest| {
            let class = names
                .iter()
                .find_map(|name| rest.strip_suffix(name)?.strip_suffix('.'));
            class.is_some_and(|class| !class.is_empty())
        })
    };
    kind == ModelKind::MultiClass
        && (of(name, &CLASS)
            || groupings(groups).iter().any(|grouping| {
                let rest = name.strip_prefix("fairness.");
                let rest =
                    rest.and_then(|rest| rest.strip_prefix(grouping.as_str())?.strip_prefix('.'));
                rest.is_some_and(|rest| {
                    of(rest, &["selection_rate_difference", "recall_difference"])
                })
            }))
}

/// Returns which way a figure gets better.
fn better(name: &str) -> Better {
    let last = name.rsplit('.').next().unwrap_or(name);
    match last {
        "mean_residual" => Better::Zero,
        _ if name.starts_with("residual.") => Better::Zero,
        "log_loss"
        | "brier"
        | "expected_calibration_error"
        | "mae"
        | "mse"
        | "rmse"
        | "median_absolute_error"
        | "max_error"
        | "mape" => Better::Lower,
        gap if gap.ends_with("_difference") => Better::Lower,
        _ => Better::Higher,
    }
}

type Figures = Vec<(String, Option<f64>, Option<Interval>)>;

fn plain(name: &str, value: Option<f64>) -> (String, Option<f64>, Option<Interval>) {
    (name.to_owned(), value, None)
}

impl Performance {
    pub(crate) fn figures(&self) -> Figures {
        let accuracy = &self.accuracy;
        vec![
            ("accuracy".to_owned(), accuracy.value, accuracy.interval),
            plain("balanced_accuracy", self.balanced_accuracy),
            plain("precision", self.precision),
            plain("recall", self.recall),
            plain("specificity", self.specificity),
            plain("f1", self.f1),
            plain("cohen_kappa", self.cohen_kappa),
            plain("mcc", self.mcc),
            plain("roc_auc", self.roc_auc),
            plain("pr_auc", self.pr_auc),
            plain("log_loss", self.log_loss),
            plain("brier", self.brier),
            plain(
                "expected_calibration_error",
                self.expected_calibration_error,
            ),
        ]
    }
}

impl ClassPerformance {
    pub(crate) fn figures(&self) -> Figures {
        let accuracy = &self.accuracy;
        let mut found = vec![
            ("accuracy".to_owned(), accuracy.value, accuracy.interval),
            plain("balanced_accuracy", self.balanced_accuracy),
            plain("cohen_kappa", self.cohen_kappa),
            plain("mcc", self.mcc),
            plain("micro.f1", self.micro_f1),
            plain("log_loss", self.log_loss),
        ];
        for (k, rate) in &self.top_k_accuracy {
            found.push((k.clone(), rate.value, rate.interval));
        }
        let mut add = |prefix: &str, line: Average| {
            for (name, value) in CLASS.iter().zip(line.values()) {
                found.push((format!("{prefix}.{name}"), value, None));
            }
        };
        add("macro", self.macro_average);
        add("weighted", self.weighted_average);
        for line in &self.table {
            let values = Average {
                precision: line.precision,
                recall: line.recall,
                f1: line.f1,
                roc_auc: line.roc_auc,
                pr_auc: line.pr_auc,
            };
            add(&format!("class.{}", line.class), values);
        }
        found
    }
}

impl Average {
    /// In the order of [`CLASS`].
    const fn values(self) -> [Option<f64>; 5] {
        [
            self.precision,
            self.recall,
            self.f1,
            self.roc_auc,
            self.pr_auc,
        ]
    }
}

impl RegressionPerformance {
    pub(crate) fn figures(&self) -> Figures {
        let mut found = vec![
            plain("mae", Some(self.mae)),
            plain("mse", Some(self.mse)),
            plain("rmse", Some(self.rmse)),
            plain("r2", self.r2),
            plain("explained_variance", self.explained_variance),
            plain("median_absolute_error", Some(self.median_absolute_error)),
            plain("max_error", Some(self.max_error)),
            plain("mape", self.mape),
            plain("mean_residual", Some(self.mean_residual)),
        ];
        for (name, value) in &self.residual {
            found.push((format!("residual.{name}"), Some(*value), None));
        }
        found
    }
}

impl Evaluation {
    /// Returns what the model predicts.
    pub const fn kind(&self) -> ModelKind {
        match self {
            Self::Binary(_) => ModelKind::Binary,
            Self::MultiClass(_) => ModelKind::MultiClass,
            Self::Regression(_) => ModelKind::Regression,
        }
    }

    /// Returns over how few rows a figure is: those of the smallest group, or all.
    pub fn fewest_rows(&self) -> u64 {
        let groups: Vec<u64> = match self {
            Self::Binary(found) => found
                .groups
                .values()
                .flatten()
                .map(|group| group.n)
                .collect(),
            Self::MultiClass(found) => found
                .groups
                .values()
                .flatten()
                .map(|group| group.n)
                .collect(),
            Self::Regression(found) => found
                .groups
                .values()
                .flatten()
                .map(|group| group.n)
                .collect(),
        };
        groups.into_iter().fold(self.rows(), u64::min)
    }

    /// Returns the number of rows.
    pub const fn rows(&self) -> u64 {
        match self {
            Self::Binary(found) => found.n,
            Self::MultiClass(found) => found.n,
            Self::Regression(found) => found.n,
        }
    }

    /// Returns the figure with a name such as `roc_auc`, `roc_auc.low` or
    /// `fairness.SEX.demographic_parity_difference`; `None` when there is no such name or the
    /// evaluation does not know the attribute.
    pub fn metric(&self, name: &str) -> Option<Measured> {
        let figures = self.figures();
        let find = |name: &str| figures.iter().find(|(known, _)| known == name);
        if let Some((_, measured)) = find(name) {
            return Some(measured.clone());
        }
        let (base, low) = match name.strip_suffix(LOW) {
            Some(base) => (base, true),
            None => (name.strip_suffix(HIGH)?, false),
        };
        let (_, whole) = find(base)?;
        let interval = whole.interval?;
        Some(Measured {
            value: Some(if low { interval.low } else { interval.high }),
            ..whole.clone()
        })
    }

    /// Lists the names that [`Self::metric`] answers to, without the ends of intervals.
    pub fn metric_names(&self) -> Vec<String> {
        self.figures().into_iter().map(|(name, _)| name).collect()
    }

    /// Lists all figures with their names.
    pub fn figures(&self) -> Vec<(String, Measured)> {
        let (overall, drawn) = match self {
            Self::Binary(found) => (found.performance.figures(), &found.intervals),
            Self::MultiClass(found) => (found.performance.figures(), &found.intervals),
            Self::Regression(found) => (found.performance.figures(), &found.intervals),
        };
        let overall = overall.into_iter().map(|(name, value, interval)| {
            let measured = Measured {
                value,
                interval: interval.or_else(|| drawn.get(&name).copied()),
                better: better(&name),
                between: None,
            };
            (name, measured)
        });
        let gaps = self.gaps().into_iter().map(|(name, gap)| {
            let measured = Measured {
                value: gap.value,
                interval: gap.interval,
                better: better(&name),
                between: Some(Between {
                    lowest: gap.lowest.clone(),
                    highest: gap.highest.clone(),
                    insufficient: gap.insufficient.clone(),
                }),
            };
            (name, measured)
        });
        overall.chain(gaps).collect()
    }

    fn gaps(&self) -> Vec<(String, &Gap)> {
        let named = |grouping: &str, name: &str| format!("fairness.{grouping}.{name}");
        let mut found = Vec::new();
        match self {
            Self::Binary(evaluation) => {
                for (grouping, fairness) in &evaluation.fairness {
                    let gaps = [
                        &fairness.demographic_parity_difference,
                        &fairness.demographic_parity_ratio,
                        &fairness.equalized_odds_difference,
                        &fairness.equalized_odds_ratio,
                        &fairness.equal_opportunity_difference,
                        &fairness.predictive_parity_difference,
                    ];
                    let gaps = BINARY_GAPS.iter().zip(gaps);
                    found.extend(gaps.map(|(name, gap)| (named(grouping, name), gap)));
                }
            }
            Self::MultiClass(evaluation) => {
                for (grouping, gaps) in &evaluation.fairness {
                    found.extend(gaps.iter().map(|(name, gap)| (named(grouping, name), gap)));
                }
            }
            Self::Regression(evaluation) => {
                for (grouping, gaps) in &evaluation.fairness {
                    found.extend(gaps.iter().map(|(name, gap)| (named(grouping, name), gap)));
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn told(name: &str, kind: ModelKind, bootstrap: bool) -> String {
        let groups = ["SEX".to_owned()];
        check_figure(name, kind, &groups, None, bootstrap)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_name_of_nothing_is_told_with_the_nearest() {
        assert!(told("roc_acu", ModelKind::Binary, false).contains("did you mean `roc_auc`?"));
        assert!(told("rsme", ModelKind::Regression, false).contains("`rmse`"));
        assert!(
            told("fairness.SEX.demographic_parity", ModelKind::Binary, false)
                .contains("names no figure")
        );
        assert!(told("rmse", ModelKind::Binary, false).contains("names no figure"));
        assert!(
            told(
                "fairness.AGE.equalized_odds_ratio",
                ModelKind::Binary,
                false
            )
            .contains("`AGE`")
        );
        assert!(told("roc_auc.low", ModelKind::Binary, false).contains("bootstrap"));
        assert!(told("class..f1", ModelKind::MultiClass, true).contains("names no figure"));
    }

    #[test]
    fn the_ends_of_intervals_are_figures() {
        for (name, kind, bootstrap) in [
            ("accuracy.low", ModelKind::Binary, false),
            ("roc_auc.low", ModelKind::Binary, true),
            (
                "fairness.SEX.demographic_parity_difference.high",
                ModelKind::Binary,
                false,
            ),
            ("class.versicolor.recall.low", ModelKind::MultiClass, true),
            ("rmse.high", ModelKind::Regression, true),
        ] {
            check_figure(name, kind, &["SEX".to_owned()], None, bootstrap).unwrap();
        }
    }

    #[test]
    fn the_page_about_evaluation_names_every_figure() {
        let page = include_str!("../../../docs/reference/evaluation.md");
        let names = [
            &BINARY[..],
            &MULTI_CLASS,
            &CLASS,
            &REGRESSION,
            &BINARY_GAPS,
            &MULTI_CLASS_GAPS,
            &REGRESSION_GAPS,
        ];
        for name in names.concat() {
            assert!(page.contains(&format!("`{name}`")), "{name}");
        }
    }
}
