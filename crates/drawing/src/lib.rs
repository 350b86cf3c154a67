//! Drawings as SVG: the lineage of a version, and plots of figures.
//!
//! What is drawn stands as text elsewhere too: in what a command prints, in a table of a page. Drawings have presentation attributes
//! for where they stand alone, and classes for the style sheet of a page. All text from data is escaped.
#![forbid(unsafe_code)]

mod layout;
mod lineage;
mod plot;
mod svg;

pub use lineage::{Drawn, lineage};
pub use plot::{Axis, Interval, Mark, intervals, line};
