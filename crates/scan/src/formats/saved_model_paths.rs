//! Where the graphs of TensorFlow write and read checkpoints: at a place that their caller says, or at
//! one of their own.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::cursor::Stop;

/// Operators that write or read a checkpoint, and how many of their inputs say where.
const CHECKPOINTS: [(&str, usize); 7] = [
    ("SaveV2", 1),
    ("RestoreV2", 1),
    ("Save", 1),
    ("SaveSlices", 1),
    ("Restore", 1),
    ("RestoreSlice", 1),
    ("MergeV2Checkpoints", 2),
];
/// Operators that hand on texts, or make texts of texts.
const COPIES: [&str; 32] = [
    "Add",
    "AddV2",
    "AsString",
    "Concat",
    "ConcatV2",
    "DecodeBase64",
    "EncodeBase64",
    "EnsureShape",
    "ExpandDims",
    "Fill",
    "Gather",
    "GatherV2",
    "Identity",
    "Pack",
    "PlaceholderWithDefault",
    "PreventGradient",
    "ReduceJoin",
    "RegexReplace",
    "Reshape",
    "Select",
    "SelectV2",
    "ShardedFilename",
    "Slice",
    "Squeeze",
    "StaticRegexReplace",
    "StopGradient",
    "StridedSlice",
    "StringJoin",
    "StringLower",
    "StringStrip",
    "StringUpper",
    "Substr",
];
/// How many constants and copies of a graph are remembered.
const MAX_CONSTANTS: usize = 1 << 20;
/// How many checkpoints of a graph are remembered.
const MAX_CHECKPOINTS: usize = 50_000;
/// How many nodes behind a checkpoint are looked at, and how many inputs of a node.
const MAX_STEPS: usize = 64;
/// How long a text may be that a saver of TensorFlow has itself, in bytes.
pub(super) const MAX_PART: u64 = 48;

/// A node that is remembered.
#[derive(Debug)]
enum Node {
    /// A constant that a saver of TensorFlow has itself, or that is no text.
    Usual,
    /// A constant of the model's own.
    Own,
    /// Its text is made of those of these nodes.
    Of(Box<[u64]>),
}

/// What the tensors of a node hold.
#[derive(Debug, Default, Clone, Copy)]
struct Held {
    texts: usize,
    usual: usize,
    types: usize,
    texts_by_type: usize,
    packed: bool,
}

/// The constants of a graph or function, and the checkpoints that it writes or reads. Names are hashed.
#[derive(Debug, Default)]
pub(super) struct Paths {
    name: u64,
    inputs: Vec<u64>,
    /// Whether it has more inputs than are looked at.
    more: bool,
    held: Held,
    nodes: HashMap<u64, Node>,
    checkpoints: Vec<(&'static str, u64, u64)>,
}

impl Paths {
    /// A node begins.
    pub(super) fn node(&mut self) {
        self.name = 0;
        self.inputs.clear();
        self.more = false;
        self.held = Held::default();
    }

    /// Takes the name of the node.
    pub(super) fn name(&mut self, text: &[u8]) {
        self.name = hashed(text);
    }

    /// Takes an input of the node without the number of its output; one of control carries nothing.
    pub(super) fn input(&mut self, text: &[u8]) {
        if text.starts_with(b"^") {
            return;
        }
        if self.inputs.len() >= MAX_STEPS {
            self.more = true;
            return;
        }
        let node = text.split(|byte| *byte == b':').next().unwrap_or(text);
        self.inputs.push(hashed(node));
    }

    /// Takes the type of a tensor of the node.
    pub(super) fn tensor_type(&mut self, is_text: bool) {
        self.held.types += 1;
        self.held.texts_by_type += usize::from(is_text);
    }

    /// Takes a text in a tensor of the node; `None` where it is longer than [`MAX_PART`].
    pub(super) fn text(&mut self, text: Option<&[u8]>) {
        self.held.texts += 1;
        self.held.usual += usize::from(text.is_some_and(is_usual));
    }

    /// Takes the packed content of a tensor of the node.
    pub(super) fn packed(&mut self) {
        self.held.packed = true;
    }

    /// The node ends.
    ///
    /// # Errors
    /// [`Stop::Limit`].
    pub(super) fn leave(&mut self, operator: &str, at: u64) -> Result<(), Stop> {
        let known = CHECKPOINTS.iter().find(|(known, _)| *known == operator);
        if operator == "Const" {
            self.nodes.insert(self.name, self.constant());
        } else if COPIES.contains(&operator) {
            let node = if self.more {
                Node::Own
            } else {
                Node::Of(self.inputs.as_slice().into())
            };
            self.nodes.insert(self.name, node);
        } else if let Some((known, count)) = known {
            let room = MAX_CHECKPOINTS.saturating_sub(self.checkpoints.len());
            let places = self.inputs.iter().take((*count).min(room));
            self.checkpoints
                .extend(places.map(|input| (*known, *input, at)));
        }
        if self.nodes.len() > MAX_CONSTANTS {
            return Err(Stop::limit("the number of constants", MAX_CONSTANTS, at));
        }
        Ok(())
    }

    fn constant(&self) -> Node {
        let held = self.held;
        let number = held.types > 0 && held.texts_by_type == 0 && held.texts == 0;
        if number || (held.texts == 1 && held.usual == 1 && !held.packed) {
            Node::Usual
        } else {
            Node::Own
        }
    }

    /// Returns the checkpoints whose place has a constant of the model's own in it.
    pub(super) fn fixed(&self) -> Vec<(&'static str, u64)> {
        let mut known = HashMap::new();
        self.checkpoints
            .iter()
            .filter(|(_, input, _)| *known.entry(*input).or_insert_with(|| self.is_own(*input)))
            .map(|(operator, _, at)| (*operator, *at))
            .collect()
    }

    fn is_own(&self, node: u64) -> bool {
        let mut open = vec![node];
        let mut seen = HashSet::new();
        while let Some(node) = open.pop() {
            if !seen.insert(node) {
                continue;
            }
            if seen.len() > MAX_STEPS {
                return true;
            }
            match self.nodes.get(&node) {
                Some(Node::Own) => return true,
                Some(Node::Of(inputs)) => open.extend(inputs),
                Some(Node::Usual) | None => {}
            }
        }
        false
    }
}

/// Whether a text is one that a saver of TensorFlow puts into its graph: the place where nobody says
/// one, and parts of names that it adds to the place that its caller says.
fn is_usual(text: &[u8]) -> bool {
    match text {
        b"" | b"model" | b".part" | b"part" | b"_temp/part" => true,
        text => text
            .strip_prefix(b"_temp_")
            .and_then(|text| text.strip_suffix(b"/part"))
            .is_some_and(|id| id.len() == 32 && id.iter().all(u8::is_ascii_hexdigit)),
    }
}

fn hashed(name: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}
