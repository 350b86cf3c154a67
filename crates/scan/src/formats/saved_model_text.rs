//! The text form of TensorFlow's graphs and saved models, of the networks of Caffe, and of whatever else is
//! written as a protocol buffer in text.
//!
//! Source: the Text Format Language Specification of Protocol Buffers. Names of fields stand in the text,
//! so that nodes, functions and assets are known by them wherever they stand: readers refuse a field that
//! their message does not have.

use super::{Model, limit, name};
use crate::cursor::{Cursor, Stop};
use crate::formats::json;
use crate::scan::{Found, Scan};
use crate::source::Source;
use custody_findings::Severity;

/// How deep messages may be nested: what the reference implementation reads.
const MAX_DEPTH: usize = 100;
/// How long a name, a number or a text that is looked at may be, in bytes.
const MAX_WORD: usize = 1024;
const MAX_TEXT: usize = 16 << 20;
/// The fields whose texts are looked at.
const LOOKED_AT: [&str; 13] = [
    "backend",
    "dtype",
    "filename",
    "identifier",
    "input",
    "key",
    "metadata",
    "name",
    "op",
    "s",
    "string_val",
    "tensor_content",
    "type",
];

/// Reads a part as text, and judges what stands there as its binary form is judged.
///
/// # Errors
/// [`Stop`] where it is no such text.
pub(super) fn read(source: &dyn Source, scan: &mut Scan<'_>) -> Result<(), Stop> {
    let mut reader = Reader {
        cursor: Cursor::new(source),
        open: Vec::new(),
        model: Model::new(source, scan),
        values: Vec::new(),
    };
    let read = reader.all();
    // What stands before an error is judged in any case.
    reader.model.fixed_paths();
    reader.model.resolve();
    read
}

/// A message or a list that is open.
#[derive(Debug)]
struct Open {
    field: String,
    /// What ends it.
    close: u8,
}

/// What is kept of a message until it ends.
#[derive(Debug, Default)]
struct Values {
    op: Option<String>,
    key: Option<Vec<u8>>,
    text: Option<Vec<u8>>,
}

struct Reader<'s, 'r> {
    cursor: Cursor<'s>,
    open: Vec<Open>,
    model: Model<'s, 'r>,
    /// One for each message that is open.
    values: Vec<Values>,
}

fn wrong(what: &str, at: u64) -> Stop {
    Stop::malformed(format!("has {what}"), at)
}

impl Reader<'_, '_> {
    fn all(&mut self) -> Result<(), Stop> {
        if self.cursor.peek()? == Some(0xef)
            && self.cursor.array::<3>("a mark")? != *b"\xef\xbb\xbf"
        {
            return Err(wrong("a byte that no name has", 0));
        }
        while let Some(byte) = self.solid()? {
            let at = self.cursor.at();
            let inside = self.open.last().map(|open| open.close);
            match byte {
                b',' | b';' => {
                    self.cursor.byte()?;
                }
                _ if inside == Some(byte) => {
                    self.cursor.byte()?;
                    if let Some(open) = self.open.pop().filter(|open| open.close != b']') {
                        self.leave(&open.field, at)?;
                    }
                }
                _ if inside == Some(b']') => {
                    let field = self.open.last().map(|open| open.field.clone());
                    self.value(&field.unwrap_or_default(), false)?;
                }
                _ => self.field(byte)?,
            }
        }
        if self.open.is_empty() {
            Ok(())
        } else {
            Err(Stop::Truncated {
                what: "a message",
                at: self.cursor.at(),
            })
        }
    }

