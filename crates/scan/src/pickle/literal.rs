//! The literals of the text opcodes, as CPython reads them: what either loader accepts.

use super::value::Value;

/// Parses the argument of `INT`.
pub(super) fn int(line: &[u8]) -> Option<Value> {
    match line {
        b"00" => return Some(Value::Bool(false)),
        b"01" => return Some(Value::Bool(true)),
        _ => {}
    }
    // The loader in C asks `strtol` first, for which a leading zero means octal.
    python_int(line, 0).or_else(|| octal_of_c(line)).map(number)
}

/// Parses the argument of `LONG`, which may end in `L`.
pub(super) fn long(line: &[u8]) -> Option<Value> {
    python_int(line.strip_suffix(b"L").unwrap_or(line), 0).map(number)
}

/// Parses a number of the memo.
pub(super) fn index(line: &[u8]) -> Option<u64> {
    python_int(line, 10)?.and_then(|number| u64::try_from(number).ok())
}

/// Parses the argument of `FLOAT`.
pub(super) fn float(line: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(line).ok()?.trim();
    let plain = without_underscores(text, 10)?;
    plain.parse::<f64>().ok().map(|_| Value::Number)
}

fn number(number: Option<i64>) -> Value {
    number.map_or(Value::Number, Value::Int)
}

#[expect(clippy::option_option, reason = "the form of `python_int`")]
fn octal_of_c(line: &[u8]) -> Option<Option<i64>> {
    let text = std::str::from_utf8(line).ok()?.trim_start();
    let (sign, digits) = sign(text);
    let digits = digits.strip_prefix('0')?;
    let value = i64::from_str_radix(digits, 8).ok()?;
    Some(Some(if sign { value.wrapping_neg() } else { value }))
}

fn sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// Parses as `int(text, base)` does, for the bases 0 and 10: `None` for what is no number, `Some(None)`
/// for one that is too big to be kept.
#[expect(
    clippy::option_option,
    reason = "not a number, and one too big, are two things"
)]
fn python_int(line: &[u8], base: u32) -> Option<Option<i64>> {
    let text = std::str::from_utf8(line).ok()?;
    let text =
        text.trim_matches(|character: char| character.is_ascii_whitespace() || character == '\x0b');
    let (negative, digits) = sign(text);
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match base {
        0 if lower.starts_with("0x") => (16, after_prefix(&lower)),
        0 if lower.starts_with("0o") => (8, after_prefix(&lower)),
        0 if lower.starts_with("0b") => (2, after_prefix(&lower)),
        _ => (10, lower.as_str()),
    };
    let plain = without_underscores(digits, radix)?;
    if plain.is_empty() || !plain.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let zeros = plain.chars().all(|digit| digit == '0');
    if base == 0 && radix == 10 && plain.starts_with('0') && !zeros {
        return None;
    }
    let value = i64::from_str_radix(&plain, radix).ok();
    Some(value.map(|value| {
        if negative {
            value.wrapping_neg()
        } else {
            value
        }
    }))
}

/// After a base's prefix, one underscore may stand.
fn after_prefix(text: &str) -> &str {
    let rest = text.get(2..).unwrap_or_default();
    rest.strip_prefix('_').unwrap_or(rest)
}

/// Removes single underscores between digits; `None` where one stands elsewhere.
fn without_underscores(text: &str, radix: u32) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut before = None;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let mut between = || {
            before.is_some_and(|digit: char| digit.is_digit(radix))
                && characters.peek().is_some_and(|digit| digit.is_digit(radix))
        };
        if character != '_' {
            plain.push(character);
        } else if !between() {
            return None;
        }
        before = Some(character);
    }
    Some(plain)
}

