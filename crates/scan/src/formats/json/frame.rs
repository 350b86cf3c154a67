//! What is kept of an object or array while it is open.

use std::collections::HashSet;

/// How much of a kept text stays, in characters.
const MAX_TEXT: usize = 4096;

/// How many items of an array are kept.
const MAX_ITEMS: usize = 3;

/// The keys whose values rules ask about when the object ends.
const ASKED: [&str; 21] = [
    "class_name",
    "module",
    "registered_name",
    "config",
    "vocabulary",
    "function",
    "function_type",
    "fn_name",
    "__class__",
    "__module__",
    "__loader__",
    "content",
    "func",
    "obj",
    "attrs",
    "type",
    "file",
    "idx",
    "path",
    "cells",
    "nbformat",
];

/// Whether the value of a key is kept.
pub(super) fn is_kept(key: &str) -> bool {
    ASKED.contains(&key)
}

/// A value as far as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Object,
    Array,
    Null,
    Other,
}

impl Value {
    /// Returns it with as much of its text as is kept.
    fn cut(self) -> Self {
        match self {
            Self::Text(text) => Self::Text(text.chars().take(MAX_TEXT).collect()),
            other => other,
        }
    }
}

/// An open object or array.
#[derive(Debug, Default)]
pub(super) struct Frame {
    /// The key whose value is read, cut; empty in an array.
    pub(super) key: String,
    /// Where it begins.
    pub(super) at: u64,
    /// Hashes of the keys that were met, as long as there is room.
    pub(super) hashes: HashSet<u64>,
    /// Under which key the innermost child that ended stood, with the child's class and module: what
    /// a node of skops must agree with.
    pub(super) object: Option<(String, String)>,
    /// The `function` of the `config` that ended last.
    function: Option<String>,
    kept: Vec<(&'static str, Value)>,
    /// The first items of an array.
    items: Vec<Value>,
    /// The lines of a template, and where the first stands.
    lines: Vec<String>,
    lines_at: Option<u64>,
    is_object: bool,
}

impl Frame {
    pub(super) fn new(is_object: bool, at: u64) -> Self {
        Self {
            at,
            is_object,
            ..Self::default()
        }
    }

    /// Keeps the value of the present key if a rule asks about it; the last one counts.
    pub(super) fn keep(&mut self, value: Value) {
        if !self.is_object {
            if self.items.len() < MAX_ITEMS {
                self.items.push(value.cut());
            }
            return;
        }
        let Some(asked) = ASKED.iter().find(|asked| **asked == self.key) else {
            return;
        };
        self.kept.retain(|(key, _)| key != asked);
        self.kept.push((asked, value.cut()));
    }

    pub(super) fn is_object(&self) -> bool {
        self.is_object
    }

    /// Takes a line of a template.
    pub(super) fn line(&mut self, line: &str, at: u64) {
        self.lines_at.get_or_insert(at);
        self.lines.push(line.to_owned());
    }

    /// Returns the lines of a template, and where the first stands.
    pub(super) fn lines(&self) -> Option<(&[String], u64)> {
        self.lines_at.map(|at| (self.lines.as_slice(), at))
    }

    /// Returns the first items of an array.
    pub(super) fn items(&self) -> &[Value] {
        &self.items
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.kept
            .iter()
            .find(|(kept, _)| *kept == key)
            .map(|(_, value)| value)
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Returns the function that the configuration names, where it is a text.
    pub(super) fn function(&self) -> Option<&str> {
        self.function.as_deref()
    }

    /// Returns a copy of what can be judged so far.
    pub(super) fn clone_judged(&self) -> Self {
        Self {
            key: self.key.clone(),
            at: self.at,
            hashes: HashSet::new(),
            object: self.object.clone(),
            function: self.function.clone(),
            kept: self.kept.clone(),
            items: Vec::new(),
            lines: Vec::new(),
            lines_at: None,
            is_object: self.is_object,
        }
    }

    /// Learns from a child that ended: the class of `obj`, also through `content`.
    pub(super) fn child(&mut self, child: &Self) {
        match self.key.as_str() {
            "obj" => {
                self.object = child
                    .text("__module__")
                    .zip(child.text("__class__"))
                    .map(|(module, class)| (module.to_owned(), class.to_owned()));
            }
            "content" => self.object.clone_from(&child.object),
            "config" => self.function = child.text("function").map(str::to_owned),
            _ => {}
        }
    }
}
