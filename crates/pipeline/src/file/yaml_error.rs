//! What is wrong with YAML, in words for who wrote it: the line, and a mark below what is wrong.

use custody_types::nearest;
use serde_saphyr::{Error, MessageFormatter, UserMessageFormatter};

use super::place::excerpt;

/// What ends a word of YAML.
const ENDS: &[char] = &[' ', ',', '}', ']', '#', '\n'];
/// What the library says, and what is meant.
const WORDS: &[(&str, &str)] = &[
    ("invalid floating point", "a number is expected"),
    (
        "expected sequence start",
        "a list is expected, such as `[a, b]`",
    ),
    (
        "expected mapping start",
        "names with values are expected, such as `{a: 1}`",
    ),
    (
        "tagged enum",
        "one name is expected here, with what belongs to it",
    ),
    ("null into string", "a text is expected, and there is none"),
    ("unexpected end of", "it ends too early"),
];

/// Says what is wrong with `text`.
pub(crate) fn yaml_error(error: &Error, text: &str) -> String {
    let error = error.without_snippet();
    let because = match error {
        Error::SerdeUnknownField {
            field, expected, ..
        } => unknown(field, expected),
        Error::SerdeUnknownVariant {
            variant, expected, ..
        } => unknown(variant, expected),
        Error::SerdeMissingField { field, .. } => format!("`{field}` is missing"),
        _ => worded(&UserMessageFormatter.format_message(error)),
    };
    let Some(location) = error.location() else {
        return because;
    };
    let line = usize::try_from(location.line()).unwrap_or(1).max(1);
    let column = usize::try_from(location.column()).unwrap_or(1).max(1);
    let start = text
        .split_inclusive('\n')
        .take(line - 1)
        .map(str::len)
        .sum::<usize>();
    let rest = text.get(start..).unwrap_or_default();
    let before: usize = rest.chars().take(column - 1).map(char::len_utf8).sum();
    let marked = rest.get(before..).unwrap_or_default();
    let length = marked.find(ENDS).unwrap_or(marked.len()).max(1);
    let from = start + before;
    format!("{because}{}", excerpt(text, &(from..from + length)))
}

fn worded(message: &str) -> String {
    match message.strip_prefix("invalid ") {
        Some("u8" | "u16" | "u32" | "u64" | "u128" | "usize") => {
            return "a whole number is expected, not below 0".to_owned();
        }
        Some("i8" | "i16" | "i32" | "i64" | "i128" | "isize") => {
            return "a whole number is expected".to_owned();
        }
        _ => {}
    }
    let known = WORDS.iter().find(|(theirs, _)| message.contains(theirs));
    known.map_or_else(|| message.to_owned(), |(_, ours)| (*ours).to_owned())
}

/// Says which name may have been meant.
fn unknown(name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("`{name}` is not known here; did you mean `{near}`?"),
        None if known.is_empty() => format!("`{name}` is not known here"),
        None => format!(
            "`{name}` is not known here; there are `{}`",
            known.join("`, `")
        ),
    }
}
