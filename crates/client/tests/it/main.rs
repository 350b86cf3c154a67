//! The client, before an API that a test makes up and before the real one.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod matrix;
mod overview;
mod runs;
mod wire;
