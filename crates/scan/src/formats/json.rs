//! JSON: read whole as a stream; what it tells a loader to build or import is judged wherever it
//! stands.
//!
//! INVARIANT: what is kept does not grow with the document: one frame per open object or array, with
//! the few values that rules ask about, and a bounded number of key hashes.

mod frame;
mod keras;
mod lexer;
mod pipeline;
mod skops;

use crate::cursor::{Cursor, Stop};
use crate::files::{Beside, FileKind};
use crate::formats::booster::{Booster, Step};
use crate::formats::{booster, jinja, lightgbm, names, path, yaml};
use crate::scan::{Found, Scan, Understood, shown};
use crate::sniff::{Format, Head};
use crate::source::Source;
use custody_findings::Severity;
use frame::{Frame, Value};
use lexer::{KEPT, Lexer, Text, Token};

pub(crate) const FORMAT: Format = Format {
    name: "JSON",
    recognises,
    parse,
};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Whether it begins as a JSON object or array does: so that a Markdown link or the section of a TOML
/// file is none.
fn recognises(head: &Head<'_>) -> bool {
    if wide(head.bytes).is_some() {
        return true;
    }
    let bytes = head.bytes.strip_prefix(BOM).unwrap_or(head.bytes);
    let mut solid = bytes.iter().filter(|byte| !byte.is_ascii_whitespace());
    match solid.next() {
        Some(b'{') => matches!(solid.next(), Some(b'"' | b'}')),
        Some(b'[') => {
            let rest: Vec<u8> = solid.take(9).copied().collect();
            match rest.first() {
                Some(b'"' | b'{' | b']' | b'-' | b'0'..=b'9') => true,
                Some(b'[') => matches!(
                    rest.get(1),
                    Some(b'"' | b'{' | b'[' | b']' | b'-' | b'0'..=b'9')
                ),
                _ => ["true", "false", "null", "NaN", "Infinity"]
                    .iter()
                    .any(|word| rest.starts_with(word.as_bytes())),
            }
        }
        _ => false,
    }
}

/// Returns the encoding of JSON that is not UTF-8: Python's `json` takes UTF-16 and UTF-32 too.
fn wide(bytes: &[u8]) -> Option<&'static str> {
    let start = |byte: u8| matches!(byte, b'{' | b'[');
    match bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Some("UTF-32"),
        [first, 0, 0, 0, ..] | [0, 0, 0, first, ..] if start(*first) => Some("UTF-32"),
        [0xff, 0xfe, first, 0, ..] | [0xfe, 0xff, 0, first, ..] if start(*first) => Some("UTF-16"),
        [first, 0, second, 0, ..] | [0, first, 0, second, ..]
            if start(*first) && second.is_ascii() && *second != 0 =>
        {
            Some("UTF-16")
        }
        _ => None,
    }
}

/// Reads all documents of the part.
pub(crate) fn parse(source: &dyn Source, scan: &mut Scan<'_>) -> Result<Understood, Stop> {
    let mut cursor = Cursor::new(source);
    let mut start = vec![0; 8];
    let count = source.read_at(0, &mut start)?;
    start.truncate(count);
    if let Some(encoding) = wide(&start) {
        scan.found(
            Found::unscannable("json/encoding", format!("JSON in {encoding}"))
                .why("some loaders read it and others do not, so it can hide what it says"),
        );
        return Ok(Understood {
            format: "JSON",
            bytes: source.len(),
        });
    }
    if start.starts_with(BOM) {
        cursor.skip(3, "a byte order mark")?;
        scan.found(
            Found::note("json/bom", "the JSON begins with a byte order mark")
                .why("RFC 8259 forbids it: some loaders take it and others do not"),
        );
    }
    match walk(&mut cursor, scan) {
        Ok(()) => Ok(Understood {
            format: "JSON",
            bytes: source.len(),
        }),
        // A loader of YAML takes much that begins like JSON and is none.
        Err(stop @ Stop::Malformed { .. }) => yaml::flow(source, scan).ok_or(stop),
        Err(stop) => Err(stop),
    }
}

