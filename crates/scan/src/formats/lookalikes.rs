//! Models that are protocol buffers and begin as those of TensorFlow do: Core ML, CNTK, and the graphs of
//! `MediaPipe`.
//!
//! Source: `Model.proto` of Core ML's specification, `CNTK.proto` of CNTK 2, `calculator.proto` of
//! `MediaPipe`.
//!
//! INVARIANT: what is clean here has no node and no layer wherever TensorFlow and Keras look for one, as a
//! saved model, a meta graph, a graph or the metadata of layers. Their loaders pass over fields that they
//! do not know, so that a hostile model may have those of another format too.

use super::protobuf::Kind::{Data, Fixed32, Fixed64, Of, Text, Varint};
use super::protobuf::{self, Glimpse, Message, Value, Visitor, many, one};
use super::saved_model;
use crate::cursor::{Cursor, Stop};
use crate::scan::{Found, Scan, Understood};
use crate::sniff::{Format, Head};
use crate::source::Source;
use custody_findings::Severity;
use custody_findings::rules::{Judgement, Rules};

/// A model of Core ML.
pub(crate) const CORE_ML: Format = Format {
    name: "Core ML model",
    recognises: is_core_ml,
    parse: core_ml,
};

/// A model of CNTK 2.
pub(crate) const CNTK: Format = Format {
    name: "CNTK model",
    recognises: is_cntk,
    parse: cntk,
};

/// A graph of `MediaPipe`.
pub(crate) const MEDIA_PIPE: Format = Format {
    name: "MediaPipe graph",
    recognises: is_media_pipe,
    parse: media_pipe,
};

/// How many fields are looked at to recognise a format.
const MAX_GLIMPSES: usize = 4096;
/// The highest version of Core ML's specification that is thinkable.
const MAX_SPECIFICATION: u64 = 64;

/// A model of Core ML; one of the fields from 200 on says what it is.
static MODEL: Message = Message {
    name: "Model",
    fields: &[
        one(1, Varint),
        one(2, Of(&MODEL_DESCRIPTION)),
        one(10, Varint),
        one(200, Data),
        one(201, Data),
        one(202, Data),
        one(300, Data),
        one(301, Data),
        one(302, Data),
        one(303, Data),
        one(304, Data),
        one(400, Data),
        one(401, Data),
        one(402, Data),
        one(403, Data),
        one(404, Data),
        one(500, Data),
        one(501, Data),
        one(502, Data),
        one(CUSTOM, Data),
        one(LINKED, Data),
        one(560, Data),
        one(600, Data),
        one(601, Data),
        one(602, Data),
        one(603, Data),
        one(604, Data),
        one(606, Data),
        one(607, Data),
        one(609, Data),
        one(610, Data),
        one(900, Data),
        one(2000, Data),
        one(2001, Data),
        one(2002, Data),
        one(2003, Data),
        one(2004, Data),
        one(2005, Data),
        one(2006, Data),
        one(3000, Data),
    ],
};
/// A model that a class of the application computes.
const CUSTOM: u32 = 555;
/// A model that lies in another file.
const LINKED: u32 = 556;

/// What Core ML says of a model. Where TensorFlow has a graph, its assets and its layers there is nothing.
static MODEL_DESCRIPTION: Message = Message {
    name: "ModelDescription",
    fields: &[
        many(1, Of(&FEATURE)),
        many(10, Of(&FEATURE)),
        one(11, Data),
        one(12, Data),
        many(13, Of(&FEATURE)),
        one(20, Data),
        many(50, Of(&FEATURE)),
        one(100, Data),
    ],
};
/// A feature: in a meta graph it would be a node, and what it says of itself the operator.
static FEATURE: Message = Message {
    name: "FeatureDescription",
    fields: &[one(1, Data), one(2, Text), one(3, Of(&FEATURE_TYPE))],
};
static FEATURE_TYPE: Message = Message {
    name: "FeatureType",
    fields: &[
        one(1, Of(&EMPTY)),
        one(2, Of(&EMPTY)),
        one(3, Of(&EMPTY)),
        one(4, Data),
        one(5, Data),
        one(6, Data),
        one(7, Data),
        one(8, Data),
        one(1000, Varint),
    ],
};
static EMPTY: Message = Message {
    name: "FeatureType of no parameters",
    fields: &[],
};

