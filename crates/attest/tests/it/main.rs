//! The formats from outside.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod cyclonedx;
#[path = "../../examples/bom.rs"]
#[expect(dead_code, reason = "an example has a `main`")]
mod sample;