fn walk(cursor: &mut Cursor<'_>, scan: &mut Scan<'_>) -> Result<(), Stop> {
    let mut lexer = Lexer::new(cursor);
    let mut state = State::new(judge);
    let mut booster = Booster::default();
    while let Some(token) = lexer.next()? {
        let at = lexer.at();
        booster.step(match &token {
            Token::Key(key) => Step::Key(&key.text),
            Token::Object | Token::Array => Step::Open,
            Token::End => Step::End,
            Token::String(text) => Step::Text(&text.text),
            Token::Number(number) => Step::Number(*number),
            Token::Bool(_) | Token::Null => Step::Other,
        });
        state.take(token, at, scan);
    }
    booster.finish(scan);
    let lines = scan.name().rsplit_once('.').is_some_and(|(_, ending)| {
        ["jsonl", "ndjson", "jsonlines"].contains(&ending.to_ascii_lowercase().as_str())
    });
    let single = scan.name().to_ascii_lowercase().ends_with(".json");
    if state.documents > 1 && single && !lines {
        scan.found(
            Found::note(
                "json/several",
                format!("{} JSON values follow each other", state.documents),
            )
            .why("loaders differ in which of them they read; each is judged"),
        );
    }
    if let Some((key, at)) = state.twice {
        scan.found(
            Found::note(
                "json/duplicate-key",
                format!(
                    "{} keys stand twice in one object, `{}` first",
                    state.times,
                    shown(&key)
                ),
            )
            .why("loaders differ in which value they take; no rule asks about these keys")
            .at(at),
        );
    }
    Ok(())
}

/// Reads what Keras keeps of an object in a `SavedModel`: the JSON between `start` and `end`.
///
/// # Errors
/// [`Stop::Malformed`] where it is no JSON; what stands before that is judged.
pub(crate) fn keras_metadata(
    source: &dyn Source,
    start: u64,
    end: u64,
    scan: &mut Scan<'_>,
) -> Result<(), Stop> {
    let mut cursor = Cursor::range(source, start, end);
    let mut lexer = Lexer::new(&mut cursor);
    let mut state = State::new(keras::judge_metadata);
    loop {
        match lexer.next() {
            Ok(Some(token)) => {
                let at = lexer.at();
                state.take(token, at, scan);
            }
            Ok(None) => return Ok(()),
            Err(stop) => {
                while !state.frames.is_empty() {
                    state.end(scan);
                }
                return Err(stop);
            }
        }
    }
}

/// How many hashes of keys are kept at once.
const MAX_HASHES: usize = 1 << 18;

