//! Boosters of XGBoost: Universal Binary JSON (`.ubj`), and the binary form before it.
//!
//! Source: the model schema of XGBoost 3. A booster is numbers; its loader makes nothing else of it. The
//! text attributes are kept for the user and not evaluated.

use super::booster::Booster;
use super::ubjson;
use crate::cursor::{Cursor, Stop};
use crate::scan::{Found, Scan, Understood, shown};
use crate::sniff::{Format, Head};
use crate::source::Source;

/// A booster in UBJSON.
pub(crate) const FORMAT: Format = Format {
    name: "XGBoost model",
    recognises: is_ubjson,
    parse,
};

/// A booster in the binary form of XGBoost before version 2.1.
pub(crate) const LEGACY: Format = Format {
    name: "XGBoost model in the old binary form",
    recognises: |head| head.starts_with(b"binf"),
    parse: legacy,
};

/// The keys that the outermost object may have: a model's, and those of the state in a pickle.
const KEYS: [&str; 4] = ["learner", "version", "Config", "Model"];

/// An object, then the length of a key and a key of letters: no text begins so.
fn is_ubjson(head: &Head<'_>) -> bool {
    let skip = match head.bytes {
        [b'{', b'i' | b'U', _, ..] => 3,
        [b'{', b'I', 0, _, ..] => 4,
        [b'{', b'l', 0, 0, ..] => 6,
        [b'{', b'L', 0, 0, 0, 0, ..] => 10,
        _ => return false,
    };
    KEYS.iter().any(|key| {
        head.bytes
            .get(skip..)
            .is_some_and(|rest| rest.starts_with(key.as_bytes()))
    })
}

fn parse(source: &dyn Source, scan: &mut Scan<'_>) -> Result<Understood, Stop> {
    let mut cursor = Cursor::new(source);
    let mut keys = Vec::new();
    let mut booster = Booster::default();
    ubjson::object(&mut cursor, &mut keys, &mut booster)?;
    for key in keys.iter().filter(|key| !KEYS.contains(&key.as_str())) {
        scan.found(
            Found::review(
                "xgboost/unknown-key",
                format!("has the entry `{}`, which no model has", shown(key)),
            )
            .why("XGBoost passes over it; something else may not"),
        );
    }
    if cursor.left() > 0 {
        return Err(Stop::malformed("goes on after its end", cursor.at()));
    }
    booster.finish(scan);
    Ok(Understood {
        format: FORMAT.name,
        bytes: cursor.at(),
    })
}

