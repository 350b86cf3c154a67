//! The truth of the rows, as what the file says that it is.

use std::collections::{BTreeMap, BTreeSet};

use custody_engine::Values;
use custody_types::{Problem, code};

use super::Measuring;
use super::rows::Rows;
use crate::file::Scalar;

/// Writes what tells a label from every other: yes and no are 1 and 0, the text `1` is not the number.
fn of_row(values: &Values, row: usize) -> String {
    if let Values::Booleans(values) = values {
        let value = values.get(row).copied().flatten();
        return value.map_or_else(|| "0;".to_owned(), |value| format!("n{};", u8::from(value)));
    }
    let mut identity = String::new();
    values.identity(row, &mut identity);
    identity
}

fn of_scalar(scalar: &Scalar) -> String {
    let (mut identity, one) = (String::new(), |value| vec![Some(value)]);
    let values = match scalar {
        Scalar::Boolean(value) => Values::Booleans(vec![Some(*value)]),
        Scalar::Integer(value) => Values::Integers(vec![Some(i128::from(*value))]),
        Scalar::Number(value) => Values::Doubles {
            values: one(*value),
            single: false,
        },
        Scalar::Text(value) => Values::Texts(vec![Some(value.clone())]),
    };
    if matches!(scalar, Scalar::Boolean(_)) {
        return of_row(&values, 0);
    }
    values.identity(0, &mut identity);
    identity
}

/// Writes a value as a pipeline file has it.
fn written(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Text(text) => format!("\"{text}\""),
        other => other.name(),
    }
}

fn list(classes: &[Scalar]) -> String {
    let names: Vec<_> = classes.iter().map(written).collect();
    names.join(", ")
}

/// Returns the classes of a model that does not name them, where labels are counted from 0: the score of class `k` is
/// then the one at place `k`.
fn counted(rows: &Rows) -> Option<Vec<Scalar>> {
    let width = i64::try_from(rows.width).ok()?;
    let classes: Vec<_> = (0..width).map(Scalar::Integer).collect();
    let known: BTreeSet<_> = classes.iter().map(of_scalar).collect();
    let all = 0..rows.label.len();
    let numbers = matches!(rows.label, Values::Integers(_) | Values::Booleans(_));
    let within = || {
        all.clone()
            .all(|row| known.contains(&of_row(&rows.label, row)))
    };
    (numbers && within()).then_some(classes)
}

