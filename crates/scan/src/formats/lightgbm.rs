//! Boosters of LightGBM: text of `key=value` lines, trees, and the parameters of the training.
//!
//! Source: `GBDT::SaveModelToString` of LightGBM 4. A booster is numbers and names; its loader makes
//! nothing else of it.

use crate::cursor::{Cursor, Stop};
use crate::scan::{Found, Scan, Understood, shown};
use crate::sniff::Format;
use crate::source::Source;

/// The format.
pub(crate) const FORMAT: Format = Format {
    name: "LightGBM model",
    recognises: |head| head.starts_with(b"tree\nversion=") || head.starts_with(b"tree\r\nversion="),
    parse,
};

/// How long a line may be, in bytes: one lists all features, or all thresholds of a tree.
const MAX_LINE: usize = 32 << 20;
/// Words that stand alone on a line.
const WORDS: [&str; 6] = [
    "tree",
    "average_output",
    "end of trees",
    "feature_importances:",
    "parameters:",
    "end of parameters",
];

/// Which part of the text a line stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Trees,
    Parameters,
    End,
}

fn parse(source: &dyn Source, scan: &mut Scan<'_>) -> Result<Understood, Stop> {
    let mut cursor = Cursor::new(source);
    let (mut part, mut complete) = (Part::Trees, false);
    while cursor.left() > 0 {
        let at = cursor.at();
        let line = cursor.line(MAX_LINE)?;
        if line.cut {
            return Err(Stop::limit("the length of a line", "32 MiB", at));
        }
        let text = std::str::from_utf8(&line.bytes)
            .ok()
            .map(|text| text.strip_suffix('\r').unwrap_or(text))
            .filter(|text| {
                !text
                    .chars()
                    .any(|letter| letter.is_control() && letter != '\t')
            })
            .ok_or_else(|| Stop::malformed("has a line that is no text", at))?;
        if !belongs(text, part) {
            odd(text, at, scan);
        }
        part = match text {
            "parameters:" => Part::Parameters,
            "end of parameters" => Part::End,
            _ => part,
        };
        complete |= text == "end of trees";
    }
    if !complete {
        return Err(Stop::Truncated {
            what: "its trees",
            at: cursor.at(),
        });
    }
    Ok(Understood {
        format: FORMAT.name,
        bytes: cursor.at(),
    })
}

/// Whether a line is one that the writer writes in this part.
fn belongs(line: &str, part: Part) -> bool {
    let named = |separator: char| {
        line.split_once(separator)
            .is_some_and(|(key, _)| !key.is_empty())
    };
    line.is_empty()
        || WORDS.contains(&line)
        || match part {
            Part::Trees => named('='),
            Part::Parameters => line.starts_with('[') && line.ends_with(']') && line.contains(": "),
            Part::End => line.starts_with("pandas_categorical:"),
        }
}

fn odd(line: &str, at: u64, scan: &mut Scan<'_>) {
    scan.found(
        Found::review(
            "lightgbm/line",
            format!("has the line `{}`, which no model has", shown(line)),
        )
        .at(at)
        .why("LightGBM passes over it; something else may not"),
    );
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;
    use crate::report::{Report, Verdict};
    use crate::{Rules, scan};

    static RULES: LazyLock<Rules> = LazyLock::new(|| Rules::built_in().unwrap());

    const MODEL: &str = "tree\nversion=v4\nnum_class=1\nfeature_names=a b\ntree_sizes=20\n\n\
        Tree=0\nnum_leaves=2\nleaf_value=-0.2 0.2\n\n\nend of trees\n\n\
        feature_importances:\na=3\n\nparameters:\n[boosting: gbdt]\n[num_gpu: 1]\n\n\
        end of parameters\n\npandas_categorical:null\n";

    fn report(bytes: &[u8]) -> Report {
        scan("model.txt", &bytes, &RULES)
    }

    fn check(what: &str, file: &[u8], verdict: Verdict) {
        let report = report(file);
        assert_eq!(report.parts[0].format, FORMAT.name, "{what}");
        assert_eq!(report.verdict, verdict, "{what}: {report:?}");
    }

    #[test]
    fn a_booster_is_clean() {
        check("model", MODEL.as_bytes(), Verdict::Clean);
        let windows = MODEL.replace('\n', "\r\n");
        check("windows", windows.as_bytes(), Verdict::Clean);
        let bare = MODEL.trim_end();
        check("no last line feed", bare.as_bytes(), Verdict::Clean);
    }

    #[test]
    fn what_is_no_part_of_a_booster_is_never_clean() {
        for (what, file, verdict) in [
            (
                "a word",
                MODEL.replace("num_class=1", "import os"),
                Verdict::Review,
            ),
            (
                "a key behind",
                format!("{MODEL}key=value\n"),
                Verdict::Review,
            ),
            (
                "a parameter",
                MODEL.replace("[num_gpu: 1]", "num_gpu=1"),
                Verdict::Review,
            ),
            (
                "a nought",
                MODEL.replace("num_class=1", "num_class=\0"),
                Verdict::Unscannable,
            ),
            (
                "a cut",
                MODEL.replace("end of trees", ""),
                Verdict::Unscannable,
            ),
        ] {
            check(what, file.as_bytes(), verdict);
        }
        let behind = [MODEL.as_bytes(), b"\x80\x04}."].concat();
        check("a pickle behind", &behind, Verdict::Unscannable);
    }

    proptest! {
        #[test]
        fn changed_boosters_end_without_a_panic(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let mut file = MODEL.as_bytes().to_vec();
            for (index, byte) in changes {
                let index = index.index(file.len());
                file[index] = byte;
            }
            prop_assert!(report(&file).parts[0].understood <= file.len() as u64);
        }
    }
}
