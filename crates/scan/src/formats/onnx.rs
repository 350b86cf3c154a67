//! ONNX models as protocol buffers: every field of every message is known, every operator's domain is
//! judged, and external data stays within the model's folder.

use crate::cursor::{Cursor, Stop};
use crate::formats::protobuf::{self, Field, MAX_DEPTH, Range, Value};
use crate::formats::saved_model::escapes;
use crate::report::Severity;
use crate::rules::Judgement;
use crate::scan::{Found, Scan, Understood, shown};
use crate::sniff::{Format, Head};
use crate::source::Source;

/// The format.
pub(crate) const FORMAT: Format = Format {
    name: "ONNX",
    recognises,
    parse,
};

/// How long a name may be, in bytes.
const MAX_NAME: usize = 1 << 16;
/// The fields of a tensor that are judged together.
const EXTERNAL: [&str; 3] = ["CVE-2022-25882", "CVE-2024-27318", "CVE-2024-5187"];

/// The messages whose fields are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    Model,
    Operators,
    Entry,
    Training,
    Function,
    Graph,
    Node,
    Attribute,
    Tensor,
    Segment,
    SparseTensor,
    ValueInfo,
    Type,
    TensorType,
    SequenceType,
    MapType,
    Shape,
    Dimension,
    Quantization,
    Device,
    NodeDevice,
    Sharding,
    IndexToDevice,
    ShardedDimension,
    SimpleSharding,
}

/// What a field is to the walk: of which wire type, and what lies in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Text,
    /// Bytes of a tensor and packed numbers, or a single one.
    Numbers,
    Inside(Message),
}

use Kind::{Inside, Number, Numbers, Text};

impl Message {
    /// Says what field `number` is, or `None` where the message has no such field.
    #[expect(
        clippy::unnested_or_patterns,
        clippy::match_same_arms,
        reason = "a table by message reads better"
    )]
    const fn field(self, number: u64) -> Option<Kind> {
        Some(match (self, number) {
            (Self::Model, 1 | 5)
            | (Self::Operators | Self::Device, 2)
            | (Self::NodeDevice, 3)
            | (Self::Attribute, 3 | 20)
            | (Self::Tensor, 2 | 14)
            | (Self::Segment, 1 | 2)
            | (Self::TensorType | Self::MapType, 1)
            | (Self::Dimension | Self::SimpleSharding, 1)
            | (Self::SimpleSharding, 3)
            | (Self::IndexToDevice | Self::ShardedDimension, 1)
            | (Self::Function, 2 | 3) => Number,
            (Self::Model, 2..=4 | 6)
            | (Self::Operators, 1)
            | (Self::Entry, 1 | 2)
            | (Self::Function, 1 | 4..=6 | 8 | 10 | 13)
            | (Self::Graph, 2 | 10)
            | (Self::Node, 1..=4 | 6..=8)
            | (Self::Attribute, 1 | 4 | 9 | 13 | 21)
            | (Self::Tensor, 6 | 8 | 9 | 12)
            | (Self::ValueInfo, 1 | 3)
            | (Self::Type, 6)
            | (Self::Dimension | Self::SimpleSharding, 2)
            | (Self::Dimension, 3)
            | (Self::Quantization | Self::Device | Self::NodeDevice | Self::Sharding, 1)
            | (Self::Device, 3) => Text,
            (Self::Attribute, 2 | 7 | 8)
            | (Self::Tensor, 1 | 4 | 5 | 7 | 10 | 11)
            | (Self::SparseTensor, 3)
            | (Self::Sharding | Self::IndexToDevice, 2) => Numbers,
            (Self::Model, 7) | (Self::Attribute, 6 | 11) | (Self::Training, 1 | 2) => {
                Inside(Self::Graph)
            }
            (Self::Model, 8) | (Self::Function, 9) => Inside(Self::Operators),
            (Self::Model, 14)
            | (Self::Function, 14)
            | (Self::Graph, 16)
            | (Self::Node, 9)
            | (Self::Tensor, 13 | 16)
            | (Self::ValueInfo, 4)
            | (Self::Training, 3 | 4)
            | (Self::Quantization, 2) => Inside(Self::Entry),
            (Self::Model, 20) => Inside(Self::Training),
            (Self::Model, 25) => Inside(Self::Function),
            (Self::Model, 26) => Inside(Self::Device),
            (Self::Function, 7) | (Self::Graph, 1) => Inside(Self::Node),
            (Self::Function, 11) | (Self::Node, 5) => Inside(Self::Attribute),
            (Self::Function, 12) | (Self::Graph, 11..=13) => Inside(Self::ValueInfo),
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::SparseTensor, 1 | 2) => {
                Inside(Self::Tensor)
            }
            (Self::Graph, 14) => Inside(Self::Quantization),
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Inside(Self::SparseTensor),
            (Self::Attribute, 14 | 15) | (Self::ValueInfo, 2) => Inside(Self::Type),
            (Self::Node, 10) => Inside(Self::NodeDevice),
            (Self::Tensor, 3) => Inside(Self::Segment),
            (Self::Type, 1 | 8) => Inside(Self::TensorType),
            (Self::Type, 4 | 9) => Inside(Self::SequenceType),
            (Self::Type, 5) => Inside(Self::MapType),
            (Self::TensorType, 2) => Inside(Self::Shape),
            (Self::SequenceType, 1) | (Self::MapType, 2) => Inside(Self::Type),
            (Self::Shape, 1) => Inside(Self::Dimension),
            (Self::NodeDevice, 2) => Inside(Self::Sharding),
            (Self::Sharding, 3) => Inside(Self::IndexToDevice),
            (Self::Type, 7) => Inside(Self::Entry),
            (Self::ShardedDimension, 2) => Inside(Self::SimpleSharding),
            (Self::Sharding, 4) => Inside(Self::ShardedDimension),
            _ => return None,
        })
    }
}

