//! Licences as SPDX names them: identifiers, exceptions and expressions.
//!
//! Source: SPDX specification 3.0.1, annex "SPDX license expressions", and version 3.28.0 of its list, which is
//! the one that `CycloneDX` 1.6 points to. The list is public (CC0-1.0).

use std::fmt;

/// The longest text that is kept as a licence, in characters.
pub const LONGEST: usize = 512;
const IDS: &str = include_str!("licence/ids.txt");
const EXCEPTIONS: &str = include_str!("licence/exceptions.txt");

/// A licence under which something may be used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Licence {
    /// One of the SPDX list: `Apache-2.0`.
    Id(&'static str),
    /// Several of them, or one with an exception: `MIT OR Apache-2.0`.
    Expression(String),
    /// One that the list has not, by the name that its publisher gave it.
    Named(String),
}

impl Licence {
    /// Reads a licence in any case of letters: an identifier or an expression of SPDX, and any other text as a name.
    /// `None` for a text that is empty, of several lines, or longer than [`LONGEST`].
    pub fn of(text: &str) -> Option<Self> {
        let text = text.trim();
        let wrong = text.is_empty()
            || text.chars().nth(LONGEST).is_some()
            || text.chars().any(char::is_control);
        (!wrong).then(|| Self::spdx(text).unwrap_or_else(|| Self::Named(text.to_owned())))
    }

    /// Reads an identifier or an expression of SPDX; `None` for any other text.
    pub fn spdx(text: &str) -> Option<Self> {
        if let Some(id) = find(IDS, text.trim()) {
            return Some(Self::Id(id));
        }
        if text.chars().nth(LONGEST).is_some() {
            return None;
        }
        normalise(text).map(Self::Expression)
    }
}

impl fmt::Display for Licence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(text) => f.write_str(text),
            Self::Expression(text) | Self::Named(text) => f.write_str(text),
        }
    }
}

/// Returns the line of a list that is `name` in any case of letters, as the list writes it.
fn find(list: &'static str, name: &str) -> Option<&'static str> {
    list.lines().find(|line| line.eq_ignore_ascii_case(name))
}

/// What must come next in an expression.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Licence,
    Exception,
    /// An operator; `WITH` only directly after a licence.
    Operator {
        with: bool,
    },
}

/// Writes an expression as SPDX writes it: names as in its list, operators in capitals, one space between.
/// `None` if it is not well formed. The grammar needs no tree to be checked: what may follow depends on the word
/// before and the number of open brackets alone.
fn normalise(text: &str) -> Option<String> {
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let mut next = Next::Licence;
    let mut open = 0_usize;
    let mut words = Vec::new();
    for word in spaced.split_ascii_whitespace() {
        let upper = word.to_ascii_uppercase();
        let (word, then) = match (next, upper.as_str()) {
            (Next::Licence, "(") => {
                open = open.checked_add(1)?;
                ("(".to_owned(), Next::Licence)
            }
            (Next::Licence, _) => (simple(word)?, Next::Operator { with: true }),
            (Next::Exception, _) => (
                find(EXCEPTIONS, word)?.to_owned(),
                Next::Operator { with: false },
            ),
            (Next::Operator { .. }, "AND" | "OR") => (upper, Next::Licence),
            (Next::Operator { with: true }, "WITH") => (upper, Next::Exception),
            (Next::Operator { .. }, ")") => {
                open = open.checked_sub(1)?;
                (")".to_owned(), Next::Operator { with: false })
            }
            (Next::Operator { .. }, _) => return None,
        };
        words.push(word);
        next = then;
    }
    let ended = matches!(next, Next::Operator { .. }) && open == 0;
    ended.then(|| words.join(" ").replace("( ", "(").replace(" )", ")"))
}

/// Writes one licence of an expression: an identifier, also with `+` ("or later"), or a reference.
fn simple(word: &str) -> Option<String> {
    if let Some(id) = find(IDS, word) {
        return Some(id.to_owned());
    }
    if let Some(id) = word.strip_suffix('+').and_then(|word| find(IDS, word)) {
        return Some(format!("{id}+"));
    }
    let licence = match word.split_once(':') {
        Some((document, licence)) => {
            named(document, "DocumentRef-")?;
            licence
        }
        None => word,
    };
    named(licence, "LicenseRef-").map(|()| word.to_owned())
}

fn named(word: &str, prefix: &str) -> Option<()> {
    let rest = word.strip_prefix(prefix)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    (!rest.is_empty() && rest.bytes().all(allowed)).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_ordered_and_name_each_licence_once() {
        for (list, least) in [(IDS, 700), (EXCEPTIONS, 80)] {
            let names: Vec<_> = list.lines().map(str::to_ascii_lowercase).collect();
            assert!(
                names.is_sorted_by(|a, b| a < b) && names.len() > least,
                "{}",
                names.len()
            );
        }
    }

    #[test]
    fn expressions_are_written_as_spdx_writes_them() {
        let expression = |text: &str| Some(Licence::Expression(text.to_owned()));
        for (text, expect) in [
            ("MIT", Some(Licence::Id("MIT"))),
            (" apache-2.0 ", Some(Licence::Id("Apache-2.0"))),
            ("mit or apache-2.0", expression("MIT OR Apache-2.0")),
            (
                "(mit OR(bsd-3-clause))AND zlib",
                expression("(MIT OR (BSD-3-Clause)) AND Zlib"),
            ),
            ("GPL-2.0+", Some(Licence::Id("GPL-2.0+"))),
            ("LPPL-1.3c+", expression("LPPL-1.3c+")),
            (
                "GPL-3.0-only with gcc-exception-3.1",
                expression("GPL-3.0-only WITH GCC-exception-3.1"),
            ),
            (
                "LicenseRef-Ours AND DocumentRef-x:LicenseRef-y.1",
                expression("LicenseRef-Ours AND DocumentRef-x:LicenseRef-y.1"),
            ),
            ("", None),
            ("()", None),
            ("(MIT", None),
            ("MIT)", None),
            ("MIT AND", None),
            ("AND MIT", None),
            ("MIT MIT", None),
            ("MIT WITH MIT", None),
            ("(MIT) WITH LLVM-exception", None),
            ("MIT WITH LLVM-exception WITH LLVM-exception", None),
            ("Apache 2.0", None),
            ("LLVM-exception", None),
            ("LicenseRef-", None),
            ("DocumentRef-:LicenseRef-a", None),
            ("NONE", None),
        ] {
            assert_eq!(Licence::spdx(text), expect, "{text}");
        }
    }

    #[test]
    fn other_texts_are_names_or_nothing() {
        let long = "x".repeat(LONGEST);
        for (text, expect) in [
            ("Apache 2.0", Some("Apache 2.0")),
            (long.as_str(), Some(long.as_str())),
            (&format!("{long}x"), None),
            ("two\nlines", None),
            ("  ", None),
        ] {
            let named = expect.map(|name| Licence::Named(name.to_owned()));
            assert_eq!(Licence::of(text), named);
        }
        assert_eq!(Licence::spdx(&"(".repeat(1 << 20)), None);
    }
}