    /// Steps over white space and comments and returns the byte after them without passing it.
    fn solid(&mut self) -> Result<Option<u8>, Stop> {
        while let Some(byte) = self.cursor.peek()? {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => {
                    self.cursor.byte()?;
                }
                b'#' => while !matches!(self.cursor.byte()?, None | Some(b'\n')) {},
                _ => return Ok(Some(byte)),
            }
        }
        Ok(None)
    }

    /// Reads a word of letters, digits, `_`, and what else fits.
    fn word(&mut self, fits: impl Fn(u8) -> bool) -> Result<String, Stop> {
        let at = self.cursor.at();
        let mut word = String::new();
        while let Some(byte) = self.cursor.peek()? {
            if !(byte.is_ascii_alphanumeric() || byte == b'_' || fits(byte)) {
                break;
            }
            if word.len() >= MAX_WORD {
                return Err(Stop::limit("the length of a word", MAX_WORD, at));
            }
            word.push(char::from(byte));
            self.cursor.byte()?;
        }
        Ok(word)
    }

    fn field(&mut self, byte: u8) -> Result<(), Stop> {
        let at = self.cursor.at();
        let field = match byte {
            // An extension, or the type of what follows: its fields go by their names all the same.
            b'[' => {
                self.cursor.byte()?;
                let name = self.word(|byte| b"./-".contains(&byte))?;
                if self.solid()? != Some(b']') || name.is_empty() {
                    return Err(wrong("a name in brackets that does not end", at));
                }
                self.cursor.byte()?;
                format!("[{name}]")
            }
            byte if byte.is_ascii_alphabetic() || byte == b'_' => self.word(|_| false)?,
            _ => return Err(wrong("something else where the name of a field stands", at)),
        };
        match self.solid()? {
            Some(b':') => {
                self.cursor.byte()?;
                self.value(&field, true)
            }
            Some(b'{' | b'<' | b'[') => self.value(&field, true),
            _ => Err(wrong("a field without a value", at)),
        }
    }

    /// Reads a value of a field; `list` says whether it may be a list.
    fn value(&mut self, field: &str, list: bool) -> Result<(), Stop> {
        let at = self.cursor.at();
        let Some(byte) = self.solid()? else {
            return Err(Stop::Truncated {
                what: "a value",
                at,
            });
        };
        let close = match byte {
            b'{' => b'}',
            b'<' => b'>',
            b'[' if list => b']',
            b'"' | b'\'' => {
                let text = self.text(LOOKED_AT.contains(&field))?;
                return self.scalar(field, &text, at);
            }
            b'-' => {
                self.cursor.byte()?;
                self.solid()?;
                return self.number(field, at);
            }
            _ => return self.number(field, at),
        };
        self.cursor.byte()?;
        if self.open.len() >= MAX_DEPTH {
            return Err(Stop::limit("the nesting of messages", MAX_DEPTH, at));
        }
        self.open.push(Open {
            field: field.to_owned(),
            close,
        });
        if close != b']' {
            self.enter(field);
        }
        Ok(())
    }

    /// Reads a number, or the name of a value.
    fn number(&mut self, field: &str, at: u64) -> Result<(), Stop> {
        let mut word = self.word(|byte| byte == b'.')?;
        let exponent = word.ends_with(['e', 'E'])
            && word.starts_with(|c: char| c.is_ascii_digit() || c == '.');
        if exponent && matches!(self.cursor.peek()?, Some(b'+' | b'-')) {
            self.cursor.byte()?;
            word.push_str(&self.word(|byte| byte == b'.')?);
        }
        if word.is_empty() {
            return Err(wrong("something else where a value stands", at));
        }
        self.scalar(field, word.as_bytes(), at)
    }

    /// Reads texts that stand side by side and are one; without its content where nobody looks at it.
    fn text(&mut self, keep: bool) -> Result<Vec<u8>, Stop> {
        let mut text = Vec::new();
        while let Some(quote @ (b'"' | b'\'')) = self.solid()? {
            let at = self.cursor.at();
            self.cursor.byte()?;
            loop {
                let byte = match self.cursor.byte()? {
                    None | Some(b'\n') => return Err(wrong("a text that does not end", at)),
                    Some(byte) if byte == quote => break,
                    Some(b'\\') => {
                        self.escape(&mut text, at)?;
                        continue;
                    }
                    Some(byte) => byte,
                };
                text.push(byte);
                if !keep {
                    text.clear();
                }
                if text.len() > MAX_TEXT {
                    return Err(Stop::limit("the length of a text", "16 MiB", at));
                }
            }
        }
        Ok(text)
    }

    fn escape(&mut self, text: &mut Vec<u8>, at: u64) -> Result<(), Stop> {
        let byte = match self.cursor.byte()? {
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'a') => 7,
            Some(b'b') => 8,
            Some(b'f') => 0x0c,
            Some(b'v') => 0x0b,
            Some(byte @ (b'"' | b'\'' | b'\\' | b'?')) => byte,
            Some(byte @ b'0'..=b'7') => {
                let more = self.digits(2, 8)?;
                let number =
                    (0..more.1).fold(u32::from(byte - b'0'), |number, _| number * 8) + more.0;
                number.to_le_bytes()[0]
            }
            Some(b'x' | b'X') => match self.digits(2, 16)? {
                (number, 1..) => number.to_le_bytes()[0],
                _ => return Err(wrong("an escape without digits", at)),
            },
            Some(kind @ (b'u' | b'U')) => {
                let wanted = if kind == b'u' { 4 } else { 8 };
                let (number, count) = self.digits(wanted, 16)?;
                let character = char::from_u32(number).filter(|_| count == wanted);
                let Some(character) = character else {
                    return Err(wrong("an escape of no character", at));
                };
                let mut buffer = [0; 4];
                text.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
                return Ok(());
            }
            _ => return Err(wrong("an escape that is not known", at)),
        };
        text.push(byte);
        Ok(())
    }

    /// Reads up to so many digits, and returns the number and how many there were.
    fn digits(&mut self, most: u32, radix: u32) -> Result<(u32, u32), Stop> {
        let (mut number, mut count) = (0u32, 0);
        while count < most {
            let digit = self
                .cursor
                .peek()?
                .and_then(|byte| char::from(byte).to_digit(radix));
            let Some(digit) = digit else {
                break;
            };
            self.cursor.byte()?;
            number = number.wrapping_mul(radix).wrapping_add(digit);
            count += 1;
        }
        Ok((number, count))
    }

    fn enter(&mut self, field: &str) {
        self.values.push(Values::default());
        match field {
            "node" | "node_def" => self.model.paths.node(),
            "graph_def" | "function" => {
                let outer = std::mem::take(&mut self.model.paths);
                self.model.around.push(outer);
            }
            _ => {}
        }
    }

    /// The field of the message that is open, and its own values.
    fn message(&self) -> &str {
        self.open
            .iter()
            .rev()
            .find(|open| open.close != b']')
            .map_or("", |open| &open.field)
    }

    fn scalar(&mut self, field: &str, text: &[u8], at: u64) -> Result<(), Stop> {
        let message = self.message().to_owned();
        let is_node = matches!(message.as_str(), "node" | "node_def");
        match (message.as_str(), field) {
            (_, "op") if is_node => {
                let operator = name(text, at)?;
                let before = self
                    .values
                    .last_mut()
                    .and_then(|own| own.op.replace(operator));
                if let Some(before) = before {
                    self.twice(at);
                    self.model.judge(before, at)?;
                }
            }
            (_, "name") if is_node => self.model.paths.name(text),
            (_, "input") if is_node => self.model.paths.input(text),
            (_, "op_type") if is_node => self.model.scan.found(Found::unscannable(
                "onnx/text-form",
                "the text form of an ONNX model, which the scanner does not read",
            )),
            ("signature", "name") => {
                let function = name(text, at)?;
                if !function.is_empty() {
                    self.model.functions.insert(function);
                }
                limit(self.model.functions.len(), "the number of functions", at)?;
            }
            ("func", "name") => {
                let function = name(text, at)?;
                if !function.is_empty() {
                    self.model.judge(function, at)?;
                }
            }
            ("tensor", "dtype") => {
                let is_text = [&b"DT_STRING"[..], b"7"].contains(&text);
                self.model.paths.tensor_type(is_text);
            }
            ("tensor", "string_val") => self.model.paths.text(Some(text)),
            ("tensor", "tensor_content") if !text.is_empty() => self.model.paths.packed(),
            ("asset_file_def", "filename") => {
                let file = name(text, at)?;
                self.model.asset(&file, at);
            }
            (_, "identifier") => self.model.identifier = text.to_vec(),
            (_, "metadata") => self.metadata(text, at)?,
            (_, "key") => self.keep(|own| &mut own.key, text, at),
            (_, "s") => {
                // The text of an attribute: in the value of the entry that the key stands in.
                let entry = self.values.len().checked_sub(2);
                if let Some(entry) = entry.and_then(|index| self.values.get_mut(index)) {
                    entry.text = Some(text.to_vec());
                }
            }
            ("layer" | "layers", "type") if text.eq_ignore_ascii_case(b"python") => {
                self.program(
                    "caffe/python",
                    "a layer of Python: a class of the place where it is loaded",
                    at,
                );
            }
            ("", "backend") if text.eq_ignore_ascii_case(b"python") => {
                self.program(
                    "triton/python",
                    "a model that a program in Python beside it computes",
                    at,
                );
            }
            _ => {}
        }
        Ok(())
    }

    fn keep(&mut self, which: fn(&mut Values) -> &mut Option<Vec<u8>>, text: &[u8], at: u64) {
        let before = self
            .values
            .last_mut()
            .and_then(|own| which(own).replace(text.to_vec()));
        if before.is_some() {
            self.twice(at);
        }
    }

    fn twice(&mut self, at: u64) {
        self.model.scan.found(
            Found::unscannable(
                "format/field-twice",
                "a field that there is one of is there twice",
            )
            .at(at)
            .see(&["CWE-436"])
            .why("which one counts is the loader's choice, and no writer does it"),
        );
    }

    fn program(&mut self, rule: &'static str, what: &str, at: u64) {
        self.model.scan.found(
            Found::review(rule, what)
                .severity(Severity::High)
                .at(at)
                .see(&["AML.T0011.000", "CWE-94"])
                .why("loading the model imports and runs that code"),
        );
    }

    fn metadata(&mut self, text: &[u8], at: u64) -> Result<(), Stop> {
        if text.is_empty() {
            return Ok(());
        }
        let read = json::keras_metadata(&text, 0, text.len() as u64, self.model.scan);
        self.model.no_json(read, text, at)
    }

    fn leave(&mut self, field: &str, at: u64) -> Result<(), Stop> {
        let own = self.values.pop().unwrap_or_default();
        match field {
            "node" | "node_def" => {
                // What has no operator is a node of another format.
                if let Some(operator) = own.op {
                    self.model.paths.leave(&operator, at)?;
                    self.model.judge(operator, at)?;
                }
            }
            "graph_def" | "function" => self.model.fixed_paths(),
            "attr" => {
                let key = own.key.unwrap_or_default();
                self.model
                    .attribute(&key, own.text.as_deref().unwrap_or_default(), at);
            }
            _ => {}
        }
        Ok(())
    }
}
