//! The step `evaluate`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use custody_stats::{FEWEST_SAMPLES, Guard, INTERSECTION, MOST_SAMPLES, ModelKind};
use custody_types::nearest;
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{Place, Wrong};

/// Measures a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Evaluate {
    /// What the model predicts: `binary` (which of two classes), `multiclass` or `regression` (a number).
    #[serde(default)]
    pub kind: ModelKind,
    /// The model: an artifact with `model.onnx`, or with `predictions` any model.
    pub model: String,
    /// The dataset.
    pub data: String,
    /// What a `run` step with the model and the dataset among its inputs said about the rows: a dataset with the
    /// column `key`, and the scores. Without it the model is applied here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predictions: Option<String>,
    /// The column that names a row: what joins predictions to rows, and tells rows of the training data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The column with the truth.
    pub label: String,
    /// The label of the positive class; needed unless labels are 0 and 1 or booleans.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positive: Option<Scalar>,
    /// The classes, in the order of the model's scores, where the model does not say them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<Scalar>>,
    /// The model's output with the scores, where it has several that could be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Whether the scores are probabilities, or raw: margins, log-odds, ranks.
    #[serde(default)]
    pub scores: Scores,
    /// The column of `predictions` with the score or the predicted number; `score` or `prediction` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<String>,
    /// The column of `predictions` with the score of each class, by class; `score_CLASS` unless said.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub class_scores: BTreeMap<String, String>,
    /// The sensitive attributes: columns.
    #[serde(default)]
    pub groups: Vec<String>,
    /// The environment among `environments` [default: `environment`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// From which score on a row is predicted positive: a number, or a rule by which it is chosen.
    /// Unless said 0.5, and 0 for raw scores.
    #[serde(default)]
    pub threshold: Option<Threshold>,
    /// The fewest rows of a group that is compared.
    #[serde(default, skip_serializing_if = "is_default")]
    pub guard: Guard,
    /// Draws the rows again for intervals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<Resampling>,
    /// Whether the data may have rows that the model was trained on.
    #[serde(default, skip_serializing_if = "is_default")]
    pub overlap: Overlap,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A value of a label as it is written: the text `"1"` is not the number 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "a text, a number, `true` or `false` is expected"
)]
pub enum Scalar {
    /// Yes or no.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
}

impl Scalar {
    /// Writes the value as figures name a class.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Boolean(value) => value.to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Number(value) => value.to_string(),
            Self::Text(value) => value.clone(),
        }
    }
}

/// What the scores of a classifier are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scores {
    /// From 0 to 1; of several classes 1 together.
    #[default]
    Probability,
    /// Any number, more for what is likelier.
    Raw,
}

/// Whether rows of the training data are allowed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Overlap {
    /// Common rows refuse the evaluation.
    #[default]
    Refused,
    /// They are counted and told.
    Allowed,
}

/// How often and from which seed rows are drawn again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resampling {
    /// The number of samples.
    #[serde(default = "thousand")]
    pub samples: u32,
    /// The seed.
    #[serde(default)]
    pub seed: u64,
}

const fn thousand() -> u32 {
    1_000
}

/// From which score on a row is predicted positive.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Threshold {
    /// A score.
    Fixed(f64),
    /// A rule.
    Chosen(Box<Chosen>),
}

