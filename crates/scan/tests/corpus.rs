//! Replays the fuzzers' kept corpus: every property holds for every input.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

#[cfg(test)]
#[allow(unreachable_pub, missing_docs, reason = "shared with the fuzzers")]
#[path = "../../../fuzz/src/properties.rs"]
mod properties;

use std::path::Path;

use custody_findings::Verdict;
use proptest::prelude::*;

#[test]
fn every_kept_input_keeps_every_property() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let mut broken = Vec::new();
    for target in properties::TARGETS {
        let folder = corpus.join(target.name);
        let mut count = 0;
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let input = std::fs::read(&path).unwrap();
            count += 1;
            if let Err(why) = properties::check(target, &input) {
                broken.push(format!("{}: {why}", path.display()));
            }
        }
        assert!(count > 0, "`{}` has no kept input", target.name);
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_folder_of_the_corpus_has_a_target() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for entry in std::fs::read_dir(corpus).unwrap() {
        let name = entry.unwrap().file_name();
        let name = name.to_str().unwrap();
        // Those of tables and of formats of ours belong to other crates.
        assert!(
            name.starts_with("table_")
                || name.starts_with("format_")
                || properties::target(name).is_some(),
            "`{name}` has no target"
        );
    }
}

/// The seeds of a target, in the order of their names.
fn seeds(target: &properties::Target) -> Vec<Vec<u8>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let folder = std::fs::read_dir(corpus.join(target.name)).unwrap();
    let mut paths: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

/// A change of some bytes.
#[derive(Debug, Clone)]
enum Change {
    Set(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Drop(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        any::<prop::sample::Index>().prop_map(Change::Cut),
        (any::<prop::sample::Index>(), 1..64usize).prop_map(|(at, count)| Change::Drop(at, count)),
        (any::<prop::sample::Index>(), 1..64usize)
            .prop_map(|(at, count)| Change::Repeat(at, count)),
    ]
}

fn changed(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        if bytes.is_empty() {
            break;
        }
        let length = bytes.len();
        match change {
            Change::Set(at, byte) => bytes[at.index(length)] = *byte,
            Change::Cut(at) => bytes.truncate(at.index(length)),
            Change::Drop(at, count) => {
                let at = at.index(length);
                bytes.drain(at..length.min(at + count));
            }
            Change::Repeat(at, count) => {
                let at = at.index(length);
                let piece = bytes[at..length.min(at + count)].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_file_keeps_every_property(
        target in prop::sample::select(properties::TARGETS),
        seed: prop::sample::Index,
        changes in prop::collection::vec(change(), 1..6),
    ) {
        // A pack is compiled twice for each input: the replay of the corpus is enough for it.
        if target.name != "rules" {
            let seeds = seeds(&target);
            let input = changed(seeds[seed.index(seeds.len())].clone(), &changes);
            let checked = properties::check(&target, &input);
            prop_assert!(checked.is_ok(), "{}: {checked:?}: {input:?}", target.name);
        }
    }
}

/// The formats whose files say how long they are: less than all of one is never clean.
const SELF_CONTAINED: [&str; 7] = [
    "zip",
    "numpy",
    "gguf",
    "safetensors",
    "hdf5",
    "pickle",
    "torch_legacy",
];

#[test]
fn a_part_of_a_clean_file_is_not_clean() {
    let mut tried = 0;
    for name in SELF_CONTAINED {
        let target = properties::target(name).unwrap();
        for seed in seeds(target) {
            let whole = properties::sound(target.file, &seed).unwrap();
            if whole.verdict != Verdict::Clean {
                continue;
            }
            for part in 1..8 {
                let cut = &seed[..seed.len() * part / 8];
                let report = properties::sound(target.file, cut).unwrap();
                tried += 1;
                assert!(
                    report.verdict != Verdict::Clean || cut.is_empty(),
                    "{name}: {part}/8 of {seed:?} is clean"
                );
            }
        }
    }
    assert!(tried > 100, "{tried}");
}
