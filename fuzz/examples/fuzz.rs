//! One libFuzzer program for every target: `FUZZ_TARGET` names it. `scripts/fuzz.sh` builds and runs it.
#![no_main]

use std::sync::LazyLock;

use custody_fuzz::Target;
use libfuzzer_sys::{Corpus, fuzz_target};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_else(|_| "scan".to_owned());
    let target = Target::named(&name).unwrap_or_else(|| panic!("`{name}` is no target"));
    if matches!(target, Target::Table(_)) {
        // The library of Arrow panics on some broken messages, which is caught: the fuzzer's own hook would end it. What
        // is not caught still does.
        std::panic::set_hook(Box::new(|_| {}));
    }
    target
});

fuzz_target!(|input: &[u8]| -> Corpus {
    match TARGET.check(input) {
        Ok(true) => Corpus::Keep,
        Ok(false) => Corpus::Reject,
        Err(broken) => {
            eprintln!("panicked at a property: {broken}");
            std::process::abort()
        }
    }
});
