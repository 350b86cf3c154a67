//! TensorFlow: saved models (`saved_model.pb`), meta graphs and bare graphs, and what lies beside them.
//!
//! Source: the `.proto` files of TensorFlow and its registry of operators. A graph is a program: every
//! node, in every library function too, names an operator, and some read and write files or run Python.

use std::collections::{BTreeMap, BTreeSet};

use super::json;
use super::onnx;
use super::path;
use super::protobuf::{self, Message, Value, Visitor};
use super::saved_model_paths::{MAX_PART, Paths};
use super::saved_model_schema::{
    ASSET_FILE_DEF, ATTR_ENTRY, ATTR_VALUE, FINGERPRINT_DEF, FUNCTION_DEF, GRAPH_DEF,
    KERAS_METADATA, KERAS_NODE, META_GRAPH_DEF, META_INFO_DEF, NAME_ATTR_LIST, NODE_DEF, OP_DEF,
    SAVED_MODEL, SAVED_USER_OBJECT, TENSOR_PROTO,
};
use crate::cursor::{Cursor, Stop};
use crate::scan::{Found, Scan, Understood, shown};
use crate::sniff::{Format, Head};
use crate::source::Source;
use custody_findings::Severity;
use custody_findings::rules::Judgement;

/// A saved model.
pub(crate) const FORMAT: Format = Format {
    name: "TensorFlow SavedModel",
    recognises: is_saved_model,
    parse: |source, scan| graph(source, scan, &SAVED_MODEL, "TensorFlow SavedModel"),
};

/// A meta graph, as beside checkpoints of TensorFlow 1.
pub(crate) const META_GRAPH: Format = Format {
    name: "TensorFlow MetaGraph",
    recognises: is_meta_graph,
    parse: |source, scan| graph(source, scan, &META_GRAPH_DEF, "TensorFlow MetaGraph"),
};

/// A bare graph, as frozen models are.
pub(crate) const GRAPH: Format = Format {
    name: "TensorFlow graph",
    recognises: |head| is_graph(Cursor::new(head.source)) && !onnx::is_graph(head),
    parse: |source, scan| graph(source, scan, &GRAPH_DEF, "TensorFlow graph"),
};

/// What Keras keeps of its layers beside a saved model.
pub(crate) const KERAS: Format = Format {
    name: "Keras metadata",
    recognises: is_keras_metadata,
    parse: |source, scan| graph(source, scan, &KERAS_METADATA, "Keras metadata"),
};

/// The text form, which loaders read as well.
pub(crate) const TEXT: Format = Format {
    name: "TensorFlow SavedModel in text form",
    recognises: |head| {
        let text = head.bytes.trim_ascii_start();
        [&b"saved_model_schema_version"[..], b"meta_graphs"]
            .iter()
            .any(|start| text.starts_with(start))
    },
    parse: |source, scan| {
        text::read(source, scan)?;
        Ok(Understood {
            format: TEXT.name,
            bytes: source.len(),
        })
    },
};

/// Reads a part whose name promises the text form of a graph, which begins with whatever its writer likes.
pub(crate) fn text_form(source: &dyn Source, scan: &mut Scan<'_>) {
    let ending = scan
        .name()
        .rsplit_once('.')
        .map_or("", |(_, ending)| ending);
    let named = ["pbtxt", "prototxt", "textproto"]
        .iter()
        .any(|text| ending.eq_ignore_ascii_case(text));
    if !named {
        return;
    }
    if let Err(stop) = text::read(source, scan) {
        let found = Found::unscannable(
            "tensorflow/text-form",
            format!("the name promises a protocol buffer as text, which {stop}"),
        );
        scan.found(match stop.at() {
            Some(at) => found.at(at),
            None => found,
        });
    }
}

