//! What XGBoost reads unchecked in a booster, whichever way it is written: numbers of nodes, features, groups and
//! categories that are places in lists.
//!
//! Source: `RegTree::LoadModel` and `GBTreeModel::LoadModel` of XGBoost 3. A document that is no booster passes by.

use crate::scan::{Found, Scan};

/// Trees with more nodes are not followed.
const MAX_NODES: usize = 1 << 20;
/// Categories are bits of a list: greater ones are not believed.
const MAX_CATEGORY: i32 = 1 << 24;
/// So many trees have their places checked.
const MAX_TREES: usize = 1 << 20;
/// How deep objects and arrays are followed: deeper than in any booster.
const MAX_DEPTH: usize = 32;

/// A step through a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step<'a> {
    /// The name of the value that follows.
    Key(&'a str),
    /// An object or an array begins.
    Open,
    /// It ends.
    End,
    /// A number; `None`: it is not whole, or beyond 64 bits.
    Number(Option<i64>),
    /// A text.
    Text(&'a str),
    /// Anything else.
    Other,
}

/// A list of numbers.
#[derive(Debug, Default, Clone)]
struct List {
    /// The numbers, where they are places; `-2` for what is no whole number.
    places: Vec<i32>,
    count: usize,
}

/// The lists whose numbers are places.
const PLACES: [&str; 9] = [
    "parents",
    "left_children",
    "right_children",
    "split_indices",
    "split_type",
    "categories",
    "categories_nodes",
    "categories_segments",
    "categories_sizes",
];
/// The other lists that have a value for each node.
const BY_NODE: [&str; 4] = [
    "default_left",
    "loss_changes",
    "split_conditions",
    "sum_hessian",
];

/// Whether the value of a key says where something lies, or how much of it there is.
pub(super) fn is_read(key: &str) -> bool {
    const OTHERS: [&str; 10] = [
        "base_weights",
        "gbtree_model_param",
        "gradient_booster",
        "iteration_indptr",
        "learner_model_param",
        "num_feature",
        "num_nodes",
        "num_trees",
        "tree_info",
        "tree_param",
    ];
    PLACES.contains(&key) || BY_NODE.contains(&key) || OTHERS.contains(&key)
}

#[derive(Debug, Default)]
struct Tree {
    nodes: Option<i64>,
    leaf_values: Option<i64>,
    places: [List; PLACES.len()],
    by_node: [List; BY_NODE.len()],
    weights: usize,
    leaf_weights: usize,
    /// The tree's own number.
    id: Option<i32>,
}

/// Follows a document and says whether its places lie within their lists.
#[derive(Debug, Default)]
pub(super) struct Booster {
    /// The keys on the way from the top to here, one for each open object or array.
    path: Vec<String>,
    /// How many more are open than are followed.
    deeper: usize,
    key: String,
    tree: Option<(usize, Tree)>,
    trees: usize,
    is_booster: bool,
    /// Whether there is a list of trees.
    listed: bool,
    features: Option<i64>,
    greatest: i32,
    classes: Option<i64>,
    targets: Option<i64>,
    claimed: Option<i64>,
    info: Option<(usize, i32)>,
    rounds: Option<Vec<i32>>,
    /// How many weights there are of trees that may be dropped, and of a linear booster.
    dropped: Option<usize>,
    linear: Option<usize>,
    wrong: Option<String>,
}

impl Booster {
    /// Whether the numbers of the list that begins next are of use; where not, it may be stepped over.
    pub(super) fn wants(&self) -> bool {
        self.tree.is_some()
            || matches!(
                self.key.as_str(),
                "tree_info" | "iteration_indptr" | "weight_drop" | "weights"
            )
    }

    /// Takes a step.
    pub(super) fn step(&mut self, step: Step<'_>) {
        match step {
            Step::Key(key) => {
                self.key.clear();
                self.key.extend(key.chars().take(64));
            }
            Step::Open => self.open(),
            Step::End => self.end(),
            Step::Number(number) => self.number(number),
            Step::Text(text) => self.text(text),
            Step::Other => self.number(None),
        }
    }

    fn open(&mut self) {
        if self.path.len() >= MAX_DEPTH {
            self.deeper += 1;
            return;
        }
        // An element of an array has the array's key before it.
        let in_trees = self.path.last().is_some_and(|key| key == "trees");
        // In a pickle, the model lies beside its configuration.
        if self.path.len() <= 2 && self.key == "learner" {
            self.is_booster = true;
        }
        if in_trees && self.tree.is_none() {
            self.tree = Some((self.path.len(), Tree::default()));
            self.trees += 1;
        }
        self.listed |= self.key == "trees";
        match self.key.as_str() {
            "tree_info" if self.tree.is_none() => self.info = Some((0, 0)),
            "iteration_indptr" if self.tree.is_none() => self.rounds = Some(Vec::new()),
            "weight_drop" if self.tree.is_none() => self.dropped = Some(0),
            "weights" if self.tree.is_none() => self.linear = Some(0),
            _ => {}
        }
        self.path.push(std::mem::take(&mut self.key));
    }

    fn end(&mut self) {
        if self.deeper > 0 {
            self.deeper -= 1;
            return;
        }
        self.path.pop();
        self.key.clear();
        if let Some((depth, tree)) = self.tree.take() {
            if depth < self.path.len() {
                self.tree = Some((depth, tree));
            } else if self.trees <= MAX_TREES {
                let number = i32::try_from(self.trees - 1).unwrap_or(i32::MAX);
                let checked = tree.check(number);
                match checked {
                    Ok(greatest) => self.greatest = self.greatest.max(greatest),
                    Err(because) => {
                        let number = self.trees - 1;
                        self.wrong.get_or_insert_with(|| {
                            format!("has a tree, number {number}, {because}")
                        });
                    }
                }
            }
        }
    }

    fn number(&mut self, number: Option<i64>) {
        let place = number
            .and_then(|number| i32::try_from(number).ok())
            .unwrap_or(-2);
        let Some(list) = self.path.last() else {
            return;
        };
        let (list, deep) = (list.as_str(), self.deeper > 0);
        if deep {
            return;
        }
        match (&mut self.tree, list) {
            (Some((depth, tree)), list) if self.path.len() == *depth + 2 => {
                tree.take(list, place, &mut self.wrong);
            }
            (Some((depth, tree)), _) if self.path.len() == *depth + 1 && self.key == "id" => {
                tree.id = Some(place);
            }
            (None, "weight_drop") => self.dropped = self.dropped.map(|count| count + 1),
            (None, "weights") => self.linear = self.linear.map(|count| count + 1),
            (None, "tree_info") => {
                if let Some((count, most)) = &mut self.info {
                    *count += 1;
                    // What is below zero is beyond all.
                    *most = (*most).max(if place < 0 { i32::MAX } else { place });
                }
            }
            (None, "iteration_indptr") => {
                if let Some(rounds) = self
                    .rounds
                    .as_mut()
                    .filter(|rounds| rounds.len() <= MAX_TREES)
                {
                    rounds.push(place);
                }
            }
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        let number = || text.parse::<i64>().ok().or(Some(i64::MIN));
        match (self.path.last().map(String::as_str), self.key.as_str()) {
            (Some("tree_param"), key) => {
                if let Some((_, tree)) = &mut self.tree {
                    match key {
                        "num_nodes" => tree.nodes = number(),
                        "size_leaf_vector" => tree.leaf_values = number(),
                        _ => {}
                    }
                }
            }
            (Some("learner_model_param"), "num_feature") => self.features = number(),
            (Some("learner_model_param"), "num_class") => self.classes = number(),
            (Some("learner_model_param"), "num_target") => self.targets = number(),
            (Some("gbtree_model_param"), "num_trees") => self.claimed = number(),
            _ => {}
        }
    }

    /// Reports what does not hold, where the document was a booster.
    pub(super) fn finish(self, scan: &mut Scan<'_>) {
        if let Some(wrong) = self.wrong().filter(|_| self.is_booster) {
            scan.found(
                Found::unscannable("xgboost/place", format!("the booster {wrong}"))
                    .why("XGBoost reads its memory at such places unchecked")
                    .see(&["CWE-125", "AML.T0076"]),
            );
        }
    }

    fn wrong(&self) -> Option<String> {
        if self.wrong.is_some() {
            return self.wrong.clone();
        }
        let trees = i64::try_from(self.trees).unwrap_or(i64::MAX);
        // A configuration that is saved by itself has no list of trees.
        if self.listed && self.claimed.is_some_and(|claimed| claimed != trees) {
            return Some(format!("claims another number of trees than its {trees}"));
        }
        let groups = self
            .classes
            .unwrap_or_default()
            .max(self.targets.unwrap_or_default())
            .max(1);
        if let (Some(count), Some(features)) = (self.linear, self.features) {
            let wanted = features
                .checked_add(1)
                .and_then(|each| each.checked_mul(groups));
            if i64::try_from(count).ok() != wanted {
                return Some(format!("has {count} weights for {features} features"));
            }
        }
        if self.dropped.is_some_and(|count| count != self.trees) {
            return Some("has not a weight for each tree".to_owned());
        }
        if self.trees == 0 {
            return None;
        }
        if self
            .features
            .is_some_and(|features| i64::from(self.greatest) >= features)
        {
            return Some(format!(
                "splits by the feature {}, which it has not",
                self.greatest
            ));
        }
        match self.info {
            Some((count, most)) if count != self.trees || i64::from(most) >= groups => {
                return Some("has trees of groups that it has not".to_owned());
            }
            _ => {}
        }
        let rounds = self.rounds.as_deref().filter(|rounds| !rounds.is_empty());
        if let Some(rounds) = rounds {
            let last = rounds.last().copied().map(i64::from);
            if rounds.first() != Some(&0) || !rounds.is_sorted() || last != Some(trees) {
                return Some("has rounds of trees that it has not".to_owned());
            }
        }
        None
    }
}

impl Tree {
    fn take(&mut self, list: &str, place: i32, wrong: &mut Option<String>) {
        let known = PLACES.iter().position(|name| *name == list);
        if let Some(list) = known.and_then(|known| self.places.get_mut(known)) {
            if list.count >= MAX_NODES {
                wrong.get_or_insert_with(|| {
                    "has a tree of too many nodes to be followed".to_owned()
                });
                return;
            }
            list.places.push(place);
            list.count += 1;
            return;
        }
        let known = BY_NODE.iter().position(|name| *name == list);
        if let Some(list) = known.and_then(|known| self.by_node.get_mut(known)) {
            list.count += 1;
        }
        match list {
            "base_weights" => self.weights += 1,
            "leaf_weights" => self.leaf_weights += 1,
            _ => {}
        }
    }

    /// Returns the greatest feature by which it splits.
    fn check(&self, number: i32) -> Result<i32, String> {
        let [
            parents,
            left,
            right,
            features,
            kinds,
            categories,
            nodes,
            segments,
            sizes,
        ] = &self.places;
        let count = left.count;
        let claimed = self.nodes.and_then(|nodes| usize::try_from(nodes).ok());
        if count == 0 || claimed != Some(count) {
            return Err(format!(
                "which claims another number of nodes than its {count}"
            ));
        }
        if self.id.is_some_and(|id| id != number) {
            return Err("which has another number".to_owned());
        }
        let by_node = self.by_node.iter().chain([parents, right, features, kinds]);
        // Those that a version does not write are not there.
        if by_node
            .clone()
            .any(|list| list.count != count && list.count > 0)
            || right.count != count
            || features.count != count
        {
            return Err(format!("whose lists are not of its {count} nodes"));
        }
        let leaf_values = self.leaf_values.unwrap_or(1);
        let several = usize::try_from(leaf_values)
            .ok()
            .filter(|values| *values <= MAX_NODES);
        let Some(several) = several.map(|values| values.max(1)) else {
            return Err(format!("whose leaves have {leaf_values} values"));
        };
        let each = |weights: usize, nodes: usize| {
            weights == 0 || weights == nodes || weights == nodes.saturating_mul(several)
        };
        let told = self.leaf_weights > 0 || self.weights == count.saturating_mul(several);
        let whole = told && self.leaf_weights.is_multiple_of(several);
        if several > 1 && !whole || !each(self.weights, count) {
            return Err("whose leaves have other values than they say".to_owned());
        }
        let leaf_values = i64::try_from(several).unwrap_or(i64::MAX);
        let leaves = i64::try_from(self.leaf_weights).unwrap_or(i64::MAX) / leaf_values;
        if !categories
            .places
            .iter()
            .all(|one| (0..MAX_CATEGORY).contains(one))
        {
            return Err("with a category that none can have".to_owned());
        }
        let with_sets = self.sets(nodes, segments, sizes, categories.count)?;
        let (mut seen, mut open, mut greatest) = (vec![false; count], vec![0_usize], 0);
        while let Some(node) = open.pop() {
            match seen.get_mut(node) {
                Some(seen) if !*seen => *seen = true,
                _ => return Err(format!("in which two ways lead to the node {node}")),
            }
            let at = |list: &List| list.places.get(node).copied().unwrap_or(-2);
            let (left, right) = (at(left), at(right));
            if left == -1 {
                // A leaf of several values says which they are.
                let is_place = right >= 0 && i64::from(right) < leaves;
                if right != -1 && !is_place {
                    return Err(format!("with the leaf {right}, which it has not"));
                }
                continue;
            }
            for child in [left, right] {
                let child = usize::try_from(child).ok().filter(|child| *child < count);
                let child = child.ok_or_else(|| "with a child that it has not".to_owned())?;
                let parent = parents
                    .places
                    .get(child)
                    .map(|parent| usize::try_from(*parent));
                if parent.is_some_and(|parent| parent != Ok(node)) {
                    return Err(format!("whose node {child} has another parent"));
                }
                open.push(child);
            }
            let feature = at(features);
            if feature < 0 {
                return Err("with a feature below zero".to_owned());
            }
            greatest = greatest.max(feature);
            let is_set = kinds.count > 0 && at(kinds) != 0;
            if is_set && !with_sets.get(node).copied().unwrap_or_default() {
                return Err(format!("whose node {node} has no categories"));
            }
        }
        Ok(greatest)
    }

    /// Checks that the categories of nodes lie within the list of all, and returns which nodes have some.
    fn sets(
        &self,
        nodes: &List,
        segments: &List,
        sizes: &List,
        categories: usize,
    ) -> Result<Vec<bool>, String> {
        let wrong = || Err("whose categories do not end where they say".to_owned());
        let mut with = vec![false; self.places.get(1).map_or(0, |left| left.count)];
        if nodes.count != segments.count || nodes.count != sizes.count {
            return wrong();
        }
        let ranges = segments.places.iter().zip(&sizes.places);
        for (node, (begin, size)) in nodes.places.iter().zip(ranges) {
            let place = usize::try_from(*node)
                .ok()
                .and_then(|node| with.get_mut(node));
            let begin = usize::try_from(*begin).ok();
            let end = begin
                .zip(usize::try_from(*size).ok())
                .map(|(begin, size)| begin + size);
            match place {
                Some(place) if !*place && end.is_some_and(|end| end <= categories) => *place = true,
                _ => return wrong(),
            }
        }
        Ok(with)
    }
}
