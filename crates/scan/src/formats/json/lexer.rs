//! JSON (RFC 8259) as a stream of tokens, with what Python's `json` takes beyond it: `NaN`,
//! `Infinity`, `-Infinity` and lone surrogates.

use std::hash::{DefaultHasher, Hasher};

use crate::cursor::{Cursor, Stop};
use crate::formats::utf8::Utf8;

/// How much of a string is kept, in bytes; the rest is read and checked.
pub(super) const KEPT: usize = 1 << 20;
/// How deep objects and arrays may lie in each other.
const MAX_DEPTH: usize = 500;

/// A string or a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    /// Its first [`KEPT`] bytes, unescaped; lone surrogates are U+FFFD.
    pub(super) text: String,
    /// Whether that is all of it.
    pub(super) whole: bool,
    /// A hash of all of it.
    pub(super) hash: u64,
    /// Where it begins.
    pub(super) at: u64,
}

/// A step of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// `{`.
    Object,
    /// `[`.
    Array,
    /// The end of the innermost object or array.
    End,
    /// The name of the value that follows.
    Key(Text),
    String(Text),
    /// A number; `None`: it is not whole, or beyond 64 bits.
    Number(Option<i64>),
    Bool(bool),
    Null,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Container {
    Object,
    Array,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expects {
    /// A value, or the end of an array that has none.
    ValueOrEnd,
    Value,
    /// A key, or the end of an object that has none.
    KeyOrEnd,
    Key,
    CommaOrEnd,
}

/// Reads documents that follow each other, each one JSON value.
pub(super) struct Lexer<'c, 's> {
    cursor: &'c mut Cursor<'s>,
    open: Vec<Container>,
    expects: Expects,
}

impl<'c, 's> Lexer<'c, 's> {
    pub(super) fn new(cursor: &'c mut Cursor<'s>) -> Self {
        Self {
            cursor,
            open: Vec::new(),
            expects: Expects::Value,
        }
    }

    /// Returns where it stands.
    pub(super) fn at(&self) -> u64 {
        self.cursor.at()
    }

    /// Returns the next token; `None` at the end of the source, which must be between two values.
    pub(super) fn next(&mut self) -> Result<Option<Token>, Stop> {
        loop {
            let Some(byte) = self.solid()? else {
                if self.open.is_empty() {
                    return Ok(None);
                }
                return Err(Stop::Truncated {
                    what: "a JSON value",
                    at: self.at(),
                });
            };
            match (self.expects, byte) {
                (Expects::CommaOrEnd, b',') => {
                    self.cursor.byte()?;
                    self.expects = match self.open.last() {
                        Some(Container::Object) => Expects::Key,
                        _ => Expects::Value,
                    };
                }
                (Expects::CommaOrEnd | Expects::KeyOrEnd | Expects::ValueOrEnd, b'}' | b']') => {
                    return self.end(byte).map(Some);
                }
                (Expects::Key | Expects::KeyOrEnd, b'"') => return self.key().map(Some),
                (Expects::Value | Expects::ValueOrEnd, _) => return self.value(byte).map(Some),
                _ => return Err(self.unexpected(byte)),
            }
        }
    }

    fn unexpected(&self, byte: u8) -> Stop {
        Stop::malformed(
            format!("has `{}` where JSON has none", byte.escape_ascii()),
            self.at(),
        )
    }

    /// Steps over white space and returns the byte after it without passing it.
    fn solid(&mut self) -> Result<Option<u8>, Stop> {
        while let Some(byte) = self.cursor.peek()? {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Ok(Some(byte));
            }
            self.cursor.byte()?;
        }
        Ok(None)
    }

    fn end(&mut self, byte: u8) -> Result<Token, Stop> {
        let fits = match self.open.last() {
            Some(Container::Object) => byte == b'}',
            Some(Container::Array) => byte == b']',
            None => false,
        };
        if !fits {
            return Err(self.unexpected(byte));
        }
        self.cursor.byte()?;
        self.open.pop();
        self.after_value();
        Ok(Token::End)
    }

    fn after_value(&mut self) {
        self.expects = if self.open.is_empty() {
            Expects::Value
        } else {
            Expects::CommaOrEnd
        };
    }

    fn key(&mut self) -> Result<Token, Stop> {
        let text = self.string()?;
        match self.solid()? {
            Some(b':') => self.cursor.byte()?,
            Some(byte) => return Err(self.unexpected(byte)),
            None => {
                return Err(Stop::Truncated {
                    what: "a JSON value",
                    at: self.at(),
                });
            }
        };
        self.expects = Expects::Value;
        Ok(Token::Key(text))
    }

    fn value(&mut self, byte: u8) -> Result<Token, Stop> {
        let token = match byte {
            b'{' | b'[' => return self.start(byte),
            b'"' => Token::String(self.string()?),
            b'-' | b'0'..=b'9' => Token::Number(self.number()?),
            b't' => self.word(b"true", Token::Bool(true))?,
            b'f' => self.word(b"false", Token::Bool(false))?,
            b'n' => self.word(b"null", Token::Null)?,
            b'N' => self.word(b"NaN", Token::Number(None))?,
            b'I' => self.word(b"Infinity", Token::Number(None))?,
            byte => return Err(self.unexpected(byte)),
        };
        self.after_value();
        Ok(token)
    }

    fn start(&mut self, byte: u8) -> Result<Token, Stop> {
        if self.open.len() >= MAX_DEPTH {
            return Err(Stop::limit("the depth of the JSON", MAX_DEPTH, self.at()));
        }
        self.cursor.byte()?;
        let (container, expects, token) = if byte == b'{' {
            (Container::Object, Expects::KeyOrEnd, Token::Object)
        } else {
            (Container::Array, Expects::ValueOrEnd, Token::Array)
        };
        self.open.push(container);
        self.expects = expects;
        Ok(token)
    }

    fn word(&mut self, word: &[u8], token: Token) -> Result<Token, Stop> {
        for expected in word {
            match self.cursor.byte()? {
                Some(byte) if byte == *expected => {}
                Some(byte) => return Err(self.unexpected(byte)),
                None => {
                    return Err(Stop::Truncated {
                        what: "a JSON word",
                        at: self.at(),
                    });
                }
            }
        }
        Ok(token)
    }

    /// Reads digits; returns how many there are, and their number where it has at most 63 bits.
    fn digits(&mut self) -> Result<(u64, Option<i64>), Stop> {
        let (start, mut number) = (self.at(), Some(0_i64));
        while let Some(byte) = self.cursor.peek()?.filter(u8::is_ascii_digit) {
            self.cursor.byte()?;
            number = number
                .and_then(|number| number.checked_mul(10))
                .and_then(|number| number.checked_add(i64::from(byte - b'0')));
        }
        Ok((self.at().saturating_sub(start), number))
    }

    fn number(&mut self) -> Result<Option<i64>, Stop> {
        let start = self.at();
        let wrong = || Stop::malformed("has a number that JSON does not have", start);
        let negative = self.cursor.peek()? == Some(b'-');
        if negative {
            self.cursor.byte()?;
        }
        if self.cursor.peek()? == Some(b'I') {
            return self.word(b"Infinity", Token::Number(None)).map(|_| None);
        }
        let zero = self.cursor.peek()? == Some(b'0');
        let (whole, mut number) = self.digits()?;
        if whole == 0 || (zero && whole > 1) {
            return Err(wrong());
        }
        if self.cursor.peek()? == Some(b'.') {
            self.cursor.byte()?;
            number = None;
            if self.digits()?.0 == 0 {
                return Err(wrong());
            }
        }
        if matches!(self.cursor.peek()?, Some(b'e' | b'E')) {
            self.cursor.byte()?;
            if matches!(self.cursor.peek()?, Some(b'+' | b'-')) {
                self.cursor.byte()?;
            }
            number = None;
            if self.digits()?.0 == 0 {
                return Err(wrong());
            }
        }
        Ok(number.map(|number| if negative { -number } else { number }))
    }

    fn string(&mut self) -> Result<Text, Stop> {
        let at = self.at();
        let mut made = Made::default();
        self.cursor.byte()?;
        loop {
            let truncated = Stop::Truncated {
                what: "a JSON string",
                at,
            };
            match self.cursor.byte()?.ok_or(truncated)? {
                b'"' => return made.finish(at),
                b'\\' => self.escape(&mut made)?,
                0..=0x1f => {
                    return Err(Stop::malformed(
                        "has a control character in a string",
                        self.at(),
                    ));
                }
                byte => made.byte(byte, self.cursor.at())?,
            }
        }
    }

    fn escape(&mut self, made: &mut Made) -> Result<(), Stop> {
        let at = self.at();
        let wrong = || Stop::malformed("has an escape that JSON does not have", at);
        let character = match self.cursor.byte()?.ok_or_else(wrong)? {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.hex4()?.ok_or_else(wrong)?;
                return made.unit(unit, at);
            }
            _ => return Err(wrong()),
        };
        made.character(character, at)
    }

    fn hex4(&mut self) -> Result<Option<u32>, Stop> {
        let digits: [u8; 4] = self.cursor.array("a JSON escape")?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return Ok(None);
        }
        Ok(std::str::from_utf8(&digits)
            .ok()
            .and_then(|digits| u32::from_str_radix(digits, 16).ok()))
    }
}