/// A dictionary of CNTK.
static DICTIONARY: Message = Message {
    name: "Dictionary",
    fields: &[one(1, Varint), many(2, Of(&ENTRY))],
};
static ENTRY: Message = Message {
    name: "DataEntry",
    fields: &[one(1, Text), one(2, Of(&DICTIONARY_VALUE))],
};
static DICTIONARY_VALUE: Message = Message {
    name: "DictionaryValue",
    fields: &[
        one(1, Varint),
        one(2, Varint),
        one(3, Varint),
        one(4, Varint),
        one(5, Varint),
        one(6, Fixed32),
        one(7, Fixed64),
        one(8, Data),
        one(9, Data),
        one(10, Data),
        one(11, Data),
        one(12, Data),
        one(13, Data),
    ],
};

/// A graph of `MediaPipe`: without a library of functions, which that of TensorFlow has at its field 2.
static GRAPH: Message = Message {
    name: "CalculatorGraphConfig",
    fields: &[
        many(1, Of(&NODE)),
        one(8, Varint),
        many(10, Data),
        one(11, Varint),
        one(12, Data),
        one(13, Data),
        many(14, Data),
        many(15, Data),
        many(16, Data),
        many(17, Data),
        one(19, Data),
        one(20, Data),
        one(21, Varint),
        one(1001, Data),
        many(1002, Data),
    ],
};
static NODE: Message = Message {
    name: "Node",
    fields: &[
        one(1, Data),
        one(2, Text),
        many(3, Text),
        many(4, Text),
        many(5, Text),
        many(6, Text),
        one(7, Data),
        many(8, Data),
        one(9, Varint),
        one(10, Varint),
        one(11, Data),
        one(12, Data),
        many(13, Data),
        one(14, Data),
        one(15, Data),
        one(16, Varint),
        many(17, Data),
        many(1005, Data),
    ],
};

/// Returns the fields of what `cursor` reads, if all are ones of `message` and end where it ends.
fn fields(cursor: &mut Cursor<'_>, message: &'static Message) -> Option<Vec<Glimpse>> {
    let mut fields = Vec::new();
    while cursor.left() > 0 {
        if fields.len() >= MAX_GLIMPSES {
            return None;
        }
        fields.push(protobuf::glimpse(cursor, message)?);
    }
    Some(fields)
}

/// Returns a cursor over the content of a field.
fn inside(source: &dyn Source, field: Glimpse) -> Cursor<'_> {
    Cursor::range(source, field.start, field.start.saturating_add(field.value))
}

fn is_core_ml(head: &Head<'_>) -> bool {
    let Some(top) = fields(&mut Cursor::new(head.source), &MODEL) else {
        return false;
    };
    let count = |wanted: fn(u32) -> bool| top.iter().filter(|field| wanted(field.number)).count();
    let version = top
        .iter()
        .any(|field| field.number == 1 && (1..=MAX_SPECIFICATION).contains(&field.value));
    let descriptions: Vec<_> = top.iter().filter(|field| field.number == 2).collect();
    version
        && count(|number| number == 1) == 1
        && count(|number| number >= 200) == 1
        && matches!(descriptions.as_slice(), [description]
            if fields(&mut inside(head.source, **description), &MODEL_DESCRIPTION)
                .is_some_and(|fields| fields.iter().any(|field| field.number == 1)))
}

fn is_cntk(head: &Head<'_>) -> bool {
    if !head.starts_with(b"\x08") {
        return false;
    }
    let Some(top) = fields(&mut Cursor::new(head.source), &DICTIONARY) else {
        return false;
    };
    let entries: Vec<_> = top.iter().filter(|field| field.number == 2).collect();
    !entries.is_empty()
        && entries.iter().all(|entry| {
            let entry = fields(&mut inside(head.source, **entry), &ENTRY);
            entry.is_some_and(|entry| {
                matches!(entry.as_slice(), [key, value]
                    if key.number == 1
                        && value.number == 2
                        && fields(&mut inside(head.source, *value), &DICTIONARY_VALUE)
                            .is_some_and(|fields| fields.iter().any(|field| field.number > 2)))
            })
        })
}

/// A graph of `MediaPipe` has nodes and streams that go into it or come out.
fn is_media_pipe(head: &Head<'_>) -> bool {
    if !head.starts_with(b"\x0a") {
        return false;
    }
    fields(&mut Cursor::new(head.source), &GRAPH).is_some_and(|top| {
        let streams = top
            .iter()
            .any(|field| matches!(field.number, 10 | 15 | 16 | 17));
        streams
            && top
                .iter()
                .filter(|field| field.number == 1)
                .all(|node| fields(&mut inside(head.source, *node), &NODE).is_some())
    })
}