/// The fingerprint beside a saved model: numbers alone, told by its name as well.
pub(crate) const FINGERPRINT: Format = Format {
    name: "TensorFlow fingerprint",
    recognises: |head| {
        let mut cursor = Cursor::new(head.source);
        head.source.len() <= MAX_FINGERPRINT
            && head.starts_with(b"\x08")
            && std::iter::from_fn(|| protobuf::glimpse(&mut cursor, &FINGERPRINT_DEF)).count() > 0
            && cursor.left() == 0
    },
    parse: fingerprint,
};

/// How long a fingerprint may be, in bytes.
const MAX_FINGERPRINT: u64 = 1024;
/// How many fields are looked at to recognise a format.
const MAX_GLIMPSES: usize = 1024;
/// The highest version of a saved model that is thinkable: its first two bytes are then no
/// compressed data.
const MAX_VERSION: u64 = 28;
/// How long the name of an operator or a file may be, in bytes.
const MAX_NAME: usize = 1024;
/// How the identifiers of objects of Keras begin.
const KERAS_OBJECT: &[u8] = b"_tf_keras";
/// How many operators that no rule knows, and functions, a model may have.
const MAX_NAMES: usize = 50_000;

/// Returns the range of the content of a field as a cursor.
fn inside(source: &dyn Source, field: protobuf::Glimpse) -> Cursor<'_> {
    Cursor::range(source, field.start, field.start.saturating_add(field.value))
}

/// Whether the first fields of a message are ones that it has.
fn fits(mut cursor: Cursor<'_>, message: &'static Message) -> bool {
    (0..4).all(|_| cursor.left() == 0 || protobuf::glimpse(&mut cursor, message).is_some())
}

fn is_saved_model(head: &Head<'_>) -> bool {
    let mut cursor = Cursor::new(head.source);
    for _ in 0..MAX_GLIMPSES {
        match protobuf::glimpse(&mut cursor, &SAVED_MODEL) {
            Some(field) if field.number == 1 && field.value <= MAX_VERSION => {}
            Some(field) if field.number == 2 => {
                return fits(inside(head.source, field), &META_GRAPH_DEF);
            }
            _ => return false,
        }
    }
    false
}

fn is_meta_graph(head: &Head<'_>) -> bool {
    let mut cursor = Cursor::new(head.source);
    for _ in 0..MAX_GLIMPSES {
        match protobuf::glimpse(&mut cursor, &META_GRAPH_DEF) {
            Some(field) if field.number == 1 => {
                if !fits(inside(head.source, field), &META_INFO_DEF) {
                    return false;
                }
            }
            Some(field) if field.number == 2 => return is_graph(inside(head.source, field)),
            Some(_) => {}
            None => return false,
        }
    }
    false
}

/// A graph has a node with the name of an operator among its first fields.
fn is_graph(mut cursor: Cursor<'_>) -> bool {
    for _ in 0..MAX_GLIMPSES {
        match protobuf::glimpse(&mut cursor, &GRAPH_DEF) {
            Some(field) if field.number == 1 => {
                let end = field.start.saturating_add(field.value);
                return is_node(&mut cursor.part(field.start, end));
            }
            Some(_) => {}
            None => return false,
        }
    }
    false
}

fn is_node(node: &mut Cursor<'_>) -> bool {
    for _ in 0..MAX_GLIMPSES {
        match protobuf::glimpse(node, &NODE_DEF) {
            Some(field) if field.number == 2 => {
                let end = field.start.saturating_add(field.value);
                let mut name = node.part(field.start, end);
                let len = name.left();
                return name
                    .bytes(len, MAX_NAME, "a name")
                    .is_ok_and(|name| is_operator_name(&name));
            }
            Some(_) => {}
            None => return false,
        }
    }
    false
}

fn is_operator_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_>./-".contains(byte))
}

fn is_keras_metadata(head: &Head<'_>) -> bool {
    let mut cursor = Cursor::new(head.source);
    let Some(first) = protobuf::glimpse(&mut cursor, &KERAS_METADATA) else {
        return false;
    };
    let mut node = inside(head.source, first);
    let mut texts = 0;
    for _ in 0..MAX_GLIMPSES {
        if node.left() == 0 {
            break;
        }
        match protobuf::glimpse(&mut node, &KERAS_NODE) {
            Some(field) => texts += usize::from(matches!(field.number, 4 | 5)),
            None => return false,
        }
    }
    texts > 0
}

