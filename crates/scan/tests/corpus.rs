//! Replays the fuzzers' kept corpus: every property holds for every input.

#[cfg(test)]
#[allow(unreachable_pub, missing_docs, reason = "shared with the fuzzers")]
#[path = "../../../fuzz/src/properties.rs"]
mod properties;

use std::path::Path;

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
        assert!(properties::target(name).is_some(), "`{name}` has no target");
    }
}