fn core_ml(source: &dyn Source, scan: &mut Scan<'_>) -> Result<Understood, Stop> {
    let other = read(source, scan, &MODEL, |rules, _, text| {
        // What a feature says of itself: a sentence, not the name of an operator.
        is_operator(rules, text)
            || (text.first().is_some_and(u8::is_ascii_uppercase)
                && text.iter().any(u8::is_ascii_lowercase)
                && text.iter().skip(1).any(u8::is_ascii_uppercase)
                && text.iter().all(u8::is_ascii_alphanumeric))
    })?;
    if other {
        return (saved_model::META_GRAPH.parse)(source, scan);
    }
    Ok(opaque(source, scan, CORE_ML.name))
}

fn cntk(source: &dyn Source, scan: &mut Scan<'_>) -> Result<Understood, Stop> {
    let other = read(source, scan, &DICTIONARY, |_, _, key| {
        key.is_empty() || !key.iter().all(u8::is_ascii_graphic)
    })?;
    if other {
        return (saved_model::FORMAT.parse)(source, scan);
    }
    Ok(opaque(source, scan, CNTK.name))
}

fn media_pipe(source: &dyn Source, scan: &mut Scan<'_>) -> Result<Understood, Stop> {
    let other = read(source, scan, &GRAPH, |rules, number, name| {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_:.".contains(byte);
        !name.iter().all(plain) || (number == 2 && is_operator(rules, name))
    })?;
    if other {
        return (saved_model::GRAPH.parse)(source, scan);
    }
    Ok(opaque(source, scan, MEDIA_PIPE.name))
}

/// Whether TensorFlow has an operator of this name.
fn is_operator(rules: &Rules, name: &[u8]) -> bool {
    let name = String::from_utf8_lossy(name);
    !matches!(rules.judge("tensorflow", &name), Judgement::Unknown)
}

/// Accounts for all bytes as data, with a note.
fn opaque(source: &dyn Source, scan: &mut Scan<'_>, format: &'static str) -> Understood {
    scan.found(
        Found::note("opaque/model", "a model whose layers are not looked into")
            .why("the program that loads it has the code of all that it names"),
    );
    Understood {
        format,
        bytes: source.len(),
    }
}

/// Whether a text at a field of this number could be what another format has there.
type Suspects = fn(&Rules, u32, &[u8]) -> bool;

/// Reads a `message` whole, and returns whether a text in it is suspected.
fn read(
    source: &dyn Source,
    scan: &mut Scan<'_>,
    message: &'static Message,
    suspects: Suspects,
) -> Result<bool, Stop> {
    let mut fields = Fields {
        scan,
        suspects,
        suspected: false,
    };
    protobuf::walk(&mut Cursor::new(source), message, &mut fields)?;
    Ok(fields.suspected)
}

struct Fields<'s, 'r> {
    scan: &'s mut Scan<'r>,
    suspects: Suspects,
    suspected: bool,
}

impl Visitor for Fields<'_, '_> {
    fn enter(&mut self, _: &'static Message, _: u64) -> Result<(), Stop> {
        Ok(())
    }

    fn value(
        &mut self,
        message: &'static Message,
        number: u32,
        value: Value<'_>,
        at: u64,
    ) -> Result<(), Stop> {
        if let Value::Text(text) = value {
            self.suspected |= (self.suspects)(self.scan.rules, number, text);
        }
        let what = match number {
            CUSTOM => "a model that a class of the application computes",
            LINKED => "a model that lies in another file",
            _ => return Ok(()),
        };
        if std::ptr::eq(message, &raw const MODEL) {
            self.scan.found(
                Found::review("coreml/elsewhere", what)
                    .severity(Severity::High)
                    .why("what it computes is not in the file")
                    .at(at),
            );
        }
        Ok(())
    }

    fn leave(&mut self, _: &'static Message, _: u64) -> Result<(), Stop> {
        Ok(())
    }

    fn twice(&mut self, message: &'static Message, number: u32, at: u64) {
        self.scan.found(protobuf::found_twice(message, number, at));
    }
}

#[cfg(test)]
mod tests {
    use super::super::protobuf::build::{bytes, message, number};
    use crate::scan;
    use custody_findings::{Report, Rules, Verdict};

    fn report(name: &str, bytes: &[u8]) -> Report {
        scan(name, &bytes, &Rules::built_in().unwrap())
    }

    fn check(name: &str, file: &[u8], format: &str, verdict: Verdict) {
        let report = report(name, file);
        assert_eq!(report.verdict, verdict, "{report:?}");
        assert_eq!(report.parts[0].format, format, "{report:?}");
    }

