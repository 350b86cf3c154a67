//! The step `gate`.

use std::collections::BTreeMap;

use custody_stats::{ENDS, check_figure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::evaluate::Scores;
use super::{Evaluate, Place, Wrong};

/// Decides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// The model that it is about.
    pub model: String,
    /// The evaluate step whose figures count.
    pub evaluation: String,
    /// The bounds by figure: `roc_auc`, `fairness.SEX.equalized_odds_difference`.
    pub require: BTreeMap<String, Bounds>,
    /// How many other people must approve what passed, before it is registered: 0 to 9.
    #[serde(default, skip_serializing_if = "is_none_asked")]
    #[schemars(range(max = 9))]
    pub approvals: u8,
    /// Whether groups that are too small to be compared refuse the model, or are told and ignored.
    #[serde(default, skip_serializing_if = "SmallGroups::refuses")]
    pub small_groups: SmallGroups,
    /// Whether it runs only when it is named.
    #[serde(default)]
    pub manual: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_none_asked(approvals: &u8) -> bool {
    *approvals == 0
}

/// The most approvals that a gate asks for.
const MOST_APPROVALS: u8 = 9;

/// What becomes of groups that a figure leaves out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SmallGroups {
    /// They refuse the model: what was not compared is not known to be fair.
    #[default]
    Refuse,
    /// They are named in the decision.
    Ignore,
}

impl SmallGroups {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
    const fn refuses(&self) -> bool {
        matches!(self, Self::Refuse)
    }
}

/// Bounds of a figure, both included.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// At least.
    #[serde(default)]
    pub min: Option<f64>,
    /// At most.
    #[serde(default)]
    pub max: Option<f64>,
}

impl Gate {
    /// Checks that it demands something, of every figure that it names.
    pub(super) fn check(&self, place: &Place) -> Result<(), Wrong> {
        if self.approvals > MOST_APPROVALS {
            let because = format!("at most {MOST_APPROVALS} approvals can be asked for");
            return Err(Wrong::new(place.key("approvals"), because));
        }
        let place = place.key("require");
        if self.require.is_empty() {
            return Err(Wrong::new(
                place,
                "a gate that requires nothing lets everything through",
            ));
        }
        for (figure, bounds) in &self.require {
            bounds
                .check(figure)
                .map_err(|because| Wrong::new(place.key(figure), because))?;
        }
        Ok(())
    }

    /// Checks that the evaluation will have the figures, as far as the file tells; `place`: that of the gate.
    pub(crate) fn check_figures(&self, evaluate: &Evaluate, place: &Place) -> Result<(), Wrong> {
        let classes = evaluate.class_names();
        for figure in self.require.keys() {
            check_figure(
                figure,
                evaluate.kind,
                &evaluate.groups,
                classes.as_deref(),
                evaluate.bootstrap.is_some(),
            )
            .map_err(|error| error.to_string())
            .and_then(|()| match needs_probabilities(figure) {
                Some(what) if evaluate.scores == Scores::Raw => Err(format!(
                    "`{figure}` cannot be told: `{what}` needs probabilities, and the scores are raw"
                )),
                _ => Ok(()),
            })
            .map_err(|because| Wrong::new(place.key("require").key(figure), because))?;
        }
        Ok(())
    }
}

/// Returns what raw scores do not give, where a figure is about it.
fn needs_probabilities(figure: &str) -> Option<&str> {
    const WORDS: [&str; 3] = ["brier", "log_loss", "expected_calibration_error"];
    figure.split('.').find(|part| WORDS.contains(part))
}

impl Bounds {
    fn check(self, figure: &str) -> Result<(), String> {
        if self.min.is_none() && self.max.is_none() {
            return Err(format!(
                "`{figure}` has neither `min` nor `max`: it requires nothing"
            ));
        }
        if self.min.is_some_and(|min| !min.is_finite())
            || self.max.is_some_and(|max| !max.is_finite())
        {
            return Err(format!("the bounds of `{figure}` are not finite numbers"));
        }
        if let (Some(min), Some(max)) = (self.min, self.max)
            && min > max
        {
            return Err(format!("no `{figure}` is at least {min} and at most {max}"));
        }
        let (least, most) = range(figure);
        if self.min.is_some_and(|min| min > most) || self.max.is_some_and(|max| max < least) {
            return Err(format!(
                "no `{figure}` meets this: it lies {}",
                span(least, most)
            ));
        }
        let bounds =
            self.min.is_some_and(|min| min > least) || self.max.is_some_and(|max| max < most);
        if !bounds {
            return Err(format!(
                "this bounds nothing: every `{figure}` lies {}",
                span(least, most)
            ));
        }
        Ok(())
    }
}

fn span(least: f64, most: f64) -> String {
    match (least.is_finite(), most.is_finite()) {
        (true, true) => format!("from {least} to {most}"),
        (true, false) => format!("from {least} on"),
        (false, true) => format!("up to {most}"),
        (false, false) => "anywhere".to_owned(),
    }
}

/// Returns between what a figure lies, whatever the data.
fn range(figure: &str) -> (f64, f64) {
    let base = ENDS.iter().find_map(|end| figure.strip_suffix(end));
    let name = base.unwrap_or(figure);
    let last = name.rsplit('.').next().unwrap_or(name);
    match last {
        "mcc" | "cohen_kappa" => (-1.0, 1.0),
        "r2" | "explained_variance" => (f64::NEG_INFINITY, 1.0),
        "mean_residual" => (f64::NEG_INFINITY, f64::INFINITY),
        _ if name.starts_with("residual.") => (f64::NEG_INFINITY, f64::INFINITY),
        "log_loss"
        | "mae"
        | "mse"
        | "rmse"
        | "median_absolute_error"
        | "max_error"
        | "mape"
        | "mae_difference"
        | "rmse_difference"
        | "mean_residual_difference" => (0.0, f64::INFINITY),
        // The interval of a difference reaches below 0.
        gap if base.is_some() && gap.ends_with("_difference") => (-1.0, 1.0),
        _ => (0.0, 1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(figure: &str, min: Option<f64>, max: Option<f64>, told: &str) {
        let found = Bounds { min, max }.check(figure);
        match told {
            "" => assert_eq!(found, Ok(())),
            told => assert!(
                found.as_ref().is_err_and(|because| because.contains(told)),
                "{found:?}"
            ),
        }
    }

    #[test]
    fn a_bound_bounds_something() {
        check("roc_auc", Some(0.8), None, "");
        check(
            "fairness.S.demographic_parity_difference",
            None,
            Some(0.05),
            "",
        );
        check("r2", Some(-3.0), None, "");
        check("mean_residual", Some(-2.0), Some(2.0), "");
        check("rmse", None, Some(20.0), "");
        check("brier", None, Some(0.0), "");
        check("roc_auc", None, None, "neither `min` nor `max`");
        check("roc_auc", Some(0.0), None, "bounds nothing");
        check("roc_auc", None, Some(5.0), "bounds nothing");
        check("rmse", Some(0.0), None, "bounds nothing");
        check("roc_auc", Some(2.0), None, "no `roc_auc` meets this");
        check(
            "accuracy",
            Some(0.9),
            Some(0.8),
            "at least 0.9 and at most 0.8",
        );
        check("accuracy", Some(f64::NAN), None, "not finite");
    }
}
