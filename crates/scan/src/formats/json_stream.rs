//! A strict JSON tokenizer over a cursor: holds one token at a time.

use crate::cursor::{Cursor, Stop};

/// How long one text may be, in bytes.
const MAX_TEXT: usize = 1 << 20;

/// What stands next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// `{`
    Open,
    /// `}`
    Close,
    /// `[`
    List,
    /// `]`
    EndList,
    /// `:`
    Colon,
    /// `,`
    Comma,
    /// A text.
    Text(String),
    /// A whole number that is not negative.
    Number(u64),
}

/// Tokens of a range.
pub(crate) struct Tokens<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Tokens<'a> {
    pub(crate) fn new(cursor: Cursor<'a>) -> Self {
        Self { cursor }
    }

    pub(crate) fn at(&self) -> u64 {
        self.cursor.at()
    }

    fn next(&mut self) -> Result<Token, Stop> {
        let byte = loop {
            match self.cursor.u8("the JSON")? {
                b' ' | b'\t' | b'\n' | b'\r' => {}
                byte => break byte,
            }
        };
        Ok(match byte {
            b'{' => Token::Open,
            b'}' => Token::Close,
            b'[' => Token::List,
            b']' => Token::EndList,
            b':' => Token::Colon,
            b',' => Token::Comma,
            b'"' => Token::Text(self.string()?),
            b'0'..=b'9' => Token::Number(self.number(byte)?),
            _ => return Err(self.wrong("no value that this header has")),
        })
    }

    fn wrong(&self, because: &str) -> Stop {
        Stop::malformed(
            format!("has in its JSON {because}"),
            self.cursor.at().saturating_sub(1),
        )
    }

    fn number(&mut self, first: u8) -> Result<u64, Stop> {
        let mut number = u64::from(first - b'0');
        let mut digits = 1;
        while let Some(byte) = self.cursor.peek()? {
            match byte {
                b'0'..=b'9' => {
                    digits += 1;
                    number = number
                        .checked_mul(10)
                        .and_then(|number| number.checked_add(u64::from(byte - b'0')))
                        .ok_or_else(|| self.wrong("a number of more than 64 bits"))?;
                    self.cursor.skip(1, "a number")?;
                }
                b'.' | b'e' | b'E' => return Err(self.wrong("a number that is not whole")),
                _ => break,
            }
        }
        if first == b'0' && digits > 1 {
            return Err(self.wrong("a number with a leading zero"));
        }
        Ok(number)
    }

    fn string(&mut self) -> Result<String, Stop> {
        let mut bytes = Vec::new();
        loop {
            if bytes.len() > MAX_TEXT {
                return Err(Stop::limit(
                    "a text in JSON",
                    format!("{MAX_TEXT} bytes"),
                    self.at(),
                ));
            }
            match self.cursor.u8("a text in JSON")? {
                b'"' => break,
                b'\\' => {
                    let character = self.escape()?;
                    bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
                0..0x20 => return Err(self.wrong("a control character")),
                byte => bytes.push(byte),
            }
        }
        String::from_utf8(bytes).map_err(|_| self.wrong("a text that is not UTF-8"))
    }

    fn escape(&mut self) -> Result<char, Stop> {
        Ok(match self.cursor.u8("an escape")? {
            byte @ (b'"' | b'\\' | b'/') => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(self.wrong("an escape that JSON has not")),
        })
    }

    fn unicode(&mut self) -> Result<char, Stop> {
        let high = self.unit()?;
        let code = if (0xd800..0xdc00).contains(&high) {
            if self.cursor.array(r"an escape")? != *br"\u" {
                return Err(self.wrong("half a surrogate pair"));
            }
            let low = self.unit()?;
            if !(0xdc00..0xe000).contains(&low) {
                return Err(self.wrong("half a surrogate pair"));
            }
            0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)
        } else {
            high
        };
        char::from_u32(code).ok_or_else(|| self.wrong("half a surrogate pair"))
    }

    fn unit(&mut self) -> Result<u32, Stop> {
        let mut unit = 0;
        for byte in self.cursor.array::<4>("an escape")? {
            let digit = char::from(byte)
                .to_digit(16)
                .ok_or_else(|| self.wrong("an escape that JSON has not"))?;
            unit = unit * 16 + digit;
        }
        Ok(unit)
    }

    /// Reads the token `wanted`; `what` begins or ends with it.
    pub(crate) fn expect(&mut self, wanted: &Token, what: &str) -> Result<(), Stop> {
        if self.next()? == *wanted {
            return Ok(());
        }
        Err(self.wrong(&format!("something else than {what}")))
    }

    /// Reads a text.
    pub(crate) fn text(&mut self, what: &str) -> Result<String, Stop> {
        match self.next()? {
            Token::Text(text) => Ok(text),
            _ => Err(self.wrong(&format!("{what} that is not a text"))),
        }
    }

    /// Reads a text of any length without holding it.
    pub(crate) fn expect_text(&mut self, what: &str) -> Result<(), Stop> {
        loop {
            match self.cursor.u8("the JSON")? {
                b' ' | b'\t' | b'\n' | b'\r' => {}
                b'"' => break,
                _ => return Err(self.wrong(&format!("{what} that is not a text"))),
            }
        }
        loop {
            match self.cursor.u8("a text in JSON")? {
                b'"' => return Ok(()),
                b'\\' => {
                    self.escape()?;
                }
                0..0x20 => return Err(self.wrong("a control character")),
                _ => {}
            }
        }
    }

    /// Reads the next key of an object with its colon, or `None` at the end of the object.
    pub(crate) fn key(&mut self, first: &mut bool) -> Result<Option<String>, Stop> {
        let token = match (self.next()?, *first) {
            (Token::Close, _) => return Ok(None),
            (token, true) => token,
            (Token::Comma, false) => self.next()?,
            _ => return Err(self.wrong("an object without a comma")),
        };
        *first = false;
        let Token::Text(key) = token else {
            return Err(self.wrong("a key that is not a text"));
        };
        self.expect(&Token::Colon, "a colon")?;
        Ok(Some(key))
    }

    /// Reads a list of at most `limit` numbers.
    pub(crate) fn numbers(&mut self, limit: usize) -> Result<Vec<u64>, Stop> {
        self.expect(&Token::List, "a list")?;
        let mut numbers = Vec::new();
        loop {
            match self.next()? {
                Token::EndList if numbers.is_empty() => return Ok(numbers),
                Token::Number(number) if numbers.len() < limit => numbers.push(number),
                Token::Number(_) => {
                    return Err(Stop::limit("a list of numbers", limit, self.at()));
                }
                _ => return Err(self.wrong("a list of something else than numbers")),
            }
            match self.next()? {
                Token::EndList => return Ok(numbers),
                Token::Comma => {}
                _ => return Err(self.wrong("a list without a comma")),
            }
        }
    }

    /// Reads the spaces until the end and returns where something else stands.
    pub(crate) fn end_padding(&mut self) -> Result<Option<u64>, Stop> {
        let at = self.cursor.at();
        while let Some(byte) = self.cursor.byte()? {
            if byte != b' ' {
                return Ok(Some(self.cursor.at().saturating_sub(1).max(at)));
            }
        }
        Ok(None)
    }
}