    fn core_ml(description: &[Vec<u8>], more: &[Vec<u8>]) -> Vec<u8> {
        let input = message(1, &[bytes(1, "a"), message(3, &[bytes(2, "")])]);
        let output = message(10, &[bytes(1, "t")]);
        let description = [&[input, output, bytes(11, "t")], description].concat();
        [&[number(1, 4), message(2, &description)], more]
            .concat()
            .concat()
    }

    fn graph() -> Vec<u8> {
        message(2, &[message(1, &[bytes(1, "n"), bytes(2, "ReadFile")])])
    }

    #[test]
    fn models_of_core_ml_are_their_own_kind() {
        let trees = bytes(302, [0; 40]);
        let file = core_ml(&[], std::slice::from_ref(&trees));
        check("m.mlmodel", &file, "Core ML model", Verdict::Clean);
        let custom = core_ml(&[], &[bytes(555, "x")]);
        check("m.mlmodel", &custom, "Core ML model", Verdict::Review);
        // What TensorFlow would run is no model of Core ML, whatever else it has.
        for hidden in [
            core_ml(&[graph()], std::slice::from_ref(&trees)),
            core_ml(&[message(7, &[])], std::slice::from_ref(&trees)),
            core_ml(&[], &[message(2, &[graph()]), trees.clone()]),
            [number(1, 1), message(2, &[graph()]), trees.clone()].concat(),
            [trees.clone(), number(1, 1), message(2, &[graph()])].concat(),
            core_ml(
                &[message(1, &[bytes(1, "n"), bytes(2, "ReadFile")])],
                std::slice::from_ref(&trees),
            ),
            core_ml(
                &[message(1, &[bytes(1, "n"), bytes(2, "EvilOp")])],
                std::slice::from_ref(&trees),
            ),
            core_ml(
                &[message(1, &[message(3, &[bytes(2, "ReadFile")])])],
                &[trees],
            ),
        ] {
            let report = report("saved_model.pb", &hidden);
            assert!(report.verdict >= Verdict::Unscannable, "{report:?}");
        }
    }

    #[test]
    fn models_of_cntk_are_their_own_kind() {
        let entry = |key: &str, value: &[Vec<u8>]| message(2, &[bytes(1, key), message(2, value)]);
        let version = |more: Vec<u8>| [number(1, 1), number(2, 7), more];
        let file = [
            number(1, 1),
            entry("name", &version(bytes(8, "net"))),
            entry("inputs", &version(message(11, &[]))),
        ]
        .concat();
        check("m.model", &file, "CNTK model", Verdict::Clean);
        let node = message(1, &[bytes(1, "n"), bytes(2, "ReadFile")]);
        for hidden in [
            [number(1, 1), entry("", &version(node.clone()))].concat(),
            [number(1, 1), entry("", &[node])].concat(),
            [file.clone(), message(2, &[graph()])].concat(),
            [
                number(1, 1),
                message(
                    2,
                    &[
                        message(1, &[bytes(1, "n"), bytes(2, "ReadFile")]),
                        message(2, &version(bytes(8, "x"))),
                    ],
                ),
            ]
            .concat(),
        ] {
            let report = report("saved_model.pb", &hidden);
            assert!(report.verdict >= Verdict::Unscannable, "{report:?}");
        }
    }

    #[test]
    fn graphs_of_media_pipe_are_their_own_kind() {
        let node = |name: &str| {
            let options = bytes(8, "options");
            message(
                1,
                &[bytes(2, name), bytes(3, "in"), bytes(4, "out"), options],
            )
        };
        let stream = bytes(10, "in");
        let file = [
            node("GateCalculator"),
            node("FaceDetection"),
            stream.clone(),
        ]
        .concat();
        check("g.binarypb", &file, "MediaPipe graph", Verdict::Clean);
        let library = message(
            2,
            &[message(
                1,
                &[message(3, &[bytes(1, "n"), bytes(2, "ReadFile")])],
            )],
        );
        for hidden in [
            [node("GateCalculator"), node("ReadFile"), stream.clone()].concat(),
            [node("GateCalculator"), node("Relu"), stream.clone()].concat(),
            [node("GateCalculator"), library, stream.clone()].concat(),
            [
                message(
                    1,
                    &[
                        bytes(4, "_tf_keras_layer"),
                        bytes(5, r#"{"class_name": "Lambda"}"#),
                    ],
                ),
                stream,
            ]
            .concat(),
        ] {
            let report = report("graph.pb", &hidden);
            assert!(report.verdict >= Verdict::Unscannable, "{report:?}");
        }
    }
}
