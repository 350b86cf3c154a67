//! What a model is to say, told from the column with the truth.

use std::fmt;
use std::str::FromStr;

use custody_types::{Problem, code};

use super::field::{Field, Sort};
use super::words;

/// A number with at most so many different values may be one of several classes as well.
const MAYBE_CLASSES: usize = 20;
/// The most classes that are proposed.
const MAX_CLASSES: usize = 50;

/// What a model says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Nothing: there is no model.
    None,
    /// Which of two classes.
    Binary,
    /// Which of several classes.
    Multiclass,
    /// A number.
    Regression,
}

impl fmt::Display for Task {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::None => "none",
            Self::Binary => "binary",
            Self::Multiclass => "multiclass",
            Self::Regression => "regression",
        })
    }
}

impl FromStr for Task {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "none" => Ok(Self::None),
            "binary" => Ok(Self::Binary),
            "multiclass" => Ok(Self::Multiclass),
            "regression" => Ok(Self::Regression),
            _ => Err("there are binary, multiclass, regression and none".to_owned()),
        }
    }
}

fn refused(because: String) -> Problem {
    Problem::new(code::NEW_003, "what the model is to say is not clear").because(because)
}

/// Settles the task by the label and what was asked for.
pub(super) fn settle(label: &Field, wanted: Option<Task>) -> Result<Task, Problem> {
    let name = words::text(&label.name);
    let (distinct, rows) = (label.distinct, label.filled());
    if distinct < 2 {
        return Err(refused(format!(
            "the column {name} has {distinct} different values in {rows} rows: there is nothing to learn"
        ))
        .hint("name another column with `--label`, or begin without a model: `--kind none`"));
    }
    let classes = matches!(label.sort, Sort::Boolean | Sort::Integer | Sort::Text)
        || (label.sort == Sort::Number && label.whole);
    match wanted {
        Some(Task::None) => Ok(Task::None),
        Some(Task::Binary) if classes && distinct == 2 => Ok(Task::Binary),
        Some(Task::Multiclass) if classes && (3..=MAX_CLASSES).contains(&distinct) => Ok(Task::Multiclass),
        Some(Task::Regression) if label.is_number() => Ok(Task::Regression),
        Some(wanted) => Err(refused(format!(
            "the column {name} is of type {} and has {distinct} different values: that is not {wanted}",
            label.word
        ))
        .hint(format!(
            "binary needs two values, multiclass 3 to {MAX_CLASSES} that are no fractions, regression numbers; without `--kind` it is found where it is clear"
        ))),
        None => found(label, &name),
    }
}

fn found(label: &Field, name: &str) -> Result<Task, Problem> {
    let distinct = label.distinct;
    let ambiguous = |choices: &str| {
        Err(refused(format!(
            "the column {name} has {distinct} different numbers in {} rows: that may be a number or one of several classes",
            label.filled()
        ))
        .hint(choices.to_owned()))
    };
    match label.sort {
        Sort::Boolean => Ok(Task::Binary),
        Sort::Text | Sort::Integer if distinct == 2 => Ok(Task::Binary),
        Sort::Number if distinct == 2 && label.whole => Ok(Task::Binary),
        Sort::Text if distinct <= MAX_CLASSES && distinct * 5 <= label.filled() => {
            Ok(Task::Multiclass)
        }
        Sort::Text => Err(refused(format!(
            "the column {name} has {distinct} different texts in {} rows: too many for classes",
            label.filled()
        ))
        .hint("name another column with `--label`; or give these texts fewer classes before")),
        Sort::Integer if distinct <= 10 && counts_from_0(label) => Ok(Task::Multiclass),
        Sort::Integer | Sort::Number if label.whole && distinct <= MAYBE_CLASSES => {
            ambiguous("say which: `--kind multiclass` or `--kind regression`")
        }
        Sort::Number if distinct == 2 => ambiguous(
            "say so: `--kind regression`; or write the two classes as texts or whole numbers",
        ),
        Sort::Integer | Sort::Number => Ok(Task::Regression),
        Sort::Time | Sort::Other => Err(refused(format!(
            "the column {name} is of type {}",
            label.word
        ))
        .hint(
            "a label is a text, a number, or true and false; begin without a model: `--kind none`",
        )),
    }
}

/// Returns whether the values are 0, 1, 2 … without a gap.
fn counts_from_0(label: &Field) -> bool {
    label
        .few
        .iter()
        .enumerate()
        .all(|(place, (value, _))| *value == place.to_string())
}

