//! ONNX models: operators by domain and name, functions, graphs in attributes, tensors and the files
//! that they name.
//!
//! Source: the intermediate representation of ONNX, version 13, and `onnx.proto` of ONNX 1.23. An
//! operator of a domain that is not known is native code of a library which the user is asked to load;
//! a tensor may name a file beside the model, which older loaders opened anywhere.

use std::collections::{BTreeMap, BTreeSet};

use super::onnx_schema::{
    ATTRIBUTE, EXTERNAL, FUNCTION, GRAPH, MAP, MODEL, NODE, OPSET, OPTIONAL, SEQUENCE, TENSOR,
    TYPE, VALUE_INFO,
};
use super::onnx_tensor::Tensor;
use super::path;
use super::protobuf::{self, Message, Value, Visitor};
use super::saved_model;
use crate::cursor::{Cursor, Stop};
use crate::scan::{Found, Scan, Understood, shown};
use crate::sniff::{Format, Head};
use crate::source::Source;
use custody_findings::Severity;
use custody_findings::rules::Judgement;

/// The format.
pub(crate) const FORMAT: Format = Format {
    name: "ONNX model",
    recognises,
    parse,
};

/// A message that lies beside a model, as collections of models keep their inputs, outputs and parts.
pub(crate) const PART: Format = Format {
    name: "ONNX part",
    recognises: |head| part_of(head).is_some(),
    parse: part,
};

/// How many fields before the graph are looked at to recognise a model.
const MAX_GLIMPSES: usize = 4096;
/// How long the name of an operator, a domain or a file may be, in bytes.
const MAX_NAME: usize = 1024;
/// How many operators that no rule knows, functions and domains a model may have.
const MAX_NAMES: usize = 10_000;
/// The highest version of the format that is thinkable. With 29, the first two bytes would be those of
/// compressed data as well.
const MAX_IR_VERSION: u64 = 28;
/// The byte with which the version begins.
const VERSION_TAG: u8 = 0x08;
/// The domain whose name is also written as nothing.
const DEFAULT_DOMAIN: &str = "ai.onnx";

/// A model has its version and its graph among its own fields.
fn recognises(head: &Head<'_>) -> bool {
    let mut cursor = Cursor::new(head.source);
    let (mut version, mut graph) = (false, false);
    for _ in 0..MAX_GLIMPSES {
        let Some(field) = protobuf::glimpse(&mut cursor, &MODEL) else {
            break;
        };
        version |= field.number == 1 && (1..=MAX_IR_VERSION).contains(&field.value);
        graph |= field.number == 7;
        if version && graph {
            return true;
        }
    }
    false
}

fn parse(source: &dyn Source, scan: &mut Scan<'_>) -> Result<Understood, Stop> {
    let mut cursor = Cursor::new(source);
    if cursor.peek()? != Some(VERSION_TAG) {
        scan.found(
            Found::unscannable("onnx/order", "the model does not begin with its version")
                .why("all writers put it first; what begins otherwise may be two formats at once"),
        );
    }
    walk(&mut cursor, &MODEL, source, scan)?;
    Ok(Understood {
        format: "ONNX model",
        bytes: cursor.at(),
    })
}

/// Reads the rest of `cursor` as one message, and judges what it holds.
fn walk(
    cursor: &mut Cursor<'_>,
    message: &'static Message,
    source: &dyn Source,
    scan: &mut Scan<'_>,
) -> Result<(), Stop> {
    let mut model = Model {
        source,
        scan,
        texts: Vec::new(),
        torch: Vec::new(),
        attribute: (Vec::new(), None),
        around: Vec::new(),
        tensor: Tensor::default(),
        unknown: BTreeMap::new(),
        functions: BTreeSet::new(),
        domains: BTreeMap::new(),
    };
    protobuf::walk(cursor, message, &mut model)?;
    model.resolve();
    Ok(())
}

/// Whether the whole file is a graph of ONNX.
pub(super) fn is_graph(head: &Head<'_>) -> bool {
    part_of(head).is_some_and(|message| is(message, &GRAPH))
}

