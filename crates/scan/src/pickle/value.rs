//! What a pickle makes, symbolically: enough of each value to judge what is done with it, and no more.

use std::collections::HashMap;

/// How long a text may be to be kept, in bytes.
pub(crate) const MAX_TEXT: usize = 4096;
/// How many bytes of text are kept in all.
const MAX_TEXTS: usize = 8 << 20;
/// How many containers are kept; what comes later is known by its kind only.
const MAX_NODES: usize = 128 << 10;
/// How many things that a call made are kept.
const MAX_MADE: usize = 128 << 10;
/// How many elements of tuples, lists and dictionaries are kept in all.
const MAX_ITEMS: usize = 256 << 10;
/// How many different globals a stream may name.
pub(crate) const MAX_GLOBALS: usize = 64 << 10;

/// A value on the stack or in the memo.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// A number of another kind, or too big.
    Number,
    /// A text that is kept.
    Text(Text),
    /// A text or bytes in the stream: where and how long.
    Bytes {
        at: u64,
        len: u32,
    },
    /// A text that is not kept: where and how long, where it has a place of its own.
    LongText {
        at: u64,
        len: u32,
    },
    /// A container whose elements are not kept.
    Plain(Kind),
    /// A container, or something made that must be looked into.
    Node(u32),
    /// A global.
    Global(u32),
    /// What calling a global gave: an instance where it is a class.
    Instance(u32),
    /// What calling something else gave.
    Computed,
    /// What the stream cannot tell: an out-of-band buffer, a value after an error.
    Unknown,
}

impl Value {
    /// A text that is not kept, of no known place.
    pub(crate) const LONG: Self = Self::LongText { at: 0, len: 0 };
}

/// A text in the heap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Text {
    start: u32,
    len: u16,
}

/// The kinds of containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Tuple,
    List,
    Dict,
    Set,
    FrozenSet,
}

/// A node: a container with its elements, or what a call made of its arguments.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) content: Content,
    /// How many values it has when everything shared is counted each time.
    pub(crate) weight: f32,
    /// How deep it is nested.
    pub(crate) depth: u32,
}

#[derive(Debug)]
pub(crate) enum Content {
    /// A container; a dictionary's keys and values alternate. `whole`: whether all elements are kept.
    Container {
        kind: Kind,
        items: Vec<Value>,
        whole: bool,
    },
    /// Made by a call of `global`.
    Made {
        global: u32,
        arguments: Value,
        state: Value,
    },
    /// What a persistent id stands for.
    Persistent(Value),
}

/// A global by its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Global {
    pub(crate) module: String,
    pub(crate) name: String,
}

impl Global {
    /// Returns `module:name`.
    pub(crate) fn full(&self) -> String {
        format!("{}:{}", self.module, self.name)
    }
}

/// Everything that the values point to.
#[derive(Debug, Default)]
pub(crate) struct Heap {
    texts: Vec<u8>,
    nodes: Vec<Node>,
    /// How many of them a call made.
    made: usize,
    items: usize,
    globals: Vec<Global>,
    known: HashMap<(String, String), u32>,
}

impl Heap {
    /// Keeps a text where there is room.
    pub(crate) fn text(&mut self, bytes: &[u8]) -> Value {
        let (Ok(start), Ok(len)) = (u32::try_from(self.texts.len()), u16::try_from(bytes.len()))
        else {
            return Value::LONG;
        };
        if bytes.len() > MAX_TEXT || self.texts.len() + bytes.len() > MAX_TEXTS {
            return Value::LONG;
        }
        self.texts.extend_from_slice(bytes);
        Value::Text(Text { start, len })
    }

    /// Returns a text's bytes.
    pub(crate) fn text_bytes(&self, text: Text) -> &[u8] {
        let start = text.start as usize;
        self.texts
            .get(start..start + usize::from(text.len))
            .unwrap_or_default()
    }

    /// Returns the text of a value that is one and is kept.
    pub(crate) fn as_text(&self, value: Value) -> Option<&str> {
        match value {
            Value::Text(text) => std::str::from_utf8(self.text_bytes(text)).ok(),
            _ => None,
        }
    }