fn fingerprint(source: &dyn Source, scan: &mut Scan<'_>) -> Result<Understood, Stop> {
    let named = scan.name().rsplit(['/', '\\']).next() == Some("fingerprint.pb");
    if named {
        graph(source, scan, &FINGERPRINT_DEF, FINGERPRINT.name)
    } else {
        super::opaque::parse(source, scan)
    }
}

fn graph(
    source: &dyn Source,
    scan: &mut Scan<'_>,
    message: &'static Message,
    format: &'static str,
) -> Result<Understood, Stop> {
    let mut cursor = Cursor::new(source);
    let mut model = Model::new(source, scan);
    protobuf::walk(&mut cursor, message, &mut model)?;
    model.resolve();
    Ok(Understood {
        format,
        bytes: cursor.at(),
    })
}

struct Model<'s, 'r> {
    source: &'s dyn Source,
    scan: &'s mut Scan<'r>,
    /// The operator of the present node: none lies in another.
    operator: String,
    /// Where checkpoints are written to and read from, in the present graph.
    paths: Paths,
    /// The same of the graphs around it.
    around: Vec<Paths>,
    /// The key and the text of each attribute around the present place.
    attributes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// The name of the present function.
    signature: String,
    /// What the present object of a user is.
    identifier: Vec<u8>,
    /// Operators that no rule knows, with where they are used first.
    unknown: BTreeMap<String, u64>,
    /// The functions of the model's own library.
    functions: BTreeSet<String>,
}

impl<'s, 'r> Model<'s, 'r> {
    fn new(source: &'s dyn Source, scan: &'s mut Scan<'r>) -> Self {
        Self {
            source,
            scan,
            operator: String::new(),
            paths: Paths::default(),
            around: Vec::new(),
            attributes: Vec::new(),
            signature: String::new(),
            identifier: Vec::new(),
            unknown: BTreeMap::new(),
            functions: BTreeSet::new(),
        }
    }
}

fn is(message: &'static Message, other: &'static Message) -> bool {
    std::ptr::eq(message, other)
}

impl Visitor for Model<'_, '_> {
    fn enter(&mut self, message: &'static Message, _: u64) -> Result<(), Stop> {
        if is(message, &NODE_DEF) {
            self.operator.clear();
            self.paths.node();
        } else if is(message, &GRAPH_DEF) {
            self.around.push(std::mem::take(&mut self.paths));
        } else if is(message, &FUNCTION_DEF) {
            self.signature.clear();
            self.around.push(std::mem::take(&mut self.paths));
        } else if is(message, &ATTR_ENTRY) {
            self.attributes.push((Vec::new(), None));
        } else if is(message, &SAVED_USER_OBJECT) || is(message, &KERAS_NODE) {
            self.identifier.clear();
        }
        Ok(())
    }

    fn value(
        &mut self,
        message: &'static Message,
        number: u32,
        value: Value<'_>,
        at: u64,
    ) -> Result<(), Stop> {
        if is(message, &TENSOR_PROTO) {
            self.tensor(number, value, at);
            return Ok(());
        }
        let Value::Text(text) = value else {
            return Ok(());
        };
        if is(message, &NODE_DEF) {
            match number {
                1 => self.paths.name(text),
                2 => self.operator = name(text, at)?,
                _ => self.paths.input(text),
            }
        } else if is(message, &OP_DEF) {
            self.signature = name(text, at)?;
        } else if is(message, &NAME_ATTR_LIST) {
            let name = name(text, at)?;
            // A function that is not set has no name.
            if !name.is_empty() {
                self.judge(name, at)?;
            }
        } else if is(message, &ATTR_ENTRY) {
            if let Some((key, _)) = self.attributes.last_mut() {
                *key = name(text, at)?.into_bytes();
            }
        } else if is(message, &ATTR_VALUE) {
            if let Some((_, value)) = self.attributes.last_mut() {
                *value = Some(text.get(..MAX_NAME).unwrap_or(text).to_vec());
            }
        } else if is(message, &ASSET_FILE_DEF) {
            self.asset(&name(text, at)?, at);
        } else if matches!(
            (is(message, &SAVED_USER_OBJECT), number),
            (true, 1) | (false, 4)
        ) {
            self.identifier = text.get(..MAX_NAME).unwrap_or(text).to_vec();
        } else {
            self.metadata(text, at)?;
        }
        Ok(())
    }

