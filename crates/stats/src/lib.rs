//! Measures of data and models: pure functions on slices, each with its formula and its source.
//!
//! Invariants: counts are integers, sums are compensated and taken in row order, so that the same rows
//! give the same bytes; 0/0 is `None` and never a number; what is too small to tell is said to be so.
//! There is no input or output, no clock, and no randomness but numbers drawn from a seed that is given.
//!
//! Enter at [`evaluate`], which gives the [`Evaluation`] that gates ask for figures.
#![forbid(unsafe_code)]

mod bootstrap;
pub mod contract;
mod evaluation;
mod fairness;
mod faults;
mod groups;
mod literal;
mod metric;
mod multiclass;
mod performance;
pub mod personal;
mod quantile;
mod random;
mod rate;
mod regression;
mod sum;
mod threshold;

pub use bootstrap::{Bootstrap, FEWEST_SAMPLES, MOST_SAMPLES};
pub use evaluation::{
    Attribute, BinaryEvaluation, ClassEvaluation, Classified, EvaluateError, Evaluation,
    INTERSECTION, MAX_GROUPS, PROBABILITY_SLACK, Predicted, RegressionEvaluation, Said, Scored,
    Settings, evaluate,
};
pub use fairness::{Compared, Fairness, Gap, Group, GroupValues, Guard, Support};
pub use faults::Fault;
pub use metric::{Better, Between, ENDS, FigureError, Measured, ModelKind, check_figure, figures};
pub use multiclass::{Average, ClassGroup, ClassPerformance, ClassTable, MOST_TOP_K};
pub use performance::{CALIBRATION_BINS, CalibrationBin, Confusion, Performance};
pub use rate::{Interval, Rate};
pub use regression::{RESIDUAL_QUANTILES, RegressionGroup, RegressionPerformance};
pub use threshold::{ThresholdError, ThresholdRule, choose};
