//! What the events of a YAML file mean to its loaders.

use std::collections::HashMap;

use granit_parser::Tag;

use super::ultralytics;
use crate::cursor::Stop;
use crate::formats::{jinja, names};
use crate::scan::{Found, Scan, shown};
use custody_findings::Severity;

/// How deep collections may lie in each other.
const MAX_DEPTH: usize = 200;
/// How many nodes a document may have once its aliases are expanded.
const MAX_NODES: u64 = 10_000_000;
/// How many anchored texts are remembered, and how much of each, in bytes.
const MAX_ANCHORS: usize = 4096;
const MAX_TEXT: usize = 4096;
/// Tags of the YAML type repository that are data.
const DATA: [&str; 14] = [
    "str",
    "int",
    "float",
    "bool",
    "null",
    "map",
    "seq",
    "binary",
    "timestamp",
    "set",
    "omap",
    "pairs",
    "merge",
    "value",
];
/// Tags of `PyYAML` that are data.
const PYTHON_DATA: [&str; 12] = [
    "none", "bool", "bytes", "str", "unicode", "int", "long", "float", "complex", "list", "tuple",
    "dict",
];

#[derive(Debug, Default)]
struct Frame {
    is_map: bool,
    /// The key whose value comes next, if one was read.
    key: Option<String>,
    /// How many values were read before.
    index: usize,
    anchor: usize,
    nodes: u64,
}

/// The state of a walk over the events.
#[derive(Debug, Default)]
pub(super) struct Judge {
    frames: Vec<Frame>,
    texts: HashMap<usize, String>,
    sizes: HashMap<usize, u64>,
    exploded: bool,
}

impl Judge {
    /// Judges a tag.
    pub(super) fn tag(tag: Option<&Tag>, at: u64, scan: &mut Scan<'_>) {
        let Some(tag) = tag else {
            return;
        };
        let full = format!("{}{}", tag.handle(), tag.suffix());
        let decoded = percent_decoded(&full);
        let name = decoded
            .strip_prefix("tag:yaml.org,2002:")
            .or_else(|| decoded.strip_prefix("!!"));
        let python = name.and_then(|name| name.strip_prefix("python/"));
        match (python, name) {
            (Some(kind), _) if PYTHON_DATA.contains(&kind) => {}
            (Some(_), _) => scan.found(
                Found::malicious(
                    "yaml/python",
                    format!(
                        "the tag `{}` builds a Python object or calls a function",
                        shown(&decoded)
                    ),
                )
                .why("`yaml.load` with an unsafe loader runs it")
                .see(&["CVE-2020-14343", "CWE-502", "AML.T0011.000"])
                .at(at),
            ),
            (None, Some(name)) if DATA.contains(&name) => {}
            _ if matches!(decoded.as_str(), "!" | "") => {}
            _ => scan.found(
                Found::review(
                    "yaml/tag",
                    format!(
                        "the tag `{}` is for a constructor of some program",
                        shown(&decoded)
                    ),
                )
                .see(&["CWE-502"])
                .at(at),
            ),
        }
    }

    /// Takes a scalar.
    pub(super) fn scalar(&mut self, text: &str, anchor: usize, at: u64, scan: &mut Scan<'_>) {
        if anchor != 0 && self.texts.len() < MAX_ANCHORS {
            self.texts.insert(anchor, cut(text));
        }
        self.count(1, at, scan);
        self.text(text, at, scan);
    }

    /// Takes the start of a collection.
    pub(super) fn start(
        &mut self,
        is_map: bool,
        anchor: usize,
        at: u64,
        scan: &mut Scan<'_>,
    ) -> Result<(), Stop> {
        if self.frames.len() >= MAX_DEPTH {
            return Err(Stop::limit("the depth of the YAML", MAX_DEPTH, at));
        }
        self.collection(at, scan);
        self.frames.push(Frame {
            is_map,
            key: None,
            index: 0,
            anchor,
            nodes: 1,
        });
        Ok(())
    }

