//! `TensorFlow` graphs: `SavedModel`, `MetaGraphDef` and `GraphDef` as protocol buffers. Every operator is
//! judged by the rules, wherever it stands: in a graph, in a function of its library, in an attribute.

use crate::cursor::{Cursor, Stop};
use crate::formats::protobuf::{self, Field, MAX_DEPTH, Range, Value};
use crate::report::Severity;
use crate::rules::Judgement;
use crate::scan::{Found, Scan, Understood, shown};
use crate::sniff::{Format, Head};
use crate::source::Source;

/// The format.
pub(crate) const FORMAT: Format = Format {
    name: "TensorFlow graph",
    recognises,
    parse,
};

/// How long a name may be, in bytes.
const MAX_NAME: usize = 1 << 16;

/// The messages whose fields are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    SavedModel,
    MetaGraph,
    MetaInfo,
    Graph,
    Library,
    Function,
    Node,
    Attributes,
    Attribute,
    List,
    NameAndAttributes,
    AssetFile,
}

/// What a field is to the walk.
enum Kind {
    /// Numbers, texts and messages that nothing executes.
    Data,
    Inside(Message),
    Operator,
    AssetName,
}

use Kind::{AssetName, Data, Inside, Operator};

impl Message {
    const fn name(self) -> &'static str {
        match self {
            Self::SavedModel => "SavedModel",
            Self::MetaGraph => "MetaGraphDef",
            Self::MetaInfo => "MetaInfoDef",
            Self::Graph => "GraphDef",
            Self::Library => "FunctionDefLibrary",
            Self::Function => "FunctionDef",
            Self::Node => "NodeDef",
            Self::Attributes => "attr entry",
            Self::Attribute => "AttrValue",
            Self::List => "AttrValue.ListValue",
            Self::NameAndAttributes => "NameAttrList",
            Self::AssetFile => "AssetFileDef",
        }
    }

    /// Says what field `number` is, or `None` where the message has no such field.
    const fn field(self, number: u64) -> Option<Kind> {
        Some(match (self, number) {
            (Self::SavedModel, 2) => Inside(Self::MetaGraph),
            (Self::MetaGraph, 1) => Inside(Self::MetaInfo),
            (Self::MetaGraph, 2) => Inside(Self::Graph),
            (Self::MetaGraph, 6) => Inside(Self::AssetFile),
            (Self::Graph, 1) | (Self::Function, 3) => Inside(Self::Node),
            (Self::Graph, 2) => Inside(Self::Library),
            (Self::Library, 1) => Inside(Self::Function),
            (Self::Function | Self::Node, 5) | (Self::NameAndAttributes, 2) => {
                Inside(Self::Attributes)
            }
            (Self::Node, 2) => Operator,
            (Self::Attributes, 2) => Inside(Self::Attribute),
            (Self::Attribute, 1) => Inside(Self::List),
            (Self::Attribute, 10) | (Self::List, 9) => Inside(Self::NameAndAttributes),
            (Self::AssetFile, 2) => AssetName,
            (
                Self::SavedModel | Self::NameAndAttributes | Self::AssetFile | Self::Attributes,
                1,
            )
            | (Self::MetaGraph, 3..=5 | 7)
            | (Self::MetaInfo, 1..=8)
            | (Self::Graph, 3..=5)
            | (Self::Library, 2 | 3)
            | (Self::Function, 1 | 2 | 4 | 6..=8)
            | (Self::Node, 1 | 3 | 4 | 6 | 7)
            | (Self::Attribute | Self::List, 2..=8)
            | (Self::Attribute, 9) => Data,
            _ => return None,
        })
    }
}

fn recognises(head: &Head<'_>) -> bool {
    root(head.source).is_some()
}

/// Tells which message a source is by its first fields.
fn root(source: &dyn Source) -> Option<Message> {
    let mut cursor = Cursor::new(source);
    let mut seen = 0;
    while seen < 64 {
        let field = lenient(&mut cursor)?;
        seen += 1;
        match (field.number, field.value) {
            // The schema version of a SavedModel, and a model without one.
            (1, Value::Varint(version)) if version <= 16 => {}
            (2, Value::Bytes(range)) if has(source, range, is_meta_graph) => {
                return Some(Message::SavedModel);
            }
            (1, Value::Bytes(range)) if has(source, range, is_node) => return Some(Message::Graph),
            (1, Value::Bytes(range)) if has(source, range, is_meta_info) => {
                return Some(Message::MetaGraph);
            }
            (2, Value::Bytes(range)) if has(source, range, is_graph) => {
                return Some(Message::MetaGraph);
            }
            _ => return None,
        }
    }
    None
}