impl<'de> Deserialize<'de> for Threshold {
    /// Reads a number or a rule; written out, so that what is wrong inside a rule is told with its place.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Threshold;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a number, or a rule such as `{on: validation, by: max_f1}`")
            }

            fn visit_f64<E>(self, value: f64) -> Result<Threshold, E> {
                Ok(Threshold::Fixed(value))
            }

            #[expect(clippy::cast_precision_loss, reason = "a threshold is a number near 0")]
            fn visit_i64<E>(self, value: i64) -> Result<Threshold, E> {
                Ok(Threshold::Fixed(value as f64))
            }

            #[expect(clippy::cast_precision_loss, reason = "a threshold is a number near 0")]
            fn visit_u64<E>(self, value: u64) -> Result<Threshold, E> {
                Ok(Threshold::Fixed(value as f64))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Threshold, A::Error> {
                let chosen = Chosen::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Threshold::Chosen(Box::new(chosen)))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// A threshold that is chosen on other data than is measured. Of thresholds that are as good the greatest is taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Chosen {
    /// The dataset on which it is chosen.
    pub on: String,
    /// With `predictions`: what the model said about that dataset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predictions: Option<String>,
    /// By what.
    pub by: Rule,
}

/// By what a threshold is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The greatest F1.
    MaxF1,
    /// The greatest recall less false positive rate (Youden's J).
    MaxYouden,
    /// The greatest threshold whose recall is at least this.
    Recall(f64),
    /// The greatest recall at which the precision is at least this.
    Precision(f64),
    /// The least cost.
    Cost(Cost),
}

/// What each error costs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// What a false positive costs.
    pub false_positive: f64,
    /// What a false negative costs.
    pub false_negative: f64,
}

impl Evaluate {
    /// Returns the classes as figures name them, where the file says them.
    pub(crate) fn class_names(&self) -> Option<Vec<String>> {
        let classes = self.classes.as_ref()?;
        Some(classes.iter().map(Scalar::name).collect())
    }

    /// Returns the rule of the threshold, if there is one.
    pub(crate) fn chosen(&self) -> Option<&Chosen> {
        match &self.threshold {
            Some(Threshold::Chosen(chosen)) => Some(chosen),
            _ => None,
        }
    }

    /// Checks what the types leave open.
    pub(super) fn check(&self, place: &Place) -> Result<(), Wrong> {
        let wrong = |key: &str, because: String| Err(Wrong::new(place.key(key), because));
        let mut seen = BTreeSet::new();
        for (number, group) in self.groups.iter().enumerate() {
            if group.is_empty() || group.contains(INTERSECTION) || !seen.insert(group) {
                let at = place.key("groups").item(number);
                let because = format!(
                    "the attribute `{group}` is empty, named twice or contains `{INTERSECTION}`"
                );
                return Err(Wrong::new(at, because));
            }
            if *group == self.label {
                let at = place.key("groups").item(number);
                return Err(Wrong::new(
                    at,
                    format!("`{group}` is the label: its groups are what is predicted"),
                ));
            }
        }
        self.check_kind(place)?;
        if let Some(classes) = &self.classes {
            let names: BTreeSet<_> = classes.iter().map(Scalar::name).collect();
            if classes.len() < 2 || names.len() < classes.len() {
                return wrong(
                    "classes",
                    "`classes` names two or more classes, each once".to_owned(),
                );
            }
        }
        if let Some(bootstrap) = self.bootstrap
            && !(FEWEST_SAMPLES..=MOST_SAMPLES).contains(&bootstrap.samples)
        {
            return wrong(
                "bootstrap",
                format!("`samples` is from {FEWEST_SAMPLES} to {MOST_SAMPLES}"),
            );
        }
        if self.predictions.is_some() && self.key.is_none() {
            return wrong(
                "predictions",
                "`predictions` are joined to rows by `key`: name the column that both have"
                    .to_owned(),
            );
        }
        if self.predictions.is_some() && self.output.is_some() {
            return wrong(
                "output",
                "`output` is about a model that is applied here, not about `predictions`"
                    .to_owned(),
            );
        }
        if self.predictions.is_none() && (self.score.is_some() || !self.class_scores.is_empty()) {
            let key = if self.score.is_some() {
                "score"
            } else {
                "class_scores"
            };
            return wrong(
                key,
                format!("`{key}` names columns of `predictions`, and there are none"),
            );
        }
        self.check_threshold(place)
    }