/// The old form has no lengths by which it can be followed without the parameters of every kind of
/// booster: its bytes are numbers to the loader, and taken as data.
#[expect(clippy::unnecessary_wraps, reason = "the form of every parser")]
fn legacy(source: &dyn Source, scan: &mut Scan<'_>) -> Result<Understood, Stop> {
    scan.found(
        Found::review(
            "xgboost/legacy",
            "a booster in the binary form that XGBoost no longer writes",
        )
        .why("its bytes were not followed, and its reader trusts the lengths in them")
        .see(&["CWE-1284"])
        .advice("load it in the sandbox with an XGBoost before 3.1 and save it as UBJSON"),
    );
    Ok(Understood {
        format: LEGACY.name,
        bytes: source.len(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;
    use crate::scan;
    use custody_findings::{Report, Rules, Verdict};

    static RULES: LazyLock<Rules> = LazyLock::new(|| Rules::built_in().unwrap());

    fn report(bytes: &[u8]) -> Report {
        scan("model.ubj", &bytes, &RULES)
    }

    fn key(name: &str) -> Vec<u8> {
        let len = (name.len() as u64).to_be_bytes();
        [&b"L"[..], &len, name.as_bytes()].concat()
    }

    fn model(learner: &[u8], more: &[u8]) -> Vec<u8> {
        [
            b"{".to_vec(),
            key("learner"),
            learner.to_vec(),
            key("version"),
            b"[#L\0\0\0\0\0\0\0\x03i\x03i\0i\x02".to_vec(),
            more.to_vec(),
            b"}".to_vec(),
        ]
        .concat()
    }

    fn learner() -> Vec<u8> {
        [
            b"{".to_vec(),
            key("weights"),
            b"[$d#L\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\0".to_vec(),
            key("names"),
            b"[Si\x01aSU\x01b]".to_vec(),
            key("flags"),
            b"[TFZ]".to_vec(),
            key("deep"),
            b"{i\x01xD\0\0\0\0\0\0\0\0}".to_vec(),
            b"}".to_vec(),
        ]
        .concat()
    }

    /// A booster of one tree: a split by a number, one by categories, three leaves.
    const TREE: &str = r#"{"learner": {"gradient_booster": {"model": {
        "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": "1"}, "iteration_indptr": [0, 1], "tree_info": [0],
        "trees": [{"base_weights": [0.5, 0, 1, 1, -1], "categories": [0, 1, 3], "categories_nodes": [1],
            "categories_segments": [0], "categories_sizes": [3], "default_left": [0, 0, 0, 0, 0], "id": 0,
            "left_children": [1, 3, -1, -1, -1], "loss_changes": [3, 2, 0, 0, 0], "parents": [2147483647, 0, 0, 1, 1],
            "right_children": [2, 4, -1, -1, -1], "split_conditions": [1.5, 1e-45, 0.25, 0.5, -0.5],
            "split_indices": [1, 3, 0, 0, 0], "split_type": [0, 1, 0, 0, 0], "sum_hessian": [9, 8, 1, 4, 4],
            "tree_param": {"num_deleted": "0", "num_feature": "4", "num_nodes": "5", "size_leaf_vector": "1"}}]},
        "name": "gbtree"}, "learner_model_param": {"num_class": "0", "num_feature": "4", "num_target": "1"}},
        "version": [3, 2, 0]}"#;

    /// Writes JSON as UBJSON, every number in its own way.
    fn ubjson(value: &serde_json::Value, out: &mut Vec<u8>) {
        use serde_json::Value;
        match value {
            Value::Object(fields) => {
                out.push(b'{');
                for (name, value) in fields {
                    out.extend(key(name));
                    ubjson(value, out);
                }
                out.push(b'}');
            }
            Value::Array(values) if values.iter().all(Value::is_i64) => {
                out.extend(b"[$l#L");
                out.extend((values.len() as u64).to_be_bytes());
                for value in values {
                    let number = i32::try_from(value.as_i64().unwrap()).unwrap();
                    out.extend(number.to_be_bytes());
                }
            }
            Value::Array(values) => {
                out.push(b'[');
                for value in values {
                    ubjson(value, out);
                }
                out.push(b']');
            }
            Value::String(text) => {
                out.push(b'S');
                out.extend(key(text));
            }
            number if number.is_i64() => {
                out.push(b'L');
                out.extend(number.as_i64().unwrap().to_be_bytes());
            }
            number => {
                out.push(b'D');
                out.extend(number.as_f64().unwrap().to_be_bytes());
            }
        }
    }

    #[test]
    fn places_beyond_a_booster_are_refused() {
        let both = |text: &str| {
            let mut binary = Vec::new();
            ubjson(&serde_json::from_str(text).unwrap(), &mut binary);
            [
                scan("model.json", &text.as_bytes(), &RULES).verdict,
                report(&binary).verdict,
            ]
        };
        assert_eq!(both(TREE), [Verdict::Clean; 2]);
        for (from, to) in [
            (r#"left_children": [1"#, r#"left_children": [5"#),
            (r#"left_children": [1"#, r#"left_children": [-2"#),
            (r#"left_children": [1"#, r#"left_children": [2"#),
            (r#"left_children": [1, 3"#, r#"left_children": [1, 0"#),
            (r#"left_children": [1"#, r#"left_children": [1.5"#),
            (
                r#"right_children": [2, 4, -1"#,
                r#"right_children": [2, 4, 0"#,
            ),
            (r#"right_children": [2, "#, r#"right_children": ["#),
            (r#"split_indices": [1"#, r#"split_indices": [4"#),
            (r#"split_indices": [1"#, r#"split_indices": [-1"#),
            (r#"split_type": [0"#, r#"split_type": [1"#),
            (r#"split_conditions": [1.5, "#, r#"split_conditions": ["#),
            (r#"categories_nodes": [1]"#, r#"categories_nodes": [5]"#),
            (r#"categories_nodes": [1]"#, r#"categories_nodes": []"#),
            (
                r#"categories_segments": [0]"#,
                r#"categories_segments": [1]"#,
            ),
            (r#"categories_sizes": [3]"#, r#"categories_sizes": [-1]"#),
            (r#""id": 0"#, r#""id": 7"#),
            (
                r#""size_leaf_vector": "1""#,
                r#""size_leaf_vector": "1000000""#,
            ),
            (r#""size_leaf_vector": "1""#, r#""size_leaf_vector": "-3""#),
            (
                r#""parents": [2147483647, 0"#,
                r#""parents": [2147483647, 9"#,
            ),
            (r#""categories": [0"#, r#""categories": [-5"#),
            (r#""num_nodes": "5""#, r#""num_nodes": "6""#),
            (r#""num_nodes": "5""#, r#""num_nodes": "x""#),
            (r#""num_trees": "1""#, r#""num_trees": "2""#),
            (r#""tree_info": [0]"#, r#""tree_info": [1]"#),
            (r#""tree_info": [0]"#, r#""tree_info": [0, 0]"#),
            (r#""tree_info": [0]"#, r#""tree_info": [-1]"#),
            (
                r#""iteration_indptr": [0, 1]"#,
                r#""iteration_indptr": [0, 2]"#,
            ),
            (
                r#""iteration_indptr": [0, 1]"#,
                r#""iteration_indptr": [0, 9, 1]"#,
            ),
        ] {
            let broken = TREE.replace(from, to);
            assert_ne!(broken, TREE, "{from}");
            assert_eq!(both(&broken), [Verdict::Unscannable; 2], "{to}");
        }
    }

    fn check(what: &str, file: &[u8], verdict: Verdict) {
        let report = report(file);
        assert_eq!(report.parts[0].format, FORMAT.name, "{what}");
        assert_eq!(report.verdict, verdict, "{what}: {report:?}");
    }

    #[test]
    fn a_booster_is_followed_to_its_end() {
        let file = model(&learner(), b"");
        check("model", &file, Verdict::Clean);
        assert_eq!(report(&file).parts[0].understood, file.len() as u64);
        let old = report(b"binf\x01\x02\x03");
        assert_eq!(old.verdict, Verdict::Review);
        assert_eq!(old.findings[0].rule, "xgboost/legacy");
    }

    #[test]
    fn what_is_no_part_of_a_booster_is_never_clean() {
        let wrong = |learner: &[u8]| model(learner, b"");
        for (what, file) in [
            (
                "bytes behind",
                [model(&learner(), b""), b"x".to_vec()].concat(),
            ),
            ("a no-op", wrong(b"N")),
            ("a big number", wrong(b"Hi\x011")),
            ("a negative length", wrong(b"Si\xff")),
            ("a length of a text", wrong(b"SSi\x01a")),
            (
                "an endless text",
                wrong(b"SL\x7f\xff\xff\xff\xff\xff\xff\xff"),
            ),
            (
                "an endless array",
                wrong(b"[$D#L\x7f\xff\xff\xff\xff\xff\xff\xff"),
            ),
            (
                "an endless count",
                wrong(b"[#L\x7f\xff\xff\xff\xff\xff\xff\xff"),
            ),
            ("an array of texts", wrong(b"[$S#i\x01")),
            ("an array of nothings", wrong(b"[$Z#l\x7f\xff\xff\xff")),
            (
                "a cut",
                model(&learner(), b"").split_last().unwrap().1.to_vec(),
            ),
            ("depth", wrong(&[b'['; 100])),
        ] {
            check(what, &file, Verdict::Unscannable);
        }
        let extra = model(&learner(), &[key("payload"), b"Z".to_vec()].concat());
        check("an unknown key", &extra, Verdict::Review);
    }

    proptest! {
        #[test]
        fn changed_boosters_end_without_a_panic(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut file = model(&learner(), b"");
            for (index, byte) in changes {
                let index = index.index(file.len());
                file[index] = byte;
            }
            file.truncate(cut.index(file.len()) + 1);
            prop_assert!(report(&file).parts[0].understood <= file.len() as u64);
        }
    }
}
