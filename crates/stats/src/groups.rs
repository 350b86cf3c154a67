//! The groups of a data set, and how they are compared.

use std::collections::{BTreeMap, BTreeSet};

use crate::evaluation::{Attribute, EvaluateError, INTERSECTION, MAX_GROUPS};
use crate::fairness::{Gap, GroupValues, partition};

/// The groups of each attribute and of each two: the name of the grouping, and the rows by group.
pub(crate) type Groupings = Vec<(String, Vec<(GroupValues, Vec<usize>)>)>;

/// Something of each grouping, by its name.
pub(crate) type ByGrouping<T> = BTreeMap<String, T>;
/// Distances by their names.
pub(crate) type Gaps = BTreeMap<String, Gap>;

/// Groups the rows by each attribute (`SEX`), and by each two (`SEX*RAC1P`).
pub(crate) fn groupings(
    attributes: &[Attribute<'_>],
    rows: usize,
) -> Result<Groupings, EvaluateError> {
    check(attributes, rows)?;
    let single = attributes
        .iter()
        .map(|attribute| (attribute.name.to_owned(), vec![attribute.values]));
    let pairs = attributes.iter().enumerate().flat_map(|(index, first)| {
        attributes.iter().skip(index + 1).map(|second| {
            (
                format!("{}{INTERSECTION}{}", first.name, second.name),
                vec![first.values, second.values],
            )
        })
    });
    let mut found = Vec::new();
    for (name, columns) in single.chain(pairs) {
        let parts = partition(&columns, rows);
        if parts.len() > MAX_GROUPS {
            return Err(EvaluateError::TooManyGroups {
                grouping: name,
                found: parts.len(),
            });
        }
        found.push((name, parts));
    }
    Ok(found)
}

fn check(attributes: &[Attribute<'_>], rows: usize) -> Result<(), EvaluateError> {
    let mut seen = BTreeSet::new();
    for Attribute { name, values } in attributes {
        if values.len() != rows {
            return Err(EvaluateError::Lengths {
                column: (*name).to_owned(),
                rows: values.len(),
                expected: rows,
            });
        }
        if name.is_empty() || name.contains(INTERSECTION) || !seen.insert(*name) {
            return Err(EvaluateError::Name((*name).to_owned()));
        }
    }
    Ok(())
}
