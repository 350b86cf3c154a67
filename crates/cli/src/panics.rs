//! Faults of the program itself: they are told like any other problem, not as a trace. With `RUST_BACKTRACE` set, the
//! trace comes too.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::sync::{Mutex, PoisonError};

use custody_types::{Problem, code};

/// Where the last panic was. What it said may hold values of the data.
static LAST: Mutex<Option<String>> = Mutex::new(None);

/// Has panics noted instead of printed. Some are caught where they happen: libraries panic on broken files.
#[expect(
    clippy::disallowed_methods,
    reason = "a setting of the standard library, not of ours"
)]
pub(crate) fn note() {
    if std::env::var_os("RUST_BACKTRACE").is_some() {
        return;
    }
    set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        *LAST.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }));
}

/// Does the work; a panic is a [`Problem`].
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T, Problem>) -> Result<T, Problem> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let last = LAST.lock().unwrap_or_else(PoisonError::into_inner).take();
        Err(Problem::new(
            code::CLI_070,
            "this is a fault of the program",
        )
        .because(last.map_or_else(String::new, |place| format!("it stopped at {place}")))
        .hint(
            "report it, with what you did; what was stored is safe, and what was not is not there",
        ))
    })
}