    /// Checks that the dataset has the columns that are named; with `predictions` the label and the groups may be in
    /// those.
    pub(crate) fn check_columns(&self, columns: &[String], place: &Place) -> Result<(), Wrong> {
        let groups = self.groups.iter().enumerate();
        let groups = groups.map(|(number, group)| (place.key("groups").item(number), group));
        let mut named: Vec<(Place, &String)> = Vec::new();
        if self.predictions.is_none() {
            named.push((place.key("label"), &self.label));
            named.extend(groups);
        }
        named.extend(self.key.iter().map(|key| (place.key("key"), key)));
        match named.into_iter().find(|(_, name)| !columns.contains(name)) {
            None => Ok(()),
            Some((place, name)) => {
                let near = nearest(name, columns.iter().map(String::as_str));
                let near = near.map_or_else(
                    || format!("it has `{}`", columns.join("`, `")),
                    |near| format!("did you mean `{near}`?"),
                );
                let because = format!("`{}` has no column `{name}`; {near}", self.data);
                Err(Wrong::new(place, because))
            }
        }
    }

    /// Checks that each key has a meaning for what the model predicts.
    fn check_kind(&self, place: &Place) -> Result<(), Wrong> {
        let only = |key: &str, given: bool, kinds: &[ModelKind], what: &str| {
            if given && !kinds.contains(&self.kind) {
                return Err(Wrong::new(
                    place.key(key),
                    format!("`{key}` has a meaning for {what} alone"),
                ));
            }
            Ok(())
        };
        let two = [ModelKind::Binary];
        let classes = [ModelKind::Binary, ModelKind::MultiClass];
        only("positive", self.positive.is_some(), &two, "`kind: binary`")?;
        only(
            "threshold",
            self.threshold.is_some(),
            &two,
            "`kind: binary`",
        )?;
        only("classes", self.classes.is_some(), &classes, "classifiers")?;
        only(
            "scores",
            self.scores != Scores::default(),
            &classes,
            "classifiers",
        )?;
        only(
            "class_scores",
            !self.class_scores.is_empty(),
            &[ModelKind::MultiClass],
            "`kind: multiclass`",
        )?;
        let one = [ModelKind::Binary, ModelKind::Regression];
        only(
            "score",
            self.score.is_some(),
            &one,
            "`kind: binary` and `regression`",
        )
    }

