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
const WORDS: [&str; 7] = [
    "tree",
    "average_output",
    "end of trees",
    "feature_importances:",
    // Up to version 2.
    "feature importances:",
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
        shape.windows |= line.bytes.ends_with(b"\r");
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
    shape.end(cursor.at())?;
    Ok(Understood {
        format: FORMAT.name,
        bytes: cursor.at(),
    })
}

/// More classes are not believed.
const MAX_CLASSES: i64 = 1 << 20;
/// LightGBM makes at most half as many.
const MAX_LEAVES: usize = 1 << 18;
/// The bit of a split's type that says that its threshold is the number of a set of categories.
const CATEGORICAL: i64 = 1;

/// What LightGBM reads unchecked: numbers that are places in lists, and how long the lists are.
#[derive(Debug, Default)]
struct Shape {
    /// The greatest feature.
    features: Option<i64>,
    /// The classes, and the trees of a round: one divides by them.
    classes: Option<i64>,
    /// The classes by what is learnt.
    learnt: Option<i64>,
    round: Option<i64>,
    /// How many bytes each tree is said to take.
    sizes: Option<Vec<u64>>,
    /// Where the tree that comes next must begin by them.
    next: Option<u64>,
    /// Lines end as on Windows, so that no size is right.
    windows: bool,
    trees: u64,
    /// Where the first tree begins, in bytes.
    first: Option<u64>,
    tree: Option<Tree>,
}

/// The numbers of a tree.
#[derive(Debug, Default)]
struct Tree {
    leaves: Option<i64>,
    /// How many sets of categories there are.
    sets: Option<i64>,
    linear: Option<i64>,
    left: Option<Vec<i64>>,
    right: Option<Vec<i64>>,
    features: Option<Vec<i64>>,
    types: Option<Vec<i64>>,
    thresholds: Option<Vec<f64>>,
    boundaries: Option<Vec<i64>>,
    /// How many features each leaf's equation has, and all of them.
    equations: Option<Vec<i64>>,
    equation_features: Option<Vec<i64>>,
    /// How many values the other lists have: one for each split, for each leaf; of all sets; of all equations.
    by_split: Vec<usize>,
    by_leaf: Vec<usize>,
    categories: Option<usize>,
    coefficients: Option<usize>,
}

fn number(key: &str, text: &str, at: u64) -> Result<i64, Stop> {
    let parsed = text.trim().parse();
    parsed.map_err(|_| Stop::malformed(format!("has no number in `{key}`"), at))
}

/// Reads a list once.
fn list<T>(
    place: &mut Option<Vec<T>>,
    (key, text): (&str, &str),
    at: u64,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<(), Stop> {
    let words = text.split_ascii_whitespace();
    if words.clone().nth(MAX_LEAVES).is_some() {
        return Err(Stop::limit("the values of a list", MAX_LEAVES, at));
    }
    let values: Option<Vec<T>> = words.map(parse).collect();
    let values = values.ok_or_else(|| Stop::malformed(format!("has no number in `{key}`"), at))?;
    once(place, values, key, at)
}

fn once<T>(place: &mut Option<T>, value: T, key: &str, at: u64) -> Result<(), Stop> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Stop::malformed(format!("has `{key}` twice"), at)),
    }
}

impl Shape {
    /// Takes in a line of the trees' part.
    fn line(&mut self, line: &str, at: u64) -> Result<(), Stop> {
        let Some((key, value)) = line.split_once('=') else {
            if WORDS.contains(&line) {
                self.finish(at)?;
            }
            return Ok(());
        };
        if key == "Tree" {
            self.finish(at)?;
            if number(key, value, at)? != i64::try_from(self.trees).unwrap_or(i64::MAX) {
                return Err(Stop::malformed("has its trees in another order", at));
            }
            self.trees += 1;
            // LightGBM goes to each tree by the sizes of those before it.
            let place = usize::try_from(self.trees)
                .unwrap_or(usize::MAX)
                .saturating_sub(1);
            let size = self
                .sizes
                .as_ref()
                .and_then(|sizes| sizes.get(place).copied());
            if !self.windows && self.next.is_some_and(|next| next != at) {
                return Err(Stop::malformed(
                    "has a tree elsewhere than the sizes say",
                    at,
                ));
            }
            self.next = size.map(|size| at.saturating_add(size));
            self.tree = Some(Tree::default());
            self.first.get_or_insert(at);
            return Ok(());
        }
        let Some(tree) = &mut self.tree else {
            return self.model(key, value, at);
        };
        tree.line(key, value, at)
    }

