//! One libFuzzer binary for every target: `FUZZ_TARGET` names it. `scripts/fuzz.sh` builds and runs it.
#![no_main]

mod formats;
mod properties;
mod tables;

/// The reader of `custody.yaml`, without the crate that it is part of: with it comes the engine, which would be built anew.
#[allow(dead_code, unused_imports, reason = "only what reads is used")]
#[path = "../../crates/pipeline/src"]
mod pipeline {
    pub(crate) mod file;
    pub(crate) mod graph;
    pub(crate) mod step;
}

use std::sync::LazyLock;

use libfuzzer_sys::{Corpus, fuzz_target};

use pipeline::{file, graph};
use properties::{Checked, Target};

/// What is fuzzed.
enum Kind {
    Scanner(&'static Target),
    Table(String),
    Format(fn(&[u8]) -> Result<bool, String>),
}

static TARGET: LazyLock<Kind> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_else(|_| "scan".to_owned());
    if tables::TARGETS.iter().any(|(known, _)| *known == name) {
        // The library of Arrow panics on some broken messages, which is caught: the fuzzer's own hook would end it. What
        // is not caught still does.
        std::panic::set_hook(Box::new(|_| {}));
        return Kind::Table(name);
    }
    if let Some((_, property)) = formats::TARGETS.iter().find(|(known, _)| *known == name) {
        return Kind::Format(*property);
    }
    Kind::Scanner(properties::target(&name).unwrap_or_else(|| panic!("`{name}` is no target")))
});

fuzz_target!(|input: &[u8]| -> Corpus {
    let reached = match &*TARGET {
        Kind::Scanner(target) => {
            properties::check(target, input).map(|checked| checked == Checked::Reached)
        }
        Kind::Table(target) => tables::check(target, input),
        Kind::Format(property) => property(input),
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