/// A string in the making.
#[derive(Default)]
struct Made {
    bytes: Vec<u8>,
    cut: bool,
    hash: DefaultHasher,
    utf8: Utf8,
    /// A high surrogate that waits for its low one.
    high: Option<u32>,
}

impl Made {
    fn push(&mut self, byte: u8) {
        self.hash.write_u8(byte);
        if self.bytes.len() < KEPT {
            self.bytes.push(byte);
        } else {
            self.cut = true;
        }
    }

    fn flush(&mut self) {
        if self.high.take().is_some() {
            self.plain('\u{fffd}');
        }
    }

    fn plain(&mut self, character: char) {
        let mut buffer = [0; 4];
        for byte in character.encode_utf8(&mut buffer).bytes() {
            self.push(byte);
        }
    }

    fn byte(&mut self, byte: u8, at: u64) -> Result<(), Stop> {
        self.flush();
        if !self.utf8.push(byte) {
            return Err(Stop::malformed("is not UTF-8", at));
        }
        self.push(byte);
        Ok(())
    }

    fn character(&mut self, character: char, at: u64) -> Result<(), Stop> {
        self.flush();
        if !self.utf8.complete() {
            return Err(Stop::malformed("is not UTF-8", at));
        }
        self.plain(character);
        Ok(())
    }

