//! The texts that stand most often.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use custody_wire::TopValue;
use datafusion::arrow::array::AsArray;
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use crate::error::EngineError;
use crate::identity::hashed;
use crate::parts::{Parts, Unit};

/// A text, and in how many rows it stands. In the order of being told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Often {
    count: Reverse<u64>,
    text: String,
    pub(crate) identity: u128,
}

impl Often {
    pub(crate) fn into_value(self) -> TopValue {
        TopValue {
            value: self.text.into(),
            count: self.count.0,
        }
    }
}

/// Returns each identity once, in order, with how often it stands.
pub(crate) fn runs(mut identities: Vec<u128>) -> Vec<(u128, u64)> {
    identities.par_sort_unstable();
    identities
        .chunk_by(|a, b| a == b)
        .filter_map(|same| Some((*same.first()?, same.len() as u64)))
        .collect()
}

/// Finds the texts that stand most often in a column, given how often which identity stands; of those that stand
/// equally often the least by their bytes.
pub(crate) fn most_often(
    parts: &Parts,
    column: usize,
    runs: &[(u128, u64)],
    most: usize,
    secret: &[u8; 16],
) -> Result<Vec<Often>, EngineError> {
    let mut counts: Vec<u64> = runs.iter().map(|(_, count)| *count).collect();
    let greatest = counts.iter().copied().max().unwrap_or_default();
    let cut = if counts.len() > most {
        let (_, cut, _) = counts.select_nth_unstable_by_key(most - 1, |count| Reverse(*count));
        *cut
    } else {
        0
    };
    let candidates: Vec<_> = runs.iter().filter(|(_, count)| *count >= cut).collect();
    let count_of = |identity: u128| {
        let at = candidates.binary_search_by_key(&identity, |(known, _)| *known);
        at.ok().and_then(|at| candidates.get(at)).map(|run| run.1)
    };
    // Where no text stands more often than the last one that is told, a greater text is out without being looked up.
    let tied = greatest == cut;
    let of_unit = |unit: &Unit| {
        let mut often = BTreeSet::new();
        for batch in parts.read(*unit, &[column]) {
            for text in batch?.column(0).as_string::<i32>().iter().flatten() {
                let full = often.len() == most;
                if full
                    && tied
                    && often
                        .last()
                        .is_some_and(|last: &Often| text >= last.text.as_str())
                {
                    continue;
                }
                let identity = hashed(secret, text.as_bytes());
                let Some(count) = count_of(identity) else {
                    continue;
                };
                let out = |last: &Often| (Reverse(count), text) >= (last.count, last.text.as_str());
                if full && often.last().is_some_and(out) {
                    continue;
                }
                often.insert(Often {
                    count: Reverse(count),
                    text: text.to_owned(),
                    identity,
                });
                if often.len() > most {
                    often.pop_last();
                }
            }
        }
        Ok(often)
    };
    let found: Vec<Result<_, EngineError>> = parts.units.par_iter().map(of_unit).collect();
    let mut all = BTreeSet::new();
    for often in found {
        all.extend(often?);
    }
    Ok(all.into_iter().take(most).collect())
}
