//! One libFuzzer binary for every target: `FUZZ_TARGET` names it. `scripts/fuzz.sh` builds and runs it.
#![no_main]

mod properties;
mod tables;

use std::sync::LazyLock;

use libfuzzer_sys::{Corpus, fuzz_target};

use properties::{Checked, Target};

/// What is fuzzed.
enum Kind {
    Scanner(&'static Target),
    Table(String),
}

static TARGET: LazyLock<Kind> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_else(|_| "scan".to_owned());
    if tables::TARGETS.iter().any(|(known, _)| *known == name) {
        // The library of Arrow panics on some broken messages, which is caught: the fuzzer's own hook would end it. What
        // is not caught still does.
        std::panic::set_hook(Box::new(|_| {}));
        return Kind::Table(name);
    }
    Kind::Scanner(properties::target(&name).unwrap_or_else(|| panic!("`{name}` is no target")))
});

fuzz_target!(|input: &[u8]| -> Corpus {
    let reached = match &*TARGET {
        Kind::Scanner(target) => {
            properties::check(target, input).map(|checked| checked == Checked::Reached)
        }
        Kind::Table(target) => tables::check(target, input),
    };
    match reached {
        Ok(true) => Corpus::Keep,
        Ok(false) => Corpus::Reject,
        Err(broken) => {
            eprintln!("panicked at a property: {broken}");
            std::process::abort()
        }
    }
});