    fn leave(&mut self, message: &'static Message, at: u64) -> Result<(), Stop> {
        if is(message, &NODE_DEF) {
            let operator = std::mem::take(&mut self.operator);
            self.paths.leave(&operator, at)?;
            self.judge(operator, at)?;
        } else if is(message, &GRAPH_DEF) {
            self.fixed_paths();
        } else if is(message, &FUNCTION_DEF) {
            let name = std::mem::take(&mut self.signature);
            self.fixed_paths();
            // A function without a name explains no operator.
            if !name.is_empty() {
                self.functions.insert(name);
            }
            limit(self.functions.len(), "the number of functions", at)?;
        } else if is(message, &ATTR_ENTRY) {
            let (key, value) = self.attributes.pop().unwrap_or_default();
            self.attribute(&key, value.as_deref().unwrap_or_default(), at);
        }
        Ok(())
    }

    fn twice(&mut self, message: &'static Message, number: u32, at: u64) {
        self.scan.found(protobuf::found_twice(message, number, at));
    }
}

impl Model<'_, '_> {
    /// Reports checkpoints at places that the graph itself says: a saver is told by its caller.
    fn fixed_paths(&mut self) {
        let around = self.around.pop().unwrap_or_default();
        for (operator, at) in std::mem::replace(&mut self.paths, around).fixed() {
            self.scan.found(
                Found::review(
                    "tensorflow/fixed-path",
                    format!("has the operator `{operator}` at a place that the graph says itself"),
                )
                .severity(Severity::High)
                .at(at)
                .see(&["CWE-73", "AML.T0011.000"])
                .why("running the model reads or writes files of its choice"),
            );
        }
    }

    /// Takes a field of a tensor, which stands at `at`.
    fn tensor(&mut self, number: u32, value: Value<'_>, at: u64) {
        /// The number of the type of texts.
        const TEXT: u64 = 7;
        match (number, value) {
            (1, Value::Number(kind)) => self.paths.tensor_type(kind == TEXT),
            (4, Value::Data(len)) if len > 0 => self.paths.packed(),
            (8, Value::Data(len)) if len > MAX_PART => self.paths.text(None),
            (8, Value::Data(len)) => {
                // The number of the field and the length are a byte each, unless they are written
                // longer than they need to be: the text is then another.
                let mut cursor = Cursor::range(self.source, at.saturating_add(2), u64::MAX);
                let text = cursor.bytes(len, MAX_NAME, "a text");
                self.paths.text(text.ok().as_deref());
            }
            _ => {}
        }
    }

    /// Judges an operator or a function, as far as it can be judged before all functions are known.
    fn judge(&mut self, operator: String, at: u64) -> Result<(), Stop> {
        match self.scan.rules.judge("tensorflow", &operator) {
            Judgement::Allowed(_) => Ok(()),
            Judgement::Sink(sink) => {
                let what = format!(
                    "has the operator `{}`: it can {}",
                    shown(&operator),
                    sink.can
                );
                let mut found = if sink.severity >= Severity::High {
                    Found::malicious("tensorflow/sink", what)
                } else {
                    Found::review("tensorflow/sink", what)
                }
                .severity(sink.severity)
                .at(at)
                .why("running the model executes this");
                found.references.clone_from(&sink.references);
                self.scan.found(found);
                Ok(())
            }
            Judgement::Unknown => {
                self.unknown.entry(operator).or_insert(at);
                limit(self.unknown.len(), "the number of unknown operators", at)
            }
        }
    }

