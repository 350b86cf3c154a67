//! Universal Binary JSON as XGBoost writes it, as a stream: the walker behind `xgboost`.
//!
//! Source: UBJSON, draft 12, with the strongly typed arrays that XGBoost reads and writes. What it does
//! not write (no-op bytes, high precision numbers, typed objects) is refused.

use super::booster::{Booster, Step};
use crate::cursor::{Cursor, Stop};

/// How deep values may be nested.
const MAX_DEPTH: usize = 64;
/// Longer texts are no numbers, in bytes.
const MAX_NUMBER: u64 = 64;
/// How long a key may be, in bytes.
pub(super) const MAX_KEY: usize = 4096;

/// Reads the object at the cursor, whose opening brace is the next byte; `keys` receives its own keys, and `booster`
/// hears of all that is in it.
pub(super) fn object(
    cursor: &mut Cursor<'_>,
    keys: &mut Vec<String>,
    booster: &mut Booster,
) -> Result<(), Stop> {
    expect(cursor, b'{')?;
    booster.step(Step::Open);
    fields(cursor, 0, Some(keys), booster)
}

fn expect(cursor: &mut Cursor<'_>, wanted: u8) -> Result<(), Stop> {
    let at = cursor.at();
    let byte = cursor.u8("a mark")?;
    if byte == wanted {
        return Ok(());
    }
    Err(Stop::malformed(
        format!("has {byte:#04x} where `{}` must be", char::from(wanted)),
        at,
    ))
}

/// Reads the fields of an object to its closing brace.
fn fields(
    cursor: &mut Cursor<'_>,
    depth: usize,
    mut keys: Option<&mut Vec<String>>,
    booster: &mut Booster,
) -> Result<(), Stop> {
    while cursor.peek()? != Some(b'}') {
        let mark = cursor.u8("an object")?;
        let len = length(cursor, mark)?;
        let key = cursor.bytes(len, MAX_KEY, "a key")?;
        let key = String::from_utf8_lossy(&key);
        booster.step(Step::Key(&key));
        if let Some(keys) = keys.as_deref_mut() {
            keys.push(key.into_owned());
            if keys.len() > MAX_KEY {
                return Err(Stop::limit("the number of keys", MAX_KEY, cursor.at()));
            }
        }
        let mark = cursor.u8("a value")?;
        value(cursor, mark, depth + 1, booster)?;
    }
    booster.step(Step::End);
    expect(cursor, b'}')
}

fn value(
    cursor: &mut Cursor<'_>,
    mark: u8,
    depth: usize,
    booster: &mut Booster,
) -> Result<(), Stop> {
    let at = cursor.at();
    if depth > MAX_DEPTH {
        return Err(Stop::limit("the nesting of values", MAX_DEPTH, at));
    }
    match mark {
        b'{' => {
            booster.step(Step::Open);
            fields(cursor, depth, None, booster)
        }
        b'[' => {
            array(cursor, depth, booster)?;
            booster.step(Step::End);
            Ok(())
        }
        b'S' => {
            let mark = cursor.u8("a text")?;
            let len = length(cursor, mark)?;
            if len > MAX_NUMBER {
                booster.step(Step::Text(""));
                return cursor.skip(len, "a text");
            }
            let text = cursor.bytes(len, MAX_KEY, "a text")?;
            booster.step(Step::Text(&String::from_utf8_lossy(&text)));
            Ok(())
        }
        b'Z' | b'T' | b'F' => {
            booster.step(Step::Other);
            Ok(())
        }
        mark => match size(mark) {
            Some(_) => number(cursor, mark, booster),
            None => Err(Stop::malformed(
                format!("has a value of the unknown kind {mark:#04x}"),
                at.saturating_sub(1),
            )),
        },
    }
}

/// Reads a number of the kind `mark`.
fn number(cursor: &mut Cursor<'_>, mark: u8, booster: &mut Booster) -> Result<(), Stop> {
    let what = "a number";
    let number = match mark {
        b'i' => Some(i64::from(i8::from_be_bytes(cursor.array(what)?))),
        b'U' | b'C' => Some(i64::from(u8::from_be_bytes(cursor.array(what)?))),
        b'I' => Some(i64::from(i16::from_be_bytes(cursor.array(what)?))),
        b'l' => Some(i64::from(i32::from_be_bytes(cursor.array(what)?))),
        b'L' => Some(i64::from_be_bytes(cursor.array(what)?)),
        mark => {
            cursor.skip(size(mark).unwrap_or_default(), what)?;
            None
        }
    };
    booster.step(Step::Number(number));
    Ok(())
}

/// Reads an array: typed with `$`, counted with `#`, or up to its closing bracket.
fn array(cursor: &mut Cursor<'_>, depth: usize, booster: &mut Booster) -> Result<(), Stop> {
    let at = cursor.at();
    let wants = booster.wants();
    booster.step(Step::Open);
    match cursor.peek()? {
        Some(b'$') => {
            cursor.skip(1, "an array")?;
            let kind = cursor.u8("an array")?;
            expect(cursor, b'#')?;
            let mark = cursor.u8("an array")?;
            let count = length(cursor, mark)?;
            let bytes = size(kind)
                .and_then(|size| size.checked_mul(count))
                .ok_or_else(|| Stop::malformed("has an array of no numbers", at))?;
            if !wants {
                return cursor.skip(bytes, "an array");
            }
            if bytes > cursor.left() {
                return Err(Stop::Truncated {
                    what: "an array",
                    at,
                });
            }
            for _ in 0..count {
                number(cursor, kind, booster)?;
            }
            Ok(())
        }
        Some(b'#') => {
            cursor.skip(1, "an array")?;
            let mark = cursor.u8("an array")?;
            let count = length(cursor, mark)?;
            // Every element has a byte at least.
            if count > cursor.left() {
                return Err(Stop::Truncated {
                    what: "an array",
                    at,
                });
            }
            for _ in 0..count {
                let mark = cursor.u8("an array")?;
                value(cursor, mark, depth + 1, booster)?;
            }
            Ok(())
        }
        _ => {
            while cursor.peek()? != Some(b']') {
                let mark = cursor.u8("an array")?;
                value(cursor, mark, depth + 1, booster)?;
            }
            expect(cursor, b']')
        }
    }
}

/// Returns how many bytes a number of the kind `mark` has.
fn size(mark: u8) -> Option<u64> {
    match mark {
        b'i' | b'U' | b'C' => Some(1),
        b'I' => Some(2),
        b'l' | b'd' => Some(4),
        b'L' | b'D' => Some(8),
        _ => None,
    }
}

/// Reads a length whose kind is `mark`; big-endian.
fn length(cursor: &mut Cursor<'_>, mark: u8) -> Result<u64, Stop> {
    let at = cursor.at();
    let what = "a length";
    let number = match mark {
        b'i' => i64::from(i8::from_be_bytes(cursor.array(what)?)),
        b'U' => i64::from(u8::from_be_bytes(cursor.array(what)?)),
        b'I' => i64::from(i16::from_be_bytes(cursor.array(what)?)),
        b'l' => i64::from(i32::from_be_bytes(cursor.array(what)?)),
        b'L' => i64::from_be_bytes(cursor.array(what)?),
        _ => {
            return Err(Stop::malformed(
                format!("has a length of the kind {mark:#04x}"),
                at.saturating_sub(1),
            ));
        }
    };
    u64::try_from(number).map_err(|_| Stop::malformed("has a negative length", at))
}