    /// Takes in a line before the trees.
    fn model(&mut self, key: &str, value: &str, at: u64) -> Result<(), Stop> {
        let place = match key {
            "max_feature_idx" => &mut self.features,
            "num_class" => &mut self.classes,
            "num_tree_per_iteration" => &mut self.round,
            "tree_sizes" => {
                let size = |text: &str| text.parse::<u32>().ok().map(u64::from);
                return list(&mut self.sizes, (key, value), at, size);
            }
            // What is learnt may repeat the number of classes: `multiclass num_class:3`.
            "objective" => {
                let classes = value
                    .split(' ')
                    .find_map(|word| word.strip_prefix("num_class:"));
                if let Some(classes) = classes {
                    self.learnt = Some(number(key, classes, at)?);
                }
                return Ok(());
            }
            _ => return Ok(()),
        };
        once(place, number(key, value, at)?, key, at)
    }

    /// Ends a tree: its places lie within its lists.
    fn finish(&mut self, at: u64) -> Result<(), Stop> {
        let Some(tree) = self.tree.take() else {
            return Ok(());
        };
        tree.check(self.features)
            .map_err(|because| Stop::malformed(format!("has a tree {because}"), at))
    }

    /// Ends the model, whose file ends at `at`.
    fn end(&mut self, at: u64) -> Result<(), Stop> {
        self.finish(at)?;
        let left = at.saturating_sub(self.first.unwrap_or(at));
        let refuse = |because: &str| Err(Stop::malformed(because, at));
        let (classes, round) = (self.classes.unwrap_or(1), self.round.or(self.classes));
        let round = round.unwrap_or(1);
        let known = self.learnt.is_none_or(|learnt| learnt == classes);
        if !(1..=MAX_CLASSES).contains(&classes) || round < 1 || round > classes || !known {
            return refuse("has a false number of classes or of trees in a round");
        }
        if !self.trees.is_multiple_of(u64::try_from(round).unwrap_or(1)) {
            return refuse("has a round with too few trees");
        }
        let Some(sizes) = &self.sizes else {
            return Ok(());
        };
        if u64::try_from(sizes.len()) != Ok(self.trees) {
            return refuse("has not a size for each tree");
        }
        if sizes.iter().sum::<u64>() > left {
            return refuse("has trees that are said to be longer than they are");
        }
        Ok(())
    }
}

