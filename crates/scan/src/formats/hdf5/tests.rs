use proptest::prelude::*;

use crate::scan;
use custody_findings::{Report, Rules, Verdict};

/// Files that `h5py` 3.16 wrote.
const VARIABLE: &[u8] = include_bytes!("../../../tests/data/keras-2-v0.h5");
const LATEST: &[u8] = include_bytes!("../../../tests/data/keras-2-v3.h5");
const EXTERNAL: &[u8] = include_bytes!("../../../tests/data/external-v0.h5");
const DENSE: &[u8] = include_bytes!("../../../tests/data/dense-v3.h5");
const CHUNKED: &[u8] = include_bytes!("../../../tests/data/chunked-v0.h5");

fn scanned(bytes: &[u8]) -> Report {
    scan("model.h5", &bytes, &Rules::built_in().unwrap())
}

fn check(bytes: &[u8], verdict: Verdict, rule: &str) {
    let report = scanned(bytes);
    assert_eq!(report.verdict, verdict, "{:?}", report.findings);
    let rules: Vec<_> = report.findings.iter().map(|f| f.rule.as_str()).collect();
    assert!(rule.is_empty() || rules.contains(&rule), "{rules:?}");
}

/// Puts `to` in the place of `from`, which has as many bytes.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    let at = bytes.windows(from.len()).position(|w| w == from).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to);
    bytes
}

#[test]
fn real_files_are_walked_whole() {
    for bytes in [VARIABLE, LATEST, CHUNKED, DENSE] {
        check(bytes, Verdict::Clean, "");
        assert_eq!(scanned(bytes).parts[0].understood, bytes.len() as u64);
    }
    for bytes in [VARIABLE, LATEST, DENSE] {
        let parts = scanned(bytes).parts;
        assert!(
            parts
                .iter()
                .any(|part| part.format == "JSON" && part.place.member == ["model_config"]),
            "{parts:?}"
        );
    }
}

#[test]
fn a_dataset_that_is_greater_than_its_file_can_hold_is_a_bomb() {
    let dimensions = |rows: u64| [rows.to_le_bytes(), 10u64.to_le_bytes()].concat();
    let bytes = replaced(CHUNKED, &dimensions(200), &dimensions(1 << 45));
    check(&bytes, Verdict::Unscannable, "hdf5/bomb");
    let bytes = replaced(CHUNKED, &dimensions(200), &dimensions(1 << 20));
    check(&bytes, Verdict::Clean, "");
}

#[test]
fn the_configuration_of_a_model_is_judged_in_either_storage() {
    for bytes in [VARIABLE, LATEST, DENSE] {
        let broken = replaced(bytes, b"\"Dense\"", b"\"Lambda");
        check(&broken, Verdict::Unscannable, "");
        let from = b"\"class_name\": \"Dense\", ";
        let lambda = replaced(bytes, from, b"\"class_name\":\"Lambda\", ");
        check(&lambda, Verdict::Malicious, "keras/class");
    }
}

#[test]
fn what_reads_other_files_is_malicious() {
    check(EXTERNAL, Verdict::Malicious, "hdf5/external-data");
}

#[test]
fn bytes_around_the_file_are_found() {
    let mut longer = LATEST.to_vec();
    longer.extend_from_slice(b"import os\nos.system('id')\n");
    check(&longer, Verdict::Review, "hdf5/appended");
    let mut shorter = LATEST.to_vec();
    shorter.truncate(LATEST.len() - 9);
    check(&shorter, Verdict::Unscannable, "");
}

#[test]
fn an_attribute_that_is_a_pickle_is_handed_over() {
    let payload = b"cos\nsystem\n(S'id'\ntR.";
    let mut value = br#"{"class_name": "Sequent"#.to_vec();
    let from = value.clone();
    value.fill(b' ');
    value[..payload.len()].copy_from_slice(payload);
    check(&replaced(LATEST, &from, &value), Verdict::Malicious, "");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn a_damaged_file_never_panics(which in 0..5usize, places in prop::collection::vec((any::<usize>(), any::<u8>()), 1..8), cut: usize) {
        let mut bytes = [VARIABLE, LATEST, EXTERNAL, CHUNKED, DENSE][which].to_vec();
        for (at, byte) in places {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        if cut % 4 == 0 {
            bytes.truncate(cut % bytes.len());
        }
        scanned(&bytes);
    }
}
