//! Replays the kept corpus of the fuzz targets.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

#[path = "../../../fuzz/src/tables.rs"]
mod tables;

use std::fs;
use std::path::Path;

#[test]
fn every_kept_input_keeps_every_property() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (target, _) in tables::TARGETS {
        let mut made = 0;
        let mut files = 0;
        for entry in fs::read_dir(folder.join(target)).unwrap() {
            let path = entry.unwrap().path();
            let input = fs::read(&path).unwrap();
            match tables::check(target, &input) {
                Ok(reached) => made += usize::from(reached),
                Err(broken) => panic!("{}: {broken}", path.display()),
            }
            files += 1;
        }
        assert!(made * 2 >= files, "{target}: {made} of {files} are tables");
    }
}