    /// Takes the end of a collection.
    pub(super) fn end(&mut self, at: u64, scan: &mut Scan<'_>) {
        let Some(frame) = self.frames.pop() else {
            return;
        };
        if frame.anchor != 0 && self.sizes.len() < MAX_ANCHORS {
            self.sizes.insert(frame.anchor, frame.nodes);
        }
        self.count(frame.nodes, at, scan);
        self.value_done();
    }

    /// Takes an alias as what it stands for.
    pub(super) fn alias(&mut self, anchor: usize, at: u64, scan: &mut Scan<'_>) {
        if let Some(text) = self.texts.get(&anchor).cloned() {
            self.count(1, at, scan);
            self.text(&text, at, scan);
            return;
        }
        let nodes = self.sizes.get(&anchor).copied();
        let Some(nodes) = nodes else {
            scan.found(
                Found::unscannable(
                    "yaml/alias",
                    "an alias of what is not known or holds itself",
                )
                .at(at),
            );
            self.value_done();
            return;
        };
        self.count(nodes, at, scan);
        self.collection(at, scan);
        self.value_done();
    }

    fn count(&mut self, nodes: u64, at: u64, scan: &mut Scan<'_>) {
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        frame.nodes = frame.nodes.saturating_add(nodes);
        if frame.nodes > MAX_NODES && !self.exploded {
            self.exploded = true;
            scan.found(
                Found::malicious(
                    "yaml/expansion",
                    format!("its aliases expand to more than {MAX_NODES} nodes"),
                )
                .severity(Severity::High)
                .why("a loader that expands them runs out of memory or time")
                .see(&["CWE-776", "AML.T0029"])
                .at(at),
            );
        }
    }

    /// A value that is no key was read: the next one in a mapping is a key.
    fn value_done(&mut self) {
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        frame.index = frame.index.saturating_add(1);
        if frame.is_map {
            frame.key = match frame.key {
                None => Some(String::new()),
                Some(_) => None,
            };
        }
    }

    fn text(&mut self, text: &str, at: u64, scan: &mut Scan<'_>) {
        if let Some(frame) = self.frames.last_mut()
            && frame.is_map
            && frame.key.is_none()
        {
            frame.key = Some(cut(text));
            return;
        }
        self.value(text, at, scan);
        self.value_done();
    }

    /// The key that the present value has; in a list that of the list.
    fn own_key(&self) -> &str {
        self.frames
            .iter()
            .rev()
            .find(|frame| frame.is_map)
            .and_then(|frame| frame.key.as_deref())
            .unwrap_or_default()
    }

    fn under(&self, key: &str) -> bool {
        self.frames
            .iter()
            .any(|frame| frame.key.as_deref() == Some(key))
    }

    fn collection(&self, at: u64, scan: &mut Scan<'_>) {
        match self.own_key() {
            "auto_map" => remote_code("an `auto_map`", at, scan),
            "code" | "code_paths" if self.under("flavors") => {
                own_code("a folder of Python code", at, scan);
            }
            _ => {}
        }
    }