    /// Returns the id of a global; `None` when there are too many.
    pub(crate) fn global(&mut self, module: &str, name: &str) -> Option<u32> {
        let key = (module.to_owned(), name.to_owned());
        if let Some(id) = self.known.get(&key) {
            return Some(*id);
        }
        if self.globals.len() >= MAX_GLOBALS {
            return None;
        }
        let id = u32::try_from(self.globals.len()).ok()?;
        self.globals.push(Global {
            module: key.0.clone(),
            name: key.1.clone(),
        });
        self.known.insert(key, id);
        Some(id)
    }

    /// Returns a global's names.
    pub(crate) fn names(&self, id: u32) -> Option<&Global> {
        self.globals.get(id as usize)
    }

    /// Returns the `module:name` of a global, else an empty text.
    pub(crate) fn full_name(&self, id: u32) -> String {
        self.names(id).map(Global::full).unwrap_or_default()
    }

    /// Returns a node.
    pub(crate) fn node(&self, id: u32) -> Option<&Node> {
        self.nodes.get(id as usize)
    }

    /// Makes a container of `items`.
    pub(crate) fn container(&mut self, kind: Kind, items: &[Value]) -> Value {
        let Some(id) = self.room() else {
            return Value::Plain(kind);
        };
        self.nodes.push(Node {
            content: Content::Container {
                kind,
                items: Vec::new(),
                whole: true,
            },
            weight: 1.0,
            depth: 1,
        });
        self.extend(id, items);
        Value::Node(id)
    }

    /// Makes a node for what a call or a persistent id gave; `None` where there are too many.
    pub(crate) fn made(&mut self, content: Content) -> Option<Value> {
        if self.made >= MAX_MADE {
            return None;
        }
        let id = u32::try_from(self.nodes.len()).ok()?;
        self.made += 1;
        self.nodes.push(Node {
            content,
            weight: 1.0,
            depth: 1,
        });
        Some(Value::Node(id))
    }

    fn room(&self) -> Option<u32> {
        (self.nodes.len() - self.made < MAX_NODES).then(|| u32::try_from(self.nodes.len()).ok())?
    }

    /// Adds elements to a container.
    pub(crate) fn extend(&mut self, id: u32, values: &[Value]) {
        let weight: f32 = values.iter().map(|value| self.weight(*value)).sum();
        let depth = values.iter().map(|value| self.depth(*value)).max();
        let fits = self.items.saturating_add(values.len()) <= MAX_ITEMS;
        let Some(node) = self.nodes.get_mut(id as usize) else {
            return;
        };
        node.weight += weight;
        node.depth = node.depth.max(depth.unwrap_or(0).saturating_add(1));
        if let Content::Container { items, whole, .. } = &mut node.content {
            if fits && *whole {
                items.extend_from_slice(values);
                self.items += values.len();
            } else {
                *whole = false;
            }
        }
    }

    /// Sets the state of something made.
    pub(crate) fn set_state(&mut self, id: u32, value: Value) {
        if let Some(Node {
            content: Content::Made { state, .. },
            ..
        }) = self.nodes.get_mut(id as usize)
        {
            *state = value;
        }
    }

    /// Returns how many values `value` has when everything shared is counted each time.
    pub(crate) fn weight(&self, value: Value) -> f32 {
        match value {
            Value::Node(id) => self.node(id).map_or(1.0, |node| node.weight),
            _ => 1.0,
        }
    }

    /// Returns how deep `value` is nested.
    pub(crate) fn depth(&self, value: Value) -> u32 {
        match value {
            Value::Node(id) => self.node(id).map_or(0, |node| node.depth),
            _ => 0,
        }
    }

    /// Returns the kind of a container.
    pub(crate) fn kind(&self, value: Value) -> Option<Kind> {
        match value {
            Value::Plain(kind) => Some(kind),
            Value::Node(id) => match self.node(id)?.content {
                Content::Container { kind, .. } => Some(kind),
                _ => None,
            },
            _ => None,
        }
    }

    /// Returns the elements of a container of this kind whose elements are all kept.
    pub(crate) fn items(&self, value: Value, wanted: Kind) -> Option<&[Value]> {
        let Value::Node(id) = value else {
            return None;
        };
        match &self.node(id)?.content {
            Content::Container {
                kind,
                items,
                whole: true,
            } if *kind == wanted => Some(items),
            _ => None,
        }
    }