/// Decodes the argument of `STRING`: quoted, with the escapes of Python 2.
pub(super) fn string(line: &[u8]) -> Option<Vec<u8>> {
    let inside = match line {
        [first @ (b'\'' | b'"'), inside @ .., last] if first == last => inside,
        _ => return None,
    };
    let mut decoded = Vec::with_capacity(inside.len());
    let mut rest = inside;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'\\' {
            decoded.push(*byte);
            continue;
        }
        let (escape, after) = rest.split_first()?;
        rest = after;
        match escape {
            b'\n' => {}
            b'\\' | b'\'' | b'"' => decoded.push(*escape),
            b'a' => decoded.push(7),
            b'b' => decoded.push(8),
            b't' => decoded.push(9),
            b'n' => decoded.push(10),
            b'v' => decoded.push(11),
            b'f' => decoded.push(12),
            b'r' => decoded.push(13),
            b'x' => {
                let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                decoded.push(u8::from_str_radix(digits, 16).ok()?);
                rest = rest.get(2..)?;
            }
            b'0'..=b'7' => {
                let mut value = u16::from(escape - b'0');
                for _ in 0..2 {
                    match rest.split_first() {
                        Some((digit @ b'0'..=b'7', after)) => {
                            value = value * 8 + u16::from(digit - b'0');
                            rest = after;
                        }
                        _ => break,
                    }
                }
                decoded.push(u8::try_from(value & 0xff).ok()?);
            }
            other => decoded.extend([b'\\', *other]),
        }
    }
    Some(decoded)
}

/// Decodes the argument of `UNICODE`: Latin-1 with `\uXXXX` and `\UXXXXXXXX` after an odd number of
/// backslashes. Lone surrogates become U+FFFD: no name has one.
pub(super) fn raw_unicode_escape(line: &[u8]) -> Option<String> {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    let mut odd = false;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'\\' {
            text.push(char::from(*byte));
            odd = false;
            continue;
        }
        odd = !odd;
        let digits = match rest.first() {
            Some(b'u') if odd => 4,
            Some(b'U') if odd => 8,
            _ => {
                text.push('\\');
                continue;
            }
        };
        let hexadecimal = std::str::from_utf8(rest.get(1..=digits)?).ok()?;
        if !hexadecimal.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let code = u32::from_str_radix(hexadecimal, 16).ok()?;
        if code > 0x0010_ffff {
            return None;
        }
        text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
        rest = rest.get(digits + 1..)?;
        odd = false;
    }
    Some(text)
}

/// Whether bytes are UTF-8 but for lone surrogates, which Python's `surrogatepass` lets through.
pub(super) fn is_utf8_with_surrogates(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    loop {
        let Err(error) = std::str::from_utf8(rest) else {
            return true;
        };
        let Some(bad) = rest.get(error.valid_up_to()..) else {
            return false;
        };
        match bad {
            [0xed, 0xa0..=0xbf, 0x80..=0xbf, after @ ..] => rest = after,
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_either_loader() {
        let check = |line: &[u8], expect| assert_eq!(int(line), expect, "{line:?}");
        check(b"0x41", Some(Value::Int(65)));
        check(b"0o17", Some(Value::Int(15)));
        check(b"017", Some(Value::Int(15)));
        check(b"0b_101", Some(Value::Int(5)));
        check(b" -1_000 ", Some(Value::Int(-1000)));
        check(b"01", Some(Value::Bool(true)));
        check(b"99999999999999999999", Some(Value::Number));
        for wrong in [&b""[..], b"x", b"1__0", b"_1", b"0x", b"089", b"1L", b"- 1"] {
            check(wrong, None);
        }
        assert_eq!(long(b"0x41L"), Some(Value::Int(65)));
        assert_eq!(long(b"L"), None);
        assert_eq!(index(b"010"), Some(10));
        assert_eq!(index(b"-1"), None);
        assert_eq!(float(b"1_0.5e3"), Some(Value::Number));
        assert_eq!(float(b"nan"), Some(Value::Number));
        assert_eq!(float(b"1_.5"), None);
    }

    #[test]
    fn escapes_are_those_of_python() {
        assert_eq!(string(br"'\x6fs'").unwrap(), b"os");
        assert_eq!(string(br#""\157\163\q""#).unwrap(), br"os\q");
        assert_eq!(string(b"'a\"").as_deref(), None);
        assert_eq!(string(br"'\x6'").as_deref(), None);
        assert_eq!(string(b"'").as_deref(), None);
        assert_eq!(raw_unicode_escape(br"\u006fs").unwrap(), "os");
        assert_eq!(raw_unicode_escape(br"\\u006f\n").unwrap(), r"\\u006f\n");
        assert_eq!(raw_unicode_escape(br"\u00"), None);
        assert!(is_utf8_with_surrogates(b"a\xed\xa0\x80b"));
        assert!(!is_utf8_with_surrogates(b"a\xff"));
    }
}
