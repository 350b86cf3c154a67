//! NumPy arrays (`.npy`): a header that is a Python literal, then the elements; objects are a pickle.
//!
//! Source: NumPy enhancement proposal 1, `numpy.lib.format`.

use crate::cursor::{Cursor, Stop};
use crate::pickle;
use crate::scan::{Scan, Understood};
use crate::sniff::Format;
use crate::source::Source;

/// The format.
pub(crate) const FORMAT: Format = Format {
    name: "NumPy array",
    recognises: |head| head.starts_with(b"\x93NUMPY"),
    parse,
};

/// How long a header may be: NumPy itself reads 10,000 bytes unless told otherwise.
const MAX_HEADER: usize = 1 << 20;
/// How deep types may be nested.
const MAX_DEPTH: usize = 16;

fn parse(source: &dyn Source, scan: &mut Scan<'_>) -> Result<Understood, Stop> {
    let mut cursor = Cursor::new(source);
    cursor.skip(6, "header")?;
    let (major, minor) = (cursor.u8("header")?, cursor.u8("header")?);
    let len = match (major, minor) {
        (1, 0) => u64::from(cursor.u16("header")?),
        (2 | 3, 0) => u64::from(cursor.u32("header")?),
        _ => {
            return Err(Stop::malformed(
                format!("has the version {major}.{minor}"),
                6,
            ));
        }
    };
    let at = cursor.at();
    let header = cursor.bytes(len, MAX_HEADER, "header")?;
    let wrong = |because: &str| Stop::malformed(format!("has a header {because}"), at);
    let text: String = header.iter().map(|byte| char::from(*byte)).collect();
    let mut literal = Literal { rest: text.trim() };
    let Some(Term::Dict(entries)) = literal.term(0) else {
        return Err(wrong("that is no dictionary"));
    };
    if !literal.rest.trim().is_empty() || entries.len() != 3 {
        return Err(wrong("with more than it must have"));
    }
    let entry = |wanted: &str| {
        entries
            .iter()
            .find(|(key, _)| *key == Term::Text(wanted.to_owned()))
            .map(|(_, value)| value)
    };
    let (Some(descr), Some(Term::Bool), Some(Term::Tuple(shape))) =
        (entry("descr"), entry("fortran_order"), entry("shape"))
    else {
        return Err(wrong("without `descr`, `fortran_order` and `shape`"));
    };
    let count = product(shape).ok_or_else(|| wrong("with a shape that is none"))?;
    let element = element(descr, 0).ok_or_else(|| wrong("with a type that is not known"))?;
    let start = cursor.at();
    if element.objects {
        let end = pickle::stream(source, start, scan, None)?.end;
        return Ok(Understood {
            format: "NumPy array of objects",
            bytes: end,
        });
    }
    let bytes = count
        .checked_mul(element.size)
        .ok_or_else(|| wrong("with an impossible length"))?;
    cursor.skip(bytes, "elements")?;
    Ok(Understood {
        format: "NumPy array",
        bytes: cursor.at(),
    })
}

#[derive(Debug, Clone, Copy)]
struct Element {
    size: u64,
    objects: bool,
}

fn product(shape: &[Term]) -> Option<u64> {
    shape.iter().try_fold(1u64, |product, length| match length {
        Term::Int(length) => product.checked_mul(*length),
        _ => None,
    })
}

fn element(descr: &Term, depth: usize) -> Option<Element> {
    if depth > MAX_DEPTH {
        return None;
    }
    match descr {
        Term::Text(code) => simple(code),
        // A type with a shape of its own.
        Term::Tuple(parts) => match parts.as_slice() {
            [of, Term::Tuple(shape)] => {
                let inner = element(of, depth + 1)?;
                Some(Element {
                    size: inner.size.checked_mul(product(shape)?)?,
                    ..inner
                })
            }
            _ => None,
        },
        Term::List(fields) => fields.iter().try_fold(
            Element {
                size: 0,
                objects: false,
            },
            |sum, field| {
                let Term::Tuple(parts) = field else {
                    return None;
                };
                let (of, shape) = match parts.as_slice() {
                    [_, of] => (of, 1),
                    [_, of, Term::Tuple(shape)] => (of, product(shape)?),
                    [_, of, Term::Int(length)] => (of, *length),
                    _ => return None,
                };
                let inner = element(of, depth + 1)?;
                Some(Element {
                    size: sum.size.checked_add(inner.size.checked_mul(shape)?)?,
                    objects: sum.objects || inner.objects,
                })
            },
        ),
        _ => None,
    }
}

fn simple(code: &str) -> Option<Element> {
    let code = code.trim_start_matches(['<', '>', '=', '|']);
    let code = code.split('[').next()?;
    let mut characters = code.chars();
    let kind = characters.next()?;
    let digits = characters.as_str();
    let number: u64 = if digits.is_empty() {
        1
    } else {
        digits.parse().ok()?
    };
    let size = match kind {
        'b' | 'i' | 'u' | 'f' | 'c' | 'S' | 'a' | 'V' => number,
        'U' => number.checked_mul(4)?,
        'M' | 'm' => 8,
        '?' => 1,
        'O' => {
            return Some(Element {
                size: 8,
                objects: true,
            });
        }
        _ => return None,
    };
    Some(Element {
        size,
        objects: false,
    })
}

/// A literal of Python, as far as headers have them.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Term {
    Text(String),
    Int(u64),
    Bool,
    Tuple(Vec<Term>),
    List(Vec<Term>),
    Dict(Vec<(Term, Term)>),
}

struct Literal<'a> {
    rest: &'a str,
}

impl Literal<'_> {
    fn eat(&mut self, token: &str) -> bool {
        let trimmed = self.rest.trim_start();
        match trimmed.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn term(&mut self, depth: usize) -> Option<Term> {
        if depth > MAX_DEPTH {
            return None;
        }
        if self.eat("{") {
            let mut entries = Vec::new();
            while !self.eat("}") {
                let key = self.term(depth + 1)?;
                if !self.eat(":") {
                    return None;
                }
                entries.push((key, self.term(depth + 1)?));
                if !self.eat(",") && !self.rest.trim_start().starts_with('}') {
                    return None;
                }
            }
            return Some(Term::Dict(entries));
        }
        if self.eat("(") {
            return self.terms(")", depth).map(Term::Tuple);
        }
        if self.eat("[") {
            return self.terms("]", depth).map(Term::List);
        }
        if self.eat("True") || self.eat("False") {
            return Some(Term::Bool);
        }
        if self.eat("'") {
            return self.text('\'');
        }
        if self.eat("\"") {
            return self.text('"');
        }
        let trimmed = self.rest.trim_start();
        let end = trimmed
            .find(|character: char| !character.is_ascii_digit())
            .unwrap_or(trimmed.len());
        let (digits, rest) = trimmed.split_at_checked(end)?;
        // Old headers, of Python 2, have `L` after long numbers.
        self.rest = rest.strip_prefix('L').unwrap_or(rest);
        digits.parse().ok().map(Term::Int)
    }

    fn terms(&mut self, close: &str, depth: usize) -> Option<Vec<Term>> {
        let mut terms = Vec::new();
        while !self.eat(close) {
            terms.push(self.term(depth + 1)?);
            if !self.eat(",") && !self.rest.trim_start().starts_with(close) {
                return None;
            }
        }
        Some(terms)
    }

    fn text(&mut self, quote: char) -> Option<Term> {
        let (text, rest) = self.rest.split_once(quote)?;
        if text.contains('\\') {
            return None;
        }
        self.rest = rest;
        Some(Term::Text(text.to_owned()))
    }
}