/// Reads a field whose bytes may go on beyond the end: a cut file is still of its format.
fn lenient(cursor: &mut Cursor<'_>) -> Option<Field> {
    let at = cursor.at();
    if let Ok(field) = protobuf::field(cursor) {
        return field;
    }
    cursor.seek(at);
    let key = protobuf::varint(cursor).ok()?;
    let len = protobuf::varint(cursor).ok()?;
    (key & 7 == 2 && len < 1 << 32).then(|| Field {
        number: key >> 3,
        value: Value::Bytes(Range {
            start: cursor.at(),
            end: cursor.end(),
        }),
        at,
    })
}

fn has(source: &dyn Source, range: Range, is: fn(&dyn Source, Range) -> bool) -> bool {
    range.len() > 0 && is(source, range)
}

fn first(source: &dyn Source, range: Range) -> Option<Field> {
    lenient(&mut Cursor::range(source, range.start, range.end))
}

fn text(source: &dyn Source, range: Range) -> Option<String> {
    let bytes = Cursor::range(source, range.start, range.end)
        .bytes(range.len(), 1024, "a name")
        .ok()?;
    String::from_utf8(bytes).ok()
}

/// A node has a name and an operator, both plain words.
fn is_node(source: &dyn Source, range: Range) -> bool {
    let mut cursor = Cursor::range(source, range.start, range.end);
    let mut word = |number| {
        let field = lenient(&mut cursor)?;
        let text = text(source, field.range().ok()?)?;
        (field.number == number && !text.is_empty()).then_some(text)
    };
    let plain = |text: String| {
        text.chars()
            .all(|c| c.is_ascii_alphanumeric() || "_./>-\\:^".contains(c))
    };
    word(1).is_some_and(plain)
        && word(2).is_some_and(|op| {
            op.starts_with(|c: char| c.is_ascii_uppercase() || c == '_') && plain(op)
        })
}

fn is_graph(source: &dyn Source, range: Range) -> bool {
    first(source, range).is_some_and(|field| match (field.number, field.value) {
        (1, Value::Bytes(node)) => is_node(source, node),
        (2, Value::Bytes(library)) => first(source, library).is_some_and(|function| {
            matches!((function.number, function.value), (1, Value::Bytes(body))
                if first(source, body).is_some_and(|signature| signature.number == 1))
        }),
        _ => false,
    })
}

fn is_meta_info(source: &dyn Source, range: Range) -> bool {
    let mut cursor = Cursor::range(source, range.start, range.end);
    let mut words = 0;
    while let Ok(Some(field)) = protobuf::field(&mut cursor) {
        match (field.number, field.value) {
            (2 | 3, Value::Bytes(_)) | (7, Value::Varint(0 | 1)) => {}
            (1 | 4..=6, Value::Bytes(range)) if text(source, range).is_some() => words += 1,
            (8, Value::Bytes(_)) => words += 1,
            _ => return false,
        }
    }
    cursor.left() == 0 && words > 1
}

fn is_meta_graph(source: &dyn Source, range: Range) -> bool {
    first(source, range).is_some_and(|field| match (field.number, field.value) {
        (1, Value::Bytes(info)) => info.len() == 0 || first(source, info).is_some(),
        (2, Value::Bytes(graph)) => graph.len() == 0 || is_graph(source, graph),
        _ => false,
    })
}

/// Walks all messages.
pub(crate) fn parse(source: &dyn Source, scan: &mut Scan<'_>) -> Result<Understood, Stop> {
    let root = root(source).ok_or_else(|| Stop::malformed("is of no known message", 0))?;
    let mut walk = Walk { source, scan };
    let whole = Range {
        start: 0,
        end: source.len(),
    };
    walk.message(root, whole, 0)?;
    Ok(Understood {
        format: "TensorFlow graph",
        bytes: source.len(),
    })
}

