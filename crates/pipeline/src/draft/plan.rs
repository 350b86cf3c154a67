//! Which column plays which part.

use std::fmt::Write as _;

use super::field::{Field, Sort};
use super::task::{self, Task};
use super::words::{column, text};

/// A text is a category up to so many different values.
const MAX_CATEGORIES: usize = 50;
/// What a category is called that is missing.
const MISSING: &str = "(missing)";

/// The parts that columns play in a project with a model.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) task: Task,
    pub(super) label: &'a Field,
    /// The column that names each row.
    pub(super) key: Option<&'a Field>,
    /// The column whose rows stay together on one side of the split.
    pub(super) together: Option<&'a Field>,
    /// The features, each as SQL makes it.
    pub(super) features: Vec<(&'a Field, String)>,
    /// What is no feature, and why.
    pub(super) left_out: Vec<(&'a Field, &'static str)>,
}

/// Finds the column that names each row: unique, and called so or counted.
pub(super) fn key<'a>(fields: &'a [Field], label: Option<&str>) -> Option<&'a Field> {
    let mut unique = fields.iter().filter(|field| {
        field.is_unique()
            && matches!(field.sort, Sort::Integer | Sort::Text)
            && Some(field.name.as_str()) != label
    });
    let first = fields.first().map(|field| field.name.as_str());
    let named = unique.clone().find(|field| field.is_called_id());
    named.or_else(|| unique.find(|field| field.counts_rows && Some(field.name.as_str()) == first))
}

impl<'a> Plan<'a> {
    pub(super) fn new(fields: &'a [Field], label: &'a Field, task: Task) -> Self {
        let key = key(fields, Some(&label.name));
        let is = |other: Option<&Field>, field: &Field| {
            other.is_some_and(|other| other.name == field.name)
        };
        let candidates = fields.iter().filter(|field| {
            let names = field.is_called_id() && matches!(field.sort, Sort::Integer | Sort::Text);
            names
                && field.name != label.name
                && !is(key, field)
                && field.nulls == 0
                && field.distinct > MAX_CATEGORIES
                && field.distinct < field.rows
        });
        // What a person has more of than one must not stand on both sides; else the widest group.
        let together = candidates.min_by_key(|field| (!field.is_of_persons(), field.distinct));
        let mut plan = Self {
            task,
            label,
            key,
            together,
            features: Vec::new(),
            left_out: Vec::new(),
        };
        for field in fields {
            if field.name == label.name || is(key, field) || is(together, field) {
                continue;
            }
            match feature(field) {
                Ok(sql) => plan.features.push((field, sql)),
                Err(why) => plan.left_out.push((field, why)),
            }
        }
        plan
    }

    /// Returns the value that a binary model is about, where it has to be said.
    pub(super) fn positive(&self) -> Option<String> {
        let value = task::positive(self.label).filter(|_| self.task == Task::Binary)?;
        let plain = self.label.sort == Sort::Boolean
            || (self.label.is_number()
                && self
                    .label
                    .few
                    .iter()
                    .all(|(value, _)| value == "0" || value == "1"));
        (!plain).then(|| self.label.value(value))
    }

    /// Writes the query that makes what the model may see.
    pub(super) fn prepared(&self) -> String {
        let mut columns: Vec<_> = [self.key, self.together]
            .into_iter()
            .flatten()
            .map(|field| column(&field.name))
            .collect();
        columns.extend(self.features.iter().map(|(field, sql)| {
            let name = column(&field.name);
            if *sql == name {
                name
            } else {
                format!("{sql} AS {name}")
            }
        }));
        let name = column(&self.label.name);
        columns.push(match (self.task, self.label.sort) {
            (Task::Regression, Sort::Number) if self.label.word == "double" => name.clone(),
            (Task::Regression, _) => format!("CAST({name} AS DOUBLE) AS {name}"),
            (_, Sort::Boolean | Sort::Number) => format!("CAST({name} AS BIGINT) AS {name}"),
            _ => name.clone(),
        });
        let mut sql = format!("SELECT\n  {}\nFROM raw", columns.join(",\n  "));
        if self.label.nulls + self.label.nans > 0 {
            let _infallible = write!(sql, "\nWHERE {name} IS NOT NULL");
        }
        if self.label.nans > 0 {
            let _infallible = write!(sql, " AND NOT isnan({name})");
        }
        sql
    }

    /// Writes the two queries that tell training rows from those kept apart.
    pub(super) fn halves(&self) -> (String, String) {
        let by = match self.together.or(self.key) {
            Some(field) => format!("CAST({} AS VARCHAR)", column(&field.name)),
            None => self.whole_row(),
        };
        let half =
            |sign: &str| format!("SELECT * FROM prepared\nWHERE custody_bucket({by}, 10) {sign} 7");
        (half("<"), half(">="))
    }

    /// Writes all values of a row as one text.
    fn whole_row(&self) -> String {
        /// Columns on a line.
        const WIDE: usize = 3;
        let mut all: Vec<_> = self
            .features
            .iter()
            .map(|(field, _)| {
                let name = column(&field.name);
                if field.sort == Sort::Text {
                    name
                } else {
                    format!("CAST({name} AS VARCHAR)")
                }
            })
            .collect();
        all.push(format!("CAST({} AS VARCHAR)", column(&self.label.name)));
        let lines: Vec<_> = all.chunks(WIDE).map(|line| line.join(", ")).collect();
        format!("concat_ws('|',\n    {}\n  )", lines.join(",\n    "))
    }

    /// Says by what rows are split.
    pub(super) fn split_by(&self) -> String {
        match (self.together, self.key) {
            (Some(field), _) => {
                format!("rows with the same {} stay on one side", text(&field.name))
            }
            (None, Some(field)) => format!(
                "by {}, the same rows on any machine and in any later version",
                text(&field.name)
            ),
            (None, None) => {
                "by all values of a row, so that equal rows stay on one side".to_owned()
            }
        }
    }
}

/// Writes a column as a feature, a DOUBLE or a text; or says why it is none.
fn feature(field: &Field) -> Result<String, &'static str> {
    let name = column(&field.name);
    if field.names_a_person() {
        return Err("it looks as if it named a person");
    }
    if field.sort == Sort::Other {
        return Err("a model cannot take its type as it is");
    }
    if field.filled() == 0 {
        return Err("it has no values");
    }
    if field.distinct < 2 && field.nulls + field.nans == 0 {
        return Err("it is the same in all rows");
    }
    if field.is_called_id() && field.distinct > MAX_CATEGORIES {
        return Err("it is called as if it named a thing");
    }
    // The model takes numbers of single precision.
    if field
        .span
        .is_some_and(|(low, high)| low.abs().max(high.abs()) > f64::from(f32::MAX))
    {
        return Err("its numbers are too large for the model");
    }
    match field.sort {
        Sort::Number if field.word == "double" => Ok(name),
        Sort::Boolean | Sort::Integer | Sort::Number => Ok(format!("CAST({name} AS DOUBLE)")),
        Sort::Time => Ok(format!(
            "CAST(date_part('epoch', {name}) AS DOUBLE) / 86400"
        )),
        Sort::Text if field.distinct > MAX_CATEGORIES && field.otherwise.is_some() => {
            Err("it is read as text")
        }
        Sort::Text if field.distinct > MAX_CATEGORIES => {
            Err("it has too many different texts for a category")
        }
        Sort::Text if field.distinct * 2 > field.filled() => {
            Err("nearly every row has another text")
        }
        Sort::Text => Ok(format!("COALESCE({name}, '{MISSING}')")),
        Sort::Other => Err("a model cannot take its type as it is"),
    }
}