impl Tree {
    fn line(&mut self, key: &str, value: &str, at: u64) -> Result<(), Stop> {
        let integer = |text: &str| text.parse::<i64>().ok();
        let named = (key, value);
        let count = || value.split_ascii_whitespace().count();
        match key {
            "num_leaves" => once(&mut self.leaves, number(key, value, at)?, key, at),
            "num_cat" => once(&mut self.sets, number(key, value, at)?, key, at),
            "is_linear" => once(&mut self.linear, number(key, value, at)?, key, at),
            "left_child" => list(&mut self.left, named, at, integer),
            "right_child" => list(&mut self.right, named, at, integer),
            "split_feature" => list(&mut self.features, named, at, integer),
            "decision_type" => list(&mut self.types, named, at, integer),
            "threshold" => list(&mut self.thresholds, named, at, |text| text.parse().ok()),
            "cat_boundaries" => list(&mut self.boundaries, named, at, integer),
            "num_features" => list(&mut self.equations, named, at, integer),
            "leaf_features" => list(&mut self.equation_features, named, at, integer),
            "cat_threshold" => once(&mut self.categories, count(), key, at),
            "leaf_coeff" => once(&mut self.coefficients, count(), key, at),
            "split_gain" | "internal_value" | "internal_weight" | "internal_count" => {
                self.by_split.push(count());
                Ok(())
            }
            "leaf_value" | "leaf_weight" | "leaf_count" | "leaf_const" => {
                self.by_leaf.push(count());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Says what is wrong with a tree. `most`: the greatest feature of the model.
    fn check(&self, most: Option<i64>) -> Result<(), String> {
        let leaves = self.leaves.unwrap_or_default();
        let leaves = usize::try_from(leaves)
            .ok()
            .filter(|leaves| (1..=MAX_LEAVES).contains(leaves))
            .ok_or_else(|| format!("of {leaves} leaves"))?;
        let splits = leaves - 1;
        // A tree of one leaf may list nothing else.
        let lengths = [
            self.left.as_ref().map(Vec::len),
            self.right.as_ref().map(Vec::len),
            self.features.as_ref().map(Vec::len),
            self.thresholds.as_ref().map(Vec::len),
        ];
        if splits > 0 && lengths.iter().any(|length| *length != Some(splits)) {
            return Err(format!("whose lists are not of its {splits} splits"));
        }
        let types = self.types.as_ref().map(Vec::len);
        let by_split = self.by_split.iter().copied().chain(types);
        let by_leaf = self.by_leaf.iter().copied();
        if by_split
            .chain(lengths.into_iter().flatten())
            .any(|length| length != splits && length > 0)
            || by_leaf.clone().any(|length| length != leaves && length > 0)
            || splits > 0 && by_leaf.max() != Some(leaves)
        {
            return Err(format!("whose lists are not of its {leaves} leaves"));
        }
        let feature = |place: &i64| *place >= 0 && most.is_none_or(|most| *place <= most);
        if let Some(place) = self.features.iter().flatten().find(|place| !feature(place)) {
            return Err(format!("with the feature {place}, which the model has not"));
        }
        let (splits, leaves) = (
            i64::try_from(splits).unwrap_or(i64::MAX),
            i64::try_from(leaves).unwrap_or(i64::MAX),
        );
        for children in [&self.left, &self.right] {
            for (node, place) in (0..).zip(children.iter().flatten()) {
                // Children come after their parents: nothing goes in a circle.
                let within = if *place < 0 {
                    !*place < leaves
                } else {
                    (node + 1..splits).contains(place)
                };
                if !within {
                    return Err(format!("with the child {place}, which it has not"));
                }
            }
        }
        self.check_sets()?;
        self.check_equations(feature)
    }

    /// The thresholds of categorical splits are numbers of sets, each of which lies between two boundaries.
    fn check_sets(&self) -> Result<(), String> {
        let sets = usize::try_from(self.sets.unwrap_or_default());
        let sets = sets.map_err(|_| "with a negative number of sets of categories".to_owned())?;
        let boundaries = self.boundaries.as_deref().unwrap_or_default();
        if sets > 0 {
            let ascending = boundaries.is_sorted() && boundaries.first() == Some(&0);
            let last = boundaries.last().map(|last| usize::try_from(*last).ok());
            if boundaries.len() != sets + 1 || !ascending || last.flatten() != self.categories {
                return Err("whose sets of categories do not end where they say".to_owned());
            }
        }
        let types = self.types.iter().flatten();
        let splits = types.zip(self.thresholds.iter().flatten());
        for (_, threshold) in splits.filter(|(kind, _)| *kind & CATEGORICAL != 0) {
            #[expect(clippy::cast_precision_loss, reason = "a tree has far fewer sets")]
            let within = (0.0..sets as f64).contains(threshold);
            if !within {
                return Err(format!(
                    "with the set of categories {threshold}, which it has not"
                ));
            }
        }
        Ok(())
    }

    /// The leaves of a linear tree have equations of as many features as they say.
    fn check_equations(&self, feature: impl Fn(&i64) -> bool) -> Result<(), String> {
        if self.linear.unwrap_or_default() == 0 {
            return Ok(());
        }
        let counts = self.equations.iter().flatten();
        let total = counts.map(|count| usize::try_from(*count).ok());
        let total: Option<usize> = total.sum();
        let features = self.equation_features.as_deref().unwrap_or_default();
        let leaves = self.leaves.and_then(|leaves| usize::try_from(leaves).ok());
        if self.equations.as_ref().map(Vec::len) != leaves
            || total != Some(features.len())
            || total != Some(self.coefficients.unwrap_or_default())
            || !features.iter().all(feature)
        {
            return Err("whose equations have other features than they say".to_owned());
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
    use crate::scan;
    use custody_findings::{Report, Rules, Verdict};

    static RULES: LazyLock<Rules> = LazyLock::new(|| Rules::built_in().unwrap());

    const MODEL: &str = "tree\nversion=v4\nnum_class=1\nmax_feature_idx=1\nfeature_names=a b\ntree_sizes=20\n\n\
        Tree=0\nnum_leaves=2\nsplit_feature=1\nthreshold=0.5\nleft_child=-1\nright_child=-2\n\
        leaf_value=-0.2 0.2\n\n\nend of trees\n\n\
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

    #[track_caller]
    fn refused(model: &str, changes: &[(&str, &str)]) {
        check("the model", model.as_bytes(), Verdict::Clean);
        for (from, to) in changes {
            let broken = model.replace(from, to);
            assert_ne!(broken, model, "{from}");
            check(to, broken.as_bytes(), Verdict::Unscannable);
        }
    }

    const ONE: &str = "num_leaves=2\nsplit_feature=1\nthreshold=0.5\nleft_child=-1\nright_child=-2\n\
        leaf_value=-0.2 0.2\n";

    #[test]
    fn places_beyond_a_tree_are_refused() {
        let tree = MODEL.replace(
            ONE,
            "num_leaves=3\nsplit_feature=1 0\nthreshold=0.5 1\nleft_child=1 -1\nright_child=-2 -3\nleaf_value=1 2 3\n",
        );
        refused(
            &tree,
            &[
                ("left_child=1", "left_child=2"),
                ("left_child=1", "left_child=0"),
                ("left_child=1", "left_child=9223372036854775807"),
                ("left_child=1", "left_child=x"),
                ("left_child=1 -1", "left_child=1"),
                ("-2 -3", "-2 -4"),
                ("-2 -3", "-2 -9223372036854775808"),
                ("-2 -3", "-2 -3\nright_child=-2 -3"),
                ("split_feature=1", "split_feature=2"),
                ("split_feature=1", "split_feature=-1"),
                ("num_leaves=3", "num_leaves=2000000000"),
                ("num_leaves=3", "num_leaves=0"),
                ("threshold=0.5 1", "threshold=0.5"),
                ("threshold=0.5 1\n", ""),
                ("leaf_value=1 2 3", "leaf_value=1 2"),
                ("leaf_value=1 2 3\n", ""),
                ("leaf_value=1 2 3", "leaf_value=1 2 3\nleaf_count=1 2"),
                ("leaf_value=1 2 3", "leaf_value=1 2 3\ninternal_count=1"),
                ("Tree=0", "Tree=1"),
                ("num_class=1", "num_class=0"),
                ("num_class=1", "num_class=1\nnum_tree_per_iteration=0"),
                ("num_class=1", "num_class=1\nnum_tree_per_iteration=2"),
                ("num_class=1", "num_class=2\nnum_tree_per_iteration=2"),
                ("tree_sizes=20", "tree_sizes=20 20"),
                ("tree_sizes=20", "tree_sizes=4000000000"),
                ("tree_sizes=20", "tree_sizes=-1"),
                ("num_class=1", "num_class=2000000000"),
                (
                    "num_class=1",
                    "num_class=1\nobjective=multiclass num_class:9",
                ),
            ],
        );
    }

    #[test]
    fn sets_of_categories_and_equations_end_where_they_say() {
        let sets = MODEL.replace(
            ONE,
            "num_leaves=3\nnum_cat=2\nsplit_feature=1 0\nthreshold=0 1\ndecision_type=1 9\nleft_child=1 -1\n\
             right_child=-2 -3\nleaf_value=1 2 3\ncat_boundaries=0 1 3\ncat_threshold=7 8 9\n",
        );
        refused(
            &sets,
            &[
                ("threshold=0 1\nd", "threshold=0 2\nd"),
                ("threshold=0 1\nd", "threshold=0 -1\nd"),
                ("threshold=0 1\nd", "threshold=0 nan\nd"),
                ("num_cat=2", "num_cat=1"),
                ("num_cat=2", "num_cat=-2"),
                ("num_cat=2", "num_cat=9223372036854775807"),
                ("cat_boundaries=0 1 3", "cat_boundaries=0 1 4"),
                ("cat_boundaries=0 1 3", "cat_boundaries=0 4 3"),
                ("cat_boundaries=0 1 3", "cat_boundaries=-1 1 3"),
                ("cat_boundaries=0 1 3", "cat_boundaries=0 3"),
                ("cat_threshold=7 8 9", "cat_threshold=7 8"),
                ("cat_boundaries=0 1 3\n", ""),
            ],
        );
        let linear = MODEL.replace(
            ONE,
            &format!("{ONE}is_linear=1\nleaf_const=0 0\nnum_features=2 1\nleaf_features=0 1 1\nleaf_coeff=1 2 3\n"),
        );
        refused(
            &linear,
            &[
                ("num_features=2 1", "num_features=2 2"),
                ("num_features=2 1", "num_features=4 -1"),
                ("num_features=2 1", "num_features=3"),
                ("leaf_features=0 1 1", "leaf_features=0 1 2"),
                ("leaf_features=0 1 1", "leaf_features=0 -1 1"),
                ("leaf_coeff=1 2 3", "leaf_coeff=1 2"),
                ("leaf_const=0 0", "leaf_const=0"),
            ],
        );
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