struct Walk<'a, 's, 'r> {
    source: &'a dyn Source,
    scan: &'s mut Scan<'r>,
}

impl Walk<'_, '_, '_> {
    fn message(&mut self, message: Message, range: Range, depth: usize) -> Result<(), Stop> {
        if depth > MAX_DEPTH {
            return Err(Stop::limit("messages in messages", MAX_DEPTH, range.start));
        }
        let mut cursor = Cursor::range(self.source, range.start, range.end);
        let mut printer = false;
        while let Some(field) = protobuf::field(&mut cursor)? {
            let kind = message
                .field(field.number)
                .ok_or_else(|| field.unknown(message.name()))?;
            match kind {
                Data => {}
                Inside(inner) => {
                    let range = field.range()?;
                    if printer && inner == Message::Attributes {
                        self.printed_to(range)?;
                    }
                    self.message(inner, range, depth + 1)?;
                }
                Operator => printer = self.operator(field)? == "PrintV2",
                AssetName => self.asset(field)?,
            }
        }
        Ok(())
    }

    fn text(&self, field: Field) -> Result<String, Stop> {
        let range = field.range()?;
        let bytes = Cursor::range(self.source, range.start, range.end).bytes(
            range.len(),
            MAX_NAME,
            "a name",
        )?;
        String::from_utf8(bytes).map_err(|_| Stop::malformed("a name is not UTF-8", field.at))
    }

    fn operator(&mut self, field: Field) -> Result<String, Stop> {
        let name = self.text(field)?;
        match self.scan.rules.judge("tensorflow", &name) {
            Judgement::Allowed(_) => {}
            Judgement::Sink(sink) => {
                let mut found = Found::malicious(
                    "tensorflow/operator",
                    format!("the operator `{}`: it can {}", shown(&name), sink.can),
                )
                .severity(sink.severity)
                .at(field.at)
                .why(
                    "a graph runs its operators where it is served, with the rights of the server",
                );
                found.references.clone_from(&sink.references);
                self.scan.found(found);
            }
            // Functions of the library are called by their names.
            Judgement::Unknown if name.starts_with("__inference_") => {}
            Judgement::Unknown => self.scan.found(
                Found::review(
                    "tensorflow/unknown-operator",
                    format!("the operator `{}` is not known", shown(&name)),
                )
                .at(field.at)
                .why("an operator that is not one of TensorFlow's comes from a native library")
                .see(&["AML.T0011.000"]),
            ),
        }
        Ok(name)
    }

    /// Judges the attribute of a `PrintV2` that says where it prints.
    fn printed_to(&mut self, entry: Range) -> Result<(), Stop> {
        let mut cursor = Cursor::range(self.source, entry.start, entry.end);
        let mut output = false;
        while let Some(field) = protobuf::field(&mut cursor)? {
            match field.number {
                1 => output = self.text(field)? == "output_stream",
                2 if output => {
                    let range = field.range()?;
                    let mut value = Cursor::range(self.source, range.start, range.end);
                    while let Some(stream) = protobuf::field(&mut value)? {
                        if stream.number == 2 {
                            self.stream(stream)?;
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn stream(&mut self, field: Field) -> Result<(), Stop> {
        let target = self.text(field)?;
        if target.starts_with("file:") {
            self.scan.found(
                Found::malicious(
                    "tensorflow/prints-to-file",
                    format!("`PrintV2` writes to `{}`", shown(&target)),
                )
                .at(field.at)
                .why("it writes files with the rights of the server")
                .see(&["AML.T0011.000"]),
            );
        }
        Ok(())
    }

    fn asset(&mut self, field: Field) -> Result<(), Stop> {
        let name = self.text(field)?;
        if escapes(&name) {
            self.scan.found(
                Found::malicious(
                    "tensorflow/asset",
                    format!("the asset `{}` lies outside the model", shown(&name)),
                )
                .severity(Severity::High)
                .at(field.at)
                .why("loading the model reads a file of the machine")
                .see(&["CWE-22", "AML.T0011.000"]),
            );
        }
        Ok(())
    }
}

/// Whether a path named in a model leads out of the model's folder.
pub(crate) fn escapes(path: &str) -> bool {
    let drive = path.chars().nth(1) == Some(':');
    path.is_empty()
        || drive
        || path.starts_with(['/', '~'])
        || path.contains(['\\', '\0'])
        || path.contains("://")
        || path.starts_with("file:")
        || path.split('/').any(|part| part == "..")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::formats::protobuf::build::{bytes, int};
    use crate::{Rules, Verdict, scan};

    static RULES: std::sync::LazyLock<Rules> =
        std::sync::LazyLock::new(|| Rules::built_in().unwrap());

    fn node(op: &str, attributes: &[u8]) -> Vec<u8> {
        [
            bytes(1, "a/b"),
            bytes(2, op),
            bytes(3, "x"),
            attributes.to_vec(),
        ]
        .concat()
    }

    fn model(graph: &[u8], more: &[u8]) -> Vec<u8> {
        let info = [bytes(4, "serve"), bytes(5, "2.16.1")].concat();
        let meta = [bytes(1, info), bytes(2, graph), more.to_vec()].concat();
        [int(1, 1), bytes(2, meta)].concat()
    }

    fn verdict(bytes: &[u8]) -> Verdict {
        scan("saved_model.pb", &bytes, &RULES).verdict
    }

    fn function(op: &str) -> Vec<u8> {
        let body = [bytes(1, bytes(1, "f")), bytes(3, node(op, &[]))].concat();
        bytes(2, bytes(1, body))
    }

    #[test]
    fn operators_that_compute_are_clean_wherever_they_stand() {
        let list = bytes(5, [bytes(1, "N"), bytes(2, int(3, 2))].concat());
        let graph = [
            bytes(1, node("MatMul", &list)),
            function("Relu"),
            bytes(4, int(1, 1)),
        ]
        .concat();
        assert_eq!(verdict(&model(&graph, &[])), Verdict::Clean);
        assert_eq!(verdict(&graph), Verdict::Clean);
        let asset = bytes(6, bytes(2, "vocab/words.txt"));
        assert_eq!(verdict(&model(&graph, &asset)), Verdict::Clean);
        assert_eq!(
            verdict(&model(&bytes(1, node("SaveV2", &[])), &[])),
            Verdict::Clean
        );
    }

    #[test]
    fn every_offence_is_told() {
        use Verdict::{Malicious, Review, Unscannable};
        let one = |op: &str| bytes(1, node(op, &[]));
        for op in [
            "ReadFile",
            "WriteFile",
            "PyFunc",
            "EagerPyFunc",
            "MatchingFiles",
            "ImmutableConst",
        ] {
            assert_eq!(verdict(&model(&one(op), &[])), Malicious, "{op}");
            assert_eq!(
                verdict(&model(&function(op), &[])),
                Malicious,
                "{op} in a function"
            );
        }
        assert_eq!(verdict(&model(&one("MyOp"), &[])), Review);
        let stream = [
            bytes(1, "output_stream"),
            bytes(2, bytes(2, "file:///tmp/x")),
        ]
        .concat();
        let print = bytes(1, node("PrintV2", &bytes(5, stream)));
        assert_eq!(verdict(&model(&print, &[])), Malicious);
        for path in [
            "../x",
            "/etc/passwd",
            "a/../../b",
            "c:/x",
            "a\\b",
            "file:///x",
        ] {
            let asset = bytes(6, bytes(2, path));
            assert_eq!(verdict(&model(&one("MatMul"), &asset)), Malicious, "{path}");
        }
        assert_eq!(
            verdict(&model(&one("MatMul"), &bytes(99, "PK"))),
            Unscannable
        );
        let good = model(&one("MatMul"), &[]);
        assert_eq!(verdict(&[&good[..], b"\x80\x04"].concat()), Unscannable);
    }

    proptest! {
        #[test]
        fn damage_ends_in_a_verdict(at in 0usize..200, byte: u8, cut in 1usize..300) {
            let mut bytes = model(&function("Relu"), &bytes(6, bytes(2, "x")));
            let at = at % bytes.len();
            bytes[at] = byte;
            bytes.truncate(cut);
            verdict(&bytes);
        }
    }
}
