//! Measures of data and models: pure functions on slices, each with its formula and its source.
//!
//! Invariants: counts are integers, sums are compensated and taken in row order, so that the same rows
//! give the same bytes; 0/0 is `None` and never a number; what is too small to tell is said to be so.
//! There is no input or output, no randomness and no clock.
//!
//! Enter at [`evaluate`], which gives the [`Evaluation`] that gates ask for figures.
#![forbid(unsafe_code)]

pub mod contract;
mod evaluation;
mod fairness;
mod faults;
mod literal;
mod metric;
mod performance;
mod rate;
mod sum;

pub use evaluation::{
    Attribute, EvaluateError, Evaluation, INTERSECTION, MAX_GROUPS, Scored, evaluate,
};
pub use fairness::{Compared, Fairness, Gap, Group, Guard, Support};
pub use faults::Fault;
pub use metric::{
    Better, Between, FairnessMetric, Measured, MetricName, MetricNameError, PerformanceMetric,
};
pub use performance::{CALIBRATION_BINS, Confusion, Performance};
pub use rate::{Interval, Rate};
