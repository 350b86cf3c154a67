//! Licences as SPDX names them: identifiers, exceptions and expressions.
//!
//! Source: SPDX specification 3.0.1, annex "SPDX license expressions", and version 3.28.0 of its list, which is
//! the one that `CycloneDX` 1.6 points to. The crate `spdx` has the list and reads expressions; here is what it
//! leaves to its callers: that names are found in any case of letters, and how an expression is written.

use std::fmt;

use spdx::identifiers::{EXCEPTIONS, LICENSES};
use spdx::{Expression, ParseMode};

/// The longest text that is kept as a licence, in characters.
pub const LONGEST: usize = 512;
/// Identifiers that are deprecated name licences still; names that are merely similar do not.
const MODE: ParseMode = ParseMode {
    allow_slash_as_or_operator: false,
    allow_imprecise_license_names: false,
    allow_postfix_plus_on_gpl: true,
    allow_deprecated: true,
    allow_unknown: false,
};

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
        if let Some(id) = listed(text.trim()) {
            return Some(Self::Id(id));
        }
        if text.chars().nth(LONGEST).is_some() {
            return None;
        }
        let text = canonical(text)?;
        Expression::parse_mode(&text, MODE).ok()?;
        Some(Self::Expression(text))
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

/// Returns the identifier that is `name` in any case of letters, as the list of SPDX writes it.
fn listed(name: &str) -> Option<&'static str> {
    let found = LICENSES
        .iter()
        .find(|one| one.name.eq_ignore_ascii_case(name))?;
    // What the crate adds to the list: no licence, and the stems of six of its members.
    let stem = found.name.starts_with("GFDL-") && found.name.ends_with("-invariants");
    (found.name != "NOASSERTION" && !stem).then_some(found.name)
}

/// Writes an expression as SPDX writes it: names as in its list, operators in capitals, one space between.
/// `None` if a word of it is neither of these.
fn canonical(text: &str) -> Option<String> {
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let words: Option<Vec<_>> = spaced.split_ascii_whitespace().map(word_of).collect();
    words.map(|words| words.join(" ").replace("( ", "(").replace(" )", ")"))
}

fn word_of(word: &str) -> Option<String> {
    let operator = ["(", ")", "AND", "OR", "WITH"].into_iter();
    let mut others = operator.chain(EXCEPTIONS.iter().map(|one| one.name));
    let other = || others.find(|one| one.eq_ignore_ascii_case(word));
    if let Some(known) = listed(word).or_else(other) {
        return Some(known.to_owned());
    }
    if let Some(id) = word.strip_suffix('+').and_then(listed) {
        return Some(format!("{id}+"));
    }
    // The crate takes references to nothing, such as `LicenseRef-`, too.
    let mut parts = word.split(':');
    let refers = parts.all(|part| {
        part.split_once("Ref-")
            .is_some_and(|(_, name)| !name.is_empty())
    });
    refers.then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_the_one_of_cyclonedx() {
        assert_eq!(spdx::identifiers::VERSION, "3.28.0");
        let listed = LICENSES.iter().filter(|one| listed(one.name).is_some());
        assert_eq!(listed.count(), 727);
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
            ("NOASSERTION", None),
            ("MIT AND NOASSERTION", None),
            ("GFDL-1.3-invariants", None),
            ("GFDL-1.3-invariants+", None),
            ("MIT/Apache-2.0", None),
            ("LGPL-2.1-or-later+", None),
            ("MIT OR Zlib AND (ISC)", expression("MIT OR Zlib AND (ISC)")),
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
