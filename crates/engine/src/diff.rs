//! What differs between two tables, by a key.
//!
//! Rows are found by the identities of their keys ([`crate::identity`]), whatever their order; columns are compared as
//! many at a time as there are threads. Memory: 32 bytes for each row of both tables, and for each column at hand 24 to 32.

mod drift;

use custody_types::nearest;
use custody_wire::{ColumnDiff, Retyped, TableDiff};
use datafusion::arrow::datatypes::DataType;
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use crate::error::EngineError;
use crate::gather::{Gathered, NAN, NULL};
use crate::parts::Parts;
use crate::profile::share;
use crate::query::Engine;
use crate::schema::{widest, word};
use crate::table::Table;
use crate::value::views;

/// A column that both tables have: its places, and the type in which its values are compared.
#[derive(Debug)]
struct Common {
    name: String,
    before: usize,
    after: usize,
    kind: Option<DataType>,
}

/// One of the two tables.
struct Side<'a> {
    table: &'a Table,
    parts: &'a Parts,
}

/// The rows of both tables, brought together by key.
#[derive(Debug, Default)]
struct Joined {
    pairs: Vec<(usize, usize)>,
    added: u64,
    removed: u64,
}

impl Engine {
    /// Tells what differs between two tables whose rows are the same where `key` is.
    ///
    /// # Errors
    /// [`EngineError::Key`] when the key is missing or doubled in a row, or cannot be compared; [`EngineError`] when files
    /// cannot be read.
    pub fn diff(
        &self,
        before: &Table,
        after: &Table,
        key: &[String],
    ) -> Result<TableDiff, EngineError> {
        let (old, new) = (Parts::open(before)?, Parts::open(after)?);
        let common = common(&old, &new);
        let keys = key_columns(key, &common, [(before, &old), (after, &new)])?;
        let rows_before = self.keyed(
            &Side {
                table: before,
                parts: &old,
            },
            key,
            &places(&keys, true),
        )?;
        let rows_after = self.keyed(
            &Side {
                table: after,
                parts: &new,
            },
            key,
            &places(&keys, false),
        )?;
        let joined = join(&rows_before, &rows_after);
        let (all_before, all_after) = (rows_before.len() as u64, rows_after.len() as u64);
        drop((rows_before, rows_after));
        let mut differs = vec![false; joined.pairs.len()];
        let mut columns = Vec::new();
        for some in common.chunks(self.pool().current_num_threads().max(1)) {
            columns.extend(self.compare((&old, &new), some, &joined.pairs, &mut differs)?);
        }
        let changed = differs.iter().filter(|differs| **differs).count() as u64;
        let (columns_before, columns_after) = (views(&old.schema), views(&new.schema));
        let lacks = |views: &[custody_wire::ColumnView], name: &str| {
            views.iter().all(|view| view.name != name)
        };
        let retyped = common.iter().filter_map(|column| {
            let (before, after) = column.words(&old, &new);
            (before != after).then(|| Retyped {
                name: column.name.clone(),
                before,
                after,
            })
        });
        Ok(TableDiff {
            key: key.to_vec(),
            rows_before: all_before,
            rows_after: all_after,
            columns_retyped: retyped.collect(),
            added: joined.added,
            removed: joined.removed,
            changed,
            unchanged: joined.pairs.len() as u64 - changed,
            columns,
            columns_added: columns_after
                .iter()
                .filter(|view| lacks(&columns_before, &view.name))
                .cloned()
                .collect(),
            columns_removed: columns_before
                .into_iter()
                .filter(|view| lacks(&columns_after, &view.name))
                .collect(),
        })
    }

    /// Returns the identity of each row's key with its place, sorted.
    fn keyed(
        &self,
        side: &Side<'_>,
        key: &[String],
        columns: &[(usize, DataType)],
    ) -> Result<Vec<(u128, usize)>, EngineError> {
        let gathered = self.gathered(side.parts, columns)?;
        let mut rows = Vec::new();
        let mut missing = Vec::new();
        for column in &gathered {
            self.fold(&mut rows, &[&column.cells]);
            missing.resize(rows.len(), false);
            for (missing, cell) in missing.iter_mut().zip(&column.cells) {
                *missing |= *cell == NULL || (column.nan > 0 && *cell == NAN);
            }
        }
        let mut keyed: Vec<(u128, usize)> = rows
            .into_iter()
            .enumerate()
            .map(|(at, row)| (row, at))
            .collect();
        self.pool().install(|| keyed.par_sort_unstable());
        let missing = missing.iter().filter(|missing| **missing).count();
        let doubled: usize = keyed
            .chunk_by(|a, b| a.0 == b.0)
            .map(|same| same.len() - 1)
            .sum();
        let name = format!("the key `{}`", key.join("`, `"));
        let table = &side.table.name;
        if missing > 0 {
            return Err(EngineError::Key(format!(
                "{name} is missing in {missing} of {} rows of `{table}`",
                keyed.len()
            )));
        }
        if doubled > 0 {
            return Err(EngineError::Key(format!(
                "{name} stands again in {doubled} of {} rows of `{table}`",
                keyed.len()
            )));
        }
        Ok(keyed)
    }