/// Returns of which message the whole file is one.
fn part_of(head: &Head<'_>) -> Option<&'static Message> {
    // The first byte is the number and the wire type of one of the first fields.
    if !matches!(head.bytes.first(), Some(0x08 | 0x0a | 0x10)) {
        return None;
    }
    let parts = [
        &SEQUENCE,
        &OPTIONAL,
        &MAP,
        &TENSOR,
        &NODE,
        &GRAPH,
        &ATTRIBUTE,
        &TYPE,
        &VALUE_INFO,
    ];
    parts.into_iter().find(|message| {
        let mut shape = Shape::new(message);
        protobuf::walk(&mut Cursor::new(head.source), message, &mut shape).is_ok() && shape.whole()
    })
}

/// Reads a part. Only its name tells that it is one: it begins with no magic number.
fn part(source: &dyn Source, scan: &mut Scan<'_>) -> Result<Understood, Stop> {
    let ending = scan.name().rsplit_once('.').map_or("", |(_, end)| end);
    let named = ["pb", "onnx"]
        .iter()
        .any(|name| ending.eq_ignore_ascii_case(name));
    let mut beginning = vec![0; 1];
    source.read_at(0, &mut beginning)?;
    let head = Head {
        bytes: &beginning,
        source,
    };
    let Some(message) = part_of(&head) else {
        return super::opaque::parse(source, scan);
    };
    let mut foreign = Foreign { scan, known: false };
    protobuf::walk(&mut Cursor::new(source), message, &mut foreign)?;
    if is(message, &GRAPH) && (foreign.known || !named) {
        // The operator of a graph of TensorFlow stands where a node of ONNX says what it gives.
        return (saved_model::GRAPH.parse)(source, scan);
    }
    if !named {
        return super::opaque::parse(source, scan);
    }
    let mut cursor = Cursor::new(source);
    walk(&mut cursor, message, source, scan)?;
    Ok(Understood {
        format: PART.name,
        bytes: cursor.at(),
    })
}

/// How many dimensions a tensor may have that is a file of its own. With more, packed ones could be the
/// bytes of another message.
const MAX_OWN_DIMS: usize = 6;

/// The highest number of a type that is thinkable.
const MAX_TYPE: u64 = 255;

/// Looks whether a file is a message with what makes it one.
struct Shape {
    message: &'static Message,
    depth: usize,
    /// The numbers of its own fields that are no messages, as bits.
    fields: u64,
    /// The message in it that was met last.
    inner: Option<&'static Message>,
    /// How many dimensions it has itself.
    dims: usize,
    /// Whether a field that a message has once at most is there again.
    twice: bool,
}

impl Shape {
    fn new(message: &'static Message) -> Self {
        Self {
            message,
            depth: 0,
            fields: 0,
            inner: None,
            dims: 0,
            twice: false,
        }
    }

    fn whole(&self) -> bool {
        let has = |number: u32| self.fields & (1 << number) != 0;
        let holds = |message| self.inner.is_some_and(|inner| is(inner, message));
        let kind = |message| is(self.message, message);
        if self.twice {
            false
        } else if kind(&TENSOR) {
            has(2) && self.dims <= MAX_OWN_DIMS
        } else if kind(&SEQUENCE) || kind(&OPTIONAL) || kind(&MAP) {
            has(2)
        } else if kind(&NODE) {
            has(4)
        } else if kind(&ATTRIBUTE) {
            has(1) && has(20)
        } else if kind(&VALUE_INFO) {
            has(1) && holds(&TYPE)
        } else {
            self.inner.is_some()
        }
    }
}

impl Visitor for Shape {
    fn enter(&mut self, message: &'static Message, _: u64) -> Result<(), Stop> {
        if self.depth == 1 {
            self.inner = Some(message);
        }
        self.depth += 1;
        Ok(())
    }

    fn value(
        &mut self,
        message: &'static Message,
        number: u32,
        value: Value<'_>,
        at: u64,
    ) -> Result<(), Stop> {
        if self.depth == 1 {
            self.fields |= 1u64.checked_shl(number).unwrap_or(0);
            self.dims += usize::from(is(message, &TENSOR) && number == 1);
            // A type, where the fingerprint of another format has any number.
            if let (2, Value::Number(kind)) = (number, value)
                && kind > MAX_TYPE
            {
                return Err(Stop::malformed("has a type that is none", at));
            }
        }
        // Names are texts: what has other bytes could be a message of another format.
        match value {
            Value::Text(text) if text.len() > MAX_NAME || text.iter().any(u8::is_ascii_control) => {
                Err(Stop::malformed("has a name that is none", at))
            }
            _ => Ok(()),
        }
    }

    fn leave(&mut self, _: &'static Message, _: u64) -> Result<(), Stop> {
        self.depth = self.depth.saturating_sub(1);
        Ok(())
    }

    fn twice(&mut self, _: &'static Message, _: u32, _: u64) {
        self.twice = true;
    }
}

/// Looks whether what a node gives goes by the name of an operator of TensorFlow.
struct Foreign<'s, 'r> {
    scan: &'s mut Scan<'r>,
    known: bool,
}

impl Visitor for Foreign<'_, '_> {
    fn enter(&mut self, _: &'static Message, _: u64) -> Result<(), Stop> {
        Ok(())
    }

    fn value(
        &mut self,
        message: &'static Message,
        number: u32,
        value: Value<'_>,
        _: u64,
    ) -> Result<(), Stop> {
        if let (true, 2, Value::Text(text)) = (is(message, &NODE), number, value) {
            let name = String::from_utf8_lossy(text);
            let judged = self.scan.rules.judge("tensorflow", &name);
            self.known |= !matches!(judged, Judgement::Unknown);
        }
        Ok(())
    }

    fn leave(&mut self, _: &'static Message, _: u64) -> Result<(), Stop> {
        Ok(())
    }

    fn twice(&mut self, _: &'static Message, _: u32, _: u64) {}
}

/// A domain and a name in it.
type Name = (String, String);

struct Model<'s, 'r> {
    source: &'s dyn Source,
    scan: &'s mut Scan<'r>,
    /// The two texts of each message around the present place that has any.
    texts: Vec<Name>,
    /// Of each node around the present place: the operators of PyTorch that it names.
    torch: Vec<Vec<Option<String>>>,
    /// The name and the text of the present attribute.
    attribute: (Vec<u8>, Option<String>),
    /// The same of the attributes around it.
    around: Vec<(Vec<u8>, Option<String>)>,
    /// The tensor around the present place: none lies in another.
    tensor: Tensor,
    /// Operators that no rule knows, with where they are used first.
    unknown: BTreeMap<Name, u64>,
    /// The functions that the model has itself.
    functions: BTreeSet<Name>,
    /// The domains that are imported, with where.
    domains: BTreeMap<String, u64>,
}

fn is(message: &'static Message, other: &'static Message) -> bool {
    std::ptr::eq(message, other)
}

impl Visitor for Model<'_, '_> {
    fn enter(&mut self, message: &'static Message, at: u64) -> Result<(), Stop> {
        if is(message, &TENSOR) {
            self.tensor = Tensor::default();
        } else if is(message, &ATTRIBUTE) {
            let outer = std::mem::take(&mut self.attribute);
            self.around.push(outer);
        } else if [&NODE, &FUNCTION, &OPSET, &EXTERNAL]
            .into_iter()
            .any(|with_texts| is(message, with_texts))
        {
            self.texts.push(Name::default());
        }
        if is(message, &NODE) {
            self.torch.push(Vec::new());
        }
        if is(message, &EXTERNAL) {
            self.tensor.names_a_file(at);
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
        if is(message, &TENSOR) {
            self.tensor.field(number, value);
        }
        if let (true, 4, Value::Data(len)) = (is(message, &ATTRIBUTE), number, value) {
            self.attribute.1 = short_text(self.source, at, len);
        }
        let Value::Text(text) = value else {
            return Ok(());
        };
        let domain = match number {
            7 if is(message, &NODE) => true,
            4 if is(message, &NODE) => false,
            10 if is(message, &FUNCTION) => true,
            1 if is(message, &FUNCTION) => false,
            1 if is(message, &OPSET) => true,
            2 if is(message, &EXTERNAL) => true,
            1 if is(message, &EXTERNAL) => false,
            _ => {
                if is(message, &ATTRIBUTE) {
                    self.attribute.0 = text.get(..MAX_NAME).unwrap_or(text).to_vec();
                }
                return Ok(());
            }
        };
        if text.len() > MAX_NAME {
            return Err(Stop::limit(
                "the length of a name",
                format!("{MAX_NAME} bytes"),
                at,
            ));
        }
        let text = String::from_utf8_lossy(text).into_owned();
        if let Some(texts) = self.texts.last_mut() {
            *if domain { &mut texts.0 } else { &mut texts.1 } = text;
        }
        Ok(())
    }

    fn leave(&mut self, message: &'static Message, at: u64) -> Result<(), Stop> {
        if is(message, &TENSOR) {
            if let Some(found) = self.tensor.check(at) {
                self.scan.found(found);
            }
            self.tensor.check_file(at, self.scan);
        } else if is(message, &EXTERNAL) {
            let (value, key) = self.texts.pop().unwrap_or_default();
            self.tensor.external(&key, &value);
            external(&key, &value, at, self.scan);
        } else if is(message, &NODE) {
            let (domain, name) = self.texts.pop().unwrap_or_default();
            let torch = self.torch.pop().unwrap_or_default();
            if name != "ATen" || !self.of_torch(&torch, at) {
                self.operator(plain(domain), name, at)?;
            }
        } else if is(message, &ATTRIBUTE) {
            let outer = self.around.pop().unwrap_or_default();
            let (name, text) = std::mem::replace(&mut self.attribute, outer);
            if let (b"operator", Some(named)) = (name.as_slice(), self.torch.last_mut())
                && named.len() < 2
            {
                named.push(text);
            }
        } else if is(message, &FUNCTION) {
            let (domain, name) = self.texts.pop().unwrap_or_default();
            // A function without a name explains no operator.
            if !name.is_empty() {
                self.functions.insert((plain(domain), name));
            }
            limit(self.functions.len(), "the number of functions", at)?;
        } else if is(message, &OPSET) {
            let (domain, _) = self.texts.pop().unwrap_or_default();
            self.domains.entry(plain(domain)).or_insert(at);
            limit(self.domains.len(), "the number of domains", at)?;
        }
        Ok(())
    }

    fn twice(&mut self, message: &'static Message, number: u32, at: u64) {
        self.scan.found(protobuf::found_twice(message, number, at));
    }
}

/// Returns the text of a field that stands at `at`, if it is short. The number of the field and the length
/// are a byte each; where they are written longer than they need to be, it is none.
fn short_text(source: &dyn Source, at: u64, len: u64) -> Option<String> {
    const TAG: u8 = 4 << 3 | 2;
    let length = u8::try_from(len).ok().filter(|len| *len < 0x80)?;
    let mut cursor = Cursor::range(source, at, at.saturating_add(2).saturating_add(len));
    let bytes = cursor
        .bytes(len.saturating_add(2), MAX_NAME, "a text")
        .ok()?;
    let text = bytes.strip_prefix(&[TAG, length])?;
    String::from_utf8(text.to_vec()).ok()
}

impl Model<'_, '_> {
    /// Judges a node that calls an operator of PyTorch by the operator that it names. Returns whether
    /// that says what it does.
    fn of_torch(&mut self, named: &[Option<String>], at: u64) -> bool {
        let [Some(name)] = named else {
            return false;
        };
        let plain = name.strip_prefix("aten::").unwrap_or(name);
        match self.scan.rules.judge("onnx", &format!("aten:{plain}")) {
            Judgement::Allowed(_) => true,
            Judgement::Sink(sink) => {
                let what = format!(
                    "calls the operator `{}` of PyTorch: it can {}",
                    shown(name),
                    sink.can
                );
                let mut found = Found::malicious("onnx/sink", what)
                    .severity(sink.severity)
                    .at(at)
                    .why("running the model executes this");
                found.references.clone_from(&sink.references);
                self.scan.found(found);
                true
            }
            Judgement::Unknown => false,
        }
    }

    /// Judges a use of an operator, as far as it can be judged before all functions are known.
    fn operator(&mut self, domain: String, name: String, at: u64) -> Result<(), Stop> {
        match self
            .scan
            .rules
            .judge("onnx", &format!("op:{domain}:{name}"))
        {
            Judgement::Allowed(_) => Ok(()),
            Judgement::Sink(sink) => {
                let what = format!(
                    "has the operator `{}` of `{}`: it can {}",
                    shown(&name),
                    shown(&domain),
                    sink.can
                );
                let mut found = if sink.severity >= Severity::High {
                    Found::malicious("onnx/sink", what)
                } else {
                    Found::review("onnx/sink", what)
                }
                .severity(sink.severity)
                .at(at)
                .why("running the model executes this");
                found.references.clone_from(&sink.references);
                self.scan.found(found);
                Ok(())
            }
            Judgement::Unknown => {
                self.unknown.entry((domain, name)).or_insert(at);
                limit(self.unknown.len(), "the number of unknown operators", at)
            }
        }
    }

    /// Reports operators that no rule and no function of the model explains, and the domains that are
    /// imported and not known.
    fn resolve(self) {
        let mut foreign: BTreeMap<String, u64> = self.domains;
        for ((domain, name), at) in self.unknown {
            if self.functions.contains(&(domain.clone(), name.clone())) {
                continue;
            }
            self.scan.found(
                Found::review(
                    "onnx/unknown-operator",
                    format!(
                        "has the operator `{}` of `{}`, which no rule knows",
                        shown(&name),
                        shown(&domain)
                    ),
                )
                .severity(Severity::High)
                .at(at)
                .see(&["AML.T0011.000"])
                .why("an operator that the runtime does not bring is native code that it loads"),
            );
            foreign.entry(domain).or_insert(at);
        }
        for (domain, at) in foreign {
            let known = !matches!(
                self.scan.rules.judge("onnx", &format!("domain:{domain}")),
                Judgement::Unknown
            );
            if known || self.functions.iter().any(|(own, _)| *own == domain) {
                continue;
            }
            self.scan.found(
                Found::review(
                    "onnx/foreign-domain",
                    format!("wants operators of the domain `{}`", shown(&domain)),
                )
                .severity(Severity::High)
                .at(at)
                .see(&["AML.T0011.000"])
                .why("operators of a foreign domain are native code of a library to be loaded"),
            );
        }
    }
}

fn limit(count: usize, what: &'static str, at: u64) -> Result<(), Stop> {
    if count > MAX_NAMES {
        return Err(Stop::limit(what, MAX_NAMES, at));
    }
    Ok(())
}

/// Returns the one name of a domain.
fn plain(domain: String) -> String {
    if domain.is_empty() {
        DEFAULT_DOMAIN.to_owned()
    } else {
        domain
    }
}

/// Judges an entry that says where data outside of the file is.
fn external(key: &str, value: &str, at: u64, scan: &mut Scan<'_>) {
    match key {
        "location" | "basepath" => location(value, at, scan),
        "offset" | "length" if value.parse::<u64>().is_err() => scan.found(
            Found::malicious(
                "onnx/external-range",
                format!("has external data with the {key} `{}`", shown(value)),
            )
            .severity(Severity::High)
            .at(at)
            .see(&["CWE-1284", "AML.T0076"])
            .why("no writer of models writes it; loaders seek and allocate by it"),
        ),
        "offset" | "length" | "checksum" => {}
        _ => scan.found(
            Found::unscannable(
                "onnx/external-key",
                format!("has external data with the unknown entry `{}`", shown(key)),
            )
            .severity(Severity::High)
            .at(at)
            .see(&["CWE-915"])
            .why("loaders turn the entries into attributes of an object"),
        ),
    }
}

fn location(value: &str, at: u64, scan: &mut Scan<'_>) {
    if value.is_empty() {
        scan.found(
            Found::malicious("onnx/external-location", "has external data without a file")
                .severity(Severity::High)
                .at(at)
                .why("loaders then open the folder itself, or fail"),
        );
        return;
    }
    match path::escape(value) {
        Some(because) => scan.found(
            Found::malicious(
                "onnx/external-escape",
                format!("has external data in `{}`, which {because}", shown(value)),
            )
            .severity(Severity::High)
            .at(at)
            .see(&[
                "CVE-2022-25882",
                "CVE-2024-27318",
                "CVE-2024-5187",
                "CWE-22",
            ])
            .why("loaders read files outside of the model's folder into its tensors"),
        ),
        None => scan.found(Found::note(
            "onnx/external-data",
            format!("has data in the file `{}` beside it", shown(value)),
        )),
    }
}

#[cfg(test)]
#[path = "onnx_tests.rs"]
mod tests;
