//! One libFuzzer binary for every target: `FUZZ_TARGET` names it. `scripts/fuzz.sh` builds and runs it.
#![no_main]

mod properties;

use std::sync::LazyLock;

use libfuzzer_sys::{Corpus, fuzz_target};

use properties::{Checked, Target};

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_else(|_| "scan".to_owned());
    properties::target(&name).unwrap_or_else(|| panic!("`{name}` is no target"))
});

fuzz_target!(|input: &[u8]| -> Corpus {
    match properties::check(*TARGET, input) {
        Ok(Checked::Reached) => Corpus::Keep,
        Ok(Checked::Elsewhere) => Corpus::Reject,
        Err(broken) => panic!("{broken}"),
    }
});