    /// Compares some columns.
    fn compare(
        &self,
        (old, new): (&Parts, &Parts),
        common: &[Common],
        pairs: &[(usize, usize)],
        differs: &mut [bool],
    ) -> Result<Vec<ColumnDiff>, EngineError> {
        let before = self.gathered(old, &wanted(common, old, true))?;
        let after = self.gathered(new, &wanted(common, new, false))?;
        let work: Vec<_> = common.iter().zip(before.into_iter().zip(after)).collect();
        let secret = self.secret();
        let done: Vec<Result<_, EngineError>> = self.pool().install(|| {
            work.into_par_iter()
                .map(|(column, (before, after))| {
                    let changed = column
                        .kind
                        .is_some()
                        .then(|| changed(&before, &after, pairs));
                    let mut told = ColumnDiff {
                        name: column.name.clone(),
                        changed: changed.as_ref().map(|changed| changed.len() as u64),
                        null_share_before: share(before.nulls, before.cells.len() as u64),
                        null_share_after: share(after.nulls, after.cells.len() as u64),
                        drift: None,
                    };
                    if let Some(kind) = &column.kind {
                        told.drift =
                            drift::of_column((old, column.before), kind, before, after, &secret)?;
                    }
                    Ok((told, changed.unwrap_or_default()))
                })
                .collect()
        });
        let mut told = Vec::new();
        for done in done {
            let (column, changed) = done?;
            for pair in changed {
                if let Some(differs) = differs.get_mut(pair) {
                    *differs = true;
                }
            }
            told.push(column);
        }
        Ok(told)
    }
}

impl Common {
    fn words(&self, old: &Parts, new: &Parts) -> (String, String) {
        (
            word(old.schema.field(self.before).data_type()),
            word(new.schema.field(self.after).data_type()),
        )
    }
}

/// Finds the columns that both tables have, in the order of the later one.
fn common(old: &Parts, new: &Parts) -> Vec<Common> {
    let fields = new.schema.fields().iter().enumerate();
    fields
        .filter_map(|(after, field)| {
            let before = old.schema.index_of(field.name()).ok()?;
            Some(Common {
                name: field.name().clone(),
                before,
                after,
                kind: comparable(old.schema.field(before).data_type(), field.data_type()),
            })
        })
        .collect()
}

/// Returns the type in which values of two types are compared, where it holds all of both.
fn comparable(a: &DataType, b: &DataType) -> Option<DataType> {
    let same_family = (a.is_floating() && b.is_floating())
        || (a.is_integer() || a.is_decimal()) && (b.is_integer() || b.is_decimal())
        || matches!((a, b), (DataType::Timestamp(..), DataType::Timestamp(..)))
        || a == b;
    widest(a, b).filter(|_| same_family)
}

fn key_columns<'a>(
    key: &[String],
    common: &'a [Common],
    sides: [(&Table, &Parts); 2],
) -> Result<Vec<&'a Common>, EngineError> {
    let mut columns = Vec::new();
    if key.is_empty() {
        return Err(EngineError::Key("it has no column".to_owned()));
    }
    for name in key {
        let Some(column) = common.iter().find(|column| column.name == *name) else {
            let mut because = format!("no column `{name}` is in both tables");
            for (table, parts) in sides {
                if parts.schema.index_of(name).is_err() {
                    because = format!("`{}` has no column `{name}`", table.name);
                }
            }
            let names = common.iter().map(|column| column.name.as_str());
            if let Some(near) = nearest(name, names) {
                because = format!("{because}; did you mean `{near}`?");
            }
            return Err(EngineError::Key(because));
        };
        if column.kind.is_none() {
            let [(_, old), (_, new)] = sides;
            let (before, after) = column.words(old, new);
            return Err(EngineError::Key(format!(
                "the column `{name}` was {before} and is {after}"
            )));
        }
        columns.push(column);
    }
    Ok(columns)
}

fn places(keys: &[&Common], before: bool) -> Vec<(usize, DataType)> {
    let place = |column: &&Common| {
        let place = if before { column.before } else { column.after };
        (place, column.kind.clone().unwrap_or(DataType::Null))
    };
    keys.iter().map(place).collect()
}

fn wanted(common: &[Common], parts: &Parts, before: bool) -> Vec<(usize, DataType)> {
    let place = |column: &Common| {
        let place = if before { column.before } else { column.after };
        let own = || parts.schema.field(place).data_type().clone();
        (place, column.kind.clone().unwrap_or_else(own))
    };
    common.iter().map(place).collect()
}

/// Brings rows together; both sides are sorted, and no key stands twice in one.
fn join(before: &[(u128, usize)], after: &[(u128, usize)]) -> Joined {
    let mut joined = Joined::default();
    let (mut old, mut new) = (before.iter().peekable(), after.iter().peekable());
    loop {
        match (old.peek(), new.peek()) {
            (Some((a, row)), Some((b, other))) if a == b => {
                joined.pairs.push((*row, *other));
                old.next();
                new.next();
            }
            (Some((a, _)), Some((b, _))) if a < b => {
                joined.removed += 1;
                old.next();
            }
            (Some(_), None) => {
                joined.removed += 1;
                old.next();
            }
            (_, Some(_)) => {
                joined.added += 1;
                new.next();
            }
            (None, None) => return joined,
        }
    }
}

/// Returns the pairs whose values differ; null is null.
fn changed(before: &Gathered, after: &Gathered, pairs: &[(usize, usize)]) -> Vec<usize> {
    let pairs = pairs.iter().enumerate();
    pairs
        .filter(|(_, (old, new))| before.cells.get(*old) != after.cells.get(*new))
        .map(|(at, _)| at)
        .collect()
}