    /// Returns the value of a text key in a dictionary whose elements are all kept: the last one set.
    pub(crate) fn entry(&self, dictionary: Value, key: &str) -> Option<Value> {
        let items = self.items(dictionary, Kind::Dict)?;
        items.rchunks_exact(2).find_map(|pair| match pair {
            [name, value] if self.as_text(*name) == Some(key) => Some(*value),
            _ => None,
        })
    }

    /// Returns the global that made a value: the class of an instance.
    pub(crate) fn maker(&self, value: Value) -> Option<u32> {
        match value {
            Value::Instance(id) => Some(id),
            Value::Node(id) => match self.node(id)?.content {
                Content::Made { global, .. } => Some(global),
                _ => None,
            },
            _ => None,
        }
    }
}

/// The memo of a stream: values by number.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    dense: Vec<Option<Value>>,
    sparse: HashMap<u64, Value>,
    count: u64,
}

/// How many values a memo may hold.
pub(crate) const MAX_MEMO: u64 = 1 << 20;
const MAX_SPARSE: usize = 64 << 10;
const MAX_GAP: u64 = 4096;

impl Memo {
    /// Keeps a value; false when there is no room.
    pub(crate) fn put(&mut self, key: u64, value: Value) -> bool {
        let len = self.dense.len() as u64;
        if key < len.saturating_add(MAX_GAP) && key < MAX_MEMO {
            let Ok(index) = usize::try_from(key) else {
                return false;
            };
            if index >= self.dense.len() {
                self.dense.resize(index + 1, None);
            }
            if let Some(place) = self.dense.get_mut(index) {
                let before = self.sparse.remove(&key);
                if place.replace(value).is_none() && before.is_none() {
                    self.count = self.count.saturating_add(1);
                }
            }
            return true;
        }
        if self.sparse.len() >= MAX_SPARSE {
            return false;
        }
        if self.sparse.insert(key, value).is_none() {
            self.count = self.count.saturating_add(1);
        }
        true
    }

    /// Puts back what a number had before.
    pub(crate) fn restore(&mut self, key: u64, value: Option<Value>) {
        if let Some(value) = value {
            self.put(key, value);
            return;
        }
        let index = usize::try_from(key).ok();
        let dense = index.and_then(|index| self.dense.get_mut(index));
        let gone = dense.and_then(Option::take).is_some() || self.sparse.remove(&key).is_some();
        self.count = self.count.saturating_sub(u64::from(gone));
    }

    /// Returns a kept value.
    pub(crate) fn get(&self, key: u64) -> Option<Value> {
        usize::try_from(key)
            .ok()
            .and_then(|index| self.dense.get(index).copied().flatten())
            .or_else(|| self.sparse.get(&key).copied())
    }

    /// Returns how many numbers have a value: the number that `MEMOIZE` uses next.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memo_counts_numbers_once_wherever_they_lie() {
        let mut memo = Memo::default();
        for key in [0, 1, 1_000_000, 5000, 1, 4097, 1_000_000] {
            assert!(memo.put(key, Value::Int(i64::try_from(key).unwrap())));
        }
        assert_eq!(memo.count(), 5);
        assert_eq!(memo.get(5000), Some(Value::Int(5000)));
        assert_eq!(memo.get(4096), None);
    }

    #[test]
    fn shared_values_are_weighed_each_time() {
        let mut heap = Heap::default();
        let mut value = heap.container(Kind::List, &[Value::None]);
        for _ in 0..40 {
            value = heap.container(Kind::Tuple, &[value, value]);
        }
        assert!(heap.weight(value) > 1e12);
        assert_eq!(heap.depth(value), 41);
    }

    #[test]
    fn past_its_limits_the_heap_keeps_kinds_only() {
        let mut heap = Heap::default();
        for _ in 0..=MAX_NODES {
            heap.container(Kind::List, &[]);
        }
        let last = heap.container(Kind::Dict, &[]);
        assert_eq!(last, Value::Plain(Kind::Dict));
        assert_eq!(heap.kind(last), Some(Kind::Dict));
    }
}