/// Size of an element in bits, by the number of its type.
const fn bits(kind: u64) -> Option<u64> {
    Some(match kind {
        2 | 3 | 9 | 17..=20 | 24 => 8,
        4 | 5 | 10 | 16 => 16,
        1 | 6 | 12 => 32,
        7 | 11 | 13 | 14 => 64,
        15 => 128,
        21..=23 => 4,
        25 | 26 => 2,
        _ => return None,
    })
}

fn recognises(head: &Head<'_>) -> bool {
    let mut cursor = Cursor::new(head.source);
    let Ok(Some(first)) = protobuf::field(&mut cursor) else {
        return false;
    };
    if !matches!((first.number, first.value), (1, Value::Varint(1..=1000))) {
        return false;
    }
    // The next known field, even where the file is cut within it.
    let at = cursor.at();
    match protobuf::field(&mut cursor) {
        Ok(Some(field)) => match (field.number, field.value) {
            (2..=4 | 6, Value::Bytes(range)) => is_text(head.source, range),
            (7, Value::Bytes(graph)) => is_graph(head.source, graph),
            (8, Value::Bytes(_)) | (5, Value::Varint(_)) => true,
            _ => false,
        },
        Ok(None) => false,
        Err(_) => {
            cursor.seek(at);
            matches!(cursor.byte(), Ok(Some(0x12 | 0x1a | 0x22 | 0x3a | 0x42)))
        }
    }
}

fn is_text(source: &dyn Source, range: Range) -> bool {
    Cursor::range(source, range.start, range.end)
        .bytes(range.len(), MAX_NAME, "a name")
        .is_ok_and(|bytes| std::str::from_utf8(&bytes).is_ok())
}

fn is_graph(source: &dyn Source, range: Range) -> bool {
    let mut cursor = Cursor::range(source, range.start, range.end);
    matches!(protobuf::field(&mut cursor), Ok(Some(field))
        if Message::Graph.field(field.number).is_some())
}

/// Walks all messages.
pub(crate) fn parse(source: &dyn Source, scan: &mut Scan<'_>) -> Result<Understood, Stop> {
    let mut walk = Walk {
        source,
        scan,
        functions: Vec::new(),
        graph: false,
    };
    let whole = Range {
        start: 0,
        end: source.len(),
    };
    walk.own_domains(whole)?;
    walk.message(Message::Model, whole, 0)?;
    if !walk.graph {
        return Err(Stop::malformed("has no graph", 0));
    }
    Ok(Understood {
        format: "ONNX",
        bytes: source.len(),
    })
}

/// How many functions of its own a model may have.
const MAX_FUNCTIONS: usize = 100_000;

struct Walk<'a, 's, 'r> {
    source: &'a dyn Source,
    scan: &'s mut Scan<'r>,
    /// Domains and names of the model's own functions, sorted.
    functions: Vec<(String, String)>,
    graph: bool,
}

/// A tensor while its fields are read.
#[derive(Default)]
struct Tensor {
    elements: Option<u64>,
    kind: u64,
    raw: Option<u64>,
    typed: u64,
    external: bool,
    location: bool,
    segment: bool,
}