    /// Reports operators that neither a rule nor a function of the model explains.
    fn resolve(self) {
        for (operator, at) in self.unknown {
            if self.functions.contains(&operator) {
                continue;
            }
            self.scan.found(
                Found::review(
                    "tensorflow/unknown-operator",
                    format!(
                        "has the operator `{}`, which no rule knows",
                        shown(&operator)
                    ),
                )
                .severity(Severity::High)
                .at(at)
                .see(&["AML.T0011.000"])
                .why("an operator that TensorFlow does not bring is native code that is loaded"),
            );
        }
    }

    /// Judges an attribute by its key, whichever operator has it.
    fn attribute(&mut self, key: &[u8], value: &[u8], at: u64) {
        let streams: [&[u8]; 5] = [
            b"stdout",
            b"stderr",
            b"log(info)",
            b"log(warning)",
            b"log(error)",
        ];
        if key != b"output_stream" || value.is_empty() || streams.contains(&value) {
            return;
        }
        let what = format!("prints to `{}`", shown(&String::from_utf8_lossy(value)));
        let found = if value.starts_with(b"file:") {
            Found::malicious("tensorflow/print-to-file", what)
        } else {
            Found::review("tensorflow/print-to", what)
        };
        self.scan.found(
            found
                .at(at)
                .see(&["AML.T0011.000", "CWE-73"])
                .why("running the model appends to that file"),
        );
    }

    /// Judges what Keras keeps of an object: JSON, which begins at `at`.
    fn metadata(&mut self, text: &[u8], at: u64) -> Result<(), Stop> {
        if text.is_empty() {
            return Ok(());
        }
        let end = at.saturating_add(text.len() as u64);
        let read = json::keras_metadata(self.source, at, end, self.scan);
        self.no_json(read, text, at)
    }

    /// Reports what Keras keeps of an object and is no JSON.
    fn no_json(&mut self, read: Result<(), Stop>, text: &[u8], at: u64) -> Result<(), Stop> {
        match read {
            Ok(()) => {}
            Err(Stop::Malformed { .. } | Stop::Truncated { .. }) => {
                if self.identifier.starts_with(KERAS_OBJECT) || mentions_classes(text) {
                    self.scan.found(
                        Found::review(
                            "keras/metadata",
                            "has a configuration of layers that is no JSON",
                        )
                        .at(at)
                        .why("what layers it has cannot be told"),
                    );
                }
            }
            Err(stop) => return Err(stop),
        }
        Ok(())
    }

    fn asset(&mut self, file: &str, at: u64) {
        if let Some(because) = path::escape(file) {
            self.scan.found(
                Found::malicious(
                    "tensorflow/asset-escape",
                    format!("has the asset `{}`, which {because}", shown(file)),
                )
                .severity(Severity::High)
                .at(at)
                .see(&["CWE-22"])
                .why("loaders read assets by that name, also outside of the model's folder"),
            );
        }
    }
}

/// Whether a text that is no JSON speaks of classes.
fn mentions_classes(text: &[u8]) -> bool {
    let wanted = b"class_name";
    text.windows(wanted.len()).any(|window| window == wanted)
}

fn limit(count: usize, what: &'static str, at: u64) -> Result<(), Stop> {
    if count > MAX_NAMES {
        return Err(Stop::limit(what, MAX_NAMES, at));
    }
    Ok(())
}

fn name(text: &[u8], at: u64) -> Result<String, Stop> {
    if text.len() > MAX_NAME {
        return Err(Stop::limit(
            "the length of a name",
            format!("{MAX_NAME} bytes"),
            at,
        ));
    }
    Ok(String::from_utf8_lossy(text).into_owned())
}

#[path = "saved_model_text.rs"]
mod text;

#[cfg(test)]
#[path = "saved_model_tests.rs"]
mod tests;