    fn check_threshold(&self, place: &Place) -> Result<(), Wrong> {
        let place = place.key("threshold");
        let share = |value: f64| value > 0.0 && value <= 1.0;
        match &self.threshold {
            None => {}
            Some(Threshold::Fixed(value)) => {
                let fits = match self.scores {
                    Scores::Probability => (0.0..=1.0).contains(value),
                    Scores::Raw => value.is_finite(),
                };
                if !fits {
                    let because = format!(
                        "a threshold of {value} divides nothing: probabilities lie between 0 and 1; for other scores say `scores: raw`"
                    );
                    return Err(Wrong::new(place, because));
                }
            }
            Some(Threshold::Chosen(chosen)) => {
                let by = place.key("by");
                if chosen.on == self.data {
                    return Err(Wrong::new(
                        place.key("on"),
                        format!(
                            "the threshold is chosen on `{}`, which is measured: choose it on other rows",
                            self.data
                        ),
                    ));
                }
                if self.predictions.is_some() != chosen.predictions.is_some() {
                    return Err(Wrong::new(
                        place,
                        "`predictions` are needed of both, the data and the data on which the threshold is chosen",
                    ));
                }
                match chosen.by {
                    Rule::Recall(value) | Rule::Precision(value) if !share(value) => {
                        return Err(Wrong::new(
                            by,
                            format!("a share of {value} is not above 0 and at most 1"),
                        ));
                    }
                    Rule::Cost(cost)
                        if !(cost.false_positive >= 0.0
                            && cost.false_negative >= 0.0
                            && (cost.false_positive + cost.false_negative).is_finite()
                            && cost.false_positive + cost.false_negative > 0.0) =>
                    {
                        return Err(Wrong::new(
                            by,
                            "costs are finite, none is below 0, and one is above 0",
                        ));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn read(text: &str) -> Result<Evaluate, String> {
        let text = format!("model: m\ndata: d\nlabel: y\n{text}");
        serde_saphyr::from_str(&text).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn told(text: &str) -> String {
        read(text)
            .unwrap()
            .check(&Place::step("e"))
            .unwrap_err()
            .because
    }

    #[test]
    fn a_threshold_is_a_number_or_a_rule() {
        let fixed = |value| Some(Threshold::Fixed(value));
        assert_eq!(read("threshold: 0.7").unwrap().threshold, fixed(0.7));
        assert_eq!(read("threshold: 1").unwrap().threshold, fixed(1.0));
        assert_eq!(read("").unwrap().threshold, None);
        for (by, rule) in [
            ("max_f1", Rule::MaxF1),
            ("{recall: 0.9}", Rule::Recall(0.9)),
            (
                "{cost: {false_positive: 1, false_negative: 5}}",
                Rule::Cost(Cost {
                    false_positive: 1.0,
                    false_negative: 5.0,
                }),
            ),
        ] {
            let read = read(&format!("threshold: {{on: v, by: {by}}}")).unwrap();
            assert_eq!(read.chosen().map(|chosen| chosen.by), Some(rule));
            assert_eq!(read.check(&Place::step("e")), Ok(()));
            let json = serde_json::to_string(&read).unwrap();
            assert_eq!(serde_json::from_str::<Evaluate>(&json).unwrap(), read);
        }
        assert!(
            read("threshold: {on: v, by: max_f2}")
                .unwrap_err()
                .contains("max_f2")
        );
    }

    #[test]
    fn a_column_that_is_not_there_is_told_with_the_nearest() {
        let columns = ["id", "y", "sex"].map(ToOwned::to_owned);
        let told = |text: &str| {
            let read = read(text).unwrap();
            read.check_columns(&columns, &Place::step("e"))
                .map_err(|wrong| wrong.because)
        };
        assert_eq!(told("key: id\ngroups: [sex]"), Ok(()));
        assert_eq!(told("key: id\npredictions: p\ngroups: [race]"), Ok(()));
        let because = told("groups: [sxe]").unwrap_err();
        assert!(
            because.contains("`d` has no column `sxe`; did you mean `sex`?"),
            "{because}"
        );
        assert!(
            told("key: number")
                .unwrap_err()
                .contains("it has `id`, `y`, `sex`")
        );
    }

    #[test]
    fn a_key_without_a_meaning_is_refused() {
        assert!(told("threshold: 2").contains("divides nothing"));
        assert!(told("threshold: {on: d, by: max_f1}").contains("choose it on other rows"));
        assert!(told("threshold: {on: v, by: {recall: 1.5}}").contains("not above 0"));
        assert!(
            told("threshold: {on: v, by: {cost: {false_positive: 0, false_negative: 0}}}")
                .contains("above 0")
        );
        assert!(told("kind: regression\nthreshold: 0.5").contains("`threshold`"));
        assert!(told("kind: multiclass\npositive: 1").contains("`positive`"));
        assert!(told("kind: regression\nscores: raw").contains("classifiers"));
        assert!(told("groups: [a, a]").contains("named twice"));
        assert!(told("groups: [y]").contains("is the label"));
        assert!(told("classes: [1]").contains("two or more"));
        assert!(told("bootstrap: {samples: 3}").contains("from 40"));
        assert!(told("predictions: p").contains("by `key`"));
        assert!(told("score: s").contains("there are none"));
        assert!(
            read("scores: raw\nthreshold: 2")
                .unwrap()
                .check(&Place::step("e"))
                .is_ok()
        );
    }
}