struct State {
    frames: Vec<Frame>,
    documents: u64,
    hashes: usize,
    /// The first key that stands twice and that no rule asks about, with where, and how many there are.
    twice: Option<(String, u64)>,
    times: u64,
    /// How many bytes the lines of templates have that are held.
    lines: usize,
    /// Judges an object or array at its end.
    judge: fn(&Frame, &mut Scan<'_>),
}

impl State {
    fn new(judge: fn(&Frame, &mut Scan<'_>)) -> Self {
        Self {
            frames: Vec::new(),
            documents: 0,
            hashes: 0,
            twice: None,
            times: 0,
            lines: 0,
            judge,
        }
    }

    fn take(&mut self, token: Token, at: u64, scan: &mut Scan<'_>) {
        if self.frames.is_empty() && token != Token::End {
            self.documents = self.documents.saturating_add(1);
        }
        match token {
            Token::Key(key) => self.key(&key, scan),
            Token::Object => self.start(Value::Object, at, scan),
            Token::Array => self.start(Value::Array, at, scan),
            Token::End => self.end(scan),
            Token::String(text) => {
                self.string(&text, scan);
                self.value(Value::Text(text.text));
            }
            Token::Bool(truth) => {
                self.word(truth, at, scan);
                self.value(Value::Other);
            }
            Token::Null => self.value(Value::Null),
            Token::Number(_) => self.value(Value::Other),
        }
    }

    fn own_key(&self) -> &str {
        self.frames.last().map_or("", |frame| &frame.key)
    }

    /// Whether a key on the way from the top to here is such a one.
    fn under(&self, fits: impl Fn(&str) -> bool) -> bool {
        self.frames.iter().any(|frame| fits(&frame.key))
    }

    fn key(&mut self, key: &Text, scan: &mut Scan<'_>) {
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        let room = self.hashes < MAX_HASHES;
        if room && frame.hashes.insert(key.hash) {
            self.hashes += 1;
        } else if frame.hashes.contains(&key.hash) || frame.has(&key.text) {
            if is_asked(&key.text) {
                scan.found(
                    Found::review(
                        "json/duplicate-key",
                        format!("the key `{}` stands twice in one object", shown(&key.text)),
                    )
                    .severity(Severity::High)
                    .why("loaders differ in which value they take, so one can hide the other")
                    .see(&["CWE-436"])
                    .at(key.at),
                );
            } else {
                self.times = self.times.saturating_add(1);
                self.twice
                    .get_or_insert_with(|| (key.text.chars().take(200).collect(), key.at));
            }
            // Both values are judged: this is the first.
            let first = frame.clone_judged();
            (self.judge)(&first, scan);
        }
        frame.key.clear();
        frame.key.extend(key.text.chars().take(200));
    }

    fn value(&mut self, value: Value) {
        if let Some(frame) = self.frames.last_mut() {
            frame.keep(value);
        }
    }

    fn start(&mut self, value: Value, at: u64, scan: &mut Scan<'_>) {
        match self.own_key() {
            "auto_map" => remote_code(scan, "an `auto_map`", at),
            "custom_pipelines" => remote_code(scan, "`custom_pipelines`", at),
            _ => {}
        }
        let object = value == Value::Object;
        self.value(value);
        self.frames.push(Frame::new(object, at));
    }

    fn end(&mut self, scan: &mut Scan<'_>) {
        let Some(frame) = self.frames.pop() else {
            return;
        };
        self.hashes = self.hashes.saturating_sub(frame.hashes.len());
        (self.judge)(&frame, scan);
        if let Some((lines, at)) = frame.lines() {
            jinja::lines(lines, scan, at);
            let held = lines.iter().map(|line| line.len().max(1)).sum();
            self.lines = self.lines.saturating_sub(held);
        }
        if self.frames.len() == 1 && pipeline::is_index(scan) {
            pipeline::part(&frame, scan);
        }
        if let Some(parent) = self.frames.last_mut() {
            parent.child(&frame);
        }
    }

    fn word(&self, truth: bool, at: u64, scan: &mut Scan<'_>) {
        match self.own_key() {
            "trust_remote_code" if truth => remote_code(scan, "`trust_remote_code`", at),
            "enable_unsafe_deserialization" if truth => keras::unsafe_deserialization(scan, at),
            _ => {}
        }
    }

    fn string(&mut self, text: &Text, scan: &mut Scan<'_>) {
        let key = self.own_key().to_owned();
        let key = key.as_str();
        if self.under(|key| key.contains("chat_template")) && key != "name" {
            whole(text, "a chat template", scan);
            match self.frames.last_mut() {
                Some(frame) if !frame.is_object() => {
                    // An empty line takes room too.
                    self.lines = self.lines.saturating_add(text.text.len().max(1));
                    if self.lines <= jinja::MAX_TEMPLATE {
                        frame.line(&text.text, text.at);
                    } else {
                        long_lines(text.at, scan);
                    }
                }
                _ => jinja::check(&text.text, scan, Some(text.at)),
            }
        }
        match key {
            "auto_map" => remote_code(scan, "an `auto_map`", text.at),
            "custom_pipeline" | "custom_pipelines" => {
                remote_code(scan, "a `custom_pipeline`", text.at);
            }
            // transformers fetches attention kernels, which are native code, by the name of a repository.
            "_attn_implementation" | "attn_implementation" if text.text.contains('/') => {
                remote_code(scan, "an `_attn_implementation` of a repository", text.at);
            }
            // PEFT imports the library by this name.
            "parent_library" if self.under(|key| key == "auto_mapping") => {
                library(&text.text, text.at, scan);
            }
            "_target_" | "__target__" => names::target(scan, &text.text, text.at),
            "_class_name" if self.frames.len() == 1 && pipeline::is_index(scan) => {
                pipeline::pipeline(&text.text, text.at, scan);
            }
            // Zarr: the bytes of a chunk go through these on their way to an array.
            "id" | "name"
                if matches!(text.text.as_str(), "pickle" | "numcodecs.pickle")
                    && self.under(|key| {
                        matches!(key, "filters" | "compressor" | "object_codec" | "codecs")
                    }) =>
            {
                scan.found(
                    Found::unscannable("zarr/pickle", "an array whose chunks are pickles")
                        .severity(Severity::High)
                        .why("reading a chunk loads it as a pickle, and a chunk is compressed")
                        .see(&["CWE-502", "AML.T0011.000"])
                        .at(text.at),
                );
            }
            "loader_module" => names::loader_module(scan, &text.text, text.at),
            _ => {}
        }
        if text.text == "enable_unsafe_deserialization" {
            keras::unsafe_deserialization(scan, text.at);
        }
        if self.under(|key| key == "weight_map") {
            file_name(&text.text, text.at, scan);
        }
        if names::is_base64_code(&text.text) {
            names::bytecode(scan, text.at);
        }
        if self.under(|key| matches!(key, "_handle" | "handle")) {
            handle(text, scan);
        }
        if key == ":serialized:" || names::is_base64_pickle(&text.text) {
            serialised(key, text, scan);
        }
    }
}

/// Keys that rules ask about, beside those whose values a frame keeps.
const ASKED: [&str; 22] = [
    "_attn_implementation",
    "_class_name",
    "_target_",
    "__target__",
    ":serialized:",
    "attn_implementation",
    "auto_map",
    "auto_mapping",
    "codecs",
    "compressor",
    "custom_pipeline",
    "custom_pipelines",
    "enable_unsafe_deserialization",
    "filters",
    "learner",
    "loader_module",
    "object_codec",
    "parent_library",
    "template",
    "trees",
    "trust_remote_code",
    "weight_map",
];

/// Whether a rule asks about the value of a key, or about what lies in it.
fn is_asked(key: &str) -> bool {
    frame::is_kept(key)
        || ASKED.contains(&key)
        || key.contains("chat_template")
        || booster::is_read(key)
}

/// Judges an object or array at its end.
fn judge(frame: &Frame, scan: &mut Scan<'_>) {
    keras::judge(frame, scan);
    skops::judge(frame, scan);
    sentence_module(frame, scan);
    notebook(frame, scan);
}

/// The library that PEFT imports the base model's class from.
fn library(name: &str, at: u64, scan: &mut Scan<'_>) {
    if name != "transformers" && !name.starts_with("transformers.models.") {
        scan.found(
            names::unknown("huggingface/module", "module", name, at)
                .severity(Severity::High)
                .see(&["CWE-94"]),
        );
    }
}

/// A module of `sentence-transformers`: its `type` is imported.
fn sentence_module(frame: &Frame, scan: &mut Scan<'_>) {
    let Some(class) = frame.text("type") else {
        return;
    };
    let listed = frame.has("idx") && frame.has("path");
    if listed && !class.starts_with("sentence_transformers.") {
        scan.found(
            names::unknown("huggingface/module", "class", class, frame.at)
                .severity(Severity::High)
                .see(&["CWE-94"]),
        );
    }
}

/// A notebook is a program; what it printed is HTML that a viewer may run.
fn notebook(frame: &Frame, scan: &mut Scan<'_>) {
    if frame.has("nbformat") && frame.get("cells") == Some(&Value::Array) {
        scan.found(
            Found::review(
                "text/code",
                "a notebook: cells of code, and what they printed",
            )
            .why("nothing runs it unless a person does; a model needs none")
            .at(frame.at),
        );
    }
}

fn long_lines(at: u64, scan: &mut Scan<'_>) {
    scan.found(
        Found::unscannable(
            "limits/size",
            format!(
                "a template in lines of more than {} bytes",
                jinja::MAX_TEMPLATE
            ),
        )
        .at(at),
    );
}

fn whole(text: &Text, what: &'static str, scan: &mut Scan<'_>) {
    if !text.whole {
        scan.found(
            Found::unscannable("limits/text", format!("{what} of more than {KEPT} bytes"))
                .at(text.at),
        );
    }
}

fn remote_code(scan: &mut Scan<'_>, what: &str, at: u64) {
    scan.found(
        Found::review(
            "huggingface/remote-code",
            format!("{what}: the model brings Python code of its own"),
        )
        .severity(Severity::High)
        .why("with `trust_remote_code` the loader downloads that code and runs it")
        .see(&["CWE-94", "AML.T0011"])
        .advice("read the code that it names, or load the model without it")
        .at(at),
    );
}

/// A shard of a model is named by its plain name.
fn file_name(name: &str, at: u64, scan: &mut Scan<'_>) {
    if path::escape(name).is_some() || name.contains("..") {
        scan.found(
            Found::malicious(
                "weights/outside",
                format!("a shard is the file `{}`", shown(name)),
            )
            .severity(Severity::High)
            .why("the loader would read a file that is no part of the model")
            .see(&["CWE-22"])
            .at(at),
        );
    } else if !matches!(
        scan.beside(name),
        Beside::Unknown | Beside::There(FileKind::File { .. } | FileKind::Link)
    ) {
        scan.found(
            Found::review(
                "weights/missing",
                format!(
                    "a shard is the file `{}`, which is not among the files that are scanned",
                    shown(name)
                ),
            )
            .why("the model is no more than what is scanned")
            .advice("scan the whole folder of the model"),
        );
    }
}

/// The state of a booster of LightGBM: its text, which skops writes as JSON once more.
fn handle(text: &Text, scan: &mut Scan<'_>) {
    let inner = serde_json::from_str::<String>(&text.text).ok();
    let inner = inner.as_ref().unwrap_or(&text.text);
    if !text.whole {
        whole(text, "the state of a booster", scan);
    } else if inner.contains("Tree=") {
        let bytes = inner.as_bytes();
        scan.inside("booster", &bytes, |scan| {
            (lightgbm::FORMAT.parse)(&bytes, scan).map_err(|stop| (lightgbm::FORMAT.name, stop))
        });
    }
}

/// A pickle in base64, as `stable-baselines3` and others write it.
fn serialised(key: &str, text: &Text, scan: &mut Scan<'_>) {
    whole(text, "a serialised object", scan);
    match names::base64(&text.text) {
        Some(bytes) => {
            let name = if key.is_empty() { "base64" } else { key };
            scan.member(name, &bytes);
        }
        None if key == ":serialized:" => scan.found(
            Found::unscannable("json/serialised", "a serialised object that is not base64")
                .at(text.at),
        ),
        None => {}
    }
}

#[cfg(test)]
mod tests;
