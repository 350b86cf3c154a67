//! Rows that a model was trained on are no proof of what it does with others.

use std::collections::HashSet;

use custody_engine::{Table, Values};
use custody_types::{Digest, Problem, code};
use serde_json::{Value, json};

use super::Measuring;
use crate::file::{Overlap, VALIDATION};

/// What the roles of the datasets begin with that the model was trained on.
pub(crate) const TRAINING: &str = "training:";
/// The types whose values can be compared.
const COMPARED: [&str; 7] = [
    "integer",
    "double",
    "text",
    "boolean",
    "date",
    "timestamp",
    "timestamp with time zone",
];

/// What was compared, for the statement and for the user.
pub(super) struct Found {
    pub(super) compared: Vec<Value>,
    pub(super) notes: Vec<String>,
}

impl Measuring<'_> {
    /// Compares the rows of the data with those that the model was trained on, and with those on which the threshold
    /// is chosen: by key where both have it, by all columns that both have where not.
    pub(super) fn overlap(&self) -> Result<Found, Problem> {
        let mut found = Found {
            compared: Vec::new(),
            notes: Vec::new(),
        };
        let others = self
            .given
            .inputs
            .keys()
            .filter(|role| role.starts_with(TRAINING) || *role == VALIDATION);
        for role in others {
            self.one(role, &mut found)?;
        }
        if !self
            .given
            .inputs
            .keys()
            .any(|role| role.starts_with(TRAINING))
        {
            found.notes.push(
                "no step says what data the model was trained on: nothing could be compared"
                    .to_owned(),
            );
        }
        Ok(found)
    }

    fn one(&self, role: &str, found: &mut Found) -> Result<(), Problem> {
        let (data, other) = (self.given.input("data")?, self.given.input(role)?);
        let digest = other.digest();
        let what = if role == VALIDATION {
            "the data on which the threshold is chosen".to_owned()
        } else {
            format!("the training data {}", short(&digest))
        };
        let same = data.digest() == digest;
        let compared = if same { None } else { self.common(role)? };
        let (by, common, rows) = match compared {
            _ if same => ("version".to_owned(), None, None),
            Some(one) => (one.by, Some(one.common), Some(one.rows)),
            None => {
                found.notes.push(format!(
                    "{what} could not be compared: it is no table, or shares no columns with the data"
                ));
                found
                    .compared
                    .push(json!({"role": role, "sha256": digest, "by": null}));
                return Ok(());
            }
        };
        found.compared.push(json!({"role": role, "sha256": digest, "by": by, "common": common, "rows": rows, "same": same}));
        let told = match common {
            None => format!("the data are {what}"),
            Some(common) => format!(
                "{common} of {} rows are in {what}, by {by}",
                rows.unwrap_or_default()
            ),
        };
        if !same && common == Some(0) {
            found.notes.push(told);
            return Ok(());
        }
        if self.step.overlap == Overlap::Allowed {
            found
                .notes
                .push(format!("{told}; the pipeline file allows it"));
            return Ok(());
        }
        let hint = if by.starts_with("the columns") {
            "measure on rows that were kept apart; where different rows may be equal, name the column that tells them apart as `key`, in both datasets; `overlap: allowed` declares it, and verify names it"
        } else {
            "measure on rows that were kept apart; `overlap: allowed` declares it, and verify names it"
        };
        Err(Problem::new(
            code::RUN_019,
            format!(
                "the step `{}` would measure the model on rows that it knows",
                self.name
            ),
        )
        .because(told)
        .hint(hint))
    }

    /// Counts the rows of the data that the other dataset has; `None` where nothing can be compared.
    fn common(&self, role: &str) -> Result<Option<Common>, Problem> {
        let data = self.table("data")?;
        let other = self.table(role)?;
        // What is no table, such as an archive of a model, has no rows.
        let Ok(theirs) = self.workshop.engine.layout(&other) else {
            return Ok(None);
        };
        let ours = self
            .workshop
            .engine
            .layout(&data)
            .map_err(|error| self.failed(&error))?;
        let comparable = |word: &str| COMPARED.contains(&word) || word.starts_with("decimal");
        let (ours, theirs) = (ours.columns(), theirs.columns());
        let mut both: Vec<&str> = ours
            .iter()
            .filter(|column| comparable(&column.data_type))
            .filter(|column| {
                theirs
                    .iter()
                    .any(|one| one.name == column.name && comparable(&one.data_type))
            })
            .map(|column| column.name.as_str())
            .collect();
        let key = self.step.key.as_deref().filter(|key| both.contains(key));
        let by = match key {
            Some(key) => {
                both = vec![key];
                format!("`{key}`")
            }
            None if both.iter().all(|column| *column == self.step.label) => return Ok(None),
            None => format!("the columns `{}`", both.join("`, `")),
        };
        let read = |table: &Table| {
            let values = self.workshop.engine.values(table, &both);
            values.map_err(|error| self.failed(&error))
        };
        let known: HashSet<Digest> = {
            let values = read(&other)?;
            rows(&values).map(|row| identity(&values, row)).collect()
        };
        let values = read(&data)?;
        let common = rows(&values).filter(|row| known.contains(&identity(&values, *row)));
        Ok(Some(Common {
            by,
            common: common.count(),
            rows: rows(&values).len(),
        }))
    }
}

/// How many rows of the data another dataset has.
struct Common {
    by: String,
    common: usize,
    rows: usize,
}

fn rows(values: &[Values]) -> std::ops::Range<usize> {
    0..values.first().map_or(0, Values::len)
}

fn identity(values: &[Values], row: usize) -> Digest {
    let mut text = String::new();
    for column in values {
        column.identity(row, &mut text);
    }
    Digest::of(text.as_bytes())
}

fn short(digest: &Digest) -> String {
    digest.to_string().chars().take(12).collect()
}