    fn value(&self, text: &str, at: u64, scan: &mut Scan<'_>) {
        let key = self.own_key();
        if self.frames.iter().any(|frame| {
            frame
                .key
                .as_deref()
                .is_some_and(|key| key.contains("chat_template"))
        }) && key != "name"
        {
            jinja::check(text, scan, Some(at));
        }
        self.architecture(text, at, scan);
        match key {
            "_target_" | "__target__" | "class_path" | "_class_" => names::target(scan, text, at),
            "target" if is_dotted(text) => names::target(scan, text, at),
            "loader_module" => names::loader_module(scan, text, at),
            "trust_remote_code" if is_true(text) => remote_code("`trust_remote_code`", at, scan),
            "auto_map" | "custom_pipeline" => remote_code("code of its own", at, scan),
            _ if is_null(text) => {}
            "code" | "code_paths" if self.under("flavors") => {
                own_code("a folder of Python code", at, scan);
            }
            "model_code_path" => own_code("a Python program as the model", at, scan),
            "python_model" if self.under("flavors") => {
                own_code("a Python object pickled with cloudpickle", at, scan);
            }
            "pip" | "dependencies" => requirement(text, at, scan),
            _ => {}
        }
        if self.under("flavors")
            && !["env", "signature"].iter().any(|key| self.under(key))
            && names::leaves(text)
        {
            scan.found(
                Found::malicious(
                    "mlflow/path",
                    format!("the flavor names the path `{}`", shown(text)),
                )
                .severity(Severity::High)
                .why("the loader would read a file that is no part of the model")
                .see(&["CWE-22"])
                .at(at),
            );
        }
        if names::is_base64_code(text) {
            names::bytecode(scan, at);
        }
        if names::is_base64_pickle(text)
            && let Some(bytes) = names::base64(text)
        {
            scan.member("base64", &bytes);
        }
    }
}

impl Judge {
    /// Judges a text of an architecture of YOLO: the third of a row is a module.
    fn architecture(&self, text: &str, at: u64, scan: &mut Scan<'_>) {
        let key = self.frames.first().and_then(|top| top.key.as_deref());
        match self.frames.as_slice() {
            [top] if top.is_map && !is_null(text) => match key {
                Some("activation" | "act") => ultralytics::activation(text, at, scan),
                Some("download") => ultralytics::download(text, at, scan),
                _ => {}
            },
            [top, rows, row, inside @ ..]
                if top.is_map
                    && !rows.is_map
                    && !row.is_map
                    && key.is_some_and(|key| ultralytics::PARTS.contains(&key)) =>
            {
                if inside.is_empty() && row.index == 2 {
                    ultralytics::module(text, at, scan);
                } else {
                    ultralytics::argument(text, at, scan);
                }
            }
            _ => {}
        }
    }
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

fn is_true(text: &str) -> bool {
    ["true", "yes", "on"].contains(&text.to_ascii_lowercase().as_str())
}

/// Whether text is a dotted Python name.
fn is_dotted(text: &str) -> bool {
    text.contains('.')
        && text.split('.').all(|part| {
            part.chars()
                .next()
                .is_some_and(|first| first.is_alphabetic() || first == '_')
                && part.chars().all(|c| c.is_alphanumeric() || c == '_')
        })
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let digits = (*first == b'%')
            .then(|| tail.get(..2))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        rest = match digits {
            Some(byte) => {
                bytes.push(byte);
                tail.get(2..).unwrap_or_default()
            }
            None => {
                bytes.push(*first);
                tail
            }
        };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

fn remote_code(what: &str, at: u64, scan: &mut Scan<'_>) {
    scan.found(
        Found::review(
            "huggingface/remote-code",
            format!("{what}: the model brings Python code of its own"),
        )
        .severity(Severity::High)
        .why("with `trust_remote_code` the loader downloads that code and runs it")
        .see(&["CWE-94", "AML.T0011"])
        .at(at),
    );
}

fn own_code(what: &str, at: u64, scan: &mut Scan<'_>) {
    scan.found(
        Found::review("mlflow/code", format!("the model is or brings {what}"))
            .severity(Severity::High)
            .why("loading the model with `mlflow.pyfunc` runs it")
            .see(&["CWE-94", "AML.T0011"])
            .at(at),
    );
}

/// A requirement that does not come from the usual package index.
fn requirement(text: &str, at: u64, scan: &mut Scan<'_>) {
    let strange = [
        "git+",
        "://",
        "--index-url",
        "--extra-index-url",
        "-i ",
        "--trusted-host",
    ]
    .iter()
    .any(|mark| text.contains(mark));
    if strange {
        scan.found(
            Found::review(
                "mlflow/requirement",
                format!("it requires `{}`", shown(text)),
            )
            .why("setting up its environment installs code from there")
            .see(&["CWE-829", "AML.T0010.001"])
            .at(at),
        );
    }
}
