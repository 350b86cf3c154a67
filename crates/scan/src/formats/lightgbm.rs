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
    let mut shape = Shape::default();
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
        if part == Part::Trees {
            shape.line(text, at)?;
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

/// What the places in a tree are measured by: LightGBM follows them unchecked.
#[derive(Debug, Default)]
struct Shape {
    /// The greatest feature, of the whole model.
    features: Option<i64>,
    /// The leaves of the present tree; it has one split less.
    leaves: Option<i64>,
}

impl Shape {
    /// Refuses a place beyond its tree.
    fn line(&mut self, line: &str, at: u64) -> Result<(), Stop> {
        let Some((key, value)) = line.split_once('=') else {
            return Ok(());
        };
        let number = |text: &str| {
            text.parse::<i64>()
                .map_err(|_| Stop::malformed(format!("has no number in `{key}`"), at))
        };
        match key {
            "max_feature_idx" => self.features = Some(number(value)?),
            "Tree" => self.leaves = None,
            "num_leaves" => self.leaves = Some(number(value)?),
            "left_child" | "right_child" | "split_feature" => {
                let leaves = self.leaves.unwrap_or_default();
                let splits = leaves.saturating_sub(1);
                let within = |place: i64| match key {
                    "split_feature" => place >= 0 && self.features.is_none_or(|most| place <= most),
                    _ if place >= 0 => place < splits,
                    _ => !place < leaves,
                };
                let mut count = 0_i64;
                for place in value.split_ascii_whitespace() {
                    count = count.saturating_add(1);
                    if !within(number(place)?) {
                        return Err(Stop::malformed(
                            format!("has the place {place} in `{key}`, which its tree has not"),
                            at,
                        ));
                    }
                }
                if count != splits {
                    let message = format!("has {count} places in `{key}` for {splits} splits");
                    return Err(Stop::malformed(message, at));
                }
            }
            _ => {}
        }
        Ok(())
    }
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
    fn places_beyond_a_tree_are_refused() {
        let tree = MODEL
            .replace("num_class=1", "num_class=1\nmax_feature_idx=1")
            .replace(
                "num_leaves=2\n",
                "num_leaves=3\nsplit_feature=1 0\nleft_child=1 -1\nright_child=-2 -3\n",
            );
        check("a tree", tree.as_bytes(), Verdict::Clean);
        for (from, to) in [
            ("left_child=1", "left_child=2"),
            ("left_child=1", "left_child=9223372036854775807"),
            ("left_child=1", "left_child=x"),
            ("left_child=1 -1", "left_child=1"),
            ("-2 -3", "-2 -4"),
            ("-2 -3", "-2 -9223372036854775808"),
            ("split_feature=1", "split_feature=2"),
            ("split_feature=1", "split_feature=-1"),
            ("num_leaves=3", "num_leaves=2000000000"),
        ] {
            let broken = tree.replace(from, to);
            assert_ne!(broken, tree, "{from}");
            check(to, broken.as_bytes(), Verdict::Unscannable);
        }
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
