//! ONNX models: operators by domain and name, functions, graphs in attributes, tensors and the files
//! that they name.
//!
//! Source: the intermediate representation of ONNX, version 13, and `onnx.proto` of ONNX 1.23. An
//! operator of a domain that is not known is native code of a library which the user is asked to load;
//! a tensor may name a file beside the model, which older loaders opened anywhere.

use std::collections::{BTreeMap, BTreeSet};

use super::onnx_schema::{EXTERNAL, FUNCTION, MODEL, NODE, OPSET, TENSOR};
use super::onnx_tensor::Tensor;
use super::path;
use super::protobuf::{self, Message, Value, Visitor};
use crate::cursor::{Cursor, Stop};
use crate::report::Severity;
use crate::rules::Judgement;
use crate::scan::{Found, Scan, Understood, shown};
use crate::sniff::{Format, Head};
use crate::source::Source;

/// The format.
pub(crate) const FORMAT: Format = Format {
    name: "ONNX model",
    recognises,
    parse,
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
    let mut model = Model {
        scan,
        texts: Vec::new(),
        tensor: Tensor::default(),
        unknown: BTreeMap::new(),
        functions: BTreeSet::new(),
        domains: BTreeMap::new(),
    };
    protobuf::walk(&mut cursor, &MODEL, &mut model)?;
    model.resolve();
    Ok(Understood {
        format: "ONNX model",
        bytes: cursor.at(),
    })
}

/// A domain and a name in it.
type Name = (String, String);

struct Model<'s, 'r> {
    scan: &'s mut Scan<'r>,
    /// The two texts of each message around the present place that has any.
    texts: Vec<Name>,
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
        } else if [&NODE, &FUNCTION, &OPSET, &EXTERNAL]
            .into_iter()
            .any(|with_texts| is(message, with_texts))
        {
            self.texts.push(Name::default());
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
        let Value::Text(text) = value else {
            return Ok(());
        };
        if text.len() > MAX_NAME {
            return Err(Stop::limit(
                "the length of a name",
                format!("{MAX_NAME} bytes"),
                at,
            ));
        }
        let text = String::from_utf8_lossy(text).into_owned();
        let domain = match number {
            7 => is(message, &NODE),
            10 => is(message, &FUNCTION),
            1 => is(message, &OPSET),
            2 => is(message, &EXTERNAL),
            _ => false,
        };
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
            self.operator(plain(domain), name, at)?;
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

impl Model<'_, '_> {
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
