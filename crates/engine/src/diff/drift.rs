//! How far the values of a column moved.

use std::collections::BTreeMap;

use custody_wire::Drift;
use datafusion::arrow::datatypes::DataType;
use rayon::slice::ParallelSliceMut;

use crate::error::EngineError;
use crate::gather::{Form, Gathered, Keys};
use crate::parts::Parts;
use crate::profile::{most_often, real, runs};

/// How many categories stand for themselves.
const CATEGORIES: usize = 100;
/// The least share that counts.
const FLOOR: f64 = 1e-4;

/// Measures a column, given where it stood before.
pub(super) fn of_column(
    (old, column): (&Parts, usize),
    kind: &DataType,
    before: Gathered,
    after: Gathered,
    secret: &[u8; 16],
) -> Result<Option<Drift>, EngineError> {
    let nulls = (before.nulls, after.nulls);
    let form = Form::of(kind);
    Ok(match (before.keys, after.keys) {
        (Keys::Narrow(before), Keys::Narrow(after)) if *kind == DataType::Boolean => {
            let count =
                |keys: &[i64], of: i64| keys.iter().filter(|key| **key == of).count() as u64;
            let bin = |of| (count(&before, of), count(&after, of));
            psi(&[bin(0), bin(1), nulls])
        }
        (Keys::Narrow(before), Keys::Narrow(after)) => ks(before, after),
        (Keys::Wide(before), Keys::Wide(after)) => ks(before, after),
        (Keys::Hashed(before), Keys::Hashed(after)) if form == Form::Text => {
            let (before, after) = (runs(before), runs(after));
            let known = most_often(old, column, &before, CATEGORIES, secret)?;
            let mut bins: BTreeMap<u128, (u64, u64)> =
                known.iter().map(|often| (often.identity, (0, 0))).collect();
            let (mut others, mut new) = ((0, 0), (0, 0));
            for (identity, count) in &before {
                match bins.get_mut(identity) {
                    Some(bin) => bin.0 += count,
                    None => others.0 += count,
                }
            }
            for (identity, count) in &after {
                match bins.get_mut(identity) {
                    Some(bin) => bin.1 += count,
                    None if before.binary_search_by_key(identity, |run| run.0).is_ok() => {
                        others.1 += count;
                    }
                    None => new.1 += count,
                }
            }
            // In the order of the texts: a sum of doubles depends on its order, and identities on a secret.
            let mut all: Vec<_> = known
                .iter()
                .filter_map(|often| bins.get(&often.identity).copied())
                .collect();
            all.extend([others, new, nulls]);
            psi(&all)
        }
        _ => None,
    })
}

/// The greatest distance of two empirical distribution functions (N. W. Smirnov, 1948).
fn ks<K: Copy + Ord + Send>(mut before: Vec<K>, mut after: Vec<K>) -> Option<Drift> {
    if before.is_empty() || after.is_empty() {
        return None;
    }
    before.par_sort_unstable();
    after.par_sort_unstable();
    let (all_before, all_after) = (before.len() as u64, after.len() as u64);
    let (mut old, mut new) = (before.iter().peekable(), after.iter().peekable());
    let (mut seen_before, mut seen_after, mut greatest) = (0_u64, 0_u64, 0_u128);
    loop {
        let next = match (old.peek(), new.peek()) {
            (Some(a), Some(b)) => **a.min(b),
            (Some(a), None) => **a,
            (None, Some(b)) => **b,
            (None, None) => break,
        };
        while old.next_if(|key| **key == next).is_some() {
            seen_before += 1;
        }
        while new.next_if(|key| **key == next).is_some() {
            seen_after += 1;
        }
        let a = u128::from(seen_before) * u128::from(all_after);
        let b = u128::from(seen_after) * u128::from(all_before);
        greatest = greatest.max(a.abs_diff(b));
    }
    #[expect(clippy::cast_precision_loss, reason = "rounded once, at the end")]
    let distance = greatest as f64 / (u128::from(all_before) * u128::from(all_after)) as f64;
    Some(Drift::Ks { distance })
}

/// The population stability index over bins of counts before and after; bins without any are none.
fn psi(bins: &[(u64, u64)]) -> Option<Drift> {
    let before: u64 = bins.iter().map(|bin| bin.0).sum();
    let after: u64 = bins.iter().map(|bin| bin.1).sum();
    if before == 0 || after == 0 {
        return None;
    }
    let (mut index, mut greatest) = (0.0, 0.0_f64);
    for (old, new) in bins.iter().filter(|bin| **bin != (0, 0)) {
        let (p, q) = (real(*old) / real(before), real(*new) / real(after));
        greatest = greatest.max((q - p).abs());
        let (p, q) = (p.max(FLOOR), q.max(FLOOR));
        index += (q - p) * (q / p).ln();
    }
    Some(Drift::Psi { index, greatest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_moved_is_zero_and_everything_is_one() {
        assert_eq!(
            ks(vec![1, 2, 3], vec![3, 2, 1]),
            Some(Drift::Ks { distance: 0.0 })
        );
        assert_eq!(
            ks(vec![1, 2], vec![3, 4]),
            Some(Drift::Ks { distance: 1.0 })
        );
        assert_eq!(
            ks(vec![1, 1, 2, 2], vec![1, 2, 2, 2]),
            Some(Drift::Ks { distance: 0.25 })
        );
        assert_eq!(ks::<i64>(vec![], vec![1]), None);
        assert_eq!(
            psi(&[(5, 1), (5, 1), (0, 0)]),
            Some(Drift::Psi {
                index: 0.0,
                greatest: 0.0
            })
        );
        assert_eq!(psi(&[(0, 0)]), None);
    }
}