impl Measuring<'_> {
    fn label(&self, because: impl Into<String>, hint: impl Into<String>) -> Problem {
        Problem::new(
            code::RUN_010,
            format!(
                "the step `{}` cannot measure by the label `{}`",
                self.name, self.step.label
            ),
        )
        .because(because.into())
        .hint(hint.into())
    }

    /// Checks that every row has a label.
    fn complete(&self, values: &Values) -> Result<(), Problem> {
        let missing = (0..values.len())
            .filter(|row| values.is_missing(*row))
            .count();
        if missing > 0 {
            let what = format!(
                "{missing} of {} rows have no label: it is null or not a number",
                values.len()
            );
            return Err(self.label(what, "leave these rows out in SQL, or find out their truth"));
        }
        Ok(())
    }

    /// Returns which rows are positive.
    pub(super) fn positives(&self, values: &Values) -> Result<Vec<bool>, Problem> {
        self.complete(values)?;
        let labels: Vec<String> = (0..values.len()).map(|row| of_row(values, row)).collect();
        let Some(positive) = &self.step.positive else {
            let (no, yes) = (
                of_scalar(&Scalar::Integer(0)),
                of_scalar(&Scalar::Integer(1)),
            );
            if let Some(label) = labels.iter().find(|label| **label != no && **label != yes) {
                let distinct: BTreeSet<_> = labels.iter().take(100_000).collect();
                let what = if label.starts_with('t') {
                    "it is text, and nothing says which text is the positive class".to_owned()
                } else {
                    format!(
                        "it is not 0 or 1 in every row; it has {} different values",
                        distinct.len()
                    )
                };
                return Err(self.label(what, "name the positive class with `positive:`; for more than two classes say `kind: multiclass`, for a number `kind: regression`"));
            }
            return Ok(labels.iter().map(|label| *label == yes).collect());
        };
        let yes = of_scalar(positive);
        let found: Vec<bool> = labels.iter().map(|label| *label == yes).collect();
        if !labels.is_empty() && !found.contains(&true) {
            let other = matches!(positive, Scalar::Text(_)) != matches!(values, Values::Texts(_));
            let what = if other {
                format!(
                    "`positive: {}` is of another type than the column, which is {}",
                    written(positive),
                    values.word()
                )
            } else {
                format!("no row has the label {}", written(positive))
            };
            return Err(self.label(
                what,
                "write `positive:` as the column has it: a text in quotes, a number without",
            ));
        }
        Ok(found)
    }

    /// Returns the column of the scores that is about the positive class.
    pub(super) fn positive_column(&self, rows: &Rows) -> Result<usize, Problem> {
        let positive = self.step.positive.clone().unwrap_or(Scalar::Integer(1));
        if rows.width <= 1 {
            return Ok(0);
        }
        let Some(classes) = rows.classes.clone().or_else(|| counted(rows)) else {
            return Err(self.unmeasured(
                format!(
                    "the model gives {} scores a row and does not say which is of which class",
                    rows.width
                ),
                "name the classes in the order of the model's scores with `classes:`",
            ));
        };
        if classes.len() > 2 && self.step.positive.is_none() {
            return Err(self.unmeasured(
                format!(
                    "the model has {} classes: {}",
                    classes.len(),
                    list(&classes)
                ),
                "say `kind: multiclass`, or measure one class against the rest with `positive:`",
            ));
        }
        let wanted = of_scalar(&positive);
        classes
            .iter()
            .position(|class| of_scalar(class) == wanted)
            .ok_or_else(|| {
                self.unmeasured(
                    format!(
                        "the model has no class {}; it has {}",
                        written(&positive),
                        list(&classes)
                    ),
                    "name one of them with `positive:`, and labels as the model has them",
                )
            })
    }

    /// Returns the classes' names, and the place of each row's class among them.
    pub(super) fn places(&self, rows: &Rows) -> Result<(Vec<String>, Vec<usize>), Problem> {
        let classes = rows.classes.clone().or_else(|| counted(rows));
        let Some(classes) = classes.filter(|classes| classes.len() > 1) else {
            return Err(self.unmeasured(
                format!(
                    "the model gives {} scores a row and does not say which is of which class",
                    rows.width
                ),
                "name the classes in the order of the model's scores with `classes:`",
            ));
        };
        self.complete(&rows.label)?;
        // Classes that are known by the names of columns only are texts: a label is then taken by its text.
        let by_name = self.step.predictions.is_some() && self.step.classes.is_none();
        let known: BTreeMap<String, usize> = classes
            .iter()
            .enumerate()
            .map(|(place, class)| {
                (
                    if by_name {
                        class.name()
                    } else {
                        of_scalar(class)
                    },
                    place,
                )
            })
            .collect();
        let place = |row: usize| {
            let label = if by_name {
                rows.label.text(row).unwrap_or_default()
            } else {
                of_row(&rows.label, row)
            };
            known.get(&label).copied()
        };
        let places: Vec<Option<usize>> = (0..rows.label.len()).map(place).collect();
        let unknown = places.iter().filter(|place| place.is_none()).count();
        if unknown > 0 {
            return Err(self.label(
                format!("{unknown} of {} rows have a label that is no class of the model; its classes are {}, and the column is {}", places.len(), list(&classes), rows.label.word()),
                "make the labels those that the model was trained with, in SQL",
            ));
        }
        let names = classes.iter().map(Scalar::name).collect();
        Ok((names, places.into_iter().flatten().collect()))
    }

    /// Returns the truth as numbers.
    pub(super) fn numbers(&self, values: &Values) -> Result<Vec<f64>, Problem> {
        if !matches!(
            values,
            Values::Integers(_) | Values::Doubles { .. } | Values::Decimals { .. }
        ) {
            let what = format!(
                "it is {}, and `kind: regression` predicts a number",
                values.word()
            );
            return Err(self.label(
                what,
                "name a column of numbers, or say `kind: binary` or `kind: multiclass`",
            ));
        }
        self.complete(values)?;
        Ok((0..values.len())
            .filter_map(|row| values.number(row))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_not_the_number_that_it_looks_like() {
        let one = of_scalar(&Scalar::Integer(1));
        assert_eq!(one, of_scalar(&Scalar::Boolean(true)));
        assert_eq!(one, of_scalar(&Scalar::Number(1.0)));
        assert_eq!(one, of_row(&Values::Booleans(vec![Some(true)]), 0));
        assert_eq!(one, of_row(&Values::Integers(vec![Some(1)]), 0));
        assert_ne!(one, of_scalar(&Scalar::Text("1".to_owned())));
        assert_ne!(one, of_row(&Values::Texts(vec![Some("1".to_owned())]), 0));
    }
}
