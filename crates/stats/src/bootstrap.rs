//! Intervals of figures by drawing the rows again.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::thread;

use serde::{Deserialize, Serialize};

use crate::quantile::quantile;
use crate::random::SplitMix64;
use crate::rate::Interval;

/// The fewest samples that give the ends of an interval of 95 %.
pub const FEWEST_SAMPLES: u32 = 40;
/// The most samples.
pub const MOST_SAMPLES: u32 = 100_000;

/// How often the rows are drawn again, and from which seed.
///
/// Each sample draws as many rows as there are, with replacement, from all rows: the share of each class, and of
/// each group, varies as it would in other data of the same source (nothing is stratified). The interval lies
/// between the quantiles 0.025 and 0.975 of the samples' figures (B. Efron, "Bootstrap methods", Ann. Statist. 7
/// (1979), percentile method). A sample in which a figure cannot be told, such as an area with one class alone, has
/// no part in the figure's interval; with fewer than [`FEWEST_SAMPLES`] left there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bootstrap {
    /// The number of samples.
    pub samples: u32,
    /// The seed.
    pub seed: u64,
}

/// Draws the samples and measures each; returns an interval for each figure that `measure` gives. The result is the
/// same whatever the number of threads: a sample's rows come from the seed and its number alone.
pub(crate) fn intervals(
    bootstrap: Bootstrap,
    rows: usize,
    threads: NonZeroUsize,
    measure: &(impl Fn(&[usize]) -> Vec<(String, Option<f64>)> + Sync),
) -> BTreeMap<String, Interval> {
    let samples = u64::from(bootstrap.samples);
    let threads = threads.get().min(samples.max(1).try_into().unwrap_or(1));
    let share = |worker: usize| {
        let mut found: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        let mut drawn = vec![0; rows];
        let numbers = (0..samples).skip(worker).step_by(threads);
        for number in numbers {
            let mut random = SplitMix64::stream(bootstrap.seed, number);
            drawn.fill_with(|| random.below(rows));
            for (name, value) in measure(&drawn) {
                found.entry(name).or_default().extend(value);
            }
        }
        found
    };
    let mut all: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    thread::scope(|scope| {
        let workers: Vec<_> = (1..threads)
            .map(|worker| scope.spawn(move || share(worker)))
            .collect();
        let mut merge = |found: BTreeMap<String, Vec<f64>>| {
            for (name, values) in found {
                all.entry(name).or_default().extend(values);
            }
        };
        merge(share(0));
        for worker in workers {
            match worker.join() {
                Ok(found) => merge(found),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    let interval = |values: &mut Vec<f64>| {
        values.sort_unstable_by(f64::total_cmp);
        (values.len() >= FEWEST_SAMPLES as usize).then_some(())?;
        Some(Interval {
            low: quantile(values, 0.025)?,
            high: quantile(values, 0.975)?,
        })
    };
    all.into_iter()
        .filter_map(|(name, mut values)| Some((name, interval(&mut values)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean_of(values: &[f64], threads: usize, seed: u64) -> Interval {
        let measure = |rows: &[usize]| {
            let total: f64 = rows.iter().map(|row| values[*row]).sum();
            vec![(
                "mean".to_owned(),
                Some(total / crate::sum::real(rows.len() as u64)),
            )]
        };
        let threads = NonZeroUsize::new(threads).unwrap();
        intervals(
            Bootstrap { samples: 999, seed },
            values.len(),
            threads,
            &measure,
        )["mean"]
    }

    #[test]
    fn the_threads_change_nothing_and_the_seed_does() {
        let values: Vec<f64> = (0..200).map(|i| f64::from(i * 37 % 101)).collect();
        let one = mean_of(&values, 1, 1);
        assert_eq!(one, mean_of(&values, 3, 1));
        assert_eq!(one, mean_of(&values, 64, 1));
        assert_ne!(one, mean_of(&values, 1, 2));
    }

    /// The mean of n values has the standard error s/√n.
    #[test]
    fn the_interval_of_a_mean_is_as_wide_as_theory_says() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(i * 37 % 401)).collect();
        let found = mean_of(&values, 2, 5);
        let mean: f64 = values.iter().sum::<f64>() / 400.0;
        let variance: f64 = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 399.0;
        let expected = 2.0 * 1.96 * (variance / 400.0).sqrt();
        let width = found.high - found.low;
        assert!((width / expected - 1.0).abs() < 0.1, "{width} {expected}");
    }

    #[test]
    fn what_most_samples_cannot_tell_has_no_interval() {
        let measure = |_: &[usize]| vec![("area".to_owned(), None)];
        let bootstrap = Bootstrap {
            samples: 100,
            seed: 0,
        };
        assert!(intervals(bootstrap, 3, NonZeroUsize::MIN, &measure).is_empty());
    }
}