    /// Takes a UTF-16 unit of an escape.
    fn unit(&mut self, unit: u32, at: u64) -> Result<(), Stop> {
        if let (Some(high), 0xdc00..=0xdfff) = (self.high, unit) {
            self.high = None;
            let code = 0x1_0000 + ((high - 0xd800) << 10) + (unit - 0xdc00);
            return self.character(char::from_u32(code).unwrap_or('\u{fffd}'), at);
        }
        if (0xd800..=0xdbff).contains(&unit) {
            self.flush();
            self.high = Some(unit);
            return Ok(());
        }
        self.character(char::from_u32(unit).unwrap_or('\u{fffd}'), at)
    }

    fn finish(mut self, at: u64) -> Result<Text, Stop> {
        self.flush();
        if !self.utf8.complete() {
            return Err(Stop::malformed("is not UTF-8", at));
        }
        let hash = self.hash.finish();
        // Only the cut can part a character, and only the last one.
        let text = match String::from_utf8(self.bytes) {
            Ok(text) => text,
            Err(error) => {
                let end = error.utf8_error().valid_up_to();
                let mut bytes = error.into_bytes();
                bytes.truncate(end);
                String::from_utf8(bytes).unwrap_or_default()
            }
        };
        Ok(Text {
            text,
            whole: !self.cut,
            hash,
            at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &[u8]) -> Result<Vec<Token>, Stop> {
        let bytes = text.to_vec();
        let mut cursor = Cursor::new(&bytes);
        let mut lexer = Lexer::new(&mut cursor);
        let mut tokens = Vec::new();
        while let Some(token) = lexer.next()? {
            tokens.push(token);
        }
        Ok(tokens)
    }

    #[test]
    fn what_is_json_is_read_and_nothing_else() {
        for good in [
            &b"{}"[..],
            b"[]",
            b" [1, -0.5e+3, NaN, -Infinity, true, null] ",
            b"{\"a\": {\"b\": [\"c\"]}}",
            b"{}\n{}\n",
            b"\"\\ud83d\\ude00 \\ud800\"",
            "\"é中\"".as_bytes(),
        ] {
            let result = tokens(good);
            assert!(result.is_ok(), "{} {result:?}", good.escape_ascii());
        }
        for bad in [
            &b"{"[..],
            b"[1,]",
            b"{\"a\":1,}",
            b"{a:1}",
            b"{'a':1}",
            b"[01]",
            b"[1.]",
            b"[+1]",
            b"[1 2]",
            b"{\"a\" 1}",
            b"{\"a\":1]",
            b"]",
            b"\"\n\"",
            b"\"\\x41\"",
            b"\"\\u12g4\"",
            b"\"\xff\"",
            b"\"\xc3\"",
            b"[nul]",
            b"[1] // comment",
        ] {
            assert!(tokens(bad).is_err(), "{}", bad.escape_ascii());
        }
        assert!(tokens(&b"[".repeat(100_000)).is_err());
    }

    #[test]
    fn escapes_become_what_they_stand_for() {
        let Token::String(text) = &tokens(br#""\u005f\u005Fclass\ud83d\ude00\ud800x""#).unwrap()[0]
        else {
            panic!("no string");
        };
        assert_eq!(text.text, "__class\u{1f600}\u{fffd}x");
    }

    #[test]
    fn a_long_string_is_cut_and_still_checked() {
        let long = format!("\"{}é\"", "é".repeat(KEPT));
        let Token::String(text) = &tokens(long.as_bytes()).unwrap()[0] else {
            panic!("no string");
        };
        assert!(!text.whole && text.text.len() <= KEPT);
        let mut broken = long.into_bytes();
        let last = broken.len() - 2;
        broken[last] = b'x';
        assert!(tokens(&broken).is_err());
    }
}
