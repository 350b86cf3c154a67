//! Profiles: what a table looks like, column by column, exactly.
//!
//! As many columns as there are threads are gathered at a time, unit by unit, and each is sorted: so distinct values,
//! quantiles and histograms are exact and the same on any number of threads. Memory: for each row 16 bytes, and for
//! each column at hand 24 to 32; never the texts. Of texts those that stand most often are found in a second pass over
//! their column.

mod figures;
mod top;

use custody_stats::personal;
use custody_wire::{ColumnProfile, TableProfile, TextLengths};
use datafusion::arrow::datatypes::DataType;
use rayon::iter::{
    IndexedParallelIterator, IntoParallelIterator, IntoParallelRefMutIterator, ParallelIterator,
};
use rayon::slice::ParallelSliceMut;

use crate::error::EngineError;
use crate::gather::{Form, Gathered, Keys, gather, is_number};
use crate::identity::{count, together};
use crate::parts::Parts;
use crate::query::Engine;
use crate::schema::word;
use crate::table::Table;
pub(crate) use figures::real;
use figures::{Doubles, Narrow, Wide, figures};
pub(crate) use top::{Often, most_often, runs};

/// How many of the values that stand most often are told.
const TOP: usize = 20;

impl Engine {
    /// Tells what a table looks like.
    ///
    /// # Errors
    /// [`EngineError`] when its files cannot be read.
    pub fn profile(&self, table: &Table) -> Result<TableProfile, EngineError> {
        let parts = Parts::open(table)?;
        let columns: Vec<usize> = (0..parts.schema.fields().len()).collect();
        let (mut rows, mut profiles) = (Vec::new(), Vec::new());
        for some in columns.chunks(self.pool().current_num_threads().max(1)) {
            let wanted: Vec<_> = some
                .iter()
                .map(|column| (*column, parts.schema.field(*column).data_type().clone()))
                .collect();
            let mut gathered = self.gathered(&parts, &wanted)?;
            let cells: Vec<_> = gathered
                .iter()
                .map(|column| column.cells.as_slice())
                .collect();
            self.fold(&mut rows, &cells);
            for column in &mut gathered {
                column.cells = Vec::new();
            }
            let work: Vec<_> = wanted.into_iter().zip(gathered).collect();
            let done: Vec<_> = self.pool().install(|| {
                work.into_par_iter()
                    .map(|((column, kind), gathered)| self.column(&parts, column, &kind, gathered))
                    .collect()
            });
            for profile in done {
                profiles.push(profile?);
            }
        }
        let all = if columns.is_empty() {
            0
        } else {
            rows.len() as u64
        };
        let repeated = self.pool().install(|| count(rows)).rows;
        Ok(TableProfile {
            rows: all,
            repeated_rows: repeated,
            repeated_share: share(repeated, all),
            columns: profiles,
        })
    }

    /// Gathers some columns, each as values of a type.
    pub(crate) fn gathered(
        &self,
        parts: &Parts,
        columns: &[(usize, DataType)],
    ) -> Result<Vec<Gathered>, EngineError> {
        let secret = self.secret();
        let work: Vec<_> = columns
            .iter()
            .flat_map(|wanted| parts.units.iter().map(move |unit| (wanted, *unit)))
            .collect();
        let done: Vec<_> = self.pool().install(|| {
            work.into_par_iter()
                .map(|((column, kind), unit)| gather(parts, unit, *column, kind, &secret))
                .collect()
        });
        let mut done = done.into_iter();
        let mut gathered = Vec::new();
        for (_, kind) in columns {
            let units = done.by_ref().take(parts.units.len());
            let units = units.collect::<Result<Vec<_>, _>>()?;
            let rows: usize = units.iter().map(|unit| unit.cells.len()).sum();
            let mut units = units.into_iter();
            let mut whole = units.next().unwrap_or_else(|| Gathered::nothing(kind));
            whole.reserve(rows.saturating_sub(whole.cells.len()));
            for more in units {
                whole.add(more);
            }
            gathered.push(whole);
        }
        Ok(gathered)
    }

    /// Takes the values of more columns into the identities of rows.
    pub(crate) fn fold(&self, rows: &mut Vec<u128>, columns: &[&[u128]]) {
        let secret = self.secret();
        let count = columns.first().map_or(0, |cells| cells.len());
        rows.resize(rows.len().max(count), 0);
        self.pool().install(|| {
            rows.par_iter_mut()
                .enumerate()
                .with_min_len(4096)
                .for_each(|(at, row)| {
                    let cells = columns.iter().map(|cells| cells.get(at).copied());
                    *row = together(&secret, *row, cells.map(Option::unwrap_or_default));
                });
        });
    }

    fn column(
        &self,
        parts: &Parts,
        column: usize,
        kind: &DataType,
        gathered: Gathered,
    ) -> Result<ColumnProfile, EngineError> {
        let name = parts.schema.field(column).name();
        let values = match &gathered.keys {
            Keys::Narrow(keys) => keys.len(),
            Keys::Wide(keys) => keys.len(),
            Keys::Hashed(keys) => keys.len(),
        } as u64;
        let rows = values + gathered.nulls + gathered.nan;
        let texts = gathered.texts;
        let mut profile = ColumnProfile {
            name: name.clone(),
            data_type: word(kind),
            rows,
            nulls: gathered.nulls,
            null_share: share(gathered.nulls, rows),
            nan: gathered.nan,
            infinite: gathered.infinite,
            distinct: 0,
            min: None,
            max: None,
            mean: None,
            stddev: None,
            quantiles: Vec::new(),
            top: Vec::new(),
            histogram: Vec::new(),
            lengths: None,
            looks_personal: personal::reason(name, &texts.hits, values - texts.empty),
        };
        if is_number(kind) {
            profile.mean = gathered.moments.mean().filter(|mean| mean.is_finite());
            let deviation = gathered.moments.stddev();
            profile.stddev = deviation.filter(|deviation| deviation.is_finite());
        }
        match (Form::of(kind), gathered.keys) {
            (Form::Double, Keys::Narrow(mut keys)) => {
                keys.par_sort_unstable();
                figures(&mut profile, &keys, &Doubles)?;
            }
            (_, Keys::Narrow(mut keys)) => {
                keys.par_sort_unstable();
                figures(&mut profile, &keys, &Narrow(kind))?;
            }
            (_, Keys::Wide(mut keys)) => {
                keys.par_sort_unstable();
                figures(&mut profile, &keys, &Wide(kind))?;
            }
            (form, Keys::Hashed(keys)) => {
                let runs = runs(keys);
                profile.distinct = runs.len() as u64;
                if form == Form::Text {
                    let often = most_often(parts, column, &runs, TOP, &self.secret())?;
                    profile.top = often.into_iter().map(Often::into_value).collect();
                    profile.min = texts.least.map(Into::into);
                    profile.max = texts.greatest.map(Into::into);
                    profile.lengths = texts.shortest.map(|shortest| TextLengths {
                        min: shortest,
                        mean: real(texts.characters) / real(values),
                        max: texts.longest,
                        empty: texts.empty,
                    });
                }
            }
        }
        Ok(profile)
    }
}

pub(crate) fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| real(part) / real(whole))
}