impl Walk<'_, '_, '_> {
    fn cursor(&self, range: Range) -> Cursor<'_> {
        Cursor::range(self.source, range.start, range.end)
    }

    fn text(&self, field: Field) -> Result<String, Stop> {
        let range = field.range()?;
        let bytes = self.cursor(range).bytes(range.len(), MAX_NAME, "a name")?;
        String::from_utf8(bytes).map_err(|_| Stop::malformed("a name is not UTF-8", field.at))
    }

    /// Collects the functions that the model defines itself: their bodies are judged, not their names.
    fn own_domains(&mut self, whole: Range) -> Result<(), Stop> {
        let source = self.source;
        let mut cursor = Cursor::range(source, whole.start, whole.end);
        while let Some(field) = protobuf::field(&mut cursor)? {
            if field.number != 25 {
                continue;
            }
            if self.functions.len() >= MAX_FUNCTIONS {
                return Err(Stop::limit(
                    "the number of functions",
                    MAX_FUNCTIONS,
                    field.at,
                ));
            }
            let range = field.range()?;
            let mut body = Cursor::range(source, range.start, range.end);
            let (mut name, mut domain) = (String::new(), String::new());
            while let Some(field) = protobuf::field(&mut body)? {
                match field.number {
                    1 => name = self.text(field)?,
                    10 => domain = self.text(field)?,
                    _ => {}
                }
            }
            self.functions.push((domain, name));
        }
        self.functions.sort_unstable();
        Ok(())
    }

    fn message(&mut self, message: Message, range: Range, depth: usize) -> Result<(), Stop> {
        if depth > MAX_DEPTH {
            return Err(Stop::limit("messages in messages", MAX_DEPTH, range.start));
        }
        let source = self.source;
        let mut cursor = Cursor::range(source, range.start, range.end);
        let (mut tensor, mut operator) = (Tensor::default(), (String::new(), String::new()));
        while let Some(field) = protobuf::field(&mut cursor)? {
            let kind = message
                .field(field.number)
                .ok_or_else(|| field.unknown(&format!("{message:?}")))?;
            match kind {
                Number => {
                    field.varint()?;
                }
                Text => {
                    field.range()?;
                }
                Numbers => {}
                Inside(inner) => self.message(inner, field.range()?, depth + 1)?,
            }
            match message {
                Message::Model => self.graph |= field.number == 7,
                Message::Tensor => self.tensor_field(&mut tensor, field)?,
                Message::Node if field.number == 4 => operator.1 = self.text(field)?,
                Message::Node if field.number == 7 => operator.0 = self.text(field)?,
                Message::Operators if field.number == 1 => {
                    let domain = self.text(field)?;
                    self.domain(&domain, field.at);
                }
                _ => {}
            }
        }
        match message {
            Message::Tensor => self.tensor(&tensor, range.start),
            Message::Node => {
                self.operator(&operator.0, &operator.1, range.start);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn judged(&mut self, key: &str, at: u64) -> bool {
        match self.scan.rules.judge("onnx", key) {
            Judgement::Allowed(_) => true,
            Judgement::Unknown => false,
            Judgement::Sink(sink) => {
                let mut found = Found::malicious(
                    "onnx/operator",
                    format!("`{}`: it can {}", shown(key), sink.can),
                )
                .severity(sink.severity)
                .at(at)
                .why("the runtime runs it with the rights of the server");
                found.references.clone_from(&sink.references);
                self.scan.found(found);
                true
            }
        }
    }

    fn domain(&mut self, domain: &str, at: u64) {
        let own = self
            .functions
            .partition_point(|(own, _)| own.as_str() < domain);
        let own = self
            .functions
            .get(own)
            .is_some_and(|(own, _)| own == domain);
        if !own && !self.judged(&format!("domain:{domain}"), at) {
            self.foreign(domain, at);
        }
    }

    fn foreign(&mut self, domain: &str, at: u64) {
        self.scan.found(
            Found::review(
                "onnx/foreign-domain",
                format!("operators of the domain `{}`", shown(domain)),
            )
            .at(at)
            .why("operators of a foreign domain come from a native library that is loaded for them")
            .see(&["AML.T0011.000"]),
        );
    }

    fn operator(&mut self, domain: &str, name: &str, at: u64) {
        if self.judged(&format!("op:{domain}:{name}"), at) {
            return;
        }
        let own = (domain.to_owned(), name.to_owned());
        if self.functions.binary_search(&own).is_ok() {
            return;
        }
        if !self.judged(&format!("domain:{domain}"), at) {
            self.foreign(domain, at);
        }
    }

    fn tensor_field(&mut self, tensor: &mut Tensor, field: Field) -> Result<(), Stop> {
        match (field.number, field.value) {
            (1, Value::Varint(size)) => tensor.dimension(size),
            (1, Value::Bytes(range)) => {
                let mut sizes = self.cursor(range);
                while sizes.left() > 0 {
                    tensor.dimension(protobuf::varint(&mut sizes)?);
                }
            }
            (2, Value::Varint(kind)) => tensor.kind = kind,
            (3, _) => tensor.segment = true,
            (4, Value::Bytes(range)) => tensor.add(range.len() / 4),
            (10, Value::Bytes(range)) => tensor.add(range.len() / 8),
            (5 | 7 | 11, Value::Bytes(range)) => {
                let count = protobuf::count_varints(&mut self.cursor(range))?;
                tensor.add(count);
            }
            (4..=7 | 10 | 11, _) => tensor.add(1),
            (9, Value::Bytes(range)) => tensor.raw = Some(range.len()),
            (13, Value::Bytes(range)) => tensor.location |= self.external(range)?,
            (14, Value::Varint(place)) => tensor.external = place == 1,
            _ => {}
        }
        Ok(())
    }

    /// Reads an entry of external data and says whether it is the location.
    fn external(&mut self, range: Range) -> Result<bool, Stop> {
        let source = self.source;
        let mut cursor = Cursor::range(source, range.start, range.end);
        let (mut key, mut value) = (String::new(), String::new());
        while let Some(field) = protobuf::field(&mut cursor)? {
            match field.number {
                1 => key = self.text(field)?,
                _ => value = self.text(field)?,
            }
        }
        match key.as_str() {
            "location" => {
                self.location(&value, range.start);
                return Ok(true);
            }
            "offset" | "length" if value.parse::<u64>().is_err() => self.scan.found(
                Found::malicious(
                    "onnx/external-range",
                    format!("external data has the {key} `{}`", shown(&value)),
                )
                .severity(Severity::High)
                .at(range.start)
                .why("a reader that believes it reads memory or bytes that are not the tensor's")
                .see(&["CWE-1284", "AML.T0076"]),
            ),
            "offset" | "length" | "checksum" | "basepath" => {}
            _ => {
                return Err(Stop::malformed(
                    format!("external data has the key `{}`", shown(&key)),
                    range.start,
                ));
            }
        }
        Ok(false)
    }

    fn location(&mut self, location: &str, at: u64) {
        if escapes(location) {
            self.scan.found(
                Found::malicious(
                    "onnx/external-path",
                    format!("external data at `{}`", shown(location)),
                )
                .at(at)
                .why("loading the model reads a file of the machine that is not the model's")
                .see(&EXTERNAL)
                .see(&["CWE-22"]),
            );
            return;
        }
        self.scan.found(
            Found::note(
                "onnx/external-data",
                format!("tensors lie in the file `{}`", shown(location)),
            )
            .why("it is part of the model and is scanned with its folder"),
        );
    }

    /// Holds the size of a tensor against its shape.
    fn tensor(&mut self, tensor: &Tensor, at: u64) -> Result<(), Stop> {
        if tensor.external != tensor.location {
            return Err(Stop::malformed(
                "a tensor names external data and does not use it, or the other way round",
                at,
            ));
        }
        if tensor.external || tensor.segment || tensor.kind == 8 {
            return Ok(());
        }
        let elements = tensor.elements.unwrap_or(1);
        let Some(bits) = bits(tensor.kind) else {
            return Err(Stop::malformed(
                format!("{} is no type of a tensor", tensor.kind),
                at,
            ));
        };
        let expected = elements.checked_mul(bits).map(|bits| bits.div_ceil(8));
        let fits = match (tensor.raw, expected) {
            (Some(raw), Some(expected)) => raw == expected && tensor.typed == 0,
            (None, Some(_)) => {
                let packed = 8 / bits.min(8);
                let wide = if matches!(tensor.kind, 14 | 15) { 2 } else { 1 };
                tensor.typed == elements.div_ceil(packed).saturating_mul(wide)
            }
            (_, None) => false,
        };
        if fits {
            return Ok(());
        }
        self.scan.found(
            Found::malicious("onnx/tensor-size", "a tensor has not the size of its shape")
                .severity(Severity::High)
                .at(at)
                .why("a reader that believes the shape reads memory that is not the tensor's")
                .see(&["CWE-125", "AML.T0076"]),
        );
        Err(Stop::malformed(
            "a tensor has not the size of its shape",
            at,
        ))
    }
}

impl Tensor {
    fn dimension(&mut self, size: u64) {
        // An overflow cannot fit any data and stays the largest number.
        self.elements = Some(self.elements.unwrap_or(1).saturating_mul(size));
    }

    fn add(&mut self, count: u64) {
        self.typed = self.typed.saturating_add(count);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::formats::protobuf::build::{bytes, int};
    use crate::{Rules, Verdict, scan};

    static RULES: std::sync::LazyLock<Rules> =
        std::sync::LazyLock::new(|| Rules::built_in().unwrap());

    fn node(domain: &str, op: &str) -> Vec<u8> {
        bytes(
            1,
            [bytes(1, "x"), bytes(2, "y"), bytes(4, op), bytes(7, domain)].concat(),
        )
    }

    fn model(graph: &[u8], more: &[u8]) -> Vec<u8> {
        let graph = [bytes(2, "g"), graph.to_vec()].concat();
        [
            int(1, 8),
            bytes(2, "me"),
            bytes(7, graph),
            bytes(8, int(2, 17)),
            more.to_vec(),
        ]
        .concat()
    }

    fn tensor(raw: usize) -> Vec<u8> {
        [
            int(1, 2),
            int(1, 3),
            int(2, 1),
            bytes(8, "w"),
            bytes(9, vec![0; raw]),
        ]
        .concat()
    }

    fn external(location: &str) -> Vec<u8> {
        let entry = [bytes(1, "location"), bytes(2, location)].concat();
        [int(1, 2), int(2, 1), bytes(13, entry), int(14, 1)].concat()
    }

    fn verdict(bytes: &[u8]) -> Verdict {
        scan("m.onnx", &bytes, &RULES).verdict
    }

    #[test]
    fn sound_models_are_clean() {
        let check = |graph: Vec<u8>| assert_eq!(verdict(&model(&graph, &[])), Verdict::Clean);
        check(node("", "Add"));
        check([node("com.microsoft", "Gelu"), bytes(5, tensor(24))].concat());
        check(bytes(5, external("weights.bin")));
        check(bytes(5, [int(1, 2), int(2, 7), bytes(7, [1, 2])].concat()));
        let own = [
            bytes(1, "F"),
            bytes(10, "mine"),
            bytes(7, &node("", "Add")[2..]),
        ]
        .concat();
        let with = model(&node("mine", "F"), &bytes(25, own));
        assert_eq!(verdict(&with), Verdict::Clean);
    }

    #[test]
    fn every_offence_is_told() {
        use Verdict::{Malicious, Review, Unscannable};
        let check = |graph: Vec<u8>, expected| {
            assert_eq!(verdict(&model(&graph, &[])), expected);
        };
        for path in [
            "../x",
            "a/../../b",
            "/etc/passwd",
            "c:\\x",
            "a\\b",
            "file:///x",
            "~/x",
            "",
        ] {
            check(bytes(5, external(path)), Malicious);
            check(bytes(15, bytes(1, external(path))), Malicious);
            let branch = bytes(
                5,
                [bytes(1, "t"), bytes(6, bytes(5, external(path)))].concat(),
            );
            check(bytes(1, branch), Malicious);
        }
        check(node("evil", "Op"), Review);
        check(node("ai.onnx.contrib", "PyOp"), Malicious);
        check(bytes(5, tensor(23)), Malicious);
        check(bytes(99, "PK"), Unscannable);
        let mut deep = node("", "If");
        for _ in 0..100 {
            deep = bytes(1, bytes(5, bytes(6, deep)));
        }
        check(deep, Unscannable);
        let good = model(&node("", "Add"), &[]);
        assert_eq!(verdict(&[&good[..], b"PK\x03\x04"].concat()), Unscannable);
        assert_eq!(verdict(&good[..good.len() - 10]), Unscannable);
    }

    proptest! {
        #[test]
        fn damage_ends_in_a_verdict(at in 0usize..200, byte: u8, cut in 1usize..300) {
            let mut bytes = model(&bytes(5, tensor(24)), &bytes(14, bytes(1, "k")));
            let at = at % bytes.len();
            bytes[at] = byte;
            bytes.truncate(cut);
            verdict(&bytes);
        }
    }
}