/// Returns the value that a binary model is about: the one that says yes, otherwise the rarer one.
pub(super) fn positive(label: &Field) -> Option<&str> {
    const YES: &[&str] = &[
        "true",
        "yes",
        "y",
        "ja",
        "1",
        "positive",
        "bad",
        "default",
        "defaulted",
        "fraud",
        "churned",
        "malignant",
    ];
    let [(first, a), (second, b)] = label.few.as_slice() else {
        return None;
    };
    let says = |value: &str| {
        let value = value.to_lowercase();
        // A 1 says yes beside a 0; beside a 2 it is just another number.
        YES.contains(&value.as_str()) && (value != "1" || first == "0")
    };
    Some(match (says(first), says(second)) {
        (true, false) => first,
        (false, true) => second,
        _ if a < b => first,
        _ => second,
    })
}

#[cfg(test)]
mod tests {
    use custody_engine::Values;
    use custody_tabular::ColumnType;

    use super::*;

    fn texts(values: &[&str], times: usize) -> Field {
        let values: Vec<_> = std::iter::repeat_n(values, times)
            .flatten()
            .map(|value| Some((*value).to_owned()))
            .collect();
        Field::of(
            "y",
            &ColumnType::Text,
            values.len(),
            Some(&Values::Texts(values.clone())),
        )
    }

    fn integers(values: impl Iterator<Item = i128>) -> Field {
        let values: Vec<_> = values.map(Some).collect();
        Field::of(
            "y",
            &ColumnType::Integer,
            values.len(),
            Some(&Values::Integers(values.clone())),
        )
    }

    fn doubles(values: &[f64]) -> Field {
        let values: Vec<_> = values.iter().map(|value| Some(*value)).collect();
        Field::of(
            "y",
            &ColumnType::Double,
            values.len(),
            Some(&Values::Doubles {
                values: values.clone(),
                single: false,
            }),
        )
    }

    #[track_caller]
    fn check(label: &Field, wanted: Option<Task>, expect: Result<Task, &str>) {
        match (settle(label, wanted), expect) {
            (Ok(found), Ok(expect)) => assert_eq!(found, expect),
            (Err(problem), Err(told)) => assert!(problem.to_string().contains(told), "{problem}"),
            (found, _) => panic!("{found:?}"),
        }
    }

    #[test]
    fn the_task_is_told_from_the_label() {
        check(&texts(&["no", "yes"], 20), None, Ok(Task::Binary));
        check(&texts(&["a", "b", "c"], 20), None, Ok(Task::Multiclass));
        check(
            &texts(&["a", "b", "c"], 2),
            None,
            Err("too many for classes"),
        );
        check(&texts(&["a"], 9), None, Err("nothing to learn"));
        check(&integers((0..100).map(|n| n % 2)), None, Ok(Task::Binary));
        check(
            &integers((0..100).map(|n| n % 2 + 1)),
            None,
            Ok(Task::Binary),
        );
        check(
            &integers((0..100).map(|n| n % 3)),
            None,
            Ok(Task::Multiclass),
        );
        check(
            &integers((0..100).map(|n| n % 5 + 1)),
            None,
            Err("`--kind multiclass` or `--kind regression`"),
        );
        check(&integers(0..100), None, Ok(Task::Regression));
        check(&doubles(&[0.0, 1.0, 0.0, 1.0]), None, Ok(Task::Binary));
        check(&doubles(&[0.5, 1.5, 0.5]), None, Err("`--kind regression`"));
        check(&doubles(&[0.5, 1.5, 2.25]), None, Ok(Task::Regression));
        check(
            &doubles(&[1.0, 2.0, 3.0]),
            None,
            Err("may be a number or one of several classes"),
        );
        let days = Values::Dates(vec![Some(1), Some(2)]);
        check(
            &Field::of("y", &ColumnType::Date, 2, Some(&days)),
            None,
            Err("is of type date"),
        );
    }

    #[test]
    fn what_is_asked_for_must_fit() {
        check(
            &integers((0..100).map(|n| n % 5 + 1)),
            Some(Task::Multiclass),
            Ok(Task::Multiclass),
        );
        check(
            &integers((0..100).map(|n| n % 5 + 1)),
            Some(Task::Regression),
            Ok(Task::Regression),
        );
        check(
            &integers((0..100).map(|n| n % 5)),
            Some(Task::Binary),
            Err("that is not binary"),
        );
        check(
            &texts(&["a", "b", "c"], 20),
            Some(Task::Regression),
            Err("that is not regression"),
        );
        check(&texts(&["a", "b"], 20), Some(Task::None), Ok(Task::None));
    }

    #[test]
    fn the_class_that_it_is_about_is_the_yes_or_the_rarer_one() {
        assert_eq!(positive(&texts(&["no", "yes", "yes"], 1)), Some("yes"));
        assert_eq!(positive(&texts(&["good", "bad"], 1)), Some("bad"));
        assert_eq!(positive(&texts(&["x", "z", "z"], 1)), Some("x"));
        assert_eq!(positive(&integers([1, 2, 1].into_iter())), Some("2"));
        assert_eq!(positive(&integers([1, 0, 1].into_iter())), Some("1"));
    }
}
