//! The listing of a version's files, and the version's identity computed from it.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ByteSize, Digest, NameError};

/// A file's path inside a version: relative, `/` between parts, UTF-8.
///
/// No part is empty, `.` or `..`, and none holds a control character or a backslash, so a path can
/// be joined to a folder on any machine and printed on one line. At most 4,096 bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend(
    "maxLength" = 4096,
    "pattern" = r"^(?!\.{1,2}(/|$))[^/\\\u0000-\u001f\u007f-\u009f]+(/(?!\.{1,2}(/|$))[^/\\\u0000-\u001f\u007f-\u009f]+)*$"
))]
pub struct FilePath(String);

impl FilePath {
    /// Returns the path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the last part.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl FromStr for FilePath {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let good_part = |part: &str| {
            !part.is_empty()
                && part != "."
                && part != ".."
                && !part.chars().any(|c| c.is_control() || c == '\\')
        };
        if text.len() <= 4096 && text.split('/').all(good_part) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::new(
                "file path",
                text,
                "it must be relative, without `.`, `..`, backslashes or control characters",
            ))
        }
    }
}

impl TryFrom<String> for FilePath {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<FilePath> for String {
    fn from(path: FilePath) -> Self {
        path.0
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// One file of a version: where it stands, how long it is, what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileEntry {
    /// The path inside the version.
    pub path: FilePath,
    /// The length in bytes.
    pub size: ByteSize,
    /// The SHA-256 of the whole file, as `sha256sum` prints it.
    pub sha256: Digest,
    /// Whether the file may be executed. Not part of the version's identity.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executable: bool,
}

/// Computes the identity of a version from its files.
///
/// It is the SHA-256 of the text that `sha256sum` prints for the files in the order of their paths
/// as bytes: for each file 64 hexadecimal digits, two spaces, the path, a line feed. In the folder
/// of the files: `find * -type f | LC_ALL=C sort | xargs -d '\n' sha256sum | sha256sum`.
///
/// The order of `files` does not matter. An empty version has the digest of no bytes.
pub fn listing_digest<'a>(files: impl IntoIterator<Item = &'a FileEntry>) -> Digest {
    let mut files: Vec<_> = files.into_iter().collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut text = String::new();
    for file in files {
        text.push_str(&file.sha256.to_hex());
        text.push_str("  ");
        text.push_str(file.path.as_str());
        text.push('\n');
    }
    Digest::of(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, bytes: &[u8]) -> FileEntry {
        FileEntry {
            path: path.parse().unwrap(),
            size: ByteSize::from_bytes(bytes.len() as u64),
            sha256: Digest::of(bytes),
            executable: false,
        }
    }

    #[test]
    fn the_identity_is_what_sha256sum_computes() {
        // printf abc > a; mkdir b; printf '' > b/c; sha256sum a b/c | sha256sum
        let files = [file("b/c", b""), file("a", b"abc")];
        assert_eq!(
            listing_digest(&files).to_hex(),
            "6eba35d7428180154eea7332bad049a6c0105a4bbd23c3a7542600305d2cbedb".to_owned(),
        );
    }

    #[test]
    fn paths_that_leave_the_version_are_refused() {
        for text in [
            "",
            "/a",
            "a/",
            "a//b",
            "../a",
            "a/../b",
            ".",
            "a\\b",
            "a\nb",
            "a\0b",
            &"x".repeat(4097),
        ] {
            assert!(text.parse::<FilePath>().is_err(), "{text:?}");
        }
        assert_eq!("a/b.txt".parse::<FilePath>().unwrap().file_name(), "b.txt");
    }
}
