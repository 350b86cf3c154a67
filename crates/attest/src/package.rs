//! Python packages by name and version.

use std::fmt;

use crate::{AttestError, malformed};

/// The longest name or version of a package, in bytes.
pub const LONGEST: usize = 128;

/// A package of Python's index at one version: `scikit-learn 1.9.1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageId {
    name: String,
    version: String,
}

impl PackageId {
    /// Checks a name and a version. The name is normalised as PEP 503 asks: lower case, and one `-` for every run
    /// of `-`, `_` and `.`.
    ///
    /// # Errors
    /// [`AttestError::Malformed`] for a name that is none of PEP 508, a version with a character that PEP 440 has
    /// not, or either longer than [`LONGEST`].
    pub fn new(name: &str, version: &str) -> Result<Self, AttestError> {
        let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
        let separator = |byte: u8| matches!(byte, b'-' | b'_' | b'.');
        let good_name = ends(name.bytes().next())
            && ends(name.bytes().last())
            && name.len() <= LONGEST
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || separator(byte));
        if !good_name {
            return Err(malformed("package's name", shown(name)));
        }
        let good_version = ends(version.bytes().next())
            && version.len() <= LONGEST
            && version.bytes().all(|byte| {
                byte.is_ascii_alphanumeric() || separator(byte) || matches!(byte, b'!' | b'+')
            });
        if !good_version {
            return Err(malformed("package's version", shown(version)));
        }
        let mut normal = String::with_capacity(name.len());
        for letter in name.chars() {
            match letter {
                '-' | '_' | '.' if normal.ends_with('-') => {}
                '-' | '_' | '.' => normal.push('-'),
                _ => normal.push(letter.to_ascii_lowercase()),
            }
        }
        Ok(Self {
            name: normal,
            version: version.to_owned(),
        })
    }

    /// Returns the normalised name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the version as it was written.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns the package URL: `pkg:pypi/scikit-learn@1.9.1`.
    pub fn purl(&self) -> String {
        let version = self.version.replace('!', "%21").replace('+', "%2B");
        format!("pkg:pypi/{}@{version}", self.name)
    }
}

impl fmt::Display for PackageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=={}", self.name, self.version)
    }
}

/// Shows a refused text: its beginning, with what cannot be printed escaped.
pub(crate) fn shown(text: &str) -> String {
    const SHOWN: usize = 80;
    let start: String = text.chars().take(SHOWN).collect();
    format!("`{}`", start.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised() {
        for (name, version, purl) in [
            ("scikit-learn", "1.9.1", "pkg:pypi/scikit-learn@1.9.1"),
            ("Ruamel.Yaml__x-._y", "1", "pkg:pypi/ruamel-yaml-x-y@1"),
            ("torch", "2.0+cu118", "pkg:pypi/torch@2.0%2Bcu118"),
            ("a", "1!2", "pkg:pypi/a@1%212"),
        ] {
            assert_eq!(PackageId::new(name, version).unwrap().purl(), purl);
        }
    }

    #[test]
    fn other_names_and_versions_are_refused() {
        let long = "a".repeat(LONGEST + 1);
        for (name, version) in [
            ("", "1"),
            ("-a", "1"),
            ("a.", "1"),
            ("a/b", "1"),
            ("a b", "1"),
            ("ä", "1"),
            (long.as_str(), "1"),
            ("a", ""),
            ("a", "1@2"),
            ("a", "1/2"),
            ("a", "1\n"),
            ("a", "+1"),
            ("a", long.as_str()),
        ] {
            assert!(PackageId::new(name, version).is_err(), "{name} {version}");
        }
        let error = PackageId::new("\u{1b}[31m", "1").unwrap_err().to_string();
        assert!(!error.contains('\u{1b}'), "{error}");
    }
}
